/* SPDX-License-Identifier: Apache-2.0 */
/* outbox.c - what webhooks are sent: CloudEvents 1.0 in JSON, made of an entry of the log.
 *
 *   payload of the row:
 *   {"webhook","plan","thread","run","project","seq","kind","at","data"[,"only"]}
 *     data: the entry as events.c writes it; only: the index of the one event that is wanted again
 *
 *   {"specversion": "1.0", "id": "PLAN.SEQ.INDEX", "source": "/plans/runs/PLAN",
 *    "type": "step.succeeded", "subject": "steps/3", "time": …,
 *    "sequence": "SEQ.INDEX, with zeros",
 *    "datacontenttype": "application/json", "data": {"plan_id", "thread_id", …}}
 *
 * An event's id is a fact of the log: an attempt after a crash and a replay say the same. Mode
 * batch is one message for an entry (application/cloudevents-batch+json), single one for each event
 * (application/cloudevents+json). Where a plan's run ended its entry of kind LOG_END is told as
 * "run.STATUS". */
#include "plans/outbox.h"

#include "base/clock.h"
#include "base/log.h"
#include "history/log.h"
#include "model/webhook_secret.h"

#define BODY_BYTES_MAX ((size_t)16 << 20)

/* --- types --- */

bool plans_event_pattern_ok(str pattern) {
    if (str_eq(pattern, STR("*")))
        return true;
    ptrdiff_t dot = str_find_char(pattern, '.');
    if (dot < 1 || (size_t)dot + 1 >= pattern.len || pattern.len > 100)
        return false;
    str left = str_slice(pattern, 0, (size_t)dot);
    str right = str_slice(pattern, (size_t)dot + 1, pattern.len);
    if (!str_eq(left, STR("plan")) && !str_eq(left, STR("step")) && !str_eq(left, STR("run")) &&
        !str_eq(left, STR("queue")))
        return false;
    for (size_t i = 0; i < right.len; i++)
        if (!(right.p[i] >= 'a' && right.p[i] <= 'z') && right.p[i] != '_')
            return str_eq(right, STR("*"));
    return true;
}

static bool matches(str pattern, str type) {
    if (str_eq(pattern, STR("*")) || str_eq(pattern, type))
        return true;
    return pattern.len > 2 && pattern.p[pattern.len - 1] == '*' &&
           str_starts(type, str_slice(pattern, 0, pattern.len - 1));
}

bool plans_event_wanted(yyjson_val *patterns, str type) {
    yyjson_val *item;
    size_t i, n;
    yyjson_arr_foreach(patterns, i, n, item) {
        if (matches(json_str(item), type))
            return true;
    }
    return false;
}

/* --- events --- */

struct payload {
    str plan, thread, project;
    int64_t seq, kind, only;
    struct plan_event_row row;
};

static int read_payload(struct arena *a, str text, struct payload *out, struct err *err) {
    yyjson_val *v, *only;
    if (json_parse(a, text, &v, NULL) < 0)
        return err_set(err, ERR_CORRUPT, "what is to be told cannot be read");
    only = json_get(v, "only");
    struct id plan, thread, run;
    *out = (struct payload){.project = json_str(json_get(v, "project")),
                            .seq = yyjson_get_sint(json_get(v, "seq")),
                            .kind = yyjson_get_sint(json_get(v, "kind")),
                            .only = only ? yyjson_get_sint(only) : -1};
    if (!id_parse(json_str(json_get(v, "plan")), &plan) ||
        !id_parse(json_str(json_get(v, "thread")), &thread) ||
        !id_parse(json_str(json_get(v, "run")), &run) || !yyjson_is_obj(json_get(v, "data")))
        return err_set(err, ERR_CORRUPT, "what is to be told cannot be read");
    out->plan = id_dashed(a, plan);
    out->thread = id_dashed(a, thread);
    out->row = (struct plan_event_row){.seq = out->seq,
                                       .run_id = run,
                                       .at = yyjson_get_sint(json_get(v, "at")),
                                       .data = json_text(a, json_get(v, "data"))};
    return 0;
}

/* The run's end, as one event. */
static int read_end(struct arena *a, const struct plan_event_row *row, struct plan_event **out,
                    size_t *out_count, struct err *err) {
    yyjson_val *v;
    if (json_parse(a, row->data, &v, NULL) < 0 || !yyjson_is_str(json_get(v, "status")))
        return err_set(err, ERR_CORRUPT, "the end of a run cannot be read");
    *out = ARENA_NEW(a, struct plan_event);
    **out = (struct plan_event){.seq = row->seq,
                                .at = row->at,
                                .status = json_str(json_get(v, "status")),
                                .position = -1,
                                .error = json_str(json_get(json_get(v, "error"), "message"))};
    *out_count = 1;
    return 0;
}

static str type_of(struct arena *a, const struct payload *p, const struct plan_event *e) {
    const char *what = p->kind == LOG_END ? "run"
                       : e->queue.p       ? "queue"
                       : e->position < 0  ? "plan"
                                          : "step";
    return arena_printf(a, "%s." STR_FMT, what, STR_ARG(e->status));
}

static void write_pair(struct json_writer *w, const char *key, str value) {
    jw_key(w, key);
    jw_str(w, value);
}

static void write_data(struct json_writer *w, struct arena *a, const struct payload *p,
                       const struct plan_event *e) {
    jw_key(w, "data");
    jw_object(w);
    write_pair(w, "plan_id", p->plan);
    write_pair(w, "thread_id", p->thread);
    write_pair(w, "run_id", id_dashed(a, p->row.run_id));
    write_pair(w, "project_id", p->project);
    write_pair(w, "status", e->status);
    if (e->queue.p) {
        write_pair(w, "queue", e->queue);
        jw_key(w, "age_ms");
        jw_i64(w, e->age_ms);
        jw_key(w, "position");
        jw_i64(w, e->position);
    } else if (e->position >= 0) {
        jw_key(w, "position");
        jw_i64(w, e->position);
        jw_key(w, "attempt");
        jw_i64(w, e->attempt);
    }
    if (e->error.p)
        write_pair(w, "error", e->error);
    if (e->message.p)
        write_pair(w, "message", e->message);
    jw_object_end(w);
}

static void write_event(struct json_writer *w, struct arena *a, const struct payload *p,
                        const struct plan_event *e, str type) {
    long long seq = e->seq, index = e->index;
    jw_object(w);
    write_pair(w, "specversion", STR("1.0"));
    write_pair(w, "id", arena_printf(a, STR_FMT ".%lld.%lld", STR_ARG(p->plan), seq, index));
    write_pair(w, "source", arena_printf(a, "/plans/runs/" STR_FMT, STR_ARG(p->plan)));
    write_pair(w, "type", type);
    if (e->position >= 0)
        write_pair(w, "subject", arena_printf(a, "steps/%lld", (long long)e->position));
    write_pair(w, "time", time_iso(a, e->at));
    write_pair(w, "sequence", arena_printf(a, "%019lld.%05lld", seq, index));
    write_pair(w, "datacontenttype", STR("application/json"));
    write_data(w, a, p, e);
    jw_object_end(w);
}

static str take(struct arena *a, struct buf *b) {
    str text = arena_dup(a, buf_view(b));
    buf_reset(b);
    return text;
}

int plans_parcel_make(const struct webhook *w, str id, str payload, struct arena *a,
                      struct parcel *out, struct err *err) {
    struct payload p;
    struct plan_event *events = NULL;
    yyjson_val *patterns;
    size_t count = 0, parts = 0;
    bool batch = w->mode == WEBHOOK_BATCH, some = false;
    int rc = read_payload(a, payload, &p, err);
    if (rc == 0)
        rc = p.kind == LOG_END ? read_end(a, &p.row, &events, &count, err)
                               : plan_events_read(a, &p.row, &events, &count, err);
    if (rc == 0 && json_parse(a, w->types, &patterns, NULL) < 0)
        rc = err_set(err, ERR_CORRUPT, "the types of a webhook cannot be read");
    if (rc < 0)
        return rc;
    struct parcel_part *list = ARENA_ARRAY(a, struct parcel_part, count + 1);
    struct buf b;
    buf_init(&b, BODY_BYTES_MAX);
    struct json_writer all = json_writer(&b);
    if (batch)
        jw_array(&all);
    for (size_t i = 0; i < count; i++) {
        str type = type_of(a, &p, &events[i]);
        if ((p.only >= 0 && events[i].index != p.only) || !plans_event_wanted(patterns, type))
            continue;
        struct json_writer one = json_writer(&b);
        write_event(batch ? &all : &one, a, &p, &events[i], type);
        some = true;
        if (!batch)
            list[parts++] = (struct parcel_part){
                arena_printf(a, STR_FMT ".%lld", STR_ARG(id), (long long)events[i].index),
                take(a, &b)};
    }
    if (batch) {
        jw_array_end(&all);
        if (some)
            list[parts++] = (struct parcel_part){id, take(a, &b)};
    }
    bool fits = buf_ok(&b);
    buf_deinit(&b);
    if (!fits)
        return err_set(err, ERR_TOO_LARGE, "what is to be told is too large");
    out->content_type =
        batch ? STR("application/cloudevents-batch+json") : STR("application/cloudevents+json");
    out->parts = list;
    out->count = parts;
    return 0;
}

/* --- the port --- */

static bool webhook_of(const struct delivery *d, struct id *out) {
    ptrdiff_t slash = str_find_char(d->order_key, '/');
    return slash > 0 && id_parse(str_slice(d->order_key, 0, (size_t)slash), out);
}

static int make(void *ctx, const struct delivery *d, struct arena *a, struct parcel *out,
                struct err *err) {
    static const struct principal server = {.all = true};
    struct webhook w;
    struct id id;
    if (!webhook_of(d, &id))
        return err_set(err, ERR_CORRUPT, "whose delivery it is cannot be read");
    int rc = webhook_get(ctx, &server, id, a, &w, err);
    if (rc == ERR_NOT_FOUND) { /* deleted meanwhile */
        err_reset(err);
        return 0;
    }
    if (rc == 0)
        rc = plans_parcel_make(&w, id_dashed(a, d->id), d->payload, a, out, err);
    if (rc < 0)
        return rc;
    if (!webhook_secret_read(a, w.secret, &out->secret))
        return err_set(err, ERR_CORRUPT, "the secret of a webhook cannot be read");
    out->target = w.url;
    out->handshake = w.handshake;
    out->rate = w.rate;
    return 0;
}

static void gone(void *ctx, const struct delivery *d) {
    struct store *s = ctx;
    struct arena a;
    struct id id;
    struct err err = {0};
    arena_init(&a, 1 << 20);
    int rc = webhook_of(d, &id) ? webhook_gone(s, id, rt_now_us(fiber_rt()), &a, &err) : 0;
    if (rc < 0 && rc != ERR_NOT_FOUND)
        log_event(LOG_WARN, "webhook.gone.failed", err.message, LOG_Z("code", err_name(rc)));
    arena_deinit(&a);
}

struct parcel_maker plans_parcel_maker(struct store *store) {
    return (struct parcel_maker){.kind = WEBHOOK_KIND, .make = make, .gone = gone, .ctx = store};
}
