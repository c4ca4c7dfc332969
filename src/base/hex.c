/* SPDX-License-Identifier: Apache-2.0 */
/* hex.c - bytes as hex digits, and back.
 *
 * By a table and by ranges: no locale has a say, and nothing is formatted. */
#include "base/hex.h"

static const char DIGITS[] = "0123456789abcdef";

void hex_write(const void *bytes, size_t count, char *out) {
    const unsigned char *from = bytes;
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = DIGITS[from[i] >> 4];
        out[2 * i + 1] = DIGITS[from[i] & 15];
    }
}

str hex_text(struct arena *a, const void *bytes, size_t count) {
    char *p = arena_alloc(a, 2 * count + 1);
    hex_write(bytes, count, p);
    p[2 * count] = '\0';
    return str_n(p, 2 * count);
}

int hex_digit_lower(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int hex_digit(char c) { return hex_digit_lower(c >= 'A' && c <= 'F' ? (char)(c + 32) : c); }
