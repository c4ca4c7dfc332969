/* SPDX-License-Identifier: Apache-2.0 */
/* db_write.h - what the tool "db_write" may write, and what it is asked to.
 *
 *   {"targets": {"NAME": {"file": "/path.db" | "url_env": "VARIABLE", "owners": ["alice"],
 *     "tables": {"public.orders": {"operations": ["insert", "update"], "rows_max": 100,
 *       "columns": {"id": "integer", "state": "text"}, "key": ["id"],
 *       "approval": ["delete"] | true, "without_where": false}}}}}
 *
 * A step names one target, table and operation of these, and values by column. Statements are made
 * of the identifiers of this configuration, quoted, and of nothing that a step brings: all of its
 * values are bound, with the type that the column has here.
 * Memory: the arena given. Errors: ERR_INVALID. Suspends: never.
 * Tests: tests/integration/run-plan-dbwrite, tests/fuzz/fuzz_db_write.c */
#ifndef HF_PLANS_DB_WRITE_H
#define HF_PLANS_DB_WRITE_H

#include "base/json.h"
#include "db/foreign.h"

#define DB_WRITE_ROWS_MAX 10000 /* of one step, whatever the configuration says */

enum db_write_op { DB_WRITE_INSERT, DB_WRITE_UPDATE, DB_WRITE_DELETE, DB_WRITE_UPSERT };
enum db_write_type {
    DB_WRITE_TEXT,
    DB_WRITE_INTEGER,
    DB_WRITE_NUMBER,
    DB_WRITE_BOOLEAN,
    DB_WRITE_JSON,
    DB_WRITE_TIMESTAMP,
    DB_WRITE_UUID
};
struct db_write_column {
    str name;
    enum db_write_type type;
    bool key; /* an upsert finds the row by it */
};
struct db_write_table {
    str schema, name; /* schema absent: as the connection finds it */
    unsigned ops, approval; /* sets of 1 << op */
    const struct db_write_column *columns;
    size_t column_count, key_count;
    int64_t rows_max;
    bool without_where;
};
struct db_write_target {
    str name;
    const char *file; /* of SQLite; NULL: it is PostgreSQL */
    const char *url;
    yyjson_val *owners; /* NULL: everybody's */
    struct db_write_table *tables;
    size_t table_count;
    struct db_foreign *db; /* opened by whoever has parsed it */
};
struct db_writes {
    struct db_write_target *targets;
    size_t target_count;
};
/* env: the value of a variable of the server's environment. */
typedef bool (*db_write_env_fn)(struct arena *a, str name, str *out);
MUST_CHECK int db_writes_parse(struct arena *a, str text, db_write_env_fn env,
                               struct db_writes *out, struct err *err);

/* --- what a step asks for --- */
struct db_write {
    struct db_write_target *target;
    const struct db_write_table *table;
    enum db_write_op op;
    bool needs_approval;
    struct db_foreign_write job; /* but for its key and time */
};
/* owner: whose step it is. input: the step's inputs. w NULL: there are no targets. */
MUST_CHECK int db_write_read(const struct db_writes *w, struct arena *a, str owner,
                             yyjson_val *input, struct db_write *out, struct err *err);

void db_writes_close(struct db_writes *w);

#endif
