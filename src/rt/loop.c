/* SPDX-License-Identifier: Apache-2.0 */
/* loop.c - the event loop: turns, timers, signals, over one libuv loop.
 *
 * How a turn maps to libuv's phases:
 *
 *     poll      I/O callbacks of http and others, replies of workers (uv_async), signals
 *     check     due timers are fired
 *     closing   closed callbacks
 *     prepare   yielded fibers, runnable fibers, deferred calls, until none is left; then the
 *               uv_timer is set to the earliest due time and libuv polls again
 *
 * Work in `prepare` is bounded: TURN_ROUNDS_MAX rounds of at most TURN_PASSES_MAX passes over the
 * run queue. What is left then keeps a uv_idle active, so that the poll does not block and I/O gets
 * its share.
 *
 * Time: the first reader after the poll reads the clocks, later readers of the turn get the same
 * values. Nothing reads the clock for a turn in which nobody asks, except once at its end.
 *
 * Timers: a 4-ary heap ordered by (due, sequence). One uv_timer ends the poll in time; it is set to
 * the remaining time rounded up to whole milliseconds, so a timer never fires early and fires at
 * most about a millisecond late; a turn that happens anyway fires it to the microsecond.
 *
 * Invariants: slots[t->slot - 1].timer == t for every running timer; a timer started by a timer's
 * callback fires in the next turn at the earliest; a deferred node is out of the list when it
 * runs. */
#include "rt/loop.h"

#include <errno.h>
#include <signal.h>
#include <uv.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rt/rt_int.h"

#define TURN_ROUNDS_MAX   16
#define TURN_PASSES_MAX   16
#define TIMER_ARITY       4
#define TIMER_WAIT_MS_MAX (1000LL * 3600 * 24)

_Thread_local struct rt *rt_current;

struct signal_watch {
    uv_signal_t handle;
    struct list node;
    void (*fn)(void *arg, int signum);
    void *arg;
};

/* --- time --- */

static void time_refresh(struct rt *rt) {
    rt->now_us = clock_wall_us();
    rt->mono_us = clock_mono_us();
    rt->time_valid = true;
}

int64_t rt_now_us(struct rt *rt) {
    if (!rt->time_valid)
        time_refresh(rt);
    return rt->now_us;
}

int64_t rt_mono_us(struct rt *rt) {
    if (!rt->time_valid)
        time_refresh(rt);
    return rt->mono_us;
}

/* --- timers --- */

static bool slot_before(const struct rt_timer_slot *a, const struct rt_timer_slot *b) {
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->sequence < b->sequence;
}

static void slot_put(struct rt_timers *ts, size_t at, struct rt_timer_slot slot) {
    ts->slots[at] = slot;
    slot.timer->slot = at + 1;
}

static void heap_up(struct rt_timers *ts, size_t at, struct rt_timer_slot slot) {
    while (at > 0) {
        size_t parent = (at - 1) / TIMER_ARITY;
        if (!slot_before(&slot, &ts->slots[parent]))
            break;
        slot_put(ts, at, ts->slots[parent]);
        at = parent;
    }
    slot_put(ts, at, slot);
}

static void heap_down(struct rt_timers *ts, size_t at, struct rt_timer_slot slot) {
    for (;;) {
        size_t first = at * TIMER_ARITY + 1, least = first;
        if (first >= ts->count)
            break;
        for (size_t i = first + 1; i < first + TIMER_ARITY && i < ts->count; i++)
            if (slot_before(&ts->slots[i], &ts->slots[least]))
                least = i;
        if (!slot_before(&ts->slots[least], &slot))
            break;
        slot_put(ts, at, ts->slots[least]);
        at = least;
    }
    slot_put(ts, at, slot);
}

/* Puts slot where it belongs, starting from position `at`. */
static void heap_place(struct rt_timers *ts, size_t at, struct rt_timer_slot slot) {
    if (at > 0 && slot_before(&slot, &ts->slots[(at - 1) / TIMER_ARITY]))
        heap_up(ts, at, slot);
    else
        heap_down(ts, at, slot);
}

static void heap_remove(struct rt_timers *ts, struct rt_timer *t) {
    size_t at = t->slot - 1;
    ASSERT(at < ts->count && ts->slots[at].timer == t);
    t->slot = 0;
    ts->count--;
    if (at < ts->count)
        heap_place(ts, at, ts->slots[ts->count]);
}

void rt_timer_start(struct rt *rt, struct rt_timer *t, int64_t after_us,
                    void (*fn)(struct rt_timer *)) {
    struct rt_timers *ts = &rt->timers;
    ASSERT_LOOP_THREAD(rt);
    ASSERT(fn != NULL);
    int64_t now = rt_mono_us(rt);
    if (after_us < 0)
        after_us = 0;
    t->due_us = after_us > INT64_MAX - now ? INT64_MAX : now + after_us;
    t->fn = fn;
    struct rt_timer_slot slot = {t->due_us, ts->sequence++, t};
    if (t->slot) {
        ASSERT(t->slot <= ts->count && ts->slots[t->slot - 1].timer == t);
        heap_place(ts, t->slot - 1, slot);
        return;
    }
    if (ts->count == ts->cap) {
        ts->cap = ts->cap ? ts->cap * 2 : 64;
        ts->slots = mem_realloc(ts->slots, ts->cap * sizeof *ts->slots);
    }
    heap_up(ts, ts->count++, slot);
}

void rt_timer_stop(struct rt *rt, struct rt_timer *t) {
    ASSERT_LOOP_THREAD(rt);
    if (t->slot)
        heap_remove(&rt->timers, t);
}

static void timers_fire(struct rt *rt) {
    struct rt_timers *ts = &rt->timers;
    if (!ts->count)
        return;
    int64_t now = rt_mono_us(rt);
    uint64_t mark = ts->sequence;
    while (ts->count && ts->slots[0].due_us <= now && ts->slots[0].sequence < mark) {
        struct rt_timer *t = ts->slots[0].timer;
        heap_remove(ts, t);
        ts->fired++;
        t->fn(t);
    }
}

static void on_timer_wake(uv_timer_t *handle) {
    (void)handle; /* the poll has ended: on_check fires what is due */
}

/* The cached time of the loop may be old, so the wait is counted from mono_us, read just now. */
static void timers_arm(struct rt *rt, int64_t mono_us) {
    struct rt_timers *ts = &rt->timers;
    if (!ts->count) {
        uv_timer_stop(&ts->wake);
        return;
    }
    int64_t left_us = ts->slots[0].due_us - mono_us;
    int64_t wait_ms = left_us <= 0 ? 0 : left_us / 1000 + (left_us % 1000 != 0);
    if (wait_ms > TIMER_WAIT_MS_MAX)
        wait_ms = TIMER_WAIT_MS_MAX;
    int rc = uv_timer_start(&ts->wake, on_timer_wake, (uint64_t)wait_ms, 0);
    ASSERT(rc == 0);
}

/* Simulated time moves only when everything waits for it. */
static void time_leap(struct rt *rt, bool busy) {
    struct rt_timers *ts = &rt->timers;
    if (!rt->leap || busy || rt->replies.outstanding || !ts->count)
        return;
    if (ts->slots[0].due_us > clock_mono_us())
        rt->leap(rt->leap_ctx, ts->slots[0].due_us);
}

void rt_simulate(struct rt *rt, void (*leap)(void *ctx, int64_t mono_us), void *ctx) {
    ASSERT_LOOP_THREAD(rt);
    rt->leap = leap;
    rt->leap_ctx = ctx;
    rt->time_valid = false;
}

/* --- turns --- */

void rt_defer(struct rt *rt, struct rt_defer *d) {
    ASSERT_LOOP_THREAD(rt);
    ASSERT(d->fn != NULL);
    if (!list_linked(&d->node))
        list_push_back(&rt->deferred, &d->node);
}

static void deferred_run(struct rt *rt) {
    struct list batch;
    list_init(&batch);
    list_splice(&batch, &rt->deferred);
    for (struct list *n; (n = list_pop_front(&batch)) != NULL;) {
        struct rt_defer *d = LIST_ENTRY(n, struct rt_defer, node);
        d->fn(d);
    }
}

static bool turn_pending(const struct rt *rt) {
    return rt_fibers_runnable(rt) || !list_empty(&rt->deferred);
}

static bool next_turn_pending(const struct rt *rt) {
    return turn_pending(rt) || !list_empty(&rt->fibers.yielded);
}

static void turn_work(struct rt *rt) {
    for (int round = 0; round < TURN_ROUNDS_MAX && turn_pending(rt); round++) {
        for (int pass = 0; pass < TURN_PASSES_MAX && rt_fibers_runnable(rt); pass++)
            rt_fibers_run(rt);
        deferred_run(rt);
    }
}

static void on_idle(uv_idle_t *handle) { (void)handle; }

static void on_prepare(uv_prepare_t *handle) {
    struct rt *rt = handle->data;
    rt_fibers_wake_yielded(rt);
    turn_work(rt);
    bool busy = next_turn_pending(rt);
    if (busy)
        uv_idle_start(&rt->idle, on_idle);
    else
        uv_idle_stop(&rt->idle);
    time_leap(rt, busy);

    int64_t end = clock_mono_us();
    timers_arm(rt, end);
    if (rt->time_valid && end - rt->mono_us > rt->turn_us_max)
        rt->turn_us_max = end - rt->mono_us;
    rt->turns++;
    rt->time_valid = false;
}

static void on_check(uv_check_t *handle) {
    struct rt *rt = handle->data;
    int64_t mono = rt_mono_us(rt);
    /* A slow callback that nobody asked the time in would be missing from the turn's length. libuv
     * has noted when the poll ended, in whole milliseconds: take that when clearly earlier. */
    int64_t polled = (int64_t)uv_now(&rt->uv) * 1000 + 999;
    if (polled < mono && mono - polled > rt->turn_us_max)
        rt->turn_us_max = mono - polled;
    timers_fire(rt);
}

/* --- life --- */

static void ignore_broken_pipes(void) {
    struct sigaction action = {0};
    sigset_t blocked;
    int rc = pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    ASSERT(rc == 0);
    if (sigismember(&blocked, SIGPIPE))
        return;
    action.sa_handler = SIG_IGN;
    sigemptyset(&action.sa_mask);
    rc = sigaction(SIGPIPE, &action, NULL);
    ASSERT(rc == 0);
}

static void handles_open(struct rt *rt) {
    int rc = uv_prepare_init(&rt->uv, &rt->prepare);
    rc |= uv_check_init(&rt->uv, &rt->check);
    rc |= uv_idle_init(&rt->uv, &rt->idle);
    rc |= uv_timer_init(&rt->uv, &rt->timers.wake);
    rt->prepare.data = rt->check.data = rt;
    rc |= uv_prepare_start(&rt->prepare, on_prepare);
    rc |= uv_check_start(&rt->check, on_check);
    ASSERT(rc == 0); /* these take no resources and cannot fail */
}

int rt_open(struct rt **out, struct err *err) {
    ASSERT(rt_current == NULL);
    struct rt *rt = NEW(struct rt);
    int rc = uv_loop_init(&rt->uv);
    if (rc) {
        mem_free(rt);
        return err_set_system(err, ERR_UNAVAILABLE, -rc, "event loop: %s", uv_strerror(rc));
    }
    list_init(&rt->signals);
    list_init(&rt->deferred);
    rc = rt_replies_open(rt, err);
    if (rc) {
        uv_loop_close(&rt->uv);
        mem_free(rt);
        return rc;
    }
    handles_open(rt);
    rt_fibers_open(rt);
    ignore_broken_pipes();
    rt_current = rt;
    *out = rt;
    return 0;
}

void rt_run(struct rt *rt) {
    ASSERT_LOOP_THREAD(rt);
    ASSERT(fiber_self() == NULL);
    rt->time_valid = false;
    uv_run(&rt->uv, UV_RUN_DEFAULT);
}

void rt_stop(struct rt *rt) {
    ASSERT_LOOP_THREAD(rt);
    uv_stop(&rt->uv);
}

struct uv_loop_s *rt_uv(struct rt *rt) {
    return &rt->uv;
}

static void count_handle(uv_handle_t *handle, void *arg) {
    (void)handle;
    ++*(size_t *)arg;
}

/* Anything that could still wake a parked fiber? */
static bool loop_has_sources(struct rt *rt) {
    size_t handles = 0, own = 5; /* prepare, check, idle, timer, async */
    uv_walk(&rt->uv, count_handle, &handles);
    LIST_EACH (&rt->signals, n) {
        (void)n;
        own++;
    }
    return handles > own || rt->timers.count || rt->replies.outstanding;
}

/* Fibers that are left are told to end and get their turns; a fiber that nothing can wake any more
 * is a bug of its owner. */
static void fibers_drain(struct rt *rt) {
    rt->closing = true;
    rt_timer_stop(rt, &rt->fibers.trim);
    rt_fibers_cancel_all(rt);
    while (rt->fibers.live && (next_turn_pending(rt) || loop_has_sources(rt)))
        uv_run(&rt->uv, next_turn_pending(rt) ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    ASSERT(rt->fibers.live == 0);
}

static void on_signal_closed(uv_handle_t *handle) {
    mem_free(CONTAINER_OF(handle, struct signal_watch, handle));
}

static void signals_close(struct rt *rt) {
    for (struct list *n; (n = list_pop_front(&rt->signals)) != NULL;) {
        struct signal_watch *s = LIST_ENTRY(n, struct signal_watch, node);
        uv_close((uv_handle_t *)&s->handle, on_signal_closed);
    }
}

void rt_close(struct rt *rt) {
    uv_handle_t *own[] = {(uv_handle_t *)&rt->prepare, (uv_handle_t *)&rt->check,
                          (uv_handle_t *)&rt->idle, (uv_handle_t *)&rt->timers.wake,
                          (uv_handle_t *)&rt->replies.wake};
    ASSERT_LOOP_THREAD(rt);
    ASSERT(fiber_self() == NULL);
    rt->time_valid = false;
    fibers_drain(rt);
    ASSERT(rt->replies.workers_open == 0);
    rt_pool_close(rt);
    signals_close(rt);
    for (size_t i = 0; i < ARRAY_COUNT(own); i++)
        uv_unref(own[i]);
    do {
        uv_run(&rt->uv, UV_RUN_DEFAULT); /* closed callbacks of other modules */
        turn_work(rt);
    } while (uv_loop_alive(&rt->uv) || turn_pending(rt));
    for (size_t i = 0; i < ARRAY_COUNT(own); i++)
        uv_close(own[i], NULL);
    uv_run(&rt->uv, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&rt->uv);
    ASSERT(rc == 0);
    rt_replies_close(rt);
    rt_fibers_close(rt);
    mem_free(rt->timers.slots);
    rt_current = NULL;
    mem_free(rt);
}

/* --- signals --- */

static void on_signal(uv_signal_t *handle, int signum) {
    struct signal_watch *s = CONTAINER_OF(handle, struct signal_watch, handle);
    s->fn(s->arg, signum);
}

int rt_on_signal(struct rt *rt, int signum, void (*fn)(void *arg, int signum), void *arg,
                 struct err *err) {
    ASSERT_LOOP_THREAD(rt);
    struct signal_watch *s = NEW(struct signal_watch);
    int rc = uv_signal_init(&rt->uv, &s->handle);
    if (rc) {
        mem_free(s);
        return err_set_system(err, ERR_UNAVAILABLE, -rc, "signal %d: %s", signum, uv_strerror(rc));
    }
    s->fn = fn;
    s->arg = arg;
    rc = uv_signal_start(&s->handle, on_signal, signum);
    if (rc) {
        uv_close((uv_handle_t *)&s->handle, on_signal_closed);
        return err_set_system(err, ERR_INVALID, -rc, "signal %d: %s", signum, uv_strerror(rc));
    }
    list_push_back(&rt->signals, &s->node);
    return 0;
}

/* --- figures --- */

void rt_stats(struct rt *rt, struct rt_stats *out) {
    *out = (struct rt_stats){
        .turns = rt->turns,
        .fiber_switches = rt->fibers.switches,
        .timers_fired = rt->timers.fired,
        .lag_us_max = rt->turn_us_max,
        .timers = rt->timers.count,
        .fibers = rt->fibers.live,
        .fibers_pooled = rt->fibers.pooled,
    };
    rt->turn_us_max = 0;
}
