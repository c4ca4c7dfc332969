/* SPDX-License-Identifier: Apache-2.0 */
/* str.c - comparison, searching, splitting and strict number parsing of string views.
 *
 * Nothing here allocates or reads past a view's length. Number parsing accepts exactly the decimal
 * grammar named in the header, so that what a client sends has one meaning. */
#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static unsigned char lower(char c) {
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

bool str_ieq(str a, str b) {
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

int str_cmp(str a, str b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

bool str_starts(str s, str prefix) {
    return s.len >= prefix.len && str_eq(str_n(s.p, prefix.len), prefix);
}

bool str_ends(str s, str suffix) {
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.p + s.len - suffix.len, suffix.p, suffix.len) == 0);
}

ptrdiff_t str_find(str s, str needle) {
    if (needle.len == 0)
        return 0;
    if (s.len < needle.len)
        return -1;
    const char *at = memmem(s.p, s.len, needle.p, needle.len);
    return at ? at - s.p : -1;
}

ptrdiff_t str_find_char(str s, char c) {
    const char *at = s.len ? memchr(s.p, c, s.len) : NULL;
    return at ? at - s.p : -1;
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

str str_trim(str s) {
    while (s.len && is_space(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len && is_space(s.p[s.len - 1]))
        s.len--;
    return s;
}

str str_slice(str s, size_t from, size_t to) {
    if (to > s.len)
        to = s.len;
    if (from > to)
        from = to;
    return s.p ? str_n(s.p + from, to - from) : s;
}

bool str_split_next(str *rest, char sep, str *out_part) {
    if (!rest->p)
        return false;
    ptrdiff_t at = str_find_char(*rest, sep);
    if (at < 0) {
        *out_part = *rest;
        *rest = STR_NULL;
    } else {
        *out_part = str_n(rest->p, (size_t)at);
        *rest = str_n(rest->p + at + 1, rest->len - (size_t)at - 1);
    }
    return true;
}

bool str_to_u64(str s, uint64_t *out) {
    if (s.len == 0)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool str_to_i64(str s, int64_t *out) {
    bool minus = s.len && s.p[0] == '-';
    uint64_t v;
    if (!str_to_u64(minus ? str_n(s.p + 1, s.len - 1) : s, &v))
        return false;
    if (v > (uint64_t)INT64_MAX + (minus ? 1 : 0))
        return false;
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* [-] digits [. digits] [e [+-] digits], with digits on at least one side of the point. */
static bool double_grammar(str s) {
    size_t i = 0, digits = 0;
    if (i < s.len && s.p[i] == '-')
        i++;
    for (; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        digits++;
    if (i < s.len && s.p[i] == '.')
        for (i++; i < s.len && s.p[i] >= '0' && s.p[i] <= '9'; i++)
            digits++;
    if (digits == 0)
        return false;
    if (i < s.len && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        if (i < s.len && (s.p[i] == '-' || s.p[i] == '+'))
            i++;
        size_t from = i;
        while (i < s.len && s.p[i] >= '0' && s.p[i] <= '9')
            i++;
        if (i == from)
            return false;
    }
    return i == s.len;
}

bool str_to_double(str s, double *out) {
    char z[400]; /* longer texts are no number anybody sends in good faith */
    if (s.len >= sizeof z || !double_grammar(s))
        return false;
    memcpy(z, s.p, s.len);
    z[s.len] = '\0';
    double v = strtod(z, NULL);
    if (!isfinite(v))
        return false;
    *out = v;
    return true;
}

/* Length of the well-formed multi-byte sequence at p (its first byte is >= 0x80), 0 when none. */
static size_t utf8_sequence(const unsigned char *p, size_t left) {
    unsigned char c = p[0];
    size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4 || left < n)
        return 0;
    unsigned char low = 0x80, high = 0xBF; /* bounds of the second byte */
    if (c == 0xE0)
        low = 0xA0;
    else if (c == 0xED)
        high = 0x9F;
    else if (c == 0xF0)
        low = 0x90;
    else if (c == 0xF4)
        high = 0x8F;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

size_t str_utf8_prefix(str s) {
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (i < s.len) {
        uint64_t w;
        while (i + 8 <= s.len && (memcpy(&w, p + i, 8), (w & 0x8080808080808080u) == 0))
            i += 8;
        if (i == s.len)
            break;
        if (p[i] < 0x80) {
            i++;
            continue;
        }
        size_t n = utf8_sequence(p + i, s.len - i);
        if (n == 0)
            break;
        i += n;
    }
    return i;
}

bool str_is_utf8(str s) {
    return str_utf8_prefix(s) == s.len;
}
