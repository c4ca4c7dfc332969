/* SPDX-License-Identifier: Apache-2.0 */
/* test_client.c - the HTTP client. Goal: what is sent and read is exact, connections are used
 * again, a slow reader stops the peer, every failure gets its code and a text without secrets,
 * cancelling cuts the connection. Method: fibers against a raw TCP server on the same loop, whose
 * answer is chosen by the path. */
#include "http/client.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../support/raw_server.h"
#include "http/client_int.h"

#define BIG_BYTES ((size_t)8 << 20)

struct scene {
    struct rt *rt;
    struct raw_server server;
    struct http_client *client;
    struct arena arena;
    void (*body)(struct scene *s);
    char last[64 * 1024]; /* the last request */
    size_t last_len;
    struct raw_conn *kept;
    struct fiber *other;
    int other_rc;
    size_t others_left;
};

static str big_body(void) {
    char *p = mem_alloc(BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++)
        p[i] = (char)('a' + i % 23);
    return str_n(p, BIG_BYTES);
}

static void answer_big(struct raw_conn *conn) {
    str body = big_body();
    raw_reply(conn, 200, "", body);
    mem_free((char *)body.p);
}

static void answer(struct raw_conn *conn, str request, void *ctx) {
    struct scene *s = ctx;
    s->last_len = request.len < sizeof s->last ? request.len : sizeof s->last;
    memcpy(s->last, request.p, s->last_len);
    s->kept = conn;
    str line = str_slice(request, 0, (size_t)str_find_char(request, '\r'));
    str rest = line, method = STR_NULL, path = STR_NULL;
    assert_true(str_split_next(&rest, ' ', &method) && str_split_next(&rest, ' ', &path));
    if (str_eq(path, STR("/hello"))) {
        raw_reply(conn, 200, "Content-Type: text/plain\r\nX-Two:  a b \r\n",
                  str_eq(method, STR("HEAD")) ? STR("") : STR("hello"));
    } else if (str_eq(path, STR("/chunked"))) {
        raw_send(conn, STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Trailer: 1\r\n\r\n"));
    } else if (str_eq(path, STR("/big"))) {
        answer_big(conn);
    } else if (str_eq(path, STR("/cut"))) {
        raw_send(conn, STR("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"));
        raw_close(conn);
    } else if (str_eq(path, STR("/drop"))) {
        raw_close(conn);
    } else if (str_eq(path, STR("/garbage"))) {
        raw_send(conn, STR("this is not HTTP at all\r\n\r\n"));
        raw_close(conn);
    } else if (str_eq(path, STR("/redirect"))) {
        raw_reply(conn, 302, "Location: /hello\r\n", STR(""));
    } else if (str_eq(path, STR("/interim"))) {
        raw_send(conn, STR("HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"));
        raw_reply(conn, 201, "X-Late: 2\r\n", STR("late"));
    } else if (str_eq(path, STR("/head-only"))) {
        raw_send(conn, STR("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"));
    } else if (str_eq(path, STR("/large-head"))) {
        raw_send(conn, STR("HTTP/1.1 200 OK\r\n"));
        char line_of[2100];
        memset(line_of, 'x', sizeof line_of);
        memcpy(line_of, "X-Fill: ", 8);
        memcpy(line_of + sizeof line_of - 2, "\r\n", 2);
        for (int i = 0; i < 40; i++)
            raw_send(conn, str_n(line_of, sizeof line_of));
    } else {
        assert_true(str_eq(path, STR("/silent")));
    }
}

static int setup(void **state) {
    struct scene *s = NEW(struct scene);
    *state = s;
    assert_int_equal(rt_open(&s->rt, NULL), 0);
    assert_int_equal(raw_server_open(&s->server, s->rt, answer, s), 0);
    struct http_client_options o = {.connections_per_host_max = 4};
    assert_int_equal(http_client_open(s->rt, &o, &s->client, NULL), 0);
    arena_init(&s->arena, (size_t)64 << 20);
    return 0;
}

static void stop(void *arg) {
    struct scene *s = arg;
    raw_server_close(&s->server);
    rt_stop(s->rt);
}

static int teardown(void **state) {
    struct scene *s = *state;
    arena_deinit(&s->arena);
    rt_close(s->rt);
    mem_free(s);
    return 0;
}

static void run_body(void *arg) {
    struct scene *s = arg;
    s->body(s);
    http_client_close(s->client, stop, s);
}

static void run(void **state, void (*body)(struct scene *s)) {
    struct scene *s = *state;
    s->body = body;
    assert_non_null(fiber_spawn(s->rt, "test", run_body, s, NULL));
    rt_run(s->rt);
}

static str url_of(struct scene *s, const char *path) {
    return arena_printf(&s->arena, "http://127.0.0.1:%d%s", s->server.port, path);
}

static int get(struct scene *s, const char *path, struct http_call **out, struct err *err) {
    struct http_call_options o = {.method = HTTP_GET, .url = url_of(s, path), .proxy = STR("")};
    return http_call_open(s->client, &o, out, err);
}

/* The body of a GET that must succeed. */
static str fetch(struct scene *s, const char *path) {
    struct http_call *call;
    str body;
    assert_int_equal(get(s, path, &call, NULL), 0);
    assert_int_equal(http_call_read_all(call, &s->arena, BIG_BYTES, &body, NULL), 0);
    http_call_close(call);
    return body;
}

#define assert_str(a, z)                                                                           \
    do {                                                                                           \
        str got_ = (a);                                                                            \
        assert_int_equal(got_.len, strlen(z));                                                     \
        assert_memory_equal(got_.p, z, got_.len);                                                  \
    } while (0)

static void body_get(struct scene *s) {
    struct http_call *call;
    assert_int_equal(get(s, "/hello", &call, NULL), 0);
    assert_int_equal(http_call_status(call), 200);
    assert_str(http_call_header(call, STR("content-type")), "text/plain");
    assert_str(http_call_header(call, STR("x-two")), "a b");
    assert_null(http_call_header(call, STR("x-none")).p);
    assert_null(http_call_header(call, STR("x")).p);
    str part;
    assert_int_equal(http_call_read(call, &part, NULL), 0);
    assert_str(part, "hello");
    assert_int_equal(http_call_read(call, &part, NULL), 0);
    assert_int_equal(part.len, 0);
    http_call_close(call);
    assert_str(fetch(s, "/chunked"), "abcdefg");
}

static void test_get(void **state) { run(state, body_get); }

static void body_request_bytes(struct scene *s) {
    struct http_header headers[] = {{STR("Content-Type"), STR("application/json")},
                                    {STR("Authorization"), STR("Bearer one")},
                                    {STR("X-Empty"), STR("")}};
    struct http_call_options o = {.method = HTTP_POST,
                                  .url = url_of(s, "/hello"),
                                  .headers = headers,
                                  .header_count = 3,
                                  .body = STR("{\"a\":1}"),
                                  .proxy = STR("")};
    struct http_call *call;
    assert_int_equal(http_call_open(s->client, &o, &call, NULL), 0);
    http_call_close(call);
    str seen = str_n(s->last, s->last_len);
    assert_true(str_starts(seen, STR("POST /hello HTTP/1.1\r\n")));
    assert_true(str_ends(seen, STR("\r\n\r\n{\"a\":1}")));
    assert_true(str_find(seen, STR("\r\nAuthorization: Bearer one\r\n")) > 0);
    assert_true(str_find(seen, STR("\r\nContent-Type: application/json\r\n")) > 0);
    assert_true(str_find(seen, STR("\r\nX-Empty:\r\n")) > 0);
    assert_true(str_find(seen, STR("\r\nContent-Length: 7\r\n")) > 0);
    assert_true(str_find(seen, STR("Expect")) < 0);

    /* The pooled call must not carry anything over. */
    headers[1].value = STR("Bearer two");
    o.header_count = 2;
    o.method = HTTP_PUT;
    o.body = STR("");
    assert_int_equal(http_call_open(s->client, &o, &call, NULL), 0);
    http_call_close(call);
    seen = str_n(s->last, s->last_len);
    assert_true(str_starts(seen, STR("PUT /hello HTTP/1.1\r\n")));
    assert_true(str_find(seen, STR("Bearer two")) > 0);
    assert_true(str_find(seen, STR("Bearer one")) < 0);
    assert_true(str_find(seen, STR("X-Empty")) < 0);
    assert_true(str_find(seen, STR("\r\nContent-Length: 0\r\n")) > 0);

    static const enum http_method methods[] = {HTTP_HEAD, HTTP_GET, HTTP_DELETE, HTTP_OPTIONS};
    o.header_count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        o.method = methods[i];
        assert_int_equal(http_call_open(s->client, &o, &call, NULL), 0);
        assert_int_equal(http_call_status(call), 200);
        http_call_close(call);
        seen = str_n(s->last, s->last_len);
        assert_true(str_starts(seen, http_method_name(methods[i])));
        assert_true(str_find(seen, STR("Bearer")) < 0);
        assert_true(str_find(seen, STR("Content-")) < 0);
    }
}

static void test_request_bytes(void **state) { run(state, body_request_bytes); }

static void body_large_request(struct scene *s) {
    str body = big_body();
    struct http_call_options o = {
        .method = HTTP_POST, .url = url_of(s, "/hello"), .body = body, .proxy = STR("")};
    struct http_call *call;
    assert_int_equal(http_call_open(s->client, &o, &call, NULL), 0);
    assert_int_equal(http_call_status(call), 200);
    http_call_close(call);
    assert_true(str_find(str_n(s->last, s->last_len), STR("\r\n\r\nabcdefghijklmnopqrstuvwabc")) >
                0);
    mem_free((char *)body.p);
}

static void test_large_request(void **state) { run(state, body_large_request); }

static void body_reuse(struct scene *s) {
    for (int i = 0; i < 50; i++)
        assert_str(fetch(s, i % 2 ? "/hello" : "/chunked"), i % 2 ? "hello" : "abcdefg");
    assert_int_equal(s->server.requests, 50);
    assert_int_equal(s->server.accepted, 1);
}

static void test_connection_is_reused(void **state) { run(state, body_reuse); }

static void fetch_one(void *arg) {
    struct scene *s = arg;
    assert_str(fetch(s, "/hello"), "hello");
    if (--s->others_left == 0)
        fiber_unpark(s->other);
}

static void body_limit(struct scene *s) {
    s->other = fiber_self();
    s->others_left = 40;
    for (int i = 0; i < 40; i++)
        assert_non_null(fiber_spawn(s->rt, "fetch", fetch_one, s, NULL));
    while (s->others_left > 0)
        assert_int_equal(fiber_park(FIBER_NO_DEADLINE), 0);
    assert_int_equal(s->server.requests, 40);
    assert_in_range(s->server.accepted, 1, 4);
}

static void test_connections_per_host_are_limited(void **state) { run(state, body_limit); }

/* A connection that the peer closed while it was idle must not fail the next call. */
static void body_idle_closed(struct scene *s) {
    assert_str(fetch(s, "/hello"), "hello");
    raw_close(s->kept);
    assert_int_equal(fiber_sleep_us(20000), 0);
    assert_str(fetch(s, "/hello"), "hello");
    assert_int_equal(s->server.accepted, 2);
}

static void test_idle_connection_closed_by_peer(void **state) { run(state, body_idle_closed); }

static void body_backpressure(struct scene *s) {
    struct http_call *call;
    assert_int_equal(get(s, "/big", &call, NULL), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(fiber_sleep_us(5000), 0);
    /* The kernel takes some of it, but most must still wait at the server. */
    size_t waiting = uv_stream_get_write_queue_size((uv_stream_t *)&s->kept->tcp);
    assert_in_range(waiting, 1, BIG_BYTES);
    size_t total = 0;
    str part;
    for (;;) {
        assert_int_equal(http_call_read(call, &part, NULL), 0);
        if (part.len == 0)
            break;
        assert_in_range(part.len, 1, 256 * 1024 + 2 * 16384);
        for (size_t i = 0; i < part.len; i++)
            if (part.p[i] != (char)('a' + (total + i) % 23))
                fail_msg("wrong byte at %zu", total + i);
        total += part.len;
    }
    assert_int_equal(total, BIG_BYTES);
    http_call_close(call);
    assert_str(fetch(s, "/hello"), "hello");
    assert_int_equal(s->server.accepted, 1);
}

static void test_slow_reader_stops_the_peer(void **state) { run(state, body_backpressure); }

static void body_too_large(struct scene *s) {
    struct http_call *call;
    str body;
    struct err err = {0};
    assert_int_equal(get(s, "/big", &call, NULL), 0);
    assert_int_equal(http_call_read_all(call, &s->arena, 1000000, &body, &err), ERR_TOO_LARGE);
    http_call_close(call);
    assert_int_equal(get(s, "/large-head", &call, &err), ERR_TOO_LARGE);
    assert_int_equal(get(s, "/hello", &call, NULL), 0);
    assert_int_equal(http_call_read_all(call, &s->arena, 5, &body, &err), 0);
    http_call_close(call);
    assert_int_equal(get(s, "/hello", &call, NULL), 0);
    assert_int_equal(http_call_read_all(call, &s->arena, 4, &body, &err), ERR_TOO_LARGE);
    http_call_close(call);
}

static void test_too_large(void **state) { run(state, body_too_large); }

static void body_failures(struct scene *s) {
    struct http_call *call = NULL;
    struct err err = {0};
    str body;
    assert_int_equal(get(s, "/drop", &call, &err), ERR_CLOSED);
    assert_int_equal(get(s, "/garbage", &call, &err), ERR_MALFORMED);
    assert_int_equal(get(s, "/cut", &call, &err), 0);
    assert_int_equal(http_call_read_all(call, &s->arena, 100, &body, &err), ERR_CLOSED);
    assert_true(str_find(str_of(err.message), STR("127.0.0.1:")) > 0);
    http_call_close(call);
    assert_int_equal(get(s, "/redirect", &call, &err), 0);
    assert_int_equal(http_call_status(call), 302);
    http_call_close(call);
    assert_int_equal(get(s, "/interim", &call, &err), 0);
    assert_int_equal(http_call_status(call), 201);
    assert_str(http_call_header(call, STR("x-late")), "2");
    assert_null(http_call_header(call, STR("x-early")).p);
    http_call_close(call);
}

static void test_failures(void **state) { run(state, body_failures); }

static void body_refused(struct scene *s) {
    struct http_call *call = NULL;
    struct err err = {0};
    /* A port that was just free: open and close a listener. */
    struct raw_server gone = {0};
    assert_int_equal(raw_server_open(&gone, s->rt, answer, s), 0);
    raw_server_close(&gone);
    fiber_yield();
    struct http_call_options o = {.method = HTTP_GET, .proxy = STR("")};
    o.url = arena_printf(&s->arena, "http://user:hunter2@127.0.0.1:%d/x?key=hunter3", gone.port);
    assert_int_equal(http_call_open(s->client, &o, &call, &err), ERR_UNAVAILABLE);
    assert_true(str_find(str_of(err.message), STR("cannot connect to 127.0.0.1:")) == 0);
    assert_true(str_find(str_of(err.message), STR("hunter")) < 0);
    o.url = STR("http://no-such-name.invalid/");
    assert_int_equal(http_call_open(s->client, &o, &call, &err), ERR_UNAVAILABLE);
    assert_true(str_find(str_of(err.message), STR("no-such-name.invalid:80")) > 0);
    assert_int_equal(fiber_sleep_us(10000), 0); /* the listener's close callback */
}

static void test_unreachable(void **state) { run(state, body_refused); }

static void body_invalid(struct scene *s) {
    static const char *const urls[] = {"ftp://127.0.0.1/",
                                       "file:///etc/passwd",
                                       "",
                                       "http://",
                                       "http://[::1/",
                                       "http://a:99999/",
                                       "http://127.0.0.1:x/",
                                       "//127.0.0.1/"};
    struct http_call *call = NULL;
    struct http_call_options o = {.method = HTTP_GET, .proxy = STR("")};
    for (size_t i = 0; i < ARRAY_COUNT(urls); i++) {
        o.url = str_of(urls[i]);
        assert_int_equal(http_call_open(s->client, &o, &call, NULL), ERR_INVALID);
    }
    struct http_header bad[] = {{STR("X-A"), STR("a\r\nX-B: b")},
                                {STR("X:A"), STR("a")},
                                {STR("X-A"), STR("a\0b")},
                                {STR(""), STR("a")}};
    o.url = url_of(s, "/hello");
    o.header_count = 1;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        o.headers = &bad[i];
        assert_int_equal(http_call_open(s->client, &o, &call, NULL), ERR_INVALID);
    }
    assert_int_equal(s->server.requests, 0);
}

static void test_invalid_requests(void **state) { run(state, body_invalid); }

static void body_timeouts(struct scene *s) {
    struct http_call *call = NULL;
    str part;
    struct err err = {0};
    struct http_call_options o = {.method = HTTP_GET,
                                  .url = url_of(s, "/silent"),
                                  .head_timeout_us = 30000,
                                  .idle_timeout_us = 30000,
                                  .proxy = STR("")};
    assert_int_equal(http_call_open(s->client, &o, &call, &err), ERR_TIMEOUT);
    o.url = url_of(s, "/head-only");
    assert_int_equal(http_call_open(s->client, &o, &call, &err), 0);
    assert_int_equal(http_call_read(call, &part, &err), 0);
    assert_str(part, "abc");
    assert_int_equal(http_call_read(call, &part, &err), ERR_TIMEOUT);
    http_call_close(call);
    for (int i = 0; i < 100 && s->server.gone < 2; i++)
        assert_int_equal(fiber_sleep_us(5000), 0);
    assert_int_equal(s->server.gone, 2);
}

static void test_timeouts(void **state) { run(state, body_timeouts); }

static void wait_for_head(void *arg) {
    struct scene *s = arg;
    struct http_call *call;
    s->other_rc = get(s, "/silent", &call, NULL);
}

static void wait_for_body(void *arg) {
    struct scene *s = arg;
    struct http_call *call;
    str part;
    assert_int_equal(get(s, "/head-only", &call, NULL), 0);
    assert_int_equal(http_call_read(call, &part, NULL), 0);
    s->other_rc = http_call_read(call, &part, NULL);
    http_call_close(call);
}

static void body_cancel(struct scene *s) {
    fiber_fn fns[] = {wait_for_head, wait_for_body};
    for (size_t i = 0; i < ARRAY_COUNT(fns); i++) {
        s->other_rc = 0;
        struct fiber *f = fiber_spawn(s->rt, "waiter", fns[i], s, NULL);
        assert_non_null(f);
        assert_int_equal(fiber_sleep_us(30000), 0);
        assert_int_equal(s->server.requests, i + 1);
        assert_int_equal(s->server.gone, i);
        fiber_cancel(f);
        for (int k = 0; k < 100 && s->server.gone <= i; k++)
            assert_int_equal(fiber_sleep_us(5000), 0);
        assert_int_equal(s->other_rc, ERR_CANCELLED);
        assert_int_equal(s->server.gone, i + 1);
    }
}

static void test_cancel_cuts_the_connection(void **state) { run(state, body_cancel); }

/* localhost must be reached, also when it names an IPv6 address first. */
static void body_localhost(struct scene *s) {
    struct http_call *call = NULL;
    struct http_call_options o = {.method = HTTP_GET, .proxy = STR("")};
    o.url = arena_printf(&s->arena, "http://localhost:%d/hello", s->server.port);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http_call_open(s->client, &o, &call, NULL), 0);
        http_call_close(call);
    }
    assert_int_equal(s->server.accepted, 1);
}

static void test_localhost(void **state) { run(state, body_localhost); }

/* The address was checked by the caller: the name is never looked up, and no connection that was
 * made another way is used. */
static void body_connect_to(struct scene *s) {
    struct http_call *call;
    struct err err = {0};
    struct http_call_options o = {.method = HTTP_GET, .proxy = STR("")};
    o.url = arena_printf(&s->arena, "http://pinned.invalid:%d/hello", s->server.port);
    o.connect_to = STR("127.0.0.1");
    assert_int_equal(http_call_open(s->client, &o, &call, &err), 0);
    assert_int_equal(http_call_status(call), 200);
    http_call_close(call);
    char host[64];
    int len = snprintf(host, sizeof host, "Host: pinned.invalid:%d\r\n", s->server.port);
    assert_true(str_find(str_n(s->last, s->last_len), str_n(host, (size_t)len)) > 0);
    o.connect_to = STR("127.0.0.2"); /* nobody listens there */
    assert_int_equal(http_call_open(s->client, &o, &call, &err), ERR_UNAVAILABLE);
    o.connect_to = STR("::1");
    assert_int_equal(http_call_open(s->client, &o, &call, &err), ERR_UNAVAILABLE);
    o.connect_to = STR_NULL; /* forgotten with the call */
    assert_int_equal(http_call_open(s->client, &o, &call, &err), ERR_UNAVAILABLE);
}

static void test_connect_to(void **state) { run(state, body_connect_to); }

/* A connection that is given up before it stands: the loop watches its number no longer, since the
 * next one to get that is somebody else. The listener has room for nobody. */
static void body_given_up(struct scene *s) {
    int full[4], listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    for (size_t i = 0; i < ARRAY_COUNT(full); i++) {
        full[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(full[i], (struct sockaddr *)&at, len);
    }
    struct http_call *call;
    struct http_call_options o = {
        .method = HTTP_GET, .proxy = STR(""), .connect_timeout_us = 50000};
    o.url = arena_printf(&s->arena, "http://127.0.0.1:%d/", ntohs(at.sin_port));
    assert_int_equal(http_call_open(s->client, &o, &call, NULL), ERR_UNAVAILABLE);
    for (size_t fd = 0; fd < s->client->by_fd.count; fd++)
        assert_true(!s->client->by_fd.p[fd] || fcntl((int)fd, F_GETFD) >= 0);
    for (size_t i = 0; i < ARRAY_COUNT(full); i++)
        close(full[i]);
    close(listener);
}

static void test_given_up_while_connecting(void **state) { run(state, body_given_up); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_get, setup, teardown),
        cmocka_unit_test_setup_teardown(test_request_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connection_is_reused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connections_per_host_are_limited, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_connection_closed_by_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_reader_stops_the_peer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreachable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_invalid_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timeouts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_cuts_the_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(test_localhost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect_to, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_up_while_connecting, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
