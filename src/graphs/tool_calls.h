/* SPDX-License-Identifier: Apache-2.0 */
/* tool_calls.h - a conversation's tool calls: which are open, running them, filling gaps.
 *
 * A conversation is an array of messages; their roots are parsed on demand.
 * Memory: the step's arena. Errors: only cancellation and a conversation without an AI message;
 * what goes wrong in a tool is told to the model. Suspends: tool_calls_run.
 * Tests: tests/unit/app/test_agent_flow.c */
#ifndef HF_GRAPHS_TOOL_CALLS_H
#define HF_GRAPHS_TOOL_CALLS_H

#include "engine/graph.h"
#include "graphs/agent_config.h"

struct conversation {
    struct message *messages;
    size_t count;
};
/* room: for as many more messages. */
struct conversation conversation_of(struct node_ctx *ctx, const char *channel, size_t room);
/* Calls, invalid ones included. */
size_t tool_calls_count(const struct message *m);
/* The conversation as a model server must have it: every call has an answer. A run that was
 * cancelled between call and answer leaves such a gap. */
struct conversation tool_calls_complete(struct arena *a, const struct conversation *c);
/* Runs every call of the last AI message that has no answer yet, all at once, each on its fiber;
 * one tool message per call, in the order of the calls. Tools: those of the configuration. */
MUST_CHECK MAY_SUSPEND int tool_calls_run(struct node_ctx *ctx, const struct agent_config *config,
                                          const struct conversation *c, struct message **out,
                                          size_t *out_count, struct err *err);

#endif
