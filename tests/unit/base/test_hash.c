/* SPDX-License-Identifier: Apache-2.0 */
/* test_hash.c - Goal: digests are those of FIPS 180-4 and RFC 2104, base64 that of RFC 4648.
 * Method: their published vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/err.h"
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

/* RFC 4231, test case 2. */
static void test_hmac(void **state) {
    (void)state;
    static const unsigned char want[8] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e};
    unsigned char out[HASH_SHA256_BYTES];
    hash_hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
    assert_memory_equal(out, want, sizeof(want));
}

static void test_base64(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"f", "Zg=="},         {"fo", "Zm8="},
                                           {"foo", "Zm9v"},       {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    static const char *const wrong[] = {"",     "Z",    "Zg",        "Zg=",      "Zg=a",
                                        "====", "Z===", "Zm9v Zg==", "Zg==Zm9v", "Zm8-"};
    struct arena a;
    str out;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        assert_true(str_eq(base64_encode(&a, str_of(pairs[i][0])), str_of(pairs[i][1])));
        assert_true(base64_decode(&a, str_of(pairs[i][1]), &out));
        assert_true(str_eq(out, str_of(pairs[i][0])));
    }
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_false(base64_decode(&a, str_of(wrong[i]), &out));
    arena_deinit(&a);
}

static void test_sha1(void **state) {
    (void)state;
    unsigned char out[HASH_SHA1_BYTES];
    hash_sha1(STR("abc"), out); /* FIPS 180-4 */
    assert_memory_equal(out,
                        "\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c"
                        "\x9c\xd0\xd8\x9d",
                        sizeof(out));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sha256), cmocka_unit_test(test_sha1),
                                       cmocka_unit_test(test_hmac),
                                       cmocka_unit_test(test_base64)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
