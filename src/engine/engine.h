/* SPDX-License-Identifier: Apache-2.0 */
/* engine.h - accepts, queues, executes and ends runs.
 *
 * A thread has at most one running run (its slot); others wait in order of creation. A run that is
 * accepted is durable: it stands in the database and is taken up again after a crash, with the next
 * attempt. The engine is the only one who moves runs and it names the attempt whenever it writes.
 * Memory: a live run is ref-counted and lives until its last holder lets go. Suspends: as marked.
 * Errors: typed, with the texts of the API. Tests: tests/unit/engine/, tests/integration,
 * tests/crash */
#ifndef HF_ENGINE_ENGINE_H
#define HF_ENGINE_ENGINE_H

#include "engine/hub.h"
#include "engine/library.h"
#include "jobs/jobs.h"
#include "store/runs.h"

struct engine;
enum crons_missed { CRONS_MISSED_ONCE, CRONS_MISSED_SKIP };
struct cron_options {
    enum crons_missed missed;
    int64_t late_us;          /* an instant that is older was missed */
    const char *zones_folder; /* of the tz database; NULL: the system's */
};
struct engine_options {
    size_t running_max;  /* runs executed at once */
    size_t pending_max;  /* accepted runs that wait; beyond: ERR_LIMIT */
    int attempts_max;    /* 3: then the run ends in error */
    int recursion_limit; /* 25 unless the run says */
    enum multitask_strategy multitask_default;
    const char *api_url; /* for message metadata; "" unknown */
    struct cron_options crons;
    /* Other processes work on the same database. Then this one is a worker with a lease: while it
     * cannot be renewed nothing is begun, and when it is over all runs here are let go. */
    bool shared;
    int64_t lease_us; /* 10 s */
    int64_t sweep_us; /* 60 s: how often what has expired is removed */
    const struct graph_documents *documents; /* NULL: users cannot register graphs */
    const char *host; /* for people */
    const char *address; /* where it hears the others' datagrams; NULL: nowhere */
    int64_t pid;
    int64_t thread_sweep_us;  /* between two looks for threads whose ttl is over; 60 s */
    int64_t thread_sweep_max; /* of them at each look */
    int64_t keep_states;      /* newest states that a thread keeps; 0: all */
    int64_t keep_us;          /* age of states that it keeps; 0: any */
};
MUST_CHECK int engine_open(struct rt *rt, struct store *store, struct registry *registry,
                           const struct graph_services *services, const struct engine_options *o,
                           struct engine **out, struct err *err);
/* Joins the workers, takes up what a process that is gone left. On a fiber, before serving. */
MUST_CHECK MAY_SUSPEND int engine_start(struct engine *e, struct err *err);
/* Its background jobs, and who does those of all: before engine_start(), and before the jobs begin.
 * They live as long as the engine. */
void engine_add_jobs(struct engine *e, struct jobs *jobs);
struct jobs_port engine_jobs_port(struct engine *e);
/* Hints between the workers of a database, in texts of at most ENGINE_HINT_MAX bytes: that a
 * thread's log has grown, that there is work. They may be lost. send must not suspend. */
#define ENGINE_HINT_MAX 7900
struct engine_hints {
    void (*send)(void *ctx, str text);
    /* At each heartbeat, where the engine has an address: who else is alive and where they hear; a
     * text that says nothing but who sends it; for how long a voice counts. NULL: not wanted. */
    void (*peers)(void *ctx, const str *addresses, size_t count, size_t others, str hello,
                  int64_t heard_us);
    void *ctx;
};
#define ENGINE_PEERS_MAX 64
void engine_hints_set(struct engine *e, const struct engine_hints *hints);
void engine_hinted(struct engine *e, str text);  /* what another worker (or this one) sent */
void engine_hints_up(struct engine *e, bool up); /* does what others send arrive? */
/* Starts nothing any more; waits until deadline_us (monotonic) for running runs, then hands the
 * rest back (pending, attempt not spent) and tells the readers. */
MAY_SUSPEND void engine_drain(struct engine *e, int64_t deadline_us);
void engine_drain_now(struct engine *e); /* a drain under way waits no longer for running runs */
void engine_close(struct engine *e);

/* Called after a commit that put a delivery into the outbox (store/deliveries.h). */
void engine_outbox_set(struct engine *e, void (*grew)(void *ctx), void *ctx);

struct hub *engine_hub(struct engine *e);
struct registry *engine_registry(struct engine *e);
struct store *engine_store(struct engine *e);
struct graph_library *engine_library(struct engine *e);
MAY_SUSPEND bool engine_has_graph(struct engine *e, str graph_id);

/* --- runs --- */
struct live_run;

struct run_submit {
    const struct principal *who;
    struct id assistant_id;
    str assistant_name;      /* as the client said it, for error texts */
    struct id thread_id;     /* nil: stateless, a thread is made */
    yyjson_val *body;        /* RunCreate, an object */
    /* What run_context_read would give of a thread that is not there yet. NULL: it is read. */
    const struct run_context *context;
    str header_configurable; /* JSON object text of x-* headers; absent: {} */
    str bearer;              /* of the request: kept in memory while the run lives here. Empty: the
                                x-supabase-access-token of the configuration, which is taken out */
    /* The run is durable, nothing of it was shown yet: attach readers now. Must not suspend. */
    void (*accepted)(void *ctx, struct live_run *run);
    /* Adds to the batch that makes the run durable; may be NULL. A failed expectation of what it
     * adds must be a code that the engine does not use for its own: ERR_FENCED, ERR_REPEATED. */
    void (*join_batch)(void *ctx, const struct live_run *run, struct db_batch *b);
    bool join_refers; /* what it adds looks at the run's row, which then stands before that */
    /* What the first task finds in its context, if the run begins at once; after join_batch. In
     * the arena, which lives as long as the run. May be NULL, and give NULL. */
    const void *(*give)(void *ctx, struct arena *a);
    str steps; /* one more entry of the log, of kind LOG_STEPS; absent: none */
    /* Instead of what tells subscribers of that entry: as hub_append.tell, the batch's last. May be
     * NULL. */
    size_t (*tell)(void *ctx, struct db_batch *b, int64_t log_count);
    bool kept; /* a temporary run's thread stays as long as answers do (store/idempotency.h) */
    /* Where the request belongs to: kept with the run, for whoever executes it. NULL or unknown:
     * the run begins a trace. */
    const struct trace_context *trace;
    void *ctx;
};
/* On success *out (may be NULL) is a reference. */
MUST_CHECK MAY_SUSPEND int engine_submit(struct engine *e, const struct run_submit *s,
                                         struct live_run **out, struct err *err);
/* A batch of stateless runs: all are accepted by one transaction, or none. accepted and join_batch
 * of the submissions are not called; join (may be NULL) adds to the batch, when all rows are made.
 * On success out[i] is a reference. */
MUST_CHECK MAY_SUSPEND int engine_submit_many(struct engine *e, const struct run_submit *submits,
                                              size_t count,
                                              void (*join)(void *ctx, struct db_batch *b),
                                              void *ctx, struct live_run **out, struct err *err);
struct live_run *engine_find(struct engine *e,
                             struct id run_id); /* a reference, or NULL: not live */
void live_run_ref(struct live_run *run);
void live_run_unref(struct live_run *run);

struct id live_run_id(const struct live_run *run);
struct id live_run_thread(const struct live_run *run);
unsigned live_run_modes(const struct live_run *run);
bool live_run_temporary(const struct live_run *run); /* its thread goes with it */
bool live_run_cancel_on_disconnect(const struct live_run *run);
bool live_run_done(const struct live_run *run);
const struct run *live_run_row(const struct live_run *run); /* as created */
/* 0 when it is done here; ERR_TIMEOUT at the deadline (monotonic), ERR_CANCELLED. */
MUST_CHECK MAY_SUSPEND int live_run_wait(struct live_run *run, int64_t deadline_us);
bool live_run_moved(const struct live_run *run); /* done here, but not over: engine_wait */
/* Of a done run: final values (JSON; absent when there are none) and the error (JSON {"error",
 * "message"}; absent: none). Valid while the reference is held. */
str live_run_values(const struct live_run *run);
str live_run_error(const struct live_run *run);
enum run_status live_run_status(const struct live_run *run);

/* How a run ended. values and error as of live_run_values and live_run_error. */
struct run_outcome {
    enum run_status status;
    str values, error;
};
/* Until a run is over, wherever it executes; run (may be NULL) is it, if it was live here.
 * ERR_TIMEOUT, ERR_CANCELLED, ERR_NOT_FOUND. */
MUST_CHECK MAY_SUSPEND int engine_wait(struct engine *e, struct id run_id, struct live_run *run,
                                       int64_t deadline_us, struct arena *a,
                                       struct run_outcome *out, struct err *err);
/* Cancels a pending or running run; returns when it is durable (pending) or signalled (running);
 * wait: when it has ended. ERR_NOT_FOUND, ERR_CONFLICT when it is over. */
MUST_CHECK MAY_SUSPEND int engine_cancel(struct engine *e, const struct principal *who,
                                         struct id thread_id /* nil: any */, struct id run_id,
                                         enum cancel_action action, str reason, bool wait,
                                         struct err *err);
/* Before a thread is deleted: cancels its runs and waits for their end. busy: what its row says,
 * or true: one that is not has no runs but those that this process is just accepting. */
MAY_SUSPEND void engine_stop_thread(struct engine *e, struct id thread_id, bool busy);
/* Has this process live runs of it, or is it accepting one? */
bool engine_has_thread(struct engine *e, struct id thread_id);

struct engine_stats {
    size_t running, pending, delayed, readers, slots, blocked;
    struct id worker;
    bool registered, leads;
    int64_t others, lease_left_us;
    uint64_t adopted, leases_lost, hints_sent, hints_got;
    struct hub_tail_stats tail;
};
void engine_stats(const struct engine *e, struct engine_stats *out);

#endif
