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

struct ahead {
    struct live_run *run;
    struct fiber_group group;
    struct checkpoint c;
    bool found;
};

static void read_state(void *arg) {
    struct ahead *a = arg;
    struct err ignored = {0}; /* whoever needs the state reads it, and hears of it */
    a->found = checkpoint_head(a->run->engine->store, a->run->row.thread_id, ID_NIL,
                               &a->run->arena, &a->c, &ignored) == 0;
}

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
    struct ahead ahead = {.run = run};
    bool begins = run->slot && run->slot->running == run; /* else it waits first */
    fiber_group_init(&ahead.group);
    run->ahead = NULL;
    if (e->store->layout == CHECKPOINTS_LANGGRAPH && !run->temporary &&
        had_a_run(e, run->row.thread_id) && begins &&
        fiber_group_spawn(&ahead.group, e->rt, "state", read_state, &ahead, NULL) < 0)
        ahead.found = false;
    int rc = run_context_read(e->store, who, &key, &run->arena, out, err);
    fiber_group_wait(&ahead.group);
    if (rc == 0 && ahead.found && out->has_thread &&
        id_eq(ahead.c.id, out->thread.checkpoint_id)) {
        run->ahead = arena_alloc(&run->arena, sizeof(*run->ahead));
        *run->ahead = ahead.c;
    }
    return rc;
}
