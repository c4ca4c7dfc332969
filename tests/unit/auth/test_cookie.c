/* SPDX-License-Identifier: Apache-2.0 */
/* test_cookie.c - Goal: one cookie of the right name is read, whatever else stands there; what a
 * request may do by it follows from who sent it; a place to return to is one of this site. Method:
 * tables of headers and texts. */
#include "auth/cookie.h"

#include "keys.h"

static str read_one(const char *header, const char *url, int *rc) {
    struct http_header h = {STR("COOKIE"), str_of(header)};
    struct http_request req = {.headers = &h, .header_count = 1};
    struct cookie_site site = cookie_site(str_of(url), STR("*"));
    str value = STR_NULL;
    *rc = cookie_get(&req, &site, "n", &value, NULL);
    return value;
}

static void test_reading(void **state) {
    (void)state;
    static const struct {
        const char *header, *value;
    } cases[] = {{"n=v", "v"},      {" n=v ", "v"},       {"a=b; n=v", "v"},    {"n=v;a=b", "v"},
                 {"n=", ""},        {"n=a=b", "a=b"},     {"n", NULL},          {"nn=v", NULL},
                 {"N=v", NULL},     {"n =v", NULL},       {"a=n=v", NULL},      {"", NULL},
                 {";;;n=v;;", "v"}, {"__Host-n=v", NULL}, {"n=\"v\"", "\"v\""}, {"=n; n=v; =", "v"},
                 {"a, n=v", NULL}};
    int rc;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        str got = read_one(cases[i].header, "http://h", &rc);
        assert_int_equal(rc, 0);
        if (cases[i].value)
            assert_true(got.p && str_eq(got, str_of(cases[i].value)));
        else
            assert_null(got.p);
    }
    (void)read_one("n=v; n=v", "", &rc);
    assert_int_equal(rc, ERR_UNAUTHORISED);
    (void)read_one("n=; a; n=v", "", &rc);
    assert_int_equal(rc, ERR_UNAUTHORISED);
    assert_true(str_eq(read_one("n=w; __Host-n=v", "https://h", &rc), STR("v")));
    assert_null(read_one("n=v", "https://h", &rc).p);
}

static void test_two_headers(void **state) {
    (void)state;
    struct http_header h[] = {{STR("Cookie"), STR("a=1")}, {STR("cookie"), STR("n=1")}};
    struct http_request req = {.headers = h, .header_count = 2};
    struct cookie_site site = cookie_site(STR(""), STR(""));
    str value;
    assert_int_equal(cookie_get(&req, &site, "n", &value, NULL), 0);
    assert_true(str_eq(value, STR("1")));
    h[0].value = STR("n=1");
    assert_int_equal(cookie_get(&req, &site, "n", &value, NULL), ERR_UNAUTHORISED);
}

static enum cookie_may may(enum http_method method, const char *url, const char *origin,
                           const char *site_word, const char *upgrade) {
    struct http_header h[4] = {{STR("Host"), STR("h:1")}};
    struct http_request req = {.method = method, .headers = h, .header_count = 1};
    struct cookie_site site = cookie_site(str_of(url), STR("https://ui.example"));
    if (origin)
        h[req.header_count++] = (struct http_header){STR("Origin"), str_of(origin)};
    if (site_word)
        h[req.header_count++] = (struct http_header){STR("Sec-Fetch-Site"), str_of(site_word)};
    if (upgrade)
        h[req.header_count++] = (struct http_header){STR("Upgrade"), str_of(upgrade)};
    return cookie_may(&req, &site);
}

static void test_who_sent_it(void **state) {
    (void)state;
    static const struct {
        enum http_method method;
        const char *url, *origin, *site, *upgrade;
        enum cookie_may may;
    } cases[] = {
        {HTTP_GET, "", NULL, NULL, NULL, COOKIE_MAY_ALL},
        {HTTP_HEAD, "", NULL, "none", NULL, COOKIE_MAY_ALL},
        {HTTP_GET, "", NULL, "same-origin", NULL, COOKIE_MAY_ALL},
        {HTTP_GET, "", NULL, "same-site", NULL, COOKIE_MAY_READ},
        {HTTP_GET, "", NULL, "cross-site", NULL, COOKIE_MAY_READ},
        {HTTP_GET, "", NULL, "what", NULL, COOKIE_MAY_READ},
        {HTTP_GET, "", "http://evil", NULL, NULL, COOKIE_MAY_READ},
        {HTTP_GET, "", "http://h:1", NULL, NULL, COOKIE_MAY_ALL},
        {HTTP_GET, "", NULL, NULL, "websocket", COOKIE_MAY_NOTHING},
        {HTTP_GET, "", "http://evil", NULL, "websocket", COOKIE_MAY_NOTHING},
        {HTTP_GET, "", "http://h:1", NULL, "websocket", COOKIE_MAY_ALL},
        {HTTP_POST, "", NULL, NULL, NULL, COOKIE_MAY_NOTHING},
        {HTTP_POST, "", NULL, "same-origin", NULL, COOKIE_MAY_NOTHING},
        {HTTP_POST, "", "null", NULL, NULL, COOKIE_MAY_NOTHING},
        {HTTP_POST, "", "", NULL, NULL, COOKIE_MAY_NOTHING},
        {HTTP_POST, "", "h:1", NULL, NULL, COOKIE_MAY_NOTHING},
        {HTTP_POST, "", "http://h", NULL, NULL, COOKIE_MAY_NOTHING},
        {HTTP_POST, "", "http://h:1", NULL, NULL, COOKIE_MAY_ALL},
        {HTTP_DELETE, "", "https://H:1", NULL, NULL, COOKIE_MAY_ALL},
        {HTTP_POST, "", "https://ui.example", NULL, NULL, COOKIE_MAY_ALL},
        {HTTP_POST, "https://p.example", "http://h:1", NULL, NULL, COOKIE_MAY_NOTHING},
        {HTTP_POST, "https://p.example/x", "https://p.example", NULL, NULL, COOKIE_MAY_ALL},
        {HTTP_POST, "https://p.example:443", "https://p.example", NULL, NULL, COOKIE_MAY_ALL},
        {HTTP_POST, "https://p.example", "https://p.example.evil", NULL, NULL, COOKIE_MAY_NOTHING},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        if (may(cases[i].method, cases[i].url, cases[i].origin, cases[i].site, cases[i].upgrade) !=
            cases[i].may)
            fail_msg("no. %zu", i);
}

static void test_places(void **state) {
    (void)state;
    static const char *const fine[] = {"/", "/a", "/a/b?c=d#e", "/%2f%2fevil", "/a//b", "/?//x"};
    static const char *const bad[] = {
        "",        "a",         "//evil",  "/\\evil", "http://evil", "\\\\evil",
        "/\tevil", "/a\nb",     "/a\rSet", " /a",     "/a b",        "///",
        "/\x7f",   "/\xc3\xa4", "/a\\b",   "?a",      "#a",          "javascript:x"};
    for (size_t i = 0; i < ARRAY_COUNT(fine); i++)
        assert_true(cookie_return_is_fine(str_of(fine[i])));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(cookie_return_is_fine(str_of(bad[i])));
    assert_true(str_eq(cookie_origin_of(STR("http://h:80/x")), STR("http://h")));
    assert_true(str_eq(cookie_origin_of(STR("http://h:443?x")), STR("http://h:443")));
    assert_null(cookie_origin_of(STR("h/x")).p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_two_headers),
        cmocka_unit_test(test_who_sent_it),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
