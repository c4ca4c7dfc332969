/* SPDX-License-Identifier: Apache-2.0 */
/* test_jwk.c - Goal: which keys of a set are used, for which algorithm; weak, broken and foreign
 * keys never; secrets have a least length. Method: fresh key pairs written as sets; signatures made
 * with OpenSSL. */
#include "keys.h"

#include "base/json.h"

struct scene {
    struct arena a;
    struct jwt_crypto *crypto;
};

static int setup(void **state) {
    struct scene *s = test_calloc(1, sizeof(*s));
    arena_init(&s->a, 64 << 20);
    assert_int_equal(jwt_crypto_open(&s->crypto, NULL), 0);
    *state = s;
    return 0;
}
static int teardown(void **state) {
    struct scene *s = *state;
    jwt_crypto_free(s->crypto);
    arena_deinit(&s->a);
    test_free(s);
    return 0;
}

static int ask(struct scene *s, const struct jwk_set *set, EVP_PKEY *signer, enum jwt_alg made,
               enum jwt_alg said, str kid) {
    str signature;
    str data = STR("some.data");
    assert_true(base64url_decode_arena(&s->a, sign_data(&s->a, signer, made, data), &signature));
    struct jwk_question q = {.alg = said, .kid = kid, .data = data, .signature = signature};
    return jwk_set_verify(s->crypto, set, &q);
}

static void test_algorithms(void **state) {
    struct scene *s = *state;
    for (int alg = JWT_RS256; alg < JWT_ALG_COUNT; alg++) {
        EVP_PKEY *k = key_pair((enum jwt_alg)alg), *other = key_pair((enum jwt_alg)alg);
        struct jwk_set *set;
        assert_int_equal(
            jwk_set_parse(set_of(&s->a, jwk_of(&s->a, k, "\"kid\":\"k\"")), &set, NULL), 0);
        enum jwt_alg alg_ = (enum jwt_alg)alg;
        assert_int_equal(ask(s, set, k, alg_, alg_, STR("k")), 0);
        assert_int_equal(ask(s, set, k, alg_, alg_, STR_NULL), 0);
        assert_int_equal(ask(s, set, k, alg_, alg_, STR("l")), ERR_NOT_FOUND);
        assert_int_equal(ask(s, set, other, alg_, alg_, STR("k")), ERR_UNAUTHORISED);
        assert_int_equal(ask(s, set, other, alg_, alg_, STR_NULL), ERR_NOT_FOUND);
        for (int said = JWT_HS256; said < JWT_ALG_COUNT; said++)
            if (said != alg)
                assert_true(ask(s, set, k, alg_, (enum jwt_alg)said, STR("k")) < 0);
        jwk_set_free(set);
        EVP_PKEY_free(k);
        EVP_PKEY_free(other);
    }
}

/* A bit of the signature or of the data less, and it is none; nor is any other length. */
static void test_every_bit(void **state) {
    struct scene *s = *state;
    EVP_PKEY *k = key_pair(JWT_ES256);
    struct jwk_set *set;
    str signature, data = STR("some.data");
    assert_int_equal(jwk_set_parse(set_of(&s->a, jwk_of(&s->a, k, "")), &set, NULL), 0);
    assert_true(base64url_decode_arena(&s->a, sign_data(&s->a, k, JWT_ES256, data), &signature));
    char bytes[64], zero[64] = {0};
    memcpy(bytes, signature.p, 64);
    struct jwk_question q = {.alg = JWT_ES256, .data = data, .signature = str_n(bytes, 64)};
    assert_int_equal(jwk_set_verify(s->crypto, set, &q), 0);
    for (size_t i = 0; i < 512; i += 5) {
        bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
        assert_true(jwk_set_verify(s->crypto, set, &q) < 0);
        bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
    }
    for (size_t len = 0; len < 64; len++) {
        q.signature.len = len;
        assert_true(jwk_set_verify(s->crypto, set, &q) < 0);
    }
    q.signature = str_n(zero, 64);
    assert_true(jwk_set_verify(s->crypto, set, &q) < 0);
    jwk_set_free(set);
    EVP_PKEY_free(k);
}

static void test_left_out(void **state) {
    struct scene *s = *state;
    EVP_PKEY *rsa = key_pair(JWT_RS256), *ec = key_pair(JWT_ES256);
    EVP_PKEY *weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    const str texts[] = {
        jwk_of(&s->a, weak, ""),
        jwk_of(&s->a, rsa, "\"use\":\"enc\""),
        jwk_of(&s->a, rsa, "\"key_ops\":[\"encrypt\"]"),
        jwk_of(&s->a, rsa, "\"key_ops\":[]"),
        jwk_of(&s->a, rsa, "\"alg\":\"ES256\""),
        jwk_of(&s->a, rsa, "\"alg\":\"HS256\""),
        jwk_of(&s->a, rsa, "\"alg\":\"none\""),
        jwk_of(&s->a, ec, "\"alg\":\"RS256\""),
        jwk_of(&s->a, ec, "\"alg\":7"),
        STR("{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T\"}"),
        STR("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
            "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
            "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}"), /* not on the curve */
        STR("{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AA\",\"y\":\"AA\"}"),
        STR("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}"),
        STR("{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"AAAA\"}"),
        STR("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}"),
        STR("{\"kty\":\"RSA\",\"n\":3,\"e\":\"AQAB\"}"),
        STR("{\"kty\":\"RSA\"}"),
        STR("{}"),
        STR("[]"),
        STR("null"),
        STR("\"key\""),
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct jwk_set *set;
        if (jwk_set_parse(set_of(&s->a, texts[i]), &set, NULL) != ERR_INVALID)
            fail_msg("taken: %s", texts[i].p);
        str both = arena_printf(&s->a, STR_FMT "," STR_FMT, STR_ARG(texts[i]),
                                STR_ARG(jwk_of(&s->a, ec, "\"use\":\"sig\"")));
        assert_int_equal(jwk_set_parse(set_of(&s->a, both), &set, NULL), 0);
        assert_int_equal(jwk_set_count(set), 1);
        jwk_set_free(set);
    }
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(weak);
}

static void test_no_sets(void **state) {
    struct scene *s = *state;
    struct jwk_set *set;
    static const char *const texts[] = {
        "",      "{", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "null", "{\"keys\":\"x\"}",
        "<html>"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        assert_int_equal(jwk_set_parse(str_of(texts[i]), &set, NULL), ERR_INVALID);
    char *large = arena_alloc(&s->a, JWK_SET_BYTES_MAX + 1);
    memset(large, ' ', JWK_SET_BYTES_MAX + 1);
    assert_int_equal(jwk_set_parse(str_n(large, JWK_SET_BYTES_MAX + 1), &set, NULL), ERR_INVALID);
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_z(&b, "{\"keys\":[");
    for (int i = 0; i <= JWK_SET_KEYS_MAX; i++)
        buf_z(&b, i ? ",{}" : "{}");
    buf_z(&b, "]}");
    assert_int_equal(jwk_set_parse(buf_view(&b), &set, NULL), ERR_INVALID);
    buf_deinit(&b);
}

static void test_secrets(void **state) {
    struct scene *s = *state;
    struct jwt_secret *secret;
    struct err err = {0};
    assert_int_equal(
        jwt_secret_new(s->crypto, STR("0123456789012345678901234567890"), &secret, &err),
        ERR_INVALID);
    assert_string_equal(err.message, "the secret has 31 bytes; at least 32 are needed");
    assert_int_equal(
        jwt_secret_new(s->crypto, STR("01234567890123456789012345678901"), &secret, NULL), 0);
    unsigned char mac[JWT_MAC_BYTES], again[JWT_MAC_BYTES];
    jwt_secret_sign(secret, STR("a"), mac);
    jwt_secret_sign(secret, STR("b"), again);
    assert_memory_not_equal(mac, again, sizeof(mac));
    jwt_secret_sign(secret, STR("a"), again);
    assert_memory_equal(mac, again, sizeof(mac));
    str good = str_n((const char *)mac, sizeof(mac));
    assert_true(jwt_secret_verify(secret, STR("a"), good));
    assert_false(jwt_secret_verify(secret, STR("b"), good));
    assert_false(jwt_secret_verify(secret, STR("a"), str_n(good.p, 31)));
    assert_false(jwt_secret_verify(secret, STR("a"), STR("")));
    jwt_secret_free(secret);
}

static void test_names(void **state) {
    (void)state;
    enum jwt_alg alg;
    unsigned algs;
    struct err err = {0};
    for (int i = 0; i < JWT_ALG_COUNT; i++) {
        assert_true(jwt_alg_parse(jwt_alg_name((enum jwt_alg)i), &alg));
        assert_int_equal(alg, i);
    }
    static const char *const none[] = {"none",  "None",  "NONE",  "",
                                       "hs256", "HS512", "PS256", "HS256 "};
    for (size_t i = 0; i < ARRAY_COUNT(none); i++)
        assert_false(jwt_alg_parse(str_of(none[i]), &alg));
    assert_false(jwt_alg_parse(STR_NULL, &alg));
    assert_int_equal(jwt_algs_parse(STR("HS256, EdDSA"), &algs, NULL), 0);
    assert_int_equal(algs, 1u << JWT_HS256 | 1u << JWT_EDDSA);
    assert_int_equal(jwt_algs_parse(STR("HS256,none"), &algs, &err), ERR_INVALID);
    assert_non_null(strstr(err.message, "\"none\""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_algorithms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_sets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secrets, setup, teardown),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
