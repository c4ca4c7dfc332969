/* SPDX-License-Identifier: Apache-2.0 */
/* sessions.c - sessions, their owners, their consumers.
 *
 * A session counts its events and their bytes itself, so that nobody has to read them; its first
 * number is looked up. Cursors of consumers only move forward, and never beyond the last number:
 * both are conditions of the statement that moves them. */
#include "base/clock.h"
#include "history/sql/sql_int.h"

static struct history_session session_of(const struct db_rows *rows, size_t i) {
    return (struct history_session){
        .name = db_str(rows, i, 0),
        .first_seq = db_int(rows, i, 1),
        .last_seq = db_int(rows, i, 2),
        .payload_bytes = db_int(rows, i, 3),
        .created_at = db_int(rows, i, 4),
        .updated_at = db_int(rows, i, 5),
    };
}

int hsql_session_get(struct history *h, const struct history_key *key, struct arena *a,
                     struct history_session *out, struct err *err) {
    struct db_rows rows;
    int rc = db_read(hsql_of(h)->db, SQL_HISTORY_SESSION_GET, DB_PARAMS(DB_UUID(hsql_key(key))), a,
                     &rows, err);
    if (rc == 0 && rows.row_count == 0)
        rc = err_set(err, ERR_NOT_FOUND, "no such session");
    if (rc == 0)
        *out = session_of(&rows, 0);
    return rc;
}

int hsql_session_list(struct history *h, str owner, str after, size_t limit, struct arena *a,
                      struct history_session **out, size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(hsql_of(h)->db, SQL_HISTORY_SESSION_LIST,
                     DB_PARAMS(DB_T(owner.p ? owner : STR("")), DB_T(after.p ? after : STR("")),
                               DB_I((int64_t)limit)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct history_session, rows.row_count + 1);
    *out_count = rows.row_count;
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = session_of(&rows, i);
    return 0;
}

int hsql_owner_list(struct history *h, str after, size_t limit, struct arena *a, str **out,
                    size_t *out_count, struct err *err) {
    struct db_rows rows;
    int rc = db_read(
        hsql_of(h)->db, after.p ? SQL_HISTORY_OWNER_LIST_AFTER : SQL_HISTORY_OWNER_LIST_FIRST,
        DB_PARAMS(DB_T(after.p ? after : STR("")), DB_I((int64_t)limit)), a, &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, str, rows.row_count + 1);
    *out_count = rows.row_count;
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = db_str(&rows, i, 0);
    return 0;
}

/* --- consumers --- */

/* Why nothing was moved. */
static int ack_refused(struct hsql *s, struct id key, struct err *err) {
    int rc = hsql_need(s, key, err);
    return rc < 0 ? rc : err_set(err, ERR_INVALID, "seq: the session has no such event yet");
}

int hsql_consumer_ack(struct history *h, const struct history_key *key, str name, int64_t seq,
                      int64_t *out_acked_seq, struct err *err) {
    struct hsql *s = hsql_of(h);
    struct id id = hsql_key(key);
    struct arena a;
    struct db_rows rows = {0};
    arena_init(&a, 65536);
    int rc = hsql_write(s, SQL_HISTORY_CONSUMER_ACK,
                        DB_PARAMS(DB_UUID(id), DB_T(name), DB_I(seq), DB_I(clock_wall_us())),
                        DB_EXPECT_NONE, &a, &rows, err);
    if (rc == 0 && rows.row_count == 0)
        rc = ack_refused(s, id, err);
    else if (rc == 0)
        *out_acked_seq = db_int(&rows, 0, 0);
    arena_deinit(&a);
    return rc;
}

int hsql_consumer_list(struct history *h, const struct history_key *key, struct arena *a,
                       struct history_consumer **out, size_t *out_count, struct err *err) {
    struct hsql *s = hsql_of(h);
    struct id id = hsql_key(key);
    struct db_rows rows;
    int rc = db_read(s->db, SQL_HISTORY_CONSUMER_LIST, DB_PARAMS(DB_UUID(id)), a, &rows, err);
    if (rc == 0 && rows.row_count == 0)
        rc = hsql_need(s, id, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct history_consumer, rows.row_count + 1);
    *out_count = rows.row_count;
    for (size_t i = 0; i < rows.row_count; i++)
        (*out)[i] = (struct history_consumer){db_str(&rows, i, 0), db_int(&rows, i, 1),
                                              db_int(&rows, i, 2)};
    return 0;
}

int hsql_consumer_delete(struct history *h, const struct history_key *key, str name,
                         struct err *err) {
    struct hsql *s = hsql_of(h);
    struct id id = hsql_key(key);
    struct arena a;
    arena_init(&a, 65536);
    int rc = hsql_need(s, id, err);
    if (rc == 0)
        rc = hsql_write(s, SQL_HISTORY_CONSUMER_DELETE, DB_PARAMS(DB_UUID(id), DB_T(name)),
                        DB_EXPECT_CHANGE(ERR_NOT_FOUND), &a, NULL, err);
    arena_deinit(&a);
    return rc;
}
