/* SPDX-License-Identifier: Apache-2.0 */
/* engine_int.h - live runs, slots and the parts of the engine as its files share them. */
#ifndef HF_ENGINE_ENGINE_INT_H
#define HF_ENGINE_ENGINE_INT_H

#include "base/map.h"
#include "base/metrics.h"
#include "base/vec.h"
#include "engine/engine.h"
#include "engine/frame.h"
#include "engine/texts.h"
#include "store/orphans.h"
#include "store/workers.h"

enum live_state {
    LIVE_NEW,     /* being accepted: not in the database yet */
    LIVE_DELAYED, /* accepted, waits for its time (after_seconds) */
    LIVE_PENDING, /* accepted, waits for its thread or for a place */
    LIVE_RUNNING,
    LIVE_DONE
};

/* A thread with live runs: one running, the others in order. */
struct slot {
    struct id thread_id;
    struct live_run *running;
    struct list queue; /* live_run.node */
    int arriving;      /* runs being accepted that will queue here */
    struct list ready; /* in engine->ready while it waits for a place */
    /* The first of the queue cannot begin now: another worker's run has the thread, or the
     * database is away. Ends with the timer, or sooner by a hint. */
    bool blocked;
    struct engine *engine;
    struct rt_timer timer;
};

/* The arena's cap ends the process, so a run that passes the lower bound between two steps ends. */
#define RUN_ARENA_BYTES_MAX ((size_t)2 << 30)
#define RUN_BYTES_MAX       ((size_t)512 << 20)

struct begin_waiter {
    struct list node;
    struct fiber *fiber;
};

struct live_run {
    struct engine *engine;
    int refs;
    enum live_state state;
    struct run row;    /* texts in the arena; row.attempt is the one it acts for */
    struct id worker;  /* whom the row names */
    bool begun_before; /* the attempt was claimed already, its start was not heard of */
    bool new_lists;    /* those of its state have grown beyond it: it begins its own */
    struct id holder;  /* of the thread, when it was last looked at; nil: none */
    bool slot_lost;    /* another worker's run took the thread first */
    bool adopted;      /* another worker had it before */
    bool topic_held;   /* its fragments are written in its name */
    str owner, bearer;
    bool temporary, cancel_on_disconnect, hand_back;
    bool told;          /* its end was put into the outbox */
    int64_t started_at; /* wall; 0: not begun here */
    bool kept;          /* temporary, but its thread stays for repeated requests */
    unsigned modes;
    struct arena arena;
    struct list node;
    struct list arriving; /* in engine->arriving while it is accepted */
    struct slot *slot;
    struct rt_timer timer;
    struct fiber *fiber;
    /* A run that started before its begin was durable: its step waits for that. */
    bool early, begin_over;
    int begin_rc;
    struct list begin_waiters; /* fibers that wait for that */
    bool cancel;
    enum cancel_action cancel_action;
    str cancel_reason; /* heap */
    /* execution */
    yyjson_val *kwargs, *configurable;
    str whole_configurable; /* with what its row does not have (secrets.c); absent: as the row */
    const struct graph_def *def;
    struct compiled_graph *compiled;
    struct hub_topic *topic;
    struct frame root; /* since it has begun */
    struct checkpoint *ahead; /* its thread's state as the context names it; NULL: not read yet */
    const void *given; /* to its first task; NULL: nothing, or it was taken */
    bool subgraphs;    /* their frames are shown, too */
    bool exit_only;    /* of the steps only the last one is stored (durability exit) */
    yyjson_val *resume_one, *resume_map; /* answers of its command; one: until it is given */
    int taken_count;                     /* of answers that are stored as given */
    str resume_id;                       /* the only question when the answer came */
    str refusal;          /* JSON: the error of answers that nobody waits for; absent: they fit */
    str waiting;          /* the thread's interrupts when it began */
    struct id made_id;    /* the newest checkpoint that it stored, of the root */
    struct trace trace;   /* it belongs under this span, as its row says */
    struct trace inside;  /* its own span */
    str metadata_members; /* of checkpoints and messages, without braces */
    int64_t begun_us;
    /* result */
    enum run_status status;
    str error, values;
    bool moved;       /* it goes on, but not as this live run */
    bool interrupted; /* stopped before or after a node, or asks; the thread is interrupted */
    str interrupts, interrupt_list; /* {task: [interrupt]}, and all in a list; absent: none */
    struct fiber_event done;
};

struct engine_metrics {
    struct metric *accepted, *success, *error, *interrupted, *running, *pending, *run_seconds;
    struct metric *adopted, *leases_lost, *workers;
    struct metric *queue_depth, *queue_age_ms;
    struct metric *phase_build, *phase_read, *phase_write, *phase_llm, *phase_tool, *phase_queue;
};
/* spans.c */
void spans_kwargs_write(struct json_writer *w, const struct trace_context *c);
void spans_run_read(struct live_run *run); /* from its kwargs */
void spans_run_end(const struct live_run *run);
void spans_task_begin(struct task *t);
void spans_task_end(struct task *t);

/* worker.c, hints.c */
struct worker_state {
    bool registered, leads, stop, left;
    bool beating;           /* the fiber of the heartbeat lives */
    int64_t lease_until_us; /* monotonic */
    int64_t others;         /* alive, besides this one */
    struct rt_timer lease_timer;
    struct fiber_event beat_wake, chore_wake;
    int64_t adopt_due_us, wishes_due_us, lead_due_us;
    struct orphans_cursor orphans; /* how far jobs have come */
    struct id retained;
    int64_t retained_now, ttls_left; /* in the pass under way */
    bool wishes_wanted; /* there may be some, also when no other worker is alive */
    uint64_t adopted, leases_lost;
    struct engine_hints hints;
    struct rt_timer hint_timer;
    VEC(struct id) hint_threads; /* to be told of */
    bool hint_work, hint_crons, hint_jobs;
    bool hints_up; /* what others send arrives */
    uint64_t hints_sent, hints_got;
};
/* crons.c */
#define ZONES_FOLDER "/usr/share/zoneinfo"
struct cron_state {
    struct zones *zones;
    struct fiber_event wake;
    bool changed; /* since it began to look */
    int64_t strangers_due_us;
    struct metric *runs, *failed, *missed, *late;
};
struct engine {
    struct rt *rt;
    struct store *store;
    struct registry *registry;
    struct graph_library *library;
    struct graph_services services;
    struct engine_options o;
    struct id worker; /* who this process is to the others */
    struct worker_state w;
    struct hub *hub;
    struct map slots; /* thread id (16 bytes) → struct slot */
    struct map live;  /* run id (16 bytes) → struct live_run */
    struct id ran_here[1024]; /* threads, see context.c */
    struct list ready;
    size_t running, pending, delayed;
    size_t accepting; /* requests inside engine_submit */
    struct list arriving;
    void (*ended)(void *ctx, struct id thread_id); /* see engine/summaries.h; NULL: nobody asks */
    void *ended_ctx;
    size_t helpers;  /* fibers of the engine's own under way; a drain waits for them */
    bool looking;    /* for strays: the timer runs, or its fiber */
    bool look_again; /* asked for since the fiber began */
    struct rt_timer stray_timer;
    bool draining, hurry;
    struct fiber_event idle;
    struct engine_metrics metrics;
    struct cron_state crons;
    struct jobs *jobs; /* NULL: nobody asked for them */
    struct texts_owed texts;
    void (*outbox_grew)(void *ctx); /* NULL: nobody is told */
    void *outbox_ctx;
};

/* Of runs that a drain leaves to the next process. */
#define SHUTDOWN_ERROR                                                                             \
    STR("{\"error\":\"ServerShutdown\",\"message\":\"The server is shutting down; unfinished "     \
        "runs go on after its restart.\"}")

/* Of runs whose thread was deleted, or that the database refused for good. */
#define LOST_ERROR                                                                                 \
    STR("{\"error\":\"RunLost\",\"message\":\"The run cannot be written any more: its thread is "  \
        "gone, or the database refuses it.\"}")

static inline str id_key(const struct id *id) { return str_n((const char *)id->b, sizeof(id->b)); }

/* The right to write for the run, in its present attempt. */
static inline struct run_hold live_run_hold(const struct live_run *run) {
    return (struct run_hold){.thread_id = run->row.thread_id,
                             .run_id = run->row.id,
                             .attempt = run->row.attempt,
                             .worker = run->worker};
}

/* engine.c */
struct slot *slot_of(struct engine *e, struct id thread_id);   /* NULL: no live runs */
struct slot *slot_take(struct engine *e, struct id thread_id); /* makes it */
void slot_settle(struct engine *e, struct slot *s);            /* starts the next, or frees it */
struct live_run *live_run_new(struct engine *e);
void live_run_enter(struct live_run *run); /* makes it findable */
/* A begun run whose fiber could not be started: ends it in error from a later fiber. */
void live_run_abandon(struct live_run *run, const struct err *why);
void live_run_enqueue(struct live_run *run);
/* Others may append to the thread's log from now on. */
void live_run_leave_topic(struct live_run *run);
/* A run that was to begin goes back to the head of its queue, for a while. */
void live_run_block(struct live_run *run, int64_t us);
void slot_unblock(struct slot *s);
/* The database says that this run of the queue has the thread: its claim was done and its answer
 * lost, or it came while another one tried. It comes first, else each would wait for the other. */
void slot_promote(struct slot *s, struct id holder);
void live_run_delay(struct live_run *run, int64_t due_wall_us);
bool engine_has_place(const struct engine *e);
void engine_use_places(struct engine *e); /* some may have come */
/* The run is over: result is set. Leaves its slot, wakes the waiters, drops the engine's reference.
 */
void live_run_end(struct live_run *run);
MUST_CHECK MAY_SUSPEND int live_run_cancel(struct live_run *run, enum cancel_action action,
                                           str reason, struct err *err);

/* Writes the end of a run that has not begun. ERR_FENCED when somebody claimed or ended it. */
MUST_CHECK MAY_SUSPEND int live_run_commit_waiting_end(struct live_run *run,
                                                       enum cancel_action action, str reason,
                                                       struct err *err);

/* A waiting run leaves its queue: it cannot start any more; its slot stays until …_end_outside.
 * Returns whether it was delayed. */
bool live_run_take_out(struct live_run *run);
void live_run_end_outside(struct live_run *run);
/* Out of its slot and its queue, without any writing: it is not ours (any more). */
void live_run_drop(struct live_run *run);
/* Cuts what it does: nothing of it is written any more. */
void live_run_cut_short(struct live_run *run);
/* Not ours any more: sets its result, or moved. */
MAY_SUSPEND void live_run_learn_fate(struct live_run *run);

/* worker.c */
MAY_SUSPEND void worker_leave(struct engine *e); /* at the end of a drain */
void worker_wishes_soon(struct engine *e);
static inline bool engine_is_worker(const struct engine *e) {
    return !e->o.shared || e->w.registered;
}

/* hints.c */
void hint_thread(struct engine *e, struct id thread_id);
void hint_work(struct engine *e);  /* there are runs to be adopted */
void hint_crons(struct engine *e); /* some cron was changed */
void hint_jobs(struct engine *e);  /* a pass of a background job is wanted */
void hints_flush(struct engine *e);
MAY_SUSPEND void hints_peers(struct engine *e);

/* Some run may be this worker's and not live here: soon the rows are looked through. */
void engine_look_for_strays(struct engine *e);

/* crons.c */
void crons_open(struct engine *e);
void crons_close(struct engine *e);
void crons_wake(struct engine *e);
void crons_fiber(void *engine); /* a helper */

/* remote.c */
/* For a new run that finds the thread taken by runs that are not live here. */
MUST_CHECK MAY_SUSPEND int cancel_others(struct engine *e, struct id thread_id,
                                         enum cancel_action action, str reason, struct err *err);

/* The values of a state with its interrupts as runs/wait and the mode values show them. */
str values_with_interrupts(struct arena *a, str values, str list /* JSON; absent: none */);
/* outbox.c: the run's webhook, by the batch of its end; grew: after the commit. */
void outbox_run_end_add(struct live_run *run, struct db_batch *b, enum cancel_action action,
                        str reason);
/* May somebody be told of its end who asks for that meanwhile? */
bool outbox_has_push(const struct live_run *run);
/* Who is to be told of a task of A2A, behind what says that the run is over. */
void outbox_push_add(struct live_run *run, struct db_batch *b);
void outbox_grew(const struct live_run *run);

/* submit.c */
MUST_CHECK int live_run_read_kwargs(struct live_run *run, struct err *err); /* from row.kwargs */

/* context.c: of the run's row are used id, thread and time. Fills run->ahead. */
MUST_CHECK MAY_SUSPEND int live_run_read_context(struct live_run *run, const struct principal *who,
                                                 struct id assistant_id, struct run_context *out,
                                                 struct err *err);

/* begin.c */
struct begin {
    struct hub_entry entries[5]; /* start, then checkpoints; of steps */
    size_t entry_count;
};
/* Loads the state, applies the input, adds the checkpoints. ERR_INVALID for an unusable input. */
MUST_CHECK MAY_SUSPEND int live_run_begin(struct live_run *run, const struct thread *thread,
                                          struct db_batch *b, struct begin *out, struct err *err);
/* execute.c */
/* What a step hands to its commit. */
struct step_commit {
    struct frame *frame;
    struct task *tasks;
    size_t task_count;
    bool state_changed;
    bool over; /* the frame's last */
    bool end;  /* the run's last */
};
MUST_CHECK MAY_SUSPEND int live_run_commit_step(struct step_commit *s);
/* A batch of a node's own, with entries of kind LOG_STEPS. */
MUST_CHECK MAY_SUSPEND int live_run_commit_own(struct live_run *run, struct db_batch *b,
                                               const str *entries, size_t count, struct err *err);
/* The root's checkpoint, when it was not stored yet; a batch of its own. */
MUST_CHECK MAY_SUSPEND int live_run_keep_state(struct frame *f, struct err *err);
/* Also of a run that has not begun here; NULL: it is none that is built in. */
const struct graph_def *live_run_graph(struct live_run *run);
/* To the batch with the run's end: what the graph adds, if it has a hook; of a temporary run, that
 * its thread goes some time later. */
bool live_run_ended_add(struct live_run *run, struct db_batch *b);
void live_run_doom_add(struct live_run *run, struct db_batch *b);
/* What its graph has to say of its end; absent: nothing. */
MUST_CHECK MAY_SUSPEND int live_run_untold(struct live_run *run, str *out, struct err *err);
void live_run_fail(struct live_run *run, int rc, const struct err *err);
/* False: the begin of this run never became durable, so there is nothing to go on with. */
MAY_SUSPEND bool live_run_has_begun(struct live_run *run);
/* A trouble of the database or of this process, not of the run: what failed can be tried again. */
bool live_run_is_passing(int rc);
/* Did it fail for a passing reason, and is the run still ours to go on with? */
bool live_run_may_retry(const struct live_run *run, int rc);
/* The same of what a node reads and writes by itself: it has no end of its own to leave the run for
 * others, so it goes on while the server drains, until the run is cut. */
bool live_run_own_may_retry(const struct live_run *run, int rc);
int64_t live_run_next_wait_us(int64_t wait_us); /* between tries; after 0: the first */
int64_t live_run_recursion_limit(const struct live_run *run);
int live_run_recursed(int64_t limit, struct err *err);
/* The thread's row of a run's begin, as the counter of its log entries. */
struct begin_row {
    const struct live_run *run;
    const struct thread_merge *merge; /* NULL: the thread was told when the run was accepted */
    const struct run_first *first;    /* makes the thread and the run's row; NULL: they are there */
    struct id head;                   /* as the run's context was read */
    struct id checkpoint_id;
    bool fresh; /* the run's own rows are not in the batch: this makes them, too */
};
size_t begin_counter(void *begin_row, struct db_batch *b, int64_t count);
bool live_run_may_start_early(const struct live_run *run);
void live_run_execute(void *run);       /* fiber: the steps of a begun run */
void live_run_start_pending(void *run); /* fiber: claims a pending run, then executes */

#endif
