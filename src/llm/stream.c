/* SPDX-License-Identifier: Apache-2.0 */
/* stream.c - answers of model servers, whole or as server-sent events, whatever their dialect.
 *
 * A stream that ends while OPEN was cut: ERR_MODEL_FAILED. An error object, in a stream or in place
 * of an answer, ends the attempt with that error. What comes after DONE is not read. */
#include "llm/fault.h"
#include "llm/provider.h"

#define SCRATCH_BYTES_MAX ((size_t)512 << 20)

int llm_not_understood(struct err *err, str host, const char *why) {
    return err_set(err, ERR_MODEL_PROTOCOL,
                   "the answer of the model server " STR_FMT " cannot be understood: %s",
                   STR_ARG(host), why);
}

static bool is_error(yyjson_val *root) {
    yyjson_val *error = json_get(root, "error");
    return yyjson_is_obj(error) || yyjson_is_str(error);
}

int llm_write_body(const struct llm_provider *p, const struct llm_request *r, struct buf *out,
                   struct err *err) {
    size_t bytes = r->tools.len + r->system_prompt.len;
    for (size_t i = 0; i < r->message_count; i++)
        bytes += r->messages[i].json.len;
    int rc = 0;
    if (bytes <= out->max_bytes) { /* before documents of that size are built */
        struct arena scratch;
        arena_init(&scratch, 64 * bytes + ((size_t)1 << 20));
        rc = p->write_body(out, &scratch, r, err);
        arena_deinit(&scratch);
    }
    if (rc == 0 && (bytes > out->max_bytes || !buf_ok(out)))
        rc = err_set(err, ERR_MODEL_REQUEST, "the request to the model is larger than %zu bytes",
                     out->max_bytes);
    return rc;
}

int llm_read_answer(const struct llm_provider *p, struct llm_assembler *as, str body, str host,
                    str secret, struct err *err) {
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BYTES_MAX + 32 * body.len);
    yyjson_val *root;
    struct err why = {0};
    int rc;
    if (json_parse(&scratch, body, &root, &why) < 0)
        rc = llm_not_understood(err, host, why.message);
    else if (is_error(root))
        rc = llm_fault_in_stream(json_get(root, "error"), host, secret, err);
    else
        rc = p->read_whole(as, &scratch, root, host, err);
    arena_deinit(&scratch);
    return rc;
}

void llm_stream_init(struct llm_stream *s, const struct llm_provider *p, struct llm_assembler *as,
                     str host, str secret) {
    *s = (struct llm_stream){.provider = p, .as = as, .host = host, .secret = secret};
    sse_parser_init(&s->sse, LLM_EVENT_BYTES_MAX);
    arena_init(&s->scratch, SCRATCH_BYTES_MAX);
}

void llm_stream_deinit(struct llm_stream *s) {
    sse_parser_deinit(&s->sse);
    arena_deinit(&s->scratch);
}

static int stream_on_event(void *ctx, const struct sse_event *e) {
    struct llm_stream *s = ctx;
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
        return llm_not_understood(s->err, s->host, why.message);
    if (!yyjson_is_obj(root))
        return llm_not_understood(s->err, s->host, "an event is no object");
    if (is_error(root) || str_eq(e->event, STR("error")))
        return llm_fault_in_stream(is_error(root) ? json_get(root, "error") : root, s->host,
                                   s->secret, s->err);
    return s->provider->read_event(s, root);
}

int llm_stream_feed(struct llm_stream *s, str bytes, struct err *err) {
    s->err = err;
    int rc = sse_parser_feed(&s->sse, bytes, stream_on_event, s);
    s->err = NULL;
    if (rc == ERR_TOO_LARGE)
        return llm_not_understood(err, s->host, "an event is too large");
    return rc;
}

int llm_stream_cut(const struct llm_stream *s, struct err *err) {
    return err_set(err, ERR_MODEL_FAILED, "the model's stream was cut (" STR_FMT ")",
                   STR_ARG(s->host));
}

int llm_stream_end(struct llm_stream *s, struct err *err) {
    if (s->state != LLM_STREAM_OPEN)
        return 0;
    /* The last event may lack its blank line. */
    int rc = llm_stream_feed(s, STR("\n\n"), err);
    if (rc < 0)
        return rc;
    return s->state == LLM_STREAM_OPEN ? llm_stream_cut(s, err) : 0;
}
