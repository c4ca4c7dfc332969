/* SPDX-License-Identifier: Apache-2.0 */
/* conn.c - a connection's states, its socket and its buffers.
 *
 *   NEW ─▶ RESOLVING ─▶ CONNECTING ─▶ CHECKING ─▶ READY ◀──▶ PINNED
 *              │             │            │         │  ▲        │
 *              │             │            │         ▼  └─────┐  │
 *              │             │            │      RESERVED ───┴──┤
 *              └─────────────┴────────────┴─────────┴───────────┴──▶ CLOSED
 *
 * libpq owns the socket until it has authenticated; from then on bytes go through recv and send, or
 * through the SSL object that libpq made, and libpq sees the connection again only to end it. That
 * gives one write a turn and connection whatever the number of units (libpq writes at each
 * synchronisation point), and results that are read where they arrived.
 *
 * Reading: the bytes of a result stay in the buffer until its last message is there; they move only
 * when the buffer is full. Writing: what the units of a turn put into `out` goes out at its end;
 * when the socket takes less, the rest follows when it can. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "pg/copy_int.h"

#define IN_BYTES_FIRST   16384u
#define IN_BYTES_KEPT    (1u << 20)
#define OUT_BYTES_KEPT   (1u << 18)
#define READS_MAX        16 /* of one turn and connection; the others want theirs */
#define TLS_RECORD_BYTES 16384

static const unsigned char legal_moves[PG_CONN_STATE_COUNT] = {
#define TO(state) (1u << (state))
    [PG_CONN_NEW] = TO(PG_CONN_RESOLVING) | TO(PG_CONN_CONNECTING) | TO(PG_CONN_CLOSED),
    [PG_CONN_RESOLVING] = TO(PG_CONN_CONNECTING) | TO(PG_CONN_CLOSED),
    [PG_CONN_CONNECTING] = TO(PG_CONN_CHECKING) | TO(PG_CONN_READY) | TO(PG_CONN_CLOSED),
    [PG_CONN_CHECKING] = TO(PG_CONN_READY) | TO(PG_CONN_CLOSED),
    [PG_CONN_READY] = TO(PG_CONN_RESERVED) | TO(PG_CONN_PINNED) | TO(PG_CONN_CLOSED),
    [PG_CONN_RESERVED] = TO(PG_CONN_READY) | TO(PG_CONN_PINNED) | TO(PG_CONN_CLOSED),
    [PG_CONN_PINNED] = TO(PG_CONN_READY) | TO(PG_CONN_CLOSED),
    [PG_CONN_CLOSED] = 0,
#undef TO
};

void pg_conn_set_state(struct pg_conn *c, enum pg_conn_state next) {
    ASSERT(legal_moves[c->state] & (1u << next));
    c->state = next;
}

struct pg_conn *pg_conn_new(struct pg_pool *p) {
    struct pg_conn *c = NEW(struct pg_conn);
    c->pool = p;
    c->tx_status = 'I';
    list_init(&c->jobs);
    buf_init(&c->out, (size_t)4 * PG_MESSAGE_BYTES_MAX);
    return c;
}

void pg_conn_free(struct pg_conn *c) {
    for (size_t i = 0; c->prepared && i < PG_STATEMENTS_MAX; i++)
        if (c->prepared[i].state != PG_PREPARED_NONE)
            pg_prepared_reset(&c->prepared[i]);
    mem_free(c->prepared);
    buf_deinit(&c->out);
    mem_free(c->in);
    vec_deinit(&c->cells);
    vec_deinit(&c->own_columns);
    vec_deinit(&c->stmts);
    mem_free(c);
}

/* --- polling --------------------------------------------------------------------------------- */

static void on_poll_closed(uv_handle_t *h) {
    struct pg_poll *poll = h->data;
    struct pg_pool *p = poll->pool;
    mem_free(poll);
    p->handles--;
    if (p->state != PG_POOL_OPEN)
        pg_pool_reap_later(p);
}

void pg_conn_unwatch(struct pg_conn *c) {
    if (!c->poll)
        return;
    c->poll->conn = NULL;
    uv_close((uv_handle_t *)&c->poll->handle, on_poll_closed);
    c->poll = NULL;
}

static int conn_read(struct pg_conn *c, struct err *err);
static int conn_write(struct pg_conn *c, struct err *err);

static void on_poll(uv_poll_t *h, int status, int events) {
    struct pg_poll *poll = h->data;
    struct pg_conn *c = poll->conn;
    struct err err = {0};
    if (!c)
        return;
    if (c->state < PG_CONN_CHECKING) {
        pg_conn_on_connecting(c);
        return;
    }
    int rc = 0;
    if (status < 0)
        rc = err_set(&err, ERR_UNAVAILABLE, "the connection failed: %s", uv_strerror(status));
    if (rc == 0 && (events & UV_WRITABLE))
        rc = conn_write(c, &err);
    if (rc == 0 && (events & (UV_READABLE | UV_DISCONNECT)))
        rc = conn_read(c, &err);
    if (rc != 0 && c->state != PG_CONN_CLOSED)
        pg_conn_close(c, &err);
}

static void poll_start(struct pg_conn *c, int events) {
    if (c->poll->events == events)
        return;
    c->poll->events = events;
    int rc = uv_poll_start(&c->poll->handle, events, on_poll);
    ASSERT(rc == 0);
}

/* The socket may be another one than before, under the same number: never an old handle. */
void pg_conn_watch(struct pg_conn *c, int events) {
    pg_conn_unwatch(c);
    struct pg_poll *poll = NEW(struct pg_poll);
    poll->conn = c;
    poll->pool = c->pool;
    poll->handle.data = poll;
    int rc = uv_poll_init(rt_uv(c->pool->rt), &poll->handle, PQsocket(c->pq));
    ASSERT(rc == 0);
    c->pool->handles++;
    c->poll = poll;
    poll_start(c, events);
}

/* --- bytes ----------------------------------------------------------------------------------- */

static int lost(struct err *err, const char *what, int system) {
    return err_set_system(err, ERR_UNAVAILABLE, system,
                          "the connection to the database was lost%s%s", what ? ": " : "",
                          what ? what : "");
}

/* >0: bytes; 0: not now; <0: lost. */
static ssize_t ssl_result(struct pg_conn *c, int n, struct err *err) {
    if (n > 0)
        return n;
    int why = SSL_get_error(c->ssl, n);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return 0;
    ERR_clear_error();
    return lost(err, why == SSL_ERROR_ZERO_RETURN ? NULL : "TLS", 0);
}

static ssize_t receive(struct pg_conn *c, char *to, size_t room, struct err *err) {
    if (c->ssl) {
        ERR_clear_error();
        int n = SSL_read(c->ssl, to, room > INT32_MAX ? INT32_MAX : (int)room);
        return ssl_result(c, n, err);
    }
    ssize_t n = recv(PQsocket(c->pq), to, room, 0);
    if (n > 0)
        return n;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return lost(err, n < 0 ? strerror(errno) : NULL, n < 0 ? errno : 0);
}

static ssize_t transmit(struct pg_conn *c, const char *from, size_t len, struct err *err) {
    if (c->ssl) {
        ERR_clear_error();
        return ssl_result(
            c, SSL_write(c->ssl, from, len > TLS_RECORD_BYTES ? TLS_RECORD_BYTES : (int)len), err);
    }
    ssize_t n = send(PQsocket(c->pq), from, len, MSG_NOSIGNAL);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? 0 : lost(err, strerror(errno), errno);
}

/* Room for the rest of the message that stands at in_at, or for some of the next ones. */
static void make_room(struct pg_conn *c) {
    size_t need = IN_BYTES_FIRST / 4;
    if (c->in_len - c->in_at >= 5) {
        size_t whole = (size_t)pg_get32(c->in + c->in_at + 1) + 1;
        if (whole > c->in_len - c->in_at)
            need = whole - (c->in_len - c->in_at);
    }
    if (c->in_cap - c->in_len >= need)
        return;
    if (c->in_start > 0) {
        memmove(c->in, c->in + c->in_start, c->in_len - c->in_start);
        c->in_at -= c->in_start;
        c->in_len -= c->in_start;
        c->in_start = 0;
    }
    size_t cap = c->in_cap ? c->in_cap : IN_BYTES_FIRST;
    while (cap - c->in_len < need)
        cap *= 2;
    if (cap == c->in_cap)
        return;
    c->in = mem_realloc(c->in, cap);
    c->in_cap = cap;
}

static void trim(struct pg_conn *c) {
    if (c->in_at < c->in_len || c->in_start < c->in_at)
        return;
    c->in_at = c->in_len = c->in_start = 0;
    if (c->in_cap > IN_BYTES_KEPT) {
        mem_free(c->in);
        c->in = NULL;
        c->in_cap = 0;
    }
    if (c->cells.cap > IN_BYTES_KEPT / sizeof(struct pg_cell))
        vec_deinit(&c->cells);
}

static int conn_read(struct pg_conn *c, struct err *err) {
    for (int i = 0; c->ssl || i < READS_MAX; i++) {
        make_room(c);
        size_t room = c->in_cap - c->in_len;
        ssize_t n = receive(c, c->in + c->in_len, room, err);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        c->in_len += (size_t)n;
        int rc = pg_reply_read(c, err);
        if (rc != 0)
            return rc;
        if (c->state == PG_CONN_CLOSED)
            return 0;
        trim(c);
        if (!c->ssl && (size_t)n < room)
            break;
    }
    return 0;
}

static int conn_write(struct pg_conn *c, struct err *err) {
    size_t sent = 0;
    int rc = 0;
    while (sent < c->out.len) {
        ssize_t n = transmit(c, c->out.p + sent, c->out.len - sent, err);
        if (n < 0)
            rc = (int)n;
        if (n <= 0)
            break;
        sent += (size_t)n;
        c->pool->stats.writes++;
    }
    c->written_total += sent;
    bool all = sent == c->out.len;
    if (!all)
        buf_consume(&c->out, sent);
    if (rc != 0)
        return rc;
    if (!all) {
        poll_start(c, UV_READABLE | UV_WRITABLE);
        return 0;
    }
    buf_reset(&c->out);
    if (c->out.cap > OUT_BYTES_KEPT)
        buf_shrink(&c->out);
    poll_start(c, UV_READABLE);
    struct list *n = list_first(&c->jobs);
    if (n && LIST_ENTRY(n, struct pg_work, node)->kind == PG_KIND_COPY)
        pg_copy_drained(LIST_ENTRY(n, struct pg_work, node));
    return 0;
}

static void on_flush(struct rt_defer *d) {
    struct pg_conn *c = CONTAINER_OF(d, struct pg_conn, flush);
    struct err err = {0};
    if (c->state == PG_CONN_CLOSED || c->out.len == 0 || (c->poll->events & UV_WRITABLE))
        return;
    if (conn_write(c, &err) != 0)
        pg_conn_close(c, &err);
}

void pg_conn_flush_later(struct pg_conn *c) {
    c->flush.fn = on_flush;
    rt_defer(c->pool->rt, &c->flush);
}

void pg_conn_flush_now(struct pg_conn *c) {
    struct err err = {0};
    if (c->ssl || (c->poll->events & UV_WRITABLE) || conn_write(c, &err) != 0)
        pg_conn_flush_later(c); /* an error is met again there */
}

/* --- beginning and end ------------------------------------------------------------------------ */

void pg_conn_established(struct pg_conn *c) {
    PQsetnonblocking(c->pq, 1);
    PGnotify *n; /* libpq reads what it has received behind the last answer; nothing is expected */
    while ((n = PQnotifies(c->pq)))
        PQfreemem(n);
    c->ssl = PQsslInUse(c->pq) ? PQsslStruct(c->pq, "OpenSSL") : NULL;
    if (c->ssl)
        SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    pg_conn_watch(c, UV_READABLE);
}

/* What becomes of a unit whose connection is gone. Units behind the one that the server's farewell
 * interrupted were never read. */
static enum pg_outcome outcome_of(const struct pg_conn *c, const struct pg_work *w, bool first) {
    if (c->written_total <= w->out_at)
        return PG_NOT_SENT;
    bool farewell = strncmp(c->fatal, "57P", 3) == 0;
    if (!farewell)
        return PG_UNKNOWN;
    if (!first)
        return PG_NOT_SENT;
    if (w->kind == PG_KIND_UNIT && w->next_result < w->call_count && c->tx_status == 'I')
        return PG_ROLLED_BACK;
    return PG_UNKNOWN;
}

static void end_jobs(struct pg_conn *c, const struct err *why) {
    struct list again;
    bool first = true;
    list_init(&again);
    while (!list_empty(&c->jobs)) {
        struct pg_work *w = LIST_ENTRY(list_pop_front(&c->jobs), struct pg_work, node);
        enum pg_outcome outcome = outcome_of(c, w, first);
        first = false;
        c->load--;
        c->backlog_ns -= w->cost_ns;
        if ((outcome == PG_NOT_SENT || outcome == PG_ROLLED_BACK) && w->kind == PG_KIND_UNIT &&
            !w->pinned && w->tries < 2 && w->state == PG_WORK_SENT && w->next_result == 0) {
            list_push_front(&again, &w->node);
            continue;
        }
        if (why->system)
            w->err.system = why->system;
        int code = w->state == PG_WORK_CANCELLED ? ERR_TIMEOUT : ERR_UNAVAILABLE;
        err_set(&w->err, code, "%s", why->message);
        memcpy(w->sqlstate, c->fatal, sizeof(w->sqlstate));
        pg_work_finish(w, code, outcome);
    }
    struct list *n;
    while ((n = list_pop_front(&again))) /* the last one first */
        pg_pool_requeue(LIST_ENTRY(n, struct pg_work, node));
}

void pg_conn_close(struct pg_conn *c, const struct err *why) {
    struct err text = why ? *why : (struct err){0};
    if (c->fatal[0])
        text = c->fatal_err;
    ASSERT(c->state != PG_CONN_CLOSED);
    rt_timer_stop(c->pool->rt, &c->timer);
    pg_conn_unwatch(c);
    pg_conn_set_state(c, PG_CONN_CLOSED);
    if (c->cancel)
        c->cancel->conn = NULL;
    if (c->pq) {
        if (why) /* nothing may follow a message that was written in part */
            (void)shutdown(PQsocket(c->pq), SHUT_RDWR);
        PQfinish(c->pq);
        c->pq = NULL;
        c->ssl = NULL;
    }
    if (list_linked(&c->flush.node))
        list_remove(&c->flush.node);
    for (; c->stmts_at < c->stmts.count; c->stmts_at++)
        if (c->stmts.p[c->stmts_at])
            c->stmts.p[c->stmts_at]->refs--;
    end_jobs(c, &text);
    c->lost(c, why ? &text : NULL);
}
