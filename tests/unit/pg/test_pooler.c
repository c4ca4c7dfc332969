/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the client works behind a pooler that gives the server's connection to another client after
 * each transaction: noticed at the start, and by the errors of lost statements when the start
 * could not tell. Method: a real PgBouncer in transaction mode with two server connections. */
#include "fixture.h"

#define FIBERS 40
#define ROUNDS 25

struct worker {
    struct fixture *f;
    int number;
};

static void work(void *arg) {
    struct worker *w = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct one o;
        struct pg_param p[] = {pg_int4(w->number), pg_int4(i)};
        assert_int_equal(one_run(w->f, &o, "SELECT $1 * 1000 + $2", p, 2), 0);
        assert_int_equal(o.number, w->number * 1000 + i);
        struct pg_call calls[] = {{"a", "INSERT INTO p VALUES ($1, $2)", p, 2},
                                  {"b", "UPDATE p SET b = b + 1 WHERE a = $1", p, 1}};
        struct pg_work u = {.calls = calls, .call_count = 2};
        struct err err = {0};
        int rc = pg_pool_run(w->f->pool, &u, &err);
        if (rc != 0)
            print_error("%s\n", err.message);
        assert_int_equal(rc, 0);
    }
}

static void use(struct fixture *f) {
    struct fiber_group g;
    struct worker w[FIBERS];
    struct err err = {0};
    int rc = pg_pool_await(f->pool, &err);
    if (rc != 0)
        print_error("%s\n", err.message);
    assert_int_equal(rc, 0);
    script(f, "DROP TABLE IF EXISTS p; CREATE TABLE p(a int, b int)");
    fiber_group_init(&g);
    for (int i = 0; i < FIBERS; i++) {
        w[i] = (struct worker){f, i};
        assert_int_equal(fiber_group_spawn(&g, f->rt, "worker", work, &w[i], NULL), 0);
    }
    fiber_group_wait(&g);
    assert_int_equal(number_of(f, "SELECT count(*) FROM p"), FIBERS * ROUNDS);
    struct pg_stats s;
    pg_pool_stats(f->pool, &s);
    assert_true(s.unnamed);
    assert_int_equal(s.errors, 0);
}

static void transactions(struct fixture *f) {
    struct pg_tx *tx;
    struct err err = {0};
    assert_int_equal(pg_tx_begin(f->pool, &tx, &err), 0);
    struct pg_param p = pg_int4(1);
    struct pg_call call = {"a", "INSERT INTO p VALUES (-1, $1)", &p, 1};
    struct pg_work u = {.calls = &call, .call_count = 1};
    assert_int_equal(pg_tx_run(tx, &u, &err), 0);
    assert_int_equal(number_of(f, "SELECT count(*) FROM p WHERE a = -1"), 0);
    assert_int_equal(pg_tx_commit(tx, &err), 0);
    assert_int_equal(number_of(f, "SELECT count(*) FROM p WHERE a = -1"), 1);
}

/* Units whose messages a pooler passes on in pieces; none may end up in another's. */
static void pieces_main(void *arg) {
    struct worker *w = arg;
    size_t len = 3000 + (size_t)w->number * 500;
    char *text = mem_calloc(1, len);
    memset(text, 'a' + w->number % 26, len);
    for (int i = 0; i < ROUNDS; i++) {
        struct one o;
        struct pg_param p[] = {pg_bytea(str_n(text, len)), pg_int4(w->number)};
        assert_int_equal(one_run(w->f, &o, "SELECT length($1) + get_byte($1, $2)", p, 2), 0);
        assert_int_equal(o.number, (int)len + text[0]);
    }
    mem_free(text);
}

static void pieces(struct fixture *f) {
    struct fiber_group g;
    struct worker w[FIBERS];
    struct pg_stats s;
    fiber_group_init(&g);
    for (int i = 0; i < FIBERS; i++) {
        w[i] = (struct worker){f, i};
        assert_int_equal(fiber_group_spawn(&g, f->rt, "pieces", pieces_main, &w[i], NULL), 0);
    }
    fiber_group_wait(&g);
    pg_pool_stats(f->pool, &s);
    assert_int_equal(s.errors, 0);
}

static void both(struct fixture *f) {
    use(f);
    transactions(f);
    pieces(f);
}

static void behind(struct fixture *f) {
    f->o.url = getenv("HF_TEST_POOLER_URL");
    assert_non_null(f->o.url);
    f->o.connections_max = 6;
}

static void behind_told(struct fixture *f) {
    behind(f);
    f->o.unnamed = true;
}

static void test_noticed(void **state) {
    (void)state;
    fixture_run(both, behind);
}

static void test_told(void **state) {
    (void)state;
    fixture_run(both, behind_told);
}

/* --- noticed by errors: the statements vanish on a direct connection ------------------------- */

static void lost(struct fixture *f) {
    struct pg_stats s;
    assert_int_equal(number_of(f, "SELECT 1"), 1);
    assert_int_equal(number_of(f, "SELECT 2"), 2);
    script(f, "DEALLOCATE ALL");
    assert_int_equal(number_of(f, "SELECT 1"), 1); /* 26000, then without a name */
    pg_pool_stats(f->pool, &s);
    assert_true(s.unnamed);
    assert_int_equal(s.retries, 1);
    assert_int_equal(number_of(f, "SELECT 2"), 2);
    pg_pool_stats(f->pool, &s);
    assert_int_equal(s.retries, 1);
}

/* A wrong unit, not a pooler: 08P01 for too few parameters. */
static void wrong(struct fixture *f) {
    struct one o;
    struct pg_stats s;
    struct pg_param p = pg_int4(1);
    assert_int_equal(one_run(f, &o, "SELECT $1::int + $2::int", &p, 1), ERR_INTERNAL);
    assert_string_equal(o.w.sqlstate, "08P01");
    pg_pool_stats(f->pool, &s);
    assert_false(s.unnamed);
    assert_int_equal(number_of(f, "SELECT 3"), 3);
}

static void one_connection(struct fixture *f) { f->o.connections_max = 1; }

static void test_lost(void **state) {
    (void)state;
    fixture_run(lost, one_connection);
}

static void test_wrong(void **state) {
    (void)state;
    fixture_run(wrong, one_connection);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noticed),
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_lost),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests_name("pg/pooler", tests, NULL, NULL);
}
