/* SPDX-License-Identifier: Apache-2.0 */
/* thread_prune.h - older states of a thread go, or all of it, but never under a live run.
 *
 * Memory: the arena given, released by the caller. Errors: ERR_CONFLICT when a run of the thread is
 * live, or it was used since the row was read. Suspends: both functions.
 * Tests: tests/conformance/test_thread_prune.c, tests/integration/run-threads */
#ifndef HF_STORE_THREAD_PRUNE_H
#define HF_STORE_THREAD_PRUNE_H

#include "store/threads.h"

/* Which states stay: of each namespace the newest always, others when they are among the `count`
 * newest and were made at or after since_us. */
struct prune_policy {
    int64_t count, since_us;
    bool thorough; /* also without such states, look for what none refers to */
};
#define PRUNE_TO_LATEST ((struct prune_policy){.count = 1})

/* *out_removed: states, also when it stops with an error in between. */
MUST_CHECK int thread_prune(struct store *s, const struct thread *t,
                            const struct prune_policy *policy, struct arena *a,
                            int64_t *out_removed, struct err *err);
/* Deletes the thread, if it is idle. */
MUST_CHECK int thread_delete_idle(struct store *s, const struct thread *t, struct arena *a,
                                  struct err *err);

#endif
