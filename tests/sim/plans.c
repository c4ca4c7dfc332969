/* SPDX-License-Identifier: Apache-2.0 */
/* plans.c - plans of worlds with plans: what a client asks of them, and what must have become of
 * them.
 *
 *  - a plan comes to its end with the run that has it, with all of its steps
 *  - steps that nobody touched end as their tool says: those behind one that failed are given up,
 *    the others are done, whoever executed them and however often that server died
 *  - no step begins before those that it waits for are done; none comes to two ends, unless it was
 *    put back between them
 *  - a plan whose cancel is acknowledged is over
 *  - the plan's row counts what its steps say, its log tells what the rows say, and its thread asks
 *    nothing any more
 *
 * Tools are those for tests: they take simulated time, and fail as often as they are told. */
#include "sim.h"

#include <stdio.h>

#include "model/plan.h"

#define CALLS_MAX  8
#define BODY_MAX   4000
#define FINISH_MAX 200

/* --- the client --- */

bool sim_passing(int rc) {
    return rc == 0 || rc == ERR_UNAVAILABLE || rc == ERR_CONFLICT || rc == ERR_NOT_FOUND ||
           rc == ERR_LIMIT || rc == ERR_TIMEOUT;
}

static void write_step(struct sim_world *w, struct json_writer *j, struct sim_plan *plan, int at) {
    struct sim_step *s = &plan->steps[at];
    *s = (struct sim_step){.depends = (unsigned)sim_below(w, UINT64_C(1) << at),
                           .attempts_max = 1 + (int)sim_below(w, 3)};
    s->outside = w->working && sim_chance(w, 50);
    bool fails = !s->outside && sim_chance(w, 40);
    if (fails)
        s->fails = (int)sim_below(w, 4) - 1;
    jw_object(j);
    jw_key(j, "name");
    jw_str(j, arena_printf(&w->arena, "s%d", at));
    jw_key(j, "tool");
    if (s->outside)
        jw_str(j, sim_worker_tool(w));
    else
        jw_z(j, fails ? "test:fail" : "test:sleep");
    jw_key(j, "inputs");
    jw_object(j);
    if (!s->outside && (!fails || s->fails >= 0)) {
        jw_key(j, fails ? "times" : "ms");
        jw_i64(j, fails ? s->fails : (int64_t)sim_below(w, 2000));
    }
    jw_object_end(j);
    jw_key(j, "depends_on");
    jw_array(j);
    for (int i = 0; i < at; i++)
        if (s->depends >> i & 1)
            jw_i64(j, i);
    jw_array_end(j);
    if (w->gating)
        sim_write_gates(w, j, s);
    jw_key(j, "retry");
    jw_raw(j, arena_printf(&w->arena,
                           "{\"max_attempts\":%d,\"initial_interval\":0.1,\"max_interval\":1,"
                           "\"backoff_factor\":2}",
                           s->attempts_max));
    jw_object_end(j);
}

static str plan_body(struct sim_world *w, struct sim_plan *plan) {
    struct buf b;
    buf_init(&b, BODY_MAX);
    struct json_writer j = json_writer(&b);
    jw_object(&j);
    jw_key(&j, "goal");
    jw_z(&j, "simulated");
    jw_key(&j, "steps");
    jw_array(&j);
    for (size_t i = 0; i < plan->step_count; i++)
        write_step(w, &j, plan, (int)i);
    jw_array_end(&j);
    jw_object_end(&j);
    ASSERT(buf_ok(&b));
    return arena_take(&w->arena, &b);
}

static void make(struct sim_world *w, struct sim_server *s) {
    struct sim_plan plan = {.step_count = 1 + sim_below(w, SIM_STEPS_MAX)};
    struct plan_spec spec;
    struct plans_made made;
    struct err err = {0};
    struct arena a;
    yyjson_val *body;
    arena_init(&a, SIZE_MAX / 2);
    if (json_parse(&a, plan_body(w, &plan), &body, &err) < 0 ||
        plan_parse(&a, body, plans_tool_check, &spec, &err) < 0 || spec.fault_count)
        UNREACHABLE();
    struct plans_create c = {.who = &w->who, .plan = &spec, .received_us = rt_mono_us(w->rt)};
    int rc = plans_create(s->plans, &c, &a, &made, &err);
    bool too_many = rc == ERR_LIMIT && str_starts(str_of(err.message), STR("Too many steps"));
    if (!sim_passing(rc) || too_many) /* no world has so many */
        sim_wrong(w, "a plan was refused with %s: %s", err_name(rc), err.message);
    if (rc == 0) {
        plan.id = made.id;
        plan.thread_id = made.thread_id;
        vec_push(&w->plans, plan);
        sim_note(w, "server %d.%d accepts plan %02x%02x of %zu steps", s->number, s->life,
                 plan.id.b[14], plan.id.b[15], plan.step_count);
    }
    arena_deinit(&a);
}

/* A plan is over when its cancel is acknowledged, if nobody else has anything of it done again. */
static void check_cancelled(struct sim_world *w, struct sim_server *s, struct id id,
                            struct arena *a) {
    struct plan_row row;
    struct plan_step_row *steps;
    size_t count;
    if (plan_get(&s->store, &w->who, id, 0, a, &row, &steps, &count, NULL) == 0 &&
        !run_state_final(row.status) && !w->redoing)
        sim_wrong(w, "plan %02x%02x was cancelled and is " STR_FMT, id.b[14], id.b[15],
                  STR_ARG(run_state_name(row.status)));
}

static void touch(struct sim_world *w, struct sim_server *s) {
    struct sim_plan *plan = &w->plans.p[sim_below(w, w->plans.count)];
    struct id id = plan->id, run;
    int64_t position = (int64_t)sim_below(w, plan->step_count);
    uint64_t what = sim_below(w, 3);
    struct err err = {0};
    struct arena a;
    plan->touched = true;
    arena_init(&a, SIZE_MAX / 2);
    int rc = what == 0   ? plans_cancel(s->plans, &w->who, id, &a, &err)
             : what == 1 ? plans_cancel_step(s->plans, &w->who, id, position, &a, &err)
                         : plans_retry_step(s->plans, &w->who, id, position, &a, &run, &err);
    sim_note(w, "server %d.%d %s plan %02x%02x: %d", s->number, s->life,
             what == 0   ? "cancels"
             : what == 1 ? "cancels a step of"
                         : "does a step again of",
             id.b[14], id.b[15], rc);
    if (!sim_passing(rc))
        sim_wrong(w, "a plan was not touched, with %s: %s", err_name(rc), err.message);
    if (rc == 0 && what == 0)
        check_cancelled(w, s, id, &a);
    arena_deinit(&a);
}

static bool any_is_open(struct sim_world *w) {
    struct plan_row row;
    struct plan_step_row *steps;
    size_t count;
    bool open = false;
    for (size_t i = 0; i < w->plans.count && !open; i++)
        open = plan_get(&w->current[0]->store, &w->who, w->plans.p[i].id, 0, &w->arena, &row,
                        &steps, &count, NULL) == 0 &&
               !run_state_final(row.status);
    return open;
}

static void call(struct sim_world *w, struct sim_server *s) {
    if (w->plans.count == 0 || sim_chance(w, 60))
        make(w, s);
    else
        touch(w, s);
}

void sim_planner(void *world) { sim_calls(world, CALLS_MAX, 5000000, call); }

/* Plans that wait have no run: when nobody decides or works any more, this does. */
void sim_finish_plans(struct sim_world *w) {
    for (int i = 0; i < FINISH_MAX; i++) {
        bool more = w->gating && sim_decide_all(w);
        more = (w->working && sim_work_all(w)) || more;
        sim_settle(w);
        if (!more && !any_is_open(w))
            return;
        fiber_sleep_shielded_us(500000);
    }
    sim_wrong(w, "plans wait, and nobody knows for what");
    for (size_t i = 0; i < w->plans.count; i++)
        sim_describe_log(w, w->plans.p[i].thread_id);
}

/* --- the checks --- */

static void wrong(struct sim_world *w, const struct sim_plan *p, size_t at, const char *what,
                  str word) {
    sim_wrong(w, "step %zu of plan %02x%02x %s" STR_FMT, at, p->id.b[14], p->id.b[15], what,
              STR_ARG(word));
}

/* Of one that nobody touched; its dependencies come before it. */
static enum run_state wanted(const struct sim_plan *p, size_t at, const enum run_state *before,
                             const enum sim_gates *gates) {
    const struct sim_step *s = &p->steps[at];
    for (size_t i = 0; i < at; i++)
        if ((s->depends >> i & 1) && before[i] != RUN_STATE_SUCCEEDED)
            return RUN_STATE_CANCELLED;
    if (gates[at] != SIM_GATES_PASSED) /* not open: nothing it waits for is left, so it must be */
        return RUN_STATE_FAILED;
    return s->fails < 0 || s->fails >= s->attempts_max ? RUN_STATE_FAILED : RUN_STATE_SUCCEEDED;
}

static void check_steps(struct sim_world *w, const struct sim_plan *p,
                        const struct plan_step_row *rows) {
    enum run_state states[SIM_STEPS_MAX];
    enum sim_gates gates[SIM_STEPS_MAX] = {0};
    if (w->gating)
        sim_check_gates(w, p, rows, gates);
    sim_check_dead(w, p, rows, gates);
    for (size_t i = 0; i < p->step_count; i++) {
        const struct plan_step_row *r = &rows[i];
        str word = run_state_name(r->status);
        states[i] = wanted(p, i, states, gates);
        if (p->steps[i].outside) {
            sim_check_work(w, p, r);
            if (states[i] == RUN_STATE_SUCCEEDED && r->status == RUN_STATE_FAILED)
                states[i] = RUN_STATE_FAILED; /* its workers failed, or were lost */
        }
        if (!run_state_final(r->status))
            wrong(w, p, i, "is not over: ", word);
        else if (!p->touched && r->status != states[i])
            wrong(w, p, i, "ended as ", word);
        for (size_t k = 0; k < i && r->started_at; k++)
            if ((p->steps[i].depends >> k & 1) &&
                (r->status == RUN_STATE_SUCCEEDED || !p->touched) &&
                (rows[k].status != RUN_STATE_SUCCEEDED || rows[k].ended_at > r->started_at))
                wrong(w, p, i, "began before what it waits for was done", STR(""));
    }
}

static void check_counts(struct sim_world *w, const struct sim_plan *p, const struct plan_row *row,
                         const struct plan_step_row *steps) {
    int64_t counts[RUN_STATE_COUNT] = {0};
    for (size_t i = 0; i < p->step_count; i++)
        counts[steps[i].status]++;
    if (row->succeeded != counts[RUN_STATE_SUCCEEDED] || row->failed != counts[RUN_STATE_FAILED] ||
        row->cancelled != counts[RUN_STATE_CANCELLED] ||
        row->timed_out != counts[RUN_STATE_TIMED_OUT])
        sim_wrong(w, "plan %02x%02x counts other ends than its steps have", p->id.b[14],
                  p->id.b[15]);
    if (!run_state_final(row->status))
        sim_wrong(w, "plan %02x%02x is " STR_FMT " without a live run", p->id.b[14], p->id.b[15],
                  STR_ARG(run_state_name(row->status)));
    else if (!p->touched && row->status != (row->failed ? RUN_STATE_FAILED : RUN_STATE_SUCCEEDED))
        sim_wrong(w, "plan %02x%02x ended as " STR_FMT ": " STR_FMT, p->id.b[14], p->id.b[15],
                  STR_ARG(run_state_name(row->status)), STR_ARG(row->error));
}

/* What the log has told so far; of the steps, then of the plan. */
struct told_states {
    enum run_state states[SIM_STEPS_MAX + 1];
};

static void walk_event(struct sim_world *w, const struct sim_plan *p, struct told_states *told,
                       const struct plan_event *e) {
    size_t at = e->position < 0 ? SIM_STEPS_MAX : (size_t)e->position;
    enum run_state to;
    if (!id_is_nil(e->gate_id))
        return; /* the step's moves follow from it */
    if (!run_state_parse(e->status, &to) || at > SIM_STEPS_MAX) {
        wrong(w, p, at, "is told to be ", e->status);
        return;
    }
    bool over = run_state_final(told->states[at]);
    if (over && (to != RUN_STATE_QUEUED || !p->touched))
        wrong(w, p, at, "was over, and is ", e->status);
    told->states[at] = to;
}

static void check_log(struct sim_world *w, const struct sim_plan *p, const struct plan_row *row,
                      const struct plan_step_row *steps) {
    struct told_states told = {{RUN_STATE_QUEUED}};
    struct plan_event_row *rows;
    struct plan_event *events;
    struct err err = {0};
    size_t count, n;
    for (int64_t seq = 0;; seq = rows[count - 1].seq) {
        int rc = plan_events(&w->current[0]->store, p->thread_id, seq, LOG_STEPS, LOG_PAGE_MAX,
                             &w->arena, &rows, &count, &err);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            rc = plan_events_read(&w->arena, &rows[i], &events, &n, &err);
            for (size_t k = 0; rc == 0 && k < n; k++)
                walk_event(w, p, &told, &events[k]);
        }
        if (rc < 0)
            sim_wrong(w, "the events of a plan: %s", err.message);
        if (rc < 0 || count == 0)
            break;
    }
    for (size_t i = 0; i < p->step_count; i++)
        if (told.states[i] != steps[i].status && !(p->kept && steps[i].attempt == 0))
            wrong(w, p, i, "is told to be ", run_state_name(told.states[i]));
    if (told.states[SIM_STEPS_MAX] != row->status)
        sim_wrong(w, "plan %02x%02x is told to be " STR_FMT " and is " STR_FMT ": " STR_FMT,
                  p->id.b[14], p->id.b[15],
                  STR_ARG(run_state_name(told.states[SIM_STEPS_MAX])),
                  STR_ARG(run_state_name(row->status)), STR_ARG(row->error));
}

static void check_asks(struct sim_world *w, const struct sim_plan *p) {
    struct thread row;
    struct err err = {0};
    if (thread_get(&w->current[0]->store, &w->who, p->thread_id, &w->arena, &row, &err) < 0)
        sim_wrong(w, "the thread of a plan: %s", err.message);
    else if (!str_eq(row.interrupts, STR("{}")))
        sim_wrong(w, "plan %02x%02x is over and asks " STR_FMT, p->id.b[14], p->id.b[15],
                  STR_ARG(row.interrupts));
}

static void check_plan(struct sim_world *w, const struct sim_plan *p) {
    struct plan_row row;
    struct plan_step_row *steps;
    struct err err = {0};
    size_t count = 0;
    struct sim_thread thread = {.id = p->thread_id, .interrupted = p->touched};
    if (plan_get(&w->current[0]->store, &w->who, p->id, SIM_STEPS_MAX, &w->arena, &row, &steps,
                 &count, &err) < 0) {
        sim_wrong(w, "a plan that was accepted: %s", err.message);
        return;
    }
    if (count != p->step_count || (size_t)row.step_count != count) {
        sim_wrong(w, "a plan of %zu steps has %zu", p->step_count, count);
        return;
    }
    check_steps(w, p, steps);
    check_counts(w, p, &row, steps);
    check_log(w, p, &row, steps);
    check_asks(w, p);
    sim_check_thread(w, &thread);
    if (w->why.len) {
        sim_note(w, "plan %02x%02x, version %lld: " STR_FMT ", run %02x%02x", p->id.b[14],
                 p->id.b[15], (long long)row.version, STR_ARG(run_state_name(row.status)),
                 row.run_id.b[14], row.run_id.b[15]);
        sim_describe_log(w, p->thread_id);
    }
}

void sim_check_plans(struct sim_world *w) {
    for (size_t i = 0; i < w->plans.count; i++)
        check_plan(w, &w->plans.p[i]);
}
