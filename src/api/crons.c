/* SPDX-License-Identifier: Apache-2.0 */
/* crons.c - the handlers of /runs/crons and /threads/{thread_id}/runs/crons.
 *
 * A cron's payload is the RunCreate that each of its runs is made of. It is checked when it is
 * given, as a run's body would be, so that a wrong one is refused now and not at night. The
 * thread must be the caller's, and stays the only one: what a configuration says about thread_id
 * is the server's to overwrite. A change reads the row, makes the new one and writes it if
 * nobody was faster. */
#include "engine/crons.h"
#include "api/api_int.h"
#include "api/runs_int.h"
#include "base/clock.h"
#include "model/time_zone.h"
#include "store/crons.h"

#define CHANGE_TRIES_MAX 8

enum cron_field {
    FIELD_ID,
    FIELD_ASSISTANT,
    FIELD_THREAD,
    FIELD_END,
    FIELD_SCHEDULE,
    FIELD_TIMEZONE,
    FIELD_CREATED,
    FIELD_UPDATED,
    FIELD_USER,
    FIELD_PAYLOAD,
    FIELD_NEXT,
    FIELD_METADATA,
    FIELD_ENABLED,
    FIELD_COMPLETED
};
#define FIELDS_ALL 0x3fffu
static const struct word FIELD_LIST[] = {
    {STR("cron_id"), FIELD_ID},         {STR("assistant_id"), FIELD_ASSISTANT},
    {STR("thread_id"), FIELD_THREAD},   {STR("end_time"), FIELD_END},
    {STR("schedule"), FIELD_SCHEDULE},  {STR("timezone"), FIELD_TIMEZONE},
    {STR("created_at"), FIELD_CREATED}, {STR("updated_at"), FIELD_UPDATED},
    {STR("user_id"), FIELD_USER},       {STR("payload"), FIELD_PAYLOAD},
    {STR("next_run_date"), FIELD_NEXT}, {STR("metadata"), FIELD_METADATA},
    {STR("enabled"), FIELD_ENABLED},    {STR("on_run_completed"), FIELD_COMPLETED},
};
static const struct word_set FIELDS = {FIELD_LIST, ARRAY_COUNT(FIELD_LIST)};

static const struct word SORT_LIST[] = {
    {STR("cron_id"), CRON_BY_ID},         {STR("assistant_id"), CRON_BY_ASSISTANT},
    {STR("thread_id"), CRON_BY_THREAD},   {STR("next_run_date"), CRON_BY_NEXT},
    {STR("end_time"), CRON_BY_END},       {STR("created_at"), CRON_BY_CREATED},
    {STR("updated_at"), CRON_BY_UPDATED},
};
static const struct word_set SORTS = {SORT_LIST, ARRAY_COUNT(SORT_LIST)};

/* --- encoding --- */

static bool wants(struct json_writer *w, unsigned fields, enum cron_field field) {
    if (!(fields >> field & 1))
        return false;
    jw_key_str(w, word_text(&FIELDS, (int)field));
    return true;
}

static void write_cron(struct json_writer *w, const struct cron *c, unsigned fields) {
    jw_object(w);
    if (wants(w, fields, FIELD_ID))
        api_write_id(w, c->id);
    if (wants(w, fields, FIELD_ASSISTANT))
        api_write_id_or_null(w, c->assistant_id);
    if (wants(w, fields, FIELD_THREAD))
        api_write_id_or_null(w, c->thread_id);
    if (wants(w, fields, FIELD_END))
        api_write_time_or_null(w, c->end_us);
    if (wants(w, fields, FIELD_SCHEDULE))
        jw_str(w, c->schedule);
    if (wants(w, fields, FIELD_TIMEZONE))
        jw_str(w, c->timezone); /* absent: null */
    if (wants(w, fields, FIELD_CREATED))
        api_write_time(w, c->created_at);
    if (wants(w, fields, FIELD_UPDATED))
        api_write_time(w, c->updated_at);
    if (wants(w, fields, FIELD_USER))
        jw_str(w, c->owner.len ? c->owner : STR_NULL);
    if (wants(w, fields, FIELD_PAYLOAD))
        jw_raw(w, c->payload);
    if (wants(w, fields, FIELD_NEXT))
        api_write_time_or_null(w, c->next_us);
    if (wants(w, fields, FIELD_METADATA))
        jw_raw(w, c->metadata);
    if (wants(w, fields, FIELD_ENABLED))
        jw_bool(w, c->enabled);
    if (wants(w, fields, FIELD_COMPLETED))
        jw_str(w, !id_is_nil(c->thread_id) ? STR_NULL : c->keep ? STR("keep") : STR("delete"));
    jw_object_end(w);
}

static int reply_cron(struct api_request *r, const struct cron *c) {
    struct json_writer w = api_json(r);
    write_cron(&w, c, FIELDS_ALL);
    return api_reply_json(r, 200);
}

/* --- reading --- */

static const char *const PAYLOAD_KEYS[] = {"input",
                                           "config",
                                           "context",
                                           "webhook",
                                           "interrupt_before",
                                           "interrupt_after",
                                           "stream_mode",
                                           "stream_subgraphs",
                                           "durability",
                                           "stream_resumable",
                                           "feedback_keys",
                                           "multitask_strategy"};

/* The payload with what the body gives. null takes a member away, but a null input is one. */
static str payload_read(struct api_request *r, str payload, struct id assistant_id) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    for (size_t i = 0; i < ARRAY_COUNT(PAYLOAD_KEYS); i++) {
        yyjson_val *v = json_get(r->body, PAYLOAD_KEYS[i]);
        if (!v)
            continue;
        if (yyjson_is_null(v) && i > 0) {
            payload = json_without(r->arena, payload, PAYLOAD_KEYS[i]);
            continue;
        }
        jw_key(&w, PAYLOAD_KEYS[i]);
        jw_val(&w, v);
    }
    jw_key(&w, "assistant_id");
    api_write_id(&w, assistant_id);
    jw_object_end(&w);
    str merged = json_merge(r->arena, payload, arena_dup(r->arena, buf_view(&b)));
    buf_deinit(&b);
    return merged;
}

/* Members that decide when it fires. true: some of them was given. */
static bool times_read(struct body *b, struct cron *c) {
    static const struct word COMPLETED[] = {{STR("delete"), false}, {STR("keep"), true}};
    static const struct word_set COMPLETED_WORDS = {COMPLETED, ARRAY_COUNT(COMPLETED)};
    c->schedule = body_str(b, "schedule", c->schedule);
    c->enabled = body_bool(b, "enabled", c->enabled);
    c->keep = body_enum(b, "on_run_completed", &COMPLETED_WORDS, c->keep) != 0;
    if (body_has(b, "timezone"))
        c->timezone = body_str_sized(b, "timezone", 1, TIME_ZONE_NAME_MAX, STR_NULL);
    if (body_has(b, "end_time")) {
        str text = body_str(b, "end_time", STR_NULL);
        c->end_us = 0;
        if (text.p && (!time_parse_iso(text, &c->end_us) || c->end_us <= 0))
            body_fault(b, "end_time", "must be a time such as 2030-01-31T12:00:00Z");
    }
    static const char *const keys[] = {"schedule", "enabled", "timezone", "end_time"};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++)
        if (body_has(b, keys[i]))
            return true;
    return false;
}

/* Sets the next instant. Instants that were decided already never come again. */
static int schedule_apply(struct api_request *r, struct cron *c, struct err *err) {
    int64_t now = clock_wall_us(), after = c->fired_us > now ? c->fired_us : now;
    int rc = engine_cron_next(r->engine, c->schedule, c->timezone, after, &c->next_us, err);
    if (rc < 0)
        return rc;
    if (!c->enabled || (c->end_us && c->next_us > c->end_us))
        c->next_us = 0;
    return 0;
}

/* An assistant that the caller may use, by id or by the name of a graph. */
static int assistant_read(struct api_request *r, str name, struct id *out, struct err *err) {
    struct assistant found;
    if (!id_parse(name, out)) {
        if (!engine_has_graph(r->engine, name))
            return api_assistant_unknown(name, err);
        *out = assistant_id_of_graph(name);
    }
    int rc = assistant_get(r->store, &r->who, *out, r->arena, &found, err);
    return rc == ERR_NOT_FOUND ? api_assistant_unknown(name, err) : rc;
}

static int payload_check(struct api_request *r, const struct cron *c, struct err *err) {
    struct run_submit s = {
        .who = &r->who, .assistant_id = c->assistant_id, .thread_id = c->thread_id};
    int rc = json_parse(r->arena, c->payload, &s.body, err);
    if (rc == 0)
        rc = run_check_webhook(r, json_get(s.body, "webhook"), err);
    return rc < 0 ? rc : engine_check(r->engine, &s, err);
}

/* --- one cron --- */

struct cron_answer {
    struct api_request *r;
    const struct cron *cron;
};

/* What the answer will be, kept by the batch that creates the cron. */
static void keep_cron(void *ctx, struct db_batch *b, int64_t now_us) {
    const struct cron_answer *answer = ctx;
    struct json_writer w = api_json(answer->r);
    (void)now_us; /* it stands in the cron */
    write_cron(&w, answer->cron, FIELDS_ALL);
    api_keyed_add(answer->r, b, arena_dup(answer->r->arena, buf_view(w.b)), ID_NIL, ID_NIL);
}

static int create(struct api_request *r, struct id thread_id, struct err *err) {
    struct body b;
    body_init(&b, r->arena, r->body);
    struct cron c = {.thread_id = thread_id, .enabled = true, .timezone = STR_NULL};
    str assistant = body_str_required(&b, "assistant_id");
    (void)body_str_required(&b, "schedule");
    (void)times_read(&b, &c);
    c.metadata = store_metadata(r->arena, body_object(&b, "metadata"));
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = assistant_read(r, assistant, &c.assistant_id, err);
    if (rc < 0)
        return rc;
    str payload = id_is_nil(thread_id) ? STR("{}") : STR("{\"multitask_strategy\":\"enqueue\"}");
    c.payload = payload_read(r, payload, c.assistant_id);
    rc = payload_check(r, &c, err);
    if (rc == 0)
        rc = schedule_apply(r, &c, err);
    if (rc == 0 && c.enabled && c.next_us == 0)
        return err_set(err, ERR_INVALID, "end_time: the schedule does not fire before it");
    struct cron_answer answer = {r, &c};
    struct store_rider rider = {keep_cron, &answer};
    struct store store = *r->store;
    store.with = r->keyed ? &rider : NULL;
    if (rc == 0)
        rc =
            cron_create(&store, &r->who, &c, api_options_of(r->api)->cron_count_max, r->arena, err);
    if (rc < 0)
        return rc;
    engine_crons_changed(r->engine);
    return reply_cron(r, &c);
}

int api_cron_create(struct api_request *r, struct err *err) { return create(r, ID_NIL, err); }

int api_thread_cron_create(struct api_request *r, struct err *err) {
    struct id id;
    struct thread thread;
    int rc = api_param_id(r, 0, &id, err, "Thread with ID " STR_FMT " not found",
                          STR_ARG(r->match.params[0]));
    if (rc == 0)
        rc = thread_get(r->store, &r->who, id, r->arena, &thread, err);
    return rc < 0 ? rc : create(r, id, err);
}

int api_cron_get(struct api_request *r, struct err *err) {
    struct id id;
    struct cron c;
    int rc = api_param_id(r, 0, &id, err, "Cron not found");
    if (rc == 0)
        rc = cron_get(r->store, &r->who, id, r->arena, &c, err);
    return rc < 0 ? rc : reply_cron(r, &c);
}

static int change(struct api_request *r, struct id id, struct cron *c, struct err *err) {
    struct cron read;
    int rc = cron_get(r->store, &r->who, id, r->arena, &read, err);
    if (rc < 0)
        return rc;
    struct body b;
    body_init(&b, r->arena, r->body);
    *c = read;
    str assistant = body_str(&b, "assistant_id", STR_NULL);
    bool retime = times_read(&b, c);
    str metadata = store_metadata(r->arena, body_object(&b, "metadata"));
    c->metadata = json_merge(r->arena, c->metadata, metadata);
    rc = body_done(&b, err);
    if (rc == 0 && assistant.p)
        rc = assistant_read(r, assistant, &c->assistant_id, err);
    if (rc < 0)
        return rc;
    c->payload = payload_read(r, c->payload, c->assistant_id);
    rc = payload_check(r, c, err);
    if (rc == 0 && retime)
        rc = schedule_apply(r, c, err);
    if (rc == 0)
        rc = cron_update(r->store, &r->who, &read, c, r->arena, err);
    return rc;
}

int api_cron_patch(struct api_request *r, struct err *err) {
    struct id id;
    struct cron c;
    int rc = api_param_id(r, 0, &id, err, "Cron not found");
    for (int tries = 0; rc == 0 && tries < CHANGE_TRIES_MAX; tries++) {
        rc = change(r, id, &c, err);
        if (rc == 0) {
            engine_crons_changed(r->engine);
            return reply_cron(r, &c);
        }
        if (rc == ERR_CONFLICT && tries + 1 < CHANGE_TRIES_MAX)
            rc = 0;
    }
    return rc;
}

int api_cron_delete(struct api_request *r, struct err *err) {
    struct id id;
    int rc = api_param_id(r, 0, &id, err, "Cron not found");
    if (rc == 0)
        rc = cron_delete(r->store, &r->who, id, r->arena, err);
    return rc < 0 ? rc : api_reply_text(r, 200, STR("{}"));
}

/* --- many --- */

struct search {
    struct cron_filter filter;
    bool enabled;
};

static void filter_read(struct body *b, struct search *out) {
    str assistant = body_str(b, "assistant_id", STR_NULL);
    *out = (struct search){
        .filter = {.metadata = api_filter_read(b, "metadata"),
                   .sort = (enum cron_sort)body_enum(b, "sort_by", &SORTS, CRON_BY_CREATED)},
        .enabled = body_bool(b, "enabled", false)};
    if (body_get(b, "enabled"))
        out->filter.enabled = &out->enabled;
    (void)body_id(b, "thread_id", &out->filter.thread_id);
    if (assistant.p && !id_parse(assistant, &out->filter.assistant_id))
        out->filter.assistant_id = assistant_id_of_graph(assistant);
}

int api_cron_search(struct api_request *r, struct err *err) {
    struct body b;
    struct search s;
    body_init(&b, r->arena, r->body);
    filter_read(&b, &s);
    struct page page = api_page_read(&b, 10), wider = page;
    unsigned fields = api_fields_read(&b, "select", &FIELDS, FIELDS_ALL);
    struct cron *list;
    size_t count;
    wider.limit++; /* the row after the page tells whether more follow */
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = cron_search(r->store, &r->who, &s.filter, &wider, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    bool more = count > (size_t)page.limit;
    count -= more;
    struct json_writer w = api_json(r);
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_cron(&w, &list[i], fields);
    jw_array_end(&w);
    api_page_headers(r, &page, count, more);
    return api_reply_json(r, 200);
}

int api_cron_count(struct api_request *r, struct err *err) {
    struct body b;
    struct search s;
    int64_t count;
    body_init(&b, r->arena, r->body);
    filter_read(&b, &s);
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = cron_count(r->store, &r->who, &s.filter, r->arena, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_i64(&w, count);
    return api_reply_json(r, 200);
}
