/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - the history port over plain arrays, as simple as it can be said.
 *
 * Sessions stand in one array, ordered by (owner, name); each owns its events, ordered by seq, its
 * checkpoints, ordered by their putting, and its consumers, ordered by name. An event or checkpoint
 * owns an arena that holds its texts. Nothing here is made fast: it is what other adapters are
 * checked against. */
#include "history/memory.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/vec.h"

struct event {
    struct arena arena;
    struct history_event e;
    unsigned char digest[HASH_XXH3_BYTES];
};
struct checkpoint {
    struct arena arena;
    struct history_checkpoint c;
};
struct consumer {
    str name; /* own memory */
    int64_t acked_seq, updated_at;
};
struct session {
    str owner, name; /* own memory */
    VEC(struct event *) events;
    VEC(struct checkpoint *) checkpoints;
    VEC(struct consumer) consumers;
    struct checkpoint *latest;
    int64_t last_seq, created_at, updated_at;
};
struct policy {
    str owner; /* own memory */
    struct history_retention retention;
};
struct memory {
    struct history base;
    VEC(struct session *) sessions;
    VEC(struct policy) policies;
    struct fiber_event appended;
    uint64_t appends, appended_events, flushes;
};

static struct memory *memory_of(struct history *h) { return CONTAINER_OF(h, struct memory, base); }

static str own(str s) {
    char *p = mem_alloc(s.len + 1);
    if (s.len)
        memcpy(p, s.p, s.len);
    p[s.len] = 0;
    return str_n(p, s.len);
}

static void own_free(str s) { mem_free((char *)(uintptr_t)s.p); }

/* --- sessions --- */

static int key_cmp(const struct session *s, str owner, str name) {
    int c = str_cmp(s->owner, owner);
    return c ? c : str_cmp(s->name, name);
}

/* Where it is, or where it belongs. */
static size_t session_slot(const struct memory *m, str owner, str name, bool *out_found) {
    size_t lo = 0, hi = m->sessions.count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (key_cmp(m->sessions.p[mid], owner, name) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *out_found = lo < m->sessions.count && key_cmp(m->sessions.p[lo], owner, name) == 0;
    return lo;
}

static struct session *session_find(const struct memory *m, const struct history_key *key) {
    bool found;
    size_t at = session_slot(m, key->owner, key->session, &found);
    return found ? m->sessions.p[at] : NULL;
}

static int session_need(const struct memory *m, const struct history_key *key, struct session **out,
                        struct err *err) {
    *out = session_find(m, key);
    return *out ? 0 : err_set(err, ERR_NOT_FOUND, "no such session");
}

static struct session *session_make(struct memory *m, const struct history_key *key) {
    bool found;
    size_t at = session_slot(m, key->owner, key->session, &found);
    if (found)
        return m->sessions.p[at];
    struct session *s = mem_zalloc(sizeof *s);
    s->owner = own(key->owner);
    s->name = own(key->session);
    s->created_at = s->updated_at = clock_wall_us();
    vec_push(&m->sessions, s);
    memmove(&m->sessions.p[at + 1], &m->sessions.p[at],
            (m->sessions.count - 1 - at) * sizeof m->sessions.p[0]);
    m->sessions.p[at] = s;
    return s;
}

static void event_free(struct event *e) {
    arena_deinit(&e->arena);
    mem_free(e);
}

static void checkpoint_free(struct checkpoint *c) {
    arena_deinit(&c->arena);
    mem_free(c);
}

static void session_free(struct session *s) {
    for (size_t i = 0; i < s->events.count; i++)
        event_free(s->events.p[i]);
    for (size_t i = 0; i < s->checkpoints.count; i++)
        checkpoint_free(s->checkpoints.p[i]);
    for (size_t i = 0; i < s->consumers.count; i++)
        own_free(s->consumers.p[i].name);
    vec_deinit(&s->events);
    vec_deinit(&s->checkpoints);
    vec_deinit(&s->consumers);
    own_free(s->owner);
    own_free(s->name);
    mem_free(s);
}

/* --- append --- */

static struct event *event_find(const struct session *s, str id) {
    for (size_t i = s ? s->events.count : 0; i-- > 0;) {
        if (str_eq(s->events.p[i]->e.id, id))
            return s->events.p[i];
    }
    return NULL;
}

static void event_copy(struct event *to, const struct history_event *e) {
    arena_init(&to->arena, 2 * HISTORY_PAYLOAD_BYTES_MAX);
    to->e = *e;
    to->e.id = arena_dup(&to->arena, e->id);
    to->e.type = arena_dup(&to->arena, e->type);
    to->e.source = arena_dup(&to->arena, e->source);
    to->e.trace_id = arena_dup(&to->arena, e->trace_id);
    to->e.headers = arena_dup(&to->arena, e->headers);
    to->e.payload = arena_dup(&to->arena, e->payload);
    to->e.payload_bytes = e->payload.len;
}

/* The event of the append that has this id in the same session, before i. */
static const struct history_event *earlier(const struct history_append *a, size_t i) {
    for (size_t k = 0; k < i; k++) {
        if (str_eq(a->events[k].id, a->events[i].id) &&
            (!a->sessions || str_eq(a->sessions[k], a->sessions[i])))
            return &a->events[k];
    }
    return NULL;
}

static int append_fits(const struct memory *m, const struct history_append *a, struct err *err) {
    for (size_t i = 0; i < a->count; i++) {
        unsigned char digest[HASH_XXH3_BYTES], other[HASH_XXH3_BYTES];
        struct history_key key = history_key_of(a, i);
        const struct event *stored = event_find(session_find(m, &key), a->events[i].id);
        const struct history_event *before = earlier(a, i);
        history_event_digest(&a->events[i], digest);
        if (before)
            history_event_digest(before, other);
        if ((stored && memcmp(stored->digest, digest, sizeof digest) != 0) ||
            (before && memcmp(other, digest, sizeof digest) != 0))
            return err_set(err, ERR_CONFLICT, "event %zu: its id is there with another content", i);
    }
    return 0;
}

static void append_one(struct memory *m, struct history_append *a) {
    a->rc = append_fits(m, a, &a->err);
    for (size_t i = 0; a->rc == 0 && i < a->count; i++) {
        struct history_key key = history_key_of(a, i);
        struct session *s = session_make(m, &key);
        struct event *stored = event_find(s, a->events[i].id);
        a->results[i].duplicate = stored != NULL;
        if (!stored) {
            stored = mem_zalloc(sizeof *stored);
            event_copy(stored, &a->events[i]);
            history_event_digest(&stored->e, stored->digest);
            stored->e.seq = ++s->last_seq;
            stored->e.stored_at = s->updated_at = clock_wall_us();
            vec_push(&s->events, stored);
        }
        a->results[i].seq = stored->e.seq;
    }
    m->appends++;
    m->appended_events += a->rc == 0 ? a->count : 0;
}

static void memory_append(struct history *h, struct history_append *const *appends, size_t count) {
    struct memory *m = memory_of(h);
    for (size_t i = 0; i < count; i++)
        append_one(m, appends[i]);
    m->flushes++;
    fiber_event_wake_all(&m->appended);
}

/* --- read --- */

static bool fits(const struct history_range *r, const struct history_event *e) {
    return e->seq >= r->seq_min && e->seq <= r->seq_max && e->occurred_at >= r->time_min &&
           e->occurred_at < r->time_max && history_event_expires_at(e) > r->now_us;
}

/* -1, 0, 1 in the order of the range. */
static int order(const struct history_range *r, int64_t time_a, int64_t seq_a, int64_t time_b,
                 int64_t seq_b) {
    int c = r->by_time ? (time_a > time_b) - (time_a < time_b) : 0;
    if (c == 0)
        c = (seq_a > seq_b) - (seq_a < seq_b);
    return r->newest_first ? -c : c;
}

/* The next one in the range's order behind (time, seq), or the first. */
static const struct history_event *next_of(const struct session *s, const struct history_range *r,
                                           const struct history_position *after) {
    const struct history_event *best = NULL;
    for (size_t i = 0; i < s->events.count; i++) {
        const struct history_event *e = &s->events.p[i]->e;
        if (!fits(r, e))
            continue;
        if (after && order(r, e->occurred_at, e->seq, after->occurred_at, after->seq) <= 0)
            continue;
        if (!best || order(r, e->occurred_at, e->seq, best->occurred_at, best->seq) < 0)
            best = e;
    }
    return best;
}

static struct history_event event_out(const struct history_event *e, bool payload,
                                      struct arena *a) {
    struct history_event out = *e;
    out.id = arena_dup(a, e->id);
    out.type = arena_dup(a, e->type);
    out.source = arena_dup(a, e->source);
    out.trace_id = arena_dup(a, e->trace_id);
    out.headers = arena_dup(a, e->headers);
    out.payload = payload ? arena_dup(a, e->payload) : STR_NULL;
    out.occurred_at_is_ours = false;
    return out;
}

static int memory_read(struct history *h, const struct history_range *r, struct arena *a,
                       struct history_page *out, struct err *err) {
    struct session *s;
    int rc = session_need(memory_of(h), &r->key, &s, err);
    if (rc < 0)
        return rc;
    struct history_page page = {ARENA_ARRAY(a, struct history_event, r->limit), 0, false};
    struct history_position at;
    const struct history_position *after = r->after;
    const struct history_event *e;
    size_t bytes = 0;
    while ((e = next_of(s, r, after)) != NULL) {
        if (page.count == r->limit || bytes > HISTORY_PAGE_BYTES_MAX) {
            page.more = true;
            break;
        }
        page.events[page.count++] = event_out(e, r->payloads, a);
        bytes += r->payloads ? e->payload.len : 0;
        at = (struct history_position){e->occurred_at, e->seq};
        after = &at;
    }
    *out = page;
    return 0;
}

static int memory_wait(struct history *h, const struct history_key *key, int64_t after_seq,
                       int64_t deadline_us, int64_t *out_last_seq, struct err *err) {
    struct memory *m = memory_of(h);
    for (;;) {
        const struct session *s = session_find(m, key);
        if (s && s->last_seq > after_seq) {
            *out_last_seq = s->last_seq;
            return 0;
        }
        int rc = fiber_event_wait(&m->appended, deadline_us);
        if (rc < 0)
            return err_set(err, rc, "no event came");
    }
}

/* --- checkpoints --- */

static struct checkpoint *checkpoint_find(const struct session *s, struct id id) {
    for (size_t i = 0; s && i < s->checkpoints.count; i++) {
        if (id_eq(s->checkpoints.p[i]->c.id, id))
            return s->checkpoints.p[i];
    }
    return NULL;
}

static bool same_checkpoint(const struct history_checkpoint *a,
                            const struct history_checkpoint *b) {
    return a->payload_kind == b->payload_kind && str_eq(a->label, b->label) &&
           memcmp(a->digest, b->digest, sizeof a->digest) == 0 &&
           (id_is_nil(b->parent) || id_eq(a->parent, b->parent)) &&
           (b->seq == 0 || a->seq == b->seq);
}

/* The oldest ones go, but for the latest. */
static void checkpoints_trim(struct session *s) {
    for (size_t i = 0; s->checkpoints.count > HISTORY_CHECKPOINTS_KEPT;) {
        if (s->checkpoints.p[i] == s->latest) {
            i++;
            continue;
        }
        checkpoint_free(s->checkpoints.p[i]);
        s->checkpoints.count--;
        memmove(&s->checkpoints.p[i], &s->checkpoints.p[i + 1],
                (s->checkpoints.count - i) * sizeof s->checkpoints.p[0]);
    }
}

static int memory_checkpoint_put(struct history *h, const struct history_key *key,
                                 struct history_checkpoint *c, struct arena *a, struct err *err) {
    struct memory *m = memory_of(h);
    struct session *s = session_find(m, key);
    struct checkpoint *stored = checkpoint_find(s, c->id);
    (void)a; /* nothing that c does not have already */
    if (stored && !same_checkpoint(&stored->c, c))
        return err_set(err, ERR_CONFLICT, "the checkpoint's id is there with another content");
    if (stored) {
        c->parent = stored->c.parent;
        c->seq = stored->c.seq;
        c->created_at = stored->c.created_at;
        return 0;
    }
    if (!id_is_nil(c->parent) && !checkpoint_find(s, c->parent))
        return err_set(err, ERR_NOT_FOUND, "no such parent");
    if (c->seq > (s ? s->last_seq : 0))
        return err_set(err, ERR_INVALID, "seq: the session has no such event yet");
    s = session_make(m, key);
    if (id_is_nil(c->parent) && s->latest)
        c->parent = s->latest->c.id;
    if (c->seq == 0)
        c->seq = s->last_seq;
    stored = mem_zalloc(sizeof *stored);
    arena_init(&stored->arena, 2 * HISTORY_PAYLOAD_BYTES_MAX);
    stored->c = *c;
    stored->c.label = arena_dup(&stored->arena, c->label);
    stored->c.payload = arena_dup(&stored->arena, c->payload);
    vec_push(&s->checkpoints, stored);
    s->latest = stored;
    s->updated_at = clock_wall_us();
    checkpoints_trim(s);
    return 0;
}

static int memory_checkpoint_get(struct history *h, const struct history_key *key, struct id id,
                                 struct arena *a, struct history_checkpoint *out, struct err *err) {
    const struct session *s = session_find(memory_of(h), key);
    const struct checkpoint *c = id_is_nil(id) && s ? s->latest : checkpoint_find(s, id);
    if (!c)
        return err_set(err, ERR_NOT_FOUND, "no such checkpoint");
    *out = c->c;
    out->label = arena_dup(a, c->c.label);
    out->payload = arena_dup(a, c->c.payload);
    return 0;
}

static int memory_checkpoint_list(struct history *h, const struct history_key *key, struct id after,
                                  size_t limit, struct arena *a, struct history_checkpoint **out,
                                  size_t *out_count, struct err *err) {
    struct session *s;
    int rc = session_need(memory_of(h), key, &s, err);
    if (rc < 0)
        return rc;
    bool begun = id_is_nil(after);
    *out = ARENA_ARRAY(a, struct history_checkpoint, limit);
    *out_count = 0;
    for (size_t i = s->checkpoints.count; i-- > 0 && *out_count < limit;) {
        const struct history_checkpoint *c = &s->checkpoints.p[i]->c;
        if (begun) {
            struct history_checkpoint *to = &(*out)[(*out_count)++];
            *to = *c;
            to->label = arena_dup(a, c->label);
            to->payload = STR_NULL;
        }
        begun = begun || id_eq(c->id, after);
    }
    return begun ? 0 : err_set(err, ERR_NOT_FOUND, "no such checkpoint");
}

static int memory_checkpoint_rollback(struct history *h, const struct history_key *key,
                                      struct id id, struct err *err) {
    struct session *s;
    int rc = session_need(memory_of(h), key, &s, err);
    struct checkpoint *c = rc < 0 ? NULL : checkpoint_find(s, id);
    if (rc == 0 && !c)
        rc = err_set(err, ERR_NOT_FOUND, "no such checkpoint");
    if (rc == 0)
        s->latest = c;
    return rc;
}

/* --- sessions --- */

static struct history_session session_out(const struct session *s, struct arena *a) {
    struct history_session out = {.name = arena_dup(a, s->name),
                                  .first_seq = s->last_seq + 1,
                                  .last_seq = s->last_seq,
                                  .created_at = s->created_at,
                                  .updated_at = s->updated_at};
    if (s->events.count > 0)
        out.first_seq = s->events.p[0]->e.seq;
    for (size_t i = 0; i < s->events.count; i++)
        out.payload_bytes += (int64_t)s->events.p[i]->e.payload_bytes;
    return out;
}

static int memory_session_get(struct history *h, const struct history_key *key, struct arena *a,
                              struct history_session *out, struct err *err) {
    struct session *s;
    int rc = session_need(memory_of(h), key, &s, err);
    if (rc == 0)
        *out = session_out(s, a);
    return rc;
}

static int memory_session_list(struct history *h, str owner, str after, size_t limit,
                               struct arena *a, struct history_session **out, size_t *out_count,
                               struct err *err) {
    struct memory *m = memory_of(h);
    bool found;
    size_t at = session_slot(m, owner, after, &found);
    (void)err;
    *out = ARENA_ARRAY(a, struct history_session, limit);
    *out_count = 0;
    for (at += found; at < m->sessions.count && *out_count < limit; at++) {
        if (!str_eq(m->sessions.p[at]->owner, owner))
            break;
        (*out)[(*out_count)++] = session_out(m->sessions.p[at], a);
    }
    return 0;
}

static int memory_session_delete(struct history *h, const struct history_key *key,
                                 struct err *err) {
    struct memory *m = memory_of(h);
    bool found;
    size_t at = session_slot(m, key->owner, key->session, &found);
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "no such session");
    session_free(m->sessions.p[at]);
    m->sessions.count--;
    memmove(&m->sessions.p[at], &m->sessions.p[at + 1],
            (m->sessions.count - at) * sizeof m->sessions.p[0]);
    return 0;
}

static int memory_owner_list(struct history *h, str after, size_t limit, struct arena *a, str **out,
                             size_t *out_count, struct err *err) {
    struct memory *m = memory_of(h);
    (void)err;
    *out = ARENA_ARRAY(a, str, limit);
    *out_count = 0;
    for (size_t i = 0; i < m->sessions.count && *out_count < limit; i++) {
        str owner = m->sessions.p[i]->owner;
        bool seen = *out_count > 0 && str_eq((*out)[*out_count - 1], owner);
        if (!seen && (!after.p || str_cmp(owner, after) > 0))
            (*out)[(*out_count)++] = arena_dup(a, owner);
    }
    return 0;
}

/* --- retention --- */

static struct policy *policy_find(struct memory *m, str owner) {
    for (size_t i = 0; i < m->policies.count; i++) {
        if (str_eq(m->policies.p[i].owner, owner))
            return &m->policies.p[i];
    }
    return NULL;
}

static int memory_retention_set(struct history *h, str owner, const struct history_retention *r,
                                struct err *err) {
    struct memory *m = memory_of(h);
    struct policy *p = policy_find(m, owner);
    (void)err;
    if (p)
        p->retention = *r;
    else
        vec_push(&m->policies, ((struct policy){own(owner), *r}));
    return 0;
}

static int memory_retention_get(struct history *h, str owner, struct history_retention *out,
                                struct err *err) {
    const struct policy *p = policy_find(memory_of(h), owner);
    (void)err;
    *out = p ? p->retention : (struct history_retention){0};
    return 0;
}

static bool is_past(const struct history_retention *r, const struct session *s,
                    const struct history_event *e, int64_t now_us) {
    return history_event_expires_at(e) <= now_us ||
           (r->age_ms_max > 0 && e->stored_at + r->age_ms_max * 1000 <= now_us) ||
           (r->count_max > 0 && e->seq <= s->last_seq - r->count_max);
}

static int memory_sweep(struct history *h, int64_t now_us, size_t budget, size_t *out_removed,
                        struct err *err) {
    struct memory *m = memory_of(h);
    (void)err;
    *out_removed = 0;
    for (size_t i = 0; i < m->sessions.count; i++) {
        struct session *s = m->sessions.p[i];
        const struct policy *p = policy_find(m, s->owner);
        struct history_retention r = p ? p->retention : (struct history_retention){0};
        size_t kept = 0;
        for (size_t k = 0; k < s->events.count; k++) {
            struct event *e = s->events.p[k];
            if (*out_removed < budget && is_past(&r, s, &e->e, now_us)) {
                event_free(e);
                ++*out_removed;
            } else {
                s->events.p[kept++] = e;
            }
        }
        s->events.count = kept;
    }
    return 0;
}

/* --- consumers --- */

static size_t consumer_slot(const struct session *s, str name, bool *out_found) {
    size_t at = 0;
    while (at < s->consumers.count && str_cmp(s->consumers.p[at].name, name) < 0)
        at++;
    *out_found = at < s->consumers.count && str_eq(s->consumers.p[at].name, name);
    return at;
}

static int memory_consumer_ack(struct history *h, const struct history_key *key, str name,
                               int64_t seq, int64_t *out_acked_seq, struct err *err) {
    struct session *s;
    int rc = session_need(memory_of(h), key, &s, err);
    if (rc < 0)
        return rc;
    if (seq > s->last_seq)
        return err_set(err, ERR_INVALID, "seq: the session has no such event yet");
    bool found;
    size_t at = consumer_slot(s, name, &found);
    if (!found) {
        vec_push(&s->consumers, (struct consumer){0});
        memmove(&s->consumers.p[at + 1], &s->consumers.p[at],
                (s->consumers.count - 1 - at) * sizeof s->consumers.p[0]);
        s->consumers.p[at] = (struct consumer){own(name), seq, clock_wall_us()};
    } else if (s->consumers.p[at].acked_seq < seq) {
        s->consumers.p[at].acked_seq = seq;
        s->consumers.p[at].updated_at = clock_wall_us();
    }
    *out_acked_seq = s->consumers.p[at].acked_seq;
    return 0;
}

static int memory_consumer_list(struct history *h, const struct history_key *key, struct arena *a,
                                struct history_consumer **out, size_t *out_count, struct err *err) {
    struct session *s;
    int rc = session_need(memory_of(h), key, &s, err);
    if (rc < 0)
        return rc;
    *out_count = s->consumers.count;
    *out = ARENA_ARRAY(a, struct history_consumer, s->consumers.count + 1);
    for (size_t i = 0; i < s->consumers.count; i++) {
        const struct consumer *c = &s->consumers.p[i];
        (*out)[i] = (struct history_consumer){arena_dup(a, c->name), c->acked_seq, c->updated_at};
    }
    return 0;
}

static int memory_consumer_delete(struct history *h, const struct history_key *key, str name,
                                  struct err *err) {
    struct session *s;
    bool found = false;
    int rc = session_need(memory_of(h), key, &s, err);
    size_t at = rc < 0 ? 0 : consumer_slot(s, name, &found);
    if (rc == 0 && !found)
        rc = err_set(err, ERR_NOT_FOUND, "no such consumer");
    if (rc < 0)
        return rc;
    own_free(s->consumers.p[at].name);
    s->consumers.count--;
    memmove(&s->consumers.p[at], &s->consumers.p[at + 1],
            (s->consumers.count - at) * sizeof s->consumers.p[0]);
    return 0;
}

/* --- the whole --- */

static int memory_stats(struct history *h, struct history_stats *out, struct err *err) {
    const struct memory *m = memory_of(h);
    (void)err;
    *out = (struct history_stats){.sessions = (int64_t)m->sessions.count,
                                  .appends = m->appends,
                                  .appended_events = m->appended_events,
                                  .flushes = m->flushes};
    for (size_t i = 0; i < m->sessions.count; i++) {
        const struct session *s = m->sessions.p[i];
        out->events += (int64_t)s->events.count;
        for (size_t k = 0; k < s->events.count; k++)
            out->payload_bytes += (int64_t)s->events.p[k]->e.payload_bytes;
    }
    return 0;
}

static void memory_close(struct history *h) {
    struct memory *m = memory_of(h);
    for (size_t i = 0; i < m->sessions.count; i++)
        session_free(m->sessions.p[i]);
    for (size_t i = 0; i < m->policies.count; i++)
        own_free(m->policies.p[i].owner);
    vec_deinit(&m->sessions);
    vec_deinit(&m->policies);
    mem_free(m);
}

struct history *history_memory_open(void) {
    static const struct history_vtable vtable = {
        .name = "memory",
        .append = memory_append,
        .read = memory_read,
        .wait = memory_wait,
        .checkpoint_put = memory_checkpoint_put,
        .checkpoint_get = memory_checkpoint_get,
        .checkpoint_list = memory_checkpoint_list,
        .checkpoint_rollback = memory_checkpoint_rollback,
        .session_get = memory_session_get,
        .session_list = memory_session_list,
        .session_delete = memory_session_delete,
        .retention_set = memory_retention_set,
        .retention_get = memory_retention_get,
        .sweep = memory_sweep,
        .consumer_ack = memory_consumer_ack,
        .consumer_list = memory_consumer_list,
        .consumer_delete = memory_consumer_delete,
        .stats = memory_stats,
        .owner_list = memory_owner_list,
        .close = memory_close,
    };
    struct memory *m = mem_zalloc(sizeof *m);
    m->base.vtable = &vtable;
    fiber_event_init(&m->appended);
    return &m->base;
}
