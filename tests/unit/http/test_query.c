/* SPDX-License-Identifier: Apache-2.0 */
/* test_query.c - query strings and percent-encoding. Goal: pairs, repeated keys, lists in their
 * three spellings, booleans, limits. Method: literal queries in one arena. */
#include "http/router.h"

#include "check.h"

static struct arena arena;

static struct http_query parsed(str text) {
    struct http_query q;
    struct err err = {0};
    assert_int_equal(http_query_parse(&arena, text, &q, &err), 0);
    return q;
}

static void test_pairs(void **state) {
    (void)state;
    struct http_query q = parsed(STR("a=1&b=x+y%2B&&c&d=&a=2&e==f&%61b=%C3%A4"));
    assert_int_equal(q.count, 7);
    check_str(http_query_get(&q, "a"), "2");
    check_str(http_query_get(&q, "b"), "x y+");
    check_str(http_query_get(&q, "c"), "");
    check_str(http_query_get(&q, "d"), "");
    check_str(http_query_get(&q, "e"), "=f");
    check_str(http_query_get(&q, "ab"), "\xC3\xA4");
    check_str(http_query_get(&q, "none"), NULL);
    assert_int_equal(parsed(STR("")).count, 0);
    assert_int_equal(parsed(STR("&&")).count, 0);
}

static void test_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"a=%", "a=%1", "a=%g0", "%=1", "a=%00", "a=%ff", "a=%C3"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct http_query q;
        assert_int_equal(http_query_parse(&arena, str_of(texts[i]), &q, NULL), ERR_MALFORMED);
    }
    struct buf many;
    struct http_query q;
    buf_init(&many, 4096);
    for (int i = 0; i < 256; i++)
        buf_str(&many, STR("a&"));
    assert_int_equal(parsed(buf_view(&many)).count, 256);
    buf_str(&many, STR("a"));
    assert_int_equal(http_query_parse(&arena, buf_view(&many), &q, NULL), ERR_TOO_LARGE);
    buf_deinit(&many);
}

static void test_bool(void **state) {
    (void)state;
    struct http_query q = parsed(STR("a=1&b=true&c=0&d=False&e=yes"));
    assert_true(http_query_bool(&q, "a", false));
    assert_true(http_query_bool(&q, "b", false));
    assert_false(http_query_bool(&q, "c", true));
    assert_false(http_query_bool(&q, "d", true));
    assert_true(http_query_bool(&q, "e", true));
    assert_false(http_query_bool(&q, "none", false));
}

static void check_list(str text, bool commas, const char *want) {
    struct http_query q = parsed(text);
    str *items;
    size_t count;
    struct err err = {0};
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(http_query_list(&arena, &q, "s", commas, &items, &count, &err), 0);
    for (size_t i = 0; i < count; i++)
        buf_printf(&out, "[" STR_FMT "]", STR_ARG(items[i]));
    check_str(str_n(out.p ? out.p : "", out.len), want);
    buf_deinit(&out);
}

static void test_lists(void **state) {
    (void)state;
    check_list(STR("s=a&s=b&x=c"), false, "[a][b]");
    check_list(STR("s=%5B%22a%22,%22b%22%5D"), false, "[a][b]");
    check_list(STR("s=[]"), true, "");
    check_list(STR("s=a,b,,+c"), true, "[a][b][c]");
    check_list(STR("s=a,b"), false, "[a,b]");
    check_list(STR("s=a,b&s=c"), true, "[a,b][c]");
    check_list(STR("x=1"), true, "");
    struct http_query q = parsed(STR("s=[1]&t=[&u=1"));
    str *items;
    size_t count;
    assert_int_equal(http_query_list(&arena, &q, "s", true, &items, &count, NULL), ERR_INVALID);
    assert_true(http_query_list(&arena, &q, "t", true, &items, &count, NULL) < 0);
}

static void test_round_trip(void **state) {
    (void)state;
    str text = STR("a b&c=d/\xC3\xA4?#%-._~\n");
    struct buf out;
    str back;
    buf_init(&out, 4096);
    http_percent_encode(&out, text);
    check_str(buf_view(&out), "a%20b%26c%3Dd%2F%C3%A4%3F%23%25-._~%0A");
    assert_int_equal(http_percent_decode(&arena, buf_view(&out), false, &back), 0);
    assert_true(str_eq(back, text));
    buf_deinit(&out);
}

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_deinit(&arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bool),       cmocka_unit_test(test_lists),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
