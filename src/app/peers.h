/* SPDX-License-Identifier: Apache-2.0 */
/* peers.h - hints straight to the other processes of the database, as datagrams.
 *
 * Owner: src/app; they speak through hints.c. Memory: peers_address is the peers'.
 * Errors: as returned. Suspends: never.
 * Tests: tests/unit/app/test_peers.c, tests/integration/run-many */
#ifndef HF_APP_PEERS_H
#define HF_APP_PEERS_H

#include "base/str.h"
#include "rt/loop.h"

#define PEERS_MAX 64 /* that are told; others wait until they look */

struct peers;
struct peers_handlers {
    void (*got)(void *ctx, str hint);
    void (*complete)(void *ctx, bool all); /* is each of the others heard? At each change. */
    void *ctx;
};

/* address: "IP" or "IP:port" ("[IP]:port" with IPv6), where the others reach this host. */
MUST_CHECK int peers_open(struct rt *rt, str address, struct peers **out, struct err *err);
/* What the others have to know: "IP port secret". */
const char *peers_address(const struct peers *p);
void peers_start(struct peers *p, const struct peers_handlers *h);
/* The others that are alive, by their addresses; those without one count, too. Says hello to each:
 * whoever is not heard for heard_us is not heard any more. hello: a hint that says nothing but who
 * sends it. */
void peers_set(struct peers *p, const str *addresses, size_t count, size_t others, int64_t heard_us,
               str hello);
void peers_send(struct peers *p, str hint);
void peers_close(struct peers *p); /* NULL is fine */

#endif
