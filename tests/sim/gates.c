/* SPDX-License-Identifier: Apache-2.0 */
/* gates.c - what steps of plans wait for in worlds with gates: who decides, and what must be true.
 *
 *  - a decision that was acknowledged stands, and of two on one gate one is
 *  - a step begins behind its gates, and fails with one that was rejected or expired
 *  - a plan whose gates are all decided comes to its end, whether a run had it at that moment, or
 *    it waited, or its run was just leaving it
 *
 * Decisions come while plans run, wait, are cancelled and are taken up by others; some gates expire
 * meanwhile. When calm has come what is still asked is approved. */
#include "sim.h"

#include <stdio.h>
#include <string.h>

#define CALLS_MAX 10
#define PAGE      100

void sim_write_gates(struct sim_world *w, struct json_writer *j, struct sim_step *step) {
    step->gates = sim_chance(w, 50) ? 1 + sim_below(w, 2) : 0;
    if (!step->gates)
        return;
    jw_key(j, "gates");
    jw_array(j);
    for (size_t i = 0; i < step->gates; i++) {
        jw_object(j);
        jw_key(j, "kind");
        jw_z(j, "manual");
        jw_key(j, "name");
        jw_str(j, arena_printf(&w->arena, "g%zu", i));
        if (sim_chance(w, 30)) {
            jw_key(j, "expires_in");
            jw_i64(j, 1 + (int64_t)sim_below(w, 30));
            jw_key(j, "on_expiry");
            jw_z(j, sim_chance(w, 50) ? "waive" : "fail");
        }
        jw_object_end(j);
    }
    jw_array_end(j);
}

static int list(struct sim_world *w, struct store *store, struct id plan, struct arena *a,
                struct gate_row **rows, size_t *count) {
    struct gate_filter f = {.plan_id = plan, .limit = PAGE};
    return gate_list(store, &w->who, &f, a, rows, count, NULL);
}

/* --- who decides --- */

static struct sim_gate *acknowledged(struct sim_world *w, struct id id) {
    for (size_t i = 0; i < w->gates.count; i++)
        if (id_eq(w->gates.p[i].id, id))
            return &w->gates.p[i];
    return NULL;
}

static int say(struct sim_world *w, struct sim_server *s, const struct gate_row *gate, bool approve,
               struct arena *a) {
    struct plans_gate_word word = {
        .answer = {.decision = approve ? GATE_APPROVE : GATE_REJECT}, .actor = STR("somebody")};
    struct gate_row out;
    struct err err = {0};
    struct sim_gate said = {.id = gate->id, .status = approve ? GATE_PASSED : GATE_FAILED};
    int rc = plans_gate_say(s->plans, &w->who, gate->id, &word, a, &out, &err);
    sim_note(w, "server %d.%d %s gate %02x%02x of plan %02x%02x: %d", s->number, s->life,
             approve ? "passes" : "rejects", gate->id.b[14], gate->id.b[15], gate->plan_id.b[14],
             gate->plan_id.b[15], rc);
    if (rc == 0 && acknowledged(w, gate->id))
        sim_wrong(w, "gate %02x%02x was decided twice", gate->id.b[14], gate->id.b[15]);
    if (rc == 0 && out.status != said.status)
        sim_wrong(w, "gate %02x%02x was decided otherwise", gate->id.b[14], gate->id.b[15]);
    if (rc == 0)
        vec_push(&w->gates, said);
    if (!sim_passing(rc))
        sim_wrong(w, "a gate was not decided, with %s: %s", err_name(rc), err.message);
    return rc;
}

/* As chat clients answer: by a run of the plan's thread. */
static void answer(struct sim_world *w, struct sim_server *s, size_t at,
                   const struct gate_row *gate, struct arena *a) {
    struct err err = {0};
    struct id run;
    bool stops = sim_chance(w, 15);
    str body = arena_printf(a,
                            "{\"command\":{\"resume\":{\"" STR_FMT "\":\"%s\"}},"
                            "\"multitask_strategy\":\"%s\"}",
                            STR_ARG(id_hex(a, gate->id)), sim_chance(w, 75) ? "approve" : "reject",
                            stops ? "interrupt" : "enqueue");
    w->plans.p[at].touched = w->plans.p[at].touched || stops;
    int rc = sim_submit(w, s, w->plans.p[at].thread_id, PLAN_GRAPH, body, &run, &err);
    sim_note(w, "server %d.%d is answered gate %02x%02x of plan %02x%02x by a run%s: %d", s->number,
             s->life, gate->id.b[14], gate->id.b[15], gate->plan_id.b[14],
             gate->plan_id.b[15], stops ? " that stops others" : "", rc);
    bool early = w->plans.p[at].touched && strstr(err.message, "no input for"); /* it was stopped */
    if (!sim_passing(rc) && !early)
        sim_wrong(w, "an answer was refused, with %s: %s", err_name(rc), err.message);
}

/* Of some plan some gate, also one that is decided. */
static void say_something(struct sim_world *w, struct sim_server *s) {
    size_t at = sim_below(w, w->plans.count);
    struct gate_row *rows;
    struct arena a;
    size_t count = 0;
    arena_init(&a, SIZE_MAX / 2);
    if (list(w, &s->store, w->plans.p[at].id, &a, &rows, &count) == 0 && count) {
        const struct gate_row *gate = &rows[sim_below(w, count)];
        if (sim_chance(w, 30))
            answer(w, s, at, gate, &a);
        else
            (void)say(w, s, gate, sim_chance(w, 75), &a);
    }
    arena_deinit(&a);
}

void sim_decider(void *arg) {
    struct sim_world *w = arg;
    for (int i = 0; i < CALLS_MAX; i++) {
        fiber_sleep_shielded_us((int64_t)sim_below(w, 5000000));
        struct sim_server *s = w->plans.count ? sim_enter(w) : NULL;
        if (!s)
            continue;
        say_something(w, s);
        sim_leave(s);
    }
    w->clients--;
}

/* Approves what plans ask; true: something was asked. A server that has lost its lease takes
 * nothing until it has a new one. */
static bool approve_all(struct sim_world *w, struct id plan) {
    struct store *store = &w->current[0]->store;
    struct gate_row *rows;
    size_t count = 0;
    bool asked = false;
    if (list(w, store, plan, &w->arena, &rows, &count) < 0)
        sim_wrong(w, "gates cannot be read in calm");
    for (size_t i = 0; i < count; i++) {
        if (rows[i].status != GATE_PENDING)
            continue;
        asked = true;
        for (size_t k = 0; k < SIM_SERVERS; k++)
            if (say(w, w->current[k], &rows[i], true, &w->arena) != ERR_UNAVAILABLE)
                break;
    }
    return asked;
}

bool sim_decide_all(struct sim_world *w) {
    bool asked = false;
    for (size_t k = 0; k < w->plans.count; k++)
        asked = approve_all(w, w->plans.p[k].id) || asked;
    return asked;
}

/* --- the checks --- */

static void wrong(struct sim_world *w, const struct gate_row *g, const char *what) {
    sim_wrong(w, "gate %02x%02x of plan %02x%02x, which is " STR_FMT ", %s", g->id.b[14],
              g->id.b[15], g->plan_id.b[14], g->plan_id.b[15],
              STR_ARG(gate_status_name(g->status)), what);
}

/* touched: what failed may have been forgotten, and asked again, since it was said. */
static void check_said(struct sim_world *w, const struct gate_row *g, bool touched) {
    const struct sim_gate *said = acknowledged(w, g->id);
    if (said && said->status != g->status && !(touched && said->status == GATE_FAILED))
        wrong(w, g, "was said to be decided otherwise");
}

void sim_check_gates(struct sim_world *w, const struct sim_plan *p,
                     const struct plan_step_row *steps, enum sim_gates *out) {
    struct gate_row *rows;
    size_t count = 0, open[SIM_STEPS_MAX] = {0};
    for (size_t i = 0; i < p->step_count; i++)
        out[i] = SIM_GATES_PASSED;
    if (list(w, &w->current[0]->store, p->id, &w->arena, &rows, &count) < 0)
        sim_wrong(w, "gates cannot be read in calm");
    for (size_t i = 0; i < count; i++) {
        const struct gate_row *g = &rows[i];
        const struct plan_step_row *s = &steps[g->position];
        open[g->position]++;
        check_said(w, g, p->touched);
        if (g->status == GATE_PENDING)
            wrong(w, g, "is asked still");
        if (g->status == GATE_FAILED)
            out[g->position] = SIM_GATES_FAILED;
        if (g->status == GATE_FAILED && s->status == RUN_STATE_SUCCEEDED)
            wrong(w, g, "has a step that succeeded");
        if (s->started_at && s->started_at < g->decided_at && g->status != GATE_FAILED)
            wrong(w, g, "has a step that began before");
    }
    for (size_t i = 0; i < p->step_count; i++)
        if (open[i] != p->steps[i].gates && out[i] == SIM_GATES_PASSED)
            out[i] = SIM_GATES_NOT_OPEN;
}
