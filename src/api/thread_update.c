/* SPDX-License-Identifier: Apache-2.0 */
/* thread_update.c - changing a thread's state by hand: one update, or super-steps of a new thread.
 *
 * What an update means is the engine's (engine/inspect.h); here are the forms in which it comes. */
#include "api/api_int.h"
#include "engine/inspect.h"

#define SUPERSTEPS_MAX 1000
#define UPDATES_MAX    1000

static int graph_of(struct api_request *r, const struct thread *t, str *out, struct err *err) {
    yyjson_val *metadata = NULL;
    if (json_parse(r->arena, t->metadata, &metadata, NULL) == 0)
        *out = json_str(json_get(metadata, "graph_id"));
    if (!metadata || !out->p)
        return err_set(err, ERR_MALFORMED, "Thread " STR_FMT " has no graph ID",
                       STR_ARG(id_dashed(r->arena, t->id)));
    return 0;
}

static int reply_root(struct api_request *r, const struct thread *t, struct id id) {
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "checkpoint");
    jw_object(&w);
    jw_key(&w, "thread_id");
    api_write_id(&w, t->id);
    jw_key(&w, "checkpoint_ns");
    jw_z(&w, "");
    jw_key(&w, "checkpoint_id");
    api_write_id(&w, id);
    jw_object_end(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* One inside of a subgraph says where the graphs around it are. */
static int reply_inside(struct api_request *r, const struct thread *t, str ns, struct id id,
                        struct err *err) {
    struct checkpoint c;
    int rc = checkpoint_get(r->store, t->id, ns, id, r->arena, &c, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "checkpoint");
    api_write_checkpoint(&w, &c, c.id);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_thread_state_update(struct api_request *r, struct err *err) {
    struct thread t;
    struct body b;
    struct id made;
    int rc = api_param_thread(r, &t, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    struct state_update update = {.values = body_get(&b, "values"),
                                  .as_node = body_str(&b, "as_node", STR_NULL)};
    struct state_superstep step = {&update, 1};
    struct state_change change = {.thread = &t, .steps = &step, .count = 1};
    change.checkpoint_id = api_checkpoint_id_read(&b, "checkpoint");
    if (id_is_nil(change.checkpoint_id))
        change.checkpoint_id = api_checkpoint_id_read(&b, "checkpoint_id");
    change.name_space = api_checkpoint_ns_read(&b);
    rc = body_done(&b, err);
    if (rc == 0)
        rc = graph_of(r, &t, &change.graph_id, err);
    if (rc == 0)
        rc = engine_state_update(r->engine, &change, &made, err);
    if (rc < 0)
        return rc;
    return change.name_space.len ? reply_inside(r, &t, change.name_space, made, err)
                                 : reply_root(r, &t, made);
}

/* Of the thread: checkpoints do not change. */
int api_thread_state_patch(struct api_request *r, struct err *err) {
    struct thread t, changed;
    const struct thread_ttl *same = NULL;
    struct body b;
    int rc = api_param_thread(r, &t, err);
    if (rc < 0)
        return rc;
    body_init(&b, r->arena, r->body);
    str metadata = body_object(&b, "metadata");
    rc = body_done(&b, err);
    if (rc == 0)
        rc = thread_patch(r->store, &r->who, t.id, metadata, same, r->arena, &changed, err);
    return rc < 0 ? rc : api_reply_thread(r, &changed, err);
}

static int read_update(yyjson_val *v, struct state_update *out, struct err *err) {
    yyjson_val *command = json_get(v, "command");
    if (!yyjson_is_obj(v))
        return err_set(err, ERR_INVALID, "supersteps: an update must be an object");
    *out = (struct state_update){.values = json_get(v, "values"),
                                 .command = yyjson_is_null(command) ? NULL : command,
                                 .as_node = json_str(json_get(v, "as_node"))};
    return 0;
}

static int read_superstep(struct api_request *r, yyjson_val *v, struct state_superstep *out,
                          struct err *err) {
    yyjson_val *list = json_get(v, "updates"), *item;
    size_t i, n, count = yyjson_arr_size(list);
    if (!count || count > UPDATES_MAX)
        return err_set(err, ERR_INVALID, "supersteps: each needs 1 to %d updates", UPDATES_MAX);
    struct state_update *updates = ARENA_ARRAY(r->arena, struct state_update, count);
    yyjson_arr_foreach(list, i, n, item) {
        int rc = read_update(item, &updates[i], err);
        if (rc < 0)
            return rc;
    }
    *out = (struct state_superstep){updates, count};
    return 0;
}

int api_supersteps_read(struct api_request *r, struct body *b, struct state_superstep **out,
                        size_t *out_count, struct err *err) {
    yyjson_val *list = body_array(b, "supersteps"), *item;
    size_t i, n, count = yyjson_arr_size(list);
    *out_count = count;
    if (count > SUPERSTEPS_MAX)
        return err_set(err, ERR_INVALID, "supersteps: at most %d", SUPERSTEPS_MAX);
    *out = ARENA_ARRAY(r->arena, struct state_superstep, count + 1);
    yyjson_arr_foreach(list, i, n, item) {
        int rc = read_superstep(r, item, &(*out)[i], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int api_supersteps_apply(struct api_request *r, const struct thread *t,
                         const struct state_superstep *steps, size_t count, struct err *err) {
    struct state_change change = {
        .thread = t, .name_space = STR(""), .steps = steps, .count = count};
    struct id made;
    int rc = graph_of(r, t, &change.graph_id, err);
    return rc < 0 ? rc : engine_state_update(r->engine, &change, &made, err);
}
