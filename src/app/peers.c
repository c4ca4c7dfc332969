/* SPDX-License-Identifier: Apache-2.0 */
/* peers.c - hints straight to the other processes of the database, as datagrams.
 *
 * Behind a transaction pooler nobody hears a NOTIFY; where it is heard, it costs the server a
 * commit and takes as long. So a process may have a UDP socket, whose address stands in its row
 * among the workers. A datagram:
 *
 *    0  16   the receiver's secret, hex digits: who may read the workers' rows may send
 *   16   8   who sends it, hex digits, and ':'  ┐ the hint, as the engine writes it
 *   25   …   words                              ┘
 *
 * Nothing depends on a datagram: a hint only makes its receiver look at the database sooner. When
 * the others are heard, a process looks less often by itself, so it has to know whether it hears
 * them: each says hello to all at every heartbeat. */
#include "app/peers.h"

#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/mem.h"
#include "base/rand.h"
#include "rt/datagram.h"

#define SECRET_BYTES 8
#define SECRET_LEN   ((size_t)2 * SECRET_BYTES)
#define TAG_LEN      8
#define IP_MAX       64

struct peer {
    struct rt_address to;
    char secret[SECRET_LEN];
};

/* One that was heard. */
struct voice {
    char tag[TAG_LEN];
    int64_t until_us; /* monotonic */
};

struct peers {
    struct rt *rt;
    struct rt_datagram *socket;
    struct peers_handlers h;
    char secret[SECRET_LEN + 1], address[IP_MAX + SECRET_LEN + 16];
    struct peer list[PEERS_MAX];
    struct voice voices[PEERS_MAX];
    size_t count, voice_count, others;
    int64_t heard_us;
    struct rt_timer fade; /* the first voice is gone */
    bool complete;
};

/* --- who is heard ---------------------------------------------------------------------------- */

static void on_fade(struct rt_timer *t);

/* Forgets those that were not heard for long, and says so. */
static void judge(struct peers *p) {
    int64_t now_us = rt_mono_us(p->rt), next_us = INT64_MAX;
    for (size_t i = 0; i < p->voice_count;) {
        if (p->voices[i].until_us <= now_us) {
            p->voices[i] = p->voices[--p->voice_count];
            continue;
        }
        next_us = p->voices[i].until_us < next_us ? p->voices[i].until_us : next_us;
        i++;
    }
    if (next_us != INT64_MAX)
        rt_timer_start(p->rt, &p->fade, next_us - now_us, on_fade);
    bool complete = p->others > 0 && p->voice_count >= p->others;
    if (complete == p->complete)
        return;
    p->complete = complete;
    if (p->h.complete)
        p->h.complete(p->h.ctx, complete);
}

static void on_fade(struct rt_timer *t) { judge(CONTAINER_OF(t, struct peers, fade)); }

static void hear(struct peers *p, const char *tag) {
    int64_t until_us = rt_mono_us(p->rt) + p->heard_us;
    size_t i = 0;
    while (i < p->voice_count && memcmp(p->voices[i].tag, tag, TAG_LEN) != 0)
        i++;
    if (i == PEERS_MAX)
        return;
    memcpy(p->voices[i].tag, tag, TAG_LEN);
    p->voices[i].until_us = until_us;
    if (i < p->voice_count)
        return;
    p->voice_count++;
    judge(p);
}

static void on_got(void *ctx, str bytes) {
    struct peers *p = ctx;
    unsigned differs = 0;
    if (bytes.len < SECRET_LEN + TAG_LEN + 1 || !p->h.got)
        return;
    for (size_t i = 0; i < SECRET_LEN; i++)
        differs |= (unsigned)(bytes.p[i] ^ p->secret[i]);
    str hint = str_slice(bytes, SECRET_LEN, bytes.len);
    if (differs || hint.p[TAG_LEN] != ':')
        return;
    if (p->heard_us > 0)
        hear(p, hint.p);
    if (hint.len > TAG_LEN + 1) /* more than hello */
        p->h.got(p->h.ctx, hint);
}

/* --- whom to tell ---------------------------------------------------------------------------- */

/* "IP port secret" */
static bool read_peer(str address, struct peer *out) {
    char ip[IP_MAX];
    int64_t port = 0;
    ptrdiff_t blank = str_find_char(address, ' ');
    if (blank <= 0 || (size_t)blank >= sizeof(ip))
        return false;
    memcpy(ip, address.p, (size_t)blank);
    ip[blank] = '\0';
    str rest = str_slice(address, (size_t)blank + 1, address.len);
    blank = str_find_char(rest, ' ');
    if (blank <= 0 || rest.len - (size_t)blank - 1 != SECRET_LEN ||
        !str_to_i64(str_slice(rest, 0, (size_t)blank), &port) || port < 1 || port > 65535)
        return false;
    memcpy(out->secret, rest.p + blank + 1, SECRET_LEN);
    return rt_address_parse(ip, (int)port, &out->to, NULL) == 0;
}

static void tell(struct peers *p, str hint) {
    char bytes[RT_DATAGRAM_MAX];
    if (hint.len > sizeof(bytes) - SECRET_LEN)
        return;
    memcpy(bytes + SECRET_LEN, hint.p, hint.len);
    for (size_t i = 0; i < p->count; i++) {
        memcpy(bytes, p->list[i].secret, SECRET_LEN);
        rt_datagram_send(p->socket, &p->list[i].to, str_n(bytes, SECRET_LEN + hint.len));
    }
}

void peers_send(struct peers *p, str hint) { tell(p, hint); }

void peers_set(struct peers *p, const str *addresses, size_t count, size_t others, int64_t heard_us,
               str hello) {
    p->count = 0;
    for (size_t i = 0; i < count && p->count < PEERS_MAX; i++)
        p->count += read_peer(addresses[i], &p->list[p->count]);
    p->others = others;
    p->heard_us = heard_us;
    tell(p, hello);
    judge(p);
}

/* --- open, close ----------------------------------------------------------------------------- */

/* "1.2.3.4", "1.2.3.4:5", "::1", "[::1]:5" */
static int read_own(str address, char ip[IP_MAX], int64_t *out_port, struct err *err) {
    str host = address, port = STR("0");
    ptrdiff_t colon = str_find_char(address, ':'), end = str_find_char(address, ']');
    if (address.len && address.p[0] == '[' && end > 0) {
        host = str_slice(address, 1, (size_t)end);
        if ((size_t)end + 1 < address.len)
            port = address.p[end + 1] == ':' ? str_slice(address, (size_t)end + 2, address.len)
                                             : STR("?");
    } else if (colon >= 0 &&
               str_find_char(str_slice(address, (size_t)colon + 1, address.len), ':') < 0) {
        host = str_slice(address, 0, (size_t)colon);
        port = str_slice(address, (size_t)colon + 1, address.len);
    }
    if (host.len == 0 || host.len >= IP_MAX || !str_to_i64(port, out_port) || *out_port < 0 ||
        *out_port > 65535)
        return err_set(err, ERR_INVALID, "peer-address: an IP address, or one and a port");
    memcpy(ip, host.p, host.len);
    ip[host.len] = '\0';
    return 0;
}

int peers_open(struct rt *rt, str address, struct peers **out, struct err *err) {
    unsigned char random[SECRET_BYTES];
    char ip[IP_MAX];
    int64_t port = 0;
    int rc = read_own(address, ip, &port, err);
    if (rc < 0)
        return rc;
    struct peers *p = NEW(struct peers);
    p->rt = rt;
    rc = rt_datagram_open(rt, ip, (int)port, on_got, p, &p->socket, err);
    if (rc < 0) {
        err_context(err, "peer-address");
        mem_free(p);
        return rc;
    }
    rand_bytes(random, sizeof(random));
    hex_write(random, sizeof(random), p->secret);
    (void)snprintf(p->address, sizeof(p->address), "%s %d %.*s", ip, rt_datagram_port(p->socket),
                   (int)SECRET_LEN, p->secret);
    *out = p;
    return 0;
}

const char *peers_address(const struct peers *p) { return p->address; }

void peers_start(struct peers *p, const struct peers_handlers *h) { p->h = *h; }

void peers_close(struct peers *p) {
    if (!p)
        return;
    rt_timer_stop(p->rt, &p->fade);
    rt_datagram_close(p->socket);
    mem_free(p);
}
