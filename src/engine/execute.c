/* SPDX-License-Identifier: Apache-2.0 */
/* execute.c - the super-steps of a run, and its end.
 *
 *   begun ─▶ [tasks of the step run as fibers] ─▶ writes applied ─▶ batch: task results, checkpoint
 *      ▲                                                                  │ (with the last: end)
 *      └──────────────────────── next tasks ◀─────────────────────────────┘
 *
 * The last step's batch carries the end of the run, so a run of one step costs two commits in all.
 * A commit that fails for a passing reason is tried again: a run is not lost because a disk was
 * full for a minute. ERR_FENCED and ERR_NOT_FOUND mean that the run is no longer ours: it ends
 * quietly. */
#include "engine/engine_int.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "store/idempotency.h"

#define COMMIT_RETRY_US_MAX 2000000
#define CLAIM_RETRY_US      1000000
#define BUSY_RETRY_US       250000
/* How long a temporary run's thread stays for readers in other processes. */
#define TEMPORARY_US 10000000

/* --- the end --- */

static str error_json(struct live_run *run, const char *name, const char *message) {
    struct buf b;
    buf_init(&b, 64 * 1024);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "error");
    jw_z(&w, name);
    jw_key(&w, "message");
    jw_z(&w, message);
    jw_object_end(&w);
    str s = arena_dup(&run->arena, buf_view(&b));
    buf_deinit(&b);
    return s;
}

static const char *error_class(int code) {
    switch (code) {
    case ERR_MODEL_REFUSED:
        return "ModelConnectionError";
    case ERR_MODEL_AUTH:
        return "ModelAuthenticationError";
    case ERR_MODEL_RATE:
        return "ModelRateLimitError";
    case ERR_MODEL_FAILED:
        return "ModelServerError";
    case ERR_MODEL_PROTOCOL:
        return "ModelProtocolError";
    case ERR_MODEL_REQUEST:
        return "ModelRequestError";
    case ERR_TIMEOUT:
        return "TimeoutError";
    case ERR_INVALID:
        return "InvalidInputError";
    case ERR_INVALID_UPDATE:
        return "InvalidUpdateError";
    case ERR_LIMIT:
        return "GraphRecursionError";
    case ERR_TOO_LARGE:
        return "RunTooLargeError";
    default:
        return "GraphError";
    }
}

static struct hub_entry end_entry(struct live_run *run) {
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "status");
    jw_str(&w, run_status_name(run->status));
    jw_key(&w, "graph_id");
    jw_str(&w, run->def ? str_of(run->def->id) : STR_NULL);
    jw_key(&w, "error");
    jw_raw(&w, run->error);
    if (run->interrupted) {
        jw_key(&w, "interrupts");
        jw_raw(&w, STR("[]"));
    }
    jw_object_end(&w);
    str data = arena_dup(&run->arena, buf_view(&b));
    buf_deinit(&b);
    return (struct hub_entry){.entry = {.run_id = run->row.id,
                                        .kind = LOG_END,
                                        .at = rt_now_us(run->engine->rt),
                                        .data = data}};
}

static bool rolls_back(const struct live_run *run) {
    return run->cancel && run->cancel_action == CANCEL_ROLLBACK;
}

static void finish_add(struct live_run *run, struct db_batch *b) {
    if (rolls_back(run))
        run_rollback_add(b, run->row.thread_id, run->row.id);
    else
        run_finish_add(b, run->row.id, run->row.attempt, run->status, run->error,
                       run->cancel_reason, rt_now_us(run->engine->rt));
}

/* The thread's row of a run's end; after finish_add, whose outcome its status is derived from. */
static size_t settle_counter(void *ctx, struct db_batch *b, int64_t count) {
    const struct live_run *run = ctx;
    enum thread_status status = run->status == RUN_ERROR || run->status == RUN_TIMEOUT
                                    ? THREAD_ERROR
                                : run->interrupted ? THREAD_INTERRUPTED
                                                   : THREAD_IDLE;
    bool back = rolls_back(run);
    struct run_hold hold = live_run_hold(run);
    return thread_settle_add(b, &hold, back ? THREAD_IDLE : status, STR("{}"),
                             back ? STR_NULL : run->error, back ? ID_NIL : run->checkpoint_id,
                             count, rt_now_us(run->engine->rt));
}

static size_t checkpoint_counter(void *ctx, struct db_batch *b, int64_t count) {
    const struct live_run *run = ctx;
    struct run_hold hold = live_run_hold(run);
    return thread_checkpoint_add(b, &hold, run->checkpoint_id, count, rt_now_us(run->engine->rt));
}

size_t begin_counter(void *ctx, struct db_batch *b, int64_t count) {
    const struct begin_row *row = ctx;
    struct run_hold hold = live_run_hold(row->run);
    return thread_begin_add(b, &hold, row->run->row.created_at, row->head, row->merge,
                            row->checkpoint_id, count, rt_now_us(row->run->engine->rt));
}

/* Passing troubles of the database: try again; others: the run is not ours any more. */
static bool worth_retrying(const struct live_run *run, int rc) {
    return (rc == ERR_UNAVAILABLE || rc == ERR_IO || rc == ERR_LIMIT) && !run->engine->draining &&
           !run->hand_back;
}

struct step_commit {
    struct live_run *run;
    struct task *tasks;
    size_t task_count;
    bool state_changed, end;
};

static size_t step_entries(struct step_commit *s, struct db_batch *b, struct hub_entry *out);

/* A run under way waits for the database as long as it takes. */
static bool run_patient(void *ctx) {
    const struct live_run *run = ctx;
    return !run->engine->draining && !run->hand_back;
}

/* A temporary run may have readers in other processes, who need its last entries: then its thread
 * goes later. */
static bool read_elsewhere(const struct live_run *run) {
    return run->engine->o.shared && (run->adopted || run->engine->w.others > 0);
}

static int commit_once(struct step_commit *s, struct err *err) {
    struct live_run *run = s->run;
    struct engine *e = run->engine;
    struct db_batch b;
    db_batch_init(&b, &run->arena);
    struct hub_entry *entries = ARENA_ARRAY(&run->arena, struct hub_entry, s->task_count + 2);
    size_t count = step_entries(s, &b, entries);
    int rc =
        s->end ? FAILPOINT("engine.end.before_commit") : FAILPOINT("engine.step.before_commit");
    if (rc < 0)
        return err_set(err, rc, "failpoint before the commit of a step");
    bool gone = s->end && run->temporary && !run->kept && !read_elsewhere(run);
    if (gone) {
        struct run_hold hold = live_run_hold(run);
        (void)thread_hold_add(&b, &hold); /* fails the batch when it lost the thread */
        thread_delete_add(&b, &(struct principal){.all = true}, run->row.thread_id);
        struct hub_append append = {.thread_id = run->row.thread_id,
                                    .batch = &b,
                                    .entries = entries,
                                    .count = count,
                                    .patient = run_patient,
                                    .ctx = run};
        rc = hub_commit_gone(e->hub, &append, run->row.id, err);
    } else {
        if (s->end && rolls_back(run))
            hub_topic_drop(run->topic, run->row.id); /* its entries go, too */
        if (s->end)
            finish_add(run, &b);
        if (s->end && run->temporary)
            thread_doom_add(&b, run->row.thread_id,
                            rt_now_us(e->rt) + (run->kept ? IDEMPOTENCY_KEEP_US : TEMPORARY_US));
        struct log_counter counter = {s->end ? settle_counter : checkpoint_counter, run};
        struct hub_append append = {.thread_id = run->row.thread_id,
                                    .batch = &b,
                                    .entries = entries,
                                    .count = count,
                                    .counter = &counter,
                                    .held = true,
                                    .patient = run_patient,
                                    .ctx = run};
        rc = hub_commit(e->hub, &append, err);
    }
    if (rc == 0) /* for crashes: it is durable */
        (void)(s->end ? FAILPOINT("engine.end.after_commit")
                      : FAILPOINT("engine.step.after_commit"));
    return rc;
}

static int commit_step(struct step_commit *s) {
    struct live_run *run = s->run;
    struct engine *e = run->engine;
    int step = run->step;
    struct id parent = run->checkpoint_id;
    for (int64_t wait_us = 50000;;
         wait_us = wait_us * 2 > COMMIT_RETRY_US_MAX ? COMMIT_RETRY_US_MAX : wait_us * 2) {
        struct err err = {0};
        int64_t t0 = clock_mono_us();
        int rc = commit_once(s, &err);
        metric_observe_us(e->metrics.phase_write, clock_mono_us() - t0);
        if (rc == 0) {
            if (run->view.channels) /* else it ended before its state was read */
                state_mark_stored(&run->view);
            return 0;
        }
        log_event(LOG_WARN, "run.commit.failed", err.message, LOG_Z("code", err_name(rc)),
                  LOG_STR("run_id", id_dashed(&run->arena, run->row.id)));
        if (!worth_retrying(run, rc))
            return rc;
        run->step = step;
        run->checkpoint_id = parent;
        state_unstage(&run->view);
        hub_pause_us(e->hub, wait_us);
    }
}

/* --- a step --- */

static void write_result(struct json_writer *w, const struct task *t) {
    jw_object(w);
    for (size_t i = 0; i < t->run->def->channel_count; i++) {
        const struct channel_def *def = &t->run->def->channels[i];
        size_t n = 0;
        for (size_t j = 0; j < t->writes.count; j++) {
            const struct state_write *wr = &t->writes.p[j];
            if (strcmp(wr->channel, def->name) != 0)
                continue;
            if (n++ == 0) {
                jw_key(w, def->name);
                if (wr->is_message)
                    jw_array(w);
            }
            jw_raw(w, wr->is_message ? wr->message.json : wr->value);
        }
        if (n && def->kind == CHANNEL_MESSAGES)
            jw_array_end(w);
    }
    jw_object_end(w);
}

static struct hub_entry task_entry(struct task *t) {
    struct live_run *run = t->run;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "id");
    jw_str(&w, id_dashed(&run->arena, t->id));
    jw_key(&w, "name");
    jw_z(&w, t->node->name);
    if (t->rc < 0) {
        jw_key(&w, "error");
        jw_raw(&w, error_json(run, error_class(t->rc), t->err.message));
    } else {
        jw_key(&w, "result");
        write_result(&w, t);
    }
    jw_object_end(&w);
    str data = arena_dup(&run->arena, buf_view(&b));
    buf_deinit(&b);
    return (struct hub_entry){.entry = {.run_id = run->row.id,
                                        .kind = LOG_TASK,
                                        .at = rt_now_us(run->engine->rt),
                                        .data = data}};
}

static size_t step_entries(struct step_commit *s, struct db_batch *b, struct hub_entry *out) {
    size_t count = 0;
    for (size_t i = 0; i < s->task_count; i++)
        if (s->tasks[i].rc != ERR_CANCELLED)
            out[count++] = task_entry(&s->tasks[i]);
    if (s->state_changed) {
        checkpoint_make(s->run, "loop", true, b, &out[count]);
        out[count++].state = &s->run->view;
    }
    if (s->end)
        out[count++] = end_entry(s->run);
    return count;
}

static void task_fiber(void *arg) {
    struct task *t = arg;
    t->rc = t->node->run(&t->ctx, &t->err);
}

static void tasks_prepare(struct live_run *run, struct task *tasks) {
    for (size_t i = 0; i < run->plan.count; i++) {
        struct task *t = &tasks[i];
        const struct planned *planned = &run->plan.tasks[i];
        *t = (struct task){.run = run,
                           .node = &run->def->nodes[planned->node],
                           .planned = planned,
                           .id = task_id(run, planned),
                           .next = {.arena = &run->arena, .graph = run->def}};
        t->ctx = (struct node_ctx){
            .arena = &run->arena,
            .services = &run->engine->services,
            .graph = run->def,
            .node = t->node,
            .state = &run->view,
            .input = planned->input,
            .compiled = run->compiled->object,
            .configurable = run->configurable,
            .want_tokens =
                (run->modes & (STREAM_MESSAGES | STREAM_MESSAGES_TUPLE | STREAM_EVENTS)) != 0,
            .run_id = run->row.id,
            .thread_id = run->row.thread_id,
            .step = run->step + 1,
            .attempt = 1,
            .task = t,
        };
    }
}

static void tasks_run(struct live_run *run, struct task *tasks, size_t count) {
    if (count == 1) {
        task_fiber(&tasks[0]);
        return;
    }
    struct fiber_group group;
    fiber_group_init(&group);
    run->group = &group;
    for (size_t i = 0; i < count; i++)
        tasks[i].rc = fiber_group_spawn(&group, run->engine->rt, "run.task", task_fiber, &tasks[i],
                                        &tasks[i].err);
    if (run->cancel)
        fiber_group_cancel(&group);
    fiber_group_wait(&group);
    run->group = NULL;
}

static int write_all(struct live_run *run, struct task *const *order, size_t count,
                     struct err *err) {
    plan_consume(&run->view);
    state_step_begin(&run->view);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < order[i]->writes.count; j++) {
            int rc = state_apply(&run->view, &order[i]->writes.p[j], err);
            if (rc < 0)
                return rc;
        }
    state_step_end(&run->view);
    return 0;
}

/* A conditional edge sees the state with its own node's writes, not with those of its siblings. */
static int route_tasks(struct live_run *run, struct task *tasks, size_t count, struct err *err) {
    for (size_t i = 0; i < count && run->def->route; i++) {
        struct graph_view seen;
        const struct graph_view *view = &run->view;
        struct task *t = &tasks[i];
        if (count > 1) {
            int rc = state_with(&run->view, t->writes.p, t->writes.count, &seen, err);
            if (rc < 0)
                return rc;
            view = &seen;
        }
        run->def->route(view, run->compiled->object, t->planned->node, &t->next);
    }
    return 0;
}

/* Applies the writes and plans what follows. */
static int step_apply(struct live_run *run, struct task *tasks, size_t count, struct err *err) {
    struct task **order = ARENA_ARRAY(&run->arena, struct task *, count);
    int *done = ARENA_ARRAY(&run->arena, int, count);
    struct route *routes = ARENA_ARRAY(&run->arena, struct route, count);
    size_t n = 0;
    for (size_t pass = 0; pass < 2; pass++) /* nodes first, then sends */
        for (size_t i = 0; i < count; i++)
            if ((tasks[i].planned->send >= 0) == (pass == 1))
                order[n++] = &tasks[i];
    int rc = count > 1 ? route_tasks(run, tasks, count, err) : 0;
    if (rc == 0)
        rc = write_all(run, order, count, err);
    if (rc == 0 && count == 1)
        rc = route_tasks(run, tasks, count, err);
    for (size_t i = 0; i < count; i++) {
        done[i] = order[i]->planned->node;
        routes[i] = order[i]->next;
    }
    return rc < 0 ? rc : plan_after(&run->view, done, routes, count, &run->plan, err);
}

/* interrupt_before / interrupt_after: "*" or a list that names one of the nodes. */
static bool stops_at(const struct live_run *run, const char *key, const struct plan *plan) {
    yyjson_val *v = json_get(run->kwargs, key);
    if (str_eq(json_str(v), STR("*")))
        return plan->count > 0;
    if (!yyjson_is_arr(v))
        return false;
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    for (yyjson_val *name; (name = yyjson_arr_iter_next(&it)) != NULL;)
        for (size_t i = 0; i < plan->count; i++)
            if (str_eq(json_str(name), str_of(run->def->nodes[plan->tasks[i].node].name)))
                return true;
    return false;
}

static void set_failure(struct live_run *run, int rc, const struct err *err) {
    if (rc == ERR_CANCELLED || run->cancel) {
        run->status = RUN_INTERRUPTED;
        return;
    }
    run->status = RUN_ERROR;
    run->error = error_json(run, error_class(rc), err->message[0] ? err->message : err_text(rc));
}

bool live_run_may_start_early(const struct live_run *run) {
    for (size_t i = 0; i < run->plan.count; i++)
        if (!run->def->nodes[run->plan.tasks[i].node].eager)
            return false;
    return run->plan.count > 0 && !stops_at(run, "interrupt_before", &run->plan);
}

/* False: the begin of this run never became durable, so there is nothing to go on with. */
static bool begun(struct live_run *run) {
    run->begin_waiter = fiber_self();
    while (run->early && !run->begin_over)
        fiber_park_shielded();
    run->begin_waiter = NULL;
    return !run->early || run->begin_rc == 0;
}

static void step_finish(struct live_run *run, struct step_commit *s, const struct plan *done) {
    struct err err = {0};
    int rc = step_apply(run, s->tasks, s->task_count, &err);
    if (rc < 0) {
        set_failure(run, rc, &err);
        s->end = true;
        return;
    }
    s->state_changed = true;
    run->interrupted = run->plan.count > 0 && (stops_at(run, "interrupt_after", done) ||
                                               stops_at(run, "interrupt_before", &run->plan));
    s->end = run->plan.count == 0 || run->interrupted;
    run->status = RUN_SUCCESS;
}

/* One super-step; true when the run is over (or no longer ours). */
static bool step(struct live_run *run, bool *ours) {
    const struct plan done = run->plan;
    size_t count = done.count;
    struct task *tasks = ARENA_ARRAY(&run->arena, struct task, count);
    tasks_prepare(run, tasks);
    tasks_run(run, tasks, count);
    if (!begun(run)) {
        for (size_t i = 0; i < count; i++)
            vec_deinit(&tasks[i].writes);
        *ours = false;
        return true;
    }
    struct step_commit s = {.run = run, .tasks = tasks, .task_count = count};
    for (size_t i = 0; i < count && !s.end; i++) {
        if (tasks[i].rc < 0) {
            set_failure(run, tasks[i].rc, &tasks[i].err);
            s.end = true;
        }
    }
    if (run->cancel && !s.end) {
        run->status = RUN_INTERRUPTED;
        s.end = true;
    }
    if (!s.end)
        step_finish(run, &s, &done);
    *ours = run->hand_back ? false : commit_step(&s) == 0;
    for (size_t i = 0; i < count; i++)
        vec_deinit(&tasks[i].writes);
    return s.end || !*ours;
}

static int64_t recursion_limit(const struct live_run *run) {
    yyjson_val *v = json_get(json_get(run->kwargs, "config"), "recursion_limit");
    int64_t limit = yyjson_is_int(v) ? yyjson_get_sint(v) : run->engine->o.recursion_limit;
    return limit < 1 ? 1 : limit;
}

static bool end_now(struct live_run *run) {
    struct step_commit s = {.run = run, .end = true};
    return commit_step(&s) == 0;
}

static bool steps(struct live_run *run) {
    bool ours = true;
    int64_t limit = recursion_limit(run);
    if (run->plan.count == 0 || stops_at(run, "interrupt_before", &run->plan)) {
        run->interrupted = run->plan.count > 0;
        run->status = RUN_SUCCESS;
        return end_now(run);
    }
    struct err err;
    for (int64_t n = 0; n < limit; n++) {
        if (step(run, &ours))
            return ours;
        if (run->arena.used_bytes > RUN_BYTES_MAX) {
            set_failure(run,
                        err_set(&err, ERR_TOO_LARGE, "The run used more than %zu MiB of memory",
                                RUN_BYTES_MAX >> 20),
                        &err);
            return end_now(run);
        }
    }
    set_failure(run,
                err_set(&err, ERR_LIMIT,
                        "Recursion limit of %lld reached without hitting a stop condition. You "
                        "can increase the limit by setting the \"recursion_limit\" config key.",
                        (long long)limit),
                &err);
    return end_now(run);
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
        if (rc < 0)
            run->values = STR_NULL;
    } else if (rc == ERR_NOT_FOUND) {
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
    if (ours && run->status != RUN_ERROR && run->view.channels)
        run->values = state_values_json(&run->view);
    if (!ours && run->begin_rc < 0)
        return; /* nobody was told of it */
    if (!ours && e->draining)
        run->error = SHUTDOWN_ERROR; /* the drain tells the readers itself */
    else if (!ours)
        live_run_learn_fate(run);
    if (run->moved)
        return;
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
    return mine || (rc < 0 && worth_retrying(run, rc)) ? ERR_UNAVAILABLE : ERR_FENCED;
}

/* Builds the batch of the claim and the begin. A negative result is the run's failure: the claim
 * and the start must stand before its end can. */
static int claim_build(struct live_run *run, const struct run_context *ctx, int64_t from,
                       struct db_batch *b, struct begin *begin, struct err *err) {
    struct engine *e = run->engine;
    struct run_hold hold = live_run_hold(run);
    run_claim_add(b, &hold, from, rt_now_us(e->rt));
    int rc = live_run_read_kwargs(run, err);
    if (rc == 0 && run->row.attempt > e->o.attempts_max)
        rc = err_set(err, ERR_INTERNAL, "the run was cut off %d times and is not tried again",
                     e->o.attempts_max);
    if (rc == 0)
        rc = live_run_begin(run, &ctx->thread, b, begin, err);
    if (rc == 0 || worth_retrying(run, rc))
        return rc;
    db_batch_init(b, &run->arena);
    run_claim_add(b, &hold, from, rt_now_us(e->rt));
    begin->entry_count = 1;
    begin->entries[0] = start_entry(run);
    return rc;
}

static int claim_commit(struct live_run *run, struct db_batch *b, const struct begin *begin,
                        struct id head, struct id checkpoint_id, struct err *err) {
    struct begin_row row = {run, NULL, head, checkpoint_id};
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
    struct engine *e = run->engine;
    struct run_context ctx;
    struct principal who = {.owner = run->owner, .all = true};
    struct run_context_key key = {.assistant_id = run->row.assistant_id,
                                  .thread_id = run->row.thread_id,
                                  .run_id = run->row.id,
                                  .time_us = run->row.created_at};
    int rc = run_context_read(e->store, &who, &key, &run->arena, &ctx, err);
    if (rc < 0)
        return worth_retrying(run, rc) ? ERR_UNAVAILABLE : ERR_FENCED;
    if (!ctx.has_thread)
        return err_set(err, ERR_FENCED, "the thread of a pending run is gone");
    bool has_slot = id_eq(ctx.slot_run, run->row.id); /* from an attempt that was cut off */
    if (!has_slot && (!id_is_nil(ctx.slot_run) || ctx.has_older))
        return err_set(err, ERR_CONFLICT, "another run has the thread or waits before this one");
    struct db_batch b;
    db_batch_init(&b, &run->arena);
    int64_t from = run->row.attempt;
    run->row.attempt = run->begun_before ? from : run_next_attempt(from);
    rc = claim_build(run, &ctx, from, &b, begin, err);
    struct err failure = *err;
    int committed =
        rc < 0 && worth_retrying(run, rc)
            ? rc
            : claim_commit(run, &b, begin, ctx.head, rc == 0 ? begun_checkpoint(run) : ID_NIL, err);
    if (committed < 0) {
        int64_t next = run->row.attempt;
        run->row.attempt = from;
        if (committed == ERR_FENCED)
            return claim_fenced(run, next, err);
        /* ERR_EXISTS: the thread's lists have grown since its state was read. */
        if (committed == ERR_CONFLICT || committed == ERR_EXISTS)
            return ERR_CONFLICT;
        return worth_retrying(run, committed) ? ERR_UNAVAILABLE : ERR_FENCED;
    }
    run->begun_before = false;
    if (rc < 0) {
        set_failure(run, rc, &failure);
        return ERR_INVALID;
    }
    state_mark_stored(&run->view);
    return 0;
}

/* It was cancelled while it was about to begin. */
static bool end_waiting(struct live_run *run) {
    for (int64_t wait_us = 50000;; wait_us *= wait_us < COMMIT_RETRY_US_MAX ? 2 : 1) {
        struct err err = {0};
        int rc = live_run_commit_waiting_end(run, run->cancel_action, run->cancel_reason, &err);
        if (rc == 0 || !worth_retrying(run, rc))
            return rc == 0;
        hub_pause_us(run->engine->hub, wait_us);
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
        live_run_block(run, rc == ERR_CONFLICT ? BUSY_RETRY_US : CLAIM_RETRY_US);
        return;
    }
    bool ours = rc == ERR_INVALID && end_now(run);
    if (run->cancel && !run->hand_back && (rc == ERR_UNAVAILABLE || rc == ERR_CONFLICT))
        ours = end_waiting(run);
    if (rc == ERR_FENCED)
        log_event(LOG_WARN, "run.claim.lost", err.message,
                  LOG_STR("run_id", id_dashed(&run->arena, run->row.id)));
    settle_result(run, ours);
    live_run_end(run);
}
