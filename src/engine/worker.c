/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - this process among the others: its lease, the runs that it has to execute, and who of
 * them does the work of all: crons and background jobs (sweep.c).
 *
 *   register ─▶ alive ──renewed every quarter──▶ alive
 *      ▲          └─ lease over (own monotonic clock), or found over in the database
 *      │                 ▼
 *      └── new id ── lost: all runs here are let go, nothing is begun
 *
 * The lease is counted from before the statement that renews it was sent, so it is over here before
 * it is over for the others. A process that slept through its end finds out when it wakes; what it
 * writes before is refused, because others have taken its threads.
 *
 * A run's row names the worker that has to execute it. Rows whose worker is gone are adopted: they
 * get this worker's name, then they are entered like runs that were accepted here. A row that names
 * this worker but is no live run here (a stray: its answer was lost, its fiber could not start, the
 * database refused its end) is found by looking, and entered too, so that none is left behind. */
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine_int.h"

#define MINE_PAGE         500
#define STRAY_WAIT_US     1000000
#define BEATS_PER_LEASE   4
#define BEAT_RETRY_US_MAX 500000
#define ADOPT_MAX         100
#define WISHES_US         250000
#define WISHES_MAX        1000

/* --- runs that this worker has to execute and did not know of --- */

static void adopt_run(struct engine *e, const struct run *row) {
    struct live_run *run = live_run_new(e);
    struct arena *a = &run->arena;
    run->row = *row;
    run->row.metadata = arena_dup(a, row->metadata);
    run->row.kwargs = arena_dup(a, row->kwargs);
    run->row.multitask_strategy = arena_dup(a, row->multitask_strategy);
    run->begun_us = clock_mono_us();
    run->adopted = true;
    run->topic = hub_topic_ref(e->hub, row->thread_id);
    live_run_enter(run);
    if (row->created_at > rt_now_us(e->rt))
        live_run_delay(run, row->created_at);
    else
        live_run_enqueue(run);
}

static bool known(struct engine *e, struct id run_id) {
    if (map_get(&e->live, id_key(&run_id)))
        return true;
    LIST_EACH (&e->arriving, n) {
        if (id_eq(LIST_ENTRY(n, struct live_run, arriving)->row.id, run_id))
            return true;
    }
    return false;
}

static int enter_mine(struct engine *e, size_t *out_entered, struct err *err) {
    struct id after = ID_NIL, worker = e->worker;
    size_t count;
    *out_entered = 0;
    do {
        struct arena a;
        struct run *rows;
        arena_init(&a, SIZE_MAX / 2);
        int rc = run_list_of_worker(e->store, worker, after, MINE_PAGE, &a, &rows, &count, err);
        if (!id_eq(worker, e->worker)) /* the lease was lost meanwhile */
            count = 0;
        for (size_t i = 0; rc == 0 && i < count && !e->draining; i++) {
            after = rows[i].id;
            if (known(e, rows[i].id))
                continue;
            adopt_run(e, &rows[i]);
            ++*out_entered;
        }
        arena_deinit(&a);
        if (rc < 0)
            return rc;
    } while (count == MINE_PAGE && !e->draining);
    return 0;
}

/* As many runs of workers that are gone as there are places for, twice. */
static int adopt(struct engine *e, int64_t limit, int64_t *out_count, struct err *err) {
    struct arena a;
    size_t entered = 0;
    int64_t changed = 0;
    *out_count = 0;
    arena_init(&a, 1 << 20);
    int rc = run_adopt(e->store, e->worker, rt_now_us(e->rt), limit, &a, &changed, err);
    arena_deinit(&a);
    if (rc < 0)
        engine_look_for_strays(e); /* it may have been done all the same */
    else if (changed > 0)
        rc = enter_mine(e, &entered, err);
    if (rc < 0 && changed > 0)
        engine_look_for_strays(e);
    e->w.adopted += entered;
    metric_add(e->metrics.adopted, (int64_t)entered);
    if (entered)
        worker_wishes_soon(e); /* somebody may have asked while nobody had them */
    *out_count = changed;
    if (entered)
        log_event(LOG_INFO, "engine.recovered", "runs of a process that is gone are queued again",
                  LOG_INT("runs", entered));
    return rc;
}

static void stray_fiber(void *arg) {
    struct engine *e = arg;
    struct err err = {0};
    size_t entered = 0;
    e->look_again = false;
    int rc = e->draining ? 0 : enter_mine(e, &entered, &err);
    e->looking = false;
    e->helpers--;
    if (rc < 0 || e->look_again)
        engine_look_for_strays(e);
    if (entered)
        worker_wishes_soon(e);
    if (entered)
        log_event(LOG_WARN, "engine.strays", "runs that had slipped away are queued again",
                  LOG_INT("runs", entered));
}

static void on_stray_due(struct rt_timer *t) {
    struct engine *e = CONTAINER_OF(t, struct engine, stray_timer);
    if (fiber_spawn(e->rt, "engine.strays", stray_fiber, e, NULL))
        e->helpers++;
    else
        rt_timer_start(e->rt, t, STRAY_WAIT_US, on_stray_due);
}

void engine_look_for_strays(struct engine *e) {
    e->look_again = true; /* what is being read now may be older than what is asked for */
    if (e->looking || e->draining)
        return;
    e->looking = true;
    rt_timer_start(e->rt, &e->stray_timer, STRAY_WAIT_US, on_stray_due);
}

/* --- the lease --- */

/* All that this worker had is the others' now. */
static void lose(struct engine *e, const char *why) {
    if (!e->w.registered)
        return;
    e->w.registered = e->w.leads = false;
    e->w.leases_lost++;
    metric_add(e->metrics.leases_lost, 1);
    e->worker = id_v7();
    rt_timer_stop(e->rt, &e->w.lease_timer);
    log_event(LOG_WARN, "worker.lease.lost", why, LOG_INT("runs", e->live.count));
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    struct live_run **runs = ARENA_ARRAY(&a, struct live_run *, e->live.count + 1);
    size_t count = 0, at = 0;
    str key;
    void *value;
    while (map_next(&e->live, &at, &key, &value)) {
        runs[count] = value;
        live_run_ref(runs[count++]);
    }
    for (size_t i = 0; i < count; i++) {
        struct live_run *run = runs[i];
        if (run->state == LIVE_RUNNING) {
            live_run_cut_short(run);
        } else if (run->state == LIVE_PENDING || run->state == LIVE_DELAYED) {
            run->moved = true;
            live_run_drop(run);
        }
        live_run_unref(run);
    }
    LIST_EACH (&e->arriving, n) {
        struct live_run *run = LIST_ENTRY(n, struct live_run, arriving);
        if (run->early)
            live_run_cut_short(run);
    }
    arena_deinit(&a);
    fiber_event_wake_all(&e->w.beat_wake);
}

static void on_lease_over(struct rt_timer *t) {
    lose(CONTAINER_OF(t, struct engine, w.lease_timer), "it could not be renewed in time");
}

static int beat(struct engine *e, struct err *err) {
    struct arena a;
    int64_t sent_us = clock_mono_us(), now = rt_now_us(e->rt), others = e->w.others;
    struct id worker = e->worker;
    bool renew = e->w.registered;
    arena_init(&a, 1 << 20);
    int rc;
    if (renew) {
        rc = worker_renew(e->store, worker, now, e->o.lease_us, &a, &others, err);
    } else {
        struct worker w = {.id = worker,
                           .host = str_of(e->o.host),
                           .pid = e->o.pid,
                           .address = e->o.address ? str_of(e->o.address) : STR_NULL};
        rc = worker_register(e->store, &w, now, e->o.lease_us, &a, err);
    }
    arena_deinit(&a);
    if (!id_eq(worker, e->worker))
        return err_set(err, ERR_FENCED, "the lease was over before it was renewed");
    if (e->w.left)
        return 0;
    if (rc == ERR_FENCED)
        lose(e, "another worker has found it to be over");
    if (rc == ERR_EXISTS) /* its answer was lost */
        e->worker = id_v7();
    if (rc < 0)
        return rc;
    e->w.lease_until_us = sent_us + e->o.lease_us;
    int64_t left = e->w.lease_until_us - clock_mono_us();
    e->w.registered = true;
    if (e->w.others != others)
        crons_wake(e); /* how often it has to look depends on them */
    e->w.others = others;
    rt_timer_start(e->rt, &e->w.lease_timer, left > 0 ? left : 0, on_lease_over);
    if (!renew) {
        e->w.adopt_due_us = 0;
        engine_use_places(e); /* for runs whose acceptance had begun before the lease was lost */
        fiber_event_wake_all(&e->w.chore_wake);
    }
    return 0;
}

static void beat_fiber(void *arg) {
    struct engine *e = arg;
    int64_t period = e->o.lease_us / BEATS_PER_LEASE;
    int64_t retry = period / 4 < BEAT_RETRY_US_MAX ? period / 4 : BEAT_RETRY_US_MAX;
    int64_t wait_us = period;
    for (;;) {
        (void)fiber_event_wait(&e->w.beat_wake, rt_mono_us(e->rt) + wait_us);
        if (e->w.stop && !e->w.registered)
            break;
        struct err err = {0};
        int rc = beat(e, &err);
        if (rc < 0)
            log_event(LOG_WARN, "worker.beat.failed", err.message, LOG_Z("code", err_name(rc)));
        else
            hints_peers(e);
        wait_us = rc == 0 ? period : rc == ERR_FENCED || rc == ERR_EXISTS ? 0 : retry;
    }
    e->w.beating = false;
}

/* --- chores --- */

static void chore_adopt(struct engine *e) {
    struct err err = {0};
    int64_t places = (int64_t)(e->o.running_max - e->running), count = 0;
    int64_t limit = places * 2 < ADOPT_MAX ? places * 2 : ADOPT_MAX;
    e->w.adopt_due_us = rt_mono_us(e->rt) + e->o.lease_us / BEATS_PER_LEASE;
    if (limit <= 0 || e->pending + e->delayed >= e->o.pending_max)
        return;
    int rc = adopt(e, limit, &count, &err);
    if (rc < 0)
        log_event(LOG_WARN, "worker.adopt.failed", err.message, LOG_Z("code", err_name(rc)));
    else if (count == limit)
        e->w.adopt_due_us = 0; /* there may be more */
}

static void chore_wishes(struct engine *e) {
    struct arena a;
    struct run_wish *wishes;
    size_t count = 0;
    struct err err = {0};
    e->w.wishes_due_us = rt_mono_us(e->rt) + WISHES_US;
    e->w.wishes_wanted = false;
    if (e->live.count == 0)
        return;
    arena_init(&a, SIZE_MAX / 2);
    int rc = run_wishes(e->store, e->worker, WISHES_MAX, &a, &wishes, &count, &err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct live_run *run = engine_find(e, wishes[i].run_id);
        if (run && live_run_cancel(run, wishes[i].action, wishes[i].reason, &err) < 0)
            log_event(LOG_WARN, "run.cancel.failed", err.message);
        live_run_unref(run);
    }
    if (rc < 0)
        log_event(LOG_WARN, "worker.wishes.failed", err.message, LOG_Z("code", err_name(rc)));
    arena_deinit(&a);
}

void worker_wishes_soon(struct engine *e) {
    e->w.wishes_wanted = true;
    e->w.wishes_due_us = 0;
    fiber_event_wake_all(&e->w.chore_wake);
}

static bool wishes_possible(const struct engine *e) {
    return e->w.wishes_wanted || (e->o.shared && e->w.others > 0 && e->live.count > 0);
}

/* Who leads does so for two leases, unless it leaves. */
static void chore_lead(struct engine *e) {
    struct arena a;
    struct err err = {0};
    bool led = e->w.leads, leads = !e->o.shared;
    int rc = 0;
    e->w.lead_due_us = e->o.shared ? rt_mono_us(e->rt) + e->o.lease_us : INT64_MAX;
    arena_init(&a, 1 << 20);
    if (e->o.shared)
        rc = leader_take(e->store, STR("sweep"), e->worker, rt_now_us(e->rt), e->o.lease_us * 2, &a,
                         &leads, &err);
    arena_deinit(&a);
    e->w.leads = leads; /* not before the answer: crons that look meanwhile would sleep for long */
    if (rc < 0)
        log_event(LOG_WARN, "worker.lead.failed", err.message, LOG_Z("code", err_name(rc)));
    if (!leads || led)
        return;
    if (e->o.shared)
        log_plain(LOG_INFO, "worker.leads", "this worker does the work of all");
    crons_wake(e);
    if (e->jobs)
        jobs_wake(e->jobs);
}

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

static void chore_fiber(void *arg) {
    struct engine *e = arg;
    struct worker_state *w = &e->w;
    while (!w->stop) {
        int64_t now = rt_mono_us(e->rt), next = now + BEAT_RETRY_US_MAX;
        if (engine_is_worker(e)) {
            if (e->o.shared && w->adopt_due_us <= now)
                chore_adopt(e);
            if (wishes_possible(e) && w->wishes_due_us <= now)
                chore_wishes(e);
            if (w->lead_due_us <= now && !w->stop)
                chore_lead(e);
            next = w->lead_due_us;
            if (e->o.shared)
                next = min_of(next, w->adopt_due_us);
            if (wishes_possible(e))
                next = min_of(next, w->wishes_due_us);
        }
        if (!w->stop)
            (void)fiber_event_wait(&w->chore_wake, next);
    }
    e->helpers--;
}

/* --- start and end --- */

static void on_committed(void *ctx, struct id thread_id) { hint_thread(ctx, thread_id); }

static void gone_fiber(void *arg) {
    struct live_run *run = arg;
    struct engine *e = run->engine;
    live_run_learn_fate(run);
    live_run_end_outside(run);
    e->helpers--;
}

/* A run's tokens could not be stored: another worker's run has the thread. */
static void on_fenced(void *ctx, struct id run_id) {
    struct live_run *run = engine_find(ctx, run_id);
    if (run && run->state == LIVE_RUNNING)
        live_run_cut_short(run);
    live_run_unref(run);
}

/* Another process wrote the end of a run: does it wait here? */
static void on_ended(void *ctx, struct id run_id, struct id thread_id) {
    struct engine *e = ctx;
    struct slot *slot = slot_of(e, thread_id);
    struct live_run *run = engine_find(e, run_id);
    bool waits = run && (run->state == LIVE_PENDING || run->state == LIVE_DELAYED);
    if (waits && fiber_spawn(e->rt, "run.gone", gone_fiber, run, NULL)) {
        e->helpers++;
        (void)live_run_take_out(run); /* delayed or not: it does not come back */
    }
    live_run_unref(run);
    if (slot)
        slot_unblock(slot);
}

static int spawn_helper(struct engine *e, const char *name, fiber_fn fn, struct err *err) {
    if (!fiber_spawn(e->rt, name, fn, e, err))
        return ERR_LIMIT;
    e->helpers++;
    return 0;
}

int engine_start(struct engine *e, struct err *err) {
    int64_t count;
    int rc = graph_library_start(e->library, e->o.shared, err);
    if (rc < 0)
        return rc;
    if (e->o.shared) {
        struct hub_events events = {
            .committed = on_committed, .ended = on_ended, .fenced = on_fenced, .ctx = e};
        rc = beat(e, err);
        e->w.beating = rc == 0 && fiber_spawn(e->rt, "worker.beat", beat_fiber, e, err) != NULL;
        if (rc == 0 && !e->w.beating)
            rc = ERR_LIMIT;
        if (rc == 0)
            rc = hub_tail_start(e->hub, &events, err);
    } else {
        rc = adopt(e, INT32_MAX, &count, err); /* whoever had them is gone */
    }
    if (rc == 0)
        rc = spawn_helper(e, "worker.chores", chore_fiber, err);
    if (rc == 0)
        rc = spawn_helper(e, "crons", crons_fiber, err);
    return rc;
}

void worker_leave(struct engine *e) {
    struct err err = {0};
    if (e->o.shared) {
        struct arena a;
        arena_init(&a, 1 << 20);
        struct id worker = e->worker;
        bool registered = e->w.registered;
        e->w.left = true;
        e->w.registered = false;
        rt_timer_stop(e->rt, &e->w.lease_timer);
        int rc = registered ? worker_remove(e->store, worker, &a, &err) : 0;
        arena_deinit(&a);
        if (rc < 0) /* the others wait for the end of its lease */
            log_event(LOG_WARN, "worker.leave.failed", err.message, LOG_Z("code", err_name(rc)));
        hint_work(e);
        hints_flush(e);
        hub_tail_stop(e->hub);
    }
    fiber_event_wake_all(&e->w.beat_wake);
    while (e->helpers > 0 || e->w.beating)
        fiber_sleep_shielded_us(1000);
}
