/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: many fibers over few connections get their own answers, in order where order is promised,
 * under every limit; deadlines end units wherever they are. Method: a real server with few
 * connections; waits are made with pg_sleep, never measured. */
#include "fixture.h"

/* --- a thousand fibers ----------------------------------------------------------------------- */

#define FIBERS 1000

struct worker {
    struct fixture *f;
    int number, rc;
};

static void ask(void *arg) {
    struct worker *w = arg;
    for (int i = 0; i < 5 && w->rc == 0; i++) {
        struct one o;
        struct pg_param p[] = {pg_int4(w->number), pg_int4(i)};
        w->rc = one_run(w->f, &o, "SELECT $1 * 10 + $2", p, 2);
        if (w->rc == 0)
            assert_int_equal(o.number, w->number * 10 + i);
    }
}

static void thousand(struct fixture *f) {
    static struct worker w[FIBERS];
    struct fiber_group g;
    struct pg_stats s;
    fiber_group_init(&g);
    for (int i = 0; i < FIBERS; i++) {
        w[i] = (struct worker){f, i, 0};
        assert_int_equal(fiber_group_spawn(&g, f->rt, "ask", ask, &w[i], NULL), 0);
    }
    fiber_group_wait(&g);
    for (int i = 0; i < FIBERS; i++)
        assert_int_equal(w[i].rc, 0);
    pg_pool_stats(f->pool, &s);
    assert_true(s.connections <= 4 && s.connects <= 4);
    assert_int_equal(s.units, FIBERS * 5 + s.connects); /* and a check of each connection */
    assert_int_equal(s.waiting, 0);
}

static void four(struct fixture *f) {
    f->o.connections_max = 4;
    f->o.pipeline_depth_max = 16; /* so that many wait */
    f->o.acquire_timeout_us = 60000000;
}

static void test_thousand(void **state) {
    (void)state;
    fixture_run(thousand, four);
}

/* --- order ----------------------------------------------------------------------------------- */

struct queued {
    struct pg_work w;
    struct pg_call calls[2];
    struct pg_param p;
    size_t *left;
    struct fiber *fiber;
};

static void on_queued(struct pg_work *w) {
    struct queued *q = CONTAINER_OF(w, struct queued, w);
    if (--*q->left == 0)
        fiber_unpark(q->fiber);
}

static void ordered(struct fixture *f) {
    static struct queued q[500];
    size_t left = ARRAY_COUNT(q);
    script(f, "CREATE TABLE o(n bigserial, a int); CREATE TABLE bad(a int CHECK (a % 7 <> 0))");
    for (size_t i = 0; i < ARRAY_COUNT(q); i++) {
        q[i] = (struct queued){.p = pg_int4((int32_t)i), .left = &left, .fiber = fiber_self()};
        q[i].calls[0] = (struct pg_call){"o", "INSERT INTO o(a) VALUES ($1)", &q[i].p, 1};
        q[i].calls[1] = (struct pg_call){"b", "INSERT INTO bad VALUES ($1)", &q[i].p, 1};
        q[i].w = (struct pg_work){
            .lane = PG_LANE_ORDER, .calls = q[i].calls, .call_count = 2, .done = on_queued};
        assert_int_equal(pg_pool_submit(f->pool, &q[i].w, NULL), 0);
        if (i % 50 == 0)
            (void)number_of(f, "SELECT 1"); /* others use the pool meanwhile */
    }
    while (left > 0)
        fiber_park_shielded();
    for (size_t i = 0; i < ARRAY_COUNT(q); i++) {
        assert_int_equal(q[i].w.code, i % 7 == 0 ? ERR_INVALID : 0);
        assert_int_equal(q[i].w.failed_at, i % 7 == 0 ? 1 : SIZE_MAX);
    }
    assert_int_equal(number_of(f, "SELECT count(*) FROM o"), 428);
    assert_int_equal(number_of(f, "SELECT count(*) FROM (SELECT a, lag(a) OVER (ORDER BY n) AS b "
                                  "FROM o) x WHERE a < b"),
                     0);
    script(f, "DROP TABLE o, bad");
}

static void test_ordered(void **state) {
    (void)state;
    fixture_run(ordered, NULL);
}

static void one_connection(struct fixture *f) { f->o.connections_max = 1; }

static void test_ordered_alone(void **state) {
    (void)state;
    fixture_run(ordered, one_connection);
}

/* --- one write a turn ----------------------------------------------------------------------- */

static void one_write(struct fixture *f) {
    static struct queued q[100];
    struct pg_stats before, after;
    size_t left = ARRAY_COUNT(q);
    for (size_t i = 0; i < ARRAY_COUNT(q); i++) {
        q[i] = (struct queued){.p = pg_int4((int32_t)i), .left = &left, .fiber = fiber_self()};
        q[i].calls[0] = (struct pg_call){"q", "SELECT $1", &q[i].p, 1};
        q[i].w = (struct pg_work){.calls = q[i].calls, .call_count = 1, .done = on_queued};
    }
    assert_int_equal(number_of(f, "SELECT 1"), 1);
    pg_pool_stats(f->pool, &before);
    for (size_t i = 0; i < ARRAY_COUNT(q); i++)
        assert_int_equal(pg_pool_submit(f->pool, &q[i].w, NULL), 0);
    while (left > 0)
        fiber_park_shielded();
    pg_pool_stats(f->pool, &after);
    assert_int_equal(after.units - before.units, ARRAY_COUNT(q));
    assert_int_equal(after.writes - before.writes, 1);
}

static void test_one_write(void **state) {
    (void)state;
    fixture_run(one_write, one_connection);
}

/* The bytes of such a unit are out when it is taken, and those that stood before them. */
static void at_once(struct fixture *f) {
    struct queued q[3];
    struct pg_stats before, after;
    size_t left = ARRAY_COUNT(q);
    assert_int_equal(number_of(f, "SELECT 1"), 1);
    pg_pool_stats(f->pool, &before);
    for (size_t i = 0; i < ARRAY_COUNT(q); i++) {
        q[i] = (struct queued){.p = pg_int4((int32_t)i), .left = &left, .fiber = fiber_self()};
        q[i].calls[0] = (struct pg_call){"q", "SELECT $1", &q[i].p, 1};
        q[i].w = (struct pg_work){
            .calls = q[i].calls, .call_count = 1, .at_once = i == 1, .done = on_queued};
        assert_int_equal(pg_pool_submit(f->pool, &q[i].w, NULL), 0);
        pg_pool_stats(f->pool, &after);
        assert_int_equal(after.writes - before.writes, i == 0 ? 0 : 1);
    }
    while (left > 0)
        fiber_park_shielded();
    for (size_t i = 0; i < ARRAY_COUNT(q); i++)
        assert_int_equal(q[i].w.code, 0);
    pg_pool_stats(f->pool, &after);
    assert_int_equal(after.writes - before.writes, 2);
}

static void test_at_once(void **state) {
    (void)state;
    fixture_run(at_once, one_connection);
}

/* --- limits ---------------------------------------------------------------------------------- */

static void limits(struct fixture *f) {
    struct pg_tx *tx;
    struct err err = {0};
    struct one o;
    assert_int_equal(pg_pool_await(f->pool, &err), 0);
    assert_int_equal(pg_tx_begin(f->pool, &tx, &err), 0); /* the only connection */
    assert_int_equal(one_run(f, &o, "SELECT 1", NULL, 0), ERR_TIMEOUT);
    assert_int_equal(o.w.outcome, PG_NOT_SENT);
    static struct queued q[4];
    size_t left = 3;
    for (int i = 0; i < 4; i++) {
        q[i] = (struct queued){.left = &left, .fiber = fiber_self()};
        q[i].calls[0] = (struct pg_call){"q", "SELECT 2", NULL, 0};
        q[i].w = (struct pg_work){.calls = q[i].calls, .call_count = 1, .done = on_queued};
        assert_int_equal(pg_pool_submit(f->pool, &q[i].w, &err), i < 3 ? 0 : ERR_LIMIT);
    }
    pg_tx_rollback(tx);
    while (left > 0)
        fiber_park_shielded();
    for (int i = 0; i < 3; i++)
        assert_int_equal(q[i].w.code, 0);
    struct pg_param big[] = {pg_null(PG_OID_TEXT)};
    big[0] = (struct pg_param){.oid = PG_OID_BYTEA, .binary = true, .p = "", .len = 1u << 30};
    assert_int_equal(one_run(f, &o, "SELECT $1", big, 1), ERR_TOO_LARGE);
}

static void small(struct fixture *f) {
    f->o.connections_max = f->o.connections_min = 1;
    f->o.waiting_max = 3;
    f->o.acquire_timeout_us = 50000;
}

static void test_limits(void **state) {
    (void)state;
    fixture_run(limits, small);
}

/* --- deadlines ------------------------------------------------------------------------------- */

/* A slow unit, a quick one without a limit and a slow one. late: the loop stands still until both
 * limits are over, so that what prepares the first statement is late as well, and the request that
 * cancels it hits what the server does by then. */
static void deadlines(struct fixture *f, int64_t timeout_us, bool late) {
    static struct queued q[3];
    size_t left = 3;
    static const char *const sql[] = {"SELECT pg_sleep(300)", "SELECT 2", "SELECT pg_sleep(301)"};
    assert_int_equal(pg_pool_await(f->pool, NULL), 0);
    for (int i = 0; i < 3; i++) {
        q[i] = (struct queued){.left = &left, .fiber = fiber_self()};
        q[i].calls[0] = (struct pg_call){"q", sql[i], NULL, 0};
        q[i].w = (struct pg_work){.lane = PG_LANE_ORDER,
                                  .calls = q[i].calls,
                                  .call_count = 1,
                                  .done = on_queued,
                                  .timeout_us = i == 1 ? 0 : timeout_us + i * 1000};
        assert_int_equal(pg_pool_submit(f->pool, &q[i].w, NULL), 0);
    }
    for (int64_t begin = clock_mono_us(); late && clock_mono_us() - begin <= timeout_us + 2000;)
        ;
    while (left > 0)
        fiber_park_shielded();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(q[i].w.code, i == 1 ? 0 : ERR_TIMEOUT);
        if (i == 1 || late)
            assert_true(q[i].w.crowded == (i == 2) || i == 0);
        assert_int_equal(q[i].w.outcome, i == 1 ? PG_COMMITTED : PG_ROLLED_BACK);
        assert_string_equal(q[i].w.sqlstate, i == 1 ? "" : "57014");
    }
    struct pg_stats s;
    pg_pool_stats(f->pool, &s);
    assert_int_equal(s.timeouts, 2);
    assert_int_equal(number_of(f, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE "
                                  "'SELECT pg_sleep(30%' AND state = 'active'"),
                     0);
}

static void in_time(struct fixture *f) { deadlines(f, 500000, false); }

static void too_late(struct fixture *f) { deadlines(f, 1000, true); }

static void test_deadlines(void **state) {
    (void)state;
    fixture_run(in_time, NULL);
    for (int i = 0; i < 3; i++)
        fixture_run(too_late, NULL);
}

/* --- coming and going ------------------------------------------------------------------------ */

/* Slow enough that a shared pipeline would be a queue. */
static void nap(void *arg) {
    struct worker *w = arg;
    struct one o;
    for (int i = 0; i < 5 && w->rc == 0; i++)
        w->rc = one_run(w->f, &o, "SELECT 1 FROM pg_sleep(0.01)", NULL, 0);
}

static void grows(struct fixture *f) {
    struct fiber_group g;
    struct worker w[64];
    struct pg_stats s;
    fiber_group_init(&g);
    for (int i = 0; i < 64; i++) {
        w[i] = (struct worker){f, i, 0};
        assert_int_equal(fiber_group_spawn(&g, f->rt, "nap", nap, &w[i], NULL), 0);
    }
    fiber_group_wait(&g);
    pg_pool_stats(f->pool, &s);
    assert_true(s.connections > 1);
    do { /* what is idle goes, down to the minimum */
        assert_int_equal(fiber_sleep_us(10000), 0);
        pg_pool_stats(f->pool, &s);
    } while (s.connections > 1);
    assert_int_equal(number_of(f, "SELECT 1"), 1);
    assert_int_equal(s.errors, 0);
}

static void short_idle(struct fixture *f) {
    f->o.connections_min = 1;
    f->o.idle_timeout_us = 30000;
}

static void test_grows(void **state) {
    (void)state;
    fixture_run(grows, short_idle);
}

/* More texts than a connection keeps prepared. */
static void many_texts(struct fixture *f) {
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 1500; i++) {
            char sql[64];
            snprintf(sql, sizeof(sql), "SELECT %d::int8", i);
            assert_int_equal(number_of(f, sql), i);
        }
    assert_true(number_of(f, "SELECT count(*) FROM pg_prepared_statements") <= 1024);
    assert_true(number_of(f, "SELECT count(*) FROM pg_prepared_statements") > 500);
}

static void test_many_texts(void **state) {
    (void)state;
    fixture_run(many_texts, one_connection);
}

/* A body that leaves units under way: closing ends them, each once. */
static void closing(struct fixture *f) {
    static struct queued q[20];
    static size_t left;
    left = 20;
    assert_int_equal(number_of(f, "SELECT 1"), 1);
    for (int i = 0; i < 20; i++) {
        q[i] = (struct queued){.left = &left, .fiber = fiber_self()};
        q[i].calls[0] =
            (struct pg_call){"q", i == 10 ? "SELECT pg_sleep(0.05)" : "SELECT 2", NULL, 0};
        q[i].w = (struct pg_work){.lane = i % 3 ? PG_LANE_READ : PG_LANE_ORDER,
                                  .calls = q[i].calls,
                                  .call_count = 1,
                                  .done = on_queued};
        assert_int_equal(pg_pool_submit(f->pool, &q[i].w, NULL), 0);
    }
    struct err err = {0};
    fixture_close(f);
    assert_int_equal(pg_pool_submit(f->pool, &q[0].w, &err), ERR_UNAVAILABLE);
    while (left > 0)
        fiber_park_shielded();
    for (int i = 0; i < 20; i++)
        assert_int_equal(q[i].w.code, 0);
    f->pool = NULL;
    while (!f->closed)
        fiber_yield();
}

static void test_closing(void **state) {
    (void)state;
    int64_t before = mem_live_count();
    fixture_run(closing, NULL);
    fixture_run(closing, one_connection);
    assert_int_equal(mem_live_count(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thousand),   cmocka_unit_test(test_ordered),
        cmocka_unit_test(test_one_write),  cmocka_unit_test(test_ordered_alone),
        cmocka_unit_test(test_at_once),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_deadlines),  cmocka_unit_test(test_grows),
        cmocka_unit_test(test_many_texts), cmocka_unit_test(test_closing),
    };
    return cmocka_run_group_tests_name("pg/load", tests, NULL, NULL);
}
