/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_trace_context.c - headers traceparent and tracestate. Checks: what is taken has both ids,
 * known flags and a state that can stand in a header, and reads the same when it is written again.
 * Input: the parent up to a line end, then the state. */
#include "base/err.h"
#include "base/trace_context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    str all = size ? str_n((const char *)data, size) : STR("");
    ptrdiff_t end = str_find_char(all, '\n');
    str parent = end < 0 ? all : str_slice(all, 0, (size_t)end);
    str state = end < 0 ? STR_NULL : str_slice(all, (size_t)end + 1, all.len);
    struct trace_context c = {0}, again;
    char text[TRACE_PARENT_LEN];
    if (!trace_context_parse(parent, state, &c)) {
        ASSERT(!trace_context_known(&c)); /* untouched */
        return 0;
    }
    ASSERT(trace_context_known(&c) && !(c.flags & ~(TRACE_SAMPLED | TRACE_RANDOM)));
    ASSERT(c.state.len <= TRACE_STATE_BYTES_MAX);
    for (size_t i = 0; i < c.state.len; i++)
        ASSERT(c.state.p[i] >= ' ' && c.state.p[i] <= '~');
    trace_context_write(&c, text);
    ASSERT(trace_context_parse(str_n(text, sizeof(text)), c.state, &again));
    ASSERT(memcmp(c.trace_id, again.trace_id, sizeof(c.trace_id)) == 0 &&
           memcmp(c.span_id, again.span_id, sizeof(c.span_id)) == 0 && c.flags == again.flags &&
           str_eq(c.state, again.state));
    return 0;
}
