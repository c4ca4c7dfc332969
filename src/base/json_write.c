/* SPDX-License-Identifier: Apache-2.0 */
/* json_write.c - the JSON writer: straight into a buf, on the path of every answer.
 *
 * Design: each value is one reservation of its largest common size, then plain stores; the comma is
 * a flag that every value sets and every opening bracket or key clears. Strings are copied eight
 * bytes at a time while they are scanned: each word is stored first and looked at then, and the
 * first byte that needs an escape ends the run. Those stores may touch up to BUF_SLACK bytes past
 * what was reserved, which is what the slack of struct buf is for. Reservations are rounded up by a
 * few bytes, so a buffer may report overflow that many bytes before its cap.
 *
 * Strings must be UTF-8; nothing here checks it, text from outside was checked by its reader. */
#include "base/json.h"

#include <math.h>

/* buf_reserve() without the call when there is room, as there nearly always is. */
static inline char *reserve(struct buf *b, size_t bytes) {
    if (__builtin_expect(b->overflow || bytes >= b->cap - b->len, 0))
        return buf_reserve(b, bytes);
    return b->p + b->len;
}

#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u

/* Bit 7 of the lowest-addressed byte that needs an escape is the lowest bit set; 0 when none does.
 * Borrows can only mark bytes after a true one. */
static inline uint64_t escapes_in(uint64_t w) {
    uint64_t control = w - ONES * 0x20;
    uint64_t quote = (w ^ ONES * '"') - ONES;
    uint64_t backslash = (w ^ ONES * '\\') - ONES;
    /* ~w drops bytes from 0x80 on; a quote or backslash XORs to 0, which is below 0x80 as well. */
    return (control | quote | backslash) & ~w & HIGHS;
}

static inline uint64_t le_order(uint64_t w) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* Copies the eight bytes at p; returns how many of them come before one that needs an escape. */
static inline size_t word_copy(char *to, const char *p) {
    uint64_t w;
    memcpy(&w, p, 8);
    memcpy(to, &w, 8);
    uint64_t found = escapes_in(le_order(w));
    return found ? (size_t)__builtin_ctzll(found) / 8 : 8;
}

static inline bool needs_escape(char c) {
    return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

/* The same for fewer than eight bytes in all: two halves that overlap, or one by one. */
static inline size_t short_copy(char *to, const char *p, size_t len) {
    size_t i = 0;
    if (len >= 4) {
        uint32_t halves[2];
        memcpy(&halves[0], p, 4);
        memcpy(&halves[1], p + len - 4, 4);
        memcpy(to, &halves[0], 4);
        memcpy(to + len - 4, &halves[1], 4);
        uint64_t w;
        memcpy(&w, halves, 8);
        if (!escapes_in(le_order(w)))
            return len;
    }
    for (; i < len && !needs_escape(p[i]); i++)
        to[i] = p[i];
    return i;
}

/* Copies p[0..len) up to the first byte that needs an escape; returns how many. */
static inline size_t run_copy(char *to, const char *p, size_t len) {
    if (len < 8)
        return short_copy(to, p, len);
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        size_t n = word_copy(to + i, p + i);
        if (n < 8)
            return i + n;
    }
    /* The last word overlaps the one before, whose bytes are known to be plain. */
    return i == len ? len : len - 8 + word_copy(to + len - 8, p + len - 8);
}

static inline char *escape_put(char *to, char c) {
    static const char short_escapes[32] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    static const char hex_digits[] = "0123456789ABCDEF";
    unsigned char u = (unsigned char)c;
    *to++ = '\\';
    if (u >= 0x20) {
        *to++ = c;
    } else if (short_escapes[u]) {
        *to++ = short_escapes[u];
    } else {
        memcpy(to, "u00", 3);
        to[3] = hex_digits[u >> 4];
        to[4] = hex_digits[u & 15];
        to += 5;
    }
    return to;
}

/* Goes on at `to` with s, whose first byte needs an escape; s.len + extra bytes are reserved from
 * there. Returns the end, with `extra` bytes of room behind it, or NULL past the cap. */
static __attribute__((noinline)) char *escape_rest(struct buf *b, char *to, str s, size_t extra) {
    while (s.len) {
        b->len = (size_t)(to - b->p);
        to = reserve(b, 6 + s.len - 1 + extra);
        if (!to)
            return NULL;
        to = escape_put(to, s.p[0]);
        size_t n = run_copy(to, s.p + 1, s.len - 1);
        to += n;
        s = str_n(s.p + 1 + n, s.len - 1 - n);
    }
    return to;
}

static inline char *escape_all(struct buf *b, char *to, str s, size_t extra) {
    size_t n = run_copy(to, s.p, s.len);
    if (__builtin_expect(n == s.len, 1))
        return to + n;
    return escape_rest(b, to + n, str_n(s.p + n, s.len - n), extra);
}

void json_escape(struct buf *b, str s) {
    size_t start = b->len;
    char *to = s.len ? reserve(b, s.len) : NULL;
    if (!to)
        return;
    to = escape_all(b, to, s, 0);
    b->len = to ? (size_t)(to - b->p) : start;
}

/* [,]"s" and after a key also the colon. */
static inline void quoted_put(struct json_writer *w, str s, bool key) {
    struct buf *b = w->b;
    size_t start = b->len;
    char *to = reserve(b, s.len + 4);
    if (!to)
        return;
    *to = ',';
    to += w->comma;
    *to++ = '"';
    to = escape_all(b, to, s, 2);
    if (!to) {
        b->len = start;
        return;
    }
    *to++ = '"';
    *to = ':';
    to += key;
    b->len = (size_t)(to - b->p);
    w->comma = !key;
}

/* [,]text, with text as it is. */
static inline void plain_put(struct json_writer *w, const char *text, size_t len) {
    char *to = reserve(w->b, len + 1);
    if (!to)
        return;
    *to = ',';
    to += w->comma;
    memcpy(to, text, len);
    w->b->len = (size_t)(to + len - w->b->p);
    w->comma = true;
}

static void open_put(struct json_writer *w, char bracket) {
    plain_put(w, &bracket, 1);
    w->comma = false;
    w->depth++;
}

static void close_put(struct json_writer *w, char bracket) {
    DASSERT(w->depth > 0);
    buf_char(w->b, bracket);
    w->comma = true;
    w->depth--;
}

void jw_object(struct json_writer *w) {
    open_put(w, '{');
}

void jw_object_end(struct json_writer *w) {
    close_put(w, '}');
}

void jw_array(struct json_writer *w) {
    open_put(w, '[');
}

void jw_array_end(struct json_writer *w) {
    close_put(w, ']');
}

void jw_key(struct json_writer *w, const char *key) {
    size_t len = strlen(key);
    char *to = reserve(w->b, len + 4);
    if (!to)
        return;
    if (w->comma)
        *to++ = ',';
    *to++ = '"';
    memcpy(to, key, len);
    to += len;
    *to++ = '"';
    *to++ = ':';
    w->b->len = (size_t)(to - w->b->p);
    w->comma = false;
}

void jw_key_str(struct json_writer *w, str key) {
    quoted_put(w, key, true);
}

void jw_str(struct json_writer *w, str s) {
    if (s.p)
        quoted_put(w, s, false);
    else
        jw_null(w);
}

void jw_z(struct json_writer *w, const char *z) {
    jw_str(w, str_of(z));
}

void jw_raw(struct json_writer *w, str json) {
    if (json.len)
        plain_put(w, json.p, json.len);
    else
        jw_null(w);
}

void jw_i64(struct json_writer *w, int64_t v) {
    if (w->comma)
        buf_char(w->b, ',');
    buf_i64(w->b, v);
    w->comma = true;
}

static void u64_put(struct json_writer *w, uint64_t v) {
    if (w->comma)
        buf_char(w->b, ',');
    buf_u64(w->b, v);
    w->comma = true;
}

/* yyjson asks its allocator for one small block to write a number into. */
#define NUMBER_BYTES 64

static void *number_malloc(void *ctx, size_t bytes) {
    return bytes <= NUMBER_BYTES ? ctx : NULL;
}

static void *number_realloc(void *ctx, void *p, size_t old_bytes, size_t bytes) {
    (void)p, (void)old_bytes;
    return number_malloc(ctx, bytes);
}

static void number_free(void *ctx, void *p) {
    (void)ctx, (void)p;
}

void jw_double(struct json_writer *w, double v) {
    if (!isfinite(v)) {
        jw_null(w);
        return;
    }
    char digits[NUMBER_BYTES];
    yyjson_alc alc = {number_malloc, number_realloc, number_free, digits};
    yyjson_val val = {0};
    (void)unsafe_yyjson_set_real(&val, v);
    size_t len = 0;
    char *p = yyjson_val_write_opts(&val, 0, &alc, &len, NULL);
    ASSERT(p != NULL);
    plain_put(w, p, len);
}

void jw_bool(struct json_writer *w, bool v) {
    plain_put(w, v ? "true" : "false", v ? 4 : 5);
}

void jw_null(struct json_writer *w) {
    plain_put(w, "null", 4);
}

static inline str str_val(yyjson_val *v) {
    return str_n(v->uni.str, unsafe_yyjson_get_len(v));
}

static void scalar_put(struct json_writer *w, yyjson_val *v) {
    switch (unsafe_yyjson_get_type(v)) {
    case YYJSON_TYPE_STR:
        quoted_put(w, str_val(v), false);
        break;
    case YYJSON_TYPE_RAW:
        plain_put(w, v->uni.str, unsafe_yyjson_get_len(v));
        break;
    case YYJSON_TYPE_BOOL:
        jw_bool(w, unsafe_yyjson_get_bool(v));
        break;
    case YYJSON_TYPE_NUM:
        if (unsafe_yyjson_is_real(v))
            jw_double(w, unsafe_yyjson_get_real(v));
        else if (unsafe_yyjson_is_uint(v))
            u64_put(w, unsafe_yyjson_get_uint(v));
        else
            jw_i64(w, unsafe_yyjson_get_sint(v));
        break;
    default:
        jw_null(w);
    }
}

void jw_val(struct json_writer *w, yyjson_val *v) {
    if (!v) {
        jw_null(w);
    } else if (yyjson_is_arr(v)) {
        jw_array(w);
        yyjson_val *x = unsafe_yyjson_get_first(v);
        for (size_t left = unsafe_yyjson_get_len(v); left; left--, x = unsafe_yyjson_get_next(x))
            jw_val(w, x);
        jw_array_end(w);
    } else if (yyjson_is_obj(v)) {
        jw_object(w);
        yyjson_val *k = unsafe_yyjson_get_first(v);
        for (size_t left = unsafe_yyjson_get_len(v); left; left--) {
            quoted_put(w, str_val(k), true);
            jw_val(w, k + 1);
            k = unsafe_yyjson_get_next(k + 1);
        }
        jw_object_end(w);
    } else {
        scalar_put(w, v);
    }
}
