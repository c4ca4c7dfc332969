/* SPDX-License-Identifier: Apache-2.0 */
/* run_tasks.c - runs of one assistant, the last changed first.
 *
 * No index has this order: the runs of the owner's threads are gathered and sorted, so the threads
 * that are looked at have a bound (see the statements). */
#include "store/run_tasks.h"

#define FAR_US INT64_C(253402300799000000) /* the end of the year 9999 */

int run_task_list(struct store *s, const struct principal *who, const struct run_task_filter *f,
                  struct arena *a, struct run **out, size_t *out_count, int64_t *out_total,
                  struct err *err) {
    static const struct id last = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    bool one = !id_is_nil(f->thread_id), first = f->before_us == 0;
    const struct db_value params[] = {DB_T(who->owner),
                                      DB_UUID(f->assistant_id),
                                      DB_UUID(f->thread_id),
                                      DB_T(f->statuses),
                                      DB_T(!f->asks   ? STR("")
                                           : *f->asks ? STR("yes")
                                                      : STR("no")),
                                      DB_I(f->since_us),
                                      DB_I(first ? FAR_US : f->before_us),
                                      DB_UUID(first ? last : f->before),
                                      DB_I(f->limit)};
    struct db_rows rows;
    ASSERT(!who->all);
    int rc = db_read(s->db, one ? SQL_RUN_TASK_COUNT_ONE : SQL_RUN_TASK_COUNT_ANY, params, 6, a,
                     &rows, err);
    if (rc < 0)
        return rc;
    *out_total = db_int(&rows, 0, 0);
    rc = db_read(s->db, one ? SQL_RUN_TASKS_ONE : SQL_RUN_TASKS_ANY, params, 9, a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct run, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        run_from_row(&rows, i, 0, &(*out)[i]);
    *out_count = rows.row_count;
    return 0;
}
