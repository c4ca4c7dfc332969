/* SPDX-License-Identifier: Apache-2.0 */
/* test_fiber.c - fibers. Goal: parking with permits, deadlines and cancellation, fairness towards
 * I/O, events, groups, and stacks that are reused, guarded and given back. Method: fibers on a real
 * loop that write letters into a log; the trimming of idle stacks is driven by a virtual clock. */
#include "rt/fiber.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"

#define LOG_MAX 64
struct scene {
    struct rt *rt;
    char log[LOG_MAX + 1];
    size_t log_len;
    struct fiber *fiber;
    struct fiber_event event;
    int rc;
    size_t count;
};

static int setup(void **state)
{
    struct scene *s = NEW(struct scene);
    fiber_event_init(&s->event);
    *state = s;
    return rt_open(&s->rt, NULL);
}

static int teardown(void **state)
{
    struct scene *s = *state;
    rt_close(s->rt);
    mem_free(s);
    return 0;
}

static void note(struct scene *s, char c)
{
    assert_true(s->log_len < LOG_MAX);
    s->log[s->log_len++] = c;
}

static struct fiber *spawn(struct scene *s, fiber_fn fn)
{
    struct fiber *f = fiber_spawn(s->rt, "test", fn, s, NULL);
    assert_non_null(f);
    return f;
}

static void stop_at(struct rt_timer *t)
{
    (void)t;
    rt_stop(fiber_rt());
}

static void run_for(struct scene *s, int64_t us)
{
    struct rt_timer end = {0};
    rt_timer_start(s->rt, &end, us, stop_at);
    rt_run(s->rt);
}

/* Runs the loop until the log is as long as that, then compares; gives up after a while. */
static void expect_log(struct scene *s, const char *log)
{
    for (int i = 0; i < 5000 && s->log_len < strlen(log); i++)
        run_for(s, 500);
    run_for(s, 100);
    assert_string_equal(s->log, log);
}

/* --- parking --- */

static void park_once(void *arg)
{
    struct scene *s = arg;
    assert_ptr_equal(fiber_self(), s->fiber);
    assert_ptr_equal(fiber_rt(), s->rt);
    note(s, 'a');
    s->rc = fiber_park(FIBER_NO_DEADLINE);
    note(s, 'b');
}

static void unpark_it(void *arg)
{
    struct scene *s = arg;
    note(s, 'u');
    fiber_unpark(s->fiber);
    note(s, 'v');
}

static void test_a_parked_fiber_waits_for_its_unpark(void **state)
{
    struct scene *s = *state;
    s->rc = 1;
    s->fiber = spawn(s, park_once);
    spawn(s, unpark_it);
    assert_null(fiber_self());
    assert_int_equal(s->log_len, 0);
    expect_log(s, "auvb");
    assert_int_equal(s->rc, 0);
}

static void permit_once(void *arg)
{
    struct scene *s = arg;
    fiber_unpark(fiber_self());
    fiber_unpark(fiber_self());
    assert_int_equal(fiber_park(FIBER_NO_DEADLINE), 0);
    s->rc = fiber_park(rt_mono_us(s->rt) + 500);
    note(s, 'x');
}

static void test_unparks_of_a_running_fiber_are_one_permit(void **state)
{
    struct scene *s = *state;
    spawn(s, permit_once);
    expect_log(s, "x");
    assert_int_equal(s->rc, ERR_TIMEOUT);
}

static void park_until(void *arg)
{
    struct scene *s = arg;
    int64_t deadline = rt_mono_us(s->rt) + 2000;
    assert_int_equal(fiber_park(rt_mono_us(s->rt) - 1), ERR_TIMEOUT);
    assert_int_equal(fiber_park(deadline), ERR_TIMEOUT);
    assert_true(rt_mono_us(s->rt) >= deadline);
    assert_int_equal(fiber_sleep_us(1500), 0);
    assert_true(rt_mono_us(s->rt) >= deadline + 1500);
    assert_int_equal(fiber_sleep_us(0), 0);
    note(s, 'x');
}

static void test_deadlines_and_sleeps_end_no_earlier_than_asked(void **state)
{
    struct scene *s = *state;
    spawn(s, park_until);
    expect_log(s, "x");
}

static void be_cancelled(void *arg)
{
    struct scene *s = arg;
    assert_false(fiber_cancelled());
    note(s, 'p');
    assert_int_equal(fiber_park(FIBER_NO_DEADLINE), ERR_CANCELLED);
    assert_true(fiber_cancelled());
    assert_int_equal(fiber_park(FIBER_NO_DEADLINE), ERR_CANCELLED);
    assert_int_equal(fiber_sleep_us(1000000), ERR_CANCELLED);
    assert_int_equal(fiber_event_wait(&s->event, FIBER_NO_DEADLINE), ERR_CANCELLED);
    assert_true(list_empty(&s->event.waiters));
    note(s, 's');
    fiber_park_shielded();
    int64_t start_us = rt_mono_us(fiber_rt());
    fiber_unpark(fiber_self()); /* a shielded sleep takes its time, too */
    fiber_sleep_shielded_us(2000);
    assert_true(rt_mono_us(fiber_rt()) - start_us >= 2000);
    assert_int_equal(fiber_park_shielded_until(rt_mono_us(fiber_rt()) + 1000), ERR_TIMEOUT);
    fiber_unpark(fiber_self());
    assert_int_equal(fiber_park_shielded_until(FIBER_NO_DEADLINE), 0);
    note(s, 'e');
}

static void cancel_it(void *arg)
{
    struct scene *s = arg;
    fiber_cancel(s->fiber);
    fiber_cancel(s->fiber);
    fiber_yield();
    note(s, 'c');
    fiber_cancel(s->fiber); /* a shielded wait stays deaf */
    fiber_yield();
    note(s, 'u');
    fiber_unpark(s->fiber);
}

static void test_cancellation_ends_waits_except_shielded_ones(void **state)
{
    struct scene *s = *state;
    s->fiber = spawn(s, be_cancelled);
    spawn(s, cancel_it);
    expect_log(s, "pscue");
}

static void test_a_fiber_cancelled_before_it_starts_sees_it(void **state)
{
    struct scene *s = *state;
    s->fiber = spawn(s, park_once);
    fiber_cancel(s->fiber);
    expect_log(s, "ab");
    assert_int_equal(s->rc, ERR_CANCELLED);
}

/* --- fairness --- */

static void yield_often(void *arg)
{
    struct scene *s = arg;
    struct rt_stats before, after;
    rt_stats(s->rt, &before);
    for (int i = 0; i < 10; i++)
        fiber_yield();
    rt_stats(s->rt, &after);
    assert_true(after.turns - before.turns >= 10); /* each yield lets the loop poll */
    note(s, 'y');
}

static void test_a_yield_lets_the_loop_poll(void **state)
{
    struct scene *s = *state;
    spawn(s, yield_often);
    expect_log(s, "y");
}

/* Works on until the turn is long; the clock decides, so no machine is too slow or too fast. */
static void work_long(void *arg)
{
    struct scene *s = arg;
    int64_t begun = rt_mono_us(s->rt);
    note(s, 'a');
    while (clock_mono_us() < begun + 2000) {}
    fiber_yield_when_late();
    note(s, 'c');
}

static void work_beside(void *arg)
{
    note(arg, 'b');
}

static void test_long_work_lets_others_run(void **state)
{
    struct scene *s = *state;
    fiber_yield_when_late(); /* not on a fiber: nothing */
    spawn(s, work_long);
    spawn(s, work_beside);
    expect_log(s, "abc");
}

struct pair {
    struct scene *s;
    struct fiber *fibers[2];
    bool stop, one_ended, both_ended;
};

static void ping_pong(void *arg)
{
    struct pair *p = arg;
    struct fiber *other = p->fibers[fiber_self() == p->fibers[0]];
    while (!p->stop) {
        p->s->count++;
        fiber_unpark(other);
        if (fiber_park(FIBER_NO_DEADLINE) != 0)
            return;
    }
    if (!p->one_ended)
        fiber_unpark(other);
    p->both_ended = p->one_ended;
    p->one_ended = true;
}

struct stopper {
    struct rt_timer timer;
    struct pair *pair;
};

static void stop_pair(struct rt_timer *t)
{
    CONTAINER_OF(t, struct stopper, timer)->pair->stop = true;
}

static void test_fibers_that_wake_each_other_do_not_starve_timers(void **state)
{
    struct scene *s = *state;
    struct pair p = {.s = s};
    struct stopper stop = {.pair = &p};
    for (int i = 0; i < 2; i++) {
        p.fibers[i] = fiber_spawn(s->rt, "pair", ping_pong, &p, NULL);
        assert_non_null(p.fibers[i]);
    }
    rt_timer_start(s->rt, &stop.timer, 1000, stop_pair);
    while (!p.both_ended)
        run_for(s, 1000);
    assert_true(p.stop);
    assert_true(s->count > 2);
}

/* --- events --- */

struct waiter {
    struct scene *s;
    char letter;
    int64_t wait_us;
    int rc;
    struct fiber *fiber;
};

static void wait_event(void *arg)
{
    struct waiter *w = arg;
    int64_t deadline = w->wait_us ? rt_mono_us(w->s->rt) + w->wait_us : FIBER_NO_DEADLINE;
    fiber_unpark(fiber_self()); /* a stale permit must not end the wait */
    w->rc = fiber_event_wait(&w->s->event, deadline);
    note(w->s, w->letter);
}

static void waiter_start(struct waiter *w, struct scene *s, char letter, int64_t wait_us)
{
    *w = (struct waiter){.s = s, .letter = letter, .wait_us = wait_us, .rc = 1};
    w->fiber = fiber_spawn(s->rt, "waiter", wait_event, w, NULL);
    assert_non_null(w->fiber);
}

static void test_an_event_wakes_in_order_of_waiting(void **state)
{
    struct scene *s = *state;
    struct waiter w[4];
    for (int i = 0; i < 4; i++)
        waiter_start(&w[i], s, (char)('a' + i), i == 1 ? 500 : 0);
    expect_log(s, "b"); /* its deadline passed */
    assert_int_equal(w[1].rc, ERR_TIMEOUT);
    fiber_event_wake_one(&s->event);
    expect_log(s, "ba");
    fiber_event_wake_all(&s->event);
    fiber_event_wake_one(&s->event); /* nobody waits: not kept */
    expect_log(s, "bacd");
    assert_int_equal(w[0].rc, 0);
    assert_int_equal(w[3].rc, 0);
}

static void test_a_wake_up_is_not_lost_to_a_cancelled_waiter(void **state)
{
    struct scene *s = *state;
    struct waiter w[2];
    waiter_start(&w[0], s, 'a', 0);
    waiter_start(&w[1], s, 'b', 0);
    run_for(s, 100);
    fiber_event_wake_one(&s->event);
    fiber_cancel(w[0].fiber); /* woken already: keeps the wake-up */
    expect_log(s, "a");
    assert_int_equal(w[0].rc, 0);
    fiber_cancel(w[1].fiber);
    fiber_event_wake_one(&s->event); /* still linked: takes this one */
    expect_log(s, "ab");
    assert_int_equal(w[1].rc, 0);
}

/* --- groups --- */

struct group_case {
    struct scene *s;
    struct fiber_group group;
};

static void group_child(void *arg)
{
    struct group_case *c = arg;
    c->s->count++;
    if (fiber_sleep_us(3600 * 1000000LL) == ERR_CANCELLED)
        note(c->s, 'c');
}

static void group_short_child(void *arg)
{
    struct group_case *c = arg;
    (void)fiber_sleep_us(500); /* cancelled or not, it ends */
    note(c->s, 's');
}

static void group_parent(void *arg)
{
    struct group_case *c = arg;
    struct rt *rt = fiber_rt();
    fiber_group_init(&c->group);
    fiber_group_wait(&c->group); /* empty: returns at once */
    for (int i = 0; i < 3; i++)
        assert_int_equal(fiber_group_spawn(&c->group, rt, "s", group_short_child, c, NULL), 0);
    fiber_group_wait(&c->group);
    assert_int_equal(c->group.live, 0);
    note(c->s, '|');
    for (int i = 0; i < 3; i++)
        assert_int_equal(fiber_group_spawn(&c->group, rt, "c", group_child, c, NULL), 0);
    fiber_yield();
    fiber_group_cancel(&c->group);
    fiber_group_wait(&c->group);
    assert_true(list_empty(&c->group.members));
    note(c->s, '.');
}

static void test_a_group_waits_for_and_cancels_its_children(void **state)
{
    struct group_case c = {.s = *state};
    assert_non_null(fiber_spawn(c.s->rt, "parent", group_parent, &c, NULL));
    expect_log(c.s, "sss|ccc.");
    assert_int_equal(c.s->count, 3);
}

/* --- limits, references, the list --- */

static void test_the_limit_of_live_fibers_holds(void **state)
{
    struct scene *s = *state;
    struct err err = {0};
    fiber_set_limit(s->rt, 1);
    s->fiber = spawn(s, park_once);
    assert_null(fiber_spawn(s->rt, "more", park_once, s, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    run_for(s, 100);
    fiber_cancel(s->fiber);
    run_for(s, 100);
    s->fiber = spawn(s, park_once);
    expect_log(s, "aba");
}

static void test_a_reference_tells_whether_the_fiber_lives(void **state)
{
    struct scene *s = *state;
    s->fiber = spawn(s, park_once);
    struct fiber_ref old = fiber_ref_of(s->fiber);
    assert_ptr_equal(fiber_ref_get(old), s->fiber);
    run_for(s, 100);
    fiber_unpark(s->fiber);
    run_for(s, 100);
    assert_null(fiber_ref_get(old));
    struct fiber *again = s->fiber = spawn(s, park_once);
    assert_null(fiber_ref_get(old)); /* even where the handle is used again */
    assert_ptr_equal(fiber_ref_get(fiber_ref_of(again)), again);
    assert_null(fiber_ref_get((struct fiber_ref){0}));
}

static void test_the_list_shows_name_and_state(void **state)
{
    struct scene *s = *state;
    struct buf out;
    buf_init(&out, 4096);
    fiber_list(s->rt, &out);
    assert_true(str_eq(buf_view(&out), STR("[]")));
    buf_reset(&out);
    s->fiber = spawn(s, park_once);
    run_for(s, 100);
    fiber_list(s->rt, &out);
    assert_true(buf_ok(&out));
    assert_true(str_starts(buf_view(&out),
                           STR("[{\"id\":1,\"name\":\"test\",\"state\":\"parked\"")));
    assert_true(str_ends(buf_view(&out), STR("}]")));
    buf_deinit(&out);
}

static void test_close_cancels_and_ends_the_fibers_left(void **state)
{
    struct scene s = {0};
    (void)state;
    assert_int_equal(rt_open(&s.rt, NULL), 0);
    s.fiber = spawn(&s, park_once);
    run_for(&s, 100);
    assert_string_equal(s.log, "a");
    rt_close(s.rt);
    assert_string_equal(s.log, "ab");
    assert_int_equal(s.rc, ERR_CANCELLED);
}

/* --- stacks --- */

static void use_stack(void *arg)
{
    struct scene *s = arg;
    volatile unsigned char bytes[20000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7);
    (void)fiber_sleep_us(500); /* nobody cancels it */
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(bytes[i], (unsigned char)(i * 7));
    s->count++;
}

static void test_many_fibers_have_stacks_of_their_own_and_reuse_them(void **state)
{
    struct scene *s = *state;
    struct rt_stats stats;
    for (size_t round = 1; round <= 3; round++) {
        for (int i = 0; i < 600; i++)
            spawn(s, use_stack);
        rt_stats(s->rt, &stats);
        assert_int_equal(stats.fibers, 600);
        while (s->count < round * 600)
            run_for(s, 2000);
        rt_stats(s->rt, &stats);
        assert_int_equal(stats.fibers, 0);
        assert_int_equal(stats.fibers_pooled, 256);
    }
}

static int64_t skipped_us; /* the virtual clock's lead over the real one */
static int64_t real_mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
static int64_t virtual_us(void)
{
    return real_mono_us() + skipped_us;
}

static void touch_deep(void *arg)
{
    struct scene *s = arg;
    volatile unsigned char bytes[100000];
    for (size_t i = 0; i < sizeof bytes; i += 512)
        bytes[i] = 1;
    s->count = (size_t)(uintptr_t)&bytes[sizeof bytes / 2];
}

static bool page_resident(size_t address)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char flags = 0;
    assert_int_equal(mincore((void *)(address / page * page), 1, &flags), 0);
    return flags & 1;
}

static void test_idle_stacks_give_their_memory_back_and_work_again(void **state)
{
    struct scene *s = *state;
    struct rt_stats stats;
    skipped_us = 0;
    clock_set_source(virtual_us, virtual_us);
    spawn(s, touch_deep);
    run_for(s, 100);
    size_t address = s->count;
    assert_true(page_resident(address));
    skipped_us += 60 * 1000000LL;
    run_for(s, 100);
    assert_false(page_resident(address));
    rt_stats(s->rt, &stats);
    assert_int_equal(stats.fibers_pooled, 1);
    for (int i = 0; i < 3; i++) {
        spawn(s, touch_deep);
        s->count = 0;
        run_for(s, 100);
        assert_int_equal(s->count, address); /* the same stack */
        assert_true(page_resident(address));
        skipped_us += 60 * 1000000LL;
        run_for(s, 100);
    }
    clock_set_source(NULL, NULL);
}

static int recurse(volatile int *depth)
{
    volatile char frame[1024];
    frame[0] = (char)*depth;
    if (++*depth > 10000)
        return 0;
    return recurse(depth) + frame[0];
}

static void overflow(void *arg)
{
    volatile int depth = 0;
    (void)arg;
    recurse(&depth);
}

static void test_a_stack_overflow_faults_at_the_guard_page(void **state)
{
    (void)state;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct rt *rt = NULL;
        struct rlimit none = {0, 0};
        bool ok = setrlimit(RLIMIT_CORE, &none) == 0 && freopen("/dev/null", "w", stderr) &&
                  rt_open(&rt, NULL) == 0 && fiber_spawn(rt, "deep", overflow, NULL, NULL);
        if (ok)
            rt_run(rt);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

#define FIBER_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIBER_TEST(test_a_parked_fiber_waits_for_its_unpark),
        FIBER_TEST(test_unparks_of_a_running_fiber_are_one_permit),
        FIBER_TEST(test_deadlines_and_sleeps_end_no_earlier_than_asked),
        FIBER_TEST(test_cancellation_ends_waits_except_shielded_ones),
        FIBER_TEST(test_a_fiber_cancelled_before_it_starts_sees_it),
        FIBER_TEST(test_a_yield_lets_the_loop_poll),
        FIBER_TEST(test_long_work_lets_others_run),
        FIBER_TEST(test_fibers_that_wake_each_other_do_not_starve_timers),
        FIBER_TEST(test_an_event_wakes_in_order_of_waiting),
        FIBER_TEST(test_a_wake_up_is_not_lost_to_a_cancelled_waiter),
        FIBER_TEST(test_a_group_waits_for_and_cancels_its_children),
        FIBER_TEST(test_the_limit_of_live_fibers_holds),
        FIBER_TEST(test_a_reference_tells_whether_the_fiber_lives),
        FIBER_TEST(test_the_list_shows_name_and_state),
        cmocka_unit_test(test_close_cancels_and_ends_the_fibers_left),
        FIBER_TEST(test_many_fibers_have_stacks_of_their_own_and_reuse_them),
        FIBER_TEST(test_idle_stacks_give_their_memory_back_and_work_again),
        cmocka_unit_test(test_a_stack_overflow_faults_at_the_guard_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
