/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: LANGGRAPH_CONFIG configures the graphs that it names and nothing else, and a wrong one
 * stops the start with a text that names the graph. Method: texts against two graphs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "app/graph_config.h"

static struct arena arena;
static struct assistant_default defaults[2];
static str unknown;
static struct err err;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}
static int tear_down(void **state) {
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static int read_text(const char *text) {
    defaults[0] = (struct assistant_default){.graph_id = STR("agent")};
    defaults[1] = (struct assistant_default){.graph_id = STR("other")};
    err = (struct err){0};
    return graph_config_read(&arena, str_of(text), defaults, 2, &unknown, &err);
}

static void test_taken(void **state) {
    (void)state;
    assert_int_equal(read_text(""), 0);
    assert_null(defaults[0].config.p);
    assert_int_equal(read_text("{\"agent\":{\"configurable\":{\"a\":1},\"context\":{\"b\":2}},"
                               "\"nope\":{}}"),
                     0);
    assert_true(str_eq(defaults[0].config, STR("{\"configurable\":{\"a\":1}}")));
    assert_true(str_eq(defaults[0].context, STR("{\"b\":2}")));
    assert_null(defaults[1].config.p);
    assert_true(str_eq(unknown, STR("nope")));
    assert_int_equal(read_text("{\"other\":{}}"), 0);
    assert_true(str_eq(defaults[1].config, STR("{}")));
    assert_null(defaults[1].context.p);
    assert_null(unknown.p);
}

static void test_refused(void **state) {
    (void)state;
    assert_int_equal(read_text("[1]"), ERR_INVALID);
    assert_string_equal(err.message, "LANGGRAPH_CONFIG: must be a JSON object: graph → config");
    assert_int_equal(read_text("{\"agent\":7}"), ERR_INVALID);
    assert_string_equal(err.message,
                        "LANGGRAPH_CONFIG: the configuration of \"agent\" must be an object");
    assert_int_equal(read_text("{\"nope\":{\"context\":[]}}"), ERR_INVALID);
    assert_string_equal(err.message, "LANGGRAPH_CONFIG: the configuration of \"nope\" has a "
                                     "context that is no object");
    assert_true(read_text("{") < 0);
    assert_true(strncmp(err.message, "LANGGRAPH_CONFIG: ", 18) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
