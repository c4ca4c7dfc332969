/* SPDX-License-Identifier: Apache-2.0 */
/* sessions.c - rows of sessions, by the digest of their tokens.
 *
 * A session has two ends: expires_at, which its use moves on, and ends_at, which nothing does;
 * expires_at is never later, so look-ups and the sweep compare one column. Use is written for many
 * sessions by one statement, by whoever serves them; two who write of one session at once mean the
 * same, so the second one leaves it. */
#include "store/sessions.h"

#include "base/clock.h"

#define MISSING "Session not found"

/* The columns of session_columns. */
static struct session from_row(const struct db_rows *r, size_t row) {
    return (struct session){.id = db_id(r, row, 0),
                            .owner = db_str(r, row, 1),
                            .scope = (enum session_scope)db_int(r, row, 2),
                            .account = db_id(r, row, 3),
                            .label = db_str(r, row, 4),
                            .address = db_str(r, row, 5),
                            .user_agent = db_str(r, row, 6),
                            .created_at = db_int(r, row, 7),
                            .last_used_at = db_int(r, row, 8),
                            .expires_at = db_int(r, row, 9),
                            .ends_at = db_int(r, row, 10)};
}

int session_find(struct store *s, str digest, int64_t now_us, struct arena *a, struct session *out,
                 struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_SESSION_FIND, DB_PARAMS(DB_B(digest), DB_I(now_us)), a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return err_set(err, ERR_NOT_FOUND, MISSING);
    *out = (struct session){.id = db_id(&rows, 0, 0),
                            .owner = db_str(&rows, 0, 1),
                            .scope = (enum session_scope)db_int(&rows, 0, 2),
                            .last_used_at = db_int(&rows, 0, 3),
                            .expires_at = db_int(&rows, 0, 4),
                            .ends_at = db_int(&rows, 0, 5)};
    return 0;
}

int session_insert(struct store *s, const struct session *new, str digest, int64_t count_max,
                   struct arena *a, struct err *err) {
    struct db_batch b;
    ASSERT(digest.len == SESSION_DIGEST_BYTES && new->owner.len > 0);
    ASSERT(new->expires_at <= new->ends_at);
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_SESSION_INSERT,
                 DB_PARAMS(DB_UUID(new->id), DB_T(new->owner), DB_B(digest), DB_I(new->scope),
                           DB_T(new->label), DB_T(new->address), DB_T(new->user_agent),
                           DB_I(new->created_at), DB_I(new->expires_at), DB_I(new->ends_at),
                           DB_I(count_max)),
                 DB_EXPECT_CHANGE(ERR_LIMIT));
    int rc = db_commit(s->db, &b, err);
    if (rc == ERR_LIMIT && b.failed_at == 0)
        return err_set(err, rc, "There can be at most %lld sessions", (long long)count_max);
    return rc;
}

int session_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
                struct session *out, struct err *err) {
    struct db_rows rows;
    int rc = store_get_owned(s, SQL_SESSION_GET, who, id, MISSING, a, &rows, err);
    if (rc < 0)
        return rc;
    *out = from_row(&rows, 0);
    return out->expires_at > clock_wall_us() ? 0 : err_set(err, ERR_NOT_FOUND, MISSING);
}

int session_list(struct store *s, str owner, struct id before, int64_t limit, struct arena *a,
                 struct session **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_SESSION_LIST,
                     DB_PARAMS(DB_T(owner), DB_UUID(id_is_nil(before) ? ID_LAST : before),
                               DB_I(clock_wall_us()), DB_I(limit)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    struct session *list = ARENA_ARRAY(a, struct session, rows.row_count + 1);
    for (size_t i = 0; i < rows.row_count; i++)
        list[i] = from_row(&rows, i);
    *out = list;
    *out_count = rows.row_count;
    return 0;
}

static str ids_json(struct arena *a, const struct id *ids, size_t count) {
    struct buf b;
    char hex[ID_HEX_LEN];
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        id_write_hex(ids[i], hex);
        jw_str(&w, str_n(hex, sizeof hex));
    }
    jw_array_end(&w);
    return arena_take(a, &b);
}

int session_touch(struct store *s, const struct id *ids, size_t count, int64_t now_us,
                  int64_t until_us, struct arena *a, struct err *err) {
    struct db_batch b;
    ASSERT(count <= SESSION_TOUCH_COUNT_MAX);
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_SESSION_TOUCH,
                 DB_PARAMS(DB_T(ids_json(a, ids, count)), DB_I(now_us), DB_I(until_us)),
                 DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
}

int session_delete(struct store *s, const struct principal *who, struct id id, struct arena *a,
                   struct err *err) {
    return store_delete_owned(s, SQL_SESSION_DELETE, who, id, MISSING, a, err);
}

int session_delete_all(struct store *s, str owner, struct arena *a, int64_t *out_deleted,
                       struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_SESSION_DELETE_ALL, DB_PARAMS(DB_T(owner)), DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_deleted = b.ops[0].changed;
    return rc;
}

int session_sweep(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                  int64_t *out_deleted, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_SESSION_SWEEP, DB_PARAMS(DB_I(now_us), DB_I(limit)), DB_EXPECT_COUNT);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0)
        *out_deleted = b.ops[0].changed;
    return rc;
}
