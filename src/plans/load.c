/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - a plan from its rows: what a new run begins with, and what one goes on with that a dead
 * process left.
 *
 * A step that was executing then is queued again (quarantine.c), and its attempt not spent: it did
 * not come to an end. Its key is the same, so that whoever does the work does it once. Those who
 * wait for a step are kept as one array with the places of each step's part. */
#include "plans/plans_int.h"

#include "base/mem.h"

#define STEPS_AT_ONCE 100

static void free_text(str *s) {
    mem_free((void *)s->p);
    *s = STR_NULL;
}

void step_set_error(struct step *s, str error) {
    free_text(&s->error);
    if (error.p)
        s->error = str_n(mem_dup(error.p, error.len), error.len);
}

void coordinator_ready(struct coordinator *c, uint32_t position) {
    struct step *s = &c->steps[position];
    enum gates_state gates = coordinator_gates_of(c, position);
    if (gates == GATES_FAILED) {
        coordinator_mark(c, position, RUN_STATE_FAILED, rt_now_us(c->plans->rt));
        coordinator_give_up(c, position);
        return;
    }
    if (gates == GATES_WAIT) {
        if (s->state != RUN_STATE_BLOCKED)
            coordinator_mark(c, position, RUN_STATE_BLOCKED, rt_now_us(c->plans->rt));
        plan_note_enqueue(c, position, "gate");
        return;
    }
    if (s->state == RUN_STATE_BLOCKED)
        coordinator_mark(c, position, RUN_STATE_QUEUED, rt_now_us(c->plans->rt));
    if (coordinator_is_work(c, position)) {
        coordinator_work_offer(c, position);
        return;
    }
    s->ready_us = rt_mono_us(c->plans->rt);
    plan_note_enqueue(c, position, NULL);
    if (coordinator_holds_back(c, position))
        vec_push(&c->held, position);
    else
        coordinator_enqueue(c, position);
}

void coordinator_enqueue(struct coordinator *c, uint32_t position) {
    int64_t rank = -(int64_t)c->specs[position].priority * (INT64_C(1) << 32) + position;
    turns_push(&c->turns, coordinator_turn_tool(c, position), rank, position);
    plan_note_finalized(c, position);
}

size_t coordinator_turn_tool(const struct coordinator *c, uint32_t position) {
    STATIC_ASSERT(PLAN_TOOL_COUNT < TURN_TOOLS, "and one for tools that are unknown");
    return c->tools[position] ? plan_tool_index(c->tools[position]) : PLAN_TOOL_COUNT;
}

void coordinator_mark(struct coordinator *c, uint32_t position, enum run_state state, int64_t at) {
    struct step *s = &c->steps[position];
    struct step_event e = {position, state, s->attempt, at,
                           s->error.p ? arena_dup(c->a, s->error) : STR_NULL};
    s->state = state;
    vec_push(&c->events, e);
    if (!s->dirty)
        vec_push(&c->dirty, position);
    s->dirty = true;
    if (state != RUN_STATE_RUNNING)
        coordinator_alone_over(c, position);
    if (run_state_final(state)) {
        s->ended_at = at;
        c->final[state]++;
        metric_add(c->plans->metrics.steps[state], 1);
        const struct tool *tool = c->tools[position];
        if (s->losses && state != RUN_STATE_SUCCEEDED && tool && tool->abandon)
            tool->abandon(&c->plans->tools, c->row.owner, c->keys[position]);
        coordinator_gates_over(c, position);
        coordinator_work_over(c, position);
    }
}

void coordinator_give_up(struct coordinator *c, uint32_t position) {
    VEC(uint32_t) todo = {0};
    vec_push(&todo, position);
    while (todo.count) {
        uint32_t at = todo.p[--todo.count];
        for (uint32_t k = c->child_at[at]; k < c->child_at[at + 1]; k++) {
            uint32_t child = c->children[k];
            struct step *s = &c->steps[child];
            if (s->state != RUN_STATE_QUEUED && s->state != RUN_STATE_BLOCKED)
                continue;
            str why =
                arena_printf(c->a, "step " STR_FMT " did not succeed", STR_ARG(c->specs[at].name));
            step_set_error(s, why);
            coordinator_mark(c, child, RUN_STATE_CANCELLED, rt_now_us(c->plans->rt));
            plan_note_enqueue(c, child, "given_up");
            vec_push(&todo, child);
        }
    }
    vec_deinit(&todo);
}

static int take_step(struct coordinator *c, const struct plan_step_row *row, struct err *err) {
    size_t i = (size_t)row->position;
    struct plan_step *spec = &c->specs[i];
    struct step *s = &c->steps[i];
    spec->name = row->name;
    spec->tool = row->tool;
    spec->inputs = row->inputs;
    int rc = plan_step_spec_read(c->a, row->spec, c->count, spec, err);
    if (rc < 0)
        return rc;
    c->keys[i] = row->key;
    c->tools[i] = plan_tool_find(row->tool);
    s->state = row->status;
    s->attempt = (int)row->attempt;
    s->losses = (int)row->losses;
    s->spent = (int)row->spent;
    s->started_at = row->started_at;
    s->ended_at = row->ended_at;
    s->wished = row->wish.p != NULL;
    s->lost = s->state == RUN_STATE_RUNNING && !coordinator_is_work(c, (uint32_t)i);
    if (row->error.p)
        step_set_error(s, row->error);
    if (run_state_final(s->state))
        c->final[s->state]++;
    return 0;
}

static void link_children(struct coordinator *c) {
    size_t total = 0;
    c->child_at = ARENA_ARRAY(c->a, uint32_t, c->count + 2);
    for (size_t i = 0; i < c->count; i++)
        for (size_t k = 0; k < c->specs[i].depend_count; k++, total++)
            c->child_at[c->specs[i].depends[k] + 2]++;
    for (size_t i = 2; i < c->count + 2; i++)
        c->child_at[i] += c->child_at[i - 1];
    c->children = ARENA_ARRAY(c->a, uint32_t, total + 1);
    for (size_t i = 0; i < c->count; i++)
        for (size_t k = 0; k < c->specs[i].depend_count; k++)
            c->children[c->child_at[c->specs[i].depends[k] + 1]++] = (uint32_t)i;
}

static void begin_state(struct coordinator *c) {
    for (uint32_t i = 0; i < c->count; i++)
        if (c->steps[i].lost)
            coordinator_lost(c, i);
    for (uint32_t i = 0; i < c->count; i++) {
        struct step *s = &c->steps[i];
        s->freed = s->state == RUN_STATE_SUCCEEDED;
        for (size_t k = 0; k < c->specs[i].depend_count; k++)
            s->waits += c->steps[c->specs[i].depends[k]].state != RUN_STATE_SUCCEEDED;
    }
    for (uint32_t i = 0; i < c->count; i++) {
        enum run_state state = c->steps[i].state;
        if (run_state_final(state) && state != RUN_STATE_SUCCEEDED)
            coordinator_give_up(c, i);
    }
    for (uint32_t i = 0; i < c->count; i++)
        if (run_state_final(c->steps[i].state))
            plan_note_enqueue(c, i, "over");
        else if (c->steps[i].waits == 0)
            coordinator_ready(c, i);
        else
            plan_note_enqueue(c, i, "depends");
}

/* A plan that its first run executes has the run's id: then one read gives it with its steps, when
 * these are few. Else *count stays 0, and it is looked for by its thread. */
static int read_at_once(struct coordinator *c, struct plan_step_row **rows, size_t *count,
                        struct err *err) {
    static const struct principal any = {.all = true};
    int rc = plan_get(c->plans->store, &any, c->ctx->run_id, STEPS_AT_ONCE, c->a, &c->row, rows,
                      count, err);
    bool whole = rc == 0 && (int64_t)*count == c->row.step_count &&
                 id_eq(c->row.thread_id, c->ctx->thread_id);
    if (!whole)
        *count = 0;
    if (rc == ERR_NOT_FOUND)
        err_reset(err);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* Who made the plan has left it for its first run. What somebody has asked for since, he moved the
 * plan's version on for, so the first batch finds out. */
static bool take_given(struct coordinator *c, struct plan_step_row **rows, size_t *count) {
    const struct plan_rows *given = c->ctx->given;
    c->ctx->given = NULL;
    if (!given)
        return false;
    c->row = given->row;
    *rows = given->steps;
    *count = (size_t)given->row.step_count;
    return true;
}

static int read_plan(struct coordinator *c, struct plan_step_row **rows, size_t *count,
                     struct err *err) {
    struct store *store = c->plans->store;
    bool found = false;
    int64_t wait_us = 0;
    int rc;
    do
        rc = read_at_once(c, rows, count, err);
    while (node_try_again(c->ctx, rc, &wait_us));
    if (rc < 0 || *count > 0)
        return rc;
    do
        rc = plan_of_thread(store, c->ctx->thread_id, c->a, &c->row, &found, err);
    while (node_try_again(c->ctx, rc, &wait_us));
    if (rc == 0 && !found)
        rc = err_set(err, ERR_NOT_FOUND,
                     "This thread has no plan; POST /plans/runs makes one, with a thread");
    if (rc < 0)
        return rc;
    do
        rc = plan_steps(store, c->row.id, -1, NULL, PLAN_STEPS_MAX, c->a, rows, count, err);
    while (node_try_again(c->ctx, rc, &wait_us));
    return rc;
}

int coordinator_load(struct coordinator *c, struct err *err) {
    struct plan_step_row *rows;
    size_t count = 0;
    c->fresh = take_given(c, &rows, &count);
    if (!c->fresh && !coordinator_has_begun(c))
        return ERR_CANCELLED;
    int rc = c->fresh ? 0 : read_plan(c, &rows, &count, err);
    if (rc == 0 && (int64_t)count != c->row.step_count)
        rc = err_set(err, ERR_CORRUPT, "a plan of %lld steps has %zu", (long long)c->row.step_count,
                     count);
    if (rc < 0)
        return rc;
    c->count = count;
    c->specs = ARENA_ARRAY(c->a, struct plan_step, count);
    c->keys = ARENA_ARRAY(c->a, str, count);
    c->tools = ARENA_ARRAY(c->a, const struct tool *, count);
    c->steps = ARENA_ARRAY(c->a, struct step, count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = rows[i].position == (int64_t)i
                 ? take_step(c, &rows[i], err)
                 : err_set(err, ERR_CORRUPT, "the steps of a plan are not in order");
    if (rc == 0)
        rc = coordinator_gates_load(c, err);
    if (rc == 0)
        rc = coordinator_work_load(c, err);
    if (rc < 0)
        return rc;
    link_children(c);
    begin_state(c);
    return 0;
}

void coordinator_deinit(struct coordinator *c) {
    for (size_t i = 0; c->steps && i < c->count; i++) {
        free_text(&c->steps[i].output);
        free_text(&c->steps[i].error);
    }
    turns_leave(&c->turns);
    step_heap_deinit(&c->later);
    coordinator_gates_deinit(c);
    coordinator_work_deinit(c);
    vec_deinit(&c->dirty);
    vec_deinit(&c->held);
    vec_deinit(&c->events);
}
