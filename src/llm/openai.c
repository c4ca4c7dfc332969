/* SPDX-License-Identifier: Apache-2.0 */
/* openai.c - answers of OpenAI-compatible chat completions, whole or streamed, and one attempt.
 *
 * A stream is server-sent events; each data line is a chunk
 *   {"id","model","choices":[{"delta":{"content","tool_calls":[…]},"finish_reason"}],"usage"}
 * and the last one is [DONE]. Tolerated, since compatible servers differ: no index in tool calls,
 * all arguments in one chunk or as an object, content as parts, reasoning_content (left out),
 * usage on every chunk (the last one counts), "message" in place of "delta", no [DONE], comments as
 * keepalive, a whole JSON answer to a request for a stream.
 *
 *   OPEN --finish_reason--> FINISHED --[DONE]--> DONE
 *
 * A stream that ends while OPEN was cut: ERR_MODEL_FAILED. An error object inside a stream ends the
 * attempt with that error. After [DONE] the body is read to its end for a moment, so that the
 * connection can be used again. */
#include "llm/openai.h"

#include "base/clock.h"
#include "llm/fault.h"

#define DRAIN_TIMEOUT_US     250000
#define ERROR_BODY_BYTES_MAX ((size_t)64 * 1024)
#define SCRATCH_BYTES_MAX    ((size_t)512 << 20)

/* --- documents --- */

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
    int rc = read_content(as, json_get(delta, "content"), err);
    if (rc == 0)
        rc = read_tool_calls(as, scratch, json_get(delta, "tool_calls"), err);
    if (rc < 0)
        return rc;
    str reason = json_str(json_get(choice, "finish_reason"));
    llm_assembler_set_finish_reason(as, reason);
    *out_finished = reason.len > 0;
    return 0;
}

static int not_understood(struct err *err, str host, const char *why) {
    return err_set(err, ERR_MODEL_PROTOCOL,
                   "the answer of the model server " STR_FMT " cannot be understood: %s",
                   STR_ARG(host), why);
}

static bool is_error(yyjson_val *root) {
    yyjson_val *error = json_get(root, "error");
    return yyjson_is_obj(error) || yyjson_is_str(error);
}

int llm_openai_read_answer(struct llm_assembler *as, str body, str host, str secret,
                           struct err *err) {
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BYTES_MAX + 32 * body.len);
    yyjson_val *root;
    struct err why = {0};
    bool finished;
    int rc;
    if (json_parse(&scratch, body, &root, &why) < 0)
        rc = not_understood(err, host, why.message);
    else if (is_error(root))
        rc = llm_fault_in_stream(json_get(root, "error"), host, secret, err);
    else if (yyjson_arr_size(json_get(root, "choices")) == 0)
        rc = not_understood(err, host, "it has no choices");
    else
        rc = read_document(as, &scratch, root, &finished, err);
    arena_deinit(&scratch);
    return rc;
}

/* --- streams --- */

void llm_openai_stream_init(struct llm_openai_stream *s, struct llm_assembler *as, str host,
                            str secret) {
    *s = (struct llm_openai_stream){.as = as, .host = host, .secret = secret};
    sse_parser_init(&s->sse, LLM_EVENT_BYTES_MAX);
    arena_init(&s->scratch, SCRATCH_BYTES_MAX);
}

void llm_openai_stream_deinit(struct llm_openai_stream *s) {
    sse_parser_deinit(&s->sse);
    arena_deinit(&s->scratch);
}

static int stream_on_event(void *ctx, const struct sse_event *e) {
    struct llm_openai_stream *s = ctx;
    str data = str_trim(e->data);
    if (data.len == 0 || s->state == LLM_STREAM_DONE)
        return 0;
    if (str_eq(data, STR("[DONE]"))) {
        s->state = LLM_STREAM_DONE;
        return 0;
    }
    arena_reset(&s->scratch);
    yyjson_val *root;
    struct err why = {0};
    if (json_parse(&s->scratch, data, &root, &why) < 0)
        return not_understood(s->err, s->host, why.message);
    if (!yyjson_is_obj(root))
        return not_understood(s->err, s->host, "an event is no object");
    if (is_error(root) || str_eq(e->event, STR("error")))
        return llm_fault_in_stream(is_error(root) ? json_get(root, "error") : root, s->host,
                                   s->secret, s->err);
    bool finished = false;
    int rc = read_document(s->as, &s->scratch, root, &finished, s->err);
    if (rc == 0 && finished)
        s->state = LLM_STREAM_FINISHED;
    return rc;
}

int llm_openai_stream_feed(struct llm_openai_stream *s, str bytes, struct err *err) {
    s->err = err;
    int rc = sse_parser_feed(&s->sse, bytes, stream_on_event, s);
    s->err = NULL;
    if (rc == ERR_TOO_LARGE)
        return not_understood(err, s->host, "an event is too large");
    return rc;
}

static int stream_cut(const struct llm_openai_stream *s, struct err *err) {
    return err_set(err, ERR_MODEL_FAILED, "the model's stream was cut (" STR_FMT ")",
                   STR_ARG(s->host));
}

int llm_openai_stream_end(struct llm_openai_stream *s, struct err *err) {
    if (s->state != LLM_STREAM_OPEN)
        return 0;
    /* The last event may lack its blank line. */
    int rc = llm_openai_stream_feed(s, STR("\n\n"), err);
    if (rc < 0)
        return rc;
    return s->state == LLM_STREAM_OPEN ? stream_cut(s, err) : 0;
}

/* --- one attempt --- */

struct attempt {
    struct http_client *client;
    const struct llm_request *r;
    str host;
    struct http_call *call;
    struct llm_assembler as;
    int64_t started_us, first_byte_us;
};

static int attempt_open(struct attempt *t, str body, struct arena *a, struct err *err) {
    const struct llm_request *r = t->r;
    str base = r->base_url;
    while (base.len > 0 && base.p[base.len - 1] == '/')
        base.len--;
    str path = STR("/chat/completions");
    str url = str_ends(base, path) ? base
                                   : arena_printf(a, STR_FMT STR_FMT, STR_ARG(base), STR_ARG(path));
    struct http_header headers[2] = {{STR("Content-Type"), STR("application/json")}};
    size_t count = 1;
    if (r->api_key.len > 0) {
        str value = arena_printf(a, "Bearer " STR_FMT, STR_ARG(r->api_key));
        headers[count++] = (struct http_header){STR("Authorization"), value};
    }
    struct http_call_options o = {
        .method = HTTP_POST, .url = url, .headers = headers, .header_count = count, .body = body,
        .connect_timeout_us = r->connect_timeout_us, .head_timeout_us = r->head_timeout_us,
        .idle_timeout_us = r->idle_timeout_us};
    struct err cause = {0};
    if (http_call_open(t->client, &o, &t->call, &cause) < 0) {
        if (cause.code == ERR_CLOSED) /* hung up without a word: as good as refused */
            cause.code = ERR_UNAVAILABLE;
        return llm_fault_transport(&cause, t->host, err);
    }
    t->first_byte_us = clock_mono_us() - t->started_us;
    return 0;
}

static int attempt_refused(struct attempt *t, struct err *err) {
    struct arena scratch;
    arena_init(&scratch, 2 * ERROR_BODY_BYTES_MAX);
    str body = STR_NULL;
    int rc = http_call_read_all(t->call, &scratch, ERROR_BODY_BYTES_MAX, &body, NULL);
    if (rc == ERR_CANCELLED)
        rc = llm_fault_transport(&(struct err){.code = rc}, t->host, err);
    else
        rc = llm_fault_status(http_call_status(t->call), body, llm_fault_retry_after_ms(t->call),
                              t->host, t->r->api_key, err);
    arena_deinit(&scratch);
    return rc;
}

static int attempt_read_whole(struct attempt *t, struct err *err) {
    struct arena scratch;
    arena_init(&scratch, 2 * LLM_ANSWER_BYTES_MAX);
    str body;
    struct err cause = {0};
    int rc;
    if (http_call_read_all(t->call, &scratch, LLM_ANSWER_BYTES_MAX, &body, &cause) < 0)
        rc = llm_fault_transport(&cause, t->host, err);
    else
        rc = llm_openai_read_answer(&t->as, body, t->host, t->r->api_key, err);
    arena_deinit(&scratch);
    return rc;
}

static int attempt_read_stream(struct attempt *t, struct err *err) {
    struct llm_openai_stream s;
    llm_openai_stream_init(&s, &t->as, t->host, t->r->api_key);
    str part = STR_NULL;
    struct err cause = {0};
    int rc = 0;
    while (rc == 0) {
        if (http_call_read(t->call, &part, &cause) < 0) {
            if (cause.code == ERR_CANCELLED || s.state == LLM_STREAM_OPEN)
                rc = cause.code == ERR_CLOSED ? stream_cut(&s, err)
                                              : llm_fault_transport(&cause, t->host, err);
            break;
        }
        if (part.len == 0)
            break;
        rc = llm_openai_stream_feed(&s, part, err);
        if (s.state == LLM_STREAM_DONE)
            http_call_set_idle_timeout(t->call, DRAIN_TIMEOUT_US);
    }
    if (rc == 0)
        rc = llm_openai_stream_end(&s, err);
    llm_openai_stream_deinit(&s);
    return rc;
}

static int attempt_read(struct attempt *t, struct err *err) {
    int status = http_call_status(t->call);
    if (status < 200 || status > 299)
        return attempt_refused(t, err);
    str type = http_call_header(t->call, STR("content-type"));
    bool json = type.len >= 16 && str_ieq(str_slice(type, 0, 16), STR("application/json"));
    return t->r->stream && !json ? attempt_read_stream(t, err) : attempt_read_whole(t, err);
}

int llm_openai_attempt(struct http_client *client, const struct llm_request *r, str body,
                       llm_delta_fn on_delta, void *ctx, struct arena *a, struct llm_response *out,
                       size_t *out_delta_count, struct err *err) {
    struct attempt t = {.client = client,
                        .r = r,
                        .host = llm_fault_host(r->base_url),
                        .started_us = clock_mono_us()};
    llm_assembler_init(&t.as, a, r->stream ? on_delta : NULL, ctx);
    int rc = attempt_open(&t, body, a, err);
    if (rc == 0) {
        rc = attempt_read(&t, err);
        http_call_close(t.call);
    }
    if (rc == 0) {
        llm_assembler_finish(&t.as, out);
        out->first_byte_us = t.first_byte_us;
    }
    *out_delta_count = t.as.delta_count;
    llm_assembler_deinit(&t.as);
    return rc;
}
