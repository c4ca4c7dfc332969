/* SPDX-License-Identifier: Apache-2.0 */
/* graphs.c - what runs of the simulation do: take time, say words, count, fail, fan out, ask.
 *
 * The asking graphs ask twice, one of them inside of a subgraph, then put both answers behind
 * `answers`: each is a number that one command gave, so no number may stand there twice.
 * Every node of the counting graphs adds one to `count`; the count of a thread is then the number
 * of tasks that were committed, whoever executed them. */
#include "sim.h"

#include "base/rand.h"

static const struct channel_def channels[] = {
    {"messages", CHANNEL_MESSAGES, .in_input = true, .in_output = true},
    {"count", CHANNEL_LAST_VALUE, .in_output = true},
    {"first", CHANNEL_LAST_VALUE, .in_output = true},
    {"second", CHANNEL_LAST_VALUE, .in_output = true},
    {"answers", CHANNEL_LIST, .in_output = true}};
/* Of the graph within: what it is given must not come back as its output. */
static const struct channel_def inner_channels[] = {
    {"first", CHANNEL_LAST_VALUE, .in_output = true},
    {"second", CHANNEL_LAST_VALUE, .in_output = true}};

static int take_time(struct err *err) {
    int64_t us = rand_below(10) ? (int64_t)rand_below(300000) : (int64_t)rand_below(5000000);
    int rc = fiber_sleep_us(us);
    return rc < 0 ? err_set(err, rc, "slept badly") : 0;
}

static void say(struct node_ctx *ctx) {
    str id = arena_printf(ctx->arena, "run-" STR_FMT, STR_ARG(id_dashed(ctx->arena, id_v7())));
    for (uint64_t i = rand_below(4); i > 0; i--) {
        struct node_chunk chunk = {.message_id = id, .content = STR("word ")};
        node_emit_chunk(ctx, &chunk);
        (void)fiber_sleep_us((int64_t)rand_below(60000));
    }
}

static int count_up(struct node_ctx *ctx, struct err *err) {
    int64_t n = 0;
    say(ctx);
    int rc = take_time(err);
    if (rc < 0)
        return rc;
    str v = graph_view_value(ctx->state, "count");
    if (v.p && !str_to_i64(v, &n))
        return err_set(err, ERR_CORRUPT, "the count is no number");
    node_write_value(ctx, "count", arena_printf(ctx->arena, "%lld", (long long)n + 1));
    return 0;
}

static int talk(struct node_ctx *ctx, struct err *err) {
    struct message m;
    say(ctx);
    int rc = take_time(err);
    if (rc < 0)
        return rc;
    message_make_ai(ctx->arena,
                    &(struct message_ai){.id = id_dashed(ctx->arena, id_v7()),
                                         .content = STR("talk"),
                                         .input_tokens = -1,
                                         .output_tokens = -1},
                    &m);
    node_write_message(ctx, "messages", &m);
    return 0;
}

static int ask(struct node_ctx *ctx, struct err *err) {
    yyjson_val *answer;
    int rc = take_time(err);
    if (rc == 0)
        rc = node_interrupt(ctx, STR("{\"question\":1}"), &answer, err);
    if (rc == 0)
        rc = take_time(err);
    if (rc == 0)
        node_write_value(ctx, ctx->node->data,
                         arena_printf(ctx->arena, "%lld", (long long)yyjson_get_sint(answer)));
    return rc;
}

static int collect(struct node_ctx *ctx, struct err *err) {
    str first = graph_view_value(ctx->state, "first"),
        second = graph_view_value(ctx->state, "second");
    int rc = count_up(ctx, err);
    if (rc == 0)
        node_write_value(
            ctx, "answers",
            arena_printf(ctx->arena, "[" STR_FMT "," STR_FMT "]", STR_ARG(first), STR_ARG(second)));
    return rc;
}

static int fail(struct node_ctx *ctx, struct err *err) {
    (void)ctx;
    int rc = take_time(err);
    return rc < 0 ? rc : err_set(err, ERR_MODEL_FAILED, "it fails");
}

static const struct node_def chain_nodes[] = {
    {"a", count_up, .eager = true}, {"b", count_up}, {"c", count_up}};
static const struct node_def fork_nodes[] = {{"left", talk}, {"right", talk}, {"join", count_up}};
static const struct node_def fail_nodes[] = {{"a", count_up}, {"b", fail}};

static const struct node_def inner_nodes[] = {{"ask", ask, .data = "first"},
                                              {"again", ask, .data = "second"}};
static const struct node_def ask_nodes[] = {{"a", count_up},
                                            {"ask", ask, .data = "first"},
                                            {"again", ask, .data = "second"},
                                            {"collect", collect}};

static void chain(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)v;
    (void)compiled;
    route_to(out, from == GRAPH_START ? 0 : from < 2 ? from + 1 : GRAPH_END);
}
static void pair(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)v;
    (void)compiled;
    route_to(out, from == GRAPH_START ? 0 : from < 1 ? 1 : GRAPH_END);
}
static void forked(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)v;
    (void)compiled;
    route_to(out, from == GRAPH_START ? 0 : from < 2 ? 2 : GRAPH_END);
    if (from == GRAPH_START)
        route_to(out, 1);
}

#define GRAPH(graph_id, node_list, route_fn)                                                       \
    {                                                                                              \
        .id = graph_id, .description = "simulated", .channels = channels,                          \
        .channel_count = ARRAY_COUNT(channels), .nodes = node_list,                                \
        .node_count = ARRAY_COUNT(node_list), .route = route_fn                                    \
    }
static void line(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)v;
    (void)compiled;
    route_to(out, from == GRAPH_START ? 0 : from < 3 ? from + 1 : GRAPH_END);
}

static const struct graph_def inner = {.id = "inner",
                                       .description = "simulated",
                                       .channels = inner_channels,
                                       .channel_count = ARRAY_COUNT(inner_channels),
                                       .nodes = inner_nodes,
                                       .node_count = ARRAY_COUNT(inner_nodes),
                                       .route = pair};
static const struct node_def within_nodes[] = {
    {"a", count_up}, {"within", .subgraph = &inner}, {"collect", collect}};

const struct graph_def sim_graphs[] = {
    GRAPH("chain", chain_nodes, chain), GRAPH("fork", fork_nodes, forked),
    GRAPH("fail", fail_nodes, pair), GRAPH("ask", ask_nodes, line),
    GRAPH("within", within_nodes, chain)};
const size_t sim_graph_count = ARRAY_COUNT(sim_graphs);
