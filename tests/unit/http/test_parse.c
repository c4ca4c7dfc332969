/* SPDX-License-Identifier: Apache-2.0 */
/* test_parse.c - parts of a head. Goal: names, values, target, length, coding and keep-alive come
 * out as sent; the limit on fields holds. Method: literal heads through guard and parser. */
#include "http/parse.h"

#include "check.h"

static struct http_header fields[HTTP_HEADER_COUNT_MAX];

static int parse(str head, size_t cap, struct http_head *out, struct err *err) {
    struct http_guard g;
    size_t len;
    http_guard_init(&g);
    assert_int_equal(http_guard_scan(&g, head, &len, err), 0);
    assert_int_equal(len, head.len);
    return http_parse_head(head, &g, fields, cap, out, err);
}

static void test_parts(void **state) {
    (void)state;
    struct http_head head;
    struct err err = {0};
    int rc = parse(STR("POST /threads?a=b HTTP/1.1\r\nHost: x\r\nX-Empty:\r\n"
                       "Content-Length: 12\r\nX-Text:  a b \t\r\n\r\n"),
                   8, &head, &err);
    assert_int_equal(rc, 0);
    check_str(head.method, "POST");
    check_str(head.target, "/threads?a=b");
    assert_int_equal(head.header_count, 4);
    check_str(fields[0].name, "Host");
    check_str(fields[0].value, "x");
    check_str(fields[1].name, "X-Empty");
    check_str(fields[1].value, "");
    check_str(fields[3].value, "a b");
    assert_true(head.has_length && !head.chunked);
    assert_int_equal(head.content_length, 12);
    assert_true(head.keep_alive);
}

static void test_keep_alive(void **state) {
    (void)state;
    static const struct {
        str head;
        bool keep;
    } cases[] = {
        {STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), true},
        {STR("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), false},
        {STR("GET / HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n"), false},
        {STR("GET / HTTP/1.0\r\n\r\n"), false},
        {STR("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct http_head head;
        struct err err = {0};
        assert_int_equal(parse(cases[i].head, 8, &head, &err), 0);
        assert_int_equal(head.keep_alive, cases[i].keep);
    }
}

static void test_chunked(void **state) {
    (void)state;
    struct http_head head;
    struct err err = {0};
    int rc = parse(STR("PATCH / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n"), 8,
                   &head, &err);
    assert_int_equal(rc, 0);
    assert_true(head.chunked && !head.has_length);
}

static void test_too_many_fields(void **state) {
    (void)state;
    struct http_head head;
    struct err err = {0};
    str text = STR("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\n\r\n");
    assert_int_equal(parse(text, 3, &head, &err), 0);
    assert_int_equal(parse(text, 2, &head, &err), ERR_TOO_LARGE);
    assert_int_equal(err.system, 431);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_too_many_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
