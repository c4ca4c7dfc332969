/* SPDX-License-Identifier: Apache-2.0 */
/* auth_settings.h - the options of authentication as src/auth takes them.
 *
 * Memory: texts are the configuration's. Suspends: never. Tests: tests/integration/run-auth */
#ifndef HF_APP_AUTH_SETTINGS_H
#define HF_APP_AUTH_SETTINGS_H

#include "app/config.h"
#include "auth/auth.h"

/* Reads the file of providers, when one is named. */
MUST_CHECK int auth_settings(struct config *c, struct auth_options *out, struct err *err);
/* Is the address that is listened on one of this machine alone? */
bool auth_host_is_loopback(const char *host);

#endif
