/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - listening, accepting, limits, the tick, draining and closing.
 *
 * Design: connections are in one list per state, ordered by time, so one timer per server serves
 * all timeouts and heartbeats: each tick looks at the heads of the lists only. The tick runs while
 * there are connections, at a quarter of the shortest timeout and at most every 250 ms.
 *
 * Ending: stop_accepting closes the listener, gives idle connections HTTP_DRAIN_US to send what is
 * already under way, and lets every response carry Connection: close. close cuts what is left,
 * cancels the handlers that still run, and frees the server when the last connection, handler and
 * stream is gone.
 *
 * Invariants: conn_count is the number of allocated connections, also of those that linger; a
 * connection beyond connections_max is answered 503 and lingers, at most REFUSED_COUNT_MAX at
 * once. */
#include "http/server.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/conn_int.h"

#define REFUSED_COUNT_MAX      256
#define TICK_US_MIN            5000
#define TICK_US_MAX            (250 * 1000)
#define HEAD_SCRATCH_BYTES_MAX (1024 * 1024)
#define ARENA_BYTES_MAX        65536

static void free_server(struct http_server *s);

void http_server_options_default(struct http_server_options *o) {
    *o = (struct http_server_options){
        .host = "127.0.0.1",
        .backlog = 4096,
        .header_bytes_max = 16 * 1024,
        .body_bytes_max = 16 * 1024 * 1024,
        .connections_max = 20000,
        .stream_buffer_bytes_max = 1024 * 1024,
        .header_timeout_us = 10 * 1000000LL,
        .body_idle_timeout_us = 30 * 1000000LL,
        .idle_timeout_us = 75 * 1000000LL,
        .heartbeat_us = 5 * 1000000LL,
        .compress = {.codings = HTTP_COMPRESS_ALL,
                     .bytes_min = 1024,
                     .level = 1,
                     .streams_max = 128},
    };
}

/* --- connections --- */

static void on_tick(struct rt_timer *t) {
    struct http_server *s = CONTAINER_OF(t, struct http_server, tick);
    http_conn_sweep(s);
    if (s->conn_count)
        rt_timer_start(s->rt, &s->tick, s->tick_us, on_tick);
}

static void peer_text(struct http_conn *conn) {
    struct sockaddr_storage ss;
    int len = sizeof ss;
    conn->peer[0] = '\0';
    if (uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&ss, &len))
        return;
    if (ss.ss_family == AF_INET)
        (void)uv_ip4_name((struct sockaddr_in *)&ss, conn->peer, sizeof conn->peer);
    else
        (void)uv_ip6_name((struct sockaddr_in6 *)&ss, conn->peer, sizeof conn->peer);
    static const char mapped[] = "::ffff:";
    size_t n = sizeof mapped - 1;
    if (strncmp(conn->peer, mapped, n) == 0 && strchr(conn->peer + n, '.'))
        memmove(conn->peer, conn->peer + n, strlen(conn->peer + n) + 1);
}

static void on_connection(uv_stream_t *listener, int status) {
    struct http_server *s = listener->data;
    if (status < 0) {
        log_event(LOG_WARN, "http.accept.failed", "cannot accept a connection",
                  LOG_Z("error", uv_strerror(status)));
        return;
    }
    struct http_conn *conn = NEW(struct http_conn);
    int rc = uv_tcp_init(rt_uv(s->rt), &conn->tcp);
    ASSERT(rc == 0);
    bool full = s->conn_count >= s->o.connections_max;
    s->conn_count++;
    http_conn_init(conn, s);
    if (uv_accept(listener, (uv_stream_t *)&conn->tcp) ||
        s->conn_count > s->o.connections_max + REFUSED_COUNT_MAX) {
        http_conn_close(conn);
        return;
    }
    if (!s->tick.slot)
        rt_timer_start(s->rt, &s->tick, s->tick_us, on_tick);
    peer_text(conn);
    http_conn_start(conn);
    if (full && conn->state < CONN_CLOSED)
        http_conn_refuse(conn, 503, "too many connections");
}

void http_server_forget(struct http_conn *conn) {
    struct http_server *s = conn->server;
    ASSERT(conn->state == CONN_GONE && !conn->x && !conn->stream && !conn->writing);
    if (list_linked(&conn->flush.node))
        list_remove(&conn->flush.node);
    list_remove(&conn->node);
    s->counts[CONN_GONE]--;
    s->conn_count--;
    buf_deinit(&conn->in);
    http_conn_out_deinit(conn);
    mem_free(conn);
    http_server_maybe_done(s);
}

/* --- opening --- */

/* Header lines that every response carries when CORS is on. */
static str cors_lines(struct arena *a, const char *origin) {
    if (!origin || !*origin)
        return STR("");
    bool any = strcmp(origin, "*") == 0;
    return arena_printf(a,
                        "Access-Control-Allow-Origin: %s\r\n%s"
                        "Access-Control-Expose-Headers: Content-Location, ETag, Location, "
                        "X-Pagination-Total, X-Pagination-Next\r\n",
                        origin,
                        any ? "" : "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n");
}

static bool address_of(const char *host, int port, struct sockaddr_storage *out) {
    const char *name = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    return uv_ip4_addr(name, port, (struct sockaddr_in *)out) == 0 ||
           uv_ip6_addr(name, port, (struct sockaddr_in6 *)out) == 0;
}

static int set_option(uv_tcp_t *tcp, int level, int name) {
    int fd, on = 1;
    int rc = uv_fileno((uv_handle_t *)tcp, &fd);
    return rc ? rc : setsockopt(fd, level, name, &on, sizeof on) ? -errno : 0;
}

static int listen_on(struct http_server *s, const char *host) {
    struct sockaddr_storage ss = {0};
    int len = sizeof ss;
    if (!address_of(host, s->o.port, &ss))
        return UV_EINVAL;
    int rc = uv_tcp_init_ex(rt_uv(s->rt), &s->listener, ss.ss_family);
    if (rc)
        return rc;
    s->listener.data = s;
    s->listener_closed = false;
    if (s->o.reuse_port)
        rc = set_option(&s->listener, SOL_SOCKET, SO_REUSEPORT);
    if (!rc)
        rc = uv_tcp_bind(&s->listener, (struct sockaddr *)&ss, 0);
    /* Accepted sockets inherit it, which saves a call for each. */
    if (!rc)
        rc = set_option(&s->listener, IPPROTO_TCP, TCP_NODELAY);
    if (!rc)
        rc = uv_listen((uv_stream_t *)&s->listener, s->o.backlog, on_connection);
    if (!rc)
        rc = uv_tcp_getsockname(&s->listener, (struct sockaddr *)&ss, &len);
    if (!rc)
        s->port = ntohs(ss.ss_family == AF_INET ? ((struct sockaddr_in *)&ss)->sin_port
                                                : ((struct sockaddr_in6 *)&ss)->sin6_port);
    return rc;
}

static int64_t tick_of(const struct http_server_options *o) {
    const int64_t spans[] = {o->header_timeout_us, o->body_idle_timeout_us, o->idle_timeout_us,
                             o->heartbeat_us};
    int64_t tick = TICK_US_MAX;
    for (size_t i = 0; i < ARRAY_COUNT(spans); i++)
        if (spans[i] > 0 && spans[i] / 4 < tick)
            tick = spans[i] / 4;
    return tick < TICK_US_MIN ? TICK_US_MIN : tick;
}

static struct http_server *server_new(struct rt *rt, const struct http_server_options *o) {
    struct http_server *s = NEW(struct http_server);
    s->rt = rt;
    s->o = *o;
    s->tick_us = tick_of(o);
    s->listener_closed = true;
    s->read_buffer = mem_alloc(HTTP_READ_BYTES);
    arena_init(&s->arena, ARENA_BYTES_MAX);
    buf_init(&s->head, HEAD_SCRATCH_BYTES_MAX);
    list_init(&s->exchanges);
    for (int i = 0; i < CONN_STATE_COUNT; i++)
        list_init(&s->conns[i]);
    s->cors_lines = cors_lines(&s->arena, o->cors_allow_origin);
    http_compress_open(s);
    return s;
}

static void on_listener_closed(uv_handle_t *handle) {
    struct http_server *s = handle->data;
    s->listener_closed = true;
    http_server_maybe_done(s);
}

static void listener_close(struct http_server *s) {
    if (!s->listener_closed && !uv_is_closing((uv_handle_t *)&s->listener))
        uv_close((uv_handle_t *)&s->listener, on_listener_closed);
}

int http_server_open(struct rt *rt, const struct http_server_options *o, struct http_server **out,
                     struct err *err) {
    struct sockaddr_storage ss;
    const char *host = o->host ? o->host : "";
    ASSERT(o->handler && o->connections_max && o->header_bytes_max && o->body_bytes_max);
    ASSERT(o->header_bytes_max < HEAD_SCRATCH_BYTES_MAX / 2);
    if (*host && !address_of(host, o->port, &ss))
        return err_set(err, ERR_INVALID, "\"%s\" is no numeric address", host);
    if (o->cors_allow_origin && strpbrk(o->cors_allow_origin, "\r\n"))
        return err_set(err, ERR_INVALID, "the CORS origin is malformed");
    struct http_server *s = server_new(rt, o);
    int rc = listen_on(s, *host ? host : "::");
    if (rc == UV_EAFNOSUPPORT && !*host)
        rc = listen_on(s, "0.0.0.0");
    if (rc) {
        http_server_close(s, NULL, NULL);
        return err_set_system(err, ERR_UNAVAILABLE, -rc, "cannot listen on %s port %d: %s",
                              *host ? host : "any address", o->port, uv_strerror(rc));
    }
    *out = s;
    return 0;
}

int http_server_port(const struct http_server *s) { return s->port; }

size_t http_server_connections(const struct http_server *s) { return s->conn_count; }

/* --- ending --- */

void http_server_stop_accepting(struct http_server *s) {
    if (s->state != SERVER_OPEN)
        return;
    s->state = SERVER_DRAINING;
    listener_close(s);
    for (int state = CONN_HEAD; state <= CONN_IDLE; state++)
        LIST_EACH (&s->conns[state], n) {
            struct http_conn *conn = LIST_ENTRY(n, struct http_conn, node);
            if (conn->in.len == 0 && conn->state == CONN_HEAD)
                http_conn_set_state(conn, CONN_IDLE);
        }
    int64_t now = rt_mono_us(s->rt);
    LIST_EACH (&s->conns[CONN_IDLE], n)
        LIST_ENTRY(n, struct http_conn, node)->since_us = now;
}

static void cut(struct http_conn *conn) {
    if (conn->x && conn->x->fiber)
        fiber_cancel(conn->x->fiber);
    http_conn_close(conn);
}

void http_server_close(struct http_server *s, void (*done)(void *arg), void *arg) {
    ASSERT(s->state != SERVER_CLOSING);
    s->state = SERVER_CLOSING;
    s->done = done;
    s->done_arg = arg;
    listener_close(s);
    /* Handlers may still run for connections that are closed already. */
    for (int state = 0; state < CONN_STATE_COUNT; state++)
        LIST_EACH (&s->conns[state], n)
            cut(LIST_ENTRY(n, struct http_conn, node));
    http_server_maybe_done(s);
}

static void on_done(struct rt_defer *d) {
    struct http_server *s = CONTAINER_OF(d, struct http_server, done_defer);
    void (*done)(void *) = s->done;
    void *arg = s->done_arg;
    free_server(s);
    if (done)
        done(arg);
}

void http_server_maybe_done(struct http_server *s) {
    if (s->state != SERVER_CLOSING || s->conn_count || s->stream_count || !s->listener_closed)
        return;
    s->done_defer.fn = on_done;
    rt_defer(s->rt, &s->done_defer);
}

static void free_server(struct http_server *s) {
    rt_timer_stop(s->rt, &s->tick);
    for (struct list *n; (n = list_pop_front(&s->exchanges)) != NULL;) {
        struct http_exchange *x = LIST_ENTRY(n, struct http_exchange, node);
        arena_deinit(&x->arena);
        buf_deinit(&x->body);
        buf_deinit(&x->lines);
        mem_free(x);
    }
    while (s->spare_count)
        buf_deinit(&s->spares[--s->spare_count]);
    http_compress_close(s);
    buf_deinit(&s->head);
    arena_deinit(&s->arena);
    mem_free(s->read_buffer);
    mem_free(s);
}

void http_server_list(const struct http_server *s, struct buf *out) {
    static const char *const names[CONN_STATE_COUNT] = {
#define X(name, text) [CONN_##name] = text,
        CONN_STATE_MAP(X)
#undef X
    };
    struct json_writer w = json_writer(out);
    jw_object(&w);
    jw_key(&w, "port");
    jw_i64(&w, s->port);
    jw_key(&w, "connections");
    jw_i64(&w, (int64_t)s->conn_count);
    jw_key(&w, "streams");
    jw_i64(&w, (int64_t)s->stream_count);
    jw_key(&w, "states");
    jw_object(&w);
    for (int i = 0; i < CONN_STATE_COUNT; i++) {
        jw_key(&w, names[i]);
        jw_i64(&w, (int64_t)s->counts[i]);
    }
    jw_object_end(&w);
    jw_object_end(&w);
}
