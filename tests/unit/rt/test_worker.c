/* SPDX-License-Identifier: Apache-2.0 */
/* test_worker.c - workers, the offload pool, name resolution. Goal: whole batches, no message lost
 * or doubled, limits, orderly close. Method: real threads; where a test needs a worker to be busy,
 * a gate (mutex and condition) holds it until the loop thread lets it go. */
#include "rt/worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#include "base/mem.h"

static int setup(void **state)
{
    struct rt *rt = NULL;
    int rc = rt_open(&rt, NULL);
    *state = rt;
    return rc;
}

static int teardown(void **state)
{
    rt_close(*state);
    return 0;
}

/* --- a gate for other threads --- */

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    int waiting;
};

static void gate_init(struct gate *g)
{
    *g = (struct gate){.open = false};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
}

static void gate_pass(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->waiting++;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->lock);
    g->waiting--;
    pthread_mutex_unlock(&g->lock);
}

static void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void gate_await(struct gate *g, int waiting)
{
    pthread_mutex_lock(&g->lock);
    while (g->waiting < waiting)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void gate_deinit(struct gate *g)
{
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->changed);
}

/* --- dedicated workers --- */

#define BATCHES_MAX 8
struct bench {
    struct gate gate;
    bool gated, reversed;
    int batches, sizes[BATCHES_MAX]; /* the worker's, until it is closed */
    atomic_int idles;
    pthread_t loop_thread;
    int done, stop_at, order[64];
};

struct item {
    struct rt_msg msg;
    struct bench *bench;
    int number, handled;
};

static void on_item_done(struct rt_msg *m)
{
    struct item *it = CONTAINER_OF(m, struct item, msg);
    struct bench *b = it->bench;
    assert_true(pthread_equal(pthread_self(), b->loop_thread));
    assert_int_equal(it->handled, 1);
    if (b->done < (int)ARRAY_COUNT(b->order))
        b->order[b->done] = it->number;
    if (++b->done == b->stop_at)
        rt_stop(fiber_rt());
}

static void bench_handle(struct rt_worker *w, struct list *batch, void *ctx)
{
    struct bench *b = ctx;
    struct list replies;
    int size = 0;
    list_init(&replies);
    ASSERT(!pthread_equal(pthread_self(), b->loop_thread));
    if (b->gated)
        gate_pass(&b->gate);
    for (struct list *n; (n = list_pop_front(batch)) != NULL; size++) {
        CONTAINER_OF(n, struct item, msg.node)->handled++;
        if (b->reversed)
            list_push_front(&replies, n);
        else
            list_push_back(&replies, n);
    }
    if (b->batches < BATCHES_MAX)
        b->sizes[b->batches] = size;
    b->batches++;
    rt_worker_reply(w, &replies);
}

static void bench_idle(void *ctx)
{
    atomic_fetch_add(&((struct bench *)ctx)->idles, 1);
}

static struct rt_worker *bench_open(struct rt *rt, struct bench *b, size_t inbox_count_max)
{
    struct rt_worker *w = NULL;
    b->loop_thread = pthread_self();
    gate_init(&b->gate);
    struct rt_worker_options options = {.name = "bench-with-a-long-name",
                                        .inbox_count_max = inbox_count_max,
                                        .handle = bench_handle,
                                        .idle = bench_idle,
                                        .ctx = b};
    assert_int_equal(rt_worker_open(rt, &options, &w, NULL), 0);
    return w;
}

static int post(struct rt_worker *w, struct bench *b, struct item *it, int number)
{
    *it = (struct item){.msg.done = on_item_done, .bench = b, .number = number};
    return rt_worker_post(w, &it->msg);
}

static void test_all_waiting_messages_come_in_one_batch(void **state)
{
    struct bench b = {.gated = true, .reversed = true, .stop_at = 6};
    struct rt_worker *w = bench_open(*state, &b, 100);
    struct item items[6];
    assert_int_equal(post(w, &b, &items[0], 0), 0);
    gate_await(&b.gate, 1);
    for (int i = 1; i < 6; i++)
        assert_int_equal(post(w, &b, &items[i], i), 0);
    gate_open(&b.gate);
    rt_run(*state);
    rt_worker_close(w);
    assert_int_equal(b.batches, 2);
    assert_int_equal(b.sizes[0], 1);
    assert_int_equal(b.sizes[1], 5);
    static const int expected[] = {0, 5, 4, 3, 2, 1};
    assert_memory_equal(b.order, expected, sizeof expected);
    assert_true(atomic_load(&b.idles) >= 1);
    gate_deinit(&b.gate);
}

static void test_a_full_inbox_refuses_and_done_does_not_run(void **state)
{
    struct bench b = {.gated = true, .stop_at = 3};
    struct rt_worker *w = bench_open(*state, &b, 2);
    struct item items[4];
    assert_int_equal(post(w, &b, &items[0], 0), 0);
    gate_await(&b.gate, 1);
    assert_int_equal(post(w, &b, &items[1], 1), 0);
    assert_int_equal(post(w, &b, &items[2], 2), 0);
    assert_int_equal(post(w, &b, &items[3], 3), ERR_LIMIT);
    gate_open(&b.gate);
    rt_run(*state);
    rt_worker_close(w);
    assert_int_equal(b.done, 3);
    assert_int_equal(items[3].handled, 0);
    gate_deinit(&b.gate);
}

static int post_late(struct rt_worker *w, struct bench *b, struct item *it, int number)
{
    *it = (struct item){.msg.done = on_item_done, .bench = b, .number = number};
    return rt_worker_post_late(w, &it->msg);
}

static void test_late_posts_of_a_turn_come_in_one_batch(void **state)
{
    struct bench b = {.stop_at = 6};
    struct rt_worker *w = bench_open(*state, &b, 6); /* fewer than go at once */
    struct item items[7];
    for (int i = 0; i < 6; i++)
        assert_int_equal(post_late(w, &b, &items[i], i), 0);
    assert_int_equal(post_late(w, &b, &items[6], 6), ERR_LIMIT);
    assert_int_equal(post(w, &b, &items[6], 6), ERR_LIMIT);
    rt_run(*state);
    assert_int_equal(b.batches, 1);
    assert_int_equal(b.sizes[0], 6);
    assert_int_equal(items[6].handled, 0);
    assert_int_equal(post_late(w, &b, &items[6], 6), 0);
    rt_worker_close(w); /* before the turn ends */
    assert_int_equal(b.done, 7);
    gate_deinit(&b.gate);
}

static void test_many_late_posts_do_not_wait_for_the_turn(void **state)
{
    struct bench b = {.gated = true, .stop_at = 10};
    struct rt_worker *w = bench_open(*state, &b, 100);
    struct item items[10];
    for (int i = 0; i < 10; i++)
        assert_int_equal(post_late(w, &b, &items[i], i), 0);
    gate_await(&b.gate, 1); /* the turn has not ended, and the worker has some */
    gate_open(&b.gate);
    rt_run(*state);
    rt_worker_close(w);
    assert_int_equal(b.batches, 2);
    assert_int_equal(b.sizes[0] + b.sizes[1], 10);
    gate_deinit(&b.gate);
}

static void test_close_handles_the_inbox_and_delivers_replies(void **state)
{
    struct bench b = {.gated = true};
    struct rt_worker *w = bench_open(*state, &b, 100);
    struct item items[10];
    for (int i = 0; i < 10; i++)
        assert_int_equal(post(w, &b, &items[i], i), 0);
    assert_int_equal(b.done, 0);
    gate_open(&b.gate);
    rt_worker_close(w);
    assert_int_equal(b.done, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(b.order[i], i);
    rt_worker_close(NULL);
    gate_deinit(&b.gate);
}

/* Every reply posts the next message: the loop and the worker fall asleep and wake all the time. */
#define STREAM_TOTAL 20000
struct stream {
    struct bench b;
    struct rt_worker *worker;
    struct item items[32];
    int posted, done;
};
static void on_stream_done(struct rt_msg *m)
{
    struct item *it = CONTAINER_OF(m, struct item, msg);
    struct stream *s = CONTAINER_OF(it->bench, struct stream, b);
    assert_int_equal(it->handled, 1);
    if (++s->done == STREAM_TOTAL)
        rt_stop(fiber_rt());
    if (s->posted == STREAM_TOTAL)
        return;
    s->posted++;
    it->handled = 0;
    assert_int_equal(rt_worker_post(s->worker, m), 0);
}

static void test_a_long_stream_loses_no_message(void **state)
{
    struct stream *s = NEW(struct stream);
    s->worker = bench_open(*state, &s->b, 64);
    for (int i = 0; i < 32; i++) {
        s->items[i] = (struct item){.msg.done = on_stream_done, .bench = &s->b};
        s->posted++;
        assert_int_equal(rt_worker_post(s->worker, &s->items[i].msg), 0);
    }
    rt_run(*state);
    rt_worker_close(s->worker);
    assert_int_equal(s->done, STREAM_TOTAL);
    gate_deinit(&s->b.gate);
    mem_free(s);
}

/* --- offload --- */

struct offload_case {
    struct rt *rt;
    struct gate gate;
    pthread_t loop_thread;
    int live, ok, refused;
};

struct job {
    struct offload_case *c;
    int in, out;
    bool gated;
};

static void job_run(void *arg)
{
    struct job *j = arg;
    ASSERT(!pthread_equal(pthread_self(), j->c->loop_thread));
    if (j->gated)
        gate_pass(&j->c->gate);
    j->out = j->in * 2;
}

static void fiber_ended(struct offload_case *c)
{
    if (--c->live == 0)
        rt_stop(c->rt);
}

static void offload_fiber(void *arg)
{
    struct offload_case *c = arg;
    for (int i = 0; i < 20; i++) {
        struct job j = {.c = c, .in = i};
        assert_int_equal(rt_offload(c->rt, job_run, &j), 0);
        assert_int_equal(j.out, i * 2);
        c->ok++;
    }
    fiber_ended(c);
}

static void spawn(struct offload_case *c, fiber_fn fn)
{
    assert_non_null(fiber_spawn(c->rt, "offload", fn, c, NULL));
    c->live++;
}

static struct offload_case offload_case(struct rt *rt)
{
    return (struct offload_case){.rt = rt, .loop_thread = pthread_self()};
}

static void test_jobs_run_outside_the_loop_and_return(void **state)
{
    struct offload_case c = offload_case(*state);
    for (int i = 0; i < 50; i++)
        spawn(&c, offload_fiber);
    rt_run(*state);
    assert_int_equal(c.ok, 1000);
}

static void gated_fiber(void *arg)
{
    struct offload_case *c = arg;
    struct job j = {.c = c, .in = 1, .gated = true};
    int rc = rt_offload(c->rt, job_run, &j);
    if (rc == ERR_LIMIT) {
        c->refused++;
        gate_await(&c->gate, 1);
        gate_open(&c->gate);
    } else {
        assert_int_equal(rc, 0);
        assert_int_equal(j.out, 2);
        c->ok++;
    }
    fiber_ended(c);
}

static void wait_for_gate(void *arg)
{
    struct offload_case *c = arg;
    spawn(c, gated_fiber); /* taken by the only thread */
    fiber_yield();
    gate_await(&c->gate, 1);
    for (int i = 0; i < 3; i++)
        spawn(c, gated_fiber); /* two wait, one is refused and opens the gate */
    fiber_ended(c);
}

static void test_a_full_queue_refuses(void **state)
{
    struct offload_case c = offload_case(*state);
    gate_init(&c.gate);
    rt_offload_configure(*state, 1, 2);
    spawn(&c, wait_for_gate);
    rt_run(*state);
    assert_int_equal(c.ok, 3);
    assert_int_equal(c.refused, 1);
    gate_deinit(&c.gate);
}

static void cancelled_fiber(void *arg)
{
    struct offload_case *c = arg;
    struct job j = {.c = c, .in = 4, .gated = true};
    assert_int_equal(rt_offload(c->rt, job_run, &j), 0);
    assert_int_equal(j.out, 8); /* the job had run before the call returned */
    assert_int_equal(fiber_park(FIBER_NO_DEADLINE), ERR_CANCELLED);
    c->ok++;
    fiber_ended(c);
}

static void test_a_cancelled_fiber_still_waits_for_its_job(void **state)
{
    struct offload_case c = offload_case(*state);
    gate_init(&c.gate);
    struct fiber *f = fiber_spawn(c.rt, "cancelled", cancelled_fiber, &c, NULL);
    assert_non_null(f);
    c.live++;
    rt_stop(c.rt);
    rt_run(c.rt); /* nothing: stopped before it began */
    fiber_cancel(f);
    gate_open(&c.gate);
    rt_run(c.rt);
    assert_int_equal(c.ok, 1);
    gate_deinit(&c.gate);
}

/* --- names --- */

static void resolve_fiber(void *arg)
{
    struct offload_case *c = arg;
    struct rt_address a[4];
    size_t count = 99;
    struct err err = {0};
    assert_int_equal(rt_resolve(c->rt, STR("127.0.0.1"), a, 4, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_string_equal(a[0].text, "127.0.0.1");
    assert_false(a[0].v6);
    assert_int_equal(rt_resolve(c->rt, STR("0:0::1"), a, 4, &count, NULL), 0);
    assert_string_equal(a[0].text, "::1");
    assert_true(a[0].v6);
    assert_int_equal(rt_resolve(c->rt, STR("localhost"), a, 4, &count, NULL), 0);
    assert_true(count >= 1 && count <= 4);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(a[i].text, a[i].v6 ? "::1" : "127.0.0.1");
    count = 99;
    assert_int_not_equal(rt_resolve(c->rt, STR("no-such-host.invalid"), a, 4, &count, &err), 0);
    assert_true(err.code == ERR_NOT_FOUND || err.code == ERR_UNAVAILABLE);
    assert_int_equal(rt_resolve(c->rt, STR(""), a, 4, &count, &err), ERR_INVALID);
    assert_int_equal(rt_resolve(c->rt, STR("a\0b"), a, 4, &count, &err), ERR_INVALID);
    assert_int_equal(count, 99);
    c->ok++;
    fiber_ended(c);
}

static void test_names_are_resolved(void **state)
{
    struct offload_case c = offload_case(*state);
    spawn(&c, resolve_fiber);
    rt_run(c.rt);
    assert_int_equal(c.ok, 1);
}

#define WORKER_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKER_TEST(test_all_waiting_messages_come_in_one_batch),
        WORKER_TEST(test_a_full_inbox_refuses_and_done_does_not_run),
        WORKER_TEST(test_late_posts_of_a_turn_come_in_one_batch),
        WORKER_TEST(test_many_late_posts_do_not_wait_for_the_turn),
        WORKER_TEST(test_close_handles_the_inbox_and_delivers_replies),
        WORKER_TEST(test_a_long_stream_loses_no_message),
        WORKER_TEST(test_jobs_run_outside_the_loop_and_return),
        WORKER_TEST(test_a_full_queue_refuses),
        WORKER_TEST(test_a_cancelled_fiber_still_waits_for_its_job),
        WORKER_TEST(test_names_are_resolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
