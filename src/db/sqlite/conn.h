/* SPDX-License-Identifier: Apache-2.0 */
/* conn.h - one SQLite connection: statements by number, values in, rows out.
 *
 * Owner: one thread at a time. Memory: rows go to the arena of the call; parameters are bound by
 * reference. Errors: as db/port.h. Suspends: never; blocks. Tests: tests/unit/db/, conformance. */
#ifndef HF_DB_SQLITE_CONN_H
#define HF_DB_SQLITE_CONN_H

#include <sqlite3.h>

#include "base/vec.h"
#include "db/port.h"
#include "db/sqlite/functions.h"

#define LITE_BUSY_TIMEOUT_MS 5000

struct lite_conn_options {
    const char *path; /* NULL: in memory */
    bool read_only;
    bool synchronous_normal;
    bool log_all;
    bool erases;
    bool never_wait; /* no busy handler */
    const char *vfs; /* NULL: as the other options want */
    int64_t cache_bytes, mmap_bytes, page_bytes; /* page_bytes 0: SQLite's own choice */
};

struct lite_conn {
    sqlite3 *db;
    sqlite3_stmt *stmts[SQL_COUNT];   /* prepared when first used */
    sqlite3_stmt *own[LITE_COUNT];
    VEC(struct db_value) cells;       /* of the result under way */
    struct lite_returned returned;    /* by the statement under way */
    char ids[DB_PARAMS_MAX][ID_HEX_LEN];
    bool log_all;
};

struct lite_call {
    enum db_stmt stmt;
    const struct db_value *params;
    size_t param_count;
    struct arena *arena;
    /* 0: no bound of its own; beyond them ERR_LIMIT */
    size_t row_count_max, copy_bytes_max;
};

/* Once per process, before the first connection. */
MUST_CHECK int lite_library_init(struct err *err);
MUST_CHECK int lite_conn_open(struct lite_conn *c, const struct lite_conn_options *o,
                              struct err *err);
void lite_conn_close(struct lite_conn *c);
/* Prepares every statement of the catalogue once and compares it with what is known of it. */
MUST_CHECK int lite_conn_check(struct lite_conn *c, struct err *err);
/* What the first run would do. */
MUST_CHECK int lite_conn_prepare(struct lite_conn *c, enum db_stmt stmt, struct err *err);
MUST_CHECK int lite_conn_run(struct lite_conn *c, const struct lite_call *call,
                             struct db_rows *out_rows, int64_t *out_changed, struct err *err);
/* One of the driver's own statements without parameters; its rows are dropped. */
MUST_CHECK int lite_conn_own(struct lite_conn *c, enum db_sqlite_own own, struct err *err);
/* The same with a number written in place of its parameter, once; gives the first cell back. */
MUST_CHECK int lite_conn_pragma(struct lite_conn *c, enum db_sqlite_own own, int64_t value,
                                int64_t *out, struct err *err);
/* Ends the open transaction, if there is one. */
void lite_conn_roll_back(struct lite_conn *c);

/* What the connection's last failure means; `what` goes before SQLite's text. */
int lite_error(sqlite3 *db, const char *what, struct err *err);
int lite_error_code(int extended);

/* value.c */
MUST_CHECK int lite_bind(sqlite3_stmt *s, const struct lite_call *call,
                         char ids[DB_PARAMS_MAX][ID_HEX_LEN]);
/* Copies the current row's cells; ERR_TOO_LARGE when the arena is full. */
MUST_CHECK int lite_copy_row(sqlite3_stmt *s, struct arena *a, struct db_value *cells,
                             size_t col_count);

#endif
