/* SPDX-License-Identifier: Apache-2.0 */
/* hash.c - SHA-256 through OpenSSL's EVP; XXH3 by its library.
 *
 * The algorithm is fetched once: an implicit fetch at each call takes a lock and costs more than
 * the digest of a short text. Not once a thread: what a thread fetched would be lost with it. */
#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <xxhash.h>

#include "base/err.h"

static EVP_MD *sha256; /* never freed */
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void sha256_fetch(void) {
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    ASSERT(sha256);
}

void hash_sha256(str data, unsigned char out[HASH_SHA256_BYTES]) {
    unsigned int len = 0;
    (void)pthread_once(&sha256_once, sha256_fetch);
    int ok = EVP_Digest(data.p, data.len, out, &len, sha256, NULL);
    ASSERT(ok == 1 && len == HASH_SHA256_BYTES);
}

bool hash_same(str a, str b) {
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.p, b.p, a.len) == 0);
}

void hash_sha1(str data, unsigned char out[HASH_SHA1_BYTES]) {
    unsigned int len = 0;
    int ok = EVP_Digest(data.p, data.len, out, &len, EVP_sha1(), NULL);
    ASSERT(ok == 1 && len == HASH_SHA1_BYTES);
}

void hash_xxh3(str data, unsigned char out[HASH_XXH3_BYTES]) {
    XXH128_canonical_t canonical;
    STATIC_ASSERT(sizeof(canonical) == HASH_XXH3_BYTES, "XXH3 has 128 bits");
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data.p, data.len));
    memcpy(out, canonical.digest, HASH_XXH3_BYTES);
}

void hash_hmac_sha256(str key, str data, unsigned char out[HASH_SHA256_BYTES]) {
    size_t len = 0;
    const unsigned char *made =
        EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key.p, key.len, (const unsigned char *)data.p,
                  data.len, out, HASH_SHA256_BYTES, &len);
    ASSERT(made && len == HASH_SHA256_BYTES);
}
