/* SPDX-License-Identifier: Apache-2.0 */
/* test_secrets.c - secrets of steps.
 *
 * Goal: only whom a scope is for gets it; values go where their hosts are; they are taken out in
 * every form that is promised, also when a text was cut in the middle of one; what cannot be meant
 * is refused, by a text that shows no value.
 * Method: configurations and texts. */
#include "plans/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define CONFIG                                                                                  \
    "{\"a\":{\"values\":{\"T\":\"pass\\\"word\",\"U\":\"pass\\\"word-longer\"}},"               \
    "\"b\":{\"values\":{\"V\":\"elsewhere1\"},\"owners\":[\"ann\"],\"tools\":[\"http\"],"       \
    "\"hosts\":\"x.org, y.org:81\"}}"

static struct arena arena;

static int of(const char *scope, const char *owner, const char *tool, struct plan_secrets *out) {
    yyjson_val *v;
    assert_int_equal(json_parse(&arena, str_of(scope), &v, NULL), 0);
    return plan_secrets_of(&arena, STR(CONFIG), v, str_of(owner), str_of(tool), out, NULL);
}

static void test_whom(void **state) {
    (void)state;
    struct plan_secrets s;
    assert_int_equal(of("\"a\"", "", "shell", &s), 0);
    assert_int_equal(s.count, 2);
    assert_int_equal(of("[\"a\",\"b\"]", "ann", "http", &s), 0);
    assert_int_equal(s.count, 3);
    assert_int_equal(of("[\"b\"]", "bob", "http", &s), ERR_INVALID);
    assert_int_equal(of("[\"b\"]", "ann", "shell", &s), ERR_INVALID);
    assert_int_equal(of("[\"c\"]", "ann", "http", &s), ERR_INVALID);
    assert_int_equal(of("[]", "ann", "http", &s), 0);
    assert_int_equal(s.count, 0);
}

static void expands(const char *text, const char *url, const char *wanted) {
    struct plan_secrets s;
    struct err err = {0};
    str out;
    assert_int_equal(of("[\"a\",\"b\"]", "ann", "http", &s), 0);
    int rc = plan_secrets_expand(&s, &arena, str_of(text), str_of(url), &out, &err);
    assert_int_equal(rc, wanted ? 0 : ERR_INVALID);
    if (wanted)
        assert_true(str_eq(out, str_of(wanted)));
    else
        assert_null(strstr(err.message, "elsewhere1"));
}

static void test_expand(void **state) {
    (void)state;
    expands("plain {{x}}", "http://z.org/", "plain {{x}}");
    expands("<{{secret.T}}{{secret.T}}>", "http://z.org/", "<pass\"wordpass\"word>");
    expands("{{secret.V}}", "https://x.org/a", "elsewhere1");
    expands("{{secret.V}}", "https://y.org:81/", "elsewhere1");
    expands("{{secret.V}}", "https://y.org/", NULL);
    expands("{{secret.V}}", "https://x.org:444/", NULL);
    expands("{{secret.V}}", "https://x.org.z.org/", NULL);
    expands("{{secret.N}}", "https://x.org/", NULL);
    expands("{{secret.T", "https://x.org/", NULL);
    expands("{{secret.}}", "https://x.org/", NULL);
}

static void redacts(const char *text, bool cut, const char *wanted) {
    struct plan_secrets s;
    assert_int_equal(of("\"a\"", "", "http", &s), 0);
    str got = plan_secrets_redact(&s, &arena, str_of(text), cut);
    assert_string_equal(arena_printf(&arena, STR_FMT, STR_ARG(got)).p, wanted);
}

static void test_redact(void **state) {
    (void)state;
    redacts("nothing", false, "nothing");
    redacts("a pass\"word b", false, "a [secret] b");
    redacts("pass\"word-longer", false, "[secret]");
    redacts("\"pass\\\"word\"", false, "\"[secret]\"");
    redacts("Basic cGFzcyJ3b3Jk=", false, "Basic [secret]=");
    redacts("pass\"wordpass\"word", false, "[secret][secret]");
    redacts("so far pass\"wo", true, "so far ");
    redacts("so far pass\"wo", false, "so far pass\"wo");
    redacts("so far p", true, "so far ");
    redacts("so far", true, "so far");
}

static void test_check(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "[]",
        "{\"a\":1}",
        "{\"a\":{\"values\":{\"N\":\"1234567\"}}}",
        "{\"a\":{\"values\":{\"1\":\"12345678\"}}}",
        "{\"a\":{\"values\":{},\"tools\":[1]}}",
        "{\"a\":{\"values\":{},\"hosts\":[]}}",
    };
    assert_int_equal(plan_secrets_check(STR(CONFIG), NULL), 0);
    assert_int_equal(plan_secrets_check(STR(""), NULL), 0);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct err err = {0};
        assert_int_equal(plan_secrets_check(str_of(wrong[i]), &err), ERR_INVALID);
        assert_null(strstr(err.message, "1234567"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whom),
        cmocka_unit_test(test_expand),
        cmocka_unit_test(test_redact),
        cmocka_unit_test(test_check),
    };
    arena_init(&arena, (size_t)16 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
