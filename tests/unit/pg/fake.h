/* SPDX-License-Identifier: Apache-2.0 */
/* fake.h - a server of the protocol whose answers a test decides, byte by byte.
 *
 * Owner: the test. A thread takes one connection after the other and plays it with the test's
 * function, which reads and writes blockingly and closes by returning. Cancel requests are counted
 * and answered by closing. Memory: the struct is the caller's. Suspends: never. */
#ifndef HF_TESTS_UNIT_PG_FAKE_H
#define HF_TESTS_UNIT_PG_FAKE_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture.h"
#include "pg/value_int.h"

struct fake {
    void (*play)(struct fake *k, int fd, int number);
    void *ctx;
    int listener, port;
    pthread_t thread;
    atomic_int connections, cancels;
    char url[128];
};

static inline bool fake_read(int fd, void *to, size_t len) {
    char *at = to;
    while (len > 0) {
        ssize_t n = recv(fd, at, len, 0);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static inline void fake_write(int fd, const void *p, size_t len) {
    const char *at = p;
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        at += n;
        len -= (size_t)n;
    }
}
#define FAKE_SAY(fd, bytes) fake_write((fd), (bytes), sizeof(bytes) - 1)

/* The type of the next message; 0 at the end. */
static inline char fake_message(int fd) {
    char head[5], body[4096];
    if (!fake_read(fd, head, 5))
        return 0;
    for (size_t left = pg_get32(head + 1) - 4; left > 0;) {
        size_t n = left < sizeof(body) ? left : sizeof(body);
        if (!fake_read(fd, body, n))
            return 0;
        left -= n;
    }
    return head[0];
}

/* Up to and with the count-th Sync (or simple query). */
static inline bool fake_syncs(int fd, int count) {
    while (count > 0) {
        char type = fake_message(fd);
        if (!type)
            return false;
        count -= type == 'S' || type == 'Q';
    }
    return true;
}

static inline void fake_error(int fd, const char *severity, const char *sqlstate) {
    char m[128] = {'E'};
    int n = snprintf(m + 5, sizeof(m) - 5, "S%s%cV%s%cC%s%cMfake%c", severity, 0, severity, 0,
                     sqlstate, 0, 0);
    pg_put32(m + 1, (uint32_t)n + 5);
    fake_write(fd, m, (size_t)n + 6); /* and the NUL at the end */
}

#define FAKE_READY "Z\0\0\0\5I"
#define FAKE_BOUND "2\0\0\0\4"

/* Startup without a password; false: it was a cancel request. */
static inline bool fake_startup(struct fake *k, int fd) {
    char head[8], rest[8192];
    for (;;) {
        if (!fake_read(fd, head, 8))
            return false;
        uint32_t len = pg_get32(head), code = pg_get32(head + 4);
        if (len < 8 || len > sizeof(rest) || !fake_read(fd, rest, len - 8))
            return false;
        if (code == 80877102) {
            k->cancels++;
            return false;
        }
        if (code == 80877103 || code == 80877104) { /* TLS, GSS: no */
            fake_write(fd, "N", 1);
            continue;
        }
        FAKE_SAY(fd, "R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\1\0\0\0\2" FAKE_READY);
        return true;
    }
}

static inline void *fake_thread(void *arg) {
    struct fake *k = arg;
    for (;;) {
        int fd = accept(k->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        if (fake_startup(k, fd))
            k->play(k, fd, k->connections++);
        close(fd);
    }
}

static inline void fake_start(struct fake *k, void (*play)(struct fake *, int, int)) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    *k = (struct fake){.play = play};
    k->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(k->listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(k->listener, 64), 0);
    assert_int_equal(getsockname(k->listener, (struct sockaddr *)&a, &len), 0);
    k->port = ntohs(a.sin_port);
    snprintf(k->url, sizeof(k->url), "postgresql://u:sesame@127.0.0.1:%d/d", k->port);
    assert_int_equal(pthread_create(&k->thread, NULL, fake_thread, k), 0);
}

static inline void fake_stop(struct fake *k) {
    shutdown(k->listener, SHUT_RDWR);
    pthread_join(k->thread, NULL);
    close(k->listener);
}

#endif
