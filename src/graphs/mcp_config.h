/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_config.h - which MCP servers an assistant configures.
 *
 *   mcp_config {"servers": [{name?, url | endpoint, tools?, auth_required?, auth?, token_url?,
 *                            headers?}]}
 *   mcp_config {"url", "tools"?, "auth_required"?}     one server, the older form
 *
 * Headers are not read here: they may be secrets, and all runs of a configuration share this.
 * Memory: the arena given. Errors: ERR_INVALID naming the member. Suspends: never.
 * Tests: tests/unit/graphs/test_mcp_config.c */
#ifndef HF_GRAPHS_MCP_CONFIG_H
#define HF_GRAPHS_MCP_CONFIG_H

#include "base/json.h"

#define MCP_SERVERS_MAX 16

struct mcp_server {
    str name; /* distinct among the servers */
    str url;
    str token_url; /* where the user's token is exchanged for one of this server; absent: it is
                      forwarded as it is */
    bool auth_required;
    bool any_tool; /* else only these: */
    str *tools;
    size_t tool_count;
};
struct mcp_config {
    struct mcp_server *servers;
    size_t count;
};
/* mcp: the member mcp_config of configurable; NULL or null: none. */
MUST_CHECK int mcp_config_read(struct arena *a, yyjson_val *mcp, struct mcp_config *out,
                               struct err *err);
bool mcp_server_allows(const struct mcp_server *server, str tool);
/* The headers that a run's own configuration gives for a server, by its index; NULL: none. */
yyjson_val *mcp_config_headers(yyjson_val *configurable, size_t index);

#endif
