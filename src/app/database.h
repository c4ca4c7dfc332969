/* SPDX-License-Identifier: Apache-2.0 */
/* database.h - which database, with which pool: from the configuration to an open port.
 *
 * Owner: src/app. Memory: database_options' strings are the configuration's; an open database is
 * the caller's to close. Errors: as the drivers say. Suspends: database_open, with a DATABASE_URL.
 * Tests: tests/unit/app/test_database.c */
#ifndef HF_APP_DATABASE_H
#define HF_APP_DATABASE_H

#include "app/config.h"
#include "db/postgres/postgres.h"

/* What the configuration asks for, over defaults; of the pool the profile's numbers, each replaced
 * by the option that is set. Returns the profile's name. */
const char *database_options(const struct config *c, struct db_postgres_options *o);

/* Is PostgreSQL configured? Then database_open needs a fiber; without, it blocks. */
bool database_is_remote(const struct config *c);
MUST_CHECK int database_open(struct rt *rt, const struct config *c, struct db **out,
                             struct err *err);

#endif
