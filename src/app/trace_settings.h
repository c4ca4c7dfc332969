/* SPDX-License-Identifier: Apache-2.0 */
/* trace_settings.h - the options of tracing, as OpenTelemetry names them.
 *
 * Memory: texts are the configuration's and the arena's. Errors: ERR_INVALID with a text for the
 * operator. Suspends: never. Tests: tests/integration/run-traces */
#ifndef HF_APP_TRACE_SETTINGS_H
#define HF_APP_TRACE_SETTINGS_H

#include "app/config.h"
#include "trace/trace.h"

/* *out_on: spans are to be made. */
MUST_CHECK int trace_settings(const struct config *c, const char *host, struct arena *a,
                              struct tracer_options *out, bool *out_on, struct err *err);

#endif
