/* SPDX-License-Identifier: Apache-2.0 */
/* test_schema.c - JSON Schema for parameters.
 *
 * Goal: a schema with a word that is not looked at is refused; a value fits or is refused with its
 * place; defaults are put in where nothing is given. Method: tables of texts. */
#include "model/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;

static yyjson_val *value(const char *text) {
    yyjson_val *v;
    assert_int_equal(json_parse(&arena, str_of(text), &v, NULL), 0);
    return v;
}

static void test_schemas(void **state) {
    (void)state;
    static const char *const fine[] = {
        "{}", "{\"type\":[\"string\",\"null\"],\"title\":1,\"default\":null}",
        "{\"type\":\"array\",\"items\":{\"enum\":[1]},\"minItems\":0}"};
    static const char *const bad[] = {"7",
                                      "{\"pattern\":\"x\"}",
                                      "{\"type\":\"text\"}",
                                      "{\"type\":[]}",
                                      "{\"properties\":{\"x\":{\"oneOf\":[]}}}",
                                      "{\"properties\":[]}",
                                      "{\"items\":[{}]}",
                                      "{\"required\":\"x\"}",
                                      "{\"required\":[1]}",
                                      "{\"enum\":[]}",
                                      "{\"minimum\":\"1\"}",
                                      "{\"minLength\":-1}",
                                      "{\"additionalProperties\":{}}"};
    for (size_t i = 0; i < ARRAY_COUNT(fine); i++)
        assert_int_equal(schema_check(value(fine[i]), NULL), 0);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (schema_check(value(bad[i]), NULL) != ERR_INVALID)
            fail_msg("%s", bad[i]);
}

static void test_values(void **state) {
    (void)state;
    static const struct {
        const char *schema, *value, *why; /* NULL: it fits */
    } rows[] = {
        {"{}", "[1,{\"x\":null}]", NULL},
        {"{\"type\":\"integer\"}", "3.0", NULL},
        {"{\"type\":\"integer\"}", "3.5", "p: is of another type"},
        {"{\"type\":[\"string\",\"null\"]}", "null", NULL},
        {"{\"type\":[\"string\",\"null\"]}", "true", "p: is of another type"},
        {"{\"minimum\":2,\"exclusiveMaximum\":4}", "2", NULL},
        {"{\"minimum\":2}", "1.5", "p: must be at least 2"},
        {"{\"exclusiveMaximum\":4}", "4", "p: must be less than 4"},
        {"{\"exclusiveMinimum\":4}", "4", "p: must be more than 4"},
        {"{\"maximum\":4}", "5", "p: must be at most 4"},
        {"{\"minimum\":2}", "\"x\"", NULL},
        {"{\"minLength\":2,\"maxLength\":2}", "\"\xc3\xa4\xc3\xa4\"", NULL},
        {"{\"maxLength\":1}", "\"ab\"", "p: its length must be at most 1"},
        {"{\"enum\":[1,{\"a\":[]}]}", "{\"a\":[]}", NULL},
        {"{\"enum\":[1]}", "2", "p: is none of the values that are allowed"},
        {"{\"const\":1}", "2", "p: is none of the values that are allowed"},
        {"{\"items\":{\"type\":\"string\"}}", "[\"a\",1]", "p[1]: is of another type"},
        {"{\"minItems\":1}", "[]", "p: its length must be at least 1"},
        {"{\"required\":[\"x\"]}", "{\"x\":null}", NULL},
        {"{\"required\":[\"x\"]}", "{}", "p.x: is required"},
        {"{\"properties\":{\"x\":{\"properties\":{\"y\":{\"type\":\"null\"}}}}}",
         "{\"x\":{\"y\":1}}", "p.x.y: is of another type"},
        {"{\"additionalProperties\":false,\"properties\":{\"x\":{}}}", "{\"x\":1,\"z\":1}",
         "p.z: there is no such parameter"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct err err = {0};
        assert_int_equal(schema_check(value(rows[i].schema), NULL), 0);
        int rc = schema_validate(value(rows[i].schema), value(rows[i].value), "p", &err);
        if (rows[i].why ? rc != ERR_INVALID || strcmp(err.message, rows[i].why) != 0 : rc != 0)
            fail_msg("%s %s: %s", rows[i].schema, rows[i].value, err.message);
    }
}

static void test_defaults(void **state) {
    (void)state;
    yyjson_val *schema = value("{\"properties\":{\"x\":{\"default\":1},\"y\":{\"default\":[]},"
                               "\"z\":{}}}");
    assert_string_equal(schema_with_defaults(&arena, schema, STR("{\"x\":2}")).p,
                        "{\"x\":2,\"y\":[]}");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_schemas),
                                       cmocka_unit_test(test_values),
                                       cmocka_unit_test(test_defaults)};
    arena_init(&arena, 64 << 20);
    int failed = cmocka_run_group_tests_name("schema", tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
