/* SPDX-License-Identifier: Apache-2.0 */
/* updates.c - states that are changed by hand between runs, in worlds with updates.
 *
 *  - an update that was acknowledged is in the thread's state at the end, once: no run that began
 *    from the state before it, and no rollback, took it away
 *  - one that was refused because a run is live is not there */
#include "sim.h"

#include <stdio.h>

#include "engine/inspect.h"

#define CALLS_MAX 14

static int update(struct sim_world *w, struct sim_server *s, struct id thread, int64_t number,
                  struct arena *a, struct err *err) {
    struct thread t;
    struct id made;
    struct state_update u = {.as_node = STR("c")};
    struct state_superstep step = {.updates = &u, .count = 1};
    struct state_change change = {
        .thread = &t, .graph_id = STR("chain"), .name_space = STR(""), .steps = &step, .count = 1};
    str values = arena_printf(
        a, "{\"messages\":[{\"role\":\"user\",\"content\":\"by hand\",\"id\":\"u%lld.\"}]}",
        (long long)number);
    if (json_parse(a, values, &u.values, NULL) < 0)
        UNREACHABLE();
    int rc = thread_get(&s->store, &w->who, thread, a, &t, err);
    return rc < 0 ? rc : engine_state_update(s->engine, &change, &made, err);
}

static void call(struct sim_world *w, struct sim_server *s) {
    struct sim_update u = {.thread_id = w->threads[sim_below(w, SIM_THREADS - 1)].id};
    struct arena a;
    struct err err = {0};
    arena_init(&a, SIZE_MAX / 2);
    int64_t number = (int64_t)w->updates.count;
    vec_push(&w->updates, u);
    int rc = update(w, s, u.thread_id, number, &a, &err);
    w->updates.p[number].stored = rc == 0;
    w->updates.p[number].refused = rc == ERR_CONFLICT;
    sim_note(w, "server %d.%d makes update %lld of thread %02x%02x: %d", s->number, s->life,
             (long long)number, u.thread_id.b[14], u.thread_id.b[15], rc);
    if (!sim_passing(rc))
        sim_wrong(w, "a state was not changed, with %s: %s", err_name(rc), err.message);
    arena_deinit(&a);
}

void sim_updater(void *world) { sim_calls(world, CALLS_MAX, 3000000, call); }

static int times(str text, str part) {
    int n = 0;
    for (int64_t at; (at = (int64_t)str_find(text, part)) >= 0; n++)
        text = str_slice(text, (size_t)at + part.len, text.len);
    return n;
}

void sim_check_updates(struct sim_world *w) {
    for (size_t i = 0; i < w->updates.count; i++) {
        const struct sim_update *u = &w->updates.p[i];
        str values = STR_NULL;
        if (checkpoint_head_values(&w->current[0]->store, u->thread_id, &w->arena, &values, NULL) <
            0)
            sim_wrong(w, "a state cannot be read");
        int n = values.p ? times(values, arena_printf(&w->arena, "\"u%zu.\"", i)) : 0;
        if (n > 1 || (u->stored && n == 0) || (u->refused && n))
            sim_wrong(w, "update %zu of thread %02x%02x is in its state %d times", i,
                      u->thread_id.b[14], u->thread_id.b[15], n);
    }
}
