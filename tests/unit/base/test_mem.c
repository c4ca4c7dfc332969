/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: every allocator gives usable memory and the live count returns to where it was. Method: one
 * of each, also of size 0. */
#include "check.h"

#include "base/mem.h"

static void each_allocator(void **state) {
    (void)state;
    int64_t before = mem_live_count();
    char *zeroed = mem_zalloc(100), *counted = mem_calloc(10, 10);
    for (int i = 0; i < 100; i++)
        assert_int_equal(zeroed[i] | counted[i], 0);
    char *dup = mem_dup("abc", 4), *copy = mem_strdup("xyz");
    assert_string_equal(dup, "abc");
    assert_string_equal(copy, "xyz");
    dup = mem_realloc(dup, 4096);
    assert_string_equal(dup, "abc");
    char *fresh = mem_realloc(NULL, 8);
    memset(fresh, 1, 8);
    void *nothing = mem_alloc(0), *none = mem_dup(NULL, 0);
    assert_non_null(nothing);
    assert_non_null(none);
#ifdef HF_DEBUG
    assert_int_equal(mem_live_count(), before + 7);
#endif
    mem_free(NULL);
    mem_free(zeroed);
    mem_free(counted);
    mem_free(dup);
    mem_free(copy);
    mem_free(fresh);
    mem_free(nothing);
    mem_free(none);
    assert_int_equal(mem_live_count(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_allocator)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
