/* SPDX-License-Identifier: Apache-2.0 */
/* artifacts.c - artifacts by plan, step and name, and the states of blobs.
 *
 *   claimed (loose) ──▶ held ──▶ loose: its last artifact went, by a trigger ──▶ doomed ──▶ gone
 *
 * Each move names the time that it has seen: whoever comes between changes it, and the move then
 * changes no row. That is what makes moves of several processes safe in any order. */
#include "store/artifacts.h"

void blob_claim_add(struct db_batch *b, str sha256, int64_t now_us) {
    db_batch_add(b, SQL_BLOB_CLAIM, DB_PARAMS(DB_T(sha256), DB_I(now_us)),
                 DB_EXPECT_CHANGE(ERR_FENCED));
}

void artifact_put_add(struct db_batch *b, const struct principal *who, const struct artifact *a) {
    db_batch_add(b, SQL_BLOB_HOLD, DB_PARAMS(DB_T(a->sha256)), DB_EXPECT_CHANGE(ERR_FENCED));
    db_batch_add(b, SQL_ARTIFACT_PUT,
                 DB_PARAMS(DB_UUID(a->id), DB_UUID(a->plan_id), DB_I(a->position), DB_T(a->name),
                           DB_T(a->type), DB_T(a->sha256), DB_I(a->bytes), DB_I(a->created_at),
                           DB_T(principal_owner_low(who)), DB_T(principal_owner_high(who))),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
}

static struct artifact from_row(const struct db_rows *r, size_t row) {
    return (struct artifact){
        .id = db_id(r, row, 0),
        .plan_id = db_id(r, row, 1),
        .position = db_int(r, row, 2),
        .name = db_str(r, row, 3),
        .type = db_str(r, row, 4),
        .sha256 = db_str(r, row, 5),
        .bytes = db_int(r, row, 6),
        .created_at = db_int(r, row, 7),
    };
}

int artifact_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
                 struct artifact *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_ARTIFACT_GET, who, id, "Artifact not found", a, &rows, err);
    if (rc == 0)
        *out = from_row(&rows, 0);
    return rc;
}

int artifact_list(struct store *s, struct id plan_id, const struct artifact_page *page,
                  struct arena *a, struct artifact **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_ARTIFACT_PAGE,
                     DB_PARAMS(DB_UUID(plan_id), DB_I(page->after_position),
                               DB_T(page->after_name.p ? page->after_name : STR("")),
                               DB_I(page->last_position), DB_I(page->limit)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    struct artifact *list = ARENA_ARRAY(a, struct artifact, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = from_row(&rows, i);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

/* --- blobs --- */

static int take_blobs(int rc, const struct db_rows *rows, struct arena *a, struct loose_blob **out,
                      size_t *out_count) {
    if (rc < 0)
        return rc;
    struct loose_blob *list = ARENA_ARRAY(a, struct loose_blob, rows->row_count + 1);
    for (size_t i = 0; i < rows->row_count; i++)
        list[i] = (struct loose_blob){db_str(rows, i, 0), db_int(rows, i, 1)};
    *out = list;
    *out_count = rows->row_count;
    return 0;
}

int blobs_loose(struct store *s, int64_t before_us, int64_t limit, struct arena *a,
                struct loose_blob **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_BLOBS_LOOSE, DB_PARAMS(DB_I(before_us), DB_I(limit)), a, &rows,
                     err);
    return take_blobs(rc, &rows, a, out, out_count);
}

int blobs_doomed(struct store *s, int64_t before_us, int64_t limit, struct arena *a,
                 struct loose_blob **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_BLOBS_DOOMED, DB_PARAMS(DB_I(before_us), DB_I(limit)), a, &rows,
                     err);
    return take_blobs(rc, &rows, a, out, out_count);
}

int blob_doom(struct store *s, const struct loose_blob *blob, bool again, int64_t now_us,
              struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, again ? SQL_BLOB_DOOM_AGAIN : SQL_BLOB_DOOM,
                 DB_PARAMS(DB_T(blob->sha256), DB_I(blob->at), DB_I(now_us)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
    return db_commit(s->db, &b, err);
}

int blob_keep(struct store *s, const struct loose_blob *blob, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_BLOB_KEEP, DB_PARAMS(DB_T(blob->sha256), DB_I(blob->at)), DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
}

int blob_forget(struct store *s, str sha256, int64_t doomed_at, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_BLOB_FORGET, DB_PARAMS(DB_T(sha256), DB_I(doomed_at)), DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
}
