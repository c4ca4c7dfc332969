/* SPDX-License-Identifier: Apache-2.0 */
/* webhook_secret.c - secrets of Standard Webhooks.
 *
 * One that is made has a key of 32 random bytes. One that is given may lack the prefix, as secrets
 * do that were copied from elsewhere. */
#include "model/webhook_secret.h"

#include "base/base64.h"
#include "base/rand.h"

#define PREFIX    "whsec_"
#define KEY_BYTES 32

str webhook_secret_make(struct arena *a) {
    char bytes[KEY_BYTES];
    rand_bytes(bytes, sizeof(bytes));
    str text = base64_encode(a, str_n(bytes, sizeof(bytes)));
    return arena_printf(a, PREFIX STR_FMT, STR_ARG(text));
}

bool webhook_secret_read(struct arena *a, str text, str *out_key) {
    if (str_starts(text, STR(PREFIX)))
        text = str_slice(text, sizeof(PREFIX) - 1, text.len);
    return base64_decode(a, text, out_key);
}

bool webhook_secret_is_fine(struct arena *a, str text) {
    str key;
    return webhook_secret_read(a, text, &key) && key.len >= WEBHOOK_KEY_BYTES_MIN &&
           key.len <= WEBHOOK_KEY_BYTES_MAX;
}
