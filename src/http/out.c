/* SPDX-License-Identifier: Apache-2.0 */
/* out.c - a connection's output: try the kernel first, wait only when it is full.
 *
 * Design: a response that stands alone goes from the scratch head and the caller's body to the
 * kernel with one call and no copy. What is corked (answers to pipelined requests, events of a
 * stream in one turn) collects in `out` and leaves at the end of the turn, or at 64 KiB. When the
 * kernel takes only a part, the rest moves into one heap block with a uv_write; until its callback
 * everything else waits in `out`. So at most one write is under way, order is kept, and
 * http_conn_unsent_bytes() is exact.
 *
 * Invariants: a connection without unsent bytes holds no output memory: small buffers return to a
 * few spare ones of the server, large ones to the allocator. */
#include <sys/socket.h>

#include "base/mem.h"
#include "http/conn_int.h"

struct http_write {
    uv_write_t uv;
    struct http_conn *conn;
    struct buf data;
};

static void out_release(struct http_conn *conn) {
    struct http_server *s = conn->server;
    if (!conn->out.p)
        return;
    if (conn->out.cap <= HTTP_SPARE_BYTES_MAX && s->spare_count < HTTP_SPARE_COUNT) {
        buf_reset(&conn->out);
        s->spares[s->spare_count++] = buf_take(&conn->out);
        return;
    }
    buf_deinit(&conn->out);
}

void http_conn_out_deinit(struct http_conn *conn) { buf_deinit(&conn->out); }

size_t http_conn_unsent_bytes(const struct http_conn *conn) {
    return conn->out.len + (conn->writing ? conn->tcp.write_queue_size : 0);
}

static void on_written(uv_write_t *uv, int status) {
    struct http_write *w = CONTAINER_OF(uv, struct http_write, uv);
    struct http_conn *conn = w->conn;
    buf_deinit(&w->data);
    mem_free(w);
    conn->writing = NULL;
    if (status < 0) {
        http_conn_close(conn);
        return;
    }
    http_conn_flush(conn);
    if (conn->state < CONN_CLOSED && http_conn_unsent_bytes(conn) == 0)
        http_conn_drained(conn);
}

/* The kernel is full: the first `sent` bytes of out are gone, the rest waits for the peer. */
static void write_start(struct http_conn *conn, size_t sent) {
    struct http_write *w = NEW(struct http_write);
    w->conn = conn;
    w->data = conn->out;
    size_t max_bytes = conn->out.max_bytes;
    buf_init(&conn->out, max_bytes);
    uv_buf_t rest = uv_buf_init(w->data.p + sent, (unsigned)(w->data.len - sent));
    ASSERT(w->data.len - sent <= UINT32_MAX);
    conn->writing = w;
    conn->queue_bytes = rest.len;
    int rc = uv_write(&w->uv, (uv_stream_t *)&conn->tcp, &rest, 1, on_written);
    if (rc) {
        conn->writing = NULL;
        buf_deinit(&w->data);
        mem_free(w);
        http_conn_close(conn);
    }
}

void http_conn_flush(struct http_conn *conn) {
    if (conn->writing || conn->out.len == 0 || conn->state >= CONN_CLOSED)
        return;
    uv_buf_t all = uv_buf_init(conn->out.p, (unsigned)conn->out.len);
    int n = uv_try_write((uv_stream_t *)&conn->tcp, &all, 1);
    if (n < 0 && n != UV_EAGAIN) {
        http_conn_close(conn);
        return;
    }
    size_t sent = n < 0 ? 0 : (size_t)n;
    if (sent < conn->out.len)
        write_start(conn, sent);
    else
        out_release(conn);
}

static void on_turn_end(struct rt_defer *d) {
    struct http_conn *conn = CONTAINER_OF(d, struct http_conn, flush);
    http_conn_flush(conn);
    if (conn->state < CONN_CLOSED && http_conn_unsent_bytes(conn) == 0)
        http_conn_drained(conn);
}

void http_conn_flush_later(struct http_conn *conn) {
    conn->flush.fn = on_turn_end;
    rt_defer(conn->server->rt, &conn->flush);
}

void http_conn_cork(struct http_conn *conn, str bytes) {
    struct http_server *s = conn->server;
    if (conn->state >= CONN_CLOSED || bytes.len == 0)
        return;
    if (!conn->out.p && s->spare_count) {
        size_t max_bytes = conn->out.max_bytes;
        conn->out = s->spares[--s->spare_count];
        conn->out.max_bytes = max_bytes;
    }
    buf_append(&conn->out, bytes.p, bytes.len);
    ASSERT(buf_ok(&conn->out));
    if (conn->out.len >= HTTP_CORK_BYTES_MAX)
        http_conn_flush(conn);
}

void http_conn_send(struct http_conn *conn, str head, str body) {
    if (conn->state >= CONN_CLOSED)
        return;
    size_t sent = 0;
    if (!conn->writing && conn->out.len == 0) {
        uv_buf_t parts[2] = {uv_buf_init((char *)head.p, (unsigned)head.len),
                             uv_buf_init((char *)body.p, (unsigned)body.len)};
        int n = uv_try_write((uv_stream_t *)&conn->tcp, parts, body.len ? 2 : 1);
        if (n < 0 && n != UV_EAGAIN) {
            http_conn_close(conn);
            return;
        }
        sent = n < 0 ? 0 : (size_t)n;
        if (sent == head.len + body.len)
            return;
    }
    size_t head_sent = sent < head.len ? sent : head.len;
    http_conn_cork(conn, str_n(head.p + head_sent, head.len - head_sent));
    http_conn_cork(conn, str_n(body.p + (sent - head_sent), body.len - (sent - head_sent)));
    http_conn_flush(conn);
}

void http_conn_send_fin(struct http_conn *conn) {
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&conn->tcp, &fd) || shutdown(fd, SHUT_WR))
        http_conn_close(conn);
}
