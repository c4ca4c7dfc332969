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
 * A task that asks somebody outside shows __interrupt__ in updates and, with the state, in values.
 * Items of subgraphs show when the run was started so, under the event's name and the namespace
 * ("values|node:task"); each namespace is a scope, until the root takes its next step.
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
    arena_init(&r->root.step, RENDER_FRAME_BYTES_MAX);
    list_init(&r->scopes);
    r->root.ns = STR("");
    r->s = &r->root;
    map_init(&r->messages);
    buf_init(&r->out, RENDER_FRAME_BYTES_MAX);
    return r;
}

static void scopes_drop(struct render *r) {
    for (struct list *n; (n = list_pop_front(&r->scopes)) != NULL;) {
        struct render_scope *s = LIST_ENTRY(n, struct render_scope, node);
        arena_deinit(&s->step);
        mem_free((char *)(uintptr_t)s->ns.p);
        mem_free(s);
    }
    r->s = &r->root;
}

/* The scope of an item; false: it is not shown. */
static bool scope_enter(struct render *r, str ns) {
    r->s = &r->root;
    if (!ns.len)
        return true;
    if (!r->subgraphs)
        return false;
    LIST_EACH (&r->scopes, n) {
        struct render_scope *s = LIST_ENTRY(n, struct render_scope, node);
        if (str_eq(s->ns, ns)) {
            r->s = s;
            return true;
        }
    }
    struct render_scope *s = NEW(struct render_scope);
    s->ns = str_n(mem_dup(ns.p, ns.len), ns.len);
    arena_init(&s->step, RENDER_FRAME_BYTES_MAX);
    list_push_back(&r->scopes, &s->node);
    r->s = s;
    return true;
}

void render_free(struct render *r) {
    if (!r)
        return;
    render_messages_reset(r);
    map_deinit(&r->messages);
    buf_deinit(&r->out);
    scopes_drop(r);
    arena_deinit(&r->item);
    arena_deinit(&r->root.step);
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
    str name = str_of(event);
    if (r->s->ns.len)
        name = arena_printf(&r->item, "%s|" STR_FMT, event, STR_ARG(r->s->ns));
    r->gone = !r->o.frame(r->o.ctx, name, buf_view(&r->out));
}

struct render_task *render_task_of(struct render *r, str id) {
    for (size_t i = 0; i < r->s->task_count; i++)
        if (str_eq(r->s->tasks[i].id, id))
            return &r->s->tasks[i];
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
    str ns = arena_printf(&r->s->step, STR_FMT "%s" STR_FMT ":" STR_FMT, STR_ARG(r->s->ns),
                          r->s->ns.len ? "|" : "", STR_ARG(t->name), STR_ARG(t->id));
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
    jw_i64(&w, r->s->step_number + 1);
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
    t->metadata = arena_take(&r->s->step, &b);
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

/* Names the run: one that was cancelled while it waited ends beside the one that is under way. */
static void render_lifecycle(struct render *r, const struct stream_item *item, const char *key,
                             yyjson_val *data) {
    if (!render_wants(r, STREAM_LIFECYCLE))
        return;
    struct json_writer w = render_begin(r);
    jw_object(&w);
    jw_key(&w, key);
    jw_val(&w, json_get(data, key));
    jw_key(&w, "run_id");
    write_id(&w, item->run_id);
    if (item->kind == LOG_START && json_has(data, "metadata")) {
        jw_key(&w, "metadata");
        jw_val(&w, json_get(data, "metadata"));
    }
    jw_object_end(&w);
    render_end(r, "lifecycle");
}

/* --- start --- */

static void render_start(struct render *r, const struct stream_item *item, yyjson_val *data) {
    render_messages_reset(r);
    scopes_drop(r);
    arena_reset(&r->run);
    arena_reset(&r->s->step);
    r->s->tasks = NULL;
    r->s->task_count = 0;
    r->s->values = STR_NULL;
    r->run_id = item->run_id;
    r->subgraphs = yyjson_get_bool(json_get(data, "subgraphs"));
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
    render_lifecycle(r, item, "graph_id", data);
}

/* --- checkpoint --- */

/* A stored state has channels that no client is shown. */
static str without_hidden(struct render *r, str values) {
    yyjson_val *root, *key, *value, *hidden, *name;
    size_t i, k, n, m;
    if (!r->s->hidden.p || json_parse(&r->item, values, &root, NULL) < 0 ||
        json_parse(&r->item, r->s->hidden, &hidden, NULL) < 0)
        return values;
    struct buf b;
    buf_init(&b, RENDER_FRAME_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    yyjson_obj_foreach(root, i, n, key, value) {
        bool shown = true;
        yyjson_arr_foreach(hidden, k, m, name) shown = shown && !yyjson_equals(key, name);
        if (!shown)
            continue;
        jw_key_str(&w, json_str(key));
        jw_val(&w, value);
    }
    jw_object_end(&w);
    str text = buf_ok(&b) ? arena_dup(&r->s->step, buf_view(&b)) : STR("{}");
    buf_deinit(&b);
    return text;
}

static str values_of(struct render *r, const struct stream_item *item) {
    if (r->s->values.p)
        return r->s->values;
    if (item->values.p) {
        r->s->values = arena_dup(&r->s->step, item->values);
        return r->s->values;
    }
    str v = r->o.values ? r->o.values(r->o.ctx, r->s->ns, r->s->checkpoint_id) : STR_NULL;
    r->s->values = v.p ? arena_dup(&r->s->step, without_hidden(r, v)) : STR("{}");
    return r->s->values;
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
    jw_i64(w, r->s->step_number);
    jw_key(w, "parents");
    jw_raw(w, STR("{}"));
    if (r->run_metadata.len)
        jw_raw(w, r->run_metadata);
    jw_object_end(w);
    jw_key(w, "next");
    jw_val(w, json_get(data, "next"));
    jw_key(w, "tasks");
    jw_array(w);
    for (size_t i = 0; i < r->s->task_count; i++) {
        jw_object(w);
        jw_key(w, "id");
        jw_str(w, r->s->tasks[i].id);
        jw_key(w, "name");
        jw_str(w, r->s->tasks[i].name);
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
    jw_raw(w, t->input.p ? t->input : values_of(r, item));
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
    r->s->tasks = ARENA_ARRAY(&r->s->step, struct render_task, count + 1);
    r->s->task_count = count;
    for (size_t i = 0; i < count; i++) {
        yyjson_val *t = yyjson_arr_get(list, i);
        r->s->tasks[i] = (struct render_task){
            .id = arena_dup(&r->s->step, json_str(json_get(t, "id"))),
            .name = arena_dup(&r->s->step, json_str(json_get(t, "name"))),
            .triggers = json_text(&r->s->step, json_get(t, "triggers")),
            .path = json_text(&r->s->step, json_get(t, "path")),
            .input = json_has(t, "input") ? json_text(&r->s->step, json_get(t, "input")) : STR_NULL,
        };
    }
}

static void render_tasks_begin(struct render *r, const struct stream_item *item) {
    for (size_t i = 0; i < r->s->task_count; i++) {
        struct render_task *t = &r->s->tasks[i];
        struct json_writer w;
        if (render_wants(r, STREAM_TASKS)) {
            w = render_begin(r);
            write_task(r, &w, item, t);
            render_end(r, "tasks");
        }
        if (render_wants(r, STREAM_DEBUG)) {
            w = render_begin(r);
            debug_begin(&w, "task", r->s->step_number + 1, item->at);
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

bool render_shows_values(const struct render *r) {
    return render_wants(r, STREAM_VALUES | STREAM_MESSAGES | STREAM_EVENTS | STREAM_DEBUG |
                               STREAM_CHECKPOINTS | STREAM_TASKS);
}

static void render_checkpoint(struct render *r, const struct stream_item *item, yyjson_val *data) {
    if (r->s == &r->root)
        scopes_drop(r);
    arena_reset(&r->s->step);
    r->s->values = STR_NULL;
    r->s->hidden =
        json_has(data, "hide") ? json_text(&r->s->step, json_get(data, "hide")) : STR_NULL;
    r->s->step_number = yyjson_get_sint(json_get(data, "step"));
    if (!id_parse(json_str(json_get(data, "id")), &r->s->checkpoint_id))
        r->s->checkpoint_id = ID_NIL;
    read_tasks(r, data);
    yyjson_val *values = json_get(data, "values"); /* of a checkpoint that was not stored */
    if (values)
        r->s->values = json_text(&r->s->step, values);
    bool input = str_eq(json_str(json_get(data, "source")), STR("input"));
    struct json_writer w;
    if (render_wants(r, STREAM_CHECKPOINTS)) {
        w = render_begin(r);
        write_checkpoint(r, &w, item, data);
        render_end(r, "checkpoints");
    }
    if (render_wants(r, STREAM_DEBUG)) {
        w = render_begin(r);
        debug_begin(&w, "checkpoint", r->s->step_number, item->at);
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
    if (render_wants(r, STREAM_MESSAGES) && r->s == &r->root)
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
        if (json_has(data, "result"))
            jw_val(w, json_get(data, "result"));
        else
            jw_raw(w, STR("{}"));
    }
    jw_key(w, "interrupts");
    if (json_has(data, "interrupts"))
        jw_val(w, json_get(data, "interrupts"));
    else
        jw_raw(w, STR("[]"));
    jw_object_end(w);
}

static void write_interrupts(struct json_writer *w, yyjson_val *interrupts) {
    jw_key(w, "__interrupt__");
    jw_val(w, interrupts);
    jw_object_end(w);
}

static void render_interrupt_update(struct render *r, yyjson_val *interrupts) {
    if (!interrupts || !render_wants(r, STREAM_UPDATES))
        return;
    struct json_writer w = render_begin(r);
    jw_object(&w);
    write_interrupts(&w, interrupts);
    render_end(r, "updates");
}

/* The state with the question. */
static void render_interrupt_values(struct render *r, const struct stream_item *item,
                                    yyjson_val *interrupts) {
    if (!interrupts || !render_wants(r, STREAM_VALUES))
        return;
    str values = values_of(r, item);
    struct json_writer w = render_begin(r);
    jw_object(&w);
    if (values.len > 2)
        jw_raw(&w, str_slice(values, 1, values.len - 1));
    write_interrupts(&w, interrupts);
    render_end(r, "values");
}

static void render_task(struct render *r, const struct stream_item *item, yyjson_val *data) {
    struct render_task *t = render_task_of(r, json_str(json_get(data, "id")));
    yyjson_val *result = json_get(data, "result");
    bool failed = result == NULL || yyjson_is_null(result);
    struct json_writer w;
    if (t && !failed && render_wants(r, STREAM_MESSAGES_TUPLE))
        render_task_messages(r, t, result, json_get(data, "seen"));
    render_interrupt_update(r, json_get(data, "interrupts"));
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
        debug_begin(&w, "task_result", r->s->step_number + 1, item->at);
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
    render_interrupt_values(r, item, json_get(data, "interrupts"));
}

static void render_run_end(struct render *r, const struct stream_item *item, yyjson_val *data) {
    yyjson_val *error = json_get(data, "error"), *feedback = json_get(data, "feedback");
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
        jw_raw(&w, r->s->values);
        jw_object_end(&w);
        jw_object_end(&w);
        render_end(r, "events");
    }
    if (yyjson_is_obj(feedback)) {
        w = render_begin(r);
        jw_val(&w, feedback);
        render_end(r, "feedback");
    }
    render_lifecycle(r, item, "status", data);
}

void render_item(struct render *r, const struct stream_item *item, bool mute) {
    if (r->gone)
        return;
    r->mute = mute;
    arena_reset(&r->item);
    yyjson_val *data = NULL;
    if (json_parse(&r->item, item->data, &data, NULL) < 0) {
        log_event(LOG_ERROR, "stream.entry.corrupt", "an item of the log cannot be read",
                  LOG_INT("seq", item->seq));
        return;
    }
    bool fragment = item->kind == LOG_FRAGMENTS;
    if (!scope_enter(r, json_str(json_get(data, fragment ? "n" : "ns"))))
        return;
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
        render_run_end(r, item, data);
        break;
    case LOG_FRAGMENTS:
        render_fragment(r, data);
        break;
    case LOG_STEPS:
        if (render_wants(r, STREAM_CUSTOM)) {
            struct json_writer w = render_begin(r);
            jw_val(&w, data);
            render_end(r, "custom");
        }
        break;
    case LOG_QUEUED:
        break;
    }
}
