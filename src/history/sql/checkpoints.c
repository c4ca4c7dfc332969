/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoints.c - checkpoints of sessions.
 *
 * What a new one depends on is read first, and is a condition of the statement that stores it: when
 * others have written meanwhile, it is read again. */
#include "base/clock.h"
#include "history/sql/sql_int.h"

#define ROW_ARENA_MAX (2 * HISTORY_PAYLOAD_BYTES_MAX)
#define COLUMN_NUMBER 0

static int checkpoint_of(const struct db_rows *rows, size_t i, struct history_checkpoint *out,
                         struct err *err) {
    str digest = db_str(rows, i, 6);
    *out = (struct history_checkpoint){
        .id = db_id(rows, i, 1),
        .parent = db_id(rows, i, 2),
        .label = db_str(rows, i, 3),
        .seq = db_int(rows, i, 4),
        .payload_kind = (enum history_payload)db_int(rows, i, 5),
        .created_at = db_int(rows, i, 7),
        .payload = db_str(rows, i, 8),
    };
    if (digest.len != sizeof out->digest)
        return err_set(err, ERR_CORRUPT, "a checkpoint's digest has %zu bytes", digest.len);
    memcpy(out->digest, digest.p, sizeof out->digest);
    return 0;
}

/* *out_number: 0 when there is none. Without its payload. */
static int find(struct hsql *s, struct id key, struct id id, struct arena *a, int64_t *out_number,
                struct history_checkpoint *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_HISTORY_CHECKPOINT_GET_HEADS, DB_PARAMS(DB_UUID(key), DB_UUID(id)),
                     a, &rows, err);
    *out_number = rc == 0 && rows.row_count > 0 ? db_int(&rows, 0, COLUMN_NUMBER) : 0;
    return rc == 0 && rows.row_count > 0 ? checkpoint_of(&rows, 0, out, err) : rc;
}

static bool same(const struct history_checkpoint *a, const struct history_checkpoint *b) {
    return a->payload_kind == b->payload_kind && str_eq(a->label, b->label) &&
           memcmp(a->digest, b->digest, sizeof a->digest) == 0 &&
           (id_is_nil(b->parent) || id_eq(a->parent, b->parent)) &&
           (b->seq == 0 || a->seq == b->seq);
}

static int check_place(struct hsql *s, struct id key, const struct history_checkpoint *c,
                       struct arena *a, struct err *err) {
    struct history_checkpoint parent;
    int64_t number = 1, last_seq;
    int rc = id_is_nil(c->parent) ? 0 : find(s, key, c->parent, a, &number, &parent, err);
    if (rc == 0 && number == 0)
        rc = err_set(err, ERR_NOT_FOUND, "no such parent");
    if (rc == 0)
        rc = hsql_last_seq(s, key, &last_seq, err);
    if (rc == 0 && c->seq > (last_seq > 0 ? last_seq : 0))
        rc = err_set(err, ERR_INVALID, "seq: the session has no such event yet");
    return rc;
}

static int store(struct hsql *s, const struct history_key *key, struct id id,
                 struct history_checkpoint *c, struct arena *a, bool *out_again, struct err *err) {
    struct db_batch b;
    str owner = key->owner.p ? key->owner : STR("");
    str digest = str_n((const char *)c->digest, sizeof c->digest);
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_HISTORY_CHECKPOINT_TOUCH,
                 DB_PARAMS(DB_UUID(id), DB_T(owner), DB_T(key->session), DB_I(clock_wall_us())),
                 DB_EXPECT_NONE);
    size_t op = db_batch_add(&b, SQL_HISTORY_CHECKPOINT_ADD,
                             DB_PARAMS(DB_UUID(id), DB_UUID(c->id), db_uuid_or_null(c->parent),
                                       DB_T(c->label), DB_I(c->seq), DB_I((int64_t)c->payload_kind),
                                       DB_B(digest), DB_I(c->created_at), DB_B(c->payload)),
                             DB_EXPECT_CHANGE(ERR_CONFLICT));
    db_batch_add(&b, SQL_HISTORY_CHECKPOINT_SETTLE, DB_PARAMS(DB_UUID(id)), DB_EXPECT_NONE);
    db_batch_add(&b, SQL_HISTORY_CHECKPOINT_TRIM,
                 DB_PARAMS(DB_UUID(id), DB_I(HISTORY_CHECKPOINTS_KEPT)), DB_EXPECT_NONE);
    int rc = db_commit(s->db, &b, err);
    *out_again = rc == ERR_CONFLICT || rc == ERR_EXISTS || (rc < 0 && b.committed);
    if (rc == 0) {
        c->parent = db_id(&b.ops[op].rows, 0, 0);
        c->seq = db_int(&b.ops[op].rows, 0, 1);
    }
    return rc;
}

static int put(struct hsql *s, const struct history_key *key, struct id id,
               struct history_checkpoint *c, struct arena *a, bool *out_again, struct err *err) {
    struct history_checkpoint stored;
    int64_t number;
    *out_again = false;
    int rc = find(s, id, c->id, a, &number, &stored, err);
    if (rc == 0 && number == 0) {
        rc = check_place(s, id, c, a, err);
        return rc < 0 ? rc : store(s, key, id, c, a, out_again, err);
    }
    if (rc == 0 && !same(&stored, c))
        rc = err_set(err, ERR_CONFLICT, "the checkpoint's id is there with another content");
    if (rc == 0) {
        c->parent = stored.parent;
        c->seq = stored.seq;
        c->created_at = stored.created_at;
    }
    return rc;
}

int hsql_checkpoint_put(struct history *h, const struct history_key *key,
                        struct history_checkpoint *c, struct arena *a, struct err *err) {
    struct hsql *s = hsql_of(h);
    struct id id = hsql_key(key);
    bool again = true;
    int rc = 0;
    (void)a; /* nothing that c does not have already */
    for (int tries = 0; again && tries < HSQL_TRIES; tries++) {
        struct arena scratch;
        arena_init(&scratch, ROW_ARENA_MAX);
        rc = put(s, key, id, c, &scratch, &again, err);
        arena_deinit(&scratch);
    }
    return again ? err_set(err, ERR_UNAVAILABLE, "others put checkpoints all the time") : rc;
}

int hsql_checkpoint_get(struct history *h, const struct history_key *key, struct id id,
                        struct arena *a, struct history_checkpoint *out, struct err *err) {
    struct hsql *s = hsql_of(h);
    struct db_rows rows;
    struct db_value session = DB_UUID(hsql_key(key));
    int rc = id_is_nil(id)
                 ? db_read(s->db, SQL_HISTORY_CHECKPOINT_LATEST, DB_PARAMS(session), a, &rows, err)
                 : db_read(s->db, SQL_HISTORY_CHECKPOINT_GET_FULL, DB_PARAMS(session, DB_UUID(id)),
                           a, &rows, err);
    if (rc == 0 && rows.row_count == 0)
        rc = err_set(err, ERR_NOT_FOUND, "no such checkpoint");
    return rc < 0 ? rc : checkpoint_of(&rows, 0, out, err);
}

int hsql_checkpoint_list(struct history *h, const struct history_key *key, struct id after,
                         size_t limit, struct arena *a, struct history_checkpoint **out,
                         size_t *out_count, struct err *err) {
    struct hsql *s = hsql_of(h);
    struct id id = hsql_key(key);
    struct history_checkpoint begin;
    struct db_rows rows;
    int64_t before = INT64_MAX;
    int rc = hsql_need(s, id, err);
    if (rc == 0 && !id_is_nil(after))
        rc = find(s, id, after, a, &before, &begin, err);
    if (rc == 0 && before == 0)
        rc = err_set(err, ERR_NOT_FOUND, "no such checkpoint");
    if (rc == 0)
        rc = db_read(s->db, SQL_HISTORY_CHECKPOINT_LIST,
                     DB_PARAMS(DB_UUID(id), DB_I(before), DB_I((int64_t)limit)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct history_checkpoint, rows.row_count + 1);
    *out_count = rows.row_count;
    for (size_t i = 0; rc == 0 && i < rows.row_count; i++)
        rc = checkpoint_of(&rows, i, &(*out)[i], err);
    return rc;
}

int hsql_checkpoint_rollback(struct history *h, const struct history_key *key, struct id id,
                             struct err *err) {
    struct hsql *s = hsql_of(h);
    struct id session = hsql_key(key);
    struct arena a;
    arena_init(&a, 65536);
    int rc = hsql_need(s, session, err);
    if (rc == 0)
        rc =
            hsql_write(s, SQL_HISTORY_CHECKPOINT_ROLLBACK, DB_PARAMS(DB_UUID(session), DB_UUID(id)),
                       DB_EXPECT_CHANGE(ERR_NOT_FOUND), &a, NULL, err);
    arena_deinit(&a);
    return rc;
}
