/* SPDX-License-Identifier: Apache-2.0 */
/* test_heap.c - queues of steps.
 *
 * Goal: whatever goes in comes out by rank, and equal ones all come out.
 * Method: random pushes and pops beside a sorted list. */
#include "plans/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rand.h"

static void test_order(void **state) {
    (void)state;
    struct step_heap h = {0};
    struct step_heap_item item, first;
    size_t in = 0, out = 0;
    rand_seed(7);
    for (int round = 0; round < 200; round++) {
        for (uint64_t n = rand_below(20); n > 0; n--, in++)
            step_heap_push(&h, (int64_t)rand_below(50) - 25, (uint32_t)in);
        for (uint64_t n = rand_below(20); n > 0 && h.items.count; n--, out++) {
            first = *step_heap_first(&h);
            assert_true(step_heap_pop(&h, &item));
            assert_int_equal(item.rank, first.rank);
            for (size_t i = 0; i < h.items.count; i++)
                assert_true(h.items.p[i].rank >= item.rank);
        }
    }
    for (int64_t last = INT64_MIN; step_heap_pop(&h, &item); last = item.rank, out++)
        assert_true(item.rank >= last);
    assert_int_equal(in, out);
    assert_false(step_heap_pop(&h, &item));
    assert_null(step_heap_first(&h));
    step_heap_deinit(&h);
    rand_seed(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
