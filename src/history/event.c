/* SPDX-License-Identifier: Apache-2.0 */
/* event.c - checking events, and their envelope as JSON.
 *
 * What is compared when an id comes twice is a digest over type, payload, times and headers, each
 * with its length, so that no two different events look alike. */
#include "history/event.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/id.h"

/* Years 1 to 9999: what ISO-8601 and every database can say. */
#define TIME_MIN (-62135596800LL * 1000000)
#define TIME_MAX (253402300800LL * 1000000 - 1)

static int check_text(str s, const char *what, bool required, struct err *err) {
    if (!s.p && !required)
        return 0;
    if (s.len == 0 || s.len > HISTORY_ID_BYTES_MAX)
        return err_set(err, ERR_INVALID, "%s: must have 1 to %d bytes", what, HISTORY_ID_BYTES_MAX);
    if (!str_is_utf8(s) || memchr(s.p, 0, s.len))
        return err_set(err, ERR_INVALID, "%s: must be UTF-8 without NUL", what);
    return 0;
}

int history_event_check(const struct history_event *e, struct err *err) {
    int rc = check_text(e->id, "id", true, err);
    if (rc == 0)
        rc = check_text(e->type, "type", true, err);
    if (rc == 0)
        rc = check_text(e->source, "source", false, err);
    if (rc == 0)
        rc = check_text(e->trace_id, "traceId", false, err);
    if (rc < 0)
        return rc;
    if (e->payload_kind != HISTORY_JSON && e->payload_kind != HISTORY_BYTES)
        return err_set(err, ERR_INVALID, "payload: must be JSON or bytes");
    if (!e->payload.p || (e->payload_kind == HISTORY_JSON && e->payload.len == 0))
        return err_set(err, ERR_INVALID, "payload: is required");
    if (e->payload.len > HISTORY_PAYLOAD_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "payload: at most %u bytes", HISTORY_PAYLOAD_BYTES_MAX);
    if (e->headers.len > HISTORY_HEADERS_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "headers: at most %d bytes", HISTORY_HEADERS_BYTES_MAX);
    if (e->ttl_ms < 0 || e->ttl_ms > HISTORY_TTL_MS_MAX)
        return err_set(err, ERR_INVALID, "ttlMs: must be 1 to %lld", (long long)HISTORY_TTL_MS_MAX);
    if (e->occurred_at < TIME_MIN || e->occurred_at > TIME_MAX)
        return err_set(err, ERR_INVALID, "occurredAt: must be in the years 1 to 9999");
    return 0;
}

static void add_part(struct buf *b, str s) {
    uint64_t len = s.p ? s.len + 1 : 0; /* absent differs from empty */
    buf_append(b, &len, sizeof len);
    buf_str(b, s);
}

void history_event_digest(const struct history_event *e, unsigned char out[HASH_XXH3_BYTES]) {
    /* The payload comes in by its own digest, so that it is not copied. */
    struct buf b;
    unsigned char payload[HASH_XXH3_BYTES];
    buf_init(&b, 2 * HISTORY_HEADERS_BYTES_MAX);
    hash_xxh3(e->payload, payload);
    int64_t numbers[4] = {e->payload_kind, (int64_t)e->payload.len,
                          e->occurred_at_is_ours ? INT64_MIN : e->occurred_at, e->ttl_ms};
    buf_append(&b, numbers, sizeof numbers);
    buf_append(&b, payload, sizeof payload);
    add_part(&b, e->type);
    add_part(&b, e->source);
    add_part(&b, e->trace_id);
    add_part(&b, e->headers);
    ASSERT(buf_ok(&b));
    hash_xxh3(buf_view(&b), out);
    buf_deinit(&b);
}

int64_t history_event_expires_at(const struct history_event *e) {
    return e->ttl_ms ? e->occurred_at + e->ttl_ms * 1000 : INT64_MAX;
}

/* --- JSON --- */

static int read_text(yyjson_val *envelope, const char *key, str *out, struct err *err) {
    yyjson_val *v = json_get(envelope, key);
    *out = STR_NULL;
    if (!v || yyjson_is_null(v))
        return 0;
    if (!yyjson_is_str(v))
        return err_set(err, ERR_INVALID, "%s: must be a string", key);
    *out = json_str(v);
    return 0;
}

int history_event_read_headers(yyjson_val *v, struct arena *a, str *out, struct err *err) {
    yyjson_val *key, *value;
    size_t i, count;
    *out = STR_NULL;
    if (!v || yyjson_is_null(v))
        return 0;
    if (!yyjson_is_obj(v))
        return err_set(err, ERR_INVALID, "headers: must be an object of strings");
    yyjson_obj_foreach(v, i, count, key, value) {
        if (!yyjson_is_str(value))
            return err_set(err, ERR_INVALID, "headers: must be an object of strings");
    }
    if (yyjson_obj_size(v) > 0)
        *out = json_canonical(a, v);
    return 0;
}

static int read_payload(yyjson_val *envelope, struct arena *a, struct history_event *out,
                        struct err *err) {
    yyjson_val *bytes = json_get(envelope, "payloadBase64");
    if (!bytes) {
        if (!json_has(envelope, "payload"))
            return err_set(err, ERR_INVALID, "payload: is required");
        out->payload_kind = HISTORY_JSON;
        out->payload = json_text(a, json_get(envelope, "payload"));
        return 0;
    }
    if (json_has(envelope, "payload"))
        return err_set(err, ERR_INVALID, "payload: not together with payloadBase64");
    out->payload_kind = HISTORY_BYTES;
    out->payload = STR("");
    if (!yyjson_is_str(bytes) ||
        (yyjson_get_len(bytes) > 0 && !base64_decode(a, json_str(bytes), &out->payload)))
        return err_set(err, ERR_INVALID, "payloadBase64: must be base64");
    return 0;
}

int history_event_read(yyjson_val *envelope, int64_t now_us, struct arena *a,
                       struct history_event *out, str *out_session, struct err *err) {
    static const struct {
        const char *key;
        size_t offset;
    } texts[] = {{"id", offsetof(struct history_event, id)},
                 {"type", offsetof(struct history_event, type)},
                 {"source", offsetof(struct history_event, source)},
                 {"traceId", offsetof(struct history_event, trace_id)}};
    struct history_event e = {.occurred_at = now_us};
    str time, session;
    int rc = 0;
    if (!yyjson_is_obj(envelope))
        return err_set(err, ERR_INVALID, "an event must be an object");
    for (size_t i = 0; rc == 0 && i < ARRAY_COUNT(texts); i++)
        rc = read_text(envelope, texts[i].key, (str *)(void *)((char *)&e + texts[i].offset), err);
    if (rc == 0)
        rc = read_text(envelope, "sessionId", &session, err);
    if (rc == 0)
        rc = read_text(envelope, "occurredAt", &time, err);
    e.occurred_at_is_ours = !time.p;
    if (rc == 0 && time.p && !time_parse_iso(time, &e.occurred_at))
        rc = err_set(err, ERR_INVALID, "occurredAt: must be ISO-8601 with an offset");
    yyjson_val *ttl = json_get(envelope, "ttlMs");
    if (rc == 0 && ttl && !yyjson_is_null(ttl)) {
        if (!yyjson_is_int(ttl) || yyjson_get_sint(ttl) <= 0)
            rc = err_set(err, ERR_INVALID, "ttlMs: must be a positive integer");
        else
            e.ttl_ms = yyjson_get_sint(ttl);
    }
    if (rc == 0)
        rc = history_event_read_headers(json_get(envelope, "headers"), a, &e.headers, err);
    if (rc == 0)
        rc = read_payload(envelope, a, &e, err);
    if (rc == 0 && !e.id.p)
        e.id = id_dashed(a, id_v7());
    if (rc == 0)
        rc = history_event_check(&e, err);
    if (rc < 0)
        return rc;
    *out = e;
    *out_session = session;
    return 0;
}

static void write_text(struct json_writer *w, const char *key, str s) {
    if (!s.p)
        return;
    jw_key(w, key);
    jw_str(w, s);
}

void history_event_write(struct json_writer *w, const struct history_event *e, str session) {
    char time[TIME_ISO_LEN];
    jw_object(w);
    if (e->seq) {
        jw_key(w, "seq");
        jw_i64(w, e->seq);
    }
    write_text(w, "id", e->id);
    write_text(w, "type", e->type);
    time_write_iso(e->occurred_at, time);
    write_text(w, "occurredAt", str_n(time, TIME_ISO_LEN));
    write_text(w, "sessionId", session);
    write_text(w, "source", e->source);
    write_text(w, "traceId", e->trace_id);
    if (e->ttl_ms) {
        jw_key(w, "ttlMs");
        jw_i64(w, e->ttl_ms);
    }
    if (e->headers.p) {
        jw_key(w, "headers");
        jw_raw(w, e->headers);
    }
    if (e->payload.p && e->payload_kind == HISTORY_JSON) {
        jw_key(w, "payload");
        jw_raw(w, e->payload);
    } else if (e->payload.p) {
        jw_key(w, "payloadBase64");
        buf_char(w->b, '"');
        base64_write(w->b, e->payload);
        buf_char(w->b, '"');
        w->comma = true;
    }
    jw_object_end(w);
}
