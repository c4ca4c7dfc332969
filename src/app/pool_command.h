/* SPDX-License-Identifier: Apache-2.0 */
/* pool_command.h - what commands that only ask or change a PostgreSQL database have in common: a
 * loop, a pool of few connections, one fiber.
 *
 * Memory: none stays. Errors: those of opening, of the first connection (within the time that the
 * configuration allows), and of fn. Suspends: never from outside; fn runs on a fiber.
 * Tests: tests/integration/run-doctor */
#ifndef HF_APP_POOL_COMMAND_H
#define HF_APP_POOL_COMMAND_H

#include "app/config.h"
#include "pg/pool.h"

struct pool_command {
    const char *name; /* for the server's list of sessions */
    size_t connections_max;
    MAY_SUSPEND int (*fn)(void *ctx, struct pg_pool *pool, struct err *err);
    void *ctx;
};
/* On the database of the configuration; returns what fn does, when the connections are closed. */
MUST_CHECK int pool_command_run(const struct config *c, const struct pool_command *command,
                                struct err *err);

#endif
