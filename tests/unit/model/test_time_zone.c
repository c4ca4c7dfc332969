/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a zone's spans are those of the data and of its rule, and no data is trusted.
 * Method: files made here from changes and a rule, so that each expectation can be worked out by
 * hand; every prefix of a good file, and files with one count, offset or order wrong. The system's
 * own zones are compared with Python's in tests/integration/run-cron-oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/civil.h"
#include "model/time_zone.h"

struct sample {
    int64_t at;
    int32_t offset;
};

static void put(struct buf *b, uint64_t v, int bytes) {
    for (int i = bytes - 1; i >= 0; i--)
        buf_char(b, (char)(v >> 8 * i & 0xff));
}

struct shape { /* what a file claims; by default the truth */
    char version;
    uint32_t time, type, leap, chars;
};

/* Each change has a type of its own; type 0 is the time before. */
static void make(struct buf *b, const struct sample *list, size_t count, int32_t first,
                 const char *rule, struct shape shape) {
    buf_init(b, 1 << 20);
    for (int block = 0; block < 2; block++) {
        buf_str(b, STR("TZif"));
        buf_char(b, shape.version ? shape.version : '2');
        for (int i = 0; i < 15; i++)
            buf_char(b, 0);
        put(b, 0, 4);
        put(b, 0, 4);
        put(b, block ? shape.leap : 0, 4);
        put(b, !block ? 0 : shape.time ? shape.time : count, 4);
        put(b, !block ? 1 : shape.type ? shape.type : count + 1, 4);
        put(b, !block ? 1 : shape.chars ? shape.chars : 4, 4);
        if (!block) {
            put(b, 0, 6);
            put(b, 0, 1);
        }
    }
    for (size_t i = 0; i < count; i++)
        put(b, (uint64_t)list[i].at, 8);
    for (size_t i = 0; i < count; i++)
        put(b, i + 1, 1);
    for (size_t i = 0; i <= count; i++) {
        put(b, (uint32_t)(i ? list[i - 1].offset : first), 4);
        put(b, 0, 2);
    }
    buf_str(b, str_n("ABC", 4));
    buf_char(b, '\n');
    buf_str(b, str_of(rule));
    buf_char(b, '\n');
}

static struct time_zone *zone_of(const struct sample *list, size_t count, int32_t first,
                                 const char *rule) {
    struct buf b;
    struct time_zone *z = NULL;
    struct err err = {0};
    make(&b, list, count, first, rule, (struct shape){0});
    if (time_zone_parse(buf_view(&b), &z, &err) < 0)
        fail_msg("%s: %s", rule, err.message);
    buf_deinit(&b);
    return z;
}

static void expect_span(const struct time_zone *z, int64_t at, int64_t start, int64_t end,
                        int64_t offset) {
    struct time_zone_span s = time_zone_span_at(z, at);
    assert_int_equal(s.start, start);
    assert_int_equal(s.end, end);
    assert_int_equal(s.offset, offset);
}

static int64_t utc(int64_t year, int month, int day, int hour) {
    return civil_days(year, month, day) * 86400 + hour * 3600;
}

static void test_listed_changes(void **state) {
    (void)state;
    const struct sample list[] = {{-1000, 3600}, {0, 7200}, {500, 7200}, {1000, 3600}};
    struct time_zone *z = zone_of(list, 4, 1800, "");
    expect_span(z, INT64_MIN, INT64_MIN, -1000, 1800);
    expect_span(z, -1001, INT64_MIN, -1000, 1800);
    expect_span(z, -1000, -1000, 0, 3600);
    expect_span(z, 0, 0, 1000, 7200); /* the change at 500 changes nothing */
    expect_span(z, 999, 0, 1000, 7200);
    expect_span(z, 1000, 1000, INT64_MAX, 3600);
    expect_span(z, INT64_MAX, 1000, INT64_MAX, 3600);
    time_zone_free(z);
}

static void test_a_rule_goes_on_for_ever(void **state) {
    (void)state;
    /* Central Europe: from the last Sunday of March to the last of October, at 1:00 UTC. */
    const struct sample list[] = {{utc(1996, 3, 31, 1), 7200}, {utc(1996, 10, 27, 1), 3600}};
    struct time_zone *z = zone_of(list, 2, 3600, "CET-1CEST,M3.5.0,M10.5.0/3");
    expect_span(z, utc(1995, 7, 1, 0), INT64_MIN, utc(1996, 3, 31, 1), 3600);
    expect_span(z, utc(1996, 12, 31, 23), utc(1996, 10, 27, 1), utc(1997, 3, 30, 1), 3600);
    expect_span(z, utc(2026, 3, 29, 1), utc(2026, 3, 29, 1), utc(2026, 10, 25, 1), 7200);
    expect_span(z, utc(2026, 3, 29, 1) - 1, utc(2025, 10, 26, 1), utc(2026, 3, 29, 1), 3600);
    expect_span(z, utc(9999, 12, 31, 23), utc(9999, 10, 31, 1), utc(10000, 3, 26, 1), 3600);
    time_zone_free(z);
    z = zone_of(NULL, 0, 3600, "CET-1CEST,M3.5.0,M10.5.0/3");
    expect_span(z, utc(1970, 1, 1, 0), utc(1969, 10, 26, 1), utc(1970, 3, 29, 1), 3600);
    time_zone_free(z);
}

static void test_a_rule_that_begins_without_a_change(void **state) {
    (void)state;
    /* The list ends in 2000 with a change of nothing; only then does the rule count. */
    const struct sample list[] = {{0, 3600}, {utc(2000, 1, 1, 0), 3600}};
    struct time_zone *z = zone_of(list, 2, 1800, "CET-1CEST,M3.5.0,M10.5.0/3");
    expect_span(z, utc(1980, 7, 1, 0), 0, utc(2000, 3, 26, 1), 3600);
    expect_span(z, utc(2000, 7, 1, 0), utc(2000, 3, 26, 1), utc(2000, 10, 29, 1), 7200);
    time_zone_free(z);
}

static void test_forms_of_rules(void **state) {
    (void)state;
    /* The southern hemisphere, half an hour of change, times over 24 h and below 0. */
    struct time_zone *z = zone_of(NULL, 0, 0, "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0");
    expect_span(z, utc(2026, 1, 1, 0), utc(2025, 10, 4, 15) + 1800, utc(2026, 4, 4, 15), 39600);
    time_zone_free(z);
    z = zone_of(NULL, 0, 0, "<-02>2<-01>,M3.5.0/-1,M10.5.0/0");
    expect_span(z, utc(2026, 6, 1, 0), utc(2026, 3, 29, 1), utc(2026, 10, 25, 1), -3600);
    time_zone_free(z);
    z = zone_of(NULL, 0, 0, "EET-2EEST,M4.4.5/24,M10.4.5/50");
    expect_span(z, utc(2026, 6, 1, 0), utc(2026, 4, 24, 22), utc(2026, 10, 24, 23), 10800);
    time_zone_free(z);
    z = zone_of(NULL, 0, 0, "AAA0BBB,J60/0,59/0"); /* 1 March; day 59 is it, or 29 February */
    expect_span(z, utc(2027, 2, 28, 22), utc(2026, 3, 1, 0), utc(2027, 2, 28, 23), 3600);
    expect_span(z, utc(2028, 2, 28, 22), utc(2027, 3, 1, 0), utc(2028, 2, 28, 23), 3600);
    expect_span(z, utc(2028, 2, 29, 12), utc(2028, 2, 28, 23), utc(2028, 3, 1, 0), 0);
    time_zone_free(z);
    z = zone_of(NULL, 0, 0, "XXX3EDT4,0/0,J365/23"); /* summer time all year */
    expect_span(z, utc(2026, 1, 1, 3), utc(2025, 1, 1, 3), INT64_MAX, -14400);
    time_zone_free(z);
}

static void test_bad_rules(void **state) {
    (void)state;
    static const char *const bad[] = {
        "C",
        "CET",
        "CET-1CEST",
        "CET-1CEST,M3.5.0",
        "CET-26",
        "CET-1CEST,,",
        "<CET-1",
        "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,J0,J365",
        "CET-1CEST,J1,366",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,M3.5.0,M10.5.0x",
        "CET-1:60",
        "CET-1CEST,M3.5.0/2:,M10.5.0",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct buf b;
        struct time_zone *z;
        struct err err = {0};
        make(&b, NULL, 0, 0, bad[i], (struct shape){0});
        if (time_zone_parse(buf_view(&b), &z, &err) != ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
        assert_string_equal(err.message, "time zone data: the rule cannot be read");
        buf_deinit(&b);
    }
}

static void expect_refused(const struct sample *list, size_t count, int32_t first,
                           struct shape shape, const char *text) {
    struct buf b;
    struct time_zone *z;
    struct err err = {0};
    make(&b, list, count, first, "", shape);
    assert_int_equal(time_zone_parse(buf_view(&b), &z, &err), ERR_INVALID);
    assert_string_equal(err.message, text);
    buf_deinit(&b);
}

static void test_bad_files(void **state) {
    (void)state;
    const struct sample good[] = {{0, 3600}, {10, 0}}, back[] = {{10, 3600}, {10, 0}};
    const struct sample late[] = {{INT64_MAX, 3600}}, far[] = {{0, 100000}};
    expect_refused(good, 2, 0, (struct shape){.version = '1'},
                   "time zone data: version 1 is too old");
    expect_refused(good, 2, 0, (struct shape){.time = 20000}, "time zone data: it is cut short");
    expect_refused(good, 2, 0, (struct shape){.time = UINT32_MAX},
                   "time zone data: a count is too large");
    expect_refused(good, 2, 0, (struct shape){.type = 257},
                   "time zone data: the number of types is out of range");
    expect_refused(good, 2, 0, (struct shape){.leap = 1}, "time zone data: it counts leap seconds");
    expect_refused(good, 2, -100000, (struct shape){0},
                   "time zone data: an offset is out of range");
    expect_refused(far, 1, 0, (struct shape){0}, "time zone data: an offset is out of range");
    expect_refused(late, 1, 0, (struct shape){0}, "time zone data: a change is out of range");
    expect_refused(back, 2, 0, (struct shape){0}, "time zone data: the changes are not in order");
    expect_refused(good, 2, 0, (struct shape){.type = 1, .chars = 16},
                   "time zone data: a change names no type");
    struct buf b;
    make(&b, good, 2, 0, "UTC0", (struct shape){0});
    for (size_t len = 0; len < b.len; len++) {
        struct time_zone *z;
        assert_int_equal(time_zone_parse(str_n(b.p, len), &z, NULL), ERR_INVALID);
    }
    buf_deinit(&b);
}

static void test_names(void **state) {
    (void)state;
    static const char *const good[] = {
        "UTC",       "Europe/Berlin",          "America/Argentina/Buenos_Aires",
        "Etc/GMT+5", "America/Port-au-Prince", "EST5EDT"};
    static const char *const bad[] = {
        "",
        "/etc/passwd",
        "..",
        "../x",
        "A/../b",
        "A//b",
        "A/",
        "A.b",
        "posixrules",
        "right/UTC",
        "localtime",
        "Europe/Berlin ",
        "Europe\\Berlin",
        "A/+1",
        "\xc3\x84",
        "A\tb",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        assert_true(time_zone_name_ok(str_of(good[i])));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (time_zone_name_ok(str_of(bad[i])))
            fail_msg("taken: %s", bad[i]);
    assert_false(time_zone_name_ok(str_n("A\0b", 3)));
}

static void test_utc(void **state) {
    (void)state;
    struct time_zone *z = time_zone_utc();
    expect_span(z, 0, INT64_MIN, INT64_MAX, 0);
    time_zone_free(z);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listed_changes),
        cmocka_unit_test(test_a_rule_goes_on_for_ever),
        cmocka_unit_test(test_a_rule_that_begins_without_a_change),
        cmocka_unit_test(test_forms_of_rules),
        cmocka_unit_test(test_bad_rules),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
