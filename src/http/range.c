/* SPDX-License-Identifier: Apache-2.0 */
/* range.c - reads Range and If-None-Match.
 *
 *   bytes=FROM-LAST   bytes=FROM-   bytes=-COUNT
 *
 * Several ranges at once, other units and what cannot be read are left unheard, as the RFC allows:
 * the whole is the answer then. Tags are compared without their W/, as If-None-Match wants it.
 * Dates are read in the one form that is written today (IMF-fixdate). */
#include "http/range.h"

#include "base/clock.h"

#define SECOND_US INT64_C(1000000)

static bool all_digits(str s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.len > 0;
}

enum http_range http_range_parse(str value, uint64_t size, uint64_t *from, uint64_t *count) {
    value = str_trim(value);
    if (!str_starts(value, STR("bytes=")))
        return HTTP_RANGE_ALL;
    value = str_trim(str_slice(value, 6, value.len));
    ptrdiff_t dash = str_find_char(value, '-');
    str low = dash < 0 ? STR_NULL : str_slice(value, 0, (size_t)dash);
    str high = dash < 0 ? STR_NULL : str_slice(value, (size_t)dash + 1, value.len);
    uint64_t first = 0, last = UINT64_MAX;
    if ((low.len && (!all_digits(low) || !str_to_u64(low, &first))) ||
        (high.len && (!all_digits(high) || !str_to_u64(high, &last))) || (!low.len && !high.len) ||
        (low.len && last < first))
        return HTTP_RANGE_ALL;
    if (!low.len) { /* the last so many */
        if (last == 0 || size == 0)
            return HTTP_RANGE_BEYOND;
        *count = last < size ? last : size;
        *from = size - *count;
        return HTTP_RANGE_PART;
    }
    if (first >= size)
        return HTTP_RANGE_BEYOND;
    *from = first;
    *count = (last < size ? last : size - 1) - first + 1;
    return HTTP_RANGE_PART;
}

static str opaque_tag(str etag) {
    return str_starts(etag, STR("W/")) ? str_slice(etag, 2, etag.len) : etag;
}

bool http_etag_listed(str list, str etag) {
    str entry;
    while (str_split_next(&list, ',', &entry)) {
        entry = str_trim(entry);
        if (str_eq(entry, STR("*")) || str_eq(opaque_tag(entry), opaque_tag(etag)))
            return true;
    }
    return false;
}

bool http_not_modified(str if_none_match, str if_modified_since, str etag, int64_t modified_us) {
    int64_t since_us;
    if (if_none_match.p)
        return etag.len > 0 && http_etag_listed(if_none_match, etag);
    return modified_us > 0 && time_parse_http(str_trim(if_modified_since), &since_us) &&
           modified_us / SECOND_US * SECOND_US <= since_us;
}
