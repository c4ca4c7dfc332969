/* SPDX-License-Identifier: Apache-2.0 */
/* websocket.c - a WebSocket on a stream without chunks, whose connection hands its input on.
 *
 *   OPEN ──close frame of the peer: echoed──▶ CLOSING ──▶ FIN, input dropped, closed
 *     └───http_ws_close, a broken rule──────────┘
 *
 * The bytes after the handshake are the socket's; the connection never serves a request again. The
 * close frame is the last thing that is sent; then the connection lingers as after a last response
 * (conn.c), so that the peer can read it and answer. */
#include "http/websocket.h"

#include "base/base64.h"
#include "base/hash.h"
#include "base/mem.h"
#include "http/conn_int.h"
#include "http/ws_frame.h"

#define ACCEPT_SUFFIX  "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define KEY_BYTES      16
#define REASON_BYTES   (HTTP_WS_CONTROL_BYTES_MAX - 2)
#define CODE_NONE      1005 /* never in a frame: the peer's close had no code */
#define PING_FRAME     "\x89\0"

struct http_ws {
    struct http_stream *stream;
    struct http_ws_ops ops;
    struct http_ws_reader reader;
    enum { WS_OPEN, WS_CLOSING } state;
    bool paused;
};

/* --- the handshake --- */

static bool has_word(str list, str word) {
    str part;
    while (list.len > 0 && str_split_next(&list, ',', &part))
        if (str_ieq(str_trim(part), word))
            return true;
    return false;
}

static bool key_is_valid(const struct http_request *req, str key) {
    str bytes;
    return base64_decode(req->arena, key, &bytes) && bytes.len == KEY_BYTES;
}

int http_websocket_check(const struct http_request *req, struct err *err) {
    const struct http_exchange *x = req->conn;
    if (req->method != HTTP_GET || x->conn->version_minor == 0 ||
        !has_word(http_header(req, STR("upgrade")), STR("websocket")) ||
        !has_word(http_header(req, STR("connection")), STR("upgrade")))
        return err_set(err, ERR_MALFORMED, "this is the address of a WebSocket");
    if (!str_eq(http_header(req, STR("sec-websocket-version")), STR("13")))
        return err_set(err, ERR_MALFORMED, "Sec-WebSocket-Version: must be 13");
    if (!key_is_valid(req, http_header(req, STR("sec-websocket-key"))))
        return err_set(err, ERR_MALFORMED, "Sec-WebSocket-Key: must be 16 bytes in base64");
    return 0;
}

static str accept_of(struct arena *a, str key) {
    unsigned char digest[HASH_SHA1_BYTES];
    hash_sha1(arena_printf(a, STR_FMT ACCEPT_SUFFIX, STR_ARG(key)), digest);
    return base64_encode(a, str_n((const char *)digest, sizeof(digest)));
}

/* --- out --- */

static bool send_frame(struct http_ws *ws, enum http_ws_opcode opcode, str payload) {
    struct buf b;
    if (ws->state != WS_OPEN)
        return false;
    buf_init(&b, SIZE_MAX / 2);
    http_ws_write(&b, opcode, payload);
    bool taken = http_stream_write(ws->stream, buf_view(&b));
    buf_deinit(&b);
    return taken;
}

bool http_ws_send(struct http_ws *ws, str text) { return send_frame(ws, HTTP_WS_TEXT, text); }

bool http_ws_fits(const struct http_ws *ws, size_t bytes, size_t ahead_max) {
    return http_stream_fits(ws->stream, bytes, ahead_max);
}

void http_ws_want(struct http_ws *ws) { http_stream_want(ws->stream); }

void http_ws_close(struct http_ws *ws, int code, str reason) {
    char payload[HTTP_WS_CONTROL_BYTES_MAX];
    if (ws->state != WS_OPEN)
        return;
    if (reason.len > REASON_BYTES)
        reason.len = REASON_BYTES;
    while (reason.len > 0 && !str_is_utf8(reason))
        reason.len--; /* it was cut inside of a character */
    payload[0] = (char)(code >> 8);
    payload[1] = (char)(code & 255);
    if (reason.len)
        memcpy(payload + 2, reason.p, reason.len);
    (void)send_frame(ws, HTTP_WS_CLOSE, /* false: cut, which ends it, too */
                     code == CODE_NONE ? STR("") : str_n(payload, 2 + reason.len));
    ws->state = WS_CLOSING;
    http_stream_end(ws->stream);
}

/* --- in --- */

static void on_event(struct http_ws *ws, const struct http_ws_event *e) {
    switch (e->kind) {
    case HTTP_WS_TEXT:
        ws->ops.message(ws, ws->ops.ctx, e->data);
        break;
    case HTTP_WS_PING:
        (void)send_frame(ws, HTTP_WS_PONG, e->data);
        break;
    case HTTP_WS_CLOSE:
        http_ws_close(ws, e->code ? e->code : CODE_NONE, e->data);
        break;
    default:
        break;
    }
}

static void on_input(void *ctx, str *bytes) {
    struct http_ws *ws = ctx;
    while (ws->state == WS_OPEN && !ws->paused) {
        struct http_ws_event event;
        struct err err = {0};
        int rc = http_ws_next(&ws->reader, bytes, &event, &err);
        if (rc == 0)
            return;
        if (rc < 0)
            http_ws_close(ws, err.system, str_of(err.message));
        else
            on_event(ws, &event);
    }
    if (ws->state != WS_OPEN)
        *bytes = STR("");
}

void http_ws_pause(struct http_ws *ws, bool paused) {
    ws->paused = paused;
    http_stream_hold_input(ws->stream, paused);
}

static void on_writable(struct http_stream *stream, void *ctx) {
    struct http_ws *ws = ctx;
    (void)stream;
    ws->ops.writable(ws, ws->ops.ctx);
}

static void on_closed(struct http_stream *stream, void *ctx) {
    struct http_ws *ws = ctx;
    (void)stream;
    ws->state = WS_CLOSING;
    ws->ops.closed(ws, ws->ops.ctx);
    http_ws_reader_deinit(&ws->reader);
    mem_free(ws);
}

struct http_ws *http_reply_websocket(struct http_request *req, const struct http_ws_ops *ops) {
    struct http_ws *ws = NEW(struct http_ws);
    str key = http_header(req, STR("sec-websocket-key"));
    str head = arena_printf(req->arena,
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Accept: " STR_FMT "\r\n\r\n",
                            STR_ARG(accept_of(req->arena, key)));
    struct http_stream_ops stream_ops = {
        .writable = on_writable, .closed = on_closed, .ctx = ws, .heartbeat = STR(PING_FRAME)};
    ws->ops = *ops;
    ws->state = WS_OPEN;
    http_ws_reader_init(&ws->reader, ops->message_bytes_max);
    ws->stream = http_stream_upgrade(req, head, &stream_ops, on_input);
    return ws;
}
