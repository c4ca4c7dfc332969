/* SPDX-License-Identifier: Apache-2.0 */
/* loopback.h - a server on a free port in this process and a script of raw sockets against it.
 *
 * Owner: the including test. Memory: struct scene on the test's stack. The script runs on a thread
 * of its own with blocking sockets, so it sees the server as any client does; cmocka's asserts are
 * not for that thread, EXPECT() records the first failure and play() reports it. Errors: fail the
 * test. Suspends: never. Tests: itself. */
#ifndef HF_TESTS_UNIT_HTTP_LOOPBACK_H
#define HF_TESTS_UNIT_HTTP_LOOPBACK_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/server.h"
#include "rt/worker.h"

#include "check.h"

#define WAIT_MS 10000 /* how long a script waits for what must come */

struct scene {
    struct http_server_options o;
    struct http_server *server;
    struct rt *rt;
    struct rt_msg msg;
    void (*script)(struct scene *sc);
    int port;
    char failure[1024]; /* of the first failed EXPECT */
    void *user;
};

/* A blocking client connection; `in` is what has been read and not yet taken. */
struct peer {
    int fd;
    struct buf in;
    struct buf taken; /* memory behind the last view given out */
};

#define EXPECT(sc, cond)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            scene_failed((sc), __FILE__, __LINE__, #cond, STR(""));                                \
            return;                                                                                \
        }                                                                                          \
    } while (0)
#define EXPECT_STR(sc, got, want)                                                                  \
    do {                                                                                           \
        str got_ = (got);                                                                          \
        if (!got_.p || !str_eq(got_, str_of(want))) {                                              \
            scene_failed((sc), __FILE__, __LINE__, want, got_);                                    \
            return;                                                                                \
        }                                                                                          \
    } while (0)

static inline void scene_failed(struct scene *sc, const char *file, int line, const char *what,
                                str got) {
    if (!sc->failure[0])
        (void)snprintf(sc->failure, sizeof sc->failure, "%s:%d: %s; got [%.*s]", file, line, what,
                       (int)(got.len < 600 ? got.len : 600), got.p ? got.p : "(absent)");
}

static inline struct peer peer_open(struct scene *sc) {
    struct peer p = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)sc->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(p.fd, (struct sockaddr *)&to, sizeof to))
        scene_failed(sc, __FILE__, __LINE__, "connect", STR(""));
    buf_init(&p.in, 64 << 20);
    buf_init(&p.taken, 64 << 20);
    return p;
}

static inline void peer_close(struct peer *p) {
    (void)close(p->fd);
    buf_deinit(&p->in);
    buf_deinit(&p->taken);
}

static inline bool peer_send(struct peer *p, str bytes) {
    while (bytes.len) {
        ssize_t n = send(p->fd, bytes.p, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes = str_n(bytes.p + n, bytes.len - (size_t)n);
    }
    return true;
}

/* Bytes read, 0 at EOF or reset, -1 when nothing comes in time. */
static inline int peer_fill(struct peer *p, int wait_ms) {
    char room[16384];
    struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
    if (poll(&pfd, 1, wait_ms) != 1)
        return -1;
    ssize_t n = recv(p->fd, room, sizeof room, 0);
    if (n > 0)
        buf_append(&p->in, room, (size_t)n);
    return n < 0 ? 0 : (int)n;
}

static inline str peer_take(struct peer *p, size_t n) {
    buf_reset(&p->taken);
    buf_append(&p->taken, p->in.p, n);
    buf_consume(&p->in, n);
    return n ? buf_view(&p->taken) : STR("");
}

/* Everything up to and with `mark`; absent when it does not come. */
static inline str peer_until(struct peer *p, const char *mark) {
    for (;;) {
        ptrdiff_t at = p->in.len ? str_find(buf_view(&p->in), str_of(mark)) : -1;
        if (at >= 0)
            return peer_take(p, (size_t)at + strlen(mark));
        if (peer_fill(p, WAIT_MS) <= 0)
            return STR_NULL;
    }
}

static inline str peer_exactly(struct peer *p, size_t n) {
    while (p->in.len < n)
        if (peer_fill(p, WAIT_MS) <= 0)
            return STR_NULL;
    return peer_take(p, n);
}

/* True when the server closes with nothing more to read. */
static inline bool peer_at_eof(struct peer *p) {
    return p->in.len == 0 && peer_fill(p, WAIT_MS) == 0;
}

struct reply {
    int status;
    char head[4096];
    str body; /* until the next call */
};

/* Value of a header of the reply, up to its CR; absent. Names as the server spells them. */
static inline str reply_header(const struct reply *r, const char *name) {
    char mark[128];
    (void)snprintf(mark, sizeof mark, "\r\n%s: ", name);
    const char *at = strstr(r->head, mark);
    if (!at)
        return STR_NULL;
    at += strlen(mark);
    return str_n(at, strcspn(at, "\r"));
}

/* Reads one response with a Content-Length, or none when bodiless. */
static inline bool peer_reply(struct peer *p, bool bodiless, struct reply *out) {
    str head = peer_until(p, "\r\n\r\n");
    if (!head.p || head.len >= sizeof out->head || !str_starts(head, STR("HTTP/1.1 ")))
        return false;
    memcpy(out->head, head.p, head.len);
    out->head[head.len] = '\0';
    int64_t status, length;
    if (!str_to_i64(str_slice(head, 9, 12), &status))
        return false;
    out->status = (int)status;
    out->body = STR("");
    if (bodiless || !str_to_i64(reply_header(out, "Content-Length"), &length))
        return true;
    out->body = peer_exactly(p, (size_t)length);
    return out->body.p != NULL;
}

static inline bool peer_ask(struct peer *p, str request, struct reply *out) {
    return peer_send(p, request) && peer_reply(p, false, out);
}

static inline void scene_on_closed(void *arg) { rt_stop(((struct scene *)arg)->rt); }

static inline void scene_on_played(struct rt_msg *msg) {
    struct scene *sc = CONTAINER_OF(msg, struct scene, msg);
    http_server_close(sc->server, scene_on_closed, sc);
}

static inline void scene_work(struct rt_worker *w, struct list *batch, void *ctx) {
    struct scene *sc = ctx;
    sc->script(sc);
    rt_worker_reply(w, batch);
}

static inline void scene_init(struct scene *sc, http_handler_fn handler) {
    *sc = (struct scene){0};
    http_server_options_default(&sc->o);
    sc->o.handler = handler;
    sc->o.ctx = sc;
}

/* Runs the server for as long as the script plays. */
static inline void play(struct scene *sc, void (*script)(struct scene *sc)) {
    struct err err = {0};
    struct rt_worker *w;
    sc->script = script;
    assert_int_equal(rt_open(&sc->rt, &err), 0);
    assert_int_equal(http_server_open(sc->rt, &sc->o, &sc->server, &err), 0);
    sc->port = http_server_port(sc->server);
    struct rt_worker_options wo = {
        .name = "peer", .inbox_count_max = 1, .handle = scene_work, .ctx = sc};
    assert_int_equal(rt_worker_open(sc->rt, &wo, &w, &err), 0);
    sc->msg.done = scene_on_played;
    assert_int_equal(rt_worker_post(w, &sc->msg), 0);
    rt_run(sc->rt);
    rt_worker_close(w);
    rt_close(sc->rt);
    if (sc->failure[0])
        fail_msg("%s", sc->failure);
}

#endif
