/* SPDX-License-Identifier: Apache-2.0 */
/* watch.c - watches by session, and the fiber that looks at what other processes store.
 *
 * A session that is watched has an entry in a map by "owner\0session"; it goes with its last watch.
 * The looking fiber lives while there is something to look at. It works on a copy of the keys,
 * since watches come and go while it reads. */
#include "history/watch.h"

#include "base/map.h"
#include "base/mem.h"

#define KEY_BYTES_MAX (2 * HISTORY_NAME_BYTES_MAX + 1)

struct history_watched {
    struct history_watches *all;
    struct list watches;
    bool telling; /* a callback may stop the last watch */
    size_t owner_len, len;
    char key[]; /* owner, NUL, session */
};
struct history_watches {
    struct history *h;   /* NULL: it is closed */
    struct map sessions; /* of struct history_watched */
    struct rt *rt;
    int64_t every_us; /* 0: nobody else writes */
    bool looking;
};

static str key_text(const struct history_key *key, char out[KEY_BYTES_MAX]) {
    size_t at = key->owner.len;
    if (at)
        memcpy(out, key->owner.p, at);
    out[at++] = 0;
    memcpy(out + at, key->session.p, key->session.len);
    return str_n(out, at + key->session.len);
}

static struct history_watches *watches_of(struct history *h) {
    if (!h->watches) {
        h->watches = NEW(struct history_watches);
        h->watches->h = h;
        map_init(&h->watches->sessions);
    }
    return h->watches;
}

static void watched_unref(struct history_watched *s) {
    if (!list_empty(&s->watches) || s->telling)
        return;
    (void)map_remove(&s->all->sessions, str_n(s->key, s->len));
    mem_free(s);
}

/* --- telling --- */

static struct history_watched *find(const struct history *h, const struct history_key *key) {
    char text[KEY_BYTES_MAX];
    return h->watches && h->watches->sessions.count > 0
               ? map_get(&h->watches->sessions, key_text(key, text))
               : NULL;
}

/* gone: whatever they wait for. */
static void tell(struct history_watched *s, int64_t last_seq, bool gone) {
    struct list due;
    list_init(&due);
    s->telling = true;
    LIST_EACH (&s->watches, it) {
        struct history_watch *w = LIST_ENTRY(it, struct history_watch, node);
        if (!gone && w->after_seq >= last_seq)
            continue;
        list_remove(it);
        list_push_back(&due, it);
    }
    while (!list_empty(&due)) {
        struct history_watch *w = LIST_ENTRY(list_pop_front(&due), struct history_watch, node);
        w->fn(w);
    }
    s->telling = false;
    watched_unref(s);
}

void history_watch_tell(struct history *h, const struct history_key *key, int64_t last_seq) {
    struct history_watched *s = find(h, key);
    if (s)
        tell(s, last_seq, false);
}

void history_watch_tell_gone(struct history *h, const struct history_key *key) {
    struct history_watched *s = find(h, key);
    if (s)
        tell(s, 0, true);
}

/* --- looking at what others do --- */

static struct history_key *copy_keys(const struct history_watches *all, struct arena *a,
                                     size_t *out_count) {
    struct history_key *keys = ARENA_ARRAY(a, struct history_key, all->sessions.count + 1);
    size_t at = 0, count = 0;
    str text;
    void *value;
    while (map_next(&all->sessions, &at, &text, &value)) {
        size_t owner_len = ((const struct history_watched *)value)->owner_len;
        text = arena_dup(a, text);
        keys[count++] = (struct history_key){str_slice(text, 0, owner_len),
                                             str_slice(text, owner_len + 1, text.len)};
    }
    *out_count = count;
    return keys;
}

static void look(struct history_watches *all) {
    struct arena a;
    size_t count;
    arena_init(&a, SIZE_MAX / 2);
    struct history_key *keys = copy_keys(all, &a, &count);
    for (size_t i = 0; i < count && all->h; i++) {
        struct history_session session;
        int rc = history_session_get(all->h, &keys[i], &a, &session, NULL);
        /* A failed look is followed by another. */
        if (rc == 0 && all->h)
            history_watch_tell(all->h, &keys[i], session.last_seq);
    }
    arena_deinit(&a);
}

static void looker(void *arg) {
    struct history_watches *all = arg;
    while (all->h && all->sessions.count > 0 && fiber_sleep_us(all->every_us) == 0) {
        if (all->h)
            look(all);
    }
    all->looking = false;
    if (!all->h)
        mem_free(all);
}

void history_watch_others(struct history *h, struct rt *rt, int64_t every_us) {
    struct history_watches *all = watches_of(h);
    all->rt = rt;
    all->every_us = every_us;
}

/* --- starting and stopping --- */

static struct history_watched *watched_make(struct history_watches *all,
                                            const struct history_key *key) {
    char text[KEY_BYTES_MAX];
    str k = key_text(key, text);
    struct history_watched *s = map_get(&all->sessions, k);
    if (s)
        return s;
    s = mem_zalloc(sizeof *s + k.len);
    s->all = all;
    s->owner_len = key->owner.len;
    s->len = k.len;
    memcpy(s->key, k.p, k.len);
    list_init(&s->watches);
    (void)map_put(&all->sessions, str_n(s->key, s->len), s);
    return s;
}

void history_watch_start(struct history *h, const struct history_key *key,
                         struct history_watch *w) {
    struct history_watches *all = watches_of(h);
    history_watch_stop(w);
    w->session = watched_make(all, key);
    list_push_back(&w->session->watches, &w->node);
    if (all->every_us > 0 && !all->looking)
        all->looking = fiber_spawn(all->rt, "history.look", looker, all, NULL) != NULL;
}

void history_watch_stop(struct history_watch *w) {
    if (!list_linked(&w->node))
        return;
    list_remove(&w->node);
    watched_unref(w->session);
}

void history_watches_free(struct history *h) {
    struct history_watches *all = h->watches;
    if (!all)
        return;
    ASSERT(all->sessions.count == 0);
    map_deinit(&all->sessions);
    all->h = NULL;
    if (!all->looking)
        mem_free(all);
}
