/* SPDX-License-Identifier: Apache-2.0 */
/* form.h - what clients of OAuth send: form bodies, queries, the header of Basic authentication.
 *
 * Memory: the buffer's, or the arena's. Suspends: never. Tests: tests/unit/auth/test_oidc.c */
#ifndef HF_AUTH_FORM_H
#define HF_AUTH_FORM_H

#include "base/arena.h"
#include "base/buf.h"

/* name=value, encoded, with a '&' before it unless it is the first. */
void form_add(struct buf *out, const char *name, str value);
/* "Basic …" of the encoded pair, as RFC 6749 §2.3.1 has it. */
str form_basic(struct arena *a, str id, str secret);

#endif
