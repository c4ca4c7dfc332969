/* SPDX-License-Identifier: Apache-2.0 */
/* hex.h - bytes as hex digits, and back. Memory: none, or the arena given. Errors: none.
 * Suspends: never. Tests: tests/unit/base/test_hex.c */
#ifndef HF_BASE_HEX_H
#define HF_BASE_HEX_H

#include "base/arena.h"

/* Two lower-case digits for each byte; no NUL. */
void hex_write(const void *bytes, size_t count, char *out);
str hex_text(struct arena *a, const void *bytes, size_t count); /* NUL-terminated */
/* The value of a digit in either case, or in lower case alone; -1: it is none. */
int hex_digit(char c);
int hex_digit_lower(char c);

#endif
