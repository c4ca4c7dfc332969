/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_coding.c - decoders of bodies, and there and back. The first byte gives the coding, the cap
 * and the pieces.
 *
 * Checks: any bytes end, within the cap; what is decoded in steps is what is decoded at once; what
 * is packed, whole or in pieces, comes back. */
#include <stdlib.h>

#include "base/mem.h"
#include "http/coding.h"

#define BYTES_MAX 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int decode(enum http_coding c, str in, size_t max, size_t step, struct buf *out) {
    struct http_decoder *d = http_decoder_new(c, in, max);
    int rc;
    buf_init(out, max + 1);
    while ((rc = http_decode(d, step, out, NULL)) == 0)
        continue;
    ASSERT(buf_ok(out) && out->len <= max + 1);
    http_decoder_free(d);
    return rc;
}

static void there_and_back(enum http_coding c, str text, size_t piece) {
    struct buf packed, out;
    struct http_encoder *e = http_encoder_new(c, 1);
    buf_init(&packed, SIZE_MAX / 2);
    for (size_t at = 0; at < text.len; at += piece)
        http_encode(e, str_slice(text, at, at + piece),
                    at % 3 ? HTTP_ENCODE_MORE : HTTP_ENCODE_FLUSH, &packed);
    http_encode(e, STR(""), HTTP_ENCODE_END, &packed);
    ASSERT(decode(c, buf_view(&packed), text.len, SIZE_MAX, &out) == 1);
    ASSERT(str_eq(buf_view(&out), text));
    http_encoder_free(e);
    buf_deinit(&packed);
    buf_deinit(&out);
    struct http_packer *p = http_packer_new(1);
    char *room = mem_alloc(text.len + 200);
    size_t n = http_pack(p, c, text, room, text.len + 200);
    ASSERT(n > 0 && decode(c, str_n(room, n), text.len, 100, &out) == 1);
    ASSERT(str_eq(buf_view(&out), text));
    buf_deinit(&out);
    mem_free(room);
    http_packer_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf once, steps;
    if (size == 0)
        return 0;
    enum http_coding c = data[0] & 1 ? HTTP_GZIP : HTTP_ZSTD;
    size_t max = data[0] & 2 ? BYTES_MAX : 1000, piece = 1 + (data[0] >> 2);
    str in = str_n((const char *)data + 1, size - 1);
    int rc = decode(c, in, max, SIZE_MAX, &once);
    ASSERT(decode(c, in, max, piece, &steps) == rc);
    ASSERT(rc < 0 || str_eq(buf_view(&once), buf_view(&steps)));
    buf_deinit(&once);
    buf_deinit(&steps);
    there_and_back(c, str_slice(in, 0, 5000), piece);
    return 0;
}
