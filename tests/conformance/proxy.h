/* SPDX-License-Identifier: Apache-2.0 */
/* proxy.h - a TCP proxy in a thread that cuts or stalls its connections at a chosen byte. */
#ifndef HF_TESTS_CONFORMANCE_PROXY_H
#define HF_TESTS_CONFORMANCE_PROXY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum proxy_fault {
    PROXY_NONE,
    PROXY_CUT,  /* both sides are closed when the byte has passed */
    PROXY_DEAF, /* the client's side is closed, the server's stays open without another byte: a host
                   that vanished */
    PROXY_STALL /* nothing passes any more, both stay open */
};
#define PROXY_CONNECTIONS_MAX 64

struct proxy {
    int listener, port, target_port;
    char target_host[64];
    int wake[2];
    pthread_t thread;
    pthread_mutex_t lock;
    bool stopping, down;
    /* under the lock */
    enum proxy_fault fault;
    bool of_server;    /* bytes from the server count, else those from the client */
    size_t fault_at;   /* counted over all connections, from the setting on */
    size_t sent[2];    /* from client, from server, since the last setting */
    int pairs[PROXY_CONNECTIONS_MAX][2];
    bool deaf[PROXY_CONNECTIONS_MAX];
    size_t pair_count;
};

/* Forwards to 127.0.0.1-like host and port; p->port is where it listens. */
void proxy_open(struct proxy *p, const char *host, int port);
/* From now on; the fault strikes once, then the proxy is as without one. */
void proxy_set(struct proxy *p, enum proxy_fault fault, bool of_server, size_t at);
size_t proxy_sent(struct proxy *p, bool of_server); /* since proxy_set */
bool proxy_struck(struct proxy *p);
void proxy_down(struct proxy *p, bool down); /* ends all connections and refuses new ones */
void proxy_close(struct proxy *p);

#endif
