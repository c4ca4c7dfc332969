/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: units run once, whole or not at all, with the right results, errors and order, over few
 * connections, under limits. Method: a real server; the database itself tells what was stored. */
#include "fixture.h"

#include "base/metrics.h"

static void simple(struct fixture *f) {
    struct one o;
    assert_int_equal(pg_pool_await(f->pool, NULL), 0);
    assert_int_equal(number_of(f, "SELECT 42"), 42);
    struct pg_param p[] = {pg_int8(40), pg_int8(2)};
    assert_int_equal(one_run(f, &o, "SELECT $1 + $2", p, 2), 0);
    assert_int_equal(o.number, 42);
    assert_int_equal(o.oid, PG_OID_INT8);
    assert_int_equal(o.changed, 1);
    assert_int_equal(o.w.outcome, PG_COMMITTED);
    assert_true(o.w.failed_at == SIZE_MAX);
    for (int i = 0; i < 100; i++)
        assert_int_equal(number_of(f, "SELECT 43"), 43);
    struct pg_stats s;
    pg_pool_stats(f->pool, &s);
    assert_true(s.health == PG_UP && !s.unnamed && s.server_version >= 130000);
    assert_int_equal(s.in_use, 0);
    assert_int_equal(s.errors, 0);
}

static void test_simple(void **state) {
    (void)state;
    fixture_run(simple, NULL);
}

/* --- units ----------------------------------------------------------------------------------- */

struct seen {
    size_t count, index[8];
    int64_t number[8];
    int refuse_at;
};

static int note(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct seen *s = w->ctx;
    assert_true(s->count < 8);
    s->index[s->count] = index;
    s->number[s->count++] = pg_row_count(r) ? pg_cell_int(r, 0, 0) : -1;
    if (s->refuse_at == (int)index)
        return err_set(err, ERR_CONFLICT, "not wanted");
    return 0;
}

static void units(struct fixture *f) {
    script(f, "CREATE TABLE t(a int PRIMARY KEY); INSERT INTO t VALUES (1)");
    struct seen s = {.refuse_at = -1};
    struct pg_param two = pg_int4(2), one = pg_int4(1);
    struct pg_call calls[] = {
        {"ins", "INSERT INTO t VALUES ($1) RETURNING a", &two, 1},
        {"cnt", "SELECT count(*) FROM t", NULL, 0},
        {"dup", "INSERT INTO t VALUES ($1)", &one, 1},
        {"never", "SELECT 7", NULL, 0},
    };
    struct err err = {0};
    struct pg_work w = {.calls = calls, .call_count = 2, .result = note, .ctx = &s};
    assert_int_equal(pg_pool_run(f->pool, &w, &err), 0);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.number[0], 2);
    assert_int_equal(s.number[1], 2);
    two = pg_int4(3);
    s = (struct seen){.refuse_at = -1};
    w.call_count = 4;
    assert_int_equal(pg_pool_run(f->pool, &w, &err), ERR_EXISTS);
    assert_string_equal(w.sqlstate, "23505");
    assert_int_equal(w.failed_at, 2);
    assert_int_equal(w.outcome, PG_ROLLED_BACK);
    assert_int_equal(s.count, 2);
    assert_int_equal(number_of(f, "SELECT count(*) FROM t"), 2);
    /* the caller refuses a result: no more are delivered, the unit stays */
    s = (struct seen){.refuse_at = 0};
    w.call_count = 2;
    assert_int_equal(pg_pool_run(f->pool, &w, &err), ERR_CONFLICT);
    assert_int_equal(w.outcome, PG_COMMITTED);
    assert_int_equal(s.count, 1);
    assert_int_equal(number_of(f, "SELECT count(*) FROM t"), 3);
    script(f, "DROP TABLE t");
}

static void test_units(void **state) {
    (void)state;
    fixture_run(units, NULL);
}

static void errors(struct fixture *f) {
    static const struct {
        const char *sql;
        int code;
        const char *sqlstate;
    } table[] = {
        {"SELECT 1/0", ERR_INVALID, "22012"},
        {"SELEC 1", ERR_INTERNAL, "42601"},
        {"SELECT * FROM missing", ERR_INTERNAL, "42P01"},
        {"INSERT INTO c VALUES (-1)", ERR_INVALID, "23514"},
        {"INSERT INTO c VALUES (NULL)", ERR_INVALID, "23502"},
        {"DO $$ BEGIN RAISE serialization_failure; END $$", ERR_CONFLICT, "40001"},
        {"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53300'; END $$", ERR_UNAVAILABLE, "53300"},
    };
    script(f, "CREATE TABLE c(a int NOT NULL CHECK (a > 0))");
    for (int round = 0; round < 2; round++) /* the second finds what the first prepared */
        for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
            struct one o;
            assert_int_equal(one_run(f, &o, table[i].sql, NULL, 0), table[i].code);
            assert_string_equal(o.w.sqlstate, table[i].sqlstate);
            assert_int_equal(o.w.outcome, PG_ROLLED_BACK);
            assert_int_equal(o.w.failed_at, 0);
        }
    assert_int_equal(number_of(f, "SELECT 5"), 5);
    /* a statement that could not be prepared can be later */
    script(f, "CREATE TABLE missing(a int); INSERT INTO missing VALUES (9)");
    assert_int_equal(number_of(f, "SELECT * FROM missing"), 9);
    /* its columns change under the prepared statement */
    script(f, "ALTER TABLE missing ADD b int; ALTER TABLE missing ALTER a TYPE bigint");
    assert_int_equal(number_of(f, "SELECT * FROM missing"), 9);
    script(f, "DROP TABLE c, missing");
    struct pg_stats s;
    pg_pool_stats(f->pool, &s);
    assert_false(s.unnamed);
}

static void test_errors(void **state) {
    (void)state;
    fixture_run(errors, NULL);
}

/* --- several pools in one process ------------------------------------------------------------ */

static int64_t connections_shown(void) {
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_write_prometheus(&b); /* collects */
    buf_deinit(&b);
    return metric_value(metric_gauge("holdfast_pg_connections", "", "state=\"idle\"")) +
           metric_value(metric_gauge("holdfast_pg_connections", "", "state=\"in_use\""));
}

static void other_closed(void *ctx) { fiber_unpark(ctx); }

static void gauges_add_up(struct fixture *f) {
    struct pg_pool *other;
    struct pg_pool_options o = f->o;
    struct pg_stats a, b;
    o.connections_max = o.connections_min = 1;
    assert_int_equal(pg_pool_await(f->pool, NULL), 0);
    assert_int_equal(pg_pool_open(f->rt, &o, &other, NULL), 0);
    assert_int_equal(pg_pool_await(other, NULL), 0);
    pg_pool_stats(f->pool, &a);
    pg_pool_stats(other, &b);
    assert_int_equal(b.connections, 1);
    assert_int_equal(connections_shown(), a.connections + b.connections);
    pg_pool_close(other, rt_mono_us(f->rt) + 5000000, other_closed, fiber_self());
    fiber_park_shielded();
    pg_pool_stats(f->pool, &a);
    assert_int_equal(connections_shown(), a.connections);
}

static void test_gauges_add_up(void **state) {
    (void)state;
    fixture_run(gauges_add_up, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_gauges_add_up),
    };
    return cmocka_run_group_tests_name("pg/pool", tests, NULL, NULL);
}
