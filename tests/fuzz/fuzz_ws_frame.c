/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_ws_frame.c - the reader of WebSocket frames. Properties: what comes out does not depend on
 * how the bytes are split; texts are UTF-8 and within the bound; a code of a close is one that may
 * stand there; an error names a close code; what is written from a text is read back by a peer that
 * masks it. Input: one byte that seeds the splits, then the bytes. */
#include "http/ws_frame.h"

#define BYTES_MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct http_ws_event *e) {
    bool control = e->kind != HTTP_WS_TEXT;
    ASSERT(e->data.len <= (control ? HTTP_WS_CONTROL_BYTES_MAX : BYTES_MAX));
    ASSERT(e->kind == HTTP_WS_PING || e->kind == HTTP_WS_PONG || str_is_utf8(e->data));
    ASSERT(e->code == 0 || (e->kind == HTTP_WS_CLOSE && e->code >= 1000 && e->code <= 4999));
}

/* The events of the bytes as text; the error ends it. */
static void record(struct http_ws_reader *r, str input, struct buf *out, int *rc) {
    struct http_ws_event e;
    struct err err = {0};
    while (*rc >= 0 && (*rc = http_ws_next(r, &input, &e, &err)) == 1) {
        check(&e);
        buf_printf(out, "%d %d %zu ", e.kind, e.code, e.data.len);
        buf_str(out, e.data);
    }
    if (*rc < 0) {
        ASSERT(err.system >= 1002 && err.system <= 1009);
        buf_printf(out, "error %d", err.system);
    } else {
        ASSERT(input.len == 0);
    }
}

/* As a client would send it. */
static void read_back(str text) {
    struct buf plain, masked;
    struct http_ws_reader r;
    struct http_ws_event e;
    buf_init(&plain, 2 * BYTES_MAX);
    buf_init(&masked, 2 * BYTES_MAX);
    http_ws_write(&plain, HTTP_WS_TEXT, text);
    size_t head = plain.len - text.len;
    char second = (char)(plain.p[1] | 128);
    buf_append(&masked, plain.p, 1);
    buf_append(&masked, &second, 1);
    buf_append(&masked, plain.p + 2, head - 2);
    buf_append(&masked, "\1\2\3\4", 4);
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)(text.p[i] ^ (char)(i % 4 + 1));
        buf_append(&masked, &c, 1);
    }
    str input = buf_view(&masked);
    http_ws_reader_init(&r, BYTES_MAX);
    int rc = http_ws_next(&r, &input, &e, NULL);
    ASSERT(str_is_utf8(text) ? rc == 1 && str_eq(e.data, text) : rc < 0);
    http_ws_reader_deinit(&r);
    buf_deinit(&plain);
    buf_deinit(&masked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > 65536)
        return 0;
    str in = {(const char *)data + 1, size - 1};
    uint32_t seed = data[0];
    struct http_ws_reader once, pieces;
    struct buf first, second;
    int rc = 0, rc_pieces = 0;
    buf_init(&first, 8u << 20);
    buf_init(&second, 8u << 20);
    http_ws_reader_init(&once, BYTES_MAX);
    http_ws_reader_init(&pieces, BYTES_MAX);
    record(&once, in, &first, &rc);
    for (size_t at = 0, n; at < in.len && rc_pieces >= 0; at += n) {
        seed = seed * 1664525u + 1013904223u;
        n = (seed >> 24) % 16 + 1;
        record(&pieces, str_slice(in, at, at + n), &second, &rc_pieces);
    }
    ASSERT((rc < 0) == (rc_pieces < 0));
    ASSERT(first.len == second.len && (!first.len || str_eq(buf_view(&first), buf_view(&second))));
    read_back(str_slice(in, 0, BYTES_MAX));
    http_ws_reader_deinit(&once);
    http_ws_reader_deinit(&pieces);
    buf_deinit(&first);
    buf_deinit(&second);
    return 0;
}
