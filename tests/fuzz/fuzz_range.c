/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_range.c - Range and If-None-Match of any bytes; the first byte is the size.
 *
 * Checks: a part lies within the size and is not empty. */
#include "base/err.h"
#include "http/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t from, count;
    if (size == 0)
        return 0;
    str value = str_n((const char *)data + 1, size - 1);
    if (http_range_parse(value, data[0], &from, &count) == HTTP_RANGE_PART)
        ASSERT(count > 0 && from < data[0] && count <= data[0] - from);
    (void)http_etag_listed(value, STR("\"tag\""));
    return 0;
}
