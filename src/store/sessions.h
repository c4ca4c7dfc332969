/* SPDX-License-Identifier: Apache-2.0 */
/* sessions.h - who has logged in, accounts at providers of identities, and logins under way.
 *
 * Of a session's token and of a login's state there is the SHA-256 only; src/auth makes and reads
 * the texts. Each write is one statement; a login that has succeeded is one batch.
 * docs/internals/sessions.md.
 * Memory: results in the arena given. Suspends: every function with an err.
 * Tests: tests/conformance/test_sessions.c */
#ifndef HF_STORE_SESSIONS_H
#define HF_STORE_SESSIONS_H

#include "store/store.h"

#define SESSION_DIGEST_BYTES    32
#define SESSION_TOUCH_COUNT_MAX 1000
#define SESSION_LABEL_BYTES_MAX 200
#define SESSION_AGENT_BYTES_MAX 300
#define ACCOUNT_ID_BYTES_MAX    255
#define LOGIN_PENDING_MAX       10000
#define LOGIN_RETURN_BYTES_MAX  2000

/* What it may do: see struct principal. */
enum session_scope { SESSION_READS, SESSION_WRITES, SESSION_GRAPHS };

struct session {
    struct id id;
    str owner;
    enum session_scope scope;
    struct id account;     /* by which it was made; nil: none */
    str label, user_agent; /* absent: none */
    str address;           /* from where it was made */
    int64_t created_at, last_used_at;
    int64_t expires_at; /* unless it is used before: never after ends_at */
    int64_t ends_at;
};

/* What a request that shows a token needs; the other members of *out are 0. ERR_NOT_FOUND: there is
 * none, or its time is over. */
MUST_CHECK int session_find(struct store *s, str digest, int64_t now_us, struct arena *a,
                            struct session *out, struct err *err);
/* id, owner and the times are the caller's. ERR_LIMIT: the owner has count_max that live. */
MUST_CHECK int session_insert(struct store *s, const struct session *new, str digest,
                              int64_t count_max, struct arena *a, struct err *err);
MUST_CHECK int session_get(struct store *s, const struct principal *who, struct id id,
                           struct arena *a, struct session *out, struct err *err);
/* Of one owner, newest first, older than `before` (nil: from the newest on). */
MUST_CHECK int session_list(struct store *s, str owner, struct id before, int64_t limit,
                            struct arena *a, struct session **out, size_t *out_count,
                            struct err *err);
/* They were used at now_us, and end at until_us unless they are used again. At most
 * SESSION_TOUCH_COUNT_MAX; those that somebody else is writing are left. */
MUST_CHECK int session_touch(struct store *s, const struct id *ids, size_t count, int64_t now_us,
                             int64_t until_us, struct arena *a, struct err *err);
MUST_CHECK int session_delete(struct store *s, const struct principal *who, struct id id,
                              struct arena *a, struct err *err);
MUST_CHECK int session_delete_all(struct store *s, str owner, struct arena *a, int64_t *out_deleted,
                                  struct err *err);
MUST_CHECK int session_sweep(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                             int64_t *out_deleted, struct err *err);

/* --- accounts.c --- */
struct account {
    struct id id;
    str owner;
    str provider, account; /* the name of the provider here, the id of the user there */
    str profile;           /* JSON object: what the provider last said */
    int64_t created_at, updated_at;
};
/* Of one owner, newest first, older than `before`. */
MUST_CHECK int account_list(struct store *s, str owner, struct id before, int64_t limit,
                            struct arena *a, struct account **out, size_t *out_count,
                            struct err *err);
/* With the sessions that were made by it. */
MUST_CHECK int account_delete(struct store *s, const struct principal *who, struct id id,
                              struct arena *a, struct err *err);
/* Whoever `who` is at the provider has shown it: the account is stored, whose owner the first
 * login says, and a session of that owner, whose id, scope, texts and times are those of *session.
 * Of the owner's sessions those used longest ago go until there are count_max. *session: what is
 * stored. One batch. */
MUST_CHECK int account_login(struct store *s, const struct account *who, str digest,
                             int64_t count_max, struct arena *a, struct session *session,
                             struct err *err);

/* --- logins.c: from the begin at this server to the return from the provider --- */
/* ERR_LIMIT: LOGIN_PENDING_MAX are under way. */
MUST_CHECK int login_put(struct store *s, str digest, str provider, str return_to,
                         int64_t expires_us, struct arena *a, struct err *err);
/* Takes it away. ERR_NOT_FOUND: there is none, it was taken, or its time is over. */
MUST_CHECK int login_take(struct store *s, str digest, str provider, int64_t now_us,
                          struct arena *a, str *out_return_to, struct err *err);
MUST_CHECK int login_sweep(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                           int64_t *out_deleted, struct err *err);

#endif
