/* SPDX-License-Identifier: Apache-2.0 */
/* handshake.c - whether a target wants to be told: the validation of the CloudEvents specification
 * of webhooks (1.0.2, abuse protection).
 *
 *   OPTIONS target                               any status
 *   WebHook-Request-Origin: our name      ──▶    WebHook-Allowed-Origin: our name, or *
 *   WebHook-Request-Rate: 120 (if asked)         WebHook-Allowed-Rate: a number, or *
 *
 * Only the header is consent: a server that answers 200 to anything has not agreed. Who does not
 * agree is told nothing and asked again with the delivery's next attempt. Consent is known for a
 * day, in this process. A granted rate spreads the POSTs of this process over the minute: one that
 * comes too early is given a place in line, and goes back until then without being spent. */
#include "base/mem.h"
#include "delivery/delivery_int.h"

#define CONSENT_US   (INT64_C(24) * 3600 * 1000000)
#define CONSENTS_MAX 1000 /* known at once; then they are asked for anew */
#define MINUTE_US    INT64_C(60000000)

struct consent {
    int64_t until_us, interval_us; /* of the monotonic clock; interval 0: any rate */
    int64_t next_us;               /* the next POST may go then */
    int64_t line_us;               /* and who comes now, then */
    char key[];
};

static void forget_all(struct delivery_relay *d) {
    size_t at = 0;
    str key;
    void *value;
    while (map_next(&d->consents, &at, &key, &value))
        mem_free(value);
    map_deinit(&d->consents);
    map_init(&d->consents);
}

void handshake_deinit(struct delivery_relay *d) { forget_all(d); }

/* Of two that asked at the same time the second one finds the first one's place in line. */
static void agree(struct delivery_relay *d, str key, int64_t per_minute) {
    struct consent *c = map_get(&d->consents, key);
    if (!c && d->consents.count >= CONSENTS_MAX)
        forget_all(d);
    if (!c) {
        c = mem_zalloc(sizeof(*c) + key.len);
        memcpy(c->key, key.p, key.len);
        map_put(&d->consents, str_n(c->key, key.len), c);
    }
    c->until_us = rt_mono_us(d->rt) + CONSENT_US;
    c->interval_us = per_minute ? (MINUTE_US + per_minute - 1) / per_minute : 0;
}

/* 0: any. What was asked for is granted unless the answer says a smaller number. */
static int64_t granted_rate(str text, int64_t asked) {
    int64_t n;
    if (str_eq(text, STR("*")))
        return 0;
    if (!str_to_i64(text, &n) || n < 1)
        return asked;
    return n;
}

static int refused(struct delivery_relay *d, struct arena *a, int status,
                   struct delivery_failure *out) {
    out->http_status = status;
    out->dead = status == 410;
    out->error = arena_printf(a,
                              "the receiver does not agree to be told by " STR_FMT
                              ": it answered OPTIONS with %d and no such consent",
                              STR_ARG(d->o.origin), status);
    return ERR_UNAVAILABLE;
}

static int ask(struct delivery_relay *d, const struct place *to, str key, int64_t rate,
               struct arena *a, struct delivery_failure *out) {
    struct http_call *call;
    struct err err = {0};
    struct http_header headers[3] = {{STR("User-Agent"), STR("holdfast/" HF_VERSION)},
                                     {STR("WebHook-Request-Origin"), d->o.origin}};
    struct http_call_options o = {.method = HTTP_OPTIONS,
                                  .url = to->target,
                                  .headers = headers,
                                  .header_count = 2,
                                  .connect_timeout_us = d->o.timeout_us,
                                  .head_timeout_us = d->o.timeout_us,
                                  .idle_timeout_us = d->o.timeout_us,
                                  .proxy = STR(""),
                                  .connect_to = to->address};
    if (rate)
        headers[o.header_count++] = (struct http_header){STR("WebHook-Request-Rate"),
                                                         arena_printf(a, "%lld", (long long)rate)};
    int rc = http_call_open(d->client, &o, &call, &err);
    if (rc < 0) {
        out->error = arena_dup(a, str_of(err.message[0] ? err.message : err_text(rc)));
        return rc;
    }
    str origin = str_trim(http_call_header(call, STR("webhook-allowed-origin")));
    if (str_eq(origin, STR("*")) || str_ieq(origin, d->o.origin))
        agree(d, key,
              granted_rate(str_trim(http_call_header(call, STR("webhook-allowed-rate"))), rate));
    else
        rc = refused(d, a, http_call_status(call), out);
    http_call_close(call);
    return rc;
}

static int take_place(struct delivery_relay *d, struct consent *c, struct delivery_failure *out) {
    int64_t now = rt_mono_us(d->rt);
    if (!c->interval_us || now >= c->next_us) {
        c->next_us = now + c->interval_us;
        return 0;
    }
    int64_t last_us = c->next_us - c->interval_us; /* that went */
    c->line_us = (c->line_us > last_us ? c->line_us : last_us) + c->interval_us;
    out->due_at = rt_now_us(d->rt) + (c->line_us - now);
    return ERR_LIMIT;
}

int handshake_pass(struct delivery_relay *d, const struct place *to, int64_t rate, struct arena *a,
                   struct delivery_failure *out) {
    str key = arena_printf(a, "%lld " STR_FMT, (long long)rate, STR_ARG(to->target));
    struct consent *c = map_get(&d->consents, key);
    if (!d->o.origin.len) {
        out->error = STR("the target is to be asked for consent, but this server has no name to "
                         "ask in: webhook-origin");
        return ERR_UNAVAILABLE;
    }
    if (!c || rt_mono_us(d->rt) >= c->until_us) {
        int rc = ask(d, to, key, rate, a, out);
        if (rc < 0)
            return rc;
        c = map_get(&d->consents, key);
    }
    return c ? take_place(d, c, out) : 0;
}
