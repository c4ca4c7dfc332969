/* SPDX-License-Identifier: Apache-2.0 */
/* idle.c - mode idle of the load generator: N event streams that stay open and wait.
 *
 * Opens them at most OPENING_MAX at once, takes the memory of the watched processes before the
 * first and once all stand and have been quiet for a second, then holds them for --seconds, in
 * which CPU time and heartbeats are counted. A stream that ends is a failure. */
#include <sys/epoll.h>

#include "base/clock.h"
#include "bench/load.h"

enum { OPENING_MAX = 100, SETTLE_US = 1000000 };

struct idle {
    struct client *clients;
    size_t started, standing;
    uint64_t bytes_before;
    struct buf path;
    int64_t rss_before[WATCH_MAX];
    bool closing;
};

static void on_done(struct client *c, const char *error) {
    struct idle *m = c->load->mode;
    if (!m->closing)
        load_fail(c->load, "stream %zu ended: %s, status %d", c->index, error ? error : "complete",
                  c->status);
}

static uint64_t bytes_read(const struct load *l) {
    const struct idle *m = l->mode;
    uint64_t sum = 0;
    for (size_t i = 0; i < m->started; i++)
        sum += m->clients[i].body_bytes;
    return sum;
}

static void start_next(struct load *l) {
    struct idle *m = l->mode;
    struct client *c = &m->clients[m->started++];
    *c = (struct client){.load = l, .index = m->started - 1};
    buf_reset(&m->path);
    for (const char *p = l->o.path; *p; p++) {
        if (*p == '{' && l->ids.count > 0) {
            buf_z(&m->path, l->ids.p[c->index % l->ids.count]);
            p += 3; /* {id} */
        } else {
            buf_char(&m->path, *p);
        }
    }
    client_request(c, "GET", buf_view(&m->path), STR_NULL);
    client_send(c);
}

static void poll_for(struct load *l, int64_t us) {
    int64_t end = clock_mono_us() + us;
    do {
        struct epoll_event events[256];
        int n = epoll_wait(l->epoll_fd, events, 256, us > 100000 ? 100 : 1);
        for (int i = 0; i < n; i++)
            client_on_ready(events[i].data.ptr, events[i].events);
    } while (clock_mono_us() < end);
}

static void open_all(struct load *l) {
    struct idle *m = l->mode;
    size_t wanted = (size_t)l->o.connections;
    int64_t give_up = clock_mono_us() + INT64_C(120000000);
    while (m->standing < wanted && l->failures == 0 && clock_mono_us() < give_up) {
        while (m->started < wanted && m->started - m->standing < OPENING_MAX && l->failures == 0)
            start_next(l);
        poll_for(l, 1000);
        m->standing = 0;
        for (size_t i = 0; i < m->started; i++) {
            struct client *c = &m->clients[i];
            m->standing += c->state > CLIENT_HEAD && c->status == 200;
        }
    }
    if (m->standing < wanted)
        load_fail(l, "only %zu of %zu streams stand", m->standing, wanted);
}

int idle_mode(struct load *l, struct buf *out) {
    struct idle m = {0};
    size_t n = (size_t)l->o.connections;
    m.clients = mem_calloc(n, sizeof(*m.clients));
    buf_init(&m.path, 4096);
    l->mode = &m;
    l->done = on_done;
    for (size_t i = 0; i < l->watch_count; i++)
        m.rss_before[i] = watch_rss_bytes(l->watches[i].pid);
    int64_t start = clock_mono_us();
    open_all(l);
    int64_t opened = clock_mono_us();
    poll_for(l, SETTLE_US);
    uint64_t before = bytes_read(l);
    l->o.warmup_seconds = 0;
    load_run(l);
    uint64_t bytes = bytes_read(l) - before;
    load_write(l, m.standing, out);
    buf_printf(out,
               ",\"standing\":%zu,\"open_seconds\":%.3f,\"heartbeat_bytes\":%" PRIu64 ",\"rss\":{",
               m.standing, (double)(opened - start) / 1e6, bytes);
    for (size_t i = 0; i < l->watch_count; i++)
        buf_printf(
            out, "%s\"%s\":{\"before\":%" PRId64 ",\"after\":%" PRId64 ",\"bytes_each\":%.0f}",
            i > 0 ? "," : "", l->watches[i].name, m.rss_before[i], l->watches[i].rss_after_bytes,
            (double)(l->watches[i].rss_after_bytes - m.rss_before[i]) / (double)n);
    buf_char(out, '}');
    m.closing = true;
    for (size_t i = 0; i < n; i++)
        client_deinit(&m.clients[i]);
    mem_free(m.clients);
    buf_deinit(&m.path);
    return 0;
}
