/* SPDX-License-Identifier: Apache-2.0 */
/* crons.h - when crons fire, and the fiber that makes them.
 *
 * One worker of a database fires: the one that does the periodic work. What makes an instant fire
 * once is not that, but the row (cron, instant) that is written together with the run.
 *
 * An instant is missed when it is more than `late_us` in the past: nobody was there to fire it. Of
 * a cron's missed instants the first one gets a run, which stands for all (CRONS_MISSED_ONCE), or
 * none does (CRONS_MISSED_SKIP). Instants that are not that old are fired each.
 * Suspends: engine_cron_next. Tests: tests/unit/engine/test_crons.c, tests/integration/run-crons */
#ifndef HF_ENGINE_CRONS_H
#define HF_ENGINE_CRONS_H

#include "engine/engine.h"

/* The first instant after `after_us` at which the schedule fires in the zone. ERR_INVALID with
 * "schedule: …" or "timezone: …", also when it never fires. */
MUST_CHECK MAY_SUSPEND int engine_cron_next(struct engine *e, str schedule, str timezone,
                                            int64_t after_us, int64_t *out_us, struct err *err);
/* Would a run of this body be accepted? For what is looked at long before it runs. */
MUST_CHECK int engine_check(struct engine *e, const struct run_submit *s, struct err *err);
/* Some cron may be due sooner than was known. */
void engine_crons_changed(struct engine *e);

#endif
