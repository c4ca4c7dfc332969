/* SPDX-License-Identifier: Apache-2.0 */
/* buf.c - growable byte buffer with a mandatory cap.
 *
 * Design: one heap block of cap + BUF_SLACK bytes, doubled when full. All appends go through
 * buf_reserve(), the only place that grows and the only one that sets `overflow`. Numbers are
 * written two digits at a time without printf: they are on the path of every answer. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

#define BUF_MIN 256

void buf_init(struct buf *b, size_t max_bytes) {
    *b = (struct buf){.max_bytes = max_bytes};
}

void buf_deinit(struct buf *b) {
    mem_free(b->p);
    *b = (struct buf){.max_bytes = b->max_bytes};
}

void buf_reset(struct buf *b) {
    b->len = 0;
    b->overflow = false;
}

struct buf buf_take(struct buf *b) {
    struct buf taken = *b;
    *b = (struct buf){.max_bytes = b->max_bytes};
    return taken;
}

void buf_shrink(struct buf *b) {
    if (b->len || !b->p)
        return;
    mem_free(b->p);
    b->p = NULL;
    b->cap = 0;
}

static bool buf_grow(struct buf *b, size_t bytes) {
    if (bytes > b->max_bytes - b->len) {
        b->overflow = true;
        return false;
    }
    size_t need = b->len + bytes;
    size_t cap = b->cap ? b->cap : BUF_MIN;
    while (cap < need)
        cap = cap > SIZE_MAX / 4 ? need : cap * 2;
    if (cap > b->max_bytes)
        cap = b->max_bytes;
    size_t total;
    ASSERT(!__builtin_add_overflow(cap, (size_t)BUF_SLACK, &total));
    b->p = mem_realloc(b->p, total);
    b->cap = cap;
    return true;
}

char *buf_reserve(struct buf *b, size_t bytes) {
    if (b->overflow)
        return NULL;
    if ((bytes > b->cap - b->len || !b->p) && !buf_grow(b, bytes))
        return NULL;
    return b->p + b->len;
}

void buf_append(struct buf *b, const void *p, size_t len) {
    if (len == 0)
        return;
    char *to = buf_reserve(b, len);
    if (!to)
        return;
    memcpy(to, p, len);
    b->len += len;
}

void buf_str(struct buf *b, str s) {
    buf_append(b, s.p, s.len);
}

void buf_z(struct buf *b, const char *z) {
    buf_append(b, z, strlen(z));
}

void buf_char(struct buf *b, char c) {
    char *to = buf_reserve(b, 1);
    if (!to)
        return;
    *to = c;
    b->len++;
}

static const char two_digits[] = "00010203040506070809101112131415161718192021222324"
                                 "25262728293031323334353637383940414243444546474849"
                                 "50515253545556575859606162636465666768697071727374"
                                 "75767778798081828384858687888990919293949596979899";

/* Writes v right-aligned before end, returns its first digit. */
static char *u64_digits(char *end, uint64_t v) {
    while (v >= 100) {
        end -= 2;
        memcpy(end, two_digits + 2 * (v % 100), 2);
        v /= 100;
    }
    if (v >= 10) {
        end -= 2;
        memcpy(end, two_digits + 2 * v, 2);
    } else {
        *--end = (char)('0' + v);
    }
    return end;
}

void buf_i64(struct buf *b, int64_t v) {
    char digits[24], *end = digits + sizeof digits;
    char *from = u64_digits(end, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
    if (v < 0)
        *--from = '-';
    buf_append(b, from, (size_t)(end - from));
}

void buf_u64(struct buf *b, uint64_t v) {
    char digits[24], *end = digits + sizeof digits;
    char *from = u64_digits(end, v);
    buf_append(b, from, (size_t)(end - from));
}

void buf_printf(struct buf *b, const char *format, ...) {
    char small[256];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    ASSERT(n >= 0);
    if ((size_t)n < sizeof small) {
        buf_append(b, small, (size_t)n);
    } else {
        char *to = buf_reserve(b, (size_t)n);
        if (to) {
            /* The terminating NUL goes into the slack. */
            (void)vsnprintf(to, (size_t)n + 1, format, again);
            b->len += (size_t)n;
        }
    }
    va_end(again);
}

void buf_consume(struct buf *b, size_t bytes) {
    ASSERT(bytes <= b->len);
    b->len -= bytes;
    if (b->len)
        memmove(b->p, b->p + bytes, b->len);
}
