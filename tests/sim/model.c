/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - what a world believes of leases, of who has which thread and of the numbers of logs.
 *
 * It sees the statements of every batch that the database has stored, in their order, those whose
 * answer was lost among them, and knows nothing of what they ask for themselves. So a condition
 * that a statement lacks is found where it is passed:
 *
 *  - a thread is taken by one run at a time; from a worker only when its lease is over, when it
 *    gave the run back or left; each time as a later attempt (or as the same, by the worker that
 *    did not hear of its success)
 *  - whoever writes in the name of a run has the thread, in this attempt and as this worker
 *  - a lease that was over is not renewed
 *  - as many entries were put into a log as its counter says, so no number is left out, also where
 *    a rollback has taken entries away since
 *
 * A new statement that writes in the name of a run is named in holder_of. */
#include "sim.h"

static bool did(const struct db_op *op) { return op->changed > 0 || op->rows.row_count > 0; }

static struct sim_lease *lease_of(struct sim_world *w, struct id worker) {
    for (size_t i = 0; i < w->leases.count; i++)
        if (id_eq(w->leases.p[i].worker, worker))
            return &w->leases.p[i];
    vec_push(&w->leases, (struct sim_lease){.worker = worker});
    return &w->leases.p[w->leases.count - 1];
}

static bool lease_lasts(struct sim_world *w, struct id worker) {
    const struct sim_lease *l = lease_of(w, worker);
    return !l->lapsed && l->until_us > rt_now_us(w->rt);
}

struct sim_held *sim_held(struct sim_world *w, struct id thread) {
    for (size_t i = 0; i < w->held.count; i++)
        if (id_eq(w->held.p[i].hold.thread_id, thread))
            return &w->held.p[i];
    vec_push(&w->held, (struct sim_held){.hold = {.thread_id = thread}});
    return &w->held.p[w->held.count - 1];
}

struct run_hold *sim_begun(struct sim_world *w, struct id run) {
    for (size_t i = 0; i < w->begun.count; i++)
        if (id_eq(w->begun.p[i].run_id, run))
            return &w->begun.p[i];
    vec_push(&w->begun, (struct run_hold){.run_id = run});
    return &w->begun.p[w->begun.count - 1];
}

static void let_go(struct sim_held *h) { h->hold.run_id = h->hold.worker = ID_NIL; }

/* Run, attempt and worker stand behind each other. */
static struct run_hold hold_at(const struct db_op *op, size_t at) {
    ASSERT(op->param_count > at + 2 && op->params[at].type == DB_ID &&
           op->params[at + 1].type == DB_INT && op->params[at + 2].type == DB_ID);
    return (struct run_hold){.thread_id = op->params[0].id,
                             .run_id = op->params[at].id,
                             .attempt = op->params[at + 1].i,
                             .worker = op->params[at + 2].id};
}

/* Where a statement names its run, attempt and worker, right behind its thread or later; 0: it
 * writes in nobody's name. */
static size_t holder_of(enum db_stmt stmt) {
    switch (stmt) {
    case SQL_THREAD_SETTLE:
        return 7;
    case SQL_THREAD_CHECKPOINT:
        return 4;
    case SQL_LOG_BUMP_RUN:
        return 2;
    case SQL_THREAD_HOLD:
    case SQL_THREAD_HAND_BACK:
        return 1;
    default:
        return 0;
    }
}

static bool same_hold(const struct run_hold *a, const struct run_hold *b) {
    return id_eq(a->run_id, b->run_id) && a->attempt == b->attempt && id_eq(a->worker, b->worker);
}

static void begins(struct sim_world *w, const struct db_op *op) {
    struct run_hold now = hold_at(op, 9);
    struct sim_held *h = sim_held(w, now.thread_id);
    struct run_hold *last = sim_begun(w, now.run_id);
    if (!id_is_nil(h->hold.run_id) && !id_eq(h->hold.run_id, now.run_id))
        sim_wrong(w, "run %02x%02x takes a thread that run %02x%02x has", now.run_id.b[14],
                  now.run_id.b[15], h->hold.run_id.b[14], h->hold.run_id.b[15]);
    if (!id_is_nil(h->hold.worker) && !id_eq(h->hold.worker, now.worker) &&
        lease_lasts(w, h->hold.worker))
        sim_wrong(w, "run %02x%02x is taken from a worker whose lease is not over",
                  now.run_id.b[14], now.run_id.b[15]);
    if (now.attempt < last->attempt ||
        (now.attempt == last->attempt && !id_eq(now.worker, last->worker)))
        sim_wrong(w, "attempt %lld of run %02x%02x begins after attempt %lld",
                  (long long)now.attempt, now.run_id.b[14], now.run_id.b[15],
                  (long long)last->attempt);
    *last = h->hold = now;
}

static void writes(struct sim_world *w, const struct db_op *op, size_t at) {
    struct run_hold now = hold_at(op, at);
    struct sim_held *h = sim_held(w, now.thread_id);
    if (!same_hold(&now, &h->hold))
        sim_wrong(w,
                  "attempt %lld of run %02x%02x writes, attempt %lld of run %02x%02x has the "
                  "thread",
                  (long long)now.attempt, now.run_id.b[14], now.run_id.b[15],
                  (long long)h->hold.attempt, h->hold.run_id.b[14], h->hold.run_id.b[15]);
    if (op->stmt == SQL_THREAD_HAND_BACK)
        sim_begun(w, now.run_id)->attempt--; /* it was not spent */
    if (op->stmt == SQL_THREAD_SETTLE || op->stmt == SQL_THREAD_HAND_BACK)
        let_go(h);
}

static void renews(struct sim_world *w, const struct db_op *op) {
    struct sim_lease *l = lease_of(w, op->params[0].id);
    if (l->until_us <= op->params[1].i)
        sim_wrong(w, "a lease that was over is renewed");
    /* Sent in time, stored late: the worker has let go by then, and others may have adopted. */
    l->lapsed = l->lapsed || l->until_us <= rt_now_us(w->rt);
    l->until_us = op->params[1].i + op->params[2].i;
}

void sim_stored(struct sim_world *w, const struct db_batch *b) {
    for (size_t i = 0; i < b->count; i++) {
        const struct db_op *op = &b->ops[i];
        size_t at = holder_of(op->stmt);
        if (!did(op))
            continue;
        if (w->sweeping)
            sim_swept_stored(w, op);
        if (at)
            writes(w, op, at);
        else if (op->stmt == SQL_THREAD_BEGIN)
            begins(w, op);
        else if (op->stmt == SQL_THREAD_LEAVE &&
                 id_eq(sim_held(w, op->params[0].id)->hold.run_id, op->params[1].id))
            let_go(sim_held(w, op->params[0].id));
        else if (op->stmt == SQL_LOG_INSERT)
            sim_held(w, op->params[0].id)->entries++;
        else if (op->stmt == SQL_CRON_FIRE)
            sim_cron_stored(w, op);
        else if (op->stmt == SQL_WORKER_INSERT)
            lease_of(w, op->params[0].id)->until_us = op->params[3].i + op->params[4].i;
        else if (op->stmt == SQL_WORKER_RENEW)
            renews(w, op);
        else if (op->stmt == SQL_WORKER_DELETE)
            lease_of(w, op->params[0].id)->until_us = 0;
    }
}
