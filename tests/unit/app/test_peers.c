/* SPDX-License-Identifier: Apache-2.0 */
/* test_peers.c - hints as datagrams. Goal: a hint reaches the others and nobody who does not know
 * the secret is heard; whether all are heard is told, and that one fell silent, too; addresses that
 * are none do no harm. Method: peers of one loop, on loopback, and a socket of a stranger. */
#include "app/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rt/datagram.h"
#include "rt/fiber.h"

#define WAIT_US  20000
#define HEARD_US 300000

struct side {
    struct peers *peers;
    char last[256];
    int hints, completes;
    bool complete;
};

struct scene {
    struct rt *rt;
    struct side a, b;
    void (*body)(struct scene *s);
};

static void on_got(void *ctx, str hint) {
    struct side *s = ctx;
    s->hints++;
    (void)snprintf(s->last, sizeof(s->last), STR_FMT, STR_ARG(hint));
}

static void on_complete(void *ctx, bool all) {
    struct side *s = ctx;
    s->complete = all;
    s->completes++;
}

static void side_open(struct rt *rt, struct side *s) {
    assert_int_equal(peers_open(rt, STR("127.0.0.1"), &s->peers, NULL), 0);
    peers_start(s->peers,
                &(struct peers_handlers){.got = on_got, .complete = on_complete, .ctx = s});
}

static void main_fiber(void *arg) {
    struct scene *s = arg;
    side_open(s->rt, &s->a);
    side_open(s->rt, &s->b);
    s->body(s);
    peers_close(s->a.peers);
    peers_close(s->b.peers);
    rt_stop(s->rt);
}

static void run(void (*body)(struct scene *)) {
    struct scene s = {.body = body};
    assert_int_equal(rt_open(&s.rt, NULL), 0);
    assert_non_null(fiber_spawn(s.rt, "test", main_fiber, &s, NULL));
    rt_run(s.rt);
    rt_close(s.rt);
}

static void until(const bool *flag, bool wanted) {
    for (int i = 0; i < 500 && *flag != wanted; i++)
        assert_int_equal(fiber_sleep_us(WAIT_US), 0);
    assert_int_equal(*flag, wanted);
}

static void know(struct side *me, const struct side *other, const char *hello) {
    const str addresses[] = {STR("nonsense"), STR("1.2.3.4 0 0123456789abcdef"),
                             str_of(peers_address(other->peers)), STR("")};
    peers_set(me->peers, addresses, 4, 1, HEARD_US, str_of(hello));
}

static void hints_arrive(struct scene *s) {
    know(&s->a, &s->b, "aaaaaaaa:");
    know(&s->b, &s->a, "bbbbbbbb:");
    until(&s->a.complete, true);
    /* the first hello came before b knew for how long a voice counts */
    know(&s->a, &s->b, "aaaaaaaa:");
    until(&s->b.complete, true);
    assert_int_equal(s->a.hints + s->b.hints, 0);
    peers_send(s->a.peers, STR("aaaaaaaa:!,"));
    for (int i = 0; i < 500 && s->b.hints == 0; i++)
        assert_int_equal(fiber_sleep_us(WAIT_US), 0);
    assert_string_equal(s->b.last, "aaaaaaaa:!,");
    assert_int_equal(s->a.hints, 0);
    until(&s->b.complete, false); /* nobody says hello any more */
    assert_int_equal(s->b.completes, 2);
}

static void test_hints_arrive(void **state) {
    (void)state;
    run(hints_arrive);
}

static void nothing(void *ctx, str bytes) {
    (void)ctx;
    (void)bytes;
}

static void strangers_are_not_heard(struct scene *s) {
    static const char *const texts[] = {"", "0123456789abcdef", "0123456789abcdefaaaaaaaa:!,",
                                        "aaaaaaaa:!,"};
    struct rt_datagram *socket;
    struct rt_address to;
    char ip[64], secret[64], text[256];
    int port;
    know(&s->b, &s->a, "bbbbbbbb:");
    assert_int_equal(sscanf(peers_address(s->b.peers), "%63s %d %63s", ip, &port, secret), 3);
    assert_int_equal(strlen(secret), 16);
    assert_int_equal(rt_address_parse(ip, port, &to, NULL), 0);
    assert_int_equal(rt_datagram_open(s->rt, ip, 0, nothing, NULL, &socket, NULL), 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        rt_datagram_send(socket, &to, str_of(texts[i]));
    (void)snprintf(text, sizeof(text), "%saaaaaaaa,!,", secret); /* no colon */
    rt_datagram_send(socket, &to, str_of(text));
    (void)snprintf(text, sizeof(text), "%saaaaaaaa:c,", secret); /* the last one is good */
    rt_datagram_send(socket, &to, str_of(text));
    until(&s->b.complete, true);
    assert_int_equal(s->b.hints, 1);
    assert_string_equal(s->b.last, "aaaaaaaa:c,");
    rt_datagram_close(socket);
}

static void test_strangers_are_not_heard(void **state) {
    (void)state;
    run(strangers_are_not_heard);
}

static void test_addresses(void **state) {
    (void)state;
    static const char *const wrong[] = {"",     "host",   "127.0.0.1:x", "127.0.0.1:70000",
                                        "[::1", "[::1]x", ":1",          "1.2.3"};
    struct rt *rt;
    struct peers *p;
    struct err err = {0};
    assert_int_equal(rt_open(&rt, NULL), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int rc = peers_open(rt, str_of(wrong[i]), &p, &err);
        if (rc != ERR_INVALID)
            fail_msg("\"%s\": %s", wrong[i], err_name(rc));
    }
    assert_int_equal(peers_open(rt, STR("127.0.0.1:0"), &p, &err), 0);
    assert_true(str_starts(str_of(peers_address(p)), STR("127.0.0.1 ")));
    peers_close(p);
    peers_close(NULL);
    rt_close(rt);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hints_arrive),
        cmocka_unit_test(test_strangers_are_not_heard),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests_name("peers", tests, NULL, NULL);
}
