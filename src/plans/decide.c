/* SPDX-License-Identifier: Apache-2.0 */
/* decide.c - what is said about gates from outside the plan's run, and plans that go on after it.
 *
 *   a run has the plan ─▶ one batch: the plan's version, the gate's row, an entry of the log;
 *                         the run's coordinator finds the version moved and looks
 *   no run has it      ─▶ the same in the batch that makes another run of the thread, which
 *     (blocked)           resumes it: queued behind the one that is just ending, if there is one
 *
 * Both name what they saw: the gate's version, and that a run has the plan, or the version of the
 * plan that none has. When that has changed the batch fails and it is read again; when the gate is
 * decided by then, whoever came second is told so. */
#include "plans/plans_int.h"

#include "base/failpoint.h"

#define TRIES_MAX 16

/* --- what a word makes of a gate --- */

static void decided(struct gate_row *row, enum gate_status status, str actor, str reason,
                    int64_t now_us) {
    row->status = status;
    row->actor = actor;
    row->reason = reason;
    row->decided_at = now_us;
}

int gate_row_answer(struct arena *a, const struct gate *g, struct gate_row *row,
                    const struct gate_answer *answer, str actor, int64_t now_us, struct err *err) {
    enum gate_status status;
    str why;
    if (!answer->evidence) {
        int rc = gate_decide(g, answer->decision, &status, err);
        if (rc == 0)
            decided(row, status, actor, answer->reason, now_us);
        return rc;
    }
    int rc = gate_evidence_merge(a, row->evidence, answer->evidence, &row->evidence, err);
    if (rc < 0)
        return rc;
    enum gate_verdict verdict = gate_judge(a, g, row->evidence, &why);
    if (verdict == GATE_MET)
        decided(row, GATE_PASSED, actor, STR("the evidence meets the rule"), now_us);
    else if (verdict == GATE_MISSED)
        decided(row, GATE_FAILED, actor, why, now_us);
    return 0;
}

void gate_row_expire(const struct gate *g, struct gate_row *row, int64_t now_us) {
    decided(row, g->waived_on_expiry ? GATE_WAIVED : GATE_FAILED, STR_NULL,
            STR("nobody decided in time"), now_us);
}

void gate_count(struct plans *p, enum gate_status status) {
    metric_add(p->metrics.gates[status], 1);
}

/* --- a plan that no run has --- */

struct plan_change plan_change_again(const struct plan_row *row) {
    return (struct plan_change){.plan_id = row->id,
                                .version = row->version,
                                .code = ERR_FENCED,
                                .status = RUN_STATE_QUEUED,
                                .succeeded = row->succeeded,
                                .failed = row->failed,
                                .cancelled = row->cancelled,
                                .timed_out = row->timed_out};
}

struct going {
    struct plans *plans;
    const struct plan_go_on *g;
};

static void join_going(void *ctx, const struct live_run *run, struct db_batch *b) {
    const struct going *x = ctx;
    struct plan_change c = plan_change_again(x->g->row);
    c.run_id = live_run_row(run)->id;
    plan_change_add(b, &c, rt_now_us(x->plans->rt));
    x->g->join(x->g->ctx, b);
}

int plan_go_on(struct plans *p, const struct plan_go_on *g, struct arena *a, struct err *err) {
    struct going x = {p, g};
    struct plan_more more = {
        .resume = g->resume, .entry = g->entry, .join = join_going, .ctx = &x};
    return plan_submit_more(p, g->row, &more, a, NULL, err);
}

/* --- saying something --- */

struct saying {
    struct plans *plans;
    const struct plans_gate_word *word;
    struct gate_row row; /* as it is to be */
};

static void join_said(void *ctx, struct db_batch *b) {
    const struct saying *x = ctx;
    gate_write_add(b, &x->row, ERR_FENCED);
    if (x->word->join_batch)
        x->word->join_batch(x->word->ctx, &x->row, b);
}

/* What the run is resumed with: it is decided already, but who reads the run sees by what. */
static str resume_of(struct arena *a, const struct gate_row *row) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key_str(&w, id_hex(a, row->id));
    jw_object(&w);
    jw_key(&w, "decision");
    jw_str(&w, word_text(&GATE_DECISION_WORDS, row->status == GATE_PASSED   ? GATE_APPROVE
                                               : row->status == GATE_FAILED ? GATE_REJECT
                                                                            : GATE_WAIVE));
    jw_key(&w, "actor");
    jw_str(&w, row->actor);
    jw_key(&w, "reason");
    jw_str(&w, row->reason);
    jw_object_end(&w);
    jw_object_end(&w);
    return arena_take(a, &b);
}

/* A run has the plan, or nothing is decided yet. */
static int say_beside(struct saying *x, const struct plan_row *plan, str entry, struct arena *a,
                      struct err *err) {
    struct plans *p = x->plans;
    struct db_batch b;
    int64_t now = rt_now_us(p->rt);
    db_batch_init(&b, a);
    if (x->row.status != GATE_PENDING)
        plan_touch_live_add(&b, plan->id, ERR_FENCED, now);
    join_said(x, &b);
    struct hub_entry shown = {
        .entry = {.run_id = plan->run_id, .kind = LOG_STEPS, .at = now, .data = entry}};
    struct hub_append append = {
        .thread_id = plan->thread_id, .batch = &b, .entries = &shown, .count = 1};
    int rc = hub_commit(engine_hub(p->engine), &append, err);
    if (rc == 0)
        coordinator_poke(p, plan->id);
    return rc;
}

static int say(struct saying *x, const struct gate *g, const struct plan_row *plan, struct arena *a,
               struct err *err) {
    struct gate_event e = gate_event_of(g, &x->row, rt_now_us(x->plans->rt));
    if (x->row.status == GATE_PENDING) {
        e.status = STR("evidence");
        e.actor = x->word->actor;
    }
    str entry = plan_gate_entry(a, &e);
    int rc = FAILPOINT("plans.decide.before_commit");
    if (rc < 0)
        return err_set(err, rc, "failpoint plans.decide.before_commit");
    if (x->row.status == GATE_PENDING || plan->status != RUN_STATE_BLOCKED)
        rc = say_beside(x, plan, entry, a, err);
    else
        rc = plan_go_on(x->plans,
                        &(struct plan_go_on){.row = plan,
                                             .resume = resume_of(a, &x->row),
                                             .entry = entry,
                                             .join = join_said,
                                             .ctx = x},
                        a, err);
    if (rc == 0)
        (void)FAILPOINT("plans.decide.after_commit"); /* for crashes: it is durable */
    return rc;
}

static int say_once(struct saying *x, const struct principal *who, struct id gate_id, bool expire,
                    struct arena *a, struct err *err) {
    struct plan_row plan;
    struct plan_step_row *steps;
    struct gate g;
    size_t count;
    int64_t now = rt_now_us(x->plans->rt);
    int rc = gate_get(x->plans->store, who, gate_id, a, &x->row, err);
    if (rc == 0 && x->row.status != GATE_PENDING)
        rc = err_set(err, ERR_CONFLICT, "The gate is decided: it is " STR_FMT,
                     STR_ARG(gate_status_name(x->row.status)));
    if (rc == 0)
        rc = plan_get(x->plans->store, who, x->row.plan_id, 0, a, &plan, &steps, &count, err);
    if (rc == 0 && run_state_final(plan.status))
        rc = err_set(err, ERR_CONFLICT, "The plan run is over");
    if (rc == 0)
        rc = gate_read_text(a, x->row.spec, &g, err);
    if (rc < 0)
        return rc;
    if (expire)
        gate_row_expire(&g, &x->row, now);
    else
        rc = gate_row_answer(a, &g, &x->row, &x->word->answer, x->word->actor, now, err);
    return rc < 0 ? rc : say(x, &g, &plan, a, err);
}

static int say_until_seen(struct saying *x, const struct principal *who, struct id gate_id,
                          bool expire, struct arena *a, struct err *err) {
    int rc = ERR_FENCED;
    for (int i = 0; i < TRIES_MAX && rc == ERR_FENCED; i++) {
        err_reset(err);
        rc = say_once(x, who, gate_id, expire, a, err);
    }
    if (rc == ERR_FENCED)
        return err_set(err, ERR_LIMIT, "Others write the plan at the same time; ask again");
    if (rc == 0)
        gate_count(x->plans, x->row.status);
    return rc;
}

int plans_gate_say(struct plans *p, const struct principal *who, struct id gate_id,
                   const struct plans_gate_word *word, struct arena *a, struct gate_row *out,
                   struct err *err) {
    struct saying x = {.plans = p, .word = word};
    int rc = say_until_seen(&x, who, gate_id, false, a, err);
    if (rc == 0)
        *out = x.row;
    return rc;
}

int gate_expire(struct plans *p, const struct gate_row *row, struct arena *a, struct err *err) {
    static const struct plans_gate_word nobody = {0};
    struct principal who = {.owner = row->owner, .all = true};
    struct saying x = {.plans = p, .word = &nobody};
    return say_until_seen(&x, &who, row->id, true, a, err);
}

/* --- gates by their place --- */

/* -1: the step has none of this name, or more than one and none is named. */
static int number_of(const struct plan_step *step, const struct plans_gate_name *name) {
    if (name->number >= 0)
        return name->number < (int64_t)step->gate_count ? (int)name->number : -1;
    if (!name->name.p)
        return step->gate_count == 1 ? 0 : -1;
    for (size_t i = 0; i < step->gate_count; i++)
        if (str_eq(step->gates[i].name, name->name))
            return (int)i;
    return -1;
}

int plans_gate_find(struct plans *p, const struct principal *who,
                    const struct plans_gate_name *name, struct arena *a, struct id *out,
                    struct id *out_thread, struct err *err) {
    struct gate_place place;
    struct plan_step step = {0};
    int rc = gate_find(p->store, who, name->run_id, &name->step, a, &place, err);
    if (rc == 0)
        rc = plan_step_spec_read(a, place.spec, (size_t)place.step_count, &step, err);
    if (rc < 0)
        return rc;
    int number = number_of(&step, name);
    if (number < 0)
        return err_set(err, ERR_NOT_FOUND, "Gate not found");
    *out = place.ids[number];
    *out_thread = place.thread_id;
    if (!id_is_nil(*out))
        return 0;
    return run_state_final(place.plan_status)
               ? err_set(err, ERR_CONFLICT, "The plan run is over")
               : err_set(err, ERR_LIMIT, "The gate is not open yet: its step waits for others");
}
