/* SPDX-License-Identifier: Apache-2.0 */
/* chat_stream.c - GET /chat/events: what the socket of a chat shows, as server-sent events.
 *
 *   log ─▶ reader ─▶ chat_events ─▶ event: TYPE, id: ID, data: the socket's text
 *
 * Stays open over the runs of the chat. Who comes back says with Last-Event-ID (or `since`) what it
 * has. An idle stream is this struct, its reader and the connection. */
#include "api/chat_int.h"
#include "api/reader_stream.h"
#include "base/mem.h"

struct stream {
    struct reader_stream sse;
    struct chat_events *events;
};

static struct stream *of(void *ctx) { return CONTAINER_OF(ctx, struct stream, sse); }

static void stream_free(struct reader_stream *sse) {
    chat_events_free(of(sse)->events);
    mem_free(of(sse));
}

static bool on_event(void *ctx, str type, str id, str json) {
    return reader_stream_add(ctx, type, json, id);
}

static bool convert(struct reader_stream *s, str event, str data, str id) {
    return chat_events_frame(of(s)->events, event, data, id);
}

static bool on_frame(void *ctx, str event, str data, str id) {
    return reader_stream_convert(ctx, convert, event, data, id);
}

static void on_finished(void *ctx) { reader_stream_end(ctx); }

int api_chat_events(struct api_request *r, struct err *err) {
    struct thread t;
    struct id id;
    struct chat_since since;
    int64_t first_seq;
    str last = http_header(r->http, STR("last-event-id"));
    if (!id_parse(http_query_get(&r->query, "thread_id"), &id))
        return err_set(err, ERR_INVALID, "thread_id: is required and must be a UUID");
    int rc = chat_since_parse(last.len ? last : http_query_get(&r->query, "since"), &since, err);
    if (rc == 0)
        rc = thread_get(r->store, &r->who, id, r->arena, &t, err);
    if (rc == 0)
        rc = chat_since_first(r->store, &t, &since, r->arena, &first_seq, err);
    if (rc < 0)
        return rc;
    struct stream *s = NEW(struct stream);
    struct chat_events_options events = {.thread_id = id, .event = on_event, .ctx = &s->sse};
    struct hub_reader_options o = {.thread_id = id,
                                   .modes = CHAT_MODES,
                                   .frame = on_frame,
                                   .finished = on_finished,
                                   .ctx = &s->sse};
    struct hub_cursor cursor = {0};
    reader_stream_init(&s->sse, NULL, stream_free);
    s->events = chat_events_new(&events);
    chat_events_behind(s->events, &since);
    reader_stream_open(&s->sse, r);
    return reader_stream_replay(&s->sse, engine_hub(r->engine), &o, first_seq, &cursor, err);
}
