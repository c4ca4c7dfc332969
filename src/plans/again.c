/* SPDX-License-Identifier: Apache-2.0 */
/* again.c - steps that are done again: those that somebody names, and those of the list of the
 * dead.
 *
 * The steps, and what was given up for their sake, are put back in the batch that makes another run
 * of the plan's thread, under the version that was read; the run waits behind one that is just
 * ending. One run goes on for all that are put back of a plan. While a run has the plan nothing of
 * it is put back.
 *
 * A step that is retried gets one more attempt, one that comes back from the dead a fresh budget;
 * attempts count on, so that what an earlier one made is told from what this one makes. Neither
 * remembers how often the step was cut off. */
#include "plans/plans_int.h"

struct again {
    struct plans *plans;
    struct plan_row row;
    struct plan_step_row *steps;
    size_t count;
    bool *marked;
    bool fresh; /* a new budget */
    struct plan_change change;
    struct step_event *events;
    str positions; /* JSON list: what is done again */
    str gates;     /* the same, of those with gates: failed ones open anew; absent: none has any */
};

static void join_again(void *ctx, const struct live_run *run, struct db_batch *b) {
    struct again *x = ctx;
    x->change.run_id = live_run_row(run)->id;
    plan_change_add(b, &x->change, rt_now_us(x->plans->rt));
    dead_revive_add(b, x->change.plan_id, x->positions);
    if (x->gates.p)
        gates_forget_add(b, x->change.plan_id, x->gates);
}

static bool given_up(const struct plan_step_row *s) {
    return run_state_final(s->status) && s->status != RUN_STATE_SUCCEEDED;
}

/* Of the marked steps those behind them that were given up for their sake. Steps wait for others
 * anywhere in the list, so it is gone through until nothing changes. */
static int mark_behind(struct again *x, struct arena *a, struct err *err) {
    struct plan_step *specs = ARENA_ARRAY(a, struct plan_step, x->count + 1);
    for (size_t i = 0; i < x->count; i++) {
        int rc = x->steps[i].status == RUN_STATE_CANCELLED
                     ? plan_step_spec_read(a, x->steps[i].spec, x->count, &specs[i], err)
                     : 0;
        if (rc < 0)
            return rc;
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < x->count; i++)
            for (size_t k = 0; k < specs[i].depend_count && !x->marked[i]; k++)
                if (x->marked[specs[i].depends[k]])
                    x->marked[i] = changed = true;
    }
    return 0;
}

static void fill(struct again *x, struct arena *a) {
    int64_t now = rt_now_us(x->plans->rt);
    struct plan_step_change *list = ARENA_ARRAY(a, struct plan_step_change, x->count);
    struct plan_change *c = &x->change;
    *c = plan_change_again(&x->row);
    c->steps = list;
    x->events = ARENA_ARRAY(a, struct step_event, x->count);
    for (size_t i = 0; i < x->count; i++) {
        const struct plan_step_row *s = &x->steps[i];
        if (!x->marked[i])
            continue;
        c->failed -= s->status == RUN_STATE_FAILED;
        c->cancelled -= s->status == RUN_STATE_CANCELLED;
        c->timed_out -= s->status == RUN_STATE_TIMED_OUT;
        x->events[c->step_count] = (struct step_event){(uint32_t)i, RUN_STATE_QUEUED, 0, now,
                                                       STR_NULL};
        list[c->step_count++] =
            (struct plan_step_change){.position = i,
                                      .status = RUN_STATE_QUEUED,
                                      .attempt = (int)s->attempt,
                                      .spent = (int)(x->fresh ? s->attempt : s->spent)};
    }
}

static str positions(struct again *x, struct arena *a, bool gated) {
    struct buf b;
    size_t found = 0;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < x->count; i++)
        if (x->marked[i] && (!gated || str_find(x->steps[i].spec, STR("\"gates\":")) >= 0)) {
            jw_i64(&w, (int64_t)i);
            found++;
        }
    jw_array_end(&w);
    str text = found ? arena_dup(a, buf_view(&b)) : STR_NULL;
    buf_deinit(&b);
    return text;
}

/* The plan, if no run has it. */
static int read_idle(struct again *x, const struct principal *who, struct id id, struct arena *a,
                     struct err *err) {
    int rc = plan_get(x->plans->store, who, id, PLAN_STEPS_MAX, a, &x->row, &x->steps, &x->count,
                      err);
    if (rc == 0 && !run_state_final(x->row.status) && x->row.status != RUN_STATE_BLOCKED)
        rc = err_set(err, ERR_CONFLICT, "The plan run is under way");
    if (rc == 0)
        x->marked = ARENA_ARRAY(a, bool, x->count + 1);
    return rc;
}

static int may_queue(const struct again *x, struct err *err) {
    for (size_t i = 0; i < x->count; i++) {
        int rc = x->marked[i] ? pressure_tool(x->plans, x->row.owner, x->steps[i].tool, err) : 0;
        if (rc < 0)
            return rc;
    }
    return pressure_begin(x->plans, x->change.step_count, err);
}

static int put_back(struct again *x, struct arena *a, struct id *out_run, struct err *err) {
    struct plans *p = x->plans;
    str *entries;
    enum run_state queued = RUN_STATE_QUEUED;
    int rc = mark_behind(x, a, err);
    if (rc < 0)
        return rc;
    fill(x, a);
    x->positions = positions(x, a, false);
    x->gates = positions(x, a, true);
    size_t moved = x->change.step_count;
    rc = may_queue(x, err);
    if (rc < 0)
        return rc;
    struct plan_news news = {.version = x->row.version + 1, .status = &queued, .whole = true};
    (void)plan_entries_write(a, &news, x->events, moved, &entries);
    struct plan_more more = {
        .goal = x->row.goal, .entry = entries[0], .join = join_again, .ctx = x};
    rc = plan_submit_more(p, &x->row, &more, a, out_run, err);
    pressure_end(p, moved, rc == 0);
    if (rc == ERR_FENCED)
        rc = err_set(err, ERR_CONFLICT, "The plan run is under way");
    return rc;
}

int plans_retry_step(struct plans *p, const struct principal *who, struct id id, int64_t position,
                     struct arena *a, struct id *out_run, struct err *err) {
    struct again x = {.plans = p};
    int rc = read_idle(&x, who, id, a, err);
    if (rc == 0 && (position < 0 || (size_t)position >= x.count))
        rc = err_set(err, ERR_NOT_FOUND, "Step not found");
    if (rc == 0 && !given_up(&x.steps[position]))
        rc = err_set(err, ERR_CONFLICT, "The step %s",
                     run_state_final(x.steps[position].status) ? "has succeeded" : "is not over");
    if (rc < 0)
        return rc;
    x.marked[position] = true;
    return put_back(&x, a, out_run, err);
}

/* --- from the dead --- */

static int rehydrate(struct plans *p, const struct principal *who, struct id plan_id,
                     const struct dead_row *rows, size_t count, struct arena *a,
                     struct plans_rehydrated *out, struct err *err) {
    struct again x = {.plans = p, .fresh = true};
    size_t dead = 0;
    int rc = read_idle(&x, who, plan_id, a, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        int64_t at = rows[i].position;
        if (!id_eq(rows[i].plan_id, plan_id) || at < 0 || (size_t)at >= x.count ||
            !given_up(&x.steps[at]))
            continue;
        x.marked[at] = true;
        dead++;
    }
    if (rc == 0 && !dead)
        rc = err_set(err, ERR_CONFLICT, "The step is done again already");
    if (rc == 0)
        rc = put_back(&x, a, &out->run_id, err);
    *out = (struct plans_rehydrated){.plan_id = plan_id,
                                     .run_id = rc == 0 ? out->run_id : ID_NIL,
                                     .dead = dead,
                                     .steps = x.change.step_count};
    return rc;
}

int plans_rehydrate(struct plans *p, const struct principal *who, struct id dead_id,
                    struct arena *a, struct plans_rehydrated *out, struct err *err) {
    struct dead_row row;
    *out = (struct plans_rehydrated){0};
    int rc = dead_get(p->store, who, dead_id, a, &row, err);
    return rc < 0 ? rc : rehydrate(p, who, row.plan_id, &row, 1, a, out, err);
}

static bool is_among(const struct plans_rehydrated *list, size_t count, struct id id) {
    for (size_t i = 0; i < count; i++)
        if (id_eq(list[i].plan_id, id))
            return true;
    return false;
}

int plans_rehydrate_many(struct plans *p, const struct principal *who,
                         const struct dead_row *rows, size_t count, struct arena *a,
                         struct plans_rehydrated **out, size_t *out_count, struct err *err) {
    struct plans_rehydrated *list = ARENA_ARRAY(a, struct plans_rehydrated, count + 1);
    size_t plans = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct err why = {0};
        struct arena own;
        if (is_among(list, plans, rows[i].plan_id))
            continue;
        arena_init(&own, SIZE_MAX / 2);
        struct plans_rehydrated *r = &list[plans++];
        *r = (struct plans_rehydrated){0};
        rc = rehydrate(p, who, rows[i].plan_id, rows, count, &own, r, &why);
        bool late = rc == ERR_LIMIT && plans > 1; /* what came before it is done */
        if (rc == ERR_CONFLICT || rc == ERR_NOT_FOUND || late) { /* others do not wait for it */
            r->why = arena_dup(a, str_of(why.message));
            rc = 0;
        } else if (rc < 0 && err) {
            *err = why;
        }
        arena_deinit(&own);
    }
    *out = list;
    *out_count = plans;
    return rc;
}
