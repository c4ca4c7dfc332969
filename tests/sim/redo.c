/* SPDX-License-Identifier: Apache-2.0 */
/* redo.c - plans that are made again from others, and steps that come back from the dead, in worlds
 * that redo.
 *
 *  - the list of the dead has the steps that failed, each once, and no other: of every world with
 *    plans, but for steps that a gate has failed
 *  - a rerun that was acknowledged is a plan like any other, with the steps of the first one
 *  - steps that come back are done again once, whoever asks for it at the same time */
#include "sim.h"

#include "store/dead.h"

#define CALLS_MAX 10
#define LIST_MAX  20

/* --- the client --- */

/* What was kept of a plan that somebody touched may have succeeded where its own would not. */
static void rerun(struct sim_world *w, struct sim_server *s) {
    struct sim_plan plan = w->plans.p[sim_below(w, w->plans.count)];
    struct id old = plan.id;
    struct plans_rerun how = {.from_failed = sim_chance(w, 50)};
    struct plan_spec spec;
    struct plans_made made;
    struct err err = {0};
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    struct plans_create c = {.who = &w->who, .received_us = rt_mono_us(w->rt)};
    int rc = plans_rerun(s->plans, old, &how, &c, &a, &spec, &made, &err);
    if (rc == 0) {
        plan.id = made.id;
        plan.thread_id = made.thread_id;
        plan.touched = plan.touched && how.from_failed;
        plan.kept = how.from_failed;
        vec_push(&w->plans, plan);
    }
    sim_note(w, "server %d.%d runs plan %02x%02x again%s: %d", s->number, s->life, old.b[14],
             old.b[15], how.from_failed ? " from what failed" : "", rc);
    if (!sim_passing(rc))
        sim_wrong(w, "a plan was not run again, with %s: %s", err_name(rc), err.message);
    arena_deinit(&a);
}

static struct sim_plan *plan_of(struct sim_world *w, struct id id) {
    for (size_t i = 0; i < w->plans.count; i++)
        if (id_eq(w->plans.p[i].id, id))
            return &w->plans.p[i];
    return NULL;
}

static void rehydrate(struct sim_world *w, struct sim_server *s) {
    struct dead_filter f = {.limit = LIST_MAX};
    struct dead_row *rows;
    struct plans_rehydrated *out;
    size_t count = 0, plans;
    struct err err = {0};
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    int rc = dead_list(&s->store, &w->who, &f, &a, &rows, &count, &err);
    size_t from = count ? sim_below(w, count) : 0;
    size_t many = count ? 1 + sim_below(w, count - from) : 0;
    for (size_t i = from; i < from + many; i++) {
        struct sim_plan *plan = plan_of(w, rows[i].plan_id);
        if (plan)
            plan->touched = true;
    }
    if (rc == 0 && many == 1)
        rc = plans_rehydrate(s->plans, &w->who, rows[from].id, &a,
                             ARENA_ARRAY(&a, struct plans_rehydrated, 1), &err);
    else if (rc == 0 && many)
        rc = plans_rehydrate_many(s->plans, &w->who, &rows[from], many, &a, &out, &plans, &err);
    sim_note(w, "server %d.%d has %zu of %zu dead steps done again: %d", s->number, s->life, many,
             count, rc);
    if (!sim_passing(rc))
        sim_wrong(w, "dead steps were not done again, with %s: %s", err_name(rc), err.message);
    arena_deinit(&a);
}

static void call(struct sim_world *w, struct sim_server *s) {
    if (w->plans.count && sim_chance(w, 40))
        rerun(w, s);
    else
        rehydrate(w, s);
}

void sim_redoer(void *world) { sim_calls(world, CALLS_MAX, 5000000, call); }

/* --- the check --- */

void sim_check_dead(struct sim_world *w, const struct sim_plan *p,
                    const struct plan_step_row *steps, const enum sim_gates *gates) {
    struct dead_filter f = {.plan_id = p->id, .limit = LIST_MAX};
    struct dead_row *rows;
    size_t count = 0, times[SIM_STEPS_MAX] = {0};
    struct err err = {0};
    if (dead_list(&w->current[0]->store, &w->who, &f, &w->arena, &rows, &count, &err) < 0)
        sim_wrong(w, "the dead cannot be read: %s", err.message);
    for (size_t i = 0; i < count; i++)
        times[rows[i].position]++;
    for (size_t i = 0; i < p->step_count; i++) {
        bool failed = steps[i].status == RUN_STATE_FAILED || steps[i].status == RUN_STATE_TIMED_OUT;
        if (times[i] != (failed && gates[i] == SIM_GATES_PASSED))
            sim_wrong(w, "step %zu of plan %02x%02x is " STR_FMT ", and %zu times among the dead",
                      i, p->id.b[14], p->id.b[15], STR_ARG(run_state_name(steps[i].status)),
                      times[i]);
    }
}
