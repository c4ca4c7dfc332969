/* SPDX-License-Identifier: Apache-2.0 */
/* hash.c - SHA-256 through OpenSSL's EVP.
 *
 * The algorithm is fetched once per thread: an implicit fetch at each call takes a lock and costs
 * more than the digest of a short text. */
#include "base/hash.h"

#include <openssl/evp.h>

#include "base/err.h"

void hash_sha256(str data, unsigned char out[HASH_SHA256_BYTES]) {
    static _Thread_local EVP_MD *sha256;
    unsigned int len = 0;
    if (!sha256)
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    ASSERT(sha256);
    int ok = EVP_Digest(data.p, data.len, out, &len, sha256, NULL);
    ASSERT(ok == 1 && len == HASH_SHA256_BYTES);
}
