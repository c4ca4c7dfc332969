/* SPDX-License-Identifier: Apache-2.0 */
/* datagram.h - a UDP socket: small texts between processes that may get lost.
 *
 * Owner: who opens it. Memory: bytes are valid during got(). Errors: as returned.
 * Suspends: never; loop thread only. got() never runs inside of a call to this file.
 * Tests: tests/unit/rt/test_datagram.c */
#ifndef HF_RT_DATAGRAM_H
#define HF_RT_DATAGRAM_H

#include "base/str.h"
#include "rt/loop.h"

#define RT_DATAGRAM_MAX 8192 /* bytes; longer ones are not taken, and come cut */

/* Where to: an address of IPv4 or IPv6, not a name, and a port. */
struct rt_address {
    union {
        uint64_t align;
        unsigned char bytes[32];
    };
};
MUST_CHECK int rt_address_parse(const char *ip, int port, struct rt_address *out, struct err *err);

struct rt_datagram;
/* port 0: a free one. */
MUST_CHECK int rt_datagram_open(struct rt *rt, const char *ip, int port,
                                void (*got)(void *ctx, str bytes), void *ctx,
                                struct rt_datagram **out, struct err *err);
int rt_datagram_port(const struct rt_datagram *d);
/* At once or never: what the kernel has no room for is lost. */
void rt_datagram_send(struct rt_datagram *d, const struct rt_address *to, str bytes);
/* No callback comes from now on; the memory goes at the end of the turn. NULL is fine. */
void rt_datagram_close(struct rt_datagram *d);

#endif
