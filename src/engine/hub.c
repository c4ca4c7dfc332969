/* SPDX-License-Identifier: Apache-2.0 */
/* hub.c - topics: what is visible of a thread's log, and who watches.
 *
 *   fragment → open ──flush or append──▶ in a batch ──commit──▶ in the log
 *      └▶ readers at once (or held while an entry is being committed)
 *   entry ───────────────────────────▶ in a batch ──commit──▶ in the log, then readers
 *
 * Batches of one thread reach the database in the order of their hub_commit calls, so the log has
 * the order that readers saw. Readers compare positions (seq, k): an item at or before their
 * position was seen already, which makes the hand-over from replay to live free of gaps and
 * doubles. */
#include "engine/hub.h"

#include "base/log.h"
#include "base/mem.h"
#include "engine/hub_int.h"

#define SEGMENT_BYTES_MAX 4096
#define SEGMENT_AGE_US    30000

struct hub *hub_new(struct rt *rt, struct store *store) {
    struct hub *h = NEW(struct hub);
    h->rt = rt;
    h->store = store;
    map_init(&h->topics);
    return h;
}

void hub_free(struct hub *h) {
    if (!h)
        return;
    ASSERT(h->topics.count == 0);
    map_deinit(&h->topics);
    mem_free(h);
}

struct hub_topic *hub_topic_ref(struct hub *h, struct id thread_id) {
    str key = str_n((const char *)thread_id.b, sizeof(thread_id.b));
    struct hub_topic *t = map_get(&h->topics, key);
    if (!t) {
        t = NEW(struct hub_topic);
        t->hub = h;
        t->thread_id = thread_id;
        t->visible_seq = -1;
        list_init(&t->readers);
        list_init(&t->open);
        list_init(&t->flying);
        list_init(&t->held);
        map_put(&h->topics, str_n((const char *)t->thread_id.b, sizeof(t->thread_id.b)), t);
    }
    t->refs++;
    return t;
}

static void fragments_free(struct list *l) {
    for (struct list *n; (n = list_pop_front(l)) != NULL;)
        mem_free(LIST_ENTRY(n, struct fragment, node));
}

void hub_topic_unref(struct hub *h, struct hub_topic *t) {
    ASSERT(t->refs > 0);
    if (--t->refs > 0)
        return;
    map_remove(&h->topics, str_n((const char *)t->thread_id.b, sizeof(t->thread_id.b)));
    rt_timer_stop(h->rt, &t->flush_timer);
    fragments_free(&t->open);
    fragments_free(&t->flying);
    fragments_free(&t->held);
    mem_free(t);
}

/* --- fragments --- */

static void show(struct hub_topic *t, const struct stream_item *item) {
    t->refs++; /* a reader that ends may be the topic's last holder */
    LIST_EACH (&t->readers, n)
        hub_reader_show(LIST_ENTRY(n, struct hub_reader, node), item);
    hub_topic_unref(t->hub, t);
}

static void fragment_show(struct hub_topic *t, const struct fragment *f) {
    struct stream_item item = hub_fragment_item(f);
    show(t, &item);
}

static void flush_fiber(void *arg) {
    struct hub_topic *t = arg;
    struct hub *h = t->hub;
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    struct db_batch b;
    db_batch_init(&b, &a);
    struct err err = {0};
    int rc = hub_commit(h, &(struct hub_append){.thread_id = t->thread_id, .batch = &b}, &err);
    if (rc == ERR_NOT_FOUND)
        fragments_free(&t->open); /* the thread was deleted: nobody can ask for them */
    else if (rc < 0)
        log_event(LOG_ERROR, "stream.segment.failed", err.message, LOG_Z("code", err_name(rc)));
    arena_deinit(&a);
    t->flushing = false;
    if (!list_empty(&t->open) && !t->flush_timer.slot)
        rt_timer_start(h->rt, &t->flush_timer, SEGMENT_AGE_US, hub_flush_due);
    hub_topic_unref(h, t);
}

void hub_flush_due(struct rt_timer *timer) {
    struct hub_topic *t = CONTAINER_OF(timer, struct hub_topic, flush_timer);
    if (t->flushing || list_empty(&t->open))
        return;
    t->refs++;
    t->flushing = true;
    if (!fiber_spawn(t->hub->rt, "stream.segment", flush_fiber, t, NULL)) {
        t->flushing = false;
        rt_timer_start(t->hub->rt, timer, SEGMENT_AGE_US, hub_flush_due);
        hub_topic_unref(t->hub, t);
    }
}

static void fragment_open(struct hub_topic *t, struct fragment *f) {
    f->base = t->base;
    f->k = ++t->k;
    list_push_back(&t->open, &f->node);
    t->open_bytes += f->len;
    if (t->open_bytes >= SEGMENT_BYTES_MAX)
        rt_timer_start(t->hub->rt, &t->flush_timer, 0, hub_flush_due);
    else if (!t->flush_timer.slot)
        rt_timer_start(t->hub->rt, &t->flush_timer, SEGMENT_AGE_US, hub_flush_due);
    fragment_show(t, f);
}

void hub_fragment(struct hub *h, struct hub_topic *t, struct id run_id, str json) {
    struct fragment *f = mem_alloc(sizeof(*f) + json.len);
    *f = (struct fragment){.run_id = run_id, .len = json.len, .at = rt_now_us(h->rt)};
    memcpy(f->data, json.p, json.len);
    if (t->pending)
        list_push_back(&t->held, &f->node);
    else
        fragment_open(t, f);
}

static void release_held(struct hub_topic *t) {
    for (struct list *n; t->pending == 0 && (n = list_pop_front(&t->held)) != NULL;)
        fragment_open(t, LIST_ENTRY(n, struct fragment, node));
}

/* --- commits --- */

static bool same_segment(const struct fragment *a, const struct fragment *b) {
    return a->base == b->base && id_eq(a->run_id, b->run_id);
}

static size_t segment_count(const struct list *batch) {
    size_t count = 0;
    const struct fragment *last = NULL;
    LIST_EACH ((struct list *)batch, n) {
        const struct fragment *f = LIST_ENTRY(n, struct fragment, node);
        count += !last || !same_segment(last, f);
        last = f;
    }
    return count;
}

/* One entry {"b","k","f":[…]} for each series of fragments with one base and run. */
static void segments_write(const struct list *batch, struct arena *a, struct log_entry *out) {
    struct list *n = batch->next;
    while (n != batch) {
        struct fragment *first = LIST_ENTRY(n, struct fragment, node);
        struct buf b;
        buf_init(&b, SIZE_MAX / 2);
        struct json_writer w = json_writer(&b);
        jw_object(&w);
        jw_key(&w, "b");
        jw_i64(&w, first->base);
        jw_key(&w, "k");
        jw_i64(&w, first->k);
        jw_key(&w, "f");
        jw_array(&w);
        for (; n != batch && same_segment(first, LIST_ENTRY(n, struct fragment, node));
             n = n->next) {
            struct fragment *f = LIST_ENTRY(n, struct fragment, node);
            jw_raw(&w, str_n(f->data, f->len));
        }
        jw_array_end(&w);
        jw_object_end(&w);
        *out++ = (struct log_entry){.run_id = first->run_id,
                                    .kind = LOG_FRAGMENTS,
                                    .at = first->at,
                                    .data = arena_dup(a, buf_view(&b))};
        buf_deinit(&b);
    }
}

/* Fragments of a batch under way stay in topic->flying, visible to readers that go live meanwhile.
 */
struct flight {
    struct list *first;
    size_t count;
};

static struct flight take_off(struct hub_topic *t) {
    struct flight f = {.first = list_first(&t->open)};
    LIST_EACH (&t->open, n)
        f.count++;
    list_splice(&t->flying, &t->open);
    t->open_bytes = 0;
    rt_timer_stop(t->hub->rt, &t->flush_timer);
    return f;
}

static void land(struct hub_topic *t, struct flight flight, bool durable) {
    struct list back;
    list_init(&back);
    struct list *n = flight.first;
    for (size_t i = 0; i < flight.count; i++) {
        struct list *next = n->next;
        struct fragment *f = LIST_ENTRY(n, struct fragment, node);
        list_remove(n);
        if (durable)
            mem_free(f);
        else
            list_push_back(&back, n);
        n = next;
    }
    list_splice(&back, &t->open);
    list_splice(&t->open, &back);
}

static void show_entries(struct hub_topic *t, const struct hub_entry *entries, size_t count,
                         int64_t last_seq) {
    for (size_t i = 0; i < count; i++) {
        const struct hub_entry *e = &entries[i];
        struct stream_item item = {.kind = e->entry.kind,
                                   .seq = last_seq - (int64_t)(count - 1 - i),
                                   .run_id = e->entry.run_id,
                                   .at = e->entry.at,
                                   .data = e->entry.data,
                                   .values = e->values};
        if (!item.values.p && e->state && !list_empty(&t->readers))
            item.values = state_values_json(e->state);
        show(t, &item);
    }
}

int hub_commit(struct hub *h, const struct hub_append *append, struct err *err) {
    struct hub_topic *t = hub_topic_ref(h, append->thread_id);
    struct db_batch *b = append->batch;
    size_t count = append->count, segments = segment_count(&t->open), all = segments + count;
    struct log_entry *log = ARENA_ARRAY(b->arena, struct log_entry, all + 1);
    segments_write(&t->open, b->arena, log);
    for (size_t i = 0; i < count; i++)
        log[segments + i] = append->entries[i].entry;
    size_t op = all ? log_append_add(b, append->thread_id, log, all, append->counter) : SIZE_MAX;
    struct flight flight = take_off(t);
    t->pending += count > 0;
    int rc = b->count ? db_commit(h->store->db, b, err) : 0;
    t->pending -= count > 0;
    land(t, flight, rc == 0);
    if (rc == 0) {
        int64_t seq = all ? log_last_seq(b, op) : 0;
        if (seq > t->visible_seq)
            t->visible_seq = seq;
        t->gone = false;
        if (count) {
            t->base = seq;
            t->k = 0;
        }
        if (append->after_commit)
            append->after_commit(append->ctx);
        show_entries(t, append->entries, count, seq);
    }
    release_held(t);
    hub_topic_unref(h, t);
    return rc;
}

int hub_commit_gone(struct hub *h, struct id thread_id, struct db_batch *b,
                    const struct hub_entry *entries, size_t count, struct err *err) {
    struct hub_topic *t = hub_topic_ref(h, thread_id);
    t->pending++;
    int rc = db_commit(h->store->db, b, err);
    t->pending--;
    if (rc == 0) {
        fragments_free(&t->open);
        t->open_bytes = 0;
        rt_timer_stop(h->rt, &t->flush_timer);
        int64_t seq = (t->visible_seq > t->base ? t->visible_seq : t->base) + (int64_t)count;
        t->visible_seq = t->base = seq;
        t->k = 0;
        show_entries(t, entries, count, seq);
        hub_thread_gone(h, thread_id);
    }
    release_held(t);
    hub_topic_unref(h, t);
    return rc;
}

void hub_thread_gone(struct hub *h, struct id thread_id) {
    str key = str_n((const char *)thread_id.b, sizeof(thread_id.b));
    struct hub_topic *t = map_get(&h->topics, key);
    if (!t)
        return;
    t->gone = true;
    t->refs++;
    struct list readers;
    list_init(&readers);
    list_splice(&readers, &t->readers);
    for (struct list *n; (n = list_pop_front(&readers)) != NULL;)
        hub_reader_finish(LIST_ENTRY(n, struct hub_reader, node));
    hub_topic_unref(h, t);
}
