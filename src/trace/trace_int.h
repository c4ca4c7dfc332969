/* SPDX-License-Identifier: Apache-2.0 */
/* trace_int.h - the tracer as its two files share it. */
#ifndef HF_TRACE_TRACE_INT_H
#define HF_TRACE_TRACE_INT_H

#include "base/metrics.h"
#include "rt/fiber.h"
#include "trace/trace.h"

#define SPAN_BYTES_MAX ((size_t)16 << 10) /* as JSON */

struct tracer_metrics {
    struct metric *sent, *full, *failed, *rejected; /* spans */
    struct metric *waiting, *exports, *errors;
};
struct tracer {
    struct rt *rt;
    struct http_client *client;
    struct tracer_options o;
    struct tracer_metrics metrics;
    struct buf *queue; /* a ring of queue_max spans */
    size_t first, count;
    struct fiber_group group;
    struct fiber_event wake;
    bool stopping, stopped;
};

/* exporter.c: takes the text over, or drops it. */
void tracer_put(struct tracer *t, struct buf *span);

#endif
