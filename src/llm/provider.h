/* SPDX-License-Identifier: Apache-2.0 */
/* provider.h - what a dialect of model servers is made of, and what all of them share.
 *
 * A dialect says how a request is written and what an answer's documents mean; the stream, the
 * attempt and the faults are common. Memory: answers go through an llm_assembler into its arena; a
 * stream's own memory is freed by deinit. Errors: ERR_MODEL_*. Suspends: only llm_attempt.
 * Tests: tests/unit/llm/; the streams are fuzzed. */
#ifndef HF_LLM_PROVIDER_H
#define HF_LLM_PROVIDER_H

#include "http/sse.h"
#include "llm/assembler.h"

#define LLM_BODY_BYTES_MAX   ((size_t)64 << 20)
#define LLM_EVENT_BYTES_MAX  ((size_t)4 << 20)
#define LLM_ANSWER_BYTES_MAX ((size_t)32 << 20)
#define LLM_HEADERS_MAX      4
/* Signatures of calls, by their ids, in the additional_kwargs of a message. */
#define LLM_SIGNATURES "__gemini_function_call_thought_signatures__"

struct llm_provider;
struct llm_stream {
    const struct llm_provider *provider;
    struct llm_assembler *as;
    struct sse_parser sse;
    struct arena scratch; /* one event's document */
    str host, secret;
    struct err *err; /* during a feed */
    /* OPEN: it may not end here; FINISHED: the reason was seen; DONE: nothing more will come. */
    enum { LLM_STREAM_OPEN, LLM_STREAM_FINISHED, LLM_STREAM_DONE } state;
};

struct llm_provider {
    /* Appends the body; out has a cap, whose passing the caller reports. */
    int (*write_body)(struct buf *out, struct arena *scratch, const struct llm_request *r,
                      struct err *err);
    str (*url)(struct arena *a, const struct llm_request *r);
    /* Besides Content-Type; returns their number. */
    size_t (*headers)(struct arena *a, const struct llm_request *r,
                      struct http_header out[LLM_HEADERS_MAX]);
    /* One event of a stream, an object without "error"; moves s->state. Texts go to s->err. */
    int (*read_event)(struct llm_stream *s, yyjson_val *root);
    /* A whole answer, an object without "error". */
    int (*read_whole)(struct llm_assembler *as, struct arena *scratch, yyjson_val *root, str host,
                      struct err *err);
};
extern const struct llm_provider LLM_OPENAI;    /* …/chat/completions, and who speaks like it */
extern const struct llm_provider LLM_ANTHROPIC; /* …/v1/messages */
extern const struct llm_provider LLM_GOOGLE;    /* …:generateContent, of Gemini and of Vertex */

/* NULL: not known. */
const struct llm_provider *llm_provider_find(str name);

/* ERR_MODEL_REQUEST when messages or tools cannot be sent, or are more than out may hold. */
MUST_CHECK int llm_write_body(const struct llm_provider *p, const struct llm_request *r,
                              struct buf *out, struct err *err);
/* A whole answer. host is for texts of errors; secret (may be absent) is masked there. */
MUST_CHECK int llm_read_answer(const struct llm_provider *p, struct llm_assembler *as, str body,
                               str host, str secret, struct err *err);

void llm_stream_init(struct llm_stream *s, const struct llm_provider *p, struct llm_assembler *as,
                     str host, str secret);
void llm_stream_deinit(struct llm_stream *s);
MUST_CHECK int llm_stream_feed(struct llm_stream *s, str bytes, struct err *err);
/* At the end of the bytes: ERR_MODEL_FAILED when the stream was cut. */
MUST_CHECK int llm_stream_end(struct llm_stream *s, struct err *err);
int llm_stream_cut(const struct llm_stream *s, struct err *err); /* says so */

int llm_not_understood(struct err *err, str host, const char *why);

/* One attempt of a call; *out_delta_count tells, also on failure, how many deltas were produced. */
MUST_CHECK MAY_SUSPEND int llm_attempt(struct http_client *client, const struct llm_provider *p,
                                       const struct llm_request *r, str body, llm_delta_fn on_delta,
                                       void *ctx, struct arena *a, struct llm_response *out,
                                       size_t *out_delta_count, struct err *err);

#endif
