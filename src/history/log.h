/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - the thread's append-only log: numbered inside the commit, read by cursor.
 *
 * seq is gap-free per thread and counts from 1: the batch that appends takes the numbers from the
 * thread's row, whoever appends. Memory: entries read live in the arena.
 * Errors: ERR_NOT_FOUND when the thread is gone. Suspends: log_read.
 * Tests: tests/unit/history/test_log.c */
#ifndef HF_HISTORY_LOG_H
#define HF_HISTORY_LOG_H

#include "store/store.h"

enum log_kind {
    LOG_START = 1,  /* a run's attempt begins: {"attempt","metadata","modes",…} */
    LOG_CHECKPOINT, /* a state: {"id","parent","ns","step","source","next","tasks",…} */
    LOG_TASK,       /* a task's result: {"id","name","result","error",…} */
    LOG_FRAGMENTS,  /* tokens, coalesced: {"b": base, "k": first, "f": [fragment, …]} */
    LOG_END,        /* a run's end: {"status","error"} */
    LOG_QUEUED,     /* a run was accepted and waits for its turn */
    /* From here on: of plans; an index finds them by kind. */
    LOG_STEPS = 64 /* what became of steps: see src/plans/events.c */
};

struct log_entry {
    int64_t seq;
    struct id run_id;
    enum log_kind kind;
    int64_t at; /* wall clock, us */
    str data;   /* JSON object */
};

/* A statement that changes the thread's row anyway may take the numbers, too: it moves the counter
 * on by count and returns it as its only column. */
struct log_counter {
    size_t (*add)(void *ctx, struct db_batch *b, int64_t count);
    void *ctx;
};
/* Adds the statements; returns the operation whose result log_last_seq() reads after the commit.
 * entries[i].seq is not looked at; they get consecutive numbers. count > 0. counter may be NULL. */
size_t log_append_add(struct db_batch *b, struct id thread_id, const struct log_entry *entries,
                      size_t count, const struct log_counter *counter);
int64_t log_last_seq(const struct db_batch *b, size_t op);

#define LOG_PAGE_MAX 256
/* The last `limit` entries, newest first. */
MUST_CHECK MAY_SUSPEND int log_read_newest(struct store *s, struct id thread_id, int64_t limit,
                                           struct arena *a, struct log_entry **out,
                                           size_t *out_count, struct err *err);
/* The last numbers of many logs; a thread that does not exist is left out. */
struct log_head {
    struct id thread_id;
    int64_t seq;
};
MUST_CHECK MAY_SUSPEND int log_heads(struct store *s, const struct id *threads, size_t thread_count,
                                     struct arena *a, struct log_head **out, size_t *out_count,
                                     struct err *err);
/* Entries after `after`, oldest first, at most limit. */
MUST_CHECK MAY_SUSPEND int log_read(struct store *s, struct id thread_id, int64_t after,
                                    int64_t limit, struct arena *a, struct log_entry **out,
                                    size_t *out_count, struct err *err);
/* The number before the newest start entry at or before seq; 0 when there is none: from there a
 * renderer sees the run that was under way at seq. */
MUST_CHECK MAY_SUSPEND int log_last_start(struct store *s, struct id thread_id, int64_t seq,
                                          struct arena *a, int64_t *out, struct err *err);

#endif
