/* SPDX-License-Identifier: Apache-2.0 */
/* base64.h - RFC 4648 §4: the usual alphabet, with padding.
 *
 * Memory: the arena given. Errors: false for a text that is none. Suspends: never.
 * Tests: tests/unit/base/test_hash.c */
#ifndef HF_BASE_BASE64_H
#define HF_BASE_BASE64_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

str base64_encode(struct arena *a, str bytes);
void base64_write(struct buf *b, str bytes); /* the same, behind what b has */
/* Strict: no white space, whole groups of four. */
bool base64_decode(struct arena *a, str text, str *out);

#endif
