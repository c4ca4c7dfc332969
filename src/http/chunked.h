/* SPDX-License-Identifier: Apache-2.0 */
/* chunked.h - incremental, strict decoder of chunked bodies (RFC 9112 7.1).
 *
 * Owner: the request being read. Memory: none; data comes out as views of the input.
 * Errors: ERR_MALFORMED (err->system 400) or ERR_TOO_LARGE (413 body, 431 trailers).
 * Suspends: never. Tests: tests/unit/http/test_chunked.c; fuzzed against llhttp. */
#ifndef HF_HTTP_CHUNKED_H
#define HF_HTTP_CHUNKED_H

#include "base/err.h"
#include "base/str.h"

#define HTTP_CHUNK_EXTENSION_BYTES_MAX 256
#define HTTP_TRAILER_BYTES_MAX 8192

struct http_chunked {
    uint64_t left_bytes;  /* of the current chunk's data */
    uint64_t total_bytes; /* announced by all chunks so far */
    uint32_t line_bytes;  /* of the extension or trailer line */
    uint32_t trailer_bytes;
    uint8_t digits;
    uint8_t state;
};

void http_chunked_init(struct http_chunked *c);
/* Consumes from *input up to the next piece of data. *out_data is empty when the input is used up
 * or the body has ended; http_chunked_ended() tells which. Bytes after the end stay in *input. */
MUST_CHECK int http_chunked_next(struct http_chunked *c, str *input, size_t body_bytes_max,
                                 str *out_data, struct err *err);
bool http_chunked_ended(const struct http_chunked *c);

#endif
