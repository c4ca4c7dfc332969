/* SPDX-License-Identifier: Apache-2.0 */
/* test_rules.c - which addresses may be told. Goal: schemes, hosts, ports, lengths and networks as
 * the operator says; nothing private otherwise. Method: tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "delivery/delivery_int.h"

static bool takes(const struct delivery_rules *rules, const char *url) {
    struct http_url parts;
    return rules_refuse_url(rules, str_of(url), &parts) == NULL;
}

static void test_urls(void **state) {
    (void)state;
    struct delivery_rules open = {0};
    assert_true(takes(&open, "http://example.org"));
    assert_true(takes(&open, "https://example.org:8443/a?b#c"));
    assert_true(takes(&open, "http://[2001:db8::1]:80/"));
    static const char *const wrong[] = {"",
                                        "example.org",
                                        "ftp://example.org/",
                                        "http://",
                                        "http://u@example.org/",
                                        "http://example.org:0/",
                                        "http://example.org:99999/",
                                        "http://a b/",
                                        "http://[::1",
                                        "http://a\\b/",
                                        "HTTP://example.org/",
                                        "http://a\r\nb/"};
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_false(takes(&open, wrong[i]));
    struct delivery_rules strict = {.allowed_domains = STR("hooks.example.org, *.example.com"),
                                    .allowed_ports = STR("443, 8443"),
                                    .require_https = true,
                                    .url_bytes_max = 40};
    assert_true(takes(&strict, "https://hooks.example.org/x"));
    assert_true(takes(&strict, "https://a.b.EXAMPLE.com:8443/"));
    assert_false(takes(&strict, "http://hooks.example.org/x"));
    assert_false(takes(&strict, "https://hooks.example.org:444/x"));
    assert_false(takes(&strict, "https://example.com/"));
    assert_false(takes(&strict, "https://evilexample.com/"));
    assert_false(takes(&strict, "https://example.org/"));
    assert_false(takes(&strict, "https://hooks.example.org/0123456789012345"));
}

static bool reaches(const char *allow, const char *url, const char *address) {
    struct delivery_rules rules = {.allow = str_of(allow)};
    struct http_url parts;
    assert_null(rules_refuse_url(&rules, str_of(url), &parts));
    return rules_allow_address(&rules, &parts, str_of(address));
}

static void test_addresses(void **state) {
    (void)state;
    assert_true(reaches("", "http://a/", "93.184.216.34"));
    assert_true(reaches("", "http://a/", "2606:4700::1"));
    static const char *const private[] = {
        "127.0.0.1",        "10.0.0.1", "192.168.1.1",    "169.254.169.254",
        "0.0.0.0",          "::1",      "fe80::1",        "fd00::1",
        "::ffff:127.0.0.1", "::",       "64:ff9b::7f00:1"};
    for (size_t i = 0; i < ARRAY_COUNT(private); i++) {
        assert_false(reaches("", "http://a/", private[i]));
        assert_false(reaches("self,b,a:81", "http://a/", private[i]));
        assert_true(reaches("x, a", "http://a/", private[i]));
        assert_true(reaches("a:80", "http://A/", private[i]));
    }
    assert_true(reaches("10.0.0.0/8", "http://a/", "10.255.0.1"));
    assert_false(reaches("10.0.0.0/8", "http://a/", "192.168.0.1"));
    assert_false(reaches("10.0.0.0/8", "http://a/", "::ffff:10.0.0.1"));
    assert_true(reaches("10.128.0.0/9", "http://a/", "10.200.0.1"));
    assert_false(reaches("10.128.0.0/9", "http://a/", "10.100.0.1"));
    assert_true(reaches("fd00::/8", "http://a/", "fd12::1"));
    assert_false(reaches("fd00::/8", "http://a/", "fe80::1"));
    assert_true(reaches("127.0.0.1", "http://127.0.0.1:9/", "127.0.0.1"));
    assert_false(reaches("127.0.0.1", "http://a/", "127.0.0.2"));
    assert_false(reaches("10.0.0.0/33,10.0.0.0/x,/8", "http://a/", "10.0.0.1"));
    assert_true(reaches("0.0.0.0/0", "http://a/", "127.0.0.1"));
}

static void test_self(void **state) {
    (void)state;
    assert_true(rules_allow_self(&(struct delivery_rules){.allow = STR("a, self")}));
    assert_false(rules_allow_self(&(struct delivery_rules){.allow = STR("itself")}));
    assert_false(rules_allow_self(&(struct delivery_rules){.allow = STR("")}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls), cmocka_unit_test(test_addresses), cmocka_unit_test(test_self)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
