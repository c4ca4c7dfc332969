/* SPDX-License-Identifier: Apache-2.0 */
/* test_chunked.c - the chunked decoder. Goal: valid bodies decode alike in every split, framing
 * errors and limits are refused, bytes behind the end stay. Method: literal bodies, fed whole, cut
 * once at each position, and byte by byte. */
#include "http/chunked.h"

#include "check.h"

#include "base/buf.h"

static int feed(struct http_chunked *c, str in, size_t max, struct buf *out, str *rest,
                struct err *err) {
    while (in.len && !http_chunked_ended(c)) {
        str data;
        int rc = http_chunked_next(c, &in, max, &data, err);
        if (rc)
            return rc;
        buf_str(out, data);
    }
    *rest = in;
    return 0;
}

/* Decodes in pieces of `first`, then `step` bytes. */
static int decode(str body, size_t first, size_t step, size_t max, struct buf *out, bool *ended,
                  struct err *err) {
    struct http_chunked c;
    http_chunked_init(&c);
    buf_reset(out);
    for (size_t at = 0, n = first; at < body.len; at += n, n = step) {
        str rest;
        int rc = feed(&c, str_slice(body, at, at + n), max, out, &rest, err);
        if (rc)
            return rc;
    }
    *ended = http_chunked_ended(&c);
    return 0;
}

static void test_splits(void **state) {
    (void)state;
    static const str bodies[] = {
        STR("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
        STR("B\r\nhello world\r\n000\r\n\r\n"),
        STR("00b;name=value;x=\"y z\"\r\nhello world\r\n0;last\r\nX-Sum: 1\r\nY:\r\n\r\n"),
    };
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_COUNT(bodies); i++)
        for (size_t cut = 1; cut <= bodies[i].len; cut++)
            for (size_t step = 1; step <= bodies[i].len; step += bodies[i].len - 1) {
                bool ended = false;
                struct err err = {0};
                assert_int_equal(decode(bodies[i], cut, step, 100, &out, &ended, &err), 0);
                assert_true(ended);
                check_str(buf_view(&out), "hello world");
            }
    buf_deinit(&out);
}

static void test_rest_stays(void **state) {
    (void)state;
    struct http_chunked c;
    struct buf out;
    str rest;
    buf_init(&out, 4096);
    http_chunked_init(&c);
    assert_int_equal(feed(&c, STR("1\r\na\r\n0\r\n\r\nGET /"), 10, &out, &rest, NULL), 0);
    assert_true(http_chunked_ended(&c));
    check_str(rest, "GET /");
    buf_deinit(&out);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        str body;
        int status;
    } cases[] = {
        {STR("\r\n"), 400},
        {STR(" 5\r\nhello\r\n"), 400},
        {STR("5 \r\nhello\r\n"), 400},
        {STR("+5\r\nhello\r\n"), 400},
        {STR("0x5\r\nhello\r\n"), 400},
        {STR("g\r\n"), 400},
        {STR("5\nhello\r\n"), 400},
        {STR("5\rhello\r\n"), 400},
        {STR("5\r\nhelloX"), 400},
        {STR("5\r\nhello\n"), 400},
        {STR("5\r\nhello0\r\n\r\n"), 400},
        {STR("5;a\nb\r\nhello\r\n"), 400},
        {STR("5;a\x01\r\nhello\r\n"), 400},
        {STR("0000000000000001\r\na\r\n"), 400},
        {STR("ffffffffffffffff\r\n"), 400},
        {STR("fffffffffffffff\r\n"), 413},
        {STR("a\r\n0123456789\r\na\r\n0123456789\r\n1\r\n"), 413},
        {STR("0\r\n\rX"), 400},
        {STR("0\r\nX\r\n\r\n"), 400},
        {STR("0\r\n: x\r\n\r\n"), 400},
        {STR("0\r\n X: y\r\n\r\n"), 400},
        {STR("0\r\nX : y\r\n\r\n"), 400},
        {STR("0\r\nX: y\n\r\n"), 400},
        {STR("0\r\nX: y\rZ: 1\r\n\r\n"), 400},
    };
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        for (size_t step = 1; step <= 64; step *= 64) {
            bool ended = false;
            struct err err = {0};
            int rc = decode(cases[i].body, step, step, 20, &out, &ended, &err);
            if (rc == 0)
                print_error("body %zu was taken\n", i);
            assert_true(rc < 0);
            assert_int_equal(err.system, cases[i].status);
        }
    buf_deinit(&out);
}

static void test_limits_on_framing(void **state) {
    (void)state;
    struct buf body, out;
    bool ended;
    struct err err = {0};
    buf_init(&body, 65536);
    buf_init(&out, 4096);
    buf_str(&body, STR("1;"));
    for (int i = 0; i <= HTTP_CHUNK_EXTENSION_BYTES_MAX; i++)
        buf_char(&body, 'x');
    assert_int_equal(decode(buf_view(&body), 7, 7, 10, &out, &ended, &err), ERR_MALFORMED);
    buf_reset(&body);
    buf_str(&body, STR("0\r\nX: "));
    for (int i = 0; i <= HTTP_TRAILER_BYTES_MAX; i++)
        buf_char(&body, 'x');
    assert_int_equal(decode(buf_view(&body), 7, 7, 10, &out, &ended, &err), ERR_TOO_LARGE);
    assert_int_equal(err.system, 431);
    buf_deinit(&body);
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_rest_stays),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits_on_framing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
