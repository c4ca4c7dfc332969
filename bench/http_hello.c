/* SPDX-License-Identifier: Apache-2.0 */
/* http_hello.c - the http module alone, to measure it: answers GET / with a small JSON body and
 * GET /stream with an open, silent stream. Prints its port, serves until SIGTERM, then prints the
 * CPU time, the number of requests and the memory per open connection it saw. Not a test. */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "http/server.h"

struct hello {
    struct rt *rt;
    struct http_server *server;
    uint64_t requests;
};

static void writable(struct http_stream *stream, void *ctx) {
    (void)stream;
    (void)ctx;
}

static void closed(struct http_stream *stream, void *ctx) {
    (void)stream;
    (void)ctx;
}

static void handle(struct http_request *req, void *ctx) {
    ((struct hello *)ctx)->requests++;
    if (str_eq(req->path, STR("/stream"))) {
        struct http_stream_ops ops = {writable, closed, NULL, STR(": heartbeat\n")};
        (void)http_reply_stream(req, 200, STR("text/event-stream"), &ops);
        return;
    }
    http_reply(req, 200, STR("application/json"), STR("{\"ok\":true,\"name\":\"holdfast hello\"}"));
}

static void on_closed(void *arg) { rt_stop(((struct hello *)arg)->rt); }

static void on_signal(void *arg, int signum) {
    struct hello *h = arg;
    (void)signum;
    http_server_close(h->server, on_closed, h);
}

int main(int argc, char **argv) {
    struct hello h = {0};
    struct err err = {0};
    struct http_server_options o;
    int64_t port = 0;
    http_server_options_default(&o);
    if (argc > 1 && str_to_i64(str_of(argv[1]), &port))
        o.port = (int)port;
    o.handler = handle;
    o.ctx = &h;
    if (rt_open(&h.rt, &err) || http_server_open(h.rt, &o, &h.server, &err) ||
        rt_on_signal(h.rt, SIGTERM, on_signal, &h, &err)) {
        (void)fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    (void)printf("%d\n", http_server_port(h.server));
    (void)fflush(stdout);
    rt_run(h.rt);
    rt_close(h.rt);
    struct rusage ru;
    if (getrusage(RUSAGE_SELF, &ru))
        return 1;
    double cpu_us = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1e6 +
                    (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec);
    (void)printf("requests %llu, CPU %.0f us, %.2f us each (user %.2f), RSS max %ld KB\n",
                 (unsigned long long)h.requests, cpu_us, cpu_us / (double)h.requests,
                 ((double)ru.ru_utime.tv_sec * 1e6 + (double)ru.ru_utime.tv_usec) /
                     (double)h.requests,
                 ru.ru_maxrss);
    return 0;
}
