/* SPDX-License-Identifier: Apache-2.0 */
/* plain.c - mode http of the load generator: one request over and over on N connections.
 *
 * In path and body `{id}` becomes the next line of --ids, `{n}` a running number and `{m}` that
 * number modulo 100. With --first-event the answers are event streams: besides the whole time, the
 * time to the first event of that name (whose data holds --first-data) is measured, and an event
 * "error" is a failure. With --expect the body must hold that text; with --save-to a field of each
 * answer goes to a file. With --rate requests begin at even distances, as long as a connection is
 * free; without, each connection begins the next one at once. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "bench/load.h"

struct plain {
    struct load *l;
    struct client *clients;
    struct samples whole, first;
    uint64_t started, finished, counted;
    bool *seen_first; /* by client */
    struct buf path, body;
    FILE *save;
    struct client **waiting; /* for their turn, with --rate */
    size_t waiting_count;
    int64_t next_us; /* the next turn */
};

/* --- the request ----------------------------------------------------------------------------- */

static void expand(const struct load *l, const char *text, uint64_t n, struct buf *out) {
    buf_reset(out);
    for (const char *p = text; *p; p++) {
        if (strncmp(p, "{id}", 4) == 0 && l->ids.count > 0) {
            buf_z(out, l->ids.p[n % l->ids.count]);
            p += 3;
        } else if (strncmp(p, "{n}", 3) == 0 || strncmp(p, "{m}", 3) == 0) {
            buf_u64(out, p[1] == 'n' ? n : n % 100);
            p += 2;
        } else {
            buf_char(out, *p);
        }
    }
}

static void send_next(struct plain *m, struct client *c) {
    const struct options *o = &m->l->o;
    bool varies = strchr(o->path, '{') || (o->body && strstr(o->body, "{n}")) ||
                  (o->body && (strstr(o->body, "{m}") || strstr(o->body, "{id}")));
    if (c->out.len == 0 || varies) {
        expand(m->l, o->path, m->started, &m->path);
        if (o->body)
            expand(m->l, o->body, m->started, &m->body);
        client_request(c, o->method, buf_view(&m->path), o->body ? buf_view(&m->body) : STR_NULL);
    }
    m->started++;
    m->l->active++;
    m->seen_first[c->index] = false;
    client_send(c);
}

static void send_or_wait(struct plain *m, struct client *c) {
    if (m->l->o.rate > 0)
        m->waiting[m->waiting_count++] = c;
    else
        send_next(m, c);
}

/* Turns that passed while no connection was free are lost. */
static int64_t tick(struct load *l) {
    struct plain *m = l->mode;
    int64_t now_us = clock_mono_us(), step_us = (int64_t)(1e6 / l->o.rate);
    while (m->waiting_count > 0 && !l->stopping && m->next_us <= now_us &&
           (l->o.count == 0 || m->started < l->o.count)) {
        m->next_us = m->next_us + step_us > now_us - step_us ? m->next_us + step_us : now_us;
        send_next(m, m->waiting[--m->waiting_count]);
    }
    return m->next_us > now_us ? m->next_us - now_us : step_us;
}

/* --- the answer ------------------------------------------------------------------------------ */

static void on_event(struct client *c, str name, str data) {
    struct load *l = c->load;
    struct plain *m = l->mode;
    if (str_eq(name, STR("error")))
        load_fail(l, "event error: " STR_FMT, STR_ARG(data));
    if (!l->o.first_event || m->seen_first[c->index] || !str_eq(name, str_of(l->o.first_event)))
        return;
    if (l->o.first_data && str_find(data, str_of(l->o.first_data)) < 0)
        return;
    m->seen_first[c->index] = true;
    if (l->measuring)
        samples_add(&m->first, clock_mono_us() - c->sent_us);
}

static const char *check(struct plain *m, struct client *c) {
    const struct options *o = &m->l->o;
    if (c->status != o->status)
        return "unexpected status";
    if (o->first_event && !m->seen_first[c->index])
        return "a stream without the expected event";
    if (o->expect && !memmem(c->body.p ? c->body.p : "", c->body.len, o->expect, strlen(o->expect)))
        return "an answer without the expected text";
    if (m->save) {
        str value = client_json_text(buf_view(&c->body), o->save_field);
        if (!value.p)
            return "an answer without the field to save";
        fprintf(m->save, STR_FMT "\n", STR_ARG(value));
    }
    return NULL;
}

static void on_done(struct client *c, const char *error) {
    struct load *l = c->load;
    struct plain *m = l->mode;
    int64_t took = clock_mono_us() - c->sent_us;
    l->active--;
    m->finished++;
    if (!error)
        error = check(m, c);
    if (error)
        load_fail(l, "%s %s: %s, status %d: %.*s", l->o.method, l->o.path, error, c->status,
                  (int)(c->body.len < 150 ? c->body.len : 150), c->body.p ? c->body.p : "");
    if (l->measuring && !error) {
        samples_add(&m->whole, took);
        m->counted++;
    }
    if (l->o.count > 0 && m->finished >= l->o.count)
        l->stopping = true;
    /* A server that is gone would make this recurse for ever. */
    bool more = !l->stopping && c->state == CLIENT_IDLE;
    if (l->o.count > 0 && m->started >= l->o.count)
        more = false;
    if (more || (!l->stopping && !error && c->close_after))
        send_or_wait(m, c);
}

int http_mode(struct load *l, struct buf *out) {
    struct plain m = {.l = l};
    size_t n = (size_t)l->o.connections;
    m.clients = mem_calloc(n, sizeof(*m.clients));
    m.seen_first = mem_calloc(n, sizeof(bool));
    m.waiting = mem_calloc(n, sizeof(*m.waiting));
    m.next_us = clock_mono_us();
    buf_init(&m.path, 1 << 20);
    buf_init(&m.body, 1 << 20);
    if (l->o.save_file && !(m.save = fopen(l->o.save_file, "we")))
        load_fail(l, "cannot write %s", l->o.save_file);
    l->mode = &m;
    l->done = on_done;
    l->event = on_event;
    l->tick = l->o.rate > 0 ? tick : NULL;
    if (l->o.count > 0) {
        l->o.warmup_seconds = 0;
        l->o.seconds = 3600;
    }
    for (size_t i = 0; i < n; i++) {
        m.clients[i] = (struct client){.load = l, .index = i, .want_body = m.save || l->o.expect};
        if (l->o.count == 0 || m.started < l->o.count)
            send_or_wait(&m, &m.clients[i]);
    }
    load_run(l);
    if (m.counted == 0)
        load_fail(l, "nothing was answered inside the window");
    load_write(l, m.counted, out);
    double seconds = (double)(l->end_us - l->begin_us) / 1e6;
    buf_printf(out, ",\"requests\":%" PRIu64 ",\"per_second\":%.1f,\"latency_us\":", m.counted,
               (double)m.counted / seconds);
    samples_write(&m.whole, out);
    buf_z(out, ",\"first_us\":");
    samples_write(&m.first, out);
    if (m.save && fclose(m.save) != 0)
        load_fail(l, "cannot write %s", l->o.save_file);
    for (size_t i = 0; i < n; i++)
        client_deinit(&m.clients[i]);
    mem_free(m.clients);
    mem_free(m.seen_first);
    mem_free(m.waiting);
    buf_deinit(&m.path);
    buf_deinit(&m.body);
    samples_deinit(&m.whole);
    samples_deinit(&m.first);
    return 0;
}
