/* SPDX-License-Identifier: Apache-2.0 */
/* chunked.c - strict decoder of chunked bodies.
 *
 *     chunk     1*15 HEXDIG [ ";" extension of at most 256 bytes ] CRLF data CRLF
 *     last      1*15 "0" [ extension ] CRLF
 *     trailers  lines under the rules of guard.c, at most 8 KiB, dropped
 *     end       CRLF
 *
 * Invariants: no byte is looked at twice; every line ends with CRLF and holds no other CR, LF or
 * control byte; a size is compared with the limit before a byte of its data is taken, so it cannot
 * overflow. Small states instead of a line buffer keep the decoder at 32 bytes.
 * Design: own code and not the parser's, since "which bytes are framing" is exactly what a guard in
 * front of the parser would have to know; the fuzz target holds it against llhttp. */
#include "http/chunked.h"

#include "base/hex.h"

enum chunked_state {
    CHUNKED_SIZE,
    CHUNKED_EXTENSION,
    CHUNKED_SIZE_LF,
    CHUNKED_DATA,
    CHUNKED_DATA_CR,
    CHUNKED_DATA_LF,
    CHUNKED_TRAILER_START,
    CHUNKED_TRAILER_NAME,
    CHUNKED_TRAILER_VALUE,
    CHUNKED_TRAILER_LF,
    CHUNKED_END_LF,
    CHUNKED_ENDED,
};
#define SIZE_DIGITS_MAX 15

void http_chunked_init(struct http_chunked *c) { *c = (struct http_chunked){0}; }

bool http_chunked_ended(const struct http_chunked *c) { return c->state == CHUNKED_ENDED; }

static int refuse(struct err *err, const char *why) {
    return err_set_system(err, ERR_MALFORMED, 400, "%s", why);
}

static bool is_control(unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; }

static int on_size(struct http_chunked *c, unsigned char b, struct err *err) {
    int digit = hex_digit((char)b);
    if (digit >= 0) {
        if (++c->digits > SIZE_DIGITS_MAX)
            return refuse(err, "chunk size too long");
        c->left_bytes = c->left_bytes << 4 | (unsigned)digit;
        return 0;
    }
    if (c->digits == 0 || (b != ';' && b != '\r'))
        return refuse(err, "malformed chunk size");
    c->line_bytes = 0;
    c->state = b == ';' ? CHUNKED_EXTENSION : CHUNKED_SIZE_LF;
    return 0;
}

static int on_size_end(struct http_chunked *c, size_t body_bytes_max, struct err *err) {
    if (c->left_bytes > body_bytes_max || c->total_bytes > body_bytes_max - c->left_bytes)
        return err_set_system(err, ERR_TOO_LARGE, 413, "body too large");
    c->total_bytes += c->left_bytes;
    c->digits = 0;
    c->state = c->left_bytes ? CHUNKED_DATA : CHUNKED_TRAILER_START;
    return 0;
}

static int on_trailer(struct http_chunked *c, unsigned char b, struct err *err) {
    if (++c->trailer_bytes > HTTP_TRAILER_BYTES_MAX)
        return err_set_system(err, ERR_TOO_LARGE, 431, "trailers too large");
    switch ((enum chunked_state)c->state) {
    case CHUNKED_TRAILER_START:
        if (b == '\r') {
            c->state = CHUNKED_END_LF;
            return 0;
        }
        c->state = CHUNKED_TRAILER_NAME;
        if (b == ':')
            return refuse(err, "malformed trailer");
        break;
    case CHUNKED_TRAILER_NAME:
        if (b == ':') {
            c->state = CHUNKED_TRAILER_VALUE;
            return 0;
        }
        break;
    default:
        if (b == '\r') {
            c->state = CHUNKED_TRAILER_LF;
            return 0;
        }
        return is_control(b) ? refuse(err, "malformed trailer") : 0;
    }
    bool token = (b >= '0' && b <= '9') || ((b | 0x20) >= 'a' && (b | 0x20) <= 'z') ||
                 (b && strchr("!#$%&'*+-.^_`|~", b));
    return token ? 0 : refuse(err, "malformed trailer");
}

/* One byte of framing. */
static int on_byte(struct http_chunked *c, unsigned char b, size_t body_bytes_max,
                   struct err *err) {
    switch ((enum chunked_state)c->state) {
    case CHUNKED_SIZE:
        return on_size(c, b, err);
    case CHUNKED_EXTENSION:
        if (b == '\r')
            c->state = CHUNKED_SIZE_LF;
        else if (is_control(b) || ++c->line_bytes > HTTP_CHUNK_EXTENSION_BYTES_MAX)
            return refuse(err, "malformed chunk extension");
        return 0;
    case CHUNKED_SIZE_LF:
        return b == '\n' ? on_size_end(c, body_bytes_max, err)
                         : refuse(err, "chunk size not ended by CRLF");
    case CHUNKED_DATA_CR:
    case CHUNKED_DATA_LF:
        if (b != (c->state == CHUNKED_DATA_CR ? '\r' : '\n'))
            return refuse(err, "chunk not ended by CRLF");
        c->state = c->state == CHUNKED_DATA_CR ? CHUNKED_DATA_LF : CHUNKED_SIZE;
        return 0;
    case CHUNKED_TRAILER_START:
    case CHUNKED_TRAILER_NAME:
    case CHUNKED_TRAILER_VALUE:
        return on_trailer(c, b, err);
    case CHUNKED_TRAILER_LF:
    case CHUNKED_END_LF:
        if (b != '\n')
            return refuse(err, "trailer not ended by CRLF");
        c->state = c->state == CHUNKED_END_LF ? CHUNKED_ENDED : CHUNKED_TRAILER_START;
        return 0;
    case CHUNKED_DATA:
    case CHUNKED_ENDED:
        break;
    }
    UNREACHABLE();
}

int http_chunked_next(struct http_chunked *c, str *input, size_t body_bytes_max, str *out_data,
                      struct err *err) {
    str in = *input;
    str data = {in.p, 0};
    while (in.len && c->state != CHUNKED_ENDED && data.len == 0) {
        if (c->state == CHUNKED_DATA) {
            data = str_n(in.p, in.len < c->left_bytes ? in.len : (size_t)c->left_bytes);
            c->left_bytes -= data.len;
            if (c->left_bytes == 0)
                c->state = CHUNKED_DATA_CR;
            in.p += data.len;
            in.len -= data.len;
            continue;
        }
        int rc = on_byte(c, (unsigned char)*in.p, body_bytes_max, err);
        if (rc)
            return rc;
        in.p++;
        in.len--;
    }
    *input = in;
    *out_data = data;
    return 0;
}
