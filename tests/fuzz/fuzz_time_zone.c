/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_time_zone.c - time_zone_parse() on any bytes.
 *
 * Checks: spans of what is taken hold the instant asked for, follow each other without a gap, and
 * their offsets are within bounds; a refusal has a text. The name check takes nothing that could
 * leave a folder. */
#include "model/time_zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct time_zone *z, int64_t at) {
    struct time_zone_span before = time_zone_span_at(z, at);
    for (int i = 0; i < 8; i++) {
        ASSERT(before.start < before.end);
        ASSERT(before.offset >= -TIME_ZONE_OFFSET_MAX && before.offset <= TIME_ZONE_OFFSET_MAX);
        if (before.end == INT64_MAX)
            break;
        struct time_zone_span next = time_zone_span_at(z, before.end);
        ASSERT(next.start == before.end);
        before = next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct time_zone *z;
    struct err err = {0};
    str bytes = str_n((const char *)data, size);
    if (time_zone_name_ok(bytes))
        ASSERT(bytes.p[0] != '/' && str_find(bytes, STR("..")) < 0 && bytes.len < 100);
    int rc = time_zone_parse(bytes, &z, &err);
    if (rc < 0) {
        ASSERT((rc == ERR_INVALID || rc == ERR_TOO_LARGE) && err.message[0]);
        return 0;
    }
    walk(z, INT64_MIN);
    walk(z, 0);
    walk(z, INT64_C(1800000000));
    struct time_zone_span last = time_zone_span_at(z, INT64_MAX);
    ASSERT(last.start <= INT64_MAX && last.end > last.start);
    time_zone_free(z);
    return 0;
}
