/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: JSON with expressions in its texts: what becomes a value, what a text; names of secrets
 * stay, and are never made by what is put in. Method: documents filled over one small value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "graphs/fill.h"

static struct arena arena;

static int try(const char *text, size_t max, str *out, struct err *err) {
    yyjson_val *v, *doc;
    assert_int_equal(json_parse(&arena,
                                STR("{\"a\":\"x\",\"n\":[1,{\"c\":null}],\"s\":\"{{secret.T}}\","
                                    "\"p\":\"{secret.T}}\"}"),
                                &v, NULL),
                     0);
    assert_int_equal(json_parse(&arena, str_of(text), &doc, NULL), 0);
    struct expr_value root = expr_of_json(v);
    int rc = fill_check(&arena, doc, err);
    return rc < 0 ? rc : fill(&arena, doc, &root, max, out, err);
}

static void test_values(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"7", "7"},
        {"{\"{{a}}\":[true,null,\"{{ a }}!\"]}", "{\"{{a}}\":[true,null,\"x!\"]}"},
        {"[\"{{ n }}\",\" {{ n[0] }} \",\"{{ n[0] }}{{ a }}\",\"{{ none }}\",\"\"]",
         "[[1,{\"c\":null}],1,\"1x\",null,\"\"]"},
        {"\"{{secret.T}} {{ a }} {{secret.U}}\"", "\"{{secret.T}} x {{secret.U}}\""},
        {"\"{{secret.T}}\"", "\"{{secret.T}}\""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct err err = {0};
        str got;
        if (try(rows[i][0], 1000, &got, &err) < 0)
            fail_msg("%s: %s", rows[i][0], err.message);
        assert_string_equal(got.p, rows[i][1]);
    }
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int code;
    } rows[] = {{"\"{{ s }}\"", ERR_INVALID},       {"\"a {{ s }}\"", ERR_INVALID},
                {"\"{{{ p }}\"", ERR_MALFORMED},    {"[\"{\",\"{{ '{' }}{{ p }}\"]", ERR_INVALID},
                {"{\"x\":\"{{ [s] }}\"}", ERR_INVALID}, {"\"{{ a\"", ERR_MALFORMED},
                {"\"{{secret.T\"", ERR_MALFORMED},  {"\"{{ length(none) }}\"", ERR_INVALID},
                {"[\"{{ n }}\",\"{{ n }}\",\"{{ n }}\",\"{{ n }}\"]", ERR_TOO_LARGE}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct err err = {0};
        str got;
        if (try(rows[i].text, 40, &got, &err) != rows[i].code)
            fail_msg("%s: %s", rows[i].text, err.message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_refusals)};
    arena_init(&arena, 16 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
