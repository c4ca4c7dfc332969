/* SPDX-License-Identifier: Apache-2.0 */
/* coordinator.c - the one node of the graph "plan": executes the steps of a plan.
 *
 *   rows ─▶ states in memory ─▶ ready ─▶ turns ─▶ executors (fibers) ─▶ moves ─▶ one batch
 *              ▲                                        │ failed: later, or given up      │
 *              └── those that waited for a step ◀──── its success is durable ◀────────────┘
 *
 * All moves since the last batch go with the next one, however many: the plan's row (under the
 * version that was seen), the rows of the steps, and entries of the log. While it is under way the
 * executors go on; when too much waits to be written, they wait. A step that others wait for has
 * succeeded when that is durable, so a crash never finds an effect before its cause.
 *
 * The coordinator begins while the plan itself is being committed, with what that is made of; its
 * first batch waits for that commit, and when it fails all is cancelled and nothing written. A tool
 * that changes something outside begins when that it begins is durable, any other one at once; in a
 * run that was cut off before every step waits (quarantine.c).
 *
 * The run's hold on its thread fences all of it: a coordinator that lost the thread writes nothing.
 * The plan's version is for those who ask for something from beside: the batch then fails, what
 * they asked for is read, and the batch goes out again.
 *
 * Cancelled, it cancels its executors and waits for them. When somebody ended the run, what is left
 * is cancelled, too; when only this process is done with it, it stays as it is. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "plans/plans_int.h"

#define UNSAVED_MAX    8192 /* moves */
#define YIELD_EVERY    128  /* steps of one executor */
#define SPAWN_RETRY_US 50000
#define KEEP_AFTER_US  500000
#define OUTPUT_BYTES_MAX ((size_t)1 << 20)
#define CALL_BYTES_MAX   ((size_t)64 << 20)

/* --- executing --- */

struct exec {
    struct coordinator *c;
    struct fiber *fiber;
    struct rt_timer timer;
    bool timed_out, cancelled;
};

static void on_timeout(struct rt_timer *t) {
    struct exec *x = CONTAINER_OF(t, struct exec, timer);
    x->timed_out = true;
    fiber_cancel(x->fiber);
}

static int64_t now_us(const struct coordinator *c) { return rt_now_us(c->plans->rt); }

static void set_output(struct step *s, str output) {
    mem_free((void *)s->output.p);
    s->output = output.p ? str_n(mem_dup(output.p, output.len), output.len) : STR_NULL;
}

static void step_over(struct coordinator *c, uint32_t i, enum run_state state) {
    coordinator_mark(c, i, state, now_us(c));
    if (state != RUN_STATE_SUCCEEDED)
        coordinator_give_up(c, i);
}

static void step_dies(struct coordinator *c, uint32_t i, enum run_state state,
                      enum dead_reason reason) {
    c->steps[i].dies = true;
    c->steps[i].reason = reason;
    step_over(c, i, state);
}

void coordinator_step_end(struct coordinator *c, uint32_t position, enum run_state state,
                          str output) {
    struct step *s = &c->steps[position];
    int64_t losses_max = c->plans->o.losses_max;
    set_output(s, output);
    if (state == RUN_STATE_SUCCEEDED)
        step_over(c, position, state);
    else if (losses_max > 0 && s->losses >= losses_max)
        step_dies(c, position, state, DEAD_QUARANTINED);
    else
        step_dies(c, position, state,
                  s->attempt - s->spent < c->specs[position].retry.attempts_max ? DEAD_REFUSED
                                                                                 : DEAD_ATTEMPTS);
}

/* Again later, if its attempts are not used up. */
static void step_failed(struct coordinator *c, uint32_t i, enum run_state state, int code) {
    struct step *s = &c->steps[i];
    const struct plan_retry *retry = &c->specs[i].retry;
    if (code == ERR_INVALID || s->attempt - s->spent >= retry->attempts_max) {
        step_dies(c, i, state, code == ERR_INVALID ? DEAD_REFUSED : DEAD_ATTEMPTS);
        return;
    }
    int64_t wait = plan_retry_wait_us(retry, s->attempt - s->spent, rand_u64());
    coordinator_mark(c, i, RUN_STATE_QUEUED, now_us(c));
    step_heap_push(&c->later, rt_mono_us(c->plans->rt) + wait, i);
    metric_add(c->plans->metrics.retries, 1);
}

static void judge(struct exec *x, uint32_t i, int rc, const struct tool_call *call,
                  const struct err *err) {
    struct coordinator *c = x->c;
    struct step *s = &c->steps[i];
    if (rc == 0 && call->output.len > OUTPUT_BYTES_MAX) {
        step_set_error(s, STR("its output is larger than 1 MiB"));
        step_dies(c, i, RUN_STATE_FAILED, DEAD_REFUSED);
    } else if (rc == 0) {
        step_set_error(s, STR_NULL);
        set_output(s, call->output);
        step_over(c, i, RUN_STATE_SUCCEEDED);
    } else if (x->cancelled) {
        step_set_error(s, STR("it was cancelled"));
        step_over(c, i, RUN_STATE_CANCELLED);
    } else if (x->timed_out) {
        step_set_error(s, arena_printf(call->arena, "it did not end within %g s",
                                       (double)c->specs[i].timeout_us / 1e6));
        step_failed(c, i, RUN_STATE_TIMED_OUT, ERR_TIMEOUT);
    } else if (!c->stop) { /* else it is as if it had not begun */
        str text = str_of(err->message[0] ? err->message : err_text(rc));
        step_set_error(s, str_n(text.p, str_utf8_prefix(text)));
        step_failed(c, i, RUN_STATE_FAILED, rc);
    }
}

static int await_saved(struct coordinator *c, const struct step *s) {
    int rc = 0;
    while (rc == 0 && !c->stop && (s->dirty || s->flying))
        rc = fiber_event_wait(&c->saved, FIBER_NO_DEADLINE);
    return rc < 0 ? rc : c->stop ? ERR_CANCELLED : 0;
}

static void execute(struct exec *x, uint32_t i) {
    struct coordinator *c = x->c;
    struct step *s = &c->steps[i];
    const struct tool *tool = c->tools[i];
    struct arena a;
    struct err err = {0};
    struct span span;
    arena_init(&a, CALL_BYTES_MAX);
    struct tool_call call = {.arena = &a,
                             .name = c->specs[i].tool,
                             .inputs = c->specs[i].inputs,
                             .policy = c->specs[i].policy,
                             .key = c->keys[i],
                             .position = i,
                             .spec = &c->specs[i],
                             .plan_id = c->row.id,
                             .tools = &c->plans->tools,
                             .node = c->ctx,
                             .trace = &span.at,
                             .stopping = &c->stop};
    s->exec = x;
    s->attempt++;
    s->started_at = now_us(c);
    s->ended_at = 0;
    call.attempt = s->attempt;
    coordinator_mark(c, i, RUN_STATE_RUNNING, s->started_at);
    c->executing++;
    plan_note_start(c, i, &span);
    int64_t began_us = clock_mono_us();
    int rc = tool ? 0 : err_set(&err, ERR_INVALID, "tool: is not a tool of this server");
    if (rc == 0 && (tool->outside || c->careful)) {
        fiber_event_wake_all(&c->wake);
        rc = await_saved(c, s);
    }
    if (rc == 0 && FAILPOINT("plans.step.begun") < 0) /* for crashes: a step that kills */
        rc = err_set(&err, ERR_IO, "failpoint plans.step.begun");
    if (rc == 0) {
        rt_timer_start(c->plans->rt, &x->timer, c->specs[i].timeout_us, on_timeout);
        rc = plan_tool_run(tool, &call, &err);
        rt_timer_stop(c->plans->rt, &x->timer);
    }
    c->executing--;
    s->exec = NULL;
    judge(x, i, rc, &call, &err);
    plan_note_end(c, i, &span, clock_mono_us() - began_us);
    arena_deinit(&a);
}

static void give_back(struct coordinator *c, uint32_t i) {
    turns_back(&c->turns, coordinator_turn_tool(c, i));
    turns_give(&c->plans->turns);
}

static bool take_turn(struct coordinator *c, uint32_t *out) {
    while (turns_take(&c->turns, out)) {
        if (c->steps[*out].state == RUN_STATE_QUEUED)
            return true;
        give_back(c, *out); /* it was cancelled meanwhile */
    }
    return false;
}

static void exec_fiber(void *arg) {
    struct coordinator *c = arg;
    struct exec x = {.c = c, .fiber = fiber_self()};
    uint32_t i;
    for (size_t n = 1; !c->stop && !fiber_cancelled(); n++) {
        if (c->events.count >= UNSAVED_MAX) {
            fiber_event_wake_all(&c->wake);
            (void)fiber_event_wait(&c->saved, FIBER_NO_DEADLINE);
            continue;
        }
        if (!take_turn(c, &i))
            break;
        execute(&x, i);
        give_back(c, i);
        fiber_event_wake_all(&c->wake);
        if (n % YIELD_EVERY == 0)
            fiber_yield();
    }
    c->execs--;
    fiber_event_wake_all(&c->wake);
}

/* --- what others ask for --- */

static void cancel_step(struct coordinator *c, uint32_t i) {
    struct step *s = &c->steps[i];
    if (s->exec) {
        s->exec->cancelled = true;
        fiber_cancel(s->exec->fiber);
    } else if (!run_state_final(s->state)) {
        step_set_error(s, STR("it was cancelled"));
        step_over(c, i, RUN_STATE_CANCELLED);
    }
}

/* Between the batch that says that the plan waits and the end of its run somebody may have given it
 * to another run; and before this run has written anything, somebody who found the plan waiting may
 * have ended it. Then it is not this run's any more. */
static bool has_lost(const struct coordinator *c, const struct plan_wishes *seen) {
    bool ended = run_state_final(seen->status) && !run_state_final(c->row.status);
    return ended || (c->holds && !id_eq(seen->run_id, c->ctx->run_id));
}

static int look(struct coordinator *c, struct err *err) {
    struct arena a;
    struct plan_wishes seen = {0};
    int64_t wait_us = 0;
    int rc;
    c->look = false;
    arena_init(&a, SIZE_MAX / 2);
    do
        rc = plan_wishes(c->plans->store, c->row.id, &a, &seen, err);
    while (node_try_again(c->ctx, rc, &wait_us));
    if (rc == 0)
        c->row.version = seen.version;
    c->gone = rc == 0 && has_lost(c, &seen);
    c->ended = c->gone && run_state_final(seen.status);
    if (c->gone)
        rc = err_set(err, ERR_FENCED, "The plan is not this run's any more");
    if (rc == 0 && seen.count)
        rc = coordinator_work_recall(c, err);
    for (size_t i = 0; rc == 0 && i < seen.count; i++)
        if (seen.list[i].position >= 0 && (size_t)seen.list[i].position < c->count &&
            str_eq(seen.list[i].wish, STR("cancel")))
            cancel_step(c, (uint32_t)seen.list[i].position);
    if (rc == 0) /* behind the version: what comes later is seen by the next batch */
        rc = coordinator_gates_look(c, err);
    if (rc == 0)
        rc = coordinator_work_look(c, err);
    arena_deinit(&a);
    c->look_due_us = rt_mono_us(c->plans->rt) + c->plans->o.look_us;
    return rc;
}

/* --- writing --- */

static bool all_final(const struct coordinator *c) {
    size_t count = 0;
    for (size_t i = 0; i < RUN_STATE_COUNT; i++)
        count += c->final[i];
    return count == c->count;
}

static enum run_state present(const struct coordinator *c) {
    if (c->block)
        return RUN_STATE_BLOCKED;
    if (!all_final(c))
        return c->stop && node_run_is_cancelled(c->ctx) ? RUN_STATE_CANCELLED : RUN_STATE_RUNNING;
    if (c->stop && node_run_is_cancelled(c->ctx))
        return RUN_STATE_CANCELLED;
    return c->final[RUN_STATE_FAILED] + c->final[RUN_STATE_TIMED_OUT] ? RUN_STATE_FAILED
           : c->final[RUN_STATE_CANCELLED]                            ? RUN_STATE_CANCELLED
                                                                      : RUN_STATE_SUCCEEDED;
}

static str first_error(struct coordinator *c, struct arena *a) {
    size_t bad = c->count - c->final[RUN_STATE_SUCCEEDED];
    for (size_t i = 0; i < c->count; i++) {
        const struct step *s = &c->steps[i];
        if (s->state == RUN_STATE_FAILED || s->state == RUN_STATE_TIMED_OUT)
            return arena_printf(a, "%zu of %zu steps did not succeed; first " STR_FMT ": " STR_FMT,
                                bad, c->count, STR_ARG(str_slice(c->specs[i].name, 0, 60)),
                                STR_ARG(str_slice(s->error, 0, 120)));
    }
    return STR_NULL;
}

struct flush {
    struct arena a;
    uint32_t *taken;
    size_t taken_count;
    struct step_event *events;
    size_t event_count;
    struct plan_step_change *changes;
    struct gate_flush gates;
    struct dead_step *dead;
    size_t dead_count;
    struct work_flush work;
    enum run_state status;
    str error;
    size_t final[RUN_STATE_COUNT];
};

static void take_dead(struct coordinator *c, struct flush *f, uint32_t i) {
    struct step *s = &c->steps[i];
    if (!s->dies)
        return;
    s->dies = false;
    f->dead[f->dead_count++] = (struct dead_step){
        .id = id_v7(), .position = i, .tool = c->specs[i].tool, .reason = s->reason};
    metric_add(c->plans->metrics.dead[s->reason], 1);
}

static void take(struct coordinator *c, struct flush *f) {
    struct arena *a = &f->a;
    f->status = present(c);
    memcpy(f->final, c->final, sizeof(f->final));
    f->taken_count = c->dirty.count;
    f->event_count = c->events.count;
    f->taken = ARENA_ARRAY(a, uint32_t, f->taken_count + 1);
    f->events = ARENA_ARRAY(a, struct step_event, f->event_count + 1);
    f->changes = ARENA_ARRAY(a, struct plan_step_change, f->taken_count + 1);
    f->dead = ARENA_ARRAY(a, struct dead_step, f->taken_count + 1);
    if (f->event_count)
        memcpy(f->events, c->events.p, f->event_count * sizeof(*f->events));
    for (size_t k = 0; k < f->taken_count; k++) {
        uint32_t i = f->taken[k] = c->dirty.p[k];
        struct step *s = &c->steps[i];
        s->dirty = false;
        s->flying = true;
        take_dead(c, f, i);
        f->changes[k] = (struct plan_step_change){.position = i,
                                                  .status = s->state,
                                                  .attempt = s->attempt,
                                                  .losses = s->losses,
                                                  .spent = s->spent,
                                                  .started_at = s->started_at,
                                                  .ended_at = s->ended_at,
                                                  .output = arena_dup(a, s->output),
                                                  .error = arena_dup(a, s->error)};
    }
    c->dirty.count = c->events.count = 0;
    coordinator_gates_take(c, a, &f->gates);
    coordinator_work_take(c, a, &f->work);
    if (f->status == RUN_STATE_FAILED)
        f->error = first_error(c, a);
}

static int commit(struct coordinator *c, struct flush *f, struct err *err) {
    struct db_batch b;
    str *entries;
    struct plan_news news = {.version = c->row.version + 1,
                             .gates = f->gates.events,
                             .gate_count = f->gates.count,
                             .began = c->row.status == RUN_STATE_QUEUED,
                             .error = f->error};
    if (f->status != c->row.status && f->status != RUN_STATE_RUNNING)
        news.status = &f->status;
    db_batch_init(&b, &f->a);
    struct plan_change change = {.plan_id = c->row.id,
                                 .run_id = c->ctx->run_id,
                                 .version = c->row.version,
                                 .run_attempt = f->taken_count ? c->ctx->run_attempt : 0,
                                 .status = f->status,
                                 .succeeded = (int64_t)f->final[RUN_STATE_SUCCEEDED],
                                 .failed = (int64_t)f->final[RUN_STATE_FAILED],
                                 .cancelled = (int64_t)f->final[RUN_STATE_CANCELLED],
                                 .timed_out = (int64_t)f->final[RUN_STATE_TIMED_OUT],
                                 .error = f->error,
                                 .steps = f->changes,
                                 .step_count = f->taken_count};
    plan_change_add(&b, &change, now_us(c));
    coordinator_gates_add(c, &b, &f->gates, now_us(c));
    if (f->dead_count)
        dead_add(&b, c->row.id, c->row.owner, c->row.project, f->dead, f->dead_count, now_us(c));
    coordinator_work_add(c, &b, &f->work, now_us(c));
    size_t count = plan_entries_write(&f->a, &news, f->events, f->event_count, &entries);
    int rc = FAILPOINT("plans.flush.before_commit");
    if (rc < 0)
        return err_set(err, rc, "failpoint plans.flush.before_commit");
    rc = node_commit(c->ctx, &b, entries, count, err);
    if (rc == 0)
        (void)FAILPOINT("plans.flush.after_commit"); /* for crashes: it is durable */
    return rc;
}

/* Of what is durable now: outputs are in the rows, and whoever waited may begin. */
static void flushed(struct coordinator *c, struct flush *f) {
    c->row.version++;
    c->row.status = f->status;
    c->row.error = f->error.p ? arena_dup(c->a, f->error) : STR_NULL;
    c->told = c->holds = true;
    for (size_t k = 0; k < f->taken_count; k++) {
        uint32_t i = f->taken[k];
        struct step *s = &c->steps[i];
        s->flying = false;
        if (s->dirty)
            continue;
        set_output(s, STR_NULL);
        if (s->state != RUN_STATE_SUCCEEDED || s->freed)
            continue;
        s->freed = true;
        for (uint32_t at = c->child_at[i]; at < c->child_at[i + 1]; at++) {
            uint32_t child = c->children[at];
            if (--c->steps[child].waits == 0 && c->steps[child].state == RUN_STATE_QUEUED)
                coordinator_ready(c, child);
        }
    }
    for (size_t k = 0; k < f->event_count && plan_notes_wanted(c->plans); k++)
        if (f->events[k].state == RUN_STATE_QUEUED)
            plan_note_recorded(c, f->events[k].position);
    coordinator_work_flushed(c, &f->work);
    fiber_event_wake_all(&c->saved);
}

static int flush(struct coordinator *c, struct err *err) {
    struct flush f = {0};
    arena_init(&f.a, SIZE_MAX / 2);
    take(c, &f);
    int rc;
    for (;;) {
        rc = commit(c, &f, err);
        if (rc != ERR_CONFLICT)
            break;
        rc = look(c, err); /* somebody was here meanwhile */
        if (rc < 0)
            break;
    }
    if (rc == 0)
        flushed(c, &f);
    arena_deinit(&f.a);
    return rc;
}

/* --- the way of a run --- */

static bool pump(struct coordinator *c) {
    struct step_heap_item item;
    int64_t now = rt_mono_us(c->plans->rt);
    while (step_heap_first(&c->later) && step_heap_first(&c->later)->rank <= now) {
        (void)step_heap_pop(&c->later, &item);
        coordinator_ready(c, item.position);
    }
    coordinator_let_one(c);
    turns_give(&c->plans->turns);
    while (c->execs < c->executing + turns_given(&c->turns)) {
        if (fiber_group_spawn(&c->group, c->plans->rt, "plan.step", exec_fiber, c, NULL) < 0)
            return false;
        c->execs++;
    }
    return true;
}

static int64_t next_due(const struct coordinator *c, bool spawned) {
    int64_t due = FIBER_NO_DEADLINE;
    const struct step_heap_item *first = step_heap_first(&c->later);
    if (first)
        due = first->rank;
    first = step_heap_first(&c->expiring);
    int64_t expires = first ? rt_mono_us(c->plans->rt) + first->rank - now_us(c) : due;
    if (expires < due)
        due = expires;
    if (c->work_open && c->work_quiet_us < due && c->work_quiet_us > rt_mono_us(c->plans->rt))
        due = c->work_quiet_us;
    if (c->plans->o.look_us && c->look_due_us < due)
        due = c->look_due_us;
    if (c->keep_due_us && c->keep_due_us < due)
        due = c->keep_due_us;
    if (!spawned && rt_mono_us(c->plans->rt) + SPAWN_RETRY_US < due)
        due = rt_mono_us(c->plans->rt) + SPAWN_RETRY_US;
    return due;
}

static bool gate_is_due(const struct coordinator *c) {
    const struct step_heap_item *first = step_heap_first(&c->expiring);
    return first && first->rank <= now_us(c);
}

/* Its thread shows the state of a plan that lasts; most are over before. */
static int keep_state(struct coordinator *c, struct err *err) {
    int rc = node_keep_state(c->ctx, err);
    bool later = rc < 0 && err_retryable(rc); /* a passing trouble of the database */
    c->keep_due_us = later ? rt_mono_us(c->plans->rt) + KEEP_AFTER_US : 0;
    if (later)
        err_reset(err);
    return later ? 0 : rc;
}

/* Nobody works for the plan while it waits for others: its run ends, asking, once that is stored.
 * Who decided something before that was stored makes the batch fail, and is seen. */
static int flush_blocked(struct coordinator *c, struct err *err) {
    int rc = c->keep_due_us ? keep_state(c, err) : 0;
    if (rc < 0 || c->keep_due_us) /* the run that goes on begins with it */
        return rc < 0 ? rc : fiber_event_wait(&c->wake, c->keep_due_us);
    c->block = true;
    rc = flush(c, err);
    c->block = false;
    if (rc == 0 && (c->dirty.count || !coordinator_waits_outside(c)))
        c->told = false; /* it goes on after all */
    return rc;
}

bool coordinator_has_begun(struct coordinator *c) {
    c->begun = c->begun || node_run_has_begun(c->ctx);
    return c->begun;
}

/* The end that somebody else gave the plan is what this run tells. */
static int take_end(struct coordinator *c, struct err *err) {
    int64_t wait_us = 0;
    bool found;
    int rc;
    do
        rc = plan_of_thread(c->plans->store, c->row.thread_id, c->a, &c->row, &found, err);
    while (node_try_again(c->ctx, rc, &wait_us));
    c->final[RUN_STATE_SUCCEEDED] = (size_t)c->row.succeeded;
    c->final[RUN_STATE_FAILED] = (size_t)c->row.failed;
    c->final[RUN_STATE_CANCELLED] = (size_t)c->row.cancelled;
    c->final[RUN_STATE_TIMED_OUT] = (size_t)c->row.timed_out;
    return rc;
}

static int coordinate(struct coordinator *c, struct err *err) {
    int rc = 0;
    while (!fiber_cancelled()) {
        bool spawned = pump(c);
        if (c->execs > 0)
            fiber_yield(); /* what takes no time is over before the batch is made */
        if (!coordinator_has_begun(c))
            return ERR_CANCELLED;
        bool looks = c->look || (c->plans->o.look_us &&
                                 rt_mono_us(c->plans->rt) >= c->look_due_us);
        if (c->keep_due_us && rt_mono_us(c->plans->rt) >= c->keep_due_us)
            rc = keep_state(c, err);
        else if (c->dirty.count || c->offers.count || !c->told)
            rc = flush(c, err);
        else if (all_final(c) && c->executing == 0)
            return 0;
        else if (looks)
            rc = look(c, err);
        else if (!c->answered)
            rc = coordinator_gates_answer(c, err);
        else if (gate_is_due(c))
            rc = coordinator_gates_expire(c, err);
        else if (coordinator_waits_outside(c))
            rc = c->row.status == RUN_STATE_BLOCKED ? coordinator_ask(c, err)
                                                    : flush_blocked(c, err);
        else
            rc = fiber_event_wait(&c->wake, next_due(c, spawned));
        if (c->gone) {
            err_reset(err);
            return c->ended ? take_end(c, err) : coordinator_ask(c, err);
        }
        if (rc < 0 && rc != ERR_TIMEOUT)
            return rc;
    }
    return ERR_CANCELLED;
}

static void stop(struct coordinator *c) {
    c->stop = true;
    turns_close(&c->turns);
    fiber_group_cancel(&c->group);
    fiber_event_wake_all(&c->saved);
    fiber_group_wait(&c->group);
    for (uint32_t i; turns_take(&c->turns, &i);)
        give_back(c, i);
}

/* What there is to be written when the run is cut: its end, or what has ended meanwhile and that
 * the rest is queued. */
static void write_rest(struct coordinator *c) {
    struct err err = {0};
    bool ended = node_run_is_cancelled(c->ctx);
    if (ended && coordinator_work_recall(c, &err) < 0)
        log_event(LOG_DEBUG, "plan.recall.failed", err.message, LOG_STR("plan",
                  id_dashed(c->a, c->row.id)));
    for (uint32_t i = 0; ended && i < c->count; i++)
        if (!run_state_final(c->steps[i].state)) {
            step_set_error(&c->steps[i], STR("the run was cancelled"));
            coordinator_mark(c, i, RUN_STATE_CANCELLED, now_us(c));
        }
    if (!ended)
        coordinator_put_back(c);
    int rc = ended || c->dirty.count ? flush(c, &err) : 0;
    if (rc < 0 && rc != ERR_FENCED) /* else somebody else has it, who counts a loss */
        log_event(LOG_WARN, "plan.end.failed", err.message, LOG_Z("code", err_name(rc)),
                  LOG_STR("plan", id_dashed(c->a, c->row.id)));
}

static int result(struct coordinator *c, struct err *err) {
    struct arena *a = c->ctx->arena;
    if (c->row.status == RUN_STATE_FAILED)
        return err_set(err, ERR_INTERNAL, "The plan failed: " STR_FMT, STR_ARG(c->row.error));
    str status = run_state_name(c->row.status);
    node_write_value(c->ctx, "plan_id",
                     arena_printf(a, "\"" STR_FMT "\"", STR_ARG(id_dashed(a, c->row.id))));
    node_write_value(c->ctx, "status", arena_printf(a, "\"" STR_FMT "\"", STR_ARG(status)));
    node_write_value(c->ctx, "steps",
                     arena_printf(a, "{\"total\":%zu,\"succeeded\":%zu,\"cancelled\":%zu}",
                                  c->count, c->final[RUN_STATE_SUCCEEDED],
                                  c->final[RUN_STATE_CANCELLED]));
    return 0;
}

static size_t concurrency_of(const struct coordinator *c) {
    const struct plans_options *o = &c->plans->o;
    size_t n = c->row.concurrency > 0 ? (size_t)c->row.concurrency : o->concurrency_default;
    return n < o->concurrency_max ? n : o->concurrency_max;
}

static int run_plan(struct coordinator *c, struct err *err) {
    struct plans *p = c->plans;
    int rc = coordinator_load(c, err);
    if (rc < 0 || (run_state_final(c->row.status) && all_final(c)))
        return rc < 0 ? rc : result(c, err);
    turns_join(&p->turns, &c->turns, c->row.owner, concurrency_of(c));
    c->careful = c->careful || c->ctx->run_attempt > 1;
    c->holds = id_eq(c->row.run_id, c->ctx->run_id);
    c->told = c->holds && c->row.status == RUN_STATE_RUNNING;
    c->look_due_us = rt_mono_us(p->rt) + p->o.look_us;
    c->keep_due_us = rt_mono_us(p->rt) + KEEP_AFTER_US;
    for (uint32_t i = 0; i < c->count; i++)
        if (c->steps[i].wished)
            cancel_step(c, i);
    str key = str_n((const char *)c->row.id.b, sizeof(c->row.id.b));
    map_put(&p->live, key, c);
    int64_t began_us = clock_mono_us();
    plan_note_run_begin(c);
    rc = coordinate(c, err);
    stop(c);
    /* A plan whose end is stored stays as it ended, though its run is ended now; one that was never
     * stored leaves no trace. A cancel may come before it is known which. */
    if (rc == ERR_CANCELLED && coordinator_has_begun(c) &&
        !(run_state_final(c->row.status) && all_final(c)))
        write_rest(c);
    plan_note_run_end(c, clock_mono_us() - began_us);
    coordinator_alone_end(c);
    if (map_get(&p->live, key) == c) /* else this one had lost it */
        map_remove(&p->live, key);
    return rc < 0 ? rc : result(c, err);
}

int plan_node(struct node_ctx *ctx, struct err *err) {
    struct arena a;
    struct coordinator *c = NEW(struct coordinator);
    arena_init(&a, SIZE_MAX / 2);
    c->plans = (struct plans *)ctx->node->data;
    c->ctx = ctx;
    c->a = &a;
    fiber_group_init(&c->group);
    fiber_event_init(&c->wake);
    fiber_event_init(&c->saved);
    int rc = run_plan(c, err);
    coordinator_deinit(c);
    arena_deinit(&a);
    mem_free(c);
    return rc;
}

void coordinator_poke(struct plans *p, struct id plan_id) {
    struct coordinator *c = map_get(&p->live, str_n((const char *)plan_id.b, sizeof(plan_id.b)));
    if (!c)
        return;
    c->look = true;
    fiber_event_wake_all(&c->wake);
}
