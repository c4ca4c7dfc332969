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
 * Blocks of a human's content are passed on when the API knows them (text, image_url, input_audio,
 * file) and translated when parts.h does; other kinds are other providers' and are left out. */
#include "llm/openai.h"
#include "llm/parts.h"
#include "llm/thinking.h"

static bool part_is_native(yyjson_val *block) {
    str type = json_str(json_get(block, "type"));
    return str_eq(type, STR("image_url")) || str_eq(type, STR("input_audio")) ||
           (str_eq(type, STR("file")) && json_has(block, "file"));
}

/* LangChain's and other servers' blocks in this API's words. */
static void write_translated(struct json_writer *w, struct arena *a, const struct llm_part *p) {
    str data = p->url;
    if (p->base64.len)
        data = arena_printf(a, "data:" STR_FMT ";base64," STR_FMT,
                            STR_ARG(p->mime.len                 ? p->mime
                                    : p->kind == LLM_PART_IMAGE ? STR("image/png")
                                                                : STR("application/pdf")),
                            STR_ARG(p->base64));
    const char *type = p->kind == LLM_PART_IMAGE   ? "image_url"
                       : p->kind == LLM_PART_AUDIO ? "input_audio"
                                                   : "file";
    jw_object(w);
    jw_key(w, "type");
    jw_z(w, type);
    jw_key(w, type);
    jw_object(w);
    if (p->kind == LLM_PART_IMAGE) {
        jw_key(w, "url");
        jw_str(w, data);
    } else if (p->kind == LLM_PART_AUDIO) {
        jw_key(w, "data");
        jw_str(w, p->base64);
        jw_key(w, "format");
        jw_z(w, str_eq(p->mime, STR("audio/mpeg")) || str_eq(p->mime, STR("audio/mp3")) ? "mp3"
                                                                                        : "wav");
    } else {
        jw_key(w, "filename");
        jw_str(w, p->name.len ? p->name : STR("file"));
        jw_key(w, "file_data");
        jw_str(w, data);
    }
    jw_object_end(w);
    jw_object_end(w);
}

static int write_parts(struct json_writer *w, struct arena *a, yyjson_val *parts, struct err *err) {
    jw_array(w);
    size_t i, n;
    yyjson_val *block;
    yyjson_arr_foreach(parts, i, n, block) {
        struct llm_part p;
        llm_part_read(a, block, &p);
        if (p.kind == LLM_PART_TEXT) {
            jw_object(w);
            jw_key(w, "type");
            jw_z(w, "text");
            jw_key(w, "text");
            jw_str(w, p.text.p ? p.text : STR(""));
            jw_object_end(w);
        } else if (part_is_native(block)) {
            jw_val(w, block);
        } else if (p.kind == LLM_PART_VIDEO || (p.kind > LLM_PART_IMAGE && !p.base64.len)) {
            return llm_part_refuse(err, &p, "this model server");
        } else if (p.kind != LLM_PART_NONE) {
            write_translated(w, a, &p);
        }
    }
    jw_array_end(w);
    return 0;
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

static int write_human(struct json_writer *w, struct arena *a, const struct message *m,
                       struct err *err) {
    yyjson_val *content = json_get(m->root, "content");
    int rc = 0;
    if (yyjson_is_arr(content)) {
        jw_key(w, "content");
        rc = write_parts(w, a, content, err);
    } else {
        write_text(w, a, m);
    }
    write_name(w, m);
    return rc;
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

static int write_message(struct json_writer *w, struct arena *a, const struct message *m,
                         struct err *err) {
    int rc = 0;
    jw_object(w);
    jw_key(w, "role");
    jw_str(w, message_role(m));
    if (m->type == MESSAGE_AI) {
        write_ai(w, a, m);
    } else if (m->type == MESSAGE_HUMAN) {
        rc = write_human(w, a, m, err);
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
    return rc;
}

static int write_messages(struct json_writer *w, struct arena *a, const struct llm_request *r,
                          struct err *err) {
    struct message *list;
    size_t count;
    int rc = llm_messages_load(a, r, &list, &count, err);
    if (rc < 0)
        return rc;
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
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = write_message(w, a, &list[i], err);
    jw_array_end(w);
    return rc;
}

static int write_tools(struct json_writer *w, struct arena *a, const struct llm_request *r,
                       struct err *err) {
    yyjson_val *list;
    int rc = llm_tools_load(a, r, &list, err);
    if (rc < 0 || !list)
        return rc;
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
    bool thinks = llm_thinks(r);
    if (thinks) {
        jw_key(w, "reasoning_effort");
        jw_z(w, llm_thinking_name(r->thinking));
    }
    if (r->has_temperature && !thinks) { /* models that think refuse one */
        jw_key(w, "temperature");
        jw_double(w, r->temperature);
    }
    if (r->max_tokens > 0) { /* OpenAI's own have another name for it when they think */
        bool own = thinks && str_eq(r->provider, STR("openai"));
        jw_key(w, own ? "max_completion_tokens" : "max_tokens");
        jw_i64(w, r->max_tokens);
    }
    int rc = write_messages(w, a, r, err);
    if (rc == 0)
        rc = write_tools(w, a, r, err);
    jw_object_end(w);
    return rc;
}

int llm_openai_write_body(struct buf *out, struct arena *scratch, const struct llm_request *r,
                          struct err *err) {
    struct json_writer w = json_writer(out);
    return write_body(&w, scratch, r, err);
}
