/* SPDX-License-Identifier: Apache-2.0 */
/* plans.h - rows of plans and their steps: one statement for however many steps.
 *
 * A plan's version counts its writes. Who has the plan's run names the version that it has seen
 * (ERR_CONFLICT: somebody has asked for something since); who asks for something moves it on.
 * Memory: results in the arena given. Suspends: every function with an err, except *_add.
 * Tests: tests/conformance/test_plans.c */
#ifndef HF_STORE_PLANS_H
#define HF_STORE_PLANS_H

#include "model/plan.h"
#include "store/store.h"

struct plan_row {
    struct id id, thread_id, run_id;
    str owner, project, goal, hash, metadata;
    int64_t concurrency;
    enum run_state status;
    int64_t version, step_count, fault_count;
    int64_t succeeded, failed, cancelled, timed_out; /* steps */
    str error;                                       /* absent: none */
    int64_t created_at, started_at, ended_at, updated_at; /* 0: not yet */
    int64_t attempt;    /* of its run, when the plan last came further */
    struct id rerun_of; /* nil: it was made from no other */
};
struct plan_step_row {
    int64_t position;
    str name, tool, inputs, spec, key;
    enum run_state status;
    int64_t attempt;
    str wish, output, error; /* absent: none */
    int64_t started_at, ended_at;
    int64_t losses; /* how often it was cut off while it was executed */
    int64_t spent;  /* attempts of budgets before the present one */
};
static inline int64_t plan_row_incomplete(const struct plan_row *p) {
    return p->step_count - p->succeeded - p->failed - p->cancelled - p->timed_out;
}

struct plan_place {
    struct id id, thread_id, run_id;
    str owner;
    struct id rerun_of; /* nil: none */
};
/* A new plan as its rows say it: all of its steps queued; those with a fault failed, those with an
 * output succeeded. */
struct plan_rows {
    struct plan_row row;
    struct plan_step_row *steps; /* row.step_count */
};
/* Texts are those of the plan and the place, but for keys and specs, which the arena has. */
void plan_rows_make(struct arena *a, const struct plan_place *place, const struct plan_spec *plan,
                    int64_t now_us, struct plan_rows *out);
/* With all that it names in the arena; NULL: that would be more than bytes_max. */
struct plan_rows *plan_rows_copy(struct arena *a, const struct plan_rows *rows, size_t bytes_max);
/* After what appends to the thread's log, whose last `log_count` entries are told of, if they are
 * of the kind: as webhook_outbox_add, whose operation it returns. */
size_t plan_rows_add(struct store *s, struct db_batch *b, const struct plan_rows *rows,
                     int64_t log_count, int64_t kind);

/* What a step has come to. */
struct plan_step_change {
    size_t position;
    enum run_state status;
    int attempt, losses, spent;
    int64_t started_at, ended_at; /* 0: not (yet) */
    str output, error;            /* output: JSON; absent: none */
};
struct plan_change {
    struct id plan_id, run_id;
    int64_t version;     /* as it was seen */
    int code;            /* when it is another one; 0: ERR_CONFLICT */
    int64_t run_attempt; /* of the run, when the plan has come further; else 0 */
    enum run_state status;
    int64_t succeeded, failed, cancelled, timed_out;
    str error;
    const struct plan_step_change *steps; /* each once; their wishes are done with */
    size_t step_count;
};
void plan_change_add(struct db_batch *b, const struct plan_change *c, int64_t now_us);

/* Asks whoever has the plan for something about a step, in a batch that moves the plan's version on
 * (plan_touch_live_add). ERR_CONFLICT: the step is over. */
void plan_step_wish_add(struct db_batch *b, struct id plan_id, int64_t position, str wish);
/* The thread's plan ends, with what is left of its steps, because its run has, or never will.
 * blocked: also when it waits for decisions. Does nothing when it is over, or when it is another
 * run's: steps were put back while this one was just ending. */
void plan_end_add(struct db_batch *b, struct id thread_id, struct id run_id, bool blocked,
                  enum run_state status, str error, int64_t now_us);

/* With the first `step_limit` steps. "Plan run not found" */
MUST_CHECK int plan_get(struct store *s, const struct principal *who, struct id id,
                        int64_t step_limit, struct arena *a, struct plan_row *out,
                        struct plan_step_row **out_steps, size_t *out_count, struct err *err);
/* found false: the thread has none. */
MUST_CHECK int plan_of_thread(struct store *s, struct id thread_id, struct arena *a,
                              struct plan_row *out, bool *out_found, struct err *err);
/* In order, after a position (-1: from the first on). status NULL: any. */
MUST_CHECK int plan_steps(struct store *s, struct id plan_id, int64_t after,
                          const enum run_state *status, int64_t limit, struct arena *a,
                          struct plan_step_row **out, size_t *out_count, struct err *err);
struct plan_wish {
    int64_t position;
    str wish;
};
struct plan_wishes {
    int64_t version; /* of the plan */
    struct id run_id;
    enum run_state status;
    struct plan_wish *list;
    size_t count;
};
/* ERR_NOT_FOUND: the plan is gone. */
MUST_CHECK int plan_wishes(struct store *s, struct id plan_id, struct arena *a,
                           struct plan_wishes *out, struct err *err);

struct plan_filter {
    str project;                  /* absent: any */
    const enum run_state *status; /* NULL: any */
    struct id before;             /* nil: from the newest on */
    int64_t limit;
};
/* Of one owner, newest first. */
MUST_CHECK int plan_list(struct store *s, const struct principal *who,
                         const struct plan_filter *f, struct arena *a, struct plan_row **out,
                         size_t *out_count, struct err *err);

struct plan_event_row {
    int64_t seq, at;
    struct id run_id;
    str data;
};
/* Entries of one kind of the thread's log. */
MUST_CHECK int plan_events(struct store *s, struct id thread_id, int64_t after, int kind,
                           int64_t limit, struct arena *a, struct plan_event_row **out,
                           size_t *out_count, struct err *err);

/* Steps that are not over, of all plans of all owners that are not. */
MUST_CHECK int plan_backlog(struct store *s, struct arena *a, int64_t *out, struct err *err);

#endif
