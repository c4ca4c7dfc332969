/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: connection strings mean what libpq says, hosts get their addresses, and no text shows a
 * password. Method: a table of strings with what libpq is handed; a resolver of the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pg/conninfo_int.h"
#include "pg/pg_int.h"

static int resolve(struct rt *rt, str host, struct rt_address *out, size_t cap, size_t *out_count,
                   struct err *err) {
    (void)rt;
    assert_true(cap >= 2);
    if (str_eq(host, STR("nowhere")))
        return err_set(err, ERR_NOT_FOUND, "unknown name");
    out[0] = (struct rt_address){.text = "192.0.2.1"};
    out[1] = (struct rt_address){.text = "2001:db8::1", .v6 = true};
    *out_count = str_eq(host, STR("two")) ? 2 : 1;
    return 0;
}

static const char *value(const struct pg_target *t, const char *keyword) {
    const char *found = NULL;
    for (size_t i = 0; t->keywords[i]; i++)
        if (strcmp(t->keywords[i], keyword) == 0) {
            assert_null(found); /* once */
            found = t->values[i];
        }
    return found;
}

static void read_strings(void **state) {
    (void)state;
    static const struct {
        const char *url, *keyword, *want; /* NULL: not set */
    } table[] = {
        {"postgresql://u:p@h:5433/d", "user", "u"},
        {"postgresql://u:p@h:5433/d", "password", "p"},
        {"postgresql://u:p@h:5433/d", "port", "5433"},
        {"postgresql://u:p@h:5433/d", "dbname", "d"},
        {"postgres://u:p@h/d", "host", "h"},
        {"postgres://u:p@h/d", "hostaddr", "192.0.2.1"},
        {"postgres://u%40x:p%2F%3A%25%20%C3%A4@h/d%3Fe", "user", "u@x"},
        {"postgres://u%40x:p%2F%3A%25%20%C3%A4@h/d%3Fe", "password", "p/:% ä"},
        {"postgres://u%40x:p%2F%3A%25%20%C3%A4@h/d%3Fe", "dbname", "d?e"},
        {"postgres://[2001:db8::2]:6000/d", "host", "2001:db8::2"},
        {"postgres://[2001:db8::2]:6000/d", "hostaddr", NULL},
        {"postgres://[2001:db8::2]:6000,named:6001/d", "hostaddr", "2001:db8::2,192.0.2.1"},
        {"postgres://127.0.0.1/d", "hostaddr", NULL},
        {"postgres://two,one:7000/d?target_session_attrs=read-write", "host", "two,two,one"},
        {"postgres://two,one:7000/d?target_session_attrs=read-write", "hostaddr",
         "192.0.2.1,2001:db8::1,192.0.2.1"},
        {"postgres://two:6999,one:7000/d", "port", "6999,6999,7000"},
        {"postgres://two,one/d?port=7001", "port", "7001,7001,7001"},
        {"postgres://nowhere:1,one:2/d", "port", "2"},
        {"host=/tmp,one port=1,2", "host", "/tmp,one"},
        {"host=/tmp,one port=1,2", "hostaddr", ",192.0.2.1"},
        {"postgresql:///d?host=/var/run", "host", "/var/run"},
        {"postgresql://%2Fvar%2Frun/d", "host", "/var/run"},
        {"host=h password='a \\'b\\\\ c' dbname = d", "password", "a 'b\\ c"},
        {"postgres://h/d?sslmode=verify-full&sslrootcert=/x.pem", "sslmode", "verify-full"},
        {"postgres://h/d?sslmode=verify-full&sslrootcert=/x.pem", "sslrootcert", "/x.pem"},
        {"postgres://h/d?application_name=mine", "application_name", "mine"},
        {"postgres://h/d", "application_name", "holdfast"},
        {"postgres://h/d?keepalives_idle=7", "keepalives_idle", "7"},
        {"postgres://h/d", "keepalives_idle", "30"},
        {"postgres://h/d", "gssencmode", "disable"},
        {"postgres://h/d", "client_encoding", "UTF8"},
        {"postgres://h/d?options=-csearch_path%3Dx", "options", "-csearch_path=x"},
        {"postgres://h/d", "options", NULL}, /* poolers refuse it */
        {"host=h hostaddr=10.0.0.1", "hostaddr", "10.0.0.1"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        struct pg_conninfo *info = NULL;
        struct pg_target *t = NULL;
        struct err err = {0};
        int rc = pg_conninfo_parse(table[i].url, "holdfast", &info, &err);
        if (rc != 0)
            print_error("%s: %s\n", table[i].url, err.message);
        assert_int_equal(rc, 0);
        assert_int_equal(pg_conninfo_target(info, NULL, resolve, &t, &err), 0);
        const char *got = value(t, table[i].keyword);
        if (!table[i].want != !got || (got && strcmp(got, table[i].want) != 0))
            print_error("%s: %s is %s\n", table[i].url, table[i].keyword, got ? got : "not set");
        assert_true(!table[i].want == !got && (!got || strcmp(got, table[i].want) == 0));
        pg_target_free(t);
        pg_conninfo_free(info);
    }
}

static void refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "postgres://u:sesame@h/d?sslmode=sometimes",
        "postgres://u:sesame@h/d?nonsense=sesame",
        "postgres://u:sesame%zz@h/d",
        "postgres://u:sesame@[::1/d",
        "password=a sesame host=h",
        "host=h password='sesame",
        "postgres://u:sesame@h/d?target_session_attrs=any-day",
        "postgres://u:sesame@h/d?gssencmode=require",
        "postgres://u:sesame@a,b,c/d?port=1,2",
        "http://u:sesame@h/d",
        "sesame",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct pg_conninfo *info = NULL;
        struct err err = {0};
        assert_int_equal(pg_conninfo_parse(bad[i], "x", &info, &err), ERR_INVALID);
        if (strstr(err.message, "sesame"))
            print_error("%s: %s\n", bad[i], err.message);
        assert_null(strstr(err.message, "sesame"));
        assert_true(strlen(err.message) > 20);
    }
}

static void no_host_left(void **state) {
    (void)state;
    struct pg_conninfo *info = NULL;
    struct pg_target *t = NULL;
    struct err err = {0};
    assert_int_equal(pg_conninfo_parse("postgres://u:sesame@nowhere/d", "x", &info, &err), 0);
    assert_true(pg_conninfo_names(info));
    assert_int_equal(pg_conninfo_target(info, NULL, resolve, &t, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.message, "nowhere"));
    pg_conninfo_redact(info, "could not use sesame:\n\tsesame is wrong\n", &err);
    assert_string_equal(err.message, "could not use ***:; *** is wrong");
    pg_conninfo_free(info);
}

static void refusals(void **state) {
    (void)state;
#define AT  "connection to server at \"192.0.2.1\", port 5432 failed: "
#define AT2 "connection to server at \"192.0.2.2\", port 5432 failed: "
    static const struct {
        const char *text, *plain;
        bool final;
    } cases[] = {
        {AT "FATAL:  28P01: password authentication failed for user \"u\"\n"
            "LOCATION:  auth_failed, auth.c:335\n",
         AT "FATAL: password authentication failed for user \"u\"\n", true},
        {AT "FATAL:  3D000: database \"d\" does not exist\n",
         AT "FATAL: database \"d\" does not exist\n", true},
        {AT "FATAL:  57P03: the database system is starting up\n",
         AT "FATAL: the database system is starting up\n", false},
        {AT "FATAL:  53300: sorry, too many clients already\n",
         AT "FATAL: sorry, too many clients already\n", false},
        {AT "Connection refused\n\tIs the server running on that host?\n",
         AT "Connection refused\n\tIs the server running on that host?\n", false},
        {AT "server does not support SSL, but SSL was required\n",
         AT "server does not support SSL, but SSL was required\n", true},
        {AT "SSL error: certificate verify failed\n", AT "SSL error: certificate verify failed\n",
         true},
        {AT "fe_sendauth: no password supplied\n", AT "fe_sendauth: no password supplied\n", true},
        /* another host may come back */
        {AT "Connection refused\n" AT2 "FATAL:  28000: role \"u\" does not exist\n",
         AT "Connection refused\n" AT2 "FATAL: role \"u\" does not exist\n", false},
        {AT "FATAL:  28P01: no\n" AT2 "FATAL:  28P01: no\n", AT "FATAL: no\n" AT2 "FATAL: no\n",
         true},
        {"", "", false},
        {"FATAL:  28P01", "FATAL:  28P01\n", false}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct buf b;
        buf_init(&b, 4096);
        assert_int_equal(pg_connect_refused(cases[i].text, &b), cases[i].final);
        buf_char(&b, '\0');
        assert_string_equal(b.p, cases[i].plain);
        buf_deinit(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_strings),
        cmocka_unit_test(refused),
        cmocka_unit_test(no_host_left),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("pg/conninfo", tests, NULL, NULL);
}
