/* SPDX-License-Identifier: Apache-2.0 */
/* test_json_filter.c - conditions on JSON values.
 *
 * Goal: what holds and what does not, above all for what is missing, null or of another type; texts
 * for wrong filters name the place; bounds on depth and number.
 * Method: tables of values, filters and answers. That PostgreSQL answers alike is shown by
 * tests/conformance/test_store.c. */
#include "base/json_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;

static yyjson_val *parsed(str text) {
    yyjson_val *v = NULL;
    assert_int_equal(json_parse(&arena, text, &v, NULL), 0);
    return v;
}

static void test_meets(void **state) {
    (void)state;
    static const struct {
        const char *value, *filter;
        bool met;
    } rows[] = {
        {"{\"a\":1}", "{}", true},
        {"{\"a\":1}", "{\"a\":1.0}", true},
        {"{\"a\":1}", "{\"b\":null}", false},
        {"{\"a\":null}", "{\"a\":null}", true},
        {"{\"a\":null}", "{\"a\":{\"$exists\":true}}", true},
        {"{}", "{\"a\":{\"$exists\":false}}", true},
        {"{}", "{\"a\":{\"$ne\":1}}", true},
        {"{}", "{\"a\":{\"$nin\":[1]}}", true},
        {"{}", "{\"a\":{\"$in\":[null]}}", false},
        {"{\"a\":2}", "{\"a\":{\"$in\":[1,2.0]}}", true},
        {"{\"a\":2}", "{\"a\":{\"$gt\":1,\"$lt\":2}}", false},
        {"{\"a\":18446744073709551615}", "{\"a\":{\"$gt\":9223372036854775807}}", true},
        {"{\"a\":9007199254740993}", "{\"a\":{\"$gt\":9007199254740992.0}}", true},
        {"{\"a\":123456789012345678901234567890}", "{\"a\":{\"$gt\":1}}", true},
        {"{\"a\":\"10\"}", "{\"a\":{\"$gt\":9}}", false},
        {"{\"a\":\"10\"}", "{\"a\":{\"$lt\":\"9\"}}", true},
        {"{\"a\":true}", "{\"a\":{\"$gte\":1}}", false},
        {"{\"a\":{\"b\":[{\"c\":3}]}}", "{\"a.b.0.c\":3}", true},
        {"{\"a\":{\"b\":1},\"a.b\":2}", "{\"a.b\":2}", true},
        {"{\"a\":{\"b\":1},\"a.b\":2}", "{\"a.b\":1}", false},
        {"{\"a\":[1]}", "{\"a.1\":{\"$exists\":true}}", false},
        {"{\"a\":[1]}", "{\"a.99999999999999999999\":1}", false},
        {"{\"a\":1}", "{\"a\":{}}", false},
        {"{\"a\":{}}", "{\"a\":{}}", true},
        {"{\"a\":1}", "{\"$or\":[{\"a\":2},{\"a\":{\"$not\":{\"$gt\":5}}}]}", true},
        {"{\"a\":1}", "{\"$or\":[]}", false},
        {"{\"a\":1}", "{\"$and\":[],\"$not\":{\"a\":2}}", true},
        {"{\"a\":1}", "{\"$or\":[{\"a\":1}],\"b\":1}", false},
        {"{\"a\":\"x%\"}", "{\"a\":\"%\"}", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        yyjson_val *filter = parsed(str_of(rows[i].filter));
        assert_int_equal(json_filter_check(filter, NULL), 0);
        if (json_filter_meets(parsed(str_of(rows[i].value)), filter) != rows[i].met)
            fail_msg("%s %s %s", rows[i].value, rows[i].met ? "must meet" : "must not meet",
                     rows[i].filter);
    }
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *filter, *text;
    } rows[] = {
        {"[]", "filter: must be an object"},
        {"{\"a\":{\"$near\":1}}", "filter.a.$near: unknown operator"},
        {"{\"a\":{\"$gt\":null}}", "filter.a.$gt: must be a number or a string"},
        {"{\"a\":{\"b\":{\"$in\":1}}}", "filter.a.b.$in: must be a list"},
        {"{\"a\":{\"$exists\":1}}", "filter.a.$exists: must be true or false"},
        {"{\"$or\":{}}", "filter.$or: must be a list of objects"},
        {"{\"$or\":[1]}", "filter.$or: must be a list of objects"},
        {"{\"$or\":[{\"a\":{\"$lt\":[]}}]}", "filter.$or.a.$lt: must be a number or a string"},
        {"{\"a\":{\"$gt\":1,\"m\":2}}", "filter.a: operators and members cannot be mixed"},
        {"{\"$gt\":1,\"n\":1}", "filter: operators and members cannot be mixed"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct err err = {0};
        assert_int_equal(json_filter_check(parsed(str_of(rows[i].filter)), &err), ERR_INVALID);
        assert_string_equal(err.message, rows[i].text);
    }
}

/* n times `open`, then 1, then n times `close`. */
static yyjson_val *nested(int n, const char *open, const char *close) {
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < n; i++)
        buf_z(&b, open);
    buf_z(&b, "1");
    for (int i = 0; i < n; i++)
        buf_z(&b, close);
    yyjson_val *v = parsed(buf_view(&b));
    buf_deinit(&b);
    return v;
}

static void test_bounds(void **state) {
    (void)state;
    struct err err = {0};
    assert_int_equal(json_filter_check(nested(JSON_FILTER_DEPTH_MAX, "{\"$not\":", "}"), &err), 0);
    assert_int_equal(json_filter_check(nested(JSON_FILTER_DEPTH_MAX + 1, "{\"a\":", "}"), &err),
                     ERR_INVALID);
    assert_string_equal(err.message, "filter: nested deeper than 32");
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_z(&b, "{\"a\":{\"$in\":[0");
    for (int i = 1; i < JSON_FILTER_CONDITIONS_MAX - 2; i++)
        buf_z(&b, ",1");
    size_t len = b.len;
    buf_z(&b, "]}}");
    assert_int_equal(json_filter_check(parsed(buf_view(&b)), &err), 0);
    b.len = len;
    buf_z(&b, ",1]}}");
    assert_int_equal(json_filter_check(parsed(buf_view(&b)), &err), ERR_INVALID);
    assert_string_equal(err.message, "filter: more than 500 conditions and values");
    buf_reset(&b);
    buf_z(&b, "{\"");
    for (int i = 0; i < 500; i++)
        buf_z(&b, "ä");
    buf_z(&b, "\":{\"$gt\":{}}}");
    assert_int_equal(json_filter_check(parsed(buf_view(&b)), &err), ERR_INVALID);
    assert_true(str_is_utf8(str_of(err.message))); /* a long name is cut between characters */
    buf_deinit(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meets),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds),
    };
    arena_init(&arena, (size_t)64 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
