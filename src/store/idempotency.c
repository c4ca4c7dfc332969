/* SPDX-License-Identifier: Apache-2.0 */
/* idempotency.c - rows of the answers that are kept for repeated requests.
 *
 * The unique key decides between two processes that create under the same key at once: the second
 * batch waits for the first one's end, finds the row and fails as a whole. */
#include "store/idempotency.h"

int idempotency_get(struct store *s, const struct principal *who, str key, int64_t now_us,
                    struct arena *a, bool *out_found, struct idempotency *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_IDEMPOTENCY_GET,
                     DB_PARAMS(DB_T(who->owner), DB_T(key), DB_I(now_us)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out_found = rows.row_count > 0;
    if (*out_found)
        *out = (struct idempotency){.key = key,
                                    .request = db_str(&rows, 0, 0),
                                    .body = db_str(&rows, 0, 1),
                                    .thread_id = db_id(&rows, 0, 2),
                                    .run_id = db_id(&rows, 0, 3)};
    return 0;
}

void idempotency_add(struct db_batch *b, const struct principal *who, const struct idempotency *i,
                     int64_t now_us) {
    db_batch_add(b, SQL_IDEMPOTENCY_PUT,
                 DB_PARAMS(DB_T(who->owner), DB_T(i->key), DB_T(i->request), DB_T(i->body),
                           db_uuid_or_null(i->thread_id), db_uuid_or_null(i->run_id), DB_I(now_us),
                           DB_I(now_us + IDEMPOTENCY_KEEP_US)),
                 DB_EXPECT_CHANGE(ERR_REPEATED));
}

int idempotency_sweep(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                      int64_t *out_deleted, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_IDEMPOTENCY_SWEEP, DB_PARAMS(DB_I(now_us), DB_I(limit)), DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    *out_deleted = rc == 0 ? b.ops[0].changed : 0;
    return rc;
}
