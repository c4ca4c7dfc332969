/* SPDX-License-Identifier: Apache-2.0 */
/* test_datagram.c - UDP sockets. Goal: what is sent arrives whole, also with zeros in it; what is
 * wrong is refused; closing is orderly, also at once. Method: sockets of one loop, on loopback. */
#include "rt/datagram.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/buf.h"
#include "rt/fiber.h"

struct got {
    struct rt *rt;
    struct buf bytes;
    size_t count, wanted;
};

static void on_got(void *ctx, str bytes) {
    struct got *g = ctx;
    buf_str(&g->bytes, bytes);
    if (++g->count == g->wanted)
        rt_stop(g->rt);
}

static void converse(const char *ip) {
    static char large[RT_DATAGRAM_MAX];
    struct got g = {.wanted = 2};
    struct rt_datagram *a, *b;
    struct rt_address to;
    assert_int_equal(rt_open(&g.rt, NULL), 0);
    buf_init(&g.bytes, 1 << 20);
    assert_int_equal(rt_datagram_open(g.rt, ip, 0, on_got, &g, &a, NULL), 0);
    assert_int_equal(rt_datagram_open(g.rt, ip, 0, on_got, &g, &b, NULL), 0);
    assert_true(rt_datagram_port(a) > 0 && rt_datagram_port(a) != rt_datagram_port(b));
    assert_int_equal(rt_address_parse(ip, rt_datagram_port(b), &to, NULL), 0);
    rt_datagram_send(a, &to, str_n("one\0two", 7));
    rt_datagram_send(a, &to, str_n(large, sizeof(large)));
    assert_int_equal(g.count, 0);
    rt_run(g.rt);
    assert_int_equal(g.bytes.len, 7 + sizeof(large));
    assert_memory_equal(g.bytes.p, "one\0two", 7);
    rt_datagram_close(a);
    rt_datagram_close(b);
    buf_deinit(&g.bytes);
    rt_close(g.rt);
}

static void test_both_ways(void **state) {
    (void)state;
    converse("127.0.0.1");
}

static void test_refusals(void **state) {
    (void)state;
    struct rt *rt;
    struct rt_datagram *a, *b;
    struct rt_address to;
    struct err err = {0};
    assert_int_equal(rt_address_parse("localhost", 1, &to, &err), ERR_INVALID);
    assert_int_equal(rt_address_parse("127.0.0.1", 70000, &to, &err), ERR_INVALID);
    assert_int_equal(rt_address_parse("::1", 1, &to, &err), 0);
    assert_int_equal(rt_open(&rt, NULL), 0);
    assert_int_equal(rt_datagram_open(rt, "127.0.0.1", 0, on_got, NULL, &a, &err), 0);
    assert_int_equal(rt_datagram_open(rt, "127.0.0.1", rt_datagram_port(a), on_got, NULL, &b, &err),
                     ERR_UNAVAILABLE);
    rt_datagram_close(a);
    rt_datagram_close(NULL);
    rt_close(rt);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("datagram", tests, NULL, NULL);
}
