/* SPDX-License-Identifier: Apache-2.0 */
/* keys.h - key pairs for tests: made anew in each run, written as JWK, used to sign. */
#ifndef HF_TESTS_AUTH_KEYS_H
#define HF_TESTS_AUTH_KEYS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "auth/base64url.h"
#include "auth/jwt.h"

static inline str b64(struct arena *a, str s) {
    struct buf b;
    buf_init(&b, 1 << 20);
    base64url_encode(&b, s.p, s.len);
    str out = arena_dup(a, b.p ? buf_view(&b) : STR(""));
    buf_deinit(&b);
    return out;
}

static inline EVP_PKEY *key_pair(enum jwt_alg alg) {
    EVP_PKEY *k = alg == JWT_ES256   ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
                  : alg == JWT_EDDSA ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                     : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    assert_non_null(k);
    return k;
}

static inline str number_of(struct arena *a, const EVP_PKEY *k, const char *name, int bytes) {
    BIGNUM *n = NULL;
    unsigned char out[1024];
    assert_int_equal(EVP_PKEY_get_bn_param(k, name, &n), 1);
    int len = bytes ? bytes : BN_num_bytes(n);
    assert_true(len <= (int)sizeof(out) && BN_bn2binpad(n, out, len) == len);
    BN_free(n);
    return b64(a, str_n((const char *)out, (size_t)len));
}

/* The public half; members: more of them, such as "\"kid\":\"k1\"", or "". */
static inline str jwk_of(struct arena *a, EVP_PKEY *k, const char *members) {
    const char *comma = members[0] ? "," : "";
    if (EVP_PKEY_is_a(k, "RSA"))
        return arena_printf(a, "{\"kty\":\"RSA\",\"n\":\"" STR_FMT "\",\"e\":\"" STR_FMT "\"%s%s}",
                            STR_ARG(number_of(a, k, OSSL_PKEY_PARAM_RSA_N, 0)),
                            STR_ARG(number_of(a, k, OSSL_PKEY_PARAM_RSA_E, 0)), comma, members);
    if (EVP_PKEY_is_a(k, "EC"))
        return arena_printf(
            a, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" STR_FMT "\",\"y\":\"" STR_FMT "\"%s%s}",
            STR_ARG(number_of(a, k, OSSL_PKEY_PARAM_EC_PUB_X, 32)),
            STR_ARG(number_of(a, k, OSSL_PKEY_PARAM_EC_PUB_Y, 32)), comma, members);
    unsigned char x[32];
    size_t len = sizeof(x);
    assert_int_equal(EVP_PKEY_get_raw_public_key(k, x, &len), 1);
    return arena_printf(a, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" STR_FMT "\"%s%s}",
                        STR_ARG(b64(a, str_n((const char *)x, len))), comma, members);
}

static inline str set_of(struct arena *a, str jwk) {
    return arena_printf(a, "{\"keys\":[" STR_FMT "]}", STR_ARG(jwk));
}

/* ECDSA's DER sequence as r and s side by side. */
static inline size_t pair_of(unsigned char *signature, size_t len) {
    const unsigned char *p = signature;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
    assert_non_null(sig);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + 32, 32);
    ECDSA_SIG_free(sig);
    return 64;
}

static inline str sign_data(struct arena *a, EVP_PKEY *k, enum jwt_alg alg, str data) {
    const char *digest = alg == JWT_EDDSA   ? NULL
                         : alg == JWT_RS384 ? "SHA384"
                         : alg == JWT_RS512 ? "SHA512"
                                            : "SHA256";
    unsigned char out[1024];
    size_t len = sizeof(out);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, k, NULL), 1);
    assert_int_equal(EVP_DigestSign(ctx, out, &len, (const unsigned char *)data.p, data.len), 1);
    EVP_MD_CTX_free(ctx);
    if (alg == JWT_ES256)
        len = pair_of(out, len);
    return b64(a, str_n((const char *)out, len));
}

/* A token with any header around any claims. */
static inline str token_of(struct arena *a, EVP_PKEY *k, enum jwt_alg alg, str header, str claims) {
    str data =
        arena_printf(a, STR_FMT "." STR_FMT, STR_ARG(b64(a, header)), STR_ARG(b64(a, claims)));
    return arena_printf(a, STR_FMT "." STR_FMT, STR_ARG(data), STR_ARG(sign_data(a, k, alg, data)));
}

static inline str token_of_secret(struct arena *a, struct jwt_secret *s, str header, str claims) {
    unsigned char mac[JWT_MAC_BYTES];
    str data =
        arena_printf(a, STR_FMT "." STR_FMT, STR_ARG(b64(a, header)), STR_ARG(b64(a, claims)));
    jwt_secret_sign(s, data, mac);
    return arena_printf(a, STR_FMT "." STR_FMT, STR_ARG(data),
                        STR_ARG(b64(a, str_n((const char *)mac, sizeof(mac)))));
}

#endif
