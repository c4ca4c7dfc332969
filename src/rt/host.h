/* SPDX-License-Identifier: Apache-2.0 */
/* host.h - a loop on a thread of its own, for programs that have none, and calls to it from any
 * thread.
 *
 * A call runs once, on a fiber of the host; `running_max` of them at a time, the others wait in the
 * order of their coming. Calls that only wait for something have fibers of their own beside those.
 *
 * Memory: a call is its poster's, and the host's from post until its run() has been entered; what
 * becomes of it then is between those two. Errors: as returned.
 * Suspends: what runs on fibers; rt_host_open(), rt_host_close() and rt_gate_wait() block instead:
 * they are for threads without a loop. All signals are blocked in the host's threads.
 * Tests: tests/unit/rt/test_host.c */
#ifndef HF_RT_HOST_H
#define HF_RT_HOST_H

#include <pthread.h>

#include "rt/fiber.h"

struct rt_host;
struct rt_call {
    struct list node;
    bool waits; /* for something that may never come; it must be deaf to nothing but its own end */
    /* rc 0: on a fiber, cancelled once the host stops. Negative: no fiber could be had; it is then
     * called on the loop and must not suspend. */
    void (*run)(struct rt_call *c, int rc);
};

struct rt_host_options {
    const char *name; /* of the thread, up to 15 characters */
    size_t running_max;
    int (*open)(void *ctx, struct rt *rt, struct err *err);              /* not on a fiber */
    MAY_SUSPEND int (*start)(void *ctx, struct rt *rt, struct err *err); /* then, on a fiber */
    /* When the loop has run, not on a fiber; also when one of those two failed. */
    void (*close)(void *ctx);
    void *ctx;
};
/* Returns when start() has; its error, or that of open(), is the host's. */
MUST_CHECK int rt_host_open(const struct rt_host_options *o, struct rt_host **out, struct err *err);
/* From any thread. ERR_CLOSED once it stops: run() is never called then. */
MUST_CHECK int rt_host_post(struct rt_host *h, struct rt_call *c);
/* From any thread: no call is taken any more, those that were posted run, cancelled. */
void rt_host_stop(struct rt_host *h);
bool rt_host_stops(struct rt_host *h);        /* any thread */
bool rt_host_inside(const struct rt_host *h); /* is this its thread? */
/* Stops it, waits for all calls to end, frees it. Not from inside. */
void rt_host_close(struct rt_host *h);

/* What a thread waits at until another one opens it, once. */
struct rt_gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
};
void rt_gate_init(struct rt_gate *g);
void rt_gate_open(struct rt_gate *g); /* g may be gone when it returns */
void rt_gate_wait(struct rt_gate *g); /* and deinit */

#endif
