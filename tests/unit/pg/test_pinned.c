/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what has a connection of its own keeps it and nothing else gets in: transactions, copies,
 * scripts, listeners; and it dies with its connection. Method: a real server; connections are ended
 * with pg_terminate_backend from another one. */
#include "fixture.h"

static int run_in(struct pg_tx *tx, struct one *o, const char *sql) {
    struct pg_call call = {.name = "in", .sql = sql};
    struct err err = {0};
    *o = (struct one){.number = 0};
    o->w = (struct pg_work){.calls = &call, .call_count = 1, .result = one_result, .ctx = o};
    int rc = pg_tx_run(tx, &o->w, &err);
    o->w.calls = NULL;
    return rc;
}

/* --- transactions under a full pool ---------------------------------------------------------- */

#define TRANSACTIONS 40

struct worker {
    struct fixture *f;
    int number, rc;
    bool reads;
};

/* Moves money between two rows, reading first: lost updates and statements of others would show. */
static void transfer(void *arg) {
    struct worker *w = arg;
    struct pg_tx *tx;
    struct one o;
    char sql[128];
    w->rc = pg_tx_begin(w->f->pool, &tx, NULL);
    if (w->rc != 0)
        return;
    int64_t pid = 0, from = 0;
    for (int i = 0; i < 3; i++) { /* always the same connection */
        assert_int_equal(run_in(tx, &o, "SELECT pg_backend_pid()"), 0);
        assert_true(pid == 0 || pid == o.number);
        pid = o.number;
        fiber_yield();
    }
    assert_int_equal(run_in(tx, &o, "SELECT amount FROM acc WHERE id = 1 FOR UPDATE"), 0);
    from = o.number;
    fiber_yield();
    snprintf(sql, sizeof(sql), "UPDATE acc SET amount = %d WHERE id = 1", (int)from - 1);
    assert_int_equal(run_in(tx, &o, sql), 0);
    if (w->reads) /* beside its own transaction */
        assert_int_equal(number_of(w->f, "SELECT sum(amount) FROM acc"), 1000);
    assert_int_equal(run_in(tx, &o, "UPDATE acc SET amount = amount + 1 WHERE id = 2"), 0);
    if (w->number % 4 == 3)
        pg_tx_rollback(tx);
    else
        w->rc = pg_tx_commit(tx, NULL);
}

static void read_sum(void *arg) {
    struct worker *w = arg;
    for (int i = 0; i < 20 && w->rc == 0; i++) {
        struct one o;
        w->rc = one_run(w->f, &o, "SELECT sum(amount) FROM acc", NULL, 0);
        assert_int_equal(o.number, 1000);
    }
}

static void transactions(struct fixture *f) {
    struct worker w[TRANSACTIONS * 2];
    struct fiber_group g;
    script(f, "CREATE TABLE acc(id int PRIMARY KEY, amount int); "
              "INSERT INTO acc VALUES (1, 600), (2, 400)");
    fiber_group_init(&g);
    for (int i = 0; i < TRANSACTIONS * 2; i++) {
        w[i] = (struct worker){f, i / 2, 0, f->o.connections_max > 1};
        assert_int_equal(
            fiber_group_spawn(&g, f->rt, "t", i % 2 ? read_sum : transfer, &w[i], NULL), 0);
    }
    fiber_group_wait(&g);
    for (int i = 0; i < TRANSACTIONS * 2; i++)
        assert_int_equal(w[i].rc, 0);
    assert_int_equal(number_of(f, "SELECT amount FROM acc WHERE id = 1"),
                     600 - TRANSACTIONS * 3 / 4);
    script(f, "DROP TABLE acc");
}

static void full(struct fixture *f) {
    f->o.connections_max = 3;
    f->o.acquire_timeout_us = 60000000;
}

static void alone(struct fixture *f) {
    full(f);
    f->o.connections_max = 1;
}

static void test_transactions(void **state) {
    (void)state;
    fixture_run(transactions, full);
}

static void test_transactions_alone(void **state) {
    (void)state;
    fixture_run(transactions, alone);
}

static void failed_transaction(struct fixture *f) {
    struct pg_tx *tx;
    struct one o;
    struct err err = {0};
    assert_int_equal(pg_tx_begin(f->pool, &tx, &err), 0);
    assert_int_equal(run_in(tx, &o, "CREATE TABLE gone(a int)"), 0);
    assert_int_equal(run_in(tx, &o, "SELECT 1/0"), ERR_INVALID);
    assert_int_equal(run_in(tx, &o, "SELECT 1"), ERR_INTERNAL); /* 25P02 */
    assert_string_equal(o.w.sqlstate, "25P02");
    assert_int_equal(pg_tx_commit(tx, &err), ERR_CONFLICT);
    assert_int_equal(number_of(f, "SELECT count(*) FROM pg_class WHERE relname = 'gone'"), 0);
    struct pg_stats s;
    pg_pool_stats(f->pool, &s);
    assert_int_equal(s.in_use, 0);
}

static void test_failed_transaction(void **state) {
    (void)state;
    fixture_run(failed_transaction, NULL);
}

/* --- it dies with its connection ------------------------------------------------------------- */

static void dies(struct fixture *f) {
    struct pg_tx *tx;
    struct one o;
    struct err err = {0};
    script(f, "CREATE TABLE d(a int)");
    for (int under_way = 0; under_way < 2; under_way++) {
        char sql[80];
        assert_int_equal(pg_tx_begin(f->pool, &tx, &err), 0);
        assert_int_equal(run_in(tx, &o, "INSERT INTO d VALUES (1)"), 0);
        assert_int_equal(run_in(tx, &o, "SELECT pg_backend_pid()"), 0);
        if (under_way) {
            assert_int_equal(run_in(tx, &o, "SELECT pg_terminate_backend(pg_backend_pid())"),
                             ERR_UNAVAILABLE);
        } else {
            snprintf(sql, sizeof(sql), "SELECT pg_terminate_backend(%d)::int", (int)o.number);
            assert_int_equal(number_of(f, sql), 1);
            snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_stat_activity WHERE pid = %d",
                     (int)o.number);
            while (number_of(f, sql) > 0)
                fiber_yield();
        }
        assert_int_equal(run_in(tx, &o, "INSERT INTO d VALUES (2)"), ERR_UNAVAILABLE);
        assert_int_equal(run_in(tx, &o, "INSERT INTO d VALUES (3)"), ERR_UNAVAILABLE);
        if (under_way)
            assert_int_equal(pg_tx_commit(tx, &err), ERR_UNAVAILABLE);
        else
            pg_tx_rollback(tx);
    }
    assert_int_equal(number_of(f, "SELECT count(*) FROM d"), 0);
    script(f, "DROP TABLE d");
}

static void test_dies(void **state) {
    (void)state;
    fixture_run(dies, NULL);
}

/* --- copies ---------------------------------------------------------------------------------- */

static void copies(struct fixture *f) {
    struct pg_copy *c;
    struct err err = {0};
    int64_t rows = -1;
    struct buf b;
    script(f, "CREATE TABLE c(a int PRIMARY KEY, b text)");
    buf_init(&b, 64u << 20);
    for (int i = 0; i < 200000; i++)
        buf_printf(&b, "%d\ttext of row number %d\n", i, i);
    assert_int_equal(pg_copy_begin(f->pool, "COPY c FROM STDIN", &c, &err), 0);
    for (size_t at = 0; at < b.len; at += 300000)
        assert_int_equal(pg_copy_write(c, str_slice(buf_view(&b), at, at + 300000), &err), 0);
    assert_int_equal(pg_copy_end(c, false, &rows, &err), 0);
    assert_int_equal(rows, 200000);
    assert_int_equal(number_of(f, "SELECT sum(a) FROM c"), 19999900000);
    /* given up by us */
    assert_int_equal(pg_copy_begin(f->pool, "COPY c FROM STDIN", &c, &err), 0);
    assert_int_equal(pg_copy_write(c, STR("-1\tx\n"), &err), 0);
    assert_int_equal(pg_copy_end(c, true, &rows, &err), 0);
    /* refused by the server, while rows are still written */
    assert_int_equal(pg_copy_begin(f->pool, "COPY c FROM STDIN", &c, &err), 0);
    int rc = 0;
    for (size_t at = 0; at < b.len && rc == 0; at += 300000)
        rc = pg_copy_write(c, str_slice(buf_view(&b), at, at + 300000), &err);
    if (rc != 0)
        assert_int_equal(rc, ERR_EXISTS);
    assert_int_equal(pg_copy_end(c, false, &rows, &err), ERR_EXISTS);
    assert_int_equal(number_of(f, "SELECT count(*) FROM c"), 200000);
    assert_int_equal(pg_copy_begin(f->pool, "COPY nothing FROM STDIN", &c, &err), ERR_INTERNAL);
    assert_int_equal(pg_copy_begin(f->pool, "SELECT 1", &c, &err), ERR_INVALID);
    /* in places where it must not be */
    assert_int_equal(pg_pool_script(f->pool, "COPY c FROM STDIN", 0, &err), ERR_TIMEOUT);
    assert_int_equal(pg_pool_script(f->pool, "COPY c TO STDOUT", 0, &err), 0);
    struct one o;
    assert_int_equal(one_run(f, &o, "COPY c FROM STDIN", NULL, 0), ERR_UNAVAILABLE);
    assert_int_equal(number_of(f, "SELECT count(*) FROM c"), 200000);
    buf_deinit(&b);
    script(f, "DROP TABLE c");
}

static void test_copies(void **state) {
    (void)state;
    fixture_run(copies, NULL);
}

/* --- listening ------------------------------------------------------------------------------- */

struct heard {
    int ups, downs, count;
    char last[64];
    struct fiber_event changed;
};

static void on_heard(void *ctx, str payload) {
    struct heard *h = ctx;
    h->count++;
    snprintf(h->last, sizeof(h->last), STR_FMT, STR_ARG(payload));
    fiber_event_wake_all(&h->changed);
}

static void on_state(void *ctx, bool listening) {
    struct heard *h = ctx;
    h->ups += listening;
    h->downs += !listening;
    fiber_event_wake_all(&h->changed);
}

#define WAIT_UNTIL(h, condition)                                                                   \
    while (!(condition))                                                                           \
    assert_int_equal(fiber_event_wait(&(h)->changed, FIBER_NO_DEADLINE), 0)

static void listening(struct fixture *f) {
    struct heard h = {0};
    struct pg_listener *l;
    struct pg_listener_options o = {"odd \" name", on_heard, on_state, &h};
    fiber_event_init(&h.changed);
    assert_int_equal(pg_listen(f->pool, &o, &l, NULL), 0);
    WAIT_UNTIL(&h, h.ups == 1);
    (void)number_of(f, "SELECT 1 FROM pg_notify('odd \" name', 'hello')");
    WAIT_UNTIL(&h, h.count == 1);
    assert_string_equal(h.last, "hello");
    (void)number_of(f, "SELECT pg_terminate_backend(pid)::int FROM pg_stat_activity "
                       "WHERE query LIKE 'LISTEN%'");
    WAIT_UNTIL(&h, h.downs == 1 && h.ups == 2);
    (void)number_of(f, "SELECT 1 FROM pg_notify('odd \" name', 'again')");
    WAIT_UNTIL(&h, h.count == 2);
    assert_string_equal(h.last, "again");
    pg_listener_close(l);
    (void)number_of(f, "SELECT 1 FROM pg_notify('odd \" name', 'late')");
    assert_int_equal(h.count, 2);
    assert_int_equal(pg_listen(f->pool, &o, &l, NULL), 0); /* left to the pool's end */
    o.channel = "";
    assert_int_equal(pg_listen(f->pool, &o, &l, NULL), ERR_INVALID);
}

static void test_listening(void **state) {
    (void)state;
    int64_t before = mem_live_count();
    fixture_run(listening, NULL);
    assert_int_equal(mem_live_count(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_transactions_alone),
        cmocka_unit_test(test_failed_transaction),
        cmocka_unit_test(test_dies),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_listening),
    };
    return cmocka_run_group_tests_name("pg/pinned", tests, NULL, NULL);
}
