/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: ingress rules, look-ups, texts and merging. Method: each rule with texts on both sides of
 * it; what is written is parsed again. Nothing here but the arena may own memory. */
#include "check.h"

#include <stdio.h>

#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"

static struct arena a;

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

static yyjson_val *parsed(const char *text) {
    yyjson_val *v = NULL;
    struct err err;
    if (json_parse(&a, str_of(text), &v, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.message);
    return v;
}

static void texts_come_back(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"null", "null"},
        {" { \"a\" : [ 1 , 2.5 , true , false , null , \"x\" ] } ",
         "{\"a\":[1,2.5,true,false,null,\"x\"]}"},
        {"\"\\u00e9\\n\\\"\\\\\\/\"", "\"\xC3\xA9\\n\\\"\\\\/\""},
        {"[]", "[]"},
        {"{}", "{}"},
        {"-0", "0"},
        {"-0.0", "-0.0"},
        {"1e2", "100.0"},
        {"18446744073709551615", "18446744073709551615"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"18446744073709551616", "18446744073709551616"},
        {"[-9223372036854775809,1]", "[-9223372036854775809,1]"},
        {"1.7976931348623157e308", "1.7976931348623157e308"},
        {"1e-400", "0.0"},
        {"\"\xF0\x9F\x98\x80\"", "\"\xF0\x9F\x98\x80\""},
        {"\"\\ud83d\\ude00\"", "\"\xF0\x9F\x98\x80\""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        str text = json_text(&a, parsed(rows[i][0]));
        if (i != 5) /* how an integer minus zero is written is the library's choice */
            check_str(text, rows[i][1]);
        assert_true(json_equal(parsed(text.p), parsed(rows[i][0])));
    }
    check_str(json_text(&a, NULL), "null");
}

static void escapes_are_repaired(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"\"a\\u0000b\"", "\"a\xEF\xBF\xBD" "b\""},
        {"\"\\ud800\"", "\"\xEF\xBF\xBD\""},
        {"\"\\udc00\"", "\"\xEF\xBF\xBD\""},
        {"\"\\uD800x\"", "\"\xEF\xBF\xBDx\""},
        {"\"\\ud800\\ud800\\udc00\"", "\"\xEF\xBF\xBD\xF0\x90\x80\x80\""},
        {"\"\\ude00\\ud83d\"", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\"\\ud83d\\n\"", "\"\xEF\xBF\xBD\\n\""},
        {"\"\\\\u0000\"", "\"\\\\u0000\""},         /* an escaped backslash, then letters */
        {"\"\\\\\\u0000\"", "\"\\\\\xEF\xBF\xBD\""},
        {"{\"k\\u0000\":\"\\u0041\\ud800\"}", "{\"k\xEF\xBF\xBD\":\"A\xEF\xBF\xBD\"}"},
        {"[123456789012345678901234567890,\"\\u0000\"]",
         "[123456789012345678901234567890,\"\xEF\xBF\xBD\"]"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        check_str(json_text(&a, parsed(rows[i][0])), rows[i][1]);
}

static void malformed(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } rows[] = {{"{", 1},         {"[1,]", 2},        {"{\"a\":}", 5}, {"nul", 3},
                {"[1] x", 4},     {"\"\xFF\"", 1},    {"[\"a\",\"\xC3(\"]", 6},
                {"\"\\u00g0\"", 1}, {"\"a\nb\"", 2},  {"\"\\u0000", 7}, {"NaN", 0}, {"", 0}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        yyjson_val *v = (yyjson_val *)&a;
        struct err err = {0};
        assert_int_equal(json_parse(&a, str_of(rows[i].text), &v, &err), ERR_MALFORMED);
        assert_int_equal(err.code, ERR_MALFORMED);
        assert_ptr_equal(v, &a); /* outputs only on success */
        size_t at = 999;
        if (sscanf(err.message, "invalid JSON at byte %zu: ", &at) != 1 || at != rows[i].at)
            fail_msg("%s: %s", rows[i].text, err.message);
    }
    yyjson_val *v;
    assert_int_equal(json_parse(&a, STR("{]"), &v, NULL), ERR_MALFORMED);
    assert_int_equal(json_parse(&a, STR("1\0"), &v, NULL), ERR_MALFORMED);
}

/* What no double comes near: databases and clients would make something else of it. */
static void numbers_out_of_range(void **state) {
    (void)state;
    char digits[400] = {0}, greatest[310] = {0};
    memset(digits, '7', sizeof(digits) - 1);
    memset(greatest, '0', sizeof(greatest) - 1);
    memcpy(greatest, "17976931348623157", 17);
    static const char *const texts[] = {"1e400", "-1e309", "[1,{\"a\":1.5E+999999999}]",
                                        "123456789012345678901234567890.5e400"};
    yyjson_val *v = (yyjson_val *)&a;
    struct err err = {0};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        assert_int_equal(json_parse(&a, str_of(texts[i]), &v, &err), ERR_INVALID);
        assert_non_null(strstr(err.message, "is out of range"));
    }
    assert_int_equal(json_parse(&a, str_of(digits), &v, &err), ERR_INVALID);
    assert_ptr_equal(v, &a);
    check_str(json_text(&a, parsed(digits + 91)), digits + 91); /* 308 of them */
    check_str(json_text(&a, parsed(greatest)), greatest);       /* as PostgreSQL writes it */
    greatest[4] = '8';
    assert_int_equal(json_parse(&a, str_of(greatest), &v, NULL), ERR_INVALID);
}

static void members_are_left_out(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"{\"owner\":\"a\"}", "{}"},
        {"{\"a\":1,\"owner\":{\"x\":2},\"b\":[3]}", "{\"a\":1,\"b\":[3]}"},
        {"{\"owner\":1,\"owner\":2}", "{}"},
        {"{\"a\":{\"owner\":1}}", "{\"a\":{\"owner\":1}}"},
        {"{ \"a\" : \"owner\" }", "{ \"a\" : \"owner\" }"}, /* as it was */
        {"[\"owner\"]", "[\"owner\"]"},
        {"", ""}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        check_str(json_without(&a, str_of(rows[i][0]), "owner"), rows[i][1]);
    assert_null(json_without(&a, STR_NULL, "owner").p);
}

static str nested(size_t depth) {
    char *p = arena_alloc(&a, 2 * depth + 1);
    memset(p, '[', depth);
    memset(p + depth, ']', depth);
    p[2 * depth] = '\0';
    return str_n(p, 2 * depth);
}

static void depth(void **state) {
    (void)state;
    assert_int_equal(json_depth(STR("1"), 10), 0);
    assert_int_equal(json_depth(STR("[{\"a\":[]},[]]"), 10), 3);
    assert_int_equal(json_depth(STR("[\"[[[[\",\"\\\"[[[\",\"\\\\\",[]]"), 10), 2);
    assert_int_equal(json_depth(STR("\"[[["), 10), 0);
    assert_int_equal(json_depth(STR("]]][["), 10), 0);
    assert_int_equal(json_depth(nested(100), 10), 11);
    str many = arena_printf(&a, "[\"" STR_FMT "\",[]]", STR_ARG(nested(JSON_DEPTH_MAX)));
    assert_int_equal(json_depth(many, JSON_DEPTH_MAX), 2);
    yyjson_val *flat;
    assert_int_equal(json_parse(&a, many, &flat, NULL), ERR_OK);
    yyjson_val *v;
    struct err err;
    assert_int_equal(json_parse(&a, nested(JSON_DEPTH_MAX), &v, &err), ERR_OK);
    check_str(json_text(&a, v), nested(JSON_DEPTH_MAX).p);
    assert_true(json_equal(v, v));
    assert_int_equal(json_parse(&a, nested(JSON_DEPTH_MAX + 1), &v, &err), ERR_TOO_LARGE);
    assert_int_equal(json_parse(&a, nested(1000000), &v, &err), ERR_TOO_LARGE);
}

static void memory_limit(void **state) {
    (void)state;
    str text = nested(400), longer = arena_printf(&a, "\"%01900d\\u0000\"", 1);
    int64_t before = mem_live_count();
    struct arena small;
    arena_init(&small, 2000);
    yyjson_val *v;
    struct err err;
    assert_int_equal(json_parse(&small, text, &v, &err), ERR_TOO_LARGE);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    arena_reset(&small);
    assert_int_equal(json_parse(&small, STR("[1,2,3]"), &v, &err), ERR_OK);
    size_t used = small.used_bytes;
    assert_in_range(used, 64, 200); /* the guess of the parser was trimmed */
    assert_int_equal(json_parse(&small, longer, &v, &err), ERR_TOO_LARGE);
    arena_deinit(&small);
    arena_init(&small, 6000);
    str letters = str_n(longer.p, 1902); /* one string; six times as much would not fit */
    ((char *)(uintptr_t)letters.p)[1901] = '"';
    assert_int_equal(json_parse(&small, letters, &v, &err), ERR_OK);
    assert_true(str_eq(json_text(&small, v), letters));
    arena_deinit(&small);
    assert_int_equal(mem_live_count(), before);
}

static void large_documents(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (int i = 0; i < 20000; i++)
        jw_i64(&w, i % 10); /* the densest array: more values than the parser guesses */
    jw_array_end(&w);
    yyjson_val *v;
    assert_int_equal(json_parse(&a, buf_view(&b), &v, NULL), ERR_OK);
    assert_int_equal(yyjson_arr_size(v), 20000);
    char *after = arena_alloc(&a, 64);
    memset(after, 0xAA, 64);
    str text = json_text(&a, v);
    assert_true(str_eq(text, buf_view(&b)));
    assert_int_equal(yyjson_get_int(yyjson_arr_get_last(v)), 9);
    buf_deinit(&b);
}

static void look_ups(void **state) {
    (void)state;
    yyjson_val *v = parsed("{\"a\":1,\"b\":null,\"a\":\"last\",\"\":3,\"k\\u0001\":4}");
    check_str(json_str(json_get(v, "a")), "last");
    assert_true(json_has(v, "b"));
    assert_false(json_has(v, "c"));
    assert_int_equal(yyjson_get_int(json_get(v, "")), 3);
    assert_int_equal(yyjson_get_int(json_get_str(v, STR("k\x01"))), 4);
    assert_null(json_get(NULL, "a"));
    assert_null(json_get(parsed("[1]"), "a"));
    assert_null(json_get(json_get(v, "a"), "a"));
    check_str(json_str(NULL), NULL);
    check_str(json_str(parsed("1")), NULL);
    check_str(json_str(parsed("\"\"")), "");
    assert_null(json_get(parsed("{}"), "a"));
}

static void merging(void **state) {
    (void)state;
    static const char *const rows[][3] = {
        {"{\"a\":1,\"b\":{\"x\":1}}", "{\"b\":{\"y\":2},\"c\":[3]}",
         "{\"a\":1,\"b\":{\"y\":2},\"c\":[3]}"},
        {NULL, "{\"a\":1}", "{\"a\":1}"},
        {"{\"a\":1}", "", "{\"a\":1}"},
        {NULL, NULL, "{}"},
        {"null", "[1]", "{}"},
        {"{\"a\":1,\"a\":2}", "{\"b\":1,\"b\":12345678901234567890123}",
         "{\"a\":2,\"b\":12345678901234567890123}"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        check_str(json_merge(&a, str_of(rows[i][0]), str_of(rows[i][1])), rows[i][2]);
    struct buf low, high, want;
    buf_init(&low, 1 << 20);
    buf_init(&high, 1 << 20);
    buf_init(&want, 1 << 20);
    for (int i = 0; i < 3000; i++) { /* indexed by a map on both sides */
        buf_printf(&low, "%s\"k%d\":%d", i ? "," : "{", i, i);
        buf_printf(&high, "%s\"k%d\":\"%d\"", i ? "," : "{", i + 1500, i);
        buf_printf(&want, i < 1500 ? "%s\"k%d\":%d" : "%s\"k%d\":\"%d\"", i ? "," : "{", i,
                   i < 1500 ? i : i - 1500);
    }
    for (int i = 1500; i < 3000; i++)
        buf_printf(&want, ",\"k%d\":\"%d\"", i + 1500, i);
    buf_char(&low, '}');
    buf_char(&high, '}');
    buf_char(&want, '}');
    assert_true(str_eq(json_merge(&a, buf_view(&low), buf_view(&high)), buf_view(&want)));
    buf_deinit(&low);
    buf_deinit(&high);
    buf_deinit(&want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_come_back), cmocka_unit_test(escapes_are_repaired),
        cmocka_unit_test(malformed),       cmocka_unit_test(depth),
        cmocka_unit_test(numbers_out_of_range), cmocka_unit_test(members_are_left_out),
        cmocka_unit_test(memory_limit),    cmocka_unit_test(large_documents),
        cmocka_unit_test(look_ups),        cmocka_unit_test(merging),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
