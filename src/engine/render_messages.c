/* SPDX-License-Identifier: Apache-2.0 */
/* render_messages.c - the message modes: tokens as they come, messages as they are complete.
 *
 * A fragment is {"t": task, "m": message, "c": text, "tc": {index, id, name, args}}, the same with
 * "r" before "c" when the text is what the model thinks, or {"t": task, "x": custom JSON}. In mode
 * messages the renderer keeps each message under way, because every partial frame shows the whole
 * message so far. */
#include "base/mem.h"
#include "engine/render_int.h"

static void message_free(struct render_message *m) {
    for (size_t i = 0; i < m->tools.count; i++) {
        buf_deinit(&m->tools.p[i].id);
        buf_deinit(&m->tools.p[i].name);
        buf_deinit(&m->tools.p[i].args);
    }
    vec_deinit(&m->tools);
    buf_deinit(&m->content);
    buf_deinit(&m->thinking);
    mem_free((char *)(uintptr_t)m->id.p);
    mem_free(m);
}

void render_messages_reset(struct render *r) {
    size_t at = 0;
    str key;
    void *value;
    while (map_next(&r->messages, &at, &key, &value))
        message_free(value);
    map_deinit(&r->messages);
    map_init(&r->messages);
}

static struct render_message *message_of(struct render *r, str id) {
    struct render_message *m = map_get(&r->messages, id);
    if (m)
        return m;
    m = NEW(struct render_message);
    m->id = str_n(mem_dup(id.p, id.len), id.len);
    buf_init(&m->content, RENDER_FRAME_BYTES_MAX);
    buf_init(&m->thinking, RENDER_FRAME_BYTES_MAX);
    map_put(&r->messages, m->id, m);
    return m;
}

static struct tool_chunk *tool_of(struct render_message *m, int64_t index) {
    for (size_t i = 0; i < m->tools.count; i++)
        if (m->tools.p[i].index == index)
            return &m->tools.p[i];
    struct tool_chunk t = {.index = index};
    buf_init(&t.id, 64 * 1024);
    buf_init(&t.name, 64 * 1024);
    buf_init(&t.args, RENDER_FRAME_BYTES_MAX);
    vec_push(&m->tools, t);
    return &m->tools.p[m->tools.count - 1];
}

static void accumulate(struct render_message *m, yyjson_val *fragment) {
    bool thinks = json_has(fragment, "r");
    buf_str(thinks ? &m->thinking : &m->content, json_str(json_get(fragment, "c")));
    yyjson_val *tc = json_get(fragment, "tc");
    if (!tc)
        return;
    struct tool_chunk *t = tool_of(m, yyjson_get_sint(json_get(tc, "index")));
    buf_str(&t->id, json_str(json_get(tc, "id")));
    buf_str(&t->name, json_str(json_get(tc, "name")));
    buf_str(&t->args, json_str(json_get(tc, "args")));
}

static void write_tool_chunk(struct json_writer *w, str id, str name, str args, int64_t index) {
    jw_object(w);
    jw_key(w, "name");
    jw_str(w, name);
    jw_key(w, "args");
    jw_str(w, args.p ? args : STR(""));
    jw_key(w, "id");
    jw_str(w, id);
    jw_key(w, "index");
    jw_i64(w, index);
    jw_key(w, "type");
    jw_z(w, "tool_call_chunk");
    jw_object_end(w);
}

/* thinking: empty: none. */
static void write_ai_tail(struct json_writer *w, str id, str thinking) {
    jw_key(w, "invalid_tool_calls");
    jw_raw(w, STR("[]"));
    jw_key(w, "additional_kwargs");
    jw_object(w);
    if (thinking.len) {
        jw_key(w, "reasoning_content");
        jw_str(w, thinking);
    }
    jw_object_end(w);
    jw_key(w, "response_metadata");
    jw_raw(w, STR("{}"));
    jw_key(w, "id");
    jw_str(w, id);
    jw_key(w, "type");
    jw_z(w, "ai");
    jw_object_end(w);
}

/* The chunk alone, as mode messages-tuple and mode events show it. */
static void write_chunk(struct json_writer *w, yyjson_val *fragment) {
    bool thinks = json_has(fragment, "r");
    str text = json_str(json_get(fragment, "c")), content = thinks ? STR_NULL : text;
    yyjson_val *tc = json_get(fragment, "tc");
    jw_object(w);
    jw_key(w, "content");
    jw_str(w, content.p ? content : STR(""));
    jw_key(w, "tool_call_chunks");
    jw_array(w);
    if (tc)
        write_tool_chunk(w, json_str(json_get(tc, "id")), json_str(json_get(tc, "name")),
                         json_str(json_get(tc, "args")), yyjson_get_sint(json_get(tc, "index")));
    jw_array_end(w);
    jw_key(w, "tool_calls");
    jw_raw(w, STR("[]"));
    write_ai_tail(w, json_str(json_get(fragment, "m")), thinks ? text : STR_NULL);
}

/* Calls whose arguments are a whole object already; the others stand in tool_call_chunks only. */
static void write_tool_calls(struct json_writer *w, const struct render_message *m) {
    struct arena scratch;
    arena_init(&scratch, RENDER_FRAME_BYTES_MAX);
    jw_array(w);
    for (size_t i = 0; i < m->tools.count; i++) {
        const struct tool_chunk *t = &m->tools.p[i];
        yyjson_val *args = NULL;
        if (t->args.len == 0 || t->args.p[t->args.len - 1] != '}' ||
            json_parse(&scratch, buf_view(&t->args), &args, NULL) < 0 || !yyjson_is_obj(args))
            continue;
        jw_object(w);
        jw_key(w, "name");
        jw_str(w, buf_view(&t->name));
        jw_key(w, "args");
        jw_val(w, args);
        jw_key(w, "id");
        jw_str(w, buf_view(&t->id));
        jw_key(w, "type");
        jw_z(w, "tool_call");
        jw_object_end(w);
    }
    jw_array_end(w);
    arena_deinit(&scratch);
}

static void write_partial(struct json_writer *w, const struct render_message *m) {
    jw_array(w);
    jw_object(w);
    jw_key(w, "content");
    jw_str(w, m->content.len ? buf_view(&m->content) : STR(""));
    jw_key(w, "tool_call_chunks");
    jw_array(w);
    for (size_t i = 0; i < m->tools.count; i++) {
        const struct tool_chunk *t = &m->tools.p[i];
        write_tool_chunk(w, buf_view(&t->id), buf_view(&t->name), buf_view(&t->args), t->index);
    }
    jw_array_end(w);
    jw_key(w, "tool_calls");
    write_tool_calls(w, m);
    write_ai_tail(w, m->id, buf_view(&m->thinking));
    jw_array_end(w);
}

static void render_partial(struct render *r, struct render_task *t, struct render_message *m,
                           yyjson_val *fragment, bool first) {
    struct json_writer w;
    accumulate(m, fragment);
    if (first) {
        w = render_begin(r);
        jw_object(&w);
        jw_key_str(&w, m->id);
        jw_object(&w);
        jw_key(&w, "metadata");
        jw_raw(&w, t ? render_task_metadata(r, t) : STR("{}"));
        jw_object_end(&w);
        jw_object_end(&w);
        render_end(r, "messages/metadata");
    }
    if (r->mute)
        return;
    w = render_begin(r);
    write_partial(&w, m);
    render_end(r, "messages/partial");
}

static void render_chunk(struct render *r, struct render_task *t, yyjson_val *fragment) {
    struct json_writer w;
    if (render_wants(r, STREAM_MESSAGES_TUPLE)) {
        w = render_begin(r);
        jw_array(&w);
        write_chunk(&w, fragment);
        jw_raw(&w, t ? render_task_metadata(r, t) : STR("{}"));
        jw_array_end(&w);
        render_end(r, "messages");
    }
    if (render_wants(r, STREAM_EVENTS)) {
        w = render_begin(r);
        render_event_head(r, &w, "on_chat_model_stream", STR("chat_model"), t);
        jw_object(&w);
        jw_key(&w, "chunk");
        write_chunk(&w, fragment);
        jw_object_end(&w);
        jw_object_end(&w);
        render_end(r, "events");
    }
}

void render_fragment(struct render *r, yyjson_val *f) {
    if (json_has(f, "x")) {
        if (render_wants(r, STREAM_CUSTOM)) {
            struct json_writer w = render_begin(r);
            jw_val(&w, json_get(f, "x"));
            render_end(r, "custom");
        }
    } else if (render_wants(r, STREAM_MESSAGES | STREAM_MESSAGES_TUPLE | STREAM_EVENTS)) {
        struct render_task *t = render_task_of(r, json_str(json_get(f, "t")));
        struct render_message *m = message_of(r, json_str(json_get(f, "m")));
        bool first = !m->streamed;
        m->streamed = true;
        if (render_wants(r, STREAM_MESSAGES))
            render_partial(r, t, m, f, first);
        if (!r->mute)
            render_chunk(r, t, f);
    }
}

static bool is_among(yyjson_val *ids, str id) {
    yyjson_val *item;
    size_t i, n;
    yyjson_arr_foreach(ids, i, n, item) {
        if (str_eq(json_str(item), id))
            return true;
    }
    return false;
}

void render_task_messages(struct render *r, struct render_task *t, yyjson_val *result,
                          yyjson_val *seen) {
    yyjson_val *list = json_get(result, "messages");
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (yyjson_val *v; list && (v = yyjson_arr_iter_next(&it)) != NULL;) {
        str id = json_str(json_get(v, "id"));
        struct render_message *m = id.p ? message_of(r, id) : NULL;
        if (m && (m->streamed || m->told || is_among(seen, id)))
            continue;
        if (m)
            m->told = true;
        struct json_writer w = render_begin(r);
        jw_array(&w);
        jw_val(&w, v);
        jw_raw(&w, render_task_metadata(r, t));
        jw_array_end(&w);
        render_end(r, "messages");
    }
}

void render_state_messages(struct render *r, str values) {
    struct arena scratch;
    arena_init(&scratch, RENDER_FRAME_BYTES_MAX);
    yyjson_val *root = NULL;
    if (json_parse(&scratch, values, &root, NULL) < 0)
        root = NULL;
    yyjson_val *list = json_get(root, "messages");
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    struct json_writer w = render_begin(r);
    size_t count = 0;
    jw_array(&w);
    for (yyjson_val *v; list && (v = yyjson_arr_iter_next(&it)) != NULL;) {
        str id = json_str(json_get(v, "id"));
        if (!id.p)
            continue;
        struct render_message *m = message_of(r, id);
        if (m->complete)
            continue;
        m->complete = true;
        count++;
        jw_val(&w, v);
    }
    jw_array_end(&w);
    if (count)
        render_end(r, "messages/complete");
    arena_deinit(&scratch);
}
