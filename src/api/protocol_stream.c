/* SPDX-License-Identifier: Apache-2.0 */
/* protocol_stream.c - POST /threads/{thread_id}/stream/events: the events of a thread's runs.
 *
 *   log ─▶ reader, all modes ─▶ protocol_events, filters ─▶ server-sent events
 *
 * Begins at the newest run, or at the run that holds `since`, and stays open over the runs that
 * follow. The run is converted from its start, for a message's events depend on those before;
 * what is at or before `since` is not sent. An idle stream is this struct, its reader and the
 * connection. */
#include "api/protocol_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "history/log.h"
#include "http/sse.h"

#define REPLAY_AHEAD_BYTES (256 * 1024)

struct stream {
    struct http_stream *http; /* NULL once closed */
    struct hub_reader *reader;
    struct protocol_events *events;
    struct fiber_event drained;
    int refs;
};

static void unref(struct stream *s) {
    if (--s->refs > 0)
        return;
    protocol_events_free(s->events);
    mem_free(s);
}

static bool on_event(void *ctx, str method, str id, str json) {
    struct stream *s = ctx;
    struct buf frame;
    if (!s->http)
        return false;
    buf_init(&frame, SIZE_MAX / 2);
    sse_write(&frame, method, json, id);
    bool taken = http_stream_write(s->http, buf_view(&frame));
    buf_deinit(&frame);
    return taken;
}

static bool on_frame(void *ctx, str event, str data, str id) {
    struct stream *s = ctx;
    return s->http && protocol_events_frame(s->events, event, data, id, clock_wall_us());
}

static void on_finished(void *ctx) {
    struct stream *s = ctx;
    if (s->http)
        http_stream_end(s->http);
}

static void on_writable(struct http_stream *http, void *ctx) {
    (void)http;
    struct stream *s = ctx;
    fiber_event_wake_all(&s->drained);
}

static void on_closed(struct http_stream *http, void *ctx) {
    (void)http;
    struct stream *s = ctx;
    struct hub_reader *reader = s->reader;
    s->http = NULL;
    s->reader = NULL;
    hub_reader_close(reader);
    fiber_event_wake_all(&s->drained);
    unref(s);
}

static void room(void *ctx) {
    struct stream *s = ctx;
    s->refs++;
    while (s->http && http_stream_pending(s->http) >= REPLAY_AHEAD_BYTES) {
        http_stream_want(s->http);
        if (fiber_event_wait(&s->drained, FIBER_NO_DEADLINE) < 0)
            break;
    }
    unref(s);
}

static int replay(struct api_request *r, struct stream *s, struct id thread_id, int64_t first_seq,
                  struct err *err) {
    struct hub_reader_options o = {.thread_id = thread_id,
                                   .modes = PROTOCOL_MODES,
                                   .frame = on_frame,
                                   .finished = on_finished,
                                   .ctx = s};
    struct hub_cursor cursor = {0};
    http_reply_header(r->http, STR("Cache-Control"), STR("no-store"));
    http_reply_header(r->http, STR("X-Accel-Buffering"), STR("no"));
    struct http_stream_ops ops = {
        .writable = on_writable, .closed = on_closed, .ctx = s, .heartbeat = STR(": heartbeat\n")};
    s->refs++;
    s->http = http_reply_stream(r->http, 200, STR("text/event-stream"), &ops);
    int rc =
        hub_reader_replay(engine_hub(r->engine), &o, first_seq, &cursor, room, &s->reader, err);
    if (rc < 0 && s->http) {
        log_event(LOG_ERROR, "stream.replay.failed", err->message, LOG_Z("code", err_name(rc)));
        http_stream_abort(s->http);
    }
    unref(s);
    return 0; /* the head is sent: nothing more to answer */
}

int api_protocol_stream(struct api_request *r, struct err *err) {
    struct thread t;
    int64_t first_seq = 0;
    int rc = api_param_thread(r, &t, err);
    if (rc < 0)
        return rc;
    struct stream *s = NEW(struct stream);
    s->refs = 1;
    fiber_event_init(&s->drained);
    struct protocol_events_options o = {
        .request = r->body, .now_us = clock_wall_us(), .event = on_event, .ctx = s};
    rc = protocol_events_new(&o, &s->events, err);
    if (rc == 0) {
        int64_t since = protocol_events_since(s->events);
        int64_t from = since > 0 ? protocol_seq_log(since) : t.seq;
        if (from > t.seq)
            from = t.seq;
        if (from > 0)
            rc = log_last_start(r->store, t.id, from, r->arena, &first_seq, err);
    }
    if (rc < 0) {
        unref(s);
        return rc;
    }
    return replay(r, s, t.id, first_seq, err);
}
