/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c - live runs: slots, places, cancelling, drain.
 *
 *   accepted ─▶ delayed ─▶ pending (in its thread's slot) ─▶ running ─▶ done
 *        └───────────────────────▲    └──────────────────────▲
 *                     thread taken        thread free and a place free
 *
 * A slot runs one run at a time; engine->ready holds the slots that could start but for a place.
 * The engine holds one reference on every live run, from live_run_enter to live_run_end. Slots
 * exist only while they have runs. Everything here runs on the loop thread. */
#include "engine/engine_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define ACCEPT_WAIT_US  2000
#define HAND_BACK_TRIES 3

/* --- slots --- */

struct slot *slot_of(struct engine *e, struct id thread_id) {
    return map_get(&e->slots, id_key(&thread_id));
}

struct slot *slot_take(struct engine *e, struct id thread_id) {
    struct slot *s = slot_of(e, thread_id);
    if (s)
        return s;
    s = NEW(struct slot);
    s->thread_id = thread_id;
    s->engine = e;
    list_init(&s->queue);
    map_put(&e->slots, id_key(&s->thread_id), s);
    return s;
}

bool engine_has_place(const struct engine *e) {
    return !e->draining && engine_is_worker(e) && e->running < e->o.running_max;
}

static void start_next(struct engine *e, struct slot *s) {
    struct live_run *run = LIST_ENTRY(list_pop_front(&s->queue), struct live_run, node);
    ASSERT(run->state == LIVE_PENDING);
    e->pending--;
    e->running++;
    s->running = run;
    run->state = LIVE_RUNNING;
    struct err err = {0};
    if (!fiber_spawn(e->rt, "run", live_run_start_pending, run, &err)) {
        log_event(LOG_ERROR, "run.start.failed", err.message, LOG_Z("code", err_name(err.code)));
        s->running = NULL;
        e->running--;
        live_run_delay(run, rt_now_us(e->rt) + 1000000);
    }
}

static void on_block_over(struct rt_timer *t) { slot_unblock(CONTAINER_OF(t, struct slot, timer)); }

static void set_blocked(struct slot *s, bool blocked, int64_t us) {
    rt_timer_stop(s->engine->rt, &s->timer);
    s->blocked = blocked;
    if (blocked)
        rt_timer_start(s->engine->rt, &s->timer, us, on_block_over);
}

void slot_unblock(struct slot *s) {
    struct engine *e = s->engine;
    if (!s->blocked)
        return;
    set_blocked(s, false, 0);
    slot_settle(e, s);
}

void slot_settle(struct engine *e, struct slot *s) {
    if (s->running)
        return;
    if (!list_empty(&s->queue)) {
        if (s->blocked)
            return;
        if (engine_has_place(e))
            start_next(e, s);
        else if (!list_linked(&s->ready))
            list_push_back(&e->ready, &s->ready);
        return;
    }
    if (s->arriving)
        return;
    if (list_linked(&s->ready))
        list_remove(&s->ready);
    rt_timer_stop(e->rt, &s->timer);
    map_remove(&e->slots, id_key(&s->thread_id));
    mem_free(s);
}

void engine_use_places(struct engine *e) {
    while (engine_has_place(e) && !list_empty(&e->ready)) {
        struct slot *s = LIST_ENTRY(list_pop_front(&e->ready), struct slot, ready);
        slot_settle(e, s);
    }
}

/* --- live runs --- */

struct live_run *live_run_new(struct engine *e) {
    struct live_run *run = NEW(struct live_run);
    run->engine = e;
    run->worker = e->worker;
    run->refs = 1;
    arena_init(&run->arena, RUN_ARENA_BYTES_MAX);
    fiber_event_init(&run->done);
    list_init(&run->begin_waiters);
    return run;
}

void live_run_ref(struct live_run *run) { run->refs++; }

void live_run_unref(struct live_run *run) {
    if (!run)
        return;
    ASSERT(run->refs > 0);
    if (--run->refs > 0)
        return;
    if (run->compiled)
        compiled_graph_unref(run->compiled);
    graph_def_unref(run->def);
    if (run->topic)
        hub_topic_unref(run->engine->hub, run->topic);
    mem_free((char *)(uintptr_t)run->cancel_reason.p);
    arena_deinit(&run->arena);
    mem_free(run);
}

void live_run_enter(struct live_run *run) {
    map_put(&run->engine->live, id_key(&run->row.id), run);
}

/* The order in which the database lets the runs of a thread begin: one that has it already (its
 * worker died) is before all. */
static bool comes_before(const struct live_run *a, const struct live_run *b) {
    bool a_has = a->row.status == RUN_RUNNING, b_has = b->row.status == RUN_RUNNING;
    if (a_has != b_has)
        return a_has;
    if (a->row.created_at != b->row.created_at)
        return a->row.created_at < b->row.created_at;
    return memcmp(a->row.id.b, b->row.id.b, sizeof(a->row.id.b)) < 0;
}

/* Takes its place in the slot's queue. True: it is the first. */
static bool take_place(struct slot *s, struct live_run *run) {
    struct list *before = s->queue.prev;
    while (before != &s->queue && comes_before(run, LIST_ENTRY(before, struct live_run, node)))
        before = before->prev;
    list_push_front(before, &run->node); /* right behind it */
    run->state = LIVE_PENDING;
    run->engine->pending++;
    return before == &s->queue;
}

void live_run_enqueue(struct live_run *run) {
    struct engine *e = run->engine;
    struct slot *s = run->slot ? run->slot : slot_take(e, run->row.thread_id);
    run->slot = s;
    if (take_place(s, run)) /* what the first could not, this one may */
        set_blocked(s, false, 0);
    slot_settle(e, s);
}

void slot_promote(struct slot *s, struct id holder) {
    LIST_EACH (&s->queue, n) {
        struct live_run *run = LIST_ENTRY(n, struct live_run, node);
        if (!id_eq(run->row.id, holder))
            continue;
        run->row.status = RUN_RUNNING;
        list_remove(n);
        list_push_front(&s->queue, n);
        slot_unblock(s);
        return;
    }
}

void live_run_block(struct live_run *run, int64_t us) {
    struct engine *e = run->engine;
    struct slot *s = run->slot;
    live_run_leave_topic(run);
    s->running = NULL;
    e->running--;
    /* An older run may have come while this one tried: it is the one to try now. */
    set_blocked(s, take_place(s, run), us);
    slot_settle(e, s);
    engine_use_places(e);
    if (e->running == 0)
        fiber_event_wake_all(&e->idle);
}

static void on_due(struct rt_timer *t) {
    struct live_run *run = CONTAINER_OF(t, struct live_run, timer);
    run->engine->delayed--;
    live_run_enqueue(run);
}

void live_run_delay(struct live_run *run, int64_t due_wall_us) {
    struct engine *e = run->engine;
    struct slot *s = run->slot;
    int64_t wait = due_wall_us - rt_now_us(e->rt);
    run->slot = NULL;
    run->state = LIVE_DELAYED;
    e->delayed++;
    rt_timer_start(e->rt, &run->timer, wait > 0 ? wait : 0, on_due);
    if (s)
        slot_settle(e, s);
}

void live_run_leave_topic(struct live_run *run) {
    if (!run->topic || !run->topic_held)
        return;
    run->topic_held = false;
    hub_topic_hold(run->topic, NULL);
    hub_topic_drop(run->topic, run->row.id);
}

void live_run_end(struct live_run *run) {
    struct engine *e = run->engine;
    struct slot *s = run->slot;
    run->state = LIVE_DONE;
    map_remove(&e->live, id_key(&run->row.id));
    run->slot = NULL;
    live_run_leave_topic(run);
    if (s && s->running == run) {
        s->running = NULL;
        e->running--;
        slot_settle(e, s);
        engine_use_places(e);
    } else if (s) {
        slot_settle(e, s);
    }
    fiber_event_wake_all(&run->done);
    if (e->running == 0)
        fiber_event_wake_all(&e->idle);
    live_run_unref(run);
}

void live_run_abandon(struct live_run *run, const struct err *why) {
    /* Its row says running: it is taken up again, as the next attempt. */
    log_event(LOG_ERROR, "run.start.failed", why->message, LOG_Z("code", err_name(why->code)));
    run->status = RUN_ERROR;
    run->error = STR("{\"error\":\"ServerError\",\"message\":\"The run could not be started.\"}");
    engine_look_for_strays(run->engine);
    live_run_end(run);
}

struct live_run *engine_find(struct engine *e, struct id run_id) {
    struct live_run *run = map_get(&e->live, id_key(&run_id));
    if (run)
        live_run_ref(run);
    return run;
}

struct id live_run_id(const struct live_run *run) {
    return run->row.id;
}
struct id live_run_thread(const struct live_run *run) {
    return run->row.thread_id;
}
unsigned live_run_modes(const struct live_run *run) { return run->modes; }
bool live_run_temporary(const struct live_run *run) { return run->temporary; }
bool live_run_cancel_on_disconnect(const struct live_run *run) { return run->cancel_on_disconnect; }
bool live_run_moved(const struct live_run *run) { return run->moved; }
bool live_run_done(const struct live_run *run) { return run->state == LIVE_DONE; }
const struct run *live_run_row(const struct live_run *run) { return &run->row; }
str live_run_values(const struct live_run *run) { return run->values; }
str live_run_error(const struct live_run *run) { return run->error; }
enum run_status live_run_status(const struct live_run *run) { return run->status; }

int live_run_wait(struct live_run *run, int64_t deadline_us) {
    int rc = 0;
    while (run->state != LIVE_DONE && rc == 0)
        rc = fiber_event_wait(&run->done, deadline_us);
    return run->state == LIVE_DONE ? 0 : rc;
}

/* --- cancelling --- */

struct leaving {
    const struct live_run *run;
    bool asks_void; /* what the thread asked went with the run */
};

/* The thread's row when a waiting run leaves: its state stays as it was. */
static size_t leave_counter(void *ctx, struct db_batch *b, int64_t count) {
    const struct leaving *l = ctx;
    return thread_leave_add(b, l->run->row.thread_id, l->run->row.id, l->asks_void, count,
                            rt_now_us(l->run->engine->rt));
}

int live_run_untold(struct live_run *run, str *out, struct err *err) {
    const struct graph_def *def = live_run_graph(run);
    struct graph_end what = {.thread_id = run->row.thread_id,
                             .run_id = run->row.id,
                             .status = run->status,
                             .error = run->error,
                             .now_us = rt_now_us(run->engine->rt)};
    *out = STR_NULL;
    return def && def->untold ? def->untold(def, &what, &run->arena, out, err) : 0;
}

int live_run_commit_waiting_end(struct live_run *run, enum cancel_action action, str reason,
                                struct err *err) {
    struct engine *e = run->engine;
    struct db_batch b;
    db_batch_init(&b, &run->arena);
    int64_t now = rt_now_us(e->rt);
    run->status = RUN_INTERRUPTED;
    str steps = STR_NULL;
    int rc = live_run_untold(run, &steps, err);
    if (rc < 0)
        return rc;
    bool shown = steps.p && action != CANCEL_ROLLBACK;
    struct hub_entry entries[] = {
        {.entry = {.run_id = run->row.id, .kind = LOG_STEPS, .at = now, .data = steps}},
        {.entry = {.run_id = run->row.id,
                   .kind = LOG_END,
                   .at = now,
                   .data = STR("{\"status\":\"interrupted\",\"error\":null}")}}};
    if (run->row.status == RUN_PENDING || action == CANCEL_ROLLBACK)
        run_still_add(&b, run->row.id, run->row.attempt, run->row.status);
    if (action == CANCEL_ROLLBACK)
        run_rollback_add(run->engine->store, &b, run->row.thread_id, run->row.id);
    else
        run_finish_add(&b, run->row.id, run->row.attempt, RUN_INTERRUPTED, STR_NULL, reason, now);
    bool told = live_run_ended_add(run, &b);
    live_run_doom_add(run, &b);
    outbox_run_end_add(run, &b, action, reason);
    outbox_push_add(run, &b);
    struct leaving leaving = {.run = run, .asks_void = steps.p != NULL};
    struct log_counter counter = {leave_counter, &leaving};
    struct hub_append append = {.thread_id = run->row.thread_id,
                                .batch = &b,
                                .entries = shown ? entries : entries + 1,
                                .count = shown ? 2 : 1,
                                .counter = &counter,
                                .told = told};
    rc = hub_commit(e->hub, &append, err);
    if (rc == 0)
        outbox_grew(run);
    return rc;
}

bool live_run_take_out(struct live_run *run) {
    struct engine *e = run->engine;
    bool delayed = run->state == LIVE_DELAYED;
    if (delayed) {
        rt_timer_stop(e->rt, &run->timer);
        e->delayed--;
    } else {
        ASSERT(run->state == LIVE_PENDING);
        list_remove(&run->node);
        e->pending--;
    }
    if (run->slot)
        run->slot->arriving++;
    run->state = LIVE_NEW;
    return delayed;
}

void live_run_end_outside(struct live_run *run) {
    if (run->slot)
        run->slot->arriving--;
    live_run_end(run);
}

/* A run that has not begun: its end is written here. */
static int cancel_waiting(struct live_run *run, enum cancel_action action, str reason,
                          struct err *err) {
    bool delayed = live_run_take_out(run);
    int rc = live_run_commit_waiting_end(run, action, reason, err);
    if (rc < 0 && rc != ERR_FENCED && rc != ERR_NOT_FOUND) {
        if (run->slot)
            run->slot->arriving--;
        if (run->state == LIVE_DONE) /* it was let go meanwhile */
            return rc;
        if (delayed)
            live_run_delay(run, run->row.created_at);
        else
            live_run_enqueue(run); /* still pending, now at the end of its queue */
        return rc;
    }
    if (rc < 0)
        live_run_learn_fate(run);
    live_run_end_outside(run);
    return 0;
}

int live_run_cancel(struct live_run *run, enum cancel_action action, str reason, struct err *err) {
    if (run->state == LIVE_PENDING || run->state == LIVE_DELAYED)
        return cancel_waiting(run, action, reason, err);
    if (run->state != LIVE_RUNNING)
        return err_set(err, ERR_CONFLICT, "Run is not pending or running");
    if (run->cancel)
        return 0;
    run->cancel = true;
    run->cancel_action = action;
    /* Not in its arena: that may be in the hands of the database just now. */
    run->cancel_reason = reason.p ? str_n(mem_dup(reason.p, reason.len), reason.len) : STR_NULL;
    if (run->fiber)
        fiber_cancel(run->fiber);
    return 0;
}

/* --- drain --- */

void live_run_cut_short(struct live_run *run) {
    run->hand_back = true;
    run->cancel = true;
    if (run->fiber)
        fiber_cancel(run->fiber);
}

void live_run_drop(struct live_run *run) {
    struct engine *e = run->engine;
    if (run->state == LIVE_DELAYED) {
        rt_timer_stop(e->rt, &run->timer);
        e->delayed--;
    } else if (run->state == LIVE_PENDING) {
        list_remove(&run->node);
        e->pending--;
    }
    live_run_end(run);
}

/* Cuts what runs now and gives it back in one batch; false when nothing runs. */
static bool hand_back(struct engine *e) {
    struct arena a;
    struct db_batch b;
    struct err err = {0};
    arena_init(&a, SIZE_MAX / 2);
    db_batch_init(&b, &a);
    struct live_run **runs = ARENA_ARRAY(&a, struct live_run *, e->live.count + 1);
    size_t count = 0, at = 0;
    str key;
    void *value;
    while (map_next(&e->live, &at, &key, &value))
        if (((struct live_run *)value)->state == LIVE_RUNNING) {
            runs[count] = value;
            live_run_ref(runs[count++]);
        }
    for (size_t i = 0; i < count; i++)
        live_run_cut_short(runs[i]);
    for (size_t i = 0; i < count; i++) {
        while (runs[i]->state != LIVE_DONE)
            if (live_run_wait(runs[i], FIBER_NO_DEADLINE) < 0)
                fiber_yield();
        struct run_hold hold = live_run_hold(runs[i]);
        run_hand_back_add(&b, &hold, rt_now_us(e->rt));
        live_run_unref(runs[i]);
    }
    int rc = ERR_UNAVAILABLE;
    for (int tries = 0; rc == ERR_UNAVAILABLE && tries < HAND_BACK_TRIES; tries++)
        rc = db_commit(e->store->db, &b, &err); /* twice does no harm */
    if (rc < 0) /* others take them for crashed */
        log_event(LOG_ERROR, "run.hand_back.failed", err.message, LOG_Z("code", err_name(rc)));
    arena_deinit(&a);
    return count > 0;
}

static struct live_run *find_waiting(struct engine *e) {
    size_t at = 0;
    str key;
    void *value;
    while (map_next(&e->live, &at, &key, &value)) {
        struct live_run *run = value;
        if (run->state == LIVE_PENDING || run->state == LIVE_DELAYED)
            return run;
    }
    return NULL;
}

/* One that was taken out of its queue is being cancelled: whoever does it ends it, or puts it back;
 * it is ended once. */
static void drop_waiting(struct engine *e) {
    while (e->live.count > 0) {
        struct live_run *run = find_waiting(e);
        if (run) {
            run->error = SHUTDOWN_ERROR;
            live_run_drop(run);
        } else {
            fiber_sleep_shielded_us(ACCEPT_WAIT_US);
        }
    }
}

void engine_drain(struct engine *e, int64_t deadline_us) {
    e->draining = true;
    e->w.stop = true;
    fiber_event_wake_all(&e->w.chore_wake);
    crons_wake(e);
    rt_timer_stop(e->rt, &e->stray_timer);
    int rc = 0;
    while (e->running > 0 && rc == 0 && !e->hurry)
        rc = fiber_event_wait(&e->idle, deadline_us);
    /* A request that is being accepted has a run soon; its commit does not take long. */
    while (hand_back(e) || e->accepting > 0 || e->helpers > 0)
        (void)fiber_sleep_us(ACCEPT_WAIT_US);
    drop_waiting(e); /* they stand in the database as pending */
    graph_library_stop(e->library);
    worker_leave(e);
    hub_settle(e->hub);
    hub_finish_readers(e->hub, SHUTDOWN_ERROR);
}

void engine_drain_now(struct engine *e) {
    e->hurry = true;
    fiber_event_wake_all(&e->idle);
}

/* --- life --- */

static void metrics_open(struct engine_metrics *m) {
    static const char *const ended = "Runs ended, by status", *const phase =
                                                                  "Time of a run's phases";
    m->accepted = metric_counter("holdfast_runs_accepted_total", "Runs accepted", NULL);
    m->success = metric_counter("holdfast_runs_ended_total", ended, "status=\"success\"");
    m->error = metric_counter("holdfast_runs_ended_total", ended, "status=\"error\"");
    m->interrupted = metric_counter("holdfast_runs_ended_total", ended, "status=\"interrupted\"");
    m->running = metric_gauge("holdfast_runs_running", "Runs being executed", NULL);
    m->pending = metric_gauge("holdfast_runs_pending", "Runs that wait", NULL);
    m->run_seconds = metric_histogram("holdfast_run_seconds", "From acceptance to the end", NULL);
    m->adopted = metric_counter("holdfast_runs_adopted_total",
                                "Runs taken over from workers that are gone", NULL);
    m->leases_lost = metric_counter("holdfast_worker_leases_lost_total",
                                    "Times that all runs here were let go", NULL);
    m->workers = metric_gauge("holdfast_workers", "Processes alive on the database", NULL);
    m->phase_build = metric_histogram("holdfast_run_phase_seconds", phase, "phase=\"build\"");
    m->phase_read =
        metric_histogram("holdfast_run_phase_seconds", phase, "phase=\"checkpoint_read\"");
    m->phase_write =
        metric_histogram("holdfast_run_phase_seconds", phase, "phase=\"checkpoint_write\"");
    m->phase_llm = metric_histogram("holdfast_run_phase_seconds", phase, "phase=\"llm\"");
    m->phase_tool = metric_histogram("holdfast_run_phase_seconds", phase, "phase=\"tool\"");
    m->phase_queue = metric_histogram("holdfast_run_phase_seconds", phase, "phase=\"queue\"");
    m->queue_depth = metric_gauge("queue_depth", "What waits here, by queue.", "topic=\"runs\"");
    m->queue_age_ms = metric_gauge("queue_oldest_age_ms", "Age of what waits longest, by queue.",
                                   "topic=\"runs\"");
}

/* Of the runs that wait here; those whose time has not come do not count. */
static int64_t oldest_age_us(const struct engine *e) {
    int64_t oldest = rt_now_us(e->rt), now = oldest;
    void *value;
    str key;
    for (size_t at = 0; e->pending > 0 && map_next(&e->live, &at, &key, &value);) {
        const struct live_run *run = value;
        if (run->state == LIVE_PENDING && run->row.created_at < oldest)
            oldest = run->row.created_at;
    }
    return now - oldest;
}

static void on_collect(void *arg) {
    struct engine *e = arg;
    metric_set(e->metrics.running, (int64_t)e->running);
    metric_set(e->metrics.workers, e->w.others + engine_is_worker(e));
    metric_set(e->metrics.pending, (int64_t)(e->pending + e->delayed));
    metric_set(e->metrics.queue_depth, (int64_t)e->pending);
    metric_set(e->metrics.queue_age_ms, oldest_age_us(e) / 1000);
}

int engine_open(struct rt *rt, struct store *store, struct registry *registry,
                const struct graph_services *services, const struct engine_options *o,
                struct engine **out, struct err *err) {
    if (o->running_max == 0 || o->attempts_max < 1)
        return err_set(err, ERR_INVALID, "the engine needs room for at least one run");
    if (o->shared && o->lease_us <= 0)
        return err_set(err, ERR_INVALID, "a worker needs a lease");
    struct engine *e = NEW(struct engine);
    e->rt = rt;
    e->store = store;
    e->registry = registry;
    e->services = *services;
    e->o = *o;
    e->worker = id_v7();
    e->hub = hub_new(rt, store);
    e->library = graph_library_new(rt, store, registry, o->documents);
    map_init(&e->slots);
    map_init(&e->live);
    list_init(&e->ready);
    list_init(&e->arriving);
    fiber_event_init(&e->idle);
    fiber_event_init(&e->w.beat_wake);
    fiber_event_init(&e->w.chore_wake);
    metrics_open(&e->metrics);
    crons_open(e);
    metrics_on_collect(on_collect, e);
    *out = e;
    return 0;
}

void engine_close(struct engine *e) {
    if (!e)
        return;
    ASSERT(e->live.count == 0 && e->slots.count == 0);
    metrics_off_collect(on_collect, e);
    rt_timer_stop(e->rt, &e->stray_timer);
    rt_timer_stop(e->rt, &e->w.lease_timer);
    rt_timer_stop(e->rt, &e->w.hint_timer);
    vec_deinit(&e->w.hint_threads);
    orphans_cursor_deinit(&e->w.orphans);
    texts_owed_deinit(&e->texts);
    crons_close(e);
    hub_free(e->hub);
    graph_library_free(e->library);
    map_deinit(&e->slots);
    map_deinit(&e->live);
    mem_free(e);
}

struct hub *engine_hub(struct engine *e) {
    return e->hub;
}
struct registry *engine_registry(struct engine *e) {
    return e->registry;
}
struct store *engine_store(struct engine *e) {
    return e->store;
}
struct graph_library *engine_library(struct engine *e) {
    return e->library;
}
bool engine_has_graph(struct engine *e, str graph_id) {
    return graph_library_find(e->library, graph_id) != NULL;
}

void engine_stats(const struct engine *e, struct engine_stats *out) {
    *out = (struct engine_stats){.running = e->running,
                                 .pending = e->pending,
                                 .delayed = e->delayed,
                                 .readers = hub_reader_count(e->hub),
                                 .slots = e->slots.count,
                                 .worker = e->worker,
                                 .registered = engine_is_worker(e),
                                 .leads = e->w.leads,
                                 .others = e->w.others,
                                 .adopted = e->w.adopted,
                                 .leases_lost = e->w.leases_lost,
                                 .hints_sent = e->w.hints_sent,
                                 .hints_got = e->w.hints_got};
    if (e->o.shared && e->w.registered)
        out->lease_left_us = e->w.lease_until_us - rt_mono_us(e->rt);
    size_t at = 0;
    str key;
    void *slot;
    while (map_next(&e->slots, &at, &key, &slot))
        out->blocked += ((struct slot *)slot)->blocked;
    hub_tail_stats(e->hub, &out->tail);
}
