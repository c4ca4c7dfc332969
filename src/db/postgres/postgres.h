/* SPDX-License-Identifier: Apache-2.0 */
/* postgres.h - opens the PostgreSQL driver of the database port.
 *
 * Writes are group-committed on one connection, reads are pipelined over few; when the connection
 * is lost, calls wait for a new one for a bounded time, and a commit whose outcome is unknown is
 * looked up, so that its answer is true.
 *
 * Owner: the loop thread. Errors of calls, besides the port's: ERR_UNAVAILABLE with retry_after_ms
 * when the database cannot be reached in time. Tests: tests/conformance/, tests/unit/db/ */
#ifndef HF_DB_POSTGRES_H
#define HF_DB_POSTGRES_H

#include "db/port.h"
#include "pg/pool.h"

#define DB_POSTGRES_VERSION_MIN 130000

struct db_postgres_options {
    /* The connections. acquire_timeout_us is also how long a read waits while the database is away;
     * waiting_max and session_setup are the driver's, whatever stands there. */
    struct pg_pool_options pool;
    const char *checkpoint_schema; /* of LangGraph's checkpoint tables */
    int64_t commit_wait_us;        /* a batch's wait, all told, while the database is away */
    size_t queue_count_max;        /* batches, and reads, that wait; then ERR_LIMIT */
    int processes;                 /* that share the server: for the check of max_connections */
    bool migrate;                  /* bring the schema up to date */
    bool log_all;                  /* log every statement, not only slow ones */
};
void db_postgres_options_default(struct db_postgres_options *o);
/* The most that all processes together open: their pools, and a listener for hints each. */
int64_t db_postgres_connections(const struct db_postgres_options *o);

/* Connects, checks the server's version, migrates, prepares every statement of the catalogue. On a
 * fiber. Errors name the host, never the password. */
MUST_CHECK MAY_SUSPEND int db_postgres_open(struct rt *rt, const struct db_postgres_options *o,
                                            struct db **out, struct err *err);
/* The driver's pool, for what is no statement: listening, migrations. NULL when db is another
 * driver's. */
struct pg_pool *db_postgres_pool(struct db *db);

#endif
