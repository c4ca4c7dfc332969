/* SPDX-License-Identifier: Apache-2.0 */
/* crons.c - crons that fire while servers die and lead after each other, in worlds with crons.
 *
 *  - an instant of a cron fires once, whoever led, and its run is there and ends; one on a thread
 *    of its own has taken that with it, or left it, as was asked for
 *  - a cron that nobody changed has fired at every instant, but for those that were too old when
 *    the one before was decided: that one stands for them
 *  - what was switched off or deleted, acknowledged, has fired nothing since
 *  - in calm every instant is decided in time
 *
 * What fired is taken from the statements that the database has stored (model.c), so that of a cron
 * that is gone is known, too. */
#include "sim.h"

#include <stdio.h>

#include "engine/crons.h"
#include "store/crons.h"

#define CALLS_MAX   16
#define CRONS_MAX   5
#define TRIES_MAX   40
/* An instant that is older is missed: three leases. */
#define LATE_US (3 * SIM_LEASE_US)
/* In calm: somebody leads, and looks, also when it was not told that there is something new. */
#define LEAD_US 75000000

/* Runs of a thread wait for each other. */
#define PERIOD_US 10000000
static const char *const schedules[] = {"* * * * * */10", "* * * * * 3-59/7", "* * * * * */20"};

/* --- what fired --- */

void sim_cron_stored(struct sim_world *w, const struct db_op *op) {
    struct sim_firing f = {.cron_id = op->params[0].id,
                           .at_us = op->params[1].i,
                           .run_id = op->params[3].type == DB_NULL ? ID_NIL : op->params[3].id,
                           .decided_us = op->params[5].i,
                           .stored_us = rt_now_us(w->rt)};
    for (size_t i = 0; i < w->firings.count; i++)
        if (id_eq(w->firings.p[i].cron_id, f.cron_id) && w->firings.p[i].at_us >= f.at_us)
            sim_wrong(w, "cron %02x%02x fires for an instant that it was past", f.cron_id.b[14],
                      f.cron_id.b[15]);
    vec_push(&w->firings, f);
}

/* --- the client --- */

static int next_of(struct sim_server *s, const struct cron *c, int64_t *out, struct err *err) {
    int64_t now = rt_now_us(s->world->rt), after = c->fired_us > now ? c->fired_us : now;
    int rc = engine_cron_next(s->engine, c->schedule, c->timezone, after, out, err);
    if (!c->enabled || (c->end_us && *out > c->end_us))
        *out = 0;
    return rc;
}

static void note(struct sim_world *w, struct sim_server *s, const char *what, struct id id,
                 int rc, const struct err *err) {
    sim_note(w, "server %d.%d %s cron %02x%02x: %d", s->number, s->life, what, id.b[14], id.b[15],
             rc);
    if (!sim_passing(rc))
        sim_wrong(w, "a cron was not touched, with %s: %s", err_name(rc), err->message);
}

static void make(struct sim_world *w, struct sim_server *s) {
    struct sim_cron made = {.keep = sim_chance(w, 50)};
    struct err err = {0};
    struct arena a;
    const char *graph = sim_graphs[sim_below(w, SIM_PLAIN_GRAPHS)].id;
    struct cron c = {.id = id_v7(),
                     .assistant_id = id_v5(ID_NAMESPACE_GRAPH, str_of(graph)),
                     .schedule = str_of(schedules[sim_below(w, ARRAY_COUNT(schedules))]),
                     .enabled = true,
                     .keep = made.keep,
                     .metadata = STR("{}")};
    arena_init(&a, SIZE_MAX / 2);
    if (sim_chance(w, 50))
        c.thread_id = w->threads[sim_below(w, SIM_THREADS - 1)].id;
    if (sim_chance(w, 20))
        c.end_us = rt_now_us(w->rt) + (int64_t)sim_below(w, 20000000);
    c.payload = arena_printf(&a,
                             "{\"assistant_id\":\"%s\",\"input\":{\"messages\":[{\"role\":\"user\","
                             "\"content\":\"hi\"}]},\"multitask_strategy\":\"enqueue\"}",
                             graph);
    made.id = c.id;
    made.thread_id = c.thread_id;
    made.end_us = c.end_us;
    made.schedule = c.schedule;
    int rc = next_of(s, &c, &c.next_us, &err);
    made.first_us = c.next_us;
    if (rc == 0)
        rc = cron_create(&s->store, &w->who, &c, CRONS_MAX, &a, &err);
    note(w, s, "makes", made.id, rc, &err);
    if (rc == 0) {
        vec_push(&w->crons, made);
        engine_crons_changed(s->engine);
    }
    arena_deinit(&a);
}

/* What an answer that was lost has done nobody knows. */
static void turn(struct sim_world *w, struct sim_server *s, struct sim_cron *cron) {
    struct cron read, c;
    struct err err = {0};
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    int rc = cron_get(&s->store, &w->who, cron->id, &a, &read, &err);
    if (rc == 0) {
        c = read;
        c.enabled = !read.enabled || sim_chance(w, 50);
        rc = next_of(s, &c, &c.next_us, &err);
    }
    if (rc == 0) {
        cron->touched = true;
        cron->off_us = 0; /* if it is to be on it may be from now on */
        rc = cron_update(&s->store, &w->who, &read, &c, &a, &err);
        cron->off_us = rc == 0 && !c.enabled ? rt_now_us(w->rt) : 0;
    }
    if (rc == 0)
        engine_crons_changed(s->engine);
    note(w, s, rc == 0 && c.enabled ? "sets" : "switches off", cron->id, rc, &err);
    arena_deinit(&a);
}

static void drop(struct sim_world *w, struct sim_server *s, struct sim_cron *cron) {
    struct err err = {0};
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    cron->touched = true;
    int rc = cron_delete(&s->store, &w->who, cron->id, &a, &err);
    if (rc == 0 || rc == ERR_NOT_FOUND)
        cron->gone_us = rt_now_us(w->rt);
    note(w, s, "deletes", cron->id, rc, &err);
    arena_deinit(&a);
}

static void call(struct sim_world *w, struct sim_server *s) {
    struct sim_cron *some = w->crons.count ? &w->crons.p[sim_below(w, w->crons.count)] : NULL;
    if (!some || sim_chance(w, 40))
        make(w, s);
    else if (some->gone_us)
        return;
    else if (sim_chance(w, 75))
        turn(w, s, some);
    else
        drop(w, s, some);
}

static void check_calm(struct sim_world *w);

static void drop_all(struct sim_world *w) {
    for (size_t i = 0; i < w->crons.count; i++) {
        struct sim_cron *c = &w->crons.p[i];
        for (int tries = 0; tries < TRIES_MAX && !c->gone_us; tries++) {
            struct sim_server *s = sim_enter(w);
            if (s) {
                drop(w, s, c);
                sim_leave(s);
            }
            fiber_sleep_shielded_us(500000);
        }
        if (!c->gone_us)
            sim_wrong(w, "a cron cannot be deleted in calm");
    }
}

/* Crons that nobody knows of, since the answer was lost, have a name in the database. */
static void learn_strangers(struct sim_world *w) {
    struct cron_filter f = {.metadata = STR("{}"), .sort = CRON_BY_ID};
    struct page page = {.limit = CRONS_MAX};
    struct cron *list;
    size_t count;
    if (cron_search(&w->current[0]->store, &w->who, &f, &page, &w->arena, &list, &count, NULL) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < w->crons.count && !known; k++)
            known = id_eq(w->crons.p[k].id, list[i].id);
        struct sim_cron c = {.id = list[i].id,
                             .thread_id = list[i].thread_id,
                             .keep = list[i].keep,
                             .schedule = list[i].schedule,
                             .end_us = list[i].end_us,
                             .touched = true};
        if (!known)
            vec_push(&w->crons, c);
    }
}

/* Half of the time about when something fires. */
static void pause_a_while(struct sim_world *w) {
    int64_t wait = (int64_t)sim_below(w, 4000000);
    if (sim_chance(w, 50))
        wait = PERIOD_US - rt_now_us(w->rt) % PERIOD_US - 50000 + (int64_t)sim_below(w, 200000);
    fiber_sleep_shielded_us(wait > 0 ? wait : 0);
}

void sim_keeper(void *arg) {
    struct sim_world *w = arg;
    for (int i = 0; i < CALLS_MAX; i++) {
        pause_a_while(w);
        struct sim_server *s = sim_enter(w);
        if (s)
            call(w, s);
        if (s)
            sim_leave(s);
    }
    while (w->trouble)
        fiber_sleep_shielded_us(1000000);
    fiber_sleep_shielded_us(LEAD_US);
    check_calm(w);
    learn_strangers(w);
    drop_all(w);
    w->clients--;
}

/* --- the checks --- */

static void wrong(struct sim_world *w, const struct sim_cron *c, const char *what) {
    sim_wrong(w, "cron %02x%02x %s", c->id.b[14], c->id.b[15], what);
}

static int64_t after(struct sim_world *w, const struct sim_cron *c, int64_t at_us) {
    int64_t next = 0;
    if (engine_cron_next(w->current[0]->engine, c->schedule, STR_NULL, at_us, &next, NULL) < 0)
        wrong(w, c, "does not fire any more");
    return c->end_us && next > c->end_us ? 0 : next;
}

static void check_calm(struct sim_world *w) {
    struct cron row;
    for (size_t i = 0; i < w->crons.count; i++) {
        const struct sim_cron *c = &w->crons.p[i];
        if (cron_get(&w->current[0]->store, &w->who, c->id, &w->arena, &row, NULL) < 0)
            continue;
        if (row.enabled && row.next_us && row.next_us < rt_now_us(w->rt) - 2000000)
            wrong(w, c, "does not fire in calm");
    }
}

static void check_order(struct sim_world *w, const struct sim_cron *c) {
    int64_t due = c->first_us, late_us = INT64_MIN;
    for (size_t i = 0; i < w->firings.count && !c->touched; i++) {
        const struct sim_firing *f = &w->firings.p[i];
        if (!id_eq(f->cron_id, c->id))
            continue;
        for (; due && due < f->at_us && due < late_us; due = after(w, c, due))
            ; /* those were too old when the one before was decided */
        if (due != f->at_us)
            wrong(w, c, "leaves out an instant");
        due = after(w, c, f->at_us);
        late_us = f->decided_us - LATE_US;
    }
}

static void check_since(struct sim_world *w, const struct sim_cron *c, const struct sim_firing *f) {
    if (c->gone_us && f->stored_us > c->gone_us)
        wrong(w, c, "fires, and was deleted");
    if (c->off_us && f->stored_us > c->off_us)
        wrong(w, c, "fires, and was switched off");
    if (f->decided_us < f->at_us)
        wrong(w, c, "fires before its time");
}

static bool may_be_undone(const struct sim_world *w, struct id thread) {
    for (size_t i = 0; i < SIM_THREADS; i++)
        if (id_eq(w->threads[i].id, thread))
            return w->threads[i].rolled_back;
    return false;
}

static void check_run(struct sim_world *w, const struct sim_cron *c, const struct sim_firing *f) {
    struct run run;
    struct thread thread;
    int rc = run_get(&w->current[0]->store, &w->who, ID_NIL, f->run_id, &w->arena, &run, NULL);
    bool goes = id_is_nil(c->thread_id) && !c->keep;
    if (id_is_nil(f->run_id)) {
        wrong(w, c, "has decided an instant without a run");
        return;
    }
    if (rc < 0) {
        if (rc != ERR_NOT_FOUND || (!goes && !may_be_undone(w, c->thread_id)))
            wrong(w, c, "has made a run that is not there");
        return;
    }
    if (goes)
        wrong(w, c, "has made a run that is left");
    if (run.status == RUN_PENDING || run.status == RUN_RUNNING)
        wrong(w, c, "has made a run that does not end");
    if (str_find(run.metadata, str_of(id_dashed(&w->arena, c->id).p)) < 0)
        wrong(w, c, "has made a run that does not say so");
    if (thread_get(&w->current[0]->store, &w->who, run.thread_id, &w->arena, &thread, NULL) < 0)
        wrong(w, c, "has made a run without a thread");
}

void sim_check_crons(struct sim_world *w) {
    sim_sweep_doomed(w);
    for (size_t i = 0; i < w->crons.count; i++) {
        const struct sim_cron *c = &w->crons.p[i];
        check_order(w, c);
        for (size_t k = 0; k < w->firings.count; k++)
            if (id_eq(w->firings.p[k].cron_id, c->id)) {
                check_since(w, c, &w->firings.p[k]);
                check_run(w, c, &w->firings.p[k]);
            }
    }
    sim_note(w, "%zu crons fired %zu times", w->crons.count, w->firings.count);
}
