/* SPDX-License-Identifier: Apache-2.0 */
/* hints.h - carries the engine's hints between the processes of one PostgreSQL database, by NOTIFY,
 * and straight to those that have an address.
 *
 * Owner: the loop thread. Memory: from open to the closed pool. Errors: none after opening; a hint
 * that is lost costs some waiting. Suspends: never. Tests: tests/integration/run-many */
#ifndef HF_APP_HINTS_H
#define HF_APP_HINTS_H

#include "app/peers.h"
#include "engine/engine.h"
#include "pg/pool.h"

struct hints;
/* peers: NULL, or the caller's, to be closed after the hints. */
MUST_CHECK int hints_open(struct pg_pool *pool, struct engine *engine, struct peers *peers,
                          struct hints **out, struct err *err);
void hints_close(struct hints *h); /* before the pool's and the engine's close; NULL is fine */

#endif
