/* SPDX-License-Identifier: Apache-2.0 */
/* plan_work.h - rows of steps that somebody outside does.
 *
 *   offered: ready ─▶ leased (token + 1) ─▶ done ─▶ over, when the plan has taken what came of it
 *              ▲         │ failed, lost
 *              └─────────┘
 *
 * Who writes a lease names its token; a row that is not leased under it is left alone, and the
 * batch fails with the code given. A step's row stays while its plan does, so that a result that is
 * told twice is known.
 * Memory: results in the arena given. Suspends: every function with an err, except *_add.
 * Tests: tests/conformance/test_plans.c, tests/integration/run-plan-workers */
#ifndef HF_STORE_PLAN_WORK_H
#define HF_STORE_PLAN_WORK_H

#include "model/state.h"
#include "store/store.h"

enum work_status { WORK_READY, WORK_LEASED, WORK_DONE, WORK_OVER };

struct work_row {
    struct id plan_id;
    int64_t position;
    str owner, queue;
    enum work_status status;
    int64_t token, attempt, lost; /* leases so far; attempts; leases that ended by themselves */
    str worker;                   /* absent: none */
    int64_t claimed_at, lease_until, deadline_at; /* 0: none */
    int64_t done_token;
    str done_as; /* what the lease done_token was answered, and a digest of what it told */
};
/* With what is needed to do it, or to decide about it. */
struct work_item {
    struct work_row row;
    struct id thread_id, run_id; /* of the plan */
    enum run_state plan_status;
    str project, name, tool, inputs, spec, key;
    int64_t spent; /* attempts of budgets before the present one */
};
struct work_ref {
    struct id plan_id;
    int64_t position, token;
};

struct work_offer {
    uint32_t position;
    str queue;
    int priority, attempt, losses;
    int64_t timeout_us;
};
/* One statement for however many. What is offered already stays as it is. */
void work_offer_add(struct db_batch *b, struct id plan_id, str owner,
                    const struct work_offer *offers, size_t count, int64_t now_us);
/* Behind the steps' own change. */
void work_close_add(struct db_batch *b, struct id plan_id, const uint32_t *positions, size_t count);
void work_end_add(struct db_batch *b, struct id thread_id);

/* Leases up to limit, by priority and age; refs only. lease_us: from now. */
struct work_lease {
    str queue, worker;
    int64_t lease_us, limit;
};
MUST_CHECK int work_claim(struct store *s, const struct principal *who,
                          const struct work_lease *lease, int64_t now_us, struct arena *a,
                          struct work_ref **out, size_t *out_count, struct err *err);
/* Is there anything to claim? Reads only. */
MUST_CHECK int work_any(struct store *s, const struct principal *who, str queue, int64_t now_us,
                        struct arena *a, bool *out, struct err *err);

/* The step as its lease has it; code: it is over, or the lease is another one's. */
struct work_mark {
    enum run_state status;
    int64_t attempt, started_at; /* started_at 0: not (yet) */
    str error;
};
void work_step_add(struct db_batch *b, const struct work_ref *ref, const struct work_mark *m,
                   int code);
struct work_result {
    str done_as; /* absent: nobody has told it */
    enum run_state outcome;
    str output, error; /* absent: none */
    bool lost;         /* the lease has ended by itself */
};
void work_done_add(struct db_batch *b, const struct work_ref *ref, const struct work_result *r,
                   int code);
/* ready_at: by the wall clock. */
void work_again_add(struct db_batch *b, const struct work_ref *ref, const struct work_result *r,
                    int64_t ready_at, int code);
void work_progress_add(struct db_batch *b, const struct work_ref *ref, size_t count, size_t max,
                       int code);
/* Extends each lease, if it is one; out_until[i]: when it is over, 0: it is none. */
MUST_CHECK int work_extend(struct store *s, const struct work_ref *refs, size_t count,
                           int64_t until, struct arena *a, int64_t *out_until, struct err *err);

/* In any order; those that are not the principal's are missing. */
MUST_CHECK int work_get(struct store *s, const struct principal *who, const struct work_ref *refs,
                        size_t count, struct arena *a, struct work_item **out, size_t *out_count,
                        struct err *err);
/* All that is not over, by position. */
MUST_CHECK int work_of_plan(struct store *s, struct id plan_id, struct arena *a,
                            struct work_row **out, size_t *out_count, struct err *err);
struct work_taken {
    struct work_row row;
    struct work_result result;
};
MUST_CHECK int work_results(struct store *s, struct id plan_id, int64_t limit, struct arena *a,
                            struct work_taken **out, size_t *out_count, struct err *err);
/* Leases by when they end. */
MUST_CHECK int work_expiring(struct store *s, int64_t limit, struct arena *a, struct work_row **out,
                             size_t *out_count, struct err *err);
/* Since when the oldest one is ready, by the wall clock; 0: none is. */
MUST_CHECK int work_oldest(struct store *s, struct arena *a, int64_t *out, struct err *err);

/* Of each owner and queue the step that is ready for longest, if since before `before`; among the
 * `limit` oldest. */
struct work_late {
    struct id plan_id;
    int64_t position, ready_at;
    str owner, queue;
};
MUST_CHECK int work_late(struct store *s, int64_t before, int64_t limit, struct arena *a,
                         struct work_late **out, size_t *out_count, struct err *err);
/* Marks it, so that one of all processes tells of it; code: it is marked, or not ready any more. */
void work_late_tell_add(struct db_batch *b, struct id plan_id, int64_t position, int code);
/* Leases that there are, each counted up to `limit`. */
struct work_leased {
    int64_t of_owner, of_queue;
};
MUST_CHECK int work_leased(struct store *s, const struct principal *who, str queue, int64_t limit,
                           struct arena *a, struct work_leased *out, struct err *err);

#endif
