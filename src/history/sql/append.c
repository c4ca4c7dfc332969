/* SPDX-License-Identifier: Apache-2.0 */
/* append.c - the appends of a group as one batch.
 *
 *   group ── place ──▶ fresh events by session; those of ids that came before are duplicates
 *     ▲                   │  per session: room for its fresh events (the last number moves on)
 *     │                   │  per event: a row, with the last number less what comes behind it
 *     │                 commit ──▶ numbers, results
 *     └── learn ◀── a row's id is there (ERR_EXISTS)
 *
 * Ids are hoped to be new: that nobody has used them is checked by the commit itself, and only when
 * it fails are they looked up. So numbers have no gaps, whatever else happens: they are given by
 * the commit, to fresh events only. An append whose event has an id with another content fails
 * alone: it is left out of the batch before.
 *
 * A session's row is held from the first statement of the batch to its end, so that others who
 * append to it come before or after. */
#include "base/clock.h"
#include "base/map.h"
#include "base/vec.h"
#include "history/sql/sql_int.h"

#define GROUP_ARENA_MAX ((size_t)1 << 30)
#define SLICE_EVENTS    16

/* A session of the group. */
struct part {
    struct id id;
    struct history_key key;
    struct entry *first, **end; /* its fresh events */
    size_t count;
    int64_t bytes, largest, expires_at;
    size_t op; /* that made room for them */
};

/* An id of a session. */
struct entry {
    str name; /* the session's key and the id */
    struct part *part;
    const struct history_event *event; /* NULL: it was there before */
    unsigned char digest[HASH_XXH3_BYTES];
    int64_t seq;
    bool ours; /* stored by this group, now or in a commit whose results were lost */
    bool told;
    struct entry *next; /* of the part */
};

struct group {
    struct hsql *s;
    struct history_append *const *appends;
    size_t count;
    struct arena arena;  /* of one attempt */
    struct map ids;      /* by name: struct entry */
    struct map sessions; /* by id: struct part */
    VEC(struct part *) parts;
    VEC(struct entry *) fresh;
    struct entry ***slots; /* of each append, of each event */
    struct part *last;     /* that was asked for */
    struct arena lasting;  /* what was learnt */
    VEC(struct entry *) known;
};

static void group_init(struct group *g, struct hsql *s, struct history_append *const *appends,
                       size_t count) {
    *g = (struct group){.s = s, .appends = appends, .count = count};
    arena_init(&g->arena, GROUP_ARENA_MAX);
    arena_init(&g->lasting, GROUP_ARENA_MAX);
}

static void group_deinit(struct group *g) {
    map_deinit(&g->ids);
    map_deinit(&g->sessions);
    vec_deinit(&g->parts);
    vec_deinit(&g->fresh);
    vec_deinit(&g->known);
    arena_deinit(&g->arena);
    arena_deinit(&g->lasting);
}

/* A group may hold thousands of events: others have their turns meanwhile. */
static void breathe(size_t event) {
    if (event % SLICE_EVENTS == 0)
        fiber_yield_when_late();
}

/* --- placing --- */

static struct part *part_of(struct group *g, const struct history_key *key) {
    if (g->last && str_eq(g->last->key.owner, key->owner) &&
        str_eq(g->last->key.session, key->session))
        return g->last;
    struct id id = hsql_key(key);
    struct part *p = map_get(&g->sessions, str_n((const char *)id.b, sizeof id.b));
    if (!p) {
        p = ARENA_NEW(&g->arena, struct part);
        p->id = id;
        p->key = *key;
        p->end = &p->first;
        p->expires_at = INT64_MAX;
        (void)map_put(&g->sessions, str_n((const char *)p->id.b, sizeof p->id.b), p);
        vec_push(&g->parts, p);
    }
    return g->last = p;
}

static str entry_name(struct arena *a, struct id session, str id) {
    return arena_concat(a, (str[]){str_n((const char *)session.b, sizeof session.b), id}, 2);
}

static void forget(struct group *g, size_t fresh) {
    while (g->fresh.count > fresh)
        (void)map_remove(&g->ids, g->fresh.p[--g->fresh.count]->name);
}

static int place_event(struct group *g, const struct history_key *key,
                       const struct history_event *e, struct entry **out) {
    struct part *part = part_of(g, key);
    str name = entry_name(&g->arena, part->id, e->id);
    unsigned char digest[HASH_XXH3_BYTES];
    struct entry *entry = map_get(&g->ids, name);
    history_event_digest(e, digest);
    if (entry && memcmp(entry->digest, digest, sizeof digest) != 0)
        return ERR_CONFLICT;
    if (!entry) {
        entry = ARENA_NEW(&g->arena, struct entry);
        *entry = (struct entry){.name = name, .part = part, .event = e, .ours = true};
        memcpy(entry->digest, digest, sizeof digest);
        (void)map_put(&g->ids, name, entry);
        vec_push(&g->fresh, entry);
    }
    *out = entry;
    return 0;
}

static void place_append(struct group *g, size_t n) {
    struct history_append *a = g->appends[n];
    size_t fresh = g->fresh.count;
    g->slots[n] = ARENA_ARRAY(&g->arena, struct entry *, a->count);
    err_reset(&a->err);
    a->rc = 0;
    for (size_t i = 0; a->rc == 0 && i < a->count; i++) {
        struct history_key key = history_key_of(a, i);
        breathe(i);
        if (place_event(g, &key, &a->events[i], &g->slots[n][i]) < 0)
            a->rc = err_set(&a->err, ERR_CONFLICT,
                            "event %zu: its id is there with another content", i);
    }
    if (a->rc < 0)
        forget(g, fresh);
}

static void join_part(struct entry *entry) {
    struct part *p = entry->part;
    int64_t bytes = (int64_t)entry->event->payload.len;
    int64_t expires_at = history_event_expires_at(entry->event);
    *p->end = entry;
    p->end = &entry->next;
    p->count++;
    p->bytes += bytes;
    p->largest = bytes > p->largest ? bytes : p->largest;
    p->expires_at = expires_at < p->expires_at ? expires_at : p->expires_at;
}

static void place(struct group *g) {
    map_deinit(&g->ids);
    map_deinit(&g->sessions);
    g->parts.count = g->fresh.count = 0;
    g->last = NULL;
    arena_reset(&g->arena);
    map_init(&g->ids);
    map_init(&g->sessions);
    g->slots = ARENA_ARRAY(&g->arena, struct entry **, g->count);
    for (size_t i = 0; i < g->known.count; i++) {
        g->known.p[i]->told = false;
        (void)map_put(&g->ids, g->known.p[i]->name, g->known.p[i]);
    }
    for (size_t i = 0; i < g->count; i++)
        place_append(g, i);
    for (size_t i = 0; i < g->fresh.count; i++)
        join_part(g->fresh.p[i]);
}

/* --- committing --- */

static void add_bump(struct db_batch *b, struct part *p, int64_t now_us) {
    p->op = db_batch_add(
        b, SQL_HISTORY_BUMP,
        DB_PARAMS(DB_UUID(p->id), DB_T(p->key.owner.p ? p->key.owner : STR("")),
                  DB_T(p->key.session), DB_I((int64_t)p->count), DB_I(p->bytes), DB_I(p->largest),
                  p->expires_at == INT64_MAX ? DB_NIL : DB_I(p->expires_at), DB_I(now_us)),
        DB_EXPECT_CHANGE(ERR_CONFLICT));
}

static void add_event(struct db_batch *b, const struct entry *entry, size_t behind,
                      int64_t now_us) {
    const struct history_event *e = entry->event;
    str digest = str_n((const char *)entry->digest, sizeof entry->digest);
    int64_t expires_at = history_event_expires_at(e);
    db_batch_add(b, SQL_HISTORY_ADD,
                 DB_PARAMS(DB_UUID(entry->part->id), DB_I((int64_t)behind), DB_T(e->id),
                           DB_T(e->type), DB_I(e->occurred_at), DB_I(now_us),
                           expires_at == INT64_MAX ? DB_NIL : DB_I(expires_at), DB_T(e->source),
                           DB_T(e->trace_id), DB_I(e->ttl_ms), DB_T(e->headers),
                           DB_I((int64_t)e->payload_kind), DB_B(digest), DB_B(e->payload)),
                 DB_EXPECT_NONE);
}

static int commit(struct group *g, struct db_batch *b, struct err *err) {
    int64_t now_us = clock_wall_us();
    db_batch_init(b, &g->arena);
    for (size_t i = 0; i < g->parts.count; i++) {
        if (g->parts.p[i]->count > 0)
            add_bump(b, g->parts.p[i], now_us);
    }
    for (size_t i = 0; i < g->parts.count; i++) {
        size_t behind = g->parts.p[i]->count;
        for (struct entry *e = g->parts.p[i]->first; e; e = e->next) {
            breathe(behind);
            add_event(b, e, --behind, now_us);
        }
    }
    int rc = db_commit(g->s->db, b, err);
    if (rc < 0)
        return rc;
    g->s->syncs++;
    for (size_t i = 0; i < g->parts.count; i++) {
        struct part *p = g->parts.p[i];
        int64_t seq = p->first ? db_int(&b->ops[p->op].rows, 0, 0) - (int64_t)p->count : 0;
        for (struct entry *e = p->first; e; e = e->next)
            e->seq = ++seq;
    }
    return 0;
}

/* --- learning what is there --- */

static str fresh_ids(struct group *g, const struct part *p) {
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    struct json_writer w = json_writer(&text);
    jw_array(&w);
    for (const struct entry *e = p->first; e; e = e->next)
        jw_str(&w, e->event->id);
    jw_array_end(&w);
    return arena_take(&g->arena, &text);
}

static int learn_part(struct group *g, const struct part *p, bool ours, struct err *err) {
    struct db_rows rows;
    int rc = db_read(g->s->db, SQL_HISTORY_KNOWN, DB_PARAMS(DB_UUID(p->id), DB_T(fresh_ids(g, p))),
                     &g->arena, &rows, err);
    for (size_t i = 0; rc == 0 && i < rows.row_count; i++) {
        struct entry *e = ARENA_NEW(&g->lasting, struct entry);
        str digest = db_str(&rows, i, 2);
        *e = (struct entry){.name = entry_name(&g->lasting, p->id, db_str(&rows, i, 0)),
                            .seq = db_int(&rows, i, 1),
                            .ours = ours};
        if (digest.len != sizeof e->digest)
            return err_set(err, ERR_CORRUPT, "an event's digest has %zu bytes", digest.len);
        memcpy(e->digest, digest.p, sizeof e->digest);
        vec_push(&g->known, e);
    }
    return rc;
}

static int learn(struct group *g, bool ours, struct err *err) {
    for (size_t i = 0; i < g->parts.count; i++) {
        int rc = g->parts.p[i]->first ? learn_part(g, g->parts.p[i], ours, err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- the group --- */

static int run(struct group *g, struct err *err) {
    for (int tries = 0;; tries++) {
        struct db_batch b;
        place(g);
        if (g->fresh.count == 0)
            return 0;
        int rc = commit(g, &b, err);
        if (rc == 0 || (rc != ERR_EXISTS && !b.committed))
            return rc;
        if (tries == HSQL_TRIES)
            return err_set(err, ERR_UNAVAILABLE, "others append the same events");
        rc = learn(g, b.committed, err);
        if (rc < 0)
            return rc;
    }
}

static void tell(struct group *g, size_t n) {
    struct history_append *a = g->appends[n];
    for (size_t i = 0; i < a->count; i++) {
        struct entry *e = g->slots[n][i];
        a->results[i] = (struct history_result){e->seq, e->told || !e->ours};
        e->told = true;
    }
    g->s->appended_events += a->count;
}

void hsql_append(struct history *h, struct history_append *const *appends, size_t count) {
    struct hsql *s = hsql_of(h);
    struct group g;
    struct err err = {0};
    group_init(&g, s, appends, count);
    int rc = run(&g, &err);
    for (size_t i = 0; i < count; i++) {
        if (rc < 0) {
            appends[i]->rc = rc;
            appends[i]->err = err;
        } else if (appends[i]->rc == 0) {
            tell(&g, i);
        }
    }
    s->appends += count;
    s->flushes++;
    for (size_t i = 0; i < g.parts.count; i++) {
        struct hsql_bell *bell = hsql_bell_of(s, g.parts.p[i]->id);
        bell->count++;
        fiber_event_wake_all(&bell->rung);
    }
    group_deinit(&g);
}
