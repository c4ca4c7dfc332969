/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.c - the engine's background jobs: what has expired goes.
 *
 *   store items, temporary threads, idempotency keys, deliveries of the inbox, preferences of
 *     threads, sessions and logins whose time has come;
 *   the words of new items and conversations go into the index for full-text search
 *     (store/waiting_words.h), and messages become such words (texts.c);
 *   threads whose ttl is over (store/thread_ttl.c), none with a live run;
 *   logs of agents move to the next tier, or go;
 *   older states of all threads, when a policy says so: a walk over the threads by their ids that
 *     goes on where the last pass stopped;
 *   with other runtimes on the database: what they left of threads and runs that they deleted;
 *   rows of workers that are gone, and of graphs that were deleted a day ago.
 *
 * When and how much at a time is the jobs' business (src/jobs); who does them says the lease that
 * worker.c takes. A new one: its slice here, and a row of JOBS. */
#include "base/log.h"
#include "engine/engine_int.h"
#include "store/agent_logs.h"
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
#define SWEEP_BATCH     1000
#define EXPIRY_BATCH    50
#define TEXTS_BATCH     200 /* threads */
#define WORDS_BATCH     200
#define RETENTION_PASS  200 /* threads looked at */
#define RETENTION_BATCH 25
#define DEAD_ROWS_US    (INT64_C(3600) * 1000000)
#define DEAD_GRAPHS_US  (INT64_C(86400) * 1000000)

static int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }

/* Processes on one database look as often as leases end: what another one left is not old then. */
static int64_t period_us(const struct engine *e) {
    int64_t period = e->o.sweep_us > 0 ? e->o.sweep_us : SWEEP_US;
    if (e->o.thread_sweep_us > 0)
        period = min_of(e->o.thread_sweep_us, period);
    return e->o.shared ? min_of(e->o.lease_us, period) : period;
}

/* --- rows that have a time --- */

typedef int sweep_fn(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                     int64_t *out_deleted, struct err *err);

static int sweep(const struct engine *e, sweep_fn *fn, struct job_slice *s, struct arena *a,
                 struct err *err) {
    int64_t deleted = 0;
    int rc = fn(e->store, s->now_us, s->rows_max, a, &deleted, err);
    s->rows = deleted;
    s->more = deleted == s->rows_max;
    return rc;
}
static int items(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    return sweep(ctx, item_sweep, s, a, err);
}
static int doomed(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    return sweep(ctx, thread_delete_doomed, s, a, err);
}
static int keys(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    return sweep(ctx, idempotency_sweep, s, a, err);
}
static int inbox(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    return sweep(ctx, inbox_sweep, s, a, err);
}
static int overrides(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    return sweep(ctx, preference_override_sweep, s, a, err);
}

static int sessions(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    return sweep(ctx, session_sweep, s, a, err);
}
static int logins(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    return sweep(ctx, login_sweep, s, a, err);
}

static int words(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    struct engine *e = ctx;
    int64_t limit = s->rows_max, done = 0;
    int rc = item_words_index(e->store, limit, a, &done, err);
    if (rc == 0 && done < limit) {
        limit -= done;
        s->rows = done;
        rc = conversation_words_index(e->store, limit, a, &done, err);
    }
    s->rows += done;
    s->more = done == limit;
    return rc;
}

static int texts(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    struct engine *e = ctx;
    (void)a;
    return texts_owed_slice(&e->texts, e->store, s, err);
}

static int logs(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    struct engine *e = ctx;
    return agent_log_age(e->store, s->now_us, s->rows_max, a, &s->rows, &s->more, err);
}

/* --- rows that few have --- */

static int graphs(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    struct engine *e = ctx;
    return graph_sweep(e->store, s->now_us - DEAD_GRAPHS_US, a, &s->rows, err);
}
static int workers(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    struct engine *e = ctx;
    return worker_sweep(e->store, s->now_us - DEAD_ROWS_US, a, &s->rows, err);
}
static int orphans(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    struct engine *e = ctx;
    return orphans_sweep(e->store, &e->w.orphans, a, &s->rows, err);
}

/* --- threads --- */

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

/* At most so many of them at each look. */
static int ttls(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    struct engine *e = ctx;
    if (s->first)
        e->w.ttls_left = e->o.thread_sweep_max > 0 ? e->o.thread_sweep_max : SWEEP_BATCH;
    struct thread_expiry x = {.now_us = s->now_us,
                              .limit = min_of(e->w.ttls_left, s->rows_max),
                              .gone = on_thread_gone,
                              .failed = on_thread_failed,
                              .ctx = e};
    int rc = thread_expire(e->store, &x, a, &s->rows, err);
    e->w.ttls_left -= s->rows;
    s->more = s->rows > 0 && e->w.ttls_left > 0;
    return rc;
}

/* One thread; what is in use is left alone. */
static int retain_one(struct engine *e, struct id id, struct job_slice *s, struct arena *a,
                      struct err *err) {
    static const struct principal server = {.all = true};
    struct prune_policy policy = {
        .count = e->o.keep_states > 0 ? e->o.keep_states : INT32_MAX,
        .since_us = e->o.keep_us > 0 ? s->now_us - e->o.keep_us : 0,
    };
    struct thread t;
    int64_t removed = 0;
    int rc = thread_get(e->store, &server, id, a, &t, err);
    if (rc == 0)
        rc = thread_prune(e->store, &t, &policy, a, &removed, err);
    s->rows += removed;
    if (rc == ERR_UNAVAILABLE || rc == ERR_LIMIT)
        return rc;
    if (rc < 0 && rc != ERR_NOT_FOUND && rc != ERR_CONFLICT)
        on_thread_failed(e, id, err);
    err_reset(err);
    return 0;
}

static int states(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    struct engine *e = ctx;
    struct id *ids;
    size_t count;
    struct arena each;
    int64_t limit = min_of(s->rows_max, RETENTION_BATCH);
    int rc = thread_walk(e->store, e->w.retained, limit, a, &ids, &count, err);
    arena_init(&each, SIZE_MAX / 2);
    for (size_t i = 0; rc == 0 && i < count && !e->w.stop; i++) {
        arena_reset(&each);
        rc = retain_one(e, ids[i], s, &each, err);
        e->w.retained = ids[i];
    }
    arena_deinit(&each);
    if (rc < 0)
        return rc;
    e->w.retained_now = (s->first ? 0 : e->w.retained_now) + (int64_t)count;
    bool over = (int64_t)count < limit;
    if (over)
        e->w.retained = ID_NIL;
    s->more = !over && e->w.retained_now < RETENTION_PASS;
    return 0;
}

/* --- all of them --- */

static bool is_shared(const struct engine *e) { return e->o.shared; }
static bool has_policy(const struct engine *e) { return e->o.keep_states > 0 || e->o.keep_us > 0; }

static const struct {
    struct job_spec spec;
    bool (*wanted)(const struct engine *e); /* NULL: always */
} JOBS[] = {
    {{JOB_NAME("conversations.texts"),
      .what = "messages that a search has not seen, of who searched", .rows_max = TEXTS_BATCH,
      .local = true, .awaited = true, .slice = texts},
     NULL},
    {{JOB_NAME("graphs.deleted"), .what = "versions of graphs that were deleted a day ago",
      .rows_max = SWEEP_BATCH, .slice = graphs},
     NULL},
    {{JOB_NAME("idempotency.keys"), .what = "answers kept for repeated requests, past their time",
      .rows_max = SWEEP_BATCH, .slice = keys},
     NULL},
    {{JOB_NAME("inbox.deliveries"), .what = "deliveries of the inbox, past their time",
      .rows_max = SWEEP_BATCH, .slice = inbox},
     NULL},
    {{JOB_NAME("logs.tiers"), .what = "logs of agents, to the next tier by their age",
      .rows_max = SWEEP_BATCH, .slice = logs},
     NULL},
    {{JOB_NAME("preferences.overrides"), .what = "preferences of threads, past their time",
      .rows_max = SWEEP_BATCH, .slice = overrides},
     NULL},
    {{JOB_NAME("sessions.expired"), .what = "sessions that are over", .rows_max = SWEEP_BATCH,
      .slice = sessions},
     NULL},
    {{JOB_NAME("sessions.logins"), .what = "logins that nobody finished", .rows_max = SWEEP_BATCH,
      .slice = logins},
     NULL},
    {{JOB_NAME("store.items"), .what = "items of the store whose ttl is over",
      .rows_max = SWEEP_BATCH, .slice = items},
     NULL},
    {{JOB_NAME("store.words"), .what = "words that the index has not taken yet",
      .rows_max = WORDS_BATCH, .slice = words},
     NULL},
    {{JOB_NAME("threads.orphans"), .what = "what other runtimes left of what they deleted",
      .rows_max = SWEEP_BATCH, .slice = orphans},
     is_shared},
    {{JOB_NAME("threads.states"), .what = "older states of threads, past what is kept",
      .rows_max = SWEEP_BATCH, .slice = states},
     has_policy},
    {{JOB_NAME("threads.temporary"), .what = "threads of runs without one, past their time",
      .rows_max = SWEEP_BATCH, .slice = doomed},
     NULL},
    {{JOB_NAME("threads.ttl"), .what = "threads whose ttl is over", .rows_max = EXPIRY_BATCH,
      .slice = ttls},
     NULL},
    {{JOB_NAME("workers.gone"), .what = "rows of processes that have been gone for an hour",
      .rows_max = SWEEP_BATCH, .slice = workers},
     is_shared},
};

void engine_add_jobs(struct engine *e, struct jobs *jobs) {
    e->jobs = jobs;
    for (size_t i = 0; i < ARRAY_COUNT(JOBS); i++) {
        if (JOBS[i].wanted && !JOBS[i].wanted(e))
            continue;
        struct job_spec spec = JOBS[i].spec;
        spec.ctx = e;
        spec.every_us =
            spec.slice == ttls && e->o.thread_sweep_us > 0 ? e->o.thread_sweep_us : period_us(e);
        jobs_add(jobs, &spec);
    }
}

static bool leads(void *engine) {
    const struct engine *e = engine;
    return engine_is_worker(e) && (!e->o.shared || e->w.leads);
}
static struct id worker(void *engine) { return ((const struct engine *)engine)->worker; }
static void tell(void *engine) { hint_jobs(engine); }

struct jobs_port engine_jobs_port(struct engine *e) {
    return (struct jobs_port){
        .leads = leads, .worker = worker, .tell = tell, .shared = e->o.shared, .ctx = e};
}
