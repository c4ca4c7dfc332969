/* SPDX-License-Identifier: Apache-2.0 */
/* migrate.h - the schema's versions in PostgreSQL: up, down, what is there.
 *
 * Owner: the driver at its opening, and `holdfast migrate`. Memory: results in the caller's arena.
 * Errors: ERR_CONFLICT (the database was migrated by another program: newer, or changed),
 * ERR_UNAVAILABLE (another runner holds the lease too long), the client's.
 * Suspends: all. Tests: tests/integration/run-migrate */
#ifndef HF_DB_POSTGRES_MIGRATE_H
#define HF_DB_POSTGRES_MIGRATE_H

#include "base/arena.h"
#include "db/catalogue.h"
#include "rt/fiber.h"

struct pg_pool;

struct db_postgres_version {
    const struct db_postgres_migration *migration;
    bool applied;
    int64_t applied_at; /* wall clock, us */
};

/* Brings the schema up to date: applies what is missing, rebuilds indexes that a build left
 * invalid. Costs two look-ups when there is nothing to do. checkpoint_schema: of LangGraph's
 * tables. */
MUST_CHECK MAY_SUSPEND int db_postgres_migrate(struct pg_pool *pool, const char *checkpoint_schema,
                                               struct err *err);
/* Takes the newest `count` versions back, newest first. */
MUST_CHECK MAY_SUSPEND int db_postgres_migrate_down(struct pg_pool *pool,
                                                    const char *checkpoint_schema, size_t count,
                                                    size_t *out_done, struct err *err);
/* All versions of this program, oldest first (db_postgres_migration_count of them). */
MUST_CHECK MAY_SUSPEND int db_postgres_versions(struct pg_pool *pool, struct arena *a,
                                                struct db_postgres_version **out, struct err *err);

/* `lg_checkpoints.` in a text becomes the quoted schema; the text itself when it does not occur. */
const char *db_postgres_with_schema(struct arena *a, const char *sql, const char *schema);

#endif
