/* SPDX-License-Identifier: Apache-2.0 */
/* writer.c - group commit on one connection, with outcomes that are never guessed.
 *
 * While a group is under way, batches gather; the next group takes them all as one unit of work:
 * one round trip, one transaction, one sync of the server's log. One group is under way at a time,
 * so commits happen in the order of submission.
 *
 *            ┌──────────────── kick, end of a group ◀──────────────┐
 *   IDLE ────┴─ build ─▶ GROUP ── committed ─▶ answer all ──────────┤
 *    ▲                     ├ rolled back ─▶ see below ──────────────┤
 *    │                     ├ never sent ─▶ back to the queue ─ PAUSED
 *    │                     └ unknown ─▶ RESOLVING ── row says mine ─▶ answer all
 *    │                                    │  └ row says older ─▶ back to the queue
 *    │                                    └ the row is locked ─▶ EVICTING ─▶ RESOLVING
 *    └── PAUSED (a moment, growing) ◀── no connection
 *
 * A batch that fails must not sink its group. The server rolled the whole unit back, and says which
 * statement failed: the tasks before it, it alone, and the tasks after it run again as three
 * groups, in that order, so the failing batch fails on its own and the order is kept. Serialisation
 * failures and deadlocks run the group again, then its tasks alone.
 *
 * In doubt. Each process has a row (id, epoch, group_no) in holdfast.writers. The witness, which is
 * the first statement of each group or a part of it, writes the group's number, or fails the unit
 * if the row is in another epoch than the writer's. When the connection is lost after a unit was
 * sent, the next connection moves the epoch on and reads the number: that waits for a transaction
 * that is still under way, and one that comes later meets the new epoch and fails. So the number
 * tells exactly whether the group was committed. (A row that somebody has removed is made again by
 * the next group; when a connection is lost before that, its group stays in doubt.) A connection
 * that neither ends nor goes on (a host that vanished) is ended by the server on request, found by
 * the transaction that holds the row.
 *
 * A group that was committed while its results were lost is answered as far as the results are not
 * wanted; a batch that needs returned rows gets ERR_UNAVAILABLE with `committed` set.
 *
 * Waiting is bounded by each task's deadline. A task whose deadline passes in doubt is answered
 * ERR_UNAVAILABLE; the epoch moves on all the same before anything else is written. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "db/postgres/pgdb_int.h"
#include "db/stmt_log.h"

#define GROUP_TRIES_MAX    3  /* of a group, before its tasks run alone */
#define ALONE_TRIES_MAX    10 /* of one batch that meets others again and again */
#define RESOLVE_TIMEOUT_US 3000000
#define PAUSE_MIN_US       10000
#define PAUSE_MAX_US       500000

static void next(struct pgdb_writer *w);

static struct pgdb_writer *writer_of(struct pg_work *work) {
    return CONTAINER_OF(work, struct pgdb_writer, work);
}

int pgdb_unavailable(struct err *err, const struct err *why) {
    struct err cause = why ? *why : (struct err){0};
    err_set(err, ERR_UNAVAILABLE, "the database cannot be reached now%s%s",
            cause.message[0] ? ": " : "", cause.message);
    if (err)
        err->retry_after_ms = PGDB_RETRY_AFTER_MS;
    return ERR_UNAVAILABLE;
}

int pgdb_too_late(struct err *err, const char *statement, const struct err *why) {
    log_event(LOG_WARN, "db.query.timeout", why->message, LOG_Z("statement", statement));
    return err_set(err, ERR_TIMEOUT, "%s", err_text(ERR_TIMEOUT));
}

/* --- answers --------------------------------------------------------------------------------- */

/* The task is gone from here on. */
static void finish(struct pgdb_writer *w, struct pgdb_task *t, int code) {
    list_remove(&t->node);
    w->count--;
    w->batches++;
    w->statements += t->batch->count;
    w->errors += code < 0;
    t->code = code;
    t->finished = true;
    fiber_unpark(t->fiber);
}

static void finish_all(struct pgdb_writer *w, struct list *tasks, int code, const struct err *err) {
    struct err why = *err; /* it may be one of theirs */
    LIST_EACH (tasks, node) {
        struct pgdb_task *t = PGDB_TASK(node);
        t->err = why;
        finish(w, t, code);
    }
}

/* Those whose time is over. */
static void expire(struct pgdb_writer *w, struct list *tasks, bool in_doubt) {
    int64_t now_us = clock_mono_us();
    LIST_EACH (tasks, node) {
        struct pgdb_task *t = PGDB_TASK(node);
        if (t->deadline_us > now_us)
            continue;
        (void)pgdb_unavailable(&t->err, NULL);
        t->batch->in_doubt = in_doubt;
        w->in_doubt += in_doubt;
        finish(w, t, ERR_UNAVAILABLE);
    }
}

/* The group's tasks go back to where they came from, in their order. */
static void put_back(struct pgdb_writer *w) {
    list_splice(&w->group, &w->waiting);
    list_splice(&w->waiting, &w->group);
}

static void pause_then_next(struct pgdb_writer *w);

static void kick(struct pgdb_writer *w) { rt_defer(w->driver->rt, &w->kick); }

/* --- the end of a group ---------------------------------------------------------------------- */

static void group_committed(struct pgdb_writer *w) {
    struct err err = {0};
    w->commits++;
    w->pause_us = 0;
    metric_add(w->driver->db.metrics.commits, 1);
    int code = FAILPOINT("db.commit.after");
    if (code < 0)
        err_set(&err, code, "failpoint db.commit.after");
    LIST_EACH (&w->group, node) {
        struct pgdb_task *t = PGDB_TASK(node);
        t->batch->committed = true;
        if (code < 0)
            t->err = err;
        finish(w, t, code < 0 ? code : t->code);
    }
}

/* Committed, but the connection was lost before all results had come. */
static void task_committed_unseen(struct pgdb_writer *w, struct pgdb_task *t) {
    struct db_batch *b = t->batch;
    b->committed = true;
    bool rows_lost = false;
    for (size_t i = 0; i < b->count; i++) {
        struct db_op *op = &b->ops[i];
        if (op->changed != PGDB_UNANSWERED)
            continue;
        op->rows = (struct db_rows){0};
        op->changed = op->expect.kind == DB_CHANGES || db_catalogue[op->stmt].many;
        rows_lost |=
            w->driver->texts.of[op->stmt][PGDB_PLAIN].column_count > 0 || op->expect.counted;
    }
    if (rows_lost) {
        err_set(&t->err, ERR_UNAVAILABLE,
                "The change was made, but the database was lost before its result had come.");
        t->err.retry_after_ms = PGDB_RETRY_AFTER_MS;
        t->code = ERR_UNAVAILABLE;
    }
    finish(w, t, t->code);
}

static bool state_is(const struct pg_work *work, const char *sqlstate) {
    return strncmp(work->sqlstate, sqlstate, strlen(sqlstate)) == 0;
}

/* Met another transaction: the same may go well the next time. */
static bool is_conflict(const struct pg_work *work) {
    return state_is(work, "40") || state_is(work, "55P03");
}

static bool every_task_alone(struct pgdb_writer *w) {
    bool changed = false;
    LIST_EACH (&w->group, node) {
        struct pgdb_task *t = PGDB_TASK(node);
        changed |= !t->alone;
        t->alone = true;
        t->tries = 0;
    }
    return changed;
}

static void group_conflicted(struct pgdb_writer *w) {
    bool again = true;
    LIST_EACH (&w->group, node) {
        struct pgdb_task *t = PGDB_TASK(node);
        again &= ++t->tries <= (t->alone ? ALONE_TRIES_MAX : GROUP_TRIES_MAX);
    }
    if (!again && !every_task_alone(w)) {
        struct err err = {0};
        err_set(&err, ERR_UNAVAILABLE, "Others are changing the same data; try again later.");
        err.retry_after_ms = PGDB_RETRY_AFTER_MS;
        finish_all(w, &w->group, ERR_UNAVAILABLE, &err);
        return;
    }
    put_back(w);
}

/* The failing statement belongs to `t`, which was alone: its answer. */
static void task_failed(struct pgdb_writer *w, struct pgdb_task *t, size_t at) {
    const struct pg_work *work = &w->work;
    const struct db_op *op = &t->batch->ops[at];
    int code = work->code;
    t->batch->failed_at = at;
    if (state_is(work, PGDB_SQLSTATE_EXPECTATION) && op->expect.kind != DB_ANY)
        code = err_set(&t->err, op->expect.code, "%s", err_text(op->expect.code));
    else if (code == ERR_TIMEOUT)
        code = pgdb_too_late(&t->err, db_catalogue[op->stmt].name, &work->err);
    else
        code = err_set(&t->err, code, "%s", work->err.message); /* names the statement */
    finish(w, t, code);
}

/* Marks the tasks behind a failed call; they and those around them run again. */
static void isolate(struct pgdb_writer *w, size_t call) {
    struct pgdb_call_span span = w->unit.spans[call];
    bool named = state_is(&w->work, PGDB_SQLSTATE_EXPECTATION) &&
                 pgdb_group_failed(&w->unit, call, w->work.err.message);
    for (size_t i = 0; i < span.count && !named; i++)
        w->unit.refs[span.first + i].task->alone = true;
    w->reruns++;
    put_back(w);
}

static void group_rolled_back(struct pgdb_writer *w) {
    const struct pg_work *work = &w->work;
    struct pgdb_task *t;
    size_t at = 0;
    if (is_conflict(work)) {
        group_conflicted(w);
        return;
    }
    if (work->code == ERR_UNAVAILABLE && !state_is(work, "53")) { /* the server goes down */
        w->resolve = true;
        put_back(w);
        pause_then_next(w);
        return;
    }
    if (work->failed_at == 0 && state_is(work, PGDB_SQLSTATE_WITNESS)) {
        w->resolve = true;
        put_back(w);
        pause_then_next(w);
        return;
    }
    pgdb_group_at(&w->unit, work->failed_at, &t, &at);
    if (t && w->unit.task_count == 1 && (t->alone || w->unit.spans[work->failed_at].count == 1))
        task_failed(w, t, at);
    else if (t)
        isolate(w, work->failed_at);
    else if (w->unit.task_count > 1 && !state_is(work, "53") && every_task_alone(w))
        put_back(w);
    else
        finish_all(w, &w->group, work->code, &work->err);
}

static void note_group(struct pgdb_writer *w) {
    stmt_log(w->driver->options.log_all, "commit", "COMMIT", w->work.run_us,
             (int64_t)w->unit.statement_count);
}

static void on_group_done(struct pg_work *work) {
    struct pgdb_writer *w = writer_of(work);
    ASSERT(w->state == PGDB_GROUP);
    w->state = PGDB_IDLE;
    note_group(w);
    switch (work->outcome) {
    case PG_COMMITTED:
        group_committed(w);
        break;
    case PG_ROLLED_BACK:
        group_rolled_back(w);
        break;
    case PG_NOT_SENT:
        put_back(w);
        pause_then_next(w);
        break;
    case PG_UNKNOWN:
        w->resolve = true;
        break;
    }
    if (list_empty(&w->waiting))
        kick(w);
    else /* before the fibers run that have their answers now: the server is idle meanwhile */
        next(w);
}

static int on_group_result(struct pg_work *work, size_t index, const struct pg_result *r,
                           struct err *err) {
    (void)err; /* what fails here is a task's own matter */
    pgdb_group_result(&writer_of(work)->unit, index, r);
    return 0;
}

/* --- the writer's own statements ----------------------------------------------------------- */

static int on_own_result(struct pg_work *work, size_t index, const struct pg_result *r,
                         struct err *err) {
    (void)index;
    (void)err; /* nothing here fails */
    struct pgdb_writer *w = writer_of(work);
    w->answered = pg_row_count(r) > 0;
    for (size_t i = 0; w->answered && i < ARRAY_COUNT(w->answer) && i < pg_column_count(r); i++)
        w->answer[i] = pg_cell_int(r, 0, i);
    return 0;
}

static void own_call(struct pgdb_writer *w, const char *name, const char *sql, size_t params,
                     enum pg_lane lane, void (*done)(struct pg_work *)) {
    w->params[0] = pg_uuid(w->id);
    w->call =
        (struct pg_call){.name = name, .sql = sql, .params = w->params, .param_count = params};
    w->answered = false;
    w->work = (struct pg_work){.lane = lane,
                               .calls = &w->call,
                               .call_count = 1,
                               .timeout_us = RESOLVE_TIMEOUT_US,
                               .result = on_own_result,
                               .done = done};
}

/* Queues the work; when that fails, done runs as if it had not been sent. */
static void submit(struct pgdb_writer *w) {
    struct err err = {0};
    int code = pg_pool_submit(w->driver->pool, &w->work, &err);
    if (code == 0)
        return;
    w->work.code = code;
    w->work.err = err;
    w->work.outcome = PG_NOT_SENT;
    w->work.done(&w->work);
}

static void resolved(struct pgdb_writer *w) {
    w->resolve = false;
    w->pause_us = 0;
    w->epoch = w->answer[1];
    bool committed = w->answer[0] == w->group_no;
    if (list_empty(&w->group))
        return;
    log_event(LOG_WARN, "db.commit.resolved", "a commit whose connection was lost was looked up",
              LOG_INT("batches", (int64_t)w->unit.task_count),
              LOG_Z("committed", committed ? "yes" : "no"));
    if (!committed) {
        put_back(w);
        return;
    }
    w->commits++;
    metric_add(w->driver->db.metrics.commits, 1);
    LIST_EACH (&w->group, node)
        task_committed_unseen(w, PGDB_TASK(node));
}

static void on_registered(struct pg_work *work) {
    struct pgdb_writer *w = writer_of(work);
    ASSERT(w->state == PGDB_RESOLVING);
    w->state = PGDB_IDLE;
    if (work->outcome == PG_COMMITTED)
        w->resolve = false;
    else
        pause_then_next(w);
    kick(w);
}

/* The row is gone: whether the group was committed cannot be known any more. */
static void register_again(struct pgdb_writer *w) {
    struct err err = {0};
    (void)pgdb_unavailable(&err, NULL);
    LIST_EACH (&w->group, node) {
        PGDB_TASK(node)->batch->in_doubt = true;
        w->in_doubt++;
    }
    finish_all(w, &w->group, ERR_UNAVAILABLE, &err);
    w->state = PGDB_RESOLVING;
    w->id = id_v7();
    w->epoch = 1;
    w->group_no = 0;
    own_call(w, "writer_register", db_postgres_own[PGDB_WRITER_REGISTER], 1, PG_LANE_ORDER,
             on_registered);
    submit(w);
}

static void on_evicted(struct pg_work *work) {
    struct pgdb_writer *w = writer_of(work);
    ASSERT(w->state == PGDB_EVICTING);
    w->state = PGDB_IDLE;
    if (work->outcome == PG_COMMITTED && w->answered)
        log_plain(LOG_WARN, "db.writer.evicted",
                  "a connection that was lost still held the writer's row; it was ended");
    kick(w);
}

static void evict(struct pgdb_writer *w) {
    w->state = PGDB_EVICTING;
    own_call(w, "writer_evict", db_postgres_own[PGDB_WRITER_EVICT], 1, PG_LANE_SLOW, on_evicted);
    submit(w);
}

static void on_resolved(struct pg_work *work) {
    struct pgdb_writer *w = writer_of(work);
    ASSERT(w->state == PGDB_RESOLVING);
    w->state = PGDB_IDLE;
    if (work->outcome == PG_COMMITTED && w->answered) {
        resolved(w);
    } else if (work->outcome == PG_COMMITTED) {
        register_again(w);
        return;
    } else if (work->code == ERR_TIMEOUT && work->outcome != PG_NOT_SENT) {
        evict(w);
        return;
    } else {
        pause_then_next(w);
    }
    kick(w);
}

static void resolve(struct pgdb_writer *w) {
    w->state = PGDB_RESOLVING;
    own_call(w, "writer_resolve", db_postgres_own[PGDB_WRITER_RESOLVE], 1, PG_LANE_ORDER,
             on_resolved);
    submit(w);
}

/* --- the next step --------------------------------------------------------------------------- */

static void on_pause_over(struct rt_timer *timer) {
    struct pgdb_writer *w = CONTAINER_OF(timer, struct pgdb_writer, timer);
    ASSERT(w->state == PGDB_PAUSED);
    w->state = PGDB_IDLE;
    next(w);
}

static void pause_then_next(struct pgdb_writer *w) {
    ASSERT(w->state == PGDB_IDLE);
    w->pause_us = w->pause_us == 0                 ? PAUSE_MIN_US
                  : w->pause_us * 2 > PAUSE_MAX_US ? PAUSE_MAX_US
                                                   : w->pause_us * 2;
    w->state = PGDB_PAUSED;
    rt_timer_start(w->driver->rt, &w->timer, w->pause_us, on_pause_over);
}

static void send_group(struct pgdb_writer *w) {
    struct list refused;
    list_init(&refused);
    w->group_no++;
    bool any = pgdb_group_build(w, &refused);
    LIST_EACH (&refused, node)
        finish(w, PGDB_TASK(node), PGDB_TASK(node)->code);
    int code = any ? FAILPOINT("db.commit.before") : 0;
    if (code < 0) {
        struct err err = {0};
        err_set(&err, code, "failpoint db.commit.before");
        finish_all(w, &w->group, code, &err);
        any = false;
    }
    if (!any) {
        kick(w);
        return;
    }
    w->state = PGDB_GROUP;
    w->work = (struct pg_work){.lane = PG_LANE_ORDER,
                               .calls = w->unit.calls,
                               .call_count = w->unit.call_count,
                               .at_once = true,
                               .result = on_group_result,
                               .done = on_group_done};
    submit(w);
}

static void on_forgotten(struct pg_work *work) {
    struct pgdb_writer *w = writer_of(work);
    w->closed(w->closed_ctx); /* a row that stays harms nobody */
}

static void forget(struct pgdb_writer *w) {
    struct pg_stats s;
    pg_pool_stats(w->driver->pool, &s);
    w->state = PGDB_CLOSED;
    own_call(w, "writer_forget", db_postgres_own[PGDB_WRITER_FORGET], 1, PG_LANE_ORDER,
             on_forgotten);
    if (w->driver->registered && s.health == PG_UP)
        submit(w);
    else
        on_forgotten(&w->work);
}

static void next(struct pgdb_writer *w) {
    if (w->state != PGDB_IDLE)
        return;
    if (w->closed) {
        forget(w);
        return;
    }
    expire(w, &w->group, true);
    expire(w, &w->waiting, false);
    if (list_empty(&w->group) && list_empty(&w->waiting))
        return;
    if (w->resolve)
        resolve(w);
    else
        send_group(w);
}

static void on_kick(struct rt_defer *d) { next(CONTAINER_OF(d, struct pgdb_writer, kick)); }

/* --- for the driver -------------------------------------------------------------------------- */

int pgdb_writer_run(struct pgdb_writer *w, struct db_batch *b, struct err *err) {
    const struct db_postgres_options *o = &w->driver->options;
    if (w->count >= o->queue_count_max)
        return err_set(err, ERR_LIMIT, "the database has %zu operations waiting", w->count);
    struct pgdb_task t = {
        .fiber = fiber_self(), .batch = b, .deadline_us = clock_mono_us() + o->commit_wait_us};
    list_push_back(&w->waiting, &t.node);
    w->count++;
    kick(w);
    while (!t.finished)
        fiber_park_shielded();
    if (t.code < 0 && err)
        *err = t.err;
    return t.code;
}

void pgdb_writer_init(struct pgdb_writer *w, struct pgdb *d) {
    *w = (struct pgdb_writer){.driver = d, .state = PGDB_IDLE, .id = id_v7(), .epoch = 1};
    w->kick.fn = on_kick;
    list_init(&w->waiting);
    list_init(&w->group);
    pgdb_group_init(&w->unit);
}

int pgdb_writer_open(struct pgdb_writer *w, struct err *err) {
    own_call(w, "writer_register", db_postgres_own[PGDB_WRITER_REGISTER], 1, PG_LANE_ORDER, NULL);
    return pg_pool_run(w->driver->pool, &w->work, err);
}

void pgdb_writer_close(struct pgdb_writer *w, void (*closed)(void *ctx), void *ctx) {
    ASSERT(w->count == 0);
    if (w->state == PGDB_PAUSED) {
        rt_timer_stop(w->driver->rt, &w->timer);
        w->state = PGDB_IDLE;
    }
    w->closed = closed;
    w->closed_ctx = ctx;
    kick(w); /* when nothing of its own is under way */
}

void pgdb_writer_deinit(struct pgdb_writer *w) {
    ASSERT(w->count == 0);
    ASSERT(!list_linked(&w->kick.node));
    pgdb_group_deinit(&w->unit);
}
