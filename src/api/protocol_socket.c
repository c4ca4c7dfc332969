/* SPDX-License-Identifier: Apache-2.0 */
/* protocol_socket.c - GET /threads/{thread_id}/stream/events: protocol v2 over a WebSocket.
 *
 *   text ─▶ queue ─▶ worker fiber, one command after the other ─▶ its answer
 *   log ─▶ one reader ─▶ each subscription's filters ─▶ its events
 *
 * Commands are those of protocol.c; three more are the socket's: subscription.subscribe,
 * .unsubscribe and .reconnect. A subscription is what an event stream is (protocol_stream.c): the
 * same filters, the same ids; the answer of its command comes before its events.
 *
 * All subscriptions share one reader, so their events come in the order of the log: no client hears
 * on one of them that a run is over before another has told what was in it. A new subscription may
 * have to begin earlier than the reader is; so the reader begins anew, and the others pass over
 * what they were given. A fiber (the feeder) does that; once the reader is live there is none.
 *
 * A thread that is not there yet, or is another user's, parks all: it is looked for with the
 * socket's principal, at once after each command, else by and by.
 *
 * What cannot be told over HTTP any more once the socket is open is a close code: 4000 and the
 * HTTP status. Errors of commands end no socket. Whoever sends faster than commands are executed
 * is not read from; whoever does not take events is cut (http/websocket.h) and comes back with
 * `since`. 1001 says that the server, or the thread, is going: a client comes again.
 *
 * Memory: the socket is freed with the last of: the connection, the worker, the feeder. */
#include "api/protocol_int.h"
#include "api/runs_int.h"
#include "auth/auth.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "history/log.h"
#include "http/websocket.h"

#define INCOMING_BYTES_MAX ((size_t)16 << 20)
#define QUEUE_COUNT_MAX    32
#define SUBSCRIPTION_MAX   64
#define REPLAY_AHEAD_BYTES (256 * 1024)
#define FRAME_AROUND_BYTES 512 /* an event's members, its head */
#define PARKED_US          200000
#define PARKED_US_MAX      2000000
/* Clients send several subscriptions at once: the reader begins once for all of them. */
#define SETTLE_US          10000
#define CLOSE_GOING        1001
#define CLOSE_TOO_BUSY     1013
#define CLOSE_STATUS       4000

struct socket {
    struct http_ws *ws; /* NULL: closed */
    struct api_request base; /* of every command: who asks, with the headers of the handshake */
    struct http_request http;
    struct arena arena; /* of both */
    struct id thread_id;
    struct rt *rt;
    struct list queue, subscriptions;
    size_t queued, subscribed;
    int64_t numbers; /* of subscriptions */
    struct hub_reader *reader;
    struct fiber_event drained, commanded;
    bool working, paused;
    bool feeding; /* the feeder lives */
    bool stale;   /* there is a subscription that the reader does not know */
    int refs;
};

struct incoming {
    struct list node;
    size_t len;
    char text[];
};

struct subscription {
    struct list node;
    struct socket *socket;
    struct protocol_events *events;
    str params; /* of its command, behind this struct */
    int64_t number;
    int64_t first_seq; /* what the log has up to there it is not given */
    bool fed;          /* it has been given something */
    char text[];
};

static void socket_unref(struct socket *s) {
    if (--s->refs > 0)
        return;
    for (struct list *n; (n = list_pop_front(&s->queue)) != NULL;)
        mem_free(LIST_ENTRY(n, struct incoming, node));
    arena_deinit(&s->arena);
    mem_free(s);
}

/* --- subscriptions --- */

static void subscription_end(struct subscription *b) {
    list_remove(&b->node);
    b->socket->subscribed--;
    protocol_events_free(b->events);
    mem_free(b);
}

static bool on_event(void *ctx, str method, str id, str json) {
    struct subscription *b = ctx;
    (void)method;
    (void)id; /* both stand in the event */
    return b->socket->ws && http_ws_send(b->socket->ws, json);
}

static bool on_frame(void *ctx, str event, str data, str id) {
    struct socket *s = ctx;
    struct hub_cursor at;
    bool here = s->ws != NULL && hub_cursor_parse(id, &at);
    LIST_EACH (&s->subscriptions, n) {
        struct subscription *b = LIST_ENTRY(n, struct subscription, node);
        if (!here || at.seq <= b->first_seq)
            continue;
        b->fed = true;
        here = protocol_events_frame(b->events, event, data, id, clock_wall_us());
    }
    return here || s->ws;
}

static void on_finished(void *ctx) {
    struct socket *s = ctx;
    if (s->ws)
        http_ws_close(s->ws, CLOSE_GOING, STR("come again"));
}

/* A frame may become an event of several subscriptions. */
static void room(void *ctx, size_t bytes) {
    struct socket *s = ctx;
    bytes = (bytes + FRAME_AROUND_BYTES) * (s->subscribed + 1);
    while (s->ws && !s->stale && !http_ws_fits(s->ws, bytes, REPLAY_AHEAD_BYTES)) {
        http_ws_want(s->ws);
        if (fiber_event_wait(&s->drained, FIBER_NO_DEADLINE) < 0)
            break;
    }
}

static void reader_drop(struct socket *s) {
    struct hub_reader *reader = s->reader;
    s->reader = NULL;
    if (reader)
        hub_reader_close(reader);
}

/* 0 once the thread is there and the principal's; ERR_CANCELLED when the socket is over. */
static int await_thread(struct socket *s, struct arena *a, struct thread *out, struct err *err) {
    int64_t wait_us = PARKED_US;
    for (;;) {
        arena_reset(a);
        err_reset(err);
        int rc = thread_get(s->base.store, &s->base.who, s->thread_id, a, out, err);
        if (rc != ERR_NOT_FOUND)
            return rc;
        (void)fiber_event_wait(&s->commanded, rt_mono_us(s->rt) + wait_us); /* or until then */
        if (!s->ws)
            return ERR_CANCELLED;
        wait_us = wait_us < PARKED_US_MAX ? wait_us * 2 : wait_us;
    }
}

static int make_events(struct subscription *b, struct arena *a, int64_t behind,
                       struct protocol_events **out, struct err *err) {
    struct protocol_events_options o = {
        .behind = behind, .now_us = clock_wall_us(), .event = on_event, .ctx = b};
    int rc = json_parse(a, b->params, &o.request, err);
    return rc < 0 ? rc : protocol_events_new(&o, out, err);
}

/* Whoever was given something begins anew behind it, for events depend on those before. */
static int renew(struct socket *s, struct arena *a, struct err *err) {
    LIST_EACH (&s->subscriptions, n) {
        struct subscription *b = LIST_ENTRY(n, struct subscription, node);
        struct protocol_events *events;
        int64_t position = protocol_events_position(b->events);
        if (!b->fed)
            continue;
        int rc = make_events(b, a, position, &events, err);
        if (rc < 0)
            return rc;
        protocol_events_free(b->events);
        b->events = events;
        b->fed = false;
        b->first_seq = 0;
    }
    return 0;
}

/* The lowest number of the log that a subscription wants; those without `since` begin at the newest
 * run. INT64_MAX: there are no others. */
static int64_t lowest_since(struct socket *s, bool *out_newest) {
    int64_t lowest = INT64_MAX;
    LIST_EACH (&s->subscriptions, n) {
        struct subscription *b = LIST_ENTRY(n, struct subscription, node);
        int64_t since = protocol_events_since(b->events);
        *out_newest = *out_newest || since == 0;
        if (since > 0 && protocol_seq_log(since) < lowest)
            lowest = protocol_seq_log(since);
    }
    return lowest;
}

/* The number before the run from which the reader begins. */
static int first_of(struct socket *s, const struct thread *t, struct arena *a, int64_t *out,
                    struct err *err) {
    bool any_newest = false;
    int64_t since = lowest_since(s, &any_newest), newest = 0;
    int rc = 0;
    if (t->seq > 0)
        rc = log_last_start(s->base.store, t->id, t->seq, a, &newest, err);
    *out = newest;
    if (rc == 0 && since < t->seq) {
        *out = 0;
        if (since > 0)
            rc = log_last_start(s->base.store, t->id, since, a, out, err);
    }
    LIST_EACH (&s->subscriptions, n) {
        struct subscription *b = LIST_ENTRY(n, struct subscription, node);
        if (protocol_events_since(b->events) == 0)
            b->first_seq = newest;
    }
    return rc;
}

static int feed(struct socket *s, struct arena *a, struct err *err) {
    struct thread t;
    int64_t first_seq;
    fiber_sleep_shielded_us(SETTLE_US);
    int rc = s->ws ? await_thread(s, a, &t, err) : ERR_CANCELLED;
    if (rc == 0)
        rc = renew(s, a, err);
    s->stale = false;
    if (rc == 0)
        rc = first_of(s, &t, a, &first_seq, err);
    if (rc < 0 || s->stale || !s->ws || list_empty(&s->subscriptions))
        return rc;
    struct hub_reader_options o = {.thread_id = s->thread_id,
                                   .modes = PROTOCOL_MODES,
                                   .frame = on_frame,
                                   .finished = on_finished,
                                   .ctx = s};
    struct hub_cursor cursor = {0};
    return hub_reader_replay(engine_hub(s->base.engine), &o, first_seq, &cursor, room, &s->reader,
                             err);
}

static void feeder(void *arg) {
    struct socket *s = arg;
    struct err err = {0};
    struct arena a;
    int rc = 0;
    arena_init(&a, SIZE_MAX / 2);
    while (s->ws && s->stale && rc >= 0)
        rc = feed(s, &a, &err);
    arena_deinit(&a);
    s->feeding = false;
    if (rc < 0 && rc != ERR_CANCELLED && s->ws) {
        log_event(LOG_ERROR, "stream.replay.failed", err.message, LOG_Z("code", err_name(rc)));
        http_ws_close(s->ws, CLOSE_STATUS + err_http_status(rc), STR("replay failed"));
    }
    socket_unref(s);
}

/* A reader that is under way, or live, begins anew. */
static int feed_again(struct socket *s, struct err *err) {
    s->stale = true;
    reader_drop(s);
    fiber_event_wake_all(&s->drained);
    if (s->feeding)
        return 0;
    s->refs++;
    s->feeding = true;
    if (fiber_spawn(s->rt, "protocol.feeder", feeder, s, err))
        return 0;
    s->feeding = false;
    socket_unref(s);
    return err_set(err, ERR_LIMIT, "the server is busy");
}

static struct json_writer open_answer(struct api_request *r) {
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "type");
    jw_z(&w, "success");
    jw_key(&w, "id");
    jw_val(&w, json_get(r->body, "id"));
    jw_key(&w, "result");
    jw_object(&w);
    return w;
}

static int send_answer(struct api_request *r) {
    const struct socket *s = r->http->user;
    if (!buf_ok(&r->out))
        return ERR_TOO_LARGE;
    if (s->ws)
        (void)http_ws_send(s->ws, buf_view(&r->out)); /* false: it closes */
    return 0;
}

static int close_answer(struct api_request *r, const struct socket *s, struct json_writer *w) {
    jw_object_end(w);
    jw_key(w, "meta");
    jw_object(w);
    jw_key(w, "thread_id");
    api_write_id(w, s->thread_id);
    jw_object_end(w);
    jw_object_end(w);
    return send_answer(r);
}

static int subscribe(struct socket *s, struct api_request *r, struct err *err) {
    if (s->subscribed == SUBSCRIPTION_MAX)
        return err_set(err, ERR_INVALID, "at most %d subscriptions", SUBSCRIPTION_MAX);
    yyjson_val *params = json_get(r->body, "params");
    if (!yyjson_is_obj(params))
        return err_set(err, ERR_INVALID, "params: must be an object");
    str text = json_text(r->arena, params);
    struct subscription *b = mem_alloc(sizeof(*b) + text.len);
    *b = (struct subscription){.socket = s, .params = {b->text, text.len}};
    memcpy(b->text, text.p, text.len);
    int rc = make_events(b, r->arena, 0, &b->events, err);
    if (rc < 0) {
        mem_free(b);
        return rc;
    }
    b->number = ++s->numbers;
    s->subscribed++;
    list_push_back(&s->subscriptions, &b->node);
    struct json_writer w = open_answer(r);
    jw_key(&w, "subscription_id");
    jw_str(&w, arena_printf(r->arena, "%lld", (long long)b->number));
    rc = close_answer(r, s, &w);
    if (rc == 0)
        rc = feed_again(s, err);
    if (rc < 0)
        subscription_end(b);
    return rc;
}

static struct subscription *subscription_of(struct socket *s, str number) {
    int64_t wanted;
    if (!str_to_i64(number, &wanted))
        return NULL;
    LIST_EACH (&s->subscriptions, n) {
        struct subscription *b = LIST_ENTRY(n, struct subscription, node);
        if (b->number == wanted)
            return b;
    }
    return NULL;
}

/* --- commands --- */

static int send_error(struct api_request *r, const char *code, str text) {
    struct json_writer w = api_json(r);
    yyjson_val *id = json_get(r->body, "id");
    jw_object(&w);
    jw_key(&w, "type");
    jw_z(&w, "error");
    jw_key(&w, "id");
    if (yyjson_is_int(id))
        jw_val(&w, id);
    else
        jw_null(&w);
    jw_key(&w, "error");
    jw_z(&w, code);
    jw_key(&w, "message");
    jw_str(&w, text);
    jw_object_end(&w);
    return send_answer(r);
}

static int unsubscribe(struct socket *s, struct api_request *r) {
    yyjson_val *id = json_get(json_get(r->body, "params"), "subscription_id");
    struct subscription *b = subscription_of(s, json_str(id));
    if (!b)
        return send_error(r, "no_such_subscription", STR("there is no such subscription"));
    subscription_end(b);
    if (list_empty(&s->subscriptions))
        reader_drop(s);
    struct json_writer w = open_answer(r);
    return close_answer(r, s, &w);
}

static const char *error_word(int code) {
    int status = err_http_status(code);
    return status == 401 || status == 403  ? "permission_denied"
           : status >= 400 && status < 500 ? "invalid_argument"
                                           : "unknown_error";
}

static int command(struct socket *s, struct api_request *r, struct err *err) {
    str method = json_str(json_get(r->body, "method"));
    yyjson_val *id = json_get(r->body, "id");
    bool well = yyjson_is_int(id) && yyjson_get_sint(id) >= 0;
    if (well && str_eq(method, STR("subscription.subscribe")))
        return subscribe(s, r, err);
    if (well && str_eq(method, STR("subscription.unsubscribe")))
        return unsubscribe(s, r);
    return protocol_command(r, s->thread_id, send_answer, err);
}

static void execute(struct socket *s, const struct incoming *m) {
    struct arena a;
    struct err err = {0};
    struct api_request r = s->base;
    arena_init(&a, SIZE_MAX / 2);
    r.arena = &a;
    s->http.received_us = clock_mono_us();
    int rc = json_parse(&a, str_n(m->text, m->len), &r.body, &err);
    if (rc == 0)
        rc = command(s, &r, &err);
    else
        r.body = NULL;
    if (rc < 0)
        rc = send_error(&r, error_word(rc), api_error_text(&r, &err, rc));
    if (rc < 0 && s->ws)
        http_ws_close(s->ws, CLOSE_STATUS + err_http_status(rc), STR("the answer is too large"));
    if (r.writes)
        api_audit(&r);
    api_json_done(&r);
    arena_deinit(&a);
    fiber_event_wake_all(&s->commanded);
}

static void worker(void *arg) {
    struct socket *s = arg;
    for (struct list *n; s->ws && (n = list_pop_front(&s->queue)) != NULL;) {
        struct incoming *m = LIST_ENTRY(n, struct incoming, node);
        s->queued--;
        execute(s, m);
        mem_free(m);
        if (s->paused && s->ws && s->queued < QUEUE_COUNT_MAX / 2) {
            s->paused = false;
            http_ws_pause(s->ws, false);
        }
    }
    s->working = false;
    socket_unref(s);
}

/* --- the socket --- */

static void on_message(struct http_ws *ws, void *ctx, str text) {
    struct socket *s = ctx;
    struct incoming *m = mem_alloc(sizeof(*m) + text.len);
    *m = (struct incoming){.len = text.len};
    if (text.len)
        memcpy(m->text, text.p, text.len);
    list_push_back(&s->queue, &m->node);
    if (++s->queued >= QUEUE_COUNT_MAX && !s->paused) {
        s->paused = true;
        http_ws_pause(ws, true);
    }
    if (s->working)
        return;
    s->refs++;
    s->working = true;
    if (fiber_spawn(s->rt, "protocol.socket", worker, s, NULL))
        return;
    s->working = false;
    http_ws_close(ws, CLOSE_TOO_BUSY, STR("the server is busy"));
    socket_unref(s);
}

static void on_writable(struct http_ws *ws, void *ctx) {
    struct socket *s = ctx;
    (void)ws;
    fiber_event_wake_all(&s->drained);
}

static void on_closed(struct http_ws *ws, void *ctx) {
    struct socket *s = ctx;
    (void)ws;
    s->ws = NULL;
    reader_drop(s);
    while (!list_empty(&s->subscriptions))
        subscription_end(LIST_ENTRY(list_first(&s->subscriptions), struct subscription, node));
    fiber_event_wake_all(&s->drained);
    fiber_event_wake_all(&s->commanded);
    socket_unref(s);
}

/* Who asks, for as long as the socket lives. */
static void copy_request(struct socket *s, const struct api_request *r) {
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
    s->base = (struct api_request){.api = r->api,
                                   .http = &s->http,
                                   .who = r->who,
                                   .store = r->store,
                                   .engine = r->engine};
    s->base.match.route = r->match.route;
    s->base.who.owner = arena_dup(a, r->who.owner);
}

int api_protocol_socket(struct api_request *r, struct err *err) {
    struct id thread_id = ID_NIL;
    int rc = http_websocket_check(r->http, err);
    if (rc < 0) {
        http_reply_header(r->http, STR("Upgrade"), STR("websocket"));
        http_reply_header(r->http, STR("Sec-WebSocket-Version"), STR("13"));
        return rc;
    }
    if (!api_socket_origin_is_fine(r))
        return err_set(err, ERR_FORBIDDEN, "pages of this origin may not connect");
    struct socket *s = NEW(struct socket);
    s->refs = 1;
    s->rt = fiber_rt();
    list_init(&s->queue);
    list_init(&s->subscriptions);
    fiber_event_init(&s->drained);
    fiber_event_init(&s->commanded);
    arena_init(&s->arena, 1 << 20);
    copy_request(s, r);
    bool known = id_parse(r->match.params[0], &thread_id);
    s->thread_id = thread_id;
    struct http_ws_ops ops = {.message = on_message,
                              .writable = on_writable,
                              .closed = on_closed,
                              .ctx = s,
                              .message_bytes_max = INCOMING_BYTES_MAX};
    r->status = 101;
    s->ws = http_reply_websocket(r->http, &ops);
    if (!known) /* a client that cannot see the status of a handshake ends for good by the code */
        http_ws_close(s->ws, CLOSE_STATUS + 404, STR("this is the id of no thread"));
    return 0;
}
