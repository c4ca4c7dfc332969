/* SPDX-License-Identifier: Apache-2.0 */
/* jobs.c - the table of background jobs.
 *
 * There are as many rows as jobs, a dozen or two, so the list is read whole. Requests for a pass
 * are numbers, not times: clocks of several hosts need not agree on which came first. */
#include "store/jobs.h"

static struct job_row from_row(const struct db_rows *r, size_t row) {
    return (struct job_row){
        .name = db_str(r, row, 0),
        .worker = db_id(r, row, 1),
        .due_at = db_int(r, row, 2),
        .started_at = db_int(r, row, 3),
        .finished_at = db_int(r, row, 4),
        .updated_at = db_int(r, row, 5),
        .passes = db_int(r, row, 6),
        .rows = db_int(r, row, 7),
        .rows_last = db_int(r, row, 8),
        .failures = db_int(r, row, 9),
        .failed_last = db_int(r, row, 10),
        .error = db_str(r, row, 11),
        .wanted = db_int(r, row, 12),
        .served = db_int(r, row, 13),
    };
}

int job_list(struct store *s, struct arena *a, struct job_row **out, size_t *out_count,
             struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_JOB_LIST, DB_PARAMS(DB_I(JOB_ROWS_MAX)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct job_row, rows.row_count + 1);
    *out_count = rows.row_count;
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = from_row(&rows, i);
    return 0;
}

int job_want(struct store *s, str name, int64_t now_us, struct arena *a, struct job_row *out,
             struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_JOB_WANT, DB_PARAMS(DB_T(name), DB_I(now_us)),
                 DB_EXPECT_CHANGE(ERR_INTERNAL));
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out = from_row(&b.ops[0].rows, 0);
    return rc;
}

void job_put_add(struct db_batch *b, const struct job_row *r) {
    db_batch_add(b, SQL_JOB_PUT,
                 DB_PARAMS(DB_T(r->name), db_uuid_or_null(r->worker), db_time_or_null(r->due_at),
                           db_time_or_null(r->started_at), db_time_or_null(r->finished_at),
                           DB_I(r->updated_at), DB_I(r->passes), DB_I(r->rows), DB_I(r->failures),
                           DB_I(r->rows_last), DB_I(r->failed_last), DB_T(r->error),
                           DB_I(r->served)),
                 DB_EXPECT_NONE);
}
