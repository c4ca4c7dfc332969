/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_ahead.c - asking for a state before its thread's row has come.
 *
 * Design: the read is a fiber of its own; a driver sends at once what is asked for in one turn.
 *
 * Invariants: the fiber is over when the wait returns, so nothing refers to the struct any more. */
#include "store/checkpoint_ahead.h"

static void read_head(void *arg) {
    struct checkpoint_ahead *h = arg;
    h->rc = checkpoint_head(h->store, h->thread_id, ID_NIL, h->arena, &h->c, &h->err);
}

void checkpoint_ahead_ask(struct checkpoint_ahead *h, struct store *s, struct rt *rt,
                          struct id thread_id, struct arena *a) {
    *h = (struct checkpoint_ahead){.store = s, .thread_id = thread_id, .arena = a};
    fiber_group_init(&h->group);
    h->asked = s->layout == CHECKPOINTS_LANGGRAPH &&
               fiber_group_spawn(&h->group, rt, "state", read_head, h, &h->err) == 0;
}

void checkpoint_ahead_wait(struct checkpoint_ahead *h) {
    if (h->asked)
        fiber_group_wait(&h->group);
}
