/* SPDX-License-Identifier: Apache-2.0 */
/* rt_int.h - the inside of struct rt, shared by the files of this folder only.
 *
 * Owner: loop.c opens and closes the parts in order. Memory: one heap block a loop.
 * Suspends: never. */
#ifndef HF_RT_RT_INT_H
#define HF_RT_RT_INT_H

#include <pthread.h>
#include <setjmp.h>
#include <uv.h>

#include "rt/fiber.h"
#include "rt/loop.h"

struct rt_timer_slot {
    int64_t due_us;
    uint64_t sequence; /* first started, first fired among equal due times */
    struct rt_timer *timer;
};

struct rt_timers {
    struct rt_timer_slot *slots;
    size_t count, cap;
    uint64_t sequence;
    uint64_t fired;
    uv_timer_t wake; /* only ends the poll; firing is done by loop.c after the poll */
};

struct rt_fibers {
    struct list runnable, yielded; /* fiber.node */
    struct list all;               /* fiber.all_node: live fibers in order of birth */
    struct list spare;             /* fiber.node: handles without a stack, kept until rt_close */
    struct list stacks;            /* fiber_stack.node: idle stacks, latest first */
    size_t live, live_max, pooled;
    uint64_t id_last, switches;
    struct fiber *running;
    struct rt_timer trim; /* gives memory of long idle stacks back */
    jmp_buf loop_env;
    const void *loop_low; /* bounds of the loop's own stack, for the sanitizers */
    size_t loop_bytes;
    void *loop_fake, *loop_tsan;
};

struct rt_offload_pool;

struct rt_replies {
    pthread_mutex_t lock;
    struct list list; /* under lock: messages whose done is to run */
    uv_async_t wake;
    size_t workers_open;
    struct rt_offload_pool *pool; /* NULL until first used */
    size_t offload_threads, offload_queue_max;
    size_t outstanding; /* messages posted and not yet done */
};

struct rt {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active when work is left over, so that the poll returns */
    struct list signals;
    struct list deferred;
    struct rt_timers timers;
    struct rt_fibers fibers;
    struct rt_replies replies;
    bool closing;    /* rt_close is under way */
    bool time_valid; /* now_us and mono_us belong to this turn */
    int64_t now_us, mono_us;
    uint64_t turns;
    int64_t turn_us_max;
    void (*leap)(void *ctx, int64_t mono_us); /* simulated time; NULL: real */
    void *leap_ctx;
};

/* The loop of this thread: one loop a thread, set by rt_open, cleared by rt_close. */
extern _Thread_local struct rt *rt_current;
#define ASSERT_LOOP_THREAD(rt) ASSERT((rt) == rt_current)

void rt_fibers_open(struct rt *rt);
bool rt_fibers_runnable(const struct rt *rt);
void rt_fibers_wake_yielded(struct rt *rt); /* those that yielded before the poll */
void rt_fibers_run(struct rt *rt);          /* one pass over those runnable at the start */
void rt_fibers_cancel_all(struct rt *rt);
void rt_fibers_close(struct rt *rt);

/* A thread with all signals blocked, so that the loop's thread, or the program's, gets them; it
 * logs to where its starter does. Returns an errno. */
MUST_CHECK int rt_thread_start(pthread_t *out, void *(*fn)(void *), void *arg);

MUST_CHECK int rt_replies_open(struct rt *rt, struct err *err);
void rt_replies_deliver(struct rt *rt);
void rt_pool_close(struct rt *rt);    /* joins the offload pool */
void rt_replies_close(struct rt *rt); /* after the async handle is gone */

#endif
