/* SPDX-License-Identifier: Apache-2.0 */
/* google.c - Gemini's generateContent: where it is, and what its answers mean.
 *
 * A stream (alt=sse) is a row of the same documents that a whole answer is one of:
 *   {"responseId","modelVersion","candidates":[{"content":{"parts":[…]},"finishReason"}],
 *    "usageMetadata":{"promptTokenCount","candidatesTokenCount","thoughtsTokenCount"},
 *    "promptFeedback":{"blockReason"}}
 * A part is {"text"}, {"text","thought":true}, {"functionCall":{"id","name","args"}},
 * always whole; a part may carry a "thoughtSignature", which newer models want to see again with
 * the call that it came with. There is no closing event: the stream ends after finishReason.
 *
 *   OPEN --finishReason, blockReason--> FINISHED
 *
 * A prompt that the server blocks is an error, as is a call that the model could not form: the
 * latter may be tried again. */
#include "llm/google.h"

#define PUBLIC_PATH "/v1beta"

static void read_usage(struct llm_assembler *as, yyjson_val *usage) {
    yyjson_val *prompt = json_get(usage, "promptTokenCount");
    yyjson_val *answer = json_get(usage, "candidatesTokenCount");
    yyjson_val *thoughts = json_get(usage, "thoughtsTokenCount");
    yyjson_val *tools = json_get(usage, "toolUsePromptTokenCount");
    double input = yyjson_get_num(prompt) + yyjson_get_num(tools);
    double output = yyjson_get_num(answer) + yyjson_get_num(thoughts);
    if (prompt && input >= 0 && input < 1e15)
        as->input_tokens = (int64_t)input;
    if ((answer || thoughts) && output >= 0 && output < 1e15)
        as->output_tokens = (int64_t)output;
}

static int read_part(struct llm_assembler *as, struct arena *scratch, yyjson_val *part,
                     struct err *err) {
    yyjson_val *call = json_get(part, "functionCall");
    if (yyjson_is_true(json_get(part, "thought")))
        return llm_assembler_thought(as, 0, json_str(json_get(part, "text")), err);
    if (!yyjson_is_obj(call))
        return llm_assembler_content(as, json_str(json_get(part, "text")), err);
    yyjson_val *args = json_get(call, "args");
    str arguments = yyjson_is_obj(args) ? json_text(scratch, args) : STR("{}");
    int rc = llm_assembler_tool_call(as, (int64_t)as->calls.count, json_str(json_get(call, "id")),
                                     json_str(json_get(call, "name")), arguments, err);
    if (rc == 0)
        llm_assembler_sign(as, json_str(json_get(part, "thoughtSignature")));
    return rc;
}

static int read_reason(struct llm_assembler *as, str reason, str host, struct err *err) {
    static const struct {
        const char *theirs, *ours;
    } reasons[] = {{"STOP", "stop"},
                   {"MAX_TOKENS", "length"},
                   {"SAFETY", "content_filter"},
                   {"RECITATION", "content_filter"},
                   {"BLOCKLIST", "content_filter"},
                   {"PROHIBITED_CONTENT", "content_filter"},
                   {"SPII", "content_filter"},
                   {"IMAGE_SAFETY", "content_filter"}};
    bool nothing = as->content.len == 0 && as->calls.count == 0;
    if (nothing && (str_eq(reason, STR("MALFORMED_FUNCTION_CALL")) ||
                    str_eq(reason, STR("UNEXPECTED_TOOL_CALL"))))
        return err_set(err, ERR_MODEL_FAILED,
                       "the model (" STR_FMT ") could not form a call of a tool", STR_ARG(host));
    for (size_t i = 0; i < ARRAY_COUNT(reasons); i++)
        if (str_eq(reason, str_of(reasons[i].theirs)))
            reason = str_of(reasons[i].ours);
    if (str_eq(reason, STR("stop")) && as->calls.count > 0)
        reason = STR("tool_calls");
    llm_assembler_set_finish_reason(as, reason);
    return 0;
}

static int read_document(struct llm_assembler *as, struct arena *scratch, yyjson_val *root,
                         str host, bool *out_finished, struct err *err) {
    yyjson_val *candidate = yyjson_arr_get_first(json_get(root, "candidates"));
    str blocked = json_str(json_get(json_get(root, "promptFeedback"), "blockReason"));
    if (!candidate && blocked.len > 0)
        return err_set(err, ERR_MODEL_REQUEST,
                       "the model server " STR_FMT " blocked the prompt: " STR_FMT, STR_ARG(host),
                       STR_ARG(str_slice(blocked, 0, str_is_utf8(blocked) ? 32 : 0)));
    llm_assembler_set_id(as, json_str(json_get(root, "responseId")));
    llm_assembler_set_model(as, json_str(json_get(root, "modelVersion")));
    read_usage(as, json_get(root, "usageMetadata"));
    yyjson_val *parts = json_get(json_get(candidate, "content"), "parts"), *part;
    size_t i, n;
    int rc = 0;
    if (yyjson_is_arr(parts)) {
        yyjson_arr_foreach(parts, i, n, part) {
            rc = read_part(as, scratch, part, err);
            if (rc < 0)
                return rc;
        }
    }
    str reason = json_str(json_get(candidate, "finishReason"));
    *out_finished = reason.len > 0;
    return reason.len > 0 ? read_reason(as, reason, host, err) : 0;
}

static int read_event(struct llm_stream *s, yyjson_val *root) {
    bool finished = false;
    int rc = read_document(s->as, &s->scratch, root, s->host, &finished, s->err);
    if (rc == 0 && finished)
        s->state = LLM_STREAM_FINISHED;
    return rc;
}

static int read_whole(struct llm_assembler *as, struct arena *scratch, yyjson_val *root, str host,
                      struct err *err) {
    bool finished;
    if (yyjson_arr_size(json_get(root, "candidates")) == 0 && !json_has(root, "promptFeedback"))
        return llm_not_understood(err, host, "it has no candidates");
    return read_document(as, scratch, root, host, &finished, err);
}

/* "gemini-2.5-flash", "models/…", "tunedModels/…"; as a part of a path. */
static str model_path(struct arena *a, str model) {
    struct buf b;
    buf_init(&b, 4096);
    if (str_find_char(model, '/') < 0)
        buf_z(&b, "models/");
    for (size_t i = 0; i < model.len; i++) {
        unsigned char c = (unsigned char)model.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~/", c);
        if (plain && c)
            buf_char(&b, (char)c);
        else
            buf_printf(&b, "%%%02X", c);
    }
    return arena_take(a, &b);
}

static str url(struct arena *a, const struct llm_request *r) {
    str base = r->base_url;
    while (base.len > 0 && base.p[base.len - 1] == '/')
        base.len--;
    ptrdiff_t host = str_find(base, STR("://"));
    bool has_path =
        host >= 0 && str_find_char(str_slice(base, (size_t)host + 3, base.len), '/') >= 0;
    return arena_printf(a, STR_FMT "%s/" STR_FMT ":%s", STR_ARG(base), has_path ? "" : PUBLIC_PATH,
                        STR_ARG(model_path(a, r->model)),
                        r->stream ? "streamGenerateContent?alt=sse" : "generateContent");
}

/* Vertex takes API keys as Gemini does, and the access tokens of its own accounts. */
static size_t headers(struct arena *a, const struct llm_request *r,
                      struct http_header out[LLM_HEADERS_MAX]) {
    if (r->api_key.len == 0)
        return 0;
    if (str_eq(r->provider, STR("google_vertexai")) && str_starts(r->api_key, STR("ya29."))) {
        out[0].name = STR("Authorization");
        out[0].value = arena_printf(a, "Bearer " STR_FMT, STR_ARG(r->api_key));
    } else {
        out[0] = (struct http_header){STR("x-goog-api-key"), r->api_key};
    }
    return 1;
}

const struct llm_provider LLM_GOOGLE = {
    .write_body = llm_google_write_body,
    .url = url,
    .headers = headers,
    .read_event = read_event,
    .read_whole = read_whole,
};
