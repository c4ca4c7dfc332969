/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - counters, gauges and histograms in one static table.
 *
 * Design: registration takes a lock, updates are relaxed atomic adds, reading walks the table
 * without the lock (a metric is published by the release store of the count). Series of one name
 * are chained, because Prometheus wants them together under one HELP and TYPE.
 *
 * A histogram counts into the bucket of its value only; the cumulative counts of the text format
 * are summed while writing, from one reading of each bucket, so _count equals the +Inf bucket even
 * under concurrent updates. Quantiles in the JSON form are interpolated inside a bucket. */
#include "base/metrics.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/json.h"

static const int64_t bucket_us[] = {50,     100,    250,    500,     1000,    2500,     5000,
                                    10000,  25000,  50000,  100000,  250000,  500000,   1000000,
                                    2500000, 5000000, 10000000, 30000000, 60000000};
/* The same in seconds, as text. */
static const char *const bucket_le[] = {"0.00005", "0.0001", "0.00025", "0.0005", "0.001",
                                        "0.0025",  "0.005",  "0.01",    "0.025",  "0.05",
                                        "0.1",     "0.25",   "0.5",     "1",      "2.5",
                                        "5",       "10",     "30",      "60"};
/* And in milliseconds. */
static const char *const bucket_le_ms[] = {"0.05", "0.1",  "0.25", "0.5",  "1",    "2.5",  "5",
                                           "10",   "25",   "50",   "100",  "250",  "500",  "1000",
                                           "2500", "5000", "10000", "30000", "60000"};
#define BUCKETS ARRAY_COUNT(bucket_us)
STATIC_ASSERT(ARRAY_COUNT(bucket_le) == BUCKETS, "one text for each bound");
STATIC_ASSERT(ARRAY_COUNT(bucket_le_ms) == BUCKETS, "one text for each bound");
#define COLLECTORS_MAX 16
#define VIEWS_MAX      8

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric {
    enum metric_kind kind;
    bool first_of_name;
    const char *name, *help, *labels;
    _Atomic(struct metric *) next_of_name;
    _Atomic int64_t value;                /* histogram: sum in microseconds */
    _Atomic int64_t buckets[BUCKETS + 1]; /* histogram: the last is +Inf */
};

/* Process-wide: a process has one set of metrics, updated from every module and thread. */
static struct metric table[METRIC_COUNT_MAX];
static _Atomic size_t table_count;
static struct {
    void (*fn)(void *);
    void *arg;
} collectors[COLLECTORS_MAX];
static _Atomic size_t collector_count;
struct view {
    const char *name, *help, *source, *labels;
};
static struct view views[VIEWS_MAX];
static _Atomic size_t view_count;
static pthread_mutex_t register_lock = PTHREAD_MUTEX_INITIALIZER;

static size_t count_get(void) {
    return atomic_load_explicit(&table_count, memory_order_acquire);
}

static bool labels_equal(const char *a, const char *b) {
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static struct metric *metric_append(enum metric_kind kind, const char *name, const char *help,
                                    const char *labels, struct metric *last_of_name) {
    size_t count = count_get();
    ASSERT(count < METRIC_COUNT_MAX);
    struct metric *m = &table[count];
    m->kind = kind;
    m->first_of_name = last_of_name == NULL;
    m->name = name;
    m->help = help;
    m->labels = labels && labels[0] ? labels : NULL;
    if (last_of_name)
        atomic_store_explicit(&last_of_name->next_of_name, m, memory_order_release);
    atomic_store_explicit(&table_count, count + 1, memory_order_release);
    return m;
}

static struct metric *metric_register(enum metric_kind kind, const char *name, const char *help,
                                      const char *labels) {
    pthread_mutex_lock(&register_lock);
    struct metric *last_of_name = NULL, *found = NULL;
    for (struct metric *m = table, *end = table + count_get(); m < end && !found; m++) {
        if (strcmp(m->name, name) != 0)
            continue;
        ASSERT(m->kind == kind);
        last_of_name = m;
        if (labels_equal(m->labels, labels))
            found = m;
    }
    if (!found)
        found = metric_append(kind, name, help, labels, last_of_name);
    pthread_mutex_unlock(&register_lock);
    return found;
}

struct metric *metric_counter(const char *name, const char *help, const char *labels) {
    return metric_register(METRIC_COUNTER, name, help, labels);
}

struct metric *metric_gauge(const char *name, const char *help, const char *labels) {
    return metric_register(METRIC_GAUGE, name, help, labels);
}

struct metric *metric_histogram(const char *name, const char *help, const char *labels) {
    return metric_register(METRIC_HISTOGRAM, name, help, labels);
}

void metric_add(struct metric *m, int64_t n) {
    DASSERT(m->kind == METRIC_GAUGE || (m->kind == METRIC_COUNTER && n >= 0));
    atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

void metric_set(struct metric *m, int64_t v) {
    DASSERT(m->kind == METRIC_GAUGE);
    atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

void metric_observe_us(struct metric *m, int64_t us) {
    DASSERT(m->kind == METRIC_HISTOGRAM);
    size_t i = 0;
    while (i < BUCKETS && us > bucket_us[i])
        i++;
    atomic_fetch_add_explicit(&m->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->value, us, memory_order_relaxed);
}

static int64_t buckets_read(const struct metric *m, int64_t out[BUCKETS + 1]) {
    int64_t total = 0;
    for (size_t i = 0; i <= BUCKETS; i++) {
        out[i] = atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
        total += out[i];
    }
    return total;
}

int64_t metric_value(const struct metric *m) {
    int64_t buckets[BUCKETS + 1];
    if (m->kind == METRIC_HISTOGRAM)
        return buckets_read(m, buckets);
    return atomic_load_explicit(&m->value, memory_order_relaxed);
}

void metrics_on_collect(void (*fn)(void *), void *arg) {
    pthread_mutex_lock(&register_lock);
    size_t count = atomic_load_explicit(&collector_count, memory_order_relaxed);
    ASSERT(count < COLLECTORS_MAX);
    collectors[count].fn = fn;
    collectors[count].arg = arg;
    atomic_store_explicit(&collector_count, count + 1, memory_order_release);
    pthread_mutex_unlock(&register_lock);
}

void metrics_off_collect(void (*fn)(void *), void *arg) {
    pthread_mutex_lock(&register_lock);
    size_t count = atomic_load_explicit(&collector_count, memory_order_relaxed), kept = 0;
    for (size_t i = 0; i < count; i++)
        if (collectors[i].fn != fn || collectors[i].arg != arg)
            collectors[kept++] = collectors[i];
    atomic_store_explicit(&collector_count, kept, memory_order_release);
    pthread_mutex_unlock(&register_lock);
}

void metrics_view(const char *name, const char *help, const char *source, const char *labels) {
    pthread_mutex_lock(&register_lock);
    size_t count = atomic_load_explicit(&view_count, memory_order_relaxed);
    for (size_t i = 0; i < count; i++)
        if (strcmp(views[i].name, name) == 0 && strcmp(views[i].source, source) == 0) {
            pthread_mutex_unlock(&register_lock);
            return;
        }
    ASSERT(count < VIEWS_MAX);
    views[count] = (struct view){name, help, source, labels};
    atomic_store_explicit(&view_count, count + 1, memory_order_release);
    pthread_mutex_unlock(&register_lock);
}

static const struct metric *first_named(const char *name) {
    for (const struct metric *m = table, *end = table + count_get(); m < end; m++)
        if (m->first_of_name && strcmp(m->name, name) == 0)
            return m;
    return NULL;
}

static void collect(void) {
    size_t count = atomic_load_explicit(&collector_count, memory_order_acquire);
    for (size_t i = 0; i < count; i++)
        collectors[i].fn(collectors[i].arg);
}

static double quantile_s(const int64_t buckets[BUCKETS + 1], int64_t total, double q) {
    double rank = q * (double)total, below = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        double here = (double)buckets[i];
        if (here > 0 && below + here >= rank) {
            double from = i ? (double)bucket_us[i - 1] : 0, to = (double)bucket_us[i];
            return (from + (to - from) * (rank - below) / here) / 1e6;
        }
        below += here;
    }
    return total ? (double)bucket_us[BUCKETS - 1] / 1e6 : 0; /* beyond the last bound */
}

/* How the series of a metric are shown: under which name, in which unit. */
struct shown_as {
    const char *name, *labels; /* labels: of a series without; may be NULL */
    bool ms;
};

static double in_unit(const struct shown_as *as, double seconds) {
    return as->ms ? seconds * 1e3 : seconds;
}

static const char *labels_of(const struct shown_as *as, const struct metric *m) {
    return m->labels ? m->labels : as->labels;
}

static void sample_put(struct buf *out, const struct shown_as *as, const struct metric *m,
                       const char *suffix, const char *le) {
    const char *labels = labels_of(as, m);
    buf_z(out, as->name);
    buf_z(out, suffix);
    if (labels || le) {
        buf_char(out, '{');
        buf_z(out, labels ? labels : "");
        if (le)
            buf_printf(out, "%sle=\"%s\"", labels ? "," : "", le);
        buf_char(out, '}');
    }
    buf_char(out, ' ');
}

static void histogram_put(struct buf *out, const struct shown_as *as, const struct metric *m) {
    const char *const *bounds = as->ms ? bucket_le_ms : bucket_le;
    int64_t buckets[BUCKETS + 1], below = 0;
    int64_t total = buckets_read(m, buckets);
    int64_t sum_us = atomic_load_explicit(&m->value, memory_order_relaxed);
    for (size_t i = 0; i <= BUCKETS; i++) {
        below += buckets[i];
        sample_put(out, as, m, "_bucket", i < BUCKETS ? bounds[i] : "+Inf");
        buf_i64(out, below);
        buf_char(out, '\n');
    }
    sample_put(out, as, m, "_sum", NULL);
    struct json_writer w = json_writer(out);
    jw_double(&w, in_unit(as, (double)sum_us / 1e6));
    buf_char(out, '\n');
    sample_put(out, as, m, "_count", NULL);
    buf_i64(out, total);
    buf_char(out, '\n');
}

static void head_put(struct buf *out, const char *name, const char *help, enum metric_kind kind) {
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
}

static void series_put(struct buf *out, const struct shown_as *as, const struct metric *first) {
    for (const struct metric *m = first; m;
         m = atomic_load_explicit(&m->next_of_name, memory_order_acquire)) {
        if (m->kind == METRIC_HISTOGRAM) {
            histogram_put(out, as, m);
            continue;
        }
        sample_put(out, as, m, "", NULL);
        buf_i64(out, metric_value(m));
        buf_char(out, '\n');
    }
}

void metrics_write_prometheus(struct buf *out) {
    const char *before = "";
    collect();
    for (struct metric *first = table, *end = table + count_get(); first < end; first++) {
        if (!first->first_of_name)
            continue;
        head_put(out, first->name, first->help, first->kind);
        series_put(out, &(struct shown_as){.name = first->name}, first);
    }
    size_t count = atomic_load_explicit(&view_count, memory_order_acquire);
    for (size_t i = 0; i < count; i++) {
        const struct view *v = &views[i];
        const struct metric *first = first_named(v->source);
        if (!first)
            continue;
        if (strcmp(before, v->name) != 0)
            head_put(out, v->name, v->help, first->kind);
        series_put(out, &(struct shown_as){v->name, v->labels, true}, first);
        before = v->name;
    }
}

static void key_put(struct json_writer *w, const struct shown_as *as, const struct metric *m) {
    const char *labels = labels_of(as, m);
    if (!labels) {
        jw_key(w, as->name);
        return;
    }
    struct buf key;
    buf_init(&key, 4096);
    buf_printf(&key, "%s{%s}", as->name, labels);
    jw_key_str(w, buf_view(&key));
    buf_deinit(&key);
}

static void member_put(struct json_writer *w, const struct shown_as *as, const struct metric *m) {
    static const struct {
        const char *key;
        double q;
    } quantiles[] = {{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}};
    key_put(w, as, m);
    if (m->kind != METRIC_HISTOGRAM) {
        jw_i64(w, metric_value(m));
        return;
    }
    int64_t buckets[BUCKETS + 1], total = buckets_read(m, buckets);
    int64_t sum_us = atomic_load_explicit(&m->value, memory_order_relaxed);
    jw_object(w);
    jw_key(w, "count");
    jw_i64(w, total);
    jw_key(w, "sum");
    jw_double(w, in_unit(as, (double)sum_us / 1e6));
    for (size_t i = 0; i < ARRAY_COUNT(quantiles); i++) {
        jw_key(w, quantiles[i].key);
        jw_double(w, in_unit(as, quantile_s(buckets, total, quantiles[i].q)));
    }
    jw_object_end(w);
}

void metrics_write_json(struct buf *out) {
    collect();
    struct json_writer w = json_writer(out);
    jw_object(&w);
    for (struct metric *m = table, *end = table + count_get(); m < end; m++)
        member_put(&w, &(struct shown_as){.name = m->name}, m);
    size_t count = atomic_load_explicit(&view_count, memory_order_acquire);
    for (size_t i = 0; i < count; i++)
        for (const struct metric *m = first_named(views[i].source); m;
             m = atomic_load_explicit(&m->next_of_name, memory_order_acquire))
            member_put(&w, &(struct shown_as){views[i].name, views[i].labels, true}, m);
    jw_object_end(&w);
}

void metrics_each(const char *name, void (*fn)(void *ctx, const struct metric_sample *sample),
                  void *ctx) {
    for (const struct metric *m = first_named(name); m;
         m = atomic_load_explicit(&m->next_of_name, memory_order_acquire)) {
        struct metric_sample s = {.labels = m->labels ? m->labels : "", .count = metric_value(m)};
        if (m->kind == METRIC_HISTOGRAM) {
            int64_t buckets[BUCKETS + 1];
            s.count = buckets_read(m, buckets);
            s.sum_us = atomic_load_explicit(&m->value, memory_order_relaxed);
            s.p50_us = (int64_t)(quantile_s(buckets, s.count, 0.50) * 1e6);
            s.p95_us = (int64_t)(quantile_s(buckets, s.count, 0.95) * 1e6);
            s.p99_us = (int64_t)(quantile_s(buckets, s.count, 0.99) * 1e6);
        }
        fn(ctx, &s);
    }
}
