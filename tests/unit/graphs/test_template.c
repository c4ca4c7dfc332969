/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: texts with expressions: what is put in, where an expression ends, what is refused.
 * Method: texts rendered over one small document. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "graphs/template.h"

static int render(struct arena *a, const char *text, size_t max, str *out, struct err *err) {
    const struct template *t;
    yyjson_val *v;
    assert_int_equal(json_parse(a, STR("{\"a\":\"x{{b}}\",\"b\":[1,{\"c\":null}]}"), &v, NULL), 0);
    struct expr_value root = expr_of_json(v);
    int rc = template_compile(a, str_of(text), &t, err);
    return rc < 0 ? rc : template_render(t, &root, a, max, out, err);
}

static void expect(const char *text, const char *wanted) {
    struct arena a;
    struct err err = {0};
    str got;
    arena_init(&a, 1 << 20);
    if (render(&a, text, 1000, &got, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    assert_string_equal(got.p, wanted);
    arena_deinit(&a);
}

static void expect_error(const char *text, size_t max, int code, const char *message) {
    struct arena a;
    struct err err = {0};
    str got;
    arena_init(&a, 1 << 20);
    assert_int_equal(render(&a, text, max, &got, &err), code);
    assert_string_equal(err.message, message);
    arena_deinit(&a);
}

static void test_texts(void **state) {
    (void)state;
    expect("", "");
    expect("plain } } { {", "plain } } { {");
    expect("[{{ a }}] {{b}} {{ missing }}.", "[x{{b}}] [1,{\"c\":null}] .");
    expect("{{ b }}{{ b[0] }}{{b[1]}}", "[1,{\"c\":null}]1{\"c\":null}");
    expect("{{ {x: {y: a}}}}", "{\"x\":{\"y\":\"x{{b}}\"}}");
    expect("{{ 'a}}b' }}!", "a}}b!");
}

static void test_refusals(void **state) {
    (void)state;
    expect_error("a {{ b", 1000, ERR_MALFORMED, "\"{{\" without \"}}\"");
    expect_error("a {{ }} b", 1000, ERR_MALFORMED,
                 "an unexpected end (something is missing) at position 1 of the expression");
    expect_error("{{ length(a) }}{{ length(missing) }}", 1000, ERR_INVALID,
                 "length(): argument 1 is of the wrong kind: null");
    expect_error("{{ b }}", 5, ERR_TOO_LARGE, "the text is longer than 5 bytes");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
