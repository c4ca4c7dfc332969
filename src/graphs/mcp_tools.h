/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_tools.h - the tools of the configured MCP servers, for one step of a run.
 *
 * Asked for anew in each step (the client remembers), as the user of the run. A server that fails
 * is a failure beside the others' tools: the model and the user are told, the run goes on.
 * Memory: the step's arena. Errors: only ERR_CANCELLED, and those of the model in agent_turn.
 * Suspends: all but mcp_set_find and mcp_set_names. Tests: tests/integration/run-mcp */
#ifndef HF_GRAPHS_MCP_TOOLS_H
#define HF_GRAPHS_MCP_TOOLS_H

#include "engine/graph.h"
#include "graphs/agent_config.h"
#include "graphs/tools.h"
#include "mcp/port.h"

struct mcp_entry {
    str shown;     /* the name that the model sees: distinct, at most 64 of A-Z a-z 0-9 _ - */
    size_t server; /* index in the configuration */
    struct mcp_tool tool;
};
struct mcp_failure {
    size_t server;
    str text;
};
struct mcp_set {
    struct mcp_entry *entries;
    size_t count;
    struct mcp_failure *failures;
    size_t failure_count;
};
MUST_CHECK MAY_SUSPEND int mcp_set_load(struct node_ctx *ctx, const struct agent_config *config,
                                        struct mcp_set *out, struct err *err);
/* By the name that the model used; caller (may be NULL): the message with the call, which says of
 * which server the tool was when it was offered. NULL: no such tool, *out_why (may be absent) says
 * more. */
const struct mcp_entry *mcp_set_find(const struct mcp_set *set, const struct agent_config *config,
                                     const struct message *caller, str name, struct arena *a,
                                     str *out_why);
str mcp_set_names(struct arena *a, const struct mcp_set *set);
MUST_CHECK MAY_SUSPEND int mcp_set_call(struct node_ctx *ctx, const struct agent_config *config,
                                        const struct mcp_entry *entry, str call_id,
                                        yyjson_val *arguments, const struct trace *trace,
                                        struct tool_answer *out);

/* model_turn with the request's tools and those of the configured MCP servers, or, without offer,
 * with none. Adds to the prompt what failed; the message says it in response_metadata.mcp. */
MUST_CHECK MAY_SUSPEND int agent_turn(struct node_ctx *ctx, const struct agent_config *config,
                                      const struct llm_request *request, bool offer,
                                      struct message *out, struct err *err);

#endif
