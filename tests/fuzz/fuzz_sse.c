/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_sse.c - the parser of server-sent events. Properties: the events do not depend on how the
 * bytes are split; names and ids hold no line end; what is written from an event is read back.
 * Input: one byte that seeds the splits, then the stream. */
#include "http/sse.h"

#define EVENT_BYTES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int record(void *ctx, const struct sse_event *e) {
    struct buf *out = ctx;
    ASSERT(str_find_char(e->event, '\n') < 0 && str_find_char(e->id, '\n') < 0);
    ASSERT(str_find_char(e->event, '\r') < 0 && str_find_char(e->data, '\r') < 0);
    ASSERT(str_find_char(e->id, '\0') < 0 && e->event.len > 0);
    buf_printf(out, "%zu %zu %zu ", e->event.len, e->data.len, e->id.len);
    buf_str(out, e->event);
    buf_str(out, e->data);
    buf_str(out, e->id);
    return 0;
}

static int compare(void *ctx, const struct sse_event *e) {
    const struct sse_event *want = ctx;
    ASSERT(str_eq(e->event, want->event) && str_eq(e->data, want->data) && str_eq(e->id, want->id));
    return 0;
}

static int read_back(void *ctx, const struct sse_event *e) {
    struct buf *out = ctx;
    if (str_find_char(e->data, '\n') >= 0)
        return 0;
    struct sse_parser p;
    sse_parser_init(&p, 4 * EVENT_BYTES_MAX);
    buf_reset(out);
    sse_write(out, e->event, e->data, e->id);
    ASSERT(buf_ok(out));
    int rc = sse_parser_feed(&p, buf_view(out), compare, (void *)e);
    ASSERT(rc == 0);
    sse_parser_deinit(&p);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > 65536)
        return 0;
    str in = {(const char *)data + 1, size - 1};
    uint32_t seed = data[0];
    struct sse_parser once, pieces;
    struct buf first, second, again;
    buf_init(&first, 8u << 20);
    buf_init(&second, 8u << 20);
    buf_init(&again, 1u << 20);
    sse_parser_init(&once, EVENT_BYTES_MAX);
    sse_parser_init(&pieces, EVENT_BYTES_MAX);
    int rc = sse_parser_feed(&once, in, record, &first), rc_pieces = 0;
    for (size_t at = 0, n; at < in.len && rc_pieces == 0; at += n) {
        seed = seed * 1664525u + 1013904223u;
        n = (seed >> 24) % 16 + 1;
        rc_pieces = sse_parser_feed(&pieces, str_slice(in, at, at + n), record, &second);
    }
    ASSERT(rc == rc_pieces);
    ASSERT(first.len == second.len && str_eq(buf_view(&first), buf_view(&second)));
    sse_parser_deinit(&once);
    sse_parser_init(&once, EVENT_BYTES_MAX);
    ASSERT(sse_parser_feed(&once, in, read_back, &again) == rc);
    sse_parser_deinit(&once);
    sse_parser_deinit(&pieces);
    buf_deinit(&first);
    buf_deinit(&second);
    buf_deinit(&again);
    return 0;
}
