/* SPDX-License-Identifier: Apache-2.0 */
/* test_hash.c - Goal: digests are those of FIPS 180-4. Method: its published vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"

static void test_sha256(void **state) {
    (void)state;
    static const unsigned char abc[4] = {0xba, 0x78, 0x16, 0xbf};
    static const unsigned char none[4] = {0xe3, 0xb0, 0xc4, 0x42};
    unsigned char out[HASH_SHA256_BYTES];
    hash_sha256(STR("abc"), out);
    assert_memory_equal(out, abc, sizeof(abc));
    hash_sha256(STR(""), out);
    assert_memory_equal(out, none, sizeof(none));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sha256)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
