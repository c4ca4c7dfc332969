/* SPDX-License-Identifier: Apache-2.0 */
/* plans_int.h - the coordinator of one plan run as the files of this folder share it. */
#ifndef HF_PLANS_PLANS_INT_H
#define HF_PLANS_PLANS_INT_H

#include "base/map.h"
#include "base/metrics.h"
#include "plans/heap.h"
#include "plans/plans.h"
#include "plans/tools.h"

#define EVENTS_PER_ENTRY 64

struct plans_metrics {
    struct metric *created, *steps_created, *faults, *retries, *ready, *executing, *step_seconds;
    struct metric *steps[RUN_STATE_COUNT]; /* that ended so */
};
struct plans {
    struct rt *rt;
    struct store *store;
    struct engine *engine;
    struct plans_options o;
    struct plan_tools tools;
    struct map live; /* plan id (16 bytes) → struct coordinator */
    struct graph_def graph;
    struct node_def node;
    struct plans_metrics metrics;
};

struct exec;
/* A step as it is executed. */
struct step {
    enum run_state state;
    bool dirty;  /* has changed since it was last given to a batch */
    bool flying; /* is in the batch under way */
    bool wished; /* somebody asked for its end when nobody had the plan */
    bool freed;  /* those that wait for it know that it succeeded */
    uint32_t waits; /* dependencies that have not succeeded */
    int attempt;
    int64_t started_at, ended_at; /* wall; 0: not (yet) */
    str output, error;            /* heap; output until it is stored */
    struct exec *exec;            /* while it runs */
};
struct step_event {
    uint32_t position;
    enum run_state state;
    int attempt;
    int64_t at;
    str error; /* of the step */
};

struct coordinator {
    struct plans *plans;
    struct node_ctx *ctx;
    struct arena *a; /* its own */
    struct plan_row row;
    size_t count;
    struct plan_step *specs;
    str *keys;
    const struct tool **tools;
    struct step *steps;
    uint32_t *child_at, *children; /* child_at[i] … child_at[i + 1]: who waits for i */
    struct step_heap ready, later;
    VEC(uint32_t) dirty;
    VEC(struct step_event) events;
    size_t final[RUN_STATE_COUNT]; /* steps in a final state, by it */
    size_t concurrency, execs, executing;
    struct fiber_group group;
    struct fiber_event wake;  /* of the coordinator */
    struct fiber_event saved; /* a batch is durable, or all is over */
    bool stop;   /* executes nothing any more */
    bool look;   /* somebody may have asked for something */
    bool told;   /* the present status of the plan is stored */
    int64_t look_due_us;
};

/* load.c: all of a plan from its rows. */
MUST_CHECK MAY_SUSPEND int coordinator_load(struct coordinator *c, struct err *err);
void coordinator_deinit(struct coordinator *c);
/* Those that wait for a step that came to nothing are given up, too. */
void coordinator_give_up(struct coordinator *c, uint32_t position);
/* Writes down a move, for the next batch. error: kept if it is the step's own. */
void coordinator_mark(struct coordinator *c, uint32_t position, enum run_state state, int64_t at);
void step_set_error(struct step *s, str error);
void coordinator_ready(struct coordinator *c, uint32_t position);

/* coordinator.c: the node of the graph. */
int plan_node(struct node_ctx *ctx, struct err *err);
/* A coordinator that is live here looks at once. */
void coordinator_poke(struct plans *p, struct id plan_id);

/* events.c */
struct plan_news {
    int64_t version;
    bool began;                   /* it has begun since the last entry */
    const enum run_state *status; /* NULL: as it was, or only begun */
    str error;                    /* of the plan */
};
/* Entries for the log; their number. */
size_t plan_entries_write(struct arena *a, const struct plan_news *news,
                          const struct step_event *events, size_t count, str **out);
str plan_created_entry(struct arena *a, const struct plan_spec *plan);

#endif
