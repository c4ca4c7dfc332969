/* SPDX-License-Identifier: Apache-2.0 */
/* runs.h - run rows: creation, claims fenced by attempt, ends. Tests: tests/unit/store/ */
#ifndef HF_STORE_RUNS_H
#define HF_STORE_RUNS_H

#include "model/state.h"
#include "store/assistants.h"
#include "store/threads.h"

struct run {
    struct id id, thread_id, assistant_id;
    enum run_status status;
    str metadata, kwargs; /* object texts */
    str multitask_strategy;
    int64_t attempt, first_seq;
    str cancel_reason, error; /* absent: null */
    int64_t created_at, updated_at;
};
#define RUN_COLUMN_COUNT 13
void run_from_row(const struct db_rows *r, size_t row, size_t col, struct run *out);

MUST_CHECK int run_get(struct store *s, const struct principal *who,
                       struct id thread_id /* nil: any */, struct id run_id, struct arena *a,
                       struct run *out, struct err *err); /* "Run not found" */
/* Newest first. status NULL: any. The thread must be the principal's (ERR_NOT_FOUND). */
MUST_CHECK int run_list(struct store *s, const struct principal *who, struct id thread_id,
                        const enum run_status *status, const struct page *page, struct arena *a,
                        struct run **out, size_t *out_count, struct err *err);
MUST_CHECK int run_delete(struct store *s, const struct principal *who, struct id thread_id,
                          struct id run_id, struct arena *a, struct err *err);
/* Pending and running ones that `worker` has to execute, by id from `after` on. */
MUST_CHECK int run_list_of_worker(struct store *s, struct id worker, struct id after, int64_t limit,
                                  struct arena *a, struct run **out, size_t *out_count,
                                  struct err *err);
/* Live runs of a thread, newest first. */
MUST_CHECK int run_live_ids(struct store *s, struct id thread_id, int64_t limit, struct arena *a,
                            struct id **out, size_t *out_count, struct err *err);
/* The principal's live runs of a thread (nil: of any), of a status (NULL: pending and running), by
 * id from `after` on. */
MUST_CHECK int run_live_list(struct store *s, const struct principal *who, struct id thread_id,
                             const enum run_status *status, struct id after, int64_t limit,
                             struct arena *a, struct id **out, size_t *out_count, struct err *err);
/* Gives the worker up to `limit` live runs whose worker is gone, oldest first. */
MUST_CHECK int run_adopt(struct store *s, struct id worker, int64_t now_us, int64_t limit,
                         struct arena *a, int64_t *out_count, struct err *err);

/* Where a run is, whosever it is. */
struct run_place {
    struct id thread_id, worker; /* worker nil: nobody's yet */
    enum run_status status;
    int64_t attempt;
    bool cancel_asked;
    enum cancel_action cancel_action;
    str cancel_reason, error;
    int64_t seq;        /* of the thread's log */
    struct id slot_run; /* that has the thread; nil: none */
};
MUST_CHECK int run_place_get(struct store *s, struct id run_id, struct arena *a,
                             struct run_place *out, struct err *err); /* "Run not found" */
/* Wishes of other processes about the worker's runs. */
struct run_wish {
    struct id run_id;
    enum cancel_action action;
    str reason;
};
MUST_CHECK int run_wishes(struct store *s, struct id worker, int64_t limit, struct arena *a,
                          struct run_wish **out, size_t *out_count, struct err *err);
/* Tells the run's worker; changes nothing when the run is over. */
MUST_CHECK int run_ask_cancel(struct store *s, struct id run_id, enum cancel_action action,
                              str reason, int64_t now_us, struct arena *a, bool *out_live,
                              struct err *err);

/* What creating or claiming a run needs, in one read: the assistant, the thread (when there is
 * one), which run has it, whether live runs are before the one at (time, run_id), and preferences
 * that hold at that time.
 * has_thread false: no such thread of this principal. */
struct run_context_key {
    struct id assistant_id, thread_id, run_id;
    int64_t time_us;
};
struct run_context {
    struct assistant assistant;
    bool has_assistant, has_thread;
    struct thread thread;
    struct id slot_run; /* nil: the thread is free */
    bool has_older;
    struct id head; /* checkpoint that the row names; another program may have made newer */
    str preferences, overrides; /* of the owner, of the thread: objects; absent or {}: none */
    int64_t overrides_until;    /* the first of these is over then; 0: there are none */
};
MUST_CHECK int run_context_read(struct store *s, const struct principal *who,
                                const struct run_context_key *key, struct arena *a,
                                struct run_context *out, struct err *err);

/* Of one without a thread: with its texts in the arena. */
void run_context_copy(struct arena *a, const struct run_context *from, struct run_context *out);

/* The right to write for a run: the thread's row names all three. */
struct run_hold {
    struct id thread_id, run_id;
    int64_t attempt;
    struct id worker;
};

void run_insert_add(struct db_batch *b, const struct run *run, struct id worker);
/* A thread that is made with its first run, which begins at once. */
struct run_first {
    const struct principal *who;
    const struct thread_new *thread;
    const struct run *run; /* attempt: the one that begins; its status is not looked at */
    struct id worker;
    struct id checkpoint_id; /* the state that it has made; nil: none is stored yet */
};
/* As thread_begin_add: the statement whose row holds the log's last number. ERR_EXISTS. */
size_t run_first_add(struct store *s, struct db_batch *b, const struct run_first *f,
                     int64_t log_count, int64_t now_us);
/* pending (or running, of a worker that died) → running with the hold's attempt, only from
 * `attempt` and for the worker that the run was given to; fails the batch with ERR_FENCED. */
void run_claim_add(struct db_batch *b, const struct run_hold *hold, int64_t attempt,
                   int64_t now_us);
/* Sets the end state, only for `attempt`; ERR_FENCED. error and cancel_reason may be absent. */
void run_finish_add(struct db_batch *b, struct id run_id, int64_t attempt, enum run_status status,
                    str error, str cancel_reason, int64_t now_us);
/* Fails the batch with ERR_FENCED when the run is not as it was read. */
void run_still_add(struct db_batch *b, struct id run_id, int64_t attempt, enum run_status status);
/* Back to pending at a drain, for any worker, if it still runs and has the thread; that is free
 * then. The attempt becomes negative, which says that it is not spent. Of a run that was adopted
 * and not begun again nothing changes: its attempt was another worker's. Never fails the batch. */
void run_hand_back_add(struct db_batch *b, const struct run_hold *hold, int64_t now_us);
static inline int64_t run_next_attempt(int64_t attempt) {
    return attempt < 0 ? -attempt : attempt + 1;
}
void run_delete_add(struct db_batch *b, struct id thread_id, struct id run_id);
/* Removes the run with its events and checkpoints; the thread goes back to the newest that is left.
 */
void run_rollback_add(const struct store *s, struct db_batch *b, struct id thread_id,
                      struct id run_id);
/* Thread side of a run's start and end. The status is derived: busy while live runs remain. Each
 * also moves the thread's log counter on by log_count and returns the operation that gives it
 * (history/log.h, struct log_counter). */
struct thread_merge {
    str read, metadata; /* the thread's metadata as it was read, and with the run's merged in */
    str under, over;    /* what was merged under and over it: done again if it has changed since */
    str config;
};
/* Gives the thread to the run: ERR_CONFLICT when another has it or waits before it, when the thread
 * has moved on from `head` (run_context) since that was read, and when there is no thread. */
size_t thread_begin_add(struct db_batch *b, const struct run_hold *hold, int64_t run_time_us,
                        struct id head,
                        const struct thread_merge *merge /* NULL: leaves metadata and config */,
                        struct id checkpoint_id /* nil: keep */, int64_t log_count,
                        int64_t now_us);
/* On PostgreSQL run_insert_add and thread_begin_add of a run that is new are one statement, and so
 * are run_finish_add and thread_settle_add: run_begins_whole says whether they are here. */
bool run_begins_whole(const struct store *s);
/* The run's row, running, and its thread in one: conditions and errors as thread_begin_add. */
size_t run_begin_add(struct db_batch *b, const struct run *run, const struct run_hold *hold,
                     struct id head, const struct thread_merge *merge,
                     struct id checkpoint_id /* nil: keep */, int64_t log_count, int64_t now_us);
/* A run will wait for the thread. ERR_NOT_FOUND. */
size_t thread_queue_add(struct db_batch *b, struct id thread_id, const struct thread_merge *merge,
                        int64_t log_count, int64_t now_us);
/* The run leaves the thread. ERR_FENCED when it has it no more; so do the next three. */
size_t thread_settle_add(struct db_batch *b, const struct run_hold *hold,
                         enum thread_status otherwise, str interrupts, str error,
                         struct id checkpoint_id /* nil: keep */, int64_t log_count,
                         int64_t now_us);
/* The run ends as run_finish_add says, and leaves the thread: ERR_FENCED. */
struct run_end {
    enum run_status status;
    str error, cancel_reason; /* may be absent */
};
size_t run_settle_add(struct db_batch *b, const struct run_hold *hold, const struct run_end *end,
                      enum thread_status otherwise, str interrupts, str error,
                      struct id checkpoint_id /* nil: keep */, int64_t log_count, int64_t now_us);
/* A newer state in the middle of a run. */
size_t thread_checkpoint_add(struct db_batch *b, const struct run_hold *hold,
                             struct id checkpoint_id, int64_t log_count, int64_t now_us);
/* A newer state that no run made: ERR_CONFLICT while a run of the thread is live, and when one was,
 * or the state was changed, since `t` was read, which has to be before the state was. made nil: of
 * a subgraph, the thread stays as it is. */
void thread_update_add(struct db_batch *b, const struct thread *t, struct id made,
                       enum thread_status status, int64_t now_us);
/* Only moves the log counter on. */
size_t thread_log_add(struct db_batch *b, const struct run_hold *hold, int64_t log_count);
/* Only the question whether the run has the thread. */
size_t thread_hold_add(struct db_batch *b, const struct run_hold *hold);
/* The thread goes with the run that has it, and all of it. ERR_FENCED. */
void thread_delete_held_add(const struct store *s, struct db_batch *b, const struct run_hold *hold);
/* A run that waited leaves: the thread is idle, in error or asks, as before. asks_void: it asks
 * nothing any more. ERR_NOT_FOUND. */
size_t thread_leave_add(struct db_batch *b, struct id thread_id, struct id run_id, bool asks_void,
                        int64_t log_count, int64_t now_us);

#endif
