/* SPDX-License-Identifier: Apache-2.0 */
/* sim.h - a small world under one seed: several engines on one database, in simulated time.
 *
 * Time, randomness, the delays and failures of the database, what clients do and when servers die
 * all follow from the seed; nothing waits for real time. The same seed gives the same world, step
 * by step (sim_world.trace says so). Parts: world.c (time, servers, database), graphs.c (what runs
 * execute), clients.c (what is asked of them), checks.c (what must be true at the end), model.c,
 * main.c; and of some worlds: plans.c, gates.c, workers.c, told.c, deletes.c, updates.c,
 * crons.c, redo.c, sweeps.c, stateless.c,
 * receiver.c. */
#ifndef HF_TESTS_SIM_H
#define HF_TESTS_SIM_H

#include "../support/lane.h"
#include "base/buf.h"
#include "base/vec.h"
#include "db/sqlite/sqlite.h"
#include "delivery/delivery.h"
#include "engine/engine.h"
#include "history/log.h"
#include "jobs/jobs.h"
#include "plans/plans.h"
#include "store/plan_work.h"

#define SIM_SERVERS 3
#define SIM_THREADS 4
/* The first graphs are of all threads but the last; that has one of the asking ones. */
#define SIM_PLAIN_GRAPHS 3
#define SIM_LEASE_US     10000000
#define SIM_WEBHOOK      "http://10.9.8.7/hook"
/* From the last trouble and call to the end of every run: a lease and 5 s, and the time that the
 * runs of a thread take, one after the other. */
#define SIM_SETTLE_US (SIM_LEASE_US + 5000000 + 30000000)

struct sim_world;

/* A process: its engine, its way to the database. It dies by losing that way for good. */
struct sim_server {
    struct sim_world *world;
    int number, life; /* life counts its starts */
    bool up, dead, closed;
    size_t users; /* clients inside of it */
    struct store store;
    struct registry *registry;
    struct plans *plans;
    struct engine *engine;
    struct jobs *jobs;             /* NULL: it does none */
    struct delivery_relay *relay; /* NULL: it delivers nothing */
    struct lane commits; /* one after the other, in order of submission */
};

/* A run that a client was told to exist. */
struct sim_run {
    struct id id, thread_id;
    const char *graph;
    int64_t asked_us;     /* before it was asked for */
    bool stopped, undone; /* it was to be cancelled, or rolled back, by its name */
    bool webhook;
};

/* What one reader received, over all its connections. */
struct sim_frame {
    char *id, *text;
};
struct sim_stream {
    struct id run_id, thread_id;
    VEC(struct sim_frame) frames;
    bool complete;
};

struct sim_thread {
    struct id id;
    const char *asking;            /* graph of all its runs; NULL: any that asks nothing */
    bool rolled_back, interrupted; /* some run of it may have been */
    int64_t stopped_us; /* when the last call that stops whatever the thread has was over */
};

/* A plan that a client was told to exist. */
#define SIM_STEPS_MAX 6
struct sim_plan {
    struct id id, thread_id;
    struct sim_step {
        unsigned depends;        /* bits of positions */
        int attempts_max, fails; /* how many of its attempts fail; -1: all */
        size_t gates;
        bool outside; /* a worker does it */
    } steps[SIM_STEPS_MAX];
    size_t step_count;
    bool touched; /* somebody cancelled it or a step, or had one done again */
    bool kept;    /* steps that another plan has done may be done from the beginning */
};

/* A decision that was acknowledged. */
struct sim_gate {
    struct id id;
    enum gate_status status;
};
/* What the gates of a step say at the end. */
enum sim_gates { SIM_GATES_PASSED, SIM_GATES_FAILED, SIM_GATES_NOT_OPEN };

/* A lease on a step that a worker was told of. */
struct sim_work {
    struct work_ref ref;
    int64_t claimed_us, until_us; /* by the wall clock */
    int64_t number;               /* of all leases; its result has it */
    bool told, succeeded;     /* its result may be known to the servers, and is this */
    bool taken;               /* they said so */
};

/* A thread that is to be deleted, and a run of one that was accepted. */
struct sim_doomed {
    struct id id;
    bool gone; /* that was acknowledged */
};
struct sim_doomed_run {
    struct id id;
    size_t thread; /* which of them */
};

/* A change of a state by hand. */
struct sim_update {
    struct id thread_id;
    bool stored, refused; /* as it was answered */
};

/* A run without a thread. */
struct sim_passer {
    struct sim_run run; /* with the thread that it was given */
    bool keep;          /* that stays */
};

/* What a receiver was told. */
struct sim_message {
    str id;
    str source, sequence; /* of an event of a plan; absent: of a run */
    struct id run_id;
};

/* A cron, and an instant of one that was decided. */
struct sim_cron {
    struct id id, thread_id; /* thread nil: a new one for each run */
    str schedule;
    int64_t first_us, end_us;
    bool keep;
    bool touched;    /* it may have been switched, or deleted */
    int64_t off_us;  /* when it was acknowledged that it is off, and so it is; else 0 */
    int64_t gone_us; /* when it was acknowledged that it is deleted; else 0 */
};
struct sim_firing {
    struct id cron_id, run_id;
    int64_t at_us, decided_us, stored_us;
};

/* What the database knows by what it was told: model.c. */
struct sim_lease {
    struct id worker;
    int64_t until_us;
    bool lapsed; /* it was over once: what the worker had may be the others' since */
};
struct sim_held {
    struct run_hold hold; /* run nil: nobody has the thread */
    int64_t entries;      /* that were ever put into its log */
    /* Of worlds that sweep: counting tasks that were committed, and those whose step was not yet;
     * of copies: how many there were before their own run, and how many that has. */
    int64_t counted, open, was, wanted;
};

struct sim_world {
    uint64_t seed;
    bool verbose;
    struct rt *rt;
    struct db *db;
    struct lane door;
    struct graph_services services;
    struct arena arena; /* of clients and checks; lives as long as the world */
    struct principal who;
    VEC(struct sim_server *) servers; /* all that ever were */
    struct sim_server *current[SIM_SERVERS];
    struct sim_thread threads[SIM_THREADS];
    VEC(struct sim_run) runs;
    VEC(struct sim_stream *) streams;
    VEC(struct sim_plan) plans;
    VEC(struct sim_gate) gates;
    VEC(struct sim_work) works;
    VEC(struct sim_update) updates;
    VEC(struct sim_doomed) doomed;
    VEC(struct sim_doomed_run) doomed_runs;
    VEC(struct id) copies; /* of threads */
    VEC(struct sim_passer) passers;
    VEC(struct sim_message) messages;
    VEC(struct sim_cron) crons;
    VEC(struct sim_firing) firings;
    VEC(struct sim_lease) leases;
    VEC(struct sim_held) held;
    VEC(struct run_hold) begun; /* last attempts of runs */
    bool harsh;                 /* troubles are many times as many */
    bool peaceful;              /* a world without trouble */
    bool planning;              /* a world with plans, and with webhooks of them and of runs */
    bool gating;                /* one with plans, steps of which have gates */
    bool working;               /* one with plans, steps of which are done outside */
    bool redoing;               /* one with plans that are made again, and their steps */
    bool updating;              /* one in which states are changed by hand */
    bool deleting;              /* one in which threads are deleted */
    bool firing;                /* one with crons */
    bool stateless;             /* one with runs without a thread */
    bool delivering;            /* one with plans, whose servers deliver what is to be told */
    bool sweeping;              /* one in which threads lose states, or end, by themselves */
    bool trouble;               /* delays and failures are allowed now */
    size_t clients;
    int64_t answers; /* numbers that commands have given: 1 to this */
    int64_t taken;   /* how many of them are in a state at the end */
    uint64_t trace;  /* hash of everything that happened */
    struct buf why;  /* first thing that was wrong; empty: nothing */
};

/* world.c */
void sim_run_world(uint64_t seed, bool harsh, bool verbose, struct sim_world *out);
void sim_world_deinit(struct sim_world *w);
void sim_note(struct sim_world *w, const char *format, ...) PRINTF_LIKE(2, 3);
void sim_wrong(struct sim_world *w, const char *format, ...) PRINTF_LIKE(2, 3);
uint64_t sim_below(struct sim_world *w, uint64_t bound);
bool sim_chance(struct sim_world *w, unsigned percent);
struct sim_server *sim_enter(struct sim_world *w); /* some server that is up */
void sim_leave(struct sim_server *s);
MAY_SUSPEND void sim_kill(struct sim_server *s, bool politely); /* and a new one in its place */

/* graphs.c */
extern const struct graph_def sim_graphs[];
extern const size_t sim_graph_count;

/* clients.c */
/* A run with the next answer. 0: accepted. */
MAY_SUSPEND int sim_answer(struct sim_world *w, struct sim_server *s, struct sim_thread *thread);
void sim_client(void *world);
/* A run; its body names neither assistant nor thread. */
MAY_SUSPEND int sim_submit(struct sim_world *w, struct sim_server *s, struct id thread_id,
                           const char *graph, str body, struct id *out_run, struct err *err);
const char *sim_strategy(struct sim_world *w); /* any */
/* What a client is: calls of some servers that are up, with pauses up to pause_us. */
MAY_SUSPEND void sim_calls(struct sim_world *w, int calls, uint64_t pause_us,
                           void (*each)(struct sim_world *w, struct sim_server *s));
MAY_SUSPEND void sim_await(struct sim_world *w, struct sim_server *s, struct id run);
MAY_SUSPEND void sim_follow(struct sim_world *w, const struct sim_run *run); /* to its end */
void sim_stream_free(struct sim_stream *s);
MAY_SUSPEND void sim_replay(struct sim_server *s, struct sim_stream *out);

/* plans.c */
void sim_planner(void *world); /* a client */
MAY_SUSPEND void sim_check_plans(struct sim_world *w);
MAY_SUSPEND void sim_finish_plans(struct sim_world *w); /* those that wait for somebody */

bool sim_passing(int rc); /* an answer that a call may have in trouble */

/* gates.c: of worlds with gates */
void sim_write_gates(struct sim_world *w, struct json_writer *j, struct sim_step *step);
void sim_decider(void *world);                     /* a client */
MAY_SUSPEND bool sim_decide_all(struct sim_world *w); /* what is asked; false: nothing is */
/* out: of each step. */
MAY_SUSPEND void sim_check_gates(struct sim_world *w, const struct sim_plan *p,
                                 const struct plan_step_row *steps, enum sim_gates *out);

/* workers.c: of worlds with workers */
str sim_worker_tool(struct sim_world *w);
void sim_worker(void *world);                         /* a client */
MAY_SUSPEND bool sim_work_all(struct sim_world *w); /* what is to be done; false: nothing is */
void sim_check_work(struct sim_world *w, const struct sim_plan *p,
                    const struct plan_step_row *step);

/* redo.c: of worlds that redo, and of all with plans */
void sim_redoer(void *world); /* a client */
MAY_SUSPEND void sim_check_dead(struct sim_world *w, const struct sim_plan *p,
                                const struct plan_step_row *steps, const enum sim_gates *gates);

/* deletes.c: of worlds with deletes */
void sim_deleter(void *world); /* a client */
void sim_unaware(void *world); /* a client */
MAY_SUSPEND void sim_delete_all(struct sim_world *w); /* what is left of them */
MAY_SUSPEND void sim_check_gone(struct sim_world *w);
MAY_SUSPEND void sim_check_thread_gone(struct sim_world *w, struct id thread);

/* updates.c: of worlds with updates */
void sim_updater(void *world); /* a client */
MAY_SUSPEND void sim_check_updates(struct sim_world *w);

/* crons.c: of worlds with crons */
void sim_keeper(void *world); /* a client */
void sim_cron_stored(struct sim_world *w, const struct db_op *op);
MAY_SUSPEND void sim_check_crons(struct sim_world *w);

/* stateless.c: of worlds with runs without a thread */
void sim_passers(void *world);  /* a client */
void sim_onlooker(void *world); /* a client */
MAY_SUSPEND void sim_check_passers(struct sim_world *w);

/* sweeps.c: of worlds that sweep */
/* What the periodic work will do: threads of runs that take theirs along go, some time later. */
MAY_SUSPEND void sim_sweep_doomed(struct sim_world *w);
void sim_sweeper(void *world); /* a client */
void sim_swept_stored(struct sim_world *w, const struct db_op *op);
MAY_SUSPEND void sim_sweep_all(struct sim_world *w); /* the copies have runs then */
MAY_SUSPEND void sim_check_swept(struct sim_world *w);

/* model.c: of every batch that the database has stored. */
void sim_stored(struct sim_world *w, const struct db_batch *b);
struct sim_held *sim_held(struct sim_world *w, struct id thread);
/* The last attempt that began of a run, and whose it was; attempt 0: none. */
struct run_hold *sim_begun(struct sim_world *w, struct id run);

/* told.c: what is to be told to other programs. */
MAY_SUSPEND void sim_subscribe(struct sim_world *w);
MAY_SUSPEND void sim_check_told(struct sim_world *w);

/* receiver.c: of worlds that deliver */
void sim_relay_open(struct sim_server *s);
MAY_SUSPEND void sim_deliver_all(struct sim_world *w); /* what is left */
MAY_SUSPEND void sim_check_received(struct sim_world *w);

/* checks.c */
MAY_SUSPEND void sim_describe_log(struct sim_world *w, struct id thread); /* if it is verbose */
MAY_SUSPEND void sim_check_thread(struct sim_world *w, const struct sim_thread *t);
MAY_SUSPEND void sim_settle(struct sim_world *w);
MAY_SUSPEND void sim_answer_all(struct sim_world *w); /* what is asked still */
MAY_SUSPEND void sim_check(struct sim_world *w);

#endif
