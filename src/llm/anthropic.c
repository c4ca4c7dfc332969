/* SPDX-License-Identifier: Apache-2.0 */
/* anthropic.c - Anthropic's Messages: where they are, and what their answers mean.
 *
 * A stream's events, each named by its member "type":
 *   message_start        {message: {id, model, usage}}
 *   content_block_start  {index, content_block: {type: text | tool_use {id, name} | …}}
 *   content_block_delta  {index, delta: {type: text_delta | input_json_delta | thinking_delta | …}}
 *   content_block_stop   {index}
 *   message_delta        {delta: {stop_reason}, usage}   totals, not increments
 *   message_stop, ping, and kinds to come, which are left out
 * Tools that the server runs by itself are left out.
 *
 *   OPEN --stop_reason--> FINISHED --message_stop--> DONE
 *
 * Tokens that were read from or written to the server's prompt cache count as input. */
#include "llm/anthropic.h"

#define API_VERSION "2023-06-01"

static void read_usage(struct llm_assembler *as, yyjson_val *usage) {
    static const char *const inputs[] = {"input_tokens", "cache_creation_input_tokens",
                                         "cache_read_input_tokens"};
    yyjson_val *out = json_get(usage, "output_tokens");
    if (yyjson_is_int(json_get(usage, inputs[0]))) {
        double sum = 0;
        for (size_t i = 0; i < ARRAY_COUNT(inputs); i++)
            sum += yyjson_get_num(json_get(usage, inputs[i]));
        as->input_tokens = sum >= 0 && sum < 1e15 ? (int64_t)sum : -1;
    }
    if (yyjson_is_int(out))
        as->output_tokens = yyjson_get_sint(out);
}

static void read_stop_reason(struct llm_assembler *as, str reason) {
    static const struct {
        const char *theirs, *ours;
    } reasons[] = {{"end_turn", "stop"},
                   {"stop_sequence", "stop"},
                   {"tool_use", "tool_calls"},
                   {"max_tokens", "length"},
                   {"model_context_window_exceeded", "length"},
                   {"refusal", "content_filter"}};
    for (size_t i = 0; i < ARRAY_COUNT(reasons); i++)
        if (str_eq(reason, str_of(reasons[i].theirs)))
            reason = str_of(reasons[i].ours);
    llm_assembler_set_finish_reason(as, reason);
}

/* A whole block, or the start of one. */
static int read_block(struct llm_assembler *as, struct arena *scratch, int64_t index,
                      yyjson_val *block, struct err *err) {
    str type = json_str(json_get(block, "type"));
    if (str_eq(type, STR("text")))
        return llm_assembler_content(as, json_str(json_get(block, "text")), err);
    if (str_eq(type, STR("redacted_thinking")))
        return llm_assembler_redacted(as, index, json_str(json_get(block, "data")), err);
    if (str_eq(type, STR("thinking"))) {
        int rc = llm_assembler_thought(as, index, json_str(json_get(block, "thinking")), err);
        return rc < 0 ? rc
                      : llm_assembler_sign_thought(as, index,
                                                   json_str(json_get(block, "signature")), err);
    }
    if (!str_eq(type, STR("tool_use")))
        return 0;
    yyjson_val *input = json_get(block, "input");
    str arguments = yyjson_obj_size(input) > 0 ? json_text(scratch, input) : STR_NULL;
    return llm_assembler_tool_call(as, index, json_str(json_get(block, "id")),
                                   json_str(json_get(block, "name")), arguments, err);
}

/* The place of the block; hostile ones are none. */
static int64_t index_of(yyjson_val *event) {
    yyjson_val *index = json_get(event, "index");
    return yyjson_is_int(index) && yyjson_get_sint(index) >= 0 ? yyjson_get_sint(index) : 0;
}

static int read_delta(struct llm_stream *s, yyjson_val *root) {
    yyjson_val *delta = json_get(root, "delta");
    str type = json_str(json_get(delta, "type"));
    if (str_eq(type, STR("text_delta")))
        return llm_assembler_content(s->as, json_str(json_get(delta, "text")), s->err);
    if (str_eq(type, STR("thinking_delta")))
        return llm_assembler_thought(s->as, index_of(root), json_str(json_get(delta, "thinking")),
                                     s->err);
    if (str_eq(type, STR("signature_delta")))
        return llm_assembler_sign_thought(s->as, index_of(root),
                                          json_str(json_get(delta, "signature")), s->err);
    str piece = json_str(json_get(delta, "partial_json"));
    if (!str_eq(type, STR("input_json_delta")) || piece.len == 0)
        return 0;
    if (!llm_assembler_has_call(s->as, index_of(root)))
        return 0; /* of a tool that the server runs by itself */
    return llm_assembler_tool_call(s->as, index_of(root), STR_NULL, STR_NULL, piece, s->err);
}

static int read_event(struct llm_stream *s, yyjson_val *root) {
    str type = json_str(json_get(root, "type"));
    if (str_eq(type, STR("content_block_delta")))
        return read_delta(s, root);
    if (str_eq(type, STR("content_block_start")))
        return read_block(s->as, &s->scratch, index_of(root), json_get(root, "content_block"),
                          s->err);
    if (str_eq(type, STR("message_start"))) {
        yyjson_val *message = json_get(root, "message");
        llm_assembler_set_id(s->as, json_str(json_get(message, "id")));
        llm_assembler_set_model(s->as, json_str(json_get(message, "model")));
        read_usage(s->as, json_get(message, "usage"));
    } else if (str_eq(type, STR("message_delta"))) {
        str reason = json_str(json_get(json_get(root, "delta"), "stop_reason"));
        read_stop_reason(s->as, reason);
        read_usage(s->as, json_get(root, "usage"));
        if (reason.len > 0)
            s->state = LLM_STREAM_FINISHED;
    } else if (str_eq(type, STR("message_stop"))) {
        s->state = LLM_STREAM_DONE;
    }
    return 0;
}

static int read_whole(struct llm_assembler *as, struct arena *scratch, yyjson_val *root, str host,
                      struct err *err) {
    yyjson_val *content = json_get(root, "content"), *block;
    size_t i, n;
    if (!yyjson_is_arr(content))
        return llm_not_understood(err, host, "it has no content");
    llm_assembler_set_id(as, json_str(json_get(root, "id")));
    llm_assembler_set_model(as, json_str(json_get(root, "model")));
    yyjson_arr_foreach(content, i, n, block) {
        int rc = read_block(as, scratch, (int64_t)i, block, err);
        if (rc < 0)
            return rc;
    }
    read_stop_reason(as, json_str(json_get(root, "stop_reason")));
    read_usage(as, json_get(root, "usage"));
    return 0;
}

static str url(struct arena *a, const struct llm_request *r) {
    str base = r->base_url;
    while (base.len > 0 && base.p[base.len - 1] == '/')
        base.len--;
    if (str_ends(base, STR("/messages")))
        return base;
    return arena_printf(a, STR_FMT "%s/messages", STR_ARG(base),
                        str_ends(base, STR("/v1")) ? "" : "/v1");
}

static size_t headers(struct arena *a, const struct llm_request *r,
                      struct http_header out[LLM_HEADERS_MAX]) {
    (void)a;
    out[0] = (struct http_header){STR("anthropic-version"), STR(API_VERSION)};
    if (r->api_key.len == 0)
        return 1;
    out[1] = (struct http_header){STR("x-api-key"), r->api_key};
    return 2;
}

const struct llm_provider LLM_ANTHROPIC = {
    .write_body = llm_anthropic_write_body,
    .url = url,
    .headers = headers,
    .read_event = read_event,
    .read_whole = read_whole,
};
