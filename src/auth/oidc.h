/* SPDX-License-Identifier: Apache-2.0 */
/* oidc.h - logins at providers of identities: OpenID Connect, authorisation code with PKCE.
 *
 * oidc_parse.c reads what operators and providers write, and needs no network; oidc.c asks.
 * docs/internals/sessions.md.
 * Owner: src/auth. Memory: results in the arena given. Errors: ERR_NOT_FOUND: no such provider;
 * ERR_UNAUTHORISED, ERR_FORBIDDEN with a text for the user; ERR_UNAVAILABLE with retry_after_ms:
 * the provider is not there, or not now. Suspends: as marked.
 * Tests: tests/unit/auth/test_oidc.c, tests/integration/run-logins; fuzzed */
#ifndef HF_AUTH_OIDC_H
#define HF_AUTH_OIDC_H

#include "auth/jwt.h"
#include "http/client.h"
#include "store/sessions.h"

#define OIDC_PROVIDERS_MAX      16
#define OIDC_METADATA_BYTES_MAX ((size_t)256 << 10)
#define OIDC_CODE_BYTES_MAX     4096
#define OIDC_LOGIN_US           INT64_C(600000000) /* from its begin to its end */

/* --- oidc_parse.c --- */
struct oidc_config {
    str name, issuer, client_id, client_secret; /* secret absent: a public client */
    str scopes;                                 /* asked for, with spaces; openid is among them */
    str tenant;                                 /* before the owner; empty: the owner is the sub */
    enum session_scope scope;                   /* what its sessions may do */
    yyjson_val *claims;                         /* that an ID token must have; NULL: any */
};
/* {"name": {"issuer", "client_id", …}}. ERR_INVALID with a text for the operator. The texts are in
 * the arena. */
MUST_CHECK int oidc_config_read(struct arena *a, str json, struct oidc_config *out,
                                size_t *out_count, struct err *err);

struct oidc_metadata {
    str authorization, token, jwks; /* addresses */
    bool post;                      /* the secret goes in the body, not in a header */
};
/* Of the discovery document; ERR_INVALID: it is another issuer's, or cannot be used. */
MUST_CHECK int oidc_metadata_read(struct arena *a, str json, str issuer, struct oidc_metadata *out,
                                  struct err *err);

/* What belongs to one login: made of one secret, which only the browser has, in a cookie. None of
 * them tells of the secret or of another one. */
#define OIDC_WORD_BYTES 43
struct oidc_words {
    char state[OIDC_WORD_BYTES], nonce[OIDC_WORD_BYTES], verifier[OIDC_WORD_BYTES];
    char challenge[OIDC_WORD_BYTES]; /* of the verifier, S256 */
};
void oidc_words_make(str secret, struct oidc_words *out);
static inline str oidc_word(const char word[OIDC_WORD_BYTES]) {
    return str_n(word, OIDC_WORD_BYTES);
}

/* The claims of an ID token whose signature was verified: who it is. *out: owner, provider, account
 * and profile. */
MUST_CHECK int oidc_claims_read(struct arena *a, str payload, const struct oidc_config *c,
                                str nonce, int64_t skew_s, struct account *out, struct err *err);

/* --- oidc.c --- */
struct oidc_options {
    struct rt *rt;
    struct http_client *client;
    struct store *store;
    struct fiber_group *fibers; /* that documents are read in */
    const struct jwt_crypto *crypto;
    str providers;       /* JSON */
    int64_t interval_us; /* least time between two reads of a document */
    int64_t timeout_us;  /* of one question */
    int64_t skew_s;
    size_t concurrency_max;
};
struct oidc;
MUST_CHECK int oidc_open(const struct oidc_options *o, struct oidc **out, struct err *err);
void oidc_free(struct oidc *o); /* nothing is under way; NULL is fine */

/* redirect: where the provider sends the browser back. *out_location: where it goes now,
 * *out_secret: what it keeps in a cookie until then. */
MUST_CHECK MAY_SUSPEND int oidc_begin(struct oidc *o, str provider, str redirect, str return_to,
                                      struct arena *a, str *out_location, str *out_secret,
                                      struct err *err);
struct oidc_answer {
    str state, code, error, issuer; /* of the query; absent: not there */
    str secret;                     /* of the cookie */
    str redirect;                   /* as at the begin */
};
/* Takes the login that is under way, once. */
MUST_CHECK MAY_SUSPEND int oidc_finish(struct oidc *o, str provider,
                                       const struct oidc_answer *answer, struct arena *a,
                                       struct account *out, enum session_scope *out_scope,
                                       str *out_return_to, struct err *err);

#endif
