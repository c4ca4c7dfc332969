/* SPDX-License-Identifier: Apache-2.0 */
/* test_api_key.c - Goal: the form of a key; records there and back; what a record must have; that
 * expired and revoked ones are none. Method: tables. */
#include "auth/api_key.h"

#include "keys.h"

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_form(void **state) {
    (void)state;
    char one[API_KEY_BYTES], two[API_KEY_BYTES];
    api_key_make(one);
    api_key_make(two);
    assert_memory_not_equal(one, two, sizeof(one));
    assert_true(api_key_is_one(str_n(one, sizeof(one))));
    assert_false(api_key_is_one(str_n(one, sizeof(one) - 1)));
    one[10] = '+';
    assert_false(api_key_is_one(str_n(one, sizeof(one))));
    assert_false(api_key_is_one(STR("")));
    assert_false(api_key_is_one(STR_NULL));
    two[0] = 'x';
    assert_false(api_key_is_one(str_n(two, sizeof(two))));
}

static void test_record(void **state) {
    (void)state;
    struct arena a;
    struct buf b;
    struct api_key key = {.name = STR("ci \"1\""),
                          .owner = STR("alice"),
                          .tenant = STR("acme"),
                          .read_only = true,
                          .created_us = INT64_C(1800000000000000),
                          .expires_us = INT64_C(1900000000000000)},
                   back;
    yyjson_val *v;
    arena_init(&a, 1 << 20);
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < sizeof(key.digest.bytes); i++)
        key.digest.bytes[i] = (unsigned char)(i * 9);
    struct json_writer w = json_writer(&b);
    api_key_write(&w, &a, &key);
    assert_int_equal(json_parse(&a, buf_view(&b), &v, NULL), 0);
    assert_int_equal(api_key_read(v, &back, NULL), 0);
    assert_memory_equal(&back.digest, &key.digest, sizeof(key.digest));
    assert_true(str_eq(back.id, STR("0009121b242d")) && str_eq(back.name, key.name));
    assert_true(str_eq(back.owner, key.owner) && str_eq(back.tenant, key.tenant));
    assert_true(back.read_only && back.revoked_us == 0);
    assert_int_equal(back.created_us, key.created_us);
    assert_int_equal(back.expires_us, key.expires_us);
    struct identity id;
    struct err err = {0};
    assert_int_equal(api_key_identity(&a, &back, INT64_C(1850000000000000), &id, NULL), 0);
    assert_true(str_eq(id.owner, STR("acme:alice")) && id.read_only);
    assert_int_equal(id.expires_s, 1900000000);
    assert_int_equal(api_key_identity(&a, &back, back.expires_us, &id, &err), ERR_UNAUTHORISED);
    assert_string_equal(err.message, "The API key has expired");
    back.expires_us = 0;
    back.revoked_us = 1;
    assert_int_equal(api_key_identity(&a, &back, 5, &id, &err), ERR_UNAUTHORISED);
    assert_string_equal(err.message, "The API key was revoked");
    buf_deinit(&b);
    arena_deinit(&a);
}

static void test_wrong_records(void **state) {
    (void)state;
    static const char *const list[] = {
        "{}",
        "[]",
        "null",
        "{\"sha256\":\"" HEX64 "\"}",
        "{\"owner\":\"a\"}",
        "{\"sha256\":\"00\",\"owner\":\"a\"}",
        "{\"sha256\":\"" HEX64 "\",\"owner\":\"\"}",
        "{\"sha256\":\"" HEX64 "\",\"owner\":\"a\",\"scope\":\"admin\"}",
        "{\"sha256\":\"" HEX64 "\",\"owner\":\"a\",\"scope\":[\"read\"]}",
        "{\"sha256\":\"" HEX64 "\",\"owner\":\"a\",\"expires_at\":\"soon\"}",
        "{\"sha256\":\"" HEX64 "\",\"owner\":\"a\",\"expires_at\":1800000000}",
        "{\"sha256\":\"" HEX64 "\",\"owner\":\"a\",\"revoked_at\":true}",
        "{\"sha256\":\"g" HEX64 "\",\"owner\":\"a\"}"};
    struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(list); i++) {
        yyjson_val *v;
        struct api_key key;
        struct api_key_set *set;
        assert_int_equal(json_parse(&a, str_of(list[i]), &v, NULL), 0);
        if (api_key_read(v, &key, NULL) != ERR_INVALID)
            fail_msg("read: %s", list[i]);
        str text =
            arena_printf(&a, "{\"keys\":[{\"sha256\":\"" HEX64 "\",\"owner\":\"b\"},%s]}", list[i]);
        assert_int_equal(api_key_set_parse(text, &set, NULL), ERR_INVALID);
    }
    arena_deinit(&a);
}

static void test_set(void **state) {
    (void)state;
    struct api_key_set *set;
    struct auth_digest d = {{0}};
    static const char *const wrong[] = {"", "{", "[]", "{}", "{\"keys\":{}}"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_true(api_key_set_parse(str_of(wrong[i]), &set, NULL) < 0);
    assert_int_equal(api_key_set_parse(STR("{\"keys\":[]}"), &set, NULL), 0);
    assert_null(api_key_set_find(set, &d));
    api_key_set_free(set);
    assert_null(api_key_set_find(NULL, &d));
    assert_int_equal(
        api_key_set_parse(STR("{\"keys\":[{\"sha256\":\"" HEX64 "\",\"owner\":\"alice\"}]}"), &set,
                          NULL),
        0);
    assert_null(api_key_set_find(set, &d));
    for (size_t i = 0; i < sizeof(d.bytes); i++)
        d.bytes[i] = (unsigned char)(i % 16 * 0x11);
    const struct api_key *key = api_key_set_find(set, &d);
    assert_non_null(key);
    assert_true(str_eq(key->owner, STR("alice")) && !key->read_only);
    api_key_set_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_form), cmocka_unit_test(test_record),
                                       cmocka_unit_test(test_wrong_records),
                                       cmocka_unit_test(test_set)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
