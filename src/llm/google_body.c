/* SPDX-License-Identifier: Apache-2.0 */
/* google_body.c - flat messages and tools as the body of POST …:generateContent.
 *
 *   flat type   becomes
 *   system      a part of systemInstruction, after the request's own prompt
 *   human       user: its text and its blocks (inlineData, fileData)
 *   ai          model: text, then a functionCall for each call, with the signature it came with
 *   tool        user: a functionResponse {"output"} or, when the message says so, {"error"}
 *   other       user: its text
 *
 * Neighbours of one role become one content: the server wants all responses of a turn together.
 * Calls are matched with their responses by name and order, for ids are unknown to older servers.
 * Signatures stand where LangChain keeps them, in additional_kwargs under LLM_SIGNATURES. A call
 * that has none, since another model made it, carries the word that the server knows for that. */
#include "llm/google.h"
#include "llm/parts.h"
#include "llm/thinking.h"

#define ANSWER_TOKENS 65536 /* of an answer without a limit */
#define NO_SIGNATURE  "skip_thought_signature_validator"

struct body {
    struct json_writer w;
    struct arena *a;
    const struct message *list;
    size_t count;
    struct llm_roles roles;
    bool sign; /* the model wants signatures */
    struct err *err;
};

static void write_text(struct body *b, const char *role, str text) {
    if (text.len == 0)
        return;
    llm_roles_open(&b->roles, &b->w, role);
    jw_object(&b->w);
    jw_key(&b->w, "text");
    jw_str(&b->w, text);
    jw_object_end(&b->w);
}

static str mime_of(const struct llm_part *p) {
    static const char *const usual[] = {[LLM_PART_IMAGE] = "image/png",
                                        [LLM_PART_AUDIO] = "audio/wav",
                                        [LLM_PART_VIDEO] = "video/mp4",
                                        [LLM_PART_FILE] = "application/pdf"};
    return p->mime.len ? p->mime : str_of(usual[p->kind]);
}

static void write_parts(struct body *b, yyjson_val *blocks) {
    size_t i, n;
    yyjson_val *block;
    yyjson_arr_foreach(blocks, i, n, block) {
        struct llm_part p;
        llm_part_read(b->a, block, &p);
        if (p.kind == LLM_PART_TEXT)
            write_text(b, "user", p.text);
        if (p.kind == LLM_PART_NONE || p.kind == LLM_PART_TEXT)
            continue;
        llm_roles_open(&b->roles, &b->w, "user");
        jw_object(&b->w);
        jw_key(&b->w, p.base64.len ? "inlineData" : "fileData");
        jw_object(&b->w);
        jw_key(&b->w, "mimeType");
        jw_str(&b->w, mime_of(&p));
        jw_key(&b->w, p.base64.len ? "data" : "fileUri");
        jw_str(&b->w, p.base64.len ? p.base64 : p.url);
        jw_object_end(&b->w);
        jw_object_end(&b->w);
    }
}

static void write_calls(struct body *b, const struct message *m, yyjson_val *calls) {
    yyjson_val *signatures = json_get(json_get(m->root, "additional_kwargs"), LLM_SIGNATURES);
    size_t i, n;
    yyjson_val *call;
    if (!yyjson_is_arr(calls))
        return;
    yyjson_arr_foreach(calls, i, n, call) {
        yyjson_val *args = json_get(call, "args");
        str signature = json_str(json_get_str(signatures, json_str(json_get(call, "id"))));
        if (!signature.len && b->sign && i == 0 && yyjson_obj_size(signatures) == 0)
            signature = STR(NO_SIGNATURE);
        llm_roles_open(&b->roles, &b->w, "model");
        jw_object(&b->w);
        jw_key(&b->w, "functionCall");
        jw_object(&b->w);
        jw_key(&b->w, "name");
        str name = json_str(json_get(call, "name"));
        jw_str(&b->w, name.p ? name : STR(""));
        jw_key(&b->w, "args");
        if (yyjson_is_obj(args))
            jw_val(&b->w, args);
        else
            jw_raw(&b->w, STR("{}"));
        jw_object_end(&b->w);
        if (signature.len) {
            jw_key(&b->w, "thoughtSignature");
            jw_str(&b->w, signature);
        }
        jw_object_end(&b->w);
    }
}

static str name_in(yyjson_val *calls, str id) {
    size_t i, n;
    yyjson_val *call;
    if (yyjson_is_arr(calls))
        yyjson_arr_foreach(calls, i, n,
                           call) if (str_eq(json_str(json_get(call, "id")),
                                            id)) return json_str(json_get(call, "name"));
    return STR_NULL;
}

/* A tool message need not say of which tool it is; its call does. */
static str name_of_result(const struct body *b, size_t at) {
    str name = json_str(json_get(b->list[at].root, "name"));
    str id = json_str(json_get(b->list[at].root, "tool_call_id"));
    for (size_t i = at; i-- > 0 && !name.len;) {
        if (b->list[i].type != MESSAGE_AI)
            continue;
        name = name_in(message_tool_calls(&b->list[i]), id);
        if (!name.len)
            name = name_in(json_get(b->list[i].root, "invalid_tool_calls"), id);
    }
    return name.len ? name : STR("unknown");
}

static void write_result(struct body *b, size_t at) {
    const struct message *m = &b->list[at];
    bool failed = str_eq(json_str(json_get(m->root, "status")), STR("error"));
    str text = message_text(b->a, m);
    llm_roles_open(&b->roles, &b->w, "user");
    jw_object(&b->w);
    jw_key(&b->w, "functionResponse");
    jw_object(&b->w);
    jw_key(&b->w, "name");
    jw_str(&b->w, name_of_result(b, at));
    jw_key(&b->w, "response");
    jw_object(&b->w);
    jw_key(&b->w, failed ? "error" : "output");
    jw_str(&b->w, text.p ? text : STR(""));
    jw_object_end(&b->w);
    jw_object_end(&b->w);
    jw_object_end(&b->w);
}

static void write_message(struct body *b, size_t at) {
    const struct message *m = &b->list[at];
    yyjson_val *content = json_get(m->root, "content");
    switch (m->type) {
    case MESSAGE_SYSTEM:
        break;
    case MESSAGE_TOOL:
        write_result(b, at);
        break;
    case MESSAGE_AI:
        write_text(b, "model", message_text(b->a, m));
        write_calls(b, m, message_tool_calls(m));
        write_calls(b, m, json_get(m->root, "invalid_tool_calls"));
        break;
    default:
        if (m->type == MESSAGE_HUMAN && yyjson_is_arr(content))
            write_parts(b, content);
        else
            write_text(b, "user", message_text(b->a, m));
        break;
    }
}

static void write_system_part(struct body *b, str text, bool *open) {
    if (text.len == 0)
        return;
    if (!*open) {
        jw_key(&b->w, "systemInstruction");
        jw_object(&b->w);
        jw_key(&b->w, "parts");
        jw_array(&b->w);
        *open = true;
    }
    jw_object(&b->w);
    jw_key(&b->w, "text");
    jw_str(&b->w, text);
    jw_object_end(&b->w);
}

static void write_system(struct body *b, const struct llm_request *r) {
    bool open = false;
    write_system_part(b, r->system_prompt, &open);
    for (size_t i = 0; i < b->count; i++)
        if (b->list[i].type == MESSAGE_SYSTEM)
            write_system_part(b, message_text(b->a, &b->list[i]), &open);
    if (!open)
        return;
    jw_array_end(&b->w);
    jw_object_end(&b->w);
}

static void write_tools(struct json_writer *w, yyjson_val *tools) {
    size_t i, n;
    yyjson_val *tool;
    jw_key(w, "tools");
    jw_array(w);
    jw_object(w);
    jw_key(w, "functionDeclarations");
    jw_array(w);
    yyjson_arr_foreach(tools, i, n, tool) {
        yyjson_val *f = llm_tool_function(tool), *schema = json_get(f, "parameters");
        str description = json_str(json_get(f, "description"));
        jw_object(w);
        jw_key(w, "name");
        jw_str(w, json_str(json_get(f, "name")));
        jw_key(w, "description");
        jw_str(w, description.p ? description : STR(""));
        if (yyjson_is_obj(schema)) { /* whole JSON Schema; "parameters" knows a part of it only */
            jw_key(w, "parametersJsonSchema");
            jw_val(w, schema);
        }
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_object_end(w);
    jw_array_end(w);
}

/* From the third generation on. */
static bool wants_signatures(str model) {
    ptrdiff_t at = str_find(model, STR("gemini-"));
    str rest = at < 0 ? STR_NULL : str_slice(model, (size_t)at + 7, model.len);
    return rest.len > 0 && rest.p[0] >= '3' && rest.p[0] <= '9';
}

/* The third generation knows levels, of which all of its models have these two; the second counts
 * tokens, and some of it can do without. */
static void write_thinking(struct json_writer *w, const struct llm_request *r) {
    bool thinks = llm_thinks(r);
    if (wants_signatures(r->model)) {
        if (!thinks)
            return;
        jw_key(w, "thinkingConfig");
        jw_object(w);
        jw_key(w, "thinkingLevel");
        jw_z(w, r->thinking <= LLM_THINKING_LOW ? "low" : "high");
    } else {
        int64_t limit = r->max_tokens > 0 ? r->max_tokens : ANSWER_TOKENS;
        int64_t tokens = thinks ? llm_thinking_tokens(r->thinking, limit) : 0;
        if (tokens == 0 && str_find(r->model, STR("flash")) < 0)
            return;
        jw_key(w, "thinkingConfig");
        jw_object(w);
        jw_key(w, "thinkingBudget");
        jw_i64(w, tokens);
        thinks = tokens > 0;
    }
    if (thinks) {
        jw_key(w, "includeThoughts");
        jw_bool(w, true);
    }
    jw_object_end(w);
}

static void write_options(struct json_writer *w, const struct llm_request *r) {
    bool said = r->thinking != LLM_THINKING_UNSAID;
    if (!r->has_temperature && r->max_tokens <= 0 && !said)
        return;
    jw_key(w, "generationConfig");
    jw_object(w);
    if (r->has_temperature) {
        jw_key(w, "temperature");
        jw_double(w, r->temperature);
    }
    if (r->max_tokens > 0) {
        jw_key(w, "maxOutputTokens");
        jw_i64(w, r->max_tokens);
    }
    if (said)
        write_thinking(w, r);
    jw_object_end(w);
}

int llm_google_write_body(struct buf *out, struct arena *scratch, const struct llm_request *r,
                          struct err *err) {
    struct body b = {.w = json_writer(out), .a = scratch, .roles = {.key = "parts"}, .err = err};
    struct message *list;
    yyjson_val *tools;
    int rc = llm_messages_load(scratch, r, &list, &b.count, err);
    if (rc == 0)
        rc = llm_tools_load(scratch, r, &tools, err);
    if (rc < 0)
        return rc;
    b.list = list;
    b.sign = wants_signatures(r->model);
    jw_object(&b.w);
    write_system(&b, r);
    jw_key(&b.w, "contents");
    jw_array(&b.w);
    for (size_t i = 0; i < b.count; i++)
        write_message(&b, i);
    llm_roles_close(&b.roles, &b.w);
    jw_array_end(&b.w);
    if (tools)
        write_tools(&b.w, tools);
    write_options(&b.w, r);
    jw_object_end(&b.w);
    return 0;
}
