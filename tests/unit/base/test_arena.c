/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: allocations are aligned, separate and capped; cleanups run once in reverse; resizing works
 * on the newest block only. Method: many sizes, filled with their own pattern and read back. */
#include "check.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"

static void blocks_keep_their_bytes(void **state) {
    (void)state;
    int64_t before = mem_live_count();
    struct arena a;
    arena_init(&a, 8 << 20);
    assert_null(a.chunk);
    enum { COUNT = 600 };
    unsigned char *blocks[COUNT];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            size_t size = i * 7 % 3000;
            blocks[i] = arena_alloc(&a, size);
            assert_int_equal((uintptr_t)blocks[i] % 16, 0);
            memset(blocks[i], (int)(i & 0xFF), size);
        }
        size_t total = 0;
        for (size_t i = 0; i < COUNT; i++) {
            total += (i * 7 % 3000 + 15) / 16 * 16;
            for (size_t k = 0; k < i * 7 % 3000; k++)
                assert_int_equal(blocks[i][k], i & 0xFF);
        }
        assert_int_equal(a.used_bytes, total);
        arena_reset(&a);
        assert_int_equal(a.used_bytes, 0);
    }
    unsigned char *z = arena_zalloc(&a, 5000); /* memory that was written to */
    for (int i = 0; i < 5000; i++)
        assert_int_equal(z[i], 0);
    arena_deinit(&a);
    assert_int_equal(mem_live_count(), before);
}

static void a_loop_settles_on_one_chunk(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 8 << 20);
    char *settled = NULL;
    for (int round = 0; round < 5; round++) {
        char *first = arena_alloc(&a, 3000);
        (void)arena_alloc(&a, 30000);
        (void)arena_alloc(&a, 60000);
        if (round == 1)
            settled = first;
        if (round > 1)
            assert_ptr_equal(first, settled);
        arena_reset(&a);
    }
    (void)arena_alloc(&a, 4 << 20);
    arena_reset(&a);
    assert_null(a.chunk); /* too large to sit on */
    arena_deinit(&a);
}

static void cap_is_kept(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1000);
    assert_non_null(arena_try_alloc(&a, 600));
    assert_null(arena_try_alloc(&a, 600));
    assert_null(arena_try_alloc(&a, SIZE_MAX));
    assert_null(arena_try_alloc(&a, SIZE_MAX - 8));
    assert_non_null(arena_try_alloc(&a, 384));
    assert_null(arena_try_alloc(&a, 16));
    arena_reset(&a);
    assert_non_null(arena_try_alloc(&a, 900));
    arena_deinit(&a);
}

static void resizing_the_newest(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    char *first = arena_alloc(&a, 10), *second = arena_alloc(&a, 10);
    assert_false(arena_try_resize(&a, first, 10, 20));
    assert_true(arena_try_resize(&a, second, 10, 200));
    memset(second, 7, 200);
    assert_true(arena_try_resize(&a, second, 200, 3));
    assert_true(arena_try_resize(&a, second, 3, 100));
    assert_int_equal(second[2], 7);
    assert_false(arena_try_resize(&a, second, 100, 8000));      /* chunk is full */
    assert_false(arena_try_resize(&a, second, 100, SIZE_MAX));
    assert_false(arena_try_resize(&a, NULL, 0, 10));
    char *third = arena_alloc(&a, 16);
    assert_true(third >= second + 100);
    assert_int_equal(a.used_bytes, 16 + 112 + 16);
    arena_deinit(&a);
}

static void strings(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    check_str(arena_dup(&a, STR_NULL), NULL);
    str empty = arena_dup(&a, STR(""));
    check_str(empty, "");
    assert_int_equal(empty.p[0], 0);
    assert_string_equal(arena_z(&a, STR_NULL), "");
    str held = arena_dup(&a, str_n("abcdef", 3));
    assert_string_equal(held.p, "abc");
    check_str(arena_printf(&a, "%d-%s", 5, "x"), "5-x");
    char wide[700];
    memset(wide, 'w', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    check_str(arena_printf(&a, "%s", wide), wide);
    check_str(arena_concat(&a, (str[]){STR("ab"), STR_NULL, STR("c")}, 3), "abc");
    check_str(arena_concat(&a, NULL, 0), "");
    arena_deinit(&a);
}

static char cleanup_order[8];

static void cleanup(void *arg) {
    strncat(cleanup_order, arg, 1);
}

static void cleanups_run_in_reverse_once(void **state) {
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    arena_on_deinit(&a, cleanup, (void *)(uintptr_t) "1");
    arena_on_deinit(&a, cleanup, (void *)(uintptr_t) "2");
    arena_reset(&a);
    assert_string_equal(cleanup_order, "21");
    arena_on_deinit(&a, cleanup, (void *)(uintptr_t) "3");
    arena_deinit(&a);
    arena_deinit(&a);
    assert_string_equal(cleanup_order, "213");
}

static void test_take(void **state) {
    (void)state;
    struct arena a;
    struct buf b;
    arena_init(&a, 1 << 16);
    buf_init(&b, 100);
    assert_int_equal(arena_take(&a, &b).len, 0);
    buf_z(&b, "text");
    str text = arena_take(&a, &b);
    assert_string_equal(text.p, "text");
    assert_int_equal(text.len, 4);
    assert_null(b.p);
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_keep_their_bytes), cmocka_unit_test(cap_is_kept),
        cmocka_unit_test(resizing_the_newest),     cmocka_unit_test(strings),
        cmocka_unit_test(a_loop_settles_on_one_chunk),
        cmocka_unit_test(cleanups_run_in_reverse_once),
        cmocka_unit_test(test_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
