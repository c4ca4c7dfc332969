/* SPDX-License-Identifier: Apache-2.0 */
/* thread_ttl.h - threads that end some time after their last use.
 *
 * A thread's end is computed from its row: updated_at + ttl. The row says besides when to look
 * at it next; looking is the periodic work of one process (engine/sweep.c).
 * Memory: results in the caller's arena. Suspends: what has an err, not *_add.
 * Tests: tests/unit/store/test_thread_ttl.c, tests/integration/run-threads */
#ifndef HF_STORE_THREAD_TTL_H
#define HF_STORE_THREAD_TTL_H

#include "store/threads.h"

#define THREAD_TTL_US_MAX (INT64_C(100) * 366 * 86400 * 1000000)

/* Fills t->ttl. */
MUST_CHECK int thread_ttl_read(struct store *s, struct thread *t, struct arena *a, struct err *err);
/* Sets it, or takes it away (us 0); fails the batch with ERR_NOT_FOUND. */
void thread_ttl_add(struct db_batch *b, const struct principal *who, struct id id,
                    const struct thread_ttl *ttl, int64_t now_us);

/* Fails the batch with ERR_CONFLICT unless the thread exists, no run of it is live, and it was not
 * used after used_us; until the commit none can begin. */
void thread_hold_idle_add(struct db_batch *b, struct id id, int64_t used_us);

/* Does what is due, at most `limit` threads: those that are over are deleted or pruned, as they
 * say; one with a live run is left for later, and so is one with which it fails. *out_looked:
 * threads that were looked at. */
struct thread_expiry {
    int64_t now_us, limit;
    void (*gone)(void *ctx, struct id id); /* it was deleted; may be NULL, as the next */
    void (*failed)(void *ctx, struct id id, const struct err *err);
    void *ctx;
};
MUST_CHECK int thread_expire(struct store *s, const struct thread_expiry *x, struct arena *a,
                             int64_t *out_looked, struct err *err);

#endif
