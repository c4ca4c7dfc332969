/* SPDX-License-Identifier: Apache-2.0 */
/* history_settings.c - the history of the server, behind the pipeline: in its database unless said,
 * in a folder or a file of SQLite of its own, or in memory.
 *
 * A folder and a file have one process that writes to them, so they are for servers with one. */
#include "app/history_settings.h"

#include "app/older_store.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "db/postgres/postgres.h"
#include "history/legacy/legacy.h"
#include "history/memory.h"
#include "history/pipeline.h"
#include "history/sql/sql.h"
#include "history/watch.h"
#include "library/source.h"

#define OTHERS_LOOK_US 200000 /* how often watched sessions are looked at for others' events */
#define REPORT_US      60000000
#define SWEEP_BUDGET   1000 /* events at a time: nobody waits long for the database */

static bool in_store_of_its_own(const struct config *c) {
    return str_find_char(c->history, ':') >= 0;
}

int history_settings_prepare(const struct config *c, struct rt *rt, struct library_source *out,
                             struct err *err) {
    *out = (struct library_source){0};
    if (!in_store_of_its_own(c))
        return 0;
    if (library_source_is_postgres(c->history))
        return err_set(err, ERR_INVALID, "--history: PostgreSQL is DATABASE_URL's; then: database");
    if (c->workers > 1)
        return err_set(err, ERR_INVALID,
                       "--history: a folder or a file is written to by one process");
    int rc = library_source_open(rt, c->history, LIBRARY_MANY, out, err);
    out->compress = c->history_compress == CONFIG_HISTORY_ZSTD;
    if (rc < 0)
        (void)err_context(err, "--history");
    return rc;
}

static int start_own(struct rt *rt, struct library_source *s, struct history **out,
                     struct err *err) {
    int rc = library_source_start(rt, LIBRARY_MANY, s, err);
    if (rc < 0)
        return (void)err_context(err, "--history"), rc;
    *out = s->h;
    s->h = NULL;
    return 0;
}

/* Reads and writes come to the older store first; the pipeline is behind it. */
static int wrap_legacy(const struct config *c, struct rt *rt, struct history **h,
                       struct db_legacy **out, struct err *err) {
    str address = secret_reveal(c->history_legacy);
    if (address.len == 0)
        return 0;
    int rc = older_store_open(rt, address, out, err);
    struct history_legacy_options o = {*out, c->history_legacy_owner,
                                       c->history_legacy_interval_us};
    if (rc == 0)
        rc = history_legacy_wrap(*h, &o, h, err);
    return rc < 0 ? err_context(err, "--history-legacy") : 0;
}

int history_settings_open(const struct config *c, struct rt *rt, struct db *db,
                          struct library_source *own, struct history **out,
                          struct db_legacy **out_legacy, struct err *err) {
    struct history_pipeline_options o;
    bool shared = db_postgres_pool(db) != NULL, in_database = str_eq(c->history, STR("database"));
    struct history *inner;
    *out = NULL;
    *out_legacy = NULL;
    history_pipeline_options_default(&o);
    o.when_full = HISTORY_REFUSE;
    if (str_eq(c->history, STR("off")))
        return 0;
    if (in_database) {
        inner = history_sql_open(db, &(struct history_sql_options){.shared = shared});
    } else if (str_eq(c->history, STR("memory"))) {
        inner = history_memory_open();
    } else if (in_store_of_its_own(c)) {
        int rc = start_own(rt, own, &inner, err);
        if (rc < 0)
            return rc;
    } else {
        return err_set(err, ERR_INVALID,
                       "--history: must be database, file:FOLDER, sqlite:FILE, memory or off");
    }
    *out = history_pipeline_wrap(rt, inner, &o);
    int rc = wrap_legacy(c, rt, out, out_legacy, err);
    if (rc < 0)
        return rc;
    if ((shared && in_database) || *out_legacy)
        history_watch_others(*out, rt, OTHERS_LOOK_US);
    return 0;
}

static int sweep(void *ctx, struct job_slice *s, struct arena *a, struct err *err) {
    size_t removed = 0;
    (void)a;
    int rc = history_sweep(ctx, s->now_us, (size_t)s->rows_max, &removed, err);
    s->rows = (int64_t)removed;
    s->more = removed > 0;
    return rc;
}

/* A store of its own has the process to itself. */
void history_add_jobs(const struct config *c, struct history *h, struct jobs *jobs) {
    jobs_add(jobs, &(struct job_spec){
                       JOB_NAME("history.events"),
                       .what = "events of histories, past their time or deleted",
                       .every_us = c->history_sweep_interval_us, .rows_max = SWEEP_BUDGET,
                       .local = !str_eq(c->history, STR("database")), .slice = sweep, .ctx = h});
}

void history_legacy_reporter_main(void *arg) {
    const struct history_legacy_reporter *r = arg;
    struct metric *left = metric_gauge("holdfast_history_legacy_left",
                                       "Sessions that only the older store has", NULL);
    struct history_legacy_left before = {-1, -1}, now;
    do {
        struct err err = {0};
        int rc = history_legacy_count(r->history, r->from, r->owner, &now, &err);
        if (rc < 0) {
            log_event(LOG_WARN, "history.legacy", err.message, LOG_Z("code", err_name(rc)));
            continue;
        }
        metric_set(left, now.left);
        if (now.left != before.left || now.sessions != before.sessions)
            log_event(LOG_INFO, "history.legacy.left", "sessions that only the older store has",
                      LOG_INT("left", now.left), LOG_INT("sessions", now.sessions));
        before = now;
    } while (fiber_sleep_us(REPORT_US) == 0);
}
