/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: while the server crashes and comes back, what the client says about a unit is true: what
 * it calls committed is there, whole; what it calls rolled back or not sent is not, and nothing is
 * there twice. Method: many writers on both lanes while tests/support/with_postgres restarts the
 * server; afterwards the table is compared with what each was told. */
#include "fixture.h"

#define WRITERS      60
#define RESTARTS_MIN 4
#define UNITS_MAX    400000

struct record {
    int rc;
    enum pg_outcome outcome;
};

struct bench {
    struct fixture *f;
    struct record *records; /* by number of the unit */
    int next, restarts;
    int64_t started_at; /* of the server, as it says */
    int count[4];       /* by outcome */
};

struct writer {
    struct bench *b;
    enum pg_lane lane;
};

static int on_started(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct writer *writer = w->ctx;
    (void)err;
    if (index == 1) {
        int64_t at = pg_cell_int(r, 0, 0);
        writer->b->restarts += at != writer->b->started_at && writer->b->started_at != 0;
        writer->b->started_at = at;
    }
    return 0;
}

static void write_rows(void *arg) {
    struct writer *w = arg;
    struct bench *b = w->b;
    while (b->restarts < RESTARTS_MIN && b->next < UNITS_MAX) {
        int n = b->next++;
        struct pg_param p = pg_int4(n);
        struct pg_call calls[] = {{"a", "INSERT INTO r VALUES ($1, 0)", &p, 1},
                                  {"s", "SELECT pg_postmaster_start_time()", NULL, 0},
                                  {"b", "INSERT INTO r VALUES ($1, 1)", &p, 1}};
        struct pg_work u = {
            .lane = w->lane, .calls = calls, .call_count = 3, .result = on_started, .ctx = w};
        struct err err = {0};
        b->records[n].rc = pg_pool_run(b->f->pool, &u, &err);
        b->records[n].outcome = u.outcome;
        b->count[u.outcome]++;
        if (u.code != 0 && u.code != ERR_UNAVAILABLE)
            print_error("%d %s %s\n", u.code, u.sqlstate, err.message);
        assert_true(u.code == 0 || u.code == ERR_UNAVAILABLE);
        assert_int_equal(u.code == 0, u.outcome == PG_COMMITTED);
    }
}

static int compare(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct bench *b = w->ctx;
    (void)index;
    (void)err;
    size_t at = 0;
    for (int n = 0; n < b->next; n++) {
        bool there = at < pg_row_count(r) && pg_cell_int(r, at, 0) == n;
        if (there)
            assert_int_equal(pg_cell_int(r, at, 1), 2); /* whole, and once */
        if (b->records[n].outcome == PG_COMMITTED && !there)
            print_error("%d is lost\n", n);
        assert_true(there || b->records[n].outcome != PG_COMMITTED);
        if (there && b->records[n].outcome != PG_COMMITTED && b->records[n].outcome != PG_UNKNOWN)
            print_error("%d is there, outcome %d\n", n, (int)b->records[n].outcome);
        assert_true(!there || b->records[n].outcome == PG_COMMITTED ||
                    b->records[n].outcome == PG_UNKNOWN);
        at += there;
    }
    assert_int_equal(at, pg_row_count(r));
    return 0;
}

static void restarts(struct fixture *f) {
    struct bench b = {.f = f, .records = mem_calloc(UNITS_MAX, sizeof(*b.records))};
    struct writer w[WRITERS];
    struct fiber_group g;
    struct pg_work u;
    struct pg_call call = {"c", "SELECT a, count(*) FROM r GROUP BY a ORDER BY a", NULL, 0};
    while (pg_pool_script(f->pool, "CREATE TABLE IF NOT EXISTS r(a int, b int, UNIQUE (a, b))", 0,
                          NULL) != 0)
        fiber_yield();
    fiber_group_init(&g);
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){&b, i % 3 ? PG_LANE_READ : PG_LANE_ORDER};
        assert_int_equal(fiber_group_spawn(&g, f->rt, "writer", write_rows, &w[i], NULL), 0);
    }
    fiber_group_wait(&g);
    assert_true(b.restarts >= RESTARTS_MIN);
    assert_true(b.count[PG_COMMITTED] > 0);
    do /* the server may be away just now */
        u = (struct pg_work){.calls = &call, .call_count = 1, .result = compare, .ctx = &b};
    while (pg_pool_run(f->pool, &u, NULL) == ERR_UNAVAILABLE);
    assert_int_equal(u.code, 0);
    print_message("%d committed, %d rolled back, %d not sent, %d unknown\n", b.count[PG_COMMITTED],
                  b.count[PG_ROLLED_BACK], b.count[PG_NOT_SENT], b.count[PG_UNKNOWN]);
    mem_free(b.records);
}

static void patient(struct fixture *f) {
    f->o.acquire_timeout_us = 60000000;
    f->o.statement_timeout_us = 60000000;
    f->o.backoff_us_max = 200000;
}

static void test_restarts(void **state) {
    (void)state;
    fixture_run(restarts, patient);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_restarts)};
    return cmocka_run_group_tests_name("pg/restart", tests, NULL, NULL);
}
