/* SPDX-License-Identifier: Apache-2.0 */
/* test_jwt.c - Goal: the examples of RFC 7515 and 8037 verify; each known attack on tokens is
 * refused with the text that says why. Method: tables of headers and claims around keys made in
 * this run; a fixed clock. */
#include "keys.h"

#define NOW      INT64_C(1800000000)
#define ALL_ALGS ((1u << JWT_ALG_COUNT) - 1)
#define GOOD     "{\"sub\":\"alice\",\"exp\":1800000100}"

struct scene {
    struct arena a;
    struct jwt_keys keys;
    struct jwt_secret *secret;
    struct jwk_set *set;
    struct claim_rules rules;
    struct err err;
};

static const char SECRET[] = "a secret of more than thirty-two bytes";

static int setup(void **state) {
    struct scene *s = test_calloc(1, sizeof(*s));
    struct jwt_crypto *crypto;
    arena_init(&s->a, 64 << 20);
    assert_int_equal(jwt_crypto_open(&crypto, NULL), 0);
    assert_int_equal(jwt_secret_new(crypto, str_of(SECRET), &s->secret, NULL), 0);
    s->keys = (struct jwt_keys){.crypto = crypto, .secrets = {s->secret}, .algs = ALL_ALGS};
    s->rules = (struct claim_rules){.owner = STR("sub"), .scope = STR("scope"), .skew_s = 60};
    *state = s;
    return 0;
}
static int teardown(void **state) {
    struct scene *s = *state;
    struct jwt_crypto *crypto = (struct jwt_crypto *)(uintptr_t)s->keys.crypto;
    jwt_secret_free(s->secret);
    jwk_set_free(s->set);
    jwt_crypto_free(crypto);
    arena_deinit(&s->a);
    test_free(s);
    return 0;
}

static void use_set(struct scene *s, str jwk) {
    jwk_set_free(s->set);
    assert_int_equal(jwk_set_parse(set_of(&s->a, jwk), &s->set, &s->err), 0);
    s->keys.set = s->set;
}

static int check(struct scene *s, str token, struct identity *out) {
    struct jwt t;
    s->err = (struct err){0};
    int rc = jwt_parse(&s->a, token, s->keys.algs, &t, &s->err);
    if (rc == 0)
        rc = jwt_verify(&t, &s->keys, &s->err);
    if (rc == 0)
        rc = jwt_identity(&s->a, &t, &s->rules, NOW, out, &s->err);
    return rc;
}

#define REFUSED(s, token, text)                                                                    \
    do {                                                                                           \
        struct identity id_;                                                                       \
        assert_true(check(s, token, &id_) < 0);                                                    \
        assert_string_equal((s)->err.message, text);                                               \
    } while (0)

/* --- the examples --- */

#define RFC_CLAIMS                                                                                 \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"

static void verify_example(struct scene *s, const char *token, int wanted) {
    struct jwt t;
    assert_int_equal(jwt_parse(&s->a, str_of(token), ALL_ALGS, &t, &s->err), 0);
    assert_int_equal(jwt_verify(&t, &s->keys, &s->err), wanted);
}

static void test_rfc_hs256(void **state) {
    struct scene *s = *state;
    str key;
    assert_true(base64url_decode_arena(&s->a,
                                       STR("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
                                           "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"),
                                       &key));
    jwt_secret_free(s->secret);
    assert_int_equal(jwt_secret_new(s->keys.crypto, key, &s->secret, NULL), 0);
    s->keys.secrets[0] = s->secret;
    verify_example(s,
                   "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_CLAIMS
                   ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
                   0);
    verify_example(s,
                   "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." RFC_CLAIMS
                   ".eBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
                   ERR_UNAUTHORISED);
}

static void test_rfc_rs256(void **state) {
    struct scene *s = *state;
    use_set(s,
            STR("{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\""
                "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJ"
                "PMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0"
                "LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uD"
                "Zlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2"
                "PAcDTW9gb54h4FRWyuXpoQ\"}"));
    verify_example(
        s,
        "eyJhbGciOiJSUzI1NiJ9." RFC_CLAIMS ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2V"
        "tQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbK"
        "BYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eS"
        "N9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUT"
        "I8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        0);
}

static void test_rfc_es256(void **state) {
    struct scene *s = *state;
    use_set(s, STR("{\"kty\":\"EC\",\"crv\":\"P-256\","
                   "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                   "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"));
    verify_example(s,
                   "eyJhbGciOiJFUzI1NiJ9." RFC_CLAIMS ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmX"
                   "FCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
                   0);
}

static void test_rfc_eddsa(void **state) {
    struct scene *s = *state;
    use_set(s, STR("{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                   "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"));
    verify_example(s,
                   "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1"
                   "PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
                   0);
}

/* --- what is let in --- */

static void test_let_in(void **state) {
    struct scene *s = *state;
    struct identity id;
    str token = jwt_make(&s->a, s->secret, STR(GOOD));
    assert_int_equal(check(s, token, &id), 0);
    assert_string_equal(id.owner.p, "alice");
    assert_int_equal(id.expires_s, 1800000100);
    assert_false(id.read_only);
    for (int alg = JWT_RS256; alg < JWT_ALG_COUNT; alg++) {
        EVP_PKEY *k = key_pair((enum jwt_alg)alg);
        use_set(s, jwk_of(&s->a, k, "\"kid\":\"../../etc/passwd' OR 1=1 --\""));
        str header = arena_printf(&s->a, "{\"alg\":\"%s\",\"kid\":\"../../etc/passwd' OR 1=1 --\"}",
                                  jwt_alg_name((enum jwt_alg)alg).p);
        assert_int_equal(check(s, token_of(&s->a, k, (enum jwt_alg)alg, header, STR(GOOD)), &id),
                         0);
        EVP_PKEY_free(k);
    }
}

static void test_second_secret(void **state) {
    struct scene *s = *state;
    struct identity id;
    struct jwt_secret *newer;
    str token = jwt_make(&s->a, s->secret, STR(GOOD));
    assert_int_equal(jwt_secret_new(s->keys.crypto,
                                    STR("a newer secret of more than thirty-two bytes"), &newer,
                                    NULL),
                     0);
    s->keys.secrets[0] = newer;
    REFUSED(s, token, "The token's signature is wrong");
    s->keys.secrets[1] = s->secret;
    assert_int_equal(check(s, token, &id), 0);
    assert_int_equal(check(s, jwt_make(&s->a, newer, STR(GOOD)), &id), 0);
    jwt_secret_free(newer);
}

/* --- attacks --- */

static void test_headers(void **state) {
    struct scene *s = *state;
    static const struct {
        const char *header, *text;
    } list[] = {
        {"{\"alg\":\"none\"}", "The token's algorithm is not allowed"},
        {"{\"alg\":\"None\"}", "The token's algorithm is not allowed"},
        {"{\"alg\":\"\"}", "The token's algorithm is not allowed"},
        {"{\"alg\":\"hs256\"}", "The token's algorithm is not allowed"},
        {"{\"alg\":\"HS512\"}", "The token's algorithm is not allowed"},
        {"{\"alg\":[\"HS256\"]}", "The token's algorithm is not allowed"},
        {"{\"typ\":\"JWT\"}", "The token's algorithm is not allowed"},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
         "The token has a critical header that is not known"},
        {"{\"alg\":\"HS256\",\"crit\":[]}", "The token has a critical header that is not known"},
        {"{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}",
         "The token has a critical header that is not known"},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", "The token's header cannot be read"},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "The token's header cannot be read"},
        {"{\"alg\":\"HS256\",\"kid\":7}", "The token's header cannot be read"},
        {"{\"alg\":\"HS256\",\"typ\":\"logout+jwt\"}", "The token is of another type"},
        {"{\"alg\":\"HS256\",\"typ\":1}", "The token is of another type"},
        {"{\"alg\":\"HS256\",\"cty\":\"JWT\"}", "The token is of another type"},
        {"[]", "The token's header cannot be read"},
        {"\"HS256\"", "The token's header cannot be read"},
        {"{\"alg\":\"HS256\"", "The token cannot be read"},
        {"{\"alg\":\"HS256\"} x", "The token cannot be read"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(list); i++)
        REFUSED(s, token_of_secret(&s->a, s->secret, str_of(list[i].header), STR(GOOD)),
                list[i].text);
    static const char *const fine[] = {"{\"alg\":\"HS256\",\"typ\":\"jwt\"}",
                                       "{\"alg\":\"HS256\",\"typ\":\"application/at+jwt\"}",
                                       "{\"alg\":\"HS256\",\"kid\":\"x\"}",
                                       /* where to find another key: read by nobody */
                                       "{\"alg\":\"HS256\",\"jku\":\"http://evil/"
                                       "\",\"x5u\":\"http://evil/\",\"jwk\":{},\"x5c\":[]}"};
    struct identity id;
    for (size_t i = 0; i < ARRAY_COUNT(fine); i++)
        assert_int_equal(
            check(s, token_of_secret(&s->a, s->secret, str_of(fine[i]), STR(GOOD)), &id), 0);
}

/* A public key as the secret of an HMAC, in every form that one could mistake it for. */
static void test_confusion(void **state) {
    struct scene *s = *state;
    for (int alg = JWT_RS256; alg < JWT_ALG_COUNT; alg++) {
        EVP_PKEY *k = key_pair((enum jwt_alg)alg);
        str jwk = jwk_of(&s->a, k, "");
        use_set(s, jwk);
        s->keys.secrets[0] = NULL;
        unsigned char *der = NULL;
        int der_len = i2d_PUBKEY(k, &der);
        assert_true(der_len > 0);
        const str forms[] = {jwk, set_of(&s->a, jwk), str_n((const char *)der, (size_t)der_len)};
        for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
            struct jwt_secret *forged;
            assert_int_equal(jwt_secret_new(s->keys.crypto, forms[i], &forged, NULL), 0);
            REFUSED(s, jwt_make(&s->a, forged, STR(GOOD)), "The token's signature is wrong");
            s->keys.algs = ALL_ALGS & ~JWT_ALGS_SECRET;
            REFUSED(s, jwt_make(&s->a, forged, STR(GOOD)), "The token's algorithm is not allowed");
            s->keys.algs = ALL_ALGS;
            jwt_secret_free(forged);
        }
        /* Its own algorithm, when it is not on the list. */
        str header = arena_printf(&s->a, "{\"alg\":\"%s\"}", jwt_alg_name((enum jwt_alg)alg).p);
        s->keys.algs = JWT_ALGS_SECRET;
        REFUSED(s, token_of(&s->a, k, (enum jwt_alg)alg, header, STR(GOOD)),
                "The token's algorithm is not allowed");
        s->keys.algs = ALL_ALGS;
        OPENSSL_free(der);
        EVP_PKEY_free(k);
    }
}

/* The key that the token brings along is not used. */
static void test_own_key(void **state) {
    struct scene *s = *state;
    EVP_PKEY *ours = key_pair(JWT_ES256), *theirs = key_pair(JWT_ES256);
    use_set(s, jwk_of(&s->a, ours, "\"kid\":\"k\""));
    str header = arena_printf(&s->a, "{\"alg\":\"ES256\",\"kid\":\"k\",\"jwk\":" STR_FMT "}",
                              STR_ARG(jwk_of(&s->a, theirs, "\"kid\":\"k\"")));
    REFUSED(s, token_of(&s->a, theirs, JWT_ES256, header, STR(GOOD)),
            "The token's signature is wrong");
    REFUSED(s,
            token_of(&s->a, theirs, JWT_ES256, STR("{\"alg\":\"ES256\",\"kid\":\"z\"}"), STR(GOOD)),
            "The token was signed with a key that is not known");
    EVP_PKEY_free(ours);
    EVP_PKEY_free(theirs);
}

static void test_forms(void **state) {
    struct scene *s = *state;
    str good = jwt_make(&s->a, s->secret, STR(GOOD));
    const struct {
        str token;
        const char *text;
    } list[] = {
        {STR(""), "The token cannot be read"},
        {STR("."), "The token cannot be read"},
        {STR(".."), "The token cannot be read"},
        {STR("a.b.c.d.e"), "The token cannot be read"},
        {arena_printf(&s->a, STR_FMT ".", STR_ARG(good)), "The token cannot be read"},
        {arena_printf(&s->a, " " STR_FMT, STR_ARG(good)), "The token cannot be read"},
        {arena_printf(&s->a, STR_FMT "=", STR_ARG(good)), "The token cannot be read"},
        {str_n(good.p, (size_t)str_find(good, STR(".")) + 1), "The token cannot be read"},
        {str_n(good.p, good.len - 3), "The token's signature is wrong"},
        {token_of_secret(&s->a, s->secret, STR("{\"alg\":\"HS256\"}"), STR("")),
         "The token cannot be read"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(list); i++)
        REFUSED(s, list[i].token, list[i].text);
    char *changed = arena_z(&s->a, good);
    struct identity id;
    for (size_t len = 0; len < good.len; len++)
        assert_int_equal(check(s, str_n(good.p, len), &id), ERR_UNAUTHORISED);
    for (size_t i = 0; i < good.len; i++) {
        char before = changed[i];
        changed[i] = before == 'A' ? 'B' : 'A';
        if (check(s, str_n(changed, good.len), &id) == 0)
            fail_msg("character %zu can be changed", i);
        changed[i] = before;
    }
    assert_int_equal(check(s, str_n(changed, good.len), &id), 0);
}

static void test_size(void **state) {
    struct scene *s = *state;
    struct identity id;
    str claims =
        arena_printf(&s->a, "{\"sub\":\"alice\",\"exp\":1800000100,\"pad\":\"%5900s\"}", "");
    str token = jwt_make(&s->a, s->secret, claims);
    assert_true(token.len > 7900 && token.len <= JWT_BYTES_MAX);
    assert_int_equal(check(s, token, &id), 0);
    claims = arena_printf(&s->a, "{\"sub\":\"alice\",\"exp\":1800000100,\"pad\":\"%6200s\"}", "");
    REFUSED(s, jwt_make(&s->a, s->secret, claims), "The token is too long");
}

static void test_claims(void **state) {
    struct scene *s = *state;
    static const struct {
        const char *claims, *text;
    } list[] = {
        {"[]", "The token's claims cannot be read"},
        {"null", "The token's claims cannot be read"},
        {"{\"sub\":\"alice\",\"exp\":1800000100", "The token's claims cannot be read"},
        {"{\"sub\":\"eve\",\"sub\":\"alice\",\"exp\":1800000100}",
         "The token's claims cannot be read"},
        {"{\"sub\":\"alice\",\"exp\":1,\"exp\":1800000100}", "The token's claims cannot be read"},
        {"{\"sub\":\"alice\",\"exp\":1800000100,\"a\":{\"b\":1,\"b\":2}}",
         "The token's claims cannot be read"},
        {"{\"sub\":\"alice\"}", "The token has no exp"},
        {"{\"exp\":1800000100}", "The token names no user"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(list); i++)
        REFUSED(s, jwt_make(&s->a, s->secret, str_of(list[i].claims)), list[i].text);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_rfc_hs256), T(test_rfc_rs256),     T(test_rfc_es256), T(test_rfc_eddsa),
        T(test_let_in),    T(test_second_secret), T(test_headers),   T(test_confusion),
        T(test_own_key),   T(test_forms),         T(test_size),      T(test_claims),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
