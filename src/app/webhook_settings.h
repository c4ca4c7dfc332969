/* SPDX-License-Identifier: Apache-2.0 */
/* webhook_settings.h - the options of webhooks.
 *
 * Owner, memory: texts are the configuration's and the arena's. Errors: ERR_INVALID with a text for
 * the operator. Suspends: never. Tests: tests/unit/app/test_webhook_settings.c */
#ifndef HF_APP_WEBHOOK_SETTINGS_H
#define HF_APP_WEBHOOK_SETTINGS_H

#include "app/config.h"
#include "delivery/delivery.h"

MUST_CHECK int webhook_settings(const struct config *c, struct arena *a,
                                struct delivery_options *out, struct err *err);

#endif
