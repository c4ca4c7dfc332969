/* SPDX-License-Identifier: Apache-2.0 */
/* functions.h - the scalar functions that the statements of sql/sqlite use.
 *
 *   hf_contains(json, part)      1 when part is contained in json, as Postgres' @>
 *   hf_filter(json, filter)      1 when the object meets it, see base/json_filter.h
 *   hf_in(text, csv)             1 when text is one of the list; '' matches everything
 *   hf_icontains(text, part)     1 when part occurs in text; ASCII letters match in either case
 *   hf_merge(json, json)         shallow merge of objects, the second wins; NULL counts as {}
 *   hf_labels_cut(text, n)       the first n labels of 'a.b.c'; n 0: all
 *   hf_labels_match(text, p, s)  1 when labels begin with p and end with s; '*' is any one label
 *   hf_returning(n)              n, which is also the answer of a statement that has no other
 *
 * hf_returning does in a SET clause what RETURNING does, for one number, and spares the temporary
 * table that SQLite makes for RETURNING and the journal of the statement that comes with it.
 *
 * All others are deterministic.
 *
 * Owner: the connection, which frees them when it closes. Suspends: never.
 * Tests: tests/unit/store/ */
#ifndef HF_DB_SQLITE_FUNCTIONS_H
#define HF_DB_SQLITE_FUNCTIONS_H

#include <sqlite3.h>

#include "base/err.h"

/* What hf_returning was given last. */
struct lite_returned {
    bool given;
    int64_t n;
};

/* SQLITE_OK or SQLite's code. `returned` lives as long as db. */
MUST_CHECK int db_sqlite_functions_register(sqlite3 *db, struct lite_returned *returned);

#endif
