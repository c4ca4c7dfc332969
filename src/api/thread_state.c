/* SPDX-License-Identifier: Apache-2.0 */
/* thread_state.c - the handlers that read states: the newest, one by id, and the history.
 *
 * A state is a checkpoint's row and the values it refers to. The thread is looked up first, with
 * the principal: whoever may not see it gets the 404 of a thread that does not exist. Each state of
 * a history is loaded into memory that is used again and written at once. */
#include "api/api_int.h"

#define HISTORY_LIMIT_DEFAULT 10

static int thread_of(struct api_request *r, struct thread *out, struct err *err) {
    struct id id;
    str name = r->match.params[0];
    int rc = api_param_id(r, 0, &id, err, "Thread with ID %.*s not found",
                          (int)(name.len < 100 ? name.len : 100), name.p);
    return rc < 0 ? rc : thread_get(r->store, &r->who, id, r->arena, out, err);
}

/* Loads the values and writes the state; scratch is emptied first. */
static int write_loaded(struct api_request *r, struct json_writer *w, struct arena *scratch,
                        struct checkpoint *c, struct err *err) {
    arena_reset(scratch);
    int rc = checkpoint_load_values(r->store, c, scratch, err);
    if (rc < 0)
        return rc;
    api_write_state(w, scratch, c, checkpoint_values_json(scratch, c));
    return buf_ok(&r->out) ? 0 : ERR_TOO_LARGE;
}

static int reply_state(struct api_request *r, struct checkpoint *c, struct err *err) {
    struct arena scratch;
    arena_init(&scratch, API_STATE_BYTES_MAX);
    struct json_writer w = api_json(r);
    int rc = write_loaded(r, &w, &scratch, c, err);
    arena_deinit(&scratch);
    return rc < 0 ? rc : api_reply_json(r, 200);
}

int api_thread_state(struct api_request *r, struct err *err) {
    struct thread t;
    struct checkpoint c;
    int rc = thread_of(r, &t, err);
    if (rc < 0)
        return rc;
    rc = ERR_NOT_FOUND;
    if (!id_is_nil(t.checkpoint_id) || r->store->layout == CHECKPOINTS_LANGGRAPH)
        rc = checkpoint_head(r->store, t.id, t.checkpoint_id, r->arena, &c, err);
    if (rc == ERR_NOT_FOUND) {
        struct json_writer w = api_json(r);
        err_reset(err);
        api_write_state(&w, r->arena, NULL, STR_NULL);
        return api_reply_json(r, 200);
    }
    return rc < 0 ? rc : reply_state(r, &c, err);
}

int api_thread_state_at(struct api_request *r, struct err *err) {
    struct thread t;
    struct checkpoint c;
    struct id id;
    int rc = thread_of(r, &t, err);
    if (rc == 0)
        rc = api_param_id(r, 1, &id, err, "Checkpoint not found");
    if (rc == 0 && id_is_nil(id))
        rc = err_set(err, ERR_NOT_FOUND, "Checkpoint not found");
    if (rc == 0)
        rc = checkpoint_get(r->store, t.id, STR(""), id, r->arena, &c, err);
    return rc < 0 ? rc : reply_state(r, &c, err);
}

struct history {
    str name_space, metadata;
    struct id before;
    int64_t limit;
};

static int reply_history(struct api_request *r, const struct history *h, struct err *err) {
    struct thread t;
    struct checkpoint *list;
    size_t count;
    int rc = thread_of(r, &t, err);
    if (rc == 0)
        rc = checkpoint_list(r->store, t.id, h->name_space, h->before, h->metadata, h->limit,
                             r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    struct arena scratch;
    arena_init(&scratch, API_STATE_BYTES_MAX);
    struct json_writer w = api_json(r);
    jw_array(&w);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = write_loaded(r, &w, &scratch, &list[i], err);
    jw_array_end(&w);
    arena_deinit(&scratch);
    return rc < 0 ? rc : api_reply_json(r, 200);
}

int api_thread_history(struct api_request *r, struct err *err) {
    struct history h = {.name_space = STR(""), .metadata = STR_NULL};
    struct body_range limits = {1, 1000, HISTORY_LIMIT_DEFAULT};
    int rc = api_query_int(r, "limit", limits, &h.limit, err);
    if (rc < 0)
        return rc;
    str before = http_query_get(&r->query, "before");
    if (before.len > 0 && !id_parse(before, &h.before))
        return err_set(err, ERR_INVALID, "before: must be the id of a checkpoint");
    return reply_history(r, &h, err);
}

/* The id in any form of a checkpoint's configuration: a text, {"checkpoint_id"}, or that under
 * "configurable". Nil when there is none. */
static struct id checkpoint_id_read(struct body *b, const char *key) {
    struct id id = ID_NIL;
    yyjson_val *v = body_get(b, key);
    yyjson_val *inner = json_get(v, "configurable");
    if (yyjson_is_obj(v))
        v = json_get(inner ? inner : v, "checkpoint_id");
    if (v && !yyjson_is_null(v) && !id_parse(json_str(v), &id))
        body_fault(b, key, "must name a checkpoint");
    return id;
}

int api_thread_history_search(struct api_request *r, struct err *err) {
    struct body b;
    body_init(&b, r->arena, r->body);
    struct body_range limits = {1, 1000, HISTORY_LIMIT_DEFAULT};
    struct history h = {
        .metadata = api_filter_read(&b, "metadata"),
        .before = checkpoint_id_read(&b, "before"),
        .limit = body_int(&b, "limit", limits),
    };
    str ns = json_str(json_get(body_object_val(&b, "checkpoint"), "checkpoint_ns"));
    h.name_space = ns.p ? ns : STR("");
    int rc = body_done(&b, err);
    return rc < 0 ? rc : reply_history(r, &h, err);
}
