/* SPDX-License-Identifier: Apache-2.0 */
/* ws_frame.h - frames of WebSocket (RFC 6455), as a server reads and writes them.
 *
 * The reader is fed bytes as they come and gives whole messages and control frames; a message in
 * pieces is put together. Every rule of the RFC that a client can break is an error whose system
 * code is the close code to answer with.
 * Owner: the caller's struct. Memory: the message under way, at most message_bytes_max.
 * Errors: ERR_MALFORMED (1002, 1003, 1007), ERR_TOO_LARGE (1009). Suspends: never.
 * Tests: tests/unit/http/test_ws_frame.c; fuzzed. */
#ifndef HF_HTTP_WS_FRAME_H
#define HF_HTTP_WS_FRAME_H

#include "base/buf.h"
#include "base/err.h"

#define HTTP_WS_CONTROL_BYTES_MAX 125
#define HTTP_WS_HEAD_BYTES_MAX    14

enum http_ws_opcode {
    HTTP_WS_CONTINUATION = 0,
    HTTP_WS_TEXT = 1,
    HTTP_WS_BINARY = 2,
    HTTP_WS_CLOSE = 8,
    HTTP_WS_PING = 9,
    HTTP_WS_PONG = 10
};

struct http_ws_reader {
    struct buf message;
    unsigned char head[HTTP_WS_HEAD_BYTES_MAX];
    unsigned char control[HTTP_WS_CONTROL_BYTES_MAX];
    size_t head_len, control_len;
    uint64_t left;      /* bytes of the frame's payload that are still to come */
    uint32_t mask_at;   /* place in the mask */
    bool in_payload;    /* the frame's head has been read */
    bool in_message;    /* a message has begun and was not finished */
    bool given;         /* the message was given to the caller: the next one begins anew */
};
struct http_ws_event {
    enum http_ws_opcode kind; /* TEXT, PING, PONG or CLOSE */
    str data;                 /* of a close: its reason; valid until the next call */
    int code;                 /* of a close; 0: it gives none */
};
void http_ws_reader_init(struct http_ws_reader *r, size_t message_bytes_max);
void http_ws_reader_deinit(struct http_ws_reader *r);
/* Takes bytes off *input. 1: *out is filled; 0: all bytes are taken, more are needed. After an
 * error the connection is to be closed. */
MUST_CHECK int http_ws_next(struct http_ws_reader *r, str *input, struct http_ws_event *out,
                            struct err *err);

/* Appends one whole frame, unmasked, as servers send them. */
void http_ws_write(struct buf *out, enum http_ws_opcode opcode, str payload);

#endif
