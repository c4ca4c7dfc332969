/* SPDX-License-Identifier: Apache-2.0 */
/* test_preference.c - preferences: keys, what the platform says, which layer wins.
 *
 * Goal: of a key the last layer that has it counts, and above all what the platform keeps; keys and
 * values that are none are refused by name. Method: tables. */
#include "model/preference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;

static yyjson_val *value(const char *text) {
    yyjson_val *v;
    assert_int_equal(json_parse(&arena, str_of(text), &v, NULL), 0);
    return v;
}

static struct preference_platform platform_of(const char *text) {
    struct preference_platform p = {0};
    if (text)
        assert_int_equal(preference_platform_read(&arena, str_of(text), &p, NULL), 0);
    return p;
}

static void test_layers(void **state) {
    (void)state;
    static const struct {
        const char *platform, *layers[4]; /* assistant, owner, thread, request */
        const char *want;
    } rows[] = {
        {NULL, {NULL, NULL, NULL, NULL}, "{}"},
        {"{}", {NULL, NULL, NULL, NULL}, "{}"},
        {"{\"defaults\":{\"a\":1,\"b\":2}}", {NULL, NULL, NULL, NULL}, "{\"a\":1,\"b\":2}"},
        {"{\"defaults\":{\"a\":1}}", {"{\"a\":2}", NULL, NULL, NULL}, "{\"a\":2}"},
        {"{\"defaults\":{\"a\":1}}", {"{\"a\":2}", "{\"a\":3}", NULL, NULL}, "{\"a\":3}"},
        {"{\"defaults\":{\"a\":1}}", {"{\"a\":2}", "{\"a\":3}", "{\"a\":4}", NULL}, "{\"a\":4}"},
        {"{\"defaults\":{\"a\":1}}",
         {"{\"a\":2}", "{\"a\":3}", "{\"a\":4}", "{\"a\":5}"},
         "{\"a\":5}"},
        {NULL, {"{\"a\":2}", "{}", "", "{\"b\":5}"}, "{\"a\":2,\"b\":5}"},
        /* a value is taken whole */
        {"{\"defaults\":{\"a\":{\"x\":1,\"y\":2}}}",
         {NULL, "{\"a\":{\"x\":3}}", NULL, NULL},
         "{\"a\":{\"x\":3}}"},
        /* the platform's own */
        {"{\"defaults\":{\"a\":1,\"b\":1},\"immutable\":[\"a\"]}",
         {"{\"a\":2,\"b\":2}", "{\"a\":3,\"b\":3}", "{\"a\":4}", "{\"a\":5}"},
         "{\"a\":1,\"b\":3}"},
        {"{\"defaults\":{\"a\":[1]},\"immutable\":[\"a\"]}",
         {NULL, NULL, NULL, NULL},
         "{\"a\":[1]}"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct preference_platform p = platform_of(rows[i].platform);
        str layers[4];
        for (size_t k = 0; k < 4; k++)
            layers[k] = rows[i].layers[k] ? str_of(rows[i].layers[k]) : STR_NULL;
        str got = preference_effective(&p, &arena, layers, 4);
        if (!json_equal(value(got.p), value(rows[i].want)))
            fail_msg("row %zu gives " STR_FMT ", not %s", i, STR_ARG(got), rows[i].want);
    }
}

static void test_platform(void **state) {
    (void)state;
    static const struct {
        const char *text, *why; /* NULL: it is fine */
    } rows[] = {
        {"{}", NULL},
        {"{\"immutable\":[]}", NULL},
        {"{\"defaults\":{\"a\":false},\"immutable\":[\"a\"]}", NULL},
        {"[]", "must be"},
        {"7", "must be"},
        {"{\"defaults\":[]}", "must be"},
        {"{\"immutable\":{}}", "must be"},
        {"{\"default\":{}}", "default: is not known"},
        {"{\"defaults\":{\"a b\":1}}", "a b: a key is"},
        {"{\"defaults\":{\"a\":null}}", "a: must have a value"},
        {"{\"defaults\":{\"a\":1},\"immutable\":[\"b\"]}", "immutable[0] names no default"},
        {"{\"defaults\":{\"a\":1},\"immutable\":[\"a\",7]}", "immutable[1] names no default"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct preference_platform p;
        struct err err = {0};
        int rc = preference_platform_read(&arena, str_of(rows[i].text), &p, &err);
        if (rows[i].why ? !(rc == ERR_INVALID && strstr(err.message, rows[i].why)) : rc != 0)
            fail_msg("%s: %s", rows[i].text, rc < 0 ? err.message : "is accepted");
    }
    struct preference_platform p = platform_of(
                                   "{\"defaults\":{\"a\":1,\"b\":2},\"immutable\":[\"b\"]}"),
                               none = {0};
    assert_false(preference_is_immutable(&p, STR("a")));
    assert_true(preference_is_immutable(&p, STR("b")));
    assert_false(preference_is_immutable(&none, STR("b")));
}

static void test_checks(void **state) {
    (void)state;
    static const struct {
        const char *key, *value;
        int want;
    } rows[] = {
        {"a", "1", 0},
        {"ui.theme-2_X", "{\"dark\":true}", 0},
        {"a", "\"\"", 0},
        {"a", "false", 0},
        {"a", "null", ERR_INVALID},
        {"", "1", ERR_INVALID},
        {"a/b", "1", ERR_INVALID},
        {"\xc3\xa4", "1", ERR_INVALID},
        {"effective", "1", ERR_INVALID},
        {"fixed", "1", ERR_CONFLICT},
        {"fixed", "null", ERR_INVALID},
    };
    struct preference_platform p =
        platform_of("{\"defaults\":{\"fixed\":1},\"immutable\":[\"fixed\"]}");
    str text;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        int rc =
            preference_check(&p, &arena, str_of(rows[i].key), value(rows[i].value), &text, NULL);
        if (rc != rows[i].want)
            fail_msg("%s = %s gives %s", rows[i].key, rows[i].value, err_name(rc));
    }
    char key[PREFERENCE_KEY_BYTES_MAX + 2], large[PREFERENCE_VALUE_BYTES_MAX + 2];
    memset(key, 'k', sizeof(key));
    assert_true(preference_is_key(str_n(key, PREFERENCE_KEY_BYTES_MAX)));
    assert_false(preference_is_key(str_n(key, PREFERENCE_KEY_BYTES_MAX + 1)));
    memset(large, 'v', sizeof(large));
    large[0] = large[PREFERENCE_VALUE_BYTES_MAX] = '"';
    large[PREFERENCE_VALUE_BYTES_MAX + 1] = 0;
    assert_int_equal(preference_check(&p, &arena, STR("a"), value(large), &text, NULL),
                     ERR_TOO_LARGE);
    assert_int_equal(preference_check(&p, &arena, STR("a"), NULL, &text, NULL), ERR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_platform),
        cmocka_unit_test(test_checks),
    };
    arena_init(&arena, 64 << 20);
    int failed = cmocka_run_group_tests_name("preference", tests, NULL, NULL);
    arena_deinit(&arena);
    return failed;
}
