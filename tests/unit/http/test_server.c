/* SPDX-License-Identifier: Apache-2.0 */
/* test_server.c - life of a server. Goal: opening errors, the limit on connections, draining,
 * closing under load, the debug view. Method: raw sockets; the handler drains when asked to. */
#include "http/server.h"

#include "base/json.h"

#include "loopback.h"

#define HOST "Host: a\r\n"

static void handle(struct http_request *req, void *ctx) {
    struct scene *sc = ctx;
    if (str_eq(req->path, STR("/drain")))
        http_server_stop_accepting(sc->server);
    if (str_eq(req->path, STR("/park")))
        while (fiber_park(FIBER_NO_DEADLINE) == 0) {}
    if (str_eq(req->path, STR("/slow")))
        (void)fiber_sleep_us(50000);
    if (str_eq(req->path, STR("/list"))) {
        struct buf out;
        buf_init(&out, 4096);
        http_server_list(sc->server, &out);
        http_reply(req, 200, STR("application/json"), buf_view(&out));
        buf_deinit(&out);
        return;
    }
    http_reply(req, 200, STR("text/plain"), STR("ok"));
}

static void test_open_errors(void **state) {
    struct rt *rt;
    struct err err = {0};
    struct http_server_options o;
    struct http_server *first, *second;
    (void)state;
    assert_int_equal(rt_open(&rt, &err), 0);
    http_server_options_default(&o);
    o.handler = handle;
    o.host = "not an address";
    assert_int_equal(http_server_open(rt, &o, &first, &err), ERR_INVALID);
    o.host = "localhost";
    assert_int_equal(http_server_open(rt, &o, &first, &err), 0);
    assert_int_equal(http_server_connections(first), 0);
    o.port = http_server_port(first);
    assert_in_range(o.port, 1, 65535);
    assert_int_equal(http_server_open(rt, &o, &second, &err), ERR_UNAVAILABLE);
    assert_int_equal(err.system, EADDRINUSE);
    http_server_close(first, NULL, NULL);
    rt_close(rt);
}

static void script_any_address(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_ask(&p, STR("GET / HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT_STR(sc, r.body, "ok");
    peer_close(&p);
}

static void test_any_address(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.host = "";
    sc.o.reuse_port = true;
    play(&sc, script_any_address);
}

static void script_limit(struct scene *sc) {
    struct peer a = peer_open(sc), b = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_ask(&a, STR("GET / HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, peer_ask(&b, STR("GET / HTTP/1.1\r\n" HOST "\r\n"), &r));
    struct peer c = peer_open(sc);
    EXPECT(sc, peer_ask(&c, STR("GET / HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, r.status == 503);
    EXPECT_STR(sc, reply_header(&r, "Retry-After"), "1");
    EXPECT_STR(sc, reply_header(&r, "Connection"), "close");
    EXPECT(sc, peer_at_eof(&c));
    peer_close(&c);
    EXPECT(sc, peer_ask(&a, STR("GET / HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, r.status == 200);
    peer_close(&a);
    peer_close(&b);
    for (int i = 0;; i++) { /* room again as soon as the server has seen the FIN */
        struct peer d = peer_open(sc);
        EXPECT(sc, peer_ask(&d, STR("GET / HTTP/1.1\r\n" HOST "\r\n"), &r) && i < 1000);
        peer_close(&d);
        if (r.status == 200)
            break;
        usleep(1000);
    }
}

static void test_connections_max(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.connections_max = 2;
    play(&sc, script_limit);
}

static void script_drain(struct scene *sc) {
    struct peer idle = peer_open(sc), fresh = peer_open(sc), busy = peer_open(sc);
    struct peer used = peer_open(sc), drain = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_ask(&idle, STR("GET / HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, peer_ask(&used, STR("GET / HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, !reply_header(&r, "Connection").p);
    EXPECT(sc, peer_send(&busy, STR("GET /slow HTTP/1.1\r\n" HOST "\r\n")));
    usleep(10000);
    EXPECT(sc, peer_ask(&drain, STR("GET /drain HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT_STR(sc, reply_header(&r, "Connection"), "close");
    EXPECT(sc, peer_at_eof(&drain));
    EXPECT(sc, peer_ask(&used, STR("GET / HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT_STR(sc, r.body, "ok");
    EXPECT_STR(sc, reply_header(&r, "Connection"), "close");
    EXPECT(sc, peer_at_eof(&used));
    EXPECT(sc, peer_reply(&busy, false, &r));
    EXPECT_STR(sc, reply_header(&r, "Connection"), "close");
    EXPECT(sc, peer_at_eof(&busy));
    EXPECT(sc, peer_at_eof(&idle));
    EXPECT(sc, peer_at_eof(&fresh));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)sc->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT(sc, connect(fd, (struct sockaddr *)&to, sizeof to) != 0);
    (void)close(fd);
    peer_close(&idle);
    peer_close(&fresh);
    peer_close(&busy);
    peer_close(&used);
    peer_close(&drain);
}

static void test_drain(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_drain);
}

static void script_cut(struct scene *sc) {
    struct peer peers[20];
    for (size_t i = 0; i < ARRAY_COUNT(peers); i++) {
        peers[i] = peer_open(sc);
        EXPECT(sc, peer_send(&peers[i],
                             i % 2 ? STR("GET /park HTTP/1.1\r\n" HOST "\r\n") : STR("GET /par")));
        buf_deinit(&peers[i].in);
        buf_deinit(&peers[i].taken);
    }
    usleep(20000); /* the sockets stay open; some handlers wait for ever */
}

static void test_close_cuts_and_cancels(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_cut);
}

static void script_list(struct scene *sc) {
    struct peer p = peer_open(sc), idle = peer_open(sc);
    struct reply r;
    struct arena a;
    yyjson_val *root;
    arena_init(&a, 1 << 20);
    EXPECT(sc, peer_ask(&idle, STR("GET / HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, peer_ask(&p, STR("GET /list HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, json_parse(&a, r.body, &root, NULL) == 0);
    EXPECT(sc, yyjson_get_int(json_get(root, "connections")) == 2);
    yyjson_val *states = json_get(root, "states");
    EXPECT(sc, yyjson_get_int(json_get(states, "running")) == 1);
    EXPECT(sc, yyjson_get_int(json_get(states, "idle")) == 1);
    arena_deinit(&a);
    peer_close(&p);
    peer_close(&idle);
}

static void test_list(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_errors),
        cmocka_unit_test(test_any_address),
        cmocka_unit_test(test_connections_max),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_close_cuts_and_cancels),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
