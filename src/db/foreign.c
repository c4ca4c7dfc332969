/* SPDX-License-Identifier: Apache-2.0 */
/* foreign.c - what all drivers say about the number of rows of a write.
 *
 * Asked before the write with what it would meet, after each part of it, and at its end: more rows
 * than the most are refused at any time, others than were expected only then. */
#include "db/foreign.h"

int db_foreign_judge(const struct db_foreign_write *w, int64_t rows, bool over, struct err *err) {
    if (rows > w->rows_max)
        return err_set(err, ERR_INVALID, STR_FMT ": more than %lld rows would change",
                       STR_ARG(w->table), (long long)w->rows_max);
    if (over && w->expect_rows >= 0 && rows != w->expect_rows)
        return err_set(err, ERR_INVALID, STR_FMT ": %lld rows would change instead of %lld",
                       STR_ARG(w->table), (long long)rows, (long long)w->expect_rows);
    return 0;
}
