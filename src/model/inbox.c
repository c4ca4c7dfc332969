/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.c - the proof of a delivery, and its events.
 *
 * What names a delivery, the first that there is:
 *   CloudEvents: source and id       the header that its source was given
 *   webhook-id, svix-id              X-GitHub-Delivery; `id` of the body (Stripe)
 *   Idempotency-Key                  the body itself
 * It is hashed together with its kind, so that no two kinds meet, and a key has one size.
 *
 * An event is kept in the shape of a CloudEvent in JSON, whatever it was: `data` is JSON or text,
 * `data_base64` other bytes. */
#include "model/inbox.h"

#include "base/base64.h"
#include "base/hash.h"
#include "base/hex.h"
#include "model/webhook_secret.h"

#define NAME_BYTES_MAX    1024 /* of what names a delivery */
#define SIGNATURES_MAX    16
#define ATTRIBUTE_MAX     4096
#define ATTRIBUTE_COUNT   64
#define SPEC_VERSION      "1.0"

static const struct word SCHEME_LIST[] = {{STR("standard"), INBOX_STANDARD},
                                          {STR("github"), INBOX_GITHUB},
                                          {STR("stripe"), INBOX_STRIPE},
                                          {STR("hmac"), INBOX_HMAC},
                                          {STR("token"), INBOX_TOKEN}};
const struct word_set INBOX_SCHEMES = {SCHEME_LIST, ARRAY_COUNT(SCHEME_LIST)};

static str header(const struct inbox_request *q, str lower_name) {
    str name, value;
    for (size_t i = 0; q->header(q->ctx, i, &name, &value); i++)
        if (str_ieq(name, lower_name))
            return str_trim(value);
    return STR_NULL;
}

/* --- proof --- */

/* Hex or Base64 of a MAC. */
static bool mac_is(struct arena *a, str text, const unsigned char mac[HASH_SHA256_BYTES]) {
    char bytes[HASH_SHA256_BYTES];
    str given = str_n(bytes, sizeof(bytes));
    if (text.len == sizeof(bytes) * 2) {
        for (size_t i = 0; i < sizeof(bytes); i++) {
            int high = hex_digit(text.p[2 * i]), low = hex_digit(text.p[2 * i + 1]);
            if (high < 0 || low < 0)
                return false;
            bytes[i] = (char)(high << 4 | low);
        }
    } else if (text.len > 64 || !base64_decode(a, text, &given)) {
        return false;
    }
    return hash_same(given, str_n((const char *)mac, HASH_SHA256_BYTES));
}

static bool is_now(str seconds, int64_t now_s) {
    int64_t at;
    return str_to_i64(seconds, &at) && at > 0 && at >= now_s - INBOX_LATE_S &&
           at <= now_s + INBOX_LATE_S;
}

/* parts[0] "." parts[1] … */
static void mac_of(str key, const str *parts, size_t count, unsigned char out[HASH_SHA256_BYTES]) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_char(&b, '.');
        buf_str(&b, parts[i]);
    }
    hash_hmac_sha256(key, b.len ? buf_view(&b) : STR(""), out);
    buf_deinit(&b);
}

static bool proved_standard(const struct inbox_rule *r, const struct inbox_request *q,
                            struct arena *a) {
    static const str names[][3] = {
        {STR("webhook-id"), STR("webhook-timestamp"), STR("webhook-signature")},
        {STR("svix-id"), STR("svix-timestamp"), STR("svix-signature")}};
    unsigned char mac[HASH_SHA256_BYTES];
    str key, one;
    bool ok = false;
    const str *n = names[header(q, names[0][0]).p ? 0 : 1];
    str id = header(q, n[0]), at = header(q, n[1]), list = header(q, n[2]);
    if (!webhook_secret_read(a, r->secret, &key) || !id.len || !is_now(at, q->now_s))
        return false;
    mac_of(key, (const str[]){id, at, q->body}, 3, mac);
    for (int i = 0; i < SIGNATURES_MAX && str_split_next(&list, ' ', &one); i++)
        ok = (str_starts(one, STR("v1,")) && mac_is(a, str_slice(one, 3, one.len), mac)) || ok;
    return ok;
}

static bool proved_stripe(const struct inbox_rule *r, const struct inbox_request *q,
                          struct arena *a) {
    unsigned char mac[HASH_SHA256_BYTES];
    str given = header(q, STR("stripe-signature")), list = given, one, at = STR_NULL;
    bool ok = false;
    for (int i = 0; i < SIGNATURES_MAX && str_split_next(&list, ',', &one); i++)
        if (str_starts(one, STR("t=")))
            at = str_slice(one, 2, one.len);
    if (!is_now(at, q->now_s))
        return false;
    mac_of(r->secret, (const str[]){at, q->body}, 2, mac);
    list = given;
    for (int i = 0; i < SIGNATURES_MAX && str_split_next(&list, ',', &one); i++)
        ok = (str_starts(one, STR("v1=")) && mac_is(a, str_slice(one, 3, one.len), mac)) || ok;
    return ok;
}

static bool proved_body(const struct inbox_rule *r, const struct inbox_request *q, str name,
                        struct arena *a) {
    unsigned char mac[HASH_SHA256_BYTES];
    str given = header(q, name);
    if (str_starts(given, STR("sha256=")))
        given = str_slice(given, 7, given.len);
    mac_of(r->secret, &q->body, 1, mac);
    return given.len && mac_is(a, given, mac);
}

static bool proved_token(const struct inbox_rule *r, const struct inbox_request *q) {
    unsigned char want[HASH_SHA256_BYTES], got[HASH_SHA256_BYTES];
    str given = r->header.p ? header(q, r->header) : q->token;
    str bearer = header(q, STR("authorization"));
    if (!r->header.p && bearer.len > 7 && str_ieq(str_slice(bearer, 0, 7), STR("bearer ")))
        given = str_trim(str_slice(bearer, 7, bearer.len));
    if (!given.len)
        return false;
    hash_sha256(r->secret, want);
    hash_sha256(given, got);
    return hash_same(str_n((char *)want, sizeof(want)), str_n((char *)got, sizeof(got)));
}

bool inbox_proved(const struct inbox_rule *r, const struct inbox_request *q, struct arena *a) {
    switch (r->scheme) {
    case INBOX_STANDARD: return proved_standard(r, q, a);
    case INBOX_GITHUB: return proved_body(r, q, STR("x-hub-signature-256"), a);
    case INBOX_STRIPE: return proved_stripe(r, q, a);
    case INBOX_HMAC: return proved_body(r, q, r->header, a);
    case INBOX_TOKEN: return proved_token(r, q);
    }
    return false;
}

/* --- keys --- */

static str digest_of(struct arena *a, const str *parts, size_t count) {
    unsigned char bytes[HASH_SHA256_BYTES];
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        buf_u64(&b, parts[i].len); /* so that no two lists read the same */
        buf_char(&b, ':');
        buf_str(&b, parts[i]);
    }
    hash_sha256(b.len ? buf_view(&b) : STR(""), bytes);
    buf_deinit(&b);
    return hex_text(a, bytes, sizeof(bytes));
}

static int named(struct arena *a, const char *kind, str name, str *out, struct err *err) {
    if (name.len > NAME_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s: has more than %d bytes", kind, NAME_BYTES_MAX);
    *out = digest_of(a, (const str[]){str_of(kind), name}, 2);
    return 0;
}

/* Of what is no CloudEvent. *out_id: as the sender says it; absent: it names nothing. */
static int plain_key(const struct inbox_rule *r, const struct inbox_request *q, yyjson_val *data,
                     struct arena *a, str *out_id, str *out, struct err *err) {
    static const str headers[] = {STR("webhook-id"), STR("svix-id"), STR("x-github-delivery")};
    for (size_t i = 0; i < ARRAY_COUNT(headers); i++) {
        *out_id = header(q, headers[i]);
        if (out_id->len)
            return named(a, headers[i].p, *out_id, out, err);
    }
    *out_id = r->scheme == INBOX_STRIPE ? json_str(json_get(data, "id")) : STR_NULL;
    if (out_id->len)
        return named(a, "id", *out_id, out, err);
    *out_id = header(q, STR("idempotency-key"));
    if (out_id->len)
        return named(a, "idempotency-key", *out_id, out, err);
    *out_id = STR_NULL;
    *out = digest_of(a, (const str[]){STR("body"), q->body}, 2);
    return 0;
}

static int header_key(const struct inbox_rule *r, const struct inbox_request *q, struct arena *a,
                      str *out, struct err *err) {
    str name = header(q, r->key_header);
    if (!name.len)
        return err_set(err, ERR_INVALID, STR_FMT ": the header is missing",
                       STR_ARG(r->key_header));
    return named(a, "header", name, out, err);
}

/* --- events --- */

static str media_type(str content_type) {
    ptrdiff_t end = str_find_char(content_type, ';');
    return str_trim(end < 0 ? content_type : str_slice(content_type, 0, (size_t)end));
}

static bool is_json(str type) {
    static const str suffix = STR("+json");
    str tail = type.len > suffix.len ? str_slice(type, type.len - suffix.len, type.len) : STR("");
    return str_ieq(type, STR("application/json")) || str_ieq(tail, suffix);
}

static int parse(struct arena *a, str text, yyjson_val **out, struct err *err) {
    if (json_depth(text, INBOX_DEPTH_MAX) > INBOX_DEPTH_MAX)
        return err_set(err, ERR_MALFORMED, "the body is nested too deeply");
    int rc = json_parse(a, text, out, err);
    if (rc < 0)
        (void)err_context(err, "body");
    return rc;
}

/* "data" or "data_base64" of a body; *out: what is hashed of it. */
static int write_data(struct json_writer *w, const struct inbox_request *q, str type,
                      struct arena *a, yyjson_val **out_value, str *out, struct err *err) {
    *out_value = NULL;
    if (q->body.len && (is_json(type) || !type.len)) {
        int rc = parse(a, q->body, out_value, type.len ? err : NULL);
        if (rc < 0 && type.len)
            return rc;
    }
    bool text = str_is_utf8(q->body) && !memchr(q->body.p ? q->body.p : "", 0, q->body.len);
    *out = *out_value ? json_canonical(a, *out_value) : q->body;
    if (!q->body.len)
        return 0;
    jw_key(w, *out_value || text ? "data" : "data_base64");
    if (*out_value)
        jw_val(w, *out_value);
    else
        jw_str(w, text ? q->body : base64_encode(a, q->body));
    return 0;
}

static void write_member(struct json_writer *w, const char *key, str value) {
    if (!value.len || !str_is_utf8(value))
        return;
    jw_key(w, key);
    jw_str(w, str_slice(value, 0, str_utf8_prefix(str_slice(value, 0, ATTRIBUTE_MAX))));
}

/* The event that the buffer holds, unless rc says that it could not be read; the buffer goes. */
static int finish(struct arena *a, struct buf *b, str hashed, int rc, struct inbox_event *out,
                  struct err *err) {
    if (rc == 0 && !buf_ok(b))
        rc = err_set(err, ERR_TOO_LARGE, "the delivery is too large");
    if (rc == 0) {
        out->digest = digest_of(a, &hashed, 1);
        out->text = arena_dup(a, buf_view(b));
    }
    buf_deinit(b);
    return rc;
}

static int read_plain(const struct inbox_rule *r, const struct inbox_request *q, struct arena *a,
                      struct inbox_event *out, struct err *err) {
    struct buf b;
    yyjson_val *data;
    str id = STR_NULL, text, type = media_type(header(q, STR("content-type")));
    buf_init(&b, INBOX_BYTES_MAX * 8);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    int rc = write_data(&w, q, type, a, &data, &text, err);
    if (rc == 0)
        rc = plain_key(r, q, data, a, &id, &out->key, err);
    if (rc == 0 && r->key_header.p) {
        id = header(q, r->key_header);
        rc = header_key(r, q, a, &out->key, err);
    }
    write_member(&w, "id", id);
    str event = header(q, STR("x-github-event"));
    write_member(&w, "type", event.len ? event : json_str(json_get(data, "type")));
    write_member(&w, "datacontenttype", type);
    jw_object_end(&w);
    return finish(a, &b, text, rc, out, err);
}

static int cloud_key(struct arena *a, str version, str id, str source, str type, str *out,
                     struct err *err) {
    if (!str_eq(version, STR(SPEC_VERSION)))
        return err_set(err, ERR_INVALID, "specversion: must be " SPEC_VERSION);
    if (!id.len || !source.len || !type.len)
        return err_set(err, ERR_INVALID, "id, source and type are required");
    if (id.len > NAME_BYTES_MAX || source.len > NAME_BYTES_MAX || type.len > NAME_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "id, source and type have at most %d bytes",
                       NAME_BYTES_MAX);
    *out = digest_of(a, (const str[]){STR("cloudevent"), source, id}, 3);
    return 0;
}

/* Header values are percent-encoded; what is broken stays as it is. */
static str attribute(struct arena *a, str value) {
    char *p = arena_alloc(a, value.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        int high = i + 2 < value.len && value.p[i] == '%' ? hex_digit(value.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(value.p[i + 2]) : -1;
        p[n++] = (char)(low >= 0 ? high << 4 | low : value.p[i]);
        i += low >= 0 ? 2 : 0;
    }
    str text = str_n(p, n);
    return str_is_utf8(text) && !memchr(p, 0, n) ? text : value;
}

static bool attribute_name(str name) {
    for (size_t i = 0; i < name.len; i++)
        if (!((name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= '0' && name.p[i] <= '9')))
            return false;
    return name.len > 0 && name.len <= 20 && !str_eq(name, STR("data")) &&
           !str_eq(name, STR("datacontenttype"));
}

static void write_attributes(struct json_writer *w, const struct inbox_request *q,
                             struct arena *a) {
    str name, value;
    int count = 0;
    for (size_t i = 0; count < ATTRIBUTE_COUNT && q->header(q->ctx, i, &name, &value); i++) {
        char lower[24];
        if (name.len < 4 || name.len > 23 || !str_ieq(str_slice(name, 0, 3), STR("ce-")))
            continue;
        for (size_t k = 3; k < name.len; k++)
            lower[k - 3] =
                (char)(name.p[k] >= 'A' && name.p[k] <= 'Z' ? name.p[k] + 32 : name.p[k]);
        str key = str_n(lower, name.len - 3), text = attribute(a, str_trim(value));
        if (!attribute_name(key) || text.len > ATTRIBUTE_MAX || !str_is_utf8(text))
            continue;
        jw_key_str(w, key);
        jw_str(w, text);
        count++;
    }
}

static int read_binary(const struct inbox_rule *r, const struct inbox_request *q, struct arena *a,
                       struct inbox_event *out, struct err *err) {
    struct buf b;
    yyjson_val *data;
    str text, type = media_type(header(q, STR("content-type")));
    int rc = cloud_key(a, header(q, STR("ce-specversion")),
                       attribute(a, header(q, STR("ce-id"))),
                       attribute(a, header(q, STR("ce-source"))),
                       attribute(a, header(q, STR("ce-type"))), &out->key, err);
    if (rc == 0 && r->key_header.p)
        rc = header_key(r, q, a, &out->key, err);
    if (rc < 0)
        return rc;
    buf_init(&b, INBOX_BYTES_MAX * 8);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    write_attributes(&w, q, a);
    write_member(&w, "datacontenttype", type);
    rc = write_data(&w, q, type, a, &data, &text, err);
    jw_object_end(&w);
    return finish(a, &b, text, rc, out, err);
}

static int read_structured(struct arena *a, yyjson_val *v, struct inbox_event *out,
                           struct err *err) {
    if (!yyjson_is_obj(v))
        return err_set(err, ERR_INVALID, "a CloudEvent is an object");
    int rc = cloud_key(a, json_str(json_get(v, "specversion")), json_str(json_get(v, "id")),
                       json_str(json_get(v, "source")), json_str(json_get(v, "type")), &out->key,
                       err);
    yyjson_val *data = json_get(v, "data");
    str bytes = json_str(json_get(v, "data_base64"));
    if (rc < 0)
        return rc;
    str text = data ? json_canonical(a, data) : bytes;
    out->digest = digest_of(a, &text, 1);
    out->text = json_text(a, v);
    return 0;
}

static int read_batch(struct arena *a, yyjson_val *list, struct inbox_event **out,
                      size_t *out_count, struct err *err) {
    size_t i, n, count = yyjson_arr_size(list);
    yyjson_val *v;
    if (!yyjson_is_arr(list))
        return err_set(err, ERR_INVALID, "a batch of CloudEvents is a list");
    if (count > INBOX_EVENTS_MAX)
        return err_set(err, ERR_TOO_LARGE, "a batch has at most %d events", INBOX_EVENTS_MAX);
    *out = ARENA_ARRAY(a, struct inbox_event, count + 1);
    *out_count = count;
    yyjson_arr_foreach(list, i, n, v) {
        int rc = read_structured(a, v, &(*out)[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int inbox_events_read(const struct inbox_rule *r, const struct inbox_request *q, struct arena *a,
                      struct inbox_event **out, size_t *out_count, bool *out_batch,
                      struct err *err) {
    struct inbox_event *one = ARENA_NEW(a, struct inbox_event);
    yyjson_val *v;
    str type = media_type(header(q, STR("content-type")));
    int rc = 0;
    if (q->body.len > INBOX_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "a delivery has at most %zu bytes", INBOX_BYTES_MAX);
    *out_batch = str_ieq(type, STR("application/cloudevents-batch+json"));
    *out = one;
    *out_count = 1;
    if (*out_batch) {
        rc = parse(a, q->body, &v, err);
        return rc < 0 ? rc : read_batch(a, v, out, out_count, err);
    }
    if (str_ieq(type, STR("application/cloudevents+json"))) {
        rc = parse(a, q->body, &v, err);
        if (rc == 0)
            rc = read_structured(a, v, one, err);
        if (rc == 0 && r->key_header.p)
            rc = header_key(r, q, a, &one->key, err);
        return rc;
    }
    return header(q, STR("ce-specversion")).p ? read_binary(r, q, a, one, err)
                                              : read_plain(r, q, a, one, err);
}
