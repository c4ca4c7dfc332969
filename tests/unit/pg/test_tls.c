/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: everything works over TLS, and a server whose certificate is not what was asked for is
 * refused. Method: a server with a certificate for `localhost`, its authority and a stranger's. */
#include "fixture.h"

#include "base/rand.h"

static const char *mode, *host, *authority;

static void target(struct fixture *f) {
    char rest[512];
    char *at = strstr(f->url, "127.0.0.1:");
    assert_non_null(at);
    snprintf(rest, sizeof(rest), "%s", at + strlen("127.0.0.1"));
    snprintf(at, sizeof(f->url) - (size_t)(at - f->url), "%s%s?sslmode=%s%s%s", host, rest, mode,
             authority ? "&sslrootcert=" : "", authority ? authority : "");
    f->o.connect_timeout_us = 1000000;
}

static int length_back(struct pg_work *w, size_t index, const struct pg_result *r,
                       struct err *err) {
    str *sent = w->ctx;
    (void)index;
    (void)err;
    assert_true(str_eq(pg_cell_text(r, 0, 0), *sent));
    return 0;
}

static void ask(void *arg) {
    struct fixture *f = arg;
    for (int i = 0; i < 10; i++)
        assert_int_equal(number_of(f, "SELECT 11"), 11);
}

static void works(struct fixture *f) {
    struct err err = {0};
    int rc = pg_pool_await(f->pool, &err);
    if (rc != 0)
        print_error("%s\n", err.message);
    assert_int_equal(rc, 0);
    assert_int_equal(number_of(f, "SELECT ssl::int FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
                     1);
    struct fiber_group g;
    fiber_group_init(&g);
    for (int i = 0; i < 200; i++)
        assert_int_equal(fiber_group_spawn(&g, f->rt, "ask", ask, f, NULL), 0);
    fiber_group_wait(&g);
    str bytes = {arena_alloc(&f->arena, 16u << 20), 16u << 20};
    rand_bytes((char *)bytes.p, bytes.len);
    struct pg_param p = pg_bytea(bytes);
    struct pg_call call = {"blob", "SELECT $1", &p, 1};
    struct pg_work w = {.calls = &call, .call_count = 1, .result = length_back, .ctx = &bytes};
    assert_int_equal(pg_pool_run(f->pool, &w, &err), 0);
    assert_int_equal(w.code, 0);
    struct one o;
    assert_int_equal(one_run(f, &o, "SELECT pg_sleep(30)", NULL, 0), ERR_TIMEOUT);
    assert_int_equal(o.w.outcome, PG_ROLLED_BACK);
}

static void refused(struct fixture *f) {
    struct err err = {0};
    assert_int_equal(pg_pool_await(f->pool, &err), ERR_UNAVAILABLE);
    if (!strstr(err.message, "certificate"))
        print_error("%s\n", err.message);
    assert_non_null(strstr(err.message, "certificate"));
}

static void short_statements(struct fixture *f) {
    target(f);
    f->o.statement_timeout_us = 2000000;
}

static void test_require(void **state) {
    (void)state;
    mode = "require";
    host = "127.0.0.1";
    authority = NULL;
    fixture_run(works, short_statements);
}

static void test_verify_full(void **state) {
    (void)state;
    mode = "verify-full";
    host = "localhost"; /* looked up by us, checked by name */
    authority = getenv("HF_TEST_TLS_CA");
    assert_non_null(authority);
    fixture_run(works, short_statements);
}

static void test_wrong_authority(void **state) {
    (void)state;
    mode = "verify-full";
    host = "localhost";
    authority = getenv("HF_TEST_TLS_OTHER_CA");
    fixture_run(refused, target);
    mode = "verify-ca";
    fixture_run(refused, target);
}

static void test_wrong_name(void **state) {
    (void)state;
    mode = "verify-full";
    host = "127.0.0.1";
    authority = getenv("HF_TEST_TLS_CA");
    fixture_run(refused, target);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_require),
        cmocka_unit_test(test_verify_full),
        cmocka_unit_test(test_wrong_authority),
        cmocka_unit_test(test_wrong_name),
    };
    return cmocka_run_group_tests_name("pg/tls", tests, NULL, NULL);
}
