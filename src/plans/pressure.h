/* SPDX-License-Identifier: Apache-2.0 */
/* pressure.h - how much waits and since when; what is asked for while it is too much is refused.
 * Owner: struct plans. Memory: heap, by the holder. Errors: ERR_LIMIT, with the time after which to
 * come again. Suspends: as marked. Tests: tests/integration/run-plan-limits */
#ifndef HF_PLANS_PRESSURE_H
#define HF_PLANS_PRESSURE_H

#include "base/map.h"
#include "base/metrics.h"
#include "model/plan.h"
#include "rt/fiber.h"

struct plans;
struct pressure {
    struct map late; /* owner, line break, tool or queue → struct late_queue (pressure.c) */
    size_t late_count; /* those that are beyond the limit, not only beyond its half */
    int64_t round;
    /* Steps that are not over: as the database said, what was stored here since it was asked, what
     * is being stored. */
    int64_t backlog, stored, storing;
    int64_t twice; /* at most so many of them are in backlog and in the others, too */
    bool full, runs, wanted;
    int64_t asked_us; /* mono: when somebody last wanted to make steps */
    struct fiber_event wake, looked;
    struct metric *edges, *late_now, *refused_age, *refused_depth;
    struct metric *age_steps, *age_work, *depth;
};
void pressure_init(struct plans *p);
void pressure_deinit(struct plans *p);
MUST_CHECK int pressure_start(struct plans *p, struct err *err);
MAY_SUSPEND void pressure_stop(struct plans *p);

/* May the owner add steps for this tool? */
MUST_CHECK int pressure_tool(struct plans *p, str owner, str tool, struct err *err);
/* May `count` steps more be stored? If so they count from now on, until it is known whether they
 * are. Suspends if that is not known before the database is asked again. */
MUST_CHECK MAY_SUSPEND int pressure_begin(struct plans *p, size_t count, struct err *err);
void pressure_end(struct plans *p, size_t count, bool stored);
/* Both, of a plan that is to be made. out_count: for pressure_end. */
MUST_CHECK MAY_SUSPEND int pressure_plan(struct plans *p, str owner, const struct plan_spec *plan,
                             size_t *out_count, struct err *err);

#endif
