/* SPDX-License-Identifier: Apache-2.0 */
/* hub_tail.c - brings what other processes append to the readers of this one.
 *
 * One tail reader per process. It looks at the counters of all threads that have live readers here
 * and no run here, many in one statement, 50 ms after something happened and ever less often, down
 * to four times a second, while nothing does; a hint that a thread's log has grown makes it look at
 * once, and as long as hints come it looks only once a second by itself. A thread whose counter has
 * moved is filled: its entries are read and shown in the order of the log. Readers hold neither a
 * fiber nor a connection meanwhile.
 *
 * A thread whose run is here is shown from memory. When a commit skips numbers, others have
 * appended: the topic is filled, too, and fragments wait until it is done. Hints are never needed
 * for correctness. */
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "engine/hub_int.h"

#define TAIL_WAIT_US       50000
#define TAIL_WAIT_US_MAX   250000
#define TAIL_HINTED_US_MAX 1000000
#define TAIL_ERROR_US      500000
#define TAIL_BATCH         500
#define FILLS_MAX          16

/* --- fill --- */

static bool is_shown(const struct hub_topic *t, struct id run_id) {
    LIST_EACH (&t->readers, n) {
        const struct hub_reader *r = LIST_ENTRY(n, struct hub_reader, node);
        if ((id_is_nil(r->o.run_id) || id_eq(r->o.run_id, run_id)) &&
            render_shows_values(r->render))
            return true;
    }
    return false;
}

/* The state of a checkpoint, when some reader shows it and its entry has none. */
static int checkpoint_values(struct hub_topic *t, const struct log_entry *e, struct arena *a,
                             str *out, struct err *err) {
    yyjson_val *root;
    struct id id;
    *out = STR_NULL;
    if (e->kind != LOG_CHECKPOINT || !is_shown(t, e->run_id) ||
        json_parse(a, e->data, &root, NULL) < 0 || json_get(root, "values") ||
        !id_parse(json_str(json_get(root, "id")), &id))
        return 0;
    str ns = json_str(json_get(root, "ns"));
    return hub_values(t->hub, t->thread_id, ns.p ? ns : STR(""), id, a, out, err);
}

static int fill_entry(struct hub_topic *t, const struct log_entry *e, struct arena *a,
                      struct err *err) {
    int rc = 0;
    if (e->kind == LOG_FRAGMENTS) {
        rc = hub_show_segment(t, NULL, e, a, err);
    } else {
        struct stream_item item = {
            .kind = e->kind, .seq = e->seq, .run_id = e->run_id, .at = e->at, .data = e->data};
        rc = checkpoint_values(t, e, a, &item.values, err);
        if (rc < 0) /* nothing of it was shown: it is looked at again */
            return rc;
        if (e->seq > t->base) {
            t->base = e->seq;
            t->k = 0;
        }
        hub_show(t, &item);
        if (e->kind == LOG_END && t->hub->events.ended)
            t->hub->events.ended(t->hub->events.ctx, e->run_id, t->thread_id);
    }
    t->shown_seq = e->seq;
    if (t->visible_seq < t->shown_seq) /* who joins meanwhile has to have read as far */
        t->visible_seq = t->shown_seq;
    return rc;
}

/* All that is in the log behind what was shown. */
static int show_rest(struct hub_topic *t, struct arena *a, struct err *err) {
    struct log_entry *entries;
    size_t count = LOG_PAGE_MAX;
    int rc = 0;
    while (rc == 0 && count == LOG_PAGE_MAX && !t->gone) {
        arena_reset(a);
        rc = log_read(t->hub->store, t->thread_id, t->shown_seq, LOG_PAGE_MAX, a, &entries, &count,
                      err);
        for (size_t i = 0; rc == 0 && i < count && !t->gone; i++) {
            t->lost = t->lost || entries[i].seq > t->shown_seq + 1;
            rc = fill_entry(t, &entries[i], a, err);
        }
    }
    return rc;
}

static struct hub_reader *reader_of(struct hub_topic *t, struct id run_id) {
    LIST_EACH (&t->readers, n) {
        struct hub_reader *r = LIST_ENTRY(n, struct hub_reader, node);
        if (id_eq(r->o.run_id, run_id))
            return r;
    }
    return NULL;
}

struct followed {
    struct id run_id;
    bool over;
};
struct all_followed {
    VEC(struct followed) list;
};

static void follow_once(struct all_followed *all, struct id run_id) {
    for (size_t i = 0; i < all->list.count; i++)
        if (id_eq(all->list.p[i].run_id, run_id))
            return;
    if (!id_is_nil(run_id))
        vec_push(&all->list, (struct followed){.run_id = run_id});
}

/* Entries went before they were shown: those of a run that has ended and lost older states, its end
 * among them. The end is stored with the status, so what is in the log is shown after that. */
static int finish_lost(struct hub_topic *t, struct arena *a, struct err *err) {
    struct all_followed all = {0};
    int rc = 0;
    LIST_EACH (&t->readers, n)
        follow_once(&all, LIST_ENTRY(n, struct hub_reader, node)->o.run_id);
    for (size_t i = 0; rc == 0 && i < all.list.count; i++)
        rc = hub_run_is_over(t->hub, all.list.p[i].run_id, &all.list.p[i].over, err);
    if (rc == 0)
        rc = show_rest(t, a, err);
    for (size_t i = 0; rc == 0 && i < all.list.count; i++)
        for (struct hub_reader *r;
             all.list.p[i].over && (r = reader_of(t, all.list.p[i].run_id)) != NULL;)
            hub_reader_finish(r);
    vec_deinit(&all.list);
    return rc;
}

int hub_topic_fill(struct hub_topic *t, int64_t upto, struct err *err) {
    struct hub *h = t->hub;
    if (upto > t->visible_seq)
        t->visible_seq = upto;
    if (t->filling) /* whoever fills goes on until it has shown all that is visible */
        return 0;
    struct arena a;
    int rc = 0;
    arena_init(&a, SIZE_MAX / 2);
    t->filling = true;
    t->refs++;
    h->tail_fills++;
    while (rc == 0 && (t->lost || t->shown_seq < t->visible_seq) && !t->gone) {
        int64_t visible = t->visible_seq;
        rc = show_rest(t, &a, err);
        if (rc == 0 && t->shown_seq < visible) {
            t->shown_seq = visible; /* what the log lacks up to there was deleted */
            t->lost = true;
        }
        if (rc == 0 && t->lost) {
            t->lost = false; /* more may go meanwhile */
            rc = finish_lost(t, &a, err);
            t->lost = t->lost || rc < 0;
        }
    }
    t->filling = false;
    arena_deinit(&a);
    hub_release_held(t);
    hub_topic_unref(h, t);
    return rc;
}

/* --- the tail reader --- */

struct look {
    struct hub_topic *topics[TAIL_BATCH]; /* references */
    struct id ids[TAIL_BATCH];
    size_t count;
    int64_t next_us; /* when the next one is due */
};

static str key_of(const struct id *id) { return str_n((const char *)id->b, sizeof(id->b)); }

static bool tailed(const struct hub_topic *t) {
    return !list_empty(&t->readers) && (!t->held_by_run || t->hinted || hub_topic_behind(t));
}

static void collect(struct hub *h, struct look *l) {
    size_t at = 0;
    str key;
    void *value;
    int64_t now = rt_mono_us(h->rt);
    l->count = 0;
    l->next_us = FIBER_NO_DEADLINE;
    while (map_next(&h->topics, &at, &key, &value)) {
        struct hub_topic *t = value;
        if (!tailed(t))
            continue;
        if (t->tail_due_us > now || l->count == TAIL_BATCH) {
            if (t->tail_due_us < l->next_us)
                l->next_us = t->tail_due_us;
            continue;
        }
        t->refs++;
        t->hinted = false;
        l->topics[l->count] = t;
        l->ids[l->count++] = t->thread_id;
    }
}

struct fill {
    struct hub_topic *topic;
    int64_t seq;
};

static void fill_fiber(void *arg) {
    struct fill *f = arg;
    struct err err = {0};
    int rc = hub_topic_fill(f->topic, f->seq, &err);
    if (rc < 0) {
        f->topic->tail_due_us = rt_mono_us(f->topic->hub->rt) + TAIL_ERROR_US;
        log_event(LOG_WARN, "stream.tail.failed", err.message, LOG_Z("code", err_name(rc)));
    }
}

/* When the topic is looked at again, and whether it has to be filled. */
static bool reckon(struct hub *h, struct hub_topic *t, int64_t seq) {
    int64_t max = h->hints_up ? TAIL_HINTED_US_MAX : TAIL_WAIT_US_MAX;
    bool grown = seq > t->shown_seq || t->lost;
    t->tail_wait_us = grown || t->tail_wait_us == 0 ? TAIL_WAIT_US
                      : t->tail_wait_us * 2 > max   ? max
                                                    : t->tail_wait_us * 2;
    t->tail_due_us = rt_mono_us(h->rt) + t->tail_wait_us;
    return grown && !t->filling;
}

static void fill_all(struct hub *h, struct fill *fills, size_t count) {
    for (size_t i = 0; i < count; i += FILLS_MAX) {
        struct fiber_group group;
        fiber_group_init(&group);
        for (size_t j = i; j < count && j < i + FILLS_MAX; j++)
            if (fiber_group_spawn(&group, h->rt, "stream.fill", fill_fiber, &fills[j], NULL) < 0)
                fill_fiber(&fills[j]);
        fiber_group_wait(&group);
    }
}

static void look(struct hub *h, struct look *l) {
    struct log_head *heads;
    struct map found; /* thread id → struct log_head */
    size_t head_count = 0, fill_count = 0;
    struct err err = {0};
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    struct fill *fills = ARENA_ARRAY(&a, struct fill, l->count);
    h->tail_polls++;
    int rc = log_heads(h->store, l->ids, l->count, &a, &heads, &head_count, &err);
    if (rc < 0)
        log_event(LOG_WARN, "stream.tail.failed", err.message, LOG_Z("code", err_name(rc)));
    map_init(&found);
    for (size_t i = 0; rc == 0 && i < head_count; i++)
        map_put(&found, key_of(&heads[i].thread_id), &heads[i]);
    for (size_t i = 0; i < l->count; i++) {
        struct hub_topic *t = l->topics[i];
        struct log_head *head = map_get(&found, key_of(&t->thread_id));
        if (rc < 0)
            t->tail_due_us = rt_mono_us(h->rt) + TAIL_ERROR_US;
        else if (!head)
            hub_thread_gone(h, t->thread_id);
        else if (reckon(h, t, head->seq))
            fills[fill_count++] = (struct fill){t, head->seq};
    }
    map_deinit(&found);
    fill_all(h, fills, fill_count);
    for (size_t i = 0; i < l->count; i++)
        hub_topic_unref(h, l->topics[i]);
    arena_deinit(&a);
}

static void tail_fiber(void *arg) {
    struct hub *h = arg;
    struct look *l = NEW(struct look);
    while (!h->tail_stop) {
        collect(h, l);
        if (l->count)
            look(h, l);
        else
            (void)fiber_event_wait(&h->tail_wake, l->next_us);
    }
    mem_free(l);
    h->tail_fibers--;
}

int hub_tail_start(struct hub *h, const struct hub_events *events, struct err *err) {
    h->events = *events;
    h->tailing = true;
    h->tail_stop = false;
    if (!fiber_spawn(h->rt, "stream.tail", tail_fiber, h, err))
        return ERR_LIMIT;
    h->tail_fibers++;
    return 0;
}

void hub_tail_stop(struct hub *h) {
    h->tail_stop = true;
    h->tailing = false;
    fiber_event_wake_all(&h->tail_wake);
    while (h->tail_fibers)
        fiber_sleep_shielded_us(1000);
}

void hub_tail_soon(struct hub_topic *t) {
    if (!t->hub->tailing)
        return;
    t->tail_wait_us = 0;
    t->tail_due_us = 0;
    fiber_event_wake_all(&t->hub->tail_wake);
}

void hub_hint(struct hub *h, struct id thread_id) {
    size_t at = 0;
    str key;
    void *value = NULL;
    if (!id_is_nil(thread_id)) {
        value = map_get(&h->topics, key_of(&thread_id));
        if (value) {
            ((struct hub_topic *)value)->hinted = true;
            hub_tail_soon(value);
        }
        return;
    }
    while (map_next(&h->topics, &at, &key, &value)) {
        ((struct hub_topic *)value)->hinted = true;
        ((struct hub_topic *)value)->tail_due_us = 0;
    }
    fiber_event_wake_all(&h->tail_wake);
}

void hub_hints_up(struct hub *h, bool up) {
    h->hints_up = up;
    if (!up)
        hub_hint(h, ID_NIL); /* one may just have been lost */
}

void hub_tail_stats(const struct hub *h, struct hub_tail_stats *out) {
    size_t at = 0;
    str key;
    void *value;
    *out = (struct hub_tail_stats){
        .topics = h->topics.count, .polls = h->tail_polls, .fills = h->tail_fills};
    while (map_next(&h->topics, &at, &key, &value)) {
        out->tailed += tailed(value);
        out->behind += hub_topic_behind(value);
    }
}
