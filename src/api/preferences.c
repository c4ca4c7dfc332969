/* SPDX-License-Identifier: Apache-2.0 */
/* preferences.c - the handlers of /preferences and /threads/{thread_id}/preferences.
 *
 * A request acts on the preferences of its principal. One that names an owner (?owner=) is a
 * service's: only who may register graphs may do that, it passes over `mutable`, and it alone says
 * of a new preference that its owner cannot change it.
 *
 * What holds is read as a run reads it, by the same statement, so both always agree. */
#include "store/preferences.h"
#include "api/api_int.h"
#include "engine/engine.h"

static const struct preference_platform *platform(const struct api_request *r) {
    return &r->store->preferences.platform;
}

static int read_actor(struct api_request *r, struct preference_actor *out, struct err *err) {
    str owner = http_query_get(&r->query, "owner");
    *out = (struct preference_actor){.owner = principal_owner(&r->who)};
    if (!owner.p)
        return 0;
    if (!r->who.graphs)
        return err_set(err, ERR_FORBIDDEN, "owner: only who may register graphs names one");
    out->owner = owner;
    out->service = true;
    return 0;
}

static int read_value(struct api_request *r, str key, str *out, struct err *err) {
    int rc = api_body_object(r, err);
    return rc < 0
               ? rc
               : preference_check(platform(r), r->arena, key, json_get(r->body, "value"), out, err);
}

static int read_mutable(struct api_request *r, struct preference_actor *by, struct err *err) {
    yyjson_val *v = json_get(r->body, "mutable");
    if (!v)
        return 0;
    if (!yyjson_is_bool(v))
        return err_set(err, ERR_INVALID, "mutable: must be true or false");
    if (!by->service)
        return err_set(err, ERR_INVALID, "mutable: is a service's to say, with ?owner=");
    by->fixes = yyjson_is_false(v);
    return 0;
}

/* --- answers --- */

static void write_preference(struct json_writer *w, const struct preference *p) {
    jw_object(w);
    jw_key(w, "key");
    jw_str(w, p->key);
    jw_key(w, "value");
    jw_raw(w, p->value);
    jw_key(w, "mutable");
    jw_bool(w, p->mutable);
    jw_key(w, "updated_at");
    api_write_time(w, p->updated_at);
    jw_object_end(w);
}

static int reply_one(struct api_request *r, const struct preference *p) {
    struct json_writer w = api_json(r);
    write_preference(&w, p);
    return api_reply_json(r, 200);
}

static int reply_list(struct api_request *r, const struct preference *list, size_t count) {
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "preferences");
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        write_preference(&w, &list[i]);
    jw_array_end(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

static int reply_values(struct api_request *r, str object) {
    return api_reply_text(r, 200, object.p ? object : STR("{}"));
}

/* --- the owner's --- */

/* `keys` of the query as a JSON list; absent: all of them. */
static int read_keys(struct api_request *r, str *out, struct err *err) {
    str *list;
    size_t count;
    struct buf b;
    *out = STR_NULL;
    int rc = http_query_list(r->arena, &r->query, "keys", true, &list, &count, err);
    if (rc < 0 || count == 0)
        return rc;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        if (rc == 0 && !preference_is_key(list[i]))
            rc = err_set(err, ERR_INVALID, "keys: no. %zu is not a preference's key", i);
        jw_str(&w, list[i]);
    }
    jw_array_end(&w);
    *out = arena_take(r->arena, &b);
    return rc;
}

int api_preference_list(struct api_request *r, struct err *err) {
    struct preference_actor by;
    struct preference *list;
    size_t count;
    str keys;
    int rc = read_actor(r, &by, err);
    if (rc == 0)
        rc = read_keys(r, &keys, err);
    if (rc == 0)
        rc = preference_list(r->store, by.owner, keys, r->arena, &list, &count, err);
    return rc < 0 ? rc : reply_list(r, list, count);
}

int api_preference_get(struct api_request *r, struct err *err) {
    struct preference_actor by;
    struct preference p;
    int rc = read_actor(r, &by, err);
    if (rc == 0)
        rc = preference_get(r->store, by.owner, r->match.params[0], r->arena, &p, err);
    return rc < 0 ? rc : reply_one(r, &p);
}

int api_preference_put(struct api_request *r, struct err *err) {
    struct preference_actor by;
    struct preference p;
    str key = r->match.params[0], value;
    int rc = read_actor(r, &by, err);
    if (rc == 0)
        rc = read_value(r, key, &value, err);
    if (rc == 0)
        rc = read_mutable(r, &by, err);
    if (rc == 0)
        rc = preference_put(r->store, &by, key, value, r->arena, &p, err);
    return rc < 0 ? rc : reply_one(r, &p);
}

int api_preference_put_all(struct api_request *r, struct err *err) {
    struct preference_actor by;
    struct preference *list = NULL;
    yyjson_val *key, *value;
    size_t i, n, count = 0;
    str text;
    int rc = read_actor(r, &by, err);
    if (rc == 0)
        rc = api_body_object(r, err);
    if (rc == 0 && yyjson_obj_size(r->body) > PREFERENCE_COUNT_MAX)
        rc = err_set(err, ERR_TOO_LARGE, "at most %d preferences are put at once",
                     PREFERENCE_COUNT_MAX);
    if (rc < 0)
        return rc;
    yyjson_obj_foreach(r->body, i, n, key, value) {
        rc = preference_check(platform(r), r->arena, json_str(key), value, &text, err);
        if (rc < 0)
            return rc;
    }
    rc = preference_put_all(r->store, &by, r->body, r->arena, &list, &count, err);
    return rc < 0 ? rc : reply_list(r, list, count);
}

int api_preference_delete(struct api_request *r, struct err *err) {
    struct preference_actor by;
    int rc = read_actor(r, &by, err);
    if (rc == 0)
        rc = preference_delete(r->store, &by, r->match.params[0], r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

/* --- what holds --- */

static int read_context(struct api_request *r, struct run_context_key *key, struct run_context *out,
                        struct err *err) {
    key->time_us = rt_now_us(fiber_rt());
    int rc = run_context_read(r->store, &r->who, key, r->arena, out, err);
    if (rc < 0)
        return rc;
    if (!id_is_nil(key->thread_id) && !out->has_thread)
        return err_set(err, ERR_NOT_FOUND, "Thread with ID " STR_FMT " not found",
                       STR_ARG(id_dashed(r->arena, key->thread_id)));
    return 0;
}

/* They are used now: what of a thread's would be over soon holds on. */
static int renew(struct api_request *r, const struct run_context_key *key,
                 const struct run_context *ctx, struct err *err) {
    struct db_batch b;
    db_batch_init(&b, r->arena);
    if (r->who.read_only ||
        !preference_override_renew_add(r->store, &r->who, key->thread_id, ctx, key->time_us, &b))
        return 0;
    return db_commit(r->store->db, &b, err);
}

static int read_ids(struct api_request *r, struct run_context_key *key, struct err *err) {
    str assistant = http_query_get(&r->query, "assistant_id");
    str thread = http_query_get(&r->query, "thread_id");
    *key = (struct run_context_key){0};
    if (thread.p && !id_parse(thread, &key->thread_id))
        return err_set(err, ERR_INVALID, "thread_id: must be a UUID");
    if (!assistant.p || id_parse(assistant, &key->assistant_id))
        return 0;
    if (!engine_has_graph(r->engine, assistant))
        return api_assistant_unknown(assistant, err);
    key->assistant_id = assistant_id_of_graph(assistant);
    return 0;
}

int api_preference_effective(struct api_request *r, struct err *err) {
    struct run_context_key key;
    struct run_context ctx;
    int rc = read_ids(r, &key, err);
    if (rc == 0)
        rc = read_context(r, &key, &ctx, err);
    if (rc == 0 && !id_is_nil(key.assistant_id) && !ctx.has_assistant)
        rc = api_assistant_unknown(id_dashed(r->arena, key.assistant_id), err);
    if (rc == 0)
        rc = renew(r, &key, &ctx, err);
    if (rc < 0)
        return rc;
    str own = ctx.has_assistant ? preference_of_assistant(r->arena, &ctx.assistant) : STR_NULL;
    str all = preference_of_context(r->store, &ctx, own, STR_NULL, r->arena);
    return reply_values(r, all.p ? all : own);
}

/* --- of a thread --- */

int api_preference_override_list(struct api_request *r, struct err *err) {
    struct run_context_key key = {0};
    struct run_context ctx;
    int rc = api_param_thread_id(r, &key.thread_id, err);
    if (rc == 0)
        rc = read_context(r, &key, &ctx, err);
    return rc < 0 ? rc : reply_values(r, ctx.overrides);
}

int api_preference_override_put(struct api_request *r, struct err *err) {
    struct preference_override o;
    struct id thread_id;
    str key = r->match.params[1], value;
    int rc = api_param_thread_id(r, &thread_id, err);
    if (rc == 0)
        rc = read_value(r, key, &value, err);
    if (rc == 0)
        rc = preference_override_put(r->store, &r->who, thread_id, key, value, r->arena, &o, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "key");
    jw_str(&w, o.key);
    jw_key(&w, "value");
    jw_raw(&w, o.value);
    jw_key(&w, "expires_at");
    api_write_time(&w, o.expires_at);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_preference_override_delete(struct api_request *r, struct err *err) {
    struct id thread_id;
    int rc = api_param_thread_id(r, &thread_id, err);
    if (rc == 0)
        rc = preference_override_delete(r->store, &r->who, thread_id, r->match.params[1], r->arena,
                                        err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}
