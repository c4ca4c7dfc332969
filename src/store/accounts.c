/* SPDX-License-Identifier: Apache-2.0 */
/* accounts.c - who somebody is at a provider of identities, and whose sessions that gives.
 *
 * The first login with an account says whose it is; later ones only renew what the provider tells
 * of the user. The session's row takes its owner from the account's, by the statement that inserts
 * it, so a login reads nothing before it writes, and the two cannot disagree. */
#include "store/sessions.h"

#define MISSING "Account not found"

static struct account from_row(const struct db_rows *r, size_t row) {
    return (struct account){.id = db_id(r, row, 0),
                            .owner = db_str(r, row, 1),
                            .provider = db_str(r, row, 2),
                            .account = db_str(r, row, 3),
                            .profile = db_str(r, row, 4),
                            .created_at = db_int(r, row, 5),
                            .updated_at = db_int(r, row, 6)};
}

int account_list(struct store *s, str owner, struct id before, int64_t limit, struct arena *a,
                 struct account **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(s->db, SQL_ACCOUNT_LIST,
                DB_PARAMS(DB_T(owner), DB_UUID(id_is_nil(before) ? ID_LAST : before), DB_I(limit)),
                a, &rows, err);
    if (rc < 0)
        return rc;
    struct account *list = ARENA_ARRAY(a, struct account, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = from_row(&rows, i);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int account_delete(struct store *s, const struct principal *who, struct id id, struct arena *a,
                   struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(
        &b, SQL_ACCOUNT_DELETE,
        DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who))),
        DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    db_batch_add(
        &b, SQL_SESSION_DELETE_OF_ACCOUNT,
        DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who))),
        DB_EXPECT_NONE);
    int rc = db_commit(s->db, &b, err);
    return rc == ERR_NOT_FOUND ? err_set(err, rc, MISSING) : rc;
}

int account_login(struct store *s, const struct account *who, str digest, int64_t count_max,
                  struct arena *a, struct session *session, struct err *err) {
    struct db_batch b;
    ASSERT(digest.len == SESSION_DIGEST_BYTES && who->owner.len > 0);
    ASSERT(who->account.len > 0 && who->account.len <= ACCOUNT_ID_BYTES_MAX);
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_ACCOUNT_PUT,
                 DB_PARAMS(DB_UUID(who->id), DB_T(who->owner), DB_T(who->provider),
                           DB_T(who->account), DB_T(who->profile), DB_I(session->created_at)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    db_batch_add(&b, SQL_SESSION_MAKE_ROOM,
                 DB_PARAMS(DB_T(who->provider), DB_T(who->account), DB_I(count_max - 1)),
                 DB_EXPECT_NONE);
    size_t at = db_batch_add(
        &b, SQL_SESSION_INSERT_OF_ACCOUNT,
        DB_PARAMS(DB_UUID(session->id), DB_T(who->provider), DB_T(who->account), DB_B(digest),
                  DB_I(session->scope), DB_T(session->address), DB_T(session->user_agent),
                  DB_I(session->created_at), DB_I(session->expires_at), DB_I(session->ends_at)),
        DB_EXPECT_CHANGE(ERR_CONFLICT));
    int rc = db_commit(s->db, &b, err);
    if (rc < 0)
        return rc;
    const struct db_rows *rows = &b.ops[at].rows;
    session->owner = db_str(rows, 0, 1);
    session->account = db_id(rows, 0, 3);
    return 0;
}
