/* SPDX-License-Identifier: Apache-2.0 */
/* test_oidc.c - Goal: what operators write is read or refused with a text; a provider's document
 * counts for its own issuer and keeps to https; the words of a login differ and say nothing of each
 * other; a token's claims fit its login. Method: tables; the words' rule is written out again. */
#include "auth/oidc.h"

#include "auth/base64url.h"
#include "auth/form.h"
#include "base/clock.h"
#include "base/hash.h"
#include "keys.h"

static int read_config(struct arena *a, const char *json, struct oidc_config *out, size_t *count) {
    struct err err = {0};
    int rc = oidc_config_read(a, str_of(json), out, count, &err);
    assert_true(rc == 0 || (err.message[0] && !strstr(err.message, "hidden")));
    return rc;
}

static void test_config(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{\"a\":1}",
        "{\"a\":{}}",
        "{\"A\":{\"issuer\":\"https://h\",\"client_id\":\"c\"}}",
        "{\"a\":{\"issuer\":\"h\",\"client_id\":\"c\",\"client_secret\":\"hidden\"}}",
        "{\"a\":{\"issuer\":\"https://\",\"client_id\":\"c\"}}",
        "{\"a\":{\"issuer\":\"https://h?x\",\"client_id\":\"c\"}}",
        "{\"a\":{\"issuer\":\"https://h#x\",\"client_id\":\"c\"}}",
        "{\"a\":{\"issuer\":\"https://h\",\"client_id\":\"c,d\"}}",
        "{\"a\":{\"issuer\":\"https://h\",\"client_id\":\"c\",\"client_secret\":7}}",
        "{\"a\":{\"issuer\":\"https://h\",\"client_id\":\"c\",\"scopes\":\"openidx\"}}",
        "{\"a\":{\"issuer\":\"https://h\",\"client_id\":\"c\",\"hidden\":1}}",
        "{\"a\":{\"issuer\":\"https://h\",\"issuer\":\"https://i\",\"client_id\":\"c\"}}"};
    struct oidc_config c[OIDC_PROVIDERS_MAX];
    struct arena a;
    size_t count = 99;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (read_config(&a, bad[i], c, &count) == 0)
            fail_msg("no. %zu", i);
    assert_int_equal(read_config(&a, "{}", c, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(
        read_config(
            &a,
            "{\"a\":{\"issuer\":\"https://h\",\"client_id\":\"c\"},"
            "\"b-1\":{\"issuer\":\"http://h:1/x\",\"client_id\":\"c\",\"client_secret\":\"s\","
            "\"scopes\":\"email openid\",\"tenant\":\"\",\"scope\":\"graphs\","
            "\"claims\":{\"hd\":\"x\"}}}",
            c, &count),
        0);
    assert_int_equal(count, 2);
    assert_true(str_eq(c[0].name, STR("a")) && str_eq(c[0].tenant, STR("a")));
    assert_true(!c[0].client_secret.p && c[0].scope == SESSION_WRITES && !c[0].claims);
    assert_true(str_eq(c[0].scopes, STR("openid email profile")));
    assert_true(c[1].tenant.len == 0 && c[1].scope == SESSION_GRAPHS && c[1].claims);
    arena_deinit(&a);
}

static int read_metadata(struct arena *a, const char *issuer, const char *authorization,
                         const char *more, struct oidc_metadata *out) {
    str json = arena_printf(a,
                            "{\"issuer\":\"https://h\",\"authorization_endpoint\":\"%s\","
                            "\"token_endpoint\":\"https://h/t\",\"jwks_uri\":\"https://h/k\"%s}",
                            authorization, more);
    return oidc_metadata_read(a, json, str_of(issuer), out, NULL);
}

static void test_metadata(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "x",
                                      "http://h/a",
                                      "javascript:x",
                                      "https:///a",
                                      "https://h/a b",
                                      "https://h/a#b",
                                      "https://h/\\u000d"};
    struct oidc_metadata m;
    struct arena a;
    arena_init(&a, 1 << 20);
    assert_int_equal(read_metadata(&a, "https://h", "https://h/a", "", &m), 0);
    assert_true(str_eq(m.authorization, STR("https://h/a")) && !m.post);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_int_equal(read_metadata(&a, "https://h", bad[i], "", &m), ERR_INVALID);
    assert_int_equal(read_metadata(&a, "https://h/", "https://h/a", "", &m), ERR_INVALID);
    assert_int_equal(read_metadata(&a, "http://h", "http://h/a", "", &m), ERR_INVALID);
#define METHODS ",\"token_endpoint_auth_methods_supported\":"
    assert_int_equal(
        read_metadata(&a, "https://h", "https://h/a", METHODS "[\"client_secret_post\"]", &m), 0);
    assert_true(m.post);
    assert_int_equal(read_metadata(&a, "https://h", "https://h/a",
                                   METHODS "[\"client_secret_post\",\"client_secret_basic\"]", &m),
                     0);
    assert_false(m.post);
    assert_int_equal(oidc_metadata_read(&a, STR("[]"), STR("https://h"), &m, NULL), ERR_INVALID);
    arena_deinit(&a);
}

static str digest64(struct arena *a, str text) {
    unsigned char digest[HASH_SHA256_BYTES];
    struct buf b;
    hash_sha256(text, digest);
    buf_init(&b, 100);
    base64url_encode(&b, digest, sizeof(digest));
    return arena_take(a, &b);
}

static void test_words(void **state) {
    (void)state;
    struct oidc_words w, other;
    struct arena a;
    arena_init(&a, 1 << 20);
    oidc_words_make(STR("s"), &w);
    oidc_words_make(STR("t"), &other);
    assert_true(str_eq(oidc_word(w.state), digest64(&a, STR("state\ns"))));
    assert_true(str_eq(oidc_word(w.nonce), digest64(&a, STR("nonce\ns"))));
    assert_true(str_eq(oidc_word(w.verifier), digest64(&a, STR("verifier\ns"))));
    assert_true(str_eq(oidc_word(w.challenge), digest64(&a, oidc_word(w.verifier))));
    assert_false(str_eq(oidc_word(w.state), oidc_word(other.state)));
    arena_deinit(&a);
}

static int read_claims(struct arena *a, const char *format, struct account *out) {
    struct oidc_config c = {
        .name = STR("p"), .issuer = STR("https://h"), .client_id = STR("c"), .tenant = STR("p")};
    str now = arena_printf(a, "%lld", (long long)(clock_wall_us() / 1000000 + 100));
    str json =
        arena_printf(a, "{\"iss\":\"https://h\",\"exp\":" STR_FMT ",%s}", STR_ARG(now), format);
    struct buf b;
    buf_init(&b, 1 << 16);
    base64url_encode(&b, json.p, json.len);
    str payload = arena_take(a, &b);
    return oidc_claims_read(a, payload, &c, STR("n"), 60, out, NULL);
}

static void test_claims(void **state) {
    (void)state;
    static const char *const bad[] = {
        "\"aud\":\"c\",\"sub\":\"u\"",
        "\"aud\":\"c\",\"sub\":\"u\",\"nonce\":\"N\"",
        "\"aud\":\"c\",\"nonce\":\"n\"",
        "\"aud\":\"d\",\"sub\":\"u\",\"nonce\":\"n\"",
        "\"sub\":\"u\",\"nonce\":\"n\"",
        "\"aud\":[\"c\",\"d\"],\"sub\":\"u\",\"nonce\":\"n\"",
        "\"aud\":\"c\",\"azp\":\"d\",\"sub\":\"u\",\"nonce\":\"n\"",
        "\"aud\":\"c\",\"sub\":\"u\",\"sub\":\"v\",\"nonce\":\"n\"",
        "\"aud\":\"c\",\"sub\":\"u\",\"nonce\":\"n\",\"iss\":\"https://h\""};
    struct account got;
    struct arena a;
    arena_init(&a, 1 << 20);
    assert_int_equal(read_claims(&a,
                                 "\"aud\":[\"c\",\"d\"],\"azp\":\"c\",\"sub\":\"u\","
                                 "\"nonce\":\"n\",\"email\":\"e\",\"name\":7,\"x\":\"y\"",
                                 &got),
                     0);
    assert_true(str_eq(got.owner, STR("p:u")) && str_eq(got.account, STR("u")));
    assert_true(str_eq(got.profile, STR("{\"email\":\"e\"}")));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (read_claims(&a, bad[i], &got) != ERR_UNAUTHORISED)
            fail_msg("no. %zu", i);
    arena_deinit(&a);
}

static void test_forms(void **state) {
    (void)state;
    struct arena a;
    struct buf b;
    arena_init(&a, 1 << 20);
    buf_init(&b, 1 << 16);
    form_add(&b, "a", STR("x y&="));
    form_add(&b, "b", STR(""));
    assert_true(str_eq(buf_view(&b), STR("a=x%20y%26%3D&b=")));
    buf_deinit(&b);
    assert_true(str_eq(form_basic(&a, STR("a"), STR("b")), STR("Basic YTpi")));
    assert_true(str_eq(form_basic(&a, STR("a:"), STR("?")), STR("Basic YSUzQTolM0Y=")));
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config), cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_words),  cmocka_unit_test(test_claims),
        cmocka_unit_test(test_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
