/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - this process among the others: the runs that it has to execute.
 *
 * A run's row names the worker that has to execute it. Rows whose worker is gone are adopted: they
 * get this worker's name, then they are entered like runs that were accepted here. A row that names
 * this worker but is no live run here (a stray: its answer was lost, its fiber could not start, the
 * database refused its end) is found by looking, and entered too, so that none is left behind. */
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine_int.h"

#define MINE_PAGE      500
#define STRAY_WAIT_US  1000000

/* A run that this worker has to execute and did not know of. */
static void adopt_run(struct engine *e, const struct run *row) {
    struct live_run *run = live_run_new(e);
    struct arena *a = &run->arena;
    run->row = *row;
    run->row.metadata = arena_dup(a, row->metadata);
    run->row.kwargs = arena_dup(a, row->kwargs);
    run->row.multitask_strategy = arena_dup(a, row->multitask_strategy);
    run->begun_us = clock_mono_us();
    run->topic = hub_topic_ref(e->hub, row->thread_id);
    live_run_enter(run);
    if (row->created_at > rt_now_us(e->rt))
        live_run_delay(run, row->created_at);
    else
        live_run_enqueue(run);
}

static bool known(struct engine *e, struct id run_id) {
    if (map_get(&e->live, id_key(&run_id)))
        return true;
    LIST_EACH (&e->arriving, n) {
        if (id_eq(LIST_ENTRY(n, struct live_run, arriving)->row.id, run_id))
            return true;
    }
    return false;
}

static int enter_mine(struct engine *e, size_t *out_entered, struct err *err) {
    struct id after = ID_NIL;
    size_t count;
    *out_entered = 0;
    do {
        struct arena a;
        struct run *rows;
        arena_init(&a, SIZE_MAX / 2);
        int rc = run_list_of_worker(e->store, e->worker, after, MINE_PAGE, &a, &rows, &count,
                                    err);
        for (size_t i = 0; rc == 0 && i < count && !e->draining; i++) {
            after = rows[i].id;
            if (known(e, rows[i].id))
                continue;
            adopt_run(e, &rows[i]);
            ++*out_entered;
        }
        arena_deinit(&a);
        if (rc < 0)
            return rc;
    } while (count == MINE_PAGE && !e->draining);
    return 0;
}

int engine_recover(struct engine *e, struct err *err) {
    struct arena a;
    int64_t adopted;
    size_t entered = 0;
    arena_init(&a, 1 << 20);
    int rc = run_adopt(e->store, e->worker, rt_now_us(e->rt), INT32_MAX, &a, &adopted, err);
    arena_deinit(&a);
    if (rc == 0)
        rc = enter_mine(e, &entered, err);
    if (rc == 0 && entered)
        log_event(LOG_INFO, "engine.recovered", "runs of an earlier process are queued again",
                  LOG_INT("runs", entered));
    return rc;
}

static void stray_fiber(void *arg) {
    struct engine *e = arg;
    struct err err = {0};
    size_t entered = 0;
    int rc = e->draining ? 0 : enter_mine(e, &entered, &err);
    e->looking = false;
    e->helpers--;
    if (rc < 0)
        engine_look_for_strays(e);
    else if (entered)
        log_event(LOG_WARN, "engine.strays", "runs that had slipped away are queued again",
                  LOG_INT("runs", entered));
}

static void on_stray_due(struct rt_timer *t) {
    struct engine *e = CONTAINER_OF(t, struct engine, stray_timer);
    if (fiber_spawn(e->rt, "engine.strays", stray_fiber, e, NULL))
        e->helpers++;
    else
        rt_timer_start(e->rt, t, STRAY_WAIT_US, on_stray_due);
}

void engine_look_for_strays(struct engine *e) {
    if (e->looking || e->draining)
        return;
    e->looking = true;
    rt_timer_start(e->rt, &e->stray_timer, STRAY_WAIT_US, on_stray_due);
}
