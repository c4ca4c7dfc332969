/* SPDX-License-Identifier: Apache-2.0 */
/* websocket.h - a server's side of WebSocket (RFC 6455): texts in both directions.
 *
 *   GET with Upgrade ─▶ http_websocket_check ─▶ http_reply_websocket ─▶ OPEN ─▶ CLOSING ─▶ closed
 *
 * Like a stream (http/server.h) it outlives its handler and holds no fiber: only the connection,
 * its small struct and the message that is under way. Pings are answered here, and sent after the
 * server's heartbeat of silence. What the peer has not taken is bounded as a stream's is: a socket
 * that would pass the bound is cut.
 * Memory: of http; closed is the last call. Errors: as marked. Suspends: never.
 * Tests: tests/unit/http/test_ws_frame.c, tests/integration/run-sockets */
#ifndef HF_HTTP_WEBSOCKET_H
#define HF_HTTP_WEBSOCKET_H

#include "http/server.h"

struct http_ws;
struct http_ws_ops {
    /* A text of the peer, valid during the call. Must not suspend; may send, close, pause. */
    void (*message)(struct http_ws *ws, void *ctx, str text);
    void (*writable)(struct http_ws *ws, void *ctx); /* as of streams, after http_ws_want */
    /* Exactly once, later: the socket is over, whoever ended it. It is freed when this returns. */
    void (*closed)(struct http_ws *ws, void *ctx);
    void *ctx;
    size_t message_bytes_max; /* of the peer's; beyond: closed with 1009 */
};

/* Is the request an opening handshake of version 13? ERR_MALFORMED. */
MUST_CHECK int http_websocket_check(const struct http_request *req, struct err *err);
/* Answers 101; the request passed the check. */
struct http_ws *http_reply_websocket(struct http_request *req, const struct http_ws_ops *ops);
/* Copies. False: closing, or cut just now. */
bool http_ws_send(struct http_ws *ws, str text);
bool http_ws_fits(const struct http_ws *ws, size_t bytes, size_t ahead_max); /* as of streams */
void http_ws_want(struct http_ws *ws); /* calls writable when nothing is unsent */
/* Reads no more until it is resumed; message may still be called for nothing. */
void http_ws_pause(struct http_ws *ws, bool paused);
/* Says why and ends; later calls do nothing. reason: at most 123 bytes of it are sent. */
void http_ws_close(struct http_ws *ws, int code, str reason);

#endif
