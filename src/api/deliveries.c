/* SPDX-License-Identifier: Apache-2.0 */
/* deliveries.c - the handlers of /deliveries: the principal's webhooks that were not taken yet, or
 * were given up, and another try for the latter.
 *
 * Payloads are not shown: they are states of threads, and a list of them has no bound. A delivery
 * that was taken has no row any more. */
#include "store/deliveries.h"
#include "api/api_int.h"
#include "delivery/delivery.h"

static const struct word STATUS_LIST[] = {{STR("pending"), 0}, {STR("dead"), 1}};
static const struct word_set STATUSES = {STATUS_LIST, ARRAY_COUNT(STATUS_LIST)};

static void write_delivery(struct json_writer *w, const struct delivery *d) {
    jw_object(w);
    jw_key(w, "delivery_id");
    api_write_id(w, d->id);
    jw_key(w, "kind");
    jw_str(w, d->kind);
    jw_key(w, "target");
    jw_str(w, d->target);
    jw_key(w, "status");
    jw_z(w, d->dead ? "dead" : "pending");
    jw_key(w, "attempts");
    jw_i64(w, d->attempt);
    jw_key(w, "due_at");
    if (d->dead)
        jw_null(w);
    else
        api_write_time(w, d->due_at);
    jw_key(w, "http_status");
    if (d->http_status)
        jw_i64(w, d->http_status);
    else
        jw_null(w);
    jw_key(w, "error");
    jw_str(w, d->error);
    jw_key(w, "created_at");
    api_write_time(w, d->created_at);
    jw_key(w, "updated_at");
    api_write_time(w, d->updated_at);
    jw_object_end(w);
}

int api_delivery_list(struct api_request *r, struct err *err) {
    struct page page = {0};
    struct delivery *list;
    size_t count;
    int status = 0;
    bool dead;
    str text = http_query_get(&r->query, "status");
    int rc = api_query_int(r, "limit", (struct body_range){1, 1000, 10}, &page.limit, err);
    if (rc == 0)
        rc = api_query_int(r, "offset", (struct body_range){0, INT64_MAX, 0}, &page.offset, err);
    if (rc == 0 && text.p && !word_parse(&STATUSES, text, &status)) {
        (void)word_refuse(&STATUSES, err);
        (void)err_context(err, "status");
        rc = ERR_INVALID;
    }
    dead = status == 1;
    if (rc == 0)
        rc = delivery_list(r->store, &r->who, text.p ? &dead : NULL, &page, r->arena, &list, &count,
                           err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_delivery(&w, &list[i]);
    jw_array_end(&w);
    return api_reply_json(r, 200);
}

int api_delivery_retry(struct api_request *r, struct err *err) {
    struct id id;
    int rc = api_param_id(r, 0, &id, err, "Dead delivery not found");
    if (rc == 0)
        rc = delivery_revive(r->store, &r->who, id, rt_now_us(fiber_rt()), r->arena, err);
    if (rc < 0)
        return rc;
    delivery_wake(api_options_of(r->api)->delivery);
    return api_reply_empty(r, 204);
}
