/* SPDX-License-Identifier: Apache-2.0 */
/* perf.c - GET /perf: how long things take, and what takes too long.
 *
 * All from the histograms of /metrics, so it costs nothing while nobody asks. Four suites have a
 * threshold each for the 95th percentile: the database (50 ms: reads, commits), the API (100 ms:
 * each route that does not wait), the processor (1000 ms: the longest turn of the loop), and what
 * waits for others (2000 ms: runs for a place). Routes whose answers take as long as a run or a
 * client wants are shown, not judged. Requests that took --slow-request are kept, the newest 128:
 * route, status and time, nothing of who asked or what for.
 *
 * As a page for people with format=html; it is made of what the program itself has written. */
#include <stdio.h>

#include "api/api_int.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/metrics.h"

#define DATABASE_US   INT64_C(50000)
#define API_US        INT64_C(100000)
#define PROCESSOR_US  INT64_C(1000000)
#define CONCURRENT_US INT64_C(2000000)
#define CRITICAL_US   INT64_C(500000) /* of a slow request */
#define ROWS_MAX      512
#define NAME_BYTES    160

struct row {
    const char *suite; /* NULL: not judged */
    char name[NAME_BYTES];
    struct metric_sample times;
    int64_t threshold_us;
    bool exceeded;
};
struct rows {
    struct row *list;
    size_t count;
    const char *suite, *name; /* of what is being read */
    int64_t threshold_us;
};

bool api_route_waits(const char *route) {
    static const char *const ends[] = {"/wait",     "/join",   "/stream", "/events",
                                       "/commands", "/cancel", "/mcp",    "/a2a/{assistant_id}"};
    str path = str_of(route);
    for (size_t i = 0; i < ARRAY_COUNT(ends); i++)
        if (str_ends(path, str_of(ends[i])))
            return true;
    return str_find(path, STR("/stream/")) >= 0;
}

/* The value of a label, as the program wrote it. */
static str label(const char *labels, const char *key) {
    char head[32];
    int len = snprintf(head, sizeof(head), "%s=\"", key);
    str text = str_of(labels);
    ptrdiff_t at = str_find(text, str_n(head, (size_t)len));
    if (at < 0)
        return STR_NULL;
    str rest = str_slice(text, (size_t)at + (size_t)len, text.len);
    ptrdiff_t end = str_find_char(rest, '"');
    return end < 0 ? STR_NULL : str_slice(rest, 0, (size_t)end);
}

static void cut(char *out, size_t bytes, str text) {
    text = str_slice(text, 0, bytes - 1);
    memcpy(out, text.p ? text.p : "", text.len);
    out[text.len] = '\0';
}

static struct row *add(struct rows *rows, const struct metric_sample *s) {
    if (rows->count == ROWS_MAX || s->count == 0)
        return NULL;
    struct row *row = &rows->list[rows->count++];
    *row = (struct row){.suite = rows->suite, .times = *s, .threshold_us = rows->threshold_us};
    row->exceeded = row->suite && s->p95_us > row->threshold_us;
    return row;
}

static void add_named(void *ctx, const struct metric_sample *s) {
    struct rows *rows = ctx;
    struct row *row = add(rows, s);
    if (row)
        snprintf(row->name, sizeof(row->name), "%s%s%s", rows->name, s->labels[0] ? " " : "",
                 s->labels);
}

static void add_route(void *ctx, const struct metric_sample *s) {
    struct rows *rows = ctx;
    str route = label(s->labels, "route"), method = label(s->labels, "method");
    char path[NAME_BYTES], verb[16];
    struct row *row = add(rows, s);
    if (!row)
        return;
    cut(path, sizeof(path), route);
    cut(verb, sizeof(verb), method);
    snprintf(row->name, sizeof(row->name), "%s %.140s", verb, path);
    if (api_route_waits(path) || str_eq(route, STR("unmatched"))) {
        row->suite = NULL;
        row->exceeded = false;
    }
}

static void add_phase(void *ctx, const struct metric_sample *s) {
    struct rows *rows = ctx;
    str phase = label(s->labels, "phase");
    bool queue = str_eq(phase, STR("queue"));
    rows->suite = queue ? "concurrent" : NULL;
    rows->threshold_us = queue ? CONCURRENT_US : 0;
    struct row *row = add(rows, s);
    if (row)
        snprintf(row->name, sizeof(row->name), "run " STR_FMT, STR_ARG(phase));
}

/* A gauge of the longest turn, in microseconds. */
static void add_turn(void *ctx, const struct metric_sample *s) {
    struct metric_sample turn = {.labels = "",
                                 .count = 1,
                                 .sum_us = s->count,
                                 .p50_us = s->count,
                                 .p95_us = s->count,
                                 .p99_us = s->count};
    add_named(ctx, &turn);
}

static void read_rows(struct rows *rows) {
    rows->suite = "database";
    rows->threshold_us = DATABASE_US;
    rows->name = "read";
    metrics_each("holdfast_db_read_seconds", add_named, rows);
    rows->name = "commit";
    metrics_each("holdfast_db_commit_seconds", add_named, rows);
    rows->suite = "api";
    rows->threshold_us = API_US;
    metrics_each("holdfast_http_request_seconds", add_route, rows);
    rows->suite = "cpu";
    rows->threshold_us = PROCESSOR_US;
    rows->name = "longest turn of the loop";
    metrics_each("holdfast_loop_turn_microseconds_max", add_turn, rows);
    metrics_each("holdfast_run_phase_seconds", add_phase, rows);
    rows->suite = NULL;
    rows->threshold_us = 0;
    rows->name = "run";
    metrics_each("holdfast_run_seconds", add_named, rows);
    rows->name = "step";
    metrics_each("holdfast_plan_step_seconds", add_named, rows);
    rows->name = "delivery";
    metrics_each("holdfast_delivery_lag_seconds", add_named, rows);
}

/* --- JSON --- */

static void ms(struct json_writer *w, const char *key, int64_t us) {
    jw_key(w, key);
    jw_double(w, (double)us / 1000);
}

static void write_row(struct json_writer *w, const struct row *row) {
    jw_object(w);
    jw_key(w, "name");
    jw_z(w, row->name);
    jw_key(w, "suite");
    jw_z(w, row->suite);
    jw_key(w, "count");
    jw_i64(w, row->times.count);
    ms(w, "mean_ms", row->times.sum_us / row->times.count);
    ms(w, "p50_ms", row->times.p50_us);
    ms(w, "p95_ms", row->times.p95_us);
    ms(w, "p99_ms", row->times.p99_us);
    jw_key(w, "threshold_ms");
    if (row->suite)
        jw_i64(w, row->threshold_us / 1000);
    else
        jw_null(w);
    jw_key(w, "exceeded");
    jw_bool(w, row->exceeded);
    jw_object_end(w);
}

static void write_slow(struct json_writer *w, const struct api_slow_list *list) {
    static const uint8_t none[16];
    uint64_t kept = list->count < API_SLOW_MAX ? list->count : API_SLOW_MAX;
    jw_array(w);
    for (uint64_t i = 0; i < kept; i++) {
        const struct api_slow *s = &list->items[(list->count - 1 - i) % API_SLOW_MAX];
        char trace[32];
        jw_object(w);
        api_write_time_member(w, "at", s->at_us);
        jw_key(w, "method");
        jw_z(w, s->method);
        jw_key(w, "route");
        jw_z(w, s->route);
        jw_key(w, "status");
        jw_i64(w, s->status);
        ms(w, "ms", s->us);
        jw_key(w, "level");
        jw_z(w, s->us >= CRITICAL_US ? "critical" : "warn");
        jw_key(w, "trace_id");
        hex_write(s->trace_id, sizeof(s->trace_id), trace);
        jw_str(w, memcmp(s->trace_id, none, sizeof(none)) ? str_n(trace, 32) : STR_NULL);
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void write_json(struct json_writer *w, const struct rows *rows,
                       const struct api_slow_list *slow) {
    jw_object(w);
    jw_key(w, "measures");
    jw_array(w);
    for (size_t i = 0; i < rows->count; i++)
        write_row(w, &rows->list[i]);
    jw_array_end(w);
    jw_key(w, "exceeded");
    jw_array(w);
    for (size_t i = 0; i < rows->count; i++)
        if (rows->list[i].exceeded)
            jw_z(w, rows->list[i].name);
    jw_array_end(w);
    jw_key(w, "slow_count");
    jw_i64(w, (int64_t)slow->count);
    jw_key(w, "slow");
    write_slow(w, slow);
    jw_object_end(w);
}

/* --- the page --- */

static const char PAGE_HEAD[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Holdfast: times</title>"
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><style>"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.15rem .6rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}.x{color:#c00;font-weight:600}"
    "@media(prefers-color-scheme:dark){body{background:#16181c;color:#ddd}.x{color:#f77}}"
    "</style></head><body><h1>Times</h1><p>Milliseconds. Red: the 95th percentile is above its "
    "threshold.</p><table><tr><th>what</th><th>count</th><th>p50</th><th>p95</th><th>p99</th>"
    "<th>threshold</th></tr>";

static void write_page(struct buf *b, const struct rows *rows, const struct api_slow_list *slow) {
    buf_z(b, PAGE_HEAD);
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->list[i];
        buf_printf(b, "<tr%s><td>%s</td><td>%lld</td><td>%.2f</td><td>%.2f</td><td>%.2f</td><td>",
                   row->exceeded ? " class=\"x\"" : "", row->name, (long long)row->times.count,
                   (double)row->times.p50_us / 1000, (double)row->times.p95_us / 1000,
                   (double)row->times.p99_us / 1000);
        if (row->suite)
            buf_printf(b, "%lld", (long long)(row->threshold_us / 1000));
        buf_z(b, "</td></tr>");
    }
    uint64_t kept = slow->count < API_SLOW_MAX ? slow->count : API_SLOW_MAX;
    buf_printf(b, "</table><h2>Slow requests</h2><p>%llu so far.</p><table>",
               (unsigned long long)slow->count);
    for (uint64_t i = 0; i < kept; i++) {
        const struct api_slow *s = &slow->items[(slow->count - 1 - i) % API_SLOW_MAX];
        char at[TIME_ISO_LEN];
        time_write_iso(s->at_us, at);
        buf_printf(b, "<tr%s><td>%.*s</td><td>%s %s</td><td>%d</td><td>%.1f</td></tr>",
                   s->us >= CRITICAL_US ? " class=\"x\"" : "", TIME_ISO_LEN, at, s->method,
                   s->route, s->status, (double)s->us / 1000);
    }
    buf_z(b, "</table></body></html>\n");
}

int api_perf(struct api_request *r, struct err *err) {
    str format = http_query_get(&r->query, "format");
    bool html = str_eq(format, STR("html"));
    if (format.len > 0 && !html && !str_eq(format, STR("json")))
        return err_set(err, ERR_INVALID, "format: must be one of json, html");
    struct rows rows = {.list = ARENA_ARRAY(r->arena, struct row, ROWS_MAX)};
    const struct api_slow_list *slow = api_slow_requests(r->api);
    read_rows(&rows);
    struct json_writer w = api_json(r);
    if (!html) {
        write_json(&w, &rows, slow);
        return api_reply_json(r, 200);
    }
    write_page(w.b, &rows, slow);
    if (!buf_ok(w.b))
        return ERR_TOO_LARGE;
    r->status = 200;
    http_reply(r->http, 200, STR("text/html; charset=utf-8"), buf_view(w.b));
    return 0;
}
