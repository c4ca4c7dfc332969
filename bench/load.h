/* SPDX-License-Identifier: Apache-2.0 */
/* load.h - what the parts of the load generator share.
 *
 * One thread, one epoll, keep-alive connections, one request at a time on each. It shares the
 * machine with what it measures, so a request costs it one write, one read and a short parse.
 * Owner: main() of load.c. Memory: as each struct says. Errors: counted in struct load; the first
 * few texts are kept. Suspends: nothing; epoll_wait is the only wait. */
#ifndef HF_BENCH_LOAD_H
#define HF_BENCH_LOAD_H

#include <inttypes.h>

#include "base/buf.h"
#include "base/vec.h"

/* --- samples.c: latencies and the CPU of processes ------------------------------------------- */

struct samples {
    VEC(uint32_t) us;
};
void samples_add(struct samples *s, int64_t us);
void samples_deinit(struct samples *s);
/* {"count":…,"p50":…,"p95":…,"p99":…,"max":…,"mean":…} in microseconds; null without samples.
 * Sorts. */
void samples_write(struct samples *s, struct buf *out);

#define WATCH_MAX 4
struct watch {
    char name[32];
    int pid;
    bool tree;                   /* with its children, those that ended included */
    int64_t before_us, after_us; /* CPU time, user and system */
    int64_t rss_before_bytes, rss_after_bytes;
};
int64_t watch_cpu_us(int pid, bool tree); /* -1: no such process */
int64_t watch_rss_bytes(int pid);         /* -1: no such process */
int64_t watch_self_cpu_us(void);

/* --- client.c: a connection ------------------------------------------------------------------ */

enum client_state {
    CLIENT_CLOSED,
    CLIENT_IDLE,       /* open, no request under way */
    CLIENT_HEAD,       /* request sent, head of the answer expected */
    CLIENT_BODY,       /* Content-Length bytes left */
    CLIENT_CHUNK_SIZE, /* chunked: at a size line */
    CLIENT_CHUNK_DATA,
    CLIENT_CHUNK_END, /* at the line end after a chunk */
    CLIENT_TRAILER    /* after the last chunk */
};

struct load;
struct client {
    struct load *load;
    int fd;
    enum client_state state;
    bool want_body;   /* keep the body; otherwise only count it */
    bool is_sse;      /* of the answer: text/event-stream */
    bool close_after; /* the server will close */
    bool out_blocked;
    int status;
    int64_t body_left;
    uint64_t body_bytes;
    int64_t sent_us, head_us;
    struct buf out;   /* the request */
    struct buf carry; /* a head or a chunk's line that came in pieces */
    struct buf body;
    size_t line_at; /* SSE: start of the line that is not complete yet */
    str event_name; /* SSE: points into body */
    size_t out_at;
    size_t index; /* free for the mode */
    void *user;   /* free for the mode */
};

/* The request text is in c->out. Connects when closed. The answer comes as done() of the load. */
void client_send(struct client *c);
void client_on_ready(struct client *c, uint32_t events);
void client_close(struct client *c);
void client_deinit(struct client *c);
/* Writes the whole request into c->out; body absent for none. */
void client_request(struct client *c, const char *method, str path, str body);
/* The value of the first "key":"value" of a JSON text, unescaped values only; absent if none. */
str client_json_text(str json, const char *key);

/* --- load.c: options, the window, failures --------------------------------------------------- */

struct options {
    const char *mode; /* http, flow, idle */
    const char *host;
    int port;
    int connections; /* or users, or readers */
    double seconds, warmup_seconds;
    uint64_t count; /* http: stop after this many answers; 0: by time */
    const char *method, *path, *body, *ids_file, *save_field, *save_file;
    const char *first_event; /* SSE: name of the event whose first arrival is measured */
    const char *first_data;  /* … and what its data must hold to count */
    const char *stream_mode, *expect;
    const char *token; /* Authorization: Bearer … */
    int pause_ms;
    double rate;     /* requests a second; 0: as many as there can be */
    int status;      /* http: the expected one */
    bool whole_body; /* http: keep the body (SSE, save) */
};

enum { FAILURE_TEXTS_MAX = 5 };
struct load {
    struct options o;
    int epoll_fd;
    struct watch watches[WATCH_MAX];
    size_t watch_count;
    int64_t self_before_us, self_after_us;
    int64_t begin_us, end_us; /* of the timed window */
    bool measuring;           /* inside it */
    bool stopping;            /* after it: start nothing new */
    size_t active;            /* requests (flow: iterations) under way */
    uint64_t failures, reconnects;
    char failure_texts[FAILURE_TEXTS_MAX][400];
    VEC(char *) ids;
    /* of the mode */
    void (*done)(struct client *c, const char *error);   /* error NULL: an answer came */
    void (*event)(struct client *c, str name, str data); /* an SSE event */
    int64_t (*tick)(struct load *l);                     /* µs until it wants to run again */
    void *mode;
};

void load_fail(struct load *l, const char *format, ...) PRINTF_LIKE(2, 3);
/* Runs warm-up and window; then waits until nothing is under way. */
void load_run(struct load *l);
/* `"seconds":…,"failures":…,"errors":[…],"cpu_us":{…}`; work: what the CPU is divided by. */
void load_write(const struct load *l, uint64_t work, struct buf *out);

int http_mode(struct load *l, struct buf *out); /* plain.c */
int flow_mode(struct load *l, struct buf *out); /* flow.c */
int idle_mode(struct load *l, struct buf *out); /* idle.c */

#endif
