/* SPDX-License-Identifier: Apache-2.0 */
/* blob_settings.h - where blobs lie, as the options say.
 * Memory: texts live as long as the configuration. Errors: ERR_INVALID naming the option, ERR_IO.
 * Suspends: never. Tests: tests/integration/run-plan-artifacts */
#ifndef HF_APP_BLOB_SETTINGS_H
#define HF_APP_BLOB_SETTINGS_H

#include "app/config.h"
#include "blobs/blobs.h"

/* *out NULL: there is no place for them. */
MUST_CHECK int blob_settings_open(struct config *c, struct rt *rt, struct http_client *client,
                                  struct blob_store **out, struct err *err);

#endif
