/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - what the pool and the writer do, for scrapes.
 *
 * Counters that the pool keeps itself are copied when somebody scrapes; waiting times are observed
 * by whoever waited. One driver at a time registers (a process has one database). */
#include "db/postgres/pgdb_int.h"

static void on_collect(void *arg) {
    const struct pgdb *d = arg;
    const struct pgdb_metrics *m = &d->metrics;
    struct pg_stats s;
    pg_pool_stats(d->pool, &s);
    metric_set(m->in_use, (int64_t)s.in_use);
    metric_set(m->idle, (int64_t)s.idle);
    metric_set(m->waiting, (int64_t)s.waiting);
    metric_set(m->up, s.health == PG_UP);
    metric_set(m->connects, (int64_t)s.connects);
    metric_set(m->connect_failures, (int64_t)s.connect_failures);
    metric_set(m->in_doubt, (int64_t)d->writer.in_doubt);
    metric_set(m->reruns, (int64_t)d->writer.reruns);
}

void pgdb_metrics_open(struct pgdb *d) {
    struct pgdb_metrics *m = &d->metrics;
    static const char *const connections = "Connections to PostgreSQL.",
                             *const statements = "Statements sent to PostgreSQL, by class.";
    m->in_use = metric_gauge("holdfast_pg_connections", connections, "state=\"in_use\"");
    m->idle = metric_gauge("holdfast_pg_connections", connections, "state=\"idle\"");
    m->waiting = metric_gauge("holdfast_pg_waiting", "Units that wait for a connection.", NULL);
    m->up = metric_gauge("holdfast_pg_up", "1 while PostgreSQL can be reached.", NULL);
    m->connects = metric_gauge("holdfast_pg_connects", "Connections made since the start.", NULL);
    m->connect_failures = metric_gauge("holdfast_pg_connect_failures",
                                       "Attempts to connect that failed since the start.", NULL);
    m->in_doubt = metric_gauge("holdfast_pg_commits_in_doubt",
                               "Batches whose outcome stayed open since the start.", NULL);
    m->reruns = metric_gauge("holdfast_pg_group_reruns",
                             "Groups run again around a failing batch since the start.", NULL);
    m->wait_seconds = metric_histogram("holdfast_pg_wait_seconds",
                                       "From handing a unit in until it is sent.", NULL);
    m->point = metric_counter("holdfast_pg_statements_total", statements, "class=\"point\"");
    m->read = metric_counter("holdfast_pg_statements_total", statements, "class=\"read\"");
    m->write = metric_counter("holdfast_pg_statements_total", statements, "class=\"write\"");
    metrics_on_collect(on_collect, d);
}

void pgdb_metrics_close(struct pgdb *d) { metrics_off_collect(on_collect, d); }

void pgdb_metrics_unit(const struct pgdb *d, const struct pg_work *work, struct metric *by_class) {
    metric_add(by_class, (int64_t)work->call_count);
    if (work->sent_us > work->submitted_us)
        metric_observe_us(d->metrics.wait_seconds, work->sent_us - work->submitted_us);
}
