/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: equality, containment and canonical text. Method: pairs with their answer, checked in both
 * directions where the relation is symmetric; large objects, so that the indexed path runs too. */
#include "check.h"

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

static struct arena a;

static yyjson_val *parsed(str text) {
    yyjson_val *v = NULL;
    struct err err;
    if (json_parse(&a, text, &v, &err) != ERR_OK)
        fail_msg(STR_FMT ": %s", STR_ARG(text), err.message);
    return v;
}

static void equality(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"1", "1", true},
        {"1", "1.0", true},
        {"-1", "-1.0", true},
        {"1", "-1", false},
        {"0", "-0.0", true},
        {"0", "-0", true},
        {"1", "1.5", false},
        {"18446744073709551615", "18446744073709551616.0", false},
        {"9007199254740993", "9007199254740992.0", false},
        {"-9223372036854775808", "-9223372036854775808.0", true},
        {"18446744073709551615", "-1", false},
        {"1", "1e300", false},
        {"-1", "1e300", false},
        {"123456789012345678901234567890", "123456789012345678901234567890", true},
        {"123456789012345678901234567890", "123456789012345678901234567891", false},
        {"\"a\"", "\"a\"", true},
        {"\"a\"", "\"\\u0061\"", true},
        {"\"a\"", "\"ab\"", false},
        {"\"1\"", "1", false},
        {"null", "null", true},
        {"null", "false", false},
        {"true", "false", false},
        {"[]", "{}", false},
        {"[1,2]", "[1,2]", true},
        {"[1,2]", "[2,1]", false},
        {"[1]", "[1,1]", false},
        {"{\"a\":1,\"b\":[{}]}", "{\"b\":[{}],\"a\":1}", true},
        {"{\"a\":1}", "{\"a\":1,\"b\":1}", false},
        {"{\"a\":1,\"c\":1}", "{\"a\":1,\"b\":1}", false},
        {"{\"a\":9,\"a\":1}", "{\"a\":1}", true},
        {"{\"a\":9,\"a\":1}", "{\"a\":9}", false},
        {"{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":1}", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        yyjson_val *x = parsed(str_of(rows[i].a)), *y = parsed(str_of(rows[i].b));
        if (json_equal(x, y) != rows[i].equal || json_equal(y, x) != rows[i].equal)
            fail_msg("%s and %s", rows[i].a, rows[i].b);
        assert_true(json_equal(x, x));
    }
    assert_true(json_equal(NULL, NULL));
    assert_false(json_equal(NULL, parsed(STR("null"))));
}

static void containment(void **state) {
    (void)state;
    static const struct {
        const char *whole, *part;
        bool contains;
    } rows[] = {
        {"{\"a\":1,\"b\":2}", "{\"a\":1}", true},
        {"{\"a\":1,\"b\":2}", "{}", true},
        {"{\"a\":1}", "{\"a\":1.0}", true},
        {"{\"a\":1}", "{\"a\":2}", false},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"{\"a\":{\"x\":1,\"y\":2}}", "{\"a\":{\"y\":2}}", true},
        {"{\"a\":{\"x\":1}}", "{\"x\":1}", false},
        {"{\"a\":null}", "{\"a\":null}", true},
        {"{\"a\":1}", "{\"a\":null}", false},
        {"[1,2,3]", "[3,1]", true},
        {"[1,2,3]", "[1,1,1]", true},
        {"[1,2]", "[1,4]", false},
        {"[1,[2,3]]", "[[3]]", true},
        {"[1,[2,3]]", "[3]", false},
        {"[{\"a\":1,\"b\":2}]", "[{\"b\":2}]", true},
        {"[\"a\",\"b\"]", "\"b\"", true},
        {"[\"a\",\"b\"]", "\"c\"", false},
        {"\"b\"", "[\"b\"]", false},
        {"{\"k\":[\"a\"]}", "{\"k\":\"a\"}", false},
        {"[[\"a\"]]", "\"a\"", false},
        {"[]", "[]", true},
        {"[]", "{}", false},
        {"\"a\"", "\"a\"", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (json_contains(parsed(str_of(rows[i].whole)), parsed(str_of(rows[i].part))) !=
            rows[i].contains)
            fail_msg("%s @> %s", rows[i].whole, rows[i].part);
    assert_false(json_contains(NULL, parsed(STR("{}"))));
    assert_false(json_contains(parsed(STR("{}")), NULL));
}

static void canonical_text(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"{\"b\":1,\"a\":{\"z\":[{\"y\":1,\"x\":2}],\"\":0}}",
         "{\"a\":{\"\":0,\"z\":[{\"x\":2,\"y\":1}]},\"b\":1}"},
        {"{\"\xC3\xA9\":1,\"z\":2,\"Z\":3}", "{\"Z\":3,\"z\":2,\"\xC3\xA9\":1}"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}"},
        {"[1.0,1,\"\\u000a\",12345678901234567890123]", "[1.0,1,\"\\n\",12345678901234567890123]"},
        {"\"x\"", "\"x\""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        check_str(json_canonical(&a, parsed(str_of(rows[i][0]))), rows[i][1]);
    check_str(json_canonical(&a, NULL), "null");
}

static str object_of(int count, int step) {
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < count; i++) {
        int k = i * step % count;
        buf_printf(&b, "%s\"key%d\":{\"v\":%d}", i ? "," : "{", k, k);
    }
    buf_char(&b, '}');
    str text = arena_dup(&a, buf_view(&b));
    buf_deinit(&b);
    return text;
}

static void large_objects(void **state) {
    (void)state;
    yyjson_val *v = parsed(object_of(5000, 1)), *shuffled = parsed(object_of(5000, 7));
    yyjson_val *fewer = parsed(object_of(4999, 1));
    int64_t before = mem_live_count();
    assert_true(json_equal(v, shuffled));
    assert_false(json_equal(v, fewer));
    assert_true(json_contains(shuffled, fewer));
    assert_false(json_contains(fewer, shuffled));
    assert_int_equal(mem_live_count(), before); /* the indexes went back */
    assert_true(str_eq(json_canonical(&a, v), json_canonical(&a, shuffled)));
}

static int setup(void **state) {
    (void)state;
    arena_init(&a, 64 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_deinit(&a);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality),
        cmocka_unit_test(containment),
        cmocka_unit_test(canonical_text),
        cmocka_unit_test(large_objects),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
