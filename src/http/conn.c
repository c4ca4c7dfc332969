/* SPDX-License-Identifier: Apache-2.0 */
/* conn.c - a server's connection: bytes in, requests out, one after the other.
 *
 * Design: all connections read into one buffer of their server. What is complete is copied into the
 * pooled exchange of the request at once; only a part of a head, or requests that were sent ahead,
 * stay in the connection's own `in`. So an idle connection holds just this struct.
 *
 *      accept          whole head            body whole            handler returned
 *     HEAD ──────────────────────▶ BODY ──────────────▶ RUNNING ─────────────────▶ IDLE
 *      ▲  (IDLE skips to BODY or RUNNING when the head comes in one piece)          │
 *      └──────────────────────────── first byte of the next head ◀─────────────────┘
 *     RUNNING ▶ STREAM ▶ IDLE or RUNNING     http_reply_stream; its end
 *     RUNNING, STREAM ▶ FLUSH ▶ IDLE         the response is complete, the peer reads slowly
 *     any ▶ LINGER                           the last response is out: FIN sent, input dropped
 *     any ▶ CLOSED ▶ GONE                    uv_close; libuv's callback
 *
 * Lingering: closing a socket with unread input makes the kernel send RST, which can destroy a
 * response that the peer has not read yet. So we send FIN and read on until EOF, for a short time.
 *
 * Invariants: requests of a connection are answered in order, the next head is parsed only when the
 * response before it is complete; input waits in a bounded buffer, then reading pauses. State and
 * list change together, in http_conn_set_state. */
#include "http/conn_int.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"

#define LINGER_US        (2 * 1000 * 1000)
#define STREAM_CHECK_US  (5 * 1000 * 1000) /* for stuck readers, without heartbeats */
#define ARENA_KEEP_BYTES (64 * 1024)

STATIC_ASSERT(sizeof(struct http_conn) <= 1024, "an idle connection is small");

#define TO(state) (1u << CONN_##state)
static const unsigned legal_moves[CONN_STATE_COUNT] = {
    [CONN_HEAD] = TO(BODY) | TO(RUNNING) | TO(IDLE) | TO(LINGER) | TO(CLOSED),
    [CONN_IDLE] = TO(HEAD) | TO(BODY) | TO(RUNNING) | TO(LINGER) | TO(CLOSED),
    [CONN_BODY] = TO(RUNNING) | TO(LINGER) | TO(CLOSED),
    [CONN_RUNNING] = TO(IDLE) | TO(STREAM) | TO(FLUSH) | TO(LINGER) | TO(CLOSED),
    [CONN_STREAM] = TO(IDLE) | TO(RUNNING) | TO(FLUSH) | TO(LINGER) | TO(CLOSED),
    [CONN_FLUSH] = TO(IDLE) | TO(LINGER) | TO(CLOSED),
    [CONN_LINGER] = TO(CLOSED),
    [CONN_CLOSED] = TO(GONE),
    [CONN_GONE] = 0,
};
#undef TO

static void conn_next(struct http_conn *conn);
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

void http_conn_set_state(struct http_conn *conn, enum conn_state to) {
    struct http_server *s = conn->server;
    ASSERT(legal_moves[conn->state] & (1u << to));
    s->counts[conn->state]--;
    s->counts[to]++;
    list_remove(&conn->node);
    list_push_back(&s->conns[to], &conn->node);
    conn->state = (uint8_t)to;
    conn->since_us = rt_mono_us(s->rt);
    conn->stall_count = 0;
    conn->queue_bytes = 0;
}

void http_conn_touch(struct http_conn *conn) {
    conn->since_us = rt_mono_us(conn->server->rt);
    list_remove(&conn->node);
    list_push_back(&conn->server->conns[conn->state], &conn->node);
}

/* --- exchanges --- */

static struct http_exchange *exchange_take(struct http_conn *conn) {
    struct http_server *s = conn->server;
    struct list *n = list_pop_front(&s->exchanges);
    struct http_exchange *x;
    if (n) {
        s->exchange_count--;
        x = LIST_ENTRY(n, struct http_exchange, node);
    } else {
        x = NEW(struct http_exchange);
        /* Bodies are limited before they get here; the rest is the handler's. */
        arena_init(&x->arena, s->o.header_bytes_max + 16 * s->o.body_bytes_max + (16u << 20));
        buf_init(&x->body, s->o.body_bytes_max);
        buf_init(&x->lines, s->o.header_bytes_max);
    }
    x->conn = conn;
    x->fiber = NULL;
    x->body_left_bytes = 0;
    x->is_chunked = x->replied = x->as_is = false;
    conn->x = x;
    return x;
}

static void exchange_release(struct http_exchange *x) {
    struct http_server *s = x->conn->server;
    x->conn->x = NULL;
    x->conn = NULL;
    if (s->exchange_count == HTTP_EXCHANGE_POOL_MAX) {
        arena_deinit(&x->arena);
        buf_deinit(&x->body);
        buf_deinit(&x->lines);
        mem_free(x);
        return;
    }
    if (x->arena.used_bytes > ARENA_KEEP_BYTES)
        arena_deinit(&x->arena);
    else
        arena_reset(&x->arena);
    buf_deinit(&x->body);
    buf_reset(&x->lines);
    s->exchange_count++;
    list_push_front(&s->exchanges, &x->node);
}

/* --- closing --- */

static void on_closed(uv_handle_t *handle) {
    struct http_conn *conn = handle->data;
    http_conn_set_state(conn, CONN_GONE);
    if (!conn->x)
        http_server_forget(conn);
}

void http_conn_close(struct http_conn *conn) {
    if (conn->state >= CONN_CLOSED)
        return;
    http_conn_set_state(conn, CONN_CLOSED);
    if (conn->x && !conn->x->fiber)
        exchange_release(conn->x);
    if (conn->stream)
        http_stream_cut(conn->stream);
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
}

static void conn_linger(struct http_conn *conn) {
    conn->keep_alive = false;
    buf_deinit(&conn->in);
    conn->in_at = 0;
    http_conn_set_state(conn, CONN_LINGER);
    http_conn_flush(conn);
    if (conn->state == CONN_LINGER && http_conn_unsent_bytes(conn) == 0)
        http_conn_drained(conn);
}

void http_conn_refuse(struct http_conn *conn, int status, const char *detail) {
    struct http_server *s = conn->server;
    char body[ERR_MESSAGE_BYTES + 32];
    int n = snprintf(body, sizeof body, "{\"detail\":\"%s\"}", detail);
    ASSERT(n > 0 && (size_t)n < sizeof body);
    log_event(LOG_DEBUG, "http.refused", detail, LOG_INT("status", status),
              LOG_Z("peer", conn->peer));
    if (conn->x)
        exchange_release(conn->x);
    struct response_head h = {.status = status,
                              .type = STR("application/json"),
                              .length = n,
                              .close = true,
                              .lines = STR_NULL};
    if (status == 405)
        h.lines = STR("Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
    if (status == 503)
        h.lines = STR("Retry-After: 1\r\n");
    str head = http_response_head(s, &h);
    http_conn_cork(conn, head);
    http_conn_cork(conn, str_n(body, (size_t)n));
    if (conn->state < CONN_CLOSED) /* a full cork may have met a broken socket */
        conn_linger(conn);
}

/* --- from a request to the handler and back --- */

static void exchange_finish(struct http_exchange *x) {
    struct http_conn *conn = x->conn;
    if (!x->replied && conn->state < CONN_CLOSED)
        http_reply(&x->req, 500, STR("application/json"), STR("{\"detail\":\"Internal error.\"}"));
    exchange_release(x);
    if (conn->state == CONN_GONE)
        http_server_forget(conn);
    else if (conn->state < CONN_CLOSED && !conn->stream)
        http_conn_response_done(conn);
}

static void exchange_main(void *arg) {
    struct http_exchange *x = arg;
    struct http_server *s = x->conn->server;
    s->o.handler(&x->req, s->o.ctx);
    exchange_finish(x);
}

void http_conn_response_done(struct http_conn *conn) {
    struct http_server *s = conn->server;
    if (conn->eof && conn->in.len == conn->in_at)
        conn->keep_alive = false;
    if (conn->writing || (!conn->keep_alive && conn->out.len)) {
        http_conn_set_state(conn, CONN_FLUSH);
        http_conn_flush_later(conn);
        return;
    }
    if (!conn->keep_alive) {
        conn_linger(conn);
        return;
    }
    http_conn_set_state(conn, CONN_IDLE);
    if (s->state == SERVER_CLOSING)
        http_conn_close(conn);
    else
        conn_next(conn);
}

static void conn_dispatch(struct http_conn *conn) {
    struct http_server *s = conn->server;
    struct http_exchange *x = conn->x;
    http_conn_set_state(conn, CONN_RUNNING);
    if (s->cors_lines.len && x->req.method == HTTP_OPTIONS && http_response_preflight(x)) {
        exchange_finish(x);
        return;
    }
    x->fiber = fiber_spawn(s->rt, "http.request", exchange_main, x, NULL);
    if (!x->fiber) {
        http_reply_header(&x->req, STR("Retry-After"), STR("1"));
        http_reply(&x->req, 503, STR("application/json"),
                   STR("{\"detail\":\"The server is busy; try again later.\"}"));
        exchange_finish(x);
    }
}

/* --- bodies --- */

/* Takes what belongs to the body off *input. 1: the body is whole; 0: more is needed; negative:
 * refused, the connection lingers. */
static int body_take(struct http_conn *conn, str *input) {
    struct http_exchange *x = conn->x;
    struct err err;
    if (!x->is_chunked) {
        size_t n = input->len < x->body_left_bytes ? input->len : x->body_left_bytes;
        if (n == x->body_left_bytes && x->body.len == 0)
            x->req.body = arena_dup(&x->arena, str_n(input->p, n));
        else
            buf_append(&x->body, input->p, n);
        x->body_left_bytes -= n;
        *input = str_n(input->p + n, input->len - n);
    }
    while (x->is_chunked && input->len && !http_chunked_ended(&x->chunked)) {
        str data;
        int rc = http_chunked_next(&x->chunked, input, conn->server->o.body_bytes_max, &data, &err);
        if (rc) {
            http_conn_refuse(conn, err.system, err.message);
            return rc;
        }
        buf_append(&x->body, data.p, data.len);
    }
    ASSERT(buf_ok(&x->body)); /* both kinds were held against the limit before */
    if (x->is_chunked ? !http_chunked_ended(&x->chunked) : x->body_left_bytes > 0)
        return 0;
    if (x->body.len)
        x->req.body = buf_view(&x->body);
    return 1;
}

/* 0, or the status to refuse with. */
static int expect_check(struct http_exchange *x, const struct http_head *head, bool *out_continue) {
    str expect = head->version_minor ? http_header(&x->req, STR("expect")) : STR_NULL;
    if (expect.p && !str_ieq(expect, STR("100-continue")))
        return 417;
    *out_continue = expect.p != NULL;
    return 0;
}

/* The head has been read; *input is what follows it. 1: the request is whole; 0: its body is
 * still to come; negative: refused. */
static int body_begin(struct http_conn *conn, const struct http_head *head, str *input) {
    struct http_exchange *x = conn->x;
    bool wants_continue;
    if (head->content_length > conn->server->o.body_bytes_max) {
        http_conn_refuse(conn, 413, "body too large");
        return ERR_TOO_LARGE;
    }
    int status = expect_check(x, head, &wants_continue);
    if (status) {
        http_conn_refuse(conn, status, "unknown expectation");
        return ERR_UNSUPPORTED;
    }
    if (!head->chunked && head->content_length == 0)
        return 1;
    x->is_chunked = head->chunked;
    x->body_left_bytes = (size_t)head->content_length;
    if (head->chunked)
        http_chunked_init(&x->chunked);
    bool early = input->len > 0;
    int rc = body_take(conn, input);
    if (rc)
        return rc;
    http_conn_set_state(conn, CONN_BODY);
    if (wants_continue && !early)
        http_conn_send(conn, STR("HTTP/1.1 100 Continue\r\n\r\n"), STR(""));
    return 0;
}

/* --- heads --- */

static bool method_of(str name, enum http_method *out) {
    for (int m = HTTP_GET; m <= HTTP_OPTIONS; m++)
        if (str_eq(name, http_method_name((enum http_method)m))) {
            *out = (enum http_method)m;
            return true;
        }
    return false;
}

/* Origin form, absolute form, or "*" with OPTIONS. */
static bool target_split(struct http_request *req, str target) {
    req->target = target;
    str rest = target;
    if (rest.p[0] != '/') {
        size_t scheme = str_ieq(str_slice(rest, 0, 7), STR("http://"))    ? 7
                        : str_ieq(str_slice(rest, 0, 8), STR("https://")) ? 8
                                                                          : 0;
        if (scheme) {
            const char *slash = memchr(rest.p + scheme, '/', rest.len - scheme);
            if (!slash || slash == rest.p + scheme)
                return false;
            rest = str_n(slash, rest.len - (size_t)(slash - rest.p));
        } else if (req->method != HTTP_OPTIONS || !str_eq(rest, STR("*"))) {
            return false;
        }
    }
    const char *mark = memchr(rest.p, '?', rest.len);
    size_t path_len = mark ? (size_t)(mark - rest.p) : rest.len;
    req->path = str_n(rest.p, path_len);
    req->query = mark ? str_n(mark + 1, rest.len - path_len - 1) : str_n(rest.p + rest.len, 0);
    return true;
}

/* A whole head, passed by the guard. 0, or an error whose system code is the status. */
static int request_fill(struct http_conn *conn, str head, struct http_head *out, struct err *err) {
    struct http_exchange *x = conn->x;
    struct http_request *req = &x->req;
    if (conn->guard.field_count > HTTP_HEADER_COUNT_MAX)
        return err_set_system(err, ERR_TOO_LARGE, 431, "too many header fields");
    size_t cap = conn->guard.field_count;
    str copy = arena_dup(&x->arena, head);
    struct http_header *fields =
        arena_alloc(&x->arena, (cap ? cap : 1) * sizeof(struct http_header));
    int rc = http_parse_head(copy, &conn->guard, fields, cap, out, err);
    if (rc)
        return rc;
    req->arena = &x->arena;
    if (!method_of(out->method, &req->method))
        return err_set_system(err, ERR_UNSUPPORTED, 405, "method not allowed");
    if (!target_split(req, out->target))
        return err_set_system(err, ERR_MALFORMED, 400, "malformed target");
    req->headers = fields;
    req->header_count = out->header_count;
    req->body = STR("");
    memcpy(req->peer, conn->peer, sizeof req->peer);
    req->received_us = rt_mono_us(conn->server->rt);
    req->user = NULL;
    req->conn = x;
    return 0;
}

/* Keeps the rest of the input, which is in the read buffer or in `in` itself. */
static void input_keep(struct http_conn *conn, str rest) {
    bool inside = conn->in.p && rest.p >= conn->in.p && rest.p <= conn->in.p + conn->in.len;
    if (rest.len == 0) {
        buf_deinit(&conn->in);
        conn->in_at = 0;
    } else if (inside) {
        conn->in_at = (uint32_t)(rest.p - conn->in.p);
    } else {
        buf_reset(&conn->in);
        conn->in_at = 0;
        buf_append(&conn->in, rest.p, rest.len);
    }
    ASSERT(buf_ok(&conn->in));
}

static size_t input_limit(const struct http_conn *conn) {
    return conn->server->o.header_bytes_max + HTTP_PIPELINE_BYTES_MAX;
}

/* Adds what cannot be handled yet. */
static void input_stash(struct http_conn *conn, str bytes) {
    if (conn->in_at) {
        buf_consume(&conn->in, conn->in_at);
        conn->in_at = 0;
    }
    buf_append(&conn->in, bytes.p, bytes.len);
    ASSERT(buf_ok(&conn->in)); /* reading pauses a read buffer before the cap */
    if (conn->in.len >= input_limit(conn) && !conn->paused) {
        conn->paused = true;
        uv_read_stop((uv_stream_t *)&conn->tcp);
    }
}

static str input_view(const struct http_conn *conn) {
    return conn->in.len ? str_n(conn->in.p + conn->in_at, conn->in.len - conn->in_at) : STR("");
}

/* *input starts with a head. True when a whole request was taken off it. */
static bool head_read(struct http_conn *conn, str *input) {
    struct http_server *s = conn->server;
    struct err err;
    struct http_head head;
    size_t head_bytes;
    int rc = http_guard_scan(&conn->guard, *input, &head_bytes, &err);
    if (rc) {
        http_conn_refuse(conn, err.system, err.message);
        return false;
    }
    if (head_bytes > s->o.header_bytes_max ||
        (head_bytes == 0 && input->len >= s->o.header_bytes_max)) {
        http_conn_refuse(conn, 431, "request head too large");
        return false;
    }
    if (head_bytes == 0) {
        input_keep(conn, *input);
        if (conn->state == CONN_IDLE)
            http_conn_set_state(conn, CONN_HEAD);
        return false;
    }
    exchange_take(conn);
    rc = request_fill(conn, str_n(input->p, head_bytes), &head, &err);
    if (rc) {
        http_conn_refuse(conn, err.system, err.message);
        return false;
    }
    http_guard_init(&conn->guard);
    conn->version_minor = head.version_minor;
    conn->keep_alive = head.keep_alive && s->state == SERVER_OPEN;
    *input = str_n(input->p + head_bytes, input->len - head_bytes);
    rc = body_begin(conn, &head, input);
    if (rc == 0)
        input_keep(conn, STR(""));
    return rc > 0;
}

/* Parses and starts requests until one is under way or the input is used up. */
static void conn_advance(struct http_conn *conn, str input) {
    conn->advancing = true;
    while (conn->state <= CONN_IDLE) {
        if (input.len == 0) {
            input_keep(conn, input);
            break;
        }
        if (!head_read(conn, &input))
            break;
        input_keep(conn, input);
        conn_dispatch(conn);
        input = input_view(conn);
    }
    conn->advancing = false;
    if (conn->eof && conn->state <= CONN_BODY)
        http_conn_close(conn);
}

static void conn_next(struct http_conn *conn) {
    if (conn->advancing)
        return;
    conn_advance(conn, input_view(conn));
    if (conn->paused && conn->state < CONN_LINGER && input_view(conn).len < input_limit(conn) / 2) {
        conn->paused = false;
        if (!conn->eof)
            (void)uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read); /* was reading */
    }
}

static void stream_input(struct http_conn *conn, str bytes) {
    if (conn->in.len) {
        input_stash(conn, bytes);
        bytes = input_view(conn);
    }
    http_stream_input(conn->stream, &bytes);
    if (conn->state < CONN_CLOSED)
        input_keep(conn, bytes);
}

void http_conn_feed(struct http_conn *conn) {
    if (conn->in.len)
        stream_input(conn, STR(""));
    if (conn->paused && conn->state == CONN_STREAM && !http_stream_holds_input(conn->stream)) {
        conn->paused = false;
        if (!conn->eof)
            (void)uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read); /* was reading */
    }
}

void http_conn_hold_input(struct http_conn *conn) {
    if (conn->paused || conn->state >= CONN_CLOSED)
        return;
    conn->paused = true;
    uv_read_stop((uv_stream_t *)&conn->tcp);
}

static void conn_input(struct http_conn *conn, str bytes) {
    int rc;
    switch ((enum conn_state)conn->state) {
    case CONN_HEAD:
    case CONN_IDLE:
        if (conn->in.len) {
            input_stash(conn, bytes);
            bytes = input_view(conn);
        }
        conn_advance(conn, bytes);
        break;
    case CONN_BODY:
        http_conn_touch(conn);
        rc = body_take(conn, &bytes);
        if (rc <= 0)
            break;
        input_keep(conn, bytes);
        conn_dispatch(conn);
        if (conn->state == CONN_IDLE)
            conn_next(conn);
        break;
    case CONN_STREAM:
        if (http_stream_takes_input(conn->stream))
            stream_input(conn, bytes);
        else
            input_stash(conn, bytes);
        break;
    case CONN_RUNNING:
    case CONN_FLUSH:
        input_stash(conn, bytes);
        break;
    default:
        break;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    struct http_conn *conn = handle->data;
    (void)suggested;
    *out = uv_buf_init(conn->server->read_buffer, HTTP_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct http_conn *conn = stream->data;
    if (n > 0) {
        conn_input(conn, str_n(buf->base, (size_t)n));
        return;
    }
    if (n == 0)
        return;
    conn->eof = true;
    /* A peer that only sends its FIN may still wait for the answer it asked for. */
    bool waits = conn->state == CONN_RUNNING || conn->state == CONN_FLUSH;
    if (n != UV_EOF || !waits)
        http_conn_close(conn);
}

void http_conn_init(struct http_conn *conn, struct http_server *s) {
    conn->server = s;
    conn->tcp.data = conn;
    conn->state = CONN_HEAD;
    conn->since_us = rt_mono_us(s->rt);
    s->counts[CONN_HEAD]++;
    list_push_back(&s->conns[CONN_HEAD], &conn->node);
    buf_init(&conn->in, input_limit(conn) + 2 * HTTP_READ_BYTES);
    buf_init(&conn->out, SIZE_MAX / 2); /* bounded by one response, or by the stream's limit */
    http_guard_init(&conn->guard);
}

void http_conn_start(struct http_conn *conn) {
    if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read))
        http_conn_close(conn);
}

void http_conn_drained(struct http_conn *conn) {
    switch ((enum conn_state)conn->state) {
    case CONN_STREAM:
        http_stream_drained(conn->stream);
        break;
    case CONN_FLUSH:
        if (!conn->keep_alive) {
            conn_linger(conn);
            break;
        }
        http_conn_set_state(conn, CONN_IDLE);
        conn_next(conn);
        break;
    case CONN_LINGER:
        if (conn->eof)
            http_conn_close(conn);
        else
            http_conn_send_fin(conn);
        break;
    default:
        break;
    }
}

/* --- time --- */

/* True while the peer still takes bytes of a blocked write. */
static bool conn_progressed(struct http_conn *conn) {
    size_t left = uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp);
    bool progress = left != conn->queue_bytes;
    conn->queue_bytes = left;
    return progress;
}

static void on_stream_due(struct http_conn *conn, int64_t every_us) {
    struct http_server *s = conn->server;
    http_conn_touch(conn);
    if (http_conn_unsent_bytes(conn) == 0) {
        conn->stall_count = 0;
        http_stream_heartbeat(conn->stream);
        return;
    }
    conn->stall_count = conn_progressed(conn) ? 0 : conn->stall_count + 1;
    if (conn->stall_count * every_us > s->o.idle_timeout_us)
        http_conn_close(conn);
}

static void on_due(struct http_conn *conn, int64_t after_us) {
    switch ((enum conn_state)conn->state) {
    case CONN_HEAD:
        if (conn->in.len)
            http_conn_refuse(conn, 408, "the request head took too long");
        else
            http_conn_close(conn);
        break;
    case CONN_BODY:
        http_conn_refuse(conn, 408, "the request body took too long");
        break;
    case CONN_STREAM:
        on_stream_due(conn, after_us);
        break;
    case CONN_FLUSH:
        if (conn_progressed(conn))
            http_conn_touch(conn);
        else
            http_conn_close(conn);
        break;
    default:
        http_conn_close(conn);
        break;
    }
}

void http_conn_sweep(struct http_server *s) {
    const int64_t after_us[CONN_STATE_COUNT] = {
        [CONN_HEAD] = s->o.header_timeout_us,
        [CONN_IDLE] = s->state == SERVER_OPEN || s->o.idle_timeout_us < HTTP_DRAIN_US
                          ? s->o.idle_timeout_us
                          : HTTP_DRAIN_US,
        [CONN_BODY] = s->o.body_idle_timeout_us,
        [CONN_STREAM] = s->o.heartbeat_us ? s->o.heartbeat_us : STREAM_CHECK_US,
        [CONN_FLUSH] = s->o.idle_timeout_us,
        [CONN_LINGER] = LINGER_US,
    };
    int64_t now = rt_mono_us(s->rt);
    for (int state = 0; state < CONN_STATE_COUNT; state++) {
        /* Touched connections go to the end, so each is seen once. */
        for (size_t left = after_us[state] ? s->counts[state] : 0; left > 0; left--) {
            struct list *first = list_first(&s->conns[state]);
            if (!first)
                break;
            struct http_conn *conn = LIST_ENTRY(first, struct http_conn, node);
            if (now - conn->since_us < after_us[state])
                break;
            on_due(conn, after_us[state]);
        }
    }
}
