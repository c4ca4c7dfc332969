/* SPDX-License-Identifier: Apache-2.0 */
/* test_config.c - the options of serve.
 *
 * Goal: precedence flag > environment > default; every kind's conversion and range; texts that name
 * the culprit and never show a secret; what several options say together.
 * Method: config_load over argument vectors and an environment cleared before each test. */
#include "app/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char *const variables[] = {
#define GROUP(title)
#define OPT(key, kind, env, fallback, min, max, help) env,
#include "options.def"
#undef OPT
#undef GROUP
};

static int clear_environment(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(variables); i++) {
        char z[512];
        (void)snprintf(z, sizeof(z), "%s", variables[i]);
        str names = str_of(z), name;
        while (!str_empty(names) && str_split_next(&names, ' ', &name)) {
            z[(size_t)(name.p - z) + name.len] = '\0';
            unsetenv(name.p);
        }
    }
    static const char *const platforms[] = {"AWS_LAMBDA_FUNCTION_NAME", "VERCEL", "NETLIFY",
                                            "K_SERVICE", "FUNCTION_TARGET",
                                            "AZURE_FUNCTIONS_ENVIRONMENT"};
    for (size_t i = 0; i < ARRAY_COUNT(platforms); i++)
        unsetenv(platforms[i]);
    return 0;
}

/* Loads "serve" followed by the arguments up to NULL. */
static int load(struct config *c, struct err *err, ...) {
    char *argv[16] = {(char *)"serve"};
    int argc = 1;
    va_list args;
    va_start(args, err);
    for (char *arg; (arg = va_arg(args, char *)) != NULL; argc++) {
        assert_true(argc < 15);
        argv[argc] = arg;
    }
    va_end(args);
    err_reset(err);
    return config_load(argc, argv, c, err);
}

#define assert_str(s, z)                           \
    do {                                           \
        assert_non_null((s).p);                    \
        assert_string_equal((s).p, z);             \
        assert_int_equal((s).len, strlen(z));      \
    } while (0)

/* Fails the test unless loading fails with the code and a message that holds the part. */
#define assert_refused(code_wanted, part, ...)                                       \
    do {                                                                             \
        struct config c_;                                                            \
        struct err e_;                                                               \
        assert_int_equal(load(&c_, &e_, __VA_ARGS__), code_wanted);                  \
        assert_int_equal(e_.code, code_wanted);                                      \
        if (!strstr(e_.message, part)) {                                             \
            fail_msg("\"%s\" does not hold \"%s\"", e_.message, part);               \
        }                                                                            \
    } while (0)

static void test_defaults(void **state) {
    (void)state;
    struct config c;
    struct err err;
    assert_int_equal(load(&c, &err, NULL), 0);
    assert_string_equal(c.listen_host, "127.0.0.1");
    assert_int_equal(c.listen_port, 2024);
    assert_str(c.data, "./holdfast-data");
    assert_false(c.ephemeral);
    assert_int_equal(c.drain_timeout_us, 10000000);
    assert_int_equal(c.log_level, LOG_INFO);
    assert_int_equal(c.error_format, CONFIG_ERROR_JSON);
    assert_int_equal(c.header_bytes_max, 16384);
    assert_int_equal(c.body_bytes_max, 16777216);
    assert_int_equal(c.heartbeat_us, 5000000);
    assert_int_equal(c.sqlite_synchronous, CONFIG_SYNCHRONOUS_FULL);
    assert_int_equal(c.history_compress, CONFIG_HISTORY_PLAIN);
    assert_int_equal(c.multitask_default, CONFIG_MULTITASK_ENQUEUE);
    assert_int_equal(c.graph_cache_ttl_ms, 300000);
    assert_str(c.model_name, "openai:gpt-4o-mini");
    assert_str(c.openai_base_url, "https://api.openai.com/v1");
    assert_null(secret_reveal(c.openai_api_key).p);
    assert_false(c.help_wanted);
    config_deinit(&c);
}

static void test_flag_over_environment_over_default(void **state) {
    (void)state;
    struct config c;
    struct err err;
    setenv("N_JOBS_PER_WORKER", "7", 1);
    assert_int_equal(load(&c, &err, NULL), 0);
    assert_int_equal(c.n_jobs, 7);
    config_deinit(&c);
    assert_int_equal(load(&c, &err, "--n-jobs", "8", NULL), 0);
    assert_int_equal(c.n_jobs, 8);
    config_deinit(&c);
    /* A bad variable matters only when it is used. */
    setenv("N_JOBS_PER_WORKER", "many", 1);
    assert_int_equal(load(&c, &err, "--n-jobs=9", NULL), 0);
    assert_int_equal(c.n_jobs, 9);
    config_deinit(&c);
    assert_refused(ERR_INVALID, "N_JOBS_PER_WORKER: \"many\" is not a whole number", NULL);
    setenv("N_JOBS_PER_WORKER", "", 1);
    assert_int_equal(load(&c, &err, NULL), 0);
    assert_int_equal(c.n_jobs, 1000);
    config_deinit(&c);
}

static void test_kinds(void **state) {
    (void)state;
    struct config c;
    struct err err;
    assert_int_equal(load(&c, &err, "--ephemeral", "--db-log-all=yes", "--body-bytes-max=32k",
                          "--drain-timeout=0.25", "--log-level=WARN", "--log-format=json",
                          "--sqlite-synchronous=normal", "--multitask-default=rollback",
                          "--cors-origin=", "--compress=gzip", NULL),
                     0);
    assert_true(c.ephemeral);
    assert_true(c.db_log_all);
    assert_int_equal(c.body_bytes_max, 32768);
    assert_int_equal(c.drain_timeout_us, 250000);
    assert_int_equal(c.log_level, LOG_WARN);
    assert_int_equal(c.log_format, CONFIG_LOG_JSON);
    assert_int_equal(c.sqlite_synchronous, CONFIG_SYNCHRONOUS_NORMAL);
    assert_int_equal(c.multitask_default, CONFIG_MULTITASK_ROLLBACK);
    assert_str(c.cors_origin, "");
    assert_int_equal(c.compress, 1);
    config_deinit(&c);
}

static void test_bytes_units(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {{"4096", 4096}, {"64K", 65536}, {"1m", 1048576}, {"1G", 1073741824}};
    struct config c;
    struct err err;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(load(&c, &err, "--body-bytes-max", cases[i].text, NULL), 0);
        assert_int_equal(c.body_bytes_max, cases[i].bytes);
        config_deinit(&c);
    }
    static const char *const bad[] = {"K", "1KB", "-1", "1.5M", "", "9999999999999999999", "1 K"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_refused(ERR_INVALID, "--body-bytes-max: ", "--body-bytes-max", bad[i], NULL);
    }
    /* Shifting must not wrap around into the range. */
    assert_refused(ERR_INVALID, "is not a number of bytes", "--body-bytes-max",
                   "17179869184G", NULL);
}

static void test_ranges(void **state) {
    (void)state;
    assert_refused(ERR_INVALID, "--n-jobs: 0 is outside of 1 to 1000000", "--n-jobs=0", NULL);
    assert_refused(ERR_INVALID, "outside of 0 to 3600", "--drain-timeout=3600.5", NULL);
    assert_refused(ERR_INVALID, "outside of 1 to 64", "--sqlite-readers=65", NULL);
    assert_refused(ERR_INVALID, "--drain-timeout: \"soon\" is not a number of seconds",
                   "--drain-timeout=soon", NULL);
    assert_refused(ERR_INVALID, "--drain-timeout", "--drain-timeout=nan", NULL);
    assert_refused(ERR_INVALID, "--ephemeral: must be true or false", "--ephemeral=maybe", NULL);
    assert_refused(ERR_INVALID, "must be one of debug|info|warn|error", "--log-level=loud", NULL);
    assert_refused(ERR_INVALID, "--data: must have 1 to 4000 bytes", "--data=", NULL);
}

static void test_usage_errors(void **state) {
    (void)state;
    assert_refused(ERR_INVALID, "unknown option --nonsense", "--nonsense", NULL);
    assert_refused(ERR_INVALID, "unknown option --nonsense=1", "--nonsense=1", NULL);
    assert_refused(ERR_INVALID, "--data needs a value", "--data", NULL);
    assert_refused(ERR_INVALID, "unexpected argument now", "now", NULL);
    struct config c;
    struct err err;
    assert_int_equal(load(&c, &err, "--help", NULL), 0);
    assert_true(c.help_wanted);
    config_deinit(&c);
}

static void test_listen(void **state) {
    (void)state;
    static const struct {
        const char *text, *host;
        int port;
    } cases[] = {{"0.0.0.0:80", "0.0.0.0", 80},
                 {"[::1]:2025", "::1", 2025},
                 {":0", "", 0},
                 {"localhost:65535", "localhost", 65535}};
    struct config c;
    struct err err;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_int_equal(load(&c, &err, "--listen", cases[i].text, NULL), 0);
        assert_string_equal(c.listen_host, cases[i].host);
        assert_int_equal(c.listen_port, cases[i].port);
        config_deinit(&c);
    }
    static const char *const bad[] = {"localhost", "a:65536", "a:-1",    "a:",
                                      "[::1]",     "[::1:80", "::1:80"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_refused(ERR_INVALID, "--listen: ", "--listen", bad[i], NULL);
    }
}

static void test_port_of_the_platform(void **state) {
    (void)state;
    struct config c;
    struct err err;
    setenv("PORT", "3000", 1);
    assert_int_equal(load(&c, &err, NULL), 0);
    assert_string_equal(c.listen_host, "127.0.0.1");
    assert_int_equal(c.listen_port, 3000);
    config_deinit(&c);
    setenv("HOLDFAST_LISTEN", "0.0.0.0:2024", 1);
    assert_int_equal(load(&c, &err, NULL), 0);
    assert_string_equal(c.listen_host, "0.0.0.0");
    assert_int_equal(c.listen_port, 3000);
    config_deinit(&c);
    assert_int_equal(load(&c, &err, "--listen=127.0.0.1:4000", NULL), 0);
    assert_int_equal(c.listen_port, 4000);
    config_deinit(&c);
    assert_int_equal(load(&c, &err, "--listen=127.0.0.1:4000", "--port=5000", NULL), 0);
    assert_int_equal(c.listen_port, 5000);
    config_deinit(&c);
}

static void test_model_and_urls(void **state) {
    (void)state;
    struct config c;
    struct err err;
    setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1//", 1);
    setenv("MODEL_NAME", "anthropic:claude", 1);
    assert_int_equal(load(&c, &err, NULL), 0);
    assert_str(c.openai_base_url, "http://127.0.0.1:11434/v1");
    assert_str(c.model_name, "anthropic:claude");
    config_deinit(&c);
    assert_refused(ERR_INVALID, "--openai-base-url: must start with http:// or https://",
                   "--openai-base-url=ftp://x", NULL);
}

static void test_database_urls(void **state) {
    (void)state;
    static const char *const good[] = {"postgres://u:hunter2@h/db", "postgresql:///db?host=/tmp",
                                       "host=h user=u password=hunter2", ""};
    struct config c;
    struct err err;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        setenv("DATABASE_URL", good[i], 1);
        assert_int_equal(load(&c, &err, NULL), 0);
        config_deinit(&c);
    }
    setenv("DATABASE_URL", "postgres:///db", 1);
    assert_refused(ERR_INVALID, "DATABASE_URL and ephemeral exclude each other", "--ephemeral",
                   NULL);
    setenv("DATABASE_URL", "mysql://u:hunter2@h/db", 1);
    assert_refused(ERR_INVALID, "DATABASE_URL: unknown kind of database", NULL);
    unsetenv("DATABASE_URL");
    assert_refused(ERR_UNSUPPORTED, "--workers: more than one process needs PostgreSQL",
                   "--workers=2", NULL);
}

/* Several variables of one option, and units that the name does not tell. */
static void test_pool_variables(void **state) {
    (void)state;
    struct config c;
    struct err err;
    setenv("DB_POOL_SIZE", "7", 1);
    assert_int_equal(load(&c, &err, NULL), 0);
    assert_int_equal(c.database_pool_max, 7);
    config_deinit(&c);
    setenv("DB_POOL_MAX", "8", 1);
    setenv("DATABASE_POOL_MIN_SIZE", "3", 1);
    setenv("DATABASE_POOL_TIMEOUT", "2.5", 1);
    setenv("DB_IDLE_TIMEOUT", "30000", 1);
    setenv("DB_CONNECT_TIMEOUT", "4", 1);
    assert_int_equal(load(&c, &err, NULL), 0);
    assert_int_equal(c.database_pool_max, 8);
    assert_int_equal(c.database_pool_min, 3);
    assert_int_equal(c.database_pool_timeout_us, 2500000);
    assert_int_equal(c.database_idle_timeout_us, 30000000);
    assert_int_equal(c.database_connect_timeout_us, 4000000);
    config_deinit(&c);
    setenv("DATABASE_POOL_MAX_SIZE", "9", 1);
    assert_int_equal(load(&c, &err, NULL), 0);
    assert_int_equal(c.database_pool_max, 9);
    config_deinit(&c);
    assert_int_equal(load(&c, &err, "--database-pool-max=2", "--database-pool-min=1", NULL), 0);
    assert_int_equal(c.database_pool_max, 2);
    config_deinit(&c);
    setenv("DATABASE_POOL_MAX_SIZE", "many", 1);
    assert_refused(ERR_INVALID, "DATABASE_POOL_MAX_SIZE: \"many\" is not a whole number", NULL);
    unsetenv("DATABASE_POOL_MAX_SIZE");
    setenv("DB_POOL_MAX", "-1", 1);
    assert_refused(ERR_INVALID, "DB_POOL_MAX: -1 is outside", NULL);
    setenv("DB_POOL_MAX", "2", 1);
    setenv("DATABASE_URL", "postgres://h/db", 1);
    assert_refused(ERR_INVALID, "DATABASE_POOL_MIN_SIZE: is more than the pool may have, 2", NULL);
}

static void test_secrets_stay_secret(void **state) {
    (void)state;
    struct config c;
    struct err err;
    setenv("OPENAI_API_KEY", "sk-verysecret", 1);
    assert_int_equal(load(&c, &err, NULL), 0);
    assert_str(secret_reveal(c.openai_api_key), "sk-verysecret");
    config_deinit(&c);

    setenv("DATABASE_URL", "mysql://u:hunter2@h/db", 1);
    assert_int_equal(load(&c, &err, NULL), ERR_INVALID);
    assert_null(strstr(err.message, "hunter2"));
    unsetenv("DATABASE_URL");

    static char long_key[4200];
    memset(long_key, 'k', sizeof(long_key) - 1);
    setenv("OPENAI_API_KEY", long_key, 1);
    assert_int_equal(load(&c, &err, NULL), ERR_INVALID);
    assert_string_equal(err.message, "OPENAI_API_KEY: must have 0 to 4000 bytes");
}

static void test_output_only_on_success(void **state) {
    (void)state;
    struct config c = {.listen_port = -5};
    struct err err;
    assert_int_equal(load(&c, &err, "--n-jobs=0", NULL), ERR_INVALID);
    assert_int_equal(c.listen_port, -5);
    assert_int_equal(load(&c, NULL, "--n-jobs=0", NULL), ERR_INVALID);
}

static void test_help_lists_every_option(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    config_help(&text);
    buf_char(&text, '\0');
    assert_true(buf_ok(&text));
#define GROUP(title) assert_non_null(strstr(text.p, "\n" title "\n"));
#define OPT(key, kind, env, fallback, min, max, help)        \
    assert_non_null(strstr(text.p, env[0] ? "  $" env : "")); \
    assert_non_null(strstr(text.p, help));
#include "options.def"
#undef OPT
#undef GROUP
    assert_non_null(strstr(text.p, "  --drain-timeout SECONDS  [10]  $HOLDFAST_DRAIN_TIMEOUT\n"));
    assert_non_null(strstr(text.p, "  --ephemeral[=true|false]"));
    buf_deinit(&text);
}

static void test_workers(void **state) {
    (void)state;
    assert_refused(ERR_INVALID, "--listen: several processes need a port", "--workers", "2",
                   "--listen", "127.0.0.1:0", NULL);
    static const char *const with_port[] = {"10.0.0.1:7", "[::1]:7"},
                            *const without[] = {"10.0.0.1", "::1", "fe80::7:8"};
    setenv("DATABASE_URL", "postgres://127.0.0.1/x", 1);
    for (size_t i = 0; i < ARRAY_COUNT(with_port); i++)
        assert_refused(ERR_INVALID, "--peer-address: several processes take ports", "--workers",
                       "2", "--peer-address", with_port[i], NULL);
    for (size_t i = 0; i < ARRAY_COUNT(without); i++) {
        struct config c;
        struct err err;
        assert_int_equal(load(&c, &err, "--workers", "2", "--peer-address", without[i], NULL), 0);
        config_deinit(&c);
    }
    unsetenv("DATABASE_URL");
}

/* A flag that may be given several times: a line each, in place of those of the variable. */
static void test_list(void **state) {
    (void)state;
    struct config c;
    struct err err;
    setenv("HOLDFAST_RUNNERS", "a=one\nb=two", 1);
    assert_int_equal(load(&c, &err, NULL), 0);
    assert_str(c.runner, "a=one\nb=two");
    config_deinit(&c);
    assert_int_equal(load(&c, &err, "--runner", "x=1", "--runner=y=2 3", NULL), 0);
    assert_str(c.runner, "x=1\ny=2 3");
    config_deinit(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, clear_environment),
        cmocka_unit_test_setup(test_flag_over_environment_over_default, clear_environment),
        cmocka_unit_test_setup(test_kinds, clear_environment),
        cmocka_unit_test_setup(test_bytes_units, clear_environment),
        cmocka_unit_test_setup(test_list, clear_environment),
        cmocka_unit_test_setup(test_ranges, clear_environment),
        cmocka_unit_test_setup(test_usage_errors, clear_environment),
        cmocka_unit_test_setup(test_listen, clear_environment),
        cmocka_unit_test_setup(test_port_of_the_platform, clear_environment),
        cmocka_unit_test_setup(test_model_and_urls, clear_environment),
        cmocka_unit_test_setup(test_workers, clear_environment),
        cmocka_unit_test_setup(test_database_urls, clear_environment),
        cmocka_unit_test_setup(test_pool_variables, clear_environment),
        cmocka_unit_test_setup(test_secrets_stay_secret, clear_environment),
        cmocka_unit_test_setup(test_output_only_on_success, clear_environment),
        cmocka_unit_test_setup(test_help_lists_every_option, clear_environment),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
