/* SPDX-License-Identifier: Apache-2.0 */
/* str.h - the by-value string view used everywhere instead of NUL-terminated strings.
 *
 * Memory: a str never owns; it points into an arena, a buffer or a literal that outlives it. It may
 * contain NUL bytes and need not end with one. A str with p == NULL is "absent" and differs from
 * the empty string where an API says so. Suspends: never. Tests: tests/unit/base/test_str.c */
#ifndef HF_BASE_STR_H
#define HF_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct str {
    const char *p;
    size_t len;
} str;

#define STR(literal) ((str){"" literal, sizeof(literal) - 1})
#define STR_NULL ((str){NULL, 0})
#define STR_LAST STR("\xf4\x8f\xbf\xbf") /* no shorter text of UTF-8 is greater: U+10FFFF */
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).p ? (s).p : ""

static inline str str_of(const char *z) { return z ? (str){z, strlen(z)} : STR_NULL; }
static inline str str_n(const char *p, size_t len) { return (str){p, len}; }
static inline bool str_eq(str a, str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}
static inline bool str_empty(str s) { return s.len == 0; }

bool str_ieq(str a, str b);                  /* ASCII case-insensitive */
int str_cmp(str a, str b);                   /* byte order */
bool str_starts(str s, str prefix);
bool str_ends(str s, str suffix);
ptrdiff_t str_find(str s, str needle);       /* byte index or -1 */
ptrdiff_t str_find_char(str s, char c);
str str_trim(str s);                         /* ASCII white space at both ends */
str str_slice(str s, size_t from, size_t to); /* clamped */
/* Takes the next part up to sep off *rest; false when *rest is exhausted. "a,,b" gives 3 parts. */
bool str_split_next(str *rest, char sep, str *out_part);
/* Strict decimal numbers: whole string, no sign for u64, no white space, overflow refused. */
bool str_to_i64(str s, int64_t *out);
bool str_to_u64(str s, uint64_t *out);
bool str_to_double(str s, double *out);
bool str_is_utf8(str s);                     /* well-formed, no surrogates, no overlongs */
size_t str_utf8_prefix(str s);               /* bytes of the longest well-formed prefix */

#endif
