/* SPDX-License-Identifier: Apache-2.0 */
/* test_webhook_secret.c - secrets of Standard Webhooks. Goal: what is made can be read and is never
 * the same, the prefix may be missing, sizes and alphabets are kept. Method: texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"
#include "model/webhook_secret.h"

static void test_made(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 16);
    str one = webhook_secret_make(&a), two = webhook_secret_make(&a), key, bare;
    assert_true(str_starts(one, STR("whsec_")));
    assert_false(str_eq(one, two));
    assert_true(webhook_secret_read(&a, one, &key));
    assert_int_equal(key.len, 32);
    assert_true(webhook_secret_read(&a, str_slice(one, 6, one.len), &bare));
    assert_true(str_eq(key, bare));
    assert_true(webhook_secret_is_fine(&a, one));
    arena_deinit(&a);
}

static void test_given(void **state) {
    (void)state;
    struct arena a;
    char bytes[66] = {0};
    str key;
    arena_init(&a, 1 << 16);
    for (size_t len = 22; len <= 66; len++) {
        str text = base64_encode(&a, str_n(bytes, len));
        assert_int_equal(webhook_secret_is_fine(&a, text), len >= 24 && len <= 64);
        assert_true(webhook_secret_read(&a, text, &key));
        assert_int_equal(key.len, len);
    }
    assert_false(webhook_secret_read(&a, STR("whsec_not base64"), &key));
    assert_false(webhook_secret_is_fine(&a, STR("whsec_")));
    assert_false(webhook_secret_is_fine(&a, STR("")));
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made),
        cmocka_unit_test(test_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
