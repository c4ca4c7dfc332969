/* SPDX-License-Identifier: Apache-2.0 */
/* test_cache.c - Goal: an entry ends by its time to live or by its credential's end, whichever is
 * first; the count is bounded and the one used longest ago goes; what is found outlives the entry.
 * Method: times given by hand. */
#include "auth/cache.h"

#include "keys.h"

#define S INT64_C(1000000)

static struct auth_digest key_of(int n) {
    struct auth_digest d = {{0}};
    memcpy(d.bytes, &n, sizeof(n));
    return d;
}

static void put(struct auth_cache *c, int n, int64_t mono_s, int64_t expires_s) {
    struct auth_digest d = key_of(n);
    struct auth_cached v = {.text = STR("alice"), .read_only = n % 2, .expires_s = expires_s};
    auth_cache_put(c, &d, (struct auth_times){mono_s * S, (1000 + mono_s) * S}, &v);
}

static bool has(struct auth_cache *c, int n, int64_t mono_s) {
    struct auth_digest d = key_of(n);
    struct auth_cached v;
    struct arena a;
    arena_init(&a, 1 << 16);
    bool found =
        auth_cache_get(c, &d, (struct auth_times){mono_s * S, (1000 + mono_s) * S}, &a, &v);
    if (found) {
        auth_cache_clear(c); /* the text is the arena's */
        assert_true(str_eq(v.text, STR("alice")));
        assert_int_equal(v.read_only, n % 2);
        put(c, n, mono_s, v.expires_s);
    }
    arena_deinit(&a);
    return found;
}

static bool has_quietly(struct auth_cache *c, int n) {
    struct auth_digest d = key_of(n);
    struct auth_cached v;
    struct arena a;
    arena_init(&a, 1 << 16);
    bool found = auth_cache_get(c, &d, (struct auth_times){0, 1000 * S}, &a, &v);
    arena_deinit(&a);
    return found;
}

static void test_ends(void **state) {
    (void)state;
    struct auth_cache *c = auth_cache_new(10, 60 * S);
    put(c, 1, 0, 0);
    assert_false(has(c, 2, 0));
    assert_true(has(c, 1, 0));
    put(c, 1, 0, 0);
    assert_false(has(c, 1, 60));
    assert_int_equal(auth_cache_count(c), 0);
    put(c, 1, 0, 0);
    assert_true(has(c, 1, 59));
    put(c, 3, 0, 1010); /* its credential ends 10 s from now */
    assert_true(has(c, 3, 9));
    assert_false(has(c, 3, 10));
    put(c, 4, 20, 1010); /* it has ended */
    assert_false(has(c, 4, 5));
    auth_cache_free(c);
    c = auth_cache_new(10, 0);
    put(c, 1, 0, 0);
    assert_int_equal(auth_cache_count(c), 0);
    auth_cache_free(c);
    auth_cache_free(NULL);
}

static void test_bound(void **state) {
    (void)state;
    struct auth_cache *c = auth_cache_new(3, 60 * S);
    for (int i = 1; i <= 3; i++)
        put(c, i, 0, 0);
    assert_true(has_quietly(c, 1));
    put(c, 4, 0, 0);
    assert_int_equal(auth_cache_count(c), 3);
    assert_false(has_quietly(c, 2));
    assert_true(has_quietly(c, 1) && has_quietly(c, 3) && has_quietly(c, 4));
    put(c, 4, 0, 0);
    assert_int_equal(auth_cache_count(c), 3);
    for (int i = 10; i < 1000; i++)
        put(c, i, 0, 0);
    assert_int_equal(auth_cache_count(c), 3);
    auth_cache_clear(c);
    assert_int_equal(auth_cache_count(c), 0);
    auth_cache_free(c);
    c = auth_cache_new(0, 60 * S);
    put(c, 1, 0, 0);
    assert_int_equal(auth_cache_count(c), 0);
    auth_cache_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ends), cmocka_unit_test(test_bound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
