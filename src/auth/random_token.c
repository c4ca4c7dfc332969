/* SPDX-License-Identifier: Apache-2.0 */
/* random_token.c - the text of a credential that this server gives out.
 *
 * The form is checked strictly (random bits have one text only), so what is kept of a credential,
 * its SHA-256, is that of one text. What the bits were is wiped from where they were made. */
#include "auth/random_token.h"

#include <openssl/crypto.h>

#include "auth/base64url.h"
#include "base/rand.h"

bool random_token_is_one(str text, str prefix) {
    unsigned char bytes[RANDOM_TOKEN_SECRET_BYTES];
    size_t count;
    return text.len == prefix.len + RANDOM_TOKEN_TEXT_BYTES && str_starts(text, prefix) &&
           base64url_decode(str_slice(text, prefix.len, text.len), bytes, sizeof(bytes), &count) &&
           count == sizeof(bytes);
}

void random_token_make(str prefix, char *out) {
    unsigned char bytes[RANDOM_TOKEN_SECRET_BYTES];
    struct buf b;
    rand_bytes(bytes, sizeof(bytes));
    buf_init(&b, prefix.len + RANDOM_TOKEN_TEXT_BYTES);
    buf_str(&b, prefix);
    base64url_encode(&b, bytes, sizeof(bytes));
    ASSERT(buf_ok(&b) && b.len == prefix.len + RANDOM_TOKEN_TEXT_BYTES);
    memcpy(out, b.p, b.len);
    OPENSSL_cleanse(b.p, b.len);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    buf_deinit(&b);
}
