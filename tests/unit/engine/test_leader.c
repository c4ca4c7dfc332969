/* SPDX-License-Identifier: Apache-2.0 */
/* test_leader.c - which of several workers does the periodic work. Goal: one at a time, another one
 * when it is gone, and what it has to look after is not forgotten while it renews its lease.
 * Method: the engines of many.h. */
#include "many.h"

#include "engine/crons.h"
#include "store/crons.h"

static size_t leaders(struct many *m) {
    size_t count = 0;
    for (size_t i = 0; i < m->count; i++) {
        count += m->peers[i].up && stats_of(&m->peers[i]).leads;
    }
    return count;
}

static void body_leader(struct many *m) {
    while (leaders(m) == 0)
        assert_int_equal(fiber_sleep_us(2000), 0);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(fiber_sleep_us(2000), 0);
        assert_true(leaders(m) <= 1);
    }
    for (size_t i = 0; i < m->count - 1; i++) { /* the others take over, one by one */
        for (size_t j = 0; j < m->count; j++) {
            if (m->peers[j].up && stats_of(&m->peers[j]).leads) {
                peer_down(&m->peers[j]);
                break;
            }
        }
        while (leaders(m) == 0)
            assert_int_equal(fiber_sleep_us(2000), 0);
        assert_int_equal(leaders(m), 1);
    }
}
static void test_leader(void **state) {
    (void)state;
    many_run(3, true, body_leader);
}

/* A cron that comes while the leader asks for its lease again is fired as soon as any other. */
static void body_renewal(struct many *m) {
    struct peer *a = &m->peers[0];
    struct fx *f = &a->f;
    while (leaders(m) == 0)
        assert_int_equal(fiber_sleep_us(2000), 0);
    hold_answer(a, SQL_LEADER_TAKE);
    until_held(a);
    struct cron c = {.assistant_id = id_v5(ID_NAMESPACE_GRAPH, STR("echo")),
                     .schedule = STR("* * * * * *"),
                     .enabled = true,
                     .keep = true,
                     .payload = STR("{\"input\":{\"messages\":[]}}"),
                     .metadata = STR("{}")};
    assert_int_equal(engine_cron_next(f->engine, c.schedule, STR_NULL, now_us, &c.next_us, NULL),
                     0);
    assert_int_equal(cron_create(&f->store, &f->who, &c, 100, &f->a, NULL), 0);
    engine_crons_changed(f->engine);
    assert_int_equal(fiber_sleep_us(LEASE_US / 4), 0); /* it has looked by now */
    let_answer_go(a);
    int64_t first_us = c.next_us;
    while (c.next_us == first_us) {
        assert_int_equal(fiber_sleep_us(2000), 0);
        assert_int_equal(cron_get(&f->store, &f->who, c.id, &f->a, &c, NULL), 0);
        assert_true(now_us < first_us + 2000000);
    }
}
static void test_renewal(void **state) {
    (void)state;
    many_both(1, body_renewal);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leader),
        cmocka_unit_test(test_renewal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
