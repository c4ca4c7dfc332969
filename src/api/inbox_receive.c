/* SPDX-License-Identifier: Apache-2.0 */
/* inbox_receive.c - POST /inbox/{source_id}: what another program delivers.
 *
 *   who is it? ─▶ 401, whatever is wrong      key stored, same data  ─▶ the first answer
 *   key under way in this process ─▶ 409      key stored, other data ─▶ 422
 *   key free ─▶ the action's batch, which stores the key ─▶ 200
 *             └▶ another process was first: as stored
 *
 * OPTIONS asks whether the source agrees to be delivered to, as the CloudEvents specification of
 * webhooks has it. It does when its owner has named the origin. Whatever else is wrong (no such
 * source, another origin, no question at all) is answered as if there were no OPTIONS.
 *
 * Nothing is parsed before the proof. A batch is taken event by event: one that is refused for now
 * refuses the request, and those that were taken are known when it comes again. */
#include "api/inbox_int.h"
#include "base/log.h"

#define BUSY_RETRY_S     "1"
#define ORIGIN_BYTES_MAX 253

static bool header_at(void *ctx, size_t n, str *out_name, str *out_value) {
    const struct http_request *q = ctx;
    if (n >= q->header_count)
        return false;
    *out_name = q->headers[n].name;
    *out_value = q->headers[n].value;
    return true;
}

static int stranger(struct err *err) {
    return err_set(err, ERR_UNAUTHORISED, "There is no such source, or its signature is wrong.");
}

/* The source, when this is from whom it says. One that there is not takes as long as another. */
static int find_source(struct api_request *r, const struct inbox_request *q,
                       struct inbox_source *out, struct err *err) {
    static const struct principal server = {.all = true};
    static const struct inbox_rule nobody = {
        .scheme = INBOX_STANDARD, .secret = {"whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 38}};
    struct id id;
    int rc = ERR_NOT_FOUND;
    if (id_parse(r->match.params[0], &id))
        rc = inbox_source_get(r->store, &server, id, r->arena, out, err);
    if (rc < 0 && rc != ERR_NOT_FOUND)
        return rc;
    bool known = rc == 0;
    bool proved = inbox_proved(known ? &out->rule : &nobody, q, r->arena);
    return known && proved ? 0 : stranger(err);
}

/* 1: it was delivered before; 0: it was not. */
static int look(struct api_request *r, const struct inbox_event *e, struct inbox_delivery *d,
                struct err *err) {
    struct inbox_delivery first;
    bool found = false;
    int rc =
        inbox_find(r->store, d->source_id, e->key, d->received_at, r->arena, &found, &first, err);
    if (rc < 0 || !found)
        return rc;
    if (!str_eq(first.digest, e->digest))
        return err_set(err, ERR_INVALID,
                       "Something else was delivered under this key (id, header, or signature's "
                       "id).");
    d->id = first.id;
    return 1;
}

static int take(struct api_request *r, const struct inbox_source *s, const struct inbox_event *e,
                struct inbox_delivery *d, struct err *err) {
    int rc = look(r, e, d, err);
    if (rc == 0)
        rc = inbox_act(r, s, d, false, err);
    if (rc == ERR_REPEATED) { /* another process was faster, or the source is gone */
        rc = look(r, e, d, err);
        if (rc == 0)
            rc = stranger(err);
    }
    return rc;
}

static int take_alone(struct api_request *r, const struct inbox_source *s,
                      const struct inbox_event *e, struct id *out, bool *out_again,
                      struct err *err) {
    int64_t now = rt_now_us(fiber_rt());
    struct inbox_delivery d = {.id = id_v7(),
                               .source_id = s->id,
                               .key = e->key,
                               .digest = e->digest,
                               .event = e->text,
                               .received_at = now,
                               .expires_at = now + s->retention_us};
    str flight = arena_printf(r->arena, "\n" STR_FMT "\n" STR_FMT, STR_ARG(id_hex(r->arena, s->id)),
                              STR_ARG(e->key));
    struct map *flights = api_flights(r->api);
    if (map_get(flights, flight)) {
        http_reply_header(r->http, STR("Retry-After"), STR(BUSY_RETRY_S));
        return err_set(err, ERR_REPEATED, "This delivery is being worked on.");
    }
    map_put(flights, flight, r);
    int rc = take(r, s, e, &d, err);
    map_remove(flights, flight);
    if (rc < 0)
        return rc;
    *out = d.id;
    *out_again = rc == 1;
    return 0;
}

static void write_taken(struct json_writer *w, struct id id) {
    jw_object(w);
    jw_key(w, "delivery_id");
    api_write_id(w, id);
    jw_object_end(w);
}

static int answer(struct api_request *r, const struct id *ids, size_t total, bool batch) {
    struct json_writer w = api_json(r);
    if (!batch) {
        write_taken(&w, ids[0]);
        return api_reply_json(r, 200);
    }
    jw_object(&w);
    jw_key(&w, "deliveries");
    jw_array(&w);
    for (size_t i = 0; i < total; i++)
        write_taken(&w, ids[i]);
    jw_array_end(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_inbox_receive(struct api_request *r, struct err *err) {
    struct inbox_source source;
    struct inbox_event *events;
    struct inbox_request q = {.header = header_at,
                              .ctx = r->http,
                              .body = r->http->body,
                              .token = http_query_get(&r->query, "access_token"),
                              .now_s = rt_now_us(fiber_rt()) / 1000000};
    size_t total = 0, repeated = 0;
    bool batch = false, again = false;
    int rc = 0;
    if (q.body.len > INBOX_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "A delivery has at most %zu bytes.", INBOX_BYTES_MAX);
    rc = find_source(r, &q, &source, err);
    if (rc == 0)
        rc = inbox_events_read(&source.rule, &q, r->arena, &events, &total, &batch, err);
    if (rc < 0)
        return rc;
    struct id *ids = ARENA_ARRAY(r->arena, struct id, total + 1);
    for (size_t i = 0; i < total; i++) {
        rc = take_alone(r, &source, &events[i], &ids[i], &again, err);
        if (rc < 0)
            return rc;
        repeated += again;
        api_inbox_count(r->api, again);
    }
    if (total && repeated == total)
        http_reply_header(r->http, STR("Idempotency-Replayed"), STR("true"));
    return answer(r, ids, total, batch);
}

/* --- consent --- */

static bool agrees(struct api_request *r, str origins, str origin) {
    yyjson_val *list, *item;
    size_t i, n;
    if (!origins.p || json_parse(r->arena, origins, &list, NULL) < 0)
        return false;
    yyjson_arr_foreach(list, i, n, item) {
        if (str_eq(json_str(item), STR("*")) || str_ieq(json_str(item), origin))
            return true;
    }
    return false;
}

int api_inbox_consent(struct api_request *r, struct err *err) {
    static const struct principal server = {.all = true};
    struct inbox_source s;
    struct id id;
    str origin = str_trim(http_header(r->http, STR("webhook-request-origin")));
    int rc = ERR_NOT_FOUND;
    if (id_parse(r->match.params[0], &id) && origin.len && origin.len <= ORIGIN_BYTES_MAX)
        rc = inbox_source_get(r->store, &server, id, r->arena, &s, err);
    if (rc < 0 && rc != ERR_NOT_FOUND)
        return rc;
    http_reply_header(r->http, STR("Allow"), STR("POST"));
    if (rc < 0 || !agrees(r, s.origins, origin)) {
        r->status = 405;
        http_reply(r->http, 405, STR("application/json"),
                   STR("{\"detail\":\"Method Not Allowed\"}"));
        return 0;
    }
    http_reply_header(r->http, STR("WebHook-Allowed-Origin"), origin);
    http_reply_header(r->http, STR("WebHook-Allowed-Rate"), STR("*"));
    return api_reply_empty(r, 200);
}
