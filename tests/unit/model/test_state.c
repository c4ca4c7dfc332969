/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the run's machine allows exactly the moves written down, every word maps to its value and
 * back, and stream modes are read in all the spellings that clients use.
 * Method: the whole table of moves is written a second time, as text; words are walked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "model/state.h"

static void test_moves(void **state) {
    (void)state;
    /* Rows: from; columns: to; both in the order of the enum. */
    static const char *const MOVES[RUN_STATE_COUNT] = {
        ".x..xxx", /* queued */
        "x.xxxxx", /* running */
        "xx..xxx", /* blocked */
        ".......", ".......", ".......", ".......",
    };
    for (int from = 0; from < RUN_STATE_COUNT; from++) {
        for (int to = 0; to < RUN_STATE_COUNT; to++)
            assert_int_equal(run_move_legal((enum run_state)from, (enum run_state)to),
                             MOVES[from][to] == 'x');
        assert_int_equal(run_state_final((enum run_state)from), from >= RUN_STATE_SUCCEEDED);
    }
}

static void test_statuses(void **state) {
    (void)state;
    assert_int_equal(run_status_of(RUN_STATE_QUEUED), RUN_PENDING);
    assert_int_equal(run_status_of(RUN_STATE_BLOCKED), RUN_INTERRUPTED);
    assert_int_equal(run_status_of(RUN_STATE_CANCELLED), RUN_INTERRUPTED);
    assert_int_equal(run_status_of(RUN_STATE_TIMED_OUT), RUN_TIMEOUT);
    for (int i = RUN_PENDING; i <= RUN_INTERRUPTED; i++) {
        enum run_status status = (enum run_status)i;
        assert_int_equal(run_status_of(run_state_of(status)), status);
    }
}

static void walk(const struct word_set *set, size_t count) {
    assert_int_equal(set->count, count);
    for (size_t i = 0; i < set->count; i++) {
        int value = -1;
        assert_true(word_parse(set, set->words[i].text, &value));
        assert_int_equal(value, set->words[i].value);
        assert_true(str_eq(word_text(set, value), set->words[i].text));
    }
    int untouched = 77;
    assert_false(word_parse(set, STR("nonsense"), &untouched));
    assert_false(word_parse(set, STR(""), &untouched));
    assert_false(word_parse(set, STR_NULL, &untouched));
    assert_int_equal(untouched, 77);
}

static void test_words(void **state) {
    (void)state;
    walk(&RUN_STATUS_WORDS, 6);
    walk(&THREAD_STATUS_WORDS, 4);
    walk(&RUN_STATE_WORDS, RUN_STATE_COUNT);
    walk(&STREAM_MODE_WORDS, 10);
    walk(&MULTITASK_STRATEGY_WORDS, 4);
    walk(&CANCEL_ACTION_WORDS, 2);
    walk(&CANCEL_FILTER_WORDS, 3);
    walk(&DURABILITY_WORDS, 3);
    walk(&ON_DISCONNECT_WORDS, 2);
    walk(&ON_COMPLETION_WORDS, 2);
    walk(&IF_EXISTS_WORDS, 2);
    walk(&IF_NOT_EXISTS_WORDS, 2);
    enum durability durability = DURABILITY_SYNC;
    assert_true(durability_parse(STR("exit"), &durability));
    assert_int_equal(durability, DURABILITY_EXIT);
    assert_true(str_eq(run_status_name(RUN_TIMEOUT), STR("timeout")));
    assert_true(str_eq(thread_status_name(THREAD_BUSY), STR("busy")));
    struct err err = {0};
    assert_int_equal(word_refuse(&DURABILITY_WORDS, &err), ERR_INVALID);
    assert_string_equal(err.message, "must be one of sync, async, exit");
}

static void expect_modes(const char *json, unsigned modes) {
    struct arena a;
    yyjson_val *root = NULL;
    unsigned out = 0;
    struct err err = {0};
    arena_init(&a, 1 << 20);
    assert_int_equal(json_parse(&a, str_of(json), &root, &err), 0);
    assert_int_equal(stream_modes_read(root, STREAM_VALUES, &out, &err), 0);
    assert_int_equal(out, modes);
    arena_deinit(&a);
}

static void refuse_modes(const char *json, const char *message) {
    struct arena a;
    yyjson_val *root = NULL;
    unsigned out = 77;
    struct err err = {0};
    arena_init(&a, 1 << 20);
    assert_int_equal(json_parse(&a, str_of(json), &root, &err), 0);
    assert_int_equal(stream_modes_read(root, STREAM_VALUES, &out, &err), ERR_INVALID);
    assert_string_equal(err.message, message);
    assert_int_equal(out, 77);
    arena_deinit(&a);
}

static void test_modes_of_bodies(void **state) {
    (void)state;
    const char *words = "stream_mode: must be one of values, updates, messages, messages-tuple, "
                        "custom, debug, events, tasks, checkpoints, tools";
    unsigned out = 0;
    assert_int_equal(stream_modes_read(NULL, STREAM_UPDATES, &out, NULL), 0);
    assert_int_equal(out, STREAM_UPDATES);
    expect_modes("null", STREAM_VALUES);
    expect_modes("[]", STREAM_VALUES);
    expect_modes("\"messages-tuple\"", STREAM_MESSAGES_TUPLE);
    expect_modes("[\"updates\",\"debug\",\"updates\"]", STREAM_UPDATES | STREAM_DEBUG);
    refuse_modes("\"value\"", words);
    refuse_modes("[\"values\",1]", words);
    refuse_modes("{}", "stream_mode: must be a string or an array of strings");
}

static void test_modes_of_queries(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned modes; /* 0: refused */
    } CASES[] = {
        {"", STREAM_VALUES},
        {"[]", STREAM_VALUES},
        {"updates", STREAM_UPDATES},
        {"updates, events", STREAM_UPDATES | STREAM_EVENTS},
        {"[\"tasks\", \"checkpoints\"]", STREAM_TASKS | STREAM_CHECKPOINTS},
        {" [ \"custom\" ] ", STREAM_CUSTOM},
        {"[", 0},
        {"updates,", 0},
        {"\"updates\"", 0},
        {"Values", 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        unsigned out = 0;
        int rc = stream_modes_parse(str_of(CASES[i].text), STREAM_VALUES, &out, NULL);
        if (out != CASES[i].modes)
            fail_msg("%s gave %u", CASES[i].text, out);
        assert_int_equal(rc, CASES[i].modes ? 0 : ERR_INVALID);
    }
}

static void test_modes_written(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1024);
    struct json_writer w = json_writer(&b);
    stream_modes_write(&w, STREAM_EVENTS | STREAM_VALUES);
    stream_modes_write(&w, 0);
    assert_true(str_eq(buf_view(&b), STR("[\"values\",\"events\"],[]")));
    buf_deinit(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_modes_of_bodies),
        cmocka_unit_test(test_modes_of_queries),
        cmocka_unit_test(test_modes_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
