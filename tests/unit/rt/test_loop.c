/* SPDX-License-Identifier: Apache-2.0 */
/* test_loop.c - the event loop. Goal: the order within a turn, the timer heap (also against a plain
 * model), signals, an idle loop that sleeps, and a close that leaves nothing. Method: a real loop
 * for each test; durations are never asserted from above. */
#include "rt/loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <uv.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rt/fiber.h"

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

static void stop_at(struct rt_timer *t)
{
    (void)t;
    rt_stop(fiber_rt());
}

static void run_for(struct rt *rt, int64_t us)
{
    struct rt_timer end = {0};
    rt_timer_start(rt, &end, us, stop_at);
    rt_run(rt);
}

/* --- timers --- */

#define LOG_MAX 16
struct log {
    char text[LOG_MAX + 1];
    size_t len;
};

static void note(struct log *log, char c)
{
    assert_true(log->len < LOG_MAX);
    log->text[log->len++] = c;
}

struct timer_case {
    struct rt_timer timer;
    struct log *log;
    char letter;
    int64_t fired_us;
};

static void on_letter(struct rt_timer *t)
{
    struct timer_case *c = CONTAINER_OF(t, struct timer_case, timer);
    c->fired_us = clock_mono_us();
    assert_true(c->fired_us >= t->due_us);
    assert_int_equal(t->slot, 0);
    note(c->log, c->letter);
}

static void test_timers_fire_in_order_of_due_time_and_start(void **state)
{
    static const int64_t after[] = {3000, 1000, 1000, 0, 2000, 1000};
    struct rt *rt = *state;
    struct log log = {{0}, 0};
    struct timer_case cases[ARRAY_COUNT(after)];
    for (size_t i = 0; i < ARRAY_COUNT(after); i++) {
        cases[i] = (struct timer_case){.log = &log, .letter = (char)('a' + i)};
        rt_timer_start(rt, &cases[i].timer, after[i], on_letter);
    }
    run_for(rt, 5000);
    assert_string_equal(log.text, "dbcfea");
}

static void test_a_stopped_timer_is_silent_and_a_moved_one_fires_once(void **state)
{
    struct rt *rt = *state;
    struct log log = {{0}, 0};
    struct timer_case stopped = {.log = &log, .letter = 's'}, moved = {.log = &log, .letter = 'm'},
                      plain = {.log = &log, .letter = 'p'};
    rt_timer_start(rt, &stopped.timer, 500, on_letter);
    rt_timer_start(rt, &moved.timer, 100, on_letter);
    rt_timer_start(rt, &plain.timer, 1000, on_letter);
    rt_timer_start(rt, &moved.timer, 2000, on_letter);
    rt_timer_stop(rt, &stopped.timer);
    rt_timer_stop(rt, &stopped.timer);
    run_for(rt, 4000);
    assert_string_equal(log.text, "pm");
}

struct again {
    struct rt_timer timer;
    int count;
    uint64_t turn_last;
};

static void on_again(struct rt_timer *t)
{
    struct again *a = CONTAINER_OF(t, struct again, timer);
    struct rt_stats stats;
    rt_stats(fiber_rt(), &stats);
    assert_true(a->count == 0 || stats.turns > a->turn_last);
    a->turn_last = stats.turns;
    if (++a->count < 5)
        rt_timer_start(fiber_rt(), t, 0, on_again);
    else
        rt_stop(fiber_rt());
}

static void test_a_timer_restarted_with_zero_fires_in_the_next_turn(void **state)
{
    struct again a = {0};
    rt_timer_start(*state, &a.timer, -5, on_again);
    rt_run(*state);
    assert_int_equal(a.count, 5);
}

/* Model test: many random starts, moves and stops; then every running one fires once, in order. */
#define MODEL_TIMERS 500
struct model {
    struct rt_timer timers[MODEL_TIMERS];
    bool running[MODEL_TIMERS];
    size_t fired;
    int64_t due_last;
};
static struct model *model_now; /* callbacks get a timer inside the array only */

static void on_model(struct rt_timer *t)
{
    size_t i = (size_t)(t - model_now->timers);
    assert_true(i < MODEL_TIMERS);
    assert_true(model_now->running[i]);
    assert_true(t->due_us >= model_now->due_last);
    model_now->running[i] = false;
    model_now->due_last = t->due_us;
    model_now->fired++;
}

static void test_random_starts_and_stops_agree_with_a_model(void **state)
{
    struct rt *rt = *state;
    struct model *m = model_now = NEW(struct model);
    uint32_t seed = 12345;
    struct rt_stats stats;
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1664525u + 1013904223u;
        size_t i = (seed >> 8) % MODEL_TIMERS;
        m->running[i] = (seed >> 28) != 0 && (seed >> 28) < 11;
        if (m->running[i])
            rt_timer_start(rt, &m->timers[i], (seed >> 4) % 3000, on_model);
        else
            rt_timer_stop(rt, &m->timers[i]);
    }
    size_t running = 0;
    for (size_t i = 0; i < MODEL_TIMERS; i++)
        running += m->running[i];
    rt_stats(rt, &stats);
    assert_int_equal(stats.timers, running);
    uint64_t fired_before = stats.timers_fired;
    run_for(rt, 3500);
    assert_int_equal(m->fired, running);
    rt_stats(rt, &stats);
    assert_int_equal(stats.timers, 0);
    assert_int_equal(stats.timers_fired - fired_before, running + 1);
    mem_free(m);
}

/* --- turns --- */

struct turn_case {
    struct log log;
    struct rt_defer first, second;
    struct rt_timer timer;
    struct fiber *fiber;
};
static struct turn_case *turn_now; /* a fiber and two deferred calls share it */

static void turn_second(struct rt_defer *d)
{
    (void)d;
    note(&turn_now->log, '2');
    fiber_unpark(turn_now->fiber);
}

static void turn_first(struct rt_defer *d)
{
    note(&turn_now->log, '1');
    assert_false(list_linked(&d->node));
    turn_now->second.fn = turn_second;
    rt_defer(fiber_rt(), &turn_now->second);
    rt_defer(fiber_rt(), &turn_now->second);
}

static void turn_fiber(void *arg)
{
    struct turn_case *c = arg;
    struct rt_stats before, after;
    note(&c->log, 'f');
    rt_stats(fiber_rt(), &before);
    int64_t now = rt_mono_us(fiber_rt()), wall = rt_now_us(fiber_rt());
    while (fiber_park(FIBER_NO_DEADLINE) == 0 && !strchr(c->log.text, '2'))
        continue;
    rt_stats(fiber_rt(), &after);
    assert_int_equal(after.turns, before.turns); /* woken before the loop polled again */
    assert_int_equal(rt_mono_us(fiber_rt()), now);
    assert_int_equal(rt_now_us(fiber_rt()), wall);
    note(&c->log, 'F');
    rt_stop(fiber_rt());
}

static void turn_timer(struct rt_timer *t)
{
    struct turn_case *c = CONTAINER_OF(t, struct turn_case, timer);
    note(&c->log, 't');
    c->first.fn = turn_first;
    rt_defer(fiber_rt(), &c->first);
    rt_defer(fiber_rt(), &c->first);
    c->fiber = fiber_spawn(fiber_rt(), "turn", turn_fiber, c, NULL);
    assert_non_null(c->fiber);
    note(&c->log, 'e'); /* nothing ran inside the calls */
}

static void test_a_turn_runs_timers_then_fibers_then_deferred_calls(void **state)
{
    struct turn_case c = {0};
    turn_now = &c;
    rt_timer_start(*state, &c.timer, 0, turn_timer);
    rt_run(*state);
    assert_string_equal(c.log.text, "tef12F");
}

struct endless {
    struct rt_defer defer;
    uint64_t count;
};

static void on_endless(struct rt_defer *d)
{
    struct endless *e = CONTAINER_OF(d, struct endless, defer);
    e->count++;
    rt_defer(fiber_rt(), d);
}

static void on_end_endless(struct rt_timer *t)
{
    (void)t;
    rt_stop(fiber_rt());
}

static void test_endless_deferring_does_not_starve_timers(void **state)
{
    struct rt *rt = *state;
    struct endless e = {.defer.fn = on_endless};
    struct rt_timer end = {0};
    rt_defer(rt, &e.defer);
    rt_timer_start(rt, &end, 2000, on_end_endless);
    rt_run(rt);
    assert_true(e.count > 0);
    list_remove(&e.defer.node);
}

static void test_an_idle_loop_sleeps(void **state)
{
    struct rt_stats before, after;
    rt_stats(*state, &before);
    run_for(*state, 30000);
    rt_stats(*state, &after);
    assert_true(after.turns - before.turns <= 4);
}

static void on_slow(struct rt_timer *t)
{
    (void)t;
    for (int64_t end = clock_mono_us() + 5000; clock_mono_us() < end;)
        continue;
}

/* --- simulated time --- */

static int64_t simulated_us;
static int64_t read_simulated(void)
{
    return simulated_us;
}
static void leap(void *ctx, int64_t mono_us)
{
    ++*(int *)ctx;
    simulated_us = mono_us;
}
static void sleep_long(void *arg)
{
    int64_t *woken = arg;
    for (int i = 0; i < 3; i++)
        if (fiber_sleep_us(INT64_C(3600000000)) < 0)
            return;
    *woken = rt_mono_us(fiber_rt());
    rt_stop(fiber_rt());
}

static void test_simulated_time_leaps_from_timer_to_timer(void **state)
{
    struct rt *rt = *state;
    int leaps = 0;
    int64_t woken = 0;
    simulated_us = 1000;
    clock_set_source(read_simulated, read_simulated);
    rt_simulate(rt, leap, &leaps);
    assert_non_null(fiber_spawn(rt, "sleeper", sleep_long, &woken, NULL));
    rt_run(rt); /* three hours, at once */
    clock_set_source(NULL, NULL);
    assert_int_equal(woken, 1000 + 3 * INT64_C(3600000000));
    assert_in_range(leaps, 3, 4); /* the pool of stacks has a timer, too */
}

static void test_the_longest_turn_is_noted_until_read(void **state)
{
    struct rt_timer slow = {0};
    struct rt_stats stats;
    rt_timer_start(*state, &slow, 0, on_slow);
    run_for(*state, 8000);
    rt_stats(*state, &stats);
    assert_true(stats.lag_us_max >= 5000);
    rt_stats(*state, &stats);
    assert_int_equal(stats.lag_us_max, 0);
}

static void test_the_loop_runs_again_after_a_stop(void **state)
{
    rt_stop(*state);
    rt_run(*state);
    run_for(*state, 100);
    run_for(*state, 100);
    struct rt_stats stats;
    rt_stats(*state, &stats);
    assert_int_equal(stats.timers_fired, 2);
}

/* --- signals, foreign handles --- */

struct signal_case {
    int signum, count;
};

static void on_usr1(void *arg, int signum)
{
    struct signal_case *c = arg;
    c->signum = signum;
    if (++c->count == 2)
        rt_stop(fiber_rt());
    else
        raise(SIGUSR1);
}

static void test_each_signal_is_delivered_on_the_loop(void **state)
{
    struct signal_case c = {0, 0};
    assert_int_equal(rt_on_signal(*state, SIGUSR1, on_usr1, &c, NULL), 0);
    raise(SIGUSR1);
    assert_int_equal(c.count, 0);
    rt_run(*state);
    assert_int_equal(c.count, 2);
    assert_int_equal(c.signum, SIGUSR1);
}

static void test_a_signal_that_cannot_be_caught_is_refused(void **state)
{
    struct signal_case c = {0, 0};
    struct err err = {0};
    assert_int_equal(rt_on_signal(*state, SIGKILL, on_usr1, &c, &err), ERR_INVALID);
    assert_int_equal(err.code, ERR_INVALID);
    assert_int_not_equal(err.system, 0);
}

struct foreign {
    uv_timer_t handle;
    struct rt_defer defer;
    bool closed, deferred;
};

static void on_foreign_deferred(struct rt_defer *d)
{
    CONTAINER_OF(d, struct foreign, defer)->deferred = true;
}

static void on_foreign_closed(uv_handle_t *handle)
{
    struct foreign *f = CONTAINER_OF(handle, struct foreign, handle);
    f->closed = true;
    f->defer.fn = on_foreign_deferred;
    rt_defer(fiber_rt(), &f->defer);
}

static void test_close_waits_for_closed_callbacks_and_what_they_defer(void **state)
{
    struct rt *rt = NULL;
    struct foreign f = {.closed = false};
    (void)state;
    assert_int_equal(rt_open(&rt, NULL), 0);
    assert_int_equal(uv_timer_init(rt_uv(rt), &f.handle), 0);
    uv_close((uv_handle_t *)&f.handle, on_foreign_closed);
    rt_close(rt);
    assert_true(f.closed);
    assert_true(f.deferred);
    assert_null(fiber_rt());
}

#define LOOP_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(test_timers_fire_in_order_of_due_time_and_start),
        LOOP_TEST(test_a_stopped_timer_is_silent_and_a_moved_one_fires_once),
        LOOP_TEST(test_a_timer_restarted_with_zero_fires_in_the_next_turn),
        LOOP_TEST(test_random_starts_and_stops_agree_with_a_model),
        LOOP_TEST(test_a_turn_runs_timers_then_fibers_then_deferred_calls),
        LOOP_TEST(test_endless_deferring_does_not_starve_timers),
        LOOP_TEST(test_an_idle_loop_sleeps),
        LOOP_TEST(test_simulated_time_leaps_from_timer_to_timer),
        LOOP_TEST(test_the_longest_turn_is_noted_until_read),
        LOOP_TEST(test_the_loop_runs_again_after_a_stop),
        LOOP_TEST(test_each_signal_is_delivered_on_the_loop),
        LOOP_TEST(test_a_signal_that_cannot_be_caught_is_refused),
        cmocka_unit_test(test_close_waits_for_closed_callbacks_and_what_they_defer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
