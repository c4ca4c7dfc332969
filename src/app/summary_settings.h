/* SPDX-License-Identifier: Apache-2.0 */
/* summary_settings.h - which model sums up conversations, which one logs.
 * Memory: texts of the configuration. Suspends: never.
 * Tests: tests/unit/app/test_summary_settings.c */
#ifndef HF_APP_SUMMARY_SETTINGS_H
#define HF_APP_SUMMARY_SETTINGS_H

#include "app/config.h"
#include "engine/summaries.h"

/* Of the option `name`, whose text is `text`: ERR_INVALID for what names no model. */
MUST_CHECK int text_model_settings(const struct config *c, const char *name, str text,
                                   struct text_model *out, struct err *err);
/* ERR_INVALID for what names no model. */
MUST_CHECK int summary_settings(const struct config *c, struct summaries_options *out,
                                struct err *err);

#endif
