/* SPDX-License-Identifier: Apache-2.0 */
/* thread_ttl.c - threads that end some time after their last use.
 *
 * The row names three things: what happens at the end, ttl, and ttl_check_at. Runs do not touch
 * them: the end is updated_at + ttl whenever somebody looks. The sweep takes threads in the order
 * of ttl_check_at and
 *
 *   not over            looks again at its end
 *   over, a live run    looks again in some minutes
 *   over, delete        deletes it, if it is still idle and unused in the same transaction
 *   over, keep_latest   prunes it, then looks again after its ttl, or after half the time that it
 *                       has been idle for, if that is longer (a day at most): an old thread costs
 *                       next to nothing, and one that is used again is pruned again
 *
 * so no state beside the row has to be kept right. */
#include "store/thread_ttl.h"

#include "store/thread_prune.h"

#define BUSY_AGAIN_US (INT64_C(300) * 1000000)
#define IDLE_AGAIN_US (INT64_C(86400) * 1000000)

static struct thread_ttl ttl_from_row(const struct db_rows *r, size_t row, size_t col) {
    struct thread_ttl ttl = {.us = db_int(r, row, col + 1)};
    if (!prune_strategy_parse(db_str(r, row, col), &ttl.strategy))
        ttl.us = 0;
    return ttl;
}

int thread_ttl_read(struct store *s, struct thread *t, struct arena *a, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_THREAD_TTL_GET, DB_PARAMS(DB_UUID(t->id)), a, &rows, err);
    if (rc == 0 && rows.row_count > 0)
        t->ttl = ttl_from_row(&rows, 0, 0);
    return rc;
}

void thread_ttl_add(struct db_batch *b, const struct principal *who, struct id id,
                    const struct thread_ttl *ttl, int64_t now_us) {
    bool ends = ttl->us > 0;
    db_batch_add(b, SQL_THREAD_TTL_SET,
                 DB_PARAMS(DB_UUID(id), DB_T(principal_owner_low(who)),
                           DB_T(principal_owner_high(who)),
                           ends ? DB_T(prune_strategy_name(ttl->strategy)) : DB_NIL,
                           ends ? DB_I(ttl->us) : DB_NIL, DB_I(now_us)),
                 DB_EXPECT_CHANGE(ERR_NOT_FOUND));
}

void thread_hold_idle_add(struct db_batch *b, struct id id, int64_t used_us) {
    db_batch_add(b, SQL_THREAD_HOLD_IDLE, DB_PARAMS(DB_UUID(id), DB_I(used_us)),
                 DB_EXPECT_CHANGE(ERR_CONFLICT));
}

static int look_again(struct store *s, struct id id, int64_t at_us, struct arena *a,
                      struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    db_batch_add(&b, SQL_THREAD_TTL_LATER, DB_PARAMS(DB_UUID(id), DB_I(at_us)), DB_EXPECT_NONE);
    return db_commit(s->db, &b, err);
}

static int64_t idle_again(const struct thread *t, int64_t now_us) {
    int64_t half = (now_us - t->updated_at) / 2;
    int64_t wait_us = half < IDLE_AGAIN_US ? half : IDLE_AGAIN_US;
    return now_us + (wait_us > t->ttl.us ? wait_us : t->ttl.us);
}

/* It is over: what its row says happens to it. */
static int end_one(struct store *s, const struct thread_expiry *x, const struct thread *t,
                   struct arena *a, struct err *err) {
    int64_t removed;
    int rc;
    if (t->ttl.strategy == PRUNE_KEEP_LATEST) {
        rc = thread_prune(s, t, &PRUNE_TO_LATEST, a, &removed, err);
        return rc < 0 ? rc : look_again(s, t->id, idle_again(t, x->now_us), a, err);
    }
    rc = thread_delete_idle(s, t, a, err);
    if (rc == 0 && x->gone)
        x->gone(x->ctx, t->id);
    return rc;
}

/* An error that the next thread would meet, too. */
static bool is_general(int rc) {
    return rc == ERR_UNAVAILABLE || rc == ERR_LIMIT || rc == ERR_IO || rc == ERR_CANCELLED ||
           rc == ERR_TIMEOUT;
}

static int expire_one(struct store *s, const struct thread_expiry *x, const struct thread *t,
                      struct arena *a, struct err *err) {
    if (t->updated_at > x->now_us - t->ttl.us)
        return look_again(s, t->id, t->updated_at + t->ttl.us, a, err);
    struct err inner = {0};
    int rc = end_one(s, x, t, a, &inner);
    if (rc == 0)
        return 0;
    if (is_general(rc)) {
        if (err)
            *err = inner;
        return rc;
    }
    if (rc != ERR_CONFLICT && x->failed)
        x->failed(x->ctx, t->id, &inner);
    return look_again(s, t->id, x->now_us + BUSY_AGAIN_US, a, err);
}

int thread_expire(struct store *s, const struct thread_expiry *x, struct arena *a,
                  int64_t *out_looked, struct err *err) {
    struct db_rows rows;
    struct arena each;
    *out_looked = 0;
    int rc = db_read(s->db, SQL_THREAD_TTL_DUE, DB_PARAMS(DB_I(x->now_us), DB_I(x->limit)), a,
                     &rows, err);
    arena_init(&each, SIZE_MAX / 2);
    for (size_t i = 0; rc == 0 && i < rows.row_count; i++) {
        struct thread t = {.id = db_id(&rows, i, 0),
                           .ttl = ttl_from_row(&rows, i, 1),
                           .updated_at = db_int(&rows, i, 3)};
        bool gone = db_is_null(&rows, i, 3); /* others look after it */
        arena_reset(&each);
        rc = gone || t.ttl.us == 0 ? look_again(s, t.id, x->now_us + IDLE_AGAIN_US, &each, err)
                                   : expire_one(s, x, &t, &each, err);
        *out_looked += rc == 0;
    }
    arena_deinit(&each);
    return rc;
}
