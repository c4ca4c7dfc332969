/* SPDX-License-Identifier: Apache-2.0 */
/* openai.h - the OpenAI-compatible chat-completions provider: request body, answer, stream.
 *
 * Memory: answers go through an llm_assembler into its arena; the parser's own memory is freed by
 * deinit. Errors: ERR_MODEL_*. Suspends: only llm_openai_attempt.
 * Tests: tests/unit/llm/test_openai.c; the stream parser is fuzzed. */
#ifndef HF_LLM_OPENAI_H
#define HF_LLM_OPENAI_H

#include "http/sse.h"
#include "llm/assembler.h"

#define LLM_BODY_BYTES_MAX   ((size_t)64 << 20)
#define LLM_EVENT_BYTES_MAX  ((size_t)4 << 20)
#define LLM_ANSWER_BYTES_MAX ((size_t)32 << 20)

/* Appends the request's JSON body. ERR_MODEL_REQUEST when the messages or tools cannot be read. */
MUST_CHECK int llm_openai_write_body(const struct llm_request *r, struct buf *out, struct err *err);

/* A whole answer, not streamed. host is for error texts; secret (may be absent) is masked there. */
MUST_CHECK int llm_openai_read_answer(struct llm_assembler *as, str body, str host, str secret,
                                      struct err *err);

struct llm_openai_stream {
    struct llm_assembler *as;
    struct sse_parser sse;
    struct arena scratch; /* one event's document */
    str host, secret;
    struct err *err;                                                      /* during a feed */
    enum { LLM_STREAM_OPEN, LLM_STREAM_FINISHED, LLM_STREAM_DONE } state; /* reason seen; [DONE] */
};
void llm_openai_stream_init(struct llm_openai_stream *s, struct llm_assembler *as, str host,
                            str secret);
void llm_openai_stream_deinit(struct llm_openai_stream *s);
MUST_CHECK int llm_openai_stream_feed(struct llm_openai_stream *s, str bytes, struct err *err);
/* At the end of the bytes: ERR_MODEL_FAILED when the stream was cut. */
MUST_CHECK int llm_openai_stream_end(struct llm_openai_stream *s, struct err *err);

/* One attempt of a call; *out_delta_count tells, also on failure, how many deltas were produced. */
MUST_CHECK MAY_SUSPEND int llm_openai_attempt(struct http_client *client,
                                              const struct llm_request *r, str body,
                                              llm_delta_fn on_delta, void *ctx, struct arena *a,
                                              struct llm_response *out, size_t *out_delta_count,
                                              struct err *err);

#endif
