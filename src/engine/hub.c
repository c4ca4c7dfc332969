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
#include "store/webhooks.h"

#define SEGMENT_BYTES_MAX 4096
#define SEGMENT_AGE_US    30000
#define HELD_WAIT_US      1000
/* A commit whose answer was lost: how long, how often and how far back the log is asked. */
#define DOUBT_PATIENCE_US 5000000
#define DOUBT_WAIT_US     10000
#define DOUBT_WAIT_US_MAX 500000
#define DOUBT_ENTRIES     64

struct hub *hub_new(struct rt *rt, struct store *store) {
    struct hub *h = NEW(struct hub);
    h->rt = rt;
    h->store = store;
    map_init(&h->topics);
    fiber_event_init(&h->tail_wake);
    return h;
}

void hub_outbox_set(struct hub *h, void (*grew)(void *ctx), void *ctx) {
    h->outbox_grew = grew;
    h->outbox_ctx = ctx;
}

void hub_settle(struct hub *h) {
    while (h->flushes)
        fiber_sleep_shielded_us(1000);
    h->settled = true; /* readers that still replay have topics, whose timers go on */
}

void hub_free(struct hub *h) {
    if (!h)
        return;
    ASSERT(h->topics.count == 0 && h->tail_fibers == 0);
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
        t->visible_seq = t->shown_seq = -1;
        list_init(&t->readers);
        list_init(&t->open);
        list_init(&t->flying);
        list_init(&t->held);
        fiber_event_init(&t->decided);
        fiber_event_init(&t->released);
        map_put(&h->topics, str_n((const char *)t->thread_id.b, sizeof(t->thread_id.b)), t);
    }
    t->refs++;
    return t;
}

bool hub_topic_replayed(const struct hub_topic *t) { return t->replays > 0; }

void hub_topic_hold(struct hub_topic *t, const struct run_hold *hold) {
    t->held_by_run = hold != NULL;
    if (hold)
        t->hold = *hold;
    else if (!list_empty(&t->readers)) /* from now on others may append unseen */
        hub_tail_soon(t);
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

static void fragments_drop(struct list *l, struct id run_id) {
    for (struct list *n = l->next, *next; n != l; n = next) {
        struct fragment *f = LIST_ENTRY(n, struct fragment, node);
        next = n->next;
        if (!id_eq(f->run_id, run_id))
            continue;
        list_remove(n);
        mem_free(f);
    }
}

void hub_topic_drop(struct hub_topic *t, struct id run_id) {
    fragments_drop(&t->open, run_id);
    fragments_drop(&t->held, run_id);
    if (list_empty(&t->open))
        t->open_bytes = 0;
}

/* --- fragments --- */

void hub_show(struct hub_topic *t, const struct stream_item *item) {
    t->refs++; /* a reader that ends may be the topic's last holder */
    LIST_EACH (&t->readers, n)
        hub_reader_show(LIST_ENTRY(n, struct hub_reader, node), item);
    hub_topic_unref(t->hub, t);
}

static void fragment_show(struct hub_topic *t, const struct fragment *f) {
    struct stream_item item = hub_fragment_item(f);
    hub_show(t, &item);
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
    if (rc == ERR_FENCED && t->held_by_run && h->events.fenced)
        h->events.fenced(h->events.ctx, t->hold.run_id);
    if (rc == ERR_NOT_FOUND || rc == ERR_FENCED)
        fragments_free(&t->open); /* of a deleted thread or a dead attempt: nobody asks for them */
    else if (rc < 0)
        log_event(LOG_ERROR, "stream.segment.failed", err.message, LOG_Z("code", err_name(rc)));
    arena_deinit(&a);
    t->flushing = false;
    h->flushes--;
    if (!list_empty(&t->open) && !t->flush_timer.slot)
        rt_timer_start(h->rt, &t->flush_timer, SEGMENT_AGE_US, hub_flush_due);
    hub_topic_unref(h, t);
}

void hub_flush_due(struct rt_timer *timer) {
    struct hub_topic *t = CONTAINER_OF(timer, struct hub_topic, flush_timer);
    if (t->flushing || list_empty(&t->open) || t->hub->settled)
        return;
    t->refs++;
    t->flushing = true;
    t->hub->flushes++;
    if (!fiber_spawn(t->hub->rt, "stream.segment", flush_fiber, t, NULL)) {
        t->flushing = false;
        t->hub->flushes--;
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
    if (t->pending || hub_topic_behind(t))
        list_push_back(&t->held, &f->node);
    else
        fragment_open(t, f);
}

void hub_release_held(struct hub_topic *t) {
    struct list *n;
    while (t->pending == 0 && !hub_topic_behind(t) && (n = list_pop_front(&t->held)) != NULL)
        fragment_open(t, LIST_ENTRY(n, struct fragment, node));
    if (list_empty(&t->held) || t->pending == 0) /* also when readers have to be told more before */
        fiber_event_wake_all(&t->released);
}

/* --- commits --- */

static bool holds_words_of(const struct hub_topic *t, struct id run_id) {
    LIST_EACH ((struct list *)&t->held, n)
        if (id_eq(LIST_ENTRY(n, struct fragment, node)->run_id, run_id))
            return true;
    return false;
}

/* What a run has said comes before what it enters next, also when it was said while an entry of
 * others was being committed (of a run that queues, say). The wait is as long as theirs. */
static void words_first(struct hub_topic *t, const struct hub_append *append) {
    while (append->count > 0 && t->pending > 0 &&
           holds_words_of(t, append->entries[append->count - 1].entry.run_id))
        if (fiber_event_wait(&t->released, FIBER_NO_DEADLINE) < 0)
            fiber_sleep_shielded_us(HELD_WAIT_US); /* of a run that is cancelled: the same */
}

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
        struct segment segment = {0};
        for (; n != batch && same_segment(first, LIST_ENTRY(n, struct fragment, node));
             n = n->next) {
            struct fragment *f = LIST_ENTRY(n, struct fragment, node);
            segment_write(&w, &segment, str_n(f->data, f->len));
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
        hub_show(t, &item);
    }
}

static size_t held_bump(void *ctx, struct db_batch *b, int64_t count) {
    return thread_log_add(b, ctx, count);
}

/* What a commit adds to its batch. */
struct log_part {
    size_t outbox; /* what is told of the entries; SIZE_MAX: nothing */
    struct log_entry *entries;
    size_t count;
    size_t op;   /* gives the last number; SIZE_MAX: there are no entries */
    size_t hold; /* asks whether the fragments' run has the thread; SIZE_MAX: none */
};

static const int64_t TOLD_KINDS[] = {LOG_STEPS, LOG_END};

static bool is_told(const struct hub_append *append) {
    bool told = append->told;
    for (size_t i = 0; i < append->count; i++)
        told = told || append->entries[i].entry.kind == LOG_STEPS;
    return told;
}

static void log_part_add(struct hub_topic *t, const struct hub_append *append,
                         struct log_part *out) {
    struct db_batch *b = append->batch;
    size_t segments = segment_count(&t->open), all = segments + append->count;
    struct log_entry *log = ARENA_ARRAY(b->arena, struct log_entry, all + 1);
    segments_write(&t->open, b->arena, log);
    for (size_t i = 0; i < append->count; i++)
        log[segments + i] = append->entries[i].entry;
    *out = (struct log_part){.entries = log, .count = all, .op = SIZE_MAX,
                             .hold = SIZE_MAX, .outbox = SIZE_MAX};
    if (!all)
        return;
    struct log_counter held = {held_bump, &t->hold};
    const struct log_counter *counter = append->counter;
    if (!counter && t->held_by_run)
        counter = &held;
    else if (segments && t->held_by_run && !append->held)
        out->hold = thread_hold_add(b, &t->hold);
    out->op = log_append_add(b, append->thread_id, log, all, counter);
    if (append->tell)
        out->outbox = append->tell(append->ctx, b, (int64_t)all);
    else if (is_told(append))
        out->outbox = webhook_outbox_add(b, append->thread_id, (int64_t)all, TOLD_KINDS,
                                         rt_now_us(t->hub->rt));
}

/* --- commits whose answer was lost --- */

/* Is the batch's last entry in the log? Its texts hold ids that no other entry has. */
static int entry_find(struct hub *h, struct id thread_id, const struct log_entry *mine,
                      int64_t *out_seq, struct err *err) {
    struct arena a;
    struct log_entry *found;
    size_t count;
    arena_init(&a, SIZE_MAX / 2);
    int rc = log_read_newest(h->store, thread_id, DOUBT_ENTRIES, &a, &found, &count, err);
    *out_seq = 0;
    for (size_t i = 0; rc == 0 && i < count && *out_seq == 0; i++)
        if (found[i].kind == mine->kind && found[i].at == mine->at &&
            id_eq(found[i].run_id, mine->run_id) && str_eq(found[i].data, mine->data))
            *out_seq = found[i].seq;
    arena_deinit(&a);
    return rc;
}

static bool patient(struct hub *h, const struct hub_append *append, int64_t until_us) {
    return append->patient ? append->patient(append->ctx) : rt_mono_us(h->rt) < until_us;
}

/* Whether it was stored is asked of the log; when it is not there the same batch is committed
 * again, which cannot succeed twice: its rows have keys, and claims and ends count attempts. */
static int doubt_settle(struct hub *h, const struct hub_append *append, const struct log_part *log,
                        int64_t *out_seq, struct err *err) {
    struct db_batch *b = append->batch;
    const struct log_entry *last = &log->entries[log->count - 1];
    int64_t until_us = rt_mono_us(h->rt) + DOUBT_PATIENCE_US, wait_us = DOUBT_WAIT_US;
    bool committed = b->committed, asked_again = false;
    int again = 0;
    for (;; wait_us = wait_us < DOUBT_WAIT_US_MAX ? wait_us * 2 : wait_us) {
        int rc = entry_find(h, append->thread_id, last, out_seq, err);
        if (rc == 0 && *out_seq)
            return 0;
        if (rc == 0 && committed)
            return err_set(err, ERR_FENCED, "what was stored was deleted since");
        if (rc == 0 && asked_again)
            return again;
        if (rc == 0) {
            again = db_commit(h->store->db, b, err);
            if (again == 0) {
                *out_seq = log_last_seq(b, log->op);
                return 0;
            }
            committed = committed || b->committed;
            bool passing = again == ERR_UNAVAILABLE || again == ERR_IO || again == ERR_LIMIT;
            asked_again = !passing && !b->in_doubt && !b->committed;
            if (asked_again)
                continue; /* it was refused: because the first one was stored? */
        }
        if (!patient(h, append, until_us)) {
            b->in_doubt = true;
            return err_set(err, ERR_UNAVAILABLE, "the database does not tell what it has stored");
        }
        fiber_sleep_shielded_us(wait_us);
    }
}

/* Does a reader show values that are not at hand? */
static bool lacks_values(const struct hub_topic *t, const struct hub_append *append) {
    bool wanted = false, stored = false;
    for (size_t i = 0; i < append->count; i++)
        stored = stored || append->entries[i].stored;
    LIST_EACH (&t->readers, n)
        wanted = wanted || (LIST_ENTRY(n, struct hub_reader, node)->o.modes &
                            (STREAM_DEBUG | STREAM_CHECKPOINTS));
    return stored && wanted;
}

/* The batch is in the log, its last number is seq. Entries of others that came between are not
 * shown yet: then all of it is shown from the log, in its order. */
static void after_commit(struct hub_topic *t, const struct hub_append *append, size_t logged,
                         int64_t seq) {
    bool watched = !list_empty(&t->readers);
    if (!watched && !t->filling && logged)
        t->shown_seq = seq - (int64_t)logged;
    bool gap = t->filling ||
               (logged && watched && t->shown_seq >= 0 && t->shown_seq < seq - (int64_t)logged) ||
               lacks_values(t, append);
    if (seq > t->visible_seq)
        t->visible_seq = seq;
    t->gone = false;
    if (append->count) {
        t->base = seq;
        t->k = 0;
    }
    if (append->after_commit)
        append->after_commit(append->ctx);
    if (!gap) {
        show_entries(t, append->entries, append->count, seq);
        if (logged)
            t->shown_seq = seq;
    } else if (hub_topic_fill(t, seq, NULL) < 0) {
        hub_tail_soon(t);
    }
    if (logged && t->hub->events.committed)
        t->hub->events.committed(t->hub->events.ctx, t->thread_id);
}

int hub_commit(struct hub *h, const struct hub_append *append, struct err *err) {
    struct hub_topic *t = hub_topic_ref(h, append->thread_id);
    struct db_batch *b = append->batch;
    size_t own = b->count;
    struct log_part log;
    int64_t seq = 0;
    int rc;
    words_first(t, append);
    t->pending += append->count > 0;
    for (;;) {
        log_part_add(t, append, &log);
        struct flight flight = take_off(t);
        rc = b->count ? db_commit(h->store->db, b, err) : 0;
        if (rc == 0 && log.count)
            seq = log_last_seq(b, log.op);
        else if (rc < 0 && log.count && (b->in_doubt || b->committed))
            rc = doubt_settle(h, append, &log, &seq, err);
        land(t, flight, rc == 0);
        if (rc != ERR_FENCED || log.hold == SIZE_MAX || b->failed_at != log.hold)
            break;
        /* The tokens belong to a run that lost the thread; this batch does not. */
        hub_topic_drop(t, t->hold.run_id);
        b->count = own;
    }
    t->pending -= append->count > 0;
    if (rc == 0)
        after_commit(t, append, log.count, seq);
    if (rc == 0 && h->outbox_grew && log.outbox != SIZE_MAX && b->ops[log.outbox].changed > 0)
        h->outbox_grew(h->outbox_ctx);
    hub_release_held(t);
    hub_topic_unref(h, t);
    return rc;
}

/* The answer was lost: the run is there, or went with its thread. */
static int doubt_settle_gone(struct hub *h, const struct hub_append *append, struct id run_id,
                             struct err *err) {
    struct run_place place;
    struct arena a;
    int64_t until_us = rt_mono_us(h->rt) + DOUBT_PATIENCE_US;
    int rc;
    do {
        fiber_sleep_shielded_us(DOUBT_WAIT_US);
        rc = db_commit(h->store->db, append->batch, err);
        arena_init(&a, 1 << 20);
        if (rc < 0 && run_place_get(h->store, run_id, &a, &place, NULL) == ERR_NOT_FOUND)
            rc = 0;
        arena_deinit(&a);
    } while (rc < 0 && rc != ERR_FENCED && rc != ERR_NOT_FOUND && patient(h, append, until_us));
    return rc;
}

int hub_commit_gone(struct hub *h, const struct hub_append *append, struct id run_id,
                    struct err *err) {
    struct hub_topic *t = hub_topic_ref(h, append->thread_id);
    struct db_batch *b = append->batch;
    words_first(t, append);
    t->pending++;
    t->going = true;
    int rc = db_commit(h->store->db, b, err);
    if (rc < 0 && b->committed)
        rc = 0;
    else if (rc < 0 && b->in_doubt)
        rc = doubt_settle_gone(h, append, run_id, err);
    t->pending--;
    t->going = false;
    fiber_event_wake_all(&t->decided);
    if (rc == 0) {
        fragments_free(&t->open);
        t->open_bytes = 0;
        rt_timer_stop(h->rt, &t->flush_timer);
        int64_t seq =
            (t->visible_seq > t->base ? t->visible_seq : t->base) + (int64_t)append->count;
        t->visible_seq = t->shown_seq = t->base = seq;
        t->k = 0;
        show_entries(t, append->entries, append->count, seq);
        hub_thread_gone(h, append->thread_id);
    }
    hub_release_held(t);
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
