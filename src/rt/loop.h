/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h - one event loop per process, over libuv: time, turns, timers, signals.
 *
 * Owner: src/app. Memory: the loop lives from rt_open to rt_close. Errors: as returned.
 * Suspends: never; all calls on the loop thread unless said. Tests: tests/unit/rt/test_loop.c
 *
 * A turn: poll, callbacks (I/O, timers, messages), runnable fibers, deferred calls. Fibers made
 * runnable and calls deferred in a turn run before the loop polls again. */
#ifndef HF_RT_LOOP_H
#define HF_RT_LOOP_H

#include "base/err.h"
#include "base/list.h"

struct rt;
struct uv_loop_s;

/* One loop a thread. Also sets the process to ignore SIGPIPE, unless the thread has it blocked:
 * then none reaches it, nor the threads that it starts. */
MUST_CHECK int rt_open(struct rt **out, struct err *err);
void rt_run(struct rt *rt); /* returns after rt_stop */
void rt_stop(struct rt *rt);
/* All handles and workers of other modules must be closed; cancels the fibers that are left, lets
 * them end and runs the loop until libuv has no handle left. */
void rt_close(struct rt *rt);
struct uv_loop_s *rt_uv(struct rt *rt); /* for rt, http and pg only */

int64_t rt_now_us(struct rt *rt);  /* wall clock, fixed per turn */
int64_t rt_mono_us(struct rt *rt); /* monotonic, fixed per turn */

/* Simulated time: when nothing is left to do but to wait for the next timer, leap() is called with
 * the time of that and sets the clocks (clock_set_source) to it. While a worker owes a reply no
 * time passes. With one order of replies a seeded program then does the same each time. */
void rt_simulate(struct rt *rt, void (*leap)(void *ctx, int64_t mono_us), void *ctx);

/* Runs fn once at the end of this turn, never inside this call. The node is the caller's memory and
 * may be reused once fn runs; deferring a linked node again does nothing. */
struct rt_defer {
    struct list node;
    void (*fn)(struct rt_defer *);
};
void rt_defer(struct rt *rt, struct rt_defer *d);

/* One-shot timer in the caller's memory, zeroed before its first start (4-ary heap, one uv_timer).
 * Starting a running one moves it. Stopping is immediate; no closed callback is needed. */
struct rt_timer {
    int64_t due_us; /* monotonic */
    size_t slot;    /* position in the heap plus 1; 0 when stopped */
    void (*fn)(struct rt_timer *);
};
void rt_timer_start(struct rt *rt, struct rt_timer *t, int64_t after_us,
                    void (*fn)(struct rt_timer *));
void rt_timer_stop(struct rt *rt, struct rt_timer *t);

/* fn runs on the loop for each delivery of the signal. */
MUST_CHECK int rt_on_signal(struct rt *rt, int signum, void (*fn)(void *arg, int signum), void *arg,
                            struct err *err);

struct rt_stats {
    uint64_t turns, fiber_switches, timers_fired;
    int64_t lag_us_max; /* longest turn since the last call */
    size_t timers, fibers, fibers_pooled;
};
void rt_stats(struct rt *rt, struct rt_stats *out);

#endif
