/* SPDX-License-Identifier: Apache-2.0 */
/* logins.c - logins that are under way at a provider of identities.
 *
 * A row is found by the digest of the login's state, which the browser brings back, and is deleted
 * by the statement that finds it: whoever comes second, on whatever process, finds nothing. Anybody
 * can begin a login, so there is a bound on their number; the sweep takes those that were left. */
#include "store/sessions.h"

#include "base/clock.h"

int login_put(struct store *s, str digest, str provider, str return_to, int64_t expires_us,
              struct arena *a, struct err *err) {
    struct db_batch b;
    ASSERT(digest.len == SESSION_DIGEST_BYTES && return_to.len <= LOGIN_RETURN_BYTES_MAX);
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_LOGIN_PUT,
                 DB_PARAMS(DB_B(digest), DB_T(provider), DB_T(return_to), DB_I(expires_us),
                           DB_I(LOGIN_PENDING_MAX), DB_I(clock_wall_us())),
                 DB_EXPECT_CHANGE(ERR_LIMIT));
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_LIMIT && b.failed_at == 0)
        return err_set(err, rc, "Too many logins are under way");
    return rc;
}

int login_take(struct store *s, str digest, str provider, int64_t now_us, struct arena *a,
               str *out_return_to, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_LOGIN_TAKE, DB_PARAMS(DB_B(digest), DB_T(provider), DB_I(now_us)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_return_to = db_str(&b.ops[0].rows, 0, 0);
    return rc == ERR_NOT_FOUND ? err_set(err, rc, "Login not found") : rc;
}

int login_sweep(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                int64_t *out_deleted, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_LOGIN_SWEEP, DB_PARAMS(DB_I(now_us), DB_I(limit)), DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_deleted = b.ops[0].changed;
    return rc;
}
