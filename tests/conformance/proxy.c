/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.c - one thread, poll() over all pairs of sockets; chunks are cut at the fault's byte. */
#include "proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"

static void drop_pair(struct proxy *p, size_t i) {
    for (int side = 0; side < 2; side++)
        if (p->pairs[i][side] >= 0)
            (void)close(p->pairs[i][side]);
    p->pair_count--;
    memcpy(p->pairs[i], p->pairs[p->pair_count], sizeof(p->pairs[i]));
    p->deaf[i] = p->deaf[p->pair_count];
}

static void accept_one(struct proxy *p) {
    int one = 1, client = accept(p->listener, NULL, NULL);
    if (client < 0)
        return;
    if (p->down) {
        (void)close(client);
        return;
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)p->target_port)};
    (void)inet_pton(AF_INET, p->target_host, &to.sin_addr);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->pair_count == PROXY_CONNECTIONS_MAX ||
        connect(server, (struct sockaddr *)&to, sizeof(to)) != 0) {
        (void)close(server);
        (void)close(client);
        return;
    }
    (void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    p->pairs[p->pair_count][0] = client;
    p->pairs[p->pair_count][1] = server;
    p->deaf[p->pair_count] = false;
    p->pair_count++;
}

static bool send_all(int fd, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* False when the pair is gone. */
static bool strike(struct proxy *p, size_t i) {
    enum proxy_fault fault = p->fault;
    p->fault = PROXY_NONE;
    if (fault == PROXY_CUT) {
        drop_pair(p, i);
        return false;
    }
    p->deaf[i] = true;
    if (fault == PROXY_DEAF) {
        (void)close(p->pairs[i][0]);
        p->pairs[i][0] = -1;
    }
    return true;
}

/* side: 0 from the client. False when the pair is gone. */
static bool forward(struct proxy *p, size_t i, int side) {
    char bytes[16384];
    size_t room = sizeof(bytes);
    bool armed = p->fault != PROXY_NONE && (side == 1) == p->of_server;
    if (armed && p->fault_at - p->sent[side] < room)
        room = p->fault_at - p->sent[side];
    ssize_t n = room ? recv(p->pairs[i][side], bytes, room, 0) : 0;
    if (room && (n <= 0 || !send_all(p->pairs[i][!side], bytes, (size_t)n))) {
        drop_pair(p, i);
        return false;
    }
    p->sent[side] += (size_t)n;
    return !armed || p->sent[side] < p->fault_at || strike(p, i);
}

static void serve(struct proxy *p, const struct pollfd *fds, size_t pairs) {
    for (size_t i = pairs; i-- > 0;) { /* from the end: a dropped pair moves later ones only */
        bool lives = true;
        for (int side = 0; side < 2 && lives && !p->deaf[i]; side++)
            if (fds[2 + 2 * i + (size_t)side].revents)
                lives = forward(p, i, side);
    }
    if (fds[0].revents)
        accept_one(p);
}

static void *run(void *arg) {
    struct proxy *p = arg;
    for (;;) {
        struct pollfd fds[2 + 2 * PROXY_CONNECTIONS_MAX];
        pthread_mutex_lock(&p->lock);
        if (p->stopping)
            break;
        size_t pairs = p->pair_count;
        fds[0] = (struct pollfd){p->listener, POLLIN, 0};
        fds[1] = (struct pollfd){p->wake[0], POLLIN, 0};
        for (size_t i = 0; i < pairs; i++)
            for (int side = 0; side < 2; side++)
                fds[2 + 2 * i + (size_t)side] =
                    (struct pollfd){p->deaf[i] ? -1 : p->pairs[i][side], POLLIN, 0};
        pthread_mutex_unlock(&p->lock);
        if (poll(fds, 2 + 2 * pairs, -1) < 0)
            continue;
        char byte[64];
        if (fds[1].revents && read(p->wake[0], byte, sizeof(byte)) < 0)
            continue;
        pthread_mutex_lock(&p->lock);
        if (p->down)
            pairs = 0; /* they are gone since */
        serve(p, fds, pairs);
        pthread_mutex_unlock(&p->lock);
    }
    while (p->pair_count > 0)
        drop_pair(p, 0);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

void proxy_open(struct proxy *p, const char *host, int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    *p = (struct proxy){.target_port = port};
    (void)snprintf(p->target_host, sizeof(p->target_host), "%s", host);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(bind(p->listener, (struct sockaddr *)&at, sizeof(at)) == 0);
    ASSERT(listen(p->listener, 64) == 0);
    ASSERT(getsockname(p->listener, (struct sockaddr *)&at, &len) == 0);
    p->port = ntohs(at.sin_port);
    ASSERT(pipe2(p->wake, O_CLOEXEC) == 0);
    ASSERT(pthread_mutex_init(&p->lock, NULL) == 0);
    ASSERT(pthread_create(&p->thread, NULL, run, p) == 0);
}

void proxy_set(struct proxy *p, enum proxy_fault fault, bool of_server, size_t at) {
    pthread_mutex_lock(&p->lock);
    p->fault = fault;
    p->of_server = of_server;
    p->fault_at = at;
    p->sent[0] = p->sent[1] = 0;
    pthread_mutex_unlock(&p->lock);
}

size_t proxy_sent(struct proxy *p, bool of_server) {
    pthread_mutex_lock(&p->lock);
    size_t sent = p->sent[of_server];
    pthread_mutex_unlock(&p->lock);
    return sent;
}

bool proxy_struck(struct proxy *p) {
    pthread_mutex_lock(&p->lock);
    bool struck = p->fault == PROXY_NONE;
    pthread_mutex_unlock(&p->lock);
    return struck;
}

void proxy_down(struct proxy *p, bool down) {
    pthread_mutex_lock(&p->lock);
    p->down = down;
    while (down && p->pair_count > 0)
        drop_pair(p, 0);
    pthread_mutex_unlock(&p->lock);
    ASSERT(write(p->wake[1], "x", 1) == 1);
}

void proxy_close(struct proxy *p) {
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_mutex_unlock(&p->lock);
    ASSERT(write(p->wake[1], "x", 1) == 1);
    ASSERT(pthread_join(p->thread, NULL) == 0);
    (void)close(p->listener);
    (void)close(p->wake[0]);
    (void)close(p->wake[1]);
}
