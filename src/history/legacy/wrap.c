/* SPDX-License-Identifier: Apache-2.0 */
/* wrap.c - a history that takes a session over from an older store when somebody touches it.
 *
 * Every call about a session of the owner looks there first, at most once in an interval, and takes
 * what is new (take.c); then the history alone answers. So numbers have no gaps, nothing is merged,
 * and there is one truth. Of several callers of a session one looks, the others wait for it.
 *
 * When the old store cannot be read: a session that was taken before is served as it is, and that
 * is told; of another one nobody can know whether it exists, so the call fails.
 *
 * Lists show sessions that nobody touched yet as well: they have no numbers, so last_seq is 0. What
 * is written down about taking over (owners that begin with LEGACY_BOOKS) is not shown. */
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "history/legacy/legacy_int.h"
#include "history/watch.h"

#define LOOKS_MAX       10000
#define ARENA_BYTES_MAX ((size_t)64 << 20)

/* A session that was looked at. */
struct look {
    bool under_way;
    int64_t at_us;
    size_t len;
    char session[];
};
struct wrap {
    struct history base, *inner;
    struct history_legacy_options options;
    struct legacy_books books;
    struct map looks; /* of struct look, by session */
    struct fiber_event looked;
    struct metric *taken, *bad, *failed;
};

static struct wrap *wrap_of(struct history *h) { return CONTAINER_OF(h, struct wrap, base); }

/* --- looking --- */

/* Only makes those be looked at again sooner. */
static void forget_looks(struct wrap *w) {
    struct look **idle = mem_calloc(w->looks.count + 1, sizeof *idle);
    size_t at = 0, count = 0;
    str session;
    void *value;
    while (map_next(&w->looks, &at, &session, &value)) {
        struct look *l = value;
        if (!l->under_way)
            idle[count++] = l;
    }
    for (size_t i = 0; i < count; i++) {
        (void)map_remove(&w->looks, str_n(idle[i]->session, idle[i]->len));
        mem_free(idle[i]);
    }
    mem_free(idle);
}

static struct look *look_of(struct wrap *w, str session) {
    struct look *l = map_get(&w->looks, session);
    if (l)
        return l;
    if (w->looks.count >= LOOKS_MAX)
        forget_looks(w);
    l = mem_zalloc(sizeof *l + session.len);
    l->at_us = INT64_MIN / 2;
    l->len = session.len;
    memcpy(l->session, session.p, session.len);
    (void)map_put(&w->looks, str_n(l->session, l->len), l);
    return l;
}

static void on_bad(void *ctx, str session, str row, const char *why) {
    struct wrap *w = ctx;
    metric_add(w->bad, 1);
    log_event(LOG_WARN, "history.legacy.bad", "an old row cannot be taken over",
              LOG_STR("session", str_slice(session, 0, HISTORY_NAME_BYTES_MAX)),
              LOG_STR("row", str_slice(row, 0, HISTORY_ID_BYTES_MAX)), LOG_Z("why", why));
}

static int take(struct wrap *w, str session, struct err *err) {
    struct history_taking t = {
        .h = w->inner, .from = w->options.from, .owner = w->options.owner, .bad = on_bad, .ctx = w};
    struct history_key key = {w->options.owner, session};
    struct err why = {0};
    int rc = history_legacy_take(&t, session, &why);
    metric_add(w->taken, t.stored);
    if (t.last_seq > 0)
        history_watch_tell(&w->base, &key, t.last_seq);
    if (rc == 0)
        return 0;
    metric_add(w->failed, 1);
    log_event(LOG_WARN, "history.legacy", why.message, LOG_Z("code", err_name(rc)),
              LOG_STR("session", session));
    if (t.known && rc != ERR_CANCELLED)
        return 0;
    if (err)
        *err = why;
    return rc;
}

/* The session is as new as `look_every_us` says. */
static int touch(struct wrap *w, const struct history_key *key, struct err *err) {
    struct look *l;
    if (!str_eq(key->owner, w->options.owner))
        return 0;
    while ((l = look_of(w, key->session))->under_way) {
        int rc = fiber_event_wait(&w->looked, FIBER_NO_DEADLINE);
        if (rc < 0)
            return err_set(err, rc, "cancelled while a session was taken over");
    }
    if (clock_mono_us() - l->at_us < w->options.look_every_us)
        return 0;
    l->under_way = true;
    int rc = take(w, key->session, err);
    l->under_way = false;
    if (rc == 0)
        l->at_us = clock_mono_us();
    fiber_event_wake_all(&w->looked);
    return rc;
}

/* --- appends --- */

static int touch_all(struct wrap *w, struct history_append *a) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < a->count; i++) {
        struct history_key key = history_key_of(a, i);
        if (i == 0 || (a->sessions && !str_eq(a->sessions[i], a->sessions[i - 1])))
            rc = touch(w, &key, &a->err);
    }
    return rc;
}

static void wrap_append(struct history *h, struct history_append *const *appends, size_t count) {
    struct wrap *w = wrap_of(h);
    for (size_t i = 0; i < count; i++) {
        int rc = touch_all(w, appends[i]);
        for (size_t k = i; rc < 0 && k < count; k++) { /* none behind it comes before it */
            appends[k]->err = appends[i]->err;
            appends[k]->rc = rc;
        }
        count = rc < 0 ? i : count;
    }
    if (count > 0)
        w->inner->vtable->append(w->inner, appends, count);
}

/* --- calls about one session --- */

static int wrap_read(struct history *h, const struct history_range *range, struct arena *a,
                     struct history_page *out, struct err *err) {
    struct wrap *w = wrap_of(h);
    int rc = touch(w, &range->key, err);
    return rc < 0 ? rc : w->inner->vtable->read(w->inner, range, a, out, err);
}

/* In parts, so that what is put into the old store wakes, too. */
static int wrap_wait(struct history *h, const struct history_key *key, int64_t after_seq,
                     int64_t deadline_us, int64_t *out_last_seq, struct err *err) {
    struct wrap *w = wrap_of(h);
    bool ours = str_eq(key->owner, w->options.owner);
    int64_t every = w->options.look_every_us > 0 ? w->options.look_every_us : 1000000;
    for (;;) {
        int rc = touch(w, key, err);
        if (rc < 0)
            return rc;
        int64_t until = ours ? clock_mono_us() + every : deadline_us;
        if (until > deadline_us)
            until = deadline_us;
        rc = w->inner->vtable->wait(w->inner, key, after_seq, until, out_last_seq, err);
        if (rc != ERR_TIMEOUT || until == deadline_us)
            return rc;
    }
}

static int wrap_checkpoint_put(struct history *h, const struct history_key *key,
                               struct history_checkpoint *c, struct arena *a, struct err *err) {
    struct wrap *w = wrap_of(h);
    int rc = touch(w, key, err);
    return rc < 0 ? rc : w->inner->vtable->checkpoint_put(w->inner, key, c, a, err);
}

static int wrap_checkpoint_get(struct history *h, const struct history_key *key, struct id id,
                               struct arena *a, struct history_checkpoint *out, struct err *err) {
    struct wrap *w = wrap_of(h);
    int rc = touch(w, key, err);
    return rc < 0 ? rc : w->inner->vtable->checkpoint_get(w->inner, key, id, a, out, err);
}

static int wrap_checkpoint_list(struct history *h, const struct history_key *key, struct id after,
                                size_t limit, struct arena *a, struct history_checkpoint **out,
                                size_t *out_count, struct err *err) {
    struct wrap *w = wrap_of(h);
    int rc = touch(w, key, err);
    return rc < 0 ? rc
                  : w->inner->vtable->checkpoint_list(w->inner, key, after, limit, a, out,
                                                      out_count, err);
}

static int wrap_checkpoint_rollback(struct history *h, const struct history_key *key, struct id id,
                                    struct err *err) {
    struct wrap *w = wrap_of(h);
    int rc = touch(w, key, err);
    return rc < 0 ? rc : w->inner->vtable->checkpoint_rollback(w->inner, key, id, err);
}

static int wrap_session_get(struct history *h, const struct history_key *key, struct arena *a,
                            struct history_session *out, struct err *err) {
    struct wrap *w = wrap_of(h);
    int rc = touch(w, key, err);
    return rc < 0 ? rc : w->inner->vtable->session_get(w->inner, key, a, out, err);
}

/* Taken over before it is deleted, so that it is known and does not come back. */
static int wrap_session_delete(struct history *h, const struct history_key *key, struct err *err) {
    struct wrap *w = wrap_of(h);
    int rc = touch(w, key, err);
    return rc < 0 ? rc : w->inner->vtable->session_delete(w->inner, key, err);
}

static int wrap_consumer_ack(struct history *h, const struct history_key *key, str name,
                             int64_t seq, int64_t *out_acked_seq, struct err *err) {
    struct wrap *w = wrap_of(h);
    int rc = touch(w, key, err);
    return rc < 0 ? rc
                  : w->inner->vtable->consumer_ack(w->inner, key, name, seq, out_acked_seq, err);
}

static int wrap_consumer_list(struct history *h, const struct history_key *key, struct arena *a,
                              struct history_consumer **out, size_t *out_count, struct err *err) {
    struct wrap *w = wrap_of(h);
    int rc = touch(w, key, err);
    return rc < 0 ? rc : w->inner->vtable->consumer_list(w->inner, key, a, out, out_count, err);
}

static int wrap_consumer_delete(struct history *h, const struct history_key *key, str name,
                                struct err *err) {
    struct wrap *w = wrap_of(h);
    int rc = touch(w, key, err);
    return rc < 0 ? rc : w->inner->vtable->consumer_delete(w->inner, key, name, err);
}

/* --- lists --- */

/* A page of the history, and of the old store what belongs between. */
struct merge {
    struct wrap *w;
    struct history_session *list; /* room for limit */
    size_t count, limit;
    struct arena *a;
};

static size_t place_of(const struct merge *m, str name) {
    size_t at = 0;
    while (at < m->count && str_cmp(m->list[at].name, name) < 0)
        at++;
    return at;
}

/* Into its place; what has none any more falls out at the end. */
static void insert(struct merge *m, size_t at, const struct history_session *s) {
    size_t kept = m->count < m->limit ? m->count : m->limit - 1;
    memmove(m->list + at + 1, m->list + at, (kept - at) * sizeof *s);
    m->list[at] = *s;
    m->count = kept + 1;
}

/* One that the history does not show, and never had: what was deleted there was taken before. */
static int merge_one(struct merge *m, const struct db_legacy_session *old, struct err *err) {
    struct wrap *w = m->w;
    struct history_key books = {w->books.owner, old->name};
    struct history_session known;
    size_t at = place_of(m, old->name);
    if (at == m->limit || !legacy_name_fits(old->name) ||
        (at < m->count && str_eq(m->list[at].name, old->name)))
        return 0;
    int rc = w->inner->vtable->session_get(w->inner, &books, m->a, &known, err);
    if (rc != ERR_NOT_FOUND)
        return rc;
    insert(m, at,
           &(struct history_session){.name = arena_dup(m->a, old->name),
                                     .first_seq = 1,
                                     .created_at = old->updated_at,
                                     .updated_at = old->updated_at});
    return 0;
}

/* Page by page, until no name of the old store can find a place. */
static int merge_old(struct merge *m, str after, struct err *err) {
    struct db_legacy *from = m->w->options.from;
    struct db_legacy_session *old;
    size_t count;
    int rc;
    do {
        rc = from->vtable->session_list(from, after, m->limit, m->a, &old, &count, err);
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = merge_one(m, &old[i], err);
        if (rc == 0 && count > 0)
            after = old[count - 1].name;
    } while (rc == 0 && count == m->limit && place_of(m, after) < m->limit);
    return rc;
}

static int wrap_session_list(struct history *h, str owner, str after, size_t limit, struct arena *a,
                             struct history_session **out, size_t *out_count, struct err *err) {
    struct wrap *w = wrap_of(h);
    struct history_session *list;
    size_t count;
    int rc = w->inner->vtable->session_list(w->inner, owner, after, limit, a, &list, &count, err);
    if (rc < 0 || !str_eq(owner, w->options.owner)) {
        if (rc == 0) {
            *out = list;
            *out_count = count;
        }
        return rc;
    }
    struct merge m = {w, ARENA_ARRAY(a, struct history_session, limit), count, limit, a};
    if (count > 0)
        memcpy(m.list, list, count * sizeof *list);
    rc = merge_old(&m, after, err);
    *out = m.list;
    *out_count = m.count;
    return rc;
}

static bool is_book(str owner) { return str_starts(owner, STR(LEGACY_BOOKS)); }

static int add_owner(struct wrap *w, str after, size_t limit, str *list, size_t *count,
                     struct arena *a, struct err *err) {
    struct db_legacy *from = w->options.from;
    struct db_legacy_session *old;
    size_t any, at = 0;
    if (after.p && str_cmp(w->options.owner, after) <= 0)
        return 0;
    while (at < *count && str_cmp(list[at], w->options.owner) < 0)
        at++;
    if (at == limit || (at < *count && str_eq(list[at], w->options.owner)))
        return 0;
    int rc = from->vtable->session_list(from, STR(""), 1, a, &old, &any, err);
    if (rc < 0 || any == 0)
        return rc;
    size_t kept = *count < limit ? *count : limit - 1;
    memmove(list + at + 1, list + at, (kept - at) * sizeof *list);
    list[at] = w->options.owner;
    *count = kept + 1;
    return 0;
}

/* Pages of the history without the books, until this one is full. */
static int wrap_owner_list(struct history *h, str after, size_t limit, struct arena *a, str **out,
                           size_t *out_count, struct err *err) {
    struct wrap *w = wrap_of(h);
    str *list = ARENA_ARRAY(a, str, limit), from = after;
    size_t count = 0, got, asked;
    int rc;
    do {
        str *page;
        asked = limit - count;
        rc = w->inner->vtable->owner_list(w->inner, from, asked, a, &page, &got, err);
        for (size_t i = 0; rc == 0 && i < got; i++) {
            from = page[i];
            if (!is_book(page[i]))
                list[count++] = page[i];
        }
    } while (rc == 0 && got == asked && count < limit);
    if (rc == 0)
        rc = add_owner(w, after, limit, list, &count, a, err);
    *out = list;
    *out_count = count;
    return rc;
}

/* --- what goes straight through --- */

static int wrap_retention_set(struct history *h, str owner, const struct history_retention *r,
                              struct err *err) {
    struct history *inner = wrap_of(h)->inner;
    return inner->vtable->retention_set(inner, owner, r, err);
}

static int wrap_retention_get(struct history *h, str owner, struct history_retention *out,
                              struct err *err) {
    struct history *inner = wrap_of(h)->inner;
    return inner->vtable->retention_get(inner, owner, out, err);
}

static int wrap_sweep(struct history *h, int64_t now_us, size_t budget, size_t *out_removed,
                      struct err *err) {
    struct history *inner = wrap_of(h)->inner;
    return inner->vtable->sweep(inner, now_us, budget, out_removed, err);
}

static int wrap_stats(struct history *h, struct history_stats *out, struct err *err) {
    struct history *inner = wrap_of(h)->inner;
    return inner->vtable->stats(inner, out, err);
}

static void wrap_close(struct history *h) {
    struct wrap *w = wrap_of(h);
    forget_looks(w);
    ASSERT(w->looks.count == 0);
    map_deinit(&w->looks);
    history_close(w->inner);
    mem_free(w);
}

int history_legacy_wrap(struct history *inner, const struct history_legacy_options *o,
                        struct history **out, struct err *err) {
    static const struct history_vtable vtable = {
        .name = "legacy",
        .append = wrap_append,
        .read = wrap_read,
        .wait = wrap_wait,
        .checkpoint_put = wrap_checkpoint_put,
        .checkpoint_get = wrap_checkpoint_get,
        .checkpoint_list = wrap_checkpoint_list,
        .checkpoint_rollback = wrap_checkpoint_rollback,
        .session_get = wrap_session_get,
        .session_list = wrap_session_list,
        .session_delete = wrap_session_delete,
        .retention_set = wrap_retention_set,
        .retention_get = wrap_retention_get,
        .sweep = wrap_sweep,
        .consumer_ack = wrap_consumer_ack,
        .consumer_list = wrap_consumer_list,
        .consumer_delete = wrap_consumer_delete,
        .stats = wrap_stats,
        .owner_list = wrap_owner_list,
        .close = wrap_close,
    };
    struct wrap *w = NEW(struct wrap);
    int rc = legacy_books_of(o->owner, &w->books, err);
    if (rc < 0) {
        mem_free(w);
        return rc;
    }
    w->base.vtable = &vtable;
    w->inner = inner;
    w->options = *o;
    map_init(&w->looks);
    fiber_event_init(&w->looked);
    w->taken = metric_counter("holdfast_history_legacy_events_total",
                              "Events taken over from the older store", NULL);
    w->bad = metric_counter("holdfast_history_legacy_bad_total",
                            "Rows of the older store that could not be taken over", NULL);
    w->failed = metric_counter("holdfast_history_legacy_failures_total",
                               "Sessions of the older store that could not be read", NULL);
    *out = &w->base;
    return 0;
}
