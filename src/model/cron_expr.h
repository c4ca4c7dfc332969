/* SPDX-License-Identifier: Apache-2.0 */
/* cron_expr.h - cron expressions, and when they fire next in a time zone.
 *
 *   minute hour day-of-month month day-of-week [second]
 *     0-59  0-23    1-31      1-12    0-7       0-59
 *
 * Names (jan…dec, sun…sat) in any case; 0 and 7 are Sunday. A field is a comma list of: * (all),
 * a value, a range a-b (one that ends before it begins goes over the end: 22-2, fri-mon), each with
 * /step (a/step: from a to the end). The sixth field, seconds, comes last, as in Python's croniter;
 * without it: second 0. Day of month also takes L (the last), LW (the last weekday) and nW (the
 * weekday, Monday to Friday, nearest to n within the month). Day of week also takes d#n (the n-th
 * of the month, 1-5), dL and Ld (the last). ? is * for the two day fields. When both day fields
 * say something, either is enough. @yearly @annually @monthly @weekly @daily @midnight @hourly
 * stand for what they say.
 *
 * Clock changes are treated as cronie does. A schedule whose minute and hour fields do not begin
 * with * is for fixed times: a time that the clocks skip fires once, when the gap is over (several
 * in one gap: once together); a time that they repeat fires at its first occurrence only. Any other
 * schedule is for intervals: it fires whenever the local clock shows a matching time, so not in a
 * gap, and both times in a repetition.
 *
 * Memory: by value. Errors: ERR_INVALID with the field and what is wrong, ERR_NOT_FOUND: it never
 * fires. Input is hostile: length and search are bounded. Suspends: never.
 * Tests: tests/unit/model/test_cron_expr.c, tests/integration/run-cron-oracle,
 * tests/fuzz/fuzz_cron_expr.c */
#ifndef HF_MODEL_CRON_EXPR_H
#define HF_MODEL_CRON_EXPR_H

#include "model/time_zone.h"

#define CRON_EXPR_BYTES_MAX 255

struct cron_expr {
    uint64_t minutes, seconds;    /* bit n: the value n; so in all */
    uint32_t hours, days, months; /* days of the month */
    uint8_t weekdays;             /* 0 Sunday */
    bool every_day, every_weekday;
    bool last_day, last_workday;
    uint32_t near_days;      /* nW */
    uint8_t last_weekdays;   /* dL */
    uint8_t nth_weekdays[6]; /* d#n: at n */
    bool fixed;              /* for fixed times, not for intervals */
};

MUST_CHECK int cron_expr_parse(str text, struct cron_expr *out, struct err *err);
/* The first instant after `after` (seconds since 1970) at which it fires. ERR_NOT_FOUND: not within
 * the next CRON_YEARS years, which is never: 29 February comes back within 8. */
#define CRON_YEARS 12
MUST_CHECK int cron_expr_next(const struct cron_expr *e, const struct time_zone *zone,
                              int64_t after, int64_t *out, struct err *err);

#endif
