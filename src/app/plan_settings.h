/* SPDX-License-Identifier: Apache-2.0 */
/* plan_settings.h - what the tools of plans may, as the options say.
 * Memory: the texts live as long as the configuration; the environment's in the arena given.
 * Errors: ERR_INVALID naming the option. Suspends: never.
 * Tests: tests/unit/app/test_plan_settings.c */
#ifndef HF_APP_PLAN_SETTINGS_H
#define HF_APP_PLAN_SETTINGS_H

#include "app/config.h"
#include "plans/tools.h"

MUST_CHECK int plan_settings(const struct config *c, struct rt *rt, struct arena *a,
                             struct plan_tools_options *out, struct err *err);

#endif
