/* SPDX-License-Identifier: Apache-2.0 */
/* test_jobs.c - background jobs on a database in memory.
 *
 * Goal: a pass goes on until nothing waits, a slice at a time, and its row tells how far; what
 * fails is tried again and shown; only who leads does it, from one slice to the next; what is
 * wanted is done once, behind what is under way; a stop waits for the slice alone; who else uses
 * the database comes first. Method: jobs with intervals of an hour, so that nothing happens but
 * what is asked for; a heap of rows that slices take from. */
#include "jobs/jobs.h"

#include "../store/fixture.h"
#include "base/mem.h"

#define HOUR_US INT64_C(3600000000)

/* What a job works off. */
struct heap {
    struct fixture *f;
    int64_t left, rows_max_seen;
    int slices, firsts, inside, inside_max;
    int fail;  /* so many slices fail */
    bool hold; /* a slice waits while it is set */
    struct heap *beside;
};
static struct heap one, two;
static bool leads;

static bool does_lead(void *ctx) {
    (void)ctx;
    return leads;
}
static struct id worker(void *ctx) {
    (void)ctx;
    return ID_NAMESPACE_GRAPH;
}
static const struct jobs_port PORT = {.leads = does_lead, .worker = worker};

static int take(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    struct heap *h = ctx;
    (void)a;
    h->inside++;
    h->slices++;
    h->firsts += s->first;
    if (s->rows_max > h->rows_max_seen)
        h->rows_max_seen = s->rows_max;
    do
        (void)fiber_sleep_us(1000);
    while (h->hold && !fiber_cancelled());
    int together = one.inside + two.inside;
    h->inside_max = together > h->inside_max ? together : h->inside_max;
    h->inside--;
    if (h->fail > 0) {
        h->fail--;
        return err_set(err, ERR_UNAVAILABLE, "the heap is away");
    }
    s->rows = h->left < s->rows_max ? h->left : s->rows_max;
    h->left -= s->rows;
    s->more = h->left > 0;
    return 0;
}

static struct jobs *begin(struct fixture *f, struct job_spec first) {
    one = two = (struct heap){.f = f};
    leads = true;
    struct jobs *j = jobs_new(f->rt, &f->store, &PORT);
    struct job_spec second = {JOB_NAME("two"), .what = "b",   .every_us = HOUR_US,
                              .rows_max = 10,  .slice = take, .ctx = &two};
    first.what = "a";
    first.every_us = HOUR_US;
    first.rows_max = 10;
    first.slice = take;
    first.ctx = &one;
    jobs_add(j, &second);
    jobs_add(j, &first);
    return j;
}
static struct jobs *begin_plain(struct fixture *f) {
    return begin(f, (struct job_spec){JOB_NAME("one")});
}

static int64_t want(struct fixture *f, struct jobs *j, const char *name) {
    struct job_view v;
    int rc = jobs_want(j, str_of(name), &f->arena, &v, &f->err);
    return rc < 0 ? rc : v.row.wanted;
}

static struct job_row row_of(struct fixture *f, struct jobs *j, const char *name) {
    struct job_view *list;
    size_t count;
    if (jobs_list(j, &f->arena, &list, &count, &f->err) == 0)
        for (size_t i = 0; i < count; i++)
            if (str_eq(list[i].row.name, str_of(name)))
                return list[i].row;
    return (struct job_row){.passes = -1};
}

/* Waits for the state; the bound of the test program ends what never comes. */
#define AWAIT(cond)                                                                                \
    while (!(cond))                                                                                \
    CHECK_INT(fiber_sleep_us(1000), 0)

static void end(struct jobs *j) {
    jobs_stop(j);
    jobs_free(j);
}

static void passes(struct fixture *f) {
    struct jobs *j = begin_plain(f);
    one.left = 35;
    CHECK_INT(jobs_start(j, &f->err), 0);
    CHECK_INT(want(f, j, "one"), 1);
    CHECK_INT(want(f, j, "none"), ERR_NOT_FOUND);
    AWAIT(row_of(f, j, "one").passes == 1);
    struct job_row row = row_of(f, j, "one");
    CHECK(row.rows == 35 && row.rows_last == 35 && row.failures == 0 && !row.error.p);
    CHECK(row.started_at > 0 && row.finished_at >= row.started_at);
    CHECK(row.due_at > row.finished_at + HOUR_US / 2 && row.wanted == 1 && row.served == 1);
    CHECK(id_eq(row.worker, ID_NAMESPACE_GRAPH));
    CHECK(one.slices >= 4 && one.firsts == 1 && one.rows_max_seen == 10);
    one.left = 4;
    CHECK_INT(want(f, j, "one"), 2);
    AWAIT(row_of(f, j, "one").passes == 2);
    row = row_of(f, j, "one");
    CHECK(row.rows == 39 && row.rows_last == 4 && one.firsts == 2);
    end(j);
}

static void failures(struct fixture *f) {
    struct jobs *j = begin_plain(f);
    one.left = 15;
    one.fail = 2;
    CHECK_INT(jobs_start(j, &f->err), 0);
    CHECK_INT(want(f, j, "one"), 1);
    AWAIT(row_of(f, j, "one").failures == 1);
    struct job_row row = row_of(f, j, "one");
    CHECK(row.passes == 0 && row.failed_last == 1 && row.served == 1);
    CHECK_STR(row.error, STR("the heap is away"));
    CHECK(row.due_at > row.finished_at && row.due_at < row.finished_at + HOUR_US / 2);
    AWAIT(row_of(f, j, "one").passes == 1); /* it is tried again by itself */
    row = row_of(f, j, "one");
    CHECK(row.failures == 2 && row.failed_last == 0 && !row.error.p && row.rows == 15);
    end(j);
}

static void leading(struct fixture *f) {
    struct jobs *j = begin_plain(f);
    leads = false;
    one.left = 30;
    CHECK_INT(jobs_start(j, &f->err), 0);
    CHECK_INT(want(f, j, "one"), 1);
    for (int i = 0; i < 20; i++)
        CHECK_INT(fiber_sleep_us(1000), 0);
    CHECK_INT(one.slices, 0);
    one.hold = leads = true;
    jobs_wake(j);
    AWAIT(one.inside == 1);
    leads = one.hold = false; /* another one leads before the slice is over */
    for (int i = 0; i < 20; i++)
        CHECK_INT(fiber_sleep_us(1000), 0);
    CHECK(one.slices == 1 && one.left == 20 && row_of(f, j, "one").passes == 0);
    leads = true;
    jobs_wake(j);
    CHECK_INT(want(f, j, "one"), 2);
    AWAIT(row_of(f, j, "one").passes == 1);
    struct job_row row = row_of(f, j, "one");
    CHECK(row.rows == 30 && row.rows_last == 20 && one.left == 0);
    end(j);
}

static void wanted(struct fixture *f) {
    struct jobs *j = begin_plain(f);
    one.hold = true;
    CHECK_INT(jobs_start(j, &f->err), 0);
    CHECK_INT(want(f, j, "one"), 1);
    AWAIT(one.inside == 1);
    CHECK_INT(want(f, j, "one"), 2); /* of these two the next pass is for both */
    CHECK_INT(want(f, j, "one"), 3);
    one.hold = false;
    AWAIT(row_of(f, j, "one").served == 3);
    CHECK_INT(row_of(f, j, "one").passes, 2);
    CHECK_INT(one.firsts, 2);
    end(j);
}

static void turns(struct fixture *f) {
    struct jobs *j = begin_plain(f);
    one.left = two.left = 50;
    CHECK_INT(jobs_start(j, &f->err), 0);
    CHECK_INT(want(f, j, "one"), 1);
    CHECK_INT(want(f, j, "two"), 1);
    AWAIT(row_of(f, j, "one").passes == 1 && row_of(f, j, "two").passes == 1);
    CHECK(one.inside_max == 1 && two.inside_max == 1);
    end(j);
    j = begin(f, (struct job_spec){JOB_NAME("one"), .elsewhere = true});
    one.hold = true;
    two.left = 50;
    CHECK_INT(jobs_start(j, &f->err), 0);
    CHECK(want(f, j, "one") == 2 && want(f, j, "two") == 2);
    AWAIT(row_of(f, j, "two").passes == 2); /* the one that waits holds up nobody */
    CHECK_INT(one.inside, 1);
    end(j);
    CHECK_INT(one.inside, 0);
}

/* Who uses the database meets few slices; once nobody does, the rest goes soon. */
static void giving_way(struct fixture *f) {
    struct jobs *j = begin_plain(f);
    int others = 0, nobody = 0;
    CHECK_INT(jobs_start(j, &f->err), 0);
    one.left = 60;
    CHECK_INT(want(f, j, "one"), 1);
    for (; row_of(f, j, "one").passes == 0; others++)
        CHECK_INT(fiber_sleep_us(1000), 0);
    one.left = 60;
    CHECK_INT(want(f, j, "one"), 2);
    AWAIT(one.left <= 60 - 2 * 8); /* until then it gives way to what was asked before */
    for (; one.left > 0; nobody++)
        CHECK_INT(fiber_sleep_us(1000), 0);
    CHECK(others > 2 * nobody);
    end(j);
}

static void local(struct fixture *f) {
    struct jobs *j = begin(f, (struct job_spec){JOB_NAME("one"), .local = true});
    struct job_row *rows;
    size_t count;
    leads = false;
    one.left = 25;
    CHECK_INT(jobs_start(j, &f->err), 0);
    CHECK_INT(want(f, j, "one"), 1);
    AWAIT(row_of(f, j, "one").passes == 1);
    CHECK_INT(row_of(f, j, "one").rows, 25);
    CHECK_INT(job_list(&f->store, &f->arena, &rows, &count, &f->err), 0);
    CHECK_INT(count, 0);
    end(j);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        store_test(name);                                                                          \
    }
TEST(passes)
TEST(failures)
TEST(leading)
TEST(wanted)
TEST(turns)
TEST(local)
TEST(giving_way)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes),     cmocka_unit_test(test_failures),
        cmocka_unit_test(test_leading),    cmocka_unit_test(test_wanted),
        cmocka_unit_test(test_turns),      cmocka_unit_test(test_local),
        cmocka_unit_test(test_giving_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
