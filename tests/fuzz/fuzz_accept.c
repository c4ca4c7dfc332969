/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_accept.c - Accept-Encoding and Accept of any bytes.
 *
 * Checks: weights lie within 0 … 1000; what is chosen is offered and weighs something, and nothing
 * that is offered weighs more; a range that is named weighs as without that condition. */
#include "base/err.h"
#include "http/accept.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const enum http_coding offered[] = {HTTP_ZSTD, HTTP_GZIP};
    str value = str_n((const char *)data, size);
    int w[HTTP_CODING_COUNT];
    http_accept_codings(value, w);
    for (int c = 0; c < HTTP_CODING_COUNT; c++)
        ASSERT(w[c] >= 0 && w[c] <= HTTP_WEIGHT_MAX);
    enum http_coding chosen = http_accept_choose(w, offered, 2);
    ASSERT(chosen == HTTP_IDENTITY || chosen == HTTP_ZSTD || chosen == HTTP_GZIP);
    ASSERT(chosen == HTTP_IDENTITY || w[chosen] > 0);
    ASSERT(w[chosen] >= w[HTTP_IDENTITY] || chosen == HTTP_IDENTITY);
    ASSERT(chosen == HTTP_IDENTITY || (w[chosen] >= w[HTTP_ZSTD] && w[chosen] >= w[HTTP_GZIP]));
    int any = http_accept_type(value, STR("image/webp"), false);
    int named = http_accept_type(value, STR("image/webp"), true);
    ASSERT(any >= 0 && any <= HTTP_WEIGHT_MAX);
    ASSERT(named == 0 || named == any);
    return 0;
}
