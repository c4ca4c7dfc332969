/* SPDX-License-Identifier: Apache-2.0 */
/* base64.c - base64 by OpenSSL's block functions.
 *
 * They take more than is allowed (white space, groups cut short) and count the padding of the last
 * group as bytes; so the text is checked before, and those bytes are taken off after. */
#include "base/base64.h"

#include <openssl/evp.h>

#include "base/err.h"

#define BYTES_MAX (64 << 20) /* OpenSSL counts in int */

str base64_encode(struct arena *a, str bytes) {
    ASSERT(bytes.len <= BYTES_MAX);
    char *p = arena_alloc(a, (bytes.len + 2) / 3 * 4 + 1);
    int len = EVP_EncodeBlock((unsigned char *)p, (const unsigned char *)bytes.p, (int)bytes.len);
    return str_n(p, (size_t)len);
}

void base64_write(struct buf *b, str bytes) {
    size_t part_max = BYTES_MAX / 3 * 3; /* whole groups, so that no padding comes in between */
    /* OpenSSL ends each part with a NUL, for which every buffer has room. */
    char *p = buf_reserve(b, (bytes.len + 2) / 3 * 4);
    for (size_t at = 0; p && at < bytes.len; at += part_max) {
        str part = str_slice(bytes, at, at + part_max);
        int len = EVP_EncodeBlock((unsigned char *)p, (const unsigned char *)part.p, (int)part.len);
        p += len;
        b->len += (size_t)len;
    }
}

bool base64_decode(struct arena *a, str text, str *out) {
    if (text.len == 0 || text.len % 4 != 0 || text.len > BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        bool digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '+' || c == '/';
        if (!digit && !(c == '=' && i + 2 >= text.len))
            return false;
    }
    if (text.p[text.len - 2] == '=' && text.p[text.len - 1] != '=')
        return false;
    size_t padding = (text.p[text.len - 1] == '=') + (size_t)(text.p[text.len - 2] == '=');
    char *p = arena_alloc(a, text.len / 4 * 3 + 1);
    int len = EVP_DecodeBlock((unsigned char *)p, (const unsigned char *)text.p, (int)text.len);
    if (len < 0)
        return false;
    *out = str_n(p, (size_t)len - padding);
    return true;
}
