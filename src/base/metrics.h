/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - counters, gauges and histograms, written as Prometheus text 0.0.4.
 *
 * Units are seconds and bytes only; names start with holdfast_. Metrics register themselves once at
 * start (fixed table, METRIC_COUNT_MAX) and are updated with relaxed atomics from any thread.
 * Labels are fixed at registration ('method="GET",status="2xx"'). Suspends: never.
 * Tests: tests/unit/base/test_metrics.c */
#ifndef HF_BASE_METRICS_H
#define HF_BASE_METRICS_H

#include "base/buf.h"

#define METRIC_COUNT_MAX 1024

struct metric;
/* name, help and labels must be literals or live for ever; labels may be NULL. Registering the same
 * name and labels again returns the same metric. */
struct metric *metric_counter(const char *name, const char *help, const char *labels);
struct metric *metric_gauge(const char *name, const char *help, const char *labels);
/* Histogram of seconds with fixed buckets 50 us … 60 s (doubling-ish). */
struct metric *metric_histogram(const char *name, const char *help, const char *labels);
void metric_add(struct metric *m, int64_t n);      /* counter or gauge */
void metric_set(struct metric *m, int64_t v);      /* gauge */
void metric_observe_us(struct metric *m, int64_t us);
int64_t metric_value(const struct metric *m);      /* counter, gauge; histogram: its count */
/* Called on each scrape before writing, to refresh gauges. At most 16. */
void metrics_on_collect(void (*fn)(void *), void *arg);
/* Before arg goes. Not while another thread scrapes: both belong to the loop thread. */
void metrics_off_collect(void (*fn)(void *), void *arg);
/* The series of a metric under another name as well, for who knows it by that: values as they are,
 * times (of a histogram) in milliseconds. labels: of a series that has none of its own; may be
 * NULL. At most 8, registered once; several of one name stand one after the other. */
void metrics_view(const char *name, const char *help, const char *source, const char *labels);
/* The series of one name. count: of a histogram, else the value; times in microseconds, 0 of
 * others. labels: "" when there are none. */
struct metric_sample {
    const char *labels;
    int64_t count, sum_us, p50_us, p95_us, p99_us;
};
void metrics_each(const char *name, void (*fn)(void *ctx, const struct metric_sample *sample),
                  void *ctx);
void metrics_write_prometheus(struct buf *out);
/* {"name{labels}": value, …}; a histogram's value is {count, sum, p50, p95, p99}. */
void metrics_write_json(struct buf *out);

#endif
