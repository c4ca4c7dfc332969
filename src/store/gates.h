/* SPDX-License-Identifier: Apache-2.0 */
/* gates.h - rows of gates: opened many at a time, written one by one under their version.
 *
 * A gate's row begins when its step has nothing else to wait for. Who writes it names the version
 * that it has seen, and the gate must be pending: of two who decide, one does.
 * Memory: results in the arena given. Suspends: every function with an err, except *_add.
 * Tests: tests/conformance/test_plans.c */
#ifndef HF_STORE_GATES_H
#define HF_STORE_GATES_H

#include "model/gate.h"
#include "model/state.h"
#include "store/store.h"

struct gate_row {
    struct id id, plan_id;
    int64_t position, number; /* of the step; among the step's gates */
    str owner, spec;
    enum gate_status status;
    int64_t version;
    str evidence, actor, reason;                /* absent: none */
    int64_t created_at, expires_at, decided_at; /* 0: none */
};
struct gate_open {
    struct id id;
    uint32_t position;
    int number;
    str spec;
    int64_t expires_us; /* from now; 0: never */
};
/* One statement for however many. */
void gates_open_add(struct db_batch *b, struct id plan_id, str owner, const struct gate_open *gates,
                    size_t count, int64_t now_us);
/* The row as it is to be, with the version that was seen; code: it is another one, or not open. */
void gate_write_add(struct db_batch *b, const struct gate_row *row, int code);
/* Of steps that are over: failed. In a batch behind the steps' own change. */
void gates_close_add(struct db_batch *b, struct id plan_id, int64_t now_us);
/* Of a thread's plan that is over: failed. */
void gates_end_add(struct db_batch *b, struct id thread_id, int64_t now_us);
/* positions: JSON list of steps that are done again; their gates that failed will open anew. */
void gates_forget_add(struct db_batch *b, struct id plan_id, str positions);
/* Asks whoever has the plan to look at it; code: no run has it. */
void plan_touch_live_add(struct db_batch *b, struct id plan_id, int code, int64_t now_us);

/* "Gate not found" */
MUST_CHECK int gate_get(struct store *s, const struct principal *who, struct id id, struct arena *a,
                        struct gate_row *out, struct err *err);
/* Gates by their place in a plan: those of one step. */
struct gate_step {
    int64_t position;
    str name; /* when position is -1: of the first step that has it */
};
struct gate_place {
    enum run_state plan_status;
    struct id thread_id;
    int64_t step_count;                /* of the plan */
    str spec;                          /* of the step */
    struct id ids[GATES_PER_STEP_MAX]; /* by number; nil: it did not open yet */
};
/* "Gate not found" when there is no such step. */
MUST_CHECK int gate_find(struct store *s, const struct principal *who, struct id plan_id,
                         const struct gate_step *step, struct arena *a, struct gate_place *out,
                         struct err *err);
struct gate_filter {
    struct id plan_id;              /* nil: of any plan of the owner; then status is needed */
    const enum gate_status *status; /* NULL: any */
    struct id after;                /* nil: from the oldest on */
    int64_t limit;
};
/* Oldest first. */
MUST_CHECK int gate_list(struct store *s, const struct principal *who, const struct gate_filter *f,
                         struct arena *a, struct gate_row **out, size_t *out_count,
                         struct err *err);
/* Pending ones of plans that no run has, by when they expire. */
MUST_CHECK int gates_expiring(struct store *s, int64_t limit, struct arena *a,
                              struct gate_row **out, size_t *out_count, struct err *err);

#endif
