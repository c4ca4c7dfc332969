/* SPDX-License-Identifier: Apache-2.0 */
/* history_cases.c - random calls from a seed, on an adapter and on the model; results are compared.
 *
 * Few owners, sessions and ids, so that calls meet each other: duplicates, conflicts, sessions that
 * are deleted and come again. An event's content follows from its id and a variant, so that an id
 * comes back with the same content or, sometimes, with another. Times of storing are not compared.
 * In the end both digests are. */
#include "history_cases.h"

#include "history/memory.h"

#define BASE_US    (1700000000LL * 1000000)
#define SPAN_US    (1000LL * 1000000)
#define NOW_US     (BASE_US + SPAN_US)
#define EVENTS_MAX 6
#define IDS        40

struct cases {
    struct fixture *f;
    struct history *h, *model;
    struct scene *scene;
    struct arena arena; /* of one call */
    uint64_t state, seed;
    size_t call;
    struct id checkpoints[8]; /* the last ones that were put, anywhere */
};

/* splitmix64 */
static uint64_t next(struct cases *c) {
    uint64_t z = c->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}
static uint64_t below(struct cases *c, uint64_t bound) { return next(c) % bound; }
static bool one_in(struct cases *c, uint64_t n) { return below(c, n) == 0; }

#define DIFFER(c, format, ...)                                                                     \
    fixture_fail((c)->f, "seed %llu, call %zu: " format, (unsigned long long)(c)->seed, (c)->call, \
                 __VA_ARGS__)
#define SAME_INT(c, what, a, b)                                                                    \
    do {                                                                                           \
        long long same_a = (long long)(a), same_b = (long long)(b);                                \
        if (same_a != same_b)                                                                      \
            DIFFER(c, "%s is %lld, in the model %lld", what, same_a, same_b);                      \
    } while (0)
#define SAME_STR(c, what, a, b)                                                                    \
    do {                                                                                           \
        str same_a = (a), same_b = (b);                                                            \
        if (!str_eq(same_a, same_b) || !same_a.p != !same_b.p)                                     \
            DIFFER(c, "%s is '" STR_FMT "', in the model '" STR_FMT "'", what,                     \
                   STR_ARG(str_slice(same_a, 0, 60)), STR_ARG(str_slice(same_b, 0, 60)));          \
    } while (0)

static bool same_code(struct cases *c, const char *what, int rc, int model_rc,
                      const struct err *err) {
    if (rc != model_rc)
        DIFFER(c, "%s gives %s (%s), the model %s", what, err_name(rc), err->message,
               err_name(model_rc));
    return rc == 0 && model_rc == 0;
}

static struct history_key any_key(struct cases *c) {
    static const str owners[] = {{"", 0}, {"ann", 3}};
    static const str names[] = {{"a", 1}, {"b/../c", 6}, {"\xc3\xa9t\xc3\xa9", 5}, {"long", 4}};
    struct history_key key = {owners[below(c, 2)], names[below(c, 4)]};
    if (str_eq(key.session, STR("long"))) {
        char *p = arena_alloc(&c->arena, HISTORY_NAME_BYTES_MAX);
        memset(p, 'x', HISTORY_NAME_BYTES_MAX);
        key.session = str_n(p, HISTORY_NAME_BYTES_MAX);
    }
    return key;
}

/* --- append --- */

static str payload_of(struct cases *c, uint64_t bits, enum history_payload kind) {
    size_t len = bits % 5 == 0 ? 5000 + bits % 3000 : bits % 200;
    if (kind == HISTORY_JSON)
        return arena_printf(&c->arena, "{\"n\":%llu,\"pad\":\"%0*d\"}", (unsigned long long)bits,
                            (int)len, 7);
    char *p = arena_alloc(&c->arena, len + 1);
    for (size_t i = 0; i < len; i++)
        p[i] = (char)(bits >> i % 8 * 8);
    return str_n(p, len);
}

static struct history_event event_of(struct cases *c, uint64_t number, uint64_t variant) {
    uint64_t bits = (number * 7 + variant) * 0x9e3779b97f4a7c15 >> 7;
    enum history_payload kind = bits % 3 ? HISTORY_JSON : HISTORY_BYTES;
    return (struct history_event){
        .id = arena_printf(&c->arena, "e-%llu", (unsigned long long)number),
        .type = bits % 4 ? STR("message") : STR("tool.call"),
        .payload_kind = kind,
        .payload = payload_of(c, bits >> 3, kind),
        .occurred_at = BASE_US + (int64_t)(bits % SPAN_US),
        .source = bits % 5 ? STR_NULL : STR("test"),
        .trace_id = bits % 6 ? STR_NULL : STR("0af7651916cd43dd8448eb211c80319c"),
        .ttl_ms = bits % 4 ? 0 : (int64_t)(bits % 900000) + 1,
        .headers = bits % 3 ? STR_NULL : STR("{\"k\":\"v\"}"),
        .occurred_at_is_ours = bits % 7 == 0,
    };
}

static void do_append(struct cases *c) {
    struct history_event events[EVENTS_MAX];
    struct history_result results[EVENTS_MAX], model_results[EVENTS_MAX];
    str sessions[EVENTS_MAX];
    size_t count = 1 + below(c, EVENTS_MAX);
    for (size_t i = 0; i < count; i++) {
        events[i] = event_of(c, below(c, IDS), one_in(c, 20));
        sessions[i] = any_key(c).session;
    }
    struct history_append a = {.key = any_key(c),
                               .events = events,
                               .count = count,
                               .results = results,
                               .sessions = one_in(c, 3) ? sessions : NULL};
    struct history_append m = a;
    m.results = model_results;
    int rc = history_append(c->h, &a, NULL), model_rc = history_append(c->model, &m, NULL);
    if (!same_code(c, "append", rc, model_rc, &a.err))
        return;
    for (size_t i = 0; i < count; i++) {
        SAME_INT(c, "seq", results[i].seq, model_results[i].seq);
        SAME_INT(c, "duplicate", results[i].duplicate, model_results[i].duplicate);
    }
}

/* --- read --- */

static void same_event(struct cases *c, const struct history_event *a,
                       const struct history_event *m) {
    SAME_INT(c, "seq", a->seq, m->seq);
    SAME_STR(c, "id", a->id, m->id);
    SAME_STR(c, "type", a->type, m->type);
    SAME_INT(c, "payload kind", a->payload_kind, m->payload_kind);
    SAME_STR(c, "payload", a->payload, m->payload);
    SAME_INT(c, "payload bytes", a->payload_bytes, m->payload_bytes);
    SAME_INT(c, "occurred_at", a->occurred_at, m->occurred_at);
    SAME_STR(c, "source", a->source, m->source);
    SAME_STR(c, "trace_id", a->trace_id, m->trace_id);
    SAME_INT(c, "ttl", a->ttl_ms, m->ttl_ms);
    SAME_STR(c, "headers", a->headers, m->headers);
    if (a->stored_at <= 0)
        DIFFER(c, "event %lld has no stored_at", (long long)a->seq);
}

static void do_read(struct cases *c) {
    struct history_range r = HISTORY_RANGE_ALL(any_key(c));
    struct history_position after = {BASE_US + (int64_t)below(c, SPAN_US), (int64_t)below(c, 60)};
    r.now_us = one_in(c, 4) ? INT64_MIN : NOW_US;
    r.by_time = one_in(c, 2);
    r.newest_first = one_in(c, 2);
    r.payloads = !one_in(c, 3);
    r.limit = 1 + below(c, 20);
    if (one_in(c, 2))
        r.seq_min = (int64_t)below(c, 40);
    if (one_in(c, 2))
        r.seq_max = (int64_t)below(c, 60);
    if (one_in(c, 3))
        r.time_min = BASE_US + (int64_t)below(c, SPAN_US);
    if (one_in(c, 3))
        r.time_max = BASE_US + (int64_t)below(c, SPAN_US);
    if (one_in(c, 3))
        r.after = &after;
    struct history_page page, model;
    struct err err = {0};
    int rc = history_read(c->h, &r, &c->arena, &page, &err);
    if (!same_code(c, "read", rc, history_read(c->model, &r, &c->arena, &model, NULL), &err))
        return;
    SAME_INT(c, "count", page.count, model.count);
    for (size_t i = 0; i < page.count && i < model.count; i++)
        same_event(c, &page.events[i], &model.events[i]);
    if (model.more ? !page.more : page.more && page.count < r.limit)
        DIFFER(c, "more is %d, in the model %d", page.more, model.more);
}

/* --- checkpoints --- */

static struct id any_checkpoint(struct cases *c) {
    return c->checkpoints[below(c, ARRAY_COUNT(c->checkpoints))];
}

static void do_checkpoint_put(struct cases *c) {
    struct history_key key = any_key(c);
    uint64_t bits = next(c);
    struct id id = one_in(c, 5) ? any_checkpoint(c) : id_v7();
    enum history_payload kind = bits % 2 ? HISTORY_JSON : HISTORY_BYTES;
    struct history_checkpoint a = {.id = id_is_nil(id) ? id_v7() : id,
                                   .parent = one_in(c, 3) ? any_checkpoint(c) : ID_NIL,
                                   .label = bits % 3 ? STR_NULL : STR("before the tool"),
                                   .seq = one_in(c, 3) ? (int64_t)below(c, 30) : 0,
                                   .payload_kind = kind,
                                   .payload = payload_of(c, bits >> 40, kind),
                                   .created_at = NOW_US};
    struct history_checkpoint m = a;
    struct err err = {0};
    int rc = history_checkpoint_put(c->h, &key, &a, &c->arena, &err);
    int model_rc = history_checkpoint_put(c->model, &key, &m, &c->arena, NULL);
    if (!same_code(c, "checkpoint_put", rc, model_rc, &err))
        return;
    SAME_INT(c, "seq", a.seq, m.seq);
    SAME_INT(c, "parent", id_eq(a.parent, m.parent), true);
    c->checkpoints[c->call % ARRAY_COUNT(c->checkpoints)] = a.id;
}

static void same_checkpoint(struct cases *c, const struct history_checkpoint *a,
                            const struct history_checkpoint *m) {
    SAME_INT(c, "id", id_eq(a->id, m->id), true);
    SAME_INT(c, "parent", id_eq(a->parent, m->parent), true);
    SAME_STR(c, "label", a->label, m->label);
    SAME_INT(c, "seq", a->seq, m->seq);
    SAME_INT(c, "kind", a->payload_kind, m->payload_kind);
    SAME_STR(c, "payload", a->payload, m->payload);
    SAME_INT(c, "digest", memcmp(a->digest, m->digest, sizeof a->digest), 0);
    SAME_INT(c, "created_at", a->created_at, m->created_at);
}

static void do_checkpoint_get(struct cases *c) {
    struct history_key key = any_key(c);
    struct id id = one_in(c, 2) ? ID_NIL : any_checkpoint(c);
    struct history_checkpoint a, m;
    struct err err = {0};
    int rc = history_checkpoint_get(c->h, &key, id, &c->arena, &a, &err);
    int model_rc = history_checkpoint_get(c->model, &key, id, &c->arena, &m, NULL);
    if (same_code(c, "checkpoint_get", rc, model_rc, &err))
        same_checkpoint(c, &a, &m);
}

static void do_checkpoint_list(struct cases *c) {
    struct history_key key = any_key(c);
    struct id after = one_in(c, 2) ? ID_NIL : any_checkpoint(c);
    size_t limit = 1 + below(c, 10), count, model_count;
    struct history_checkpoint *a, *m;
    struct err err = {0};
    int rc = history_checkpoint_list(c->h, &key, after, limit, &c->arena, &a, &count, &err);
    int model_rc =
        history_checkpoint_list(c->model, &key, after, limit, &c->arena, &m, &model_count, NULL);
    if (!same_code(c, "checkpoint_list", rc, model_rc, &err))
        return;
    SAME_INT(c, "checkpoints", count, model_count);
    for (size_t i = 0; i < count && i < model_count; i++)
        same_checkpoint(c, &a[i], &m[i]);
}

static void do_checkpoint_rollback(struct cases *c) {
    struct history_key key = any_key(c);
    struct id id = any_checkpoint(c);
    struct err err = {0};
    int rc = history_checkpoint_rollback(c->h, &key, id, &err);
    (void)same_code(c, "checkpoint_rollback", rc,
                    history_checkpoint_rollback(c->model, &key, id, NULL), &err);
}

/* --- sessions --- */

static void same_session(struct cases *c, const struct history_session *a,
                         const struct history_session *m) {
    SAME_STR(c, "name", a->name, m->name);
    SAME_INT(c, "first_seq", a->first_seq, m->first_seq);
    SAME_INT(c, "last_seq", a->last_seq, m->last_seq);
    SAME_INT(c, "payload bytes", a->payload_bytes, m->payload_bytes);
    if (a->created_at <= 0 || a->updated_at < a->created_at)
        DIFFER(c, "the session's times are %lld and %lld", (long long)a->created_at,
               (long long)a->updated_at);
}

static void do_session_get(struct cases *c) {
    struct history_key key = any_key(c);
    struct history_session a, m;
    struct err err = {0};
    int rc = history_session_get(c->h, &key, &c->arena, &a, &err);
    int model_rc = history_session_get(c->model, &key, &c->arena, &m, NULL);
    if (same_code(c, "session_get", rc, model_rc, &err))
        same_session(c, &a, &m);
}

static void do_session_list(struct cases *c) {
    struct history_key key = any_key(c);
    str after = one_in(c, 2) ? STR("") : key.session;
    size_t limit = 1 + below(c, 6), count, model_count;
    struct history_session *a, *m;
    struct err err = {0};
    int rc = history_session_list(c->h, key.owner, after, limit, &c->arena, &a, &count, &err);
    int model_rc =
        history_session_list(c->model, key.owner, after, limit, &c->arena, &m, &model_count, NULL);
    if (!same_code(c, "session_list", rc, model_rc, &err))
        return;
    SAME_INT(c, "sessions", count, model_count);
    for (size_t i = 0; i < count && i < model_count; i++)
        same_session(c, &a[i], &m[i]);
}

static void do_session_delete(struct cases *c) {
    struct history_key key = any_key(c);
    struct err err = {0};
    int rc = history_session_delete(c->h, &key, &err);
    (void)same_code(c, "session_delete", rc, history_session_delete(c->model, &key, NULL), &err);
}

/* --- retention, consumers, the whole --- */

static int sweep_all(struct history *h, struct err *err) {
    size_t removed;
    int rc;
    do {
        rc = history_sweep(h, NOW_US, 7, &removed, err);
    } while (rc == 0 && removed > 0);
    return rc;
}

static void do_sweep(struct cases *c) {
    str owner = any_key(c).owner;
    struct history_retention r = {.count_max = (int64_t)below(c, 30)}, a, m;
    struct err err = {0};
    int rc = history_retention_set(c->h, owner, &r, &err);
    if (!same_code(c, "retention_set", rc, history_retention_set(c->model, owner, &r, NULL), &err))
        return;
    rc = history_retention_get(c->h, owner, &a, &err);
    if (same_code(c, "retention_get", rc, history_retention_get(c->model, owner, &m, NULL), &err))
        SAME_INT(c, "count_max", a.count_max, m.count_max);
    rc = sweep_all(c->h, &err);
    (void)same_code(c, "sweep", rc, sweep_all(c->model, NULL), &err);
}

static void do_consumer(struct cases *c) {
    struct history_key key = any_key(c);
    str name = one_in(c, 2) ? STR("indexer") : STR("mailer");
    int64_t seq = (int64_t)below(c, 20), a = 0, m = 0;
    struct err err = {0};
    if (one_in(c, 5)) {
        int rc = history_consumer_delete(c->h, &key, name, &err);
        (void)same_code(c, "consumer_delete", rc,
                        history_consumer_delete(c->model, &key, name, NULL), &err);
        return;
    }
    int rc = history_consumer_ack(c->h, &key, name, seq, &a, &err);
    int model_rc = history_consumer_ack(c->model, &key, name, seq, &m, NULL);
    if (same_code(c, "consumer_ack", rc, model_rc, &err))
        SAME_INT(c, "acked", a, m);
}

static void do_consumer_list(struct cases *c) {
    struct history_key key = any_key(c);
    struct history_consumer *a, *m;
    size_t count, model_count;
    struct err err = {0};
    int rc = history_consumer_list(c->h, &key, &c->arena, &a, &count, &err);
    int model_rc = history_consumer_list(c->model, &key, &c->arena, &m, &model_count, NULL);
    if (!same_code(c, "consumer_list", rc, model_rc, &err))
        return;
    SAME_INT(c, "consumers", count, model_count);
    for (size_t i = 0; i < count && i < model_count; i++) {
        SAME_STR(c, "consumer", a[i].name, m[i].name);
        SAME_INT(c, "acked", a[i].acked_seq, m[i].acked_seq);
    }
}

static void do_wait(struct cases *c) {
    struct history_key key = any_key(c);
    int64_t after = (int64_t)below(c, 10), a = 0, m = 0;
    struct err err = {0};
    int64_t deadline = rt_mono_us(fiber_rt()) + 1000; /* most are there, or never come */
    int model_rc = history_wait(c->model, &key, after, deadline, &m, NULL);
    int rc = history_wait(c->h, &key, after, deadline + (model_rc == 0 ? 60000000 : 0), &a, &err);
    if (same_code(c, "wait", rc, model_rc, &err))
        SAME_INT(c, "last_seq", a, m);
}

static void same_digest(struct cases *c) {
    char a[HISTORY_DIGEST_LEN + 1] = "", m[HISTORY_DIGEST_LEN + 1] = "";
    struct err err = {0};
    int rc = history_digest(c->h, a, &err);
    if (same_code(c, "digest", rc, history_digest(c->model, m, NULL), &err))
        SAME_STR(c, "digest", str_of(a), str_of(m));
}

static void do_reopen(struct cases *c) {
    if (c->scene->kind->keeps && scene_reopen(c->scene))
        c->h = c->scene->h;
}

/* How often of a hundred each is called. */
static const struct {
    int weight;
    void (*fn)(struct cases *c);
} calls[] = {{40, do_append},        {25, do_read},           {6, do_checkpoint_put},
             {5, do_checkpoint_get}, {3, do_checkpoint_list}, {2, do_checkpoint_rollback},
             {4, do_session_get},    {2, do_session_list},    {2, do_session_delete},
             {2, do_sweep},          {4, do_consumer},        {2, do_consumer_list},
             {1, do_wait},           {1, same_digest},        {1, do_reopen}};

void history_cases_run(struct scene *s, uint64_t seed, size_t count) {
    struct cases c = {.f = s->f,
                      .h = s->h,
                      .model = history_memory_open(),
                      .scene = s,
                      .state = seed,
                      .seed = seed};
    for (c.call = 0; c.call < count && c.h && !s->f->failure[0]; c.call++) {
        int at = (int)below(&c, 100);
        size_t i = 0;
        while (at >= calls[i].weight)
            at -= calls[i++].weight;
        arena_init(&c.arena, 256u << 20);
        calls[i].fn(&c);
        arena_deinit(&c.arena);
    }
    if (c.h && !s->f->failure[0])
        same_digest(&c);
    history_close(c.model);
}
