/* SPDX-License-Identifier: Apache-2.0 */
/* history_settings.c - the history of the server, behind the pipeline: in its database unless said,
 * in a folder of its own, or in memory.
 *
 * A folder has one process that writes to it, so it is for servers with one process. */
#include "app/history_settings.h"

#include "base/clock.h"
#include "base/log.h"
#include "db/postgres/postgres.h"
#include "history/file/file.h"
#include "history/memory.h"
#include "history/pipeline.h"
#include "history/sql/sql.h"
#include "history/watch.h"

#define FILE_PREFIX    "file:"
#define OTHERS_LOOK_US 200000 /* how often watched sessions are looked at for others' events */
#define SWEEP_BUDGET   1000   /* events at a time: nobody waits long for the database */

static int open_folder(const struct config *c, struct rt *rt, struct history **out,
                       struct err *err) {
    str dir = str_slice(c->history, sizeof FILE_PREFIX - 1, c->history.len);
    struct history_file_options o = {.dir = dir.p,
                                     .compress = c->history_compress == CONFIG_HISTORY_ZSTD};
    if (dir.len == 0)
        return err_set(err, ERR_INVALID, "--history: file: needs a folder behind it");
    if (c->workers > 1)
        return err_set(err, ERR_INVALID, "--history: a folder is written to by one process");
    int rc = history_file_open(rt, &o, out, err);
    return rc < 0 ? err_context(err, "--history") : 0;
}

int history_settings_open(const struct config *c, struct rt *rt, struct db *db,
                          struct history **out, struct err *err) {
    struct history_pipeline_options o;
    bool shared = db_postgres_pool(db) != NULL, in_database = str_eq(c->history, STR("database"));
    struct history *inner;
    *out = NULL;
    history_pipeline_options_default(&o);
    o.when_full = HISTORY_REFUSE;
    if (str_eq(c->history, STR("off")))
        return 0;
    if (in_database) {
        inner = history_sql_open(db, &(struct history_sql_options){.shared = shared});
    } else if (str_eq(c->history, STR("memory"))) {
        inner = history_memory_open();
    } else if (str_starts(c->history, STR(FILE_PREFIX))) {
        int rc = open_folder(c, rt, &inner, err);
        if (rc < 0)
            return rc;
    } else {
        return err_set(err, ERR_INVALID, "--history: must be database, file:FOLDER, memory or off");
    }
    *out = history_pipeline_wrap(rt, inner, &o);
    if (shared && in_database)
        history_watch_others(*out, rt, OTHERS_LOOK_US);
    return 0;
}

void history_sweeper_main(void *arg) {
    const struct history_sweeper *s = arg;
    size_t removed = 0;
    while (fiber_sleep_us(removed ? 1000 : s->every_us) == 0) {
        struct err err = {0};
        int rc = history_sweep(s->history, clock_wall_us(), SWEEP_BUDGET, &removed, &err);
        if (rc == 0)
            continue;
        removed = 0;
        log_event(LOG_WARN, "history.sweep", err.message, LOG_Z("code", err_name(rc)));
    }
}
