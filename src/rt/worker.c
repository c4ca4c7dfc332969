/* SPDX-License-Identifier: Apache-2.0 */
/* worker.c - threads outside the loop and the messages between them and it.
 *
 * To a worker: an inbox under a mutex. The poster signals the condition only when the worker
 * sleeps, and marks it awake in the same step, so a burst of posts costs one futex call. The worker
 * takes the whole inbox at once. Late posts gather in an outbox of the loop's, which goes to the
 * inbox at the end of the turn or when it is large enough for a group.
 *
 * Back to the loop: one list of replies for all workers of the loop, under a mutex. Who finds it
 * empty wakes the loop through the uv_async handle; the loop takes the whole list and runs each
 * message's `done`.
 *
 * The offload pool is a set of threads over one shared queue, started by its first job and joined
 * by rt_close. A job lives on the stack of the fiber that waits for it, which is why that wait is
 * shielded.
 *
 * Invariants: a message is in one list at a time and belongs to whoever holds that list's lock;
 * `outstanding` counts messages posted whose done has not run and is the loop thread's alone; all
 * signals are blocked in every thread made here, so that the loop's thread gets them. */
#include "rt/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "rt/rt_int.h"

#define THREAD_NAME_BYTES         16
#define OFFLOAD_THREADS_DEFAULT   2
#define OFFLOAD_THREADS_MAX       64
#define OFFLOAD_QUEUE_MAX_DEFAULT 4096
#define HOST_LEN_MAX              253
#define LATE_COUNT_MAX            8 /* more would leave the worker idle while the loop fills them */

struct rt_worker {
    struct rt *rt;
    rt_worker_fn handle;
    void (*idle)(void *ctx);
    void *ctx;
    size_t inbox_count_max;
    char name[THREAD_NAME_BYTES];
    struct list outbox; /* of the loop thread: late posts of this turn */
    size_t outbox_count;
    struct rt_defer turn_end;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* under lock */
    struct list inbox;
    size_t inbox_count;
    bool sleeping, stopping;
};

struct rt_offload_pool {
    struct rt *rt;
    size_t queue_max, threads_count;
    pthread_t threads[OFFLOAD_THREADS_MAX];
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* under lock */
    struct list queue;
    size_t queue_count, sleeping;
    bool stopping;
};

struct offload_job {
    struct rt_msg msg;
    void (*fn)(void *arg);
    void *arg;
    struct fiber *fiber;
    bool done;
};

/* --- threads --- */

static void must(int rc) { ASSERT(rc == 0); /* of calls that fail only when misused */ }

struct thread_start {
    void *(*fn)(void *);
    void *arg;
    const struct log_sink *sink;
};

static void *thread_main(void *arg) {
    struct thread_start s = *(struct thread_start *)arg;
    mem_free(arg);
    log_redirect(s.sink);
    return s.fn(s.arg);
}

int rt_thread_start(pthread_t *out, void *(*fn)(void *), void *arg) {
    struct thread_start *s = mem_alloc(sizeof *s);
    sigset_t all, before;
    *s = (struct thread_start){fn, arg, log_redirected()};
    sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before));
    int rc = pthread_create(out, NULL, thread_main, s);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL));
    if (rc != 0)
        mem_free(s);
    return rc;
}

/* --- replies --- */

static void replies_post(struct rt *rt, struct list *messages) {
    struct rt_replies *rs = &rt->replies;
    if (list_empty(messages))
        return;
    must(pthread_mutex_lock(&rs->lock));
    bool was_empty = list_empty(&rs->list);
    list_splice(&rs->list, messages);
    must(pthread_mutex_unlock(&rs->lock));
    if (was_empty)
        must(uv_async_send(&rs->wake));
}

void rt_replies_deliver(struct rt *rt) {
    struct rt_replies *rs = &rt->replies;
    struct list batch;
    list_init(&batch);
    must(pthread_mutex_lock(&rs->lock));
    list_splice(&batch, &rs->list);
    must(pthread_mutex_unlock(&rs->lock));
    for (struct list *n; (n = list_pop_front(&batch)) != NULL;) {
        struct rt_msg *m = LIST_ENTRY(n, struct rt_msg, node);
        ASSERT(rs->outstanding > 0);
        rs->outstanding--;
        m->done(m);
    }
}

static void on_replies(uv_async_t *handle) { rt_replies_deliver(handle->data); }

int rt_replies_open(struct rt *rt, struct err *err) {
    struct rt_replies *rs = &rt->replies;
    int rc = uv_async_init(&rt->uv, &rs->wake, on_replies);
    if (rc)
        return err_set_system(err, ERR_UNAVAILABLE, -rc, "event loop: %s", uv_strerror(rc));
    rs->wake.data = rt;
    must(pthread_mutex_init(&rs->lock, NULL));
    list_init(&rs->list);
    rs->offload_threads = OFFLOAD_THREADS_DEFAULT;
    rs->offload_queue_max = OFFLOAD_QUEUE_MAX_DEFAULT;
    return 0;
}

void rt_replies_close(struct rt *rt) {
    ASSERT(list_empty(&rt->replies.list) && rt->replies.pool == NULL);
    must(pthread_mutex_destroy(&rt->replies.lock));
}

/* --- dedicated workers --- */

/* Waits until there are messages and takes them all; false when the worker is to end. */
static bool worker_take(struct rt_worker *w, struct list *batch) {
    bool idled = w->idle == NULL;
    must(pthread_mutex_lock(&w->lock));
    while (list_empty(&w->inbox) && !w->stopping) {
        if (!idled) {
            must(pthread_mutex_unlock(&w->lock));
            w->idle(w->ctx);
            idled = true;
            must(pthread_mutex_lock(&w->lock));
            continue;
        }
        w->sleeping = true;
        must(pthread_cond_wait(&w->wake, &w->lock));
        w->sleeping = false; /* also after a spurious wake-up */
    }
    list_splice(batch, &w->inbox);
    w->inbox_count = 0;
    must(pthread_mutex_unlock(&w->lock));
    return !list_empty(batch);
}

static void *worker_main(void *arg) {
    struct rt_worker *w = arg;
    struct list batch;
    (void)pthread_setname_np(pthread_self(), w->name); /* a comfort for debuggers */
    list_init(&batch);
    while (worker_take(w, &batch)) {
        w->handle(w, &batch, w->ctx);
        ASSERT(list_empty(&batch));
    }
    return NULL;
}

static void outbox_send(struct rt_worker *w) {
    must(pthread_mutex_lock(&w->lock));
    ASSERT(!w->stopping);
    list_splice(&w->inbox, &w->outbox);
    w->inbox_count += w->outbox_count;
    bool wake = w->sleeping;
    w->sleeping = false; /* the next post needs no signal */
    must(pthread_mutex_unlock(&w->lock));
    w->outbox_count = 0;
    if (wake)
        must(pthread_cond_signal(&w->wake));
}

static void on_turn_end(struct rt_defer *d) {
    struct rt_worker *w = CONTAINER_OF(d, struct rt_worker, turn_end);
    if (w->outbox_count > 0)
        outbox_send(w);
}

int rt_worker_open(struct rt *rt, const struct rt_worker_options *options, struct rt_worker **out,
                   struct err *err) {
    ASSERT_LOOP_THREAD(rt);
    ASSERT(options->handle != NULL && options->inbox_count_max > 0);
    struct rt_worker *w = NEW(struct rt_worker);
    w->rt = rt;
    w->handle = options->handle;
    w->idle = options->idle;
    w->ctx = options->ctx;
    w->inbox_count_max = options->inbox_count_max;
    size_t len = strnlen(options->name, THREAD_NAME_BYTES - 1);
    memcpy(w->name, options->name, len);
    list_init(&w->outbox);
    w->turn_end.fn = on_turn_end;
    list_init(&w->inbox);
    must(pthread_mutex_init(&w->lock, NULL));
    must(pthread_cond_init(&w->wake, NULL));
    int rc = rt_thread_start(&w->thread, worker_main, w);
    if (rc) {
        must(pthread_mutex_destroy(&w->lock));
        must(pthread_cond_destroy(&w->wake));
        err_set_system(err, ERR_UNAVAILABLE, rc, "worker %s: no thread: %s", w->name, strerror(rc));
        mem_free(w);
        return ERR_UNAVAILABLE;
    }
    rt->replies.workers_open++;
    *out = w;
    return 0;
}

int rt_worker_post(struct rt_worker *w, struct rt_msg *m) {
    ASSERT_LOOP_THREAD(w->rt);
    ASSERT(m->done != NULL);
    must(pthread_mutex_lock(&w->lock));
    ASSERT(!w->stopping);
    if (w->inbox_count + w->outbox_count >= w->inbox_count_max) {
        must(pthread_mutex_unlock(&w->lock));
        return ERR_LIMIT;
    }
    list_push_back(&w->inbox, &m->node);
    w->inbox_count++;
    bool wake = w->sleeping;
    w->sleeping = false; /* the next post of the burst needs no signal */
    must(pthread_mutex_unlock(&w->lock));
    w->rt->replies.outstanding++;
    if (wake)
        must(pthread_cond_signal(&w->wake));
    return 0;
}

int rt_worker_post_late(struct rt_worker *w, struct rt_msg *m) {
    ASSERT_LOOP_THREAD(w->rt);
    ASSERT(m->done != NULL);
    must(pthread_mutex_lock(&w->lock));
    size_t waiting = w->inbox_count + w->outbox_count;
    must(pthread_mutex_unlock(&w->lock));
    if (waiting >= w->inbox_count_max)
        return ERR_LIMIT;
    list_push_back(&w->outbox, &m->node);
    w->outbox_count++;
    w->rt->replies.outstanding++;
    if (w->outbox_count >= LATE_COUNT_MAX)
        outbox_send(w);
    else
        rt_defer(w->rt, &w->turn_end);
    return 0;
}

void rt_worker_reply(struct rt_worker *w, struct list *messages) { replies_post(w->rt, messages); }

void rt_worker_close(struct rt_worker *w) {
    if (!w)
        return;
    struct rt *rt = w->rt;
    ASSERT_LOOP_THREAD(rt);
    if (list_linked(&w->turn_end.node))
        list_remove(&w->turn_end.node);
    if (w->outbox_count > 0)
        outbox_send(w);
    must(pthread_mutex_lock(&w->lock));
    w->stopping = true;
    must(pthread_mutex_unlock(&w->lock));
    must(pthread_cond_signal(&w->wake));
    must(pthread_join(w->thread, NULL));
    rt_replies_deliver(rt);
    ASSERT(list_empty(&w->inbox));
    must(pthread_mutex_destroy(&w->lock));
    must(pthread_cond_destroy(&w->wake));
    mem_free(w);
    rt->replies.workers_open--;
}

/* --- the offload pool --- */

static void *pool_main(void *arg) {
    struct rt_offload_pool *p = arg;
    (void)pthread_setname_np(pthread_self(), "offload"); /* a comfort for debuggers */
    must(pthread_mutex_lock(&p->lock));
    for (;;) {
        struct list *n = list_pop_front(&p->queue);
        if (!n) {
            if (p->stopping)
                break;
            p->sleeping++;
            must(pthread_cond_wait(&p->wake, &p->lock));
            p->sleeping--;
            continue;
        }
        p->queue_count--;
        must(pthread_mutex_unlock(&p->lock));
        struct offload_job *job = CONTAINER_OF(n, struct offload_job, msg.node);
        job->fn(job->arg);
        struct list reply;
        list_init(&reply);
        list_push_back(&reply, n);
        replies_post(p->rt, &reply);
        must(pthread_mutex_lock(&p->lock));
    }
    must(pthread_mutex_unlock(&p->lock));
    return NULL;
}

static void pool_stop(struct rt_offload_pool *p) {
    must(pthread_mutex_lock(&p->lock));
    p->stopping = true;
    must(pthread_mutex_unlock(&p->lock));
    must(pthread_cond_broadcast(&p->wake));
    for (size_t i = 0; i < p->threads_count; i++)
        must(pthread_join(p->threads[i], NULL));
    ASSERT(list_empty(&p->queue));
    must(pthread_mutex_destroy(&p->lock));
    must(pthread_cond_destroy(&p->wake));
    mem_free(p);
}

/* NULL when not a single thread can be started. */
static struct rt_offload_pool *pool_start(struct rt *rt) {
    struct rt_offload_pool *p = NEW(struct rt_offload_pool);
    p->rt = rt;
    p->queue_max = rt->replies.offload_queue_max;
    list_init(&p->queue);
    must(pthread_mutex_init(&p->lock, NULL));
    must(pthread_cond_init(&p->wake, NULL));
    while (p->threads_count < rt->replies.offload_threads &&
           rt_thread_start(&p->threads[p->threads_count], pool_main, p) == 0)
        p->threads_count++;
    if (p->threads_count)
        return p;
    pool_stop(p);
    return NULL;
}

void rt_pool_close(struct rt *rt) {
    if (!rt->replies.pool)
        return;
    pool_stop(rt->replies.pool);
    rt->replies.pool = NULL;
    rt_replies_deliver(rt);
}

void rt_offload_configure(struct rt *rt, size_t threads_count, size_t queue_count_max) {
    ASSERT_LOOP_THREAD(rt);
    ASSERT(rt->replies.pool == NULL);
    ASSERT(threads_count > 0 && threads_count <= OFFLOAD_THREADS_MAX && queue_count_max > 0);
    rt->replies.offload_threads = threads_count;
    rt->replies.offload_queue_max = queue_count_max;
}

static void on_job_done(struct rt_msg *m) {
    struct offload_job *job = CONTAINER_OF(m, struct offload_job, msg);
    job->done = true;
    fiber_unpark(job->fiber);
}

int rt_offload(struct rt *rt, void (*fn)(void *arg), void *arg) {
    struct rt_replies *rs = &rt->replies;
    ASSERT_LOOP_THREAD(rt);
    fiber_assert_inside();
    if (!rs->pool)
        rs->pool = pool_start(rt);
    struct rt_offload_pool *p = rs->pool;
    if (!p)
        return ERR_LIMIT;
    struct offload_job job = {.msg.done = on_job_done, .fn = fn, .arg = arg, .fiber = fiber_self()};
    must(pthread_mutex_lock(&p->lock));
    if (p->queue_count >= p->queue_max) {
        must(pthread_mutex_unlock(&p->lock));
        return ERR_LIMIT;
    }
    list_push_back(&p->queue, &job.msg.node);
    p->queue_count++;
    bool wake = p->sleeping > 0;
    must(pthread_mutex_unlock(&p->lock));
    rs->outstanding++;
    if (wake)
        must(pthread_cond_signal(&p->wake));
    while (!job.done)
        fiber_park_shielded();
    return 0;
}

/* --- names --- */

struct resolve_job {
    char host[HOST_LEN_MAX + 1];
    struct addrinfo *found;
    int rc, system;
};

static void resolve_run(void *arg) {
    struct resolve_job *job = arg;
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    job->rc = getaddrinfo(job->host, NULL, &hints, &job->found);
    job->system = job->rc == EAI_SYSTEM ? errno : 0;
}

static bool address_from(const struct addrinfo *ai, struct rt_address *out) {
    const void *raw;
    if (ai->ai_family == AF_INET)
        raw = &((const struct sockaddr_in *)(const void *)ai->ai_addr)->sin_addr;
    else if (ai->ai_family == AF_INET6)
        raw = &((const struct sockaddr_in6 *)(const void *)ai->ai_addr)->sin6_addr;
    else
        return false;
    out->v6 = ai->ai_family == AF_INET6;
    return inet_ntop(ai->ai_family, raw, out->text, sizeof out->text) != NULL;
}

static size_t addresses_copy(const struct addrinfo *found, struct rt_address *out, size_t cap) {
    size_t count = 0;
    for (const struct addrinfo *ai = found; ai && count < cap; ai = ai->ai_next) {
        struct rt_address a = {0};
        bool seen = false;
        if (!address_from(ai, &a))
            continue;
        for (size_t i = 0; i < count && !seen; i++)
            seen = strncmp(out[i].text, a.text, sizeof a.text) == 0;
        if (!seen)
            out[count++] = a;
    }
    return count;
}

/* Numbers need no thread. */
static bool address_literal(const char *host, struct rt_address *out) {
    unsigned char raw[sizeof(struct in6_addr)];
    struct rt_address a = {0};
    int family = inet_pton(AF_INET, host, raw) == 1    ? AF_INET
                 : inet_pton(AF_INET6, host, raw) == 1 ? AF_INET6
                                                       : 0;
    if (!family || !inet_ntop(family, raw, a.text, sizeof a.text))
        return false;
    a.v6 = family == AF_INET6;
    *out = a;
    return true;
}

int rt_resolve(struct rt *rt, str host, struct rt_address *out, size_t cap, size_t *out_count,
               struct err *err) {
    struct resolve_job job = {0};
    ASSERT(cap > 0);
    fiber_assert_inside();
    if (host.len == 0 || host.len > HOST_LEN_MAX || memchr(host.p, 0, host.len))
        return err_set(err, ERR_INVALID, "not a host name");
    memcpy(job.host, host.p, host.len);
    if (address_literal(job.host, &out[0])) {
        *out_count = 1;
        return 0;
    }
    int rc = rt_offload(rt, resolve_run, &job);
    if (rc)
        return err_set(err, rc, "too many name look-ups and other jobs are waiting");
    if (job.rc == EAI_NONAME || job.rc == EAI_NODATA)
        return err_set(err, ERR_NOT_FOUND, "%s: no such host", job.host);
    if (job.rc)
        return err_set_system(err, ERR_UNAVAILABLE, job.system, "%s: %s", job.host,
                              gai_strerror(job.rc));
    size_t count = addresses_copy(job.found, out, cap);
    freeaddrinfo(job.found);
    if (!count)
        return err_set(err, ERR_NOT_FOUND, "%s: no address", job.host);
    *out_count = count;
    return 0;
}
