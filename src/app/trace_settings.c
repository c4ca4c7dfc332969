/* SPDX-License-Identifier: Apache-2.0 */
/* trace_settings.c - the options of tracing.
 *
 * Headers and attributes are lists "name=value,name=value" whose values are percent-encoded, as
 * OpenTelemetry writes them into variables. What cannot be read ends the start, with the name of
 * the option but without its text: headers are secrets. */
#include "app/trace_settings.h"

#include <unistd.h>

#include "base/hex.h"
#include "base/json.h"

#define HEADERS_MAX          32
#define ATTRIBUTES_BYTES_MAX 65536

/* Absent when it is not percent-encoded properly, or no text. */
static str decoded(struct arena *a, str text) {
    struct buf b;
    bool fine = true;
    buf_init(&b, ATTRIBUTES_BYTES_MAX);
    for (size_t i = 0; i < text.len && fine; i++) {
        if (text.p[i] != '%') {
            buf_char(&b, text.p[i]);
            continue;
        }
        int high = i + 2 < text.len ? hex_digit(text.p[i + 1]) : -1;
        int low = high < 0 ? -1 : hex_digit(text.p[i + 2]);
        fine = low >= 0;
        if (fine)
            buf_char(&b, (char)(high << 4 | low));
        i += 2;
    }
    fine = fine && buf_ok(&b) && str_is_utf8(buf_view(&b));
    str out = fine ? arena_dup(a, b.len ? buf_view(&b) : STR("")) : STR_NULL;
    buf_deinit(&b);
    return out;
}

struct pair {
    str name, value;
};

/* The next pair of a list. 1: there is one; 0: the list is over. */
static int next_pair(struct arena *a, str *rest, const char *option, struct pair *out,
                     struct err *err) {
    str part;
    while (rest->len > 0 && str_split_next(rest, ',', &part)) {
        part = str_trim(part);
        if (part.len == 0)
            continue;
        ptrdiff_t at = str_find_char(part, '=');
        out->name = at < 0 ? STR_NULL : decoded(a, str_trim(str_slice(part, 0, (size_t)at)));
        out->value =
            at < 0 ? STR_NULL : decoded(a, str_trim(str_slice(part, (size_t)at + 1, part.len)));
        if (!out->value.p || out->name.len == 0)
            return err_set(err, ERR_INVALID, "%s: must be name=value, name=value, …", option);
        return 1;
    }
    return 0;
}

static int read_headers(struct arena *a, str list, struct tracer_options *out, struct err *err) {
    struct http_header *headers = ARENA_ARRAY(a, struct http_header, HEADERS_MAX);
    struct pair pair;
    int rc;
    while ((rc = next_pair(a, &list, "OTEL_EXPORTER_OTLP_HEADERS", &pair, err)) > 0) {
        for (size_t i = 0; i < pair.value.len; i++)
            if ((unsigned char)pair.value.p[i] < ' ')
                return err_set(err, ERR_INVALID, "OTEL_EXPORTER_OTLP_HEADERS: not a header");
        if (out->header_count == HEADERS_MAX)
            return err_set(err, ERR_INVALID, "OTEL_EXPORTER_OTLP_HEADERS: more than %d",
                           HEADERS_MAX);
        headers[out->header_count++] = (struct http_header){pair.name, pair.value};
    }
    out->headers = headers;
    return rc;
}

static void attribute(struct json_writer *w, str key, str value) {
    jw_object(w);
    jw_key(w, "key");
    jw_str(w, key);
    jw_key(w, "value");
    jw_object(w);
    jw_key(w, "stringValue");
    jw_str(w, value);
    jw_object_end(w);
    jw_object_end(w);
}

/* service.name once: the option of that name goes before the list. */
static int read_resource(const struct config *c, const char *host, struct arena *a,
                         struct tracer_options *out, struct err *err) {
    struct buf b;
    struct pair pair;
    str list = c->otel_resource_attributes, name = c->otel_service_name;
    int rc;
    buf_init(&b, 2 * ATTRIBUTES_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    while ((rc = next_pair(a, &list, "OTEL_RESOURCE_ATTRIBUTES", &pair, err)) > 0) {
        if (!str_eq(pair.name, STR("service.name")))
            attribute(&w, pair.name, pair.value);
        else if (name.len == 0)
            name = pair.value;
    }
    attribute(&w, STR("service.name"), name.len ? name : STR("holdfast"));
    attribute(&w, STR("service.version"), STR(HF_VERSION));
    attribute(&w, STR("telemetry.sdk.name"), STR("holdfast"));
    attribute(&w, STR("telemetry.sdk.language"), STR("c"));
    attribute(&w, STR("host.name"), str_of(host));
    attribute(&w, STR("process.pid"), arena_printf(a, "%lld", (long long)getpid()));
    jw_array_end(&w);
    out->resource = arena_dup(a, buf_view(&b));
    if (rc == 0 && !buf_ok(&b))
        rc = err_set(err, ERR_INVALID, "OTEL_RESOURCE_ATTRIBUTES: too long");
    buf_deinit(&b);
    return rc;
}

static int read_sampler(const struct config *c, struct tracer_options *out, struct err *err) {
    static const struct {
        enum trace_sampler sampler;
        bool parent;
    } samplers[] = {{TRACE_SAMPLE_ALL, true},   {TRACE_SAMPLE_ALL, false},
                    {TRACE_SAMPLE_NONE, false}, {TRACE_SAMPLE_RATIO, false},
                    {TRACE_SAMPLE_NONE, true},  {TRACE_SAMPLE_RATIO, true}};
    str arg = c->otel_traces_sampler_arg;
    out->sampler = samplers[c->otel_traces_sampler].sampler;
    out->parent_decides = samplers[c->otel_traces_sampler].parent;
    out->ratio = 1;
    if (out->sampler == TRACE_SAMPLE_RATIO && arg.len &&
        (!str_to_double(arg, &out->ratio) || !(out->ratio >= 0 && out->ratio <= 1)))
        return err_set(err, ERR_INVALID, "OTEL_TRACES_SAMPLER_ARG: must be between 0 and 1");
    return 0;
}

static str endpoint_of(const struct config *c, struct arena *a) {
    str base = c->otlp_endpoint;
    if (c->otlp_traces_endpoint.len)
        return c->otlp_traces_endpoint;
    while (str_ends(base, STR("/")))
        base.len--;
    return base.len ? arena_printf(a, STR_FMT "/v1/traces", STR_ARG(base)) : STR_NULL;
}

int trace_settings(const struct config *c, const char *host, struct arena *a,
                   struct tracer_options *out, bool *out_on, struct err *err) {
    *out = (struct tracer_options){.url = endpoint_of(c, a),
                                   .queue_max = (size_t)c->otel_queue_max,
                                   .batch_max = (size_t)c->otel_batch_max,
                                   .delay_us = c->otel_delay_ms * 1000,
                                   .timeout_us = c->otlp_timeout_ms * 1000};
    *out_on = out->url.len > 0 && !c->otel_sdk_disabled;
    if (!*out_on)
        return 0;
    if (!str_starts(out->url, STR("http://")) && !str_starts(out->url, STR("https://")))
        return err_set(err, ERR_INVALID,
                       "OTEL_EXPORTER_OTLP_ENDPOINT: must start with http:// or https://");
    if (out->batch_max > out->queue_max)
        out->batch_max = out->queue_max;
    int rc = read_sampler(c, out, err);
    if (rc == 0)
        rc = read_headers(a, secret_reveal(c->otlp_headers), out, err);
    return rc < 0 ? rc : read_resource(c, host, a, out, err);
}
