/* SPDX-License-Identifier: Apache-2.0 */
/* base64url.h - base64url without padding, as JWS uses it. RFC 4648 §5, RFC 7515 §2.
 *
 * Strict: one text for each sequence of bytes. Padding, white space, foreign characters, a length
 * that no bytes have and bits behind the last byte are refused, so that no two tokens mean the
 * same. Memory: the caller's. Suspends: never. Tests: tests/unit/auth/test_base64url.c; fuzzed. */
#ifndef HF_AUTH_BASE64URL_H
#define HF_AUTH_BASE64URL_H

#include "base/arena.h"
#include "base/buf.h"

/* False when the text is none, or holds more than cap bytes. */
bool base64url_decode(str text, unsigned char *out, size_t cap, size_t *out_bytes);
/* The same into the arena, with a NUL behind. Check the size of the text before. */
bool base64url_decode_arena(struct arena *a, str text, str *out);
void base64url_encode(struct buf *out, const void *bytes, size_t count);

#endif
