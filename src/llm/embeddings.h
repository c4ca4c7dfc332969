/* SPDX-License-Identifier: Apache-2.0 */
/* embeddings.h - texts as vectors, by any OpenAI-compatible /v1/embeddings.
 *
 * Memory: options are copied; results lie in the caller's arena. Errors: ERR_MODEL_* as of the chat
 * models (llm/fault.h). Suspends: embeddings_make; cancelling the fiber cuts the connection.
 * Tests: tests/unit/llm/test_embeddings.c, tests/integration/run-store */
#ifndef HF_LLM_EMBEDDINGS_H
#define HF_LLM_EMBEDDINGS_H

#include "base/arena.h"
#include "http/client.h"

struct embeddings_options {
    str base_url, api_key, model;
    size_t dims;      /* that answers must have */
    size_t batch_max; /* texts in one call; 0: 128 */
    int64_t total_us; /* for all calls and their repetitions; 0: 10 s */
    int retries_max;
};
struct embeddings;
struct embeddings *embeddings_new(struct http_client *client, const struct embeddings_options *o);
void embeddings_free(struct embeddings *e);
/* *out: count vectors of dims floats, one after the other. */
MUST_CHECK MAY_SUSPEND int embeddings_make(struct embeddings *e, const str *texts, size_t count,
                                           struct arena *a, float **out, struct err *err);
/* The body of an answer; exposed for tests. */
MUST_CHECK int embeddings_read_answer(str body, size_t count, size_t dims, float *out, str host,
                                      struct err *err);

#endif
