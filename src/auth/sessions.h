/* SPDX-License-Identifier: Apache-2.0 */
/* sessions.h - sessions as credentials: their tokens, what is remembered of them, their use, their
 * end.
 *
 * A token is "hfs_" and 256 random bits; only its SHA-256 is kept, in the database and here.
 * docs/internals/sessions.md.
 * Owner: src/auth. Memory: results in the arena given. Errors: ERR_UNAUTHORISED, ERR_LIMIT,
 * ERR_UNAVAILABLE with retry_after_ms. Suspends: as marked.
 * Tests: tests/unit/auth/test_sessions.c, tests/integration/run-sessions */
#ifndef HF_AUTH_SESSIONS_H
#define HF_AUTH_SESSIONS_H

#include "auth/cache.h"
#include "rt/fiber.h"
#include "store/sessions.h"

#define SESSION_TOKEN_PREFIX "hfs_"
#define SESSION_TOKEN_BYTES  47 /* of the text */

struct session_options {
    struct rt *rt;
    struct store *store;
    struct fiber_group *fibers; /* that uses are written in */
    int64_t idle_us;            /* it ends so long after its last use */
    int64_t max_us;             /* and so long after its begin, whatever its use */
    int64_t cache_us;           /* what was read of one holds so long */
    int64_t count_max;          /* of one owner */
    size_t cache_count_max;
    bool shared; /* with other processes, which remember it, too */
};
struct sessions;
struct sessions *sessions_new(const struct session_options *o);
void sessions_free(struct sessions *s); /* no fiber of it lives; NULL is fine */

bool session_token_is_one(str text);
/* Who it lets in. *out_cached: nothing was read. */
MUST_CHECK MAY_SUSPEND int sessions_identify(struct sessions *s, const struct auth_digest *digest,
                                             struct arena *a, struct principal *out,
                                             bool *out_cached, struct err *err);

/* What is said of a session when it is made; texts are cut to what is kept. */
struct session_wish {
    str label, address, user_agent; /* absent: none, but for the address */
    int64_t lifetime_us;            /* it ends after that; 0: as late as may be */
};
/* A session of who asks, with what who asks may do. One that was made in a session ends with it at
 * the latest. *out_token is shown once and kept nowhere. */
MUST_CHECK MAY_SUSPEND int sessions_begin(struct sessions *s, const struct principal *who,
                                          const struct session_wish *wish, struct arena *a,
                                          struct session *out, str *out_token, struct err *err);
/* The same for whom a provider of identities has named. */
MUST_CHECK MAY_SUSPEND int sessions_login(struct sessions *s, const struct account *account,
                                          enum session_scope scope, const struct session_wish *wish,
                                          struct arena *a, struct session *out, str *out_token,
                                          struct err *err);
/* Rows of sessions are gone: when this returns, no process lets in by one of them. */
MAY_SUSPEND void sessions_ended(struct sessions *s);

#endif
