/* SPDX-License-Identifier: Apache-2.0 */
/* workers.c - those who do steps of plans outside, in worlds with workers, and what must be true.
 *
 *  - while a lease is under way nobody gets another one on its step; tokens go up
 *  - a result that was acknowledged is the step's; what a step has for a result somebody told
 *  - the same result told again, when its answer was lost, has the same answer
 *  - a plan whose workers have all answered, or vanished, comes to its end
 *
 * Workers vanish, are late, tell their results twice and to other servers than they asked. When
 * calm has come what there is to do is done. */
#include "sim.h"

#include <stdio.h>

#include "plans/workers.h"

#define CALLS_MAX  10
#define TELLS_MAX  4
#define CLAIM_MAX  3

static str queue_of(struct sim_world *w, uint64_t number) {
    return arena_printf(&w->arena, "q%llu", (unsigned long long)(number % 2));
}

str sim_worker_tool(struct sim_world *w) {
    return arena_printf(&w->arena, "worker:" STR_FMT, STR_ARG(queue_of(w, sim_below(w, 2))));
}

/* --- leases --- */

static void wrong(struct sim_world *w, const struct sim_work *x, const char *what) {
    sim_wrong(w, "step %lld of plan %02x%02x, lease %lld, %s", (long long)x->ref.position,
              x->ref.plan_id.b[14], x->ref.plan_id.b[15], (long long)x->ref.token, what);
}

static bool same_step(const struct work_ref *a, const struct work_ref *b) {
    return id_eq(a->plan_id, b->plan_id) && a->position == b->position;
}

/* A plan that somebody touched, or nobody was told of, may have been put back meanwhile. */
static bool untouched(struct sim_world *w, struct id plan) {
    for (size_t i = 0; i < w->plans.count; i++)
        if (id_eq(w->plans.p[i].id, plan))
            return !w->plans.p[i].touched;
    return false;
}

/* later was leased when the one before it was over: its time, or its work. */
static void check_order(struct sim_world *w, const struct sim_work *before,
                        const struct sim_work *later) {
    if (before->ref.token == later->ref.token)
        wrong(w, later, "was given twice");
    else if (!before->told && before->until_us > later->claimed_us &&
             untouched(w, later->ref.plan_id))
        wrong(w, later, "begins while another one is under way");
}

/* Returns its place among the leases. An answer may be so late that it tells of an old one. */
static size_t leased(struct sim_world *w, const struct work_item *item) {
    struct sim_work mine = {.ref = {item->row.plan_id, item->row.position, item->row.token},
                            .claimed_us = item->row.claimed_at,
                            .until_us = item->row.lease_until,
                            .number = (int64_t)w->works.count + 1};
    for (size_t i = 0; i < w->works.count; i++) {
        const struct sim_work *other = &w->works.p[i];
        if (same_step(&other->ref, &mine.ref) && other->ref.token <= mine.ref.token)
            check_order(w, other, &mine);
        else if (same_step(&other->ref, &mine.ref))
            check_order(w, &mine, other);
    }
    vec_push(&w->works, mine);
    return w->works.count - 1;
}

static size_t claim(struct sim_world *w, struct sim_server *s, uint64_t queue, int64_t wait_us,
                    size_t out[CLAIM_MAX], bool *out_failed) {
    struct plans_claim c = {.lease = {.queue = queue_of(w, queue),
                                      .worker = STR("w"),
                                      .lease_us = 2000000 + (int64_t)sim_below(w, 10000000),
                                      .limit = 1 + (int64_t)sim_below(w, CLAIM_MAX)},
                            .wait_us = wait_us};
    struct work_item *items;
    struct err err = {0};
    struct arena a;
    size_t count = 0;
    arena_init(&a, SIZE_MAX / 2);
    int rc = plans_work_claim(s->plans, &w->who, &c, &a, &items, &count, &err);
    if (!sim_passing(rc))
        sim_wrong(w, "nothing was leased, with %s: %s", err_name(rc), err.message);
    *out_failed = rc < 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        out[i] = leased(w, &items[i]);
        sim_note(w, "server %d.%d leases step %lld of plan %02x%02x, %lld", s->number, s->life,
                 (long long)items[i].row.position, items[i].row.plan_id.b[14],
                 items[i].row.plan_id.b[15], (long long)items[i].row.token);
    }
    arena_deinit(&a);
    return rc == 0 ? count : 0;
}

/* What was told, and whether it was taken. 0, or why it was not. */
static int tell(struct sim_world *w, struct sim_server *s, size_t at, bool succeeded) {
    struct arena a;
    struct err err = {0};
    struct plans_work_answer answer = {0};
    arena_init(&a, SIZE_MAX / 2);
    struct plans_work_result r = {.ref = w->works.p[at].ref,
                                  .succeeded = succeeded,
                                  .retryable = true,
                                  .error = STR("it did not work")};
    if (succeeded)
        r.output = arena_printf(&a, "{\"n\":%lld}", (long long)w->works.p[at].number);
    w->works.p[at].told = true; /* whatever is answered */
    w->works.p[at].succeeded = succeeded;
    int rc = plans_work_finish(s->plans, &w->who, &r, 1, &a, &answer, &err);
    if (!sim_passing(rc))
        sim_wrong(w, "a result was not taken, with %s: %s", err_name(rc), err.message);
    sim_note(w, "server %d.%d takes the result of step %lld of plan %02x%02x, %lld: %d, %s",
             s->number, s->life, (long long)r.ref.position, r.ref.plan_id.b[14],
             r.ref.plan_id.b[15], (long long)r.ref.token, rc, rc == 0 ? answer.status : "");
    struct sim_work *x = &w->works.p[at];
    if (rc == 0 && x->taken && answer.code < 0)
        wrong(w, x, "was taken, and when it is told again it is not");
    x->taken = x->taken || (rc == 0 && answer.code == 0);
    arena_deinit(&a);
    return rc < 0 ? rc : answer.code;
}

static void extend(struct sim_world *w, struct sim_server *s, size_t at) {
    struct arena a;
    struct plans_work_answer answer = {0};
    arena_init(&a, SIZE_MAX / 2);
    struct work_ref ref = w->works.p[at].ref;
    int rc = plans_work_extend(s->plans, &w->who, &ref, 1, 5000000, &a, &answer, NULL);
    if (rc == 0 && answer.lease_until)
        w->works.p[at].until_us = answer.lease_until;
    arena_deinit(&a);
}

/* --- a worker --- */

static void do_one(struct sim_world *w, size_t at) {
    bool succeeded = sim_chance(w, 70), again = sim_chance(w, 20);
    if (sim_chance(w, 15))
        return; /* it has died */
    fiber_sleep_shielded_us((int64_t)sim_below(w, 4000000));
    struct sim_server *s = sim_chance(w, 30) ? sim_enter(w) : NULL;
    if (s) {
        extend(w, s, at);
        sim_leave(s);
        fiber_sleep_shielded_us((int64_t)sim_below(w, 4000000));
    }
    for (int i = 0; i < TELLS_MAX; i++) {
        s = sim_enter(w);
        int rc = s ? tell(w, s, at, succeeded) : ERR_UNAVAILABLE;
        if (s)
            sim_leave(s);
        if (rc != ERR_UNAVAILABLE && rc != ERR_TIMEOUT && !again)
            return;
        again = false;
        fiber_sleep_shielded_us((int64_t)sim_below(w, 1000000));
    }
}

void sim_worker(void *arg) {
    struct sim_world *w = arg;
    for (int i = 0; i < CALLS_MAX; i++) {
        size_t list[CLAIM_MAX], count;
        bool failed;
        fiber_sleep_shielded_us((int64_t)sim_below(w, 3000000));
        struct sim_server *s = sim_enter(w);
        if (!s)
            continue;
        count = claim(w, s, sim_below(w, 2), (int64_t)sim_below(w, 3000000), list, &failed);
        sim_leave(s);
        for (size_t k = 0; k < count; k++)
            do_one(w, list[k]);
    }
    w->clients--;
}

bool sim_work_all(struct sim_world *w) {
    bool any = false;
    for (uint64_t queue = 0; queue < 2; queue++)
        for (size_t i = 0; i < SIM_SERVERS; i++) {
            size_t list[CLAIM_MAX];
            bool failed;
            size_t count = claim(w, w->current[i], queue, 0, list, &failed);
            for (size_t k = 0; k < count; k++)
                (void)tell(w, w->current[i], list[k], true);
            any = any || failed || count;
        }
    return any;
}

/* --- the checks --- */

/* Of a step that somebody outside did. */
void sim_check_work(struct sim_world *w, const struct sim_plan *p,
                    const struct plan_step_row *step) {
    bool told = false;
    for (size_t i = 0; i < w->works.count; i++) {
        const struct sim_work *x = &w->works.p[i];
        if (!id_eq(x->ref.plan_id, p->id) || x->ref.position != step->position || !x->told ||
            !x->succeeded)
            continue;
        bool its = str_eq(step->output, arena_printf(&w->arena, "{\"n\":%lld}",
                                                     (long long)x->number));
        told = told || its;
        if (x->taken && !p->touched && (step->status != RUN_STATE_SUCCEEDED || !its))
            wrong(w, x, "was taken, and is not the step's result");
    }
    if (step->status == RUN_STATE_SUCCEEDED && !told)
        sim_wrong(w, "step %lld of plan %02x%02x has a result that nobody told",
                  (long long)step->position, p->id.b[14], p->id.b[15]);
}
