/* SPDX-License-Identifier: Apache-2.0 */
/* thinking.c - levels of thinking, and what of an answer its message keeps for the server.
 *
 *   reasoning_content   the text of all thoughts, for people: where LangChain has DeepSeek's
 *   thinking_blocks     thoughts with the signature by which Anthropic knows them again, and those
 *                       that it told in cipher alone; it wants them back with the calls that they
 *                       led to
 *   LLM_SIGNATURES      signatures of calls, which Gemini wants back; where LangChain has them
 *
 * All of them are members of additional_kwargs: the content stays the text of the answer, whatever
 * a model thought. */
#include "llm/thinking.h"

#include "llm/provider.h"

/* tokens: of the thoughts, where a server counts them. */
static const struct {
    const char *name;
    int64_t tokens;
} LEVELS[] = {
    [LLM_THINKING_OFF] = {"off", 0},       [LLM_THINKING_MINIMAL] = {"minimal", 1024},
    [LLM_THINKING_LOW] = {"low", 2048},    [LLM_THINKING_MEDIUM] = {"medium", 8192},
    [LLM_THINKING_HIGH] = {"high", 16384}, [LLM_THINKING_XHIGH] = {"xhigh", 24576},
};

bool llm_thinking_parse(str word, enum llm_thinking *out) {
    for (size_t i = LLM_THINKING_OFF; i < ARRAY_COUNT(LEVELS); i++) {
        if (!str_eq(word, str_of(LEVELS[i].name)))
            continue;
        *out = (enum llm_thinking)i;
        return true;
    }
    return false;
}

const char *llm_thinking_name(enum llm_thinking level) {
    return LEVELS[level].name ? LEVELS[level].name : "";
}

bool llm_thinks(const struct llm_request *r) { return r->thinking > LLM_THINKING_OFF; }

int64_t llm_thinking_tokens(enum llm_thinking level, int64_t limit) {
    int64_t room = limit - LLM_THINKING_TOKENS_MIN;
    int64_t tokens = LEVELS[level].tokens < room ? LEVELS[level].tokens : room;
    return tokens >= LLM_THINKING_TOKENS_MIN ? tokens : 0;
}

static bool is_kept(yyjson_val *block) {
    str type = json_str(json_get(block, "type"));
    if (str_eq(type, STR("redacted_thinking")))
        return yyjson_is_str(json_get(block, "data"));
    return str_eq(type, STR("thinking")) && yyjson_is_str(json_get(block, "thinking")) &&
           json_str(json_get(block, "signature")).len > 0;
}

size_t llm_thoughts_of(const struct message *m, llm_thought_fn *fn, void *ctx) {
    yyjson_val *places[] = {json_get(json_get(m->root, "additional_kwargs"), "thinking_blocks"),
                            json_get(m->root, "content")}; /* as LangChain has them */
    size_t found = 0;
    for (size_t i = 0; i < ARRAY_COUNT(places) && found == 0; i++) {
        yyjson_arr_iter it = yyjson_arr_iter_with(yyjson_is_arr(places[i]) ? places[i] : NULL);
        for (yyjson_val *b; yyjson_is_arr(places[i]) && (b = yyjson_arr_iter_next(&it)) != NULL;) {
            if (!is_kept(b))
                continue;
            found++;
            if (fn)
                fn(ctx, b);
        }
    }
    return found;
}

/* --- what a message keeps --- */

static void write_blocks(struct json_writer *w, const struct llm_response *r) {
    jw_key(w, "thinking_blocks");
    jw_array(w);
    for (size_t i = 0; i < r->thought_count; i++) {
        const struct llm_thought *t = &r->thoughts[i];
        if (!t->signature.len && !t->redacted.len)
            continue;
        jw_object(w);
        jw_key(w, "type");
        jw_z(w, t->redacted.len ? "redacted_thinking" : "thinking");
        jw_key(w, t->redacted.len ? "data" : "thinking");
        jw_str(w, t->redacted.len ? t->redacted : t->text);
        if (!t->redacted.len) {
            jw_key(w, "signature");
            jw_str(w, t->signature);
        }
        jw_object_end(w);
    }
    jw_array_end(w);
}

static void write_signatures(struct json_writer *w, const struct llm_response *r) {
    jw_key(w, LLM_SIGNATURES);
    jw_object(w);
    for (size_t i = 0; i < r->tool_call_count; i++) {
        if (!r->tool_calls[i].signature.len)
            continue;
        jw_key_str(w, r->tool_calls[i].id);
        jw_str(w, r->tool_calls[i].signature);
    }
    jw_object_end(w);
}

str llm_additional_kwargs(struct arena *a, const struct llm_response *response) {
    bool signed_calls = false, blocks = false;
    struct buf b, thoughts;
    buf_init(&b, LLM_ANSWER_BYTES_MAX);
    buf_init(&thoughts, LLM_ANSWER_BYTES_MAX);
    for (size_t i = 0; i < response->tool_call_count; i++)
        signed_calls = signed_calls || response->tool_calls[i].signature.len > 0;
    for (size_t i = 0; i < response->thought_count; i++) {
        const struct llm_thought *t = &response->thoughts[i];
        blocks = blocks || t->signature.len > 0 || t->redacted.len > 0;
        buf_str(&thoughts, t->text);
    }
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    if (thoughts.len) {
        jw_key(&w, "reasoning_content");
        jw_str(&w, buf_view(&thoughts));
    }
    if (blocks)
        write_blocks(&w, response);
    if (signed_calls)
        write_signatures(&w, response);
    jw_object_end(&w);
    bool any = thoughts.len || blocks || signed_calls;
    str json = any && buf_ok(&b) ? arena_dup(a, buf_view(&b)) : STR_NULL;
    buf_deinit(&thoughts);
    buf_deinit(&b);
    return json;
}
