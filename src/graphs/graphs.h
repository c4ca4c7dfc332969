/* SPDX-License-Identifier: Apache-2.0 */
/* graphs.h - the built-in graphs, and what the server sets for them.
 *
 * Owner: the settings are the composition root's (graph_services.settings) and outlive every run.
 * Memory: none of its own. Errors: see the graphs. Suspends: only their nodes.
 * Tests: tests/unit/graphs/, tests/unit/app/test_agent_flow.c */
#ifndef HF_GRAPHS_GRAPHS_H
#define HF_GRAPHS_GRAPHS_H

#include "engine/registry.h"

struct graphs_provider {
    str base_url; /* absent or empty: the provider's public address */
    str api_key;  /* absent or empty: none; never logged, never compiled in */
};
struct graphs_settings {
    str model_name; /* "provider:model" of assistants that name none */
    struct graphs_provider openai, anthropic, google, vertexai;
    /* Of models that an assistant configures with a base_url of its own. This key goes to any such
     * address; the keys of the providers above never do. */
    str custom_api_key;
    int64_t model_connect_timeout_us, model_head_timeout_us, model_idle_timeout_us; /* 0: usual */
    int model_retries_max;
    /* Comma list of what http_get may ask: "host" (the scheme's own port) or "host:port". A private
     * or loopback address only when it stands here as a number. Empty: nothing. */
    str http_get_hosts;
    /* Comma list of where MCP servers may be: "*" is every host with public addresses only; a named
     * one may also be private. Empty: nowhere. */
    str mcp_hosts;
    int64_t mcp_timeout_us; /* of a call without a sign of the server; 0: 60 s */
};
/* "openai:gpt-4o-mini", public addresses, no keys, no hosts, 2 retries. */
void graphs_settings_default(struct graphs_settings *out);

void graphs_register(struct registry *r); /* all built-in graphs */

#endif
