/* SPDX-License-Identifier: Apache-2.0 */
/* work.c - steps of a plan that workers do, as the plan's run sees them.
 *
 *   step can begin ─▶ offered (a row, with the next batch) ─▶ workers lease it, try it again, bring
 *   what came of it (workers.c: all without this run) ─▶ taken here ─▶ those that waited for it
 *
 * A step that is offered belongs to its row: attempts and states until its end are written by
 * whoever asks for them. The run reads what came of steps when it is told to look; its next batch
 * closes their rows with the steps' own moves.
 *
 * A run whose plan waits for workers alone ends, as for gates: after a while without news, so that
 * a plan whose workers are quick is not begun anew for each of its steps. */
#include "plans/plans_int.h"

#define QUIET_US    2000000
#define RESULTS_MAX 64 /* outputs at a time */

bool coordinator_is_work(const struct coordinator *c, uint32_t position) {
    return c->tools[position] && c->tools[position]->elsewhere;
}

static void heard(struct coordinator *c) { c->work_quiet_us = rt_mono_us(c->plans->rt) + QUIET_US; }

void coordinator_work_offer(struct coordinator *c, uint32_t position) {
    struct step *s = &c->steps[position];
    if (s->offered)
        return;
    s->offered = true;
    s->ready_us = rt_mono_us(c->plans->rt);
    plan_note_enqueue(c, position, NULL);
    c->work_open++;
    vec_push(&c->offers, position);
    heard(c);
}

void coordinator_work_over(struct coordinator *c, uint32_t position) {
    struct step *s = &c->steps[position];
    if (!s->offered)
        return;
    s->offered = false;
    c->work_open--;
    vec_push(&c->work_over, position);
}

/* --- from rows --- */

static struct step *step_of(struct coordinator *c, const struct work_row *row) {
    if (row->position < 0 || (size_t)row->position >= c->count ||
        !coordinator_is_work(c, (uint32_t)row->position))
        return NULL;
    return &c->steps[row->position];
}

static void recall(struct step *s, const struct work_row *row) {
    s->attempt = (int)row->attempt;
    s->losses = (int)row->lost;
    s->started_at = row->claimed_at;
}

static int read_rows(struct coordinator *c, struct arena *a, struct work_row **rows, size_t *count,
                     struct err *err) {
    int64_t wait_us = 0;
    int rc;
    do
        rc = work_of_plan(c->plans->store, c->row.id, a, rows, count, err);
    while (node_try_again(c->ctx, rc, &wait_us));
    return rc;
}

int coordinator_work_load(struct coordinator *c, struct err *err) {
    struct work_row *rows;
    size_t count = 0;
    bool any = false;
    for (uint32_t i = 0; i < c->count && !any; i++)
        any = coordinator_is_work(c, i);
    if (!any)
        return 0;
    int rc = c->fresh ? 0 : read_rows(c, c->a, &rows, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct step *s = step_of(c, &rows[i]);
        if (!s)
            return err_set(err, ERR_CORRUPT, "a worker's step of a plan is none of its steps");
        if (run_state_final(s->state))
            continue;
        s->offered = true;
        c->work_open++;
        recall(s, &rows[i]);
        c->look = c->look || rows[i].status == WORK_DONE;
    }
    for (uint32_t i = 0; rc == 0 && i < c->count; i++)
        if (coordinator_is_work(c, i) && c->steps[i].state == RUN_STATE_RUNNING &&
            !c->steps[i].offered)
            c->steps[i].state = RUN_STATE_QUEUED;
    heard(c);
    return rc;
}

void coordinator_work_deinit(struct coordinator *c) {
    vec_deinit(&c->offers);
    vec_deinit(&c->work_over);
}

int coordinator_work_recall(struct coordinator *c, struct err *err) {
    struct arena a;
    struct work_row *rows;
    size_t count = 0;
    if (!c->work_open)
        return 0;
    arena_init(&a, SIZE_MAX / 2);
    int rc = read_rows(c, &a, &rows, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct step *s = step_of(c, &rows[i]);
        if (s && s->offered)
            recall(s, &rows[i]);
    }
    arena_deinit(&a);
    return rc;
}

int coordinator_work_look(struct coordinator *c, struct err *err) {
    struct arena a;
    struct work_taken *list;
    size_t count = 0;
    int64_t wait_us = 0;
    if (!c->work_open)
        return 0;
    arena_init(&a, SIZE_MAX / 2);
    int rc;
    do
        rc = work_results(c->plans->store, c->row.id, RESULTS_MAX, &a, &list, &count, err);
    while (node_try_again(c->ctx, rc, &wait_us));
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct step *s = step_of(c, &list[i].row);
        if (!s || !s->offered)
            continue;
        recall(s, &list[i].row);
        step_set_error(s, list[i].result.error);
        coordinator_step_end(c, (uint32_t)list[i].row.position, list[i].result.outcome,
                             list[i].result.output);
        heard(c);
    }
    c->look = c->look || count == RESULTS_MAX; /* the rest, when these are stored */
    arena_deinit(&a);
    return rc;
}

/* --- to rows --- */

void coordinator_work_take(struct coordinator *c, struct arena *a, struct work_flush *out) {
    *out = (struct work_flush){
        .offers = ARENA_ARRAY(a, struct work_offer, c->offers.count + 1),
        .over = ARENA_ARRAY(a, uint32_t, c->work_over.count + 1),
        .offer_count = c->offers.count,
        .over_count = c->work_over.count,
    };
    for (size_t i = 0; i < out->offer_count; i++) {
        uint32_t at = c->offers.p[i];
        const struct plan_step *spec = &c->specs[at];
        out->offers[i] = (struct work_offer){.position = at,
                                             .queue = plan_tool_queue(spec->tool),
                                             .priority = spec->priority,
                                             .attempt = c->steps[at].attempt,
                                             .losses = c->steps[at].losses,
                                             .timeout_us = spec->timeout_us};
    }
    for (size_t i = 0; i < out->over_count; i++)
        out->over[i] = c->work_over.p[i];
    c->offers.count = c->work_over.count = 0;
}

void coordinator_work_add(const struct coordinator *c, struct db_batch *b,
                          const struct work_flush *f, int64_t now_us) {
    if (f->offer_count)
        work_offer_add(b, c->row.id, c->row.owner, f->offers, f->offer_count, now_us);
    if (f->over_count)
        work_close_add(b, c->row.id, f->over, f->over_count);
}

void coordinator_work_flushed(struct coordinator *c, const struct work_flush *f) {
    if (!f->offer_count)
        return;
    for (size_t i = 0; i < f->offer_count; i++)
        plan_note_finalized(c, f->offers[i].position);
    heard(c);
    fiber_event_wake_all(&c->plans->work_wake);
}

/* --- waiting --- */

bool coordinator_waits_outside(struct coordinator *c) {
    if (c->execs || c->executing || turns_busy(&c->turns) || c->later.items.count ||
        c->held.count || c->dirty.count || c->offers.count)
        return false;
    return c->work_open ? rt_mono_us(c->plans->rt) >= c->work_quiet_us : c->gates_pending > 0;
}

int coordinator_ask(struct coordinator *c, struct err *err) {
    struct arena *a = c->ctx->arena;
    int rc = c->gates_pending ? coordinator_gates_ask(c, err) : ERR_INTERRUPTED;
    if (!c->work_open)
        return rc;
    str plan = id_dashed(a, c->row.id);
    str question = arena_printf(a, "{\"plan_id\":\"" STR_FMT "\",\"workers\":%zu}", STR_ARG(plan),
                                c->work_open);
    return node_ask(c->ctx, id_hex(a, c->row.id), question, err);
}
