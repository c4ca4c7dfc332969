/* SPDX-License-Identifier: Apache-2.0 */
/* stateless.c - runs without a thread, in worlds with such: each has one of its own, which goes
 * with it or stays.
 *
 *  - one that was accepted comes to its end, alone or in a batch, whoever follows it or waits for
 *    it
 *  - then its thread is gone, with all that it had, or is there with the run, as was asked for;
 *    also when it was cancelled before it began, or taken up by another server
 *
 * Their servers execute few at once, so some wait. */
#include "sim.h"

#include <stdio.h>

#define CALLS_MAX 16
#define MANY_MAX  3
#define INPUT     "\"input\":{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define MODES     "\"stream_mode\":[\"values\",\"updates\",\"messages-tuple\"]"

static const char *any_graph(struct sim_world *w) {
    return sim_graphs[sim_below(w, SIM_PLAIN_GRAPHS)].id;
}

static struct run_submit submission(struct sim_world *w, const char *graph, bool keep,
                                    struct arena *a) {
    struct run_submit s = {.who = &w->who,
                           .assistant_id = id_v5(ID_NAMESPACE_GRAPH, str_of(graph)),
                           .assistant_name = str_of(graph)};
    str body = arena_printf(a, "{" INPUT "," MODES ",\"on_completion\":\"%s\"}",
                            keep ? "keep" : "delete");
    if (json_parse(a, body, &s.body, NULL) < 0)
        UNREACHABLE();
    return s;
}

static void note(struct sim_world *w, struct sim_server *s, struct live_run *live,
                 const char *graph, bool keep) {
    struct sim_passer p = {.run = {.id = live_run_id(live),
                                   .thread_id = live_run_thread(live),
                                   .graph = graph},
                           .keep = keep};
    vec_push(&w->passers, p);
    sim_note(w, "server %d.%d accepts stateless run %02x%02x of %s, %s", s->number, s->life,
             p.run.id.b[14], p.run.id.b[15], graph, keep ? "kept" : "to go");
    live_run_unref(live);
}

static void refused(struct sim_world *w, int rc, const struct err *err) {
    if (!sim_passing(rc))
        sim_wrong(w, "a stateless run was refused with %s: %s", err_name(rc), err->message);
}

static void submit(struct sim_world *w, struct sim_server *s, struct arena *a) {
    const char *graph = any_graph(w);
    bool keep = sim_chance(w, 30);
    struct run_submit run = submission(w, graph, keep, a);
    struct live_run *live;
    struct err err = {0};
    int rc = engine_submit(s->engine, &run, &live, &err);
    if (rc == 0)
        note(w, s, live, graph, keep);
    refused(w, rc, &err);
}

static void submit_many(struct sim_world *w, struct sim_server *s, struct arena *a) {
    const char *graph = any_graph(w);
    bool keep = sim_chance(w, 30);
    struct run_submit runs[MANY_MAX];
    struct live_run *live[MANY_MAX];
    struct err err = {0};
    size_t count = 1 + sim_below(w, MANY_MAX);
    for (size_t i = 0; i < count; i++)
        runs[i] = submission(w, graph, keep, a);
    int rc = engine_submit_many(s->engine, runs, count, NULL, NULL, live, &err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        note(w, s, live[i], graph, keep);
    refused(w, rc, &err);
}

static void cancel(struct sim_world *w, struct sim_server *s) {
    struct sim_passer *p = &w->passers.p[sim_below(w, w->passers.count)];
    struct id id = p->run.id;
    struct err err = {0};
    enum cancel_action action = sim_chance(w, 30) ? CANCEL_ROLLBACK : CANCEL_INTERRUPT;
    p->run.stopped = true;
    p->run.undone = p->run.undone || action == CANCEL_ROLLBACK;
    int rc = engine_cancel(s->engine, &w->who, ID_NIL, id, action, STR("sim"), false, &err);
    sim_note(w, "server %d.%d cancels stateless run %02x%02x: %d", s->number, s->life, id.b[14],
             id.b[15], rc);
    if (!sim_passing(rc))
        sim_wrong(w, "a cancel was refused with %s: %s", err_name(rc), err.message);
}

static void call(struct sim_world *w, struct sim_server *s) {
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    uint64_t what = sim_below(w, 100);
    if (what < 40 || w->passers.count == 0)
        submit(w, s, &a);
    else if (what < 60)
        submit_many(w, s, &a);
    else if (what < 80)
        cancel(w, s);
    else
        sim_await(w, s, w->passers.p[sim_below(w, w->passers.count)].run.id);
    arena_deinit(&a);
}

void sim_passers(void *world) { sim_calls(world, CALLS_MAX, 2000000, call); }

void sim_onlooker(void *arg) {
    struct sim_world *w = arg;
    for (int i = 0; i < CALLS_MAX; i++) {
        fiber_sleep_shielded_us((int64_t)sim_below(w, 2000000));
        if (w->passers.count == 0)
            continue;
        struct sim_run run = w->passers.p[sim_below(w, w->passers.count)].run;
        sim_follow(w, &run);
    }
    w->clients--;
}

/* --- the check --- */

static void wrong(struct sim_world *w, const struct sim_passer *p, const char *what) {
    sim_wrong(w, "stateless run %02x%02x %s", p->run.id.b[14], p->run.id.b[15], what);
}

static void check_kept(struct sim_world *w, const struct sim_passer *p) {
    struct store *store = &w->current[0]->store;
    struct thread t;
    struct run run;
    bool fails = str_eq(str_of(p->run.graph), STR("fail"));
    if (thread_get(store, &w->who, p->run.thread_id, &w->arena, &t, NULL) < 0)
        wrong(w, p, "was to leave its thread, which is gone");
    else if (t.status == THREAD_BUSY)
        wrong(w, p, "has left a busy thread");
    if (run_get(store, &w->who, ID_NIL, p->run.id, &w->arena, &run, NULL) < 0) {
        if (!p->run.undone)
            wrong(w, p, "is gone");
        return;
    }
    if (run.status != (fails ? RUN_ERROR : RUN_SUCCESS) &&
        !(p->run.stopped && run.status == RUN_INTERRUPTED))
        wrong(w, p, "ended otherwise than it should");
}

void sim_check_passers(struct sim_world *w) {
    sim_sweep_doomed(w);
    for (size_t i = 0; i < w->passers.count; i++) {
        const struct sim_passer *p = &w->passers.p[i];
        if (p->keep)
            check_kept(w, p);
        else
            sim_check_thread_gone(w, p->run.thread_id);
        if (sim_begun(w, p->run.id)->attempt == 0 && !p->run.stopped)
            wrong(w, p, "was never executed");
    }
}
