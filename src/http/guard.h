/* SPDX-License-Identifier: Apache-2.0 */
/* guard.h - strict check of a request head before any parser sees it.
 *
 * Owner: the connection, one guard per head. Memory: none of its own. Errors: ERR_MALFORMED or
 * ERR_UNSUPPORTED with err->system = the HTTP status to answer (400, 501 or 505).
 * Suspends: never. Tests: tests/unit/http/test_guard.c; fuzzed with the parser. */
#ifndef HF_HTTP_GUARD_H
#define HF_HTTP_GUARD_H

#include "base/err.h"
#include "base/str.h"

struct http_guard {
    uint32_t line_at;    /* start of the line being collected */
    uint32_t scanned_at; /* no LF before this one */
    uint32_t field_count;
    uint8_t version_minor;
    uint8_t host_count, coding_count, length_count; /* each saturates at 2 */
    bool has_request_line;
};

void http_guard_init(struct http_guard *g);
/* Looks at the head so far; `input` always starts at its first byte and may only have grown.
 * 0 and *out_head_bytes = 0: more is needed; 0 and > 0: the head is whole and that long, with its
 * empty line. A refusal is final. */
MUST_CHECK int http_guard_scan(struct http_guard *g, str input, size_t *out_head_bytes,
                               struct err *err);

#endif
