/* SPDX-License-Identifier: Apache-2.0 */
/* told.c - what is to be told to other programs, of worlds with plans.
 *
 * Nothing is sent here, so the outbox keeps all that was ever put into it. It must hold, each once:
 *
 *  - the end of every run that has a webhook, also of one that was cancelled before it began, or
 *    rolled back and gone
 *  - every entry of a plan's log that tells of its steps or of a run's end
 *
 * and nothing that the logs do not have: what is told was stored with what it tells. */
#include "sim.h"

#include "store/deliveries.h"
#include "store/webhooks.h"

#define CLAIM_MAX 1000
#define LEASE_US  INT64_C(3600000000)

void sim_subscribe(struct sim_world *w) {
    struct store store = {.db = w->db};
    struct err err = {0};
    struct webhook all = {.id = id_v7(),
                          .url = STR(SIM_WEBHOOK),
                          .types = STR("[\"*\"]"),
                          .steps = true,
                          .mode = WEBHOOK_SINGLE,
                          .secret = STR("whsec_c2VjcmV0")};
    if (webhook_create(&store, &all, &w->arena, &err) < 0)
        sim_wrong(w, "a webhook: %s", err.message);
}

struct told {
    str kind;
    struct id run, thread;
    int64_t seq;
    bool expected;
};
struct all_told {
    VEC(struct told) list;
};

static struct id id_of(yyjson_val *v, const char *key) {
    struct id id;
    str text = json_str(json_get(v, key));
    return text.p && id_parse(text, &id) ? id : ID_NIL;
}

static void take(struct sim_world *w, struct all_told *all, const struct delivery *d) {
    yyjson_val *v;
    struct err err = {0};
    if (json_parse(&w->arena, d->payload, &v, &err) < 0) {
        sim_wrong(w, "what is to be told cannot be read: %s", err.message);
        return;
    }
    bool plan = str_eq(d->kind, STR(WEBHOOK_KIND));
    struct told t = {.kind = d->kind,
                     .run = id_of(v, plan ? "run" : "run_id"),
                     .thread = id_of(v, plan ? "thread" : "thread_id"),
                     .seq = plan ? yyjson_get_sint(json_get(v, "seq")) : 0};
    vec_push(&all->list, t);
}

/* Those of one order come one after the other, so each has to be done with. */
static void read_all(struct sim_world *w, struct store *store, struct all_told *all) {
    struct delivery *list;
    size_t count = 0;
    struct err err = {0};
    do {
        int64_t now = rt_now_us(w->rt);
        int rc = delivery_claim(store, now, LEASE_US, CLAIM_MAX, &w->arena, &list, &count, &err);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            take(w, all, &list[i]);
            rc = delivery_done(store, list[i].id, list[i].attempt, &w->arena, &err);
        }
        if (rc < 0) {
            sim_wrong(w, "what is to be told cannot be read: %s", err.message);
            return;
        }
    } while (count);
}

static size_t expect(struct all_told *all, str kind, struct id run, struct id thread, int64_t seq) {
    size_t found = 0;
    for (size_t i = 0; i < all->list.count; i++) {
        struct told *t = &all->list.p[i];
        if (!str_eq(t->kind, kind) || !id_eq(t->run, run) || !id_eq(t->thread, thread) ||
            t->seq != seq)
            continue;
        t->expected = true;
        found++;
    }
    return found;
}

static void check_plan(struct sim_world *w, struct store *store, struct all_told *all,
                       struct id thread) {
    struct log_entry *log;
    size_t count;
    struct err err = {0};
    for (int64_t seq = 0;; seq = log[count - 1].seq) {
        if (log_read(store, thread, seq, LOG_PAGE_MAX, &w->arena, &log, &count, &err) < 0) {
            sim_wrong(w, "a log cannot be read: %s", err.message);
            return;
        }
        if (count == 0)
            return;
        for (size_t i = 0; i < count; i++) {
            if (log[i].kind != LOG_STEPS && log[i].kind != LOG_END)
                continue;
            size_t times = expect(all, STR(WEBHOOK_KIND), log[i].run_id, thread, log[i].seq);
            if (times != 1)
                sim_wrong(w, "entry %lld of a plan's log is told %zu times", (long long)log[i].seq,
                          times);
        }
    }
}

/* Of runs and plans that no client knows there may be some: each once. */
static void check_strangers(struct sim_world *w, struct all_told *all) {
    for (size_t i = 0; i < all->list.count; i++) {
        struct told t = all->list.p[i];
        if (!t.expected && expect(all, t.kind, t.run, t.thread, t.seq) != 1)
            sim_wrong(w, "a " STR_FMT " of run %02x%02x is told more than once", STR_ARG(t.kind),
                      t.run.b[14], t.run.b[15]);
    }
}

void sim_check_told(struct sim_world *w) {
    struct store *store = &w->current[0]->store;
    struct all_told all = {0};
    read_all(w, store, &all);
    for (size_t i = 0; i < w->runs.count; i++) {
        const struct sim_run *r = &w->runs.p[i];
        size_t times = expect(&all, STR("webhook"), r->id, r->thread_id, 0);
        if (times != r->webhook)
            sim_wrong(w, "the end of run %02x%02x is told %zu times, it has %d webhooks",
                      r->id.b[14], r->id.b[15], times, (int)r->webhook);
    }
    for (size_t i = 0; i < w->plans.count; i++)
        check_plan(w, store, &all, w->plans.p[i].thread_id);
    check_strangers(w, &all);
    vec_deinit(&all.list);
}
