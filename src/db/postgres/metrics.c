/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - the writer's doings, for scrapes; src/pg counts connections, waits and statements.
 *
 * Copied when somebody scrapes. One driver at a time registers (a process has one database). */
#include "db/postgres/pgdb_int.h"

static void on_collect(void *arg) {
    const struct pgdb *d = arg;
    struct pg_stats s;
    pg_pool_stats(d->pool, &s);
    metric_set(d->metrics.up, s.health == PG_UP);
    metric_set(d->metrics.in_doubt, (int64_t)d->writer.in_doubt);
    metric_set(d->metrics.reruns, (int64_t)d->writer.reruns);
}

void pgdb_metrics_open(struct pgdb *d) {
    struct pgdb_metrics *m = &d->metrics;
    m->up = metric_gauge("holdfast_pg_up", "1 while PostgreSQL can be reached.", NULL);
    m->in_doubt = metric_gauge("holdfast_pg_commits_in_doubt",
                               "Batches whose outcome stayed open since the start.", NULL);
    m->reruns = metric_gauge("holdfast_pg_group_reruns",
                             "Groups run again around a failing batch since the start.", NULL);
    metrics_on_collect(on_collect, d);
}

void pgdb_metrics_close(struct pgdb *d) { metrics_off_collect(on_collect, d); }
