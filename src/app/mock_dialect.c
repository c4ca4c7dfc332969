/* SPDX-License-Identifier: Apache-2.0 */
/* mock_dialect.c - the model stand-in in the words of Anthropic and of Google.
 *
 *   POST /v1/messages                                        Anthropic
 *   POST …/models/NAME:generateContent, :streamGenerateContent   Google
 *
 * A request is written anew as one of OpenAI's, so that marks and results mean the same; an answer
 * is made for its request, with its ids in it (struct mock_frames, baked). Frames are as in
 * mock_frames.c: the opening, one a token or piece of a call, the end. What the real servers demand
 * and a client might forget is refused: the version's header, max_tokens, roles, results that do
 * not follow their calls, a budget of thoughts that leaves nothing for the answer, calls without
 * the thoughts that led to them. */
#include "app/mock_llm_int.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mem.h"

#define BODY_BYTES_MAX ((size_t)64 << 20)

/* --- requests --- */

static int malformed(struct err *err, const char *why) {
    return err_set(err, ERR_MALFORMED, "%s", why);
}

static void write_message(struct json_writer *w, const char *role, str content) {
    jw_object(w);
    jw_key(w, "role");
    jw_z(w, role);
    jw_key(w, "content");
    jw_str(w, content.p ? content : STR(""));
    jw_object_end(w);
}

/* The text of a tool's result: a text, blocks, or Google's response. */
static str result_text(struct arena *a, yyjson_val *v) {
    if (yyjson_is_str(v))
        return json_str(v);
    yyjson_val *block, *output = json_get(v, "output");
    size_t i, n;
    str text = STR("");
    if (yyjson_is_arr(v))
        yyjson_arr_foreach(v, i, n, block) text = arena_printf(
            a, STR_FMT STR_FMT, STR_ARG(text), STR_ARG(json_str(json_get(block, "text"))));
    if (yyjson_is_obj(v))
        text = json_str(yyjson_is_str(output) ? output : json_get(v, "error"));
    return text;
}

static int write_turn(struct json_writer *w, struct arena *a, yyjson_val *turn, bool google,
                      struct err *err) {
    str role = json_str(json_get(turn, "role"));
    bool user = str_eq(role, STR("user"));
    if (!user && !str_eq(role, google ? STR("model") : STR("assistant")))
        return malformed(err, "a role is not known");
    yyjson_val *parts = json_get(turn, google ? "parts" : "content"), *part;
    if (yyjson_is_str(parts)) {
        write_message(w, user ? "user" : "assistant", json_str(parts));
        return 0;
    }
    if (!yyjson_is_arr(parts) || yyjson_arr_size(parts) == 0)
        return malformed(err, "a message is empty");
    size_t i, n;
    yyjson_arr_foreach(parts, i, n, part) {
        str type = json_str(json_get(part, "type"));
        yyjson_val *response = json_get(part, "functionResponse");
        bool call = str_eq(type, STR("tool_use")) || json_has(part, "functionCall");
        bool result = str_eq(type, STR("tool_result")) || response;
        if (str_eq(type, STR("thinking")))
            continue;
        if (result)
            write_message(w, "tool",
                          result_text(a, google ? json_get(response, "response")
                                                : json_get(part, "content")));
        else if (!call)
            write_message(w, user ? "user" : "assistant", json_str(json_get(part, "text")));
    }
    return 0;
}

static bool has_tools(yyjson_val *root, bool google) {
    yyjson_val *tools = json_get(root, "tools");
    if (google)
        tools = json_get(yyjson_arr_get_first(tools), "functionDeclarations");
    return yyjson_arr_size(tools) > 0;
}

/* How much it is to think, in the request's own words; absent: not at all. */
static str effort_of(struct arena *a, yyjson_val *root, bool google) {
    yyjson_val *thinking = google ? json_get(json_get(root, "generationConfig"), "thinkingConfig")
                                  : json_get(root, "thinking");
    yyjson_val *level = json_get(thinking, "thinkingLevel");
    bool wanted = google ? yyjson_is_true(json_get(thinking, "includeThoughts"))
                         : str_eq(json_str(json_get(thinking, "type")), STR("enabled"));
    if (!wanted)
        return STR_NULL;
    return level ? json_str(level)
                 : json_text(a, json_get(thinking, google ? "thinkingBudget" : "budget_tokens"));
}

/* Of the last turn of the assistant, whose calls were answered. */
static bool calls_have_thoughts(yyjson_val *turns) {
    size_t count = yyjson_arr_size(turns);
    yyjson_val *last = count ? yyjson_arr_get(turns, count - 1) : NULL;
    yyjson_val *result = yyjson_arr_get_first(json_get(last, "content"));
    if (count < 2 || !str_eq(json_str(json_get(result, "type")), STR("tool_result")))
        return true;
    yyjson_val *first = yyjson_arr_get_first(json_get(yyjson_arr_get(turns, count - 2), "content"));
    return str_eq(json_str(json_get(first, "type")), STR("thinking")) &&
           str_eq(json_str(json_get(first, "signature")), STR("signed"));
}

static int check_thinking(yyjson_val *root, struct err *err) {
    yyjson_val *thinking = json_get(root, "thinking");
    int64_t budget = yyjson_get_sint(json_get(thinking, "budget_tokens"));
    if (!thinking)
        return 0;
    if (budget < 1024 || budget >= yyjson_get_sint(json_get(root, "max_tokens")))
        return malformed(err, "thinking.budget_tokens is not between 1024 and max_tokens");
    if (json_has(root, "temperature"))
        return malformed(err, "temperature may not be set when thinking is enabled");
    return calls_have_thoughts(json_get(root, "messages"))
               ? 0
               : malformed(err, "a final assistant message must start with a thinking block");
}

static int write_request(struct json_writer *w, struct arena *a, yyjson_val *root, bool google,
                         str model, bool stream, struct err *err) {
    yyjson_val *turns = json_get(root, google ? "contents" : "messages"), *turn;
    yyjson_val *max = google ? json_get(json_get(root, "generationConfig"), "maxOutputTokens")
                             : json_get(root, "max_tokens");
    size_t i, n;
    str effort = effort_of(a, root, google);
    int rc = google ? 0 : check_thinking(root, err);
    if (rc < 0)
        return rc;
    if (!yyjson_is_arr(turns) || yyjson_arr_size(turns) == 0)
        return malformed(err, "there are no messages");
    if (!google && !yyjson_is_int(max))
        return malformed(err, "max_tokens is required");
    jw_object(w);
    jw_key(w, "model");
    jw_str(w, model);
    jw_key(w, "stream");
    jw_bool(w, stream);
    if (effort.len) {
        jw_key(w, "reasoning_effort");
        jw_str(w, effort);
    }
    if (yyjson_is_int(max)) {
        jw_key(w, "max_tokens");
        jw_i64(w, yyjson_get_sint(max));
    }
    if (has_tools(root, google)) {
        jw_key(w, "tools");
        jw_raw(w, STR("[{}]"));
    }
    jw_key(w, "messages");
    jw_array(w);
    yyjson_arr_foreach(turns, i, n, turn) {
        rc = write_turn(w, a, turn, google, err);
        if (rc < 0)
            return rc;
    }
    jw_array_end(w);
    jw_object_end(w);
    return 0;
}

/* "…/models/NAME:METHOD" */
static bool read_google_path(str path, str *model, bool *stream) {
    ptrdiff_t at = str_find(path, STR("/models/"));
    str rest = at < 0 ? STR_NULL : str_slice(path, (size_t)at + 8, path.len);
    ptrdiff_t colon = str_find_char(rest, ':');
    if (colon <= 0)
        return false;
    str method = str_slice(rest, (size_t)colon + 1, rest.len);
    *model = str_slice(rest, 0, (size_t)colon);
    *stream = str_eq(method, STR("streamGenerateContent"));
    return *stream || str_eq(method, STR("generateContent"));
}

bool mock_dialect_of(str path, enum mock_dialect *out) {
    str model;
    bool stream;
    if (str_eq(path, STR("/v1/messages")))
        *out = MOCK_ANTHROPIC;
    else if (read_google_path(path, &model, &stream))
        *out = MOCK_GOOGLE;
    else
        return false;
    return true;
}

int mock_dialect_read(struct arena *a, enum mock_dialect dialect, str path, str body,
                      struct mock_script *out, struct err *err) {
    yyjson_val *root;
    int rc = json_parse(a, body, &root, err);
    if (rc < 0)
        return rc;
    str model = json_str(json_get(root, "model"));
    bool stream = yyjson_is_true(json_get(root, "stream")), google = dialect == MOCK_GOOGLE;
    if (google && !read_google_path(path, &model, &stream))
        return malformed(err, "the path names no model");
    struct buf b;
    buf_init(&b, BODY_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    rc = write_request(&w, a, root, google, model.len ? model : STR("mock"), stream, err);
    if (rc == 0)
        rc = mock_script_read(a, arena_dup(a, buf_view(&b)), out, err);
    out->dialect = dialect;
    buf_deinit(&b);
    return rc;
}

/* --- answers --- */

static void event_begin(struct mock_frames *f, const char *type) {
    buf_printf(&f->stream, "event: %s\ndata: {\"type\":\"%s\"", type, type);
}

static void event_end(struct mock_frames *f) { buf_z(&f->stream, "}\n\n"); }

static void frame_end(struct mock_frames *f) { vec_push(&f->ends, (uint32_t)f->stream.len); }

static void write_token(struct mock_frames *f, bool google, str token) {
    struct buf *b = &f->stream;
    if (google) {
        buf_printf(b,
                   "data: {\"modelVersion\":%s,\"candidates\":[{\"content\":{\"role\":"
                   "\"model\",\"parts\":[{\"text\":\"",
                   f->model);
        json_escape(b, token);
        buf_z(b, "\"}]}}]}\n\n");
    } else {
        event_begin(f, "content_block_delta");
        buf_printf(b, ",\"index\":%zu,\"delta\":{\"type\":\"text_delta\",\"text\":\"",
                   f->first_block);
        json_escape(b, token);
        buf_z(b, "\"}");
        event_end(f);
    }
    json_escape(&f->whole, token);
    frame_end(f);
}

static size_t write_text(struct mock_frames *f, bool google, const struct mock_answer *answer,
                         const char **reason) {
    str text = answer->text.p ? answer->text : mock_fixed_answer();
    size_t count = answer->token_count > 0 ? answer->token_count : mock_count_tokens(text);
    if (answer->token_max > 0 && count > answer->token_max) {
        count = answer->token_max;
        *reason = google ? "MAX_TOKENS" : "max_tokens";
    }
    if (!google) {
        event_begin(f, "content_block_start");
        buf_printf(&f->stream, ",\"index\":%zu,\"content_block\":{\"type\":\"text\",\"text\":\"\"}",
                   f->first_block);
        event_end(f);
    }
    frame_end(f);
    buf_z(&f->whole, google ? "{\"text\":\"" : "{\"type\":\"text\",\"text\":\"");
    size_t at = 0;
    for (size_t i = 0; i < count && text.len > 0; i++)
        write_token(f, google, mock_next_token(text, &at));
    buf_z(&f->whole, "\"}");
    return text.len > 0 ? count : 0;
}

/* A word at a time; of Anthropic as a block of its own, which is signed. */
static void write_thoughts(struct mock_frames *f, bool google, str text) {
    struct buf *b = &f->stream;
    size_t at = 0, count = mock_count_tokens(text);
    if (!google) {
        event_begin(f, "content_block_start");
        buf_z(b, ",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}");
        event_end(f);
    }
    frame_end(f);
    buf_z(&f->whole,
          google ? "{\"thought\":true,\"text\":\"" : "{\"type\":\"thinking\",\"thinking\":\"");
    json_escape(&f->whole, text);
    buf_z(&f->whole, google ? "\"}," : "\",\"signature\":\"signed\"},");
    for (size_t i = 0; i < count; i++) {
        if (!google)
            event_begin(f, "content_block_delta");
        buf_z(b, google ? "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{"
                          "\"thought\":true,\"text\":\""
                        : ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"");
        json_escape(b, mock_next_token(text, &at));
        buf_z(b, google ? "\"}]}}]}\n\n" : "\"}}\n\n");
        frame_end(f);
    }
    if (google)
        return;
    event_begin(f, "content_block_delta");
    buf_z(b, ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"signed\"}");
    event_end(f);
    frame_end(f);
    f->first_block = 1;
}

static void write_google_call(struct mock_frames *f, const struct mock_tool_call *call,
                              size_t index) {
    struct buf part;
    buf_init(&part, BODY_BYTES_MAX);
    buf_z(&part, "{\"functionCall\":{\"name\":\"");
    json_escape(&part, call->name);
    buf_z(&part, "\",\"args\":");
    buf_str(&part, call->arguments);
    buf_z(&part, index == 0 ? "},\"thoughtSignature\":\"c2lnbmVk\"}" : "}}");
    buf_printf(&f->stream,
               "data: {\"modelVersion\":%s,\"candidates\":[{\"content\":{\"role\":"
               "\"model\",\"parts\":[",
               f->model);
    buf_str(&f->stream, buf_view(&part));
    buf_z(&f->stream, "]}}]}\n\n");
    buf_z(&f->whole, index ? "," : "");
    buf_str(&f->whole, buf_view(&part));
    buf_deinit(&part);
    frame_end(f);
}

static void write_anthropic_call(struct mock_frames *f, const struct mock_tool_call *call,
                                 size_t index) {
    char hex[ID_HEX_LEN];
    size_t block = f->first_block + index;
    id_write_hex(id_v4(), hex);
    struct buf *b = &f->stream;
    event_begin(f, "content_block_start");
    buf_printf(b,
               ",\"index\":%zu,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_%.24s\","
               "\"name\":\"",
               block, hex);
    json_escape(b, call->name);
    buf_z(b, "\",\"input\":{}}");
    event_end(f);
    frame_end(f);
    for (str rest = call->arguments; rest.len > 0;) {
        event_begin(f, "content_block_delta");
        buf_printf(b, ",\"index\":%zu,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"",
                   block);
        json_escape(b, mock_next_piece(&rest, 12));
        buf_z(b, "\"}");
        event_end(f);
        frame_end(f);
    }
    b = &f->whole;
    buf_printf(b, "%s{\"type\":\"tool_use\",\"id\":\"toolu_%.24s\",\"name\":\"", index ? "," : "",
               hex);
    json_escape(b, call->name);
    buf_z(b, "\",\"input\":");
    buf_str(b, call->arguments);
    buf_z(b, "}");
}

static void write_opening(struct mock_frames *f, bool google, const char *id, size_t prompt) {
    if (google) {
        buf_z(&f->stream, ": begun\n\n");
        buf_printf(&f->whole,
                   "{\"responseId\":\"%s\",\"modelVersion\":%s,\"candidates\":[{"
                   "\"content\":{\"role\":\"model\",\"parts\":[",
                   id, f->model);
        return;
    }
    event_begin(f, "message_start");
    buf_printf(&f->stream,
               ",\"message\":{\"id\":\"msg_%s\",\"type\":\"message\",\"role\":"
               "\"assistant\",\"model\":%s,\"content\":[],\"stop_reason\":null,"
               "\"usage\":{\"input_tokens\":%zu,\"output_tokens\":1}}",
               id, f->model, prompt);
    event_end(f);
    buf_printf(&f->whole,
               "{\"id\":\"msg_%s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
               "%s,\"content\":[",
               id, f->model);
}

static void write_end(struct mock_frames *f, bool google, const char *id, const char *reason,
                      size_t prompt) {
    size_t count = f->token_count;
    if (google) {
        struct buf usage;
        buf_init(&usage, 1024);
        buf_printf(&usage,
                   "\"finishReason\":\"%s\"}],\"usageMetadata\":{\"promptTokenCount\":%zu,"
                   "\"candidatesTokenCount\":%zu,\"totalTokenCount\":%zu}}",
                   reason, prompt, count, prompt + count);
        buf_printf(&f->stream, "data: {\"responseId\":\"%s\",\"candidates\":[{", id);
        buf_str(&f->stream, buf_view(&usage));
        buf_z(&f->stream, "\n\n");
        buf_z(&f->whole, "]},");
        buf_str(&f->whole, buf_view(&usage));
        buf_deinit(&usage);
    } else {
        event_begin(f, "message_delta");
        buf_printf(&f->stream,
                   ",\"delta\":{\"stop_reason\":\"%s\"},\"usage\":{\"output_tokens\":"
                   "%zu}",
                   reason, count);
        event_end(f);
        event_begin(f, "message_stop");
        event_end(f);
        buf_printf(&f->whole,
                   "],\"stop_reason\":\"%s\",\"usage\":{\"input_tokens\":%zu,"
                   "\"output_tokens\":%zu}}",
                   reason, prompt, count);
    }
    frame_end(f);
}

struct mock_frames *mock_dialect_frames(const struct mock_script *script,
                                        const struct mock_answer *answer) {
    struct mock_frames *f = NEW(struct mock_frames);
    bool google = script->dialect == MOCK_GOOGLE;
    const char *reason = google ? "STOP" : answer->call_count > 0 ? "tool_use" : "end_turn";
    char id[ID_HEX_LEN + 1] = {0};
    id_write_hex(id_v4(), id);
    str model = script->model.len < sizeof f->model ? script->model : STR("\"mock\"");
    f->refs = 1;
    f->baked = true;
    buf_init(&f->stream, (size_t)256 << 20);
    buf_init(&f->whole, (size_t)256 << 20);
    memcpy(f->model, model.p, model.len);
    write_opening(f, google, id, script->prompt_tokens);
    if (answer->thinking.len)
        write_thoughts(f, google, answer->thinking);
    if (answer->call_count > 0)
        frame_end(f);
    else
        (void)write_text(f, google, answer, &reason); /* counted by its frames */
    for (size_t i = 0; i < answer->call_count; i++) {
        if (google)
            write_google_call(f, &answer->calls[i], i);
        else
            write_anthropic_call(f, &answer->calls[i], i);
    }
    f->token_count = f->ends.count - 1;
    write_end(f, google, id, reason, script->prompt_tokens);
    ASSERT(buf_ok(&f->stream) && buf_ok(&f->whole));
    return f;
}
