/* SPDX-License-Identifier: Apache-2.0 */
/* agent_fixture.h - the graph "agent" in a real engine on an in-memory database, with the model
 * stand-in as its model server, all on one loop; and a peer: a thread with blocking sockets that
 * stands for a server which does what the stand-in cannot. */
#ifndef HF_TESTS_AGENT_FIXTURE_H
#define HF_TESTS_AGENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/mock_llm.h"
#include "base/mem.h"
#include "db/sqlite/sqlite.h"
#include "engine/engine.h"
#include "graphs/graphs.h"
#include "llm/port.h"
#include "store/assistants.h"

struct scene {
    struct rt *rt;
    struct mock_llm_options mock_options;
    struct mock_llm *mock;
    struct http_client *client;
    struct llm *llm;
    struct graphs_settings settings;
    struct db *db;
    struct store store;
    struct graph_services services;
    struct registry *registry;
    struct engine *engine;
    struct arena a;
    struct principal who;
    void (*body)(struct scene *s);
};

static void scene_mock_closed(void *arg) { rt_stop(((struct scene *)arg)->rt); }

static void scene_client_closed(void *arg) {
    struct scene *s = arg;
    mock_llm_close(s->mock, scene_mock_closed, s);
}

static void scene_fiber(void *arg) {
    struct scene *s = arg;
    const char *ids[] = {"agent"};
    assert_int_equal(assistant_seed(&s->store, ids, 1, &s->a, NULL), 0);
    s->body(s);
    engine_drain(s->engine, rt_mono_us(s->rt));
    llm_free(s->llm);
    http_client_close(s->client, scene_client_closed, s);
}

static void scene_init(struct scene *s) {
    *s = (struct scene){.who = {.owner = STR("")}};
    mock_llm_options_default(&s->mock_options);
    s->mock_options.port = 0;
    s->mock_options.delay_ms = 0;
    s->mock_options.token_delay_ms = 0;
    s->mock_options.retry_after_s = 0;
    graphs_settings_default(&s->settings);
    s->settings.model_retries_max = 0;
}

static void scene_run(struct scene *s, void (*body)(struct scene *s)) {
    struct db_sqlite_options o;
    struct http_client_options client = {0};
    db_sqlite_options_default(&o);
    s->body = body;
    arena_init(&s->a, SIZE_MAX / 2);
    assert_int_equal(rt_open(&s->rt, NULL), 0);
    assert_int_equal(db_sqlite_open(s->rt, &o, &s->db, NULL), 0);
    s->store.db = s->db;
    assert_int_equal(mock_llm_open(s->rt, &s->mock_options, &s->mock, NULL), 0);
    assert_int_equal(http_client_open(s->rt, &client, &s->client, NULL), 0);
    s->llm = llm_new(s->rt, s->client);
    s->settings.openai.base_url =
        arena_printf(&s->a, "http://127.0.0.1:%d/v1/", mock_llm_port(s->mock));
    s->settings.openai.api_key = STR("sk-of-the-server");
    s->services = (struct graph_services){
        .rt = s->rt, .llm = s->llm, .http = s->client, .settings = &s->settings};
    s->registry = registry_new(&s->services, &(struct registry_options){60000000, 16});
    graphs_register(s->registry);
    struct engine_options engine = {.running_max = 8,
                                    .pending_max = 100,
                                    .attempts_max = 3,
                                    .recursion_limit = 25,
                                    .multitask_default = MULTITASK_ENQUEUE,
                                    .api_url = ""};
    assert_int_equal(
        engine_open(s->rt, &s->store, s->registry, &s->services, &engine, &s->engine, NULL), 0);
    assert_non_null(fiber_spawn(s->rt, "test", scene_fiber, s, NULL));
    rt_run(s->rt);
    engine_close(s->engine);
    registry_free(s->registry);
    db_close(s->db);
    rt_close(s->rt);
    arena_deinit(&s->a);
}

static struct id scene_thread(struct scene *s) {
    struct id id = id_v7();
    struct thread t;
    assert_int_equal(
        thread_create(&s->store, &s->who, id, STR("{}"), STR("{}"), false, &s->a, &t, NULL), 0);
    return id;
}

/* more: further members of the body, each with a comma before it, or "". */
static int scene_submit(struct scene *s, struct id thread, const char *text, const char *more,
                        void (*accepted)(void *, struct live_run *), void *ctx,
                        struct live_run **out, struct err *err) {
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    jw_z(&w, text);
    str body = arena_printf(
        &s->a, "{\"input\":{\"messages\":[{\"role\":\"user\",\"content\":" STR_FMT "}]}%s}",
        STR_ARG(buf_view(&b)), more);
    buf_deinit(&b);
    struct run_submit submit = {.who = &s->who,
                                .assistant_id = id_v5(ID_NAMESPACE_GRAPH, STR("agent")),
                                .assistant_name = STR("agent"),
                                .thread_id = thread,
                                .accepted = accepted,
                                .ctx = ctx};
    assert_int_equal(json_parse(&s->a, body, &submit.body, NULL), 0);
    return engine_submit(s->engine, &submit, out, err);
}

static struct live_run *scene_start(struct scene *s, struct id thread, const char *text,
                                    const char *more) {
    struct live_run *run;
    struct err err = {0};
    if (scene_submit(s, thread, text, more, NULL, NULL, &run, &err) < 0)
        fail_msg("%s", err.message);
    return run;
}

/* Runs to the end and gives state.messages; the error text when the run failed. */
static yyjson_val *scene_messages(struct scene *s, struct id thread, const char *text,
                                  const char *more, str *out_error) {
    struct live_run *run = scene_start(s, thread, text, more);
    yyjson_val *values = NULL;
    assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0);
    str error = arena_dup(&s->a, live_run_error(run));
    if (out_error)
        *out_error = error;
    else if (live_run_status(run) != RUN_SUCCESS)
        fail_msg("the run failed: " STR_FMT, STR_ARG(error));
    if (live_run_status(run) == RUN_SUCCESS)
        assert_int_equal(json_parse(&s->a, arena_dup(&s->a, live_run_values(run)), &values, NULL),
                         0);
    live_run_unref(run);
    return json_get(values, "messages");
}

static str scene_text(yyjson_val *messages, size_t index, const char *key) {
    return json_str(json_get(yyjson_arr_get(messages, index), key));
}

static struct mock_llm_stats scene_stats(struct scene *s) {
    struct mock_llm_stats stats;
    mock_llm_stats(s->mock, &stats);
    return stats;
}

#define assert_str(a, z)                                                                           \
    do {                                                                                           \
        str got_ = (a);                                                                            \
        if (!str_eq(got_, str_of(z)))                                                              \
            fail_msg("\"" STR_FMT "\" is not \"%s\"", STR_ARG(got_), z);                           \
    } while (0)
#define assert_has(a, z)                                                                           \
    do {                                                                                           \
        str got_ = (a);                                                                            \
        if (str_find(got_, str_of(z)) < 0)                                                         \
            fail_msg("\"" STR_FMT "\" does not hold \"%s\"", STR_ARG(got_), z);                    \
    } while (0)
#define assert_has_not(a, z) assert_true(str_find(a, str_of(z)) < 0)

/* --- the peer ----------------------------------------------------------------------------------
 */

enum peer_kind {
    PEER_TOGETHER, /* answers nobody before `want` clients are there */
    PEER_SILENT,   /* never answers; notes that the client went away */
    PEER_MODEL     /* a model server that answers "ok" and keeps what it was asked */
};
struct peer {
    enum peer_kind kind;
    int want, fd, port;
    pthread_t thread;
    int came; /* read after peer_stop, or with __atomic */
    bool went_away;
    char asked[64 * 1024]; /* the last request, head and body */
    size_t asked_bytes;
};

static size_t peer_read_request(int fd, char *out, size_t room) {
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, out + len, room - len - 1);
        if (n <= 0)
            return len;
        len += (size_t)n;
        out[len] = '\0';
        const char *body = strstr(out, "\r\n\r\n"), *length = strstr(out, "Content-Length: ");
        int64_t bytes = 0;
        if (length)
            (void)str_to_i64(str_n(length + 16, (size_t)(strchr(length, '\r') - length - 16)),
                             &bytes);
        if (body && len >= (size_t)(body + 4 - out) + (size_t)bytes)
            return len;
    }
}

static void peer_send(int fd, const char *type, const char *body) {
    char text[1024];
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s",
                     type, strlen(body), body);
    (void)!write(fd, text, (size_t)n);
    close(fd);
}

static void *peer_main(void *arg) {
    struct peer *p = arg;
    char request[64 * 1024];
    int fds[8];
    for (;;) {
        int fd = accept(p->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct timeval patience = {.tv_sec = 5};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        size_t len = peer_read_request(fd, request, sizeof(request));
        int came = __atomic_add_fetch(&p->came, 1, __ATOMIC_SEQ_CST);
        if (p->kind == PEER_SILENT) {
            p->went_away = read(fd, request, 1) <= 0 && errno != EAGAIN;
            close(fd);
        } else if (p->kind == PEER_MODEL) {
            memcpy(p->asked, request, len + 1);
            p->asked_bytes = len;
            peer_send(fd, "application/json",
                      "{\"id\":\"x\",\"model\":\"peer\",\"choices\":[{\"message\":{\"content\":"
                      "\"ok\"},\"finish_reason\":\"stop\"}]}");
        } else {
            fds[came - 1] = fd;
            for (int i = 0; came == p->want && i < came; i++)
                peer_send(fds[i], "text/plain", i == 0 ? "first" : "other");
        }
    }
}

static void peer_start(struct peer *p, enum peer_kind kind, int want) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    *p = (struct peer){.kind = kind, .want = want};
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(p->fd, 16), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)&at, &len), 0);
    p->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
}

static void peer_stop(struct peer *p) {
    shutdown(p->fd, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->fd);
}

static int peer_came(struct peer *p) { return __atomic_load_n(&p->came, __ATOMIC_SEQ_CST); }

#endif
