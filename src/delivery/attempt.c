/* SPDX-License-Identifier: Apache-2.0 */
/* attempt.c - one POST of a delivery.
 *
 *   body: the stored object and "webhook_sent_at", the time of this attempt
 *   webhook-id: the delivery's id, the same at each attempt    webhook-timestamp: seconds
 *   webhook-signature: v1,base64(HMAC-SHA256(secret, id "." timestamp "." body))
 *
 * Taken means 2xx. 410 and an address that is not allowed end it; everything else is tried again,
 * not before what Retry-After says. Of the answer's body nothing is kept. */
#include "base/base64.h"
#include "base/clock.h"
#include "base/hash.h"
#include "delivery/delivery_int.h"
#include "rt/worker.h"

#define ADDRESSES_MAX      8
#define HEADERS_MAX        32
#define RETRY_AFTER_MAX_US (INT64_C(24) * 3600 * 1000000)
#define ANSWER_BYTES_MAX   (64 * 1024)

str attempt_signatures(const struct delivery_relay *d, struct arena *a, str id, str timestamp,
                       str body) {
    struct buf signed_text;
    str all = STR("");
    buf_init(&signed_text, SIZE_MAX / 2);
    buf_str(&signed_text, id);
    buf_char(&signed_text, '.');
    buf_str(&signed_text, timestamp);
    buf_char(&signed_text, '.');
    buf_str(&signed_text, body);
    for (size_t i = 0; i < d->secret_count; i++) {
        unsigned char mac[HASH_SHA256_BYTES];
        hash_hmac_sha256(d->secrets[i], buf_view(&signed_text), mac);
        all = arena_printf(a, STR_FMT "%sv1," STR_FMT, STR_ARG(all), i ? " " : "",
                           STR_ARG(base64_encode(a, str_n((const char *)mac, sizeof(mac)))));
    }
    buf_deinit(&signed_text);
    return all;
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

static str make_body(struct arena *a, str payload, int64_t now) {
    ASSERT(payload.len >= 2);
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    buf_append(&b, payload.p, payload.len - 1);
    buf_z(&b, payload.len > 2 ? ",\"webhook_sent_at\":\"" : "\"webhook_sent_at\":\"");
    buf_str(&b, time_iso(a, now));
    buf_z(&b, "\"}");
    str body = arena_dup(a, buf_view(&b));
    buf_deinit(&b);
    return body;
}

static size_t make_headers(struct delivery_relay *d, const struct delivery *what, struct arena *a,
                           str body, int64_t now, struct http_header out[HEADERS_MAX]) {
    size_t n = 0;
    str id = id_dashed(a, what->id);
    str timestamp = arena_printf(a, "%lld", (long long)(now / 1000000));
    out[n++] = (struct http_header){STR("Content-Type"), STR("application/json")};
    out[n++] = (struct http_header){STR("User-Agent"), STR("holdfast/" HF_VERSION)};
    out[n++] = (struct http_header){STR("webhook-id"), id};
    out[n++] = (struct http_header){STR("webhook-timestamp"), timestamp};
    if (d->secret_count)
        out[n++] = (struct http_header){STR("webhook-signature"),
                                        attempt_signatures(d, a, id, timestamp, body)};
    for (size_t i = 0; i < d->o.header_count && n < HEADERS_MAX; i++)
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

int attempt_make(struct delivery_relay *d, const struct delivery *what, struct arena *a,
                 struct delivery_failure *out) {
    struct http_url url;
    struct http_call *call;
    struct http_header headers[HEADERS_MAX];
    str target = what->target, address;
    struct err err = {0};
    int64_t now = rt_now_us(d->rt);
    bool self = str_starts(target, STR("/"));
    *out = (struct delivery_failure){0};
    if (self && !rules_allow_self(&d->o.rules))
        return refuse(out, "a relative address leads to this server, which is not allowed");
    if (self)
        target = arena_printf(a, STR_FMT STR_FMT, STR_ARG(d->self), STR_ARG(target));
    const char *why =
        self ? http_url_split(target, &url) : rules_refuse_url(&d->o.rules, target, &url);
    if (why)
        return refuse(out, why);
    int rc = 0;
    if (self)
        address = url.host;
    else
        rc = choose_address(d, &url, a, &address, out);
    if (rc < 0)
        return rc;
    str body = make_body(a, what->payload, now);
    struct http_call_options o = {.method = HTTP_POST,
                                  .url = target,
                                  .headers = headers,
                                  .header_count = make_headers(d, what, a, body, now, headers),
                                  .body = body,
                                  .connect_timeout_us = d->o.timeout_us,
                                  .head_timeout_us = d->o.timeout_us,
                                  .idle_timeout_us = d->o.timeout_us,
                                  .proxy = STR(""),
                                  .connect_to = address};
    rc = http_call_open(d->client, &o, &call, &err);
    if (rc < 0)
        return fail(out, a, &err, rc);
    rc = judge(d, call, a, out);
    if (rc == 0)
        skip_body(call);
    http_call_close(call);
    return rc;
}
