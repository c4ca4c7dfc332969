/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: calendar text is exact in both directions. Method: known instants, every day of 10000 years
 * there and back, texts that must be refused; clocks only for being readable and replaceable. */
#include "check.h"

#include "base/clock.h"
#include "base/err.h"

#define DAY_US INT64_C(86400000000)

static const char *iso(int64_t us) {
    static char text[TIME_ISO_LEN + 1];
    time_write_iso(us, text);
    return text;
}

static const char *http(int64_t us) {
    static char text[TIME_HTTP_LEN + 1];
    time_write_http(us, text);
    return text;
}

static void writing(void **state) {
    (void)state;
    assert_string_equal(iso(0), "1970-01-01T00:00:00.000000Z");
    assert_string_equal(iso(-1), "1969-12-31T23:59:59.999999Z");
    assert_string_equal(iso(INT64_C(1795227766334123)), "2026-11-21T02:22:46.334123Z");
    assert_string_equal(iso(INT64_C(951782400000000)), "2000-02-29T00:00:00.000000Z");
    assert_string_equal(iso(INT64_MAX), "9999-12-31T23:59:59.999999Z");
    assert_string_equal(iso(INT64_MIN), "0000-01-01T00:00:00.000000Z");
    assert_string_equal(http(INT64_C(784111777000000)), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_string_equal(http(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_string_equal(http(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
    struct arena a;
    arena_init(&a, 4096);
    str s = time_iso(&a, 1);
    check_str(s, "1970-01-01T00:00:00.000001Z");
    assert_int_equal(s.p[s.len], 0);
    arena_deinit(&a);
}

static void dates_of_http(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Mon, 06 Nov 1994 08:49:37 GMT", /* it was a Sunday */
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    };
    int64_t us, days = INT64_C(40000);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(time_parse_http(str_of(bad[i]), &us));
    for (int64_t day = -days; day < days; day += 7) {
        int64_t at = day * DAY_US + (day + days) % 86400 * 1000000;
        assert_true(time_parse_http(str_n(http(at), TIME_HTTP_LEN), &us));
        assert_true(us == at);
    }
}

static void every_day_there_and_back(void **state) {
    (void)state;
    int64_t first, back;
    assert_true(time_parse_iso(STR("0000-01-01"), &first));
    for (int64_t day = 0; day < 3652425; day++) {
        int64_t us = first + day * DAY_US + day % 86400 * 1000003 % DAY_US;
        assert_true(time_parse_iso(str_n(iso(us), TIME_ISO_LEN), &back));
        assert_true(back == us);
    }
    assert_string_equal(iso(first + 3652424 * DAY_US), "9999-12-31T00:00:00.000000Z");
}

static void accepted_forms(void **state) {
    (void)state;
    static const struct {
        const char *text, *same;
    } rows[] = {
        {"2026-11-21", "2026-11-21T00:00:00.000000Z"},
        {"2026-11-21T02:22", "2026-11-21T02:22:00.000000Z"},
        {"2026-11-21 02:22:46", "2026-11-21T02:22:46.000000Z"},
        {"2026-11-21t02:22:46z", "2026-11-21T02:22:46.000000Z"},
        {"2026-11-21T02:22:46.5Z", "2026-11-21T02:22:46.500000Z"},
        {"2026-11-21T02:22:46,123456789Z", "2026-11-21T02:22:46.123456Z"},
        {"2026-11-21T02:22:46+02:30", "2026-11-20T23:52:46.000000Z"},
        {"2026-11-21T02:22:46.1-0230", "2026-11-21T04:52:46.100000Z"},
        {"2026-11-21T02:22:46+05", "2026-11-20T21:22:46.000000Z"},
        {"2024-02-29T23:59:59Z", "2024-02-29T23:59:59.000000Z"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int64_t us = 0;
        assert_true(time_parse_iso(str_of(rows[i].text), &us));
        assert_string_equal(iso(us), rows[i].same);
    }
}

static void refused_forms(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-11",
                                      "2026-1-1",
                                      "26-11-21",
                                      "2026-13-01",
                                      "2026-00-01",
                                      "2026-02-29",
                                      "2100-02-29",
                                      "2026-04-31",
                                      "2026-11-00",
                                      "2026-11-21T",
                                      "2026-11-21T24:00",
                                      "2026-11-21T02",
                                      "2026-11-21T02:60",
                                      "2026-11-21T02:22:60",
                                      "2026-11-21T02:22:46.",
                                      "2026-11-21T02:22:46ZZ",
                                      "2026-11-21T02:22:46+2",
                                      "2026-11-21T02:22:46+24:00",
                                      "2026-11-21T02:22:46+02:",
                                      "2026-11-21T02:22:46+02:60",
                                      "2026-11-21T02:22:46+02:30Z",
                                      "2026-11-21X02:22",
                                      "+2026-11-21",
                                      " 2026-11-21",
                                      "2026-11-21 ",
                                      "-026-11-21"};
    int64_t us = 77;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(time_parse_iso(str_of(bad[i]), &us));
    assert_int_equal(us, 77);
}

static int64_t eleven(void) { return 11; }

static int64_t twelve(void) { return 12; }

static void sources(void **state) {
    (void)state;
    assert_true(clock_wall_us() > INT64_C(1600000000000000));
    int64_t mono = clock_mono_us();
    assert_true(clock_mono_us() >= mono);
    clock_set_source(eleven, twelve);
    assert_int_equal(clock_wall_us(), 11);
    assert_int_equal(clock_mono_us(), 12);
    clock_set_source(NULL, NULL);
    assert_true(clock_wall_us() > INT64_C(1600000000000000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writing),
        cmocka_unit_test(dates_of_http),
        cmocka_unit_test(every_day_there_and_back),
        cmocka_unit_test(accepted_forms),
        cmocka_unit_test(refused_forms),
        cmocka_unit_test(sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
