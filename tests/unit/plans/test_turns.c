/* SPDX-License-Identifier: Apache-2.0 */
/* test_turns.c - limits of steps, and who is next.
 *
 * Goal: no limit is ever exceeded, and nothing that could be given stays; owners that wait for a
 * tool are served in turn, whatever else they do; inside of an owner priority decides; a tool at
 * its limit holds up no other; what is not wanted any more is passed over.
 * Method: plans whose turns are taken and given back by hand; then many, at random. */
#include "plans/turns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/rand.h"

#define STEPS_MAX 64
struct plan {
    struct turns_plan t;
    size_t tools[STEPS_MAX], count, told;
    bool gone[STEPS_MAX];
};

static bool wanted(const struct turns_plan *t, uint32_t position) {
    return !CONTAINER_OF(t, struct plan, t)->gone[position];
}

static void given(struct turns_plan *t) { CONTAINER_OF(t, struct plan, t)->told++; }

static const struct turns_hooks HOOKS = {wanted, given};

static void step(struct plan *p, size_t tool, int priority) {
    p->tools[p->count] = tool;
    turns_push(&p->t, tool, -(int64_t)priority * (INT64_C(1) << 32) + (int64_t)p->count,
               (uint32_t)p->count);
    p->count++;
}

static int take(struct plan *p) {
    uint32_t at;
    return turns_take(&p->t, &at) ? (int)at : -1;
}

static void back(struct turns *t, struct plan *p, int at) {
    turns_back(&p->t, p->tools[at]);
    turns_give(t);
}

static void leave(struct turns *t, struct plan *p) {
    int at;
    turns_close(&p->t);
    while ((at = take(p)) >= 0)
        back(t, p, at);
    turns_leave(&p->t);
    turns_give(t);
}

static void test_one_plan(void **state) {
    (void)state;
    struct turns t;
    struct plan p = {0};
    turns_init(&t, &(struct turns_limits){0}, &HOOKS);
    for (int i = 0; i < 4; i++)
        step(&p, (size_t)i % 2, i == 3 ? 5 : 0);
    assert_int_equal(turns_ready(&p.t), 4);
    turns_give(&t); /* it has not joined */
    assert_int_equal(turns_given(&p.t), 0);
    turns_join(&t, &p.t, STR("a"), 2);
    turns_give(&t);
    assert_int_equal(p.told, 2);
    assert_int_equal(take(&p), 3); /* the higher priority, then by position, whatever the tool */
    assert_int_equal(take(&p), 0);
    assert_int_equal(take(&p), -1);
    back(&t, &p, 3);
    assert_int_equal(take(&p), 1);
    p.gone[2] = true;
    assert_true(turns_ready(&p.t) == 1 && !turns_busy(&p.t));
    back(&t, &p, 0);
    assert_int_equal(take(&p), -1);
    back(&t, &p, 1);
    leave(&t, &p);
    turns_deinit(&t);
}

/* llm (1) at its limit; http (0) goes on. */
static void test_no_tool_holds_up_another(void **state) {
    (void)state;
    struct turns t;
    struct plan a = {0}, b = {0};
    turns_init(&t, &(struct turns_limits){.tool_max = {[1] = 1}}, &HOOKS);
    turns_join(&t, &a.t, STR("a"), 3);
    turns_join(&t, &b.t, STR("b"), 9);
    for (int i = 0; i < 3; i++)
        step(&a, 1, 9);
    step(&a, 0, 0);
    turns_give(&t);
    assert_int_equal(take(&a), 0);
    assert_int_equal(take(&a), 3);
    assert_int_equal(take(&a), -1);
    step(&b, 1, 0);
    step(&b, 0, 0);
    turns_give(&t);
    assert_int_equal(take(&b), 1);
    assert_int_equal(take(&b), -1);
    back(&t, &a, 0); /* a was served at once when it came, and stood in line again before b came */
    assert_int_equal(take(&a), 1);
    back(&t, &a, 1);
    assert_int_equal(take(&a), -1);
    assert_int_equal(take(&b), 0);
    back(&t, &b, 0);
    assert_int_equal(take(&a), 2);
    back(&t, &a, 2);
    back(&t, &a, 3);
    back(&t, &b, 1);
    leave(&t, &a);
    leave(&t, &b);
    turns_deinit(&t);
}

/* An owner that is served for another tool all the time keeps its place in the line. */
static void test_nobody_starves(void **state) {
    (void)state;
    struct turns t;
    struct plan p[3] = {{{0}}};
    int llm = -1, got[3] = {0};
    struct plan *has = NULL;
    static const char *const names[] = {"a", "b", "c"};
    turns_init(&t, &(struct turns_limits){.tool_max = {[0] = 1, [1] = 1}}, &HOOKS);
    for (int i = 0; i < 3; i++) {
        turns_join(&t, &p[i].t, str_of(names[i]), 9);
        for (int k = 0; k < 12; k++)
            step(&p[i], 1, i == 2 ? 9 : 0); /* priorities of others are nobody's business */
    }
    for (int k = 0; k < 40; k++)
        step(&p[0], 0, 3);
    turns_give(&t);
    for (int round = 0; round < 30; round++) {
        for (int i = 0; i < 3; i++)
            for (int at; (at = take(&p[i])) >= 0;) {
                if (p[i].tools[at] == 0) {
                    back(&t, &p[i], at);
                    continue;
                }
                assert_null(has);
                has = &p[i];
                llm = at;
                got[i]++;
            }
        assert_non_null(has);
        struct plan *done = has;
        has = NULL;
        back(&t, done, llm);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(got[i], 10);
    for (int i = 0; i < 3; i++)
        leave(&t, &p[i]);
    turns_deinit(&t);
}

/* Of the process's turns each owner gets its share, also when one has several plans and tools. */
static void test_limits_of_owners(void **state) {
    (void)state;
    struct turns t;
    struct plan a = {0}, again = {0}, b = {0};
    int got_a = 0, got_b = 0;
    turns_init(&t, &(struct turns_limits){.process_max = 3, .owner_max = 2}, &HOOKS);
    turns_join(&t, &a.t, STR("a"), 9);
    turns_join(&t, &again.t, STR("a"), 9);
    turns_join(&t, &b.t, STR("b"), 9);
    for (int i = 0; i < 30; i++) {
        step(&a, 0, 0);
        step(&again, 1, i == 20);
        step(&b, 0, 0);
    }
    turns_give(&t);
    assert_int_equal(turns_given(&a.t) + turns_given(&again.t), 2);
    assert_int_equal(turns_given(&b.t), 1);
    assert_int_equal(take(&again), 20); /* the priority inside of the owner */
    back(&t, &again, 20);
    for (int i = 0; i < 20; i++) { /* each brings one back as soon as it has it */
        int at = take(&a), other = take(&again), its = take(&b);
        if (at >= 0)
            back(&t, &a, at);
        if (other >= 0)
            back(&t, &again, other);
        if (its >= 0)
            back(&t, &b, its);
        got_a += (at >= 0) + (other >= 0);
        got_b += its >= 0;
    }
    assert_true(got_b >= 10 && got_a >= 10);
    leave(&t, &b);
    assert_int_equal(turns_given(&a.t) + turns_given(&again.t), 2);
    leave(&t, &a);
    leave(&t, &again);
    assert_int_equal(t.count, 0);
    turns_deinit(&t);
}

#define PLANS  12
#define OWNERS 4
static struct plan many[PLANS];

static void check(const struct turns *t) {
    size_t all = 0, owners[OWNERS] = {0}, tools[3] = {0};
    for (size_t i = 0; i < PLANS; i++) {
        all += many[i].t.count;
        owners[i % OWNERS] += many[i].t.count;
        assert_true(many[i].t.count <= many[i].t.max);
    }
    for (size_t i = 0; i < 3; i++) {
        tools[i] = t->tool_count[i];
        assert_true(!t->limits.tool_max[i] || tools[i] <= t->limits.tool_max[i]);
    }
    assert_int_equal(all, t->count);
    assert_true(all <= t->limits.process_max);
    for (size_t i = 0; i < OWNERS; i++)
        assert_true(owners[i] <= t->limits.owner_max);
    for (size_t i = 0; i < PLANS && all < t->limits.process_max; i++)
        for (size_t k = 0; k < 3; k++)
            if (many[i].t.ready[k].items.count && many[i].t.count < many[i].t.max &&
                owners[i % OWNERS] < t->limits.owner_max)
                assert_true(t->limits.tool_max[k] && tools[k] == t->limits.tool_max[k]);
}

static void test_at_random(void **state) {
    (void)state;
    struct turns t;
    static const char *const names[] = {"a", "b", "c", "d"};
    int out[PLANS][STEPS_MAX], outs[PLANS] = {0};
    rand_seed(11);
    turns_init(&t, &(struct turns_limits){.process_max = 9, .owner_max = 4, .tool_max = {2, 0, 3}},
               &HOOKS);
    for (size_t i = 0; i < PLANS; i++) {
        many[i] = (struct plan){.count = 0};
        turns_join(&t, &many[i].t, str_of(names[i % OWNERS]), 1 + i % 3);
    }
    for (int round = 0; round < 4000; round++) {
        size_t i = rand_below(PLANS);
        struct plan *p = &many[i];
        if (rand_below(2) && p->count < STEPS_MAX)
            step(p, rand_below(3), (int)rand_below(3));
        else if (outs[i])
            turns_back(&p->t, p->tools[out[i][--outs[i]]]);
        turns_give(&t);
        check(&t);
        for (size_t k = 0; k < PLANS; k++)
            for (int at; (at = take(&many[k])) >= 0;)
                out[k][outs[k]++] = at;
    }
    for (size_t i = 0; i < PLANS; i++) {
        while (outs[i])
            turns_back(&many[i].t, many[i].tools[out[i][--outs[i]]]);
        leave(&t, &many[i]);
    }
    assert_int_equal(t.count, 0);
    assert_int_equal(t.owners.count, 0);
    turns_deinit(&t);
    rand_seed(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_plan), cmocka_unit_test(test_no_tool_holds_up_another),
        cmocka_unit_test(test_nobody_starves), cmocka_unit_test(test_limits_of_owners),
        cmocka_unit_test(test_at_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
