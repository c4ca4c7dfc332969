/* SPDX-License-Identifier: Apache-2.0 */
/* outbox.c - the webhook of a run, told by the batch that ends it.
 *
 * What is sent is fixed here, with the state as it is at the end: the run as the API shows it, its
 * kwargs, when it began and ended, the values, the error. When it is sent, and to which address
 * that leads, is the relay's part (src/delivery). A run without a webhook costs a look at its
 * kwargs.
 *
 * Of a run that a client of A2A began those are told, too, who asked for it meanwhile: the batch
 * looks for them (store/push_configs.h). */
#include "base/clock.h"
#include "base/log.h"
#include "engine/engine_int.h"
#include "store/deliveries.h"
#include "store/push_configs.h"

#define PAYLOAD_BYTES_MAX ((size_t)256 << 20)

static yyjson_val *kwargs_of(struct live_run *run) {
    yyjson_val *kwargs = run->kwargs;
    if (kwargs)
        return kwargs;
    /* It ended before it began, maybe of another process: most have none. */
    if (str_find(run->row.kwargs, STR("\"webhook\"")) < 0 ||
        json_parse(&run->arena, run->row.kwargs, &kwargs, NULL) < 0)
        return NULL;
    return kwargs;
}

static void write_id(struct json_writer *w, const char *key, struct id id) {
    char text[ID_DASHED_LEN];
    id_write_dashed(id, text);
    jw_key(w, key);
    jw_str(w, str_n(text, sizeof(text)));
}

static void write_time(struct json_writer *w, const char *key, int64_t wall_us) {
    char text[TIME_ISO_LEN];
    jw_key(w, key);
    if (wall_us == 0) {
        jw_null(w);
        return;
    }
    time_write_iso(wall_us, text);
    jw_str(w, str_n(text, sizeof(text)));
}

static void write_run(struct json_writer *w, const struct live_run *run, str status, int64_t now) {
    const struct run *row = &run->row;
    write_id(w, "run_id", row->id);
    write_id(w, "thread_id", row->thread_id);
    write_id(w, "assistant_id", row->assistant_id);
    write_time(w, "created_at", row->created_at);
    write_time(w, "updated_at", now);
    jw_key(w, "status");
    jw_str(w, status);
    jw_key(w, "metadata");
    jw_raw(w, row->metadata);
    jw_key(w, "multitask_strategy");
    jw_str(w, row->multitask_strategy);
    jw_key(w, "kwargs");
    jw_raw(w, row->kwargs);
    write_time(w, "run_started_at", run->started_at);
    write_time(w, "run_ended_at", now);
}

void outbox_run_end_add(struct live_run *run, struct db_batch *b, enum cancel_action action,
                        str reason) {
    yyjson_val *kwargs = kwargs_of(run);
    str target = json_str(json_get(kwargs, "webhook"));
    if (target.len == 0)
        return;
    struct engine *e = run->engine;
    int64_t now = rt_now_us(e->rt);
    str values = run->root.view.channels ? state_values_json(&run->root.view) : STR_NULL;
    struct buf text;
    buf_init(&text, PAYLOAD_BYTES_MAX);
    struct json_writer w = json_writer(&text);
    jw_object(&w);
    spans_kwargs_write(&w, &run->inside.context); /* first: the relay looks for it there */
    write_run(&w, run, action == CANCEL_ROLLBACK ? STR("rollback") : run_status_name(run->status),
              now);
    if (reason.p) {
        jw_key(&w, "cancel_reason");
        jw_str(&w, reason);
    }
    jw_key(&w, "values");
    jw_raw(&w, values);
    jw_key(&w, "error");
    jw_raw(&w, run->error);
    jw_object_end(&w);
    str owner =
        run->owner.p
            ? run->owner
            : json_str(json_get(json_get(json_get(kwargs, "config"), "configurable"), "owner"));
    if (buf_ok(&text))
        delivery_add(b,
                     &(struct delivery){.id = id_v7(),
                                        .owner = owner,
                                        .kind = STR("webhook"),
                                        .order_key = STR(""),
                                        .target = target,
                                        .payload = arena_dup(&run->arena, buf_view(&text))},
                     now);
    else
        log_event(LOG_ERROR, "webhook.too_large", "a run's end is not told: it is too large",
                  LOG_STR("run_id", id_dashed(&run->arena, run->row.id)));
    buf_deinit(&text);
    run->told = true;
}

bool outbox_has_push(const struct live_run *run) {
    /* One that ended before it began is not read for it: a look in vain costs little. */
    return run->kwargs ? yyjson_is_true(json_get(run->kwargs, "a2a"))
                       : str_find(run->row.kwargs, STR("\"a2a\"")) >= 0;
}

void outbox_push_add(struct live_run *run, struct db_batch *b) {
    if (!outbox_has_push(run))
        return;
    push_told_add(b, run->row.id, rt_now_us(run->engine->rt));
    run->told = true;
}

void outbox_grew(const struct live_run *run) {
    const struct engine *e = run->engine;
    if (run->told && e->outbox_grew)
        e->outbox_grew(e->outbox_ctx);
    if (e->ended && !run->temporary)
        e->ended(e->ended_ctx, run->row.thread_id);
}

void engine_outbox_set(struct engine *e, void (*grew)(void *ctx), void *ctx) {
    e->outbox_grew = grew;
    e->outbox_ctx = ctx;
    hub_outbox_set(e->hub, grew, ctx);
}
