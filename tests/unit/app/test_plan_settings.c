/* SPDX-License-Identifier: Apache-2.0 */
/* test_plan_settings.c - options of the tools of plans. Goal: programs get only variables that are
 * named and set; what is no name, and secrets that cannot be read, are refused without being shown.
 * Method: configurations, variables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "app/plan_settings.h"

static void test_env(void **state) {
    (void)state;
    struct arena a;
    struct plan_tools_options o;
    struct config c = {.plan_shell_env = STR("HF_ONE, HF_NOT_SET,HF_TWO,")};
    arena_init(&a, 1 << 20);
    setenv("HF_ONE", "1", 1);
    setenv("HF_TWO", "a=b", 1);
    assert_int_equal(plan_settings(&c, NULL, &a, &o, NULL), 0);
    assert_string_equal(o.shell_env[0], "HF_ONE=1");
    assert_string_equal(o.shell_env[1], "HF_TWO=a=b");
    assert_null(o.shell_env[2]);
    c.plan_shell_env = STR("HF_ONE=1");
    assert_int_equal(plan_settings(&c, NULL, &a, &o, NULL), ERR_INVALID);
    arena_deinit(&a);
}

static void test_secrets(void **state) {
    (void)state;
    struct arena a;
    struct err err = {0};
    struct plan_tools_options o;
    struct config c = {.plan_secrets = {STR("{\"a\":{\"values\":{\"N-\":\"canary-1\"}}}")}};
    arena_init(&a, 1 << 20);
    assert_int_equal(plan_settings(&c, NULL, &a, &o, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "HOLDFAST_PLAN_SECRETS"));
    assert_null(strstr(err.message, "canary"));
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env),
        cmocka_unit_test(test_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
