/* SPDX-License-Identifier: Apache-2.0 */
/* map.c - hash map from byte strings to pointers.
 *
 * Design: open addressing with linear probing over 32-byte slots, two to a cache line. A slot keeps
 * the low 32 bits of the key's hash as its tag; tag 0 marks a free slot, so a 0 counts as 1.
 * The home of an entry is tag & (cap - 1). At three quarters the table doubles; it never shrinks,
 * because maps live as long as the process or a connection. Removal shifts later entries of the run
 * back instead of leaving tombstones, so the lookup cost depends on the present content only.
 *
 * Keys may come from clients: SipHash-1-3 under a key drawn once per process keeps them from
 * choosing keys that collide. */
#include "base/map.h"

#include <pthread.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/rand.h"

#define MAP_MIN 16

struct map_slot {
    str key;
    void *value;
    uint32_t tag;
};
STATIC_ASSERT(sizeof(struct map_slot) == 32 || sizeof(void *) != 8, "two slots to a cache line");

/* Process-wide and written once, before the first table exists. */
static uint64_t sip_key[2];
static pthread_once_t sip_once = PTHREAD_ONCE_INIT;

static void sip_key_draw(void) {
    rand_bytes(sip_key, sizeof sip_key);
}

static inline uint64_t rotl(uint64_t x, int n) {
    return (x << n) | (x >> (64 - n));
}

static inline uint64_t le64(const char *p) {
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] = rotl(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] = rotl(v[2], 32);
}

uint64_t map_siphash13(const uint64_t key[2], str s) {
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                     key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u};
    size_t i = 0;
    for (; i + 8 <= s.len; i += 8) {
        uint64_t m = le64(s.p + i);
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    uint64_t last = (uint64_t)s.len << 56;
    for (size_t k = 0; i + k < s.len; k++)
        last |= (uint64_t)(unsigned char)s.p[i + k] << (8 * k);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static uint32_t tag_of(str key) {
    uint32_t tag = (uint32_t)map_siphash13(sip_key, key);
    return tag ? tag : 1;
}

/* The slot of key, or the free slot where its run ends. The table is never full. */
static struct map_slot *slot_find(const struct map *m, str key, uint32_t tag) {
    size_t mask = m->cap - 1;
    for (size_t i = tag & mask;; i = (i + 1) & mask) {
        struct map_slot *s = &m->slots[i];
        if (s->tag == 0 || (s->tag == tag && str_eq(s->key, key)))
            return s;
    }
}

static void map_grow(struct map *m) {
    (void)pthread_once(&sip_once, sip_key_draw);
    struct map old = *m;
    m->cap = old.cap ? old.cap * 2 : MAP_MIN;
    m->slots = mem_calloc(m->cap, sizeof *m->slots);
    size_t mask = m->cap - 1;
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].tag == 0)
            continue;
        size_t to = old.slots[i].tag & mask;
        while (m->slots[to].tag)
            to = (to + 1) & mask;
        m->slots[to] = old.slots[i];
    }
    mem_free(old.slots);
}

void map_init(struct map *m) {
    *m = (struct map){0};
}

void map_deinit(struct map *m) {
    mem_free(m->slots);
    *m = (struct map){0};
}

void *map_get(const struct map *m, str key) {
    if (m->count == 0)
        return NULL;
    return slot_find(m, key, tag_of(key))->value; /* a free slot has value NULL */
}

void *map_put(struct map *m, str key, void *value) {
    if (m->count + 1 > m->cap / 4 * 3)
        map_grow(m);
    uint32_t tag = tag_of(key);
    struct map_slot *s = slot_find(m, key, tag);
    void *replaced = s->value;
    if (s->tag == 0)
        m->count++;
    *s = (struct map_slot){key, value, tag};
    return replaced;
}

void *map_remove(struct map *m, str key) {
    if (m->count == 0)
        return NULL;
    struct map_slot *s = slot_find(m, key, tag_of(key));
    if (s->tag == 0)
        return NULL;
    void *removed = s->value;
    size_t mask = m->cap - 1, hole = (size_t)(s - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].tag; i = (i + 1) & mask) {
        /* An entry may fill the hole unless its home lies between hole and itself. */
        size_t home = m->slots[i].tag & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){0};
    m->count--;
    return removed;
}

bool map_next(const struct map *m, size_t *at, str *out_key, void **out_value) {
    while (*at < m->cap) {
        const struct map_slot *s = &m->slots[(*at)++];
        if (s->tag == 0)
            continue;
        if (out_key)
            *out_key = s->key;
        if (out_value)
            *out_value = s->value;
        return true;
    }
    return false;
}
