/* SPDX-License-Identifier: Apache-2.0 */
/* test_summary_settings.c - which model sums up conversations, by its options.
 *
 * Goal: each provider has its own address and key; a name without provider is openai's; what names
 * no model is refused. Method: config_load over argument vectors, then summary_settings. */
#include "app/summary_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_models(void **state) {
    static const struct {
        const char *name, *provider, *model, *key;
    } rows[] = {
        {"some-model", "openai", "some-model", "k-openai"},
        {"openai:m:1", "openai", "m:1", "k-openai"},
        {"custom:m", "custom", "m", "k-custom"},
        {"anthropic:m", "anthropic", "m", "k-anthropic"},
        {"google_genai:m", "google_genai", "m", "k-google"},
        {"google_vertexai:m", "google_vertexai", "m", "k-vertex"},
        {"nobody:m", NULL, NULL, NULL},
        {"openai:", NULL, NULL, NULL},
        {":m", NULL, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char model[100], argv0[] = "serve", window[] = "--summary-window=1000",
                         a[] = "--openai-api-key=k-openai", b[] = "--custom-api-key=k-custom",
                         c[] = "--anthropic-api-key=k-anthropic", d[] = "--google-api-key=k-google",
                         e[] = "--vertexai-api-key=k-vertex";
        char *argv[] = {argv0, model, window, a, b, c, d, e, NULL};
        struct config config;
        struct summaries_options o;
        struct err err = {0};
        (void)snprintf(model, sizeof(model), "--summary-model=%s", rows[i].name);
        assert_int_equal(config_load(8, argv, &config, &err), 0);
        int rc = summary_settings(&config, &o, &err);
        assert_int_equal(rc, rows[i].provider ? 0 : ERR_INVALID);
        if (rc == 0) {
            assert_true(str_eq(o.model.provider, str_of(rows[i].provider)));
            assert_true(str_eq(o.model.model, str_of(rows[i].model)));
            assert_true(str_eq(o.model.api_key, str_of(rows[i].key)));
            assert_true(o.model.base_url.len > 0 && o.window_tokens == 1000);
        }
        config_deinit(&config);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
