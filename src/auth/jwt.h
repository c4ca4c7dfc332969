/* SPDX-License-Identifier: Apache-2.0 */
/* jwt.h - JSON Web Tokens in the compact form: reading, verifying, making. RFC 7515, 7519, 8725.
 *
 * Memory: parts point into the token, the rest is in the arena. Errors: ERR_UNAUTHORISED with a
 * text for the bearer. Suspends: never. Tests: tests/unit/auth/test_jwt.c; fuzzed. */
#ifndef HF_AUTH_JWT_H
#define HF_AUTH_JWT_H

#include "auth/claims.h"
#include "auth/jwk.h"

#define JWT_BYTES_MAX   8192
#define JWT_SECRETS_MAX 2

struct jwt_keys {
    const struct jwt_crypto *crypto;
    struct jwt_secret *secrets[JWT_SECRETS_MAX]; /* NULL: none */
    const struct jwk_set *set;                   /* NULL: none (yet) */
    unsigned algs;                               /* allowed, as bits 1 << alg */
};

struct jwt {
    enum jwt_alg alg;
    str kid;                      /* opaque; absent when there is none */
    str data, payload, signature; /* signed text; base64url; bytes */
};
/* Has the text the form of a token? Costs one look at its characters. */
bool jwt_looks_like_one(str token);
/* Size, form, header; nothing is verified. */
MUST_CHECK int jwt_parse(struct arena *a, str token, unsigned algs, struct jwt *out,
                         struct err *err);
/* 0; ERR_UNAUTHORISED; ERR_NOT_FOUND: no public key here made it, newer ones may have. */
MUST_CHECK int jwt_verify(const struct jwt *t, const struct jwt_keys *keys, struct err *err);
/* Of a verified token. */
MUST_CHECK int jwt_identity(struct arena *a, const struct jwt *t, const struct claim_rules *rules,
                            int64_t now_s, struct identity *out, struct err *err);

/* A token signed with HS256 around these claims (a JSON object). */
str jwt_make(struct arena *a, struct jwt_secret *secret, str claims);

#endif
