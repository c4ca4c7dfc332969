/* SPDX-License-Identifier: Apache-2.0 */
/* plans.c - plans of worlds with plans: what a client asks of them, and what must have become of
 * them.
 *
 *  - a plan comes to its end with the run that has it, with all of its steps
 *  - steps that nobody touched end as their tool says: those behind one that failed are given up,
 *    the others are done, whoever executed them and however often that server died
 *  - no step begins before those that it waits for are done; none comes to two ends, unless it was
 *    put back between them
 *  - the plan's row counts what its steps say, and its log tells what the rows say
 *
 * Tools are those for tests: they take simulated time, and fail as often as they are told. */
#include "sim.h"

#include <stdio.h>

#include "model/plan.h"

#define CALLS_MAX 8
#define BODY_MAX  2000

/* --- the client --- */

static bool passing(int rc) {
    return rc == 0 || rc == ERR_UNAVAILABLE || rc == ERR_CONFLICT || rc == ERR_NOT_FOUND ||
           rc == ERR_LIMIT || rc == ERR_TIMEOUT;
}

static void write_step(struct sim_world *w, struct json_writer *j, struct sim_plan *plan, int at) {
    struct sim_step *s = &plan->steps[at];
    *s = (struct sim_step){.depends = (unsigned)sim_below(w, UINT64_C(1) << at),
                           .attempts_max = 1 + (int)sim_below(w, 3)};
    bool fails = sim_chance(w, 40);
    if (fails)
        s->fails = (int)sim_below(w, 4) - 1;
    jw_object(j);
    jw_key(j, "name");
    jw_str(j, arena_printf(&w->arena, "s%d", at));
    jw_key(j, "tool");
    jw_z(j, fails ? "test:fail" : "test:sleep");
    jw_key(j, "inputs");
    jw_object(j);
    if (!fails || s->fails >= 0) {
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
    if (!passing(rc) || too_many) /* no world has so many */
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
    if (!passing(rc))
        sim_wrong(w, "a plan was not touched, with %s: %s", err_name(rc), err.message);
    arena_deinit(&a);
}

void sim_planner(void *arg) {
    struct sim_world *w = arg;
    for (int i = 0; i < CALLS_MAX; i++) {
        fiber_sleep_shielded_us((int64_t)sim_below(w, 5000000));
        struct sim_server *s = sim_enter(w);
        if (!s)
            continue;
        if (w->plans.count == 0 || sim_chance(w, 60))
            make(w, s);
        else
            touch(w, s);
        sim_leave(s);
    }
    w->clients--;
}

/* --- the checks --- */

static void wrong(struct sim_world *w, const struct sim_plan *p, size_t at, const char *what,
                  str word) {
    sim_wrong(w, "step %zu of plan %02x%02x %s" STR_FMT, at, p->id.b[14], p->id.b[15], what,
              STR_ARG(word));
}

/* Of one that nobody touched; its dependencies come before it. */
static enum run_state wanted(const struct sim_plan *p, size_t at, const enum run_state *before) {
    const struct sim_step *s = &p->steps[at];
    for (size_t i = 0; i < at; i++)
        if ((s->depends >> i & 1) && before[i] != RUN_STATE_SUCCEEDED)
            return RUN_STATE_CANCELLED;
    return s->fails < 0 || s->fails >= s->attempts_max ? RUN_STATE_FAILED : RUN_STATE_SUCCEEDED;
}

static void check_steps(struct sim_world *w, const struct sim_plan *p,
                        const struct plan_step_row *rows) {
    enum run_state states[SIM_STEPS_MAX];
    for (size_t i = 0; i < p->step_count; i++) {
        const struct plan_step_row *r = &rows[i];
        str word = run_state_name(r->status);
        states[i] = wanted(p, i, states);
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
    /* Of a plan whose run was stopped before it had it, the run's end tells. */
    bool stopped = p->touched && row->status == RUN_STATE_CANCELLED;
    for (size_t i = 0; i < p->step_count; i++)
        if (told.states[i] != steps[i].status &&
            !(stopped && steps[i].status == RUN_STATE_CANCELLED))
            wrong(w, p, i, "is told to be ", run_state_name(told.states[i]));
    if (told.states[SIM_STEPS_MAX] != row->status && !stopped)
        sim_wrong(w, "plan %02x%02x is told to be " STR_FMT " and is " STR_FMT ": " STR_FMT,
                  p->id.b[14], p->id.b[15],
                  STR_ARG(run_state_name(told.states[SIM_STEPS_MAX])),
                  STR_ARG(run_state_name(row->status)), STR_ARG(row->error));
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
    sim_check_thread(w, &thread);
}

void sim_check_plans(struct sim_world *w) {
    for (size_t i = 0; i < w->plans.count; i++)
        check_plan(w, &w->plans.p[i]);
}
