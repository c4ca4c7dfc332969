/* SPDX-License-Identifier: Apache-2.0 */
/* base64url.c - four characters are three bytes; a rest of two or three characters is one or two.
 *
 * A character's value comes from a table; bit 7 marks what is none. The values of a group are
 * joined before they are looked at, so there is one test per group and none per character. */
#include "auth/base64url.h"

#define NONE 0x80u

/* Plus one, so that 0 is what is none. */
static const unsigned char VALUES[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64,
};
static const char CHARACTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static unsigned value(str text, size_t at) { return VALUES[(unsigned char)text.p[at]] - 1u; }

bool base64url_decode(str text, unsigned char *out, size_t cap, size_t *out_bytes) {
    size_t groups = text.len / 4, rest = text.len % 4;
    size_t bytes = groups * 3 + (rest ? rest - 1 : 0), n = 0;
    if (rest == 1 || bytes > cap)
        return false;
    for (size_t i = 0; i < groups; i++) {
        unsigned a = value(text, 4 * i), b = value(text, 4 * i + 1), c = value(text, 4 * i + 2),
                 d = value(text, 4 * i + 3);
        if ((a | b | c | d) & NONE)
            return false;
        out[n++] = (unsigned char)(a << 2 | b >> 4);
        out[n++] = (unsigned char)(b << 4 | c >> 2);
        out[n++] = (unsigned char)(c << 6 | d);
    }
    if (rest) {
        unsigned a = value(text, 4 * groups), b = value(text, 4 * groups + 1),
                 c = rest == 3 ? value(text, 4 * groups + 2) : 0;
        if ((a | b | c) & NONE || (rest == 2 ? b & 0xf : c & 0x3))
            return false;
        out[n++] = (unsigned char)(a << 2 | b >> 4);
        if (rest == 3)
            out[n++] = (unsigned char)(b << 4 | c >> 2);
    }
    *out_bytes = n;
    return true;
}

bool base64url_decode_arena(struct arena *a, str text, str *out) {
    size_t cap = text.len / 4 * 3 + 2, bytes;
    unsigned char *p = arena_alloc(a, cap + 1);
    if (!base64url_decode(text, p, cap, &bytes))
        return false;
    p[bytes] = '\0';
    *out = str_n((const char *)p, bytes);
    return true;
}

void base64url_encode(struct buf *out, const void *bytes, size_t count) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < count; i += 3) {
        size_t left = count - i;
        unsigned v = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0) |
                     (left > 2 ? p[i + 2] : 0);
        buf_char(out, CHARACTERS[v >> 18]);
        buf_char(out, CHARACTERS[v >> 12 & 63]);
        if (left > 1)
            buf_char(out, CHARACTERS[v >> 6 & 63]);
        if (left > 2)
            buf_char(out, CHARACTERS[v & 63]);
    }
}
