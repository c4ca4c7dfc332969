/* SPDX-License-Identifier: Apache-2.0 */
/* test_events.c - what of a plan stands in the log.
 *
 * Goal: one entry carries up to 64 moves of steps; what was written is read again, in order, with
 * the plan's own moves around it; what cannot be read is refused.
 * Method: entries written and read back. */
#include "plans/plans_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct arena arena;

static size_t read(str entry, struct plan_event **out) {
    struct plan_event_row row = {.seq = 9, .at = 5, .data = entry};
    size_t count;
    assert_int_equal(plan_events_read(&arena, &row, out, &count, NULL), 0);
    return count;
}

static void test_round_trip(void **state) {
    (void)state;
    struct step_event events[130];
    enum run_state failed = RUN_STATE_FAILED;
    struct plan_news news = {
        .version = 3, .began = true, .status = &failed, .error = STR("a \"b\"")};
    struct plan_event *list;
    str *entries;
    for (uint32_t i = 0; i < 130; i++)
        events[i] = (struct step_event){.position = i,
                                        .state = i ? RUN_STATE_SUCCEEDED : RUN_STATE_TIMED_OUT,
                                        .attempt = 2,
                                        .at = 1000 + i,
                                        .error = i ? STR_NULL : STR("slow")};
    assert_int_equal(plan_entries_write(&arena, &news, events, 130, &entries), 3);
    assert_int_equal(read(entries[0], &list), 65);
    assert_int_equal(list[0].position, -1);
    assert_true(str_eq(list[0].status, STR("running")));
    assert_true(str_eq(list[1].status, STR("timed_out")) && str_eq(list[1].error, STR("slow")));
    assert_int_equal(list[1].at, 1000);
    assert_int_equal(list[1].attempt, 2);
    assert_int_equal(list[64].position, 63);
    assert_int_equal(list[64].index, 64);
    assert_int_equal(read(entries[1], &list), 64);
    assert_int_equal(read(entries[2], &list), 3);
    assert_int_equal(list[1].position, 129);
    assert_true(str_eq(list[2].status, STR("failed")) && str_eq(list[2].error, STR("a \"b\"")));
    assert_int_equal(list[2].at, 5);
}

static void test_few(void **state) {
    (void)state;
    struct plan_spec plan = {.step_count = 3, .fault_count = 1};
    struct plan_news nothing = {.version = 1}, began = {.version = 1, .began = true};
    struct plan_event *list;
    str *entries;
    assert_int_equal(plan_entries_write(&arena, &nothing, NULL, 0, &entries), 0);
    assert_int_equal(plan_entries_write(&arena, &began, NULL, 0, &entries), 1);
    assert_int_equal(read(entries[0], &list), 1);
    assert_int_equal(read(plan_created_entry(&arena, &plan), &list), 1);
    assert_true(str_eq(list[0].status, STR("queued")));
}

static void test_corrupt(void **state) {
    (void)state;
    static const char *const texts[] = {"", "{", "{\"e\":[7]}", "{\"e\":[[1]]}",
                                        "{\"e\":[[1,2,3,4]]}"};
    struct plan_event *list;
    size_t count;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct plan_event_row row = {.data = str_of(texts[i])};
        assert_int_equal(plan_events_read(&arena, &row, &list, &count, NULL), ERR_CORRUPT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_few),
        cmocka_unit_test(test_corrupt),
    };
    arena_init(&arena, 16u << 20);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return rc;
}
