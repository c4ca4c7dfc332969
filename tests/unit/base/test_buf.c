/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a buffer grows to its cap and no further, and numbers are written exactly. Method: compare
 * with printf over the limits and powers of ten; appends around the cap. */
#include "check.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"

static void appending(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_null(b.p);
    buf_str(&b, STR("ab"));
    buf_str(&b, STR_NULL);
    buf_z(&b, "c");
    buf_char(&b, 'd');
    buf_printf(&b, "%d%s", 12, "x");
    check_str(buf_view(&b), "abcd12x");
    buf_consume(&b, 2);
    check_str(buf_view(&b), "cd12x");
    buf_consume(&b, 5);
    assert_int_equal(b.len, 0);
    buf_shrink(&b);
    assert_null(b.p);
    for (int i = 0; i < 5000; i++)
        buf_printf(&b, "%04d", i % 10000);
    assert_int_equal(b.len, 20000);
    assert_memory_equal(b.p + 4 * 4321, "4321", 4);
    buf_shrink(&b); /* not empty: stays */
    assert_int_equal(b.len, 20000);
    struct buf moved = buf_take(&b);
    assert_int_equal(moved.len, 20000);
    assert_null(b.p);
    assert_int_equal(b.len, 0);
    buf_z(&b, "again");
    check_str(buf_view(&b), "again");
    buf_deinit(&moved);
    buf_deinit(&b);
}

static void cap_drops_whole_appends(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_z(&b, "12345678");
    buf_z(&b, "abc");
    assert_false(buf_ok(&b));
    check_str(buf_view(&b), "12345678");
    buf_char(&b, 'x'); /* would fit, but the text has a hole already */
    check_str(buf_view(&b), "12345678");
    assert_null(buf_reserve(&b, 1));
    buf_reset(&b);
    assert_true(buf_ok(&b));
    buf_z(&b, "1234567890");
    assert_true(buf_ok(&b));
    buf_printf(&b, "%s", "");
    assert_true(buf_ok(&b));
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_false(buf_ok(&b));
    buf_deinit(&b);
}

static void long_printf(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 2000);
    char wide[1000];
    memset(wide, 'w', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    buf_printf(&b, "<%s>", wide);
    assert_int_equal(b.len, 1001);
    assert_int_equal(b.p[1000], '>');
    buf_printf(&b, "<%s>", wide);
    assert_false(buf_ok(&b));
    assert_int_equal(b.len, 1001);
    buf_deinit(&b);
}

static void numbers(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    char want[32];
    uint64_t power = 1;
    for (int i = 0; i < 20; i++, power *= 10) {
        for (int d = -1; d <= 1; d++) {
            uint64_t u = power + (uint64_t)(int64_t)d;
            buf_reset(&b);
            buf_u64(&b, u);
            snprintf(want, sizeof want, "%" PRIu64, u);
            check_str(buf_view(&b), want);
            buf_reset(&b);
            buf_i64(&b, (int64_t)(0 - u));
            snprintf(want, sizeof want, "%" PRId64, (int64_t)(0 - u));
            check_str(buf_view(&b), want);
        }
    }
    buf_reset(&b);
    buf_i64(&b, INT64_MIN);
    check_str(buf_view(&b), "-9223372036854775808");
    buf_reset(&b);
    buf_u64(&b, UINT64_MAX);
    check_str(buf_view(&b), "18446744073709551615");
    buf_deinit(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appending),
        cmocka_unit_test(cap_drops_whole_appends),
        cmocka_unit_test(long_printf),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
