/* SPDX-License-Identifier: Apache-2.0 */
/* range.h - parts of an answer, and conditions on it (RFC 9110 §13, §14), as far as they are used
 * here: one range of bytes, strong tags.
 * Memory: none. Suspends: never. Tests: tests/unit/http/test_range.c, tests/fuzz/fuzz_range.c */
#ifndef HF_HTTP_RANGE_H
#define HF_HTTP_RANGE_H

#include <stdint.h>

#include "base/str.h"

enum http_range {
    HTTP_RANGE_ALL,   /* none is asked for, or in a way that is not understood */
    HTTP_RANGE_PART,  /* *from and *count, within the size */
    HTTP_RANGE_BEYOND /* there is nothing of it: 416 */
};
enum http_range http_range_parse(str value, uint64_t size, uint64_t *from, uint64_t *count);
/* If-None-Match: does the list name this tag (with its quotes)? W/ is left aside on both sides. */
bool http_etag_listed(str list, str etag);
/* Has the client what would be answered? If-None-Match counts alone when it is there; a time of
 * change that is not known (0), or a date that cannot be read, is no answer. Both may be absent. */
bool http_not_modified(str if_none_match, str if_modified_since, str etag, int64_t modified_us);

#endif
