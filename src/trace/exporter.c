/* SPDX-License-Identifier: Apache-2.0 */
/* exporter.c - sends spans to a collector: OTLP/HTTP, encoded as JSON.
 *
 *   span_end ─▶ ring of queue_max texts ─▶ [fiber: a batch, POST] ─▶ collector
 *                  │ full                      │ 429, 502, 503, 504, no connection: again, later
 *                  ▼                           ▼ anything else, or too often: dropped
 *               dropped, counted            dropped, counted
 *
 * Nobody who ends a span waits. A batch that is tried again stays out of the ring, so what waits is
 * bounded by queue_max + batch_max. A span whose text has outgrown its limit is dropped. The end of
 * the process gives what is left one attempt, within its deadline. */
#include "base/json.h"
#include "base/mem.h"
#include "base/rand.h"
#include "trace/trace_int.h"

#define ATTEMPTS_MAX     5
#define PAUSE_US_MIN     INT64_C(1000000)
#define PAUSE_US_MAX     INT64_C(10000000)
#define HEADERS_MAX      34
#define ANSWER_BYTES_MAX ((size_t)64 << 10)
#define BODY_BYTES_MAX   ((size_t)64 << 20)

static void metrics_init(struct tracer_metrics *m) {
    static const char help[] = "Spans sent to the collector, and those that were lost: the queue "
                               "was full, the collector did not answer, or it refused them.";
    m->sent = metric_counter("holdfast_trace_spans_total", help, "result=\"sent\"");
    m->full = metric_counter("holdfast_trace_spans_total", help, "result=\"dropped_full\"");
    m->failed = metric_counter("holdfast_trace_spans_total", help, "result=\"dropped_failed\"");
    m->rejected = metric_counter("holdfast_trace_spans_total", help, "result=\"rejected\"");
    m->waiting = metric_gauge("holdfast_trace_spans_waiting", "Spans that wait to be sent.", NULL);
    m->exports = metric_counter("holdfast_trace_exports_total", "Requests to the collector.",
                                "result=\"ok\"");
    m->errors = metric_counter("holdfast_trace_exports_total", "Requests to the collector.",
                               "result=\"failed\"");
}

struct tracer *tracer_open(struct rt *rt, struct http_client *client,
                           const struct tracer_options *o) {
    struct tracer *t = NEW(struct tracer);
    t->rt = rt;
    t->client = client;
    t->o = *o;
    t->queue = mem_calloc(o->queue_max, sizeof(*t->queue));
    fiber_group_init(&t->group);
    fiber_event_init(&t->wake);
    metrics_init(&t->metrics);
    return t;
}

void tracer_put(struct tracer *t, struct buf *span) {
    if (t->count == t->o.queue_max || t->stopped || !buf_ok(span)) {
        buf_deinit(span);
        metric_add(t->metrics.full, 1);
        return;
    }
    t->queue[(t->first + t->count++) % t->o.queue_max] = buf_take(span);
    metric_set(t->metrics.waiting, (int64_t)t->count);
    if (t->count == t->o.batch_max)
        fiber_event_wake_all(&t->wake);
}

/* --- a batch --- */

static size_t take_batch(struct tracer *t, struct buf *body) {
    size_t taken = 0;
    buf_z(body, "{\"resourceSpans\":[{\"resource\":{\"attributes\":");
    buf_str(body, t->o.resource);
    buf_z(body, "},\"scopeSpans\":[{\"scope\":{\"name\":\"holdfast\",\"version\":\"" HF_VERSION
                "\"},\"spans\":[");
    for (; taken < t->o.batch_max && t->count > 0; taken++) {
        struct buf *span = &t->queue[t->first];
        if (taken)
            buf_char(body, ',');
        buf_str(body, buf_view(span));
        buf_deinit(span);
        t->first = (t->first + 1) % t->o.queue_max;
        t->count--;
    }
    buf_z(body, "]}]}]}");
    metric_set(t->metrics.waiting, (int64_t)t->count);
    return taken;
}

/* Of a batch that was taken the collector may refuse some. */
static int64_t rejected_of(struct arena *a, str answer) {
    yyjson_val *v;
    if (answer.len == 0 || json_parse(a, answer, &v, NULL) < 0)
        return 0;
    v = json_get(json_get(v, "partialSuccess"), "rejectedSpans");
    int64_t count = yyjson_is_int(v) ? yyjson_get_sint(v) : 0;
    if (json_str(v).p && !str_to_i64(json_str(v), &count))
        count = 0;
    return count > 0 ? count : 0;
}

static bool may_pass(int status) {
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static int post(struct tracer *t, str body, int64_t timeout_us, int64_t *out_rejected,
                struct err *err) {
    struct http_header headers[HEADERS_MAX] = {{STR("Content-Type"), STR("application/json")},
                                               {STR("User-Agent"), STR("holdfast/" HF_VERSION)}};
    size_t count = 2;
    for (size_t i = 0; i < t->o.header_count && count < HEADERS_MAX; i++)
        headers[count++] = t->o.headers[i];
    struct http_call_options o = {.method = HTTP_POST,
                                  .url = t->o.url,
                                  .headers = headers,
                                  .header_count = count,
                                  .body = body,
                                  .connect_timeout_us = timeout_us,
                                  .head_timeout_us = timeout_us,
                                  .idle_timeout_us = timeout_us};
    struct http_call *call;
    struct arena a;
    str answer = STR_NULL;
    int rc = http_call_open(t->client, &o, &call, err);
    if (rc < 0)
        return rc;
    arena_init(&a, 4 * ANSWER_BYTES_MAX);
    int status = http_call_status(call);
    if (http_call_read_all(call, &a, ANSWER_BYTES_MAX, &answer, NULL) < 0)
        answer = STR_NULL; /* the status says what became of it */
    http_call_close(call);
    *out_rejected = rejected_of(&a, answer);
    arena_deinit(&a);
    if (status >= 200 && status < 300)
        return 0;
    return err_set(err, may_pass(status) ? ERR_UNAVAILABLE : ERR_INVALID,
                   "the collector answered %d", status);
}

static void settle(struct tracer *t, size_t count, int rc, int64_t rejected,
                   const struct err *err) {
    int64_t spans = (int64_t)count;
    if (rejected > spans)
        rejected = spans;
    if (rc == 0) {
        metric_add(t->metrics.sent, spans - rejected);
        metric_add(t->metrics.rejected, rejected);
        return;
    }
    metric_add(t->metrics.failed, spans);
    log_event(LOG_WARN, "trace.export.failed", "spans are lost: the collector does not take them",
              LOG_Z("cause", err->message), LOG_INT("spans", spans));
}

/* Which failures are worth another attempt? */
static bool again(const struct tracer *t, int rc, int attempts) {
    bool passing = rc == ERR_UNAVAILABLE || rc == ERR_TIMEOUT || rc == ERR_CLOSED;
    return passing && attempts < ATTEMPTS_MAX && !t->stopping;
}

static void send_batch(struct tracer *t) {
    struct buf body;
    struct err err = {0};
    int64_t rejected = 0, pause_us = PAUSE_US_MIN;
    buf_init(&body, BODY_BYTES_MAX);
    size_t count = take_batch(t, &body);
    int rc = buf_ok(&body) ? ERR_UNAVAILABLE
                           : err_set(&err, ERR_TOO_LARGE, "a batch is larger than its limit");
    for (int attempts = 1; rc < 0 && buf_ok(&body); attempts++) {
        err_reset(&err);
        rc = post(t, buf_view(&body), t->o.timeout_us, &rejected, &err);
        metric_add(rc == 0 ? t->metrics.exports : t->metrics.errors, 1);
        if (rc == 0 || !again(t, rc, attempts))
            break;
        int64_t until = rt_mono_us(t->rt) + pause_us + (int64_t)rand_below((uint64_t)pause_us);
        while (!t->stopping && fiber_event_wait(&t->wake, until) == 0) {}
        pause_us = pause_us * 2 < PAUSE_US_MAX ? pause_us * 2 : PAUSE_US_MAX;
        if (fiber_cancelled())
            break;
    }
    settle(t, count, rc, rejected, &err);
    buf_deinit(&body);
}

static void export_main(void *arg) {
    struct tracer *t = arg;
    while (!fiber_cancelled()) {
        int64_t until = rt_mono_us(t->rt) + t->o.delay_us;
        while (!t->stopping && t->count < t->o.batch_max &&
               fiber_event_wait(&t->wake, until) == 0) {}
        while (t->count > 0 && !fiber_cancelled())
            send_batch(t);
        if (t->stopping && t->count == 0)
            break;
    }
}

int tracer_start(struct tracer *t, struct err *err) {
    return fiber_group_spawn(&t->group, t->rt, "trace.export", export_main, t, err);
}

void tracer_stop(struct tracer *t, int64_t deadline_us) {
    if (!t || t->stopped)
        return;
    t->stopping = true;
    fiber_event_wake_all(&t->wake);
    while (t->group.live > 0 && fiber_event_wait(&t->group.done, deadline_us) == 0) {}
    fiber_group_cancel(&t->group);
    fiber_group_wait(&t->group);
    t->stopped = true;
    metric_add(t->metrics.failed, (int64_t)t->count);
}

void tracer_free(struct tracer *t) {
    if (!t)
        return;
    for (; t->count > 0; t->count--) {
        buf_deinit(&t->queue[t->first]);
        t->first = (t->first + 1) % t->o.queue_max;
    }
    mem_free(t->queue);
    mem_free(t);
}
