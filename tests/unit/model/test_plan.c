/* SPDX-License-Identifier: Apache-2.0 */
/* test_plan.c - plans as clients send them.
 *
 * Goal: what is wrong with one step does not sink the others; what is wrong with the plan refuses
 * it; keys and hashes do not depend on how JSON was written, but on a step's place; waits grow.
 * Method: tables of texts. */
#include "model/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;

static const char *tool_check(str tool) {
    return str_starts(tool, STR("test:")) ? NULL : "is not a tool of this server";
}

static int parse(const char *text, struct plan_spec *out, struct err *err) {
    yyjson_val *v;
    assert_int_equal(json_parse(&arena, str_of(text), &v, NULL), 0);
    return plan_parse(&arena, v, tool_check, out, err);
}

static struct plan_spec plan_of(const char *text) {
    struct plan_spec p;
    struct err err = {0};
    if (parse(text, &p, &err) < 0)
        fail_msg("%s", err.message);
    return p;
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"[]", "object"},
        {"{}", "goal: is required"},
        {"{\"goal\":\"g\"}", "steps"},
        {"{\"goal\":\"g\",\"steps\":[]}", "at least one"},
        {"{\"goal\":\"\",\"steps\":[{}]}", "goal"},
        {"{\"goal\":\"g\",\"concurrency\":0,\"steps\":[{}]}", "concurrency"},
        {"{\"goal\":\"g\",\"steps\":[{\"name\":\"a\",\"tool\":\"test:echo\",\"depends_on\":[\"a\"]}"
         "]}",
         "circle: a"},
        {"{\"goal\":\"g\",\"steps\":[{\"name\":\"a\",\"tool\":\"test:echo\"},"
         "{\"name\":\"b\",\"tool\":\"test:echo\",\"depends_on\":[2]},"
         "{\"name\":\"c\",\"tool\":\"test:echo\",\"depends_on\":[\"a\",\"b\"]}]}",
         "circle: b, c"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct plan_spec p;
        struct err err = {0};
        assert_int_equal(parse(rows[i].text, &p, &err), ERR_INVALID);
        if (!strstr(err.message, rows[i].why))
            fail_msg("\"%s\" does not say \"%s\"", err.message, rows[i].why);
    }
}

static void test_bad_steps(void **state) {
    (void)state;
    static const struct {
        const char *step, *why; /* NULL: it is fine */
    } rows[] = {
        {"{\"name\":\"a\",\"tool\":\"test:echo\"}", NULL},
        {"7", "object"},
        {"{\"tool\":\"test:echo\"}", "name: is required"},
        {"{\"name\":\"a\"}", "tool: is required"},
        {"{\"name\":\"a\",\"tool\":\"rm\"}", "rm is not a tool"},
        {"{\"name\":\"a\",\"tool\":\"test:echo\",\"tools_allowed\":[\"test:fail\"]}", "among"},
        {"{\"name\":\"a\",\"tool\":\"test:echo\",\"tools_allowed\":[\"test:echo\"]}", NULL},
        {"{\"name\":\"a\",\"tool\":\"test:echo\",\"env_allowed\":\"PATH\"}", "env_allowed"},
        {"{\"name\":\"a\",\"tool\":\"test:echo\",\"secrets_scope\":\"ci\"}", NULL},
        {"{\"name\":\"a\",\"tool\":\"test:echo\",\"inputs\":[1]}", "inputs"},
        {"{\"name\":\"a\",\"tool\":\"test:echo\",\"timeout\":0}", "timeout"},
        {"{\"name\":\"a\",\"tool\":\"test:echo\",\"retry\":{\"max_attempts\":0}}", "max_attempts"},
        {"{\"name\":\"a\",\"tool\":\"test:echo\",\"depends_on\":[\"nobody\"]}", "named nobody"},
        {"{\"name\":\"a\",\"tool\":\"test:echo\",\"depends_on\":[7]}", "no step at 7"},
        {"{\"name\":\"a\",\"tool\":\"test:echo\",\"depends_on\":\"z\"}", "a list"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[600];
        (void)snprintf(text, sizeof(text),
                       "{\"goal\":\"g\",\"steps\":[{\"name\":\"z\",\"tool\":\"test:echo\"},%s]}",
                       rows[i].step);
        struct plan_spec p = plan_of(text);
        assert_int_equal(p.step_count, 2);
        assert_null(p.steps[0].fault.p);
        assert_int_equal(p.fault_count, rows[i].why ? 1 : 0);
        if (rows[i].why && !strstr(p.steps[1].fault.p, rows[i].why))
            fail_msg("\"%s\" does not say \"%s\"", p.steps[1].fault.p, rows[i].why);
    }
}

static void test_depends(void **state) {
    (void)state;
    struct plan_spec p = plan_of(
        "{\"goal\":\"g\",\"steps\":[{\"name\":\"a\",\"tool\":\"test:echo\"},"
        "{\"name\":\"a\",\"tool\":\"test:echo\"},"
        "{\"name\":\"b\",\"tool\":\"test:echo\",\"depends_on\":[1,\"a\",0]},"
        "{\"name\":\"c\",\"tool\":\"test:echo\",\"inputs\":{\"_dependsOn\":[\"b\"]}}]}");
    assert_int_equal(p.fault_count, 0);
    assert_int_equal(p.steps[2].depend_count, 2);
    assert_int_equal(p.steps[2].depends[0], 0);
    assert_int_equal(p.steps[2].depends[1], 1);
    assert_int_equal(p.steps[3].depend_count, 1);
    assert_int_equal(p.steps[3].depends[0], 2);
}

static void test_keys(void **state) {
    (void)state;
    char a[PLAN_KEY_LEN], b[PLAN_KEY_LEN];
    struct plan_spec p = plan_of("{\"goal\":\"g\",\"steps\":["
                            "{\"name\":\"a\",\"tool\":\"test:echo\",\"inputs\":{\"x\":1,\"y\":2}},"
                            "{\"name\":\"a\",\"tool\":\"test:echo\",\"inputs\":{\"y\":2,\"x\":1}}"
                            "]}");
    struct plan_spec q = plan_of("{\"steps\":["
                            "{\"tool\":\"test:echo\",\"inputs\":{\"y\":2, \"x\":1},\"name\":\"a\"},"
                            "{\"name\":\"a\",\"tool\":\"test:echo\",\"inputs\":{\"x\":1,\"y\":2}}"
                            "],\"goal\":\"g\"}");
    struct plan_spec other = plan_of("{\"goal\":\"h\",\"steps\":["
                                "{\"name\":\"a\",\"tool\":\"test:echo\"}]}");
    assert_true(str_eq(p.hash, q.hash));
    assert_false(str_eq(p.hash, other.hash));
    struct id run = id_v4();
    plan_step_key(run, 0, p.steps[0].name, p.steps[0].inputs, a);
    plan_step_key(run, 0, q.steps[0].name, q.steps[0].inputs, b);
    assert_memory_equal(a, b, PLAN_KEY_LEN); /* how it is written does not matter */
    plan_step_key(run, 1, p.steps[1].name, p.steps[1].inputs, b);
    assert_memory_not_equal(a, b, PLAN_KEY_LEN); /* equal steps at two places both run */
    plan_step_key(id_v4(), 0, p.steps[0].name, p.steps[0].inputs, b);
    assert_memory_not_equal(a, b, PLAN_KEY_LEN);
}

static void test_kept(void **state) {
    (void)state;
    struct plan_spec p = plan_of(
        "{\"goal\":\"g\",\"steps\":[{\"name\":\"a\",\"tool\":\"test:echo\"},"
        "{\"name\":\"b\",\"tool\":\"test:echo\",\"depends_on\":[0],\"timeout\":0.5,"
        "\"priority\":-2,\"secrets_scope\":\"ci\",\"retry\":{\"max_attempts\":4,"
        "\"initial_interval\":0.25,\"max_interval\":2,\"backoff_factor\":3,\"jitter\":false}}]}");
    struct plan_step s = {0};
    assert_true(str_eq(plan_step_spec(&arena, &p.steps[0]), STR("{}")));
    str spec = plan_step_spec(&arena, &p.steps[1]);
    struct err err = {0};
    if (plan_step_spec_read(&arena, spec, 2, &s, &err) < 0)
        fail_msg("%s: " STR_FMT, err.message, STR_ARG(spec));
    assert_int_equal(s.depends[0], 0);
    assert_int_equal(s.timeout_us, 500000);
    assert_int_equal(s.priority, -2);
    assert_true(str_eq(s.policy, STR("{\"secrets_scope\":\"ci\"}")));
    assert_int_equal(s.retry.attempts_max, 4);
    assert_int_equal(plan_retry_wait_us(&s.retry, 1, 0), 250000);
    assert_int_equal(plan_retry_wait_us(&s.retry, 2, 0), 750000);
    assert_int_equal(plan_retry_wait_us(&s.retry, 3, 0), 2000000);
    s.retry.jitter = true;
    assert_int_equal(plan_retry_wait_us(&s.retry, 3, 0), 1000000);
    assert_true(plan_retry_wait_us(&s.retry, 3, UINT64_MAX) <= 2000000);
    assert_int_equal(plan_step_spec_read(&arena, STR("{\"depends_on\":[2]}"), 2, &s, NULL),
                     ERR_CORRUPT);
    assert_int_equal(plan_step_spec_read(&arena, STR("{"), 2, &s, NULL), ERR_CORRUPT);
}

static void test_large(void **state) {
    (void)state;
    struct buf b;
    struct plan_spec p;
    struct err err = {0};
    yyjson_val *v;
    for (size_t n = PLAN_STEPS_MAX; n <= PLAN_STEPS_MAX + 1; n++) {
        buf_init(&b, 16u << 20);
        buf_z(&b, "{\"goal\":\"g\",\"steps\":[");
        for (size_t i = 0; i < n; i++)
            buf_printf(&b, "%s{\"name\":\"s%zu\",\"tool\":\"test:echo\",\"depends_on\":[%zu]}",
                       i ? "," : "", i, i + 1 < n ? i + 1 : 0);
        buf_z(&b, "]}");
        assert_int_equal(json_parse(&arena, buf_view(&b), &v, NULL), 0);
        int rc = plan_parse(&arena, v, tool_check, &p, &err);
        assert_int_equal(rc, n > PLAN_STEPS_MAX ? ERR_TOO_LARGE : ERR_INVALID); /* a circle */
        buf_deinit(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_bad_steps),
        cmocka_unit_test(test_depends), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_kept),    cmocka_unit_test(test_large),
    };
    arena_init(&arena, 256u << 20);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return rc;
}
