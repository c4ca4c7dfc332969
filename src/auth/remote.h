/* SPDX-License-Identifier: Apache-2.0 */
/* remote.h - asks an authority about a token: token introspection (RFC 7662), or the user that a
 * Supabase server knows for it.
 *
 * One question per token at a time, however many requests wait for its answer; a bounded number of
 * questions at once, and a bounded number of questions that wait for a place. Nothing is cached
 * here. Owner: src/auth. Memory: the identity's texts are in the arena.
 * Errors: ERR_UNAUTHORISED: the authority says no; ERR_FORBIDDEN; ERR_UNAVAILABLE with
 * retry_after_ms: it is overloaded, slow, wrong or not there, or too many wait.
 * Suspends: remote_ask. Tests: tests/unit/auth/test_remote.c, tests/integration/run-auth */
#ifndef HF_AUTH_REMOTE_H
#define HF_AUTH_REMOTE_H

#include "auth/cache.h"
#include "auth/claims.h"
#include "http/client.h"

enum remote_kind { REMOTE_INTROSPECTION, REMOTE_SUPABASE };

struct remote_options {
    struct rt *rt;
    struct http_client *client;
    struct fiber_group *fibers; /* that questions run in */
    enum remote_kind kind;
    str url;                      /* the introspection endpoint, or the server's address */
    str client_id, client_secret; /* of introspection; may be empty */
    str api_key;                  /* of Supabase */
    int64_t timeout_us;           /* of one question in all */
    size_t concurrency_max, waiting_max;
    const struct claim_rules *rules;
};
struct remote;
struct remote *remote_new(const struct remote_options *o); /* texts are copied */
void remote_free(struct remote *r); /* no question is under way any more; NULL is fine */
MUST_CHECK MAY_SUSPEND int remote_ask(struct remote *r, const struct auth_digest *key, str token,
                                      struct arena *a, struct identity *out, struct err *err);

#endif
