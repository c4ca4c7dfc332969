/* SPDX-License-Identifier: Apache-2.0 */
/* history_settings.c - the history of the server: in memory, behind the pipeline. */
#include "app/history_settings.h"

#include "base/clock.h"
#include "base/log.h"
#include "history/memory.h"
#include "history/pipeline.h"

int history_settings_open(const struct config *c, struct rt *rt, struct db *db,
                          struct history **out, struct err *err) {
    struct history_pipeline_options o;
    (void)c;
    (void)db;
    (void)err;
    history_pipeline_options_default(&o);
    *out = history_pipeline_wrap(rt, history_memory_open(), &o);
    return 0;
}

#define SWEEP_BUDGET 1000 /* events at a time: nobody waits long for the database */

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
