/* SPDX-License-Identifier: Apache-2.0 */
/* civil.h - dates of the proleptic Gregorian calendar and days since 1970-01-01.
 *
 * Exact for every year that fits. No time zone, no locale. Memory: none. Errors: none.
 * Suspends: never. Tests: tests/unit/base/test_clock.c, tests/unit/model/test_cron_expr.c */
#ifndef HF_BASE_CIVIL_H
#define HF_BASE_CIVIL_H

#include <stdint.h>

struct civil_date {
    int64_t year;
    int month, day; /* from 1 */
};
int64_t civil_days(int64_t year, int month, int day);
struct civil_date civil_of_days(int64_t days);
int civil_month_days(int64_t year, int month);
int civil_weekday(int64_t days); /* 0 Sunday … 6 Saturday */

#endif
