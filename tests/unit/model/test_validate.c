/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: readers give the value or the fallback, and say exactly what is wrong.
 * Method: each case reads one member of a small body and compares value and complete error text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "model/state.h"
#include "model/validate.h"

static struct arena arena;

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

static struct body open_body(const char *text) {
    struct body b;
    yyjson_val *root = NULL;
    struct err err = {0};
    if (text && json_parse(&arena, str_of(text), &root, &err) < 0)
        fail_msg("test input is not JSON: %s: %s", text, err.message);
    body_init(&b, &arena, root);
    return b;
}

static void expect_ok(const struct body *b) {
    struct err err = {0};
    if (body_done(b, &err) < 0)
        fail_msg("refused: %s", err.message);
}

static void expect_fault(const struct body *b, const char *message) {
    struct err err = {0};
    assert_int_equal(body_done(b, &err), ERR_INVALID);
    assert_int_equal(err.code, ERR_INVALID);
    assert_string_equal(err.message, message);
}

#define assert_str(actual, expected) assert_true(str_eq((actual), str_of(expected)))

static void test_bodies(void **state) {
    (void)state;
    struct body b = open_body(NULL);
    assert_str(body_str(&b, "name", STR("none")), "none");
    assert_false(body_has(&b, "name"));
    expect_ok(&b);
    b = open_body("[1]");
    assert_int_equal(body_bool(&b, "x", true), true);
    expect_fault(&b, "body: must be a JSON object");
}

static void test_missing_and_null_take_the_fallback(void **state) {
    (void)state;
    const char *const TEXTS[] = {"{}", "{\"m\":null}"};
    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++) {
        struct body b = open_body(TEXTS[i]);
        struct id id = ID_NIL;
        assert_str(body_str(&b, "m", STR("f")), "f");
        assert_null(body_str(&b, "m", STR_NULL).p);
        assert_str(body_str_sized(&b, "m", 1, 2, STR("f")), "f");
        assert_false(body_id(&b, "m", &id));
        assert_int_equal(body_int(&b, "m", (struct body_range){1, 5, 9}), 9);
        assert_true(body_double(&b, "m", 0, 1, 7.5) == 7.5);
        assert_true(body_bool(&b, "m", true));
        assert_str(body_object(&b, "m"), "{}");
        assert_null(body_object_val(&b, "m"));
        assert_null(body_array(&b, "m"));
        assert_null(body_str_array(&b, "m"));
        assert_int_equal(body_enum(&b, "m", &DURABILITY_WORDS, DURABILITY_ASYNC), DURABILITY_ASYNC);
        assert_str(body_json(&b, "m", STR("gone")), i == 0 ? "gone" : "null");
        assert_int_equal(body_has(&b, "m"), i == 1);
        expect_ok(&b);
    }
}

static void test_values(void **state) {
    (void)state;
    struct body b = open_body("{\"s\":\"x\",\"id\":\"01a1fbe9d2b273dd928fe07b61c578fd\",\"i\":10.0,"
                              "\"d\":0.5,\"t\":false,\"o\":{ \"a\" : 1 },\"a\":[\"p\"],"
                              "\"e\":\"exit\"}");
    struct id id = ID_NIL;
    char dashed[ID_DASHED_LEN];
    assert_str(body_str(&b, "s", STR_NULL), "x");
    assert_str(body_str_required(&b, "s"), "x");
    assert_str(body_str_sized(&b, "s", 1, 1, STR_NULL), "x");
    assert_true(body_id(&b, "id", &id));
    id_write_dashed(id, dashed);
    assert_memory_equal(dashed, "01a1fbe9-d2b2-73dd-928f-e07b61c578fd", ID_DASHED_LEN);
    assert_true(id_eq(body_id_required(&b, "id"), id));
    assert_int_equal(body_int(&b, "i", (struct body_range){1, 10, 5}), 10);
    assert_true(body_double(&b, "d", 0, 1, 0) == 0.5);
    assert_true(body_double(&b, "i", 0, 10, 0) == 10);
    assert_false(body_bool(&b, "t", true));
    assert_str(body_object(&b, "o"), "{\"a\":1}");
    assert_str(body_json(&b, "a", STR_NULL), "[\"p\"]");
    assert_int_equal(yyjson_arr_size(body_array(&b, "a")), 1);
    assert_int_equal(yyjson_arr_size(body_str_array(&b, "a")), 1);
    assert_int_equal(body_enum(&b, "e", &DURABILITY_WORDS, DURABILITY_ASYNC), DURABILITY_EXIT);
    expect_ok(&b);
}

static void test_string_faults(void **state) {
    (void)state;
    struct body b = open_body("{\"s\":1}");
    assert_str(body_str(&b, "s", STR("f")), "f");
    expect_fault(&b, "s: must be a string");
    b = open_body("{\"s\":\"\"}");
    assert_str(body_str_required(&b, "s"), "");
    expect_fault(&b, "s: must be a string that is not empty");
    b = open_body("{}");
    (void)body_str_required(&b, "assistant_id");
    expect_fault(&b, "assistant_id: is required");
    b = open_body("{\"s\":\"abc\"}");
    assert_null(body_str_sized(&b, "s", 1, 2, STR_NULL).p);
    expect_fault(&b, "s: must be a string of 1 to 2 bytes");
    b = open_body("{\"s\":\"abc\"}");
    struct id id = ID_NIL;
    assert_false(body_id(&b, "s", &id));
    assert_true(id_is_nil(id));
    expect_fault(&b, "s: must be a UUID");
    b = open_body("{}");
    assert_true(id_is_nil(body_id_required(&b, "thread_id")));
    expect_fault(&b, "thread_id: is required");
}

static void refuse_int(const char *value, struct body_range range, const char *message) {
    struct body b = open_body(arena_printf(&arena, "{\"limit\":%s}", value).p);
    assert_int_equal(body_int(&b, "limit", range), range.fallback);
    expect_fault(&b, message);
}

static void test_number_faults(void **state) {
    (void)state;
    const struct body_range range = {1, 1000, 10};
    const char *text = "limit: must be an integer between 1 and 1000";
    const char *const WRONG[] = {"0",     "1001", "-1",   "1.5",   "true",
                                 "\"5\"", "[]",   "1e30", "-1e30", "9223372036854775808"};
    for (size_t i = 0; i < ARRAY_COUNT(WRONG); i++)
        refuse_int(WRONG[i], range, text);
    refuse_int("-1", (struct body_range){0, INT64_MAX, 3},
               "limit: must be an integer of at least 0");
    refuse_int("1e300", (struct body_range){INT64_MIN, INT64_MAX, 3}, "limit: must be an integer");
    struct body b = open_body("{\"a\":9223372036854775807,\"b\":-9223372036854775808,\"d\":2}");
    assert_true(body_int(&b, "a", (struct body_range){0, INT64_MAX, 0}) == INT64_MAX);
    assert_true(body_int(&b, "b", (struct body_range){INT64_MIN, 0, 0}) == INT64_MIN);
    expect_ok(&b);
    assert_true(body_double(&b, "d", 0, 1, 0.25) == 0.25);
    expect_fault(&b, "d: must be a number between 0 and 1");
}

static void test_other_faults(void **state) {
    (void)state;
    struct body b = open_body("{\"x\":\"1\"}");
    assert_true(body_bool(&b, "x", true));
    expect_fault(&b, "x: must be true or false");
    b = open_body("{\"x\":[]}");
    assert_str(body_object(&b, "x"), "{}");
    expect_fault(&b, "x: must be an object");
    b = open_body("{\"x\":{}}");
    assert_null(body_array(&b, "x"));
    expect_fault(&b, "x: must be an array");
    b = open_body("{\"x\":[\"a\",1]}");
    assert_null(body_str_array(&b, "x"));
    expect_fault(&b, "x: must be an array of strings");
    b = open_body("{\"if_exists\":\"replace\"}");
    assert_int_equal(body_enum(&b, "if_exists", &IF_EXISTS_WORDS, 77), 77);
    expect_fault(&b, "if_exists: must be one of raise, do_nothing");
}

static void test_faults_are_collected(void **state) {
    (void)state;
    struct body b = open_body("{\"a\":1,\"b\":2}");
    (void)body_str(&b, "a", STR_NULL);
    (void)body_bool(&b, "b", false);
    body_fault(&b, "c", "is %d too many", 3);
    expect_fault(&b, "a: must be a string; b: must be true or false; c: is 3 too many");
    struct err first = b.faults;
    for (int i = 0; i < 100; i++)
        body_fault(&b, "again", "is a fault with a text of some length");
    assert_true(strlen(b.faults.message) < ERR_MESSAGE_BYTES);
    assert_memory_equal(b.faults.message, first.message, strlen(first.message));
    assert_string_equal(b.faults.message + strlen(b.faults.message) - 6, "length");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bodies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing_and_null_take_the_fallback, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_string_faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_number_faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_faults_are_collected, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
