/* SPDX-License-Identifier: Apache-2.0 */
/* test_base64url.c - Goal: the vectors of RFC 4648 without padding; one text for each sequence of
 * bytes, everything else refused. Method: tables; all lengths there and back. */
#include "keys.h"

static void test_vectors(void **state) {
    (void)state;
    static const struct {
        const char *plain, *text;
    } list[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xff\xff\xfe", "___-"}};
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(list); i++) {
        str back;
        assert_string_equal(b64(&a, str_of(list[i].plain)).p, list[i].text);
        assert_true(base64url_decode_arena(&a, str_of(list[i].text), &back));
        assert_true(str_eq(back, str_of(list[i].plain)));
    }
    arena_deinit(&a);
}

static void test_all_lengths(void **state) {
    (void)state;
    struct arena a;
    unsigned char bytes[256], back[256];
    arena_init(&a, 8 << 20);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        for (size_t i = 0; i < n; i++)
            bytes[i] = (unsigned char)(i * 7 + n * 13);
        size_t got = 999;
        str text = b64(&a, str_n((const char *)bytes, n));
        assert_true(base64url_decode(text, back, n, &got));
        assert_int_equal(got, n);
        assert_memory_equal(bytes, back, n);
        if (n > 0)
            assert_false(base64url_decode(text, back, n - 1, &got));
    }
    arena_deinit(&a);
}

static void test_refused(void **state) {
    (void)state;
    static const char *const list[] = {
        "A",   "Zg==", "Zg=",   "Zm8=",  "Zm9v\n",   " Zm9v",  "Zm+v",  "Zm/v", "Zh",
        "Zm9", "Z g",  "Zm9vA", "Zm9v.", "\xc3\xa4", "Zm9vYh", "____=", "Z*9v", "Zm9vYmF\x80"};
    unsigned char out[64];
    size_t n;
    for (size_t i = 0; i < ARRAY_COUNT(list); i++)
        if (base64url_decode(str_of(list[i]), out, sizeof(out), &n))
            fail_msg("accepted: %s", list[i]);
    assert_false(base64url_decode(STR("Zm\0v"), out, sizeof(out), &n));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors),
                                       cmocka_unit_test(test_all_lengths),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
