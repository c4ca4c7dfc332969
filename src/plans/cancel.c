/* SPDX-License-Identifier: Apache-2.0 */
/* cancel.c - plans and steps that somebody wants to end.
 *
 *   a run has the plan ─▶ the run is ended, and its coordinator writes what is left
 *   no run has it      ─▶ the end, and that of its steps, is written here, in the batch that makes
 *     (blocked)           another run of the thread: that finds the plan over and says so, so the
 *                         thread asks for nothing any more, and the plan's webhook is told
 *
 * A single step that is to end is named in its row, and whoever has the plan sees to it; a plan
 * that nobody has goes on for that. */
#include "plans/plans_int.h"

#define TRIES_MAX 16
#define END_PAGE  200 /* steps */
#define CANCELLED STR("it was cancelled")

static int over(struct err *err) {
    return err_set(err, ERR_CONFLICT, "The plan run is over");
}

/* What steps have begun outside, and nobody goes on with. */
static void abandon(struct plans *p, const struct plan_row *row, const struct plan_step_row *steps,
                    size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct tool *tool = plan_tool_find(steps[i].tool);
        if (tool && tool->abandon)
            tool->abandon(&p->tools, row->owner, steps[i].key);
    }
}

struct ending {
    struct plans *plans;
    const struct plan_row *row;
    str entry;
};

static void add_end(const struct ending *x, struct db_batch *b) {
    size_t at = b->count;
    plan_end_add(b, x->row->thread_id, x->row->run_id, true, RUN_STATE_CANCELLED, CANCELLED,
                 rt_now_us(x->plans->rt));
    b->ops[at].expect = DB_EXPECT_CHANGE(ERR_FENCED);
}

static void join_end(void *ctx, const struct live_run *run, struct db_batch *b) {
    (void)run;
    add_end(ctx, b);
}

static int end_alone(const struct ending *x, struct arena *a, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, a);
    add_end(x, &b);
    struct hub_entry entry = {.entry = {.run_id = x->row->run_id,
                                        .kind = LOG_STEPS,
                                        .at = rt_now_us(x->plans->rt),
                                        .data = x->entry}};
    struct hub_append append = {
        .thread_id = x->row->thread_id, .batch = &b, .entries = &entry, .count = 1};
    return hub_commit(engine_hub(x->plans->engine), &append, err);
}

/* Of those that are left, in pages: steps that are over may have large outputs. */
static int read_left(struct plans *p, const struct plan_row *row, struct step_event *out,
                     size_t *count, struct err *err) {
    struct arena a;
    size_t found = END_PAGE;
    int64_t after = -1;
    int rc = 0;
    *count = 0;
    arena_init(&a, SIZE_MAX / 2);
    while (rc == 0 && found == END_PAGE) {
        struct plan_step_row *steps;
        arena_reset(&a);
        rc = plan_steps(p->store, row->id, after, NULL, END_PAGE, &a, &steps, &found, err);
        for (size_t i = 0; rc == 0 && i < found; i++) {
            after = steps[i].position;
            if (!run_state_final(steps[i].status) && *count < (size_t)row->step_count)
                out[(*count)++] = (struct step_event){.position = (uint32_t)steps[i].position,
                                                      .state = RUN_STATE_CANCELLED,
                                                      .attempt = (int)steps[i].attempt,
                                                      .at = rt_now_us(p->rt)};
        }
    }
    arena_deinit(&a);
    return rc;
}

int plan_end_entry(struct plans *p, const struct plan_row *row, enum run_state status, str error,
                   struct arena *a, str *out, struct err *err) {
    struct plan_news news = {
        .version = row->version + 1, .status = &status, .error = error, .whole = true};
    struct step_event *left = ARENA_ARRAY(a, struct step_event, row->step_count + 1);
    size_t count;
    str *entries;
    int rc = read_left(p, row, left, &count, err);
    if (rc < 0)
        return rc;
    (void)plan_entries_write(a, &news, left, count, &entries);
    *out = entries[0];
    return 0;
}

/* No run has it: it waits for somebody, or its run has just ended. ERR_FENCED: one has. */
static int end_here(struct plans *p, const struct plan_row *row, struct arena *a,
                    struct err *err) {
    struct ending x = {.plans = p, .row = row};
    int rc = plan_end_entry(p, row, RUN_STATE_CANCELLED, CANCELLED, a, &x.entry, err);
    struct plan_more more = {.goal = row->goal, .entry = x.entry, .join = join_end, .ctx = &x};
    if (rc == 0)
        rc = plan_submit_more(p, row, &more, a, NULL, err);
    if (rc == ERR_LIMIT) { /* no room for a run is no reason to let the plan wait on */
        err_reset(err);
        rc = end_alone(&x, a, err);
    }
    return rc;
}

/* ERR_FENCED: the plan is not as it was read. A run that was asked may have been past hearing it,
 * having left the plan to whoever answers its gates. */
static int cancel_once(struct plans *p, const struct principal *who, const struct plan_row *row,
                       bool *asked, struct arena *a, struct err *err) {
    enum run_state running = RUN_STATE_RUNNING;
    struct plan_step_row *steps;
    size_t count;
    int rc = plan_steps(p->store, row->id, -1, &running, PLAN_STEPS_MAX, a, &steps, &count, err);
    if (rc < 0)
        return rc;
    rc = engine_cancel(p->engine, who, row->thread_id, row->run_id, CANCEL_INTERRUPT,
                       STR("the plan was cancelled"), true, err);
    *asked = *asked || rc == 0;
    bool here = rc == ERR_CONFLICT || rc == ERR_NOT_FOUND;
    if (here) {
        err_reset(err);
        rc = end_here(p, row, a, err);
    }
    if (rc == 0) /* a run that was cut off may not get to them any more */
        abandon(p, row, steps, count);
    return rc == 0 && !here ? ERR_FENCED : rc;
}

int plans_cancel(struct plans *p, const struct principal *who, struct id id, struct arena *a,
                 struct err *err) {
    struct plan_row row;
    struct plan_step_row *steps;
    size_t count;
    bool asked = false;
    int rc = ERR_FENCED;
    for (int i = 0; i < TRIES_MAX && rc == ERR_FENCED; i++) {
        err_reset(err);
        rc = plan_get(p->store, who, id, 0, a, &row, &steps, &count, err);
        if (rc == 0 && run_state_final(row.status))
            return asked ? 0 : over(err);
        if (rc == 0)
            rc = cancel_once(p, who, &row, &asked, a, err);
    }
    return rc == ERR_FENCED ? err_set(err, ERR_CONFLICT, "The plan run went on") : rc;
}

struct wishing {
    struct id id;
    int64_t position;
};

static void join_wish(void *ctx, struct db_batch *b) {
    const struct wishing *x = ctx;
    plan_step_wish_add(b, x->id, x->position, STR("cancel"));
    b->ops[b->count - 1].expect = DB_EXPECT_CHANGE(ERR_FENCED);
}

/* ERR_FENCED: the plan is not as it was read. */
static int wish_once(struct plans *p, const struct plan_row *row, int64_t position,
                     struct arena *a, struct err *err) {
    struct db_batch b;
    struct wishing x = {row->id, position};
    if (row->status == RUN_STATE_BLOCKED) /* nobody would see it */
        return plan_go_on(p, &(struct plan_go_on){.row = row, .join = join_wish, .ctx = &x}, a,
                          err);
    db_batch_init(&b, a);
    plan_touch_live_add(&b, row->id, ERR_FENCED, rt_now_us(p->rt));
    plan_step_wish_add(&b, row->id, position, STR("cancel"));
    int rc = db_commit(p->store->db, &b, err);
    if (rc == 0)
        coordinator_poke(p, row->id);
    return rc;
}

static int cancel_step_once(struct plans *p, const struct principal *who, struct id id,
                            int64_t position, struct arena *a, struct err *err) {
    struct plan_row row;
    struct plan_step_row *steps;
    size_t count;
    int rc = plan_get(p->store, who, id, 0, a, &row, &steps, &count, err);
    if (rc == 0 && (position < 0 || position >= row.step_count))
        rc = err_set(err, ERR_NOT_FOUND, "Step not found");
    if (rc == 0 && run_state_final(row.status))
        rc = over(err);
    if (rc == 0)
        rc = plan_steps(p->store, id, position - 1, NULL, 1, a, &steps, &count, err);
    if (rc == 0 && (count == 0 || run_state_final(steps[0].status)))
        rc = err_set(err, ERR_CONFLICT, "The step is over");
    return rc < 0 ? rc : wish_once(p, &row, position, a, err);
}

int plans_cancel_step(struct plans *p, const struct principal *who, struct id id,
                      int64_t position, struct arena *a, struct err *err) {
    int rc = ERR_FENCED;
    for (int i = 0; i < TRIES_MAX && rc == ERR_FENCED; i++) {
        err_reset(err);
        rc = cancel_step_once(p, who, id, position, a, err);
    }
    return rc == ERR_FENCED ? err_set(err, ERR_CONFLICT, "The step is over") : rc;
}
