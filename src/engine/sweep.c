/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.c - the periodic work of one process of all: what has expired goes.
 *
 * Whoever holds the lease "sweep" does it, in small batches, so that nobody's request waits long:
 *   store items, temporary threads, idempotency keys, deliveries of the inbox, preferences of
 *     threads, sessions and logins whose time has come;
 *   threads whose ttl is over (store/thread_ttl.c), none with a live run;
 *   older states of all threads, when a policy says so: a walk over the threads by their ids that
 *     goes on where the last sweep stopped;
 *   with other runtimes on the database: what they left of threads and runs that they deleted;
 *   rows of workers that are gone, and of graphs that were deleted a day ago.
 * Each part is safe to stop and to repeat. */
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine_int.h"
#include "store/graphs.h"
#include "store/idempotency.h"
#include "store/inbox.h"
#include "store/items.h"
#include "store/orphans.h"
#include "store/preferences.h"
#include "store/sessions.h"
#include "store/thread_prune.h"
#include "store/thread_ttl.h"

#define SWEEP_US        60000000
#define SWEEP_ROUNDS    20
#define SWEEP_BATCH     1000
#define EXPIRY_BATCH    50
#define RETENTION_BATCH 200
#define DEAD_ROWS_US    (INT64_C(3600) * 1000000)
#define DEAD_GRAPHS_US  (INT64_C(86400) * 1000000)

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

/* Who leads must renew that within its lease. */
int64_t engine_sweep_period_us(const struct engine *e) {
    int64_t period = e->o.sweep_us > 0 ? e->o.sweep_us : SWEEP_US;
    if (e->o.thread_sweep_us > 0)
        period = min_of(e->o.thread_sweep_us, period);
    return e->o.shared ? min_of(e->o.lease_us, period) : period;
}

static void on_thread_gone(void *ctx, struct id id) {
    hub_thread_gone(((struct engine *)ctx)->hub, id);
}

static void on_thread_failed(void *ctx, struct id id, const struct err *err) {
    char text[ID_DASHED_LEN];
    (void)ctx;
    id_write_dashed(id, text);
    log_event(LOG_WARN, "sweep.thread.failed", err->message,
              LOG_STR("thread_id", str_n(text, sizeof(text))));
}

typedef int (*sweep_fn)(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                        int64_t *out_deleted, struct err *err);

static int sweep_items(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                       int64_t *out_deleted, struct err *err) {
    (void)limit; /* it has one of its own */
    return item_sweep(s, now_us, a, out_deleted, err);
}

static int sweep_expired(struct engine *e, int64_t now, struct arena *a, struct err *err) {
    static const sweep_fn kinds[] = {sweep_items, thread_delete_doomed,      idempotency_sweep,
                                     inbox_sweep, preference_override_sweep, session_sweep,
                                     login_sweep};
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < ARRAY_COUNT(kinds); k++) {
        int64_t done = SWEEP_BATCH;
        for (int i = 0; rc == 0 && done == SWEEP_BATCH && i < SWEEP_ROUNDS; i++)
            rc = kinds[k](e->store, now, SWEEP_BATCH, a, &done, err);
    }
    return rc;
}

static int sweep_threads(struct engine *e, int64_t now, struct arena *a, struct err *err) {
    int64_t left = e->o.thread_sweep_max > 0 ? e->o.thread_sweep_max : SWEEP_BATCH, done = 1;
    int rc = 0;
    e->w.threads_due_us = rt_mono_us(e->rt) + e->o.thread_sweep_us;
    while (rc == 0 && left > 0 && done > 0 && !e->w.stop) {
        struct thread_expiry x = {
            .now_us = now, .limit = min_of(left, EXPIRY_BATCH), .gone = on_thread_gone, .ctx = e};
        rc = thread_expire(e->store, &x, a, &done, err);
        left -= done;
    }
    return rc;
}

/* One thread; what is in use is left alone. */
static int retain_one(struct engine *e, struct id id, int64_t now, struct arena *a,
                      struct err *err) {
    static const struct principal server = {.all = true};
    struct prune_policy policy = {
        .count = e->o.keep_states > 0 ? e->o.keep_states : INT32_MAX,
        .since_us = e->o.keep_us > 0 ? now - e->o.keep_us : 0,
    };
    struct thread t;
    int64_t removed = 0;
    int rc = thread_get(e->store, &server, id, a, &t, err);
    if (rc == 0)
        rc = thread_prune(e->store, &t, &policy, a, &removed, err);
    if (rc == ERR_UNAVAILABLE || rc == ERR_LIMIT)
        return rc;
    if (rc < 0 && rc != ERR_NOT_FOUND && rc != ERR_CONFLICT)
        on_thread_failed(e, id, err);
    err_reset(err);
    return 0;
}

static int sweep_states(struct engine *e, int64_t now, struct arena *a, struct err *err) {
    struct id *ids;
    size_t count;
    struct arena each;
    if (e->o.keep_states <= 0 && e->o.keep_us <= 0)
        return 0;
    int rc = thread_walk(e->store, e->w.retained, RETENTION_BATCH, a, &ids, &count, err);
    arena_init(&each, SIZE_MAX / 2);
    for (size_t i = 0; rc == 0 && i < count && !e->w.stop; i++) {
        arena_reset(&each);
        rc = retain_one(e, ids[i], now, &each, err);
        e->w.retained = ids[i];
    }
    arena_deinit(&each);
    if (rc == 0 && count < RETENTION_BATCH)
        e->w.retained = ID_NIL;
    return rc;
}

void engine_sweep(struct engine *e) {
    struct arena a;
    struct err err = {0};
    int64_t now = rt_now_us(e->rt), period = engine_sweep_period_us(e);
    int rc = 0;
    bool led = e->w.leads, leads = !e->o.shared;
    e->w.sweep_due_us = rt_mono_us(e->rt) + period;
    arena_init(&a, SIZE_MAX / 2);
    if (e->o.shared)
        rc = leader_take(e->store, STR("sweep"), e->worker, now, period * 2, &a, &leads, &err);
    e->w.leads = leads; /* not before the answer: crons that look meanwhile would sleep for long */
    if (rc == 0 && e->w.leads)
        rc = sweep_expired(e, now, &a, &err);
    if (rc == 0 && e->w.leads && e->w.threads_due_us <= rt_mono_us(e->rt))
        rc = sweep_threads(e, now, &a, &err);
    if (rc == 0 && e->w.leads)
        rc = sweep_states(e, now, &a, &err);
    if (rc == 0 && e->w.leads && e->store->shared)
        rc = orphans_sweep(e->store, &e->w.orphans, &a, &err);
    if (rc == 0 && e->w.leads)
        rc = graph_sweep(e->store, now - DEAD_GRAPHS_US, &a, &err);
    if (rc == 0 && e->w.leads && e->o.shared)
        rc = worker_sweep(e->store, now - DEAD_ROWS_US, &a, &err);
    if (rc < 0)
        log_event(LOG_WARN, "worker.sweep.failed", err.message, LOG_Z("code", err_name(rc)));
    else if (e->w.leads && !led && e->o.shared)
        log_plain(LOG_INFO, "worker.leads", "this worker does the periodic work");
    if (rc == 0 && e->w.leads && !led)
        crons_wake(e);
    arena_deinit(&a);
}
