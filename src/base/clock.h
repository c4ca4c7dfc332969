/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - the only reader of real clocks; times are 64-bit UTC microseconds.
 * A simulation may install its own source. Suspends: never. Tests: tests/unit/base/test_clock.c */
#ifndef HF_BASE_CLOCK_H
#define HF_BASE_CLOCK_H

#include <stdint.h>

#include "base/arena.h"

int64_t clock_wall_us(void);
int64_t clock_mono_us(void);
/* Both NULL restores the real clocks. */
void clock_set_source(int64_t (*wall_us)(void), int64_t (*mono_us)(void));

#define TIME_ISO_LEN 27 /* 2026-11-21T02:22:46.334123Z */
void time_write_iso(int64_t wall_us, char out[TIME_ISO_LEN]); /* no NUL; years 0000-9999 */
str time_iso(struct arena *a, int64_t wall_us);
/* ISO-8601 with date, optional time, fraction and zone (Z or ±hh:mm; none means UTC). */
bool time_parse_iso(str s, int64_t *out_wall_us);
#define TIME_HTTP_LEN 29 /* Sun, 06 Nov 1994 08:49:37 GMT */
void time_write_http(int64_t wall_us, char out[TIME_HTTP_LEN]);
bool time_parse_http(str s, int64_t *out_wall_us); /* of this form only */

#endif
