/* SPDX-License-Identifier: Apache-2.0 */
/* test_tools.c - Goal: the tools answer, refuse what they must not do, and can be cancelled.
 * Method: calls on a fiber with a real HTTP client; the servers asked are threads with blocking
 * sockets on loopback, allowed by address as an operator would. */
#include "graphs/guarded_http.h"
#include "http/address.h"
#include "graphs/tools.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/client.h"

struct scene {
    struct rt *rt;
    struct http_client *client;
    struct graphs_settings settings;
    struct graph_services services;
    struct arena a;
    void (*body)(struct scene *s);
};

static void closed(void *arg) { rt_stop(((struct scene *)arg)->rt); }

static void scene_fiber(void *arg) {
    struct scene *s = arg;
    s->body(s);
    http_client_close(s->client, closed, s);
}

static void scene_run(void (*body)(struct scene *s)) {
    struct scene s = {.body = body};
    struct http_client_options o = {0};
    arena_init(&s.a, 64 << 20);
    graphs_settings_default(&s.settings);
    assert_int_equal(rt_open(&s.rt, NULL), 0);
    assert_int_equal(http_client_open(s.rt, &o, &s.client, NULL), 0);
    s.services = (struct graph_services){.rt = s.rt, .http = s.client, .settings = &s.settings};
    assert_non_null(fiber_spawn(s.rt, "test", scene_fiber, &s, NULL));
    rt_run(s.rt);
    rt_close(s.rt);
    arena_deinit(&s.a);
}

static int call(struct scene *s, const char *tool, const char *arguments, struct tool_answer *out) {
    struct tool_call c = {.services = &s->services, .settings = &s->settings, .arena = &s->a};
    *out = (struct tool_answer){0};
    assert_int_equal(json_parse(&s->a, str_of(arguments), &c.arguments, NULL), 0);
    return tool_run(tool_find(str_of(tool)), &c, out);
}

static void expect(struct scene *s, const char *tool, const char *arguments, bool failed,
                   const char *text) {
    struct tool_answer out;
    assert_int_equal(call(s, tool, arguments, &out), 0);
    if (out.failed != failed || str_find(out.text, str_of(text)) < 0)
        fail_msg("%s %s gives " STR_FMT " (failed: %d), not %s", tool, arguments, STR_ARG(out.text),
                 out.failed, text);
}

/* --- arguments, small tools --------------------------------------------------------------------
 */

static void body_arguments(struct scene *s) {
    expect(s, "calculator", "{\"expression\":\"2^10\"}", false, "1024");
    expect(s, "calculator", "{\"expression\":\"2^\"}", true, "Error: expected");
    expect(s, "calculator", "{}", true, "the argument \"expression\" is required");
    expect(s, "calculator", "{\"expression\":null}", true, "\"expression\" is required");
    expect(s, "calculator", "{\"expression\":7}", true, "\"expression\" must be a string");
    expect(s, "calculator", "{\"expression\":\"1\",\"and\":\"2\"}", true,
           "there is no argument \"and\". The arguments' schema is {\"type\"");
    expect(s, "calculator", "[1]", true, "must be a JSON object");
    expect(s, "current_time", "{\"timezone\":null}", false, "Z (");
    assert_null(tool_find(STR("shell")));
}
static void test_arguments(void **state) {
    (void)state;
    scene_run(body_arguments);
}

static int64_t fixed_wall(void) { return 1732155754334123; } /* 2024-11-21T02:22:34Z, Thursday */

static void body_time(struct scene *s) {
    fiber_yield(); /* the next turn has the new clock */
    assert_int_equal(fiber_sleep_us(1000), 0);
    expect(s, "current_time", "{}", false, "2024-11-21T02:22:34Z (Thursday)");
    expect(s, "current_time", "{\"timezone\":\"utc\"}", false, "2024-11-21T02:22:34Z (Thursday)");
    expect(s, "current_time", "{\"timezone\":\"Etc/UTC\"}", false, "02:22:34Z");
    expect(s, "current_time", "{\"timezone\":\"+02:00\"}", false,
           "2024-11-21T04:22:34+02:00 (Thursday)");
    expect(s, "current_time", "{\"timezone\":\"-05:30\"}", false,
           "2024-11-20T20:52:34-05:30 (Wednesday)");
    expect(s, "current_time", "{\"timezone\":\"GMT+1\"}", true, "only UTC and fixed offsets");
    expect(s, "current_time", "{\"timezone\":\"UTC+0130\"}", false, "03:52:34+01:30");
    expect(s, "current_time", "{\"timezone\":\"+14\"}", false, "16:22:34+14:00");
    static const char *const unknown[] = {
        "Europe/Berlin", "+15", "+14:30", "+02:", "+02:60", "+2:00", "02:00", "+02:000"};
    for (size_t i = 0; i < ARRAY_COUNT(unknown); i++) {
        char json[80];
        snprintf(json, sizeof(json), "{\"timezone\":\"%s\"}", unknown[i]);
        expect(s, "current_time", json, true, "only UTC and fixed offsets");
    }
}
static void test_time(void **state) {
    (void)state;
    clock_set_source(fixed_wall, NULL);
    scene_run(body_time);
    clock_set_source(NULL, NULL);
}

/* --- http_get ----------------------------------------------------------------------------------
 */

static void test_addresses(void **state) {
    (void)state;
    static const char *const public[] = {"8.8.8.8",          "1.1.1.1",      "172.15.255.255",
                                         "172.32.0.1",       "100.128.0.1",  "192.169.0.1",
                                         "2606:4700::11",    "2a00:1450::1", "::ffff:8.8.8.8",
                                         "64:ff9b::808:808", "223.255.255.1"};
    static const char *const other[] = {"127.0.0.1",
                                        "0.0.0.0",
                                        "10.1.2.3",
                                        "172.16.0.1",
                                        "172.31.255.255",
                                        "192.168.1.1",
                                        "169.254.169.254",
                                        "100.64.0.1",
                                        "224.0.0.1",
                                        "255.255.255.255",
                                        "198.18.0.1",
                                        "192.0.2.1",
                                        "::",
                                        "::1",
                                        "fe80::1",
                                        "fc00::1",
                                        "fd12::1",
                                        "ff02::1",
                                        "::ffff:127.0.0.1",
                                        "::ffff:10.0.0.1",
                                        "64:ff9b::7f00:1",
                                        "2002:7f00:1::",
                                        "2001::1",
                                        "2001:db8::1",
                                        "::127.0.0.1",
                                        "example.com",
                                        "",
                                        "127.1",
                                        "0x7f.0.0.1",
                                        "8.8.8.8 "};
    for (size_t i = 0; i < ARRAY_COUNT(public); i++)
        if (!http_address_is_public(str_of(public[i])))
            fail_msg("%s is public", public[i]);
    for (size_t i = 0; i < ARRAY_COUNT(other); i++)
        if (http_address_is_public(str_of(other[i])))
            fail_msg("%s is not public", other[i]);
}

static void body_refusals(struct scene *s) {
    static const struct {
        const char *url, *why;
    } cases[] = {
        {"ftp://example.com/", "must begin with http:// or https://"},
        {"file:///etc/passwd", "must begin with http:// or https://"},
        {"example.com", "must begin with http:// or https://"},
        {"HTTP://example.com", "must begin with http:// or https://"},
        {"http://example.com.evil.net/", "is not among those that this tool may ask"},
        {"http://evil.net/example.com", "is not among those"},
        {"http://example.com:8080/", "port 8080 is not among those"},
        {"http://example.com@evil.net/", "must not hold a user"},
        {"http://evil.net\\\\@example.com/", "must be percent-encoded"},
        {"http://example.com /", "must be percent-encoded"},
        {"http://example.com\\r\\nHost: x/", "must be percent-encoded"},
        {"http:///path", "the host of the address cannot be read"},
        {"http://[::1/", "the host of the address cannot be read"},
        {"http://example.com:0/", "the host of the address cannot be read"},
        {"http://example.com:080/", "the host of the address cannot be read"},
        {"http://example.com:x/", "the host of the address cannot be read"},
        {"http://127.0.0.1/", "is not among those"},
        {"http://[::1]/", "is not among those"},
        {"http://2130706433/", "is not among those"},
        /* Allowed by name, but the name leads inside. */
        {"http://localhost/", "leads to a private address"},
        {"https://LOCALHOST/", "leads to a private address"},
        {"http://no-such-host.invalid/", "cannot be resolved"},
    };
    s->settings.http_get_hosts = STR("example.com, localhost ,no-such-host.invalid,");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char json[300];
        snprintf(json, sizeof(json), "{\"url\":\"%s\"}", cases[i].url);
        expect(s, "http_get", json, true, cases[i].why);
    }
    s->settings.http_get_hosts = STR_NULL;
    expect(s, "http_get", "{\"url\":\"http://example.com/\"}", true, "is not among those");
}
static void test_refusals(void **state) {
    (void)state;
    scene_run(body_refusals);
}

/* A server that gives each client the next answer, and none at the end of the list. */
struct server {
    int fd, port, came;
    const struct server_answer {
        const char *head, *body;
        size_t repeat; /* of the body */
    } * answers;
    int count;
    bool went_away;
    char asked[4096];
    pthread_t thread;
};

static void *server_main(void *arg) {
    struct server *sv = arg;
    for (int i = 0;; i++) {
        int fd = accept(sv->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        ssize_t n = read(fd, sv->asked, sizeof(sv->asked) - 1);
        sv->asked[n > 0 ? n : 0] = '\0';
        __atomic_add_fetch(&sv->came, 1, __ATOMIC_SEQ_CST);
        if (i < sv->count) {
            (void)!write(fd, sv->answers[i].head, strlen(sv->answers[i].head));
            bool open = true;
            for (size_t k = 0; k < sv->answers[i].repeat && open; k++)
                open = send(fd, sv->answers[i].body, strlen(sv->answers[i].body), MSG_NOSIGNAL) > 0;
        } else {
            char c;
            sv->went_away = read(fd, &c, 1) <= 0;
        }
        close(fd);
    }
}

static void server_start(struct server *sv, const struct server_answer *answers, int count) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    *sv = (struct server){.answers = answers, .count = count};
    sv->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(sv->fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(sv->fd, 16), 0);
    assert_int_equal(getsockname(sv->fd, (struct sockaddr *)&at, &len), 0);
    sv->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&sv->thread, NULL, server_main, sv), 0);
}

static void server_stop(struct server *sv) {
    shutdown(sv->fd, SHUT_RDWR);
    pthread_join(sv->thread, NULL);
    close(sv->fd);
}

#define CLOSE "Connection: close\r\n\r\n"

static void body_fetch(struct scene *s) {
    static const struct server_answer answers[] = {
        {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" CLOSE, "<p>gr\xc3\xbc\xc3\x9f</p>", 1},
        {"HTTP/1.1 404 Not Found\r\n" CLOSE, "nothing here", 1},
        {"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n" CLOSE, "", 0},
        {"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n" CLOSE, "\x89PNG\xff\xfe", 1},
        {"HTTP/1.1 200 OK\r\n" CLOSE, "x\xc3\xbc", 100000},
        {"nonsense\r\n\r\n", "", 0},
    };
    static const struct {
        const char *text;
        bool failed;
    } expected[] = {
        {"status 200, text/html\n\n<p>gr\xc3\xbc\xc3\x9f</p>", false},
        {"Error: status 404\n\nnothing here", true},
        {"Error: status 302, leads to http://10.0.0.1/ (not followed)", true},
        {"status 200, image/png\n\n(the answer is not text)", false},
        {"\n(cut here: the answer is longer than 64 KB)", false},
        {"Error: ", true},
    };
    struct server sv;
    char json[100];
    server_start(&sv, answers, ARRAY_COUNT(answers));
    s->settings.http_get_hosts = arena_printf(&s->a, "other, 127.0.0.1:%d", sv.port);
    snprintf(json, sizeof(json), "{\"url\":\"http://127.0.0.1:%d/a?b=c#d\"}", sv.port);
    for (size_t i = 0; i < ARRAY_COUNT(answers); i++) {
        expect(s, "http_get", json, expected[i].failed, expected[i].text);
        if (i == 0) {
            assert_non_null(strstr(sv.asked, "GET /a?b=c HTTP/1.1\r\n"));
            assert_null(strstr(sv.asked, "Authorization"));
        }
    }
    /* In IPv6's spelling of the same address nothing is allowed. */
    snprintf(json, sizeof(json), "{\"url\":\"http://[::ffff:127.0.0.1]:%d/\"}", sv.port);
    expect(s, "http_get", json, true, "is not among those");
    server_stop(&sv);
    expect(s, "http_get", "{\"url\":\"http://other/\"}", true, "Error: ");
}
static void test_fetch(void **state) {
    (void)state;
    scene_run(body_fetch);
}

struct fetcher {
    struct scene *s;
    char json[100];
    struct tool_answer answer;
    int rc;
};
static void fetch_fiber(void *arg) {
    struct fetcher *f = arg;
    f->rc = call(f->s, "http_get", f->json, &f->answer);
}

static void body_cancel(struct scene *s) {
    struct server sv;
    struct fetcher f = {.s = s};
    struct fiber_group group;
    server_start(&sv, NULL, 0);
    s->settings.http_get_hosts = arena_printf(&s->a, "127.0.0.1:%d", sv.port);
    snprintf(f.json, sizeof(f.json), "{\"url\":\"http://127.0.0.1:%d/\"}", sv.port);
    fiber_group_init(&group);
    assert_int_equal(fiber_group_spawn(&group, s->rt, "fetch", fetch_fiber, &f, NULL), 0);
    while (__atomic_load_n(&sv.came, __ATOMIC_SEQ_CST) == 0)
        assert_int_equal(fiber_sleep_us(1000), 0);
    fiber_group_cancel(&group);
    fiber_group_wait(&group);
    assert_int_equal(f.rc, ERR_CANCELLED);
    server_stop(&sv);
    assert_true(sv.went_away);
}
static void test_cancel(void **state) {
    (void)state;
    scene_run(body_cancel);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments), cmocka_unit_test(test_time),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_fetch),     cmocka_unit_test(test_cancel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
