/* SPDX-License-Identifier: Apache-2.0 */
/* anthropic_body.c - flat messages and tools as the body of POST …/v1/messages.
 *
 *   flat type   becomes
 *   system      a part of the top-level "system", after the request's own prompt
 *   human       user: its text and its blocks (image, PDF)
 *   ai          assistant: thoughts that it must see again, when it is to think; text, then a
 *               tool_use for each call; a call whose arguments were not valid has none
 *   tool        user: a tool_result, with is_error as the message's status says
 *   other       user: its text
 *
 * Neighbours of one role become one message, since all results of an assistant's calls must stand
 * in the one message after it. Texts of nothing but blanks are refused by the server and left out.
 * The server demands a limit of the answer; without a configured one it is the largest that the
 * model family takes. */
#include "llm/anthropic.h"
#include "llm/parts.h"
#include "llm/thinking.h"

struct body {
    struct json_writer w;
    struct arena *a;
    struct llm_roles roles;
    int64_t thinking; /* tokens; 0: none */
    struct err *err;
};

/* --- blocks --- */

static void write_text(struct json_writer *w, str text) {
    jw_object(w);
    jw_key(w, "type");
    jw_z(w, "text");
    jw_key(w, "text");
    jw_str(w, text);
    jw_object_end(w);
}

static void write_source(struct json_writer *w, const struct llm_part *p, str mime) {
    jw_object(w);
    jw_key(w, "type");
    jw_z(w, p->kind == LLM_PART_IMAGE ? "image" : "document");
    jw_key(w, "source");
    jw_object(w);
    jw_key(w, "type");
    jw_z(w, p->base64.len ? "base64" : "url");
    if (p->base64.len) {
        jw_key(w, "media_type");
        jw_str(w, mime);
    }
    jw_key(w, p->base64.len ? "data" : "url");
    jw_str(w, p->base64.len ? p->base64 : p->url);
    jw_object_end(w);
    if (p->kind == LLM_PART_FILE && p->name.len) {
        jw_key(w, "title");
        jw_str(w, p->name);
    }
    jw_object_end(w);
}

/* role: of the message to open for it; NULL: inside a result. */
static int write_part(struct body *b, const char *role, yyjson_val *block) {
    struct llm_part p;
    llm_part_read(b->a, block, &p);
    if (p.kind == LLM_PART_NONE || (p.kind == LLM_PART_TEXT && str_trim(p.text).len == 0))
        return 0;
    if (role)
        llm_roles_open(&b->roles, &b->w, role);
    if (p.kind == LLM_PART_TEXT) {
        write_text(&b->w, p.text);
        return 0;
    }
    str pdf = STR("application/pdf");
    bool sendable = p.kind == LLM_PART_IMAGE ||
                    (p.kind == LLM_PART_FILE && (!p.mime.len || str_eq(p.mime, pdf)));
    if (!sendable)
        return llm_part_refuse(b->err, &p, "Anthropic");
    write_source(&b->w, &p, p.mime.len ? p.mime : p.kind == LLM_PART_FILE ? pdf : STR("image/png"));
    return 0;
}

static int write_parts(struct body *b, const char *role, yyjson_val *blocks) {
    size_t i, n;
    yyjson_val *block;
    yyjson_arr_foreach(blocks, i, n, block) {
        int rc = write_part(b, role, block);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Other servers' ids may hold characters that this one refuses. */
static void write_id(struct body *b, const char *key, str id) {
    char *own = arena_z(b->a, id.len ? id : STR("none"));
    for (char *c = own; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              *c == '_' || *c == '-'))
            *c = '_';
    jw_key(&b->w, key);
    jw_z(&b->w, own);
}

static void write_thought(void *ctx, yyjson_val *block) {
    struct body *b = ctx;
    static const char *const members[] = {"type", "thinking", "signature", "data"};
    llm_roles_open(&b->roles, &b->w, "assistant");
    jw_object(&b->w);
    for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
        if (!json_has(block, members[i]))
            continue;
        jw_key(&b->w, members[i]);
        jw_val(&b->w, json_get(block, members[i]));
    }
    jw_object_end(&b->w);
}

static void write_calls(struct body *b, yyjson_val *calls) {
    size_t i, n;
    yyjson_val *call;
    if (!yyjson_is_arr(calls))
        return;
    yyjson_arr_foreach(calls, i, n, call) {
        yyjson_val *args = json_get(call, "args");
        llm_roles_open(&b->roles, &b->w, "assistant");
        jw_object(&b->w);
        jw_key(&b->w, "type");
        jw_z(&b->w, "tool_use");
        write_id(b, "id", json_str(json_get(call, "id")));
        jw_key(&b->w, "name");
        str name = json_str(json_get(call, "name"));
        jw_str(&b->w, name.p ? name : STR(""));
        jw_key(&b->w, "input");
        if (yyjson_is_obj(args))
            jw_val(&b->w, args);
        else
            jw_raw(&b->w, STR("{}"));
        jw_object_end(&b->w);
    }
}

static int write_result(struct body *b, const struct message *m) {
    yyjson_val *content = json_get(m->root, "content");
    int rc = 0;
    llm_roles_open(&b->roles, &b->w, "user");
    jw_object(&b->w);
    jw_key(&b->w, "type");
    jw_z(&b->w, "tool_result");
    write_id(b, "tool_use_id", json_str(json_get(m->root, "tool_call_id")));
    jw_key(&b->w, "content");
    if (yyjson_is_arr(content)) {
        jw_array(&b->w);
        rc = write_parts(b, NULL, content);
        jw_array_end(&b->w);
    } else {
        str text = message_text(b->a, m);
        jw_str(&b->w, text.p ? text : STR(""));
    }
    if (str_eq(json_str(json_get(m->root, "status")), STR("error"))) {
        jw_key(&b->w, "is_error");
        jw_bool(&b->w, true);
    }
    jw_object_end(&b->w);
    return rc;
}

static void write_plain(struct body *b, const char *role, const struct message *m) {
    str text = message_text(b->a, m);
    if (str_trim(text).len == 0)
        return;
    llm_roles_open(&b->roles, &b->w, role);
    write_text(&b->w, text);
}

static int write_message(struct body *b, const struct message *m) {
    yyjson_val *content = json_get(m->root, "content");
    switch (m->type) {
    case MESSAGE_SYSTEM:
        return 0;
    case MESSAGE_TOOL:
        return write_result(b, m);
    case MESSAGE_AI:
        if (b->thinking > 0)
            (void)llm_thoughts_of(m, write_thought, b); /* how many does not matter */
        write_plain(b, "assistant", m);
        write_calls(b, message_tool_calls(m));
        write_calls(b, json_get(m->root, "invalid_tool_calls"));
        return 0;
    case MESSAGE_HUMAN:
        if (yyjson_is_arr(content))
            return write_parts(b, "user", content);
        break;
    default:
        break;
    }
    write_plain(b, "user", m);
    return 0;
}

/* --- the rest --- */

static void write_system(struct body *b, const struct llm_request *r, const struct message *list,
                         size_t count) {
    str system = r->system_prompt.len ? r->system_prompt : STR("");
    for (size_t i = 0; i < count; i++) {
        str text = list[i].type == MESSAGE_SYSTEM ? message_text(b->a, &list[i]) : STR_NULL;
        if (text.len)
            system = arena_printf(b->a, STR_FMT "%s" STR_FMT, STR_ARG(system),
                                  system.len ? "\n\n" : "", STR_ARG(text));
    }
    if (str_trim(system).len == 0)
        return;
    jw_key(&b->w, "system");
    jw_str(&b->w, system);
}

static void write_tools(struct json_writer *w, yyjson_val *tools) {
    size_t i, n;
    yyjson_val *tool;
    jw_key(w, "tools");
    jw_array(w);
    yyjson_arr_foreach(tools, i, n, tool) {
        yyjson_val *f = llm_tool_function(tool), *schema = json_get(f, "parameters");
        str description = json_str(json_get(f, "description"));
        jw_object(w);
        jw_key(w, "name");
        jw_str(w, json_str(json_get(f, "name")));
        if (description.len) {
            jw_key(w, "description");
            jw_str(w, description);
        }
        jw_key(w, "input_schema");
        if (yyjson_is_obj(schema))
            jw_val(w, schema);
        else
            jw_raw(w, STR("{\"type\":\"object\"}"));
        jw_object_end(w);
    }
    jw_array_end(w);
}

static int tokens_max(const struct llm_request *r) {
    if (r->max_tokens > 0)
        return r->max_tokens;
    if (str_find(r->model, STR("claude-3-5")) >= 0 || str_find(r->model, STR("claude-3-7")) >= 0)
        return 8192;
    return str_find(r->model, STR("claude-3-")) >= 0 ? 4096 : 32000;
}

/* The server wants to see the thoughts behind calls that are answered now. Who made them did not
 * think, or was another model: then this answer goes without, too. */
static bool may_think(const struct message *list, size_t count) {
    size_t i = count;
    while (i > 0 && (list[i - 1].type == MESSAGE_TOOL || list[i - 1].type == MESSAGE_SYSTEM))
        i--;
    return i == 0 || list[i - 1].type != MESSAGE_AI ||
           llm_thoughts_of(&list[i - 1], NULL, NULL) > 0;
}

static void write_thinking(struct body *b) {
    if (b->thinking == 0)
        return;
    jw_key(&b->w, "thinking");
    jw_object(&b->w);
    jw_key(&b->w, "type");
    jw_z(&b->w, "enabled");
    jw_key(&b->w, "budget_tokens");
    jw_i64(&b->w, b->thinking);
    jw_object_end(&b->w);
}

int llm_anthropic_write_body(struct buf *out, struct arena *scratch, const struct llm_request *r,
                             struct err *err) {
    struct body b = {.w = json_writer(out), .a = scratch, .roles = {.key = "content"}, .err = err};
    struct message *list;
    size_t count;
    yyjson_val *tools;
    int rc = llm_messages_load(scratch, r, &list, &count, err);
    if (rc == 0)
        rc = llm_tools_load(scratch, r, &tools, err);
    if (rc < 0)
        return rc;
    if (llm_thinks(r) && may_think(list, count))
        b.thinking = llm_thinking_tokens(r->thinking, tokens_max(r));
    jw_object(&b.w);
    jw_key(&b.w, "model");
    jw_str(&b.w, r->model.p ? r->model : STR(""));
    jw_key(&b.w, "max_tokens");
    jw_i64(&b.w, tokens_max(r));
    if (r->stream) {
        jw_key(&b.w, "stream");
        jw_bool(&b.w, true);
    }
    write_thinking(&b);
    if (r->has_temperature && b.thinking == 0) { /* this server's scale ends at 1 */
        jw_key(&b.w, "temperature");
        jw_double(&b.w, r->temperature < 1 ? r->temperature : 1);
    }
    write_system(&b, r, list, count);
    jw_key(&b.w, "messages");
    jw_array(&b.w);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = write_message(&b, &list[i]);
    llm_roles_close(&b.roles, &b.w);
    jw_array_end(&b.w);
    if (tools)
        write_tools(&b.w, tools);
    jw_object_end(&b.w);
    return rc;
}
