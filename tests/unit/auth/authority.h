/* SPDX-License-Identifier: Apache-2.0 */
/* authority.h - a server in the test's own loop whose next answers are chosen by the test, and the
 * client that asks it; the body of a test runs on a fiber. */
#ifndef HF_TESTS_AUTH_AUTHORITY_H
#define HF_TESTS_AUTH_AUTHORITY_H

#include "keys.h"

#include "http/client.h"

struct scene {
    struct rt *rt;
    struct http_client *client;
    struct http_server *server;
    struct arena a;
    struct fiber_group fibers;
    void (*body)(struct scene *s);
    int open;
    str url;
    /* what the authority does */
    int status; /* of its answers; 0: it never answers */
    str answer;
    int64_t delay_us;
    int asked, at_once, at_once_max;
    str last_body, last_authorization, last_apikey, last_path;
};

static void authority_handle(struct http_request *req, void *ctx) {
    struct scene *s = ctx;
    s->asked++;
    s->at_once++;
    if (s->at_once > s->at_once_max)
        s->at_once_max = s->at_once;
    s->last_body = arena_dup(&s->a, req->body);
    s->last_path = arena_dup(&s->a, req->path);
    s->last_authorization = arena_dup(&s->a, http_header(req, STR("authorization")));
    s->last_apikey = arena_dup(&s->a, http_header(req, STR("apikey")));
    if (s->status == 0 || s->delay_us)
        (void)fiber_sleep_us(s->status == 0 ? 3600000000 : s->delay_us);
    s->at_once--;
    if (s->status)
        http_reply(req, s->status, STR("application/json"), s->answer);
}

static inline void scene_closed(void *arg) {
    struct scene *s = arg;
    if (--s->open == 0)
        rt_stop(s->rt);
}

static inline void scene_fiber(void *arg) {
    struct scene *s = arg;
    s->body(s);
    fiber_group_cancel(&s->fibers);
    fiber_group_wait(&s->fibers);
    s->open = 2;
    http_client_close(s->client, scene_closed, s);
    http_server_close(s->server, scene_closed, s);
}

static inline void scene_run(void (*body)(struct scene *s)) {
    struct scene s = {.body = body, .status = 200, .answer = STR("{}")};
    struct http_client_options client = {0};
    struct http_server_options server;
    arena_init(&s.a, 64 << 20);
    fiber_group_init(&s.fibers);
    assert_int_equal(rt_open(&s.rt, NULL), 0);
    assert_int_equal(http_client_open(s.rt, &client, &s.client, NULL), 0);
    http_server_options_default(&server);
    server.host = "127.0.0.1";
    server.port = 0;
    server.handler = authority_handle;
    server.ctx = &s;
    assert_int_equal(http_server_open(s.rt, &server, &s.server, NULL), 0);
    s.url = arena_printf(&s.a, "http://127.0.0.1:%d", http_server_port(s.server));
    assert_non_null(fiber_spawn(s.rt, "test", scene_fiber, &s, NULL));
    rt_run(s.rt);
    rt_close(s.rt);
    arena_deinit(&s.a);
}

#endif
