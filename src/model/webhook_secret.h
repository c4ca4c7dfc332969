/* SPDX-License-Identifier: Apache-2.0 */
/* webhook_secret.h - secrets of Standard Webhooks: "whsec_" and the base64 of a key, which signs.
 * Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md
 * Memory: the arena given. Errors: false. Suspends: never.
 * Tests: tests/unit/model/test_webhook_secret.c */
#ifndef HF_MODEL_WEBHOOK_SECRET_H
#define HF_MODEL_WEBHOOK_SECRET_H

#include "base/arena.h"

#define WEBHOOK_KEY_BYTES_MIN 24
#define WEBHOOK_KEY_BYTES_MAX 64
/* What is said of one that is not fine; with both bounds. */
#define WEBHOOK_SECRET_FAULT "must be whsec_ and the base64 of %d to %d bytes"

str webhook_secret_make(struct arena *a);
/* The key in it; the prefix may be missing. False: it is no base64. */
bool webhook_secret_read(struct arena *a, str text, str *out_key);
/* The same, and its key has a size that the specification allows. */
bool webhook_secret_is_fine(struct arena *a, str text);

#endif
