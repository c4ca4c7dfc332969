/* SPDX-License-Identifier: Apache-2.0 */
/* test_hex.c - hex digits. Goal: every byte is written as printf would, digits of both cases are
 * read, and nothing else is one. Method: all bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/hex.h"

static void test_write(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 16);
    for (int i = 0; i < 256; i++) {
        char want[3], got[3] = "..";
        unsigned char byte = (unsigned char)i;
        (void)snprintf(want, sizeof(want), "%02x", i);
        hex_write(&byte, 1, got);
        assert_string_equal(got, want);
        assert_string_equal(hex_text(&a, &byte, 1).p, want);
    }
    str two = hex_text(&a, "\x01\xfe", 2), none = hex_text(&a, "", 0);
    assert_string_equal(two.p, "01fe");
    assert_int_equal(two.len, 4);
    assert_string_equal(none.p, "");
    arena_deinit(&a);
}

static void test_digits(void **state) {
    (void)state;
    for (int i = 0; i < 256; i++) {
        char c = (char)i;
        bool digit = c >= '0' && c <= '9', low = c >= 'a' && c <= 'f', high = c >= 'A' && c <= 'F';
        int value = digit ? c - '0' : low ? c - 'a' + 10 : high ? c - 'A' + 10 : -1;
        assert_int_equal(hex_digit(c), value);
        assert_int_equal(hex_digit_lower(c), high ? -1 : value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
