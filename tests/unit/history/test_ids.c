/* SPDX-License-Identifier: Apache-2.0 */
/* test_ids.c - the filter over the ids of a folder's segments.
 *
 * Goal: it never says of an id that is there that it is not, in the first layer and in the second,
 * and says so of nearly all others. Method: more ids than the first layer takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "history/file/file_int.h"

#define COUNT  (5 << 18) /* a quarter more than the first layer takes */
#define OTHERS 100000

static uint64_t hash_of(uint64_t n) {
    unsigned char digest[HASH_XXH3_BYTES];
    uint64_t hash;
    hash_xxh3(str_n((const char *)&n, sizeof n), digest);
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

static void test_filter(void **state) {
    (void)state;
    struct hfile_filter f = {0};
    uint64_t missing = 0, wrong = 0;
    assert_false(hfile_filter_has(&f, hash_of(1)));
    for (uint64_t i = 0; i < COUNT; i++)
        hfile_filter_add(&f, hash_of(i));
    for (uint64_t i = 0; i < COUNT; i++)
        missing += !hfile_filter_has(&f, hash_of(i));
    for (uint64_t i = COUNT; i < COUNT + OTHERS; i++)
        wrong += hfile_filter_has(&f, hash_of(i));
    assert_int_equal(missing, 0);
    assert_non_null(f.rest); /* both were needed */
    assert_true(wrong < OTHERS / 20);
    hfile_filter_deinit(&f);
    assert_false(hfile_filter_has(&f, hash_of(1)));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_filter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
