/* SPDX-License-Identifier: Apache-2.0 */
/* agent.c - the agent: its two nodes and the way between them.
 *
 * agent  sends the conversation to the model and writes the answer as one AI message.
 * tools  runs every call of the last AI message that has no answer yet. */
#include "graphs/agent.h"

#include "graphs/builder.h"
#include "graphs/mcp_tools.h"
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
    rc = agent_turn(ctx, ctx->compiled, &request, true, &answer, err);
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

static int calls_tools(const struct graph_view *v, void *compiled, const void *data,
                       struct err *err) {
    (void)compiled;
    (void)data;
    (void)err;
    size_t count = graph_view_message_count(v, "messages");
    if (count == 0)
        return 0;
    const struct message *last = graph_view_message(v, "messages", count - 1);
    return last->type == MESSAGE_AI && tool_calls_count(last) > 0;
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

const struct graph_def *agent_graph_new(void) {
    struct graph_builder *b = graph_builder_new(
        STR("agent"), STR("A model that may call tools until it answers (ReAct)."));
    struct channel_def messages = {
        .name = "messages", .kind = CHANNEL_MESSAGES, .in_output = true, .in_input = true};
    struct builder_schemas schemas = {.input = str_of(AGENT_STATE_SCHEMA),
                                      .output = str_of(AGENT_STATE_SCHEMA),
                                      .state = str_of(AGENT_STATE_SCHEMA),
                                      .config = str_of(AGENT_CONFIG_SCHEMA),
                                      .context = str_of(AGENT_CONFIG_SCHEMA)};
    graph_builder_channel(b, &messages);
    int agent =
        graph_builder_node(b, &(struct node_def){.name = "agent", .run = run_agent, .eager = true});
    int tools = graph_builder_node(b, &(struct node_def){.name = "tools", .run = run_tools});
    struct builder_edge edges[] = {
        {.from = GRAPH_START, .to = agent},
        {.from = agent, .to = tools, .label = "tools", .when = calls_tools},
        {.from = agent, .to = GRAPH_END, .label = "end", .otherwise = true},
        {.from = tools, .to = agent}};
    for (size_t i = 0; i < ARRAY_COUNT(edges); i++)
        graph_builder_edge(b, &edges[i]);
    graph_builder_schemas(b, &schemas);
    graph_builder_compile(b, compile, free_compiled);
    return graph_builder_finish(b);
}
