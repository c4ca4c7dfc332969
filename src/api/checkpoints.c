/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoints.c - the handlers of /checkpoints: the state of LangGraph processes elsewhere.
 *
 * Their savers put checkpoints, values and writes, and read them back; a value is {"type", "data"},
 * data the base64 of its bytes, which nobody here looks into but to show a state. Numbers of writes
 * and what happens to those that are there are LangGraph's rules, so that savers stay thin.
 * docs/internals/savers.md says what each route promises. */
#include "api/api_int.h"
#include "base/base64.h"
#include "engine/engine.h"
#include "store/lg_checkpoints.h"
#include "store/saved_checkpoints.h"
#include "store/thread_ops.h"

#define THREAD_NAME_BYTES_MAX 255
#define NAMESPACE_BYTES_MAX   1024
#define CHANNEL_BYTES_MAX     255
#define VERSION_BYTES_MAX     128
#define TASK_BYTES_MAX        255
#define PATH_BYTES_MAX        4096
#define CHANNELS_MAX          10000
#define WRITES_MAX            10000
#define LIST_MAX              1000
#define SEARCH_LIMIT_MAX      100
#define SEARCH_BYTES          ((size_t)8 * 1024 * 1024) /* a page ends when it is larger */

/* --- parts of requests --- */

static struct id read_thread(struct api_request *r, struct body *b, const char *key,
                             str *out_name) {
    str given = body_str_sized(b, key, 1, THREAD_NAME_BYTES_MAX, STR_NULL);
    *out_name = STR_NULL;
    if (!given.p) {
        body_fault(b, key, "is required");
        return ID_NIL;
    }
    return saved_thread_id(&r->who, given, out_name);
}

static str read_namespace(struct body *b) {
    return body_str_sized(b, "checkpoint_ns", 0, NAMESPACE_BYTES_MAX, STR(""));
}

static struct id read_id(struct body *b, const char *key) {
    struct id id;
    return body_id(b, key, &id) ? id : ID_NIL;
}

/* pickle is left out: who reads it runs what it says. */
static bool type_is_known(str type) {
    static const char *const types[] = {"json",      "msgpack",      "bytes",    "bytearray",
                                        "null",      "empty",        "json+aes", "msgpack+aes",
                                        "bytes+aes", "bytearray+aes"};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        if (str_eq(type, str_of(types[i])))
            return true;
    return false;
}

/* {"type", "data"}; a missing data is no bytes. */
static void read_typed(struct body *b, const char *key, yyjson_val *from, str *type, str *bytes) {
    str data = json_str(json_get(from, "data"));
    yyjson_val *root;
    *type = json_str(json_get(from, "type"));
    *bytes = STR("");
    if (!type->p || !type_is_known(*type)) {
        body_fault(b, key, "type must be json, msgpack, bytes, bytearray, null or empty");
        *type = STR("null");
    } else if (data.len > 0 && !base64_decode(b->a, data, bytes)) {
        body_fault(b, key, "data must be base64");
    } else if (str_eq(*type, STR("json")) && json_parse(b->a, *bytes, &root, NULL) < 0) {
        body_fault(b, key, "data of type json must be JSON");
    }
}

static void check_versions(struct body *b, yyjson_val *versions) {
    yyjson_val *key, *version;
    size_t i, count;
    if (versions && !yyjson_is_obj(versions)) {
        body_fault(b, "checkpoint", "channel_versions must be an object");
        return;
    }
    if (yyjson_obj_size(versions) > CHANNELS_MAX)
        body_fault(b, "checkpoint", "at most %d channels", CHANNELS_MAX);
    yyjson_obj_foreach(versions, i, count, key, version) {
        if (yyjson_get_len(key) > CHANNEL_BYTES_MAX)
            body_fault(b, "checkpoint", "a channel's name has at most %d bytes", CHANNEL_BYTES_MAX);
        else if (!yyjson_is_num(version) &&
                 (!yyjson_is_str(version) || yyjson_get_len(version) > VERSION_BYTES_MAX))
            body_fault(b, "checkpoint", "a version must be a number or a text of up to %d bytes",
                       VERSION_BYTES_MAX);
        else
            continue;
        return;
    }
}

static void read_values(struct body *b, struct saved_checkpoint *c) {
    yyjson_val *values = body_object_val(b, "values"), *key, *value;
    yyjson_val *versions = json_get(c->root, "channel_versions");
    size_t i, count;
    if (yyjson_obj_size(values) > CHANNELS_MAX) {
        body_fault(b, "values", "at most %d channels", CHANNELS_MAX);
        return;
    }
    struct saved_value *list = ARENA_ARRAY(b->a, struct saved_value, yyjson_obj_size(values) + 1);
    yyjson_obj_foreach(values, i, count, key, value) {
        struct saved_value *v = &list[i];
        yyjson_val *version = json_get_str(versions, json_str(key));
        v->channel = json_str(key);
        if (!version) {
            body_fault(b, "values", "a channel has no version in the checkpoint");
            return;
        }
        v->version = lg_version_text(b->a, version);
        read_typed(b, "values", value, &v->type, &v->bytes);
    }
    c->values = list;
    c->value_count = yyjson_obj_size(values);
}

static void write_ref(struct api_request *r, const struct saved_checkpoint *c) {
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "thread_id");
    api_write_id(&w, c->thread_id);
    jw_key(&w, "checkpoint_ns");
    jw_str(&w, c->name_space);
    jw_key(&w, "checkpoint_id");
    api_write_id(&w, c->id);
    jw_object_end(&w);
}

int api_checkpoint_put(struct api_request *r, struct err *err) {
    struct body b;
    struct saved_checkpoint c = {0};
    body_init(&b, r->arena, r->body);
    c.thread_id = read_thread(r, &b, "thread_id", &c.thread_name);
    c.name_space = read_namespace(&b);
    c.parent_id = read_id(&b, "parent_checkpoint_id");
    c.root = body_object_val(&b, "checkpoint");
    c.metadata = body_object(&b, "metadata");
    if (!id_parse(json_str(json_get(c.root, "id")), &c.id))
        body_fault(&b, "checkpoint", "must be an object whose id is a UUID");
    check_versions(&b, json_get(c.root, "channel_versions"));
    read_values(&b, &c);
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = saved_put(r->store, &r->who, &c, r->arena, err);
    if (rc < 0)
        return rc;
    write_ref(r, &c);
    return api_reply_json(r, 200);
}

/* --- writes --- */

/* Numbers of channels that have their own; those of the others are their places. */
static int64_t number_of(str channel, size_t place, bool *special) {
    static const struct {
        const char *channel;
        int idx;
    } own[] = {{"__error__", -1}, {"__scheduled__", -2}, {"__interrupt__", -3}, {"__resume__", -4}};
    for (size_t i = 0; i < ARRAY_COUNT(own); i++)
        if (str_eq(channel, str_of(own[i].channel)))
            return own[i].idx;
    *special = false;
    return (int64_t)place;
}

static void read_writes(struct body *b, struct saved_checkpoint *c, bool *out_special) {
    yyjson_val *list = body_array(b, "writes"), *item;
    size_t i, count;
    str task = body_str_sized(b, "task_id", 1, TASK_BYTES_MAX, STR_NULL);
    str path = body_str_sized(b, "task_path", 0, PATH_BYTES_MAX, STR(""));
    if (!task.p)
        body_fault(b, "task_id", "is required");
    if (yyjson_arr_size(list) > WRITES_MAX) {
        body_fault(b, "writes", "at most %d", WRITES_MAX);
        return;
    }
    struct saved_write *writes = ARENA_ARRAY(b->a, struct saved_write, yyjson_arr_size(list) + 1);
    *out_special = true;
    yyjson_arr_foreach(list, i, count, item) {
        struct saved_write *w = &writes[i];
        *w = (struct saved_write){.task_id = task, .task_path = path};
        w->channel = json_str(json_get(item, "channel"));
        if (w->channel.len == 0 || w->channel.len > CHANNEL_BYTES_MAX)
            body_fault(b, "writes", "channel: a text of 1 to %d bytes", CHANNEL_BYTES_MAX);
        w->idx = number_of(w->channel, i, out_special);
        read_typed(b, "writes", item, &w->type, &w->bytes);
    }
    c->writes = writes;
    c->write_count = yyjson_arr_size(list);
}

int api_checkpoint_put_writes(struct api_request *r, struct err *err) {
    struct body b;
    struct saved_checkpoint c = {0};
    bool special;
    body_init(&b, r->arena, r->body);
    c.thread_id = read_thread(r, &b, "thread_id", &c.thread_name);
    c.name_space = read_namespace(&b);
    c.id = body_id_required(&b, "checkpoint_id");
    read_writes(&b, &c, &special);
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = saved_put_writes(r->store, &r->who, &c, special, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

/* --- reading --- */

static void write_typed(struct json_writer *w, struct arena *a, str type, str bytes) {
    jw_key(w, "type");
    jw_str(w, type);
    jw_key(w, "data");
    jw_str(w, bytes.len > 0 ? base64_encode(a, bytes) : STR(""));
}

static void write_write(struct json_writer *w, struct arena *a, const struct saved_write *v) {
    jw_object(w);
    jw_key(w, "task_id");
    jw_str(w, v->task_id);
    jw_key(w, "task_path");
    jw_str(w, v->task_path.p ? v->task_path : STR(""));
    jw_key(w, "idx");
    jw_i64(w, v->idx);
    jw_key(w, "channel");
    jw_str(w, v->channel);
    write_typed(w, a, v->type, v->bytes);
    jw_object_end(w);
}

static void write_root(struct json_writer *w, yyjson_val *root) {
    yyjson_val *key, *value;
    size_t i, count;
    jw_object(w);
    yyjson_obj_foreach(root, i, count, key, value) {
        if (str_eq(json_str(key), STR("holdfast")))
            continue;
        jw_key_str(w, json_str(key));
        jw_val(w, value);
    }
    jw_object_end(w);
}

static void write_saved(struct json_writer *w, struct arena *a, const struct saved_checkpoint *c) {
    jw_object(w);
    jw_key(w, "thread_id");
    api_write_id(w, c->thread_id);
    jw_key(w, "thread_name");
    jw_str(w, c->thread_name);
    jw_key(w, "checkpoint_ns");
    jw_str(w, c->name_space);
    jw_key(w, "checkpoint_id");
    api_write_id(w, c->id);
    jw_key(w, "parent_checkpoint_id");
    if (id_is_nil(c->parent_id))
        jw_null(w);
    else
        api_write_id(w, c->parent_id);
    jw_key(w, "checkpoint");
    write_root(w, c->root);
    jw_key(w, "metadata");
    jw_raw(w, c->metadata);
    jw_key(w, "values");
    jw_object(w);
    for (size_t i = 0; i < c->value_count; i++) {
        if (str_eq(c->values[i].type, STR("empty")))
            continue;
        jw_key_str(w, c->values[i].channel);
        jw_object(w);
        write_typed(w, a, c->values[i].type, c->values[i].bytes);
        jw_object_end(w);
    }
    jw_object_end(w);
    jw_key(w, "writes");
    jw_array(w);
    for (size_t i = 0; i < c->write_count; i++)
        write_write(w, a, &c->writes[i]);
    jw_array_end(w);
    jw_object_end(w);
}

int api_checkpoint_get(struct api_request *r, struct err *err) {
    struct body b;
    struct thread t;
    struct saved_checkpoint c;
    str name;
    body_init(&b, r->arena, r->body);
    struct id thread_id = read_thread(r, &b, "thread_id", &name);
    str name_space = read_namespace(&b);
    struct id id = read_id(&b, "checkpoint_id");
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = thread_get(r->store, &r->who, thread_id, r->arena, &t, err);
    if (rc == 0)
        rc = saved_get(r->store, thread_id, name_space, id, r->arena, &c, err);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_NOT_FOUND, "Checkpoint not found");
    if (rc < 0)
        return rc;
    c.thread_name = name;
    struct json_writer w = api_json(r);
    write_saved(&w, r->arena, &c);
    return api_reply_json(r, 200);
}

/* Others may remove one in between: it is left out. */
static int write_page(struct api_request *r, const struct saved_key *keys, size_t count,
                      size_t limit, struct err *err) {
    struct json_writer w = api_json(r);
    struct arena each;
    size_t i;
    int rc = 0;
    arena_init(&each, SIZE_MAX / 2);
    jw_object(&w);
    jw_key(&w, "checkpoints");
    jw_array(&w);
    for (i = 0; rc == 0 && i < count && i < limit; i++) {
        struct saved_checkpoint c;
        if (r->out.len > SEARCH_BYTES)
            break;
        arena_reset(&each);
        rc = saved_get(r->store, keys[i].thread_id, keys[i].name_space, keys[i].id, &each, &c, err);
        if (rc == 0) {
            c.thread_name = keys[i].thread_name;
            write_saved(&w, &each, &c);
        } else if (rc == ERR_NOT_FOUND) {
            err_reset(err);
            rc = 0;
        }
    }
    arena_deinit(&each);
    jw_array_end(&w);
    jw_key(&w, "more");
    jw_bool(&w, i < count);
    jw_object_end(&w);
    return rc < 0 ? rc : api_reply_json(r, 200);
}

int api_checkpoint_search(struct api_request *r, struct err *err) {
    struct body b;
    struct thread t;
    struct saved_filter f = {0};
    struct saved_key *keys = NULL;
    size_t count = 0;
    str name = STR_NULL;
    body_init(&b, r->arena, r->body);
    if (body_get(&b, "thread_id"))
        f.thread_id = read_thread(r, &b, "thread_id", &name);
    if (body_get(&b, "checkpoint_ns"))
        f.name_space = read_namespace(&b);
    f.before = read_id(&b, "before");
    f.metadata = body_object(&b, "metadata");
    int64_t limit = body_int(&b, "limit", (struct body_range){1, SEARCH_LIMIT_MAX, 10});
    f.limit = limit + 1;
    int rc = body_done(&b, err);
    if (rc == 0 && !id_is_nil(f.thread_id))
        rc = thread_get(r->store, &r->who, f.thread_id, r->arena, &t, err);
    if (rc == 0)
        rc = saved_list(r->store, &r->who, &f, r->arena, &keys, &count, err);
    if (rc == ERR_NOT_FOUND) { /* a thread that has not begun has no checkpoints */
        err_reset(err);
        rc = 0;
    }
    for (size_t i = 0; i < count && name.p; i++)
        keys[i].thread_name = name;
    return rc < 0 ? rc : write_page(r, keys, count, (size_t)limit, err);
}

/* --- whole threads and runs --- */

static str *read_names(struct body *b, const char *key, size_t bytes_max, size_t *out_count) {
    yyjson_val *list = body_str_array(b, key), *item;
    size_t i, count;
    *out_count = 0;
    if (yyjson_arr_size(list) > LIST_MAX) {
        body_fault(b, key, "at most %d", LIST_MAX);
        return NULL;
    }
    str *names = ARENA_ARRAY(b->a, str, yyjson_arr_size(list) + 1);
    yyjson_arr_foreach(list, i, count, item) {
        names[i] = json_str(item);
        if (names[i].len == 0 || names[i].len > bytes_max)
            body_fault(b, key, "texts of 1 to %zu bytes", bytes_max);
    }
    *out_count = yyjson_arr_size(list);
    return names;
}

/* What is not there is no fault: it is as asked. A thread with a live run is. */
int api_checkpoint_delete(struct api_request *r, struct err *err) {
    struct body b;
    size_t threads, runs;
    str name;
    body_init(&b, r->arena, r->body);
    str *thread_names = read_names(&b, "thread_ids", THREAD_NAME_BYTES_MAX, &threads);
    str *run_names = read_names(&b, "run_ids", SAVED_RUN_BYTES_MAX, &runs);
    int rc = body_done(&b, err);
    for (size_t i = 0; rc == 0 && i < threads; i++) {
        rc = api_thread_prune_one(r, saved_thread_id(&r->who, thread_names[i], &name), PRUNE_DELETE,
                                  r->arena, err);
        if (rc == ERR_NOT_FOUND) {
            err_reset(err);
            rc = 0;
        }
    }
    for (size_t i = 0; rc == 0 && i < runs; i++)
        rc = saved_delete_run(r->store, &r->who, run_names[i], r->arena, err);
    if (rc == ERR_CONFLICT)
        return err_set(err, ERR_CONFLICT, "a run of this server has the thread");
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

int api_checkpoint_copy(struct api_request *r, struct err *err) {
    struct body b;
    struct thread t;
    str source_name, name;
    body_init(&b, r->arena, r->body);
    struct id source = read_thread(r, &b, "source_thread_id", &source_name);
    struct id target = read_thread(r, &b, "target_thread_id", &name);
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = thread_copy(r->store, &r->who, source, target, false, r->arena, err);
    if (rc == ERR_EXISTS) { /* somebody else's answers as any other use of its id does */
        rc = thread_get(r->store, &r->who, target, r->arena, &t, err);
        return rc < 0 ? rc : err_set(err, ERR_CONFLICT, "the target thread exists");
    }
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "saver_thread_id");
    jw_str(&w, name);
    jw_object_end(&w);
    str metadata = arena_dup(r->arena, buf_view(&r->out));
    rc = thread_patch(r->store, &r->who, target, metadata, NULL, r->arena, &t, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}

int api_checkpoint_prune(struct api_request *r, struct err *err) {
    struct body b;
    size_t count;
    str name;
    body_init(&b, r->arena, r->body);
    str *names = read_names(&b, "thread_ids", THREAD_NAME_BYTES_MAX, &count);
    int strategy = body_enum(&b, "strategy", &PRUNE_STRATEGY_WORDS, PRUNE_KEEP_LATEST);
    int rc = body_done(&b, err);
    if (rc < 0)
        return rc;
    struct id *ids = ARENA_ARRAY(r->arena, struct id, count + 1);
    for (size_t i = 0; i < count; i++)
        ids[i] = saved_thread_id(&r->who, names[i], &name);
    return api_threads_prune(r, ids, count, strategy, err);
}
