/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_agent_config.c - what an assistant or a run configures of the agent, its model and its MCP
 * servers.
 *
 * Checks: a refusal has a code and a text; what is taken has a model and a provider, and servers
 * within the limit whose names are distinct; no key of the server's goes to an address of the
 * configuration's own. Input: a configurable as JSON. */
#include "graphs/agent_config.h"

#define SERVER_KEY "of-the-server"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_servers(const struct mcp_config *m, yyjson_val *configurable) {
    ASSERT(m->count <= MCP_SERVERS_MAX);
    for (size_t i = 0; i < m->count; i++) {
        ASSERT(m->servers[i].name.len > 0 && m->servers[i].url.len > 0);
        (void)mcp_server_allows(&m->servers[i], STR("tool"));
        (void)mcp_config_headers(configurable, i);
        for (size_t k = 0; k < i; k++)
            ASSERT(!str_eq(m->servers[i].name, m->servers[k].name));
    }
}

static void check(const struct graphs_settings *settings, yyjson_val *configurable) {
    struct agent_config *c;
    struct err err = {0};
    struct llm_request q;
    int rc = agent_config_read(settings, configurable, &c, &err);
    if (rc < 0) {
        ASSERT(err.code == rc && err.message[0]);
        return;
    }
    ASSERT(c->model.len > 0 && c->provider && agent_config_provider(c).len > 0);
    check_servers(&c->mcp, configurable);
    err_reset(&err);
    rc = agent_config_request(c, settings, configurable, &q, &err);
    ASSERT(rc == 0 || err.message[0]);
    ASSERT(rc < 0 || !c->own_base_url || !str_eq(q.api_key, STR(SERVER_KEY)));
    agent_config_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct graphs_settings settings;
    yyjson_val *root;
    graphs_settings_default(&settings);
    settings.openai.api_key = settings.anthropic.api_key = settings.google.api_key =
        settings.vertexai.api_key = STR(SERVER_KEY);
    settings.mcp_hosts = STR("*");
    arena_init(&a, (size_t)64 << 20);
    if (size <= 65536 && json_parse(&a, str_n((const char *)data, size), &root, NULL) == 0)
        check(&settings, root);
    arena_deinit(&a);
    return 0;
}
