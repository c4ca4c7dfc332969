/* SPDX-License-Identifier: Apache-2.0 */
/* chat_socket.c - GET /chat: a chat over a WebSocket.
 *
 *   text ─▶ worker (socket.c) ─▶ chat.c ─▶ its answer
 *   log ─▶ reader ─▶ chat_events ─▶ the same socket
 *
 * One socket is one chat: `thread_id` of the query, or one that the server makes up and tells in
 * session:info, which is the first that every socket is sent. The feeder, a fiber, waits until the
 * thread is there and the principal's, replays from `since`, and ends when the reader is live; an
 * idle socket has none. What comes of the log has an id, answers have none: they are not repeated
 * to who comes back.
 *
 * A message may want its run to end with the socket. Such runs are remembered until they are over,
 * at most WATCHED_MAX, and cancelled by a fiber when the socket goes.
 *
 * Whoever does not take what is sent is cut (http/websocket.h) and comes back with the id of the
 * last event it has; a replay waits for its reader. Memory: freed with the last of the connection,
 * the worker, the feeder, the cancelling fiber. */
#include "api/chat_int.h"
#include "api/runs_int.h"
#include "api/socket.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"

#define INCOMING_BYTES_MAX ((size_t)16 << 20)
#define WATCHED_MAX        32

struct chat_socket {
    struct api_socket api;  /* first */
    struct chat_state chat; /* texts in api.arena, and thinking */
    struct chat_since since;
    struct chat_events *events;
    struct hub_reader *reader;
    VEC(struct id) watched;
    char thinking[16];
};

static struct chat_socket *of(struct api_socket *api) {
    return CONTAINER_OF(api, struct chat_socket, api);
}

/* --- what is shown --- */

static bool on_event(void *ctx, str type, str id, str json) {
    struct chat_socket *s = ctx;
    (void)type;
    (void)id; /* both stand in the event */
    return s->api.ws && http_ws_send(s->api.ws, json);
}

static void on_ended(void *ctx, struct id run_id) {
    struct chat_socket *s = ctx;
    for (size_t i = 0; i < s->watched.count; i++)
        if (id_eq(s->watched.p[i], run_id))
            s->watched.p[i--] = s->watched.p[--s->watched.count];
}

static bool on_frame(void *ctx, str event, str data, str id) {
    struct chat_socket *s = ctx;
    return s->api.ws && chat_events_frame(s->events, event, data, id);
}

static void on_finished(void *ctx) {
    struct chat_socket *s = ctx;
    if (s->api.ws)
        http_ws_close(s->api.ws, API_SOCKET_GOING, STR("come again"));
}

static void room(void *ctx, size_t bytes) {
    struct chat_socket *s = ctx;
    api_socket_room(&s->api, bytes, NULL);
}

static int feed(struct chat_socket *s, struct arena *a, struct err *err) {
    struct thread t;
    int64_t first_seq;
    struct hub_cursor cursor = {0};
    struct hub_reader_options o = {.thread_id = s->chat.thread_id,
                                   .modes = CHAT_MODES,
                                   .frame = on_frame,
                                   .finished = on_finished,
                                   .ctx = s};
    int rc =
        s->api.ws ? api_socket_await_thread(&s->api, s->chat.thread_id, a, &t, err) : ERR_CANCELLED;
    if (rc == 0)
        rc = chat_since_first(s->api.base.store, &t, &s->since, a, &first_seq, err);
    if (rc < 0 || !s->api.ws)
        return rc;
    chat_events_behind(s->events, &s->since);
    return hub_reader_replay(engine_hub(s->api.base.engine), &o, first_seq, &cursor, room,
                             &s->reader, err);
}

static void feeder(void *arg) {
    struct chat_socket *s = arg;
    struct err err = {0};
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    int rc = feed(s, &a, &err);
    arena_deinit(&a);
    if (rc < 0 && rc != ERR_CANCELLED)
        api_socket_replay_failed(&s->api, rc, &err);
    api_socket_unref(&s->api);
}

/* --- what is said --- */

struct saying {
    struct chat_socket *socket;
    const struct chat_message *m;
    struct chat_sent sent;
};

/* Before anything of the run is shown. */
static void on_acked(void *ctx, struct api_request *r) {
    struct saying *said = ctx;
    struct chat_socket *s = said->socket;
    if (said->m->cancel)
        vec_push(&s->watched, said->sent.run_id);
    if (s->api.ws)
        (void)http_ws_send(s->api.ws, buf_view(&r->out));
}

static int say(struct chat_socket *s, struct api_request *r, const struct chat_message *m,
               struct err *err) {
    struct saying said = {.socket = s, .m = m, .sent = {.acked = on_acked}};
    said.sent.ctx = &said;
    if (m->cancel && s->watched.count >= WATCHED_MAX)
        return err_set(err, ERR_LIMIT, "on_disconnect: at most %d runs wait for a socket's end",
                       WATCHED_MAX);
    int rc = chat_send(r, &s->chat, m, &said.sent, err);
    if (rc == 0 && m->cancel && !s->api.ws) /* it went while this was being accepted */
        run_cancel_disconnected(r->engine, said.sent.run_id);
    return rc;
}

static void set_thinking(struct chat_socket *s, str level) {
    ASSERT(level.len <= sizeof(s->thinking));
    memcpy(s->thinking, level.p, level.len);
    s->chat.thinking = str_n(s->thinking, level.len);
}

static int info(struct chat_socket *s, struct api_request *r, str id, struct err *err) {
    int rc = chat_info(r, &s->chat, id, false, err);
    return rc < 0 ? rc : api_socket_answer(&s->api, r);
}

static int pong(struct chat_socket *s, struct api_request *r, str id) {
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "type");
    jw_z(&w, "pong");
    if (id.p) {
        jw_key(&w, "ref");
        jw_str(&w, id);
    }
    jw_object_end(&w);
    return api_socket_answer(&s->api, r);
}

static int act(struct chat_socket *s, struct api_request *r, const struct chat_message *m,
               struct err *err) {
    int rc = 0;
    if (m->has_thread && !id_eq(m->thread_id, s->chat.thread_id))
        return err_set(err, ERR_INVALID, "thread_id: is another chat's than this socket's");
    switch (m->kind) {
    case CHAT_MESSAGE:
        return say(s, r, m, err);
    case CHAT_ABORT:
        rc = chat_abort(r, &s->chat, m, err);
        return rc < 0 ? rc : api_socket_answer(&s->api, r);
    case CHAT_THINKING:
        set_thinking(s, m->thinking);
        return info(s, r, m->id, err);
    case CHAT_INFO:
        return info(s, r, m->id, err);
    case CHAT_PING:
        return pong(s, r, m->id);
    }
    return 0;
}

static int handle(struct api_socket *api, struct api_request *r, str text, struct err *err) {
    struct chat_socket *s = of(api);
    struct chat_message m;
    int rc = chat_message_parse(r->arena, text, &m, err);
    if (rc == 0)
        rc = act(s, r, &m, err);
    if (rc < 0) {
        chat_write_error(r, m.id, rc, err);
        rc = api_socket_answer(api, r);
    }
    return rc;
}

static int refuse(struct api_socket *api, struct api_request *r, int code, const struct err *err) {
    chat_write_error(r, STR_NULL, code, err);
    return api_socket_answer(api, r);
}

/* --- the socket --- */

static void cancel_watched(void *arg) {
    struct chat_socket *s = arg;
    for (size_t i = 0; i < s->watched.count; i++)
        run_cancel_disconnected(s->api.base.engine, s->watched.p[i]);
    api_socket_unref(&s->api);
}

static void on_closed(struct api_socket *api) {
    struct chat_socket *s = of(api);
    struct hub_reader *reader = s->reader;
    s->reader = NULL;
    hub_reader_close(reader);
    struct err err = {0};
    if (s->watched.count > 0 && api_socket_spawn(api, "chat.cancel", cancel_watched, &err) < 0)
        log_event(LOG_WARN, "run.cancel.failed", err.message, LOG_INT("runs", s->watched.count));
}

static void socket_free(struct api_socket *api) {
    struct chat_socket *s = of(api);
    chat_events_free(s->events);
    vec_deinit(&s->watched);
    mem_free(s);
}

static int read_query(struct api_request *r, struct chat_state *chat, struct chat_since *since,
                      struct err *err) {
    str thread = http_query_get(&r->query, "thread_id");
    str assistant = http_query_get(&r->query, "assistant_id");
    chat->thread_id = id_v7();
    if (thread.len && !id_parse(thread, &chat->thread_id))
        return err_set(err, ERR_INVALID, "thread_id: must be a UUID");
    if (assistant.len)
        chat->assistant = assistant;
    return chat_since_parse(http_query_get(&r->query, "since"), since, err);
}

static struct chat_socket *socket_new(struct api_request *r, const struct chat_state *chat,
                                      const struct chat_since *since) {
    static const struct api_socket_ops ops = {.name = "chat.socket",
                                              .message_bytes_max = INCOMING_BYTES_MAX,
                                              .handle = handle,
                                              .refuse = refuse,
                                              .closed = on_closed,
                                              .free = socket_free};
    struct chat_socket *s = NEW(struct chat_socket);
    api_socket_init(&s->api, r, &ops);
    s->chat = *chat;
    if (chat->assistant.p)
        s->chat.assistant = arena_dup(&s->api.arena, chat->assistant);
    s->since = *since;
    s->events = chat_events_new(&(struct chat_events_options){
        .thread_id = chat->thread_id, .event = on_event, .ended = on_ended, .ctx = s});
    return s;
}

/* A client that cannot see the status of a handshake hears of what is wrong as of anything else,
 * and by the code that it is over. */
int api_chat_socket(struct api_request *r, struct err *err) {
    struct chat_state chat = {0};
    struct chat_since since = {0};
    int rc = api_socket_check(r, err);
    if (rc < 0)
        return rc;
    rc = read_query(r, &chat, &since, err);
    if (rc == 0)
        rc = chat_info(r, &chat, STR_NULL, false, err);
    if (rc < 0)
        chat_write_error(r, STR_NULL, rc, err);
    struct chat_socket *s = socket_new(r, &chat, &since);
    api_socket_open(&s->api, r);
    (void)http_ws_send(s->api.ws, buf_view(&r->out));
    if (rc < 0)
        http_ws_close(s->api.ws, API_SOCKET_STATUS + err_http_status(rc), STR("see the error"));
    else if (api_socket_spawn(&s->api, "chat.feeder", feeder, NULL) < 0)
        http_ws_close(s->api.ws, API_SOCKET_TOO_BUSY, STR("the server is busy"));
    return 0;
}
