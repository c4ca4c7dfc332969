/* SPDX-License-Identifier: Apache-2.0 */
/* attempt.c - the POSTs of a delivery: one, or those of its parcel that were not taken yet.
 *
 *   body: the stored object and "webhook_sent_at", the time of this attempt; or a parcel's part
 *   webhook-id: of the delivery or the part, the same at each attempt   webhook-timestamp: seconds
 *   webhook-signature: v1,base64(HMAC-SHA256(secret, id "." timestamp "." body))
 *
 * Taken means 2xx. 410 and an address that is not allowed end it; everything else is tried again,
 * not before what Retry-After says. Of the answer's body nothing is kept. */
#include <stdio.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/hash.h"
#include "delivery/delivery_int.h"
#include "rt/worker.h"

#define ADDRESSES_MAX      8
#define POST_TIMEOUTS      2 /* of one POST: to connect, and to have an answer */
#define HEADERS_MAX        32
#define RETRY_AFTER_MAX_US (INT64_C(24) * 3600 * 1000000)
#define ANSWER_BYTES_MAX   (64 * 1024)

static str signatures(const str *secrets, size_t count, struct arena *a, str id, str timestamp,
                      str body) {
    struct buf signed_text;
    str all = STR("");
    buf_init(&signed_text, SIZE_MAX / 2);
    buf_str(&signed_text, id);
    buf_char(&signed_text, '.');
    buf_str(&signed_text, timestamp);
    buf_char(&signed_text, '.');
    buf_str(&signed_text, body);
    for (size_t i = 0; i < count; i++) {
        unsigned char mac[HASH_SHA256_BYTES];
        hash_hmac_sha256(secrets[i], buf_view(&signed_text), mac);
        all = arena_printf(a, STR_FMT "%sv1," STR_FMT, STR_ARG(all), i ? " " : "",
                           STR_ARG(base64_encode(a, str_n((const char *)mac, sizeof(mac)))));
    }
    buf_deinit(&signed_text);
    return all;
}

str attempt_signatures(const struct delivery_relay *d, struct arena *a, str id, str timestamp,
                       str body) {
    return signatures(d->secrets, d->secret_count, a, id, timestamp, body);
}

static int refuse(struct delivery_failure *out, const char *why) {
    out->dead = true;
    out->error = str_of(why);
    return ERR_FORBIDDEN;
}

static int fail(struct delivery_failure *out, struct arena *a, const struct err *err, int rc) {
    out->error = arena_dup(a, str_of(err->message[0] ? err->message : err_text(rc)));
    return rc;
}

/* Where the connection goes: an address of the host, of which all are allowed. */
static int choose_address(struct delivery_relay *d, const struct http_url *url, struct arena *a,
                          str *out_address, struct delivery_failure *out) {
    struct rt_address found[ADDRESSES_MAX];
    size_t count = 0;
    struct err err = {0};
    if (url->numeric) {
        *out_address = url->host;
        return rules_allow_address(&d->o.rules, url, url->host)
                   ? 0
                   : refuse(out, "the address is a private one, which is not allowed");
    }
    int rc = rt_resolve(d->rt, url->host, found, ADDRESSES_MAX, &count, &err);
    if (rc < 0 || count == 0)
        return fail(out, a, &err, rc < 0 ? rc : ERR_UNAVAILABLE);
    for (size_t i = 0; i < count; i++)
        if (!rules_allow_address(&d->o.rules, url, str_of(found[i].text)))
            return refuse(out, "the host's name leads to a private address, which is not allowed");
    *out_address = arena_dup(a, str_of(found[0].text));
    return 0;
}

/* The text member `key`, when the object's members begin with it: taken off them. */
static str take_first(str *members, const char *key) {
    char head[32];
    int len = snprintf(head, sizeof(head), "\"%s\":\"", key);
    if (!str_starts(*members, str_n(head, (size_t)len)))
        return STR_NULL;
    str rest = str_slice(*members, (size_t)len, members->len);
    ptrdiff_t end = str_find_char(rest, '"');
    if (end < 0 || str_find_char(str_slice(rest, 0, (size_t)end), '\\') >= 0 ||
        (size_t)end + 1 >= rest.len || rest.p[end + 1] != ',')
        return STR_NULL;
    *members = str_slice(rest, (size_t)end + 2, rest.len);
    return str_slice(rest, 0, (size_t)end);
}

/* The trace of a run stands before the members of its payload: it goes into the headers. */
static str take_trace(str payload, struct trace_context *out) {
    ASSERT(payload.len >= 2);
    str members = str_slice(payload, 1, payload.len - 1);
    str parent = take_first(&members, "traceparent");
    str state = parent.p ? take_first(&members, "tracestate") : STR_NULL;
    if (!parent.p || !trace_context_parse(parent, state, out))
        *out = (struct trace_context){0};
    return members;
}

static str make_body(struct arena *a, str members, int64_t now) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    buf_char(&b, '{');
    buf_str(&b, members);
    buf_z(&b, members.len > 0 ? ",\"webhook_sent_at\":\"" : "\"webhook_sent_at\":\"");
    buf_str(&b, time_iso(a, now));
    buf_z(&b, "\"}");
    return arena_take(a, &b);
}

/* What is POSTed. */
struct letter {
    str id, content_type, body;
    const str *secrets;
    size_t secret_count;
    const struct trace_context *trace; /* NULL: none */
    bool named;                        /* the target has agreed to be told by us */
    int64_t due_at;                    /* when the claim is over */
    const struct http_header *headers; /* of its own */
    size_t header_count;
};

static bool has_header(const struct http_header *list, size_t count, str name) {
    for (size_t i = 0; i < count; i++)
        if (str_ieq(list[i].name, name))
            return true;
    return false;
}

static size_t make_headers(struct delivery_relay *d, const struct letter *l, struct arena *a,
                           int64_t now, struct http_header out[HEADERS_MAX]) {
    size_t n = 0;
    str timestamp = arena_printf(a, "%lld", (long long)(now / 1000000));
    out[n++] = (struct http_header){STR("Content-Type"), l->content_type};
    out[n++] = (struct http_header){STR("User-Agent"), STR("holdfast/" HF_VERSION)};
    out[n++] = (struct http_header){STR("webhook-id"), l->id};
    out[n++] = (struct http_header){STR("webhook-timestamp"), timestamp};
    if (l->secret_count)
        out[n++] = (struct http_header){
            STR("webhook-signature"),
            signatures(l->secrets, l->secret_count, a, l->id, timestamp, l->body)};
    if (l->named)
        out[n++] = (struct http_header){STR("WebHook-Request-Origin"), d->o.origin};
    for (size_t i = 0; i < l->header_count && n < HEADERS_MAX; i++)
        out[n++] = l->headers[i];
    for (size_t i = 0; i < d->o.header_count && n < HEADERS_MAX; i++)
        if (!has_header(l->headers, l->header_count, d->o.headers[i].name))
            out[n++] = d->o.headers[i];
    return n;
}

/* Until the end of the answer, so that the connection can be used again; no further than that. */
static void skip_body(struct http_call *call) {
    str part;
    for (size_t seen = 0; seen < ANSWER_BYTES_MAX; seen += part.len)
        if (http_call_read(call, &part, NULL) < 0 || part.len == 0)
            return;
}

static int judge(struct delivery_relay *d, struct http_call *call, struct arena *a,
                 struct delivery_failure *out) {
    int status = http_call_status(call);
    uint64_t seconds;
    out->http_status = status;
    if (status >= 200 && status < 300)
        return 0;
    out->dead = status == 410;
    out->error = arena_printf(a, "the receiver answered %d%s", status,
                              status >= 300 && status < 400 ? "; redirects are not followed" : "");
    if (str_to_u64(http_call_header(call, STR("retry-after")), &seconds) &&
        seconds < RETRY_AFTER_MAX_US / 1000000)
        out->due_at = rt_now_us(d->rt) + (int64_t)seconds * 1000000;
    return ERR_UNAVAILABLE;
}

static int find_place(struct delivery_relay *d, str target, struct arena *a, struct place *out,
                      struct delivery_failure *f) {
    struct http_url url;
    bool self = str_starts(target, STR("/"));
    if (self && !rules_allow_self(&d->o.rules))
        return refuse(f, "a relative address leads to this server, which is not allowed");
    out->target =
        self ? arena_printf(a, STR_FMT STR_FMT, STR_ARG(d->self), STR_ARG(target)) : target;
    const char *why =
        self ? http_url_split(out->target, &url) : rules_refuse_url(&d->o.rules, target, &url);
    if (why)
        return refuse(f, why);
    out->address = url.host;
    return self ? 0 : choose_address(d, &url, a, &out->address, f);
}

static int post(struct delivery_relay *d, const struct place *to, const struct letter *l,
                int64_t now, struct arena *a, struct delivery_failure *out) {
    struct http_call *call;
    struct http_header headers[HEADERS_MAX];
    struct err err = {0};
    struct http_call_options o = {.method = HTTP_POST,
                                  .url = to->target,
                                  .headers = headers,
                                  .header_count = make_headers(d, l, a, now, headers),
                                  .body = l->body,
                                  .connect_timeout_us = d->o.timeout_us,
                                  .head_timeout_us = d->o.timeout_us,
                                  .idle_timeout_us = d->o.timeout_us,
                                  .proxy = STR(""),
                                  .connect_to = to->address,
                                  .trace = l->trace};
    /* Another process claims it then: this must not come after what that one sends. */
    if (rt_now_us(d->rt) + POST_TIMEOUTS * d->o.timeout_us > l->due_at)
        return ERR_LIMIT;
    int rc = http_call_open(d->client, &o, &call, &err);
    if (rc < 0)
        return fail(out, a, &err, rc);
    rc = judge(d, call, a, out);
    if (rc == 0)
        skip_body(call);
    http_call_close(call);
    return rc;
}

const struct parcel_maker *attempt_maker(const struct delivery_relay *d,
                                         const struct delivery *what) {
    for (size_t i = 0; i < DELIVERY_MAKERS_MAX; i++) {
        const struct parcel_maker *m = &d->o.makers[i];
        if (m->kind && str_eq(what->kind, str_of(m->kind)))
            return m;
    }
    return NULL;
}

static int send_parcel(struct delivery_relay *d, const struct parcel_maker *maker,
                       const struct delivery *what, struct arena *a,
                       struct delivery_failure *out) {
    struct parcel parcel = {0};
    struct place to;
    struct err err = {0};
    int rc = maker->make(maker->ctx, what, a, &parcel, &err);
    if (rc < 0)
        return fail(out, a, &err, rc);
    if (parcel.count == 0)
        return 0;
    rc = find_place(d, parcel.target, a, &to, out);
    for (size_t i = (size_t)what->progress; rc == 0 && i < parcel.count; i++) {
        struct letter l = {.id = parcel.parts[i].id,
                           .content_type = parcel.content_type,
                           .body = parcel.parts[i].body,
                           .secrets = parcel.secret.len ? &parcel.secret : d->secrets,
                           .secret_count = parcel.secret.len ? 1 : d->secret_count,
                           .named = parcel.handshake,
                           .due_at = what->due_at,
                           .headers = parcel.headers,
                           .header_count = parcel.header_count};
        if (parcel.handshake)
            rc = handshake_pass(d, &to, parcel.rate, a, out);
        if (rc == 0)
            rc = post(d, &to, &l, rt_now_us(d->rt), a, out);
        out->progress += rc == 0;
    }
    return rc;
}

int attempt_make(struct delivery_relay *d, const struct delivery *what, struct arena *a,
                 struct delivery_failure *out) {
    struct place to;
    int64_t now = rt_now_us(d->rt);
    *out = (struct delivery_failure){.progress = what->progress};
    const struct parcel_maker *maker = attempt_maker(d, what);
    if (maker)
        return send_parcel(d, maker, what, a, out);
    int rc = find_place(d, what->target, a, &to, out);
    if (rc < 0)
        return rc;
    struct trace_context trace;
    str members = take_trace(what->payload, &trace);
    struct letter l = {.id = id_dashed(a, what->id),
                       .content_type = STR("application/json"),
                       .body = make_body(a, members, now),
                       .trace = &trace,
                       .due_at = what->due_at,
                       .secrets = d->secrets,
                       .secret_count = d->secret_count};
    return post(d, &to, &l, now, a, out);
}
