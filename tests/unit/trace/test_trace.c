/* SPDX-License-Identifier: Apache-2.0 */
/* test_trace.c - where traces begin, who decides, and what a full queue does.
 * Goal: decisions are the same for one id; shares come out as asked; a span that records nothing
 * changes nothing; the queue is bounded and counts what it drops. Method: a tracer that was never
 * started, so nothing is sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/metrics.h"
#include "trace/trace.h"

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"

static struct tracer *tracer(enum trace_sampler sampler, double ratio, bool parent) {
    struct tracer_options o = {.url = STR("http://127.0.0.1:9/v1/traces"),
                               .resource = STR("[]"),
                               .sampler = sampler,
                               .ratio = ratio,
                               .parent_decides = parent,
                               .queue_max = 4,
                               .batch_max = 100,
                               .delay_us = 1000000,
                               .timeout_us = 1000000};
    return tracer_open(NULL, NULL, &o);
}

static int64_t full(void) {
    static const char labels[] = "result=\"dropped_full\"";
    return metric_value(metric_counter("holdfast_trace_spans_total", "", labels));
}

static void nothing_without_a_tracer(void **state) {
    (void)state;
    struct trace t;
    struct span s;
    trace_incoming(NULL, STR_NULL, STR_NULL, &t);
    assert_false(trace_context_known(&t.context));
    trace_incoming(NULL, STR(GOOD "1"), STR("a=b"), &t);
    span_begin(&s, &t, SPAN_INTERNAL, STR("x"));
    span_str(&s, "k", STR("v"));
    assert_false(span_records(&s));
    assert_memory_equal(s.at.context.span_id, t.context.span_id, 8); /* handed on as it came */
    span_end(&s);
    span_begin(&s, NULL, SPAN_INTERNAL, STR("x"));
    assert_false(trace_context_known(&s.at.context));
    span_end(&s);
}

static void who_decides(void **state) {
    (void)state;
    static const struct {
        enum trace_sampler sampler;
        bool parent;
        const char *incoming; /* NULL: none */
        bool wanted;
    } cases[] = {
        {TRACE_SAMPLE_ALL, true, NULL, true},      {TRACE_SAMPLE_NONE, true, NULL, false},
        {TRACE_SAMPLE_ALL, true, GOOD "0", false}, {TRACE_SAMPLE_NONE, true, GOOD "1", true},
        {TRACE_SAMPLE_ALL, false, GOOD "0", true}, {TRACE_SAMPLE_NONE, false, GOOD "1", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct tracer *tr = tracer(cases[i].sampler, 1, cases[i].parent);
        struct trace t;
        trace_incoming(tr, str_of(cases[i].incoming), STR_NULL, &t);
        assert_int_equal(t.tracer != NULL, cases[i].wanted);
        assert_int_equal(t.context.flags & TRACE_SAMPLED, cases[i].wanted);
        struct span s;
        span_begin(&s, &t, SPAN_CLIENT, STR("x"));
        assert_true(trace_context_known(&s.at.context)); /* also the decision not to */
        span_end(&s);
        tracer_free(tr);
    }
}

static void shares(void **state) {
    (void)state;
    struct tracer *tr = tracer(TRACE_SAMPLE_RATIO, 0.25, true), *again;
    int sampled = 0;
    again = tracer(TRACE_SAMPLE_RATIO, 0.25, true);
    for (int i = 0; i < 4000; i++) {
        struct trace t, u;
        struct id id = id_v7();
        trace_of_id(tr, id, &t);
        trace_of_id(again, id, &u);
        assert_memory_equal(t.context.trace_id, u.context.trace_id, 16);
        assert_int_equal(t.tracer != NULL, u.tracer != NULL);
        sampled += t.tracer != NULL;
    }
    assert_in_range(sampled, 800, 1200);
    tracer_free(tr);
    tracer_free(again);
}

static void a_full_queue(void **state) {
    (void)state;
    struct tracer *tr = tracer(TRACE_SAMPLE_ALL, 1, true);
    struct trace t;
    int64_t before = full();
    trace_incoming(tr, STR(GOOD "1"), STR_NULL, &t);
    for (int i = 0; i < 10; i++) {
        struct span s;
        span_begin(&s, &t, SPAN_INTERNAL, STR("x"));
        span_end(&s);
        span_end(&s); /* once is enough, twice is nothing */
    }
    assert_int_equal(full() - before, 6);
    tracer_free(tr);
}

static void a_span_that_grows_too_large(void **state) {
    (void)state;
    struct tracer *tr = tracer(TRACE_SAMPLE_ALL, 1, true);
    struct trace t;
    struct span s;
    int64_t before = full();
    trace_incoming(tr, STR_NULL, STR_NULL, &t);
    span_begin(&s, &t, SPAN_INTERNAL, STR("x"));
    for (int i = 0; i < 2000; i++)
        span_str(&s, "k", STR("a value of some length that is written again and again"));
    span_end(&s);
    assert_int_equal(full() - before, 1);
    tracer_free(tr);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_without_a_tracer),
        cmocka_unit_test(who_decides),
        cmocka_unit_test(shares),
        cmocka_unit_test(a_full_queue),
        cmocka_unit_test(a_span_that_grows_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
