/* SPDX-License-Identifier: Apache-2.0 */
/* receiver.c - who is told of runs and plans, in worlds whose servers deliver.
 *
 * The relay of each server is the real one; the calls that it makes end here: they take time, are
 * refused, time out, or are taken and not answered.
 *
 *  - what is to be told is told at least once, and then nothing is left to tell
 *  - events of a plan come in their order: none after a later one was taken
 *  - who is told the same again sees that by its id */
#include "sim.h"

#include <string.h>

#include "base/mem.h"
#include "delivery/delivery.h"
#include "http/client.h"
#include "plans/outbox.h"
#include "store/deliveries.h"

#define TIMEOUT_US   2000000
#define RETRY_US     200000
#define ATTEMPTS_MAX 1000000
#define ADDRESS      "10.9.8.7"
/* Pauses grow, so what failed to the last takes its time. */
#define EMPTY_US INT64_C(3600000000)

/* --- the network --- */

struct sim_call {
    int status;
};

/* The linker gives these to whoever calls http_call_* (meson.build). */
#define INSTEAD_OF(name) __asm__("__wrap_" name)
int call_open(struct http_client *client, const struct http_call_options *o,
              struct http_call **out, struct err *err) INSTEAD_OF("http_call_open");
int call_status(const struct http_call *call) INSTEAD_OF("http_call_status");
str call_header(const struct http_call *call, str name) INSTEAD_OF("http_call_header");
int call_read(struct http_call *call, str *out, struct err *err) INSTEAD_OF("http_call_read");
void call_close(struct http_call *call) INSTEAD_OF("http_call_close");

static void received(struct sim_world *w, str id, str body) {
    yyjson_val *v;
    struct sim_message m = {.id = arena_dup(&w->arena, id)};
    if (json_parse(&w->arena, body, &v, NULL) < 0) {
        sim_wrong(w, "what is told cannot be read");
        return;
    }
    m.source = arena_dup(&w->arena, json_str(json_get(v, "source")));
    m.sequence = arena_dup(&w->arena, json_str(json_get(v, "sequence")));
    str run = json_str(json_get(v, "run_id"));
    if (!m.source.p && !(run.p && id_parse(run, &m.run_id)))
        sim_wrong(w, "what is told names no run");
    vec_push(&w->messages, m);
}

/* The receiver's answer; 0: none comes in time. */
static int answer(struct sim_world *w) {
    if (!w->trouble || sim_chance(w, 70))
        return 200;
    return sim_chance(w, 50) ? 503 : 0;
}

int call_open(struct http_client *client, const struct http_call_options *o,
              struct http_call **out, struct err *err) {
    struct sim_server *s = (struct sim_server *)client;
    struct sim_world *w = s->world;
    int status = answer(w);
    bool taken = status == 200 || (status == 0 && sim_chance(w, 50));
    str id = STR("");
    for (size_t i = 0; i < o->header_count; i++)
        if (str_ieq(o->headers[i].name, STR("webhook-id")))
            id = o->headers[i].value;
    int rc = fiber_sleep_us(1 + (int64_t)sim_below(w, 50000));
    if (rc == 0 && s->dead)
        rc = ERR_UNAVAILABLE;
    sim_note(w, "server %d.%d tells: %d%s", s->number, s->life, status, taken ? ", taken" : "");
    if (rc == 0 && taken)
        received(w, id, o->body);
    if (rc == 0)
        rc = fiber_sleep_us(status ? 1 + (int64_t)sim_below(w, 50000) : TIMEOUT_US);
    if (rc < 0 || status == 0)
        return err_set(err, rc < 0 ? rc : ERR_TIMEOUT, "the receiver did not answer");
    struct sim_call *call = NEW(struct sim_call);
    call->status = status;
    *out = (struct http_call *)call;
    return 0;
}
int call_status(const struct http_call *call) {
    return ((const struct sim_call *)call)->status;
}
str call_header(const struct http_call *call, str name) {
    (void)call;
    (void)name;
    return STR_NULL;
}
int call_read(struct http_call *call, str *out, struct err *err) {
    (void)call;
    (void)err;
    *out = STR_NULL;
    return 0;
}
void call_close(struct http_call *call) { mem_free(call); }

/* --- the relays --- */

void sim_relay_open(struct sim_server *s) {
    struct delivery_options o = {.rules = {.allow = STR(ADDRESS)},
                                 .attempts_max = ATTEMPTS_MAX,
                                 .retry_us = RETRY_US,
                                 .timeout_us = TIMEOUT_US,
                                 .concurrency_max = 8,
                                 .makers = {plans_parcel_maker(&s->store)},
                                 .shared = true};
    if (delivery_open(s->world->rt, (struct http_client *)s, &s->store, &o, &s->relay, NULL) < 0)
        UNREACHABLE(); /* no secret is wrong */
    engine_outbox_set(s->engine, delivery_wake, s->relay);
}

/* --- the checks --- */

static int64_t entry_of(const struct sim_message *m) {
    int64_t seq = 0;
    ptrdiff_t dot = str_find_char(m->sequence, '.');
    if (dot < 0 || !str_to_i64(str_slice(m->sequence, 0, (size_t)dot), &seq))
        return -1;
    return seq;
}

static void check_order(struct sim_world *w, size_t at) {
    const struct sim_message *m = &w->messages.p[at];
    for (size_t i = 0; i < at; i++) {
        const struct sim_message *b = &w->messages.p[i];
        if (!str_eq(b->source, m->source))
            continue;
        if (entry_of(b) > entry_of(m))
            sim_wrong(w, STR_FMT " tells " STR_FMT " after " STR_FMT, STR_ARG(m->source),
                      STR_ARG(m->sequence), STR_ARG(b->sequence));
        if (str_eq(b->sequence, m->sequence) != str_eq(b->id, m->id))
            sim_wrong(w, STR_FMT " tells " STR_FMT " with the id of another event",
                      STR_ARG(m->source), STR_ARG(m->sequence));
    }
}

/* Is it told at all? seq: of the log. */
static bool is_told(struct sim_world *w, str source, int64_t seq) {
    for (size_t i = 0; i < w->messages.count; i++)
        if (str_eq(w->messages.p[i].source, source) && entry_of(&w->messages.p[i]) == seq)
            return true;
    return false;
}

static void check_plan(struct sim_world *w, const struct sim_plan *p) {
    struct log_entry *log;
    size_t count;
    struct store *store = &w->current[0]->store;
    str source = arena_printf(&w->arena, "/plans/runs/" STR_FMT,
                              STR_ARG(id_dashed(&w->arena, p->id)));
    for (int64_t seq = 0;; seq = log[count - 1].seq) {
        if (log_read(store, p->thread_id, seq, LOG_PAGE_MAX, &w->arena, &log, &count, NULL) < 0 ||
            count == 0)
            return;
        for (size_t i = 0; i < count; i++)
            if (log[i].kind == LOG_STEPS && !is_told(w, source, log[i].seq))
                sim_wrong(w, "entry %lld of plan %02x%02x is not told", (long long)log[i].seq,
                          p->id.b[14], p->id.b[15]);
    }
}

static void check_run(struct sim_world *w, const struct sim_run *r) {
    size_t times = 0;
    str id = STR_NULL;
    for (size_t i = 0; i < w->messages.count; i++) {
        const struct sim_message *m = &w->messages.p[i];
        if (m->source.p || !id_eq(m->run_id, r->id))
            continue;
        if (times++ && !str_eq(m->id, id))
            sim_wrong(w, "the end of a run is told with two ids");
        id = m->id;
    }
    if ((times > 0) != r->webhook)
        sim_wrong(w, "the end of run %02x%02x is told %zu times, it has %d webhooks", r->id.b[14],
                  r->id.b[15], times, (int)r->webhook);
}

static bool is_empty(struct sim_world *w) {
    struct delivery_counts counts;
    struct err err = {0};
    if (delivery_counts(&w->current[0]->store, &w->arena, &counts, &err) < 0)
        sim_wrong(w, "the outbox cannot be read: %s", err.message);
    if (counts.dead)
        sim_wrong(w, "%lld deliveries were given up", (long long)counts.dead);
    return counts.pending == 0;
}

void sim_deliver_all(struct sim_world *w) {
    int64_t begun_us = rt_mono_us(w->rt);
    while (!is_empty(w)) {
        if (rt_mono_us(w->rt) - begun_us > EMPTY_US) {
            sim_wrong(w, "there is something left to tell");
            return;
        }
        fiber_sleep_shielded_us(1000000);
    }
}

void sim_check_received(struct sim_world *w) {
    for (size_t i = 0; i < w->messages.count; i++)
        if (w->messages.p[i].source.p)
            check_order(w, i);
    for (size_t i = 0; i < w->plans.count; i++)
        check_plan(w, &w->plans.p[i]);
    for (size_t i = 0; i < w->runs.count; i++)
        check_run(w, &w->runs.p[i]);
    sim_note(w, "%zu messages were taken", w->messages.count);
}
