/* SPDX-License-Identifier: Apache-2.0 */
/* agent.c - the agent: its two nodes and the way between them.
 *
 * agent  sends the conversation to the model and writes the answer as one AI message.
 * tools  runs every call of the last AI message that has no answer yet. */
#include "graphs/agent.h"

#include "graphs/model_turn.h"
#include "graphs/tool_calls.h"

static const struct graphs_settings *settings_of(const struct node_ctx *ctx) {
    return ctx->services->settings;
}

static int run_agent(struct node_ctx *ctx, struct err *err) {
    struct llm_request request;
    struct message answer;
    int rc =
        agent_config_request(ctx->compiled, settings_of(ctx), ctx->configurable, &request, err);
    if (rc < 0)
        return rc;
    struct conversation c = conversation_of(ctx, "messages", 0);
    c = tool_calls_complete(ctx->arena, &c);
    request.messages = c.messages;
    request.message_count = c.count;
    rc = model_turn(ctx, &request, agent_config_provider(ctx->compiled), &answer, err);
    if (rc == 0)
        node_write_message(ctx, "messages", &answer);
    return rc;
}

static int run_tools(struct node_ctx *ctx, struct err *err) {
    struct conversation c = conversation_of(ctx, "messages", 0);
    struct message *answers;
    size_t count;
    int rc = tool_calls_run(ctx, ctx->compiled, &c, &answers, &count, err);
    for (size_t i = 0; i < count && rc == 0; i++)
        node_write_message(ctx, "messages", &answers[i]);
    return rc;
}

/* --- the graph --- */

enum { NODE_AGENT, NODE_TOOLS };

static void route(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)compiled;
    if (from != NODE_AGENT) {
        route_to(out, NODE_AGENT);
        return;
    }
    size_t count = graph_view_message_count(v, "messages");
    if (count == 0)
        return;
    const struct message *last = graph_view_message(v, "messages", count - 1);
    if (last->type == MESSAGE_AI && tool_calls_count(last) > 0)
        route_to(out, NODE_TOOLS);
}

static int compile(const struct graph_services *s, const struct graph_config *c, void **out,
                   struct err *err) {
    struct agent_config *config;
    int rc = agent_config_read(s->settings, c->configurable, &config, err);
    if (rc == 0)
        *out = config;
    return rc;
}

static void free_compiled(void *compiled) { agent_config_free(compiled); }

static const struct channel_def channels[] = {
    {"messages", CHANNEL_MESSAGES, .in_output = true, .in_input = true}};
static const struct node_def nodes[] = {
    [NODE_AGENT] = {"agent", run_agent, .eager = true}, [NODE_TOOLS] = {"tools", run_tools}};
static const struct graph_edge edges[] = {{GRAPH_START, NODE_AGENT, NULL},
                                          {NODE_AGENT, NODE_TOOLS, "tools"},
                                          {NODE_AGENT, GRAPH_END, "end"},
                                          {NODE_TOOLS, NODE_AGENT, NULL}};

const struct graph_def AGENT_GRAPH = {
    .id = "agent",
    .description = "A model that may call tools until it answers (ReAct).",
    .channels = channels,
    .channel_count = ARRAY_COUNT(channels),
    .nodes = nodes,
    .node_count = ARRAY_COUNT(nodes),
    .edges = edges,
    .edge_count = ARRAY_COUNT(edges),
    .route = route,
    .compile = compile,
    .free_compiled = free_compiled,
    .input_schema = AGENT_STATE_SCHEMA,
    .output_schema = AGENT_STATE_SCHEMA,
    .state_schema = AGENT_STATE_SCHEMA,
    .config_schema = AGENT_CONFIG_SCHEMA,
    .context_schema = AGENT_CONFIG_SCHEMA,
};
