/* SPDX-License-Identifier: Apache-2.0 */
/* ws_frame.c - frames of WebSocket.
 *
 *    byte 0      FIN | RSV1-3 | opcode (4)
 *    byte 1      MASK | length (7): up to 125; 126: 2 bytes follow; 127: 8 bytes follow
 *    …           the length, big-endian and in its shortest form; the mask (4 bytes); the payload,
 *                byte i with mask byte i % 4
 *
 * A client's frames are masked, a server's are not. No extension is negotiated, so the RSV bits are
 * zero. Control frames (close, ping, pong) are whole, have at most 125 bytes and may come between
 * the pieces of a message. Texts are UTF-8, judged when they are whole. Messages of bytes are
 * refused with 1003: nobody here understands them. */
#include "http/ws_frame.h"

#include <string.h>

#define CODE_PROTOCOL    1002
#define CODE_UNSUPPORTED 1003
#define CODE_NOT_UTF8    1007
#define CODE_TOO_LARGE   1009

#define KEEP_BYTES 4096 /* memory of an idle socket */

#define LENGTH_16 126
#define LENGTH_64 127
#define MASK_BYTES 4

void http_ws_reader_init(struct http_ws_reader *r, size_t message_bytes_max) {
    *r = (struct http_ws_reader){0};
    buf_init(&r->message, message_bytes_max);
}

void http_ws_reader_deinit(struct http_ws_reader *r) { buf_deinit(&r->message); }

static int refuse(struct err *err, int code, const char *why) {
    return err_set_system(err, code == CODE_TOO_LARGE ? ERR_TOO_LARGE : ERR_MALFORMED, code, "%s",
                          why);
}

static int opcode_of(const struct http_ws_reader *r) { return r->head[0] & 15; }
static bool is_final(const struct http_ws_reader *r) { return (r->head[0] & 128) != 0; }
static bool is_control(const struct http_ws_reader *r) { return (opcode_of(r) & 8) != 0; }

static size_t length_bytes(const struct http_ws_reader *r) {
    int length = r->head[1] & 127;
    return length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0;
}

/* What the first two bytes tell. */
static int check_first(const struct http_ws_reader *r, struct err *err) {
    int opcode = opcode_of(r), length = r->head[1] & 127;
    if (r->head[0] & 0x70)
        return refuse(err, CODE_PROTOCOL, "reserved bits are set");
    if (!(r->head[1] & 128))
        return refuse(err, CODE_PROTOCOL, "a client's frames are masked");
    if (is_control(r)) {
        if (opcode != HTTP_WS_CLOSE && opcode != HTTP_WS_PING && opcode != HTTP_WS_PONG)
            return refuse(err, CODE_PROTOCOL, "unknown opcode");
        if (!is_final(r) || length > HTTP_WS_CONTROL_BYTES_MAX)
            return refuse(err, CODE_PROTOCOL, "a control frame is whole and short");
        return 0;
    }
    if (opcode == HTTP_WS_BINARY)
        return refuse(err, CODE_UNSUPPORTED, "messages are texts here");
    if (opcode > HTTP_WS_BINARY)
        return refuse(err, CODE_PROTOCOL, "unknown opcode");
    if (r->in_message != (opcode == HTTP_WS_CONTINUATION))
        return refuse(err, CODE_PROTOCOL, "a message begins once and goes on until it is whole");
    return 0;
}

static int read_length(struct http_ws_reader *r, struct err *err) {
    size_t bytes = length_bytes(r);
    uint64_t length = bytes ? 0 : r->head[1] & 127u;
    for (size_t i = 0; i < bytes; i++)
        length = length << 8 | r->head[2 + i];
    if ((bytes == 2 && length < LENGTH_16) || (bytes == 8 && length <= UINT16_MAX) || length >> 63)
        return refuse(err, CODE_PROTOCOL, "a length is written in its shortest form");
    if (!is_control(r) && length > r->message.max_bytes - r->message.len)
        return refuse(err, CODE_TOO_LARGE, "the message is too large");
    r->left = length;
    return 0;
}

/* 1: the head is read; 0: more is needed. */
static int read_head(struct http_ws_reader *r, str *input, struct err *err) {
    while (input->len) {
        r->head[r->head_len++] = (unsigned char)input->p[0];
        *input = str_slice(*input, 1, input->len);
        if (r->head_len < 2)
            continue;
        int rc = r->head_len == 2 ? check_first(r, err) : 0;
        if (rc < 0)
            return rc;
        if (r->head_len < 2 + length_bytes(r) + MASK_BYTES)
            continue;
        rc = read_length(r, err);
        if (rc < 0)
            return rc;
        r->in_payload = true;
        r->mask_at = 0;
        r->control_len = 0;
        if (!is_control(r))
            r->in_message = true;
        return 1;
    }
    return 0;
}

static void read_payload(struct http_ws_reader *r, str *input) {
    const unsigned char *mask = r->head + 2 + length_bytes(r);
    size_t n = input->len < r->left ? input->len : (size_t)r->left;
    unsigned char piece[1024];
    for (size_t at = 0; at < n;) {
        size_t some = n - at < sizeof(piece) ? n - at : sizeof(piece);
        for (size_t i = 0; i < some; i++)
            piece[i] = (unsigned char)input->p[at + i] ^ mask[(r->mask_at + i) % MASK_BYTES];
        r->mask_at = (uint32_t)((r->mask_at + some) % MASK_BYTES);
        if (is_control(r)) {
            memcpy(r->control + r->control_len, piece, some);
            r->control_len += some;
        } else {
            buf_append(&r->message, (const char *)piece, some);
        }
        at += some;
    }
    r->left -= n;
    *input = str_slice(*input, n, input->len);
}

/* Codes that may stand in a frame: RFC 6455 §7.4 and what was registered since. */
static bool code_is_valid(int code) {
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static int control_event(struct http_ws_reader *r, struct http_ws_event *out, struct err *err) {
    str data = str_n((const char *)r->control, r->control_len);
    *out = (struct http_ws_event){.kind = (enum http_ws_opcode)opcode_of(r), .data = data};
    if (out->kind != HTTP_WS_CLOSE || data.len == 0)
        return 1;
    if (data.len < 2)
        return refuse(err, CODE_PROTOCOL, "a close has no code, or a whole one");
    out->code = r->control[0] << 8 | r->control[1];
    out->data = str_slice(data, 2, data.len);
    if (!code_is_valid(out->code))
        return refuse(err, CODE_PROTOCOL, "the code of a close is none");
    if (!str_is_utf8(out->data))
        return refuse(err, CODE_NOT_UTF8, "the reason of a close is no UTF-8");
    return 1;
}

/* A frame is whole. 1: so is what it belongs to. */
static int frame_end(struct http_ws_reader *r, struct http_ws_event *out, struct err *err) {
    r->in_payload = false;
    r->head_len = 0;
    if (is_control(r))
        return control_event(r, out, err);
    if (!is_final(r))
        return 0;
    r->in_message = false;
    r->given = true;
    str text = r->message.len ? buf_view(&r->message) : STR("");
    if (!str_is_utf8(text))
        return refuse(err, CODE_NOT_UTF8, "a text is no UTF-8");
    *out = (struct http_ws_event){.kind = HTTP_WS_TEXT, .data = text};
    return 1;
}

int http_ws_next(struct http_ws_reader *r, str *input, struct http_ws_event *out,
                 struct err *err) {
    if (r->given) {
        if (r->message.cap > KEEP_BYTES)
            buf_deinit(&r->message);
        buf_reset(&r->message);
        r->given = false;
    }
    while (input->len || (r->in_payload && r->left == 0)) {
        int rc = r->in_payload ? 1 : read_head(r, input, err);
        if (rc <= 0)
            return rc;
        read_payload(r, input);
        rc = r->left == 0 ? frame_end(r, out, err) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

void http_ws_write(struct buf *out, enum http_ws_opcode opcode, str payload) {
    char head[10];
    size_t bytes = payload.len <= HTTP_WS_CONTROL_BYTES_MAX ? 0 : payload.len <= UINT16_MAX ? 2 : 8;
    head[0] = (char)(128 | (int)opcode);
    head[1] = (char)(bytes == 0 ? (int)payload.len : bytes == 2 ? LENGTH_16 : LENGTH_64);
    for (size_t i = 0; i < bytes; i++)
        head[2 + i] = (char)((uint64_t)payload.len >> 8 * (bytes - 1 - i) & 255);
    buf_append(out, head, 2 + bytes);
    buf_append(out, payload.p, payload.len);
}
