/* SPDX-License-Identifier: Apache-2.0 */
/* history_settings.h - which history the server keeps, by its options.
 *
 * Memory: *out is the caller's to close, before the database. Errors: ERR_INVALID names the option.
 * Suspends: yes. */
#ifndef HF_APP_HISTORY_SETTINGS_H
#define HF_APP_HISTORY_SETTINGS_H

#include "app/config.h"
#include "app/older_store.h"
#include "db/legacy.h"
#include "jobs/jobs.h"
#include "library/source.h"

/* Before the loop runs: of a folder or file of its own. What it opens is closed after the history,
 * once the loop has run. */
MUST_CHECK int history_settings_prepare(const struct config *c, struct rt *rt,
                                        struct library_source *out, struct err *err);
/* *out is NULL when none is to be kept. own: what was prepared. *out_legacy: the older store, NULL
 * when there is none; the caller closes it after the history, with older_store_close(),
 * also after an error. */
MUST_CHECK MAY_SUSPEND int history_settings_open(const struct config *c, struct rt *rt,
                                                 struct db *db, struct library_source *own,
                                                 struct history **out,
                                                 struct db_legacy **out_legacy, struct err *err);

/* Tells how many sessions are in the older store alone, by a gauge and in the log, every minute. */
struct history_legacy_reporter {
    struct history *history;
    struct db_legacy *from;
    str owner;
};
MAY_SUSPEND void history_legacy_reporter_main(void *reporter);

/* Removes what is past its time, every so often. */
void history_add_jobs(const struct config *c, struct history *h, struct jobs *jobs);

#endif
