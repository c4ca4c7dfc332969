/* SPDX-License-Identifier: Apache-2.0 */
/* openai.c - OpenAI-compatible chat completions: where they are, and what their answers mean.
 *
 * A stream is server-sent events; each data line is a chunk
 *   {"id","model","choices":[{"delta":{"content","tool_calls":[…]},"finish_reason"}],"usage"}
 * and the last one is [DONE]. Tolerated, since compatible servers differ: no index in tool calls,
 * all arguments in one chunk or as an object, content as parts, thoughts as
 * reasoning_content or reasoning, usage on every chunk (the last one counts), "message" in place of
 * "delta", no [DONE], comments as keepalive.
 *
 *   OPEN --finish_reason--> FINISHED --[DONE]--> DONE */
#include "llm/openai.h"

static int read_content(struct llm_assembler *as, yyjson_val *content, struct err *err) {
    if (yyjson_is_str(content))
        return llm_assembler_content(as, json_str(content), err);
    size_t i, n;
    yyjson_val *part;
    if (!yyjson_is_arr(content))
        return 0;
    yyjson_arr_foreach(content, i, n, part) {
        str text = yyjson_is_str(part) ? json_str(part) : json_str(json_get(part, "text"));
        int rc = llm_assembler_content(as, text, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Under one of two names, as servers differ; some say it under both. */
static int read_thoughts(struct llm_assembler *as, yyjson_val *delta, struct err *err) {
    str text = json_str(json_get(delta, "reasoning_content"));
    if (!text.len)
        text = json_str(json_get(delta, "reasoning"));
    return llm_assembler_thought(as, 0, text, err);
}

static int read_tool_calls(struct llm_assembler *as, struct arena *scratch, yyjson_val *calls,
                           struct err *err) {
    size_t i, n;
    yyjson_val *call;
    if (!yyjson_is_arr(calls))
        return 0;
    yyjson_arr_foreach(calls, i, n, call) {
        yyjson_val *index = json_get(call, "index");
        yyjson_val *function = json_get(call, "function");
        yyjson_val *arguments = json_get(function, "arguments");
        str text = json_str(arguments);
        if (yyjson_is_obj(arguments))
            text = json_text(scratch, arguments);
        int64_t key = yyjson_is_int(index) ? yyjson_get_sint(index) : -1;
        int rc = llm_assembler_tool_call(as, key, json_str(json_get(call, "id")),
                                         json_str(json_get(function, "name")), text, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void read_usage(struct llm_assembler *as, yyjson_val *usage) {
    yyjson_val *in = json_get(usage, "prompt_tokens");
    yyjson_val *out = json_get(usage, "completion_tokens");
    if (yyjson_is_int(in))
        as->input_tokens = yyjson_get_sint(in);
    if (yyjson_is_int(out))
        as->output_tokens = yyjson_get_sint(out);
}

/* A chunk of a stream or a whole answer. *out_finished: it carried a finish_reason. */
static int read_document(struct llm_assembler *as, struct arena *scratch, yyjson_val *root,
                         bool *out_finished, struct err *err) {
    llm_assembler_set_id(as, json_str(json_get(root, "id")));
    llm_assembler_set_model(as, json_str(json_get(root, "model")));
    read_usage(as, json_get(root, "usage"));
    yyjson_val *choice = yyjson_arr_get_first(json_get(root, "choices"));
    yyjson_val *delta = json_get(choice, "delta");
    if (!yyjson_is_obj(delta))
        delta = json_get(choice, "message");
    int rc = read_thoughts(as, delta, err);
    if (rc == 0)
        rc = read_content(as, json_get(delta, "content"), err);
    if (rc == 0)
        rc = read_tool_calls(as, scratch, json_get(delta, "tool_calls"), err);
    if (rc < 0)
        return rc;
    str reason = json_str(json_get(choice, "finish_reason"));
    llm_assembler_set_finish_reason(as, reason);
    *out_finished = reason.len > 0;
    return 0;
}

static int read_event(struct llm_stream *s, yyjson_val *root) {
    bool finished = false;
    int rc = read_document(s->as, &s->scratch, root, &finished, s->err);
    if (rc == 0 && finished)
        s->state = LLM_STREAM_FINISHED;
    return rc;
}

static int read_whole(struct llm_assembler *as, struct arena *scratch, yyjson_val *root, str host,
                      struct err *err) {
    bool finished;
    if (yyjson_arr_size(json_get(root, "choices")) == 0)
        return llm_not_understood(err, host, "it has no choices");
    return read_document(as, scratch, root, &finished, err);
}

static str url(struct arena *a, const struct llm_request *r) {
    str base = r->base_url, path = STR("/chat/completions");
    while (base.len > 0 && base.p[base.len - 1] == '/')
        base.len--;
    return str_ends(base, path) ? base
                                : arena_printf(a, STR_FMT STR_FMT, STR_ARG(base), STR_ARG(path));
}

static size_t headers(struct arena *a, const struct llm_request *r,
                      struct http_header out[LLM_HEADERS_MAX]) {
    if (r->api_key.len == 0)
        return 0;
    out[0].name = STR("Authorization");
    out[0].value = arena_printf(a, "Bearer " STR_FMT, STR_ARG(r->api_key));
    return 1;
}

const struct llm_provider LLM_OPENAI = {
    .write_body = llm_openai_write_body,
    .url = url,
    .headers = headers,
    .read_event = read_event,
    .read_whole = read_whole,
};
