/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the error table and struct err keep their contract. Method: fill, wrap and cut messages,
 * with and without an error object, and look up known and unknown codes. */
#include "check.h"

#include "base/err.h"

static void set_fills_and_returns(void **state) {
    (void)state;
    struct err e = {.retry_after_ms = 7};
    assert_int_equal(err_set(&e, ERR_NOT_FOUND, "thread %d", 42), ERR_NOT_FOUND);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_int_equal(e.system, 0);
    assert_int_equal(e.retry_after_ms, 0);
    assert_string_equal(e.message, "thread 42");
    assert_int_equal(err_set_system(&e, ERR_IO, 28, "disk"), ERR_IO);
    assert_int_equal(e.system, 28);
    assert_int_equal(err_set(NULL, ERR_LIMIT, "x"), ERR_LIMIT);
    assert_int_equal(err_set_system(NULL, ERR_LIMIT, 1, "x"), ERR_LIMIT);
}

static void set_accepts_its_own_message(void **state) {
    (void)state;
    struct err e;
    (void)err_set(&e, ERR_IO, "inner");
    (void)err_set(&e, ERR_CORRUPT, "outer (%s)", e.message);
    assert_string_equal(e.message, "outer (inner)");
}

static void context_prefixes(void **state) {
    (void)state;
    struct err e;
    (void)err_set_system(&e, ERR_IO, 5, "read failed");
    assert_int_equal(err_context(&e, "page %d", 3), ERR_IO);
    assert_string_equal(e.message, "page 3: read failed");
    assert_int_equal(e.system, 5);
    err_reset(&e);
    assert_int_equal(e.code, ERR_OK);
    assert_string_equal(e.message, "");
    e.code = ERR_CLOSED;
    (void)err_context(&e, "peer");
    assert_string_equal(e.message, "peer: The connection is closed.");
    assert_int_equal(err_context(NULL, "x"), ERR_INTERNAL);
}

static void long_messages_are_cut_at_characters(void **state) {
    (void)state;
    struct err e;
    char text[400];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'a', shift);
        for (size_t i = shift; i + 4 < sizeof text; i += 3)
            memcpy(text + i, "\xE2\x82\xAC", 4); /* euro signs */
        (void)err_set(&e, ERR_IO, "%s", text);
        size_t len = strlen(e.message);
        assert_in_range(len, ERR_MESSAGE_BYTES - 4, ERR_MESSAGE_BYTES - 1);
        assert_true(str_is_utf8(str_of(e.message)));
        (void)err_context(&e, "%s", text);
        assert_in_range(strlen(e.message), ERR_MESSAGE_BYTES - 4, ERR_MESSAGE_BYTES - 1);
        assert_true(str_is_utf8(str_of(e.message)));
    }
}

static void table_lookups(void **state) {
    (void)state;
    assert_string_equal(err_name(ERR_OK), "OK");
    assert_string_equal(err_name(ERR_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(err_name(-9999), "UNKNOWN");
    assert_string_equal(err_name(5), "UNKNOWN");
    assert_string_equal(err_name(INT32_MIN), "UNKNOWN");
    assert_int_equal(err_http_status(ERR_OK), 200);
    assert_int_equal(err_http_status(ERR_LIMIT), 429);
    assert_int_equal(err_http_status(-9999), 500);
    assert_true(err_retryable(ERR_UNAVAILABLE));
    assert_false(err_retryable(ERR_INVALID));
    assert_false(err_retryable(-9999));
#define ERR(name, number, status, retryable, text)         \
    assert_int_equal(ERR_##name, -(number));               \
    assert_string_equal(err_name(ERR_##name), #name);      \
    assert_string_equal(err_text(ERR_##name), text);       \
    assert_int_equal(err_http_status(ERR_##name), status); \
    assert_int_equal(err_retryable(ERR_##name), retryable);
#include "errors.def"
#undef ERR
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_and_returns),
        cmocka_unit_test(set_accepts_its_own_message),
        cmocka_unit_test(context_prefixes),
        cmocka_unit_test(long_messages_are_cut_at_characters),
        cmocka_unit_test(table_lookups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
