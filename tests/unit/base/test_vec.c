/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: vec_push keeps order and values over many growths, vec_deinit gives everything back.
 * Method: push, read back, count live blocks. */
#include "check.h"

#include "base/vec.h"

static void pushing(void **state) {
    (void)state;
    int64_t before = mem_live_count();
    struct pair {
        int a;
        double b;
    };
    VEC(struct pair) v = {0};
    for (int i = 0; i < 10000; i++)
        vec_push(&v, ((struct pair){i, i * 0.5}));
    assert_int_equal(v.count, 10000);
    assert_in_range(v.cap, 10000, 20000);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(v.p[i].a, i);
        assert_true(v.p[i].b == i * 0.5);
    }
    vec_deinit(&v);
    assert_null(v.p);
    assert_int_equal(v.count + v.cap, 0);
    vec_deinit(&v);
    assert_int_equal(mem_live_count(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pushing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
