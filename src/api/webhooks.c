/* SPDX-License-Identifier: Apache-2.0 */
/* webhooks.c - the handlers of /webhooks: who is told of the events of plans.
 *
 * A webhook's secret is answered once, when it is made. What is to be told and what was given up
 * shows under /deliveries. A replay reads the log again: its events have the ids that they had. */
#include "store/webhooks.h"
#include "api/api_int.h"
#include "delivery/delivery.h"
#include "history/log.h"
#include "model/webhook_secret.h"
#include "plans/outbox.h"

#define URL_BYTES_MAX     2048
#define PROJECT_BYTES_MAX 200
#define RATE_MAX          600000 /* requests a minute */
#define REPLAY_MAX        1000   /* entries of the log in one call */

static void write_webhook(struct json_writer *w, const struct webhook *h, bool secret) {
    jw_object(w);
    jw_key(w, "webhook_id");
    api_write_id(w, h->id);
    jw_key(w, "url");
    jw_str(w, h->url);
    jw_key(w, "project_id");
    jw_str(w, h->project.len ? h->project : STR_NULL);
    jw_key(w, "types");
    jw_raw(w, h->types);
    jw_key(w, "mode");
    jw_str(w, word_text(&WEBHOOK_MODES, (int)h->mode));
    jw_key(w, "handshake");
    jw_bool(w, h->handshake);
    jw_key(w, "rate");
    if (h->rate)
        jw_i64(w, h->rate);
    else
        jw_null(w);
    jw_key(w, "status");
    jw_z(w, h->gone ? "gone" : "active");
    jw_key(w, "created_at");
    api_write_time(w, h->created_at);
    jw_key(w, "updated_at");
    api_write_time(w, h->updated_at);
    if (secret) {
        jw_key(w, "secret");
        jw_str(w, h->secret);
    }
    jw_object_end(w);
}

static int reply(struct api_request *r, int status, const struct webhook *h, bool secret) {
    struct json_writer w = api_json(r);
    write_webhook(&w, h, secret);
    if (secret)
        api_reply_secret(r);
    return api_reply_json(r, status);
}

/* --- making --- */

static void read_secret(struct body *b, struct webhook *h) {
    h->secret = body_str(b, "secret", STR_NULL);
    if (!h->secret.p)
        h->secret = webhook_secret_make(b->a);
    else if (!webhook_secret_is_fine(b->a, h->secret))
        body_fault(b, "secret", WEBHOOK_SECRET_FAULT, WEBHOOK_KEY_BYTES_MIN, WEBHOOK_KEY_BYTES_MAX);
}

static void read_types(struct body *b, struct webhook *h) {
    yyjson_val *list = body_str_array(b, "types"), *item;
    size_t i, n;
    h->types = STR("[\"*\"]");
    h->steps = true;
    if (!list)
        return;
    h->steps = false;
    if (yyjson_arr_size(list) == 0 || yyjson_arr_size(list) > EVENT_TYPES_MAX)
        body_fault(b, "types", "must have 1 to %d entries", EVENT_TYPES_MAX);
    yyjson_arr_foreach(list, i, n, item) {
        str pattern = json_str(item);
        if (!plans_event_pattern_ok(pattern))
            body_fault(b, "types", "\"" STR_FMT "\" is none; plan.failed, step.* and * are",
                       STR_ARG(str_slice(pattern, 0, pattern.len < 60 ? pattern.len : 60)));
        h->steps = h->steps || str_starts(pattern, STR("step.")) || str_eq(pattern, STR("*"));
    }
    h->types = json_text(b->a, list);
}

/* Consent that its target is asked for. */
static void read_handshake(struct api_request *r, struct body *b, struct webhook *h) {
    h->handshake = body_bool(b, "handshake", false);
    h->rate = body_int(b, "rate", (struct body_range){1, RATE_MAX, 0});
    if (h->rate && !h->handshake)
        body_fault(b, "rate", "is asked for by the handshake only");
    if (h->handshake && !delivery_has_origin(api_options_of(r->api)->delivery))
        body_fault(b, "handshake", "this server has no name to ask in (--webhook-origin)");
}

int api_webhook_create(struct api_request *r, struct err *err) {
    struct body b;
    int64_t now = rt_now_us(fiber_rt());
    struct webhook h = {.id = id_v7(), .owner = r->who.owner, .created_at = now, .updated_at = now};
    body_init(&b, r->arena, r->body);
    h.url = body_str_required(&b, "url");
    h.project = body_str_sized(&b, "project_id", 1, PROJECT_BYTES_MAX, STR_NULL);
    h.mode = (enum webhook_mode)body_enum(&b, "mode", &WEBHOOK_MODES, WEBHOOK_BATCH);
    read_types(&b, &h);
    read_secret(&b, &h);
    read_handshake(r, &b, &h);
    if (h.url.len > URL_BYTES_MAX)
        body_fault(&b, "url", "must have at most %d characters", URL_BYTES_MAX);
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = delivery_check_target(api_options_of(r->api)->delivery, h.url, err);
    if (rc == 0)
        rc = webhook_create(r->store, &h, r->arena, err);
    return rc < 0 ? rc : reply(r, 201, &h, true);
}

/* --- reading --- */

int api_webhook_list(struct api_request *r, struct err *err) {
    struct webhook *list;
    size_t count;
    int rc = webhook_list(r->store, &r->who, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_webhook(&w, &list[i], false);
    jw_array_end(&w);
    return api_reply_json(r, 200);
}

static int read_id(struct api_request *r, struct id *out, struct err *err) {
    return api_param_id(r, 0, out, err, "Webhook not found");
}

static int find(struct api_request *r, struct webhook *out, struct err *err) {
    struct id id;
    int rc = read_id(r, &id, err);
    return rc < 0 ? rc : webhook_get(r->store, &r->who, id, r->arena, out, err);
}

int api_webhook_get(struct api_request *r, struct err *err) {
    struct webhook h;
    int rc = find(r, &h, err);
    return rc < 0 ? rc : reply(r, 200, &h, false);
}

/* --- changing --- */

int api_webhook_delete(struct api_request *r, struct err *err) {
    struct id id;
    int rc = read_id(r, &id, err);
    if (rc == 0)
        rc = webhook_delete(r->store, &r->who, id, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

int api_webhook_enable(struct api_request *r, struct err *err) {
    struct webhook h;
    struct id id;
    int rc = read_id(r, &id, err);
    if (rc == 0)
        rc = webhook_enable(r->store, &r->who, id, rt_now_us(fiber_rt()), r->arena, err);
    if (rc == 0)
        rc = webhook_get(r->store, &r->who, id, r->arena, &h, err);
    return rc < 0 ? rc : reply(r, 200, &h, false);
}

/* "seq.index", as GET /plans/runs/{plan_id}/events shows it. */
static void read_event(struct body *b, struct webhook_replay *out) {
    str text = body_str(b, "event", STR_NULL);
    int64_t seq;
    ptrdiff_t dot = str_find_char(text, '.');
    if (!text.p)
        return;
    if (dot < 1 || !str_to_i64(str_slice(text, 0, (size_t)dot), &seq) || seq < 1 ||
        !str_to_i64(str_slice(text, (size_t)dot + 1, text.len), &out->only) || out->only < 0) {
        body_fault(b, "event", "must be the id of an event");
        return;
    }
    out->after = seq - 1;
    out->until = seq;
}

int api_webhook_replay(struct api_request *r, struct err *err) {
    struct webhook h;
    struct body b;
    struct plan_row plan;
    struct plan_step_row *steps;
    struct webhook_replay p = {
        .kind = LOG_STEPS, .until = INT64_MAX, .only = -1, .limit = REPLAY_MAX};
    size_t count;
    int64_t last;
    int rc = find(r, &h, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    p.webhook = h.id;
    p.plan = body_id_required(&b, "plan_id");
    p.after = body_int(&b, "after", (struct body_range){0, INT64_MAX - 1, 0});
    read_event(&b, &p);
    rc = body_done(&b, err);
    if (rc == 0)
        rc = plan_get(r->store, &r->who, p.plan, 0, r->arena, &plan, &steps, &count, err);
    if (rc == 0 && !str_eq(plan.owner, h.owner))
        rc = err_set(err, ERR_NOT_FOUND, "Plan run not found");
    if (rc == 0)
        rc = webhook_replay(r->store, &p, rt_now_us(fiber_rt()), r->arena, &count, &last, err);
    if (rc < 0)
        return rc;
    delivery_wake(api_options_of(r->api)->delivery);
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "entries");
    jw_i64(&w, (int64_t)count);
    jw_key(&w, "next");
    if (count == REPLAY_MAX)
        jw_i64(&w, last);
    else
        jw_null(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}
