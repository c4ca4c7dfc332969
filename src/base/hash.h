/* SPDX-License-Identifier: Apache-2.0 */
/* hash.h - cryptographic digests, by OpenSSL (FIPS 180-4), and XXH3, which only names things.
 * Memory: none. Errors: none (a failing digest is a broken library and ends the process).
 * Suspends: never. Tests: tests/unit/base/test_hash.c */
#ifndef HF_BASE_HASH_H
#define HF_BASE_HASH_H

#include "base/str.h"

#define HASH_SHA256_BYTES 32
/* RFC 2104. */
void hash_hmac_sha256(str key, str data, unsigned char out[HASH_SHA256_BYTES]);
void hash_sha256(str data, unsigned char out[HASH_SHA256_BYTES]);
/* Whether the bytes are equal, in a time that tells nothing but the lengths. */
bool hash_same(str a, str b);
/* Only where a protocol wants it: it protects nothing. */
#define HASH_SHA1_BYTES 20
void hash_sha1(str data, unsigned char out[HASH_SHA1_BYTES]);
/* XXH3 of 128 bits, in its canonical form. */
#define HASH_XXH3_BYTES 16
void hash_xxh3(str data, unsigned char out[HASH_XXH3_BYTES]);

#endif
