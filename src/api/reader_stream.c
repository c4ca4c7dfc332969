/* SPDX-License-Identifier: Apache-2.0 */
/* reader_stream.c - a reader of a thread's log, as an answer of server-sent events.
 *
 * Whatever may suspend holds a reference, for the client can go meanwhile: then http is NULL, and
 * so is the reader. What the client has not taken of a replay bounds how far the replay is ahead.
 */
#include "api/reader_stream.h"

#include "base/log.h"
#include "http/sse.h"

#define REPLAY_AHEAD_BYTES (256 * 1024)
#define FRAME_AROUND_BYTES 256 /* field names, id, framing */

void reader_stream_init(struct reader_stream *s, void (*closed)(struct reader_stream *s),
                        void (*free)(struct reader_stream *s)) {
    *s = (struct reader_stream){.refs = 1, .closed = closed, .free = free};
    fiber_event_init(&s->drained);
}

void reader_stream_unref(struct reader_stream *s) {
    if (--s->refs == 0)
        s->free(s);
}

static void on_writable(struct http_stream *http, void *ctx) {
    (void)http;
    struct reader_stream *s = ctx;
    fiber_event_wake_all(&s->drained);
}

static void on_closed(struct http_stream *http, void *ctx) {
    (void)http;
    struct reader_stream *s = ctx;
    struct hub_reader *reader = s->reader;
    s->http = NULL;
    s->reader = NULL;
    hub_reader_close(reader);
    fiber_event_wake_all(&s->drained);
    if (s->closed)
        s->closed(s);
    reader_stream_unref(s);
}

void reader_stream_open(struct reader_stream *s, struct api_request *r) {
    http_reply_header(r->http, STR("Cache-Control"), STR("no-store"));
    http_reply_header(r->http, STR("X-Accel-Buffering"), STR("no"));
    struct http_stream_ops ops = {.writable = on_writable,
                                  .closed = on_closed,
                                  .ctx = s,
                                  .heartbeat = STR(": heartbeat\n"),
                                  .pack = true};
    s->http = http_reply_stream(r->http, 200, STR("text/event-stream"), &ops);
}

bool reader_stream_send_text(struct reader_stream *s, str frames) {
    return s->http && http_stream_write(s->http, frames);
}

bool reader_stream_send(struct reader_stream *s, str event, str data, str id) {
    struct buf b;
    if (!s->http)
        return false;
    buf_init(&b, SIZE_MAX / 2);
    sse_write(&b, event, data, id);
    bool taken = reader_stream_send_text(s, buf_view(&b));
    buf_deinit(&b);
    return taken;
}

bool reader_stream_add(struct reader_stream *s, str event, str data, str id) {
    sse_write(s->events, event, data, id);
    return s->http != NULL;
}

bool reader_stream_convert(struct reader_stream *s, reader_stream_convert_fn *convert, str event,
                           str data, str id) {
    struct buf events;
    if (!s->http)
        return false;
    buf_init(&events, SIZE_MAX / 2);
    s->events = &events;
    bool taken = convert(s, event, data, id);
    if (events.len > 0)
        taken = reader_stream_send_text(s, buf_view(&events)) && taken;
    s->events = NULL;
    buf_deinit(&events);
    return taken;
}

void reader_stream_end(struct reader_stream *s) {
    if (s->http)
        http_stream_end(s->http);
}

/* Suspends the replaying handler while the client is behind: it is slow, not lost. */
static void room(void *ctx, size_t bytes) {
    struct reader_stream *s = ctx;
    reader_stream_ref(s);
    while (s->http && !http_stream_fits(s->http, bytes + FRAME_AROUND_BYTES, REPLAY_AHEAD_BYTES)) {
        http_stream_want(s->http);
        if (fiber_event_wait(&s->drained, FIBER_NO_DEADLINE) < 0)
            break;
    }
    reader_stream_unref(s);
}

void reader_stream_live(struct reader_stream *s, struct hub *h,
                        const struct hub_reader_options *o) {
    s->reader = hub_reader_live(h, o);
}

int reader_stream_replay(struct reader_stream *s, struct hub *h, const struct hub_reader_options *o,
                         int64_t first_seq, const struct hub_cursor *cursor, struct err *err) {
    reader_stream_ref(s);
    int rc = hub_reader_replay(h, o, first_seq, cursor, room, &s->reader, err);
    if (rc < 0 && s->http) {
        log_event(LOG_ERROR, "stream.replay.failed", err->message, LOG_Z("code", err_name(rc)));
        http_stream_abort(s->http); /* the client comes back with its cursor */
    }
    reader_stream_unref(s);
    return 0;
}
