/* SPDX-License-Identifier: Apache-2.0 */
/* test_vector.c - products of float vectors.
 *
 * Goal: the way that this processor takes gives the bits of the portable one, for every length and
 * alignment; the value is right.
 * Method: pseudo-random vectors of lengths around the width of the registers, at odd addresses. */
#include "base/vector.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_MAX 2048

static float a[COUNT_MAX + 4], b[COUNT_MAX + 4];

static float next(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(int32_t)*state / 3e8f;
}

static void test_equal(void **state) {
    (void)state;
    uint32_t seed = 7;
    vector_dot_fn best = vector_dot_best();
    for (size_t i = 0; i < COUNT_MAX + 4; i++) {
        a[i] = next(&seed);
        b[i] = next(&seed);
    }
    for (size_t count = 0; count <= COUNT_MAX; count += count < 200 ? 1 : 61)
        for (size_t at = 0; at < 4; at++) {
            float x = best(a + at, b + 3 - at, count);
            float y = vector_dot_portable(a + at, b + 3 - at, count);
            double exact = 0;
            for (size_t i = 0; i < count; i++)
                exact += (double)a[at + i] * (double)b[3 - at + i];
            assert_memory_equal(&x, &y, sizeof(x));
            assert_true(fabs(exact - (double)x) <= 1e-4 * (1 + (double)count));
        }
}

static void test_known(void **state) {
    (void)state;
    static const float x[] = {3, 4}, y[] = {-4, 3};
    assert_true(vector_dot_best()(x, y, 2) == 0);
    assert_true(vector_dot_best()(x, y, 0) == 0);
    assert_true(vector_length(x, 2) == 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equal), cmocka_unit_test(test_known)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
