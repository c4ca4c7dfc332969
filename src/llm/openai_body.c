/* SPDX-License-Identifier: Apache-2.0 */
/* openai_body.c - flat messages and tools as the body of POST …/chat/completions.
 *
 *   flat type   role        members sent
 *   human       user        content (string or parts), name
 *   ai          assistant   content (null when there are only tool calls), name, tool_calls with
 *                           the arguments as a JSON text; calls that were not valid keep their
 *                           raw text
 *   system      system      content as text
 *   tool        tool        content as text, tool_call_id
 *   remove      -           nothing: it is an instruction to the reducer
 *   other       the member "role", else function for a named one, else user
 *
 * Parts of a human's content are passed on when the API knows them (text, image_url, input_audio,
 * file); other kinds are other providers' and are left out. A new kind of part is added in
 * part_is_known(). */
#include "llm/openai.h"

static bool part_is_known(str type) {
    return str_eq(type, STR("text")) || str_eq(type, STR("image_url")) ||
           str_eq(type, STR("input_audio")) || str_eq(type, STR("file"));
}

static void write_parts(struct json_writer *w, yyjson_val *parts) {
    jw_array(w);
    size_t i, n;
    yyjson_val *part;
    yyjson_arr_foreach(parts, i, n, part) {
        str type = json_str(json_get(part, "type"));
        bool plain = yyjson_is_str(part);
        if (!plain && !part_is_known(type))
            continue;
        if (!plain && !str_eq(type, STR("text"))) {
            jw_val(w, part);
            continue;
        }
        jw_object(w);
        jw_key(w, "type");
        jw_z(w, "text");
        jw_key(w, "text");
        jw_val(w, plain ? part : json_get(part, "text"));
        jw_object_end(w);
    }
    jw_array_end(w);
}

static bool name_is_sendable(str name) {
    if (name.len == 0 || name.len > 64)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return true;
}

static void write_name(struct json_writer *w, const struct message *m) {
    str name = json_str(json_get(m->root, "name"));
    if (!name_is_sendable(name))
        return;
    jw_key(w, "name");
    jw_str(w, name);
}

static void write_call(struct json_writer *w, str id, str name, str arguments) {
    jw_object(w);
    jw_key(w, "id");
    jw_str(w, id.p ? id : STR(""));
    jw_key(w, "type");
    jw_z(w, "function");
    jw_key(w, "function");
    jw_object(w);
    jw_key(w, "name");
    jw_str(w, name.p ? name : STR(""));
    jw_key(w, "arguments");
    jw_str(w, arguments);
    jw_object_end(w);
    jw_object_end(w);
}

static void write_calls(struct json_writer *w, struct arena *a, yyjson_val *calls) {
    size_t i, n;
    yyjson_val *call;
    yyjson_arr_foreach(calls, i, n, call) {
        yyjson_val *args = json_get(call, "args");
        str text = yyjson_is_str(args) ? json_str(args) : args ? json_text(a, args) : STR("{}");
        write_call(w, json_str(json_get(call, "id")), json_str(json_get(call, "name")), text);
    }
}

static void write_ai(struct json_writer *w, struct arena *a, const struct message *m) {
    yyjson_val *calls = message_tool_calls(m);
    yyjson_val *invalid = json_get(m->root, "invalid_tool_calls");
    bool any = yyjson_arr_size(calls) > 0 || yyjson_arr_size(invalid) > 0;
    str text = message_text(a, m);
    jw_key(w, "content");
    if (text.len == 0 && any)
        jw_null(w);
    else
        jw_str(w, text.p ? text : STR(""));
    write_name(w, m);
    if (!any)
        return;
    jw_key(w, "tool_calls");
    jw_array(w);
    if (yyjson_is_arr(calls))
        write_calls(w, a, calls);
    if (yyjson_is_arr(invalid))
        write_calls(w, a, invalid);
    jw_array_end(w);
}

static void write_text(struct json_writer *w, struct arena *a, const struct message *m) {
    str text = message_text(a, m);
    jw_key(w, "content");
    jw_str(w, text.p ? text : STR(""));
}

static void write_human(struct json_writer *w, struct arena *a, const struct message *m) {
    yyjson_val *content = json_get(m->root, "content");
    if (yyjson_is_arr(content)) {
        jw_key(w, "content");
        write_parts(w, content);
    } else {
        write_text(w, a, m);
    }
    write_name(w, m);
}

static str message_role(const struct message *m) {
    switch (m->type) {
    case MESSAGE_HUMAN:
        return STR("user");
    case MESSAGE_AI:
        return STR("assistant");
    case MESSAGE_SYSTEM:
        return STR("system");
    case MESSAGE_TOOL:
        return STR("tool");
    default:
        break;
    }
    str role = json_str(json_get(m->root, "role"));
    if (role.len > 0)
        return role;
    return str_eq(m->type_name, STR("function")) ? STR("function") : STR("user");
}

static void write_message(struct json_writer *w, struct arena *a, const struct message *m) {
    jw_object(w);
    jw_key(w, "role");
    jw_str(w, message_role(m));
    if (m->type == MESSAGE_AI) {
        write_ai(w, a, m);
    } else if (m->type == MESSAGE_HUMAN) {
        write_human(w, a, m);
    } else {
        write_text(w, a, m);
        if (m->type == MESSAGE_TOOL) {
            jw_key(w, "tool_call_id");
            str id = json_str(json_get(m->root, "tool_call_id"));
            jw_str(w, id.p ? id : STR(""));
        } else if (m->type == MESSAGE_OTHER) {
            write_name(w, m);
        }
    }
    jw_object_end(w);
}

static int write_messages(struct json_writer *w, struct arena *a, const struct llm_request *r,
                          struct err *err) {
    jw_key(w, "messages");
    jw_array(w);
    if (r->system_prompt.len > 0) {
        jw_object(w);
        jw_key(w, "role");
        jw_z(w, "system");
        jw_key(w, "content");
        jw_str(w, r->system_prompt);
        jw_object_end(w);
    }
    for (size_t i = 0; i < r->message_count; i++) {
        struct message m = r->messages[i];
        if (m.type == MESSAGE_REMOVE)
            continue;
        struct err why = {0};
        if (message_load(a, &m, &why) < 0)
            return err_set(err, ERR_MODEL_REQUEST,
                           "messages[%zu] cannot be sent to a model: %.160s", i, why.message);
        write_message(w, a, &m);
    }
    jw_array_end(w);
    return 0;
}

static int write_tools(struct json_writer *w, struct arena *a, str tools, struct err *err) {
    yyjson_val *list;
    if (json_parse(a, tools, &list, NULL) < 0 || !yyjson_is_arr(list))
        return err_set(err, ERR_MODEL_REQUEST, "the list of tools is not a JSON array");
    if (yyjson_arr_size(list) == 0)
        return 0;
    jw_key(w, "tools");
    jw_array(w);
    size_t i, n;
    yyjson_val *tool;
    yyjson_arr_foreach(list, i, n, tool) {
        if (yyjson_is_obj(json_get(tool, "function"))) {
            jw_val(w, tool);
            continue;
        }
        jw_object(w);
        jw_key(w, "type");
        jw_z(w, "function");
        jw_key(w, "function");
        jw_val(w, tool);
        jw_object_end(w);
    }
    jw_array_end(w);
    return 0;
}

static int write_body(struct json_writer *w, struct arena *a, const struct llm_request *r,
                      struct err *err) {
    jw_object(w);
    jw_key(w, "model");
    jw_str(w, r->model.p ? r->model : STR(""));
    if (r->stream) {
        jw_key(w, "stream");
        jw_bool(w, true);
        jw_key(w, "stream_options");
        jw_raw(w, STR("{\"include_usage\":true}"));
    }
    if (r->has_temperature) {
        jw_key(w, "temperature");
        jw_double(w, r->temperature);
    }
    if (r->max_tokens > 0) {
        jw_key(w, "max_tokens");
        jw_i64(w, r->max_tokens);
    }
    int rc = write_messages(w, a, r, err);
    if (rc == 0 && r->tools.len > 0)
        rc = write_tools(w, a, r->tools, err);
    jw_object_end(w);
    return rc;
}

static int too_large(struct err *err, size_t bytes_max) {
    return err_set(err, ERR_MODEL_REQUEST, "the request to the model is larger than %zu bytes",
                   bytes_max);
}

int llm_openai_write_body(const struct llm_request *r, struct buf *out, struct err *err) {
    size_t bytes = r->tools.len + r->system_prompt.len;
    for (size_t i = 0; i < r->message_count; i++)
        bytes += r->messages[i].json.len;
    if (bytes > out->max_bytes) /* before documents of that size are built */
        return too_large(err, out->max_bytes);
    struct arena scratch;
    arena_init(&scratch, 64 * bytes + ((size_t)1 << 20));
    struct json_writer w = json_writer(out);
    int rc = write_body(&w, &scratch, r, err);
    arena_deinit(&scratch);
    if (rc == 0 && !buf_ok(out))
        rc = too_large(err, out->max_bytes);
    return rc;
}
