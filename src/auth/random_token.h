/* SPDX-License-Identifier: Apache-2.0 */
/* random_token.h - credentials that are nothing but a prefix and 256 random bits in base64url: API
 * keys, sessions, states of logins.
 *
 * The prefix tells people and scanners of secrets what a text is. Memory: the caller's.
 * Suspends: never. Tests: tests/unit/auth/test_random_token.c */
#ifndef HF_AUTH_RANDOM_TOKEN_H
#define HF_AUTH_RANDOM_TOKEN_H

#include "base/str.h"

#define RANDOM_TOKEN_SECRET_BYTES 32
#define RANDOM_TOKEN_TEXT_BYTES   43 /* without the prefix */

/* Has it the form? */
bool random_token_is_one(str text, str prefix);
/* A new one: the prefix and RANDOM_TOKEN_TEXT_BYTES, no NUL. */
void random_token_make(str prefix, char *out);

#endif
