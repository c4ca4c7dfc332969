/* SPDX-License-Identifier: Apache-2.0 */
/* sql.h - a history in a database: SQLite or PostgreSQL, through the database port.
 *
 * Owner: the loop of the database. Memory: heap, freed by history_close(). Errors: as
 * history/port.h. Suspends: as history/port.h. Tests: tests/conformance/test_history.c */
#ifndef HF_HISTORY_SQL_SQL_H
#define HF_HISTORY_SQL_SQL_H

#include "db/port.h"
#include "history/port.h"

struct history_sql_options {
    bool shared;    /* other processes append, too: who waits looks for their events */
    bool closes_db; /* history_close() closes the database, which is then not on a fiber */
};
struct history *history_sql_open(struct db *db, const struct history_sql_options *o);

#endif
