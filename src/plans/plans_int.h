/* SPDX-License-Identifier: Apache-2.0 */
/* plans_int.h - the coordinator of one plan run as the files of this folder share it. */
#ifndef HF_PLANS_PLANS_INT_H
#define HF_PLANS_PLANS_INT_H

#include "base/log.h"
#include "base/map.h"
#include "base/metrics.h"
#include "plans/heap.h"
#include "plans/plans.h"
#include "plans/pressure.h"
#include "plans/tools.h"
#include "plans/turns.h"
#include "plans/workers.h"
#include "store/dead.h"
#include "store/gates.h"
#include "trace/trace.h"

#define EVENTS_PER_ENTRY 64

struct coordinator;
enum work_event { /* of leases */
    WORK_CLAIMED,
    WORK_SUCCEEDED,
    WORK_FAILED,
    WORK_AGAIN,
    WORK_LOST,
    WORK_EVENT_COUNT
};
struct plans_metrics {
    struct metric *created, *steps_created, *faults, *retries, *ready, *executing;
    struct metric *step_seconds[PLAN_TOOL_COUNT][PLAN_TOOL_ENDS];
    struct metric *losses, *dead[DEAD_QUARANTINED + 1];
    struct metric *queue_depth;
    struct metric *steps[RUN_STATE_COUNT]; /* that ended so */
    struct metric *gates[4];               /* that opened, or were decided so */
    struct metric *work[WORK_EVENT_COUNT];
};
struct plans {
    struct rt *rt;
    struct store *store;
    struct engine *engine;
    struct plans_options o;
    struct plan_tools tools;
    struct map live; /* plan id (16 bytes) → struct coordinator */
    struct turns turns;
    struct pressure pressure;
    struct graph_def graph;
    struct node_def node;
    struct plans_metrics metrics;
    /* quarantine.c: the step that may be lost but once more and executes; NULL: none does */
    struct coordinator *alone;
    uint32_t alone_at;
    /* expiry.c */
    struct fiber_event expiry_wake;
    int64_t expiry_at; /* wall: when it looks again */
    bool expiry_runs, stopping;
    struct fiber_event work_wake; /* something can be claimed */
    struct claims {
        struct map owners;   /* queue and owner → struct claim_owner (claims.c) */
        struct list waiting; /* claims that wait for leases of a queue to be free */
        struct fiber_event idle;
        int64_t seq, looks;
        bool busy; /* somebody looks how many may be taken, and takes them */
    } claims;
};

/* notes.c: what happens to batches and steps, for the log and for spans. They cost a look at a
 * level while nobody wants them. */
static inline bool plan_notes_wanted(const struct plans *p) {
    return p->o.notes >= 0 && log_enabled((enum log_level)p->o.notes);
}
struct plans_create;
struct plan_batch {
    struct plans *plans;
    const struct plans_create *c;
    struct span span; /* of making the plan */
    struct id run_id;
    struct plan_rows rows; /* in the batch's arena */
    int64_t joined_us, durable_us; /* monotonic: its rows were made, were committed */
};
void plan_batch_begin(struct plan_batch *b, struct plans *p, const struct plans_create *c);
void plan_batch_prepared(struct plan_batch *b, struct id run_id);
void plan_batch_end(struct plan_batch *b, int rc);
void plan_note_enqueue(const struct coordinator *c, uint32_t position, const char *skipped);
void plan_note_recorded(const struct coordinator *c, uint32_t position);
void plan_note_finalized(const struct coordinator *c, uint32_t position);
void plan_note_run_begin(const struct coordinator *c);
void plan_note_run_end(const struct coordinator *c, int64_t us);
/* Of a run that never had its plan, or failed without a word. */
void plan_note_run_untold(const struct plans *p, const struct plan_row *row, struct id run_id,
                          enum run_state status);
void plan_note_start(struct coordinator *c, uint32_t position, struct span *s);
void plan_note_end(struct coordinator *c, uint32_t position, struct span *s, int64_t us);

/* claims.c: how many leases a claim may take. */
struct claim_wait { /* a claim */
    struct list node;
    str owner, queue;
    struct claim_owner *at; /* while it waits */
    bool held_up; /* by the limit of the queue */
    bool yields;  /* though there are some: they are for others, who have waited longer */
    bool waited;
};
void claims_init(struct plans *p);
void claims_deinit(struct plans *p);
bool claims_limited(const struct plans *p, str queue);
/* One claim at a time, from the look to the leases. ERR_CANCELLED. */
MUST_CHECK MAY_SUSPEND int claims_begin(struct plans *p, struct err *err);
void claims_end(struct plans *p);
/* Lowers the limit to what may be taken; below 1: nothing. */
MUST_CHECK MAY_SUSPEND int claims_room(struct plans *p, const struct principal *who,
                                       struct claim_wait *w, struct arena *a, int64_t *limit,
                                       struct err *err);
void claims_served(struct plans *p, struct arena *a, struct claim_wait *w);
/* Around a wait for something to be free. */
void claims_wait(struct plans *p, struct arena *a, struct claim_wait *w);
void claims_waited(struct claim_wait *w);
/* limits.c: leases of a queue; 0: any number. */
size_t plans_queue_max(const struct plans *p, str queue);

struct exec;
/* A step as it is executed. */
struct step {
    enum run_state state;
    bool dirty;  /* has changed since it was last given to a batch */
    bool flying; /* is in the batch under way */
    bool wished; /* somebody asked for its end when nobody had the plan */
    bool freed;  /* those that wait for it know that it succeeded */
    bool lost;   /* it was cut off when the run took the plan up */
    bool dies;   /* it has failed for good since the last batch, for this reason: */
    enum dead_reason reason;
    bool offered; /* to workers; what comes of it is read from its row */
    uint32_t waits; /* dependencies that have not succeeded */
    int attempt, losses, spent;
    int64_t started_at, ended_at; /* wall; 0: not (yet) */
    int64_t ready_us;             /* monotonic: when it could begin; 0: not (yet) */
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

/* A gate of a step, as far as it has come. */
struct gate_state {
    struct id id; /* nil: it has not opened */
    uint32_t position;
    int number;
    const struct gate *spec;
    enum gate_status status;
    int64_t version, expires_at; /* expires_at: wall; 0: never */
    str evidence, reason;        /* in the coordinator's arena; absent: none */
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
    struct turns_plan turns; /* steps that are ready */
    struct step_heap later;
    struct gate_state *gates; /* of step i: from gate_at[i] to gate_at[i + 1] */
    uint32_t *gate_at;        /* NULL: no step has any */
    size_t gate_count, gates_pending; /* open ones */
    VEC(uint32_t) opens;              /* gates whose rows are to be written */
    struct step_heap expiring;        /* gates by the wall clock */
    bool gates_close; /* a step is over whose gates are open */
    bool answered;    /* what the run was resumed with has been looked at */
    bool block;       /* all that is left waits for others: the plan is to say so */
    size_t work_open; /* steps that are offered to workers */
    VEC(uint32_t) offers, work_over; /* rows to be written: offered, done with */
    int64_t work_quiet_us; /* mono: nothing was heard of workers until then */
    VEC(uint32_t) dirty;
    VEC(struct step_event) events;
    size_t final[RUN_STATE_COUNT]; /* steps in a final state, by it */
    size_t execs, executing; /* fibers that execute steps; steps that are executed */
    struct fiber_group group;
    struct fiber_event wake;  /* of the coordinator */
    struct fiber_event saved; /* a batch is durable, or all is over */
    bool fresh;               /* it was made just now: there is nothing of gates and workers */
    bool stop;                /* executes nothing any more */
    bool look;                /* somebody may have asked for something */
    bool begun;               /* the rows of plan and run are stored */
    bool told;                /* the present status of the plan is stored */
    bool holds;               /* this run has the plan, as far as is known */
    bool gone;                /* another one has it now, or it was ended */
    bool ended;               /* it was ended */
    bool careful;             /* the run was cut off: what begins is durable before it does */
    VEC(uint32_t) held;       /* ready, but to be executed alone among their like */
    int64_t look_due_us;
    int64_t keep_due_us; /* when the run's state is stored; 0: it is, or was not to be */
};

/* load.c: all of a plan from its rows. */
MUST_CHECK MAY_SUSPEND int coordinator_load(struct coordinator *c, struct err *err);
void coordinator_deinit(struct coordinator *c);
/* Waits until the rows are stored; false: they were not. */
MAY_SUSPEND bool coordinator_has_begun(struct coordinator *c);
/* Those that wait for a step that came to nothing are given up, too. */
void coordinator_give_up(struct coordinator *c, uint32_t position);
/* Writes down a move, for the next batch. error: kept if it is the step's own. */
void coordinator_mark(struct coordinator *c, uint32_t position, enum run_state state, int64_t at);
void step_set_error(struct step *s, str error);
/* It waits for no step any more: it can begin, or waits for its gates. */
void coordinator_ready(struct coordinator *c, uint32_t position);
/* It can begin. */
void coordinator_enqueue(struct coordinator *c, uint32_t position);
/* Of its tool, among those that limits are for. */
size_t coordinator_turn_tool(const struct coordinator *c, uint32_t position);

/* quarantine.c: steps that were cut off. */
void coordinator_lost(struct coordinator *c, uint32_t i); /* queued again, or failed for good */
bool coordinator_holds_back(const struct coordinator *c, uint32_t i); /* it executes alone */
void coordinator_let_one(struct coordinator *c); /* one that is held begins, if none executes */
void coordinator_alone_over(struct coordinator *c, uint32_t i); /* it executes no more */
void coordinator_alone_end(struct coordinator *c);
/* What is executed is queued again, without a loss: this process is done with the run. */
void coordinator_put_back(struct coordinator *c);

/* gates.c: the gates of the steps of a plan whose run is under way. */
MUST_CHECK MAY_SUSPEND int coordinator_gates_load(struct coordinator *c, struct err *err);
void coordinator_gates_deinit(struct coordinator *c);
enum gates_state { GATES_CLEAR, GATES_WAIT, GATES_FAILED };
/* Opens those that have not. GATES_FAILED: the step's error says why. */
enum gates_state coordinator_gates_of(struct coordinator *c, uint32_t position);
void coordinator_gates_over(struct coordinator *c, uint32_t position); /* its step is */
/* What was decided since. */
MUST_CHECK MAY_SUSPEND int coordinator_gates_look(struct coordinator *c, struct err *err);
/* Decides by what the run was resumed with; those whose time is over. */
MUST_CHECK MAY_SUSPEND int coordinator_gates_answer(struct coordinator *c, struct err *err);
MUST_CHECK MAY_SUSPEND int coordinator_gates_expire(struct coordinator *c, struct err *err);
/* Asks for all that are open: ERR_INTERRUPTED. */
MUST_CHECK int coordinator_gates_ask(struct coordinator *c, struct err *err);
/* Of a batch: the rows of those that open, then the events; taken from the coordinator. */
struct gate_flush {
    struct gate_open *opens;
    struct gate_event *events;
    size_t count;
    bool close;
};
void coordinator_gates_take(struct coordinator *c, struct arena *a, struct gate_flush *out);
void coordinator_gates_add(const struct coordinator *c, struct db_batch *b,
                           const struct gate_flush *f, int64_t now_us);

/* work.c: steps that workers do. */
bool coordinator_is_work(const struct coordinator *c, uint32_t position);
void coordinator_work_offer(struct coordinator *c, uint32_t position);
void coordinator_work_over(struct coordinator *c, uint32_t position); /* its step is */
/* What was offered already; after the steps. */
MUST_CHECK MAY_SUSPEND int coordinator_work_load(struct coordinator *c, struct err *err);
void coordinator_work_deinit(struct coordinator *c);
/* Takes what has come of some. */
MUST_CHECK MAY_SUSPEND int coordinator_work_look(struct coordinator *c, struct err *err);
/* Attempts and times of those that are leased: before their steps are ended from here. */
MUST_CHECK MAY_SUSPEND int coordinator_work_recall(struct coordinator *c, struct err *err);
struct work_flush {
    struct work_offer *offers;
    uint32_t *over;
    size_t offer_count, over_count;
};
void coordinator_work_take(struct coordinator *c, struct arena *a, struct work_flush *out);
void coordinator_work_add(const struct coordinator *c, struct db_batch *b,
                          const struct work_flush *f, int64_t now_us);
void coordinator_work_flushed(struct coordinator *c, const struct work_flush *f);
/* Nothing is left to do here but to wait for gates or workers. */
bool coordinator_waits_outside(struct coordinator *c);
/* Asks for what is waited for, gates and workers: ERR_INTERRUPTED. */
MUST_CHECK int coordinator_ask(struct coordinator *c, struct err *err);

/* workers.c */
void work_count(struct plans *p, enum work_event event, size_t count);
/* Leases that are over. out_next: when to look again, by the wall clock, if that is sooner. */
MUST_CHECK MAY_SUSPEND int work_expire_due(struct plans *p, struct arena *a, int64_t *out_next,
                                           struct err *err);

/* decide.c */
/* The row as somebody's word makes it; it may stay pending (evidence). ERR_CONFLICT,
 * ERR_INVALID. */
MUST_CHECK int gate_row_answer(struct arena *a, const struct gate *g, struct gate_row *row,
                               const struct gate_answer *answer, str actor, int64_t now_us,
                               struct err *err);
void gate_row_expire(const struct gate *g, struct gate_row *row, int64_t now_us);
MUST_CHECK MAY_SUSPEND int gate_expire(struct plans *p, const struct gate_row *row,
                                       struct arena *a, struct err *err);
void gate_count(struct plans *p, enum gate_status status);
/* Another run of the thread goes on with a plan that none has. join: adds to its batch, whose
 * expectations name ERR_FENCED; that of the plan's version is in it. */
struct plan_go_on {
    const struct plan_row *row;
    str resume; /* JSON; absent: nothing is answered */
    str entry;  /* of the log; absent: none */
    void (*join)(void *ctx, struct db_batch *b);
    void *ctx;
};
MUST_CHECK MAY_SUSPEND int plan_go_on(struct plans *p, const struct plan_go_on *g, struct arena *a,
                                      struct err *err);
/* cancel.c: the end of a plan that no coordinator tells: of what is left of its steps, too. */
MUST_CHECK MAY_SUSPEND int plan_end_entry(struct plans *p, const struct plan_row *row,
                                          enum run_state status, str error, struct arena *a,
                                          str *out, struct err *err);

/* The plan is queued again, for another run, under the version that was read; no step moves. */
struct plan_change plan_change_again(const struct plan_row *row);

/* plans.c: runs of the plan's thread. */
/* The webhook that the plan was made with; NULL: none. */
MUST_CHECK MAY_SUSPEND int plan_webhook(struct plans *p, const struct plan_row *row,
                                        struct arena *a, yyjson_val **out, struct err *err);
/* Another run of the thread of a plan that none has, in the name of its owner, with the webhook and
 * the trace that it was made with. out_run may be NULL. */
struct plan_more {
    str goal;   /* the run's input; absent: it has none */
    str resume; /* JSON: it answers with that; absent: it answers nothing */
    str entry;  /* of the log, with the run; absent: none */
    /* Adds to the batch that makes the run, as run_submit.join_batch. */
    void (*join)(void *ctx, const struct live_run *run, struct db_batch *b);
    void *ctx;
};
MUST_CHECK MAY_SUSPEND int plan_submit_more(struct plans *p, const struct plan_row *row,
                                            const struct plan_more *m, struct arena *a,
                                            struct id *out_run, struct err *err);
/* expiry.c: a gate of this process expires then. */
void expiry_note(struct plans *p, int64_t at);

/* coordinator.c: the node of the graph. */
int plan_node(struct node_ctx *ctx, struct err *err);
/* A coordinator that is live here looks at once. */
void coordinator_poke(struct plans *p, struct id plan_id);
/* The step has come to this. output: JSON; absent: none. */
void coordinator_step_end(struct coordinator *c, uint32_t position, enum run_state state,
                          str output);

/* events.c */
struct gate_event {
    struct id id;
    int64_t position, number;
    str status; /* pending, passed, failed, waived, evidence, refused */
    int64_t at;
    str name, actor, reason; /* absent: none */
};
struct plan_news {
    int64_t version;
    const struct gate_event *gates;
    size_t gate_count;
    bool began;                   /* it has begun since the last entry */
    const enum run_state *status; /* NULL: as it was, or only begun */
    str error;                    /* of the plan */
    bool whole;                   /* one entry, however many steps moved */
};
/* Entries for the log; their number. */
size_t plan_entries_write(struct arena *a, const struct plan_news *news,
                          const struct step_event *events, size_t count, str **out);
str plan_gate_entry(struct arena *a, const struct gate_event *e);
/* Of steps alone; up to EVENTS_PER_ENTRY. */
str plan_steps_entry(struct arena *a, const struct step_event *events, size_t count);
struct progress_event {
    int64_t position, attempt, at;
    str message, data; /* data: JSON; absent: none */
};
str plan_progress_entry(struct arena *a, const struct progress_event *events, size_t count);
struct queue_event { /* a step that waits too long */
    int64_t position, at, age_ms;
    str queue;
};
str plan_queue_entry(struct arena *a, const struct queue_event *e);
struct gate_event gate_event_of(const struct gate *g, const struct gate_row *row, int64_t at);
str plan_created_entry(struct arena *a, const struct plan_spec *plan);

#endif
