/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_ahead.h - a thread's newest state, asked for beside another read of the same thread.
 *
 * In LangGraph's layout the newest state is found by the thread alone, so it need not wait for
 * the thread's row. Whether it may be shown, or is still the newest, is for the caller to say.
 *
 * Owner: the caller's fiber, on whose stack it may stand; what was asked must be waited for.
 * Errors: as of checkpoint_head, in rc and err. Suspends: only the wait, shielded.
 * Tests: tests/integration/run-many (state_moves_on), run-threads */
#ifndef HF_STORE_CHECKPOINT_AHEAD_H
#define HF_STORE_CHECKPOINT_AHEAD_H

#include "rt/fiber.h"
#include "store/checkpoints.h"

struct checkpoint_ahead {
    struct store *store;
    struct id thread_id;
    struct arena *arena;
    struct fiber_group group;
    bool asked;
    /* When it was asked for, after the wait: */
    int rc;
    struct err err;
    struct checkpoint c;
};

/* Nothing is asked where the layout needs the row first, or no fiber could be made. */
void checkpoint_ahead_ask(struct checkpoint_ahead *h, struct store *s, struct rt *rt,
                          struct id thread_id, struct arena *a);
/* Nothing was asked of one that is all zero. */
MAY_SUSPEND void checkpoint_ahead_wait(struct checkpoint_ahead *h);

#endif
