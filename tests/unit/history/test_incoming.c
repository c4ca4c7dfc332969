/* SPDX-License-Identifier: Apache-2.0 */
/* test_incoming.c - envelopes out of a text. Goal: each is there once, with its session; what is
 * wrong is told with its place. Method: texts of each form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/incoming.h"

static struct arena a;

static int setup(void **state) {
    (void)state;
    arena_init(&a, 64 << 20);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_deinit(&a);
    return 0;
}

static struct history_incoming incoming(str session, bool alone) {
    return (struct history_incoming){.arena = &a, .now_us = 5, .session = session, .alone = alone};
}

static void test_forms(void **state) {
    struct history_incoming in = incoming(STR("s"), false);
    (void)state;
    assert_int_equal(history_incoming_json(&in, STR("{\"type\":\"t\",\"payload\":1}"), NULL), 0);
    assert_int_equal(history_incoming_json(&in, STR("[]"), NULL), 0);
    assert_int_equal(history_incoming_json(&in,
                                           STR("[{\"type\":\"t\",\"payload\":2},{\"type\":\"t\","
                                               "\"payload\":3,\"sessionId\":\"o\"}]"),
                                           NULL),
                     0);
    assert_int_equal(history_incoming_lines(&in,
                                            STR("\n {\"type\":\"t\",\"payload\":4} \n\n"
                                                "{\"type\":\"t\",\"payload\":5}"),
                                            NULL),
                     0);
    assert_int_equal(in.count, 5);
    for (size_t i = 0; i < in.count; i++) {
        assert_int_equal(in.events[i].payload.p[0], '1' + (char)i);
        assert_int_equal(in.events[i].occurred_at, 5);
        assert_true(str_eq(in.sessions[i], i == 2 ? STR("o") : STR("s")));
    }
}

static void test_many(void **state) {
    struct history_incoming in = incoming(STR("s"), true);
    struct err err = {0};
    yyjson_val *root;
    (void)state;
    assert_int_equal(json_parse(&a, STR("{\"type\":\"t\",\"payload\":1}"), &root, NULL), 0);
    for (int i = 0; i < HISTORY_APPEND_COUNT_MAX; i++)
        assert_int_equal(history_incoming_take(&in, root, NULL), 0);
    assert_int_equal(history_incoming_take(&in, root, &err), ERR_TOO_LARGE);
    assert_int_equal(in.count, HISTORY_APPEND_COUNT_MAX);
}

static void check_fault(struct history_incoming in, bool lines, str text, int code,
                        const char *place) {
    struct err err = {0};
    int rc =
        lines ? history_incoming_lines(&in, text, &err) : history_incoming_json(&in, text, &err);
    assert_int_equal(rc, code);
    if (str_find(str_of(err.message), str_of(place)) < 0)
        fail_msg("%s: not of %s", err.message, place);
}

static void test_faults(void **state) {
    static const char good[] = "{\"type\":\"t\",\"payload\":1}\n";
    (void)state;
    check_fault(incoming(STR("s"), true), false, STR("{"), ERR_MALFORMED, "body");
    check_fault(incoming(STR("s"), true), false, STR("[{\"type\":\"t\",\"payload\":1},3]"),
                ERR_INVALID, "event 1");
    check_fault(incoming(STR("s"), true), true, STR("\n{\"type\":\"t\"}\n"), ERR_INVALID,
                "line 2: payload");
    check_fault(incoming(STR("s"), true), true,
                STR("{\"type\":\"t\",\"payload\":1,\"sessionId\":\"o\"}"), ERR_INVALID,
                "sessionId");
    check_fault(incoming(STR_NULL, false), true, str_of(good), ERR_INVALID, "sessionId");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests_name("history/incoming", tests, setup, teardown);
}
