/* SPDX-License-Identifier: Apache-2.0 */
/* conn_int.h - the parts of a server: connections, exchanges, streams, and who calls whom.
 *
 *     server.c    listens, accepts, owns the state lists and the tick, closes
 *     conn.c      bytes in: heads, bodies, pipelining; the connection's states; timeouts
 *     out.c       bytes out: corking, try-write, the blocked write
 *     response.c  status line and headers, CORS, complete responses
 *     compress.c  which of them are packed, and streams
 *     decode.c    bodies of requests that came packed
 *     stream.c    pull-driven chunked responses
 *
 * Memory: a connection lives from accept until libuv has closed it and its exchange is released;
 * an exchange (one request) is pooled and belongs to its connection from a complete head until the
 * handler has returned; a stream lives until its closed callback has run. Suspends: never. */
#ifndef HF_HTTP_CONN_INT_H
#define HF_HTTP_CONN_INT_H

#include <uv.h>

#include "http/chunked.h"
#include "http/guard.h"
#include "http/parse.h"
#include "http/server.h"

/* A connection is in exactly one list of its server: that of its state. Lists are ordered by
 * since_us, so the tick looks only at their heads. Legal moves: conn.c. */
#define CONN_STATE_MAP(X)                                                                          \
    X(HEAD, "head")       /* accepted, or a part of a head is here */                              \
    X(IDLE, "idle")       /* between requests, nothing received */                                 \
    X(BODY, "body")       /* the head is done, the body arrives */                                 \
    X(RUNNING, "running") /* the handler runs */                                                   \
    X(STREAM, "stream")   /* a stream is open */                                                   \
    X(FLUSH, "flush")     /* response complete, the peer reads slowly */                           \
    X(LINGER, "linger")   /* last response sent, input is dropped until EOF */                     \
    X(CLOSED, "closed")   /* uv_close called */                                                    \
    X(GONE, "gone")       /* libuv is done; the handler may still run */
enum conn_state {
#define X(name, text) CONN_##name,
    CONN_STATE_MAP(X)
#undef X
        CONN_STATE_COUNT
};

struct http_exchange {
    struct http_request req;
    struct http_conn *conn;
    struct fiber *fiber; /* NULL before the handler starts */
    struct arena arena;
    struct list node; /* in the server's pool */
    struct buf body;  /* of bodies that do not arrive with their head */
    struct buf lines; /* header lines added by the handler */
    struct http_chunked chunked;
    size_t body_left_bytes; /* of a body with a length */
    bool is_chunked;
    bool replied;
    bool as_is; /* a header of the handler says that it is not to be packed */
};

struct http_write;
struct http_conn {
    uv_tcp_t tcp;
    struct http_server *server;
    struct list node;
    int64_t since_us;        /* entered the state, or was last touched in it */
    struct http_exchange *x; /* NULL between requests and when a stream's handler has returned */
    struct http_stream *stream;
    struct http_write *writing; /* the kernel did not take all: waits for the peer */
    struct buf in;              /* a part of a head, or pipelined requests; consumed up to in_at */
    struct buf out;             /* corked, not yet offered to the kernel */
    struct rt_defer flush;      /* sends `out` at the end of the turn */
    struct http_guard guard;
    uint32_t in_at;
    uint32_t stall_count;  /* ticks without progress of the blocked write */
    size_t queue_bytes;    /* what the blocked write had left at the last tick */
    uint8_t state;         /* enum conn_state; changed by http_conn_set_state only */
    uint8_t version_minor; /* of the current request */
    bool keep_alive;       /* after the current response */
    bool paused;           /* not reading: too much is pipelined */
    bool advancing;        /* inside conn_advance: do not start another one */
    bool eof;              /* the peer has sent its FIN */
    char peer[46];
};

#define HTTP_READ_BYTES         (64 * 1024)
#define HTTP_PIPELINE_BYTES_MAX (64 * 1024) /* beyond a head; then reading pauses */
#define HTTP_CORK_BYTES_MAX     (64 * 1024)
#define HTTP_DRAIN_US           (500 * 1000) /* idle ones of a server that drains */
#define HTTP_EXCHANGE_POOL_MAX  256
#define HTTP_SPARE_COUNT        16
#define HTTP_SPARE_BYTES_MAX    (16 * 1024)

struct http_server {
    struct rt *rt;
    struct http_server_options o;
    uv_tcp_t listener;
    int port;
    enum { SERVER_OPEN, SERVER_DRAINING, SERVER_CLOSING } state;
    bool listener_closed;
    struct list conns[CONN_STATE_COUNT];
    size_t counts[CONN_STATE_COUNT];
    size_t conn_count, stream_count;
    struct rt_timer tick;
    int64_t tick_us;
    struct list exchanges; /* the pool */
    size_t exchange_count;
    struct buf spares[HTTP_SPARE_COUNT]; /* for conn.out */
    size_t spare_count;
    struct buf head; /* scratch: the response head being written */
    int64_t date_second;
    char date[30];
    str cors_lines;     /* prepared header lines; empty without CORS */
    struct arena arena; /* of options that are copied */
    struct http_compress {
        struct http_packer *packer; /* NULL: nothing is packed */
        struct buf scratch;         /* the piece of a stream being written */
        size_t stream_count;        /* with an encoder */
        struct metric *bytes[HTTP_CODING_COUNT][2], *decoded[2]; /* before, after */
        struct metric *streams;
    } compress;
    void (*done)(void *arg);
    void *done_arg;
    struct rt_defer done_defer;
    char *read_buffer; /* HTTP_READ_BYTES, shared by all connections */
};

/* server.c */
void http_server_forget(struct http_conn *conn); /* frees it; ends a closing server */
void http_server_maybe_done(struct http_server *s);

/* conn.c */
void http_conn_init(struct http_conn *conn, struct http_server *s);
void http_conn_start(struct http_conn *conn); /* accepted: begins to read */
void http_conn_set_state(struct http_conn *conn, enum conn_state to);
void http_conn_touch(struct http_conn *conn); /* to the end of its list */
void http_conn_close(struct http_conn *conn); /* at once; idempotent */
/* Answers a protocol error and lingers. */
void http_conn_refuse(struct http_conn *conn, int status, const char *detail);
void http_conn_response_done(struct http_conn *conn); /* handler returned, no stream is left */
void http_conn_drained(struct http_conn *conn);       /* from out.c: everything is in the kernel */
void http_conn_sweep(struct http_server *s);          /* timeouts and heartbeats */
void http_conn_feed(struct http_conn *conn);          /* what was kept goes to the stream's input */
void http_conn_hold_input(struct http_conn *conn);    /* reads no more, until it is fed */

/* out.c: a failed write closes the connection. */
void http_conn_send(struct http_conn *conn, str head, str body);
void http_conn_cork(struct http_conn *conn, str bytes);
void http_conn_flush(struct http_conn *conn);
void http_conn_flush_later(struct http_conn *conn);
size_t http_conn_unsent_bytes(const struct http_conn *conn);
void http_conn_send_fin(struct http_conn *conn);
void http_conn_out_deinit(struct http_conn *conn);

/* response.c */
struct response_head {
    int status;
    str type;       /* absent: none */
    int64_t length; /* negative: no Content-Length */
    enum http_coding coding;
    bool chunked, close, keep_alive_1_0, vary_encoding;
    str lines; /* more header lines, each with CRLF */
};
str http_response_head(struct http_server *s, const struct response_head *h); /* in s->head */
str http_response_type(str content_type);              /* made safe for a header line */
bool http_response_preflight(struct http_exchange *x); /* true: answered */

/* compress.c */
void http_compress_open(struct http_server *s);
void http_compress_close(struct http_server *s);
/* Replaces *body by a packed one in the arena and says so in the head, when it is to be. */
MAY_SUSPEND void http_compress_body(struct http_exchange *x, struct response_head *h, str *body);
/* The coding of a stream with this head, which is in it, too. begin and end count its encoder. */
enum http_coding http_compress_stream(struct http_exchange *x, struct response_head *h);
void http_compress_begin(struct http_server *s);
void http_compress_end(struct http_server *s);
/* What is to be sent of the bytes, until the next call. */
str http_compress_piece(struct http_server *s, enum http_coding c, struct http_encoder *e,
                        str bytes, enum http_encode how);

/* stream.c */
void http_stream_cut(struct http_stream *stream);     /* its connection closes */
void http_stream_drained(struct http_stream *stream); /* a blocked write is through */
void http_stream_heartbeat(struct http_stream *stream);
/* A stream of raw bytes in both directions, begun by this head (101). input takes bytes off: all,
 * unless it is held. */
typedef void (*http_input_fn)(void *ctx, str *bytes);
struct http_stream *http_stream_upgrade(struct http_request *req, str head,
                                        const struct http_stream_ops *ops, http_input_fn input);
void http_stream_hold_input(struct http_stream *stream, bool held);
bool http_stream_takes_input(const struct http_stream *stream); /* was it upgraded? */
bool http_stream_holds_input(const struct http_stream *stream);
void http_stream_input(struct http_stream *stream, str *bytes);

#endif
