/* SPDX-License-Identifier: Apache-2.0 */
/* deliveries.c - rows of the outbox.
 *
 * What was delivered is deleted: the table holds what is still to be done, and for a while what
 * could not be done. Several processes claim at once without waiting for each other; the attempt's
 * number keeps one whose lease is over from undoing what another did. */
#include "store/deliveries.h"

#define COUNT_MAX 100000

void delivery_add(struct db_batch *b, const struct delivery *d, int64_t now_us) {
    db_batch_add(b, SQL_DELIVERY_INSERT,
                 DB_PARAMS(DB_UUID(d->id), DB_T(d->owner.p ? d->owner : STR("")), DB_T(d->kind),
                           DB_T(d->order_key), DB_T(d->target), DB_T(d->payload), DB_I(now_us)),
                 DB_EXPECT_NONE);
}

static struct delivery claimed(const struct db_rows *rows, size_t i, int64_t until_us) {
    return (struct delivery){.id = db_id(rows, i, 0),
                             .kind = db_str(rows, i, 1),
                             .order_key = db_str(rows, i, 2),
                             .target = db_str(rows, i, 3),
                             .payload = db_str(rows, i, 4),
                             .attempt = db_int(rows, i, 5),
                             .due_at = until_us,
                             .progress = db_int(rows, i, 6),
                             .created_at = db_int(rows, i, 7)};
}

int delivery_claim(struct store *s, int64_t now_us, int64_t lease_us, int64_t limit,
                   struct arena *a, struct delivery **out, size_t *out_count, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_DELIVERY_CLAIM,
                 DB_PARAMS(DB_I(now_us), DB_I(now_us + lease_us), DB_I(limit)), DB_EXPECT_NONE);
    int rc = db_commit(s->db, &b, err);
    if (rc < 0)
        return rc;
    const struct db_rows *rows = &b.ops[0].rows;
    struct delivery *list = ARENA_ARRAY(a, struct delivery, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++)
        list[i] = claimed(rows, i, now_us + lease_us);
    *out = list;
    *out_count = rows->row_count;
    return 0;
}

static int commit_one(struct store *s, enum db_stmt stmt, const struct db_value *params,
                      size_t count, struct db_expect expect, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, stmt, params, count, expect);
    return db_commit(s->db, &b, err);
}

int delivery_done(struct store *s, struct id id, int64_t attempt, struct arena *a,
                  struct err *err) {
    return commit_one(s, SQL_DELIVERY_DONE, DB_PARAMS(DB_UUID(id), DB_I(attempt)), DB_EXPECT_NONE,
                      a, err);
}

int delivery_done_next(struct store *s, const struct delivery *done, int64_t now_us,
                       int64_t lease_us, struct arena *a, struct delivery *out_next,
                       bool *out_found, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_DELIVERY_DONE, DB_PARAMS(DB_UUID(done->id), DB_I(done->attempt)),
                 DB_EXPECT_NONE);
    db_batch_add(&b, SQL_DELIVERY_NEXT,
                 DB_PARAMS(DB_T(done->kind), DB_T(done->order_key), DB_I(now_us),
                           DB_I(now_us + lease_us)),
                 DB_EXPECT_NONE);
    int rc = db_commit(s->db, &b, err);
    if (rc < 0)
        return rc;
    *out_found = b.ops[1].rows.row_count > 0;
    if (*out_found)
        *out_next = claimed(&b.ops[1].rows, 0, now_us + lease_us);
    return 0;
}

int delivery_failed(struct store *s, const struct delivery *d, const struct delivery_failure *f,
                    int64_t now_us, struct arena *a, struct err *err) {
    return commit_one(s, SQL_DELIVERY_FAILED,
                      DB_PARAMS(DB_UUID(d->id), DB_I(d->attempt),
                                DB_T(f->dead ? STR("dead") : STR("pending")), DB_I(f->due_at),
                                DB_I(f->http_status), DB_T(f->error), DB_I(now_us),
                                DB_I(f->progress),
                                DB_I(f->progress > d->progress ? 1 : d->attempt)),
                      DB_EXPECT_NONE, a, err);
}

int delivery_give_back(struct store *s, const struct delivery *d, int64_t progress,
                       int64_t due_at, struct arena *a, struct err *err) {
    return commit_one(s, SQL_DELIVERY_GIVE_BACK,
                      DB_PARAMS(DB_UUID(d->id), DB_I(d->attempt), DB_I(due_at), DB_I(progress),
                                DB_I(d->due_at)),
                      DB_EXPECT_NONE, a, err);
}

int delivery_next_due(struct store *s, struct arena *a, int64_t *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_DELIVERY_NEXT_DUE, DB_NO_PARAMS, a, &rows, err);
    if (rc == 0)
        *out = rows.row_count ? db_int(&rows, 0, 0) : INT64_MAX;
    return rc;
}

int delivery_list(struct store *s, const struct principal *who, const bool *dead,
                  const struct page *page, struct arena *a, struct delivery **out,
                  size_t *out_count, struct err *err) {
    struct db_rows rows;
    str low = dead ? *dead ? STR("dead") : STR("pending") : STR("");
    str high = dead ? low : STR("\x7f");
    int rc = db_read(
        s->db, SQL_DELIVERY_PAGE,
        DB_PARAMS(DB_T(who->owner), DB_T(low), DB_T(high), DB_I(page->limit), DB_I(page->offset)),
        a, &rows, err);
    if (rc < 0)
        return rc;
    struct delivery *list = ARENA_ARRAY(a, struct delivery, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = (struct delivery){.id = db_id(&rows, i, 0),
                                    .kind = db_str(&rows, i, 1),
                                    .target = db_str(&rows, i, 2),
                                    .dead = str_eq(db_str(&rows, i, 3), STR("dead")),
                                    .attempt = db_int(&rows, i, 4),
                                    .due_at = db_int(&rows, i, 5),
                                    .http_status = db_int(&rows, i, 6),
                                    .error = db_str(&rows, i, 7),
                                    .created_at = db_int(&rows, i, 8),
                                    .updated_at = db_int(&rows, i, 9)};
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

int delivery_revive(struct store *s, const struct principal *who, struct id id, int64_t now_us,
                    struct arena *a, struct err *err) {
    int rc =
        commit_one(s, SQL_DELIVERY_REVIVE, DB_PARAMS(DB_UUID(id), DB_T(who->owner), DB_I(now_us)),
                   DB_EXPECT_CHANGE(ERR_NOT_FOUND), a, err);
    return rc == ERR_NOT_FOUND ? err_set(err, rc, "Dead delivery not found") : rc;
}

int delivery_sweep(struct store *s, int64_t before_us, int64_t limit, struct arena *a,
                   int64_t *out_deleted, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_DELIVERY_SWEEP, DB_PARAMS(DB_I(before_us), DB_I(limit)), DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_deleted = b.ops[0].changed;
    return rc;
}

int delivery_counts(struct store *s, struct arena *a, struct delivery_counts *out,
                    struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_DELIVERY_COUNTS, DB_PARAMS(DB_I(COUNT_MAX)), a, &rows, err);
    if (rc == 0)
        *out = (struct delivery_counts){.dead = db_int(&rows, 0, 0),
                                        .pending = db_int(&rows, 0, 1),
                                        .due_at = db_int(&rows, 0, 2)};
    return rc;
}
