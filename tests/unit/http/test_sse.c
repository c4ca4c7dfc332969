/* SPDX-License-Identifier: Apache-2.0 */
/* test_sse.c - server-sent events. Goal: what sse_write writes is read back; the parser follows the
 * standard and gives the same events in every split; limits hold. Method: literal streams, cut at
 * every byte and fed byte by byte; events rendered as text and compared. */
#include "http/sse.h"

#include "check.h"

static int render(void *ctx, const struct sse_event *e) {
    struct buf *out = ctx;
    buf_printf(out, "<" STR_FMT "|" STR_FMT "|" STR_FMT ">", STR_ARG(e->event), STR_ARG(e->data),
               STR_ARG(e->id));
    return 0;
}

static void check_stream(str stream, const char *want) {
    struct buf out;
    buf_init(&out, 65536);
    for (size_t cut = 0; cut <= stream.len; cut++) {
        struct sse_parser p;
        sse_parser_init(&p, 1024);
        buf_reset(&out);
        assert_int_equal(sse_parser_feed(&p, str_slice(stream, 0, cut), render, &out), 0);
        assert_int_equal(sse_parser_feed(&p, str_slice(stream, cut, stream.len), render, &out), 0);
        check_str(str_n(out.p ? out.p : "", out.len), want);
        sse_parser_deinit(&p);
    }
    struct sse_parser p;
    sse_parser_init(&p, 1024);
    buf_reset(&out);
    for (size_t i = 0; i < stream.len; i++)
        assert_int_equal(sse_parser_feed(&p, str_n(stream.p + i, 1), render, &out), 0);
    check_str(str_n(out.p ? out.p : "", out.len), want);
    sse_parser_deinit(&p);
    buf_deinit(&out);
}

static void test_written_is_read(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    sse_write(&out, STR("values"), STR("{\"a\":1}"), STR("17"));
    check_str(buf_view(&out), "event: values\ndata: {\"a\":1}\nid: 17\n\n");
    sse_write(&out, STR("e\r\nvil"), STR("2"), STR_NULL);
    sse_write(&out, STR("end"), STR("null"), STR("1\n8"));
    check_stream(buf_view(&out), "<values|{\"a\":1}|17><evil|2|17><end|null|18>");
    buf_deinit(&out);
}

static void test_standard(void **state) {
    (void)state;
    check_stream(STR("data: a\n\n"), "<message|a|>");
    check_stream(STR("data:a\r\rdata:  b\r\n\r\n"), "<message|a|><message| b|>");
    check_stream(STR("data\n\n"), "<message||>");
    check_stream(STR("data\ndata\n\n"), "<message|\n|>");
    check_stream(STR("data: YHOO\ndata: +2\ndata: 10\n\n"), "<message|YHOO\n+2\n10|>");
    check_stream(STR(": heartbeat\n\n: x\ndata: a\n:y\n\n"), "<message|a|>");
    check_stream(STR("event: x\n\ndata: a\n\n"), "<message|a|>");
    check_stream(STR("id: 1\n\ndata: a\n\nid\ndata: b\n\n"), "<message|a|1><message|b|>");
    check_stream(STR("id: 1\nid: 2\0\ndata: a\n\n"), "<message|a|1>");
    check_stream(STR("retry: 10\nother: x\nevent:e:f\ndata: a\n\n"), "<e:f|a|>");
    check_stream(STR("\xEF\xBB\xBF"
                     "data: a\n\n\xEF\xBB\xBF"
                     "data: b\n\n"),
                 "<message|a|>");
    check_stream(STR("data: a\n\ndata: never ended\n"), "<message|a|>");
    check_stream(STR("event: add\ndata: 1\n\nevent: del\ndata: 2\n\n"), "<add|1|><del|2|>");
}

static int stop_at_two(void *ctx, const struct sse_event *e) {
    int *count = ctx;
    (void)e;
    return ++*count == 2 ? ERR_CANCELLED : 0;
}

static void test_callback_ends_the_feed(void **state) {
    (void)state;
    struct sse_parser p;
    int count = 0;
    sse_parser_init(&p, 100);
    int rc = sse_parser_feed(&p, STR("data:1\n\ndata:2\n\ndata:3\n\n"), stop_at_two, &count);
    assert_int_equal(rc, ERR_CANCELLED);
    assert_int_equal(count, 2);
    sse_parser_deinit(&p);
}

static void test_limits(void **state) {
    (void)state;
    struct buf out;
    struct sse_parser p;
    int rc = 0;
    buf_init(&out, 4096);
    sse_parser_init(&p, 64);
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = sse_parser_feed(&p, STR("x"), render, &out);
    assert_int_equal(rc, ERR_TOO_LARGE);
    sse_parser_deinit(&p);
    sse_parser_init(&p, 64);
    rc = 0;
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = sse_parser_feed(&p, STR("data: 0123456789\n"), render, &out);
    assert_int_equal(rc, ERR_TOO_LARGE);
    sse_parser_deinit(&p);
    buf_deinit(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_is_read),
        cmocka_unit_test(test_standard),
        cmocka_unit_test(test_callback_ends_the_feed),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
