/* SPDX-License-Identifier: Apache-2.0 */
/* app.h - the composition root: builds the server from its parts and takes it down again.
 *
 * Owner: src/cli. Errors: as returned, with texts for the terminal. Suspends: never from outside.
 * Tests: tests/integration, tests/crash */
#ifndef HF_APP_APP_H
#define HF_APP_APP_H

#include "base/err.h"

/* `holdfast serve`: parses, serves until SIGINT or SIGTERM, drains; returns the exit status. */
int app_serve(int argc, char **argv);

#endif
