/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_stream.c - a task's events as server-sent events, each a result of JSON-RPC.
 *
 *   task as it is ─▶ artifact updates, one per token of a message ─▶ run ended ─▶ a fiber reads the
 *   task's end from the database ─▶ the whole artifact, the last status ─▶ end of the stream
 *
 * The artifact of a message has the message's id, so its chunks are put together by clients, and
 * what the end shows replaces them. An idle stream is this struct, its reader and the connection;
 * the task goes on when the client leaves. */
#include "api/a2a_int.h"
#include "api/agent_views.h"
#include "api/reader_stream.h"
#include "base/log.h"
#include "base/mem.h"

#define FRAME_ARENA_BYTES ((size_t)256 << 20)
#define STREAM_MODES      (STREAM_MESSAGES_TUPLE)

struct api_a2a_stream {
    struct reader_stream sse;
    struct hub *hub;
    struct store *store;
    struct rt *rt;
    struct principal who;
    struct buf owner, id, artifact; /* artifact: the id of what chunks came for */
    struct id assistant_id;
    struct api_a2a_task task;
    bool v1;
};

static struct api_a2a_stream *of(void *ctx) {
    return CONTAINER_OF(ctx, struct api_a2a_stream, sse);
}

static void stream_free(struct reader_stream *sse) {
    struct api_a2a_stream *s = of(sse);
    buf_deinit(&s->owner);
    buf_deinit(&s->id);
    buf_deinit(&s->artifact);
    mem_free(s);
}

/* --- events --- */

struct event {
    struct api_a2a_stream *s;
    struct buf b;
    struct json_writer w;
    struct api_a2a_writer o;
};

/* name: of the member that version 1 wraps the event in. */
static void event_open(struct event *e, struct api_a2a_stream *s, struct arena *a,
                       const char *name) {
    e->s = s;
    buf_init(&e->b, SIZE_MAX / 2);
    e->w = json_writer(&e->b);
    e->o = (struct api_a2a_writer){&e->w, a, s->v1};
    rpc_open_text(&e->w, buf_view(&s->id));
    if (s->v1) {
        jw_object(&e->w);
        jw_key(&e->w, name);
    }
}

static bool event_send(struct event *e) {
    if (e->s->v1)
        jw_object_end(&e->w);
    rpc_close(&e->w);
    bool taken = reader_stream_send(&e->s->sse, STR("message"), buf_view(&e->b), STR_NULL);
    buf_deinit(&e->b);
    return taken;
}

static bool send_chunk(struct api_a2a_stream *s, struct arena *a, yyjson_val *message) {
    struct event e;
    str id = json_str(json_get(message, "id")), text = api_message_text(a, message);
    if (!id.len || !text.len || !api_message_is_ai(message))
        return true;
    struct api_a2a_chunk chunk = {id, text, str_eq(id, buf_view(&s->artifact))};
    buf_reset(&s->artifact);
    buf_str(&s->artifact, id);
    event_open(&e, s, a, "artifactUpdate");
    api_a2a_write_chunk(&e.o, &s->task, &chunk);
    return event_send(&e);
}

static bool on_frame(void *ctx, str event, str data, str id) {
    (void)id;
    struct api_a2a_stream *s = of(ctx);
    struct arena a;
    yyjson_val *root;
    bool taken = true;
    if (!s->sse.http)
        return false;
    if (!str_eq(event, STR("messages")))
        return true;
    arena_init(&a, FRAME_ARENA_BYTES);
    if (json_parse(&a, data, &root, NULL) == 0)
        taken = send_chunk(s, &a, yyjson_arr_get_first(root));
    arena_deinit(&a);
    return taken;
}

/* --- the end --- */

static void send_end(struct api_a2a_stream *s, struct arena *a) {
    struct event e;
    event_open(&e, s, a, "artifactUpdate");
    if (api_a2a_write_last_chunk(&e.o, &s->task))
        (void)event_send(&e);
    else
        buf_deinit(&e.b);
    event_open(&e, s, a, "statusUpdate");
    api_a2a_write_status_update(&e.o, &s->task, s->task.state > A2A_WORKING);
    (void)event_send(&e);
}

static void end_fiber(void *arg) {
    struct api_a2a_stream *s = arg;
    struct arena a;
    struct err err = {0};
    arena_init(&a, FRAME_ARENA_BYTES);
    int rc = api_a2a_task_load(s->store, &s->who, s->assistant_id, &s->task, &a, &err);
    if (rc < 0)
        log_event(LOG_WARN, "a2a.end", err.message, LOG_Z("code", err_name(rc)));
    else if (s->sse.http)
        send_end(s, &a);
    if (s->sse.http)
        rc < 0 ? http_stream_abort(s->sse.http) : http_stream_end(s->sse.http);
    arena_deinit(&a);
    reader_stream_unref(&s->sse);
}

static void on_finished(void *ctx) {
    struct api_a2a_stream *s = of(ctx);
    if (!s->sse.http)
        return;
    reader_stream_ref(&s->sse);
    if (fiber_spawn(s->rt, "a2a.end", end_fiber, s, NULL))
        return;
    http_stream_abort(s->sse.http);
    reader_stream_unref(&s->sse);
}

/* --- the connection --- */

struct api_a2a_stream *api_a2a_stream_open(struct api_request *r, yyjson_val *id, bool v1,
                                           struct id assistant_id,
                                           const struct api_a2a_task *task) {
    struct api_a2a_stream *s = NEW(struct api_a2a_stream);
    *s = (struct api_a2a_stream){.hub = engine_hub(r->engine),
                                 .store = r->store,
                                 .rt = fiber_rt(),
                                 .who = r->who,
                                 .assistant_id = assistant_id,
                                 .task = *task,
                                 .v1 = v1};
    reader_stream_init(&s->sse, NULL, stream_free);
    buf_init(&s->owner, SIZE_MAX / 2);
    buf_init(&s->id, SIZE_MAX / 2);
    buf_init(&s->artifact, SIZE_MAX / 2);
    buf_str(&s->owner, r->who.owner);
    buf_str(&s->id, json_text(r->arena, id));
    s->who.owner = s->owner.len ? buf_view(&s->owner) : STR("");
    reader_stream_open(&s->sse, r);
    struct event e;
    event_open(&e, s, r->arena, "task");
    api_a2a_write_task(&e.o, task, 0);
    (void)event_send(&e);
    return s;
}

static struct hub_reader_options reader_options(struct api_a2a_stream *s) {
    return (struct hub_reader_options){.thread_id = s->task.thread_id,
                                       .run_id = s->task.run_id,
                                       .modes = STREAM_MODES,
                                       .frame = on_frame,
                                       .finished = on_finished,
                                       .ctx = &s->sse};
}

void api_a2a_stream_live(struct api_a2a_stream *s) {
    struct hub_reader_options o = reader_options(s);
    reader_stream_live(&s->sse, s->hub, &o);
}

int api_a2a_stream_join(struct api_a2a_stream *s, int64_t first_seq, struct err *err) {
    struct hub_reader_options o = reader_options(s);
    struct hub_cursor cursor = {0};
    return reader_stream_replay(&s->sse, s->hub, &o, first_seq, &cursor, err);
}
