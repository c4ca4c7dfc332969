/* SPDX-License-Identifier: Apache-2.0 */
/* remote.c - waiting for runs and cancelling them, wherever they execute.
 *
 * A run that is live here is asked directly. Of any other the row tells: a pending one is ended by
 * whoever cancels it, a running one gets a wish that its worker finds. Its end is awaited by a
 * reader of the thread's log that shows nothing; what it tells is checked against the row, also now
 * and then without being told, so a lost run cannot be awaited for ever. */
#include "engine/engine_int.h"
#include "engine/inspect.h"

#define LOOK_US        2000000
#define DATABASE_US    250000
#define AGAIN_US       10000
#define CANCEL_IDS_MAX 1000

static bool is_live(enum run_status status) {
    return status == RUN_PENDING || status == RUN_RUNNING;
}

static bool passing(int rc) { return rc == ERR_UNAVAILABLE || rc == ERR_IO || rc == ERR_LIMIT; }

/* --- waiting --- */

struct end_watch {
    struct fiber_event ended;
    bool over;
};

static bool on_frame(void *ctx, str event, str data, str id) {
    (void)ctx;
    (void)event;
    (void)data;
    (void)id;
    return true;
}

static void on_finished(void *ctx) {
    struct end_watch *w = ctx;
    w->over = true;
    fiber_event_wake_all(&w->ended);
}

/* Until the log shows the run's end, the deadline, or it is time to look at the row again. */
static int await_end(struct engine *e, struct id run_id, const struct run_place *place,
                     int64_t until_us, struct err *err) {
    struct end_watch w = {.over = false};
    struct hub_reader *reader = NULL;
    struct hub_cursor cursor = {.seq = place->seq, .k = INT64_MAX, .frames = INT64_MAX};
    struct hub_reader_options o = {.thread_id = place->thread_id,
                                   .run_id = run_id,
                                   .alive = true,
                                   .frame = on_frame,
                                   .finished = on_finished,
                                   .ctx = &w};
    fiber_event_init(&w.ended);
    int rc = hub_reader_replay(e->hub, &o, place->seq, &cursor, NULL, &reader, err);
    while (rc == 0 && !w.over)
        rc = fiber_event_wait(&w.ended, until_us);
    hub_reader_close(reader);
    return rc;
}

/* The thread's newest values, with the questions that wait there. */
static int head_with_interrupts(struct engine *e, struct id thread_id, struct arena *a, str *out,
                                struct err *err) {
    struct checkpoint c;
    struct state_shown shown;
    yyjson_val *tasks, *task, *item;
    size_t i, k, n, m;
    struct err missing = {0};
    struct buf b;
    int rc = checkpoint_get(e->store, thread_id, STR(""), ID_NIL, a, &c, &missing);
    *out = STR_NULL;
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc == 0)
        rc = engine_state_show(e, &c, STR_NULL, true, a, &shown, &missing);
    if (rc == 0)
        rc = json_parse(a, shown.tasks, &tasks, &missing);
    if (rc < 0) {
        if (err)
            *err = missing;
        return rc;
    }
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    yyjson_arr_foreach(tasks, i, n, task)
        yyjson_arr_foreach(json_get(task, "interrupts"), k, m, item) jw_val(&w, item);
    jw_array_end(&w);
    *out = values_with_interrupts(a, shown.values, arena_dup(a, buf_view(&b)));
    buf_deinit(&b);
    return 0;
}

static int outcome_of_row(struct engine *e, const struct run_place *place, struct arena *a,
                          struct run_outcome *out, struct err *err) {
    *out = (struct run_outcome){.status = place->status, .error = place->error};
    return head_with_interrupts(e, place->thread_id, a, &out->values, err);
}

static int pause_until(struct engine *e, int64_t us, int64_t deadline_us) {
    int64_t now = rt_mono_us(e->rt), until = now + us;
    if (until > deadline_us)
        return ERR_TIMEOUT;
    return fiber_sleep_us(us);
}

static int wait_elsewhere(struct engine *e, struct id run_id, int64_t deadline_us, struct arena *a,
                          struct run_outcome *out, bool *over, struct err *err) {
    struct run_place place;
    int rc = run_place_get(e->store, run_id, a, &place, err);
    if (rc == 0 && !is_live(place.status)) {
        *over = true;
        rc = outcome_of_row(e, &place, a, out, err);
    } else if (rc == 0) {
        int64_t look = rt_mono_us(e->rt) + LOOK_US;
        int64_t began = rt_mono_us(e->rt);
        rc = await_end(e, run_id, &place, look < deadline_us ? look : deadline_us, err);
        if (rc == 0 && rt_mono_us(e->rt) == began) /* it says so at once, the row does not yet */
            rc = pause_until(e, AGAIN_US, deadline_us);
        if (rc == ERR_TIMEOUT && rt_mono_us(e->rt) < deadline_us)
            rc = 0;
    }
    return passing(rc) ? pause_until(e, DATABASE_US, deadline_us) : rc;
}

int engine_wait(struct engine *e, struct id run_id, struct live_run *run, int64_t deadline_us,
                struct arena *a, struct run_outcome *out, struct err *err) {
    bool over = false, was_here = run != NULL;
    if (run)
        live_run_ref(run);
    for (int rc = 0; rc == 0 && !over;) {
        if (!run)
            run = engine_find(e, run_id);
        if (run) {
            was_here = true;
            rc = live_run_wait(run, deadline_us);
            over = rc == 0 && !run->moved;
            if (over)
                *out = (struct run_outcome){.status = run->status,
                                            .values = arena_dup(a, run->values),
                                            .error = arena_dup(a, run->error)};
            live_run_unref(run);
            run = NULL;
        } else if (e->draining) {
            *out = (struct run_outcome){.status = RUN_PENDING, .error = SHUTDOWN_ERROR};
            over = true;
        } else {
            rc = wait_elsewhere(e, run_id, deadline_us, a, out, &over, err);
        }
        if (rc == ERR_NOT_FOUND && was_here) { /* rolled back, or deleted with its thread */
            *out = (struct run_outcome){.status = RUN_ERROR, .error = LOST_ERROR};
            rc = 0;
            over = true;
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- cancelling --- */

/* A pending run of another worker: its end is written here. */
static int end_pending(struct engine *e, const struct run *row, enum cancel_action action,
                       str reason, struct err *err) {
    struct live_run *run = live_run_new(e);
    run->row = *row;
    run->topic = hub_topic_ref(e->hub, row->thread_id);
    int rc = live_run_commit_waiting_end(run, action, reason, err);
    live_run_unref(run);
    return rc;
}

/* 0: it is ended, or its worker is told; ERR_CONFLICT: it is over. */
static int cancel_elsewhere(struct engine *e, const struct run *row, enum cancel_action action,
                            str reason, struct err *err) {
    struct arena a;
    bool live = false;
    int rc = ERR_FENCED;
    if (row->status == RUN_PENDING)
        rc = end_pending(e, row, action, reason, err);
    if (rc == ERR_FENCED) { /* it runs, or began just now */
        arena_init(&a, 1 << 20);
        rc = run_ask_cancel(e->store, row->id, action, reason, rt_now_us(e->rt), &a, &live, err);
        arena_deinit(&a);
        if (rc == 0 && !live)
            rc = ERR_CONFLICT;
        if (rc == 0) {
            hint_thread(e, row->thread_id);
            worker_wishes_soon(e); /* it may be this one's */
        }
    }
    return rc;
}

static int not_live(struct err *err) {
    return err_set(err, ERR_CONFLICT, "Run is not pending or running");
}

int engine_cancel(struct engine *e, const struct principal *who, struct id thread_id,
                  struct id run_id, enum cancel_action action, str reason, bool wait,
                  struct err *err) {
    struct arena a;
    struct run row;
    struct run_outcome outcome;
    arena_init(&a, SIZE_MAX / 2);
    int rc = run_get(e->store, who, thread_id, run_id, &a, &row, err);
    struct live_run *run = rc == 0 ? engine_find(e, run_id) : NULL;
    if (rc == 0 && !run && !is_live(row.status))
        rc = not_live(err);
    else if (rc == 0 && run)
        rc = live_run_cancel(run, action, reason, err);
    else if (rc == 0)
        rc = cancel_elsewhere(e, &row, action, reason, err);
    if (rc == ERR_CONFLICT)
        rc = not_live(err);
    if (rc == 0 && run && run->state == LIVE_DONE && run->moved) /* it went to another worker */
        rc = cancel_elsewhere(e, &row, action, reason, err);
    if (rc == 0 && wait) {
        rc = engine_wait(e, run_id, run, FIBER_NO_DEADLINE, &a, &outcome, err);
        if (rc == ERR_NOT_FOUND)
            rc = 0; /* rolled back */
    }
    live_run_unref(run);
    arena_deinit(&a);
    return rc;
}

int cancel_others(struct engine *e, struct id thread_id, enum cancel_action action, str reason,
                  struct err *err) {
    struct principal server = {.all = true};
    struct arena a;
    struct id *ids;
    size_t count = 0;
    if (!e->o.shared)
        return 0;
    arena_init(&a, SIZE_MAX / 2);
    int rc = run_live_ids(e->store, thread_id, CANCEL_IDS_MAX, &a, &ids, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct live_run *here = engine_find(e, ids[i]);
        live_run_unref(here);
        if (here)
            continue;
        rc = engine_cancel(e, &server, thread_id, ids[i], action, reason, false, err);
        if (rc == ERR_CONFLICT || rc == ERR_NOT_FOUND)
            rc = 0;
    }
    arena_deinit(&a);
    return rc;
}

/* The first live run of a thread; false: none is left. */
static int stop_one(struct engine *e, struct id thread_id, bool *found, struct err *err) {
    struct principal server = {.all = true};
    struct arena a;
    struct id *ids;
    size_t count = 0;
    arena_init(&a, SIZE_MAX / 2);
    int rc = run_live_ids(e->store, thread_id, 1, &a, &ids, &count, err);
    *found = count > 0;
    if (rc == 0 && count)
        rc = engine_cancel(e, &server, thread_id, ids[0], CANCEL_INTERRUPT, STR("thread deleted"),
                           true, err);
    arena_deinit(&a);
    return rc;
}

bool engine_has_thread(struct engine *e, struct id thread_id) {
    return slot_of(e, thread_id) != NULL;
}

void engine_stop_thread(struct engine *e, struct id thread_id, bool busy) {
    bool found = busy;
    while (found || slot_of(e, thread_id)) {
        struct err err = {0};
        int rc = stop_one(e, thread_id, &found, &err);
        if (rc == ERR_CONFLICT || rc == ERR_NOT_FOUND || (rc == 0 && !found))
            fiber_yield(); /* it is just ending, or being accepted */
        else if (rc < 0)
            return;
    }
}
