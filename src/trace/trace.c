/* SPDX-License-Identifier: Apache-2.0 */
/* trace.c - traces and their spans.
 *
 * A span is written as OTLP's JSON as it goes: attributes and events grow in two buffers with
 * limits, the end puts them together and gives the text to the exporter. Ids are hex, times are
 * texts of nanoseconds, 64-bit integers are texts: so OTLP wants it in JSON.
 *
 * Sampling is decided once, where a trace begins, from the last 8 bytes of its id; the decision
 * goes along in the flags of the context, into rows and headers. A trace that is not sampled has a
 * span id all the same, so that whoever is asked next knows the decision. */
#include "trace/trace.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/rand.h"
#include "trace/trace_int.h"

#define TEXT_BYTES_MAX 256

/* --- where --- */

static uint64_t low_half(const uint8_t trace_id[16]) {
    uint64_t v = 0;
    for (size_t i = 8; i < 16; i++)
        v = v << 8 | trace_id[i];
    return v;
}

static bool is_sampled(const struct tracer *t, const uint8_t trace_id[16]) {
    if (t->o.sampler != TRACE_SAMPLE_RATIO)
        return t->o.sampler == TRACE_SAMPLE_ALL;
    return (double)(low_half(trace_id) >> 1) < t->o.ratio * 9223372036854775808.0;
}

static void make_span_id(uint8_t out[8]) {
    uint64_t v;
    do
        v = rand_u64();
    while (v == 0);
    memcpy(out, &v, sizeof(v));
}

static void begin_here(struct tracer *t, struct trace *out) {
    if (is_sampled(t, out->context.trace_id)) {
        out->tracer = t;
        out->context.flags |= TRACE_SAMPLED;
    } else {
        make_span_id(out->context.span_id);
    }
}

void trace_incoming(struct tracer *t, str parent, str state, struct trace *out) {
    *out = (struct trace){0};
    if (parent.p && trace_context_parse(parent, state, &out->context)) {
        if (t && !t->o.parent_decides) {
            bool sampled = is_sampled(t, out->context.trace_id);
            out->context.flags =
                (uint8_t)((out->context.flags & ~TRACE_SAMPLED) | (sampled ? TRACE_SAMPLED : 0));
        }
        if (out->context.flags & TRACE_SAMPLED)
            out->tracer = t;
    } else if (t) {
        rand_bytes(out->context.trace_id, sizeof(out->context.trace_id));
        out->context.flags = TRACE_RANDOM;
        begin_here(t, out);
    }
}

void trace_resume(struct tracer *t, const struct trace_context *c, struct trace *out) {
    *out = (struct trace){.context = *c};
    if (c->flags & TRACE_SAMPLED)
        out->tracer = t;
}

static void digest_of(struct id id, uint8_t out[HASH_SHA256_BYTES]) {
    hash_sha256(str_n((const char *)id.b, sizeof(id.b)), out);
}

void trace_of_id(struct tracer *t, struct id id, struct trace *out) {
    uint8_t digest[HASH_SHA256_BYTES];
    *out = (struct trace){0};
    if (!t)
        return;
    digest_of(id, digest);
    memcpy(out->context.trace_id, digest, sizeof(out->context.trace_id));
    out->context.flags = TRACE_RANDOM;
    begin_here(t, out);
}

/* --- spans --- */

void span_id_of(struct id id, uint8_t out[8]) {
    uint8_t digest[HASH_SHA256_BYTES];
    digest_of(id, digest);
    memcpy(out, digest + 16, 8);
}

static void begin(struct span *s, const struct trace *parent, enum span_kind kind, str name) {
    str whole = str_slice(name, 0, sizeof(s->name) - 1);
    size_t len = str_utf8_prefix(whole);
    memcpy(s->parent_id, parent->context.span_id, sizeof(s->parent_id));
    memcpy(s->name, whole.p ? whole.p : "", len);
    s->name[len] = '\0';
    s->kind = kind;
    buf_init(&s->attributes, SPAN_BYTES_MAX);
    buf_init(&s->events, SPAN_BYTES_MAX);
}

void span_begin(struct span *s, const struct trace *parent, enum span_kind kind, str name) {
    *s = (struct span){0};
    if (parent)
        s->at = *parent;
    if (!span_records(s))
        return;
    begin(s, parent, kind, name);
    make_span_id(s->at.context.span_id);
    s->started_us = clock_wall_us();
    s->began_us = clock_mono_us();
}

void span_begin_as(struct span *s, const struct trace *parent, const uint8_t span_id[8],
                   int64_t started_wall_us, str name) {
    *s = (struct span){.at = *parent};
    if (!span_records(s))
        return;
    begin(s, parent, SPAN_INTERNAL, name);
    memcpy(s->at.context.span_id, span_id, 8);
    s->started_us = started_wall_us;
}

static str shown(str text) {
    text = str_slice(text, 0, TEXT_BYTES_MAX);
    text.len = str_utf8_prefix(text);
    return text;
}

/* Opens {"key":…,"value":{"TYPE": and leaves the value to the caller. */
static void open_value(struct buf *b, bool first, const char *key, const char *type) {
    if (!first)
        buf_char(b, ',');
    buf_printf(b, "{\"key\":\"%s\",\"value\":{\"%s\":", key, type);
}

static void put_str(struct buf *b, bool first, const char *key, str value) {
    struct json_writer w = json_writer(b);
    open_value(b, first, key, "stringValue");
    jw_str(&w, shown(value));
    buf_z(b, "}}");
}

static void put_int(struct buf *b, bool first, const char *key, int64_t value) {
    open_value(b, first, key, "intValue");
    buf_printf(b, "\"%lld\"}}", (long long)value);
}

static void put_double(struct buf *b, bool first, const char *key, double value) {
    struct json_writer w = json_writer(b);
    open_value(b, first, key, "doubleValue");
    jw_double(&w, value);
    buf_z(b, "}}");
}

void span_str(struct span *s, const char *key, str value) {
    if (span_records(s) && value.p)
        put_str(&s->attributes, s->attributes.len == 0, key, value);
}

void span_list(struct span *s, const char *key, str value) {
    struct buf *b = &s->attributes;
    if (!span_records(s) || !value.p)
        return;
    struct json_writer w = json_writer(b);
    open_value(b, b->len == 0, key, "arrayValue");
    buf_z(b, "{\"values\":[{\"stringValue\":");
    jw_str(&w, shown(value));
    buf_z(b, "}]}}}");
}

void span_z(struct span *s, const char *key, const char *value) { span_str(s, key, str_of(value)); }

void span_int(struct span *s, const char *key, int64_t value) {
    if (span_records(s))
        put_int(&s->attributes, s->attributes.len == 0, key, value);
}

void span_double(struct span *s, const char *key, double value) {
    if (span_records(s))
        put_double(&s->attributes, s->attributes.len == 0, key, value);
}

void span_id(struct span *s, const char *key, struct id id) {
    char text[ID_DASHED_LEN];
    if (!span_records(s) || id_is_nil(id))
        return;
    id_write_dashed(id, text);
    span_str(s, key, str_n(text, sizeof(text)));
}

static void put_time(struct buf *b, const char *key, int64_t wall_us) {
    buf_printf(b, "\"%s\":\"%lld000\"", key, (long long)wall_us);
}

void span_event(struct span *s, const char *name, const struct log_field *fields, size_t count) {
    struct buf *b = &s->events;
    bool first = true;
    if (!span_records(s))
        return;
    buf_z(b, b->len ? ",{" : "{");
    put_time(b, "timeUnixNano", clock_wall_us());
    buf_printf(b, ",\"name\":\"%s\",\"attributes\":[", name);
    for (size_t i = 0; i < count; i++) {
        const struct log_field *f = &fields[i];
        if (f->kind == LOG_FIELD_STR && !f->s.p)
            continue;
        if (f->kind == LOG_FIELD_STR)
            put_str(b, first, f->key, f->s);
        else if (f->kind == LOG_FIELD_INT)
            put_int(b, first, f->key, f->i);
        else
            put_double(b, first, f->key, f->d);
        first = false;
    }
    buf_z(b, "]}");
}

void span_fail(struct span *s, const char *type) { s->failure = type; }

static void put_id(struct buf *b, const char *key, const uint8_t *bytes, size_t count) {
    char text[32];
    hex_write(bytes, count, text);
    buf_printf(b, "\"%s\":\"%.*s\",", key, (int)(2 * count), text);
}

static void write_span(const struct span *s, int64_t ended_us, struct buf *b) {
    static const uint8_t none[8];
    struct json_writer w = json_writer(b);
    const struct trace_context *c = &s->at.context;
    buf_char(b, '{');
    put_id(b, "traceId", c->trace_id, sizeof(c->trace_id));
    put_id(b, "spanId", c->span_id, sizeof(c->span_id));
    if (memcmp(s->parent_id, none, sizeof(none)) != 0)
        put_id(b, "parentSpanId", s->parent_id, sizeof(s->parent_id));
    if (c->state.len) {
        buf_z(b, "\"traceState\":");
        jw_str(&w, c->state);
        buf_char(b, ',');
    }
    buf_printf(b, "\"flags\":%u,\"kind\":%d,\"name\":", (unsigned)c->flags, (int)s->kind);
    w = json_writer(b);
    jw_z(&w, s->name);
    buf_char(b, ',');
    put_time(b, "startTimeUnixNano", s->started_us);
    buf_char(b, ',');
    put_time(b, "endTimeUnixNano", ended_us);
    buf_z(b, ",\"attributes\":[");
    buf_str(b, buf_view(&s->attributes));
    buf_z(b, "],\"events\":[");
    buf_str(b, buf_view(&s->events));
    buf_z(b, s->failure ? "],\"status\":{\"code\":2}}" : "],\"status\":{}}");
}

void span_end(struct span *s) {
    struct buf text;
    if (!span_records(s))
        return;
    if (s->failure)
        span_z(s, "error.type", s->failure);
    int64_t ended_us =
        s->began_us ? s->started_us + (clock_mono_us() - s->began_us) : clock_wall_us();
    if (ended_us < s->started_us)
        ended_us = s->started_us;
    buf_init(&text, 2 * SPAN_BYTES_MAX);
    write_span(s, ended_us, &text);
    text.overflow = text.overflow || !buf_ok(&s->attributes) || !buf_ok(&s->events);
    tracer_put(s->at.tracer, &text);
    buf_deinit(&s->attributes);
    buf_deinit(&s->events);
    s->at.tracer = NULL;
}
