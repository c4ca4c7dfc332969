/* SPDX-License-Identifier: Apache-2.0 */
/* text_model.h - a model that background work asks for a text.
 *
 * Memory: the options' texts live as long as who uses them; an answer lies in the arena given.
 * Errors: of the model; ERR_CONFLICT when it wrote nothing. Suspends: text_model_ask.
 * Tests: tests/integration/run-conversations, run-agent-logs */
#ifndef HF_ENGINE_TEXT_MODEL_H
#define HF_ENGINE_TEXT_MODEL_H

#include "llm/port.h"

struct text_model {
    str provider, model, base_url, api_key;
    int64_t connect_timeout_us, head_timeout_us, idle_timeout_us;
    int retries_max;
};
/* *out: what it answers to `text` under the prompt, cut to bytes_max. */
MUST_CHECK MAY_SUSPEND int text_model_ask(struct llm *llm, const struct text_model *m, str prompt,
                                          str text, size_t bytes_max, struct arena *a, str *out,
                                          struct err *err);
/* Not more than bytes_max of a text, between characters. */
str text_model_cut(str text, size_t bytes_max);

#endif
