/* SPDX-License-Identifier: Apache-2.0 */
/* plans.h - runs of plans: made in one batch, executed by whoever has their LangGraph run.
 *
 * A plan run is a run of the graph "plan" on a thread of its own. Its one node coordinates: it
 * holds the states of all steps in memory, lets those that are ready execute, and writes what they
 * come to, many at a time. docs/internals/plans.md draws it.
 * Owner: src/app. Memory: from plans_open to plans_free. Suspends: as marked.
 * Tests: tests/integration/run-plan-runs */
#ifndef HF_PLANS_PLANS_H
#define HF_PLANS_PLANS_H

#include "engine/engine.h"
#include "engine/graph.h"
#include "store/dead.h"
#include "store/gates.h"
#include "store/plans.h"

#define PLAN_GRAPH "plan"

#define PLANS_TOOL_LIMITS 16 /* places for kinds of tools */
#define PLANS_LIMIT_MAX   1000000

struct plans;
struct plans_queue_limit {
    str queue;
    size_t max; /* leases, in the database */
};
struct plans_options {
    size_t concurrency_default, concurrency_max; /* steps of a plan at once */
    int64_t losses_max; /* how often a step may be cut off; 0: any number of times */
    int64_t look_us; /* how often a coordinator looks whether another process asked for something;
                        0: there is none */
    /* Steps at the same time; 0: any number. Of this process, but for leases of workers, which are
     * counted in the database. */
    size_t process_max, owner_max, tool_max[PLANS_TOOL_LIMITS];
    const struct plans_queue_limit *queue_limits;
    size_t queue_limit_count;
    int64_t waiting_max; /* steps that are not over, of all plans in the database */
    int64_t age_max_us;  /* of what waits longest, before more is refused; 0: any */
    int notes;       /* of what happens to batches and steps: a log_level; below 0: none */
};
/* Fills in what an option says of single tools and queues. The text must outlive the plans.
 * ERR_INVALID: names what there is not. */
MUST_CHECK int plans_limits_read(struct arena *a, str text, struct plans_options *o,
                                 struct err *err);
/* Adds the graph to the registry. engine: set before anything runs. */
struct plans *plans_open(struct rt *rt, struct store *store, struct registry *registry,
                         const struct plans_options *o);
/* What tools may; texts must outlive it. ERR_INVALID: the secrets cannot be read. */
struct plan_tools_options;
MUST_CHECK int plans_set_tools(struct plans *p, const struct plan_tools_options *o,
                               struct err *err);
struct artifacts;
void plans_set_artifacts(struct plans *p, struct artifacts *a);
void plans_set_engine(struct plans *p, struct engine *e);
void plans_free(struct plans *p); /* after the engine */

/* Of the graph that executes plans. */
struct id plans_assistant(void);
/* Of plan_parse: may a step use this tool? */
const char *plans_tool_check(str tool);

/* Looks at what tools make of their inputs when a plan is made, and adds the gates that they need;
 * what is wrong with a step is noted in it. ERR_TOO_LARGE: there are too many gates. */
MUST_CHECK int plans_prepare(struct plans *p, const struct principal *who, struct plan_spec *plan,
                             struct arena *a, struct err *err);

struct plans_create {
    const struct principal *who;
    const struct plan_spec *plan;
    struct id rerun_of;      /* the plan that it is made from; nil: none */
    yyjson_val *webhook;     /* of the run; NULL: none */
    const struct run_context *context; /* of the run, read already; NULL: it is read */
    str header_configurable; /* as of run_submit */
    str bearer;
    const struct trace *trace; /* where the request belongs to; NULL: nowhere */
    int64_t received_us;       /* monotonic, when the request came */
    /* Adds to the batch that creates; may be NULL. */
    void (*join_batch)(void *ctx, struct id plan_id, struct id thread_id, struct db_batch *b);
    void *ctx;
};
struct plans_made {
    struct id id, thread_id; /* id: of its first run, too */
};
MUST_CHECK MAY_SUSPEND int plans_create(struct plans *p, const struct plans_create *c,
                                        struct arena *a, struct plans_made *out, struct err *err);
/* The request to make a plan came again: its steps are there. */
void plans_note_repeated(const struct plans *p, struct id thread_id);
/* --- rerun.c --- */
struct plans_inputs {
    int64_t position;
    yyjson_val *inputs; /* an object */
};
struct plans_rerun {
    bool from_failed;                  /* what succeeded with these inputs is kept */
    const struct plans_inputs *inputs; /* instead of those that the steps had */
    size_t input_count;
};
/* A new plan from the steps of another one. c: who, join_batch, ctx, header_configurable; the rest
 * is set here. spec: the new plan, filled before join_batch is called. ERR_CONFLICT: what succeeded
 * cannot be told yet. */
MUST_CHECK MAY_SUSPEND int plans_rerun(struct plans *p, struct id id, const struct plans_rerun *how,
                                       struct plans_create *c, struct arena *a,
                                       struct plan_spec *spec, struct plans_made *out,
                                       struct err *err);
/* --- cancel.c --- */
/* Ends the plan, whatever it does, and waits for that; ERR_CONFLICT when it is over. */
MUST_CHECK MAY_SUSPEND int plans_cancel(struct plans *p, const struct principal *who, struct id id,
                                        struct arena *a, struct err *err);
/* ERR_CONFLICT when the step is over. */
MUST_CHECK MAY_SUSPEND int plans_cancel_step(struct plans *p, const struct principal *who,
                                             struct id id, int64_t position, struct arena *a,
                                             struct err *err);
/* --- again.c --- */
/* A step that failed, and what was given up for its sake, is done again, in a new run of the
 * plan's thread. ERR_CONFLICT while the plan is under way, and when the step succeeded. */
MUST_CHECK MAY_SUSPEND int plans_retry_step(struct plans *p, const struct principal *who,
                                            struct id id, int64_t position, struct arena *a,
                                            struct id *out_run, struct err *err);

/* Steps of the list of the dead are done again, each with a fresh budget of attempts: those of one
 * plan in one new run. */
struct plans_rehydrated {
    struct id plan_id, run_id; /* run_id nil: nothing was done, see why */
    size_t dead, steps;        /* of the list; with what was given up for their sake */
    str why;
};
MUST_CHECK MAY_SUSPEND int plans_rehydrate(struct plans *p, const struct principal *who,
                                           struct id dead_id, struct arena *a,
                                           struct plans_rehydrated *out, struct err *err);
/* Those of many plans, one after the other; a plan that is under way is left out. */
MUST_CHECK MAY_SUSPEND int plans_rehydrate_many(struct plans *p, const struct principal *who,
                                                const struct dead_row *rows, size_t count,
                                                struct arena *a, struct plans_rehydrated **out,
                                                size_t *out_count, struct err *err);

/* --- decide.c, expiry.c: gates of steps --- */
struct plans_gate_word {
    struct gate_answer answer;
    str actor; /* who says it; absent: nobody in particular */
    /* Adds to the batch that writes; row: as it is to be. May be NULL. */
    void (*join_batch)(void *ctx, const struct gate_row *row, struct db_batch *b);
    void *ctx;
};
/* Decides a gate, or brings evidence. A plan that no run has goes on in another run of its thread.
 * ERR_CONFLICT: the gate is decided, the plan over, or it is no decision for this gate; ERR_LIMIT:
 * others write the plan, again and again. */
MUST_CHECK MAY_SUSPEND int plans_gate_say(struct plans *p, const struct principal *who,
                                          struct id gate_id, const struct plans_gate_word *word,
                                          struct arena *a, struct gate_row *out, struct err *err);
/* A gate by its place in a plan run. */
struct plans_gate_name {
    struct id run_id;
    struct gate_step step;
    int64_t number; /* among the step's gates; -1: by its name */
    str name;       /* absent, and no number: the only one that the step has */
};
/* ERR_NOT_FOUND; ERR_LIMIT: it is not open yet; ERR_CONFLICT: it will never be. */
MUST_CHECK MAY_SUSPEND int plans_gate_find(struct plans *p, const struct principal *who,
                                           const struct plans_gate_name *name, struct arena *a,
                                           struct id *out, struct id *out_thread, struct err *err);
/* Looks after gates that expire while no run has their plan. After the engine has started; before
 * it is drained. */
MUST_CHECK int plans_start(struct plans *p, struct err *err);
MAY_SUSPEND void plans_stop(struct plans *p);

/* --- events.c: the log of a plan --- */
struct plan_event {
    int64_t seq, index; /* of the entry, and in it */
    int64_t at;
    str status;       /* of the plan, or of the step */
    int64_t position; /* of the step; -1: it is about the plan */
    int64_t attempt;
    str error;                    /* absent: none */
    struct id gate_id;            /* nil: it is not about a gate */
    int64_t gate;                 /* its number among those of the step */
    str gate_name, actor, reason; /* absent: none */
    str message, data;            /* of a worker's progress; data: JSON; absent: none */
    str queue;                    /* in which a step waits too long; absent: it is not about that */
    int64_t age_ms;
};
/* The events of one entry. ERR_CORRUPT. */
MUST_CHECK int plan_events_read(struct arena *a, const struct plan_event_row *row,
                                struct plan_event **out, size_t *out_count, struct err *err);

#endif
