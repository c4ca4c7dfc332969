/* SPDX-License-Identifier: Apache-2.0 */
/* socket.c - a WebSocket whose texts are requests: the queue, the worker, who asks.
 *
 * A worker fiber lives while there are texts; an idle socket has none. What a request keeps of its
 * connection is copied at the handshake, for the request's arena goes with its answer. Whoever
 * sends faster than texts are worked on is not read from; whoever does not take what is sent is cut
 * (http/websocket.h). A new kind of socket: its ops, and its struct behind struct api_socket. */
#include "api/socket.h"

#include "auth/auth.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define REPLAY_AHEAD_BYTES (256 * 1024)
#define FRAME_AROUND_BYTES 512 /* an event's members, its head */
#define PARKED_US          200000
#define PARKED_US_MAX      2000000

struct incoming {
    struct list node;
    size_t len;
    char text[];
};

void api_socket_unref(struct api_socket *s) {
    if (--s->refs > 0)
        return;
    for (struct list *n; (n = list_pop_front(&s->queue)) != NULL;)
        mem_free(LIST_ENTRY(n, struct incoming, node));
    arena_deinit(&s->arena);
    s->ops->free(s);
}

int api_socket_spawn(struct api_socket *s, const char *name, void (*entry)(void *socket),
                     struct err *err) {
    s->refs++;
    if (fiber_spawn(s->rt, name, entry, s, err))
        return 0;
    api_socket_unref(s);
    return err_set(err, ERR_LIMIT, "the server is busy");
}

/* --- for what is sent --- */

int api_socket_await_thread(struct api_socket *s, struct id thread_id, struct arena *a,
                            struct thread *out, struct err *err) {
    int64_t wait_us = PARKED_US;
    for (;;) {
        arena_reset(a);
        err_reset(err);
        int rc = thread_get(s->base.store, &s->base.who, thread_id, a, out, err);
        if (rc != ERR_NOT_FOUND)
            return rc;
        (void)fiber_event_wait(&s->handled, rt_mono_us(s->rt) + wait_us); /* or until then */
        if (!s->ws)
            return ERR_CANCELLED;
        wait_us = wait_us < PARKED_US_MAX ? wait_us * 2 : wait_us;
    }
}

void api_socket_room(struct api_socket *s, size_t bytes, const bool *stop) {
    bytes += FRAME_AROUND_BYTES;
    while (s->ws && !(stop && *stop) && !http_ws_fits(s->ws, bytes, REPLAY_AHEAD_BYTES)) {
        http_ws_want(s->ws);
        if (fiber_event_wait(&s->drained, FIBER_NO_DEADLINE) < 0)
            break;
    }
}

int api_socket_answer(struct api_socket *s, struct api_request *r) {
    if (!buf_ok(&r->out))
        return ERR_TOO_LARGE;
    if (s->ws)
        (void)http_ws_send(s->ws, buf_view(&r->out)); /* false: it closes */
    return 0;
}

const char *api_socket_error_word(int code) {
    int status = err_http_status(code);
    return status == 401 || status == 403  ? "permission_denied"
           : status >= 400 && status < 500 ? "invalid_argument"
                                           : "unknown_error";
}

void api_socket_replay_failed(struct api_socket *s, int code, const struct err *err) {
    if (!s->ws)
        return;
    log_event(LOG_ERROR, "stream.replay.failed", err->message, LOG_Z("code", err_name(code)));
    http_ws_close(s->ws, API_SOCKET_STATUS + err_http_status(code), STR("replay failed"));
}

/* --- what comes in --- */

static void execute(struct api_socket *s, const struct incoming *m) {
    struct arena a;
    struct err err = {0};
    struct api_request r = s->base;
    arena_init(&a, SIZE_MAX / 2);
    r.arena = &a;
    s->http.received_us = clock_mono_us();
    int rc = s->ops->handle(s, &r, str_n(m->text, m->len), &err);
    if (rc < 0)
        rc = s->ops->refuse(s, &r, rc, &err);
    if (rc < 0 && s->ws)
        http_ws_close(s->ws, API_SOCKET_STATUS + err_http_status(rc),
                      STR("the answer is too large"));
    if (r.writes)
        api_audit(&r);
    api_json_done(&r);
    arena_deinit(&a);
    fiber_event_wake_all(&s->handled);
}

static void worker(void *arg) {
    struct api_socket *s = arg;
    for (struct list *n; s->ws && (n = list_pop_front(&s->queue)) != NULL;) {
        struct incoming *m = LIST_ENTRY(n, struct incoming, node);
        s->queued--;
        execute(s, m);
        mem_free(m);
        if (s->paused && s->ws && s->queued < API_SOCKET_QUEUE_MAX / 2) {
            s->paused = false;
            http_ws_pause(s->ws, false);
        }
    }
    s->working = false;
    api_socket_unref(s);
}

static void on_message(struct http_ws *ws, void *ctx, str text) {
    struct api_socket *s = ctx;
    struct incoming *m = mem_alloc(sizeof(*m) + text.len);
    *m = (struct incoming){.len = text.len};
    if (text.len)
        memcpy(m->text, text.p, text.len);
    list_push_back(&s->queue, &m->node);
    if (++s->queued >= API_SOCKET_QUEUE_MAX && !s->paused) {
        s->paused = true;
        http_ws_pause(ws, true);
    }
    if (s->working)
        return;
    s->working = true;
    if (api_socket_spawn(s, s->ops->name, worker, NULL) == 0)
        return;
    s->working = false;
    http_ws_close(ws, API_SOCKET_TOO_BUSY, STR("the server is busy"));
}

static void on_writable(struct http_ws *ws, void *ctx) {
    struct api_socket *s = ctx;
    (void)ws;
    fiber_event_wake_all(&s->drained);
}

static void on_closed(struct http_ws *ws, void *ctx) {
    struct api_socket *s = ctx;
    (void)ws;
    s->ws = NULL;
    s->ops->closed(s);
    fiber_event_wake_all(&s->drained);
    fiber_event_wake_all(&s->handled);
    api_socket_unref(s);
}

/* --- the handshake --- */

int api_socket_check(struct api_request *r, struct err *err) {
    int rc = http_websocket_check(r->http, err);
    if (rc < 0) {
        http_reply_header(r->http, STR("Upgrade"), STR("websocket"));
        http_reply_header(r->http, STR("Sec-WebSocket-Version"), STR("13"));
        return rc;
    }
    if (!api_socket_origin_is_fine(r))
        return err_set(err, ERR_FORBIDDEN, "pages of this origin may not connect");
    return 0;
}

/* Who asks, for as long as the socket lives. */
static void copy_request(struct api_socket *s, const struct api_request *r) {
    struct arena *a = &s->arena;
    const struct http_request *from = r->http;
    struct http_header *headers = ARENA_ARRAY(a, struct http_header, from->header_count + 1);
    for (size_t i = 0; i < from->header_count; i++)
        headers[i] = (struct http_header){arena_dup(a, from->headers[i].name),
                                          arena_dup(a, from->headers[i].value)};
    s->http = *from;
    s->http.arena = a;
    s->http.target = arena_dup(a, from->target);
    s->http.path = arena_dup(a, from->path);
    s->http.query = s->http.body = STR("");
    s->http.headers = headers;
    s->http.user = s;
    s->http.conn = NULL;
    s->base = (struct api_request){
        .api = r->api, .http = &s->http, .who = r->who, .store = r->store, .engine = r->engine};
    s->base.match.route = r->match.route;
    s->base.who.owner = arena_dup(a, r->who.owner);
}

void api_socket_init(struct api_socket *s, struct api_request *r,
                     const struct api_socket_ops *ops) {
    *s = (struct api_socket){.ops = ops, .refs = 1, .rt = fiber_rt()};
    list_init(&s->queue);
    fiber_event_init(&s->drained);
    fiber_event_init(&s->handled);
    arena_init(&s->arena, 1 << 20);
    copy_request(s, r);
}

void api_socket_open(struct api_socket *s, struct api_request *r) {
    struct http_ws_ops ops = {.message = on_message,
                              .writable = on_writable,
                              .closed = on_closed,
                              .ctx = s,
                              .message_bytes_max = s->ops->message_bytes_max};
    r->status = 101;
    s->ws = http_reply_websocket(r->http, &ops);
}
