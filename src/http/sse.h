/* SPDX-License-Identifier: Apache-2.0 */
/* sse.h - server-sent events: writing frames, and an incremental parser for streams we read.
 * WHATWG HTML, "Server-sent events". Memory: the parser's buffer has a cap. Suspends: never.
 * Tests: tests/unit/http/test_sse.c; the parser is fuzzed. */
#ifndef HF_HTTP_SSE_H
#define HF_HTTP_SSE_H

#include "base/buf.h"

/* One frame: event, data, id lines and the blank line. data must hold no CR or LF (a compact JSON
 * text never does); CR and LF in event or id are dropped. id may be absent. */
void sse_write(struct buf *out, str event, str data, str id);

struct sse_event {
    str event, data, id; /* valid during the callback; event "message" when none was named */
};
struct sse_parser {
    struct buf line, data, event, id;
    bool skip_lf, has_data, first;
    size_t event_bytes_max;
};
void sse_parser_init(struct sse_parser *p, size_t event_bytes_max);
void sse_parser_deinit(struct sse_parser *p);
/* Feeds bytes; on_event returns 0 to go on or a negative code that ends the feed and is returned.
 * ERR_TOO_LARGE past event_bytes_max. */
MUST_CHECK int sse_parser_feed(struct sse_parser *p, str bytes,
                               int (*on_event)(void *ctx, const struct sse_event *e), void *ctx);

#endif
