/* SPDX-License-Identifier: Apache-2.0 */
/* accept.h - what a client takes: codings (Accept-Encoding), media types (Accept), with weights
 * (RFC 9110 §12.4.2, §12.5.1, §12.5.3).
 *
 * Weights are thousandths, 0 is "not acceptable". Memory: none. Errors: what cannot be read counts
 * as not acceptable. Suspends: never.
 * Tests: tests/unit/http/test_accept.c, tests/fuzz/fuzz_accept.c */
#ifndef HF_HTTP_ACCEPT_H
#define HF_HTTP_ACCEPT_H

#include <stdint.h>

#include "base/str.h"

#define HTTP_WEIGHT_MAX 1000

enum http_coding { HTTP_IDENTITY, HTTP_GZIP, HTTP_ZSTD, HTTP_BROTLI, HTTP_CODING_COUNT };
str http_coding_name(enum http_coding c);
bool http_coding_parse(str name, enum http_coding *out); /* "x-gzip" is gzip */

/* Of each coding, from an Accept-Encoding; absent: identity alone, since who says nothing may be
 * anybody. Identity that is not named weighs least, and nothing only when "*" does. */
void http_accept_codings(str value, int weights[HTTP_CODING_COUNT]);
/* The one of `offered`, in the server's order, that weighs most; identity when none of them weighs
 * as much, or nothing at all is acceptable. */
enum http_coding http_accept_choose(const int weights[HTTP_CODING_COUNT],
                                    const enum http_coding *offered, size_t count);
/* Of a type, "image/webp", by the most specific range of an Accept; absent or empty: all alike.
 * named: only a range without "*" counts. */
int http_accept_type(str value, str type, bool named);

#endif
