/* SPDX-License-Identifier: Apache-2.0 */
/* test_attempt.c - signatures. Goal: those of Standard Webhooks, one for each secret. Method: the
 * example of its specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "delivery/delivery_int.h"
#include "rt/loop.h"

static int open_with(const char *secrets, struct delivery_relay **out, struct err *err) {
    struct delivery_options o = {.secrets = str_of(secrets)};
    return delivery_open(NULL, NULL, NULL, &o, out, err);
}

static void sign(const char *secrets, const char *want) {
    struct delivery_relay *d;
    struct arena a;
    struct err err = {0};
    arena_init(&a, 1 << 20);
    assert_int_equal(open_with(secrets, &d, &err), 0);
    str got = attempt_signatures(d, &a, STR("msg_p5jXN8AQM9LWM0D4loKWxJek"), STR("1614265330"),
                                 STR("{\"test\": 2432232314}"));
    assert_string_equal(arena_z(&a, got), want);
    delivery_free(d);
    arena_deinit(&a);
}

static void test_signature(void **state) {
    (void)state;
    sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
         "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    sign("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    sign(" MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw  MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
         "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= "
         "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    sign("", "");
}

static void test_secrets(void **state) {
    (void)state;
    static const char *const wrong[] = {"whsec_",
                                        "whsec_x",
                                        "a-b_",
                                        "=aaa",
                                        "aa=a",
                                        "AAAA AAAA "
                                        "AAAA AAAA AAAA"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct delivery_relay *d;
        struct err err = {0};
        assert_int_equal(open_with(wrong[i], &d, &err), ERR_INVALID);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_signature),
                                       cmocka_unit_test(test_secrets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
