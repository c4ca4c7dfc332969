/* SPDX-License-Identifier: Apache-2.0 */
/* hash.h - cryptographic digests, by OpenSSL. FIPS 180-4.
 * Memory: none. Errors: none (a failing digest is a broken library and ends the process).
 * Suspends: never. Tests: tests/unit/base/test_hash.c */
#ifndef HF_BASE_HASH_H
#define HF_BASE_HASH_H

#include "base/str.h"

#define HASH_SHA256_BYTES 32
void hash_sha256(str data, unsigned char out[HASH_SHA256_BYTES]);

#endif
