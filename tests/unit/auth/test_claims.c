/* SPDX-License-Identifier: Apache-2.0 */
/* test_claims.c - Goal: times with skew at their exact bounds, issuer, audience; owner, tenant and
 * scope from claims of any place; claims of a wrong type refuse. Method: tables, a fixed clock. */
#include "keys.h"

#define NOW INT64_C(1800000000)

struct scene {
    struct arena a;
    struct claim_rules rules;
    struct err err;
};

static int setup(void **state) {
    struct scene *s = test_calloc(1, sizeof(*s));
    arena_init(&s->a, 8 << 20);
    s->rules = (struct claim_rules){.owner = STR("sub"), .scope = STR("scope"), .skew_s = 60};
    *state = s;
    return 0;
}
static int teardown(void **state) {
    struct scene *s = *state;
    arena_deinit(&s->a);
    test_free(s);
    return 0;
}

static yyjson_val *parse(struct scene *s, const char *text) {
    yyjson_val *v;
    assert_int_equal(json_parse(&s->a, str_of(text), &v, NULL), 0);
    return v;
}

static void times(struct scene *s, const char *claims, const char *text) {
    int64_t expires = -1;
    s->err = (struct err){0};
    int rc = claims_check(parse(s, claims), &s->rules, NOW, &expires, &s->err);
    assert_string_equal(s->err.message, text);
    assert_int_equal(rc, text[0] ? ERR_UNAUTHORISED : 0);
    assert_true(text[0] ? expires == -1 : expires >= 0);
}

static void test_times(void **state) {
    struct scene *s = *state;
    times(s, "{\"exp\":1800000001}", "");
    times(s, "{\"exp\":1799999941}", ""); /* within the skew */
    times(s, "{\"exp\":1799999940}", "The token has expired");
    times(s, "{\"exp\":1800000000.5}", "");
    times(s, "{\"exp\":1e9}", "The token has expired");
    times(s, "{}", "The token has no exp");
    static const char *const wrong[] = {
        "null", "\"1800000100\"", "true", "-1", "1e300", "[1800000100]", "{}",
        "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        times(s, arena_printf(&s->a, "{\"exp\":%s}", wrong[i]).p, "The token's exp is no time");
    times(s, "{\"exp\":1800000100,\"nbf\":1800000060}", "");
    times(s, "{\"exp\":1800000100,\"nbf\":1800000061}", "The token is not valid yet");
    times(s, "{\"exp\":1800000100,\"nbf\":\"now\"}", "The token's nbf is no time");
    times(s, "{\"exp\":1800000100,\"iat\":1800000060}", "");
    times(s, "{\"exp\":1800000100,\"iat\":1800000061}", "The token's iat cannot be");
    times(s, "{\"exp\":1800000030,\"iat\":1800000031}", "The token's iat cannot be");
    s->rules.skew_s = 0;
    times(s, "{\"exp\":1800000000}", "The token has expired");
    times(s, "{\"exp\":1800000001}", "");
    s->rules.exp_optional = true;
    times(s, "{}", "");
    times(s, "{\"exp\":1800000000}", "The token has expired");
}

static void test_issuer_audience(void **state) {
    struct scene *s = *state;
    s->rules.issuer = STR("https://a/");
    times(s, "{\"exp\":1800000100,\"iss\":\"https://a/\"}", "");
    times(s, "{\"exp\":1800000100}", "The token has another issuer");
    times(s, "{\"exp\":1800000100,\"iss\":\"https://a\"}", "The token has another issuer");
    times(s, "{\"exp\":1800000100,\"iss\":[\"https://a/\"]}", "The token has another issuer");
    s->rules.issuer = STR("");
    s->rules.audiences = STR("one, two");
    times(s, "{\"exp\":1800000100,\"aud\":\"two\"}", "");
    times(s, "{\"exp\":1800000100,\"aud\":[\"x\",\"one\"]}", "");
    static const char *const other[] = {"\"three\"",   "[]",          "null",         "\"\"",
                                        "{\"one\":1}", "[[\"one\"]]", "\"one, two\"", "\"tw\""};
    for (size_t i = 0; i < ARRAY_COUNT(other); i++)
        times(s, arena_printf(&s->a, "{\"exp\":1800000100,\"aud\":%s}", other[i]).p,
              "The token is for another audience");
    times(s, "{\"exp\":1800000100}", "The token is for another audience");
    s->rules.audiences = STR(" , ");
    times(s, "{\"exp\":1800000100,\"aud\":\"\"}", "The token is for another audience");
}

static void owner(struct scene *s, const char *claims, const char *wanted) {
    struct identity id = {.owner = STR("untouched")};
    s->err = (struct err){0};
    int rc = claims_identity(&s->a, parse(s, claims), &s->rules, &id, &s->err);
    assert_int_equal(rc, wanted ? 0 : ERR_UNAUTHORISED);
    assert_true(str_eq(id.owner, str_of(wanted ? wanted : "untouched")));
}

static void test_owner(void **state) {
    struct scene *s = *state;
    owner(s, "{\"sub\":\"alice\"}", "alice");
    owner(s, "{\"sub\":\"google-oauth2|1:2\"}", "google-oauth2|1:2");
    owner(s, "{\"sub\":\"\"}", NULL);
    owner(s, "{\"sub\":\"system\"}", NULL); /* these two mean somebody in the database */
    owner(s, "{\"sub\":\"anonymous\"}", NULL);
    owner(s, "{\"sub\":\"system2\"}", "system2");
    owner(s, "{\"sub\":7}", NULL);
    owner(s, "{\"sub\":null}", NULL);
    owner(s, "{\"sub\":\"a\\nb\"}", NULL);
    owner(s, "{}", NULL);
    owner(s, arena_printf(&s->a, "{\"sub\":\"%0512d\"}", 1).p, arena_printf(&s->a, "%0512d", 1).p);
    owner(s, arena_printf(&s->a, "{\"sub\":\"%0513d\"}", 1).p, NULL);
    s->rules.owner = STR("app_metadata.org.id");
    owner(s, "{\"sub\":\"alice\",\"app_metadata\":{\"org\":{\"id\":\"acme\"}}}", "acme");
    owner(s, "{\"sub\":\"alice\",\"app_metadata\":{\"org\":\"acme\"}}", NULL);
    owner(s, "{\"app_metadata.org.id\":\"whole\",\"app_metadata\":{\"org\":{\"id\":\"x\"}}}",
          "whole");
    s->rules.owner = STR("https://example.org/user");
    owner(s, "{\"https://example.org/user\":\"bob\"}", "bob");
}

static void test_tenant(void **state) {
    struct scene *s = *state;
    s->rules.tenant = STR("org");
    owner(s, "{\"sub\":\"alice\",\"org\":\"acme\"}", "acme:alice");
    owner(s, "{\"sub\":\"system\",\"org\":\"acme\"}", "acme:system");
    owner(s, "{\"sub\":\"alice\"}", NULL);
    owner(s, "{\"sub\":\"alice\",\"org\":\"\"}", NULL);
    owner(s, "{\"sub\":\"alice\",\"org\":5}", NULL);
    owner(s, "{\"sub\":\"alice\",\"org\":\"a:b\"}", NULL); /* else a:b + c is a + b:c */
    owner(s, arena_printf(&s->a, "{\"sub\":\"%0300d\",\"org\":\"%0300d\"}", 1, 1).p, NULL);
}

static void scope(struct scene *s, const char *claims, int rc, bool read_only) {
    struct identity id = {.read_only = !read_only, .graphs = true, .operate = true};
    assert_int_equal(claims_identity(&s->a, parse(s, claims), &s->rules, &id, &s->err), rc);
    if (rc == 0) {
        assert_int_equal(id.read_only, read_only);
        assert_int_equal(id.graphs, strstr(claims, "holdfast:graphs") != NULL);
        assert_int_equal(id.operate, strstr(claims, "\"holdfast:operate") != NULL);
    }
}

static void test_scope(void **state) {
    struct scene *s = *state;
    scope(s, "{\"sub\":\"a\"}", 0, false);
    scope(s, "{\"sub\":\"a\",\"scope\":\"openid email\"}", 0, false);
    scope(s, "{\"sub\":\"a\",\"scope\":\"openid holdfast:read\"}", 0, true);
    scope(s, "{\"sub\":\"a\",\"scope\":\"holdfast:read holdfast:write\"}", 0, false);
    scope(s, "{\"sub\":\"a\",\"scope\":\"holdfast:write\"}", 0, false);
    scope(s, "{\"sub\":\"a\",\"scope\":[\"holdfast:read\"]}", 0, true);
    scope(s, "{\"sub\":\"a\",\"scope\":\"holdfast:graphs\"}", 0, false);
    scope(s, "{\"sub\":\"a\",\"scope\":\"holdfast:read holdfast:graphs\"}", 0, false);
    scope(s, "{\"sub\":\"a\",\"scope\":\"holdfast:operate\"}", 0, false);
    scope(s, "{\"sub\":\"a\",\"scope\":\"holdfast:operate holdfast:read\"}", 0, false);
    scope(s, "{\"sub\":\"a\",\"scope\":\"xholdfast:operate\"}", 0, false);
    scope(s, "{\"sub\":\"a\",\"scope\":\"xholdfast:read\"}", 0, false);
    s->rules.scope_required = true;
    scope(s, "{\"sub\":\"a\"}", ERR_FORBIDDEN, false);
    scope(s, "{\"sub\":\"a\",\"scope\":\"openid\"}", ERR_FORBIDDEN, false);
    scope(s, "{\"sub\":\"a\",\"scope\":{\"holdfast:write\":1}}", ERR_FORBIDDEN, false);
    scope(s, "{\"sub\":\"a\",\"scope\":\"holdfast:read\"}", 0, true);
    s->rules.scope = STR("app_metadata.roles");
    scope(s, "{\"sub\":\"a\",\"app_metadata\":{\"roles\":[\"x\",\"holdfast:write\"]}}", 0, false);
}

static void test_unique(void **state) {
    struct scene *s = *state;
    assert_true(claims_unique(parse(s, "{\"a\":1,\"b\":[{\"a\":1},{\"a\":1}],\"c\":{\"a\":1}}")));
    assert_false(claims_unique(parse(s, "{\"a\":1,\"b\":2,\"a\":1}")));
    assert_false(claims_unique(parse(s, "{\"b\":[{\"x\":1,\"x\":1}]}")));
    assert_false(claims_unique(parse(s, "{\"a\":1,\"\\u0061\":1}")));
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 300; i++)
        buf_printf(&b, "%s\"k%d\":1", i ? "," : "{", i);
    buf_char(&b, '}');
    buf_char(&b, '\0');
    assert_false(claims_unique(parse(s, b.p)));
    buf_reset(&b);
    for (int i = 0; i < 500; i++)
        buf_char(&b, '[');
    for (int i = 0; i < 500; i++)
        buf_char(&b, ']');
    buf_char(&b, '\0');
    assert_false(claims_unique(parse(s, b.p)));
    buf_deinit(&b);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_times),  T(test_issuer_audience), T(test_owner),
                                       T(test_tenant), T(test_scope),           T(test_unique)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
