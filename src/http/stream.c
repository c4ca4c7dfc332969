/* SPDX-License-Identifier: Apache-2.0 */
/* stream.c - responses of unknown length, produced when the socket can take more.
 *
 * Design: the producer is asked (writable) when everything before is in the kernel, writes what it
 * has, and is asked again until it writes nothing; then it sleeps until http_stream_want(). All
 * writes of a turn leave in one system call at its end, by the stream's one deferred call, pump().
 * A producer that always has more yields after BURST_MAX rounds to the next turn.
 *
 *     OPEN ──http_stream_end──▶ ENDING ──all sent──▶ (closed runs, freed)
 *      └──────── peer gone, bound passed, abort ───▶ CUT ──end of turn──▶ (closed runs, freed)
 *
 * The bound counts what the peer has not taken: a write that comes while earlier bytes wait and
 * would pass stream_buffer_bytes_max cuts the stream. A write on a stream without unsent bytes is
 * always taken, so a producer that only writes when asked is never cut for the size of one event.
 *
 * A stream that is packed has one encoder from its first write to its end; what the producer wrote
 * in a turn is flushed at the end of it, so the peer can read it as soon as if it were not packed.
 *
 * Heartbeats come from the tick of the server, http_conn_sweep(), after a silence of heartbeat_us.
 *
 * Invariants: closed runs exactly once, from pump(), never inside a call of the producer; the
 * struct is freed right after it. Chunk framing: HEX CRLF data CRLF, at the end "0" CRLF CRLF; to
 * an HTTP/1.0 client raw bytes, ended by the close. */
#include "base/mem.h"
#include "http/conn_int.h"

#define BURST_MAX 8

struct http_stream {
    struct http_conn *conn; /* NULL once cut */
    struct http_server *server;
    struct http_stream_ops ops;
    struct rt_defer turn_end;
    struct rt_timer again;
    enum { STREAM_OPEN, STREAM_ENDING, STREAM_CUT } state;
    bool wanted; /* ask the producer when nothing is unsent */
    bool wrote;  /* since it was last asked */
    bool raw;    /* no chunk framing */
    bool inside; /* the encoder has bytes that are not flushed */
    enum http_coding coding;
    struct http_encoder *encoder;
    bool held;           /* input waits in the connection */
    http_input_fn input; /* NULL: what comes is the next request */
};

STATIC_ASSERT(sizeof(struct http_stream) <= 512, "an idle stream is small");

static void pump(struct rt_defer *d);

static void pump_later(struct http_stream *stream) {
    rt_defer(stream->server->rt, &stream->turn_end);
}

static void stream_set_state(struct http_stream *stream, int to) {
    ASSERT(stream->state == STREAM_OPEN ? to != STREAM_OPEN
                                        : stream->state == STREAM_ENDING && to == STREAM_CUT);
    stream->state = to;
    pump_later(stream);
}

/* A connection that is gone already leaves it cut, without one. */
static struct http_stream *stream_new(struct http_exchange *x, const struct http_stream_ops *ops) {
    struct http_conn *conn = x->conn;
    struct http_server *s = conn->server;
    ASSERT(!x->replied && ops->writable && ops->closed);
    x->replied = true;
    struct http_stream *stream = NEW(struct http_stream);
    *stream = (struct http_stream){.server = s, .ops = *ops, .wanted = true};
    stream->turn_end.fn = pump;
    s->stream_count++;
    if (conn->state >= CONN_LINGER) {
        stream_set_state(stream, STREAM_CUT);
        return stream;
    }
    stream->conn = conn;
    conn->stream = stream;
    return stream;
}

struct http_stream *http_stream_upgrade(struct http_request *req, str head,
                                        const struct http_stream_ops *ops, http_input_fn input) {
    struct http_exchange *x = req->conn;
    struct http_conn *conn = x->conn;
    struct http_stream *stream = stream_new(x, ops);
    if (!stream->conn)
        return stream;
    stream->raw = true;
    stream->input = input;
    conn->keep_alive = false;
    http_conn_cork(conn, head);
    if (conn->state < CONN_CLOSED)
        http_conn_set_state(conn, CONN_STREAM);
    pump_later(stream);
    return stream;
}

bool http_stream_takes_input(const struct http_stream *stream) { return stream->input != NULL; }
bool http_stream_holds_input(const struct http_stream *stream) { return stream->held; }

void http_stream_input(struct http_stream *stream, str *bytes) {
    stream->input(stream->ops.ctx, bytes);
}

void http_stream_hold_input(struct http_stream *stream, bool held) {
    if (!stream->conn || stream->held == held)
        return;
    stream->held = held;
    if (held)
        http_conn_hold_input(stream->conn);
    else
        pump_later(stream); /* which feeds it */
}

struct http_stream *http_reply_stream(struct http_request *req, int status, str content_type,
                                      const struct http_stream_ops *ops) {
    struct http_exchange *x = req->conn;
    struct http_conn *conn = x->conn;
    struct http_server *s = conn->server;
    struct http_stream *stream = stream_new(x, ops);
    if (!stream->conn)
        return stream;
    stream->raw = conn->version_minor == 0;
    if (stream->raw || s->state != SERVER_OPEN)
        conn->keep_alive = false;
    struct response_head h = {.status = status,
                              .type = http_response_type(content_type),
                              .length = -1,
                              .chunked = !stream->raw,
                              .close = !conn->keep_alive,
                              .lines = buf_view(&x->lines)};
    if (ops->pack && http_compress_stream(x, &h) != HTTP_IDENTITY && req->method != HTTP_HEAD) {
        stream->coding = h.coding;
        http_compress_begin(s);
    }
    http_conn_cork(conn, http_response_head(s, &h));
    if (conn->state < CONN_CLOSED)
        http_conn_set_state(conn, CONN_STREAM);
    if (stream->state == STREAM_OPEN && req->method == HTTP_HEAD)
        stream_set_state(stream, STREAM_ENDING);
    pump_later(stream);
    return stream;
}

void http_stream_want(struct http_stream *stream) {
    stream->wanted = true;
    pump_later(stream);
}

size_t http_stream_pending(const struct http_stream *stream) {
    return stream->conn ? http_conn_unsent_bytes(stream->conn) : 0;
}

bool http_stream_fits(const struct http_stream *stream, size_t bytes, size_t ahead_max) {
    size_t limit = stream->server->o.stream_buffer_bytes_max, unsent = http_stream_pending(stream);
    return unsent == 0 || unsent + bytes <= (ahead_max < limit ? ahead_max : limit);
}

/* Room for `more` bytes; cuts the stream when the peer is too far behind. */
static bool within_bound(struct http_stream *stream, size_t more) {
    size_t limit = stream->server->o.stream_buffer_bytes_max;
    size_t unsent = http_stream_pending(stream);
    if (unsent && unsent + more > limit) {
        http_conn_flush(stream->conn);
        unsent = http_stream_pending(stream);
    }
    if (stream->state != STREAM_OPEN)
        return false;
    if (unsent == 0 || unsent + more <= limit)
        return true;
    http_conn_close(stream->conn);
    return false;
}

/* HEX CRLF without formatting functions: this runs for every event. */
static str chunk_head(size_t n, char out[20]) {
    static const char hex[] = "0123456789abcdef";
    char *end = out + 20, *p = end;
    *--p = '\n';
    *--p = '\r';
    do {
        *--p = hex[n & 15];
        n >>= 4;
    } while (n);
    return str_n(p, (size_t)(end - p));
}

static void cork_chunk(struct http_stream *stream, str bytes) {
    struct http_conn *conn = stream->conn;
    char room[20];
    if (bytes.len == 0)
        return;
    if (!stream->raw)
        http_conn_cork(conn, chunk_head(bytes.len, room));
    http_conn_cork(conn, bytes);
    if (!stream->raw)
        http_conn_cork(conn, STR("\r\n"));
}

static void cork_packed(struct http_stream *stream, str bytes, enum http_encode how) {
    struct http_server *s = stream->server;
    if (!stream->encoder)
        stream->encoder = http_encoder_new(stream->coding, s->o.compress.level);
    stream->inside = how == HTTP_ENCODE_MORE;
    cork_chunk(stream, http_compress_piece(s, stream->coding, stream->encoder, bytes, how));
}

bool http_stream_write(struct http_stream *stream, str bytes) {
    if (stream->state != STREAM_OPEN)
        return false;
    if (bytes.len == 0)
        return true;
    if (!within_bound(stream, bytes.len))
        return false;
    if (stream->coding == HTTP_IDENTITY)
        cork_chunk(stream, bytes);
    else
        cork_packed(stream, bytes, HTTP_ENCODE_MORE);
    stream->wrote = true;
    if (stream->state != STREAM_OPEN)
        return false;
    pump_later(stream);
    return true;
}

void http_stream_end(struct http_stream *stream) {
    if (stream->state != STREAM_OPEN)
        return;
    if (stream->coding != HTTP_IDENTITY)
        cork_packed(stream, STR(""), HTTP_ENCODE_END);
    if (stream->state != STREAM_OPEN)
        return; /* a full cork may have met a broken socket */
    stream_set_state(stream, STREAM_ENDING);
    if (!stream->raw)
        http_conn_cork(stream->conn, STR("0\r\n\r\n"));
}

void http_stream_abort(struct http_stream *stream) {
    if (stream->conn)
        http_conn_close(stream->conn);
}

void http_stream_cut(struct http_stream *stream) {
    stream->conn->stream = NULL;
    stream->conn = NULL;
    stream_set_state(stream, STREAM_CUT);
}

void http_stream_drained(struct http_stream *stream) { pump_later(stream); }

void http_stream_heartbeat(struct http_stream *stream) {
    if (stream->state == STREAM_OPEN && stream->ops.heartbeat.len && stream->server->o.heartbeat_us)
        (void)http_stream_write(stream, stream->ops.heartbeat); /* false: closed will run */
}

static void on_next_turn(struct rt_timer *t) {
    pump_later(CONTAINER_OF(t, struct http_stream, again));
}

/* The last act of a stream, whose connection is detached or gone. */
static void stream_finish(struct http_stream *stream) {
    struct http_server *s = stream->server;
    rt_timer_stop(s->rt, &stream->again);
    stream->ops.closed(stream, stream->ops.ctx);
    if (list_linked(&stream->turn_end.node))
        list_remove(&stream->turn_end.node); /* closed may have called want */
    if (stream->coding != HTTP_IDENTITY)
        http_compress_end(s);
    http_encoder_free(stream->encoder);
    mem_free(stream);
    s->stream_count--;
}

static void stream_end(struct http_stream *stream) {
    struct http_conn *conn = stream->conn;
    struct http_exchange *x = conn->x;
    conn->stream = NULL;
    stream->conn = NULL;
    stream->state = STREAM_CUT;
    stream_finish(stream);
    if (conn->state >= CONN_CLOSED) /* closed() may have closed the server */
        return;
    if (x)
        http_conn_set_state(conn, CONN_RUNNING); /* its handler has not returned yet */
    else
        http_conn_response_done(conn);
}

/* One pass: sends what is corked, then asks the producer. True when another pass is due now. */
static bool pump_once(struct http_stream *stream) {
    struct http_conn *conn = stream->conn;
    if (stream->inside && stream->state == STREAM_OPEN)
        cork_packed(stream, STR(""), HTTP_ENCODE_FLUSH);
    if (stream->state == STREAM_CUT)
        return false;
    if (conn->out.len)
        http_conn_touch(conn);
    http_conn_flush(conn);
    if (stream->state == STREAM_CUT || http_conn_unsent_bytes(conn))
        return false;
    if (stream->state == STREAM_ENDING) {
        stream_end(stream);
        return false;
    }
    if (!stream->wanted)
        return false;
    stream->wanted = stream->wrote = false;
    stream->ops.writable(stream, stream->ops.ctx);
    if (stream->wrote)
        stream->wanted = true;
    return stream->state == STREAM_ENDING || (stream->state == STREAM_OPEN && stream->wrote);
}

static void pump(struct rt_defer *d) {
    struct http_stream *stream = CONTAINER_OF(d, struct http_stream, turn_end);
    struct http_server *s = stream->server;
    if (stream->state == STREAM_CUT) {
        stream_finish(stream);
        http_server_maybe_done(s);
        return;
    }
    if (stream->input && stream->state == STREAM_OPEN && !stream->held)
        http_conn_feed(stream->conn);
    if (stream->state == STREAM_CUT)
        return; /* by what it was fed; this function is due again */
    for (int i = 0; i < BURST_MAX; i++)
        if (!pump_once(stream))
            return;
    rt_timer_start(s->rt, &stream->again, 0, on_next_turn);
}
