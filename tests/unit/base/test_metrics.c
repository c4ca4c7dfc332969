/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: values add up and both outputs are exact. Method: register, update from threads, compare
 * the texts; the tests share the one table of the process and run in order. */
#include "check.h"

#include <pthread.h>

#include "base/err.h"
#include "base/json.h"
#include "base/metrics.h"

static struct metric *refreshed;

static void refresh(void *arg) {
    metric_set(refreshed, *(int *)arg);
}

static void prometheus_text(void **state) {
    (void)state;
    static int level = 42;
    struct metric *get = metric_counter("holdfast_requests_total", "Requests.", "method=\"GET\"");
    refreshed = metric_gauge("holdfast_level", "Level.", NULL);
    struct metric *post = metric_counter("holdfast_requests_total", "Requests.", "method=\"POST\"");
    assert_ptr_equal(metric_counter("holdfast_requests_total", "Requests.", "method=\"GET\""), get);
    assert_ptr_equal(metric_gauge("holdfast_level", "Level.", ""), refreshed);
    assert_ptr_not_equal(get, post);
    metrics_on_collect(refresh, &level);
    metric_add(get, 3);
    metric_add(post, 1);
    metric_add(get, 2);
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_write_prometheus(&b);
    check_str(buf_view(&b), "# HELP holdfast_requests_total Requests.\n"
                            "# TYPE holdfast_requests_total counter\n"
                            "holdfast_requests_total{method=\"GET\"} 5\n"
                            "holdfast_requests_total{method=\"POST\"} 1\n"
                            "# HELP holdfast_level Level.\n"
                            "# TYPE holdfast_level gauge\n"
                            "holdfast_level 42\n");
    buf_reset(&b);
    level = -7;
    metrics_write_json(&b);
    check_str(buf_view(&b), "{\"holdfast_requests_total{method=\\\"GET\\\"}\":5,"
                            "\"holdfast_level\":-7,"
                            "\"holdfast_requests_total{method=\\\"POST\\\"}\":1}");
    assert_int_equal(metric_value(get), 5);
    assert_int_equal(metric_value(refreshed), -7);
    buf_deinit(&b);
}

static bool has_line(const struct buf *b, const char *line) {
    return str_find(buf_view(b), str_of(line)) >= 0;
}

static void histograms(void **state) {
    (void)state;
    struct metric *h = metric_histogram("holdfast_wait_seconds", "Wait.", "kind=\"a\"");
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_write_prometheus(&b);
    assert_true(has_line(&b, "holdfast_wait_seconds_bucket{kind=\"a\",le=\"+Inf\"} 0\n"));
    for (int i = 0; i < 98; i++)
        metric_observe_us(h, 1500);
    metric_observe_us(h, 50);        /* on a bound: inside */
    metric_observe_us(h, 100000000); /* past the last bound */
    assert_int_equal(metric_value(h), 100);
    buf_reset(&b);
    metrics_write_prometheus(&b);
    assert_true(has_line(&b, "# TYPE holdfast_wait_seconds histogram\n"));
    assert_true(has_line(&b, "holdfast_wait_seconds_bucket{kind=\"a\",le=\"0.00005\"} 1\n"));
    assert_true(has_line(&b, "holdfast_wait_seconds_bucket{kind=\"a\",le=\"0.001\"} 1\n"));
    assert_true(has_line(&b, "holdfast_wait_seconds_bucket{kind=\"a\",le=\"0.0025\"} 99\n"));
    assert_true(has_line(&b, "holdfast_wait_seconds_bucket{kind=\"a\",le=\"60\"} 99\n"));
    assert_true(has_line(&b, "holdfast_wait_seconds_bucket{kind=\"a\",le=\"+Inf\"} 100\n"));
    assert_true(has_line(&b, "holdfast_wait_seconds_sum{kind=\"a\"} 100.14705\n"));
    assert_true(has_line(&b, "holdfast_wait_seconds_count{kind=\"a\"} 100\n"));
    buf_reset(&b);
    metrics_write_json(&b);
    struct arena a;
    arena_init(&a, 1 << 20);
    yyjson_val *v;
    assert_int_equal(json_parse(&a, buf_view(&b), &v, NULL), ERR_OK);
    v = json_get(v, "holdfast_wait_seconds{kind=\"a\"}");
    assert_int_equal(yyjson_get_int(json_get(v, "count")), 100);
    double p50 = yyjson_get_real(json_get(v, "p50")), p99 = yyjson_get_real(json_get(v, "p99"));
    assert_true(p50 > 0.001 && p50 < p99 && p99 <= 0.0025);
    arena_deinit(&a);
    buf_deinit(&b);
}

enum { ROUNDS = 20000, THREADS = 4 };

static void *update(void *arg) {
    struct metric **m = arg;
    for (int i = 0; i < ROUNDS; i++) {
        metric_add(m[0], 1);
        metric_observe_us(m[1], i % 3000);
        if (i % 1000 == 0)
            assert_ptr_equal(metric_gauge("holdfast_race", "Race.", NULL), m[0]);
    }
    return NULL;
}

static void threads_lose_nothing(void **state) {
    (void)state;
    struct metric *m[2] = {metric_gauge("holdfast_race", "Race.", NULL),
                           metric_histogram("holdfast_race_seconds", "Race.", NULL)};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, update, m), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metric_value(m[0]), ROUNDS * THREADS);
    assert_int_equal(metric_value(m[1]), ROUNDS * THREADS);
}

struct seen {
    int count;
    struct metric_sample last;
};

static void on_sample(void *ctx, const struct metric_sample *s) {
    struct seen *seen = ctx;
    seen->count++;
    seen->last = *s;
}

static void views(void **state) {
    (void)state;
    struct metric *h = metric_histogram("holdfast_seen_seconds", "Seen.", NULL);
    struct metric *c = metric_counter("holdfast_seen_total", "Seen.", "kind=\"a\"");
    struct seen seen = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_view("seen_ms", "In milliseconds.", "holdfast_seen_seconds", "of=\"it\"");
    metrics_view("seen_ms", "In milliseconds.", "holdfast_seen_seconds", "of=\"it\""); /* once */
    metrics_view("seen", "Plain.", "holdfast_seen_total", NULL);
    metrics_view("never", "Of nothing.", "holdfast_nothing", NULL);
    metric_observe_us(h, 1500);
    metric_observe_us(h, 70000000);
    metric_add(c, 3);
    metrics_write_prometheus(&b);
    assert_true(has_line(&b, "# HELP seen_ms In milliseconds.\n# TYPE seen_ms histogram\n"));
    assert_true(has_line(&b, "seen_ms_bucket{of=\"it\",le=\"1\"} 0\n"));
    assert_true(has_line(&b, "seen_ms_bucket{of=\"it\",le=\"2.5\"} 1\n"));
    assert_true(has_line(&b, "seen_ms_bucket{of=\"it\",le=\"60000\"} 1\n"));
    assert_true(has_line(&b, "seen_ms_sum{of=\"it\"} 70001.5\nseen_ms_count{of=\"it\"} 2\n"));
    assert_true(has_line(&b, "# TYPE seen counter\nseen{kind=\"a\"} 3\n"));
    assert_true(has_line(&b, "holdfast_seen_seconds_count 2\n"));
    assert_false(has_line(&b, "never"));
    buf_reset(&b);
    metrics_write_json(&b);
    assert_true(has_line(&b, "\"seen{kind=\\\"a\\\"}\":3"));
    assert_true(has_line(&b, "\"seen_ms{of=\\\"it\\\"}\":{\"count\":2,\"sum\":70001.5"));
    metrics_each("holdfast_seen_seconds", on_sample, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.count, 2);
    assert_int_equal(seen.last.sum_us, 70001500);
    assert_in_range(seen.last.p50_us, 1000, 2500);
    assert_int_equal(seen.last.p99_us, 60000000);
    assert_string_equal(seen.last.labels, "");
    metrics_each("holdfast_nothing", on_sample, &seen);
    assert_int_equal(seen.count, 1);
    buf_deinit(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prometheus_text),
        cmocka_unit_test(histograms),
        cmocka_unit_test(threads_lose_nothing),
        cmocka_unit_test(views),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
