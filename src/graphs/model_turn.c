/* SPDX-License-Identifier: Apache-2.0 */
/* model_turn.c - a model's answer as chunks for live readers and as one message for the state.
 *
 * What the model wrote is data: arguments of tools are kept only in a form that the store reads
 * back, the others count as invalid and the model is told so. */
#include "graphs/model_turn.h"

#include "base/clock.h"

struct turn {
    struct node_ctx *ctx;
    str message_id, provider;
    model_notes_fn notes;
    void *notes_arg;
};

static void on_delta(void *arg, const struct llm_delta *d) {
    struct turn *t = arg;
    struct node_chunk c = {
        .message_id = t->message_id, .content = d->content, .thinking = d->thinking};
    if (d->tool_call) {
        c.has_tool_call = true;
        c.tool_index = d->tool_call->index;
        c.tool_id = d->tool_call->id;
        c.tool_name = d->tool_call->name;
        c.tool_arguments = d->tool_call->arguments;
    }
    node_emit_chunk(t->ctx, &c);
}

/* Arguments are written anew, for a line of a stream must hold no line ends of the model's; those
 * nested deeper than the store reads back count as invalid. */
static bool write_arguments(struct json_writer *w, struct arena *a,
                            const struct llm_tool_call *call) {
    yyjson_val *args;
    if (!call->arguments_valid ||
        json_depth(call->arguments, MESSAGE_ARGUMENTS_DEPTH_MAX) > MESSAGE_ARGUMENTS_DEPTH_MAX ||
        json_parse(a, call->arguments, &args, NULL) < 0)
        return false;
    jw_object(w);
    jw_key(w, "name");
    jw_str(w, call->name);
    jw_key(w, "args");
    jw_val(w, args);
    jw_key(w, "id");
    jw_str(w, call->id);
    jw_key(w, "type");
    jw_z(w, "tool_call");
    jw_object_end(w);
    return true;
}

static void write_invalid(struct json_writer *w, const struct llm_tool_call *call) {
    jw_object(w);
    jw_key(w, "name");
    jw_str(w, call->name);
    jw_key(w, "args");
    jw_str(w, call->arguments);
    jw_key(w, "id");
    jw_str(w, call->id);
    jw_key(w, "error");
    jw_z(w, "the arguments are not a JSON object");
    jw_key(w, "type");
    jw_z(w, "invalid_tool_call");
    jw_object_end(w);
}

static str response_metadata(struct turn *t, const struct llm_response *response) {
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "finish_reason");
    jw_str(&w, str_slice(response->finish_reason, 0, 200));
    jw_key(&w, "model_name");
    jw_str(&w, str_slice(response->model, 0, 1000));
    jw_key(&w, "model_provider");
    jw_str(&w, t->provider);
    if (t->notes)
        t->notes(t->notes_arg, &w, response);
    jw_object_end(&w);
    ASSERT(buf_ok(&b));
    return arena_take(t->ctx->arena, &b);
}

static void make_answer(struct turn *t, const struct llm_response *response, struct message *out) {
    struct arena *a = t->ctx->arena;
    struct buf valid, invalid;
    buf_init(&valid, SIZE_MAX / 2);
    buf_init(&invalid, SIZE_MAX / 2);
    struct json_writer wv = json_writer(&valid), wi = json_writer(&invalid);
    jw_array(&wv);
    jw_array(&wi);
    for (size_t i = 0; i < response->tool_call_count; i++)
        if (!write_arguments(&wv, a, &response->tool_calls[i]))
            write_invalid(&wi, &response->tool_calls[i]);
    jw_array_end(&wv);
    jw_array_end(&wi);
    struct message_ai ai = {.id = t->message_id,
                            .content = response->content,
                            .tool_calls = buf_view(&valid),
                            .invalid_tool_calls = buf_view(&invalid),
                            .response_metadata = response_metadata(t, response),
                            .additional_kwargs = llm_additional_kwargs(a, response),
                            .input_tokens = response->input_tokens,
                            .output_tokens = response->output_tokens};
    message_make_ai(a, &ai, out);
    buf_deinit(&valid);
    buf_deinit(&invalid);
}

int model_turn(struct node_ctx *ctx, struct llm_request *request, str provider, struct message *out,
               struct err *err) {
    return model_turn_noted(ctx, request, provider, NULL, NULL, out, err);
}

int model_turn_noted(struct node_ctx *ctx, struct llm_request *request, str provider,
                     model_notes_fn notes, void *arg, struct message *out, struct err *err) {
    struct llm_response response;
    struct turn t = {.ctx = ctx, .provider = provider, .notes = notes, .notes_arg = arg};
    t.message_id =
        arena_printf(ctx->arena, "run-" STR_FMT, STR_ARG(id_dashed(ctx->arena, id_v7())));
    request->stream = ctx->want_tokens;
    request->trace = ctx->trace;
    int64_t begun_us = clock_mono_us();
    int rc = llm_chat(ctx->services->llm, request, on_delta, &t, ctx->arena, &response, err);
    node_observe(ctx, "llm", clock_mono_us() - begun_us);
    if (rc == 0)
        make_answer(&t, &response, out);
    return rc;
}
