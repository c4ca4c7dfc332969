/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the map behaves like a dictionary under any mix of operations, and the hash is SipHash-1-3.
 * Method: known answers of the hash; a seeded random run compared with an array after each step. */
#include "check.h"

#include <stdio.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"

static void hash_known_answers(void **state) {
    (void)state;
    /* Key 00 01 … 0f, message 00 01 … (length - 1); made with an independent implementation. */
    static const struct {
        size_t len;
        uint64_t want;
    } rows[] = {
        {0, 0xabac0158050fc4dcu},
        {1, 0xc9f49bf37d57ca93u},
        {7, 0xd3927d989bb11140u},
        {8, 0x369095118d299a8eu},
        {9, 0x25a48eb36c063de4u},
        {15, 0xd320d86d2a519956u},
        {16, 0xcc4fdd1a7d908b66u},
        {31, 0x2370dd1f8c21d1bcu},
        {63, 0x9d199062b7bbb3a8u},
    };
    uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    char message[64];
    for (int i = 0; i < 64; i++)
        message[i] = (char)i;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        assert_int_equal(map_siphash13(key, str_n(message, rows[i].len)), rows[i].want);
}

enum { KEYS = 700 };
static char keys[KEYS][16];

static str key_at(size_t i) {
    return str_of(keys[i]);
}

static void compare_all(const struct map *m, void *const model[KEYS], size_t count) {
    assert_int_equal(m->count, count);
    for (size_t i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(m, key_at(i)), model[i]);
    size_t at = 0, seen = 0;
    str key;
    void *value;
    while (map_next(m, &at, &key, &value)) {
        assert_ptr_equal(map_get(m, key), value);
        seen++;
    }
    assert_int_equal(seen, count);
}

static void behaves_like_a_dictionary(void **state) {
    (void)state;
    int64_t before = mem_live_count();
    struct map m;
    void *model[KEYS] = {0};
    size_t count = 0;
    for (size_t i = 0; i < KEYS; i++)
        snprintf(keys[i], sizeof keys[i], "key-%zu", i * i);
    map_init(&m);
    rand_seed(11);
    for (int step = 0; step < 40000; step++) {
        size_t i = (size_t)rand_below(KEYS);
        bool grow_phase = step / 5000 % 2 == 0;
        if (rand_below(100) < (grow_phase ? 70u : 25u)) {
            void *value = &keys[rand_below(KEYS)];
            assert_ptr_equal(map_put(&m, key_at(i), value), model[i]);
            count += model[i] == NULL;
            model[i] = value;
        } else {
            assert_ptr_equal(map_remove(&m, key_at(i)), model[i]);
            count -= model[i] != NULL;
            model[i] = NULL;
        }
        assert_ptr_equal(map_get(&m, key_at(i)), model[i]);
        if (step % 500 == 0)
            compare_all(&m, model, count);
    }
    compare_all(&m, model, count);
    rand_seed(0);
    map_deinit(&m);
    assert_int_equal(mem_live_count(), before);
}

static void odd_keys(void **state) {
    (void)state;
    struct map m;
    map_init(&m);
    assert_null(map_get(&m, STR("x")));
    assert_null(map_remove(&m, STR("x")));
    size_t at = 0;
    assert_false(map_next(&m, &at, NULL, NULL));
    assert_null(map_put(&m, STR(""), &m));
    assert_ptr_equal(map_get(&m, STR_NULL), &m);
    assert_null(map_put(&m, STR("a\0b"), &at));
    assert_null(map_get(&m, STR("a")));
    assert_ptr_equal(map_get(&m, STR("a\0b")), &at);
    map_deinit(&m);
    assert_int_equal(m.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_known_answers),
        cmocka_unit_test(behaves_like_a_dictionary),
        cmocka_unit_test(odd_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
