/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_llm_stream.c - the model client's streams: server-sent events, chunks, tool calls, errors.
 *
 * The first byte says of which dialect the rest is, and how it is cut into reads. Checks: a refusal
 * is an ERR_MODEL_* with a one-line text that does not hold the key; an answer has an id, valid
 * UTF-8, and tool calls whose deltas add up to their arguments; the same bytes read whole give the
 * same result. */
#include "base/mem.h"
#include "llm/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY "sk-fuzz-secret"

struct run {
    struct arena arena;
    struct llm_assembler as;
    struct llm_response out;
    struct err err;
    struct buf content, arguments; /* of the deltas; arguments of call 0 */
    int rc;
};

static void on_delta(void *ctx, const struct llm_delta *d) {
    struct run *r = ctx;
    ASSERT(d->message_id.len > 0);
    buf_str(&r->content, d->content);
    if (d->tool_call) {
        ASSERT(d->tool_call->index >= 0 && d->tool_call->index < LLM_TOOL_CALL_COUNT_MAX);
        if (d->tool_call->index == 0)
            buf_str(&r->arguments, d->tool_call->arguments);
    }
}

static void run_stream(struct run *r, const struct llm_provider *provider, str bytes, size_t step) {
    struct llm_stream s;
    *r = (struct run){0};
    arena_init(&r->arena, (size_t)256 << 20);
    buf_init(&r->content, (size_t)32 << 20);
    buf_init(&r->arguments, (size_t)32 << 20);
    llm_assembler_init(&r->as, &r->arena, on_delta, r);
    llm_stream_init(&s, provider, &r->as, STR("host:1"), STR(KEY));
    for (size_t at = 0; r->rc == 0 && at < bytes.len; at += step)
        r->rc = llm_stream_feed(&s, str_slice(bytes, at, at + step), &r->err);
    if (r->rc == 0)
        r->rc = llm_stream_end(&s, &r->err);
    if (r->rc == 0)
        llm_assembler_finish(&r->as, &r->out);
    llm_stream_deinit(&s);
}

static void check(const struct run *r) {
    if (r->rc < 0) {
        str text = str_of(r->err.message);
        ASSERT(r->err.code == r->rc && text.len > 0);
        ASSERT(r->rc <= ERR_MODEL_REFUSED && r->rc >= ERR_MODEL_REQUEST);
        ASSERT(str_find(text, STR(KEY)) < 0 && str_find_char(text, '\n') < 0);
        ASSERT(str_is_utf8(text));
        return;
    }
    ASSERT(r->out.id.len > 0 && r->out.finish_reason.len > 0);
    ASSERT(str_is_utf8(r->out.content) && str_eq(r->out.content, buf_view(&r->content)));
    for (size_t i = 0; i < r->out.tool_call_count; i++) {
        const struct llm_tool_call *call = &r->out.tool_calls[i];
        ASSERT(call->id.len > 0 && call->name.p && call->arguments.len > 0);
    }
    if (r->out.tool_call_count > 0 && str_trim(buf_view(&r->arguments)).len > 0)
        ASSERT(str_eq(r->out.tool_calls[0].arguments, str_trim(buf_view(&r->arguments))));
}

static void run_free(struct run *r) {
    llm_assembler_deinit(&r->as);
    buf_deinit(&r->content);
    buf_deinit(&r->arguments);
    arena_deinit(&r->arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct run cut, whole;
    if (size < 1 || size > 1 << 16)
        return 0;
    static const struct llm_provider *const providers[] = {&LLM_OPENAI, &LLM_ANTHROPIC,
                                                           &LLM_GOOGLE};
    const struct llm_provider *provider = providers[data[0] / 61 % ARRAY_COUNT(providers)];
    str bytes = str_n((const char *)data + 1, size - 1);
    run_stream(&cut, provider, bytes, (size_t)data[0] % 61 + 1);
    run_stream(&whole, provider, bytes, bytes.len + 1);
    check(&cut);
    check(&whole);
    ASSERT(cut.rc == whole.rc);
    if (cut.rc == 0) {
        ASSERT(str_eq(cut.out.content, whole.out.content));
        ASSERT(cut.out.tool_call_count == whole.out.tool_call_count);
    }
    run_free(&cut);
    run_free(&whole);
    return 0;
}
