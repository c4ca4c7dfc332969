/* SPDX-License-Identifier: Apache-2.0 */
/* coding.h - content codings: whole bodies, streams piece by piece, and the way back with a cap.
 *
 * Owner: the caller. One thread at a time uses one object; it may be another one each time.
 * Memory: a packer keeps the libraries' states between bodies; an encoder holds about 140 KB (gzip)
 * or 500 KB (zstd) until it is freed; a decoder's output stays within the buffer's cap.
 * Errors: ERR_MALFORMED (400), ERR_TOO_LARGE (413). Suspends: never.
 * Tests: tests/unit/http/test_coding.c, tests/fuzz/fuzz_coding.c. RFC 1952, 8878, 9659. */
#ifndef HF_HTTP_CODING_H
#define HF_HTTP_CODING_H

#include "base/buf.h"
#include "http/accept.h"

#define HTTP_LEVEL_MAX 9

/* Whole bodies: gzip and zstd. */
struct http_packer;
struct http_packer *http_packer_new(int level); /* 1 fast … HTTP_LEVEL_MAX small */
void http_packer_free(struct http_packer *p);
/* Bytes written to out; 0: they would not fit into cap. */
size_t http_pack(struct http_packer *p, enum http_coding c, str in, char *out, size_t cap);

/* Streams: gzip and zstd. */
enum http_encode {
    HTTP_ENCODE_MORE,  /* may stay inside */
    HTTP_ENCODE_FLUSH, /* the peer can read all of it */
    HTTP_ENCODE_END    /* and nothing follows */
};
struct http_encoder;
struct http_encoder *http_encoder_new(enum http_coding c, int level);
void http_encoder_free(struct http_encoder *e);
void http_encode(struct http_encoder *e, str in, enum http_encode how, struct buf *out);

/* The way back: gzip (of several members, too) and zstd (of several frames). `in` is the caller's
 * until the end. */
struct http_decoder;
struct http_decoder *http_decoder_new(enum http_coding c, str in, size_t bytes_max);
void http_decoder_free(struct http_decoder *d);
/* Writes to out, which is empty at first and has room for one byte more than bytes_max. 1: all is
 * decoded; 0: so many bytes were read and written, and there are more; negative: damaged, or larger
 * than bytes_max. */
MUST_CHECK int http_decode(struct http_decoder *d, size_t step_bytes, struct buf *out,
                           struct err *err);

#endif
