/* SPDX-License-Identifier: Apache-2.0 */
/* test_guard.c - the head guard and the parser behind it. Goal: every head that two servers could
 * read differently is refused, by the guard alone where it promises so; ordinary heads pass and
 * their length is exact in any split. Method: a table of hostile and of good heads, each fed whole
 * and one byte at a time. */
#include "http/guard.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "http/parse.h"

struct hostile {
    const char *what;
    str head;
    int status; /* of the guard; 0: the parser behind it must refuse */
};
#define H(text) STR(text)
#define LINE    "GET / HTTP/1.1\r\n"
#define HOST    "Host: a\r\n"

static const struct hostile hostiles[] = {
    {"length and chunked",
     H("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n"
       "Transfer-Encoding: chunked\r\n\r\n"),
     400},
    {"two lengths", H("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
     400},
    {"same length twice",
     H("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\ncontent-length: 5\r\n\r\n"), 400},
    {"length list", H("POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n"), 400},
    {"signed length", H("POST / HTTP/1.1\r\n" HOST "Content-Length: +0\r\n\r\n"), 400},
    {"negative length", H("POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n"), 400},
    {"hex length", H("POST / HTTP/1.1\r\n" HOST "Content-Length: 0x10\r\n\r\n"), 400},
    {"empty length", H("POST / HTTP/1.1\r\n" HOST "Content-Length: \r\n\r\n"), 400},
    {"huge length", H("POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n"),
     400},
    {"space before colon", H(LINE HOST "X : 1\r\n\r\n"), 0},
    {"space before the colon of the length",
     H("POST / HTTP/1.1\r\n" HOST "Content-Length : 5\r\n\r\n"), 0},
    {"unknown coding", H("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n"), 400},
    {"coding after chunked",
     H("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n"), 400},
    {"coding twice",
     H("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
       "Transfer-Encoding: chunked\r\n\r\n"),
     400},
    {"empty coding", H("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n"), 400},
    {"coding with a vertical tab",
     H("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \vchunked\r\n\r\n"), 400},
    {"coding in 1.0", H("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"), 400},
    {"bare CR ends a header", H(LINE HOST "X: a\rY: b\r\n\r\n"), 400},
    {"bare LF ends a header", H(LINE HOST "X: a\nY: b\r\n\r\n"), 400},
    {"bare LF ends the request line", H("GET / HTTP/1.1\n" HOST "\r\n"), 400},
    {"bare LF ends the head", H(LINE HOST "\n"), 400},
    {"CR CR LF", H(LINE HOST "X: a\r\r\n\r\n"), 400},
    {"empty value, lone CR, smuggled coding",
     H("POST / HTTP/1.1\r\n" HOST "X:\rTransfer-Encoding: chunked\r\n\r\n"), 400},
    {"head ended by CRLF CR X", H(LINE HOST "\rX\r\n\r\n"), 400},
    {"leading space on the first header line", H(LINE " " HOST "\r\n"), 400},
    {"folded line", H(LINE HOST "X: a\r\n b\r\n\r\n"), 400},
    {"folded by tab", H(LINE HOST "X: a\r\n\tb\r\n\r\n"), 400},
    {"empty name", H(LINE HOST ": a\r\n\r\n"), 400},
    {"no colon", H(LINE HOST "nonsense\r\n\r\n"), 400},
    {"NUL in a value", H(LINE HOST "X: a\0b\r\n\r\n"), 400},
    {"NUL in a name", H(LINE HOST "X\0: a\r\n\r\n"), 400},
    {"DEL in a value", H(LINE HOST "X: a\x7f\r\n\r\n"), 400},
    {"name with a bracket", H(LINE HOST "X(: a\r\n\r\n"), 0},
    {"no Host", H(LINE "X: a\r\n\r\n"), 400},
    {"two Hosts", H(LINE HOST "hOST: b\r\n\r\n"), 400},
    {"two Hosts in 1.0", H("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), 400},
    {"Host with a path", H(LINE "Host: a/b\r\n\r\n"), 400},
    {"Host with a space", H(LINE "Host: a b\r\n\r\n"), 400},
    {"Host with a user", H(LINE "Host: a@b\r\n\r\n"), 400},
    {"version 2.0", H("GET / HTTP/2.0\r\n" HOST "\r\n"), 505},
    {"version 1.2", H("GET / HTTP/1.2\r\n" HOST "\r\n"), 505},
    {"preface of HTTP/2", H("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},
    {"version 0.9", H("GET / HTTP/0.9\r\n\r\n"), 505},
    {"no version", H("GET /\r\n\r\n"), 400},
    {"lower-case version", H("GET / http/1.1\r\n" HOST "\r\n"), 400},
    {"long version", H("GET / HTTP/1.10\r\n" HOST "\r\n"), 400},
    {"two spaces", H("GET  / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"space at the end", H("GET / HTTP/1.1 \r\n" HOST "\r\n"), 400},
    {"tab in the request line", H("GET\t/ HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"space in the target", H("GET /a b HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"fragment in the target", H("GET /a#b HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"high byte in the target", H("GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"no method", H(" / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"bracket in the method", H("G(T / HTTP/1.1\r\n" HOST "\r\n"), 400},
    {"unknown method", H("BREW / HTTP/1.1\r\n" HOST "\r\n"), 0},
    {"two empty lines first", H("\r\n\r\n" LINE HOST "\r\n"), 400},
    {"TLS hello", H("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n"), 400},
};

static const str good[] = {
    STR(LINE HOST "\r\n"),
    STR("\r\n" LINE HOST "\r\n"),
    STR("GET /x?y=%20 HTTP/1.0\r\n\r\n"),
    STR("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    STR("GET / HTTP/1.1\r\nHost: [::1]:8080\r\nX: \t a \t b\t\r\n\r\n"),
    STR("POST / HTTP/1.1\r\nhOsT: a\r\ncontent-LENGTH:  7 \r\n\r\n"),
    STR("POST / HTTP/1.1\r\n" HOST "transfer-encoding: \tChunked \r\n\r\n"),
    STR("OPTIONS * HTTP/1.1\r\n" HOST "X-Umlaut: \xc3\xa4\r\n\r\n"),
    STR("GET http://a/b HTTP/1.1\r\n" HOST "Host-Of: b\r\nContent-Length-Of: x\r\n\r\n"),
    STR("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"),
};

/* The guard's status over the whole text, or 0; *out_len: length of the head it found. */
static int guard_whole(str head, struct http_guard *g, size_t *out_len) {
    struct err err = {0};
    http_guard_init(g);
    *out_len = 0;
    return http_guard_scan(g, head, out_len, &err) ? err.system : 0;
}

static int guard_bytewise(str head, struct http_guard *g, size_t *out_len) {
    struct err err = {0};
    http_guard_init(g);
    *out_len = 0;
    for (size_t n = 1; n <= head.len && *out_len == 0; n++)
        if (http_guard_scan(g, str_n(head.p, n), out_len, &err))
            return err.system;
    return 0;
}

static void test_hostile_heads(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(hostiles); i++) {
        const struct hostile *h = &hostiles[i];
        struct http_guard g;
        size_t len;
        int whole = guard_whole(h->head, &g, &len);
        if (whole != h->status)
            print_error("%s: guard said %d\n", h->what, whole);
        assert_int_equal(whole, h->status);
        assert_int_equal(guard_bytewise(h->head, &g, &len), h->status);
        if (h->status)
            continue;
        struct http_header fields[8];
        struct http_head out;
        struct err err = {0};
        assert_int_equal(len, h->head.len);
        int rc = http_parse_head(h->head, &g, fields, ARRAY_COUNT(fields), &out, &err);
        if (rc == 0)
            print_error("%s: the parser took it\n", h->what);
        assert_true(rc < 0 && (err.system == 400 || err.system == 501));
    }
}

static void test_good_heads(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct http_guard whole, bytewise;
        size_t len;
        assert_int_equal(guard_whole(good[i], &whole, &len), 0);
        assert_int_equal(len, good[i].len);
        assert_int_equal(guard_bytewise(good[i], &bytewise, &len), 0);
        assert_int_equal(len, good[i].len);
        assert_int_equal(whole.field_count, bytewise.field_count);
        struct http_header fields[8];
        struct http_head out;
        struct err err = {0};
        int rc = http_parse_head(good[i], &whole, fields, ARRAY_COUNT(fields), &out, &err);
        if (rc)
            print_error("good head %zu: %s\n", i, err.message);
        assert_int_equal(rc, 0);
        assert_int_equal(out.header_count, whole.field_count);
    }
}

static void test_body_behind_the_head(void **state) {
    (void)state;
    str text = STR(LINE HOST "\r\nGARBAGE\nwithout end");
    struct http_guard g;
    size_t len;
    assert_int_equal(guard_whole(text, &g, &len), 0);
    assert_int_equal(len, sizeof(LINE HOST "\r\n") - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_heads),
        cmocka_unit_test(test_good_heads),
        cmocka_unit_test(test_body_behind_the_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
