/* SPDX-License-Identifier: Apache-2.0 */
/* port.h - the chat-model port: one call, streamed deltas, one result.
 *
 * Memory: everything in the request must live until llm_chat returns; the response lives in the
 * arena given; deltas are valid during the callback. Errors: ERR_MODEL_* with a text that names the
 * model server's host and status but never a key; err.retry_after_ms when the server said so.
 * Suspends: llm_chat; cancelling the fiber really cuts the connection. Tests: tests/unit/llm/ */
#ifndef HF_LLM_PORT_H
#define HF_LLM_PORT_H

#include "base/arena.h"
#include "http/client.h"
#include "model/message.h"
#include "rt/fiber.h"
#include "trace/trace.h"

/* How much it is to think first. Servers have other scales: see docs/internals/models.md. */
enum llm_thinking {
    LLM_THINKING_UNSAID, /* the server's own */
    LLM_THINKING_OFF,
    LLM_THINKING_MINIMAL,
    LLM_THINKING_LOW,
    LLM_THINKING_MEDIUM,
    LLM_THINKING_HIGH,
    LLM_THINKING_XHIGH
};

struct llm_request {
    str provider; /* "openai", "custom", "anthropic", "google_genai", "google_vertexai" */
    str model;
    str base_url; /* "https://api.openai.com/v1" */
    str api_key;  /* may be absent */
    double temperature;
    bool has_temperature;
    int max_tokens; /* 0: not sent */
    enum llm_thinking thinking;
    str system_prompt; /* absent: none */
    const struct message *messages;
    size_t message_count;
    str tools; /* JSON array of {name, description, parameters}; absent: none */
    bool stream;
    int64_t connect_timeout_us, head_timeout_us, idle_timeout_us; /* 0: the HTTP client's own */
    int retries_max;           /* of whole attempts that produced no delta */
    const struct trace *trace; /* where the call belongs to; NULL: to no trace */
};

struct llm_tool_call_delta {
    int index;
    str id, name, arguments; /* each may be absent */
};
struct llm_delta {
    str message_id;                              /* the response's id, stable within the call */
    str content;                                 /* absent: none */
    str thinking;                                /* absent: none */
    const struct llm_tool_call_delta *tool_call; /* NULL: none */
};
/* On the calling fiber, in order, as bytes arrive. */
typedef void (*llm_delta_fn)(void *ctx, const struct llm_delta *delta);

struct llm_tool_call {
    str id, name;
    str arguments;        /* the text the model wrote */
    bool arguments_valid; /* it is a JSON object */
    str signature;        /* to be sent back with the call; absent: none */
};
struct llm_thought {
    str text;
    str signature; /* to be sent back with it; absent: none */
    str redacted;  /* in place of a text; absent: none */
};
struct llm_response {
    str id, model;
    str content;
    struct llm_thought *thoughts; /* as far as the server told them */
    size_t thought_count;
    struct llm_tool_call *tool_calls;
    size_t tool_call_count;
    str finish_reason;                   /* "stop", "tool_calls", "length", "content_filter", … */
    int64_t input_tokens, output_tokens; /* -1 unknown */
    int64_t first_byte_us, total_us;     /* durations seen by this call */
    int attempts;
};

/* What the message of this answer must keep, as LangChain does: what it thought, and what is to be
 * sent back. A JSON object for its additional_kwargs; absent: nothing. */
str llm_additional_kwargs(struct arena *a, const struct llm_response *response);

struct llm;
struct llm *llm_new(struct rt *rt, struct http_client *client);
void llm_free(struct llm *llm);
MUST_CHECK MAY_SUSPEND int llm_chat(struct llm *llm, const struct llm_request *request,
                                    llm_delta_fn on_delta, void *ctx, struct arena *a,
                                    struct llm_response *out, struct err *err);

#endif
