/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h - threads outside the loop, reached by messages: the offload pool and dedicated workers.
 *
 * A dedicated worker (rt_worker_open) takes ALL messages that wait for it in one call of its
 * handler, so that it can work on them as a group (group commit). The handler passes each message
 * back with rt_worker_reply (any order, also several at once); msg.done then runs on the loop.
 * Wake-ups in both directions are coalesced: one futex or eventfd write per burst.
 *
 * Memory: messages are the sender's; they are the worker's from post to reply.
 * Errors: posting to a full inbox (count_max) fails with ERR_LIMIT and done never runs.
 * Suspends: only rt_offload. Tests: tests/unit/rt/test_worker.c */
#ifndef HF_RT_WORKER_H
#define HF_RT_WORKER_H

#include "rt/fiber.h"

struct rt_msg {
    struct list node;
    void (*done)(struct rt_msg *); /* on the loop thread */
};

struct rt_worker;
/* On the worker's thread. `batch` holds at least one message; take them all off the list. */
typedef void (*rt_worker_fn)(struct rt_worker *w, struct list *batch, void *ctx);

struct rt_worker_options {
    const char *name;        /* thread name, up to 15 characters */
    size_t inbox_count_max;
    rt_worker_fn handle;
    void (*idle)(void *ctx); /* may be NULL: called on the worker before it sleeps */
    void *ctx;
};
MUST_CHECK int rt_worker_open(struct rt *rt, const struct rt_worker_options *options,
                              struct rt_worker **out, struct err *err);
MUST_CHECK int rt_worker_post(struct rt_worker *w, struct rt_msg *m); /* loop thread */
/* The same at the end of the turn or when eight have gathered: for work that is cheaper in a group,
 * so that the first message does not start a group of one. Mixed with rt_worker_post
 * the order is that of arrival at the worker. */
MUST_CHECK int rt_worker_post_late(struct rt_worker *w, struct rt_msg *m);
void rt_worker_reply(struct rt_worker *w, struct list *messages);     /* worker thread */
/* Handles what is in the inbox, joins the thread, delivers outstanding replies. Loop thread. */
void rt_worker_close(struct rt_worker *w);

/* Runs fn(arg) on the offload pool (rt option, default 2 threads) and returns when it has run.
 * ERR_LIMIT when the pool's queue is full or no thread can be had. Shielded: cancellation is seen
 * afterwards. */
MUST_CHECK MAY_SUSPEND int rt_offload(struct rt *rt, void (*fn)(void *arg), void *arg);

/* Size of the pool and of its queue; before its first use. */
void rt_offload_configure(struct rt *rt, size_t threads_count, size_t queue_count_max);

/* Resolves a host name on the pool: numeric addresses come back as text, best first. */
#define RT_ADDRESS_LEN 46
struct rt_address {
    char text[RT_ADDRESS_LEN];
    bool v6;
};
MUST_CHECK MAY_SUSPEND int rt_resolve(struct rt *rt, str host, struct rt_address *out, size_t cap,
                                      size_t *out_count, struct err *err);

#endif
