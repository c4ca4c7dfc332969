/* SPDX-License-Identifier: Apache-2.0 */
/* deletes.c - threads that are deleted while runs of them are asked for, in worlds with deletes.
 *
 *  - a thread whose deletion was acknowledged is gone, with its runs, its log and its state,
 *    whoever had just accepted, adopted or ended a run of it
 *  - nobody keeps anything of it in memory
 *
 * Others do not know that it goes: they ask for runs in all strategies, at all servers. */
#include "sim.h"

#include <stdio.h>

#include "store/checkpoints.h"

#define THREADS      4
#define CALLS_MAX    14
#define TRIES_MAX    20
#define LIST_MAX     100
#define CREATE_TRIES 5

static bool known(int rc) { return sim_passing(rc) || rc == ERR_FENCED; }

/* --- who deletes --- */

/* As the API does. */
static int delete_once(struct sim_world *w, struct sim_server *s, struct id id, struct arena *a,
                       struct err *err) {
    struct thread t;
    int rc = engine_has_thread(s->engine, id)
                 ? ERR_NOT_FOUND
                 : thread_delete_unless_busy(&s->store, &w->who, id, a, err);
    if (rc == ERR_NOT_FOUND) {
        err_reset(err);
        rc = thread_get(&s->store, &w->who, id, a, &t, err);
        if (rc == 0)
            engine_stop_thread(s->engine, id, t.status == THREAD_BUSY);
        if (rc == 0)
            rc = thread_delete(&s->store, &w->who, id, a, err);
    }
    if (rc == 0)
        hub_thread_gone(engine_hub(s->engine), id);
    return rc;
}

static void delete_thread(struct sim_world *w, size_t at) {
    struct id id = w->doomed.p[at].id;
    for (int i = 0; i < TRIES_MAX && !w->doomed.p[at].gone; i++) {
        struct sim_server *s = sim_enter(w);
        struct err err = {0};
        struct arena a;
        if (s) {
            arena_init(&a, SIZE_MAX / 2);
            int rc = delete_once(w, s, id, &a, &err);
            sim_note(w, "server %d.%d deletes thread %02x%02x: %d", s->number, s->life, id.b[14],
                     id.b[15], rc);
            if (!known(rc))
                sim_wrong(w, "a thread was not deleted, with %s: %s", err_name(rc), err.message);
            w->doomed.p[at].gone = rc == 0 || rc == ERR_NOT_FOUND;
            arena_deinit(&a);
            sim_leave(s);
        }
        fiber_sleep_shielded_us((int64_t)sim_below(w, 500000));
    }
}

static bool create(struct sim_world *w) {
    struct sim_doomed made = {.id = id_v7()};
    struct thread t;
    struct arena a;
    int rc = ERR_UNAVAILABLE;
    for (int i = 0; i < CREATE_TRIES && rc < 0; i++) {
        struct sim_server *s = sim_enter(w);
        if (s) {
            arena_init(&a, SIZE_MAX / 2);
            rc = thread_create(&s->store, &w->who, made.id, STR("{}"), STR("{}"), true, &a, &t,
                               NULL);
            arena_deinit(&a);
            sim_leave(s);
        }
        if (rc < 0)
            fiber_sleep_shielded_us(500000);
    }
    if (rc == 0)
        vec_push(&w->doomed, made);
    return rc == 0;
}

void sim_deleter(void *arg) {
    struct sim_world *w = arg;
    for (int i = 0; i < THREADS; i++) {
        fiber_sleep_shielded_us((int64_t)sim_below(w, 2000000));
        if (!create(w))
            continue;
        size_t at = w->doomed.count - 1;
        fiber_sleep_shielded_us((int64_t)sim_below(w, 4000000));
        delete_thread(w, at);
    }
    w->clients--;
}

/* --- who does not know --- */

static void submit(struct sim_world *w, struct sim_server *s, size_t at) {
    const char *graph = sim_graphs[sim_below(w, SIM_PLAIN_GRAPHS)].id;
    struct sim_doomed_run run = {.thread = at};
    struct arena a;
    struct err err = {0};
    arena_init(&a, SIZE_MAX / 2);
    str body = arena_printf(&a,
                            "{\"input\":{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]},"
                            "\"multitask_strategy\":\"%s\"}",
                            sim_strategy(w));
    int rc = sim_submit(w, s, w->doomed.p[at].id, graph, body, &run.id, &err);
    if (rc == 0) {
        vec_push(&w->doomed_runs, run);
        sim_note(w, "server %d.%d accepts run %02x%02x of a thread that goes", s->number, s->life,
                 run.id.b[14], run.id.b[15]);
    } else if (!known(rc)) {
        sim_wrong(w, "a run was refused with %s: %s", err_name(rc), err.message);
    }
    arena_deinit(&a);
}

void sim_unaware(void *arg) {
    struct sim_world *w = arg;
    for (int i = 0; i < CALLS_MAX; i++) {
        fiber_sleep_shielded_us((int64_t)sim_below(w, 1500000));
        struct sim_server *s = w->doomed.count ? sim_enter(w) : NULL;
        if (!s)
            continue;
        submit(w, s, sim_chance(w, 70) ? w->doomed.count - 1 : sim_below(w, w->doomed.count));
        sim_leave(s);
    }
    w->clients--;
}

void sim_delete_all(struct sim_world *w) {
    for (size_t i = 0; i < w->doomed.count; i++) {
        delete_thread(w, i);
        if (!w->doomed.p[i].gone)
            sim_wrong(w, "a thread cannot be deleted in calm");
    }
}

/* --- the checks --- */

static void wrong(struct sim_world *w, struct id thread, const char *what) {
    sim_wrong(w, "of thread %02x%02x, which was to go, there is %s", thread.b[14], thread.b[15],
              what);
}

/* A claim may wait for a slow answer yet. */
static bool is_remembered(struct sim_world *w, struct id id) {
    int64_t begun_us = rt_mono_us(w->rt);
    bool found = true;
    while (found && rt_mono_us(w->rt) - begun_us < SIM_SETTLE_US) {
        found = false;
        for (size_t i = 0; i < SIM_SERVERS; i++)
            found = found || engine_has_thread(w->current[i]->engine, id);
        if (found)
            fiber_sleep_shielded_us(200000);
    }
    return found;
}

void sim_check_thread_gone(struct sim_world *w, struct id id) {
    struct store *store = &w->current[0]->store;
    struct thread t;
    struct id *ids;
    struct log_entry *log;
    size_t count = 0;
    str values = STR_NULL;
    if (thread_get(store, &w->who, id, &w->arena, &t, NULL) != ERR_NOT_FOUND)
        wrong(w, id, "the thread");
    if (run_live_ids(store, id, LIST_MAX, &w->arena, &ids, &count, NULL) < 0 || count)
        wrong(w, id, "a live run");
    if (log_read(store, id, 0, LIST_MAX, &w->arena, &log, &count, NULL) < 0 || count)
        wrong(w, id, "its log");
    if (checkpoint_head_values(store, id, &w->arena, &values, NULL) == 0 && values.p)
        wrong(w, id, "its state");
    if (is_remembered(w, id))
        wrong(w, id, "something in memory");
}

void sim_check_gone(struct sim_world *w) {
    struct run run;
    for (size_t i = 0; i < w->doomed.count; i++)
        sim_check_thread_gone(w, w->doomed.p[i].id);
    for (size_t i = 0; i < w->doomed_runs.count; i++) {
        const struct sim_doomed_run *r = &w->doomed_runs.p[i];
        struct id thread = w->doomed.p[r->thread].id;
        if (run_get(&w->current[0]->store, &w->who, thread, r->id, &w->arena, &run, NULL) !=
            ERR_NOT_FOUND)
            wrong(w, thread, "a run");
    }
}
