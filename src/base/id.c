/* SPDX-License-Identifier: Apache-2.0 */
/* id.c - UUIDs by value (RFC 9562).
 *
 * Layouts, most significant byte first:
 *   v7: 48 bits Unix milliseconds | 7 | 12 bits counter   | 10 | 62 random bits
 *   v6: 48 bits high of the time  | 6 | 12 bits low of it | 10 | 14 bits clock_seq | 48 bits node
 *   v5: first 16 bytes of SHA-1(name space, name), version and variant put in
 * The v6 time counts 100 ns since 1582-10-15.
 *
 * Both generators keep the last time they gave away in one atomic word and hand out
 * max(now, last + 1); so ids grow strictly within the process on any thread, also when the wall
 * clock steps back or more ids are asked for than the clock has ticks. For v7 the word is
 * milliseconds << 12 | counter: a counter that runs over carries into the milliseconds. */
#include "base/id.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/rand.h"

#define GREGORIAN_OFFSET_100NS INT64_C(0x01B21DD213814000) /* 1582-10-15 to 1970-01-01 */

const struct id ID_LAST = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                            0xff, 0xff, 0xff, 0xff}};
const struct id ID_NAMESPACE_GRAPH = {{0x6b, 0xa7, 0xb8, 0x21, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4,
                                       0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}};

/* Process-wide by meaning: ids must differ and grow whoever asks. */
static _Atomic uint64_t last_v7;
static _Atomic uint64_t last_v6;
/* Fetched once, never freed: the look-up costs more than the hash. */
static EVP_MD *sha1;
static pthread_once_t sha1_once = PTHREAD_ONCE_INIT;

static uint64_t strictly_after(_Atomic uint64_t *last, uint64_t now) {
    uint64_t seen = atomic_load_explicit(last, memory_order_relaxed);
    uint64_t next;
    do
        next = now > seen ? now : seen + 1;
    while (!atomic_compare_exchange_weak_explicit(last, &seen, next, memory_order_relaxed,
                                                  memory_order_relaxed));
    return next;
}

static void bytes_put(uint8_t *to, int count, uint64_t v) {
    for (int i = count - 1; i >= 0; i--) {
        to[i] = (uint8_t)v;
        v >>= 8;
    }
}

static void version_put(struct id *v, int version) {
    v->b[6] = (uint8_t)((v->b[6] & 0x0F) | version << 4);
    v->b[8] = (uint8_t)((v->b[8] & 0x3F) | 0x80);
}

struct id id_v7(void) {
    struct id v;
    uint64_t stamp = strictly_after(&last_v7, (uint64_t)(clock_wall_us() / 1000) << 12);
    bytes_put(v.b, 6, stamp >> 12);
    bytes_put(v.b + 6, 2, stamp & 0xFFF);
    rand_bytes(v.b + 8, 8);
    version_put(&v, 7);
    return v;
}

struct id id_v6(int step) {
    struct id v;
    uint64_t now = (uint64_t)(clock_wall_us() * 10 + GREGORIAN_OFFSET_100NS);
    uint64_t stamp = strictly_after(&last_v6, now);
    bytes_put(v.b, 6, stamp >> 12);
    bytes_put(v.b + 6, 2, stamp & 0xFFF);
    bytes_put(v.b + 8, 2, (uint64_t)step & 0x3FFF);
    rand_bytes(v.b + 10, 6);
    v.b[10] |= 1; /* multicast: a random node never equals a network card's */
    version_put(&v, 6);
    return v;
}

struct id id_v6_after(int step, struct id before) {
    struct id v = id_v6(step);
    if (before.b[6] >> 4 != 6 || memcmp(v.b, before.b, 8) > 0)
        return v;
    uint64_t stamp = 0;
    for (int i = 0; i < 6; i++)
        stamp = stamp << 8 | before.b[i];
    stamp = (stamp << 12 | (uint64_t)(before.b[6] & 0x0F) << 8 | before.b[7]) + 1;
    bytes_put(v.b, 6, stamp >> 12);
    bytes_put(v.b + 6, 2, stamp & 0xFFF);
    version_put(&v, 6);
    return v;
}

struct id id_v4(void) {
    struct id v;
    rand_bytes(v.b, sizeof v.b);
    version_put(&v, 4);
    return v;
}

static void sha1_fetch(void) {
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    ASSERT(sha1 != NULL);
}

struct id id_v5(struct id name_space, str name) {
    (void)pthread_once(&sha1_once, sha1_fetch);
    uint8_t small[256], digest[EVP_MAX_MD_SIZE];
    size_t total = sizeof name_space.b + name.len;
    uint8_t *text = total <= sizeof small ? small : mem_alloc(total);
    memcpy(text, name_space.b, sizeof name_space.b);
    if (name.len)
        memcpy(text + sizeof name_space.b, name.p, name.len);
    ASSERT(EVP_Digest(text, total, digest, NULL, sha1, NULL) == 1);
    if (text != small)
        mem_free(text);
    struct id v;
    memcpy(v.b, digest, sizeof v.b);
    version_put(&v, 5);
    return v;
}

bool id_parse(str s, struct id *out) {
    bool dashed = s.len == ID_DASHED_LEN;
    if (!dashed && s.len != ID_HEX_LEN)
        return false;
    struct id v;
    const char *p = s.p;
    for (int i = 0; i < 16; i++) {
        if (dashed && (i == 4 || i == 6 || i == 8 || i == 10) && *p++ != '-')
            return false;
        int high = hex_digit(p[0]), low = hex_digit(p[1]);
        if (high < 0 || low < 0)
            return false;
        v.b[i] = (uint8_t)(high << 4 | low);
        p += 2;
    }
    *out = v;
    return true;
}

void id_write_hex(struct id v, char out[ID_HEX_LEN]) {
    hex_write(v.b, sizeof(v.b), out);
}

void id_write_dashed(struct id v, char out[ID_DASHED_LEN]) {
    hex_write(v.b, 4, out);
    for (int i = 4, at = 8; i < 10; i += 2, at += 5) {
        out[at] = '-';
        hex_write(v.b + i, 2, out + at + 1);
    }
    out[23] = '-';
    hex_write(v.b + 10, 6, out + 24);
}

str id_dashed(struct arena *a, struct id v) {
    char *p = arena_alloc(a, ID_DASHED_LEN + 1);
    id_write_dashed(v, p);
    p[ID_DASHED_LEN] = '\0';
    return str_n(p, ID_DASHED_LEN);
}

str id_hex(struct arena *a, struct id v) {
    char *p = arena_alloc(a, ID_HEX_LEN + 1);
    id_write_hex(v, p);
    p[ID_HEX_LEN] = '\0';
    return str_n(p, ID_HEX_LEN);
}
