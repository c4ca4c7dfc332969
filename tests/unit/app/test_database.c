/* SPDX-License-Identifier: Apache-2.0 */
/* test_database.c - the pool that a configuration asks for.
 *
 * Goal: each profile's numbers, the platforms that are noticed, what replaces what.
 * Method: a table of environments and flags against the numbers; config_load reads them as the
 * server does. */
#include "app/database.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct row {
    const char *env[4][2]; /* up to the first NULL */
    const char *flag;
    const char *profile;
    size_t max, min;
    int64_t idle_s, connect_s, acquire_ms;
};
static const struct row table[] = {
    {.profile = "standard",
     .max = 10,
     .min = 2,
     .idle_s = 300,
     .connect_s = 5,
     .acquire_ms = 10000},
    {.flag = "--database-profile=gateway",
     .profile = "gateway",
     .max = 20,
     .idle_s = 30,
     .connect_s = 5,
     .acquire_ms = 10000},
    {.flag = "--database-profile=checkpointer",
     .profile = "checkpointer",
     .max = 20,
     .min = 2,
     .idle_s = 30,
     .connect_s = 5,
     .acquire_ms = 10000},
    {.env = {{"AWS_LAMBDA_FUNCTION_NAME", "f"}},
     .profile = "serverless",
     .max = 1,
     .idle_s = 30,
     .connect_s = 5,
     .acquire_ms = 10000},
    {.env = {{"VERCEL", "1"}},
     .profile = "serverless",
     .max = 1,
     .idle_s = 30,
     .connect_s = 5,
     .acquire_ms = 10000},
    {.env = {{"K_SERVICE", "s"}},
     .profile = "serverless",
     .max = 1,
     .idle_s = 30,
     .connect_s = 5,
     .acquire_ms = 10000},
    /* what is said explicitly wins over what is noticed */
    {.env = {{"K_SERVICE", "s"}},
     .flag = "--database-profile=standard",
     .profile = "standard",
     .max = 10,
     .min = 2,
     .idle_s = 300,
     .connect_s = 5,
     .acquire_ms = 10000},
    {.env = {{"VERCEL", "1"}, {"DB_POOL_SIZE", "4"}},
     .profile = "serverless",
     .max = 4,
     .idle_s = 30,
     .connect_s = 5,
     .acquire_ms = 10000},
    {.env = {{"HOLDFAST_DATABASE_PROFILE", "gateway"},
             {"DB_POOL_MAX", "30"},
             {"DB_IDLE_TIMEOUT", "10000"},
             {"DB_CONNECT_TIMEOUT", "2000"}},
     .profile = "gateway",
     .max = 30,
     .idle_s = 10,
     .connect_s = 2,
     .acquire_ms = 10000},
    {.env = {{"DATABASE_POOL_MAX_SIZE", "12"},
             {"DB_POOL_MAX", "30"},
             {"DATABASE_POOL_MIN_SIZE", "0"},
             {"DATABASE_POOL_TIMEOUT", "2.5"}},
     .profile = "standard",
     .max = 12,
     .min = 0,
     .idle_s = 300,
     .connect_s = 5,
     .acquire_ms = 2500},
    /* a least number beyond the profile's most is cut to it */
    {.env = {{"VERCEL", "1"}, {"DATABASE_POOL_MIN_SIZE", "3"}},
     .profile = "serverless",
     .max = 1,
     .min = 1,
     .idle_s = 30,
     .connect_s = 5,
     .acquire_ms = 10000},
};

static void test_profiles(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        const struct row *row = &table[i];
        char *argv[] = {(char *)"serve", (char *)(row->flag ? row->flag : "--debug-api=false")};
        struct config c;
        struct err err = {0};
        for (size_t e = 0; e < ARRAY_COUNT(row->env) && row->env[e][0]; e++)
            setenv(row->env[e][0], row->env[e][1], 1);
        int rc = config_load(2, argv, &c, &err);
        for (size_t e = 0; e < ARRAY_COUNT(row->env) && row->env[e][0]; e++)
            unsetenv(row->env[e][0]);
        assert_int_equal(rc, 0);
        struct db_postgres_options o;
        db_postgres_options_default(&o);
        const char *profile = database_options(&c, &o);
        print_message("row %zu\n", i);
        assert_string_equal(profile, row->profile);
        assert_int_equal(o.pool.connections_max, row->max);
        assert_int_equal(o.pool.connections_min, row->min);
        assert_int_equal(o.pool.idle_timeout_us, row->idle_s * 1000000);
        assert_int_equal(o.pool.connect_timeout_us, row->connect_s * 1000000);
        assert_int_equal(o.pool.acquire_timeout_us, row->acquire_ms * 1000);
        config_deinit(&c);
    }
}

/* Memory is for whom configures no database, and for nobody else. */
static void test_remote_only_with_a_url(void **state) {
    (void)state;
    char *argv[] = {(char *)"serve", (char *)"--ephemeral"};
    struct config c;
    struct err err = {0};
    assert_int_equal(config_load(2, argv, &c, &err), 0);
    assert_false(database_is_remote(&c));
    config_deinit(&c);
    setenv("DATABASE_URL", "postgres://127.0.0.1/x", 1);
    assert_int_equal(config_load(1, argv, &c, &err), 0);
    assert_true(database_is_remote(&c));
    config_deinit(&c);
    unsetenv("DATABASE_URL");
}

int main(void) {
    static const char *const mine[] = {
        "DATABASE_URL",          "VERCEL", "NETLIFY", "K_SERVICE", "DB_POOL_SIZE", "DB_POOL_MAX",
        "DATABASE_POOL_MAX_SIZE"};
    for (size_t i = 0; i < ARRAY_COUNT(mine); i++)
        unsetenv(mine[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_remote_only_with_a_url),
    };
    return cmocka_run_group_tests_name("database", tests, NULL, NULL);
}
