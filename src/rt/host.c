/* SPDX-License-Identifier: Apache-2.0 */
/* host.c - a thread with a loop, an inbox under a mutex, and fibers that take calls from it.
 *
 *   any thread: inbox → uv_async → loop: ready → a fiber takes one after the other
 *
 * The first fiber of the loop lives as long as the host: it opens, sleeps until the host is told to
 * stop, cancels what runs, waits for it and ends the loop.
 *
 * Invariants: nothing is put into the inbox once `stopping` is set, which happens under its lock,
 * so the loop that has seen it has seen every call; the uv_async is used under that lock or by the
 * loop, so it is never used when it is closed. */
#include "rt/host.h"

#include <uv.h>

#include "base/mem.h"
#include "rt/rt_int.h"

struct rt_host {
    struct rt_host_options o;
    struct rt *rt;
    pthread_t thread;
    struct rt_gate opened;
    int rc; /* of opening */
    struct err err;
    /* of the loop's thread */
    struct list ready; /* calls that wait for a fiber */
    size_t running;
    struct fiber_group fibers;
    struct fiber *first;
    bool ending;
    uv_async_t wake;
    pthread_mutex_t lock;
    /* under lock */
    struct list inbox;
    bool stopping;
};

static void must(int rc) { ASSERT(rc == 0); /* of calls that fail only when misused */ }

/* --- gates --- */

void rt_gate_init(struct rt_gate *g) {
    g->open = false;
    must(pthread_mutex_init(&g->lock, NULL));
    must(pthread_cond_init(&g->changed, NULL));
}

void rt_gate_open(struct rt_gate *g) {
    must(pthread_mutex_lock(&g->lock));
    g->open = true;
    must(pthread_cond_signal(&g->changed)); /* under the lock: who waits frees it */
    must(pthread_mutex_unlock(&g->lock));
}

void rt_gate_wait(struct rt_gate *g) {
    must(pthread_mutex_lock(&g->lock));
    while (!g->open)
        must(pthread_cond_wait(&g->changed, &g->lock));
    must(pthread_mutex_unlock(&g->lock));
    must(pthread_mutex_destroy(&g->lock));
    must(pthread_cond_destroy(&g->changed));
}

/* --- calls, on the loop --- */

static struct rt_call *call_of(struct list *node) { return LIST_ENTRY(node, struct rt_call, node); }

static void run_ready(void *arg) {
    struct rt_host *h = arg;
    struct list *n;
    while ((n = list_pop_front(&h->ready)) != NULL)
        call_of(n)->run(call_of(n), 0);
    h->running--;
}

static void run_waiting(void *arg) {
    struct rt_call *c = arg;
    c->run(c, 0);
}

static void start(struct rt_host *h, struct rt_call *c) {
    if (c->waits) {
        int rc = fiber_group_spawn(&h->fibers, h->rt, "host.wait", run_waiting, c, NULL);
        if (rc < 0)
            c->run(c, rc);
        return;
    }
    list_push_back(&h->ready, &c->node);
    if (h->running == h->o.running_max)
        return;
    int rc = fiber_group_spawn(&h->fibers, h->rt, "host.call", run_ready, h, NULL);
    if (rc == 0) {
        h->running++;
    } else if (h->running == 0) {
        list_remove(&c->node);
        c->run(c, rc);
    }
}

static void on_wake(uv_async_t *handle) {
    struct rt_host *h = CONTAINER_OF(handle, struct rt_host, wake);
    struct list calls;
    list_init(&calls);
    must(pthread_mutex_lock(&h->lock));
    list_splice(&calls, &h->inbox);
    bool stopping = h->stopping;
    must(pthread_mutex_unlock(&h->lock));
    for (struct list *n; (n = list_pop_front(&calls)) != NULL;)
        start(h, call_of(n));
    if (stopping && !h->ending) {
        h->ending = true;
        fiber_unpark(h->first);
    }
}

/* --- life, on the host's thread --- */

static void first_fiber(void *arg) {
    struct rt_host *h = arg;
    h->rc = h->o.start ? h->o.start(h->o.ctx, h->rt, &h->err) : 0;
    if (h->rc == 0) {
        rt_gate_open(&h->opened);
        while (!h->ending)
            fiber_park_shielded();
        fiber_group_cancel(&h->fibers);
        fiber_group_wait(&h->fibers);
    }
    rt_stop(h->rt);
}

static int host_run(struct rt_host *h) {
    int rc = uv_async_init(rt_uv(h->rt), &h->wake, on_wake);
    if (rc < 0)
        return err_set_system(&h->err, ERR_UNAVAILABLE, -rc, "event loop: %s", uv_strerror(rc));
    rc = h->o.open ? h->o.open(h->o.ctx, h->rt, &h->err) : 0;
    if (rc == 0) {
        h->first = fiber_spawn(h->rt, "host", first_fiber, h, &h->err);
        rc = h->first ? 0 : ERR_LIMIT;
    }
    if (rc == 0) {
        rt_run(h->rt);
        rc = h->rc;
    }
    if (h->o.close)
        h->o.close(h->o.ctx);
    uv_close((uv_handle_t *)&h->wake, NULL);
    return rc;
}

static void *host_main(void *arg) {
    struct rt_host *h = arg;
    (void)pthread_setname_np(pthread_self(), h->o.name); /* a comfort for debuggers */
    int rc = rt_open(&h->rt, &h->err);
    if (rc == 0) {
        rc = host_run(h);
        rt_close(h->rt);
    }
    if (rc < 0) {
        h->rc = rc;
        rt_gate_open(&h->opened);
    }
    return NULL;
}

int rt_host_open(const struct rt_host_options *o, struct rt_host **out, struct err *err) {
    struct rt_host *h = NEW(struct rt_host);
    ASSERT(o->running_max > 0);
    h->o = *o;
    list_init(&h->ready);
    list_init(&h->inbox);
    fiber_group_init(&h->fibers);
    rt_gate_init(&h->opened);
    must(pthread_mutex_init(&h->lock, NULL));
    int rc = rt_thread_start(&h->thread, host_main, h);
    if (rc != 0) {
        rc = err_set_system(err, ERR_UNAVAILABLE, rc, "no thread: %s", strerror(rc));
        rt_gate_open(&h->opened);
    }
    rt_gate_wait(&h->opened);
    if (rc == 0 && h->rc == 0) {
        *out = h;
        return 0;
    }
    if (rc == 0) {
        rc = h->rc;
        must(pthread_join(h->thread, NULL));
        if (err)
            *err = h->err;
    }
    must(pthread_mutex_destroy(&h->lock));
    mem_free(h);
    return rc;
}

/* --- from any thread --- */

int rt_host_post(struct rt_host *h, struct rt_call *c) {
    must(pthread_mutex_lock(&h->lock));
    bool stopping = h->stopping;
    if (!stopping) {
        bool was_empty = list_empty(&h->inbox);
        list_push_back(&h->inbox, &c->node);
        if (was_empty)
            must(uv_async_send(&h->wake));
    }
    must(pthread_mutex_unlock(&h->lock));
    return stopping ? ERR_CLOSED : 0;
}

void rt_host_stop(struct rt_host *h) {
    must(pthread_mutex_lock(&h->lock));
    if (!h->stopping) {
        h->stopping = true;
        must(uv_async_send(&h->wake));
    }
    must(pthread_mutex_unlock(&h->lock));
}

bool rt_host_stops(struct rt_host *h) {
    must(pthread_mutex_lock(&h->lock));
    bool stopping = h->stopping;
    must(pthread_mutex_unlock(&h->lock));
    return stopping;
}

bool rt_host_inside(const struct rt_host *h) { return pthread_equal(pthread_self(), h->thread); }

void rt_host_close(struct rt_host *h) {
    if (!h)
        return;
    ASSERT(!rt_host_inside(h));
    rt_host_stop(h);
    must(pthread_join(h->thread, NULL));
    ASSERT(list_empty(&h->inbox) && list_empty(&h->ready));
    must(pthread_mutex_destroy(&h->lock));
    mem_free(h);
}
