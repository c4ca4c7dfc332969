/* SPDX-License-Identifier: Apache-2.0 */
/* a2a_read.c - messages of A2A clients, in the words of either version.
 *
 *   0.3  {"kind":"text","text"}  {"kind":"data","data"}  {"kind":"file","file":{"bytes"|"uri",
 *        "mimeType"}}   role user   configuration.blocking
 *   1    {"text"}  {"data"}  {"raw"|"url","mediaType"}   role ROLE_USER
 *        configuration.returnImmediately
 *
 * Texts and files become one human message, data parts members of the run's input beside it. A
 * part of data {"resume": [{id, value}, …]}, or a text that is such an object, answers questions.
 */
#include "api/a2a_int.h"

static bool refuse(struct rpc_error *e, int64_t code, str text) {
    *e = (struct rpc_error){.code = code, .text = text};
    return false;
}

bool api_a2a_task_id_read(str text, struct id *thread_id, struct id *run_id) {
    ptrdiff_t at = str_find_char(text, ':');
    return at > 0 && text.len <= A2A_TASK_LEN_MAX &&
           id_parse(str_slice(text, 0, (size_t)at), thread_id) &&
           id_parse(str_slice(text, (size_t)at + 1, text.len), run_id);
}

bool api_a2a_version_is_known(str version) {
    if (version.len == 0)
        return true;
    static const char *const known[] = {"0.3", "1.0"};
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        if (str_eq(version, str_of(known[i])) ||
            (str_starts(version, str_of(known[i])) && version.len > 3 && version.p[3] == '.'))
            return true;
    return false;
}

static int64_t history_of(yyjson_val *value) {
    if (!yyjson_is_int(value) || yyjson_get_sint(value) < 0)
        return 0;
    int64_t n = yyjson_get_sint(value);
    return n > A2A_HISTORY_MAX ? A2A_HISTORY_MAX : n;
}

int64_t api_a2a_history_read(yyjson_val *params) {
    return history_of(json_get(params, "historyLength"));
}

/* --- parts --- */

struct parts {
    struct arena *a;
    struct buf text, blocks; /* blocks: of a message's content, without brackets */
    str data;
    yyjson_val *resume;
    bool has_text, has_file;
};

static yyjson_val *resume_of(yyjson_val *object) {
    yyjson_val *list = json_get(object, "resume");
    return yyjson_is_arr(list) ? list : NULL;
}

static void add_block(struct parts *p, const char *type, const char *key, str value, str mime) {
    struct json_writer w = json_writer(&p->blocks);
    if (p->blocks.len > 0)
        buf_char(&p->blocks, ',');
    jw_object(&w);
    jw_key(&w, "type");
    jw_z(&w, type);
    jw_key(&w, key);
    jw_str(&w, value);
    if (mime.len) {
        jw_key(&w, "mime_type");
        jw_str(&w, mime);
    }
    jw_object_end(&w);
}

static void add_text(struct parts *p, str text) {
    yyjson_val *root;
    if (str_starts(str_trim(text), STR("{")) && json_parse(p->a, text, &root, NULL) == 0 &&
        resume_of(root)) {
        p->resume = resume_of(root);
        return;
    }
    if (p->has_text)
        buf_char(&p->text, '\n');
    buf_str(&p->text, text);
    add_block(p, "text", "text", text, STR_NULL);
    p->has_text = true;
}

static void add_data(struct parts *p, yyjson_val *data) {
    if (resume_of(data))
        p->resume = resume_of(data);
    else
        p->data = json_merge(p->a, p->data, json_text(p->a, data));
}

static bool add_file(struct parts *p, yyjson_val *file, const char *bytes, const char *url,
                     const char *mime_key) {
    str inside = json_str(json_get(file, bytes)), at = json_str(json_get(file, url));
    str mime = json_str(json_get(file, mime_key));
    if (!inside.len && !at.len)
        return false;
    const char *type = str_starts(mime, STR("image/"))   ? "image"
                       : str_starts(mime, STR("audio/")) ? "audio"
                       : str_starts(mime, STR("video/")) ? "video"
                                                         : "file";
    add_block(p, type, inside.len ? "base64" : "url", inside.len ? inside : at, mime);
    p->has_file = true;
    return true;
}

static bool add_part(struct parts *p, yyjson_val *part) {
    yyjson_val *data = json_get(part, "data"), *file = json_get(part, "file");
    str text = json_str(json_get(part, "text"));
    if (text.p)
        add_text(p, text);
    else if (yyjson_is_obj(data))
        add_data(p, data);
    else if (yyjson_is_obj(file))
        return add_file(p, file, "bytes", "uri", "mimeType");
    else
        return add_file(p, part, "raw", "url", "mediaType");
    return true;
}

/* One text is a content by itself. */
static void take_content(struct parts *p, struct api_a2a_send *out) {
    if (!p->has_text && !p->has_file)
        return;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    if (p->has_file) {
        buf_char(&b, '[');
        buf_str(&b, buf_view(&p->blocks));
        buf_char(&b, ']');
    } else {
        jw_str(&w, p->text.len ? buf_view(&p->text) : STR(""));
    }
    out->content = arena_take(p->a, &b);
}

static bool read_parts(struct arena *a, yyjson_val *list, struct api_a2a_send *out,
                       struct rpc_error *e) {
    struct parts p = {.a = a};
    yyjson_val *part;
    size_t i, count;
    bool ok =
        yyjson_is_arr(list) && yyjson_arr_size(list) > 0 && yyjson_arr_size(list) <= A2A_PARTS_MAX;
    if (!ok)
        return refuse(e, RPC_INVALID_PARAMS,
                      STR("message.parts: must be a list that is not empty"));
    buf_init(&p.text, SIZE_MAX / 2);
    buf_init(&p.blocks, SIZE_MAX / 2);
    yyjson_arr_foreach(list, i, count, part) { ok = ok && add_part(&p, part); }
    if (ok) {
        out->text = !p.has_text ? STR_NULL : p.text.len ? arena_dup(a, buf_view(&p.text)) : STR("");
        out->data = p.data;
        out->resume = p.resume;
        take_content(&p, out);
    }
    buf_deinit(&p.text);
    buf_deinit(&p.blocks);
    return ok || refuse(e, A2A_NO_CONTENT, STR("message.parts: must be of text, data or files"));
}

/* --- the message --- */

static bool read_ids(yyjson_val *params, yyjson_val *message, struct api_a2a_send *out,
                     struct rpc_error *e) {
    str context = json_str(json_get(message, "contextId"));
    str task = json_str(json_get(message, "taskId"));
    if (!context.len)
        context = json_str(json_get(json_get(params, "thread"), "threadId"));
    if (context.len && !id_parse(context, &out->thread_id))
        return refuse(e, RPC_INVALID_PARAMS, STR("message.contextId: must be a UUID"));
    struct id thread_id = ID_NIL;
    if (task.len && !api_a2a_task_id_read(task, &thread_id, &out->run_id))
        return refuse(e, A2A_NO_TASK, STR("Task not found"));
    if (task.len && context.len && !id_eq(thread_id, out->thread_id))
        return refuse(e, RPC_INVALID_PARAMS, STR("message.taskId: is of another context"));
    if (task.len)
        out->thread_id = thread_id;
    return true;
}

bool api_a2a_send_read(struct arena *a, yyjson_val *params, struct api_a2a_send *out,
                       struct rpc_error *e) {
    yyjson_val *message = json_get(params, "message");
    yyjson_val *configuration = json_get(params, "configuration");
    yyjson_val *blocking = json_get(configuration, "blocking");
    yyjson_val *metadata = json_get(params, "metadata");
    str role = json_str(json_get(message, "role"));
    *out = (struct api_a2a_send){0};
    if (!yyjson_is_obj(message))
        return refuse(e, RPC_INVALID_PARAMS, STR("message: must be an object"));
    if (!str_eq(role, STR("user")) && !str_eq(role, STR("ROLE_USER")))
        return refuse(e, RPC_INVALID_PARAMS, STR("message.role: must be the user's"));
    out->push = json_get(configuration, "pushNotificationConfig");
    if (!yyjson_is_obj(out->push))
        out->push = json_get(configuration, "taskPushNotificationConfig");
    if (!yyjson_is_obj(out->push))
        out->push = NULL;
    out->message_id = json_str(json_get(message, "messageId"));
    out->history = history_of(json_get(configuration, "historyLength"));
    out->returns_at_once =
        yyjson_is_true(json_get(configuration, "returnImmediately")) || yyjson_is_false(blocking);
    if (yyjson_is_obj(metadata) && yyjson_obj_size(metadata) > 0)
        out->metadata = json_text(a, metadata);
    return read_ids(params, message, out, e) && read_parts(a, json_get(message, "parts"), out, e);
}
