/* SPDX-License-Identifier: Apache-2.0 */
/* test_pipeline.c - groups, bounds and order of the pipeline, over an adapter that can be held,
 * that fails on demand and notes what it was told.
 *
 * Method: each test runs on a fiber; checks are noted there and asserted on the main stack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "history/pipeline.h"

#define CALLERS 40

struct slow {
    struct history base;
    struct fiber_event go;
    bool held, closed;
    int fail_with; /* the next group fails from its append `fail_at` on */
    size_t fail_at;
    size_t groups, group_counts[64];
    char order[1024]; /* the ids, one after the other */
};

static void slow_append(struct history *h, struct history_append *const *appends, size_t count) {
    struct slow *s = CONTAINER_OF(h, struct slow, base);
    s->group_counts[s->groups++] = count;
    while (s->held)
        (void)fiber_event_wait(&s->go, FIBER_NO_DEADLINE);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(s->order);
        if (s->fail_with && i >= s->fail_at) {
            appends[i]->rc = err_set(&appends[i]->err, s->fail_with, "the disk is full");
            continue;
        }
        (void)snprintf(s->order + len, sizeof s->order - len, STR_FMT " ",
                       STR_ARG(appends[i]->events[0].id));
        appends[i]->results[0] = (struct history_result){1, false};
    }
    s->fail_with = 0;
}

static void slow_close(struct history *h) { CONTAINER_OF(h, struct slow, base)->closed = true; }

static const struct history_vtable slow_vtable = {
    .name = "slow", .append = slow_append, .close = slow_close};

struct scene {
    struct rt *rt;
    struct slow slow;
    struct history *h;
    struct history_pipeline_options options;
    void (*fn)(struct scene *s);
    char failure[256];
};
#define CHECK_INT(a, b)                                                                            \
    do {                                                                                           \
        long long check_a = (long long)(a), check_b = (long long)(b);                              \
        if (check_a != check_b && !s->failure[0])                                                  \
            (void)snprintf(s->failure, sizeof s->failure, "line %d: %s is %lld, not %lld",         \
                           __LINE__, #a, check_a, check_b);                                        \
    } while (0)

struct caller {
    struct scene *s;
    char id[16];
    size_t events; /* 0: one */
    int rc;
    bool ended;
};

static void call(void *arg) {
    struct caller *c = arg;
    struct history_event e[8];
    struct history_result r[8];
    struct history_append a = {
        .key = {STR(""), STR("s")}, .events = e, .count = c->events ? c->events : 1, .results = r};
    for (size_t i = 0; i < a.count; i++)
        e[i] = (struct history_event){.id = str_of(c->id),
                                      .type = STR("t"),
                                      .payload_kind = HISTORY_JSON,
                                      .payload = STR("1234567890")};
    c->rc = history_append(c->s->h, &a, NULL);
    c->ended = true;
}

static void spawn(struct scene *s, struct fiber_group *g, struct caller *callers, int count) {
    fiber_group_init(g);
    for (int i = 0; i < count; i++) {
        callers[i] = (struct caller){.s = s};
        (void)snprintf(callers[i].id, sizeof callers[i].id, "%d", i);
        CHECK_INT(fiber_group_spawn(g, s->rt, "caller", call, &callers[i], NULL), 0);
    }
}

static void let_go(struct scene *s) {
    s->slow.held = false;
    fiber_event_wake_all(&s->slow.go);
}

static void callers_gather(struct scene *s) {
    struct caller callers[CALLERS];
    struct fiber_group g;
    s->slow.held = true;
    spawn(s, &g, callers, 1);
    (void)fiber_sleep_us(1000); /* the first is being stored */
    struct fiber_group others;
    spawn(s, &others, callers + 1, CALLERS - 1);
    (void)fiber_sleep_us(1000);
    let_go(s);
    fiber_group_wait(&g);
    fiber_group_wait(&others);
    CHECK_INT(s->slow.groups, 2);
    CHECK_INT(s->slow.group_counts[0], 1);
    CHECK_INT(s->slow.group_counts[1], CALLERS - 1);
    for (int i = 0; i < CALLERS; i++)
        CHECK_INT(callers[i].rc, 0);
}

static void groups_have_a_bound(struct scene *s) {
    struct caller callers[CALLERS];
    struct fiber_group g;
    spawn(s, &g, callers, CALLERS);
    fiber_group_wait(&g);
    CHECK_INT(s->slow.groups, (CALLERS + 7) / 8);
    CHECK_INT(s->slow.group_counts[0], 8);
    CHECK_INT(strncmp(s->slow.order, "0 1 2 3 4 5 6 7 8 9 10 ", 23), 0);
}

static void a_full_queue_refuses(struct scene *s) {
    struct caller callers[CALLERS];
    struct fiber_group g;
    int refused = 0;
    s->slow.held = true;
    spawn(s, &g, callers, CALLERS);
    (void)fiber_sleep_us(1000);
    for (int i = 0; i < CALLERS; i++)
        refused += callers[i].ended && callers[i].rc == ERR_LIMIT;
    CHECK_INT(refused, CALLERS - 10);
    let_go(s);
    fiber_group_wait(&g);
}

static void a_full_queue_waits(struct scene *s) {
    struct caller callers[CALLERS];
    struct fiber_group g;
    s->slow.held = true;
    spawn(s, &g, callers, CALLERS);
    (void)fiber_sleep_us(1000);
    for (int i = 0; i < CALLERS; i++)
        CHECK_INT(callers[i].ended, false);
    let_go(s);
    fiber_group_wait(&g);
    for (int i = 0; i < CALLERS; i++)
        CHECK_INT(callers[i].rc, 0);
}

/* Ten fit: five are there, eight wait for room, and what comes then waits as well. */
static void nobody_is_overtaken(struct scene *s) {
    struct caller callers[CALLERS], large = {.s = s, .id = "large", .events = 8};
    struct fiber_group first, others;
    s->slow.held = true;
    spawn(s, &first, callers, 1);
    (void)fiber_sleep_us(1000);
    spawn(s, &others, callers + 1, 5);
    (void)fiber_sleep_us(1000);
    CHECK_INT(fiber_group_spawn(&others, s->rt, "caller", call, &large, NULL), 0);
    (void)fiber_sleep_us(1000);
    callers[6] = (struct caller){.s = s, .id = "small"};
    CHECK_INT(fiber_group_spawn(&others, s->rt, "caller", call, &callers[6], NULL), 0);
    (void)fiber_sleep_us(1000);
    let_go(s);
    fiber_group_wait(&first);
    fiber_group_wait(&others);
    CHECK_INT(strcmp(s->slow.order, "0 0 1 2 3 4 large small "), 0);
}

/* The first append fails while the others stand behind it; all have ended then. */
static void first_fails(struct scene *s, struct caller *callers, int code, int others_count) {
    struct fiber_group first, others;
    s->slow.held = true;
    s->slow.fail_with = code;
    s->slow.fail_at = 0;
    spawn(s, &first, callers, 1);
    (void)fiber_sleep_us(1000);
    spawn(s, &others, callers + 1, others_count);
    (void)fiber_sleep_us(1000);
    let_go(s);
    fiber_group_wait(&first);
    fiber_group_wait(&others);
}

/* Who waits for room stands behind the append that failed, too. */
static void failures_reach_outside(struct scene *s) {
    struct caller callers[CALLERS];
    first_fails(s, callers, ERR_UNAVAILABLE, 15);
    CHECK_INT(s->slow.groups, 1);
    for (int i = 0; i < 16; i++)
        CHECK_INT(callers[i].rc, ERR_UNAVAILABLE);
}

static void failures_keep_the_order(struct scene *s) {
    struct caller callers[CALLERS];
    first_fails(s, callers, ERR_UNAVAILABLE, CALLERS - 1);
    CHECK_INT(s->slow.groups, 1); /* those behind it were not even tried */
    CHECK_INT(s->slow.order[0], 0);
    for (int i = 0; i < CALLERS; i++)
        CHECK_INT(callers[i].rc, ERR_UNAVAILABLE);
    struct fiber_group again;
    spawn(s, &again, callers, 1); /* and then it goes on */
    fiber_group_wait(&again);
    CHECK_INT(callers[0].rc, 0);
}

static void a_conflict_is_its_own(struct scene *s) {
    struct caller callers[CALLERS];
    first_fails(s, callers, ERR_CONFLICT, 3);
    CHECK_INT(callers[0].rc, ERR_CONFLICT);
    for (int i = 1; i < 4; i++)
        CHECK_INT(callers[i].rc, 0);
}

static void groups_wait_for_company(struct scene *s) {
    struct caller callers[CALLERS];
    struct fiber_group g, others;
    spawn(s, &g, callers, 1);
    (void)fiber_sleep_us(2000);
    CHECK_INT(s->slow.groups, 0);
    spawn(s, &others, callers + 1, 7); /* now it is full */
    fiber_group_wait(&g);
    fiber_group_wait(&others);
    CHECK_INT(s->slow.groups, 1);
    CHECK_INT(s->slow.group_counts[0], 8);
}

/* --- running --- */

static void scene_main(void *arg) {
    struct scene *s = arg;
    s->fn(s);
    rt_stop(s->rt);
}

static void run(void (*fn)(struct scene *s), void (*change)(struct history_pipeline_options *o)) {
    struct scene s = {.fn = fn, .slow = {.base = {&slow_vtable}}};
    fiber_event_init(&s.slow.go);
    assert_int_equal(rt_open(&s.rt, NULL), 0);
    history_pipeline_options_default(&s.options);
    if (change)
        change(&s.options);
    s.h = history_pipeline_wrap(s.rt, &s.slow.base, &s.options);
    assert_non_null(fiber_spawn(s.rt, "scene", scene_main, &s, NULL));
    rt_run(s.rt);
    history_close(s.h);
    assert_true(s.slow.closed);
    rt_close(s.rt);
    if (s.failure[0])
        fail_msg("%s", s.failure);
}

static void small_groups(struct history_pipeline_options *o) { o->group_count_max = 8; }
static void small_bytes(struct history_pipeline_options *o) { o->group_bytes_max = 80; }
static void small_queue(struct history_pipeline_options *o) {
    o->queue_count_max = 10;
    o->group_count_max = 10;
}
static void refusing(struct history_pipeline_options *o) {
    small_queue(o);
    o->when_full = HISTORY_REFUSE;
}
static void patient(struct history_pipeline_options *o) {
    o->group_count_max = 8;
    o->interval_us = 60000000;
}

#define TEST(fn, change)                                                                           \
    static void test_##fn##_##change(void **state) {                                               \
        (void)state;                                                                               \
        run(fn, change);                                                                           \
    }
static void defaults(struct history_pipeline_options *o) { (void)o; }
TEST(callers_gather, defaults)
TEST(groups_have_a_bound, small_groups)
TEST(groups_have_a_bound, small_bytes)
TEST(a_full_queue_refuses, refusing)
TEST(a_full_queue_waits, small_queue)
TEST(nobody_is_overtaken, small_queue)
TEST(failures_reach_outside, small_queue)
TEST(failures_keep_the_order, defaults)
TEST(a_conflict_is_its_own, defaults)
TEST(groups_wait_for_company, patient)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_callers_gather_defaults),
        cmocka_unit_test(test_groups_have_a_bound_small_groups),
        cmocka_unit_test(test_groups_have_a_bound_small_bytes),
        cmocka_unit_test(test_a_full_queue_refuses_refusing),
        cmocka_unit_test(test_a_full_queue_waits_small_queue),
        cmocka_unit_test(test_nobody_is_overtaken_small_queue),
        cmocka_unit_test(test_failures_reach_outside_small_queue),
        cmocka_unit_test(test_failures_keep_the_order_defaults),
        cmocka_unit_test(test_a_conflict_is_its_own_defaults),
        cmocka_unit_test(test_groups_wait_for_company_patient),
    };
    return cmocka_run_group_tests_name("history/pipeline", tests, NULL, NULL);
}
