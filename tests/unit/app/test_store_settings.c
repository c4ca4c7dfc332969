/* SPDX-License-Identifier: Apache-2.0 */
/* test_store_settings.c - how the long-term store works, by its options.
 *
 * Goal: what LANGGRAPH_STORE says counts, a single option replaces it, mistakes are named.
 * Method: config_load over argument vectors, then store_settings. */
#include "app/store_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static int settings(const char *document, const char *option, struct store_settings *out,
                    struct err *err) {
    char argv0[] = "serve", store[1024], other[64], *argv[] = {argv0, store, NULL, NULL};
    struct config c;
    (void)snprintf(store, sizeof(store), "--store=%s", document);
    (void)snprintf(other, sizeof(other), "%s", option ? option : "");
    argv[2] = option ? other : NULL;
    assert_int_equal(config_load(option ? 3 : 2, argv, &c, err), 0);
    int rc = store_settings(&c, out, err);
    config_deinit(&c);
    return rc;
}

static void test_ttl(void **state) {
    (void)state;
    struct store_settings s;
    static const char *const document =
        "{\"ttl\":{\"default_ttl\":1.5,\"refresh_on_read\":false,\"sweep_interval_minutes\":2}}";
    assert_int_equal(settings("", NULL, &s, NULL), 0);
    assert_true(s.items.ttl_minutes == 0 && !s.items.keep_ttl && s.sweep_us == 0);
    assert_int_equal(settings(document, NULL, &s, NULL), 0);
    assert_true(s.items.ttl_minutes == 1.5 && s.items.keep_ttl && s.sweep_us == 120000000);
    assert_int_equal(settings(document, "--store-ttl=0", &s, NULL), 0);
    assert_true(s.items.ttl_minutes == 0 && s.items.keep_ttl);
    assert_int_equal(settings(document, "--store-ttl-refresh=on", &s, NULL), 0);
    assert_true(!s.items.keep_ttl);
    assert_int_equal(settings(document, "--store-sweep-interval=0.1", &s, NULL), 0);
    assert_int_equal(s.sweep_us, 1000000);
}

static void test_embed(void **state) {
    (void)state;
    struct store_settings s;
    static const char *const document =
        "{\"index\":{\"embed\":\"openai:m-3\",\"dims\":8,\"fields\":[\"a.b\",\"c[*]\"]}}";
    assert_int_equal(settings("", NULL, &s, NULL), 0);
    assert_int_equal(s.embed.model.len, 0);
    assert_int_equal(settings(document, NULL, &s, NULL), 0);
    assert_true(s.embed.model.len == 3 && s.embed.dims == 8 && s.path_count == 2);
    assert_int_equal(settings(document, "--store-embed-fields=x", &s, NULL), 0);
    assert_int_equal(s.path_count, 1);
    assert_int_equal(settings(document, "--store-embed-dims=16", &s, NULL), 0);
    assert_int_equal(s.embed.dims, 16);
    assert_int_equal(settings("", "--store-embed=custom:m", &s, NULL), 0);
    assert_true(s.embed.model.len == 1 && s.embed.dims == 1536 && s.path_count == 1);
    assert_int_equal(settings("", "--store-embed=./e.py:fn", &s, NULL), ERR_INVALID);
    assert_int_equal(settings("", "--store-embed-fields=a..b", &s, NULL), ERR_INVALID);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *document, *text;
    } rows[] = {
        {"[]", "store (LANGGRAPH_STORE): must be a JSON object"},
        {"{\"tll\":{}}", "store (LANGGRAPH_STORE): tll is not known"},
        {"{\"ttl\":{\"default\":1}}", "store (LANGGRAPH_STORE): ttl.default is not known"},
        {"{\"index\":{\"embed\":\"./e.py:f\"}}",
         "store (LANGGRAPH_STORE): index.embed: ./e.py:f is not openai:MODEL or custom:MODEL"},
        {"{\"ttl\":1}", "store (LANGGRAPH_STORE): ttl: must be an object"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct store_settings s;
        struct err err = {0};
        assert_int_equal(settings(rows[i].document, NULL, &s, &err), ERR_INVALID);
        assert_string_equal(err.message, rows[i].text);
    }
    struct store_settings s;
    assert_int_equal(settings("{", NULL, &s, NULL), ERR_MALFORMED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ttl),
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
