/* SPDX-License-Identifier: Apache-2.0 */
/* test_range.c - Range and If-None-Match. Goal: each form of a range means what the RFC says, what
 * cannot be met is told from what is not understood; tags are found in lists. Method: tables. */
#include "http/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"

static void test_ranges(void **state) {
    (void)state;
    static const struct {
        const char *value;
        uint64_t size;
        enum http_range wanted;
        uint64_t from, count;
    } rows[] = {
        {"bytes=0-0", 10, HTTP_RANGE_PART, 0, 1},
        {"bytes=2-4", 10, HTTP_RANGE_PART, 2, 3},
        {" bytes=2-99 ", 10, HTTP_RANGE_PART, 2, 8},
        {"bytes=9-", 10, HTTP_RANGE_PART, 9, 1},
        {"bytes=-3", 10, HTTP_RANGE_PART, 7, 3},
        {"bytes=-30", 10, HTTP_RANGE_PART, 0, 10},
        {"bytes=0-18446744073709551615", 10, HTTP_RANGE_PART, 0, 10},
        {"bytes=10-", 10, HTTP_RANGE_BEYOND, 0, 0},
        {"bytes=-0", 10, HTTP_RANGE_BEYOND, 0, 0},
        {"bytes=0-", 0, HTTP_RANGE_BEYOND, 0, 0},
        {"bytes=-1", 0, HTTP_RANGE_BEYOND, 0, 0},
        {"bytes=4-2", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=0-1,3-4", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=-", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=+1-2", 10, HTTP_RANGE_ALL, 0, 0},
        {"bytes=1-18446744073709551616", 10, HTTP_RANGE_ALL, 0, 0},
        {"lines=0-1", 10, HTTP_RANGE_ALL, 0, 0},
        {"", 10, HTTP_RANGE_ALL, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        uint64_t from = 0, count = 0;
        assert_int_equal(http_range_parse(str_of(rows[i].value), rows[i].size, &from, &count),
                         rows[i].wanted);
        assert_int_equal(from, rows[i].from);
        assert_int_equal(count, rows[i].count);
    }
}

static void test_tags(void **state) {
    (void)state;
    str tag = STR("\"a\"");
    assert_true(http_etag_listed(STR("\"a\""), tag));
    assert_true(http_etag_listed(STR("\"b\", W/\"a\""), tag));
    assert_true(http_etag_listed(STR("*"), tag));
    assert_false(http_etag_listed(STR("a"), tag));
    assert_false(http_etag_listed(STR("\"ab\""), tag));
    assert_false(http_etag_listed(STR(""), tag));
    assert_true(http_etag_listed(STR("\"a\""), STR("W/\"a\"")));
    assert_true(http_etag_listed(STR("W/\"a\""), STR("W/\"a\"")));
    assert_false(http_etag_listed(STR("W/\"b\""), STR("W/\"a\"")));
}

static void test_conditions(void **state) {
    (void)state;
    static const char at[] = "Sun, 06 Nov 1994 08:49:37 GMT",
                      before[] = "Sun, 06 Nov 1994 08:49:36 GMT";
    int64_t us = INT64_C(784111777999999);
    str tag = STR("\"a\"");
    assert_false(http_not_modified(STR_NULL, STR_NULL, tag, us));
    assert_true(http_not_modified(tag, STR_NULL, tag, 0));
    assert_false(http_not_modified(STR("*"), STR_NULL, STR_NULL, us));
    assert_true(http_not_modified(STR_NULL, str_of(at), STR_NULL, us));
    assert_false(http_not_modified(STR_NULL, str_of(before), tag, us));
    assert_false(http_not_modified(STR("\"b\""), str_of(at), tag, us));
    assert_true(http_not_modified(tag, str_of(before), tag, us));
    assert_false(http_not_modified(STR_NULL, str_of(at), tag, 0));
    assert_false(http_not_modified(STR_NULL, STR("yesterday"), tag, us));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranges), cmocka_unit_test(test_tags),
                                       cmocka_unit_test(test_conditions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
