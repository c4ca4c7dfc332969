/* SPDX-License-Identifier: Apache-2.0 */
/* test_mcp_config.c - which MCP servers are configured. Goal: both forms mean what other servers'
 * forms mean, names are distinct, and each fault is named by its place. Method: tables. */
#include "graphs/mcp_config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"

#define assert_str(a, z)                                                                           \
    do {                                                                                           \
        str got_ = (a);                                                                            \
        if (!str_eq(got_, str_of(z)))                                                              \
            fail_msg("\"" STR_FMT "\" is not \"%s\"", STR_ARG(got_), z);                           \
    } while (0)

static yyjson_val *parse(struct arena *a, const char *text) {
    yyjson_val *v;
    assert_int_equal(json_parse(a, str_of(text), &v, NULL), 0);
    return v;
}

static void test_addresses(void **state) {
    (void)state;
    static const struct {
        const char *json, *url, *token_url;
    } rows[] = {
        {"{\"servers\":[{\"url\":\"http://h\"}]}", "http://h/mcp", NULL},
        {"{\"servers\":[{\"url\":\"http://h/\"}]}", "http://h/mcp", NULL},
        {"{\"servers\":[{\"url\":\"https://h:1/base/?k=v\"}]}", "https://h:1/base/mcp?k=v", NULL},
        {"{\"servers\":[{\"url\":\"https://h/mcp/\"}]}", "https://h/mcp/", NULL},
        {"{\"servers\":[{\"endpoint\":\"https://h/sse\"}]}", "https://h/sse", NULL},
        {"{\"servers\":[{\"url\":\"https://h/x/mcp\",\"auth\":\"exchange\"}]}", "https://h/x/mcp",
         "https://h/x/oauth/token"},
        {"{\"servers\":[{\"url\":\"https://h\",\"auth\":\"exchange\",\"token_url\":\"https://i/"
         "t\"}]}",
         "https://h/mcp", "https://i/t"},
        {"{\"url\":\"https://h\",\"tools\":[\"a\"],\"auth_required\":true}", "https://h/mcp", NULL},
        {"{\"url\":\"https://h\",\"tools\":[\"a\"],\"servers\":[]}", "https://h/mcp", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena a;
        struct mcp_config c;
        struct err err = {0};
        arena_init(&a, 1 << 20);
        if (mcp_config_read(&a, parse(&a, rows[i].json), &c, &err) < 0)
            fail_msg("%s: %s", rows[i].json, err.message);
        assert_int_equal(c.count, 1);
        assert_str(c.servers[0].url, rows[i].url);
        assert_str(c.servers[0].token_url, rows[i].token_url);
        arena_deinit(&a);
    }
}

static void test_servers(void **state) {
    (void)state;
    struct arena a;
    struct mcp_config c;
    arena_init(&a, 1 << 20);
    yyjson_val *mcp =
        parse(&a, "{\"servers\":[{\"name\":\"x\",\"url\":\"http://a\"},{\"name\":\"x\",\"url\":"
                  "\"http://b\",\"tools\":[\"one\",\"two\"],\"auth_required\":true},{\"url\":"
                  "\"http://c\",\"tools\":null},{\"name\":\"x\",\"url\":\"http://d\",\"tools\":[],"
                  "\"headers\":{\"A\":\"b\"}},{\"url\":\"http://e\"}]}");
    assert_int_equal(mcp_config_read(&a, mcp, &c, NULL), 0);
    static const char *const names[] = {"x", "x-2", "mcp", "x-3", "mcp-2"};
    assert_int_equal(c.count, ARRAY_COUNT(names));
    for (size_t i = 0; i < c.count; i++)
        assert_str(c.servers[i].name, names[i]);
    assert_true(mcp_server_allows(&c.servers[0], STR("anything")));
    assert_true(mcp_server_allows(&c.servers[1], STR("two")));
    assert_false(mcp_server_allows(&c.servers[1], STR("three")));
    assert_true(mcp_server_allows(&c.servers[2], STR("anything")));
    assert_false(mcp_server_allows(&c.servers[3], STR("anything")));
    assert_true(c.servers[1].auth_required && !c.servers[0].auth_required);
    yyjson_val *configurable =
        parse(&a, "{\"mcp_config\":{\"servers\":[{},{\"headers\":{\"X\":\"y\"}}]}}");
    assert_null(mcp_config_headers(configurable, 0));
    assert_str(json_str(json_get(mcp_config_headers(configurable, 1), "X")), "y");
    configurable = parse(&a, "{\"mcp_config\":{\"url\":\"u\",\"headers\":{\"X\":\"z\"}}}");
    assert_str(json_str(json_get(mcp_config_headers(configurable, 0), "X")), "z");
    /* None. */
    static const char *const none[] = {"null",
                                       "{}",
                                       "{\"servers\":[]}",
                                       "{\"url\":\"\"}",
                                       "{\"url\":\"http://h\",\"tools\":[]}",
                                       "{\"servers\":null}"};
    for (size_t i = 0; i < ARRAY_COUNT(none); i++) {
        assert_int_equal(mcp_config_read(&a, parse(&a, none[i]), &c, NULL), 0);
        assert_int_equal(c.count, 0);
    }
    assert_int_equal(mcp_config_read(&a, NULL, &c, NULL), 0);
    arena_deinit(&a);
}

static void test_faults(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"7", "mcp_config: must be an object"},
        {"{\"servers\":{}}", "mcp_config.servers: must be an array"},
        {"{\"servers\":[7]}", "mcp_config.servers[0]: must be an object"},
        {"{\"servers\":[{\"url\":\"http://h\"},{\"url\":\"file:///x\"}]}", ".servers[1].url"},
        {"{\"servers\":[{\"url\":\"http://u:p@h\"}]}", ".servers[0].url"},
        {"{\"servers\":[{\"url\":\"http://h\\r\\nX: y\"}]}", ".servers[0].url"},
        {"{\"servers\":[{\"url\":\"http:///x\"}]}", ".servers[0].url"},
        {"{\"servers\":[{\"endpoint\":\"h\"}]}", ".servers[0].endpoint"},
        {"{\"servers\":[{\"url\":\"http://h\",\"name\":7}]}", ".servers[0].name"},
        {"{\"servers\":[{\"url\":\"http://h\",\"name\":\"a\\nb\"}]}", ".servers[0].name"},
        {"{\"servers\":[{\"url\":\"http://h\",\"tools\":[7]}]}", ".servers[0].tools"},
        {"{\"servers\":[{\"url\":\"http://h\",\"auth_required\":\"yes\"}]}", ".auth_required"},
        {"{\"servers\":[{\"url\":\"http://h\",\"auth\":\"magic\"}]}", ".servers[0].auth:"},
        {"{\"servers\":[{\"url\":\"http://h\",\"token_url\":\"x\"}]}", ".token_url"},
        {"{\"servers\":[{\"url\":\"http://h\",\"headers\":[]}]}", ".headers"},
        {"{\"url\":\"nowhere\"}", "mcp_config.url"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena a;
        struct mcp_config c;
        struct err err = {0};
        arena_init(&a, 1 << 20);
        int rc = mcp_config_read(&a, parse(&a, rows[i][0]), &c, &err);
        if (rc != ERR_INVALID || !strstr(err.message, rows[i][1]))
            fail_msg("%s: %d %s", rows[i][0], rc, err.message);
        arena_deinit(&a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_addresses),
                                       cmocka_unit_test(test_servers),
                                       cmocka_unit_test(test_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
