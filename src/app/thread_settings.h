/* SPDX-License-Identifier: Apache-2.0 */
/* thread_settings.h - what the options say about the life of threads.
 * Errors: ERR_INVALID, naming the option. Suspends: never. Tests: tests/unit/app/test_config.c */
#ifndef HF_APP_THREAD_SETTINGS_H
#define HF_APP_THREAD_SETTINGS_H

#include "app/config.h"
#include "engine/engine.h"

/* Fills the options' part about threads, and the ttl of threads that name none. */
MUST_CHECK int thread_settings(const struct config *c, struct engine_options *out,
                               struct thread_ttl *out_ttl, struct err *err);

#endif
