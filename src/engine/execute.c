/* SPDX-License-Identifier: Apache-2.0 */
/* execute.c - a run's way through the steps of its graph, its commits and its end.
 *
 *   begun ─▶ step ─▶ … ─▶ step ─▶ end        (step.c; the last one's batch carries the end)
 *
 * So a run of one step costs two commits in all. A commit that fails for a passing reason is tried
 * again: a run is not lost because a disk was full for a minute. ERR_FENCED and ERR_NOT_FOUND mean
 * that the run is no longer ours: it ends quietly. */
#include "engine/engine_int.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "store/idempotency.h"

#define COMMIT_RETRY_US_MIN 50000
#define COMMIT_RETRY_US_MAX 2000000
#define CLAIM_RETRY_US      1000000
#define BUSY_RETRY_US       250000
/* How long a temporary run's thread stays for readers of its log. */
#define TEMPORARY_US 10000000

/* --- the end --- */

static bool rolls_back(const struct live_run *run) {
    return run->cancel && run->cancel_action == CANCEL_ROLLBACK;
}

const struct graph_def *live_run_graph(struct live_run *run) {
    yyjson_val *kwargs = run->kwargs;
    if (run->def)
        return run->def;
    if (!kwargs && json_parse(&run->arena, run->row.kwargs, &kwargs, NULL) < 0)
        return NULL;
    yyjson_val *configurable = json_get(json_get(kwargs, "config"), "configurable");
    return registry_find(run->engine->registry, json_str(json_get(configurable, "graph_id")));
}

void live_run_doom_add(struct live_run *run, struct db_batch *b) {
    yyjson_val *kwargs = run->kwargs; /* one that waited may not have been read */
    if (!kwargs && json_parse(b->arena, run->row.kwargs, &kwargs, NULL) < 0)
        return;
    if (!yyjson_get_bool(json_get(kwargs, "temporary")))
        return;
    bool kept = yyjson_get_bool(json_get(kwargs, "kept"));
    thread_doom_add(b, run->row.thread_id,
                    rt_now_us(run->engine->rt) + (kept ? IDEMPOTENCY_KEEP_US : TEMPORARY_US));
}

bool live_run_ended_add(struct live_run *run, struct db_batch *b) {
    const struct graph_def *def = live_run_graph(run);
    struct graph_end end = {.thread_id = run->row.thread_id,
                            .run_id = run->row.id,
                            .status = run->status,
                            .error = run->error,
                            .now_us = rt_now_us(run->engine->rt)};
    if (!def || !def->ended)
        return false;
    def->ended(def, b, &end);
    return true;
}

/* The end of the run stands in the statement about its thread, which comes last. Not where somebody
 * may ask to be told of it meanwhile: such a wish holds the run's state, so the end must wait for
 * it before it looks for whom to tell. */
static bool ends_whole(const struct live_run *run) {
    return !rolls_back(run) && !outbox_has_push(run) && run_begins_whole(run->engine->store);
}

/* The thread's side of a run's end. whole: the run's own is in the same statement; back: it is
 * rolled back. What is asked of the run after finish_add, while its entries wait for their turn,
 * changes neither: a rollback that is asked for then is too late, for the batch stores a state. */
struct settling {
    struct live_run *run;
    bool whole, back;
    struct run_end end;
};

static bool finish_add(struct settling *s, struct db_batch *b) {
    struct live_run *run = s->run;
    bool told = live_run_ended_add(run, b);
    s->whole = ends_whole(run);
    s->back = rolls_back(run);
    s->end = (struct run_end){run->status, run->error, run->cancel_reason};
    if (s->back)
        run_rollback_add(run->engine->store, b, run->row.thread_id, run->row.id);
    else if (!s->whole)
        run_finish_add(b, run->row.id, run->row.attempt, run->status, run->error,
                       run->cancel_reason, rt_now_us(run->engine->rt));
    return told;
}

/* The thread's row of a run's end; after finish_add, whose outcome its status is derived from. */
static size_t settle_counter(void *ctx, struct db_batch *b, int64_t count) {
    const struct settling *s = ctx;
    const struct live_run *run = s->run;
    bool failed = (run->status == RUN_ERROR || run->status == RUN_TIMEOUT) && !run->refusal.p;
    enum thread_status status = s->back            ? THREAD_IDLE
                                : failed           ? THREAD_ERROR
                                : run->interrupted ? THREAD_INTERRUPTED
                                                   : THREAD_IDLE;
    str interrupts = run->interrupts.p && !s->back ? run->interrupts : STR("{}");
    str error = s->back || !failed ? STR_NULL : run->error;
    struct id made = s->back ? ID_NIL : run->made_id;
    struct run_hold hold = live_run_hold(run);
    int64_t now_us = rt_now_us(run->engine->rt);
    if (s->whole)
        return run_settle_add(b, &hold, &s->end, status, interrupts, error, made, count, now_us);
    return thread_settle_add(b, &hold, status, interrupts, error, made, count, now_us);
}

static size_t checkpoint_counter(void *ctx, struct db_batch *b, int64_t count) {
    const struct live_run *run = ctx;
    struct run_hold hold = live_run_hold(run);
    return thread_checkpoint_add(b, &hold, run->made_id, count, rt_now_us(run->engine->rt));
}

size_t begin_counter(void *ctx, struct db_batch *b, int64_t count) {
    const struct begin_row *row = ctx;
    const struct engine *e = row->run->engine;
    struct run_hold hold = live_run_hold(row->run);
    int64_t now_us = rt_now_us(e->rt);
    if (row->first)
        return run_first_add(e->store, b, row->first, count, now_us);
    if (row->fresh)
        return run_begin_add(b, &row->run->row, &hold, row->head, row->merge, row->checkpoint_id,
                             count, now_us);
    return thread_begin_add(b, &hold, row->run->row.created_at, row->head, row->merge,
                            row->checkpoint_id, count, now_us);
}

bool live_run_is_passing(int rc) {
    return rc == ERR_UNAVAILABLE || rc == ERR_IO || rc == ERR_LIMIT || rc == ERR_CANCELLED;
}

bool live_run_own_may_retry(const struct live_run *run, int rc) {
    return live_run_is_passing(rc) && rc != ERR_CANCELLED && !run->hand_back;
}

bool live_run_may_retry(const struct live_run *run, int rc) {
    return live_run_own_may_retry(run, rc) && !run->engine->draining;
}

int64_t live_run_next_wait_us(int64_t wait_us) {
    return wait_us == 0                        ? COMMIT_RETRY_US_MIN
           : wait_us * 2 > COMMIT_RETRY_US_MAX ? COMMIT_RETRY_US_MAX
                                               : wait_us * 2;
}

/* A run under way waits for the database as long as it takes. */
static bool run_patient(void *ctx) {
    const struct live_run *run = ctx;
    return !run->engine->draining && !run->hand_back;
}

/* A temporary run may have readers in other processes, or here some that have come no further than
 * the log's beginning, who need its last entries: then its thread goes later. */
static bool read_from_log(const struct live_run *run) {
    return hub_topic_replayed(run->topic) ||
           (run->engine->o.shared && (run->adopted || run->engine->w.others > 0));
}

/* What of a task goes with its step's batch: its result, and its rows when the step is not over, or
 * had several tasks. Those that were kept went before. */
static size_t task_rows(struct step_commit *s, struct db_batch *b, struct hub_entry *out) {
    struct frame *f = s->frame;
    bool rows = !f->unsaved && !f->run->temporary && (!s->state_changed || s->task_count > 1);
    /* A new checkpoint of the root tells by itself that the command was carried out, if stored. */
    bool stored = s->state_changed && (!f->run->exit_only || s->over);
    bool takes = f->parent ? rows || stored : rows && !stored;
    size_t count = 0;
    for (size_t i = 0; i < s->task_count; i++) {
        struct task *t = &s->tasks[i];
        if (t->rc == ERR_CANCELLED || t->kept)
            continue;
        out[count++] = task_entry(t);
        if (rows && !t->restored)
            pending_add(b, t);
        if (takes)
            answers_add_taken(b, t);
    }
    return count;
}

/* A rollback may be asked for after the step was applied, while its commit waits for the database:
 * nothing that the step made is stored or told, its end is that of a run that was stopped. */
static void take_back(struct step_commit *s) {
    struct live_run *run = s->frame->run;
    s->state_changed = false;
    s->task_count = 0;
    run->status = RUN_INTERRUPTED;
    run->error = run->interrupts = run->interrupt_list = STR_NULL;
    run->interrupted = false;
}

static size_t step_entries(struct step_commit *s, struct db_batch *b, struct hub_entry *out) {
    struct frame *f = s->frame;
    struct live_run *run = f->run;
    if (s->end && rolls_back(run))
        take_back(s);
    bool whole = f->view.channels && !run->temporary; /* else it ended before it had a state */
    if (s->over && !s->state_changed && f->unsaved && whole && !rolls_back(run))
        checkpoint_save(f, b);
    size_t count = task_rows(s, b, out);
    if (s->state_changed) {
        checkpoint_make(f, "loop", !run->exit_only || s->over, b, &out[count]);
        out[count++].state = &f->view;
    }
    if (s->end)
        out[count++] = end_entry(run);
    return count;
}

static struct hub_entry untold_entry(const struct live_run *run, str data) {
    return (struct hub_entry){.entry = {.run_id = run->row.id,
                                        .kind = LOG_STEPS,
                                        .at = rt_now_us(run->engine->rt),
                                        .data = data}};
}

/* The batch that deletes a temporary run's thread with its end. */
static int commit_gone(struct live_run *run, struct hub_append *append, struct err *err) {
    struct run_hold hold = live_run_hold(run);
    thread_delete_held_add(run->engine->store, append->batch, &hold);
    return hub_commit_gone(run->engine->hub, append, run->row.id, err);
}

static int commit_once(struct step_commit *s, struct arena *a, struct err *err) {
    struct live_run *run = s->frame->run;
    struct engine *e = run->engine;
    struct db_batch b;
    db_batch_init(&b, a);
    struct hub_entry *entries = ARENA_ARRAY(&run->arena, struct hub_entry, s->task_count + 3);
    bool goes = s->end && run->temporary && !run->kept && !read_from_log(run);
    str untold = STR_NULL;
    int rc = s->end && run->status != RUN_SUCCESS ? live_run_untold(run, &untold, err) : 0;
    if (rc < 0)
        return rc;
    size_t count = step_entries(s, &b, entries);
    if (goes)
        b.count = 0; /* all of it is the thread's, which is deleted here */
    if (untold.p && !rolls_back(run)) { /* before the end */
        entries[count] = entries[count - 1];
        entries[count++ - 1] = untold_entry(run, untold);
    }
    rc = s->end ? FAILPOINT("engine.end.before_commit")
                : FAILPOINT("engine.step.before_commit");
    if (rc < 0)
        return err_set(err, rc, "failpoint before the commit of a step");
    struct settling settling = {.run = run};
    struct log_counter settle = {settle_counter, &settling}, newer = {checkpoint_counter, run};
    bool stored = s->state_changed && !s->frame->unsaved && !s->frame->parent;
    struct hub_append append = {.thread_id = run->row.thread_id,
                                .batch = &b,
                                .entries = entries,
                                .count = count,
                                .counter = s->end ? &settle : stored ? &newer : NULL,
                                .held = true,
                                .patient = run_patient,
                                .ctx = run};
    if (s->end)
        outbox_run_end_add(run, &b, rolls_back(run) ? CANCEL_ROLLBACK : CANCEL_INTERRUPT,
                           run->cancel_reason);
    if (goes) {
        append.counter = NULL;
        rc = commit_gone(run, &append, err);
    } else {
        if (s->end && rolls_back(run))
            hub_topic_drop(run->topic, run->row.id); /* its entries go, too */
        if (s->end) {
            append.told = finish_add(&settling, &b);
            outbox_push_add(run, &b);
        }
        if (s->end)
            live_run_doom_add(run, &b);
        rc = hub_commit(e->hub, &append, err);
    }
    if (rc == 0 && s->end)
        outbox_grew(run);
    if (rc == 0) /* for crashes: it is durable */
        (void)(s->end ? FAILPOINT("engine.end.after_commit") :
                        FAILPOINT("engine.step.after_commit"));
    return rc;
}

/* What a batch changes of the frame; a batch that failed changes it back. */
struct before {
    int step;
    struct id checkpoint_id, stored_id, made_id;
    bool unsaved;
};

static struct before before_of(const struct frame *f) {
    return (struct before){f->step, f->checkpoint_id, f->stored_id, f->run->made_id, f->unsaved};
}

static void go_back(struct frame *f, const struct before *to) {
    f->step = to->step;
    f->checkpoint_id = to->checkpoint_id;
    f->stored_id = to->stored_id;
    f->unsaved = to->unsaved;
    f->run->made_id = to->made_id;
    if (f->view.channels)
        state_unstage(&f->view);
}

int live_run_commit_step(struct step_commit *s) {
    struct frame *f = s->frame;
    struct live_run *run = f->run;
    struct engine *e = run->engine;
    const struct before old = before_of(f);
    for (int64_t wait_us = COMMIT_RETRY_US_MIN;; wait_us = live_run_next_wait_us(wait_us)) {
        struct err err = {0};
        struct arena own; /* of a frame beside which others go on */
        int64_t t0 = clock_mono_us();
        arena_init(&own, RUN_ARENA_BYTES_MAX);
        int rc = commit_once(s, f->parent ? &own : &run->arena, &err);
        arena_deinit(&own);
        metric_observe_us(e->metrics.phase_write, clock_mono_us() - t0);
        if (rc == 0) {
            if (f->view.channels && !f->unsaved) /* else it ended before its state was read */
                state_mark_stored(&f->view);
            return 0;
        }
        log_event(LOG_WARN, "run.commit.failed", err.message, LOG_Z("code", err_name(rc)),
                  LOG_STR("run_id", id_dashed(&run->arena, run->row.id)));
        if (!live_run_may_retry(run, rc))
            return rc;
        go_back(f, &old);
        fiber_sleep_shielded_us(wait_us);
    }
}

static bool own_patient(void *ctx) {
    const struct live_run *run = ctx;
    return !run->hand_back;
}

int live_run_commit_own(struct live_run *run, struct db_batch *b, const str *entries, size_t count,
                        struct err *err) {
    struct engine *e = run->engine;
    struct hub_entry *list = ARENA_ARRAY(b->arena, struct hub_entry, count + 1);
    for (size_t i = 0; i < count; i++)
        list[i].entry = (struct log_entry){.run_id = run->row.id,
                                           .kind = LOG_STEPS,
                                           .at = rt_now_us(e->rt),
                                           .data = entries[i]};
    if (!count) { /* else the log's counter asks whose the thread is */
        struct run_hold hold = live_run_hold(run);
        (void)thread_hold_add(b, &hold);
    }
    size_t own = b->count;
    for (int64_t wait_us = COMMIT_RETRY_US_MIN;; wait_us = live_run_next_wait_us(wait_us)) {
        struct err why = {0};
        struct hub_append append = {.thread_id = run->row.thread_id,
                                    .batch = b,
                                    .entries = list,
                                    .count = count,
                                    .held = true,
                                    .patient = own_patient,
                                    .ctx = run};
        b->count = own; /* what the log added goes again */
        int rc = hub_commit(e->hub, &append, &why);
        if (rc == 0 || !live_run_own_may_retry(run, rc)) {
            if (rc < 0 && err)
                *err = why;
            return rc;
        }
        log_event(LOG_WARN, "run.commit.failed", why.message, LOG_Z("code", err_name(rc)));
        fiber_sleep_shielded_us(wait_us);
    }
}

/* A batch without an entry that a lost answer could be looked up by: it goes again, and is refused
 * for its rows are there when the first one was stored. */
static int commit_again(struct live_run *run, struct db_batch *b, struct err *err) {
    size_t own = b->count;
    bool doubt = false;
    for (int64_t wait_us = COMMIT_RETRY_US_MIN;; wait_us = live_run_next_wait_us(wait_us)) {
        struct err why = {0};
        struct hub_append append = {
            .thread_id = run->row.thread_id, .batch = b, .held = true, .ctx = run};
        b->count = own; /* what the log added goes again */
        int rc = hub_commit(run->engine->hub, &append, &why);
        if (rc == 0 || b->committed || (doubt && rc == ERR_EXISTS))
            return 0;
        doubt = doubt || b->in_doubt;
        if (!doubt || !live_run_may_retry(run, rc)) {
            if (err)
                *err = why;
            return rc;
        }
        fiber_sleep_shielded_us(wait_us);
    }
}

int live_run_keep_state(struct frame *f, struct err *err) {
    struct live_run *run = f->run;
    struct db_batch b;
    struct arena own;
    if (f->parent || !f->unsaved || run->temporary || run->hand_back)
        return 0;
    const struct before old = before_of(f);
    struct run_hold hold = live_run_hold(run);
    arena_init(&own, RUN_ARENA_BYTES_MAX);
    db_batch_init(&b, &own);
    checkpoint_save(f, &b);
    (void)thread_checkpoint_add(&b, &hold, run->made_id, 0, rt_now_us(run->engine->rt));
    int rc = commit_again(run, &b, err);
    if (rc == 0)
        state_mark_stored(&f->view);
    else
        go_back(f, &old);
    arena_deinit(&own);
    return rc;
}

/* --- the steps --- */

void live_run_fail(struct live_run *run, int rc, const struct err *err) {
    if (rc == ERR_CANCELLED || (run->cancel && !run->hand_back)) {
        run->status = RUN_INTERRUPTED;
        return;
    }
    run->status = RUN_ERROR;
    run->error = error_json(&run->arena, rc, err->message);
}

bool live_run_may_start_early(const struct live_run *run) {
    const struct frame *f = &run->root;
    for (size_t i = 0; i < f->plan.count; i++)
        if (!f->def->nodes[f->plan.tasks[i].node].eager)
            return false;
    return f->plan.count > 0 && !frame_stops_before(f) && !run->refusal.p;
}

bool live_run_has_begun(struct live_run *run) {
    struct begin_waiter waiter = {.fiber = fiber_self()};
    if (!run->early || run->begin_over)
        return !run->early || run->begin_rc == 0;
    list_push_back(&run->begin_waiters, &waiter.node);
    while (!run->begin_over)
        fiber_park_shielded();
    list_remove(&waiter.node);
    return run->begin_rc == 0;
}

int64_t live_run_recursion_limit(const struct live_run *run) {
    yyjson_val *v = json_get(json_get(run->kwargs, "config"), "recursion_limit");
    int64_t limit = yyjson_is_int(v) ? yyjson_get_sint(v) : run->engine->o.recursion_limit;
    return limit < 1 ? 1 : limit;
}

int live_run_recursed(int64_t limit, struct err *err) {
    return err_set(err, ERR_LIMIT,
                   "Recursion limit of %lld reached without hitting a stop condition. You can "
                   "increase the limit by setting the \"recursion_limit\" config key.",
                   (long long)limit);
}

static bool end_now(struct live_run *run) {
    struct step_commit s = {.frame = &run->root, .over = true, .end = true};
    run->root.run = run; /* it may not have begun */
    return live_run_commit_step(&s) == 0;
}

/* The thread asks what it asked before. */
static bool end_refused(struct live_run *run) {
    run->status = RUN_ERROR;
    run->error = run->refusal;
    run->interrupted = true;
    run->interrupts = run->waiting;
    return end_now(run);
}

static bool steps(struct live_run *run) {
    struct frame *f = &run->root;
    struct step_end end;
    struct err err;
    int64_t limit = live_run_recursion_limit(run);
    if (run->refusal.p)
        return end_refused(run);
    if (f->plan.count == 0 || frame_stops_before(f)) {
        run->interrupted = f->plan.count > 0;
        run->status = RUN_SUCCESS;
        return end_now(run);
    }
    for (int64_t n = 0; n < limit; n++) {
        if (frame_step(f, &end))
            return end.ours;
        if (run->arena.used_bytes > RUN_BYTES_MAX) {
            int rc = err_set(&err, ERR_TOO_LARGE, "The run used more than %zu MiB of memory",
                             RUN_BYTES_MAX >> 20);
            live_run_fail(run, rc, &err);
            return end_now(run);
        }
    }
    live_run_fail(run, live_run_recursed(limit, &err), &err);
    return end_now(run);
}

str values_with_interrupts(struct arena *a, str values, str list) {
    if (!list.p || list.len <= 2 || values.len < 2)
        return values;
    return arena_printf(a, STR_FMT "%s\"__interrupt__\":" STR_FMT "}", (int)values.len - 1,
                        values.p, values.len > 2 ? "," : "", STR_ARG(list));
}

/* Not ours any more: what became of it. */
void live_run_learn_fate(struct live_run *run) {
    struct engine *e = run->engine;
    struct run_place place;
    struct err err = {0};
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    int rc = run_place_get(e->store, run->row.id, &a, &place, &err);
    if (rc == 0 && place.status != RUN_PENDING && place.status != RUN_RUNNING) {
        run->status = place.status;
        run->error = place.error.p ? arena_dup(&run->arena, place.error) : STR_NULL;
        rc = checkpoint_head_values(e->store, run->row.thread_id, &run->arena, &run->values, &err);
        run->moved = rc < 0; /* whoever waits asks for them again */
    } else if (rc == ERR_NOT_FOUND) {
        run->status = RUN_ERROR;
        run->error = LOST_ERROR;
        hub_finish_run_readers(run->topic, run->row.id, LOST_ERROR);
    } else {
        run->moved = true; /* as far as is known; its waiters look for it */
    }
    engine_look_for_strays(e);
    arena_deinit(&a);
}

static void settle_result(struct live_run *run, bool ours) {
    struct engine *e = run->engine;
    if (ours && run->status != RUN_ERROR && run->root.view.channels)
        run->values =
            values_with_interrupts(&run->arena, state_values_json(&run->root.view),
                                   run->interrupt_list);
    if (!ours && run->begin_rc < 0)
        return; /* nobody was told of it */
    if (!ours && e->draining)
        run->error = SHUTDOWN_ERROR; /* the drain tells the readers itself */
    else if (!ours)
        live_run_learn_fate(run);
    if (run->moved || (!ours && e->draining))
        return;
    if (ours)
        spans_run_end(run);
    struct metric *m = run->status == RUN_SUCCESS ? e->metrics.success
                       : run->status == RUN_ERROR ? e->metrics.error
                                                  : e->metrics.interrupted;
    metric_add(m, 1);
    metric_observe_us(e->metrics.run_seconds, clock_mono_us() - run->begun_us);
}

void live_run_execute(void *arg) {
    struct live_run *run = arg;
    run->fiber = fiber_self();
    if (run->cancel)
        fiber_cancel(run->fiber);
    bool ours = steps(run);
    run->fiber = NULL;
    settle_result(run, ours);
    live_run_end(run);
}

/* --- runs that waited --- */

/* The claim found the row changed: by a claim of ours whose answer was lost, or by others. */
static int claim_fenced(struct live_run *run, int64_t next, struct err *err) {
    struct engine *e = run->engine;
    struct run_place place;
    struct arena a;
    arena_init(&a, 1 << 20);
    int rc = run_place_get(e->store, run->row.id, &a, &place, err);
    bool mine = rc == 0 && place.status == RUN_RUNNING && place.attempt == next &&
                id_eq(place.worker, run->worker);
    arena_deinit(&a);
    if (mine) {
        run->row.attempt = next;
        run->row.status = RUN_RUNNING; /* it has the thread: none may come before it */
        run->begun_before = true;
    }
    return mine || (rc < 0 && live_run_may_retry(run, rc)) ? ERR_UNAVAILABLE : ERR_FENCED;
}

static int check_attempts(struct live_run *run, struct err *err) {
    int most = run->engine->o.attempts_max;
    int64_t before = 0;
    if (run->row.attempt <= most)
        return 0;
    const struct graph_def *def = live_run_graph(run);
    struct graph_end what = {.thread_id = run->row.thread_id, .run_id = run->row.id};
    int rc = def && def->progress ? def->progress(def, &what, &before, err) : 0;
    if (rc == 0 && run->row.attempt - before > most)
        rc =
            err_set(err, ERR_INTERNAL, "the run was cut off %d times and is not tried again", most);
    return rc;
}

/* Builds the batch of the claim and the begin. A negative result is the run's failure: the claim
 * and the start must stand before its end can. */
static int claim_build(struct live_run *run, const struct run_context *ctx, int64_t from,
                       struct db_batch *b, struct begin *begin, struct err *err) {
    struct engine *e = run->engine;
    struct run_hold hold = live_run_hold(run);
    run_claim_add(b, &hold, from, rt_now_us(e->rt));
    int rc = live_run_read_kwargs(run, err);
    if (rc == 0)
        rc = check_attempts(run, err);
    if (rc == 0)
        rc = live_run_begin(run, &ctx->thread, b, begin, err);
    if (rc == 0 || live_run_is_passing(rc))
        return rc;
    db_batch_init(b, &run->arena);
    run_claim_add(b, &hold, from, rt_now_us(e->rt));
    begin->entry_count = 1;
    begin->entries[0] = start_entry(run);
    return rc;
}

static int claim_commit(struct live_run *run, struct db_batch *b, const struct begin *begin,
                        struct id head, struct id checkpoint_id, struct err *err) {
    struct begin_row row = {.run = run, .head = head, .checkpoint_id = checkpoint_id};
    struct log_counter counter = {begin_counter, &row};
    struct hub_append append = {.thread_id = run->row.thread_id,
                                .batch = b,
                                .entries = begin->entries,
                                .count = begin->entry_count,
                                .counter = &counter,
                                .held = true};
    struct run_hold hold = live_run_hold(run);
    int rc = FAILPOINT("engine.claim.before_commit");
    if (rc < 0)
        return err_set(err, rc, "failpoint engine.claim.before_commit");
    hub_topic_hold(run->topic, &hold);
    run->topic_held = true;
    return hub_commit(run->engine->hub, &append, err);
}

/* ERR_UNAVAILABLE: the database is away; ERR_CONFLICT: the thread is not free; ERR_FENCED: not
 * ours any more; else the run's own failure. */
static int claim(struct live_run *run, struct begin *begin, struct err *err) {
    struct run_context ctx;
    struct principal who = {.owner = run->owner, .all = true};
    int rc = live_run_read_context(run, &who, run->row.assistant_id, &ctx, err);
    if (rc < 0)
        return live_run_is_passing(rc) ? ERR_UNAVAILABLE : ERR_FENCED;
    if (!ctx.has_thread)
        return err_set(err, ERR_FENCED, "the thread of a pending run is gone");
    bool has_slot = id_eq(ctx.slot_run, run->row.id); /* from an attempt that was cut off */
    run->holder = ctx.slot_run;
    if (!has_slot && (!id_is_nil(ctx.slot_run) || ctx.has_older))
        return err_set(err, ERR_CONFLICT, "another run has the thread or waits before this one");
    struct db_batch b;
    db_batch_init(&b, &run->arena);
    int64_t from = run->row.attempt;
    run->row.attempt = run->begun_before ? from : run_next_attempt(from);
    rc = claim_build(run, &ctx, from, &b, begin, err);
    if (live_run_is_passing(rc)) { /* no failure of the run, also when it is let go of here */
        run->row.attempt = from;
        return ERR_UNAVAILABLE;
    }
    struct err failure = *err;
    int committed =
        claim_commit(run, &b, begin, ctx.head, rc == 0 ? run->made_id : ID_NIL, err);
    if (committed < 0) {
        int64_t next = run->row.attempt;
        run->row.attempt = from;
        if (committed == ERR_FENCED)
            return claim_fenced(run, next, err);
        /* ERR_EXISTS: the thread's lists have grown since its state was read. */
        run->new_lists = run->new_lists || committed == ERR_EXISTS;
        if (committed == ERR_CONFLICT || committed == ERR_EXISTS)
            return ERR_CONFLICT;
        return live_run_may_retry(run, committed) ? ERR_UNAVAILABLE : ERR_FENCED;
    }
    run->begun_before = false;
    if (rc < 0) {
        live_run_fail(run, rc, &failure);
        return ERR_INVALID;
    }
    if (!run->root.unsaved)
        state_mark_stored(&run->root.view);
    return 0;
}

/* It was cancelled while it was about to begin. */
static bool end_waiting(struct live_run *run) {
    for (int64_t wait_us = COMMIT_RETRY_US_MIN;; wait_us = live_run_next_wait_us(wait_us)) {
        struct err err = {0};
        int rc = live_run_commit_waiting_end(run, run->cancel_action, run->cancel_reason, &err);
        if (rc == 0 || !live_run_may_retry(run, rc))
            return rc == 0;
        fiber_sleep_shielded_us(wait_us);
    }
}

void live_run_start_pending(void *arg) {
    struct live_run *run = arg;
    struct engine *e = run->engine;
    struct begin begin = {0};
    struct err err = {0};
    run->fiber = fiber_self();
    metric_observe_us(e->metrics.phase_queue, rt_now_us(e->rt) - run->row.created_at);
    int rc = claim(run, &begin, &err);
    if (rc == 0) {
        live_run_execute(run);
        return;
    }
    run->fiber = NULL;
    if ((rc == ERR_UNAVAILABLE || rc == ERR_CONFLICT) && !run->cancel && !run->hand_back) {
        log_event(LOG_DEBUG, "run.claim.later", err.message, LOG_Z("code", err_name(rc)),
                  LOG_STR("run_id", id_dashed(&run->arena, run->row.id)));
        live_run_block(run, rc == ERR_CONFLICT ? BUSY_RETRY_US : CLAIM_RETRY_US);
        slot_promote(run->slot, run->holder);
        return;
    }
    bool ours = rc == ERR_INVALID && !run->hand_back && end_now(run);
    if (run->cancel && !run->hand_back && (rc == ERR_UNAVAILABLE || rc == ERR_CONFLICT))
        ours = end_waiting(run);
    if (rc == ERR_FENCED)
        log_event(LOG_WARN, "run.claim.lost", err.message,
                  LOG_STR("run_id", id_dashed(&run->arena, run->row.id)));
    settle_result(run, ours);
    live_run_end(run);
}
