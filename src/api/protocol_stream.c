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
#include "api/reader_stream.h"
#include "base/clock.h"
#include "base/mem.h"
#include "history/log.h"

struct stream {
    struct reader_stream sse;
    struct protocol_events *events;
};

static struct stream *of(void *ctx) { return CONTAINER_OF(ctx, struct stream, sse); }

static void stream_free(struct reader_stream *sse) {
    protocol_events_free(of(sse)->events);
    mem_free(of(sse));
}

static bool on_event(void *ctx, str method, str id, str json) {
    return reader_stream_add(ctx, method, json, id);
}

static bool convert(struct reader_stream *s, str event, str data, str id) {
    return protocol_events_frame(of(s)->events, event, data, id, clock_wall_us());
}

static bool on_frame(void *ctx, str event, str data, str id) {
    return reader_stream_convert(ctx, convert, event, data, id);
}

static void on_finished(void *ctx) { reader_stream_end(ctx); }

static int replay(struct api_request *r, struct stream *s, struct id thread_id, int64_t first_seq,
                  struct err *err) {
    struct hub_reader_options o = {.thread_id = thread_id,
                                   .modes = PROTOCOL_MODES,
                                   .frame = on_frame,
                                   .finished = on_finished,
                                   .ctx = &s->sse};
    struct hub_cursor cursor = {0};
    reader_stream_open(&s->sse, r);
    return reader_stream_replay(&s->sse, engine_hub(r->engine), &o, first_seq, &cursor, err);
}

int api_protocol_stream(struct api_request *r, struct err *err) {
    struct thread t;
    int64_t first_seq = 0;
    int rc = api_param_thread(r, &t, err);
    if (rc < 0)
        return rc;
    struct stream *s = NEW(struct stream);
    reader_stream_init(&s->sse, NULL, stream_free);
    struct protocol_events_options o = {
        .request = r->body, .now_us = clock_wall_us(), .event = on_event, .ctx = &s->sse};
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
        reader_stream_unref(&s->sse);
        return rc;
    }
    return replay(r, s, t.id, first_seq, err);
}
