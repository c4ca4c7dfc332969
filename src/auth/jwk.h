/* SPDX-License-Identifier: Apache-2.0 */
/* jwk.h - keys that verify tokens: shared secrets, and sets of public keys in JSON. RFC 7517, 7518,
 * 8037.
 *
 * A key knows the one kind of algorithm that it can be used with; the algorithm that a token names
 * only selects among keys of that kind. A public key is thus never the secret of an HMAC, whatever
 * a token says.
 * Memory: sets and secrets are the holder's, freed by *_free. Errors: ERR_INVALID for texts without
 * a usable key. Suspends: never. Tests: tests/unit/auth/test_jwk.c; fuzzed. */
#ifndef HF_AUTH_JWK_H
#define HF_AUTH_JWK_H

#include "base/arena.h"

enum jwt_alg { JWT_HS256, JWT_RS256, JWT_RS384, JWT_RS512, JWT_ES256, JWT_EDDSA, JWT_ALG_COUNT };
/* "none" is no algorithm. */
bool jwt_alg_parse(str name, enum jwt_alg *out);
str jwt_alg_name(enum jwt_alg alg);
/* "HS256,ES256" as bits 1 << alg. */
MUST_CHECK int jwt_algs_parse(str list, unsigned *out, struct err *err);
#define JWT_ALGS_SECRET (1u << JWT_HS256)

/* OpenSSL's algorithms, fetched once. */
struct jwt_crypto;
MUST_CHECK int jwt_crypto_open(struct jwt_crypto **out, struct err *err);
void jwt_crypto_free(struct jwt_crypto *c);

/* --- shared secrets --- */
#define JWT_SECRET_BYTES_MIN 32 /* as many as the digest has; RFC 7518 §3.2 */
#define JWT_MAC_BYTES        32
struct jwt_secret;
/* ERR_INVALID for a secret that is too short. The secret itself is not kept. */
MUST_CHECK int jwt_secret_new(const struct jwt_crypto *c, str secret, struct jwt_secret **out,
                              struct err *err);
void jwt_secret_free(struct jwt_secret *s);
void jwt_secret_sign(struct jwt_secret *s, str data, unsigned char out[JWT_MAC_BYTES]);
/* In constant time. */
bool jwt_secret_verify(struct jwt_secret *s, str data, str signature);

/* --- public keys --- */
#define JWK_SET_BYTES_MAX ((size_t)256 << 10)
#define JWK_SET_KEYS_MAX  100
struct jwk_set;
/* Keys that are not for signatures, of unknown kind, weak or broken are left out; a set in which no
 * key is left is ERR_INVALID. Symmetric keys are always left out. */
MUST_CHECK int jwk_set_parse(str json, struct jwk_set **out, struct err *err);
void jwk_set_free(struct jwk_set *set); /* NULL is fine */
size_t jwk_set_count(const struct jwk_set *set);

struct jwk_question {
    enum jwt_alg alg;
    str kid; /* absent: any key that fits; never looked into */
    str data, signature;
};
/* 0; ERR_UNAUTHORISED: the key it names did not make the signature; ERR_NOT_FOUND: no key here made
 * it, a newer set may have one. */
MUST_CHECK int jwk_set_verify(const struct jwt_crypto *c, const struct jwk_set *set,
                              const struct jwk_question *q);

#endif
