/* SPDX-License-Identifier: Apache-2.0 */
/* workers.h - what workers outside ask for: steps to do, and what came of them.
 *
 * A lease is named by plan, position and token. Of the batches below each lease is judged for
 * itself: one that is not the worker's any more does not stop the others. Any process answers,
 * whoever runs the plan; a plan that nobody runs goes on in another run of its thread.
 * Memory: the arena given. Suspends: every function with an err.
 * Tests: tests/integration/run-plan-workers */
#ifndef HF_PLANS_WORKERS_H
#define HF_PLANS_WORKERS_H

#include "store/plan_work.h"

#define PLANS_WORK_MAX          100  /* leases in one request */
#define PLANS_WORK_PROGRESS_MAX 1000 /* entries of one lease */

struct plans;
/* May a queue have this name? */
bool plans_queue_is_fine(str queue);
struct plans_claim {
    struct work_lease lease;
    int64_t wait_us; /* for something to do */
};
/* As many as there are, up to the limit; waits when there are none. */
MUST_CHECK MAY_SUSPEND int plans_work_claim(struct plans *p, const struct principal *who,
                                            const struct plans_claim *c, struct arena *a,
                                            struct work_item **out, size_t *out_count,
                                            struct err *err);

/* What is said to one lease. */
struct plans_work_answer {
    int code;           /* 0, or why it was refused: ERR_NOT_FOUND, ERR_CONFLICT, … */
    const char *status; /* a literal */
    str error;          /* absent: none */
    int64_t lease_until;
};
/* lease_us: from now. A lease that is over is no error here: its status says so. */
MUST_CHECK MAY_SUSPEND int plans_work_extend(struct plans *p, const struct principal *who,
                                             const struct work_ref *refs, size_t count,
                                             int64_t lease_us, struct arena *a,
                                             struct plans_work_answer *out, struct err *err);

struct plans_work_result {
    struct work_ref ref;
    bool succeeded, retryable;
    str output; /* JSON; absent: none */
    str error;
};
/* The same result twice has the same answer; another one, or one of an older lease:
 * ERR_CONFLICT. */
MUST_CHECK MAY_SUSPEND int plans_work_finish(struct plans *p, const struct principal *who,
                                             const struct plans_work_result *results, size_t count,
                                             struct arena *a, struct plans_work_answer *out,
                                             struct err *err);

struct plans_work_note {
    str message, data; /* data: JSON; absent: none */
};
struct plans_work_progress {
    struct work_ref ref;
    const struct plans_work_note *notes;
    size_t count;
};
MUST_CHECK MAY_SUSPEND int plans_work_tell(struct plans *p, const struct principal *who,
                                           const struct plans_work_progress *list, size_t count,
                                           struct arena *a, struct plans_work_answer *out,
                                           struct err *err);

#endif
