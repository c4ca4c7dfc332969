/* SPDX-License-Identifier: Apache-2.0 */
/* agent_config.h - what an assistant configures of the agent: model, prompt, tools.
 *
 * Read once per configuration and shared by all runs that have it, so it holds no secret and
 * nothing of a user; the key of a call is looked up at the call.
 * Memory: its own arena. Errors: ERR_INVALID naming the member, ERR_UNSUPPORTED for what is not
 * built. Suspends: never. Tests: tests/unit/graphs/test_agent_config.c */
#ifndef HF_GRAPHS_AGENT_CONFIG_H
#define HF_GRAPHS_AGENT_CONFIG_H

#include "graphs/graphs.h"
#include "graphs/mcp_config.h"
#include "llm/port.h"

struct agent_provider;
struct agent_config {
    struct arena arena;
    const struct agent_provider *provider;
    str wire; /* the provider as the model port calls it */
    str model;
    str base_url;      /* without a slash at its end */
    bool own_base_url; /* not the server's: its keys are not for there */
    bool has_temperature;
    double temperature;
    int max_tokens;    /* 0: not sent */
    enum llm_thinking thinking;
    str system_prompt; /* absent: none */
    unsigned tools;    /* set of tool indices, see tools.h */
    str tools_json;    /* for the model, of the built-in ones; absent: none */
    struct mcp_config mcp;
};

#define AGENT_SYSTEM_PROMPT_BYTES_MAX ((size_t)256 * 1024)

/* configurable may be NULL. */
MUST_CHECK int agent_config_read(const struct graphs_settings *settings, yyjson_val *configurable,
                                 struct agent_config **out, struct err *err);
void agent_config_free(struct agent_config *c);

str agent_config_provider(const struct agent_config *c); /* as configured: "openai", "google", … */
/* Fills all of the request but messages and stream. configurable: the run's, with its secrets; the
 * request points into it. ERR_MODEL_AUTH when a public provider is to be called without a key. */
MUST_CHECK int agent_config_request(const struct agent_config *c,
                                    const struct graphs_settings *settings,
                                    yyjson_val *configurable, struct llm_request *out,
                                    struct err *err);

#endif
