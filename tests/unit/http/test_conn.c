/* SPDX-License-Identifier: Apache-2.0 */
/* test_conn.c - requests over a connection. Goal: keep-alive, pipelining, bodies of both kinds,
 * 100-continue, every refusal with its status and a clean close, timeouts, slow readers. Method:
 * scripts of raw bytes against a server in this process. */
#include "http/server.h"

#include "loopback.h"

#define HOST "Host: a\r\n"

static void handle(struct http_request *req, void *ctx) {
    struct scene *sc = ctx;
    str type = STR("text/plain");
    if (str_eq(req->path, STR("/hello"))) {
        http_reply(req, 200, type, STR("hello"));
    } else if (str_eq(req->path, STR("/echo"))) {
        http_reply(req, 200, type, req->body);
    } else if (str_eq(req->path, STR("/query"))) {
        http_reply(req, 200, type, req->query);
    } else if (str_eq(req->path, STR("/peer"))) {
        http_reply(req, 200, type, str_of(req->peer));
    } else if (str_eq(req->path, STR("/slow"))) {
        (void)fiber_sleep_us(30000); /* cancelled or not, it answers */
        http_reply(req, 200, type, STR("slow"));
    } else if (str_eq(req->path, STR("/big"))) {
        char *p = arena_alloc(req->arena, 8 << 20);
        memset(p, 'b', 8 << 20);
        http_reply(req, 200, STR("application/octet-stream"), str_n(p, 8 << 20));
    } else if (str_eq(req->path, STR("/count"))) {
        *(int *)sc->user += 1;
        http_reply(req, 204, STR_NULL, STR(""));
    } else if (str_eq(req->path, STR("/header"))) {
        str v = http_header(req, STR("x-value"));
        http_reply(req, v.p ? 200 : 404, type, v.p ? v : STR("none"));
    } else if (!str_eq(req->path, STR("/nothing"))) {
        http_reply(req, 404, type, STR("?"));
    }
}

static void script_keep_alive(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    for (int i = 0; i < 50; i++) {
        EXPECT(sc, peer_ask(&p, STR("GET /hello HTTP/1.1\r\n" HOST "\r\n"), &r));
        EXPECT(sc, r.status == 200);
        EXPECT_STR(sc, r.body, "hello");
        EXPECT_STR(sc, reply_header(&r, "Content-Type"), "text/plain");
        EXPECT(sc, !reply_header(&r, "Connection").p);
        EXPECT(sc, reply_header(&r, "Date").len == 29);
    }
    EXPECT(sc, peer_ask(&p, STR("GET /peer HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT_STR(sc, r.body, "127.0.0.1");
    EXPECT(sc, peer_ask(&p, STR("GET http://a:1/query?x=1&y HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT_STR(sc, r.body, "x=1&y");
    EXPECT(sc, peer_ask(&p, STR("GET /header HTTP/1.1\r\n" HOST "X-VALUE:  v w \r\n\r\n"), &r));
    EXPECT_STR(sc, r.body, "v w");
    EXPECT(sc, peer_ask(&p, STR("GET /header HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, r.status == 404);
    EXPECT(sc, peer_ask(&p, STR("GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), &r));
    EXPECT_STR(sc, reply_header(&r, "Connection"), "close");
    EXPECT(sc, peer_at_eof(&p));
    peer_close(&p);
}

static void test_keep_alive(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_keep_alive);
}

static void script_old_client(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_ask(&p, STR("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), &r));
    EXPECT_STR(sc, r.body, "hello");
    EXPECT_STR(sc, reply_header(&r, "Connection"), "keep-alive");
    EXPECT(sc, peer_ask(&p, STR("GET /hello HTTP/1.0\r\n\r\n"), &r));
    EXPECT_STR(sc, r.body, "hello");
    EXPECT(sc, peer_at_eof(&p));
    peer_close(&p);
}

static void test_old_client(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_old_client);
}

static void script_pipelining(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    struct buf all;
    buf_init(&all, 1 << 20);
    for (int i = 0; i < 500; i++) {
        buf_printf(&all, "POST /%s HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\n%04d",
                   i % 7 == 3 ? "slow" : "echo", i);
    }
    EXPECT(sc, peer_send(&p, buf_view(&all)));
    for (int i = 0; i < 500; i++) {
        char want[16];
        (void)snprintf(want, sizeof want, "%04d", i);
        EXPECT(sc, peer_reply(&p, false, &r));
        EXPECT_STR(sc, r.body, i % 7 == 3 ? "slow" : want);
    }
    buf_deinit(&all);
    peer_close(&p);
}

static void test_pipelining(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_pipelining);
}

/* More than may be stashed while one request runs: reading pauses and goes on. */
static void script_pipelining_pauses(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    struct buf all;
    buf_init(&all, 1 << 20);
    buf_str(&all, STR("GET /slow HTTP/1.1\r\n" HOST "\r\n"));
    for (int i = 0; i < 10000; i++)
        buf_str(&all, STR("GET /hello HTTP/1.1\r\n" HOST "\r\n"));
    EXPECT(sc, peer_send(&p, buf_view(&all)));
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT_STR(sc, r.body, "slow");
    for (int i = 0; i < 10000; i++) {
        EXPECT(sc, peer_reply(&p, false, &r));
        EXPECT_STR(sc, r.body, "hello");
    }
    buf_deinit(&all);
    peer_close(&p);
}

static void test_pipelining_pauses(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_pipelining_pauses);
}

static void script_split(struct scene *sc) {
    static const char request[] =
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
        "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n"
        "GET /hello HTTP/1.1\r\n" HOST "\r\n";
    struct peer p = peer_open(sc);
    struct reply r;
    for (size_t i = 0; i < sizeof request - 1; i++) {
        EXPECT(sc, peer_send(&p, str_n(request + i, 1)));
        if (i % 16 == 0)
            usleep(500);
    }
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT_STR(sc, r.body, "hello world");
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT_STR(sc, r.body, "hello");
    peer_close(&p);
}

static void test_split_and_chunked(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_split);
}

static void script_large_body(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    size_t n = 3 << 20;
    char *body = mem_alloc(n);
    for (size_t i = 0; i < n; i++)
        body[i] = (char)('a' + i % 23);
    EXPECT(sc,
           peer_send(&p, STR("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3145728\r\n\r\n")));
    EXPECT(sc, peer_send(&p, str_n(body, n)));
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT(sc, r.status == 200 && str_eq(r.body, str_n(body, n)));
    mem_free(body);
    peer_close(&p);
}

static void test_large_body(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_large_body);
}

static void script_continue(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    str head = STR("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
                   "Content-Length: 3\r\n\r\n");
    EXPECT(sc, peer_send(&p, head));
    EXPECT_STR(sc, peer_until(&p, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT(sc, peer_ask(&p, STR("abc"), &r));
    EXPECT_STR(sc, r.body, "abc");
    /* The body is already here: no interim response. */
    EXPECT(sc, peer_ask(&p,
                        STR("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
                            "Content-Length: 3\r\n\r\nabc"),
                        &r));
    EXPECT(sc, r.status == 200);
    EXPECT(sc, peer_ask(&p,
                        STR("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"
                            "Content-Length: 99999\r\n\r\n"),
                        &r));
    EXPECT(sc, r.status == 413);
    EXPECT(sc, peer_at_eof(&p));
    peer_close(&p);
    p = peer_open(sc);
    EXPECT(sc, peer_ask(&p,
                        STR("POST /echo HTTP/1.1\r\n" HOST "Expect: tea\r\n"
                            "Content-Length: 3\r\n\r\n"),
                        &r));
    EXPECT(sc, r.status == 417);
    peer_close(&p);
}

static void test_continue(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.body_bytes_max = 1000;
    play(&sc, script_continue);
}

static void expect_refused(struct scene *sc, str request, int status) {
    struct peer p = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_send(&p, request));
    if (!peer_reply(&p, false, &r) || r.status != status)
        scene_failed(sc, __FILE__, __LINE__, "another status", request);
    EXPECT_STR(sc, reply_header(&r, "Connection"), "close");
    EXPECT_STR(sc, reply_header(&r, "Content-Type"), "application/json");
    EXPECT(sc, str_starts(r.body, STR("{\"detail\":\"")) && str_ends(r.body, STR("\"}")));
    EXPECT(sc, peer_at_eof(&p));
    peer_close(&p);
}

static void script_refusals(struct scene *sc) {
    struct buf big;
    buf_init(&big, 1 << 20);
    expect_refused(sc, STR("GET / HTTP/1.1\n\n"), 400);
    expect_refused(sc, STR("GET / HTTP/1.1\r\n\r\n"), 400);
    expect_refused(sc, STR("nonsense\r\n"), 400);
    expect_refused(sc, STR("GET / HTTP/3.0\r\n" HOST "\r\n"), 505);
    expect_refused(sc, STR("TRACE / HTTP/1.1\r\n" HOST "\r\n"), 405);
    expect_refused(sc, STR("BREW / HTTP/1.1\r\n" HOST "\r\n"), 501);
    expect_refused(sc, STR("GET a/b HTTP/1.1\r\n" HOST "\r\n"), 400);
    expect_refused(sc, STR("GET * HTTP/1.1\r\n" HOST "\r\n"), 400);
    expect_refused(sc,
                   STR("POST /count HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                       "5\r\nhelloGET / HTTP/1.1\r\n"),
                   400);
    expect_refused(sc, STR("POST /count HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n"), 413);
    expect_refused(sc,
                   STR("POST /count HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                       "3e9\r\n"),
                   413);
    /* A head without end, and one that is complete but too long. */
    buf_str(&big, STR("GET / HTTP/1.1\r\n" HOST));
    for (int i = 0; i < 200; i++)
        buf_str(&big, STR("X-Filler: aaaaaaaaaaaaaaaaaaaa\r\n"));
    expect_refused(sc, buf_view(&big), 431);
    buf_str(&big, STR("\r\n"));
    expect_refused(sc, buf_view(&big), 431);
    buf_reset(&big);
    buf_str(&big, STR("GET / HTTP/1.1\r\n" HOST));
    for (int i = 0; i < 128; i++)
        buf_str(&big, STR("X: a\r\n"));
    buf_str(&big, STR("\r\n"));
    expect_refused(sc, buf_view(&big), 431);
    buf_deinit(&big);
}

static void test_refusals(void **state) {
    struct scene sc;
    int handled = 0;
    (void)state;
    scene_init(&sc, handle);
    sc.o.body_bytes_max = 1000;
    sc.o.header_bytes_max = 2048;
    sc.user = &handled;
    play(&sc, script_refusals);
    assert_int_equal(handled, 0);
}

/* A peer that sends far more than it was told it may still reads its answer. */
static void script_413_is_readable(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    char junk[65536];
    memset(junk, 'j', sizeof junk);
    EXPECT(sc,
           peer_send(&p, STR("POST /count HTTP/1.1\r\n" HOST "Content-Length: 2000000\r\n\r\n")));
    for (int i = 0; i < 20; i++)
        EXPECT(sc, peer_send(&p, str_n(junk, sizeof junk)));
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT(sc, r.status == 413);
    EXPECT(sc, peer_at_eof(&p));
    peer_close(&p);
}

static void test_413_is_readable(void **state) {
    struct scene sc;
    int handled = 0;
    (void)state;
    scene_init(&sc, handle);
    sc.o.body_bytes_max = 1000;
    sc.user = &handled;
    play(&sc, script_413_is_readable);
    assert_int_equal(handled, 0);
}

/* A good request before a bad one is answered first. */
static void script_good_then_bad(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_ask(&p, STR("GET /slow HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.1\nX\n\n"), &r));
    EXPECT_STR(sc, r.body, "slow");
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT(sc, r.status == 400);
    EXPECT(sc, peer_at_eof(&p));
    peer_close(&p);
}

static void test_good_then_bad(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_good_then_bad);
}

static void script_timeouts(struct scene *sc) {
    struct reply r;
    struct peer silent = peer_open(sc), idle = peer_open(sc);
    struct peer head = peer_open(sc), body = peer_open(sc);
    EXPECT(sc, peer_ask(&idle, STR("GET /hello HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, peer_send(&head, STR("GET /hello HTTP/1.1\r\nHos")));
    EXPECT(sc,
           peer_send(&body, STR("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc")));
    EXPECT(sc, peer_at_eof(&silent));
    EXPECT(sc, peer_at_eof(&idle));
    EXPECT(sc, peer_reply(&head, false, &r));
    EXPECT(sc, r.status == 408);
    EXPECT(sc, peer_at_eof(&head));
    EXPECT(sc, peer_reply(&body, false, &r));
    EXPECT(sc, r.status == 408);
    peer_close(&silent);
    peer_close(&idle);
    peer_close(&head);
    peer_close(&body);
}

static void test_timeouts(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.header_timeout_us = 400000;
    sc.o.body_idle_timeout_us = 400000;
    sc.o.idle_timeout_us = 400000;
    play(&sc, script_timeouts);
}

/* Dripping bytes does not extend the time for a head. */
static void script_drip(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    for (int i = 0; i < 1000 && p.in.len == 0; i++) {
        if (!peer_send(&p, i ? STR("x") : STR("GET /")))
            break;
        (void)peer_fill(&p, 5);
    }
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT(sc, r.status == 408);
    peer_close(&p);
}

static void test_drip(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.header_timeout_us = 200000;
    play(&sc, script_drip);
}

static void script_slow_reader(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_send(&p, STR("GET /big HTTP/1.1\r\n" HOST "\r\n"
                                 "GET /hello HTTP/1.1\r\n" HOST "\r\n")));
    usleep(50000);
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT(sc, r.body.len == 8 << 20 && r.body.p[0] == 'b' && r.body.p[r.body.len - 1] == 'b');
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT_STR(sc, r.body, "hello");
    peer_close(&p);
}

static void test_slow_reader(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_slow_reader);
}

/* A peer that stops reading is cut after the idle timeout. */
static void script_stuck_reader(struct scene *sc) {
    struct peer p = peer_open(sc), other = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_send(&p, STR("GET /big HTTP/1.1\r\n" HOST "\r\n")));
    usleep(300000);
    EXPECT(sc, peer_ask(&other, STR("GET /hello HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, !peer_reply(&p, false, &r));
    peer_close(&p);
    peer_close(&other);
}

static void test_stuck_reader(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    sc.o.idle_timeout_us = 100000;
    play(&sc, script_stuck_reader);
}

static void script_disconnects(struct scene *sc) {
    struct reply r;
    struct peer p = peer_open(sc);
    EXPECT(sc, peer_send(&p, STR("GET /slow HTTP/1.1\r\n" HOST "\r\n")));
    peer_close(&p); /* while the handler sleeps */
    p = peer_open(sc);
    EXPECT(sc, peer_send(&p, STR("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc")));
    peer_close(&p);
    p = peer_open(sc);
    EXPECT(sc, peer_send(&p, STR("POST /echo HTTP/1.1\r\n" HOST)));
    peer_close(&p);
    p = peer_open(sc); /* a half-closed peer gets its answer */
    EXPECT(sc, peer_send(&p, STR("GET /slow HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST
                                 "\r\n")));
    EXPECT(sc, shutdown(p.fd, SHUT_WR) == 0);
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT_STR(sc, r.body, "slow");
    EXPECT(sc, peer_reply(&p, false, &r));
    EXPECT_STR(sc, r.body, "hello");
    EXPECT(sc, peer_at_eof(&p));
    peer_close(&p);
}

static void test_disconnects(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_disconnects);
}

static void script_no_reply(struct scene *sc) {
    struct peer p = peer_open(sc);
    struct reply r;
    EXPECT(sc, peer_ask(&p, STR("GET /nothing HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, r.status == 500);
    EXPECT(sc, peer_ask(&p, STR("GET /hello HTTP/1.1\r\n" HOST "\r\n"), &r));
    EXPECT(sc, r.status == 200);
    peer_close(&p);
}

static void test_handler_without_reply(void **state) {
    struct scene sc;
    (void)state;
    scene_init(&sc, handle);
    play(&sc, script_no_reply);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_alive),        cmocka_unit_test(test_old_client),
        cmocka_unit_test(test_pipelining),        cmocka_unit_test(test_pipelining_pauses),
        cmocka_unit_test(test_split_and_chunked), cmocka_unit_test(test_large_body),
        cmocka_unit_test(test_continue),          cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_413_is_readable),   cmocka_unit_test(test_good_then_bad),
        cmocka_unit_test(test_timeouts),          cmocka_unit_test(test_drip),
        cmocka_unit_test(test_slow_reader),       cmocka_unit_test(test_stuck_reader),
        cmocka_unit_test(test_disconnects),       cmocka_unit_test(test_handler_without_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
