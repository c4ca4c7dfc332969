/* SPDX-License-Identifier: Apache-2.0 */
/* render.c - from log entries to the frames of the stream modes.
 *
 *   start       metadata; events: on_chain_start of the graph
 *   checkpoint  checkpoints, debug, values, messages/complete; for each task that comes next:
 * tasks, debug, events. The input checkpoint (step -1 …) shows only in checkpoints and debug.
 *   fragment    messages, messages/metadata, messages/partial, custom, events
 *   task        updates, tasks, debug, messages (whole ones), events
 *   end         error, updates (__interrupt__), events: on_chain_end of the graph
 *
 * The order of frames within an item is fixed: a cursor counts them. A new frame goes behind the
 * others of its item. */
#include "engine/render.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/render_int.h"

struct render *render_new(const struct render_options *o) {
    struct render *r = NEW(struct render);
    r->o = *o;
    r->modes = o->modes;
    arena_init(&r->item, RENDER_FRAME_BYTES_MAX);
    arena_init(&r->run, RENDER_FRAME_BYTES_MAX);
    arena_init(&r->step, RENDER_FRAME_BYTES_MAX);
    map_init(&r->messages);
    buf_init(&r->out, RENDER_FRAME_BYTES_MAX);
    return r;
}

void render_free(struct render *r) {
    if (!r)
        return;
    render_messages_reset(r);
    map_deinit(&r->messages);
    buf_deinit(&r->out);
    arena_deinit(&r->item);
    arena_deinit(&r->step);
    arena_deinit(&r->run);
    mem_free(r);
}

struct json_writer render_begin(struct render *r) {
    buf_reset(&r->out);
    return json_writer(&r->out);
}

void render_end(struct render *r, const char *event) {
    if (r->mute || r->gone)
        return;
    if (!buf_ok(&r->out)) {
        log_event(LOG_WARN, "stream.frame.too_large", "a frame is left out", LOG_Z("frame", event));
        return;
    }
    r->gone = !r->o.frame(r->o.ctx, str_of(event), buf_view(&r->out));
}

struct render_task *render_task_of(struct render *r, str id) {
    for (size_t i = 0; i < r->task_count; i++)
        if (str_eq(r->tasks[i].id, id))
            return &r->tasks[i];
    return NULL;
}

static void write_id(struct json_writer *w, struct id id) {
    char text[ID_DASHED_LEN];
    id_write_dashed(id, text);
    jw_str(w, str_n(text, sizeof(text)));
}

static void write_time(struct json_writer *w, int64_t at) {
    char text[TIME_ISO_LEN];
    time_write_iso(at, text);
    jw_str(w, str_n(text, sizeof(text)));
}

str render_task_metadata(struct render *r, struct render_task *t) {
    if (t->metadata.p)
        return t->metadata;
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    str ns = arena_printf(&r->step, STR_FMT ":" STR_FMT, STR_ARG(t->name), STR_ARG(t->id));
    jw_object(&w);
    jw_key(&w, "tags");
    jw_raw(&w, STR("[]"));
    if (r->run_metadata.len)
        jw_raw(&w, r->run_metadata);
    jw_key(&w, "thread_id");
    write_id(&w, r->o.thread_id);
    jw_key(&w, "run_id");
    write_id(&w, r->run_id);
    jw_key(&w, "langgraph_step");
    jw_i64(&w, r->step_number + 1);
    jw_key(&w, "langgraph_node");
    jw_str(&w, t->name);
    jw_key(&w, "langgraph_triggers");
    jw_raw(&w, t->triggers);
    jw_key(&w, "langgraph_path");
    jw_raw(&w, t->path);
    jw_key(&w, "langgraph_checkpoint_ns");
    jw_str(&w, ns);
    jw_key(&w, "checkpoint_ns");
    jw_str(&w, ns);
    jw_key(&w, "ls_model_type");
    jw_z(&w, "chat");
    jw_object_end(&w);
    t->metadata = arena_dup(&r->step, buf_view(&b));
    buf_deinit(&b);
    return t->metadata;
}

void render_event_head(struct render *r, struct json_writer *w, const char *event, str name,
                       struct render_task *t) {
    jw_object(w);
    jw_key(w, "event");
    jw_z(w, event);
    jw_key(w, "run_id");
    write_id(w, r->run_id);
    jw_key(w, "name");
    jw_str(w, name);
    jw_key(w, "tags");
    jw_raw(w, STR("[]"));
    jw_key(w, "metadata");
    if (t)
        jw_raw(w, render_task_metadata(r, t));
    else {
        jw_object(w);
        if (r->run_metadata.len)
            jw_raw(w, r->run_metadata);
        jw_object_end(w);
    }
    jw_key(w, "parent_ids");
    jw_raw(w, STR("[]"));
    jw_key(w, "data");
}

/* --- start --- */

static void render_start(struct render *r, const struct stream_item *item, yyjson_val *data) {
    render_messages_reset(r);
    arena_reset(&r->run);
    arena_reset(&r->step);
    r->tasks = NULL;
    r->task_count = 0;
    r->values = STR_NULL;
    r->run_id = item->run_id;
    unsigned own = 0;
    if ((r->o.modes & RENDER_MODES_OF_RUN) &&
        stream_modes_read(json_get(data, "modes"), STREAM_VALUES, &own, NULL) == 0)
        r->modes = r->o.modes | own;
    r->attempt = yyjson_get_sint(json_get(data, "attempt"));
    str metadata = json_text(&r->run, json_get(data, "metadata"));
    r->run_metadata = metadata.len > 2 && metadata.p[0] == '{'
                          ? str_n(metadata.p + 1, metadata.len - 2)
                          : STR("");
    struct json_writer w = render_begin(r);
    jw_object(&w);
    jw_key(&w, "run_id");
    write_id(&w, item->run_id);
    jw_key(&w, "attempt");
    jw_i64(&w, r->attempt);
    jw_object_end(&w);
    render_end(r, "metadata");
    if (render_wants(r, STREAM_EVENTS)) {
        w = render_begin(r);
        render_event_head(r, &w, "on_chain_start", json_str(json_get(data, "graph_id")), NULL);
        jw_object(&w);
        jw_key(&w, "input");
        jw_val(&w, json_get(data, "input"));
        jw_object_end(&w);
        jw_object_end(&w);
        render_end(r, "events");
    }
}

/* --- checkpoint --- */

static str values_of(struct render *r, const struct stream_item *item) {
    if (!r->values.p) {
        str v =
            item->values.p || !r->o.values ? item->values : r->o.values(r->o.ctx, r->checkpoint_id);
        r->values = v.p ? arena_dup(&r->step, v) : STR("{}");
    }
    return r->values;
}

static void write_config(struct render *r, struct json_writer *w, str ns, str checkpoint_id) {
    jw_object(w);
    jw_key(w, "configurable");
    jw_object(w);
    jw_key(w, "thread_id");
    write_id(w, r->o.thread_id);
    jw_key(w, "checkpoint_ns");
    jw_str(w, ns);
    jw_key(w, "checkpoint_id");
    jw_str(w, checkpoint_id);
    jw_object_end(w);
    jw_object_end(w);
}

static void write_checkpoint(struct render *r, struct json_writer *w,
                             const struct stream_item *item, yyjson_val *data) {
    str ns = json_str(json_get(data, "ns")), parent = json_str(json_get(data, "parent"));
    jw_object(w);
    jw_key(w, "config");
    write_config(r, w, ns, json_str(json_get(data, "id")));
    jw_key(w, "parent_config");
    if (parent.p)
        write_config(r, w, ns, parent);
    else
        jw_null(w);
    jw_key(w, "values");
    jw_raw(w, values_of(r, item));
    jw_key(w, "metadata");
    jw_object(w);
    jw_key(w, "source");
    jw_val(w, json_get(data, "source"));
    jw_key(w, "step");
    jw_i64(w, r->step_number);
    jw_key(w, "parents");
    jw_raw(w, STR("{}"));
    if (r->run_metadata.len)
        jw_raw(w, r->run_metadata);
    jw_object_end(w);
    jw_key(w, "next");
    jw_val(w, json_get(data, "next"));
    jw_key(w, "tasks");
    jw_array(w);
    for (size_t i = 0; i < r->task_count; i++) {
        jw_object(w);
        jw_key(w, "id");
        jw_str(w, r->tasks[i].id);
        jw_key(w, "name");
        jw_str(w, r->tasks[i].name);
        jw_key(w, "interrupts");
        jw_raw(w, STR("[]"));
        jw_key(w, "state");
        jw_null(w);
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_object_end(w);
}

static void debug_begin(struct json_writer *w, const char *type, int64_t step, int64_t at) {
    jw_object(w);
    jw_key(w, "step");
    jw_i64(w, step);
    jw_key(w, "type");
    jw_z(w, type);
    jw_key(w, "timestamp");
    write_time(w, at);
    jw_key(w, "payload");
}

static void write_task(struct render *r, struct json_writer *w, const struct stream_item *item,
                       struct render_task *t) {
    jw_object(w);
    jw_key(w, "id");
    jw_str(w, t->id);
    jw_key(w, "name");
    jw_str(w, t->name);
    jw_key(w, "input");
    jw_raw(w, values_of(r, item));
    jw_key(w, "triggers");
    jw_raw(w, t->triggers);
    jw_key(w, "interrupts");
    jw_raw(w, STR("[]"));
    jw_key(w, "metadata");
    jw_object(w);
    if (r->run_metadata.len)
        jw_raw(w, r->run_metadata);
    jw_key(w, "run_id");
    write_id(w, r->run_id);
    jw_object_end(w);
    jw_object_end(w);
}

static void read_tasks(struct render *r, yyjson_val *data) {
    yyjson_val *list = json_get(data, "tasks");
    size_t count = yyjson_arr_size(list);
    r->tasks = ARENA_ARRAY(&r->step, struct render_task, count + 1);
    r->task_count = count;
    for (size_t i = 0; i < count; i++) {
        yyjson_val *t = yyjson_arr_get(list, i);
        r->tasks[i] = (struct render_task){
            .id = arena_dup(&r->step, json_str(json_get(t, "id"))),
            .name = arena_dup(&r->step, json_str(json_get(t, "name"))),
            .triggers = json_text(&r->step, json_get(t, "triggers")),
            .path = json_text(&r->step, json_get(t, "path")),
        };
    }
}

static void render_tasks_begin(struct render *r, const struct stream_item *item) {
    for (size_t i = 0; i < r->task_count; i++) {
        struct render_task *t = &r->tasks[i];
        struct json_writer w;
        if (render_wants(r, STREAM_TASKS)) {
            w = render_begin(r);
            write_task(r, &w, item, t);
            render_end(r, "tasks");
        }
        if (render_wants(r, STREAM_DEBUG)) {
            w = render_begin(r);
            debug_begin(&w, "task", r->step_number + 1, item->at);
            write_task(r, &w, item, t);
            jw_object_end(&w);
            render_end(r, "debug");
        }
        if (render_wants(r, STREAM_EVENTS)) {
            w = render_begin(r);
            render_event_head(r, &w, "on_chain_start", t->name, t);
            jw_object(&w);
            jw_key(&w, "input");
            jw_raw(&w, values_of(r, item));
            jw_object_end(&w);
            jw_object_end(&w);
            render_end(r, "events");
        }
    }
}

static void render_checkpoint(struct render *r, const struct stream_item *item, yyjson_val *data) {
    arena_reset(&r->step);
    r->values = STR_NULL;
    r->step_number = yyjson_get_sint(json_get(data, "step"));
    if (!id_parse(json_str(json_get(data, "id")), &r->checkpoint_id))
        r->checkpoint_id = ID_NIL;
    read_tasks(r, data);
    yyjson_val *values = json_get(data, "values"); /* of a checkpoint that was not stored */
    if (values)
        r->values = json_text(&r->step, values);
    bool input = str_eq(json_str(json_get(data, "source")), STR("input"));
    struct json_writer w;
    if (render_wants(r, STREAM_CHECKPOINTS)) {
        w = render_begin(r);
        write_checkpoint(r, &w, item, data);
        render_end(r, "checkpoints");
    }
    if (render_wants(r, STREAM_DEBUG)) {
        w = render_begin(r);
        debug_begin(&w, "checkpoint", r->step_number, item->at);
        write_checkpoint(r, &w, item, data);
        jw_object_end(&w);
        render_end(r, "debug");
    }
    if (input)
        return;
    if (render_wants(r, STREAM_VALUES)) {
        w = render_begin(r);
        jw_raw(&w, values_of(r, item));
        render_end(r, "values");
    }
    if (render_wants(r, STREAM_MESSAGES))
        render_state_messages(r, values_of(r, item));
    if (render_wants(r, STREAM_EVENTS))
        (void)values_of(r, item); /* the run's end shows the last one */
    render_tasks_begin(r, item);
}

/* --- task and end --- */

static void write_task_result(struct json_writer *w, yyjson_val *data) {
    yyjson_val *error = json_get(data, "error");
    jw_object(w);
    jw_key(w, "id");
    jw_val(w, json_get(data, "id"));
    jw_key(w, "name");
    jw_val(w, json_get(data, "name"));
    if (error && !yyjson_is_null(error)) {
        jw_key(w, "error");
        jw_val(w, error);
    } else {
        jw_key(w, "result");
        jw_val(w, json_get(data, "result"));
    }
    jw_key(w, "interrupts");
    jw_raw(w, STR("[]"));
    jw_object_end(w);
}

static void render_task(struct render *r, const struct stream_item *item, yyjson_val *data) {
    struct render_task *t = render_task_of(r, json_str(json_get(data, "id")));
    yyjson_val *result = json_get(data, "result");
    bool failed = result == NULL || yyjson_is_null(result);
    struct json_writer w;
    if (t && !failed && render_wants(r, STREAM_MESSAGES_TUPLE))
        render_task_messages(r, t, result);
    if (!failed && render_wants(r, STREAM_UPDATES)) {
        w = render_begin(r);
        jw_object(&w);
        jw_key_str(&w, json_str(json_get(data, "name")));
        jw_val(&w, result);
        jw_object_end(&w);
        render_end(r, "updates");
    }
    if (render_wants(r, STREAM_TASKS)) {
        w = render_begin(r);
        write_task_result(&w, data);
        render_end(r, "tasks");
    }
    if (render_wants(r, STREAM_DEBUG)) {
        w = render_begin(r);
        debug_begin(&w, "task_result", r->step_number + 1, item->at);
        write_task_result(&w, data);
        jw_object_end(&w);
        render_end(r, "debug");
    }
    if (t && !failed && render_wants(r, STREAM_EVENTS)) {
        const char *names[] = {"on_chain_stream", "on_chain_end"};
        for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
            w = render_begin(r);
            render_event_head(r, &w, names[i], t->name, t);
            jw_object(&w);
            jw_key(&w, i == 0 ? "chunk" : "output");
            jw_val(&w, result);
            jw_object_end(&w);
            jw_object_end(&w);
            render_end(r, "events");
        }
    }
}

static void render_run_end(struct render *r, yyjson_val *data) {
    yyjson_val *error = json_get(data, "error");
    struct json_writer w;
    if (json_has(data, "interrupts") && render_wants(r, STREAM_UPDATES)) {
        w = render_begin(r);
        jw_object(&w);
        jw_key(&w, "__interrupt__");
        jw_val(&w, json_get(data, "interrupts"));
        jw_object_end(&w);
        render_end(r, "updates");
    }
    if (error && !yyjson_is_null(error)) {
        w = render_begin(r);
        jw_val(&w, error);
        render_end(r, "error");
    } else if (render_wants(r, STREAM_EVENTS)) {
        w = render_begin(r);
        render_event_head(r, &w, "on_chain_end", json_str(json_get(data, "graph_id")), NULL);
        jw_object(&w);
        jw_key(&w, "output");
        jw_raw(&w, r->values);
        jw_object_end(&w);
        jw_object_end(&w);
        render_end(r, "events");
    }
}

void render_item(struct render *r, const struct stream_item *item, bool mute) {
    if (r->gone)
        return;
    r->mute = mute;
    arena_reset(&r->item);
    if (item->kind == LOG_FRAGMENTS) {
        render_fragment(r, item);
        return;
    }
    yyjson_val *data = NULL;
    if (json_parse(&r->item, item->data, &data, NULL) < 0) {
        log_event(LOG_ERROR, "stream.entry.corrupt", "a log entry cannot be read",
                  LOG_INT("seq", item->seq));
        return;
    }
    switch (item->kind) {
    case LOG_START:
        render_start(r, item, data);
        break;
    case LOG_CHECKPOINT:
        render_checkpoint(r, item, data);
        break;
    case LOG_TASK:
        render_task(r, item, data);
        break;
    case LOG_END:
        render_run_end(r, data);
        break;
    case LOG_QUEUED:
    case LOG_FRAGMENTS:
        break;
    }
}
