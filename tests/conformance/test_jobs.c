/* SPDX-License-Identifier: Apache-2.0 */
/* test_jobs.c - rows of background jobs over every database.
 *
 * Goal: counts are added, whoever writes; what is wanted and what was served are numbers that only
 * grow; a row of a pass under way keeps the end of the one before. Method: one history on each
 * driver. */
#include "fixture.h"

#include "store/jobs.h"

static int put(struct fixture *f, const struct job_row *row) {
    struct db_batch b;
    db_batch_init(&b, &f->arena);
    job_put_add(&b, row);
    return db_commit(f->db, &b, NULL);
}

static void rows(struct fixture *f) {
    struct store s = {.db = f->db};
    struct arena *a = &f->arena;
    struct err err = {0};
    struct job_row *list, row;
    size_t count;
    struct id one = id_v7(), two = id_v7();
    CHECK_CODE(job_list(&s, a, &list, &count, &err), 0);
    CHECK_INT(count, 0);
    CHECK_CODE(job_want(&s, STR("b.x"), 100, a, &row, &err), 0);
    CHECK(str_eq(row.name, STR("b.x")) && id_is_nil(row.worker) && !row.error.p);
    CHECK(row.wanted == 1 && row.served == 0 && row.started_at == 0 && row.finished_at == 0);
    CHECK_CODE(job_want(&s, STR("b.x"), 200, a, &row, &err), 0);
    CHECK_INT(row.wanted, 2);
    struct job_row pass = {.name = STR("b.x"),
                           .worker = one,
                           .due_at = 900,
                           .started_at = 300,
                           .finished_at = 400,
                           .updated_at = 400,
                           .passes = 1,
                           .rows = 7,
                           .rows_last = 7,
                           .served = 1};
    CHECK_CODE(put(f, &pass), 0);
    struct job_row other = {.name = STR("b.x"),
                            .worker = two,
                            .due_at = 600,
                            .started_at = 500,
                            .updated_at = 550,
                            .rows = 3,
                            .rows_last = 3,
                            .failures = 2,
                            .failed_last = 2,
                            .error = STR("why \"not\"?"),
                            .served = 0};
    CHECK_CODE(put(f, &other), 0);
    CHECK_CODE(put(f, &(struct job_row){.name = STR("a"), .updated_at = 1}), 0);
    CHECK_CODE(job_list(&s, a, &list, &count, &err), 0);
    CHECK_INT(count, 2);
    CHECK(str_eq(list[0].name, STR("a")) && list[0].wanted == 0);
    row = list[1];
    CHECK(id_eq(row.worker, two) && row.due_at == 600 && row.started_at == 500);
    CHECK_THAT(row.finished_at == 400, "%s", "the end of the pass before");
    CHECK(row.passes == 1 && row.rows == 10 && row.rows_last == 3);
    CHECK(row.failures == 2 && row.failed_last == 2 && str_eq(row.error, STR("why \"not\"?")));
    CHECK_THAT(row.wanted == 2 && row.served == 1, "%s", "nobody takes back what was served");
    pass.served = 2;
    CHECK_CODE(put(f, &pass), 0);
    CHECK_CODE(job_list(&s, a, &list, &count, &err), 0);
    row = list[1];
    CHECK(row.passes == 2 && row.rows == 17 && row.failures == 2 && row.failed_last == 0);
    CHECK(!row.error.p && row.wanted == 2 && row.served == 2);
}

int main(void) { return fixture_main("jobs", rows); }
