/* SPDX-License-Identifier: Apache-2.0 */
/* sweeps.c - threads that are copied, lose older states or end by themselves while runs come and
 * go, in worlds that sweep: their servers do the periodic work.
 *
 *  - what the log no longer tells the database's statements have told (model.c): a state still
 *    counts every task that was committed
 *  - a copy has the state that its thread had at that moment, and runs go on from it
 *  - a thread ends by its ttl only when nothing of it is under way: a run that was accepted has
 *    been executed; then nothing is left of it
 *
 * Nothing is rolled back here, so all that was counted stays. */
#include "sim.h"

#include "store/checkpoints.h"
#include "store/thread_ops.h"
#include "store/thread_prune.h"
#include "store/thread_ttl.h"

#define CALLS_MAX  14
#define THREADS    5
#define TTL_US     6000000
#define EXPIRY_MAX 100
#define TRIES_MAX  60
#define DOOMED_US  INT64_C(3600000000)
#define DOOMED_MAX 1000
#define CHAIN      3 /* tasks of a run of "chain" */

/* --- of the statements --- */

/* Tasks count when their step's checkpoint is stored. */
static void counted(struct sim_held *h, const struct db_op *op) {
    enum log_kind kind = (enum log_kind)op->params[3].i;
    if (kind == LOG_START || kind == LOG_END)
        h->open = 0;
    else if (kind == LOG_TASK)
        h->open += str_find(op->params[5].s, STR("\"result\":{\"count\":")) >= 0;
    else if (kind == LOG_CHECKPOINT) {
        h->counted += h->open;
        h->open = 0;
    }
}

void sim_swept_stored(struct sim_world *w, const struct db_op *op) {
    if (op->stmt == SQL_LOG_INSERT) {
        counted(sim_held(w, op->params[0].id), op);
    } else if (op->stmt == SQL_THREAD_COPY) {
        int64_t count = sim_held(w, op->params[1].id)->counted;
        sim_held(w, op->params[0].id)->counted = count;
    } else if (op->stmt == SQL_THREAD_HOLD_IDLE) {
        const struct sim_held *h = sim_held(w, op->params[0].id);
        if (!id_is_nil(h->hold.run_id))
            sim_wrong(w, "thread %02x%02x is taken for idle, and run %02x%02x has it",
                      h->hold.thread_id.b[14], h->hold.thread_id.b[15], h->hold.run_id.b[14],
                      h->hold.run_id.b[15]);
    }
}

/* --- the clients --- */

static void copy(struct sim_world *w, struct sim_server *s) {
    struct id source = w->threads[sim_below(w, SIM_THREADS - 1)].id, id = id_v7();
    struct err err = {0};
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    int rc = thread_copy(&s->store, &w->who, source, id, true, &a, &err);
    sim_note(w, "server %d.%d copies thread %02x%02x to %02x%02x: %d", s->number, s->life,
             source.b[14], source.b[15], id.b[14], id.b[15], rc);
    if (!sim_passing(rc))
        sim_wrong(w, "a thread was not copied, with %s: %s", err_name(rc), err.message);
    if (rc == 0)
        vec_push(&w->copies, id);
    arena_deinit(&a);
}

static void prune(struct sim_world *w, struct sim_server *s) {
    static const struct prune_policy latest = {.count = 1, .thorough = true};
    struct id id = w->threads[sim_below(w, SIM_THREADS)].id;
    struct thread t;
    int64_t removed = 0;
    struct err err = {0};
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    int rc = thread_get(&s->store, &w->who, id, &a, &t, &err);
    if (rc == 0)
        rc = thread_prune(&s->store, &t, &latest, &a, &removed, &err);
    sim_note(w, "server %d.%d prunes thread %02x%02x of %lld states: %d", s->number, s->life,
             id.b[14], id.b[15], (long long)removed, rc);
    if (!sim_passing(rc))
        sim_wrong(w, "a thread was not pruned, with %s: %s", err_name(rc), err.message);
    arena_deinit(&a);
}

static void make(struct sim_world *w, struct sim_server *s) {
    struct thread t;
    struct arena a;
    struct sim_doomed made = {.id = id_v7()};
    struct thread_new n = {.id = made.id,
                           .metadata = STR("{}"),
                           .config = STR("{}"),
                           .ttl = {.us = 1 + (int64_t)sim_below(w, TTL_US),
                                   .strategy = PRUNE_DELETE}};
    arena_init(&a, SIZE_MAX / 2);
    if (thread_make(&s->store, &w->who, &n, true, &a, &t, NULL) == 0)
        vec_push(&w->doomed, made);
    arena_deinit(&a);
}

static void call(struct sim_world *w, struct sim_server *s) {
    if (w->doomed.count < THREADS && sim_chance(w, 30))
        make(w, s);
    else if (sim_chance(w, 60))
        copy(w, s);
    else
        prune(w, s);
}

void sim_sweeper(void *world) { sim_calls(world, CALLS_MAX, 3000000, call); }

/* --- the end --- */

void sim_sweep_doomed(struct sim_world *w) {
    int64_t deleted = 0, then = rt_now_us(w->rt) + DOOMED_US;
    struct err err = {0};
    do
        if (thread_delete_doomed(&w->current[0]->store, then, DOOMED_MAX, &w->arena, &deleted,
                                 &err) < 0)
            sim_wrong(w, "threads are not swept: %s", err.message);
    while (deleted > 0 && w->why.len == 0);
}

/* As the periodic work does, after all ttls. */
static bool expire(struct sim_world *w) {
    struct thread_expiry x = {.now_us = rt_now_us(w->rt) + INT64_C(1000000000),
                              .limit = EXPIRY_MAX};
    struct err err = {0};
    struct thread t;
    int64_t looked;
    bool left = false;
    if (thread_expire(&w->current[0]->store, &x, &w->arena, &looked, &err) < 0)
        sim_wrong(w, "threads do not expire: %s", err.message);
    for (size_t i = 0; i < w->doomed.count; i++) {
        struct sim_doomed *d = &w->doomed.p[i];
        d->gone = d->gone || thread_get(&w->current[0]->store, &w->who, d->id, &w->arena, &t,
                                        NULL) == ERR_NOT_FOUND;
        left = left || !d->gone;
    }
    return !left;
}

/* Their copies have no run that anybody knows of but these. */
static void run_copies(struct sim_world *w) {
    for (size_t i = 0; i < w->copies.count; i++) {
        struct id run;
        struct err err = {0};
        int rc = ERR_UNAVAILABLE;
        for (int tries = 0; rc == ERR_UNAVAILABLE && tries < TRIES_MAX; tries++) {
            str body = STR("{\"input\":{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}}");
            err_reset(&err);
            rc = sim_submit(w, w->current[tries % SIM_SERVERS], w->copies.p[i], "chain", body,
                            &run, &err);
            if (rc < 0)
                fiber_sleep_shielded_us(500000);
        }
        if (rc < 0)
            sim_wrong(w, "a copy takes no run: %s", err.message);
        else
            sim_held(w, w->copies.p[i])->wanted = CHAIN;
    }
}

void sim_sweep_all(struct sim_world *w) {
    for (int i = 0; i < TRIES_MAX && !expire(w); i++)
        fiber_sleep_shielded_us(1000000);
    for (size_t i = 0; i < w->doomed.count; i++)
        if (!w->doomed.p[i].gone)
            sim_wrong(w, "a thread does not end by its ttl");
    for (size_t i = 0; i < w->copies.count; i++)
        sim_held(w, w->copies.p[i])->was = sim_held(w, w->copies.p[i])->counted;
    run_copies(w);
}

/* --- the checks --- */

static void check_state(struct sim_world *w, struct id id) {
    struct err err = {0};
    str values = STR_NULL;
    yyjson_val *root = NULL;
    const struct sim_held *h = sim_held(w, id);
    if (checkpoint_head_values(&w->current[0]->store, id, &w->arena, &values, &err) < 0 ||
        (values.p && json_parse(&w->arena, values, &root, &err) < 0))
        sim_wrong(w, "the state of thread %02x%02x: %s", id.b[14], id.b[15], err.message);
    else if (yyjson_get_sint(json_get(root, "count")) != h->counted)
        sim_wrong(w, "thread %02x%02x counts %lld, and %lld tasks were stored", id.b[14], id.b[15],
                  (long long)yyjson_get_sint(json_get(root, "count")), (long long)h->counted);
}

void sim_check_swept(struct sim_world *w) {
    for (size_t i = 0; i < SIM_THREADS; i++)
        check_state(w, w->threads[i].id);
    for (size_t i = 0; i < w->copies.count; i++) {
        const struct sim_held *h = sim_held(w, w->copies.p[i]);
        check_state(w, w->copies.p[i]);
        if (h->counted != h->was + h->wanted)
            sim_wrong(w, "a run of a copy did not go on from its state");
    }
    for (size_t i = 0; i < w->doomed_runs.count; i++)
        if (sim_begun(w, w->doomed_runs.p[i].id)->attempt == 0)
            sim_wrong(w, "a run that was accepted was never executed: its thread went");
}
