/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: views compare, search, split and parse as their header says. Method: tables of texts with
 * the expected answer, at the limits of each number type and of UTF-8. */
#include "check.h"

#include "base/err.h"

static void comparing(void **state) {
    (void)state;
    assert_true(str_eq(STR("a"), STR("a")));
    assert_true(str_eq(STR_NULL, STR("")));
    assert_false(str_eq(STR("a"), STR("b")));
    assert_true(str_ieq(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_ieq(STR("[") , STR("{"))); /* differ in the case bit only */
    assert_true(str_cmp(STR("a"), STR("b")) < 0);
    assert_true(str_cmp(STR("ab"), STR("a")) > 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_cmp(STR_NULL, STR("")), 0);
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_false(str_starts(STR("a"), STR("ab")));
    assert_true(str_ends(STR("abc"), STR("bc")));
    assert_false(str_ends(STR("c"), STR("bc")));
    assert_true(str_ends(STR_NULL, STR("")));
}

static void searching_and_cutting(void **state) {
    (void)state;
    assert_int_equal(str_find(STR("hello"), STR("ll")), 2);
    assert_int_equal(str_find(STR("hello"), STR("lll")), -1);
    assert_int_equal(str_find(STR("hello"), STR("")), 0);
    assert_int_equal(str_find(STR_NULL, STR("x")), -1);
    assert_int_equal(str_find_char(STR("a\0b"), 'b'), 2);
    assert_int_equal(str_find_char(STR_NULL, 'b'), -1);
    check_str(str_trim(STR(" \t\r\n x y \f\v")), "x y");
    check_str(str_trim(STR("  ")), "");
    check_str(str_slice(STR("hello"), 1, 3), "el");
    check_str(str_slice(STR("hello"), 3, 100), "lo");
    check_str(str_slice(STR("hello"), 4, 2), "");
    check_str(str_slice(STR_NULL, 1, 2), NULL);
}

static void splitting(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *parts[4];
    } rows[] = {
        {"a,,b", {"a", "", "b"}}, {"", {""}}, {",", {"", ""}}, {"x", {"x"}}, {NULL, {NULL}}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        str rest = str_of(rows[i].text), part;
        for (size_t k = 0; rows[i].parts[k]; k++) {
            assert_true(str_split_next(&rest, ',', &part));
            check_str(part, rows[i].parts[k]);
        }
        assert_false(str_split_next(&rest, ',', &part));
    }
}

static void integers(void **state) {
    (void)state;
    int64_t i = 77;
    uint64_t u = 77;
    assert_true(str_to_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(str_to_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(str_to_i64(STR("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(str_to_i64(STR("-0"), &i) && i == 0);
    i = 77;
    u = 77;
    static const char *const bad_signed[] = {"", "-", "+1", " 1", "1 ", "--1", "0x1", "1.0",
                                             "9223372036854775808", "-9223372036854775809"};
    for (size_t k = 0; k < ARRAY_COUNT(bad_signed); k++)
        assert_false(str_to_i64(str_of(bad_signed[k]), &i));
    assert_false(str_to_u64(STR("18446744073709551616"), &u));
    assert_false(str_to_u64(STR("99999999999999999999"), &u));
    assert_false(str_to_u64(STR("-1"), &u));
    assert_int_equal(i, 77);
    assert_int_equal(u, 77);
}

static void doubles(void **state) {
    (void)state;
    double d = 0;
    assert_true(str_to_double(STR("-1.5e3"), &d) && d == -1500);
    assert_true(str_to_double(STR("0.1"), &d) && d == 0.1);
    assert_true(str_to_double(STR(".5"), &d) && d == 0.5);
    assert_true(str_to_double(STR("7."), &d) && d == 7);
    static const char *const bad[] = {"", ".", "-", "e5", "1e", "1e+", "inf", "nan", "0x10", "1 ",
                                      "+1", "1e999", "1,5"};
    d = 7;
    for (size_t k = 0; k < ARRAY_COUNT(bad); k++)
        assert_false(str_to_double(str_of(bad[k]), &d));
    assert_true(d == 7);
}

static void utf8(void **state) {
    (void)state;
    static const char *const good[] = {
        "", "plain ascii text", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
        "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "1234567\xC3\xA9",
    };
    static const char *const bad[] = {
        "\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xE2\x82", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
        "12345678\xE2\x28\xA1",
    };
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        assert_true(str_is_utf8(str_of(good[i])));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(str_is_utf8(str_of(bad[i])));
    assert_true(str_is_utf8(STR("a\0b")));
    assert_int_equal(str_utf8_prefix(STR("12345678\xC3\xA9\xFFz")), 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparing), cmocka_unit_test(searching_and_cutting),
        cmocka_unit_test(splitting), cmocka_unit_test(integers),
        cmocka_unit_test(doubles),   cmocka_unit_test(utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
