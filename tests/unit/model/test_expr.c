/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: beyond the compliance suite: texts of errors, limits, exact numbers, lazy members, and the
 * functions that are not JMESPath's.
 * Method: expressions on small documents, results compared as JSON texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "model/expr.h"

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)256 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static int evaluate(const char *given, const char *text, const struct expr_limits *limits, str *out,
                    struct err *err) {
    const struct expr *e;
    yyjson_val *v;
    struct expr_value value;
    assert_int_equal(json_parse(&arena, str_of(given), &v, NULL), 0);
    struct expr_value root = expr_of_json(v);
    int rc = expr_compile(&arena, str_of(text), &e, err);
    if (rc == 0)
        rc = expr_eval(e, &root, &arena, limits, &value, err);
    return rc < 0 ? rc : expr_json(&arena, &value, 1 << 20, out, err);
}

static void expect(const char *given, const char *text, const char *wanted) {
    str got;
    struct err err = {0};
    if (evaluate(given, text, NULL, &got, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    if (!str_eq(got, str_of(wanted)))
        fail_msg("%s is %.*s, not %s", text, STR_ARG(got), wanted);
}

static void expect_error(const char *given, const char *text, int code, const char *message) {
    str got;
    struct err err = {0};
    assert_int_equal(evaluate(given, text, NULL, &got, &err), code);
    assert_int_equal(err.code, code);
    assert_string_equal(err.message, message);
}

static void test_errors(void **state) {
    (void)state;
    expect_error("{}", "a.", ERR_MALFORMED,
                 "a name, \"*\", \"[\" or \"{\" is expected at position 2 of the expression");
    expect_error("{}", "", ERR_MALFORMED,
                 "an unexpected end (something is missing) at position 0 of the expression");
    expect_error("{}", "a ; b", ERR_MALFORMED,
                 "an unexpected character at position 2 of the expression");
    expect_error("{}", "a b", ERR_MALFORMED,
                 "an operator or the end is expected at position 2 of the expression");
    expect_error("{}", "'abc", ERR_MALFORMED,
                 "a string without an end begins at position 0 of the expression");
    expect_error("{}", "`{a`", ERR_MALFORMED,
                 "a literal that is no JSON value at position 0 of the expression");
    expect_error("{}", "&a", ERR_MALFORMED,
                 "an expression is expected at position 0 of the expression");
    expect_error("{}", "@(a)", ERR_MALFORMED,
                 "an operator or the end is expected at position 1 of the expression");
    expect_error("{}", "\"length\"(a)", ERR_MALFORMED,
                 "the name of a function must not be quoted; a \"(\" at position 8 of the "
                 "expression");
    expect_error("{}", "size(a)", ERR_INVALID, "there is no function size()");
    expect_error("{}", "length()", ERR_INVALID, "length() takes 1 argument, not 0");
    expect_error("{}", "merge()", ERR_INVALID, "merge() takes at least 1 argument, not 0");
    expect_error("{}", "[::0]", ERR_INVALID, "the step of a slice must not be 0");
    expect_error("{}", "length(a)", ERR_INVALID, "length(): argument 1 is of the wrong kind: null");
    expect_error("[1,\"a\"]", "sort(@)", ERR_INVALID,
                 "sort(): argument 1 is of the wrong kind: array of other elements");
    expect_error("[1,\"a\"]", "max_by(@, &@)", ERR_INVALID,
                 "what is ordered by must be a number or a string, the same for all elements; one "
                 "is string");
    expect_error("[]", "length(&a)", ERR_INVALID,
                 "length(): argument 1 is of the wrong kind: expression");
}

static void test_numbers(void **state) {
    (void)state;
    expect("[9007199254740993, 1]", "sum(@)", "9007199254740994");
    expect("[9223372036854775807, 1]", "sum(@)", "9223372036854776000.0");
    expect("[0.5, 1.5]", "sum(@)", "2");
    expect("[1, 2]", "avg(@)", "1.5");
    expect("[9007199254740993, 9007199254740992]", "[0] == [1]", "false");
    expect("[9007199254740993, 9007199254740992]", "[0] > [1]", "true");
    expect("18446744073709551616", "@", "18446744073709551616");
    expect("-5", "abs(@)", "5");
    expect("2.1", "[ceil(@), floor(@)]", "[3,2]");
    expect("{}", "to_number('12')", "12");
    expect("{}", "to_number('12 apples')", "null");
    expect("[1.0]", "[0] == `1`", "true");
}

static void test_extensions(void **state) {
    (void)state;
    expect("{\"topic\":\"t\",\"list\":[1,2]}", "list[].{n: @, topic: $.topic}",
           "[{\"n\":1,\"topic\":\"t\"},{\"n\":2,\"topic\":\"t\"}]");
    expect("{\"text\":\"Here: ```json\\n{\\\"a\\\":1}\\n```\"}", "parse_json(text).a", "1");
    expect("{\"text\":\"none\"}", "parse_json(text)", "null");
    expect("\"a,b,,c\"", "split(@, ',')", "[\"a\",\"b\",\"\",\"c\"]");
    expect("\"\"", "split(@, ',')", "[\"\"]");
    expect_error("\"\"", "split(@, '')", ERR_INVALID, "split(): the separator must not be empty");
    expect("{\"a\":1,\"b\":2}", "items(@)", "[[\"a\",1],[\"b\",2]]");
}

static void test_values(void **state) {
    (void)state;
    expect("{\"a\":1,\"a\":2}", "a", "2");
    expect("{}", "{a: `1`, a: `2`}", "{\"a\":2}");
    expect("{\"a\":null}", "{b: `null`} == @", "false");
    expect("{\"a\":[1,{\"b\":null}]}", "@ == {a: [`1`, {b: `null`}]}", "true");
    expect("{\"a\":{\"x\":1},\"b\":{\"x\":2,\"y\":3}}", "merge(a, b)", "{\"x\":2,\"y\":3}");
    expect("\"a\\u00e9\\u4e2d\"", "[length(@), reverse(@)]",
           "[3,\"\xe4\xb8\xad\xc3\xa9"
           "a\"]");
    expect("[3,1,2]", "[-1:-100:-1]", "[2,1,3]");
    expect("[3,1,2]", "[::9223372036854775807]", "[3]");
    expect("[3,1,2]", "[:-9223372036854775808:-1]", "[2,1,3]");
    expect(
        "[{\"k\":2,\"v\":\"a\"},{\"k\":1,\"v\":\"b\"},{\"k\":2,\"v\":\"c\"},{\"k\":1,\"v\":\"d\"}]",
        "sort_by(@, &k)[].v", "[\"b\",\"d\",\"a\",\"c\"]");
    expect("\"tab\\t\"", "to_string({a: @})", "\"{\\\"a\\\":\\\"tab\\\\t\\\"}\"");
    expect("{}", "'\\z'", "\"\\\\z\"");
    expect("{}", "'it\\'s'", "\"it's\"");
}

static struct expr_value load(void *ctx, str key) {
    int *count = ctx;
    ++*count;
    return str_eq(key, STR("a")) ? expr_of_int(7) : expr_of_str(key);
}

static void test_lazy(void **state) {
    (void)state;
    int count = 0;
    const struct expr *e;
    struct expr_value value;
    str text;
    struct expr_member members[] = {{STR("a"), expr_of_lazy(load, &count)},
                                    {STR("b"), expr_of_lazy(load, &count)}};
    struct expr_value root = expr_of_members(members, 2);
    assert_int_equal(expr_compile(&arena, STR("a"), &e, NULL), 0);
    assert_int_equal(expr_eval(e, &root, &arena, NULL, &value, NULL), 0);
    assert_int_equal(value.whole, 7);
    assert_int_equal(count, 1);
    assert_int_equal(expr_compile(&arena, STR("[@, values(@), keys(@), @ == @]"), &e, NULL), 0);
    assert_int_equal(expr_eval(e, &root, &arena, NULL, &value, NULL), 0);
    assert_int_equal(expr_json(&arena, &value, 1000, &text, NULL), 0);
    assert_string_equal(text.p, "[{\"a\":7,\"b\":\"b\"},[7,\"b\"],[\"a\",\"b\"],true]");
}

static char *repeat(const char *head, const char *part, int count, const char *tail) {
    size_t len = strlen(part), at = strlen(head);
    char *p = arena_alloc(&arena, at + len * (size_t)count + strlen(tail) + 1);
    memcpy(p, head, at);
    for (int i = 0; i < count; i++, at += len)
        memcpy(p + at, part, len);
    memcpy(p + at, tail, strlen(tail) + 1);
    return p;
}

static void test_limits(void **state) {
    (void)state;
    const struct expr *e;
    struct err err = {0};
    str got;
    assert_int_equal(expr_compile(&arena, str_of(repeat("a", ".a", 120, "")), &e, &err), 0);
    assert_int_equal(expr_compile(&arena, str_of(repeat("a", ".a", 200, "")), &e, &err),
                     ERR_MALFORMED);
    assert_int_equal(expr_compile(&arena, str_of(repeat("", "(", 5000, "")), &e, &err),
                     ERR_MALFORMED);
    assert_int_equal(expr_compile(&arena, str_of(repeat("", "[0][", 4000, "")), &e, &err),
                     ERR_MALFORMED);
    assert_int_equal(
        expr_compile(&arena, str_of(repeat("", "a", EXPR_BYTES_MAX + 1, "")), &e, &err),
        ERR_TOO_LARGE);
    assert_int_equal(expr_compile(&arena, STR("\xff"), &e, &err), ERR_MALFORMED);
    char *many = repeat("[0", ",1", 2000, "]");
    struct expr_limits few = {.steps_max = 1000}, small = {.bytes_max = 1000};
    assert_int_equal(evaluate(many, "[*]", &few, &got, &err), ERR_TOO_LARGE);
    assert_string_equal(err.message, "the expression takes too many steps");
    assert_int_equal(evaluate(many, "[*]", &small, &got, &err), ERR_TOO_LARGE);
    assert_string_equal(err.message, "the expression takes too much memory");
    assert_int_equal(evaluate(many, "contains(@, `7`)", &few, &got, &err), ERR_TOO_LARGE);
    assert_int_equal(evaluate(many, "@ == [*]", &few, &got, &err), ERR_TOO_LARGE);
    /* Each doubles what the one before it made. */
    assert_int_equal(evaluate(many, repeat("@", " | [@, @] | []", 24, ""), NULL, &got, &err),
                     ERR_TOO_LARGE);
    assert_int_equal(
        evaluate("\"0123456789\"", repeat("@", " | join('', [@, @])", 30, ""), NULL, &got, &err),
        ERR_TOO_LARGE);
    /* Nested, not copied: the result is what would be large. */
    assert_int_equal(evaluate("[1]", repeat("@", " | [@, @]", 30, ""), NULL, &got, &err),
                     ERR_TOO_LARGE);
    assert_string_equal(err.message, "the value of the expression is longer than 1048576 bytes");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_extensions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lazy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
