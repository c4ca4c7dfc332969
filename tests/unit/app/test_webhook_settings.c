/* SPDX-License-Identifier: Apache-2.0 */
/* test_webhook_settings.c - LANGGRAPH_WEBHOOKS. Goal: headers take only variables of the prefix,
 * the rules for addresses arrive, what cannot be meant is refused. Method: texts, variables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "app/webhook_settings.h"

static int read_text(const char *text, struct arena *a, struct delivery_options *out) {
    struct config c = {.webhook_allow = STR("10.0.0.1"), .webhook_config = str_of(text)};
    struct err err = {0};
    return webhook_settings(&c, a, out, &err);
}

static void test_headers(void **state) {
    (void)state;
    struct arena a;
    struct delivery_options o;
    arena_init(&a, 1 << 20);
    setenv("LG_WEBHOOK_A", "one", 1);
    setenv("MY_B", "two", 1);
    assert_int_equal(read_text("{\"headers\":{\"X\":\"<${{ env.LG_WEBHOOK_A }}|${{env.LG_WEBHOOK_A}"
                               "}>\",\"Y\":\"plain\"}}",
                               &a, &o),
                     0);
    assert_int_equal(o.header_count, 2);
    assert_string_equal(o.headers[0].value.p, "<one|one>");
    assert_string_equal(o.headers[1].value.p, "plain");
    assert_int_equal(
        read_text("{\"env_prefix\":\"MY_\",\"headers\":{\"X\":\"${{ env.MY_B }}\"}}", &a, &o), 0);
    assert_string_equal(o.headers[0].value.p, "two");
    static const char *const wrong[] = {
        "{\"headers\":{\"X\":\"${{ env.MY_B }}\"}}",
        "{\"headers\":{\"X\":\"${{ env.LG_WEBHOOK_NOT_SET }}\"}}",
        "{\"headers\":{\"X\":\"${{ secrets.LG_WEBHOOK_A }}\"}}",
        "{\"headers\":{\"X\":\"${{ env.LG_WEBHOOK_A\"}}",
        "{\"headers\":{\"X\":\"}} ${{\"}}",
        "{\"env_prefix\":\"\",\"headers\":{\"X\":\"${{ env.MY_B }}\"}}",
        "{\"headers\":{\"X\":7}}",
        "{\"headers\":[]}",
        "[]",
        "{"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_int_equal(read_text(wrong[i], &a, &o), ERR_INVALID);
    arena_deinit(&a);
}

static void test_rules(void **state) {
    (void)state;
    struct arena a;
    struct delivery_options o;
    arena_init(&a, 1 << 20);
    assert_int_equal(read_text("", &a, &o), 0);
    assert_true(str_eq(o.rules.allow, STR("10.0.0.1")));
    assert_int_equal(
        read_text("{\"url\":{\"require_https\":true,\"allowed_domains\":[\"a\",\"*.b\"],"
                  "\"allowed_ports\":[443,8443],\"max_url_length\":99}}",
                  &a, &o),
        0);
    assert_true(o.rules.require_https);
    assert_string_equal(o.rules.allowed_domains.p, "a,*.b");
    assert_string_equal(o.rules.allowed_ports.p, "443,8443");
    assert_int_equal(o.rules.url_bytes_max, 99);
    assert_true(str_eq(o.rules.allow, STR("10.0.0.1")));
    assert_int_equal(read_text("{\"url\":{\"disable_loopback\":false}}", &a, &o), 0);
    assert_true(str_starts(o.rules.allow, STR("self,127.0.0.0/8")));
    assert_true(str_ends(o.rules.allow, STR(",10.0.0.1")));
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_headers),
                                       cmocka_unit_test(test_rules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
