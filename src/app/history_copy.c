/* SPDX-License-Identifier: Apache-2.0 */
/* history_copy.c - sessions from one history to another, compared when they are there.
 *
 * Events keep their ids and contents; numbers are given anew, so where events of the source are
 * gone the copy has none missing, and positions of checkpoints and consumers follow. A copy that
 * was cut off is made again: what is there already is told apart by its ids. The target's session
 * must hold nothing else. */
#include <stdio.h>
#include <string.h>

#include "app/history_command_int.h"
#include "base/mem.h"

#define ARENA_BYTES_MAX ((size_t)512 << 20)
#define LIST_MAX        1000
#define EVENTS_MAX      250 /* at a time: they are in memory twice while they are compared */

int history_each_session(struct history *h, const struct history_args *a, history_session_fn fn,
                         void *ctx, struct err *err) {
    char last[HISTORY_NAME_BYTES_MAX];
    str after = STR("");
    size_t count = 0;
    int rc = 0;
    do {
        struct arena arena;
        struct history_session *list, one;
        struct history_key key = {a->owner, a->session};
        arena_init(&arena, ARENA_BYTES_MAX);
        if (a->session.p) {
            rc = history_session_get(h, &key, &arena, &one, err);
            list = &one;
            count = 1;
        } else {
            rc = history_session_list(h, a->owner, after, LIST_MAX, &arena, &list, &count, err);
        }
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = fn(ctx, &list[i], err);
        if (rc == 0 && count > 0) {
            memcpy(last, list[count - 1].name.p, list[count - 1].name.len);
            after = str_n(last, list[count - 1].name.len);
        }
        arena_deinit(&arena);
    } while (rc == 0 && count == LIST_MAX);
    return rc;
}

struct copy {
    struct history *from, *to;
    const struct history_args *args;
    struct history_progress progress;
    int64_t sessions;
};

/* Positions in the source, and where they are in the copy. */
struct positions {
    int64_t at[HISTORY_CHECKPOINTS_KEPT + LIST_MAX], to[HISTORY_CHECKPOINTS_KEPT + LIST_MAX];
    size_t count;
};

static void positions_note(struct positions *p, int64_t seq, int64_t copy_seq) {
    for (size_t i = 0; i < p->count; i++) {
        if (seq <= p->at[i])
            p->to[i] = copy_seq;
    }
}

static int copy_events(struct copy *c, const struct history_key *key, struct positions *p,
                       struct err *err) {
    struct history_range r = HISTORY_RANGE_ALL(*key);
    struct history_page page;
    int rc;
    r.now_us = INT64_MIN;
    r.limit = EVENTS_MAX;
    do {
        struct arena a;
        arena_init(&a, ARENA_BYTES_MAX);
        rc = history_read(c->from, &r, &a, &page, err);
        struct history_append append = {.key = *key};
        if (rc == 0 && page.count > 0) {
            append.events = page.events;
            append.count = page.count;
            append.results = ARENA_ARRAY(&a, struct history_result, page.count);
            rc = history_append(c->to, &append, err);
        }
        for (size_t i = 0; rc == 0 && i < page.count; i++) {
            positions_note(p, page.events[i].seq, append.results[i].seq);
            r.seq_min = page.events[i].seq + 1;
        }
        if (rc == 0)
            history_progress_add(&c->progress, (int64_t)page.count);
        arena_deinit(&a);
    } while (rc == 0 && page.more);
    return rc;
}

/* What there is of one session, newest first. */
struct checkpoints {
    struct history_checkpoint *list;
    size_t count;
};

/* Oldest first, so that each finds its parent; one whose parent is gone has none. Those that stand
 * before every event that is left go first, while the copy has no event either. */
static int copy_checkpoints(struct copy *c, const struct history_key *key,
                            const struct checkpoints *of, const struct positions *p, bool first,
                            struct err *err) {
    struct arena a;
    int rc = 0;
    arena_init(&a, ARENA_BYTES_MAX);
    for (size_t i = of->count; rc == 0 && i-- > 0;) {
        struct history_checkpoint one, parent;
        if (first != (p->to[i] == 0))
            continue;
        arena_reset(&a);
        rc = history_checkpoint_get(c->from, key, of->list[i].id, &a, &one, err);
        if (rc == 0 && !id_is_nil(one.parent) &&
            history_checkpoint_get(c->to, key, one.parent, &a, &parent, NULL) < 0)
            one.parent = ID_NIL;
        one.seq = rc == 0 ? p->to[i] : 0;
        if (rc == 0)
            rc = history_checkpoint_put(c->to, key, &one, &a, err);
    }
    struct history_checkpoint latest;
    if (rc == 0 && of->count > 0 && !first)
        rc = history_checkpoint_get(c->from, key, ID_NIL, &a, &latest, err);
    if (rc == 0 && of->count > 0 && !first)
        rc = history_checkpoint_rollback(c->to, key, latest.id, err);
    arena_deinit(&a);
    return rc;
}

/* Events of both, side by side. */
static int compare(struct copy *c, const struct history_key *key, struct err *err) {
    struct history_range from = HISTORY_RANGE_ALL(*key), to = from;
    struct history_page a = {0}, b = {0};
    int rc;
    from.now_us = to.now_us = INT64_MIN;
    do {
        struct arena arena;
        arena_init(&arena, ARENA_BYTES_MAX);
        from.limit = EVENTS_MAX;
        rc = history_read(c->from, &from, &arena, &a, err);
        to.limit = rc == 0 && a.more ? a.count : EVENTS_MAX;
        if (rc == 0)
            rc = history_read(c->to, &to, &arena, &b, err);
        bool same = rc == 0 && a.count == b.count && (a.more || !b.more);
        for (size_t i = 0; same && i < a.count; i++) {
            unsigned char left[HASH_XXH3_BYTES], right[HASH_XXH3_BYTES];
            history_event_digest(&a.events[i], left);
            history_event_digest(&b.events[i], right);
            same = str_eq(a.events[i].id, b.events[i].id) && memcmp(left, right, sizeof left) == 0;
            from.seq_min = a.events[i].seq + 1;
            to.seq_min = b.events[i].seq + 1;
        }
        if (rc == 0 && !same)
            rc = err_set(err, ERR_CORRUPT,
                         "the copy of session '" STR_FMT "' differs near event %lld",
                         STR_ARG(str_slice(key->session, 0, 80)), (long long)from.seq_min);
        arena_deinit(&arena);
    } while (rc == 0 && a.more);
    return rc;
}

static int copy_session(void *ctx, const struct history_session *s, struct err *err) {
    struct copy *c = ctx;
    struct history_key key = {c->args->owner, s->name};
    struct checkpoints all;
    struct history_consumer *consumers;
    struct positions *p = mem_zalloc(sizeof *p);
    size_t consumer_count;
    struct arena a;
    int64_t acked;
    arena_init(&a, ARENA_BYTES_MAX);
    int rc = history_checkpoint_list(c->from, &key, ID_NIL, HISTORY_CHECKPOINTS_KEPT, &a, &all.list,
                                     &all.count, err);
    if (rc == 0)
        rc = history_consumer_list(c->from, &key, &a, &consumers, &consumer_count, err);
    for (size_t i = 0; rc == 0 && i < all.count; i++)
        p->at[p->count++] = all.list[i].seq;
    for (size_t i = 0; rc == 0 && i < consumer_count && i < LIST_MAX; i++)
        p->at[p->count++] = consumers[i].acked_seq;
    for (size_t i = 0; rc == 0 && i < p->count; i++)
        p->to[i] = p->at[i] >= s->first_seq; /* whether there is an event to stand behind */
    if (rc == 0)
        rc = copy_checkpoints(c, &key, &all, p, true, err);
    if (rc == 0)
        rc = copy_events(c, &key, p, err);
    if (rc == 0)
        rc = copy_checkpoints(c, &key, &all, p, false, err);
    for (size_t i = 0; rc == 0 && i < consumer_count && i < LIST_MAX; i++)
        rc =
            history_consumer_ack(c->to, &key, consumers[i].name, p->to[all.count + i], &acked, err);
    if (rc == 0)
        rc = compare(c, &key, err);
    c->sessions += rc == 0;
    arena_deinit(&a);
    mem_free(p);
    return rc;
}

int history_copy(struct history *from, struct history *to, const struct history_args *a,
                 struct err *err) {
    struct copy c = {from, to, a, {0}, 0};
    history_progress_begin(&c.progress, "copied");
    int rc = history_each_session(from, a, copy_session, &c, err);
    history_progress_end(&c.progress);
    fprintf(stderr, "%lld sessions copied and compared\n", (long long)c.sessions);
    return rc;
}
