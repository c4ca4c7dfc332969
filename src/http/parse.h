/* SPDX-License-Identifier: Apache-2.0 */
/* parse.h - a whole request head, already passed by the guard, into its parts.
 *
 * Memory: all views point into the head given. Errors: ERR_MALFORMED, ERR_UNSUPPORTED,
 * ERR_TOO_LARGE with err->system = the HTTP status to answer. Suspends: never.
 * Tests: tests/unit/http/test_parse.c; fuzzed with the guard. */
#ifndef HF_HTTP_PARSE_H
#define HF_HTTP_PARSE_H

#include "base/err.h"
#include "http/guard.h"
#include "http/header.h"

#define HTTP_HEADER_COUNT_MAX 128

struct http_head {
    str method, target;
    uint64_t content_length; /* 0 when none was given */
    size_t header_count;
    uint8_t version_minor;
    bool chunked, has_length, keep_alive;
};

/* Fields go to `fields`, up to `cap` of them; more: ERR_TOO_LARGE with 431. */
/* Of the parser behind it. */
const char *http_parser_version(void);
MUST_CHECK int http_parse_head(str head, const struct http_guard *g, struct http_header *fields,
                               size_t cap, struct http_head *out, struct err *err);

#endif
