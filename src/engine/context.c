/* SPDX-License-Identifier: Apache-2.0 */
/* context.c - what a run needs before it begins, in one round trip where that can be had.
 *
 *   context ──┐ asked for in the same turn
 *             ├──▶ the state is the one that the context names: taken
 *   state ────┘    any other: left, and read again when the run begins
 *
 * The newest state in LangGraph's layout is found by the thread alone, so it can be asked for
 * before the context tells which one it is. It is, for threads that had a run here before; others
 * mostly have no state yet. What stands under a checkpoint's id does not change, so it does not
 * matter which of the two was read first. */
#include "engine/engine_int.h"

#include "store/checkpoint_ahead.h"

/* A hint, kept by the last bytes of ids: one thread may displace another. */
static struct id *place_of(struct engine *e, struct id thread_id) {
    size_t at = (size_t)thread_id.b[14] << 8 | thread_id.b[15];
    return &e->ran_here[at % ARRAY_COUNT(e->ran_here)];
}

static bool had_a_run(struct engine *e, struct id thread_id) {
    struct id *place = place_of(e, thread_id);
    bool had = id_eq(*place, thread_id);
    *place = thread_id;
    return had;
}

int live_run_read_context(struct live_run *run, const struct principal *who,
                          struct id assistant_id, struct run_context *out, struct err *err) {
    struct engine *e = run->engine;
    struct run_context_key key = {.assistant_id = assistant_id,
                                  .thread_id = run->row.thread_id,
                                  .run_id = run->row.id,
                                  .time_us = run->row.created_at};
    struct checkpoint_ahead ahead = {0};
    bool begins = run->slot && run->slot->running == run; /* else it waits first */
    run->ahead = NULL;
    if (!run->temporary && had_a_run(e, run->row.thread_id) && begins)
        checkpoint_ahead_ask(&ahead, e->store, e->rt, run->row.thread_id, &run->arena);
    int rc = run_context_read(e->store, who, &key, &run->arena, out, err);
    checkpoint_ahead_wait(&ahead);
    /* An error of it is met again by who needs the state. */
    if (rc == 0 && ahead.asked && ahead.rc == 0 && out->has_thread &&
        id_eq(ahead.c.id, out->thread.checkpoint_id)) {
        run->ahead = arena_alloc(&run->arena, sizeof(*run->ahead));
        *run->ahead = ahead.c;
    }
    return rc;
}
