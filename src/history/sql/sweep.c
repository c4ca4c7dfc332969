/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.c - what goes: deleted sessions, events past their time, events past what owners keep.
 *
 * A session that is deleted gives up its key, with which it was found, and its checkpoints and
 * consumers; its first events go in the same commit, and with the last of them its row. What is
 * left of a large one goes by sweeps.
 *
 * Sessions know bounds of their events' times (expires_at, oldest_at, low_seq: nothing is earlier),
 * so that a sweep finds those that have something to give by an index. Each gives up to
 * HSQL_CUT_ROWS events in a commit, which moves its bounds on. */
#include "base/clock.h"
#include "history/sql/sql_int.h"

#define PAGE_SESSIONS 100

/* Why a session has events to give. */
enum cause { DELETED, EXPIRED, OLD, MANY, CAUSES };

struct sweep {
    struct hsql *s;
    int64_t now_us;
    size_t budget, removed;
};

static int64_t limit_of(const struct sweep *w) {
    size_t left = w->budget - w->removed;
    return left < HSQL_CUT_ROWS ? (int64_t)left : HSQL_CUT_ROWS;
}

/* SQLite gives a row for each event, PostgreSQL their number. */
static size_t cut_count(const struct db_rows *rows) {
    int64_t count = 0;
    for (size_t i = 0; i < rows->row_count; i++)
        count += db_int(rows, i, 0);
    return (size_t)count;
}

static void add_bury(struct db_batch *b, struct id key) {
    db_batch_add(b, SQL_HISTORY_BURY, DB_PARAMS(DB_UUID(key)), DB_EXPECT_NONE);
}

static size_t add_cut(struct db_batch *b, const struct sweep *w, enum cause cause, struct id key) {
    struct db_value id = DB_UUID(key), limit = DB_I(limit_of(w)), now = DB_I(w->now_us);
    if (cause == DELETED)
        return db_batch_add(b, SQL_HISTORY_CUT_ANY, DB_PARAMS(id, limit), DB_EXPECT_NONE);
    return db_batch_add(b, cause == EXPIRED ? SQL_HISTORY_CUT_EXPIRED : SQL_HISTORY_CUT_KEPT,
                        DB_PARAMS(id, now, limit), DB_EXPECT_NONE);
}

static int cut(struct sweep *w, enum cause cause, struct id key, struct err *err) {
    struct db_batch b;
    struct arena a;
    arena_init(&a, 1u << 20);
    db_batch_init(&b, &a);
    db_batch_add(&b, SQL_HISTORY_HOLD, DB_PARAMS(DB_UUID(key)), DB_EXPECT_NONE);
    size_t op = add_cut(&b, w, cause, key);
    if (cause == DELETED)
        add_bury(&b, key);
    else
        db_batch_add(&b, SQL_HISTORY_SETTLE, DB_PARAMS(DB_UUID(key), DB_I(clock_wall_us())),
                     DB_EXPECT_NONE);
    int rc = db_commit(w->s->db, &b, err);
    if (rc == 0)
        w->removed += cut_count(&b.ops[op].rows);
    arena_deinit(&a);
    return rc;
}

/* A page of the sessions that have something to give. *out_more: there may be others. */
static int cut_page(struct sweep *w, enum cause cause, bool *out_more, struct err *err) {
    static const enum db_stmt due[CAUSES] = {SQL_HISTORY_DUE_DELETED, SQL_HISTORY_DUE_EXPIRED,
                                             SQL_HISTORY_DUE_OLD, SQL_HISTORY_DUE_MANY};
    struct arena a;
    struct db_rows rows;
    size_t before = w->removed;
    arena_init(&a, 1u << 20);
    int rc = db_read(w->s->db, due[cause], DB_PARAMS(DB_I(w->now_us), DB_I(PAGE_SESSIONS)), &a,
                     &rows, err);
    size_t count = rc == 0 ? rows.row_count : 0;
    for (size_t i = 0; rc == 0 && i < count && w->removed < w->budget; i++)
        rc = cut(w, cause, db_id(&rows, i, 0), err);
    *out_more = count > 0 && w->removed < w->budget && (w->removed > before || cause == DELETED);
    arena_deinit(&a);
    return rc;
}

int hsql_sweep(struct history *h, int64_t now_us, size_t budget, size_t *out_removed,
               struct err *err) {
    struct sweep w = {hsql_of(h), now_us, budget, 0};
    int rc = 0;
    for (int cause = DELETED; rc == 0 && cause < CAUSES; cause++) {
        bool more = w.removed < budget;
        while (rc == 0 && more)
            rc = cut_page(&w, (enum cause)cause, &more, err);
    }
    *out_removed = w.removed;
    return rc;
}

int hsql_session_delete(struct history *h, const struct history_key *key, struct err *err) {
    struct hsql *s = hsql_of(h);
    struct id id = hsql_key(key), grave = id_v4();
    struct db_batch b;
    struct arena a;
    arena_init(&a, 1u << 20);
    db_batch_init(&b, &a);
    db_batch_add(&b, SQL_HISTORY_DOOM, DB_PARAMS(DB_UUID(id), DB_UUID(grave)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
    db_batch_add(&b, SQL_HISTORY_DOOM_CHECKPOINTS, DB_PARAMS(DB_UUID(grave)), DB_EXPECT_NONE);
    db_batch_add(&b, SQL_HISTORY_DOOM_CONSUMERS, DB_PARAMS(DB_UUID(grave)), DB_EXPECT_NONE);
    db_batch_add(&b, SQL_HISTORY_CUT_ANY, DB_PARAMS(DB_UUID(grave), DB_I(HSQL_CUT_ROWS)),
                 DB_EXPECT_NONE);
    add_bury(&b, grave);
    int rc = db_commit(s->db, &b, err);
    arena_deinit(&a);
    return rc < 0 && b.committed ? 0 : rc;
}

/* --- what owners keep --- */

int hsql_retention_set(struct history *h, str owner, const struct history_retention *r,
                       struct err *err) {
    struct arena a;
    arena_init(&a, 65536);
    int rc = hsql_write(
        hsql_of(h), SQL_HISTORY_RETENTION_SET,
        DB_PARAMS(DB_T(owner.p ? owner : STR("")), DB_I(r->age_ms_max * 1000), DB_I(r->count_max)),
        DB_EXPECT_NONE, &a, NULL, err);
    arena_deinit(&a);
    return rc;
}

int hsql_retention_get(struct history *h, str owner, struct history_retention *out,
                       struct err *err) {
    struct arena a;
    struct db_rows rows;
    arena_init(&a, 65536);
    int rc = db_read(hsql_of(h)->db, SQL_HISTORY_RETENTION_GET,
                     DB_PARAMS(DB_T(owner.p ? owner : STR(""))), &a, &rows, err);
    if (rc == 0)
        *out = rows.row_count == 0
                   ? (struct history_retention){0}
                   : (struct history_retention){.age_ms_max = db_int(&rows, 0, 0) / 1000,
                                                .count_max = db_int(&rows, 0, 1)};
    arena_deinit(&a);
    return rc;
}
