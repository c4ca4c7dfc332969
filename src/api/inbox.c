/* SPDX-License-Identifier: Apache-2.0 */
/* inbox.c - the handlers of /inbox/sources and /inbox/deliveries: who may deliver, what came.
 *
 * A source's secret is answered once, when it is made. A change reads the row, makes the new one
 * and writes it if nobody was faster. */
#include "api/inbox_int.h"
#include "base/base64.h"
#include "base/rand.h"
#include "model/webhook_secret.h"

#define NAME_BYTES_MAX   200
#define HEADER_BYTES_MAX 100
#define SECRET_BYTES     32
#define SECRET_BYTES_MIN 16
#define SECRET_BYTES_MAX 256
#define SECOND_US        INT64_C(1000000)
#define RETENTION_MIN_S  3600
#define RETENTION_MAX_S  31536000
#define RETENTION_S      2592000
#define PAGE_MAX         100
#define ORIGIN_COUNT_MAX 50
#define ORIGIN_BYTES_MAX 253

/* --- encoding --- */

static void write_source(struct json_writer *w, struct arena *a, const struct inbox_source *s,
                         bool secret) {
    jw_object(w);
    jw_key(w, "source_id");
    api_write_id(w, s->id);
    jw_key(w, "name");
    jw_str(w, s->name);
    jw_key(w, "path");
    jw_str(w, arena_printf(a, "/inbox/" STR_FMT, STR_ARG(id_dashed(a, s->id))));
    jw_key(w, "scheme");
    jw_str(w, word_text(&INBOX_SCHEMES, (int)s->rule.scheme));
    jw_key(w, "header");
    jw_str(w, s->rule.header);
    jw_key(w, "key_header");
    jw_str(w, s->rule.key_header);
    jw_key(w, "action");
    jw_raw(w, s->action);
    jw_key(w, "origins");
    if (s->origins.p)
        jw_raw(w, s->origins);
    else
        jw_null(w);
    jw_key(w, "retention");
    jw_i64(w, s->retention_us / SECOND_US);
    jw_key(w, "version");
    jw_i64(w, s->version);
    jw_key(w, "created_at");
    api_write_time(w, s->created_at);
    jw_key(w, "updated_at");
    api_write_time(w, s->updated_at);
    if (secret) {
        jw_key(w, "secret");
        jw_str(w, s->rule.secret);
    }
    jw_object_end(w);
}

static void write_delivery(struct json_writer *w, const struct inbox_delivery *d) {
    jw_object(w);
    jw_key(w, "delivery_id");
    api_write_id(w, d->id);
    jw_key(w, "source_id");
    api_write_id(w, d->source_id);
    jw_key(w, "status");
    jw_str(w, word_text(&INBOX_STATUSES, (int)d->status));
    jw_key(w, "thread_id");
    api_write_id_or_null(w, d->thread_id);
    jw_key(w, "run_id");
    api_write_id_or_null(w, d->run_id);
    jw_key(w, "error");
    jw_str(w, d->error);
    jw_key(w, "event");
    jw_raw(w, d->event);
    jw_key(w, "received_at");
    api_write_time(w, d->received_at);
    jw_key(w, "expires_at");
    api_write_time(w, d->expires_at);
    jw_object_end(w);
}

static int reply_source(struct api_request *r, int status, const struct inbox_source *s,
                        bool secret) {
    struct json_writer w = api_json(r);
    write_source(&w, r->arena, s, secret);
    if (secret)
        api_reply_secret(r);
    return api_reply_json(r, status);
}

/* --- sources: reading the body --- */

static str make_secret(struct arena *a, enum inbox_scheme scheme) {
    char bytes[SECRET_BYTES];
    if (scheme == INBOX_STANDARD)
        return webhook_secret_make(a);
    rand_bytes(bytes, sizeof(bytes));
    return base64_encode(a, str_n(bytes, sizeof(bytes)));
}

static void check_secret(struct body *b, const struct inbox_rule *rule) {
    size_t len = rule->secret.len;
    if (rule->scheme == INBOX_STANDARD && !webhook_secret_is_fine(b->a, rule->secret))
        body_fault(b, "secret", WEBHOOK_SECRET_FAULT, WEBHOOK_KEY_BYTES_MIN, WEBHOOK_KEY_BYTES_MAX);
    else if (rule->scheme != INBOX_STANDARD && (len < SECRET_BYTES_MIN || len > SECRET_BYTES_MAX))
        body_fault(b, "secret", "must have %d to %d bytes", SECRET_BYTES_MIN, SECRET_BYTES_MAX);
}

static str header_name(struct body *b, const char *key, str fallback) {
    str text = body_str_sized(b, key, 1, HEADER_BYTES_MAX, STR_NULL);
    if (!text.p)
        return body_has(b, key) ? STR_NULL : fallback;
    char *p = arena_alloc(b->a, text.len);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        p[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        if (!((p[i] >= 'a' && p[i] <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) {
            body_fault(b, key, "must be the name of a header");
            return STR_NULL;
        }
    }
    return str_n(p, text.len);
}

/* null takes them away. */
static str read_origins(struct body *b, str before) {
    yyjson_val *list = body_str_array(b, "origins"), *item;
    size_t i, n;
    if (!list)
        return body_has(b, "origins") ? STR_NULL : before;
    if (yyjson_arr_size(list) > ORIGIN_COUNT_MAX)
        body_fault(b, "origins", "must have at most %d entries", ORIGIN_COUNT_MAX);
    yyjson_arr_foreach(list, i, n, item) {
        str name = json_str(item);
        bool bad = name.len == 0 || name.len > ORIGIN_BYTES_MAX;
        for (size_t k = 0; k < name.len; k++)
            bad = bad || name.p[k] <= ' ' || name.p[k] >= 0x7f;
        if (bad)
            body_fault(b, "origins", "each must be a DNS name of at most %d bytes, or *",
                       ORIGIN_BYTES_MAX);
    }
    return json_text(b->a, list);
}

/* Over what *s says. */
static int read_source(struct api_request *r, struct inbox_source *s, bool create,
                       struct err *err) {
    struct body b;
    enum inbox_scheme before = s->rule.scheme;
    body_init(&b, r->arena, r->body);
    s->name = body_str_sized(&b, "name", 1, NAME_BYTES_MAX, s->name);
    if (!s->name.p && !body_get(&b, "name"))
        body_fault(&b, "name", "is required");
    s->rule.scheme =
        (enum inbox_scheme)body_enum(&b, "scheme", &INBOX_SCHEMES, (int)s->rule.scheme);
    s->rule.header = header_name(&b, "header", s->rule.header);
    s->rule.key_header = header_name(&b, "key_header", s->rule.key_header);
    if (s->rule.scheme == INBOX_HMAC && !s->rule.header.p)
        body_fault(&b, "header", "is required");
    str secret = body_str(&b, "secret", STR_NULL);
    if (!secret.p && !create && before != s->rule.scheme)
        body_fault(&b, "secret", "is required with another scheme");
    if (secret.p || create) {
        s->rule.secret = secret.p ? secret : make_secret(r->arena, s->rule.scheme);
        check_secret(&b, &s->rule);
    }
    struct body_range range = {RETENTION_MIN_S, RETENTION_MAX_S, s->retention_us / SECOND_US};
    s->retention_us = body_int(&b, "retention", range) * SECOND_US;
    yyjson_val *action = body_object_val(&b, "action");
    s->origins = read_origins(&b, s->origins);
    int rc = body_done(&b, err);
    if (rc == 0 && (create || action))
        rc = inbox_action_read(r, action, &s->action, err);
    return rc;
}

int api_inbox_source_create(struct api_request *r, struct err *err) {
    int64_t now = rt_now_us(fiber_rt());
    struct inbox_source s = {.id = id_v4(), /* says nothing of when it was made */
                             .owner = r->who.owner,
                             .retention_us = RETENTION_S * SECOND_US,
                             .created_at = now,
                             .updated_at = now};
    int rc = read_source(r, &s, true, err);
    if (rc == 0)
        rc = inbox_source_create(r->store, &s, r->arena, err);
    return rc < 0 ? rc : reply_source(r, 201, &s, true);
}

int api_inbox_source_list(struct api_request *r, struct err *err) {
    struct inbox_source *list;
    size_t count;
    int rc = inbox_source_list(r->store, &r->who, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_source(&w, r->arena, &list[i], false);
    jw_array_end(&w);
    return api_reply_json(r, 200);
}

static int source_id(struct api_request *r, struct id *out, struct err *err) {
    return api_param_id(r, 0, out, err, "Source not found");
}

int api_inbox_source_get(struct api_request *r, struct err *err) {
    struct inbox_source s;
    struct id id;
    int rc = source_id(r, &id, err);
    if (rc == 0)
        rc = inbox_source_get(r->store, &r->who, id, r->arena, &s, err);
    return rc < 0 ? rc : reply_source(r, 200, &s, false);
}

static int change_once(struct api_request *r, struct id id, void *row, bool *out_again,
                       struct err *err) {
    struct inbox_source *s = row;
    int rc = inbox_source_get(r->store, &r->who, id, r->arena, s, err);
    if (rc == 0)
        rc = read_source(r, s, false, err);
    if (rc < 0)
        return rc;
    s->updated_at = rt_now_us(fiber_rt());
    rc = inbox_source_update(r->store, &r->who, s, r->arena, err);
    *out_again = rc == ERR_CONFLICT;
    return rc;
}

int api_inbox_source_patch(struct api_request *r, struct err *err) {
    struct inbox_source s;
    int rc = api_change(r, "Source not found", change_once, &s, err);
    return rc < 0 ? rc : reply_source(r, 200, &s, false);
}

int api_inbox_source_delete(struct api_request *r, struct err *err) {
    struct id id;
    int rc = source_id(r, &id, err);
    if (rc == 0)
        rc = inbox_source_delete(r->store, &r->who, id, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

/* --- deliveries --- */

static int query_id(struct api_request *r, const char *name, struct id *out, struct err *err) {
    str text = http_query_get(&r->query, name);
    if (text.len && !id_parse(text, out))
        return err_set(err, ERR_INVALID, "%s: must be an id", name);
    return 0;
}

int api_inbox_list(struct api_request *r, struct err *err) {
    struct inbox_filter f = {0};
    struct inbox_delivery *list;
    size_t count;
    int64_t limit = 0;
    str status = http_query_get(&r->query, "status");
    int rc = api_query_int(r, "limit", (struct body_range){1, PAGE_MAX, 20}, &limit, err);
    if (rc == 0)
        rc = query_id(r, "source_id", &f.source_id, err);
    if (rc == 0)
        rc = query_id(r, "before", &f.before, err);
    f.failed = str_eq(status, STR("failed"));
    if (rc == 0 && status.len && !f.failed)
        rc = err_set(err, ERR_INVALID, "status: must be failed");
    if (rc == 0 && f.failed && !id_is_nil(f.source_id))
        rc = err_set(err, ERR_INVALID, "status: cannot be given with source_id");
    f.limit = limit + 1;
    if (rc == 0)
        rc = inbox_list(r->store, &r->who, &f, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    bool more = (int64_t)count > limit;
    count -= more;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "deliveries");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_delivery(&w, &list[i]);
    jw_array_end(&w);
    jw_key(&w, "next");
    api_write_id_or_null(&w, more ? list[count - 1].id : ID_NIL);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

static int find(struct api_request *r, struct inbox_delivery *out, struct err *err) {
    struct id id;
    int rc = api_param_id(r, 0, &id, err, "Delivery not found");
    return rc < 0 ? rc : inbox_get(r->store, &r->who, id, r->arena, out, err);
}

static int reply_delivery(struct api_request *r, const struct inbox_delivery *d) {
    struct json_writer w = api_json(r);
    write_delivery(&w, d);
    return api_reply_json(r, 200);
}

int api_inbox_get(struct api_request *r, struct err *err) {
    struct inbox_delivery d;
    int rc = find(r, &d, err);
    return rc < 0 ? rc : reply_delivery(r, &d);
}

int api_inbox_delete(struct api_request *r, struct err *err) {
    struct id id;
    int rc = api_param_id(r, 0, &id, err, "Delivery not found");
    if (rc == 0)
        rc = inbox_delete(r->store, &r->who, id, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

int api_inbox_retry(struct api_request *r, struct err *err) {
    struct inbox_delivery d;
    struct inbox_source s;
    int rc = find(r, &d, err);
    if (rc == 0 && d.status != INBOX_FAILED)
        rc = err_set(err, ERR_CONFLICT, "The delivery has not failed");
    if (rc == 0)
        rc = inbox_source_get(r->store, &r->who, d.source_id, r->arena, &s, err);
    if (rc == 0)
        rc = inbox_act(r, &s, &d, true, err);
    if (rc == ERR_REPEATED)
        rc = err_set(err, ERR_CONFLICT, "The delivery has not failed");
    return rc < 0 ? rc : reply_delivery(r, &d);
}
