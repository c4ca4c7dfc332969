/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline.c - a queue of appends and a fiber that stores them in groups.
 *
 * An append is an entry on its caller's stack, linked into the queue until the flusher has taken
 * it. The flusher is a fiber that begins with the first entry and ends with an empty queue, so that
 * an idle pipeline holds nothing. It is the only one that calls the adapter's append.
 *
 *   caller: (wait for room) → queue → parked → woken with its outcome
 *   flusher: (wait for company) → take a group → adapter → wake its callers → again
 *
 * Callers that are woken in one turn come back in that turn, and a flusher that begins in it runs
 * behind them: the next group holds all of them.
 *
 * Who waits for room stands in a list of its own, and nobody passes it: appends are stored in the
 * order of their coming, also when a small one would fit where a large one does not. */
#include "history/pipeline.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/metrics.h"

#define GROUP_APPENDS_MAX 4096

struct entry {
    struct list node;
    struct history_append *append;
    size_t bytes;
    struct fiber *caller;
    bool done;
};
struct pipeline {
    struct history base, *inner;
    struct history_pipeline_options options;
    struct rt *rt;
    struct list queue;               /* of struct entry */
    struct list outside;             /* and those that have no room yet, who came first first */
    size_t queue_count, queue_bytes; /* events and their bytes */
    bool flushing;
    struct fiber_event room, full; /* the queue has room; a group is full */
    struct metric *flush_seconds, *flushes, *events, *refused, *waiting;
};

static struct pipeline *pipeline_of(struct history *h) {
    return CONTAINER_OF(h, struct pipeline, base);
}

void history_pipeline_options_default(struct history_pipeline_options *o) {
    *o = (struct history_pipeline_options){.group_count_max = 4096,
                                           .group_bytes_max = 16u << 20,
                                           .queue_count_max = 50000,
                                           .queue_bytes_max = 128u << 20};
}

/* --- the flusher --- */

static bool group_is_full(const struct pipeline *p) {
    return p->queue_count >= p->options.group_count_max ||
           p->queue_bytes >= p->options.group_bytes_max;
}

static size_t take_group(struct pipeline *p, struct list *group, struct history_append **appends) {
    size_t count = 0, events = 0, bytes = 0;
    list_init(group);
    while (!list_empty(&p->queue) && count < GROUP_APPENDS_MAX) {
        struct entry *e = LIST_ENTRY(list_first(&p->queue), struct entry, node);
        if (count > 0 && (events + e->append->count > p->options.group_count_max ||
                          bytes + e->bytes > p->options.group_bytes_max))
            break;
        list_remove(&e->node);
        list_push_back(group, &e->node);
        appends[count++] = e->append;
        events += e->append->count;
        bytes += e->bytes;
    }
    p->queue_count -= events;
    p->queue_bytes -= bytes;
    return count;
}

static bool own_fault(int rc) {
    return rc == ERR_INVALID || rc == ERR_CONFLICT || rc == ERR_TOO_LARGE;
}

static void wake(struct entry *e) {
    list_remove(&e->node);
    e->done = true;
    fiber_unpark(e->caller);
}

/* What waits fails as the append before it did. */
static void fail_queue(struct pipeline *p, const struct history_append *failed) {
    LIST_EACH (&p->queue, it) {
        struct entry *e = LIST_ENTRY(it, struct entry, node);
        e->append->rc = failed->rc;
        e->append->err = failed->err;
        wake(e);
    }
    LIST_EACH (&p->outside, it) {
        struct entry *e = LIST_ENTRY(it, struct entry, node);
        e->append->rc = failed->rc;
        e->append->err = failed->err;
        e->done = true;
    }
    fiber_event_wake_all(&p->room);
    p->queue_count = p->queue_bytes = 0;
}

/* Returns how many events were stored. */
static size_t finish_group(struct pipeline *p, struct list *group) {
    const struct history_append *failed = NULL;
    size_t stored = 0;
    LIST_EACH (group, it) {
        struct entry *e = LIST_ENTRY(it, struct entry, node);
        if (e->append->rc < 0 && !own_fault(e->append->rc))
            failed = e->append;
        else if (e->append->rc == 0)
            stored += e->append->count;
    }
    if (failed)
        fail_queue(p, failed);
    while (!list_empty(group))
        wake(LIST_ENTRY(list_first(group), struct entry, node));
    return stored;
}

static void await_company(struct pipeline *p) {
    int64_t deadline = rt_mono_us(p->rt) + p->options.interval_us;
    while (p->options.interval_us > 0 && !group_is_full(p)) {
        if (fiber_event_wait(&p->full, deadline) < 0)
            break; /* the time is over, or the process ends */
    }
}

static void flush_one(struct pipeline *p, struct history_append **appends) {
    struct list group;
    size_t count = take_group(p, &group, appends);
    int64_t begun = clock_mono_us();
    fiber_event_wake_all(&p->room);
    p->inner->vtable->append(p->inner, appends, count);
    metric_observe_us(p->flush_seconds, clock_mono_us() - begun);
    metric_add(p->flushes, 1);
    metric_add(p->events, (int64_t)finish_group(p, &group));
    metric_set(p->waiting, (int64_t)p->queue_count);
}

static void flusher(void *arg) {
    struct pipeline *p = arg;
    struct history_append **appends = mem_calloc(GROUP_APPENDS_MAX, sizeof *appends);
    while (!list_empty(&p->queue)) {
        await_company(p);
        flush_one(p, appends);
    }
    mem_free(appends);
    p->flushing = false;
}

/* --- the callers --- */

static size_t append_bytes(const struct history_append *a) {
    size_t bytes = 0;
    for (size_t i = 0; i < a->count; i++)
        bytes += a->events[i].payload.len + a->events[i].headers.len;
    return bytes;
}

static bool has_room(const struct pipeline *p, const struct entry *e) {
    return list_empty(&p->queue) ||
           (p->queue_count + e->append->count <= p->options.queue_count_max &&
            p->queue_bytes + e->bytes <= p->options.queue_bytes_max);
}

static int await_room(struct pipeline *p, struct entry *e, struct err *err) {
    int rc = 0;
    if (list_empty(&p->outside) && has_room(p, e))
        return 0;
    if (p->options.when_full == HISTORY_REFUSE) {
        metric_add(p->refused, 1);
        return err_set(err, ERR_LIMIT, "the history has %zu events to store first", p->queue_count);
    }
    list_push_back(&p->outside, &e->node);
    while (rc == 0 && !e->done && (list_first(&p->outside) != &e->node || !has_room(p, e)))
        rc = fiber_event_wait(&p->room, FIBER_NO_DEADLINE);
    list_remove(&e->node);
    fiber_event_wake_all(&p->room); /* there may be room for the next one, too */
    if (e->done)
        return e->append->rc;
    return rc < 0 ? err_set(err, rc, "cancelled while the history was full") : 0;
}

static int enqueue(struct pipeline *p, struct entry *e, struct err *err) {
    int rc = await_room(p, e, err);
    if (rc < 0)
        return rc;
    if (!p->flushing && !fiber_spawn(p->rt, "history.flush", flusher, p, err))
        return ERR_LIMIT;
    p->flushing = true;
    list_push_back(&p->queue, &e->node);
    p->queue_count += e->append->count;
    p->queue_bytes += e->bytes;
    metric_set(p->waiting, (int64_t)p->queue_count);
    if (group_is_full(p))
        fiber_event_wake_all(&p->full);
    return 0;
}

static void append_one(struct pipeline *p, struct history_append *a) {
    struct entry e = {.append = a, .bytes = append_bytes(a), .caller = fiber_self()};
    a->rc = enqueue(p, &e, &a->err);
    if (a->rc < 0)
        return;
    while (!e.done)
        fiber_park_shielded();
}

static void pipeline_append(struct history *h, struct history_append *const *appends,
                            size_t count) {
    for (size_t i = 0; i < count; i++)
        append_one(pipeline_of(h), appends[i]);
}

/* --- what goes straight through --- */

static int pipeline_read(struct history *h, const struct history_range *range, struct arena *a,
                         struct history_page *out, struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->read(inner, range, a, out, err);
}

static int pipeline_wait(struct history *h, const struct history_key *key, int64_t after_seq,
                         int64_t deadline_us, int64_t *out_last_seq, struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->wait(inner, key, after_seq, deadline_us, out_last_seq, err);
}

static int pipeline_checkpoint_put(struct history *h, const struct history_key *key,
                                   struct history_checkpoint *c, struct arena *a, struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->checkpoint_put(inner, key, c, a, err);
}

static int pipeline_checkpoint_get(struct history *h, const struct history_key *key, struct id id,
                                   struct arena *a, struct history_checkpoint *out,
                                   struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->checkpoint_get(inner, key, id, a, out, err);
}

static int pipeline_checkpoint_list(struct history *h, const struct history_key *key,
                                    struct id after, size_t limit, struct arena *a,
                                    struct history_checkpoint **out, size_t *out_count,
                                    struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->checkpoint_list(inner, key, after, limit, a, out, out_count, err);
}

static int pipeline_checkpoint_rollback(struct history *h, const struct history_key *key,
                                        struct id id, struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->checkpoint_rollback(inner, key, id, err);
}

static int pipeline_session_get(struct history *h, const struct history_key *key, struct arena *a,
                                struct history_session *out, struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->session_get(inner, key, a, out, err);
}

static int pipeline_session_list(struct history *h, str owner, str after, size_t limit,
                                 struct arena *a, struct history_session **out, size_t *out_count,
                                 struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->session_list(inner, owner, after, limit, a, out, out_count, err);
}

static int pipeline_session_delete(struct history *h, const struct history_key *key,
                                   struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->session_delete(inner, key, err);
}

static int pipeline_retention_set(struct history *h, str owner, const struct history_retention *r,
                                  struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->retention_set(inner, owner, r, err);
}

static int pipeline_retention_get(struct history *h, str owner, struct history_retention *out,
                                  struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->retention_get(inner, owner, out, err);
}

static int pipeline_sweep(struct history *h, int64_t now_us, size_t budget, size_t *out_removed,
                          struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->sweep(inner, now_us, budget, out_removed, err);
}

static int pipeline_consumer_ack(struct history *h, const struct history_key *key, str name,
                                 int64_t seq, int64_t *out_acked_seq, struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->consumer_ack(inner, key, name, seq, out_acked_seq, err);
}

static int pipeline_consumer_list(struct history *h, const struct history_key *key, struct arena *a,
                                  struct history_consumer **out, size_t *out_count,
                                  struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->consumer_list(inner, key, a, out, out_count, err);
}

static int pipeline_consumer_delete(struct history *h, const struct history_key *key, str name,
                                    struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->consumer_delete(inner, key, name, err);
}

static int pipeline_owner_list(struct history *h, str after, size_t limit, struct arena *a,
                               str **out, size_t *out_count, struct err *err) {
    struct history *inner = pipeline_of(h)->inner;
    return inner->vtable->owner_list(inner, after, limit, a, out, out_count, err);
}

/* --- the whole --- */

static int pipeline_stats(struct history *h, struct history_stats *out, struct err *err) {
    struct pipeline *p = pipeline_of(h);
    int rc = p->inner->vtable->stats(p->inner, out, err);
    if (rc < 0)
        return rc;
    out->queue_count = p->queue_count;
    out->queue_bytes = p->queue_bytes;
    return 0;
}

static void pipeline_close(struct history *h) {
    struct pipeline *p = pipeline_of(h);
    ASSERT(list_empty(&p->queue) && list_empty(&p->outside) && !p->flushing);
    history_close(p->inner);
    mem_free(p);
}

static void open_metrics(struct pipeline *p) {
    const char *labels = p->options.metric_labels;
    p->flush_seconds =
        metric_histogram("holdfast_history_flush_seconds", "Storing a group of appends", labels);
    p->flushes =
        metric_counter("holdfast_history_flushes_total", "Groups of appends stored", labels);
    p->events = metric_counter("holdfast_history_events_total", "Events stored", labels);
    p->refused = metric_counter("holdfast_history_refused_total",
                                "Appends refused because the queue was full", labels);
    p->waiting =
        metric_gauge("holdfast_history_queue_events", "Events that wait to be stored", labels);
}

struct history *history_pipeline_wrap(struct rt *rt, struct history *inner,
                                      const struct history_pipeline_options *options) {
    static const struct history_vtable vtable = {
        .name = "pipeline",
        .append = pipeline_append,
        .read = pipeline_read,
        .wait = pipeline_wait,
        .checkpoint_put = pipeline_checkpoint_put,
        .checkpoint_get = pipeline_checkpoint_get,
        .checkpoint_list = pipeline_checkpoint_list,
        .checkpoint_rollback = pipeline_checkpoint_rollback,
        .session_get = pipeline_session_get,
        .session_list = pipeline_session_list,
        .session_delete = pipeline_session_delete,
        .retention_set = pipeline_retention_set,
        .retention_get = pipeline_retention_get,
        .sweep = pipeline_sweep,
        .consumer_ack = pipeline_consumer_ack,
        .consumer_list = pipeline_consumer_list,
        .consumer_delete = pipeline_consumer_delete,
        .stats = pipeline_stats,
        .owner_list = pipeline_owner_list,
        .close = pipeline_close,
    };
    struct pipeline *p = NEW(struct pipeline);
    p->base.vtable = &vtable;
    p->inner = inner;
    p->rt = rt;
    p->options = *options;
    list_init(&p->queue);
    list_init(&p->outside);
    fiber_event_init(&p->room);
    fiber_event_init(&p->full);
    open_metrics(p);
    return &p->base;
}
