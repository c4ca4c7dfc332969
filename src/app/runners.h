/* SPDX-License-Identifier: Apache-2.0 */
/* runners.h - the processes that --runner names: opened, started before the server listens, ended.
 *
 * Errors: ERR_INVALID for a text that is not NAME=COMMAND, else the first runner's that does not
 * start. Suspends: as marked. Tests: tests/integration/run-runner */
#ifndef HF_APP_RUNNERS_H
#define HF_APP_RUNNERS_H

#include "app/config.h"
#include "engine/registry.h"

struct runners;
MUST_CHECK int runners_new(struct rt *rt, const struct config *c, struct registry *registry,
                           struct runners **out, struct err *err);
/* Their graphs are in the registry afterwards. */
MUST_CHECK MAY_SUSPEND int runners_start(struct runners *rs, struct err *err);
MAY_SUSPEND void runners_stop(struct runners *rs); /* after the drain; NULL is fine */
void runners_free(struct runners *rs);             /* after the registry; NULL is fine */

#endif
