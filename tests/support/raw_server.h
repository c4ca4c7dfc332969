/* SPDX-License-Identifier: Apache-2.0 */
/* raw_server.h - a TCP server on the test's own loop that answers each HTTP request with scripted
 * bytes: what a real server never sends (cuts, garbage, odd chunks) can be sent with it.
 *
 * Owner: the test. Memory: connections are freed by their close callback; raw_server_close closes
 * what is left, rt_close waits for it. Suspends: never. */
#ifndef HF_TESTS_RAW_SERVER_H
#define HF_TESTS_RAW_SERVER_H

#include <stdio.h>
#include <uv.h>

#include "base/buf.h"
#include "base/mem.h"
#include "rt/loop.h"

struct raw_server;
struct raw_conn {
    uv_tcp_t tcp;
    struct list node;
    struct raw_server *server;
    struct buf in;
};

struct raw_server {
    uv_tcp_t tcp;
    struct list conns;
    int port;
    size_t accepted, requests, gone; /* gone: closed by the peer */
    str last;                        /* the request being answered, head and body */
    void (*answer)(struct raw_conn *conn, str request, void *ctx);
    void *ctx;
};

static inline void raw_conn_closed(uv_handle_t *h) {
    struct raw_conn *conn = h->data;
    buf_deinit(&conn->in);
    mem_free(conn);
}

static inline void raw_close(struct raw_conn *conn) {
    if (uv_is_closing((uv_handle_t *)&conn->tcp))
        return;
    list_remove(&conn->node);
    uv_close((uv_handle_t *)&conn->tcp, raw_conn_closed);
}

/* Ends with RST: unread data of the peer is thrown away. */
static inline void raw_reset(struct raw_conn *conn) {
    list_remove(&conn->node);
    uv_tcp_close_reset(&conn->tcp, raw_conn_closed);
}

static inline void raw_sent(uv_write_t *w, int status) {
    (void)status;
    mem_free(w);
}

static inline void raw_send(struct raw_conn *conn, str bytes) {
    uv_write_t *w = mem_alloc(sizeof *w + bytes.len);
    if (bytes.len)
        memcpy(w + 1, bytes.p, bytes.len);
    uv_buf_t b = uv_buf_init((char *)(w + 1), (unsigned)bytes.len);
    if (uv_write(w, (uv_stream_t *)&conn->tcp, &b, 1, raw_sent) != 0)
        mem_free(w);
}

/* A complete answer with Content-Length. */
static inline void raw_reply(struct raw_conn *conn, int status, const char *headers, str body) {
    char head[512];
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d Status\r\nContent-Length: %zu\r\n%s\r\n",
                     status, body.len, headers);
    raw_send(conn, str_n(head, (size_t)n));
    raw_send(conn, body);
}

static inline void raw_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out) {
    struct raw_conn *conn = h->data;
    (void)hint;
    out->base = buf_reserve(&conn->in, 64 * 1024);
    out->len = out->base ? 64 * 1024 : 0;
}

static inline bool raw_take_request(struct raw_conn *conn, str *out) {
    str in = buf_view(&conn->in);
    ptrdiff_t end = str_find(in, STR("\r\n\r\n"));
    if (end < 0)
        return false;
    size_t len = (size_t)end + 4;
    ptrdiff_t at = str_find(in, STR("Content-Length: "));
    if (at >= 0 && at < end) {
        str rest = str_slice(in, (size_t)at + 16, (size_t)end + 2);
        uint64_t body = 0;
        if (str_to_u64(str_slice(rest, 0, (size_t)str_find_char(rest, '\r')), &body))
            len += body;
    }
    *out = str_slice(in, 0, len);
    return in.len >= len;
}

static inline void raw_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b) {
    struct raw_conn *conn = stream->data;
    (void)b;
    if (n < 0) {
        conn->server->gone++;
        raw_close(conn);
        return;
    }
    conn->in.len += (size_t)n;
    str request;
    while (!uv_is_closing((uv_handle_t *)stream) && raw_take_request(conn, &request)) {
        conn->server->requests++;
        size_t len = request.len;
        conn->server->answer(conn, request, conn->server->ctx);
        buf_consume(&conn->in, len);
    }
}

static inline void raw_accept(uv_stream_t *listener, int status) {
    struct raw_server *s = listener->data;
    if (status < 0)
        return;
    struct raw_conn *conn = NEW(struct raw_conn);
    buf_init(&conn->in, (size_t)16 << 20);
    conn->server = s;
    uv_tcp_init(listener->loop, &conn->tcp);
    conn->tcp.data = conn;
    list_push_back(&s->conns, &conn->node);
    s->accepted++;
    if (uv_accept(listener, (uv_stream_t *)&conn->tcp) != 0) {
        raw_close(conn);
        return;
    }
    uv_tcp_nodelay(&conn->tcp, 1);
    uv_read_start((uv_stream_t *)&conn->tcp, raw_alloc, raw_read);
}

static inline int raw_server_open(struct raw_server *s, struct rt *rt,
                                  void (*answer)(struct raw_conn *, str, void *), void *ctx) {
    struct sockaddr_in at;
    int len = sizeof at;
    list_init(&s->conns);
    s->answer = answer;
    s->ctx = ctx;
    uv_tcp_init(rt_uv(rt), &s->tcp);
    s->tcp.data = s;
    uv_ip4_addr("127.0.0.1", 0, &at);
    int rc = uv_tcp_bind(&s->tcp, (const struct sockaddr *)&at, 0);
    if (rc == 0)
        rc = uv_listen((uv_stream_t *)&s->tcp, 512, raw_accept);
    if (rc == 0)
        rc = uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&at, &len);
    s->port = ntohs(at.sin_port);
    return rc;
}

static inline void raw_server_close(struct raw_server *s) {
    uv_close((uv_handle_t *)&s->tcp, NULL);
    LIST_EACH (&s->conns, it)
        raw_close(LIST_ENTRY(it, struct raw_conn, node));
}

#endif
