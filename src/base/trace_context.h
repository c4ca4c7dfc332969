/* SPDX-License-Identifier: Apache-2.0 */
/* trace_context.h - W3C Trace Context: which trace something belongs to, and under which span.
 *
 * Read from the headers traceparent and tracestate of a request, kept with what the request makes,
 * written into the requests that follow from it. All zero: it belongs to none.
 * Memory: `state` is a view, the rest is by value. Suspends: never.
 * Tests: tests/unit/base/test_trace_context.c */
#ifndef HF_BASE_TRACE_CONTEXT_H
#define HF_BASE_TRACE_CONTEXT_H

#include "base/str.h"

#define TRACE_PARENT_LEN      55 /* 00-{32 hex}-{16 hex}-{2 hex} */
#define TRACE_STATE_BYTES_MAX 512
#define TRACE_SAMPLED         0x01
#define TRACE_RANDOM          0x02 /* the trace's id was made at random */

struct trace_context {
    uint8_t trace_id[16], span_id[8];
    uint8_t flags;
    str state; /* tracestate; absent: none */
};

/* False, and *out is untouched, unless parent is a valid traceparent. A state that is none is left
 * out: it never makes the parent invalid. */
bool trace_context_parse(str parent, str state, struct trace_context *out);
bool trace_context_known(const struct trace_context *c); /* both ids are there; false for NULL */
void trace_context_write(const struct trace_context *c, char out[TRACE_PARENT_LEN]); /* no NUL */

#endif
