/* SPDX-License-Identifier: Apache-2.0 */
/* text_model.c - asks a model for one text, beside requests: no tools, no stream, one message.
 *
 * What it answers is bounded twice: the model is told how many tokens, and the text is cut. An
 * answer of nothing but white space is a failure, so that nobody stores one. */
#include "engine/text_model.h"

#define ANSWER_TOKENS 1024

str text_model_cut(str text, size_t bytes_max) {
    str begin = str_slice(text, 0, bytes_max < text.len ? bytes_max : text.len);
    return str_slice(begin, 0, str_utf8_prefix(begin));
}

int text_model_ask(struct llm *llm, const struct text_model *m, str prompt, str text,
                   size_t bytes_max, struct arena *a, str *out, struct err *err) {
    struct message message;
    struct llm_response response;
    message_make_human(a, STR_NULL, text, &message);
    struct llm_request request = {.provider = m->provider,
                                  .model = m->model,
                                  .base_url = m->base_url,
                                  .api_key = m->api_key,
                                  .max_tokens = ANSWER_TOKENS,
                                  .system_prompt = prompt,
                                  .messages = &message,
                                  .message_count = 1,
                                  .connect_timeout_us = m->connect_timeout_us,
                                  .head_timeout_us = m->head_timeout_us,
                                  .idle_timeout_us = m->idle_timeout_us,
                                  .retries_max = m->retries_max};
    int rc = llm_chat(llm, &request, NULL, NULL, a, &response, err);
    if (rc < 0)
        return rc;
    *out = text_model_cut(response.content, bytes_max);
    return str_trim(*out).len ? 0 : err_set(err, ERR_CONFLICT, "the model wrote no summary");
}
