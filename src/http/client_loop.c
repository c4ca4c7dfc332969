/* SPDX-License-Identifier: Apache-2.0 */
/* client_loop.c - libcurl's multi_socket interface on the loop: its sockets and its time.
 *
 * curl runs on the loop's stack: timers and a deferred "kick" drive it after a call was added; a
 * fiber only adds, resumes and removes handles.
 *
 * Sockets: curl tells which events it wants (want); libuv watches some (have). A watch is widened
 * at once but narrowed only when a useless event arrives, so that a reused connection costs no
 * epoll_ctl per request. Sockets that we opened are known by number until curl closes them through
 * our callback; foreign ones (the resolver's pipe) are dropped the moment curl stops wanting
 * them. So are those without a peer: a connection that was given up before it stood is closed by
 * curl 7.88 without our callback, and whoever gets its number next must not find our watch. */
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/mem.h"
#include "http/client_int.h"

enum { KICKS_PER_TURN_MAX = 8 };

struct client_socket {
    uv_poll_t poll;
    struct http_client *client;
    curl_socket_t fd;
    int have, want; /* UV_READABLE | UV_WRITABLE */
    bool owned;     /* opened by client_open_socket */
    bool connected; /* as far as is known */
};

/* --- sockets --- */

static struct client_socket *socket_find(struct http_client *c, curl_socket_t fd) {
    return fd >= 0 && (size_t)fd < c->by_fd.count ? c->by_fd.p[fd] : NULL;
}

static void socket_closed(uv_handle_t *h) {
    struct client_socket *s = h->data;
    struct http_client *c = s->client;
    mem_free(s);
    ASSERT(c->sockets > 0);
    if (--c->sockets == 0 && c->state == CLIENT_CLOSING)
        rt_defer(c->rt, &c->closed);
}

static struct client_socket *socket_add(struct http_client *c, curl_socket_t fd, bool owned) {
    struct client_socket *s = NEW(struct client_socket);
    if (uv_poll_init_socket(rt_uv(c->rt), &s->poll, fd) != 0) {
        mem_free(s);
        return NULL;
    }
    s->poll.data = s;
    s->client = c;
    s->fd = fd;
    s->owned = owned;
    while (c->by_fd.count <= (size_t)fd)
        vec_push(&c->by_fd, NULL);
    ASSERT(!c->by_fd.p[fd]);
    c->by_fd.p[fd] = s;
    c->sockets++;
    return s;
}

static void socket_drop(struct client_socket *s) {
    s->client->by_fd.p[s->fd] = NULL;
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, socket_closed);
}

static void client_collect(struct http_client *c);
static void socket_event(uv_poll_t *p, int status, int events);

static void socket_watch(struct client_socket *s, int events) {
    s->have = events;
    if (events == 0)
        uv_poll_stop(&s->poll);
    else if (uv_poll_start(&s->poll, events, socket_event) != 0)
        s->have = 0; /* curl's own timeouts end the transfer */
}

static void socket_event(uv_poll_t *p, int status, int events) {
    struct client_socket *s = p->data;
    struct http_client *c = s->client;
    if (status < 0) {
        s->have = 0; /* libuv has stopped the watch */
        events = s->want;
    }
    if ((events & s->want) == 0) {
        socket_watch(s, s->want);
        return;
    }
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    int running;
    curl_socket_t fd = s->fd;
    curl_multi_socket_action(c->multi, fd, flags, &running);
    s = socket_find(c, fd);
    if (s && status < 0 && s->want != 0 && s->have == 0)
        socket_watch(s, s->want);
    client_collect(c);
}

/* Curl keeps it for a later request only if it is connected; what was once, is asked no more. */
static bool socket_stays(struct client_socket *s) {
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    if (s->owned && !s->connected)
        s->connected = getpeername(s->fd, (struct sockaddr *)&peer, &len) == 0;
    return s->connected;
}

static int client_on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx) {
    (void)easy;
    (void)socket_ctx;
    struct http_client *c = ctx;
    struct client_socket *s = socket_find(c, fd);
    if (what == CURL_POLL_REMOVE) {
        if (s) {
            s->want = 0;
            if (!socket_stays(s))
                socket_drop(s);
        }
        return 0;
    }
    if (!s)
        s = socket_add(c, fd, false);
    if (!s)
        return -1;
    s->want = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (s->want & ~s->have)
        socket_watch(s, s->want);
    return 0;
}

static curl_socket_t client_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to) {
    (void)purpose;
    struct http_client *c = ctx;
    int fd = socket(to->family, to->socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    if (!socket_add(c, fd, true)) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    return fd;
}

static int client_close_socket(void *ctx, curl_socket_t fd) {
    struct http_client *c = ctx;
    struct client_socket *s = socket_find(c, fd);
    if (s)
        socket_drop(s);
    return close(fd);
}

/* --- time --- */

static void client_run_timeouts(struct http_client *c) {
    int running;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    client_collect(c);
}

static void client_on_kick(struct rt_defer *d) {
    client_run_timeouts(CONTAINER_OF(d, struct http_client, kick));
}

static void client_on_due(struct rt_timer *t) {
    client_run_timeouts(CONTAINER_OF(t, struct http_client, timer));
}

static int client_on_timeout(CURLM *multi, long timeout_ms, void *ctx) {
    (void)multi;
    struct http_client *c = ctx;
    if (timeout_ms < 0) {
        rt_timer_stop(c->rt, &c->timer);
        return 0;
    }
    if (timeout_ms == 0) {
        /* At most a few rounds without a poll between them, lest curl starves the loop. */
        int64_t turn_us = rt_mono_us(c->rt);
        if (turn_us != c->kick_turn_us) {
            c->kick_turn_us = turn_us;
            c->kicks = 0;
        }
        if (c->kicks++ < KICKS_PER_TURN_MAX) {
            rt_timer_stop(c->rt, &c->timer);
            rt_defer(c->rt, &c->kick);
            return 0;
        }
    }
    rt_timer_start(c->rt, &c->timer, (int64_t)timeout_ms * 1000, client_on_due);
    return 0;
}

static void client_collect(struct http_client *c) {
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode result = m->data.result;
        char *private;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
        struct http_call *call = (struct http_call *)(void *)private;
        curl_multi_remove_handle(c->multi, call->easy);
        call->added = false;
        call->result = result;
        if (call->state == CALL_HEAD)
            call->status = 0; /* no complete head */
        http_call_set_state(call, CALL_OVER);
        http_call_wake(call);
    }
}

/* --- set-up --- */

void http_client_loop_attach(struct http_client *c) {
    c->kick.fn = client_on_kick;
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, client_on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, (void *)c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, client_on_timeout);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, (void *)c);
}

void http_client_loop_detach(struct http_client *c) {
    rt_timer_stop(c->rt, &c->timer);
    if (list_linked(&c->kick.node))
        list_remove(&c->kick.node);
}

void http_call_use_loop(struct http_call *call) {
    curl_easy_setopt(call->easy, CURLOPT_OPENSOCKETFUNCTION, client_open_socket);
    curl_easy_setopt(call->easy, CURLOPT_OPENSOCKETDATA, (void *)call->client);
    curl_easy_setopt(call->easy, CURLOPT_CLOSESOCKETFUNCTION, client_close_socket);
    curl_easy_setopt(call->easy, CURLOPT_CLOSESOCKETDATA, (void *)call->client);
}
