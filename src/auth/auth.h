/* SPDX-License-Identifier: Apache-2.0 */
/* auth.h - who sent a request: the one place where a principal is made.
 *
 * Without anything configured every request acts as the owner "". Otherwise a request shows a
 * bearer token (a JWT that is verified here, or a token that an authority is asked about), an API
 * key, or a session as a bearer token or in a cookie, which logins begin, too; see
 * docs/internals/auth.md and sessions.md.
 *
 * Owner: src/app; auth_open → auth_start → requests → auth_stop → auth_free.
 * Memory: a principal's texts live in the request's arena. Errors: ERR_UNAUTHORISED,
 * ERR_FORBIDDEN, ERR_UNAVAILABLE (keys or authority not there now, with retry_after_ms).
 * Suspends: as marked. Tests: tests/unit/auth/, tests/integration/run-auth */
#ifndef HF_AUTH_AUTH_H
#define HF_AUTH_AUTH_H

#include "auth/claims.h"
#include "auth/oidc.h"
#include "auth/sessions.h"
#include "http/client.h"
#include "model/principal.h"
#include "store/store.h"

/* Keys of the database: as soon as there are any; always; never. */
enum auth_stored_keys { AUTH_STORED_AUTO, AUTH_STORED_ON, AUTH_STORED_OFF };

struct auth_options {
    str jwt_secret, jwt_secret_previous; /* HS256; empty: none */
    str jwks;                            /* file or address of public keys; empty: none */
    str algorithms;                      /* comma list; empty: those that the keys are for */
    struct claim_rules rules;
    str api_keys_file;
    enum auth_stored_keys stored_keys;
    str supabase_url, supabase_key; /* asked when there is no secret and no key set */
    str introspection_url, introspection_id, introspection_secret;
    int64_t cache_ttl_us;
    size_t cache_count_max;
    int64_t jwks_interval_us; /* least time between two reads of the keys */
    int64_t timeout_us;       /* of a question to an authority, of a read of keys */
    size_t remote_concurrency_max;
    str oidc_providers; /* JSON, as auth/oidc.h has it; empty: none */
    str public_url;     /* of this server; empty: as requests say */
    str cors_origin;    /* whose pages may also write by a session's cookie; "*": nobody's */
    int64_t session_idle_us, session_max_us, session_cache_us;
    int64_t session_count_max; /* of one owner */
    bool shared;               /* other processes use the database, too */
    bool required;             /* nothing configured is an error */
};

struct auth;
/* Reads the files. ERR_INVALID and others, with a text for the operator, for whatever is configured
 * and cannot work: the server must not start then. Texts are copied. client may be NULL when
 * nothing is remote. */
MUST_CHECK int auth_open(struct rt *rt, struct http_client *client, struct store *store,
                         const struct auth_options *o, struct auth **out, struct err *err);
/* Looks for keys in the database, reads an address of keys for the first time. Keys that cannot be
 * reached are no error: tokens that need them get 503 until they are there. */
MUST_CHECK MAY_SUSPEND int auth_start(struct auth *auth, struct err *err);
MAY_SUSPEND void auth_stop(struct auth *auth); /* ends what is under way; NULL is fine */
void auth_free(struct auth *auth);             /* NULL is fine */
bool auth_enabled(const struct auth *auth);    /* requests must show who they are */

/* A refusal also sets the WWW-Authenticate header of the coming answer. auth NULL: not enabled. */
MUST_CHECK MAY_SUSPEND int auth_authenticate(struct auth *auth, struct http_request *req,
                                             struct arena *a, struct principal *out,
                                             struct err *err);
/* --- sessions: auth/sessions.h says more --- */
MUST_CHECK MAY_SUSPEND int auth_session_begin(struct auth *auth, const struct principal *who,
                                              const struct session_wish *wish, struct arena *a,
                                              struct session *out, str *out_token, struct err *err);
/* Rows of sessions are gone: when this returns, no process lets in by one of them. */
MAY_SUSPEND void auth_sessions_ended(struct auth *auth);
/* The coming answer gives the browser the session's cookie, or takes it. */
void auth_session_cookie(struct auth *auth, struct http_request *req, struct arena *a, str token,
                         const struct session *session);
void auth_session_cookie_forget(struct auth *auth, struct http_request *req, struct arena *a);

/* --- logins: auth/oidc.h says more --- */
/* Where the browser goes; a cookie keeps the login. ERR_INVALID: return_to is no place here. */
MUST_CHECK MAY_SUSPEND int auth_login_begin(struct auth *auth, struct http_request *req,
                                            str provider, str return_to, struct arena *a,
                                            str *out_location, struct err *err);
/* A session has begun, whose cookie the coming answer has. `answer`: what the query says. */
MUST_CHECK MAY_SUSPEND int auth_login_finish(struct auth *auth, struct http_request *req,
                                             str provider, struct oidc_answer *answer,
                                             struct arena *a, str *out_return_to, struct err *err);

/* 403 for a principal that may only read. */
MUST_CHECK int auth_may_write(struct http_request *req, const struct principal *who,
                              struct err *err);
/* 403 for a principal that may not look after the server. */
MUST_CHECK int auth_may_operate(struct http_request *req, const struct principal *who,
                                struct err *err);
/* 403 for a principal that may not register graphs. */
MUST_CHECK int auth_may_register(struct http_request *req, const struct principal *who,
                                 struct err *err);

#endif
