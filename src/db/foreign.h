/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.h - one transaction on a database that is not the server's, once for a key.
 *
 * The statements are the caller's; what belongs to the driver is the transaction around them, the
 * table of keys beside the written one, and that it is an ordinary table which is not the server's
 * own. Rows are counted, and too many of them, or others than were expected, change nothing.
 * Owner: whoever opened it. Memory: as given by the caller until write returns.
 * Errors: ERR_INVALID: refused, it will be the next time, too; others may pass. Nothing is written
 * then, but after ERR_UNAVAILABLE and ERR_IO it may be: the key tells the next time.
 * Suspends: write. Tests: tests/integration/run-plan-dbwrite */
#ifndef HF_DB_FOREIGN_H
#define HF_DB_FOREIGN_H

#include "base/arena.h"
#include "rt/fiber.h"

#define DB_FOREIGN_LEDGER "holdfast_db_writes" /* the table of keys, in the other database */

struct db_foreign_value {
    enum { DB_FOREIGN_NULL, DB_FOREIGN_INT, DB_FOREIGN_REAL, DB_FOREIGN_STR } kind;
    int64_t i;
    double d;
    str s; /* as text, whatever the kind */
};
struct db_foreign_stmt {
    const char *sql; /* places: ?1 … for SQLite, $1 … for PostgreSQL */
    const struct db_foreign_value *params;
    size_t param_count;
};
struct db_foreign_write {
    str key;
    str table;     /* its name */
    str table_sql; /* as it stands in statements */
    int64_t timeout_us;
    int64_t rows_max, expect_rows; /* expect_rows -1: any number up to the maximum */
    struct db_foreign_stmt count;  /* rows that would be met, up to one too many; sql NULL: none */
    const struct db_foreign_stmt *stmts;
    size_t stmt_count;
};
struct db_foreign_done {
    int64_t rows;
    bool repeated; /* it was done before */
};
struct db_foreign {
    int (*write)(struct db_foreign *d, const struct db_foreign_write *w, struct arena *a,
                 struct db_foreign_done *out, struct err *err); /* MAY_SUSPEND */
    void (*close)(struct db_foreign *d); /* off a fiber it runs the loop until all is closed */
};

/* For drivers. over: these are all. */
MUST_CHECK int db_foreign_judge(const struct db_foreign_write *w, int64_t rows, bool over,
                                struct err *err);

#endif
