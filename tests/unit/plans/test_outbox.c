/* SPDX-License-Identifier: Apache-2.0 */
/* test_outbox.c - what webhooks are sent of the log of a plan.
 *
 * Goal: each event of an entry is a CloudEvent with the id that the log gives it, in its order, in
 * one message or in one each; only those that are wanted; nothing at all is no message; what cannot
 * be read is an error. Method: entries written by events.c, parcels read as JSON. */
#include "plans/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "history/log.h"
#include "plans/plans_int.h"

#define PLAN   "019abcde-f012-7000-8000-000000000001"
#define THREAD "019abcde-f012-7000-8000-000000000002"

static struct arena arena;

static str payload(int kind, const char *data, const char *more) {
    return arena_printf(&arena,
                        "{\"webhook\":\"w\",\"plan\":\"019abcdef01270008000000000000001\","
                        "\"thread\":\"" THREAD "\",\"run\":\"" PLAN "\",\"project\":\"p\\\"1\","
                        "\"seq\":7,\"kind\":%d,\"at\":1764000000000000%s,\"data\":%s}",
                        kind, more, data);
}

static str entry(void) {
    enum run_state failed = RUN_STATE_FAILED;
    struct plan_news news = {.version = 2, .began = true, .status = &failed, .error = STR("bad")};
    struct step_event e[] = {{3, RUN_STATE_RUNNING, 1, 1764000000000001, STR_NULL},
                             {3, RUN_STATE_FAILED, 1, 1764000000000002, STR("a \"b\"")}};
    str *list;
    assert_int_equal(plan_entries_write(&arena, &news, e, 2, &list), 1);
    return list[0];
}

static struct parcel make(enum webhook_mode mode, const char *types, str text) {
    struct webhook w = {.mode = mode, .types = str_of(types)};
    struct parcel out = {0};
    assert_int_equal(plans_parcel_make(&w, STR("id"), text, &arena, &out, NULL), 0);
    return out;
}

static void same(yyjson_val *event, const char *key, const char *want) {
    assert_string_equal(arena_z(&arena, json_str(json_get(event, key))), want);
}

static void test_batch(void **state) {
    (void)state;
    yyjson_val *v;
    struct parcel p = make(WEBHOOK_BATCH, "[\"*\"]", payload(LOG_STEPS, entry().p, ""));
    assert_int_equal(p.count, 1);
    assert_true(str_eq(p.parts[0].id, STR("id")));
    assert_true(str_eq(p.content_type, STR("application/cloudevents-batch+json")));
    assert_int_equal(json_parse(&arena, p.parts[0].body, &v, NULL), 0);
    static const char *const types[] = {"plan.running", "step.running", "step.failed",
                                        "plan.failed"};
    assert_int_equal(yyjson_arr_size(v), ARRAY_COUNT(types));
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        yyjson_val *e = yyjson_arr_get(v, i);
        same(e, "type", types[i]);
        same(e, "specversion", "1.0");
        same(e, "source", "/plans/runs/" PLAN);
        same(e, "id", arena_z(&arena, arena_printf(&arena, PLAN ".7.%zu", i)));
        same(json_get(e, "data"), "project_id", "p\"1");
    }
    yyjson_val *failed = yyjson_arr_get(v, 2);
    same(failed, "subject", "steps/3");
    same(failed, "sequence", "0000000000000000007.00002");
    same(json_get(failed, "data"), "error", "a \"b\"");
    same(json_get(yyjson_arr_get(v, 3), "data"), "error", "bad");
    assert_null(json_get(yyjson_arr_get(v, 3), "subject"));
}

static void test_single(void **state) {
    (void)state;
    yyjson_val *v;
    str text = payload(LOG_STEPS, entry().p, "");
    struct parcel p = make(WEBHOOK_SINGLE, "[\"step.*\"]", text);
    assert_int_equal(p.count, 2);
    assert_true(str_eq(p.content_type, STR("application/cloudevents+json")));
    assert_true(str_eq(p.parts[0].id, STR("id.1")) && str_eq(p.parts[1].id, STR("id.2")));
    assert_int_equal(json_parse(&arena, p.parts[1].body, &v, NULL), 0);
    same(v, "type", "step.failed");
    assert_int_equal(make(WEBHOOK_BATCH, "[\"run.*\"]", text).count, 0);
    assert_int_equal(make(WEBHOOK_SINGLE, "[\"plan.succeeded\"]", text).count, 0);
    p = make(WEBHOOK_SINGLE, "[\"*\"]", payload(LOG_STEPS, entry().p, ",\"only\":3"));
    assert_int_equal(p.count, 1);
    assert_true(str_eq(p.parts[0].id, STR("id.3")));
}

static void test_end(void **state) {
    (void)state;
    yyjson_val *v;
    struct parcel p =
        make(WEBHOOK_SINGLE, "[\"run.error\"]",
             payload(LOG_END, "{\"status\":\"error\",\"error\":{\"message\":\"m\"}}", ""));
    assert_int_equal(p.count, 1);
    assert_int_equal(json_parse(&arena, p.parts[0].body, &v, NULL), 0);
    same(v, "type", "run.error");
    same(json_get(v, "data"), "error", "m");
}

static void test_what_cannot_be_read(void **state) {
    (void)state;
    struct webhook w = {.types = STR("[\"*\"]")};
    struct parcel out;
    const str bad[] = {STR(""), STR("{}"), STR("[1]"), payload(LOG_STEPS, "7", ""),
                       payload(LOG_STEPS, "{\"e\":[[1]]}", ""), payload(LOG_END, "{}", "")};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_int_equal(plans_parcel_make(&w, STR("id"), bad[i], &arena, &out, NULL),
                         ERR_CORRUPT);
}

static void test_patterns(void **state) {
    (void)state;
    static const char *const good[] = {"*", "plan.*", "step.timed_out", "run.error"},
                             *const bad[] = {"", "plan", "plan.", ".x", "step.a*", "other.x",
                                             "step.A", "**"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        assert_true(plans_event_pattern_ok(str_of(good[i])));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(plans_event_pattern_ok(str_of(bad[i])));
}

int main(void) {
    arena_init(&arena, (size_t)16 << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch),    cmocka_unit_test(test_single),
        cmocka_unit_test(test_end),      cmocka_unit_test(test_what_cannot_be_read),
        cmocka_unit_test(test_patterns),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
