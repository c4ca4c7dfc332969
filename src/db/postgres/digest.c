/* SPDX-License-Identifier: Apache-2.0 */
/* digest.c - the digest of a PostgreSQL database: the rows as SQLite would hold them.
 *
 * For each table of the SQLite schema a statement of sql/postgres/driver/digest.sql gives the same
 * columns in the same order: ids as 32 hex digits, times in microseconds, JSON as text (db/digest.c
 * makes it canonical). The sum itself is db/digest.c's. */
#include "db/digest.h"

#include "db/postgres/pgdb_int.h"

#define TABLE_BYTES_MAX ((size_t)1 << 30)
#define WAIT_US         10000000

static const struct {
    const char *name;
    enum db_postgres_own scan;
} tables[] = {
    {"accounts", PGDB_DIGEST_ACCOUNTS},
    {"agent_insights", PGDB_DIGEST_AGENT_INSIGHTS},
    {"agent_logs", PGDB_DIGEST_AGENT_LOGS},
    {"assistant_versions", PGDB_DIGEST_ASSISTANT_VERSIONS},
    {"assistants", PGDB_DIGEST_ASSISTANTS},
    {"blobs", PGDB_DIGEST_BLOBS},
    {"checkpoint_lists", PGDB_DIGEST_CHECKPOINT_LISTS},
    {"checkpoint_values", PGDB_DIGEST_CHECKPOINT_VALUES},
    {"checkpoint_writes", PGDB_DIGEST_CHECKPOINT_WRITES},
    {"checkpoints", PGDB_DIGEST_CHECKPOINTS},
    {"cron_firings", PGDB_DIGEST_CRON_FIRINGS},
    {"crons", PGDB_DIGEST_CRONS},
    {"events", PGDB_DIGEST_EVENTS},
    {"history_checkpoints", PGDB_DIGEST_HISTORY_CHECKPOINTS},
    {"history_consumers", PGDB_DIGEST_HISTORY_CONSUMERS},
    {"history_events", PGDB_DIGEST_HISTORY_EVENTS},
    {"history_retention", PGDB_DIGEST_HISTORY_RETENTION},
    {"history_sessions", PGDB_DIGEST_HISTORY_SESSIONS},
    {"inbox", PGDB_DIGEST_INBOX},
    {"inbox_sources", PGDB_DIGEST_INBOX_SOURCES},
    {"kv", PGDB_DIGEST_KV},
    {"leaders", PGDB_DIGEST_LEADERS},
    {"logins", PGDB_DIGEST_LOGINS},
    {"plan_artifacts", PGDB_DIGEST_PLAN_ARTIFACTS},
    {"plan_dead", PGDB_DIGEST_PLAN_DEAD},
    {"plan_gates", PGDB_DIGEST_PLAN_GATES},
    {"plan_steps", PGDB_DIGEST_PLAN_STEPS},
    {"plan_templates", PGDB_DIGEST_PLAN_TEMPLATES},
    {"plan_work", PGDB_DIGEST_PLAN_WORK},
    {"plans", PGDB_DIGEST_PLANS},
    {"preference_overrides", PGDB_DIGEST_PREFERENCE_OVERRIDES},
    {"preferences", PGDB_DIGEST_PREFERENCES},
    {"projects", PGDB_DIGEST_PROJECTS},
    {"push_configs", PGDB_DIGEST_PUSH_CONFIGS},
    {"runs", PGDB_DIGEST_RUNS},
    {"sessions", PGDB_DIGEST_SESSIONS},
    {"settings", PGDB_DIGEST_SETTINGS},
    {"store_items", PGDB_DIGEST_STORE_ITEMS},
    {"thread_conversations", PGDB_DIGEST_THREAD_CONVERSATIONS},
    {"threads", PGDB_DIGEST_THREADS},
    {"workers", PGDB_DIGEST_WORKERS},
};

static int add_table(struct pgdb *d, size_t at, struct db_digest_sum *sum, struct err *err) {
    struct arena a;
    struct db_rows rows;
    arena_init(&a, TABLE_BYTES_MAX);
    struct pg_call call = {.name = tables[at].name, .sql = db_postgres_own[tables[at].scan]};
    int code = pgdb_ask(d, &call, WAIT_US, &a, &rows, err);
    for (size_t row = 0; code == 0 && row < rows.row_count; row++) {
        db_digest_row(sum, tables[at].name);
        for (size_t col = 0; col < rows.col_count; col++)
            db_digest_cell(sum, db_cell(&rows, row, col));
        db_digest_row_end(sum);
    }
    arena_deinit(&a);
    return code;
}

int pgdb_digest(struct pgdb *d, char out[DB_DIGEST_LEN + 1], struct err *err) {
    struct db_digest_sum sum;
    char text[DB_DIGEST_LEN + 1];
    int code = 0;
    db_digest_begin(&sum);
    for (size_t i = 0; code == 0 && i < ARRAY_COUNT(tables); i++)
        code = add_table(d, i, &sum, err);
    db_digest_end(&sum, text);
    if (code == 0)
        memcpy(out, text, sizeof(text));
    return code;
}
