/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - HTTP/1.1 server: connections, limits, responses, pull-driven streams.
 *
 * The handler runs on a fiber of its own per request, after the whole body has arrived. It answers
 * with exactly one http_reply or http_reply_stream; returning without either answers 500.
 * A stream outlives its handler: it holds no fiber, only the connection and its small struct.
 *
 * Memory: the request and its arena live until the handler has returned and the response head has
 * been copied; nothing of it may be kept by a stream. Errors: protocol errors are answered by the
 * server itself ({"detail": …}, 400/408/413/431/503/505) and never reach the handler.
 * Suspends: only what is marked. Tests: tests/unit/http/, tests/integration/. RFC 9110, 9112. */
#ifndef HF_HTTP_SERVER_H
#define HF_HTTP_SERVER_H

#include "base/arena.h"
#include "base/buf.h"
#include "http/coding.h"
#include "http/header.h"
#include "rt/fiber.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS
};
str http_method_name(enum http_method m);

struct http_server;
struct http_request {
    struct arena *arena;
    enum http_method method;
    str target;                        /* as sent: path and query */
    str path, query;                   /* undecoded; query without '?' */
    const struct http_header *headers; /* names as sent; look up with http_header() */
    size_t header_count;
    str body; /* de-chunked; empty when none */
    char peer[46];
    int64_t received_us; /* monotonic, when the head was complete */
    void *user;          /* for the handler's own use */
    /* private to http */
    void *conn;
};
/* Runs on a fiber. MAY_SUSPEND. */
typedef void (*http_handler_fn)(struct http_request *req, void *ctx);

/* Answers are packed with what the client takes, see compress.c. */
enum http_compress_codings { HTTP_COMPRESS_NONE, HTTP_COMPRESS_GZIP, HTTP_COMPRESS_ALL };
struct http_compress_options {
    enum http_compress_codings codings; /* ALL: zstd, too */
    size_t bytes_min;                   /* of a complete body: 1 KiB */
    int level;                          /* 1 … HTTP_LEVEL_MAX: 1 */
    bool events;                        /* server-sent events, too: no */
    size_t streams_max;                 /* 128 that are packed at once */
};

struct http_server_options {
    const char *host; /* numeric address or "localhost"; "" all */
    int port;         /* 0: any free one */
    int backlog;
    size_t header_bytes_max;        /* 16 KiB: request line and headers */
    size_t body_bytes_max;          /* 16 MiB */
    size_t connections_max;         /* 20000; beyond: 503 and close */
    size_t stream_buffer_bytes_max; /* 1 MiB of unsent bytes per stream, then it is cut */
    int64_t header_timeout_us;      /* 10 s from the first byte (or accept) to a complete head */
    int64_t body_idle_timeout_us;   /* 30 s without a byte of the body */
    int64_t idle_timeout_us;        /* 75 s between requests */
    int64_t heartbeat_us;           /* 5 s for streams that ask for it */
    struct http_compress_options compress;
    const char *cors_allow_origin; /* "*" or one origin; NULL: no CORS headers */
    bool reuse_port;
    http_handler_fn handler;
    void *ctx;
};
void http_server_options_default(struct http_server_options *o);
MUST_CHECK int http_server_open(struct rt *rt, const struct http_server_options *o,
                                struct http_server **out, struct err *err);
int http_server_port(const struct http_server *s);
/* Idle connections close after 500 ms; requests until then, and those under way, are answered with
 * Connection: close. */
void http_server_stop_accepting(struct http_server *s);
size_t http_server_connections(const struct http_server *s);
/* Cuts what is left, frees the server; done runs later on the loop. */
void http_server_close(struct http_server *s, void (*done)(void *arg), void *arg);

bool http_peer_is_local(const struct http_request *req);         /* is it on this machine? */
str http_header(const struct http_request *req, str lower_name); /* first one; absent when none */
/* All of them as one list, with commas; in the request's arena when they are several. */
str http_header_all(const struct http_request *req, str lower_name);
/* Replaces a body that came with a Content-Encoding by what it says. ERR_MEDIA for codings that are
 * not read, ERR_MALFORMED, ERR_TOO_LARGE beyond body_bytes_max, ERR_LIMIT when too many wait. */
MUST_CHECK MAY_SUSPEND int http_request_decode(struct http_request *req, struct err *err);

/* Adds a header to the coming response; before http_reply*. Values with CR, LF or NUL are dropped
 * whole and logged. */
void http_reply_header(struct http_request *req, str name, str value);
/* Sends a complete response. content_type may be absent with an empty body. The body is copied or
 * written before the call returns. HEAD, 204 and 304 carry no body. Calling twice is a bug. On a
 * fiber it may suspend, while a large body is packed. */
MAY_SUSPEND void http_reply(struct http_request *req, int status, str content_type, str body);
bool http_replied(const struct http_request *req);

/* --- streams --- */
struct http_stream;
struct http_stream_ops {
    /* All earlier bytes are in the kernel: produce more now (http_stream_write), or nothing; then
     * call http_stream_want when there is more. Called first after the head, again as long as it
     * has written something, and after want. Never called inside write or want. */
    void (*writable)(struct http_stream *s, void *ctx);
    /* Exactly once, later: the peer went away, the bound was passed, or the end was sent. The
     * stream is freed when it returns. */
    void (*closed)(struct http_stream *s, void *ctx);
    void *ctx;
    str heartbeat; /* sent after heartbeat_us of silence, e.g. ": heartbeat\n"; absent: none */
    bool pack;     /* may be compressed; what is written in a turn is flushed at its end */
};
/* Starts a chunked response; the stream belongs to the connection until closed has run. */
struct http_stream *http_reply_stream(struct http_request *req, int status, str content_type,
                                      const struct http_stream_ops *ops);
void http_stream_want(struct http_stream *s); /* schedules writable for this turn's end */
/* Copies; sent at the end of the turn. False when the stream is closing (bound passed, peer gone,
 * end called): stop producing. A write on a stream without unsent bytes is taken whatever its size;
 * one that would make the unsent bytes pass the bound cuts the stream. */
bool http_stream_write(struct http_stream *s, str bytes);
size_t http_stream_pending(const struct http_stream *s); /* unsent bytes */
/* Would so many bytes be taken now, with at most ahead_max unsent then? Always when nothing is. */
bool http_stream_fits(const struct http_stream *s, size_t bytes, size_t ahead_max);
void http_stream_end(struct http_stream *s);   /* after the pending bytes */
void http_stream_abort(struct http_stream *s); /* cuts the connection without the end mark */

/* Debug view: JSON with counts per connection state. */
void http_server_list(const struct http_server *s, struct buf *out);

#endif
