/* SPDX-License-Identifier: Apache-2.0 */
/* open.c - a pool from its options to its last byte: open, wait for it, close, look at it.
 *
 * Closing: nothing new is taken; what waits or is under way goes on until the deadline or until
 * nothing is left; then every connection is closed. closed() runs when libuv has let go of all
 * handles and no thread of the offload pool holds anything of ours.
 *
 * An unlimited number of pools may live in a process; their gauges add up (a collector each). */
#include "pg/pg_int.h"

void pg_pool_options_default(struct pg_pool_options *o) {
    *o = (struct pg_pool_options){
        .application_name = "holdfast",
        .connections_max = 10,
        .connections_min = 2,
        .connect_timeout_us = 5000000,
        .idle_timeout_us = 300000000,
        .acquire_timeout_us = 5000000,
        .statement_timeout_us = 30000000,
        .backoff_us_max = 5000000,
        .waiting_max = 10000,
        .pipeline_depth_max = 128,
        .pooled_depth_max = 1,
    };
}

/* --- metrics --------------------------------------------------------------------------------- */

void pg_pool_stats(const struct pg_pool *p, struct pg_stats *out) {
    *out = p->stats;
    out->waiting = p->waiting;
    out->connections = out->in_use = out->idle = 0;
    LIST_EACH (&p->conns, n) {
        const struct pg_conn *c = LIST_ENTRY(n, struct pg_conn, node);
        if (c->state < PG_CONN_READY)
            continue;
        bool used = c->load > 0 || c->state == PG_CONN_PINNED;
        out->connections++;
        out->in_use += used;
        out->idle += !used;
    }
}

/* This pool's part of a gauge that all pools share. */
static void show(struct metric *m, int64_t *shown, size_t now) {
    metric_add(m, (int64_t)now - *shown);
    *shown = (int64_t)now;
}

static void show_all(struct pg_pool *p, const struct pg_stats *s) {
    show(p->m.in_use, &p->shown.in_use, s->in_use);
    show(p->m.idle, &p->shown.idle, s->idle);
    show(p->m.waiting, &p->shown.waiting, s->waiting);
}

static void collect(void *arg) {
    struct pg_pool *p = arg;
    struct pg_stats s;
    pg_pool_stats(p, &s);
    show_all(p, &s);
}

static void register_metrics(struct pg_metrics *m) {
    static const char statements[] = "Statements sent to PostgreSQL, by what they do";
    m->in_use =
        metric_gauge("holdfast_pg_connections", "Connections to PostgreSQL", "state=\"in_use\"");
    m->idle =
        metric_gauge("holdfast_pg_connections", "Connections to PostgreSQL", "state=\"idle\"");
    m->waiting = metric_gauge("holdfast_pg_waiting", "Units that wait for a connection", NULL);
    m->wait =
        metric_histogram("holdfast_pg_wait_seconds", "From submitting a unit to sending it", NULL);
    m->run =
        metric_histogram("holdfast_pg_run_seconds", "From sending a unit to its last result", NULL);
    m->by_class[PG_CLASS_READ] =
        metric_counter("holdfast_pg_statements_total", statements, "class=\"read\"");
    m->by_class[PG_CLASS_WRITE] =
        metric_counter("holdfast_pg_statements_total", statements, "class=\"write\"");
    m->by_class[PG_CLASS_DDL] =
        metric_counter("holdfast_pg_statements_total", statements, "class=\"ddl\"");
    m->connects = metric_counter("holdfast_pg_connects_total", "Connections made", NULL);
    m->connect_failures = metric_counter("holdfast_pg_connect_failures_total",
                                         "Attempts to connect that failed", NULL);
    m->errors = metric_counter("holdfast_pg_errors_total", "Units that failed", NULL);
    m->timeouts = metric_counter("holdfast_pg_timeouts_total", "Units that took too long", NULL);
    m->retries = metric_counter("holdfast_pg_retries_total", "Units sent again", NULL);
}

/* --- open ------------------------------------------------------------------------------------ */

int pg_pool_open(struct rt *rt, const struct pg_pool_options *o, struct pg_pool **out,
                 struct err *err) {
    struct pg_conninfo *info = NULL;
    int rc = pg_conninfo_parse(o->url, o->application_name, &info, err);
    if (rc != 0)
        return rc;
    struct pg_pool *p = NEW(struct pg_pool);
    p->rt = rt;
    p->o = *o;
    p->o.url = p->o.application_name = NULL; /* the caller's; info has what is needed */
    p->info = info;
    if (p->o.connections_max == 0)
        p->o.connections_max = 1;
    if (p->o.connections_min > p->o.connections_max)
        p->o.connections_min = p->o.connections_max;
    if (p->o.pipeline_depth_max == 0)
        p->o.pipeline_depth_max = 1;
    if (p->o.pooled_depth_max == 0)
        p->o.pooled_depth_max = 1;
    struct list *lists[] = {&p->conns, &p->dead, &p->listeners, &p->read, &p->ordered, &p->slow};
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        list_init(lists[i]);
    fiber_event_init(&p->changed);
    pg_statements_init(&p->statements);
    p->deadline_at_us = INT64_MAX;
    p->stats.health = PG_CONNECTING;
    p->stats.unnamed = o->unnamed;
    register_metrics(&p->m);
    if (!p->o.unscraped)
        metrics_on_collect(collect, p);
    p->awaiting = 1; /* the first connection, wanted by nobody yet: it tells whether all is well */
    pg_pool_maintain(p);
    p->awaiting = 0;
    *out = p;
    return 0;
}

int pg_pool_await(struct pg_pool *p, struct err *err) {
    /* A little longer than an attempt that began just now, whose text says more. */
    int64_t until = rt_mono_us(p->rt) + p->o.connect_timeout_us / 100 * (PG_AWAIT_PERCENT + 1);
    int rc = 0;
    p->awaiting++;
    while (p->stats.health != PG_UP && p->state == PG_POOL_OPEN && rc == 0 && !p->refused) {
        pg_pool_maintain(p);
        rc = fiber_event_wait(&p->changed, until);
    }
    p->awaiting--;
    if (p->stats.health == PG_UP)
        return 0;
    if (p->state != PG_POOL_OPEN) {
        pg_pool_reap_later(p);
        return err_set(err, ERR_UNAVAILABLE, "the database client is shutting down");
    }
    if (rc == ERR_CANCELLED)
        return err_set(err, rc, "cancelled while connecting to the database");
    return err_set(err, ERR_UNAVAILABLE, "%s",
                   p->last_error.message[0] ? p->last_error.message
                                            : "the database does not answer");
}

/* --- close ----------------------------------------------------------------------------------- */

static bool drained(const struct pg_pool *p) {
    if (p->waiting > 0 && p->conn_count > 0)
        return false;
    LIST_EACH (&p->conns, n) {
        const struct pg_conn *c = LIST_ENTRY(n, struct pg_conn, node);
        if (c->load > 0 || c->state == PG_CONN_PINNED)
            return false;
    }
    return true;
}

static void fail_waiting(struct pg_pool *p) {
    struct list *lanes[] = {&p->read, &p->ordered, &p->slow};
    for (size_t i = 0; i < ARRAY_COUNT(lanes); i++) {
        struct list *n;
        while ((n = list_pop_front(lanes[i]))) {
            struct pg_work *w = LIST_ENTRY(n, struct pg_work, node);
            p->waiting--;
            err_set(&w->err, ERR_UNAVAILABLE, "the database client is shutting down");
            pg_work_finish(w, ERR_UNAVAILABLE, PG_NOT_SENT);
        }
    }
}

static void shut(struct pg_pool *p) {
    struct err why = {0};
    struct list *n;
    p->state = PG_POOL_CLOSED;
    err_set(&why, ERR_UNAVAILABLE, "the database client is shutting down");
    fail_waiting(p);
    while ((n = list_first(&p->conns))) {
        struct pg_conn *c = LIST_ENTRY(n, struct pg_conn, node);
        pg_conn_close(c, c->load > 0 ? &why : NULL);
    }
}

static void finalise(struct pg_pool *p) {
    struct rt_timer *timers[] = {&p->retry, &p->deadline, &p->idle, &p->drain};
    for (size_t i = 0; i < ARRAY_COUNT(timers); i++)
        rt_timer_stop(p->rt, timers[i]);
    if (list_linked(&p->dispatch.node))
        list_remove(&p->dispatch.node);
    if (!p->o.unscraped)
        metrics_off_collect(collect, p);
    show_all(p, &(struct pg_stats){0});
    pg_statements_deinit(&p->statements);
    pg_conninfo_free(p->info);
    void (*closed)(void *) = p->closed;
    void *ctx = p->closed_ctx;
    mem_free(p);
    if (closed)
        closed(ctx);
}

static void reap(struct rt_defer *d) {
    struct pg_pool *p = CONTAINER_OF(d, struct pg_pool, reap);
    LIST_EACH (&p->dead, n) {
        struct pg_conn *c = LIST_ENTRY(n, struct pg_conn, node);
        if (c->resolver)
            continue;
        list_remove(n);
        pg_target_free(c->target);
        pg_conn_free(c);
    }
    if (p->state == PG_POOL_DRAINING && drained(p)) {
        shut(p);
        pg_pool_reap_later(p);
        return;
    }
    if (p->state == PG_POOL_CLOSED && list_empty(&p->dead) && list_empty(&p->conns) &&
        list_empty(&p->listeners) && p->handles == 0 && p->operations == 0 && p->awaiting == 0)
        finalise(p);
}

void pg_pool_reap_later(struct pg_pool *p) {
    p->reap.fn = reap;
    rt_defer(p->rt, &p->reap);
}

static void on_drain_deadline(struct rt_timer *t) {
    struct pg_pool *p = CONTAINER_OF(t, struct pg_pool, drain);
    if (p->state == PG_POOL_DRAINING)
        shut(p);
    pg_pool_reap_later(p);
}

void pg_pool_close(struct pg_pool *p, int64_t deadline_us, void (*closed)(void *ctx), void *ctx) {
    ASSERT(p->state == PG_POOL_OPEN);
    p->state = PG_POOL_DRAINING;
    p->closed = closed;
    p->closed_ctx = ctx;
    rt_timer_stop(p->rt, &p->retry);
    rt_timer_stop(p->rt, &p->idle);
    LIST_EACH (&p->listeners, n)
        pg_listener_close(pg_listener_of(n));
    int64_t left = deadline_us - rt_mono_us(p->rt);
    rt_timer_start(p->rt, &p->drain, left > 0 ? left : 0, on_drain_deadline);
    fiber_event_wake_all(&p->changed);
    pg_pool_reap_later(p);
}
