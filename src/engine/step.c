/* SPDX-License-Identifier: Apache-2.0 */
/* step.c - the super-steps of a frame.
 *
 *   plan ─▶ [tasks, a fiber each] ─▶ writes applied ─▶ plan ─▶ batch: results, checkpoint (, end)
 *                 │ a sibling fails, or asks somebody outside
 *                 └─────────────▶ what the others wrote is kept beside the checkpoint; the frame
 *                                 is over, and goes on later with the tasks that have not ended
 *
 * A task that ends while siblings run is kept at once, with its entry of the log: a crash does not
 * run it again. One alone costs nothing: its result goes with the step's batch. The last step of
 * the root carries the end of the run. A commit that fails for a passing reason is tried again
 * (execute.c). Cancelling a frame's fiber cancels its tasks, and so their frames. */
#include "base/clock.h"
#include "base/rand.h"
#include "engine/engine_int.h"
#include "engine/runner.h"

/* --- a task --- */

static void task_init(struct frame *f, const struct planned *planned, struct task *t) {
    struct live_run *run = f->run;
    *t = (struct task){.run = run,
                       .frame = f,
                       .node = &f->def->nodes[planned->node],
                       .planned = planned,
                       .id = frame_task_id(f, planned),
                       .next = {.arena = &run->arena, .graph = f->def}};
    t->ctx = (struct node_ctx){
        .arena = &run->arena,
        .services = &run->engine->services,
        .graph = f->def,
        .node = t->node,
        .state = &f->view,
        .input = planned->input,
        .compiled = f->compiled->object,
        .configurable = run->configurable,
        .owner = run->owner,
        .bearer = run->bearer,
        .want_tokens =
            (run->modes & (STREAM_MESSAGES | STREAM_MESSAGES_TUPLE | STREAM_EVENTS)) != 0 &&
            (!f->parent || run->subgraphs),
        .run_id = run->row.id,
        .thread_id = run->row.thread_id,
        .step = f->step + 1,
        .attempt = 1,
        .trace = &t->span.at,
        .run_attempt = run->row.attempt,
        .task = t,
        .given = run->given,
    };
    run->given = NULL;
    if (f->pending.count)
        pending_restore(&f->pending, t, !f->replayed);
    if (run->resume_map && !t->restored) {
        str ns = frame_task_ns(f, planned, t->id);
        str id = interrupt_id(&run->arena, ns, t->answers.count);
        yyjson_val *answer = json_get_str(run->resume_map, id);
        if (!answer && t->answers.count) {
            id = interrupt_id(&run->arena, ns, 0);
            answer = json_get_str(run->resume_map, id);
        }
        if (answer) {
            vec_push(&t->answers, answer);
            t->answered = true;
            t->answered_id = id;
        }
    }
}

static void tasks_free(struct task *tasks, size_t count) {
    for (size_t i = 0; i < count; i++) {
        vec_deinit(&tasks[i].writes);
        vec_deinit(&tasks[i].answers);
        vec_deinit(&tasks[i].interrupts);
    }
}

static int run_node(struct task *t) {
    return t->node->subgraph ? subgraph_run(t, &t->err)
                             : graph_runner_of(t->frame->def)->run(&t->ctx, &t->err);
}

static void timed_fiber(void *arg) {
    struct task *t = arg;
    t->rc = run_node(t);
}

/* In a fiber of its own, which is cancelled when the time is over. */
static void run_timed(struct task *t) {
    struct fiber_group group;
    int64_t deadline = rt_mono_us(t->run->engine->rt) + t->node->timeout_us;
    fiber_group_init(&group);
    int rc = fiber_group_spawn(&group, t->run->engine->rt, "run.task", timed_fiber, t, &t->err);
    if (rc < 0) {
        t->rc = rc;
        return;
    }
    while (group.live > 0 && rc == 0)
        rc = fiber_event_wait(&group.done, deadline);
    if (rc < 0)
        fiber_group_cancel(&group);
    fiber_group_wait(&group);
    if (rc == ERR_TIMEOUT && t->rc == ERR_CANCELLED)
        t->rc = err_set(&t->err, ERR_TIMEOUT, "Node %s did not end within %g s", t->node->name,
                        (double)t->node->timeout_us / 1e6);
    else if (rc == ERR_CANCELLED)
        t->rc = rc;
}

static void run_attempt(struct task *t) {
    err_reset(&t->err);
    t->writes.count = t->interrupts.count = 0;
    t->asked = 0;
    t->routed = false;
    t->next = (struct route){.arena = &t->run->arena, .graph = t->frame->def};
    spans_task_begin(t);
    if (t->node->timeout_us)
        run_timed(t);
    else
        t->rc = run_node(t);
    spans_task_end(t);
}

static int64_t retry_wait_us(const struct node_retry *r, int attempt) {
    double us = r->initial_us > 0 ? (double)r->initial_us : 0;
    double most = r->max_us > 0 ? (double)r->max_us : 128e6;
    for (int i = 1; i < attempt && us < most; i++)
        us *= r->factor > 1 ? r->factor : 1;
    us = us < most ? us : most;
    if (r->jitter)
        us += us * ((double)(rand_u64() >> 11) / 9007199254740992.0);
    return (int64_t)us;
}

/* A conditional edge sees the state with its own node's writes, not with those of its siblings. */
static void task_route(struct task *t, bool alone) {
    struct frame *f = t->frame;
    struct graph_view seen;
    const struct graph_view *view = &f->view;
    if (t->routed || t->rc < 0 || !graph_runner_of(f->def)->has_routes(f->def))
        return;
    if (!alone) {
        t->rc = state_with(&f->view, t->writes.p, t->writes.count, &seen, &t->err);
        if (t->rc < 0)
            return;
        view = &seen;
    }
    frame_route(f, view, t->planned->node, &t->next);
    t->routed = true;
}

static void task_run(struct task *t) {
    const struct node_retry *retry = &t->node->retry;
    for (;;) {
        run_attempt(t);
        if (t->rc == 0 || t->rc == ERR_INTERRUPTED || t->rc == ERR_CANCELLED ||
            !err_retryable(t->rc) || t->ctx.attempt >= retry->attempts_max)
            return;
        int rc = fiber_sleep_us(retry_wait_us(retry, t->ctx.attempt));
        if (rc < 0) {
            t->rc = rc;
            return;
        }
        t->ctx.attempt++;
    }
}

/* --- keeping what has ended --- */

/* Of a checkpoint that is not stored there are no rows; one that is about to be is waited for. */
static bool keeps(struct frame *f) {
    return live_run_has_begun(f->run) && !f->unsaved && !f->run->hand_back;
}

static void task_keep(struct task *t) {
    struct live_run *run = t->run;
    struct arena a;
    struct db_batch b;
    struct err err = {0};
    arena_init(&a, RUN_ARENA_BYTES_MAX); /* others go on with the run's */
    db_batch_init(&b, &a);
    struct hub_entry entry = task_entry(t);
    pending_add(&b, t);
    answers_add_taken(&b, t);
    struct hub_append append = {
        .thread_id = run->row.thread_id, .batch = &b, .entries = &entry, .count = 1};
    /* When it fails the step's own batch tries again. */
    t->kept = hub_commit(run->engine->hub, &append, &err) == 0;
    arena_deinit(&a);
}

static void task_fiber(void *arg) {
    struct task *t = arg;
    task_run(t);
    task_route(t, false);
    bool failed = t->rc < 0 && t->rc != ERR_INTERRUPTED;
    if (failed && t->rc != ERR_CANCELLED)
        fiber_group_cancel(t->group); /* the others would work for nothing */
    if (t->rc == 0 && t->group->live > 1 && keeps(t->frame))
        task_keep(t);
}

static void tasks_run(struct frame *f, struct task *tasks, size_t count) {
    struct fiber_group group;
    struct task *only = NULL;
    size_t runnable = 0;
    for (size_t i = 0; i < count; i++)
        if (!tasks[i].restored) {
            only = &tasks[i];
            runnable++;
        }
    if (runnable == 1) {
        task_run(only);
        if (count > 1)
            task_route(only, false);
    }
    if (runnable <= 1)
        return;
    fiber_group_init(&group);
    for (size_t i = 0; i < count; i++) {
        if (tasks[i].restored)
            continue;
        tasks[i].group = &group;
        tasks[i].rc = fiber_group_spawn(&group, f->run->engine->rt, "run.task", task_fiber,
                                        &tasks[i], &tasks[i].err);
    }
    int rc = 0;
    while (group.live > 0 && rc == 0)
        rc = fiber_event_wait(&group.done, FIBER_NO_DEADLINE);
    if (rc < 0)
        fiber_group_cancel(&group);
    fiber_group_wait(&group);
}

/* --- a step --- */

static int write_all(struct frame *f, struct task *const *order, size_t count, struct err *err) {
    plan_consume(&f->view);
    state_step_begin(&f->view);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < order[i]->writes.count; j++) {
            int rc = state_apply(&f->view, &order[i]->writes.p[j], err);
            if (rc < 0)
                return rc;
        }
    state_step_end(&f->view);
    return 0;
}

/* Applies the writes and plans what follows. */
static int step_apply(struct frame *f, struct task *tasks, size_t count, struct err *err) {
    struct task **order = ARENA_ARRAY(f->view.arena, struct task *, count);
    int *done = ARENA_ARRAY(f->view.arena, int, count);
    struct route *routes = ARENA_ARRAY(f->view.arena, struct route, count);
    size_t n = 0;
    for (size_t pass = 0; pass < 2; pass++) /* nodes first, then sends */
        for (size_t i = 0; i < count; i++)
            if ((tasks[i].planned->send >= 0) == (pass == 1))
                order[n++] = &tasks[i];
    int rc = write_all(f, order, count, err);
    if (rc < 0)
        return rc;
    if (count == 1)
        task_route(&tasks[0], true);
    for (size_t i = 0; i < count; i++) {
        done[i] = order[i]->planned->node;
        routes[i] = order[i]->next;
    }
    return plan_after(&f->view, done, routes, count, &f->plan, err);
}

/* interrupt_before / interrupt_after: "*" or a list that names one of the nodes. */
static bool stops_at(const struct frame *f, const char *key, const struct plan *plan) {
    yyjson_val *v = json_get(f->run->kwargs, key);
    if (f->parent || !v)
        return false;
    if (str_eq(json_str(v), STR("*")))
        return plan->count > 0;
    if (!yyjson_is_arr(v))
        return false;
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    for (yyjson_val *name; (name = yyjson_arr_iter_next(&it)) != NULL;)
        for (size_t i = 0; i < plan->count; i++)
            if (str_eq(json_str(name), str_of(f->def->nodes[plan->tasks[i].node].name)))
                return true;
    return false;
}

bool frame_stops_before(const struct frame *f) {
    return !f->resumed && stops_at(f, "interrupt_before", &f->plan);
}

/* What the tasks came to: the first failure, a cancel, or questions to somebody outside. */
static void judge(struct frame *f, struct task *tasks, size_t count, struct step_end *end) {
    struct live_run *run = f->run;
    size_t asked = 0;
    for (size_t i = 0; i < count; i++) {
        int rc = tasks[i].rc;
        asked += tasks[i].interrupts.count;
        bool worse = rc < 0 && (end->rc == 0 || end->rc == ERR_INTERRUPTED ||
                                (end->rc == ERR_CANCELLED && rc != ERR_INTERRUPTED));
        if (!worse || (end->rc == ERR_INTERRUPTED && rc == ERR_INTERRUPTED))
            continue;
        end->rc = rc;
        end->err = tasks[i].err;
    }
    if (run->cancel)
        end->rc = ERR_CANCELLED;
    end->interrupts = ARENA_ARRAY(&run->arena, struct interrupt, asked + 1);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; tasks[i].rc == ERR_INTERRUPTED && k < tasks[i].interrupts.count; k++)
            end->interrupts[end->interrupt_count++] = tasks[i].interrupts.p[k];
}

static str thread_interrupts(struct frame *f, struct task *tasks, size_t count) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    for (size_t i = 0; i < count; i++) {
        if (tasks[i].rc != ERR_INTERRUPTED)
            continue;
        jw_key_str(&w, id_dashed(f->view.arena, tasks[i].id));
        interrupts_write(&w, tasks[i].interrupts.p, tasks[i].interrupts.count);
    }
    jw_object_end(&w);
    return arena_take(f->view.arena, &b);
}

static void root_is_over(struct frame *f, struct task *tasks, size_t count,
                         const struct step_end *end) {
    struct live_run *run = f->run;
    run->status = RUN_SUCCESS;
    if (end->rc == ERR_INTERRUPTED) {
        struct buf b;
        run->interrupted = true;
        run->interrupts = thread_interrupts(f, tasks, count);
        buf_init(&b, SIZE_MAX / 2);
        struct json_writer w = json_writer(&b);
        interrupts_write(&w, end->interrupts, end->interrupt_count);
        run->interrupt_list = arena_take(&run->arena, &b);
    } else if (end->rc < 0) {
        live_run_fail(run, end->rc, &end->err);
    }
}

bool frame_step(struct frame *f, struct step_end *end) {
    struct live_run *run = f->run;
    const struct plan done = f->plan;
    size_t count = done.count;
    struct task *tasks = ARENA_ARRAY(&run->arena, struct task, count);
    *end = (struct step_end){.ours = false};
    for (size_t i = 0; i < count; i++)
        task_init(f, &done.tasks[i], &tasks[i]);
    tasks_run(f, tasks, count);
    if (!live_run_has_begun(run)) {
        tasks_free(tasks, count);
        return true;
    }
    judge(f, tasks, count, end);
    if (end->rc == 0)
        end->rc = step_apply(f, tasks, count, &end->err);
    bool applied = end->rc == 0, over = end->rc < 0 || f->plan.count == 0;
    if (applied && f->plan.count && !f->parent)
        run->interrupted = stops_at(f, "interrupt_after", &done) ||
                           stops_at(f, "interrupt_before", &f->plan);
    over = over || run->interrupted;
    if (over && !f->parent)
        root_is_over(f, tasks, count, end);
    struct step_commit s = {.frame = f,
                            .tasks = tasks,
                            .task_count = count,
                            .state_changed = applied,
                            .over = over,
                            .end = over && !f->parent};
    if (!run->hand_back)
        end->ours = live_run_commit_step(&s) == 0;
    f->resumed = f->replayed = false;
    f->pending.count = 0;
    tasks_free(tasks, count);
    return over || !end->ours;
}
