/* SPDX-License-Identifier: Apache-2.0 */
/* workers.c - rows of processes and of the leases of periodic work.
 *
 * Times are given by the caller; a database that several hosts use compares with its own clock
 * instead and takes only the lengths of the leases from here. */
#include "store/workers.h"

int worker_register(struct store *s, const struct worker *w, int64_t now_us, int64_t lease_us,
                    struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_WORKER_INSERT,
                 DB_PARAMS(DB_UUID(w->id), DB_T(w->host), DB_I(w->pid), DB_I(now_us),
                           DB_I(lease_us), DB_T(w->address)),
                 DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
}

int worker_renew(struct store *s, struct id id, int64_t now_us, int64_t lease_us, struct arena *a,
                 int64_t *out_others, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_WORKER_RENEW, DB_PARAMS(DB_UUID(id), DB_I(now_us), DB_I(lease_us)),
                 DB_EXPECT_CHANGE(ERR_FENCED));
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_others = db_int(&b.ops[0].rows, 0, 0);
    return rc;
}

int worker_addresses(struct store *s, struct id id, int64_t now_us, size_t max, struct arena *a,
                     str **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_WORKER_ADDRESSES,
                     DB_PARAMS(DB_UUID(id), DB_I(now_us), DB_I((int64_t)max)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, str, rows.row_count + 1);
    *out_count = rows.row_count;
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = db_str(&rows, i, 0);
    return 0;
}

int worker_remove(struct store *s, struct id id, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_LEADER_LEAVE, DB_PARAMS(DB_UUID(id)), DB_EXPECT_NONE);
    db_batch_add(&b, SQL_WORKER_DELETE, DB_PARAMS(DB_UUID(id)), DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
}

int worker_sweep(struct store *s, int64_t before_us, struct arena *a, int64_t *out_deleted,
                 struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_WORKER_SWEEP, DB_PARAMS(DB_I(before_us)), DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_deleted = b.ops[0].changed;
    return rc;
}

int leader_take(struct store *s, str name, struct id worker, int64_t now_us, int64_t lease_us,
                struct arena *a, bool *out_leads, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_LEADER_TAKE,
                 DB_PARAMS(DB_T(name), DB_UUID(worker), DB_I(now_us), DB_I(lease_us)),
                 DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_leads = b.ops[0].changed > 0;
    return rc;
}
