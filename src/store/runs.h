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
/* Pending and running ones, oldest first: for recovery. */
MUST_CHECK int run_list_live(struct store *s, int64_t limit, struct id after, struct arena *a,
                             struct run **out, size_t *out_count, struct err *err);

/* What creating a run needs, in one read: the assistant, the thread (when there is one) and how
 * many live runs it has. has_thread false: no such thread of this principal. */
struct run_context {
    struct assistant assistant;
    bool has_assistant, has_thread;
    struct thread thread;
    int64_t live_runs;
};
MUST_CHECK int run_context_read(struct store *s, const struct principal *who,
                                struct id assistant_id, struct id thread_id, struct arena *a,
                                struct run_context *out, struct err *err);

void run_insert_add(struct db_batch *b, const struct run *run);
/* pending → running with run_next_attempt(attempt), only from `attempt`; fails the batch with
 * ERR_FENCED. */
void run_claim_add(struct db_batch *b, struct id run_id, int64_t attempt, int64_t now_us);
/* Sets the end state, only for `attempt`; ERR_FENCED. error and cancel_reason may be absent. */
void run_finish_add(struct db_batch *b, struct id run_id, int64_t attempt, enum run_status status,
                    str error, str cancel_reason, int64_t now_us);
/* Back to pending after a crash: the attempt is spent. ERR_FENCED. */
void run_requeue_add(struct db_batch *b, struct id run_id, int64_t attempt, int64_t now_us);
/* Back to pending at a drain, if it still runs: the attempt becomes negative, which says that it is
 * not spent. Never fails the batch. */
void run_hand_back_add(struct db_batch *b, struct id run_id, int64_t attempt, int64_t now_us);
static inline int64_t run_next_attempt(int64_t attempt) {
    return attempt < 0 ? -attempt : attempt + 1;
}
void run_delete_add(struct db_batch *b, struct id thread_id, struct id run_id);
/* Removes the run with its events and checkpoints; the thread goes back to the newest that is left.
 */
void run_rollback_add(struct db_batch *b, struct id thread_id, struct id run_id);
/* Thread side of a run's start and end. The status is derived: busy while live runs remain. Each
 * also moves the thread's log counter on by log_count and returns the operation that gives it
 * (history/log.h, struct log_counter). */
struct thread_merge {
    str read, metadata; /* the thread's metadata as it was read, and with the run's merged in */
    str under, over;    /* what was merged under and over it: done again if it has changed since */
    str config;
};
size_t thread_begin_add(struct db_batch *b, struct id thread_id,
                        const struct thread_merge *merge /* NULL: leaves metadata and config */,
                        struct id checkpoint_id /* nil: keep */, int64_t log_count,
                        int64_t now_us);
size_t thread_settle_add(struct db_batch *b, struct id thread_id, enum thread_status otherwise,
                         str interrupts, str error, struct id checkpoint_id /* nil: keep */,
                         int64_t log_count, int64_t now_us);
/* A newer state in the middle of a run. */
size_t thread_checkpoint_add(struct db_batch *b, struct id thread_id, struct id checkpoint_id,
                             int64_t log_count, int64_t now_us);

#endif
