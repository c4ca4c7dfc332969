/* SPDX-License-Identifier: Apache-2.0 */
/* open.c - the adapter as a whole: opening, keys, waiting, counting.
 *
 * Who waits for events of a session listens to a bell that it shares with others by its key: each
 * append of this process rings those of its sessions. When other processes write as well, the
 * number is looked up again after 50 ms, then ever more seldom. The look-ups of all who wait in one
 * turn of the loop are one statement of the server. */
#include "base/clock.h"
#include "base/mem.h"
#include "history/sql/sql_int.h"

#define POLL_FIRST_US 50000
#define POLL_LAST_US  250000

struct id hsql_key(const struct history_key *key) {
    unsigned char text[2 * HISTORY_NAME_BYTES_MAX + 1], digest[HASH_SHA256_BYTES];
    struct id id;
    ASSERT(key->owner.len + 1 + key->session.len <= sizeof text);
    if (key->owner.len > 0)
        memcpy(text, key->owner.p, key->owner.len);
    text[key->owner.len] = 0; /* neither has one */
    memcpy(text + key->owner.len + 1, key->session.p, key->session.len);
    hash_sha256(str_n((const char *)text, key->owner.len + 1 + key->session.len), digest);
    memcpy(id.b, digest, sizeof id.b);
    return id;
}

struct hsql_bell *hsql_bell_of(struct hsql *s, struct id key) {
    return &s->bells[key.b[0] & (HSQL_BELLS - 1)];
}

int hsql_last_seq(struct hsql *s, struct id key, int64_t *out_last_seq, struct err *err) {
    struct arena a;
    struct db_rows rows;
    arena_init(&a, 65536);
    int rc = db_read(s->db, SQL_HISTORY_STATE, DB_PARAMS(DB_UUID(key)), &a, &rows, err);
    if (rc == 0)
        *out_last_seq = rows.row_count > 0 ? db_int(&rows, 0, 0) : -1;
    arena_deinit(&a);
    return rc;
}

int hsql_need(struct hsql *s, struct id key, struct err *err) {
    int64_t last_seq;
    int rc = hsql_last_seq(s, key, &last_seq, err);
    return rc == 0 && last_seq < 0 ? err_set(err, ERR_NOT_FOUND, "no such session") : rc;
}

int hsql_write(struct hsql *s, enum db_stmt stmt, const struct db_value *params, size_t param_count,
               struct db_expect expect, struct arena *a, struct db_rows *out_rows,
               struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, stmt, params, param_count, expect);
    int rc = db_commit(s->db, &b, err);
    if (rc == 0 && out_rows)
        *out_rows = b.ops[0].rows;
    return rc;
}

static int hsql_wait(struct history *h, const struct history_key *key, int64_t after_seq,
                     int64_t deadline_us, int64_t *out_last_seq, struct err *err) {
    struct hsql *s = hsql_of(h);
    struct id id = hsql_key(key);
    struct hsql_bell *bell = hsql_bell_of(s, id);
    int64_t pause_us = POLL_FIRST_US;
    for (;;) {
        uint64_t count = bell->count; /* it may ring while the number is looked up */
        int rc = hsql_last_seq(s, id, out_last_seq, err);
        if (rc < 0 || *out_last_seq > after_seq)
            return rc;
        if (bell->count != count)
            continue;
        int64_t until_us = s->options.shared ? clock_mono_us() + pause_us : INT64_MAX;
        bool polls = until_us < deadline_us;
        rc = fiber_event_wait(&bell->rung, polls ? until_us : deadline_us);
        if (rc < 0 && !(polls && rc == ERR_TIMEOUT))
            return err_set(err, rc, "no event came");
        pause_us = rc == 0 ? POLL_FIRST_US : pause_us + pause_us / 2;
        pause_us = pause_us < POLL_LAST_US ? pause_us : POLL_LAST_US;
    }
}

static int hsql_stats(struct history *h, struct history_stats *out, struct err *err) {
    struct hsql *s = hsql_of(h);
    struct arena a;
    struct db_rows rows;
    arena_init(&a, 65536);
    int rc = db_read(s->db, SQL_HISTORY_STATS, DB_NO_PARAMS, &a, &rows, err);
    if (rc == 0)
        *out = (struct history_stats){.sessions = db_int(&rows, 0, 0),
                                      .events = db_int(&rows, 0, 1),
                                      .payload_bytes = db_int(&rows, 0, 2),
                                      .appends = s->appends,
                                      .appended_events = s->appended_events,
                                      .flushes = s->flushes,
                                      .syncs = s->syncs};
    arena_deinit(&a);
    return rc;
}

static void hsql_close(struct history *h) {
    struct hsql *s = hsql_of(h);
    if (s->options.closes_db)
        db_close(s->db);
    mem_free(s);
}

struct history *history_sql_open(struct db *db, const struct history_sql_options *o) {
    struct hsql *s = mem_zalloc(sizeof *s);
    s->vtable = (struct history_vtable){
        .name = db_name(db),
        .append = hsql_append,
        .read = hsql_read,
        .wait = hsql_wait,
        .checkpoint_put = hsql_checkpoint_put,
        .checkpoint_get = hsql_checkpoint_get,
        .checkpoint_list = hsql_checkpoint_list,
        .checkpoint_rollback = hsql_checkpoint_rollback,
        .session_get = hsql_session_get,
        .session_list = hsql_session_list,
        .session_delete = hsql_session_delete,
        .retention_set = hsql_retention_set,
        .retention_get = hsql_retention_get,
        .sweep = hsql_sweep,
        .consumer_ack = hsql_consumer_ack,
        .consumer_list = hsql_consumer_list,
        .consumer_delete = hsql_consumer_delete,
        .stats = hsql_stats,
        .owner_list = hsql_owner_list,
        .close = hsql_close,
    };
    s->base.vtable = &s->vtable;
    s->db = db;
    s->options = *o;
    for (size_t i = 0; i < HSQL_BELLS; i++)
        fiber_event_init(&s->bells[i].rung);
    return &s->base;
}
