/* SPDX-License-Identifier: Apache-2.0 */
/* assembler.c - puts the deltas of one answer together.
 *
 * The difficult part is to which call a piece belongs, since compatible servers differ:
 *   index, id, name in the first piece, then index and arguments       (the original)
 *   no index, but an id in the first piece or in each one               -> by id, else the last
 *   index 0 for each of several parallel calls, told apart by their ids -> a new id with a name
 *                                                                          starts a new call
 *   no index and no id, whole calls one after the other                 -> a name after arguments
 *                                                                          starts a new call
 * Calls are numbered in order of appearance; consumers see that number, not the server's index. */
#include "llm/assembler.h"

#include "base/id.h"
#include "base/json.h"

void llm_assembler_init(struct llm_assembler *as, struct arena *arena, llm_delta_fn on_delta,
                        void *ctx) {
    *as = (struct llm_assembler){
        .arena = arena, .on_delta = on_delta, .ctx = ctx, .input_tokens = -1, .output_tokens = -1};
    buf_init(&as->content, LLM_CONTENT_BYTES_MAX);
}

static void thought_deinit(struct llm_thought_part *t) {
    buf_deinit(&t->text);
    buf_deinit(&t->signature);
}

void llm_assembler_deinit(struct llm_assembler *as) {
    for (size_t i = 0; i < as->calls.count; i++)
        buf_deinit(&as->calls.p[i].arguments);
    vec_deinit(&as->calls);
    for (size_t i = 0; i < as->thoughts.count; i++)
        thought_deinit(&as->thoughts.p[i]);
    vec_deinit(&as->thoughts);
    buf_deinit(&as->content);
}

void llm_assembler_set_id(struct llm_assembler *as, str id) {
    if (as->id.len == 0 && id.len > 0)
        as->id = arena_dup(as->arena, id);
}

void llm_assembler_set_model(struct llm_assembler *as, str model) {
    if (as->model.len == 0 && model.len > 0)
        as->model = arena_dup(as->arena, model);
}

void llm_assembler_set_finish_reason(struct llm_assembler *as, str reason) {
    if (reason.len > 0 && !str_eq(reason, as->finish_reason))
        as->finish_reason = arena_dup(as->arena, reason);
}

static str fresh_id(struct arena *a, const char *prefix) {
    return arena_printf(a, "%s" STR_FMT, prefix, STR_ARG(id_hex(a, id_v7())));
}

static void emit(struct llm_assembler *as, struct llm_delta *delta) {
    if (!as->on_delta)
        return;
    if (as->id.len == 0)
        as->id = fresh_id(as->arena, "chatcmpl-");
    delta->message_id = as->id;
    as->delta_count++;
    as->on_delta(as->ctx, delta);
}

int llm_assembler_content(struct llm_assembler *as, str text, struct err *err) {
    if (text.len == 0)
        return 0;
    buf_str(&as->content, text);
    if (!buf_ok(&as->content))
        return err_set(err, ERR_MODEL_PROTOCOL, "the model's answer is longer than %zu bytes",
                       LLM_CONTENT_BYTES_MAX);
    emit(as, &(struct llm_delta){.content = text});
    return 0;
}

/* All thoughts together are bounded as an answer is. */
static int thought_at(struct llm_assembler *as, int64_t index, size_t more,
                      struct llm_thought_part **out, struct err *err) {
    as->thought_bytes += more;
    if (as->thought_bytes > LLM_CONTENT_BYTES_MAX)
        return err_set(err, ERR_MODEL_PROTOCOL, "the model's thoughts are longer than %zu bytes",
                       LLM_CONTENT_BYTES_MAX);
    for (size_t i = as->thoughts.count; i-- > 0;) {
        *out = &as->thoughts.p[i];
        if ((*out)->key == index)
            return 0;
    }
    if (as->thoughts.count >= LLM_THOUGHT_COUNT_MAX)
        return err_set(err, ERR_MODEL_PROTOCOL, "the model has more than %d thoughts",
                       LLM_THOUGHT_COUNT_MAX);
    struct llm_thought_part fresh = {.key = index};
    buf_init(&fresh.text, LLM_CONTENT_BYTES_MAX);
    buf_init(&fresh.signature, LLM_CONTENT_BYTES_MAX);
    vec_push(&as->thoughts, fresh);
    *out = &as->thoughts.p[as->thoughts.count - 1];
    return 0;
}

int llm_assembler_thought(struct llm_assembler *as, int64_t index, str text, struct err *err) {
    struct llm_thought_part *t;
    if (text.len == 0)
        return 0;
    int rc = thought_at(as, index, text.len, &t, err);
    if (rc < 0)
        return rc;
    buf_str(&t->text, text);
    emit(as, &(struct llm_delta){.thinking = text});
    return 0;
}

int llm_assembler_sign_thought(struct llm_assembler *as, int64_t index, str signature,
                               struct err *err) {
    struct llm_thought_part *t;
    if (signature.len == 0)
        return 0;
    int rc = thought_at(as, index, signature.len, &t, err);
    if (rc == 0)
        buf_str(&t->signature, signature);
    return rc;
}

int llm_assembler_redacted(struct llm_assembler *as, int64_t index, str data, struct err *err) {
    struct llm_thought_part *t;
    if (data.len == 0)
        return 0;
    int rc = thought_at(as, index, data.len, &t, err);
    if (rc == 0)
        t->redacted = arena_dup(as->arena, data);
    return rc;
}

static struct llm_tool_call_part *find_part(struct llm_assembler *as, int64_t index, str id,
                                            str name) {
    struct llm_tool_call_part *found = NULL;
    for (size_t i = as->calls.count; i-- > 0 && !found;) {
        struct llm_tool_call_part *p = &as->calls.p[i];
        if (index >= 0 ? p->key == index : id.len == 0 || str_eq(p->id, id))
            found = p;
    }
    if (!found)
        return NULL;
    bool other_id = id.len > 0 && found->id.len > 0 && !str_eq(found->id, id);
    bool whole_again = index < 0 && id.len == 0 && name.len > 0 && found->arguments.len > 0;
    return (other_id && name.len > 0) || whole_again ? NULL : found;
}

int llm_assembler_tool_call(struct llm_assembler *as, int64_t index, str id, str name,
                            str arguments, struct err *err) {
    struct llm_tool_call_part *p = find_part(as, index, id, name);
    if (!p) {
        if (as->calls.count >= LLM_TOOL_CALL_COUNT_MAX)
            return err_set(err, ERR_MODEL_PROTOCOL, "the model asked for more than %d tool calls",
                           LLM_TOOL_CALL_COUNT_MAX);
        struct llm_tool_call_part fresh = {.key = index};
        buf_init(&fresh.arguments, LLM_ARGUMENTS_BYTES_MAX);
        vec_push(&as->calls, fresh);
        p = &as->calls.p[as->calls.count - 1];
        /* The id must be known when the first piece is shown, else consumers cannot join them. */
        p->id = id.len > 0 ? arena_dup(as->arena, id) : fresh_id(as->arena, "call_");
        id = p->id;
    }
    if (p->name.len == 0 && name.len > 0)
        p->name = arena_dup(as->arena, name);
    buf_str(&p->arguments, arguments);
    if (!buf_ok(&p->arguments))
        return err_set(err, ERR_MODEL_PROTOCOL, "a tool call's arguments are longer than %zu bytes",
                       LLM_ARGUMENTS_BYTES_MAX);
    struct llm_tool_call_delta delta = {
        .index = (int)(p - as->calls.p),
        .id = id.len > 0 ? id : STR_NULL,
        .name = name.len > 0 ? name : STR_NULL,
        .arguments = arguments,
    };
    emit(as, &(struct llm_delta){.tool_call = &delta});
    return 0;
}

bool llm_assembler_has_call(const struct llm_assembler *as, int64_t index) {
    for (size_t i = 0; i < as->calls.count; i++)
        if (as->calls.p[i].key == index)
            return true;
    return false;
}

void llm_assembler_sign(struct llm_assembler *as, str signature) {
    if (as->calls.count > 0 && signature.len > 0)
        as->calls.p[as->calls.count - 1].signature = arena_dup(as->arena, signature);
}

static bool is_json_object(str text) {
    struct arena scratch;
    arena_init(&scratch, 16 * text.len + 64 * 1024);
    yyjson_val *root;
    bool is = json_parse(&scratch, text, &root, NULL) == 0 && yyjson_is_obj(root);
    arena_deinit(&scratch);
    return is;
}

static void finish_thoughts(struct llm_assembler *as, struct llm_response *out) {
    out->thought_count = as->thoughts.count;
    out->thoughts = ARENA_ARRAY(as->arena, struct llm_thought, as->thoughts.count + 1);
    for (size_t i = 0; i < as->thoughts.count; i++) {
        const struct llm_thought_part *t = &as->thoughts.p[i];
        out->thoughts[i] = (struct llm_thought){
            .text = t->text.len ? arena_dup(as->arena, buf_view(&t->text)) : STR(""),
            .signature = arena_dup(as->arena, buf_view(&t->signature)),
            .redacted = t->redacted};
    }
}

void llm_assembler_finish(struct llm_assembler *as, struct llm_response *out) {
    struct arena *a = as->arena;
    finish_thoughts(as, out);
    out->id = as->id.len > 0 ? as->id : fresh_id(a, "chatcmpl-");
    out->model = as->model.p ? as->model : STR("");
    out->content = as->content.len > 0 ? arena_dup(a, buf_view(&as->content)) : STR("");
    out->tool_call_count = as->calls.count;
    out->tool_calls = NULL;
    if (as->calls.count > 0)
        out->tool_calls = ARENA_ARRAY(a, struct llm_tool_call, as->calls.count);
    for (size_t i = 0; i < as->calls.count; i++) {
        const struct llm_tool_call_part *p = &as->calls.p[i];
        struct llm_tool_call *call = &out->tool_calls[i];
        call->id = p->id;
        call->signature = p->signature;
        call->name = p->name.p ? p->name : STR("");
        /* Tools without parameters: some servers send no arguments at all. */
        str text = str_trim(buf_view(&p->arguments));
        call->arguments = text.len > 0 ? arena_dup(a, text) : STR("{}");
        call->arguments_valid = is_json_object(call->arguments);
    }
    if (as->finish_reason.len > 0)
        out->finish_reason = as->finish_reason;
    else
        out->finish_reason = as->calls.count > 0 ? STR("tool_calls") : STR("stop");
    out->input_tokens = as->input_tokens;
    out->output_tokens = as->output_tokens;
}
