/* SPDX-License-Identifier: Apache-2.0 */
/* test_lines.c - Goal: lines do not depend on how the bytes are split, blank ones are left out, a
 * line of the limit passes and one byte more does not, with or without its end, and what the
 * callback refuses ends it. Method: the same stream whole, byte by byte and in pieces. */
#include "runner/lines.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int gather(void *ctx, str line, struct err *err) {
    struct buf *out = ctx;
    if (str_eq(line, STR("stop")))
        return err_set(err, ERR_INVALID, "stopped");
    buf_char(out, '<');
    buf_str(out, line);
    buf_char(out, '>');
    return 0;
}

static int feed(str text, size_t piece, size_t bytes_max, struct buf *out) {
    struct lines l;
    int rc = 0;
    lines_init(&l, bytes_max);
    buf_init(out, 1 << 20);
    for (size_t at = 0; rc == 0 && at < text.len; at += piece)
        rc = lines_feed(&l, str_slice(text, at, at + piece), gather, out, NULL);
    lines_deinit(&l);
    return rc;
}

static void expect(str text, size_t bytes_max, int rc, const char *wanted) {
    for (size_t piece = 1; piece <= text.len; piece++) {
        struct buf out;
        assert_int_equal(feed(text, piece, bytes_max, &out), rc);
        buf_char(&out, '\0');
        assert_string_equal(out.p, wanted);
        buf_deinit(&out);
    }
}

static void test_lines(void **state) {
    (void)state;
    expect(STR("one\ntwo\r\n\n \r\nthree\nrest"), 100, 0, "<one><two><three>");
    expect(STR("\n\n\n"), 100, 0, "");
}

static void test_limit(void **state) {
    (void)state;
    expect(STR("12345\n1234\n"), 5, 0, "<12345><1234>");
    expect(STR("1234\n123456\n1\n"), 5, ERR_TOO_LARGE, "<1234>");
    expect(STR("1234\n123456"), 5, ERR_TOO_LARGE, "<1234>");
}

static void test_refused(void **state) {
    (void)state;
    expect(STR("a\nstop\nb\n"), 5, ERR_INVALID, "<a>");
}

static void test_reset(void **state) {
    (void)state;
    struct lines l;
    struct buf out;
    lines_init(&l, 5);
    buf_init(&out, 100);
    assert_int_equal(lines_feed(&l, STR("abc"), gather, &out, NULL), 0);
    lines_reset(&l);
    assert_int_equal(lines_feed(&l, STR("defgh\n"), gather, &out, NULL), 0);
    assert_true(str_eq(buf_view(&out), STR("<defgh>")));
    lines_deinit(&l);
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
