/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: when a connection ends, each unit's outcome says no more and no less than what is known;
 * nothing that may be committed is sent again; a server that talks nonsense is left. Method: a fake
 * server that stops at chosen places, and pg_terminate_backend on a real one. */
#include "fake.h"

/* The pool under test talks to a fake server, without names: one unit, one Sync. */
static struct fake fake;

static void to_fake(struct fixture *f) {
    f->o.url = fake.url;
    f->o.unnamed = true;
    f->o.pooled_depth_max = f->o.pipeline_depth_max; /* the fake is no pooler */
    f->o.connections_max = f->o.connections_min = 1;
    f->o.statement_timeout_us = 60000000;
    f->o.acquire_timeout_us = 60000000;
    f->o.backoff_us_max = 10000;
}

static void with_fake(void (*play)(struct fake *, int, int), void (*body)(struct fixture *)) {
    fake_start(&fake, play);
    fixture_run(body, to_fake);
    fake_stop(&fake);
}

/* Two units of two statements in one pipeline. */
struct pair {
    struct pg_work w[2];
    struct pg_call calls[2];
    size_t results[2], left;
    struct fiber *fiber;
};

static int on_result(struct pg_work *w, size_t index, const struct pg_result *r, struct err *err) {
    struct pair *p = w->ctx;
    (void)err;
    size_t unit = (size_t)(w - p->w);
    assert_int_equal(index, p->results[unit]);
    assert_int_equal(pg_row_count(r), 0);
    p->results[unit]++;
    return 0;
}

static void on_done(struct pg_work *w) {
    struct pair *p = w->ctx;
    if (--p->left == 0)
        fiber_unpark(p->fiber);
}

static void run_pair(struct fixture *f, struct pair *p) {
    assert_int_equal(pg_pool_await(f->pool, NULL), 0);
    *p = (struct pair){.left = 2, .fiber = fiber_self()};
    p->calls[0] = p->calls[1] = (struct pg_call){"x", "DO SOMETHING", NULL, 0};
    for (int i = 0; i < 2; i++) {
        p->w[i] = (struct pg_work){
            .calls = p->calls, .call_count = 2, .result = on_result, .done = on_done, .ctx = p};
        assert_int_equal(pg_pool_submit(f->pool, &p->w[i], NULL), 0);
    }
    while (p->left > 0)
        fiber_park_shielded();
}

#define EMPTY_RESULT "1\0\0\0\4" FAKE_BOUND "n\0\0\0\4C\0\0\0\7DO\0"

/* From the second connection on all is well. */
static void serve(int fd) {
    while (fake_syncs(fd, 1))
        FAKE_SAY(fd, EMPTY_RESULT EMPTY_RESULT FAKE_READY);
}

/* --- cut without a word ---------------------------------------------------------------------- */

static void cut_after_read(struct fake *k, int fd, int number) {
    (void)k;
    if (number > 0) {
        serve(fd);
        return;
    }
    fake_syncs(fd, 2);
}

static void check_cut(struct fixture *f) {
    struct pair p;
    run_pair(f, &p);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(p.w[i].code, ERR_UNAVAILABLE);
        assert_int_equal(p.w[i].outcome, PG_UNKNOWN);
        assert_int_equal(p.w[i].tries, 1);
        assert_null(strstr(p.w[i].err.message, "sesame"));
    }
    run_pair(f, &p);
    assert_int_equal(p.w[0].code + p.w[1].code, 0);
    assert_int_equal(p.w[1].outcome, PG_COMMITTED);
    assert_int_equal(p.results[0] + p.results[1], 4);
}

static void test_cut(void **state) {
    (void)state;
    with_fake(cut_after_read, check_cut);
}

static void cut_after_first(struct fake *k, int fd, int number) {
    (void)k;
    if (number > 0) {
        serve(fd);
        return;
    }
    fake_syncs(fd, 2);
    FAKE_SAY(fd, EMPTY_RESULT EMPTY_RESULT FAKE_READY EMPTY_RESULT);
}

static void check_cut_after_first(struct fixture *f) {
    struct pair p;
    run_pair(f, &p);
    assert_int_equal(p.w[0].code, 0);
    assert_int_equal(p.w[0].outcome, PG_COMMITTED);
    assert_int_equal(p.w[1].code, ERR_UNAVAILABLE);
    assert_int_equal(p.w[1].outcome, PG_UNKNOWN);
    assert_int_equal(p.results[1], 1);
}

static void test_cut_after_first(void **state) {
    (void)state;
    with_fake(cut_after_first, check_cut_after_first);
}

/* --- with a farewell ------------------------------------------------------------------------- */

static void farewell_at_once(struct fake *k, int fd, int number) {
    (void)k;
    if (number > 0) {
        serve(fd);
        return;
    }
    fake_syncs(fd, 2);
    FAKE_SAY(fd, EMPTY_RESULT);
    fake_error(fd, "FATAL", "57P01");
}

static void check_farewell(struct fixture *f) {
    struct pair p;
    run_pair(f, &p);
    assert_int_equal(p.w[0].code, ERR_UNAVAILABLE);
    assert_int_equal(p.w[0].outcome, PG_ROLLED_BACK);
    assert_string_equal(p.w[0].sqlstate, "57P01");
    /* the server never read the second one: it was sent again */
    assert_int_equal(p.w[1].code, 0);
    assert_int_equal(p.w[1].outcome, PG_COMMITTED);
    assert_int_equal(p.w[1].tries, 2);
    assert_int_equal(p.results[1], 2);
}

static void test_farewell(void **state) {
    (void)state;
    with_fake(farewell_at_once, check_farewell);
}

static void farewell_before_ready(struct fake *k, int fd, int number) {
    (void)k;
    if (number > 0) {
        serve(fd);
        return;
    }
    fake_syncs(fd, 2);
    FAKE_SAY(fd, EMPTY_RESULT EMPTY_RESULT);
    fake_error(fd, "FATAL", "57P01");
}

static void check_before_ready(struct fixture *f) {
    struct pair p;
    run_pair(f, &p);
    assert_int_equal(p.w[0].code, ERR_UNAVAILABLE);
    assert_int_equal(p.w[0].outcome, PG_UNKNOWN); /* it may have been committing */
    assert_int_equal(p.w[1].code, 0);
}

static void test_before_ready(void **state) {
    (void)state;
    with_fake(farewell_before_ready, check_before_ready);
}

/* --- nonsense -------------------------------------------------------------------------------- */

static void nonsense(struct fake *k, int fd, int number) {
    (void)k;
    static const struct {
        const char *bytes;
        size_t len;
    } table[] = {
#define BYTES(b) {b, sizeof(b) - 1}
        BYTES("\0\0\0\0\0"),
        BYTES("D\0\0\0\3"),
        BYTES("D\x7f\xff\xff\xff"),
        BYTES("?\0\0\0\4"),
        BYTES("D\0\0\0\6\0\1"),
        BYTES("1\0\0\0\4" FAKE_BOUND "D\0\0\0\x0e\0\1\0\0\0\4\0\0\0\7"),
        BYTES("T\0\0\0\6\0\1"),
        BYTES("T\0\0\0\x08\xff\xff"
              "ab"),
        BYTES("C\0\0\0\6DO"),
        BYTES("E\0\0\0\6Sx"),
        BYTES("E\0\0\0\7Cx\0"),
        BYTES("Z\0\0\0\4"),
        BYTES("Z\0\0\0\6II"),
        BYTES("t\0\0\0\6\0\2"),
        BYTES("A\0\0\0\6ab"),
        BYTES("G\0\0\0\7\0\0\0"),
        BYTES("H\0\0\0\7\0\0\0"),
        BYTES("N\0\0\0\5x"),
        BYTES(EMPTY_RESULT EMPTY_RESULT EMPTY_RESULT),
        BYTES("1\0\0\0\4" FAKE_BOUND "n\0\0\0\4" FAKE_BOUND "D\0\0\0\6\0\1"),
#undef BYTES
    };
    if ((size_t)number >= ARRAY_COUNT(table)) {
        serve(fd);
        return;
    }
    fake_syncs(fd, 2);
    fake_write(fd, table[number].bytes, table[number].len);
    fake_message(fd); /* until the client has closed */
}

static void check_nonsense(struct fixture *f) {
    struct pair p;
    for (int i = 0; i < 20; i++) {
        run_pair(f, &p);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(p.w[k].outcome, PG_UNKNOWN);
            assert_int_equal(p.w[k].code, ERR_UNAVAILABLE);
        }
    }
    run_pair(f, &p);
    assert_int_equal(p.w[0].code + p.w[1].code, 0);
}

static void test_nonsense(void **state) {
    (void)state;
    with_fake(nonsense, check_nonsense);
}

/* --- silence --------------------------------------------------------------------------------- */

static void silent(struct fake *k, int fd, int number) {
    (void)k;
    (void)number;
    (void)fake_message(fd);
    while (fake_message(fd))
        ;
}

static void check_silent(struct fixture *f) {
    struct one o;
    struct pg_call call = {.name = "slow", .sql = "SELECT 7"};
    assert_int_equal(pg_pool_await(f->pool, NULL), 0);
    o.w = (struct pg_work){.calls = &call, .call_count = 1, .timeout_us = 20000};
    assert_int_equal(pg_pool_run(f->pool, &o.w, NULL), ERR_TIMEOUT);
    assert_int_equal(o.w.outcome, PG_UNKNOWN);
}

/* The fake takes the cancel request only after it has let go of the connection. */
static void test_silent(void **state) {
    (void)state;
    fake_start(&fake, silent);
    fixture_run(check_silent, to_fake);
    fake_stop(&fake);
}

static void never_speaks(struct fixture *f) {
    struct err err = {0};
    assert_int_equal(pg_pool_await(f->pool, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "127.0.0.1"));
    assert_null(strstr(err.message, "sesame"));
    struct one o;
    assert_int_equal(one_run(f, &o, "SELECT 1", NULL, 0), ERR_UNAVAILABLE);
    assert_int_equal(o.w.outcome, PG_NOT_SENT);
    assert_true(o.w.err.retry_after_ms > 0);
    struct pg_stats s;
    pg_pool_stats(f->pool, &s);
    assert_int_equal(s.health, PG_DOWN);
    assert_true(s.connect_failures > 0);
}

static int quiet_port;

static void to_quiet(struct fixture *f) {
    snprintf(f->url, sizeof(f->url), "postgresql://u:sesame@127.0.0.1:%d/d", quiet_port);
    f->o.url = f->url;
    f->o.connect_timeout_us = 100000;
    f->o.acquire_timeout_us = 100000;
}

/* A port where nobody listens, and one whose owner never accepts. */
static void test_never_speaks(void **state) {
    (void)state;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    quiet_port = ntohs(a.sin_port);
    fixture_run(never_speaks, to_quiet);
    assert_int_equal(listen(fd, 8), 0);
    fixture_run(never_speaks, to_quiet);
    close(fd);
}

/* --- a real server --------------------------------------------------------------------------- */

static void terminated(struct fixture *f) {
    struct one o;
    struct pg_stats s;
    for (int i = 0; i < 5; i++) { /* while it runs a statement */
        assert_int_equal(one_run(f, &o, "SELECT pg_terminate_backend(pg_backend_pid())", NULL, 0),
                         ERR_UNAVAILABLE);
        assert_string_equal(o.w.sqlstate, "57P01");
        assert_int_equal(o.w.outcome, PG_ROLLED_BACK);
        assert_int_equal(number_of(f, "SELECT 1"), 1);
    }
    for (int i = 0; i < 5; i++) { /* while it is idle */
        (void)number_of(f, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
                           "pid <> pg_backend_pid() AND datname = current_database()");
        assert_int_equal(number_of(f, "SELECT 1"), 1);
    }
    pg_pool_stats(f->pool, &s);
    assert_true(s.errors >= 5); /* checks of connections that were ended early count, too */
    assert_true(s.retries >= 5);
}

static void two(struct fixture *f) { f->o.connections_max = f->o.connections_min = 2; }

static void test_terminated(void **state) {
    (void)state;
    fixture_run(terminated, two);
}

static void refused(struct fixture *f) {
    struct err err = {0};
    assert_int_equal(pg_pool_await(f->pool, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "no_such_database"));
    assert_null(strchr(err.message, '\n'));
}

static void to_missing(struct fixture *f) {
    char *last = strrchr(f->url, '/');
    snprintf(last, sizeof(f->url) - (size_t)(last - f->url), "/no_such_database");
    f->o.connect_timeout_us = 300000;
}

static void test_refused(void **state) {
    (void)state;
    fixture_run(refused, to_missing);
}

static void bad_url(void **state) {
    (void)state;
    struct rt *rt;
    struct pg_pool *p = NULL;
    struct pg_pool_options o;
    struct err err = {0};
    pg_pool_options_default(&o);
    o.url = "postgres://u:sesame@h/d?x=y";
    assert_int_equal(rt_open(&rt, NULL), 0);
    assert_int_equal(pg_pool_open(rt, &o, &p, &err), ERR_INVALID);
    assert_null(p);
    rt_close(rt);
}

/* Names: localhost is looked up by the runtime; the second host is taken when the first fails. */
static void by_name(struct fixture *f) {
    assert_int_equal(pg_pool_await(f->pool, NULL), 0);
    assert_int_equal(number_of(f, "SELECT 6"), 6);
    assert_int_equal(number_of(f, "SELECT (NOT pg_is_in_recovery())::int"), 1);
}

static void to_names(struct fixture *f) {
    char *at = strstr(f->url, "127.0.0.1:");
    assert_non_null(at);
    char rest[512];
    snprintf(rest, sizeof(rest), "%s", at + strlen("127.0.0.1:"));
    snprintf(at, sizeof(f->url) - (size_t)(at - f->url),
             "127.0.0.1:1,localhost:%s?target_session_attrs=read-write", rest);
}

static void test_by_name(void **state) {
    (void)state;
    fixture_run(by_name, to_names);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),          cmocka_unit_test(test_cut_after_first),
        cmocka_unit_test(test_farewell),     cmocka_unit_test(test_before_ready),
        cmocka_unit_test(test_nonsense),     cmocka_unit_test(test_silent),
        cmocka_unit_test(test_never_speaks), cmocka_unit_test(test_terminated),
        cmocka_unit_test(test_refused),      cmocka_unit_test(bad_url),
        cmocka_unit_test(test_by_name),
    };
    return cmocka_run_group_tests_name("pg/loss", tests, NULL, NULL);
}
