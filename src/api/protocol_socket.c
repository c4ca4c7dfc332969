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
#include "api/socket.h"
#include "base/clock.h"
#include "base/mem.h"
#include "history/log.h"

#define INCOMING_BYTES_MAX ((size_t)16 << 20)
#define SUBSCRIPTION_MAX   64
/* Clients send several subscriptions at once: the reader begins once for all of them. */
#define SETTLE_US 10000

struct socket {
    struct api_socket api; /* first */
    struct id thread_id;
    struct list subscriptions;
    size_t subscribed;
    int64_t numbers; /* of subscriptions */
    struct hub_reader *reader;
    bool feeding; /* the feeder lives */
    bool stale;   /* there is a subscription that the reader does not know */
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

static struct socket *of(struct api_socket *api) { return CONTAINER_OF(api, struct socket, api); }

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
    return b->socket->api.ws && http_ws_send(b->socket->api.ws, json);
}

static bool on_frame(void *ctx, str event, str data, str id) {
    struct socket *s = ctx;
    struct hub_cursor at;
    bool here = s->api.ws != NULL && hub_cursor_parse(id, &at);
    LIST_EACH (&s->subscriptions, n) {
        struct subscription *b = LIST_ENTRY(n, struct subscription, node);
        if (!here || at.seq <= b->first_seq)
            continue;
        b->fed = true;
        here = protocol_events_frame(b->events, event, data, id, clock_wall_us());
    }
    return here || s->api.ws;
}

static void on_finished(void *ctx) {
    struct socket *s = ctx;
    if (s->api.ws)
        http_ws_close(s->api.ws, API_SOCKET_GOING, STR("come again"));
}

/* A frame may become an event of several subscriptions. */
static void room(void *ctx, size_t bytes) {
    struct socket *s = ctx;
    api_socket_room(&s->api, bytes * (s->subscribed + 1), &s->stale);
}

static void reader_drop(struct socket *s) {
    struct hub_reader *reader = s->reader;
    s->reader = NULL;
    if (reader)
        hub_reader_close(reader);
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
        rc = log_last_start(s->api.base.store, t->id, t->seq, a, &newest, err);
    *out = newest;
    if (rc == 0 && since < t->seq) {
        *out = 0;
        if (since > 0)
            rc = log_last_start(s->api.base.store, t->id, since, a, out, err);
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
    int rc = s->api.ws ? api_socket_await_thread(&s->api, s->thread_id, a, &t, err) : ERR_CANCELLED;
    if (rc == 0)
        rc = renew(s, a, err);
    s->stale = false;
    if (rc == 0)
        rc = first_of(s, &t, a, &first_seq, err);
    if (rc < 0 || s->stale || !s->api.ws || list_empty(&s->subscriptions))
        return rc;
    struct hub_reader_options o = {.thread_id = s->thread_id,
                                   .modes = PROTOCOL_MODES,
                                   .frame = on_frame,
                                   .finished = on_finished,
                                   .ctx = s};
    struct hub_cursor cursor = {0};
    return hub_reader_replay(engine_hub(s->api.base.engine), &o, first_seq, &cursor, room,
                             &s->reader, err);
}

static void feeder(void *arg) {
    struct socket *s = arg;
    struct err err = {0};
    struct arena a;
    int rc = 0;
    arena_init(&a, SIZE_MAX / 2);
    while (s->api.ws && s->stale && rc >= 0)
        rc = feed(s, &a, &err);
    arena_deinit(&a);
    s->feeding = false;
    if (rc < 0 && rc != ERR_CANCELLED)
        api_socket_replay_failed(&s->api, rc, &err);
    api_socket_unref(&s->api);
}

/* A reader that is under way, or live, begins anew. */
static int feed_again(struct socket *s, struct err *err) {
    s->stale = true;
    reader_drop(s);
    fiber_event_wake_all(&s->api.drained);
    if (s->feeding)
        return 0;
    s->feeding = true;
    int rc = api_socket_spawn(&s->api, "protocol.feeder", feeder, err);
    if (rc < 0)
        s->feeding = false;
    return rc;
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

static int send_answer(struct api_request *r) { return api_socket_answer(r->http->user, r); }

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

static int handle(struct api_socket *api, struct api_request *r, str text, struct err *err) {
    int rc = json_parse(r->arena, text, &r->body, err);
    if (rc < 0)
        r->body = NULL;
    return rc < 0 ? rc : command(of(api), r, err);
}

static int refuse(struct api_socket *api, struct api_request *r, int code, const struct err *err) {
    (void)api;
    return send_error(r, api_socket_error_word(code), api_error_text(r, err, code));
}

/* --- the socket --- */

static void on_closed(struct api_socket *api) {
    struct socket *s = of(api);
    reader_drop(s);
    while (!list_empty(&s->subscriptions))
        subscription_end(LIST_ENTRY(list_first(&s->subscriptions), struct subscription, node));
}

static void socket_free(struct api_socket *api) { mem_free(of(api)); }

int api_protocol_socket(struct api_request *r, struct err *err) {
    static const struct api_socket_ops ops = {.name = "protocol.socket",
                                              .message_bytes_max = INCOMING_BYTES_MAX,
                                              .handle = handle,
                                              .refuse = refuse,
                                              .closed = on_closed,
                                              .free = socket_free};
    int rc = api_socket_check(r, err);
    if (rc < 0)
        return rc;
    struct socket *s = NEW(struct socket);
    list_init(&s->subscriptions);
    api_socket_init(&s->api, r, &ops);
    bool known = id_parse(r->match.params[0], &s->thread_id);
    api_socket_open(&s->api, r);
    if (!known) /* a client that cannot see the status of a handshake ends for good by the code */
        http_ws_close(s->api.ws, API_SOCKET_STATUS + 404, STR("this is the id of no thread"));
    return 0;
}
