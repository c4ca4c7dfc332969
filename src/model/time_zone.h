/* SPDX-License-Identifier: Apache-2.0 */
/* time_zone.h - a zone of the tz database as spans of constant offset from UTC.
 *
 * Parses the compiled form (TZif, version 2 or newer, RFC 9636) with its footer, the rule for the
 * time after the last change listed. Reading the file is the caller's part; nothing here looks at
 * the process's own time zone.
 * Memory: heap, by the caller (time_zone_free). Errors: ERR_INVALID, ERR_TOO_LARGE. Input is
 * hostile: counts and times are bounded. Suspends: never.
 * Tests: tests/unit/model/test_time_zone.c, tests/fuzz/fuzz_time_zone.c */
#ifndef HF_MODEL_TIME_ZONE_H
#define HF_MODEL_TIME_ZONE_H

#include "base/err.h"
#include "base/str.h"

struct time_zone;

#define TIME_ZONE_BYTES_MAX  ((size_t)256 * 1024)
#define TIME_ZONE_OFFSET_MAX 93599 /* seconds; the least is -TIME_ZONE_OFFSET_MAX */

MUST_CHECK int time_zone_parse(str bytes, struct time_zone **out, struct err *err);
struct time_zone *time_zone_utc(void);
void time_zone_free(struct time_zone *z);

/* Is it the name of a zone as the tz database gives them: "Europe/Berlin", "UTC", "Etc/GMT+5"?
 * True also says that it is safe as a path below the folder of the zones. */
#define TIME_ZONE_NAME_MAX 64
bool time_zone_name_ok(str name);

/* start ≤ instant < end, in seconds since 1970; INT64_MIN and INT64_MAX: no change is known before
 * or after. Local time is the instant plus the offset. Neighbouring spans differ in offset. */
struct time_zone_span {
    int64_t start, end;
    int64_t offset;
};
struct time_zone_span time_zone_span_at(const struct time_zone *z, int64_t instant);

#endif
