/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an expression fires when it should, around clock changes as cronie does, and a wrong one is
 * refused with a text that says what to change.
 * Method: tables of expression, zone, start and the next instants, written as UTC; the zones are
 * the rules of Berlin, New York, Lord Howe (half an hour) and Apia's skipped day, made here. A long
 * comparison with other programs is tests/integration/run-cron-oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "model/cron_expr.h"

enum zone { UTC, BERLIN, NEW_YORK, LORD_HOWE, APIA, ZONES };
static struct time_zone *zones[ZONES];

static void put(struct buf *b, uint64_t v, int bytes) {
    for (int i = bytes - 1; i >= 0; i--)
        buf_char(b, (char)(v >> 8 * i & 0xff));
}

/* A file with a rule and at most one change. */
static struct time_zone *zone_make(const char *rule, int64_t at, int32_t before, int32_t after) {
    struct buf b;
    struct time_zone *z = NULL;
    struct err err = {0};
    size_t changes = at != 0;
    buf_init(&b, 4096);
    for (size_t block = 0; block < 2; block++) {
        buf_str(&b, STR("TZif2"));
        for (int i = 0; i < 27; i++)
            buf_char(&b, 0);
        put(&b, block ? changes : 0, 4);
        put(&b, block ? 1 + changes : 0, 4);
        put(&b, 0, 4);
    }
    if (changes) {
        put(&b, (uint64_t)at, 8);
        put(&b, 1, 1);
    }
    put(&b, (uint32_t)before, 4);
    put(&b, 0, 2);
    if (changes) {
        put(&b, (uint32_t)after, 4);
        put(&b, 0, 2);
    }
    buf_char(&b, '\n');
    buf_str(&b, str_of(rule));
    buf_char(&b, '\n');
    if (time_zone_parse(buf_view(&b), &z, &err) < 0)
        fail_msg("%s: %s", rule, err.message);
    buf_deinit(&b);
    return z;
}

static int64_t instant(const char *iso) {
    int64_t us;
    if (!time_parse_iso(str_of(iso), &us))
        fail_msg("no time: %s", iso);
    return us / 1000000;
}

static int set_up(void **state) {
    (void)state;
    zones[UTC] = time_zone_utc();
    zones[BERLIN] = zone_make("CET-1CEST,M3.5.0,M10.5.0/3", 0, 3600, 0);
    zones[NEW_YORK] = zone_make("EST5EDT,M3.2.0,M11.1.0", 0, -18000, 0);
    zones[LORD_HOWE] = zone_make("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 0, 37800, 0);
    zones[APIA] = zone_make("<+14>-14", instant("2011-12-30T10:00:00Z"), -36000, 50400);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (size_t i = 0; i < ZONES; i++)
        time_zone_free(zones[i]);
    return 0;
}

struct sample {
    const char *expr;
    enum zone zone;
    const char *after;
    const char *next; /* instants, separated by blanks */
};

static void check(const struct sample *c) {
    struct cron_expr e;
    struct err err = {0};
    char text[TIME_ISO_LEN];
    if (cron_expr_parse(str_of(c->expr), &e, &err) < 0)
        fail_msg("%s: %s", c->expr, err.message);
    int64_t at = instant(c->after);
    str rest = str_of(c->next), part;
    while (str_split_next(&rest, ' ', &part)) {
        int64_t wanted;
        if (!time_parse_iso(part, &wanted))
            fail_msg("no time: " STR_FMT, STR_ARG(part));
        if (cron_expr_next(&e, zones[c->zone], at, &at, &err) < 0)
            fail_msg("%s: %s", c->expr, err.message);
        time_write_iso(at * 1000000, text);
        if (at * 1000000 != wanted)
            fail_msg("%s after %s: " STR_FMT " instead of " STR_FMT, c->expr, c->after,
                     STR_ARG(str_n(text, TIME_ISO_LEN)), STR_ARG(part));
    }
}

#define CHECK_ALL(...)                                                                             \
    do {                                                                                           \
        static const struct sample all[] = {__VA_ARGS__};                                          \
        for (size_t i_ = 0; i_ < ARRAY_COUNT(all); i_++)                                           \
            check(&all[i_]);                                                                       \
    } while (0)

static void test_fields(void **state) {
    (void)state;
    CHECK_ALL({"* * * * *", UTC, "2026-01-01T00:00:30Z", "2026-01-01T00:01Z 2026-01-01T00:02Z"},
              {"* * * * *", UTC, "2026-01-01T00:01Z", "2026-01-01T00:02Z"},
              {"*/15 * * * *", UTC, "2026-01-01T00:50Z", "2026-01-01T01:00Z 2026-01-01T01:15Z"},
              {"5/20 * * * *", UTC, "2026-01-01T00:00Z",
               "2026-01-01T00:05Z 2026-01-01T00:25Z 2026-01-01T00:45Z 2026-01-01T01:05Z"},
              {"0 22-2 * * *", UTC, "2026-01-01T21:00Z",
               "2026-01-01T22:00Z 2026-01-01T23:00Z 2026-01-02T00:00Z 2026-01-02T01:00Z "
               "2026-01-02T02:00Z 2026-01-02T22:00Z"},
              {"0 9,17 * * mon-FRI", UTC, "2026-01-02T10:00Z", /* a Friday */
               "2026-01-02T17:00Z 2026-01-05T09:00Z"},
              {"0 0 * * fri-mon/2", UTC, "2026-01-01T00:00Z", /* Friday and Sunday */
               "2026-01-02T00:00Z 2026-01-04T00:00Z 2026-01-09T00:00Z"},
              {"0 0 * * 7", UTC, "2026-01-01T00:00Z", "2026-01-04T00:00Z 2026-01-11T00:00Z"},
              {"0 0 * * 5-7", UTC, "2026-01-01T00:00Z",
               "2026-01-02T00:00Z 2026-01-03T00:00Z 2026-01-04T00:00Z 2026-01-09T00:00Z"},
              {"0 0 * * 7-2", UTC, "2026-01-01T00:00Z",
               "2026-01-04T00:00Z 2026-01-05T00:00Z 2026-01-06T00:00Z 2026-01-11T00:00Z"},
              {"0 0 1 jan,Jul *", UTC, "2026-01-01T00:00Z", "2026-07-01T00:00Z 2027-01-01T00:00Z"},
              {"0 0 1 11-2/2 ?", UTC, "2026-01-01T00:00Z", "2026-11-01T00:00Z 2027-01-01T00:00Z"},
              {"30 4 1,15 * 5", UTC, "2026-01-01T05:00Z", /* either day is enough */
               "2026-01-02T04:30Z 2026-01-09T04:30Z 2026-01-15T04:30Z 2026-01-16T04:30Z"},
              {"0 0 29 2 *", UTC, "2026-01-01T00:00Z", "2028-02-29T00:00Z 2032-02-29T00:00Z"},
              {"0 0 29 2 *", UTC, "2097-01-01T00:00Z", "2104-02-29T00:00Z"},
              {"0 0 31 * *", UTC, "2026-01-31T00:00Z", "2026-03-31T00:00Z 2026-05-31T00:00Z"},
              {"  0\t0  1 1 *  ", UTC, "2026-01-01T00:00Z", "2027-01-01T00:00Z"},
              {"@daily", UTC, "2026-01-01T00:00Z", "2026-01-02T00:00Z"},
              {"@Weekly", UTC, "2026-01-01T00:00Z", "2026-01-04T00:00Z"},
              {"@hourly", UTC, "1969-12-31T23:30Z", "1970-01-01T00:00Z"});
}

static void test_seconds_come_last(void **state) {
    (void)state;
    CHECK_ALL(
        {"* * * * * 15", UTC, "2026-01-01T00:00Z", "2026-01-01T00:00:15Z 2026-01-01T00:01:15Z"},
        {"30 12 * * * */20", UTC, "2026-01-01T00:00Z",
         "2026-01-01T12:30:00Z 2026-01-01T12:30:20Z 2026-01-01T12:30:40Z 2026-01-02T12:30:00Z"},
        {"59 23 31 12 * 59", UTC, "2026-01-01T00:00Z",
         "2026-12-31T23:59:59Z 2027-12-31T23:59:59Z"});
}

static void test_special_days(void **state) {
    (void)state;
    CHECK_ALL({"0 0 L * *", UTC, "2026-01-31T00:00Z", "2026-02-28T00:00Z 2026-03-31T00:00Z"},
              {"0 0 1,L * *", UTC, "2028-02-02T00:00Z", "2028-02-29T00:00Z 2028-03-01T00:00Z"},
              {"0 0 LW * *", UTC, "2026-01-01T00:00Z", /* Saturday 31 January: the 30th */
               "2026-01-30T00:00Z 2026-02-27T00:00Z 2026-03-31T00:00Z"},
              {"0 0 15W * *", UTC, "2026-02-01T00:00Z", /* Sunday 15 February: the 16th */
               "2026-02-16T00:00Z 2026-03-16T00:00Z 2026-04-15T00:00Z"},
              {"0 0 1W * *", UTC, "2026-07-15T00:00Z", /* Saturday 1 August: the 3rd, not July */
               "2026-08-03T00:00Z"},
              {"0 0 31W * *", UTC, "2026-05-01T00:00Z", /* Sunday 31 May: the 29th; June has none */
               "2026-05-29T00:00Z 2026-07-31T00:00Z"},
              {"0 0 * * fri#3", UTC, "2026-01-01T00:00Z", "2026-01-16T00:00Z 2026-02-20T00:00Z"},
              {"0 0 * * 0#5", UTC, "2026-01-01T00:00Z", "2026-03-29T00:00Z 2026-05-31T00:00Z"},
              {"0 0 * * 5L", UTC, "2026-01-01T00:00Z", "2026-01-30T00:00Z 2026-02-27T00:00Z"},
              {"0 0 * * Lfri,7L", UTC, "2026-01-01T00:00Z",
               "2026-01-25T00:00Z 2026-01-30T00:00Z 2026-02-22T00:00Z"},
              {"0 0 13 * fri#2", UTC, "2026-01-01T00:00Z", "2026-01-09T00:00Z 2026-01-13T00:00Z"});
}

static void test_spring_forward(void **state) {
    (void)state;
    /* Berlin: 2026-03-29, 2:00 becomes 3:00 at 1:00 UTC. New York: 2026-03-08 at 7:00 UTC. */
    CHECK_ALL(
        {"30 2 * * *", BERLIN, "2026-03-28T00:00Z",
         "2026-03-28T01:30Z 2026-03-29T01:00Z 2026-03-30T00:30Z"},
        {"0,15,30 2 * * *", BERLIN, "2026-03-28T02:00Z", /* once together */
         "2026-03-29T01:00Z 2026-03-30T00:00Z"},
        {"30 2,3 * * *", BERLIN, "2026-03-28T12:00Z",
         "2026-03-29T01:00Z 2026-03-29T01:30Z 2026-03-30T00:30Z"},
        {"0 2-3 * * *", BERLIN, "2026-03-28T12:00Z", /* both at the end of the gap */
         "2026-03-29T01:00Z 2026-03-30T00:00Z"},
        {"30 2 29 3 *", BERLIN, "2026-01-01T00:00Z", "2026-03-29T01:00Z 2027-03-29T00:30Z"},
        {"*/30 * * * *", BERLIN, "2026-03-29T00:00Z",
         "2026-03-29T00:30Z 2026-03-29T01:00Z 2026-03-29T01:30Z"},
        {"30 * * * *", BERLIN, "2026-03-29T00:00Z",
         "2026-03-29T00:30Z 2026-03-29T01:30Z 2026-03-29T02:30Z"},
        {"*/30 2 * * *", BERLIN, "2026-03-28T12:00Z", /* for intervals: none that day */
         "2026-03-30T00:00Z 2026-03-30T00:30Z"},
        {"30 2 * * * 5,10", BERLIN, "2026-03-28T12:00Z", "2026-03-29T01:00Z 2026-03-30T00:30:05Z"},
        {"30 2 * * *", NEW_YORK, "2026-03-07T12:00Z", "2026-03-08T07:00Z 2026-03-09T06:30Z"},
        {"15 2 * * *", LORD_HOWE, "2026-10-02T15:45Z", /* half an hour is skipped from 2:00 */
         "2026-10-03T15:30Z 2026-10-04T15:15Z"},
        {"0 12 * * *", APIA, "2011-12-29T00:00Z", /* 30 December 2011 was skipped */
         "2011-12-29T22:00Z 2011-12-30T10:00Z 2011-12-30T22:00Z"});
}

static void test_fall_back(void **state) {
    (void)state;
    /* Berlin: 2026-10-25, 3:00 becomes 2:00 at 1:00 UTC. New York: 2026-11-01 at 6:00 UTC. */
    CHECK_ALL(
        {"30 2 * * *", BERLIN, "2026-10-24T12:00Z", "2026-10-25T00:30Z 2026-10-26T01:30Z"},
        {"30 2 * * *", BERLIN, "2026-10-25T01:10Z", "2026-10-26T01:30Z"}, /* the second 2:10 */
        {"0,30 2-3 * * *", BERLIN, "2026-10-24T12:00Z",
         "2026-10-25T00:00Z 2026-10-25T00:30Z 2026-10-25T02:00Z 2026-10-25T02:30Z"},
        {"30 * * * *", BERLIN, "2026-10-24T23:50Z",
         "2026-10-25T00:30Z 2026-10-25T01:30Z 2026-10-25T02:30Z"},
        {"*/30 2 * * *", BERLIN, "2026-10-24T12:00Z",
         "2026-10-25T00:00Z 2026-10-25T00:30Z 2026-10-25T01:00Z 2026-10-25T01:30Z "
         "2026-10-26T01:00Z"},
        {"30 1 * * *", NEW_YORK, "2026-10-31T12:00Z", "2026-11-01T05:30Z 2026-11-02T06:30Z"},
        {"45 1 * * *", LORD_HOWE, "2026-04-03T15:00Z", /* 2:00 becomes 1:30 */
         "2026-04-04T14:45Z 2026-04-05T15:15Z"});
}

static void test_never(void **state) {
    (void)state;
    static const char *const never[] = {"0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31W feb *"};
    struct cron_expr e;
    struct err err = {0};
    int64_t at;
    for (size_t i = 0; i < ARRAY_COUNT(never); i++) {
        assert_int_equal(cron_expr_parse(str_of(never[i]), &e, &err), 0);
        assert_int_equal(cron_expr_next(&e, zones[UTC], 0, &at, &err), ERR_NOT_FOUND);
        assert_string_equal(err.message, "it never fires");
    }
    /* Only in gaps, and not for fixed times. */
    assert_int_equal(cron_expr_parse(STR("*/5 2 * 3 SUNL"), &e, &err), 0);
    assert_int_equal(cron_expr_next(&e, zones[BERLIN], 0, &at, &err), ERR_NOT_FOUND);
    assert_int_equal(cron_expr_next(&e, zones[UTC], 0, &at, &err), 0);
    /* Beyond the calendar, and before it. */
    assert_int_equal(cron_expr_parse(STR("* * * * *"), &e, &err), 0);
    assert_int_equal(cron_expr_next(&e, zones[BERLIN], INT64_MAX - 1, &at, &err), ERR_NOT_FOUND);
    assert_int_equal(cron_expr_next(&e, zones[BERLIN], INT64_MIN, &at, &err), 0);
}

static void test_refusals(void **state) {
    (void)state;
    static const char *const all[][2] = {
        {"", "must have five or six fields, it has 0"},
        {"* * * *", "must have five or six fields, it has 4"},
        {"* * * * * * *", "must have five or six fields, it has more"},
        {"@reboot", "must have five or six fields, it has 1"},
        {"60 * * * *", "minute: \"60\" is no value of this field"},
        {"-1 * * * *", "minute: \"-1\" is no value of this field"},
        {"* 24 * * *", "hour: \"24\" is no value of this field"},
        {"* * 0 * *", "day of month: \"0\" is no value of this field"},
        {"* * 32W * *", "day of month: \"32W\" is no value of this field"},
        {"* * 1X * *", "day of month: \"1X\" is not understood"},
        {"* * L-3 * *", "day of month: \"L-3\" is not understood"},
        {"* * * 13 *", "month: \"13\" is no value of this field"},
        {"* * * january *", "month: \"january\" is not understood"},
        {"* * * * 8", "day of week: \"8\" is no value of this field"},
        {"* * * * L", "day of week: \"L\" is not understood"},
        {"* * * * 5#6", "day of week: \"5#6\" must be a day, # and a number from 1 to 5"},
        {"* * * * L5#1", "day of week: \"L5#1\" must be a day, # and a number from 1 to 5"},
        {"* * * * * 60", "second: \"60\" is no value of this field"},
        {"? * * * *", "minute: \"?\" is no value of this field"},
        {"*/0 * * * *", "minute: \"*/0\" has a step that is out of range"},
        {"*/60 * * * *", "minute: \"*/60\" has a step that is out of range"},
        {"*/ * * * *", "minute: \"*/\" has a step that is out of range"},
        {"1- * * * *", "minute: \"1-\" has no end that this field can have"},
        {"1-60 * * * *", "minute: \"1-60\" has no end that this field can have"},
        {"1,,2 * * * *", "minute: \"\" is empty"},
        {", * * * *", "minute: \"\" is empty"},
        {"99999999999 * * * *", "minute: \"99999999999\" is no value of this field"},
        {"* * * * *\n", NULL},
        {"*\n* * * *", "must be one line"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        struct cron_expr e;
        struct err err = {0};
        int rc = cron_expr_parse(str_of(all[i][0]), &e, &err);
        if (rc != (all[i][1] ? ERR_INVALID : 0))
            fail_msg("\"%s\" gives %d", all[i][0], rc);
        if (all[i][1])
            assert_string_equal(err.message, all[i][1]);
    }
    char longest[CRON_EXPR_BYTES_MAX + 2];
    memset(longest, ' ', sizeof(longest));
    memcpy(longest, "* * * * *", 9);
    struct cron_expr e;
    assert_int_equal(cron_expr_parse(str_n(longest, CRON_EXPR_BYTES_MAX), &e, NULL), 0);
    assert_int_equal(cron_expr_parse(str_n(longest, sizeof(longest)), &e, NULL), ERR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),       cmocka_unit_test(test_seconds_come_last),
        cmocka_unit_test(test_special_days), cmocka_unit_test(test_spring_forward),
        cmocka_unit_test(test_fall_back),    cmocka_unit_test(test_never),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
