/* SPDX-License-Identifier: Apache-2.0 */
/* store.c - what all resources share.
 *
 * Metadata comes from clients with any keys but one. In PostgreSQL `owner` says whose a row is, in
 * the tables that other runtimes read; so it is taken out on every database, at creating, changing
 * and merging, and a client cannot give a row away or take one. */
#include "store/store.h"

#include "base/json.h"

str store_metadata(struct arena *a, str metadata) {
    return json_without(a, metadata, "owner");
}

int store_get_owned(struct store *s, enum db_stmt stmt, const struct principal *who, struct id id,
                    const char *missing, struct arena *a, struct db_rows *out, struct err *err) {
    int rc = db_read(s->db, stmt,
                     DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)),
                               DB_T(principal_owner_high(who))),
                     a, out, err);
    return rc == 0 && out->row_count == 0 ? err_set(err, ERR_NOT_FOUND, "%s", missing) : rc;
}

int store_delete_owned(struct store *s, enum db_stmt stmt, const struct principal *who,
                       struct id id, const char *missing, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, stmt,
                 DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)),
                           DB_T(principal_owner_high(who))),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    int rc = db_commit(s->db, &b, err);
    return rc == ERR_NOT_FOUND ? err_set(err, rc, "%s", missing) : rc;
}
