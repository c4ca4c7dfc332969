/* SPDX-License-Identifier: Apache-2.0 */
/* migrate.h - versions of the PostgreSQL schema: up, down, what is applied.
 *
 * Owner: the caller's pool. Memory: results in the arena given. Errors: ERR_UNSUPPORTED (the
 * database is newer than this program), ERR_CONFLICT (an applied migration differs from the one
 * built in, or another process took over), ERR_TIMEOUT (another process migrates, or a table is
 * locked for too long), and those of the statements, with the version's name.
 * Suspends: everything with an err. Tests: tests/integration/run-migrate */
#ifndef HF_DB_POSTGRES_MIGRATE_H
#define HF_DB_POSTGRES_MIGRATE_H

#include "db/catalogue.h"
#include "pg/pool.h"

/* Brings the schema up to date; at once when it is. checkpoint_schema: of LangGraph's tables. */
MUST_CHECK MAY_SUSPEND int db_postgres_migrate(struct pg_pool *p, const char *checkpoint_schema,
                                               struct err *err);

/* Takes the newest `count` versions back, newest first. Tables that other runtimes share stay, with
 * all their rows. */
MUST_CHECK MAY_SUSPEND int db_postgres_migrate_down(struct pg_pool *p,
                                                    const char *checkpoint_schema, size_t count,
                                                    size_t *out_done, struct err *err);

struct db_postgres_version {
    const struct db_postgres_migration *migration;
    bool applied;
    int64_t applied_at, ms; /* when, wall clock in us; how long it took */
};
/* All versions of this program, oldest first (db_postgres_migration_count of them). Fails when the
 * database has others. */
MUST_CHECK MAY_SUSPEND int db_postgres_versions(struct pg_pool *p, struct arena *a,
                                                struct db_postgres_version **out, struct err *err);

/* An index that a failed build has left behind. */
struct db_postgres_index {
    str name, written, create;
    bool ours; /* a migration makes it */
};
MUST_CHECK MAY_SUSPEND int db_postgres_invalid_read(struct pg_pool *p,
                                                    const char *checkpoint_schema,
                                                    struct arena *a,
                                                    struct db_postgres_index **out,
                                                    size_t *out_count, struct err *err);

/* `lg_checkpoints.` in a text becomes the quoted schema, `lg_checkpoints_schema` its name alone. */
const char *db_postgres_with_schema(struct arena *a, const char *sql, const char *schema);

#endif
