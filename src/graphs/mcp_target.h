/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_target.h - whom to ask of a configured MCP server, and with whose credentials.
 *
 * Memory: the step's arena. Errors: as of guarded_address and of the exchange of the token.
 * Suspends: mcp_target_make. Tests: tests/integration/run-mcp */
#ifndef HF_GRAPHS_MCP_TARGET_H
#define HF_GRAPHS_MCP_TARGET_H

#include "engine/graph.h"
#include "graphs/agent_config.h"
#include "mcp/port.h"

MUST_CHECK MAY_SUSPEND int mcp_target_make(struct node_ctx *ctx, const struct agent_config *config,
                                           size_t server, struct mcp_target *out, struct err *err);

#endif
