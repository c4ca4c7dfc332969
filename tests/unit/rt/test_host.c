/* SPDX-License-Identifier: Apache-2.0 */
/* test_host.c - a loop on a thread of its own. Goal: calls of any thread run once, in the order of
 * their coming, so many at a time; those that wait do not stop others; all are done when it is
 * closed; a failed opening leaves nothing. Method: real threads, calls that note what they saw. */
#include "rt/host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

#define CALLS 100

struct scene {
    struct rt_host *host;
    struct rt *rt;
    int opened, started, closed, fail_at;
    int running, running_most, ran;
};

static int on_open(void *ctx, struct rt *rt, struct err *err) {
    struct scene *s = ctx;
    s->rt = rt;
    s->opened++;
    assert_null(fiber_self());
    return s->fail_at == 1 ? err_set(err, ERR_IO, "first") : 0;
}

static int on_start(void *ctx, struct rt *rt, struct err *err) {
    struct scene *s = ctx;
    assert_ptr_equal(fiber_rt(), rt);
    s->started++;
    (void)fiber_sleep_us(1000);
    return s->fail_at == 2 ? err_set(err, ERR_CORRUPT, "second") : 0;
}

static void on_close(void *ctx) { ((struct scene *)ctx)->closed++; }

static int open_host(struct scene *s, size_t running_max, struct err *err) {
    const struct rt_host_options o = {.name = "test",
                                      .running_max = running_max,
                                      .open = on_open,
                                      .start = on_start,
                                      .close = on_close,
                                      .ctx = s};
    return rt_host_open(&o, &s->host, err);
}

struct call {
    struct rt_call base;
    struct scene *s;
    int place, rc;
    bool inside, cancelled;
    struct rt_gate gate;
};

static void run(struct rt_call *base, int rc) {
    struct call *c = CONTAINER_OF(base, struct call, base);
    struct scene *s = c->s;
    c->rc = rc;
    c->inside = rt_host_inside(s->host);
    s->running++;
    if (s->running > s->running_most)
        s->running_most = s->running;
    c->place = s->ran++;
    fiber_yield();
    s->running--;
    rt_gate_open(&c->gate);
}

static void run_for_ever(struct rt_call *base, int rc) {
    struct call *c = CONTAINER_OF(base, struct call, base);
    c->rc = rc;
    c->cancelled = fiber_park(FIBER_NO_DEADLINE) == ERR_CANCELLED;
    rt_gate_open(&c->gate);
}

static void test_calls(void **state) {
    struct scene s = {0};
    struct call calls[CALLS] = {0};
    (void)state;
    assert_int_equal(open_host(&s, 7, NULL), 0);
    assert_false(rt_host_inside(s.host));
    for (int i = 0; i < CALLS; i++) {
        calls[i].s = &s;
        calls[i].base.run = run;
        rt_gate_init(&calls[i].gate);
        assert_int_equal(rt_host_post(s.host, &calls[i].base), 0);
    }
    for (int i = 0; i < CALLS; i++) {
        rt_gate_wait(&calls[i].gate);
        assert_int_equal(calls[i].rc, 0);
        assert_int_equal(calls[i].place, i);
        assert_true(calls[i].inside);
    }
    rt_host_close(s.host);
    assert_int_equal(s.ran, CALLS);
    assert_in_range(s.running_most, 1, 7);
    assert_int_equal(s.closed, 1);
}

static void test_those_that_wait(void **state) {
    struct scene s = {0};
    struct call waits[CALLS] = {0}, last = {.s = &s, .base.run = run}, late = last;
    (void)state;
    assert_int_equal(open_host(&s, 1, NULL), 0);
    for (int i = 0; i < CALLS; i++) {
        waits[i].s = &s;
        waits[i].base.run = run_for_ever;
        waits[i].base.waits = true;
        rt_gate_init(&waits[i].gate);
        assert_int_equal(rt_host_post(s.host, &waits[i].base), 0);
    }
    rt_gate_init(&last.gate);
    assert_int_equal(rt_host_post(s.host, &last.base), 0);
    rt_gate_wait(&last.gate);
    assert_false(rt_host_stops(s.host));
    rt_host_stop(s.host);
    rt_host_stop(s.host);
    assert_true(rt_host_stops(s.host));
    assert_int_equal(rt_host_post(s.host, &late.base), ERR_CLOSED);
    for (int i = 0; i < CALLS; i++) {
        rt_gate_wait(&waits[i].gate);
        assert_true(waits[i].cancelled);
    }
    rt_host_close(s.host);
}

static void test_failed_openings(void **state) {
    (void)state;
    for (int at = 1; at <= 2; at++) {
        struct scene s = {.fail_at = at};
        struct err err = {0};
        assert_int_equal(open_host(&s, 1, &err), at == 1 ? ERR_IO : ERR_CORRUPT);
        assert_string_equal(err.message, at == 1 ? "first" : "second");
        assert_int_equal(s.opened, 1);
        assert_int_equal(s.started, at - 1);
        assert_int_equal(s.closed, 1);
    }
    rt_host_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_those_that_wait),
        cmocka_unit_test(test_failed_openings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
