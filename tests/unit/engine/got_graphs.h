/* SPDX-License-Identifier: Apache-2.0 */
/* got_graphs.h - graphs whose nodes ask: "around" one after the other inside of a subgraph,
 * "beside" at the same time. Memory: the arena given. Suspends: no.
 * Tests: tests/unit/engine/test_many.c */
#ifndef HF_TESTS_GOT_GRAPHS_H
#define HF_TESTS_GOT_GRAPHS_H

#include "engine_fixture.h"

/* Each node puts the answers that it got behind `got`; the second one waits for the gate first. */
static const struct channel_def got_channels[] = {
    {"got", CHANNEL_LIST, .in_input = true, .in_output = true}};

static int ask_in(struct node_ctx *ctx, struct err *err) {
    yyjson_val *answer;
    int rc = 0;
    while (rc == 0 && ctx->node->data && !fx_gate_open)
        rc = fiber_sleep_us(1000);
    if (rc < 0)
        return err_set(err, rc, "slept badly");
    rc = node_interrupt(ctx, arena_printf(ctx->arena, "\"%s?\"", ctx->node->name), &answer, err);
    if (rc == 0)
        node_write_value(ctx, "got",
                         arena_printf(ctx->arena, "[" STR_FMT "]",
                                      STR_ARG(json_text(ctx->arena, answer))));
    return rc;
}

static void ask_chain(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)v, (void)compiled;
    route_to(out, from == GRAPH_START ? 0 : from < 1 ? 1 : GRAPH_END);
}
static void ask_both(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)v, (void)compiled;
    for (int i = 0; from == GRAPH_START && i < 2; i++)
        route_to(out, i);
}

static const bool gated = true;
static const struct node_def deep_nodes[] = {{"first", ask_in},
                                             {"second", ask_in, .data = &gated}};
static const struct graph_def deep = {.id = "deep",
                                      .description = "test",
                                      .channels = got_channels,
                                      .channel_count = 1,
                                      .nodes = deep_nodes,
                                      .node_count = 2,
                                      .route = ask_chain};
static const struct node_def twice_nodes[] = {{"first", ask_in, .data = &gated},
                                              {"second", ask_in}};
static const struct node_def around_nodes[] = {{"around", .subgraph = &deep}};
#define GOT_GRAPH(graph_id, node_list, route_fn)                                                   \
    {                                                                                              \
        .id = graph_id, .description = "test", .channels = got_channels, .channel_count = 1,       \
        .nodes = node_list, .node_count = ARRAY_COUNT(node_list), .route = route_fn                \
    }
static const struct graph_def got_graphs[] = {GOT_GRAPH("around", around_nodes, fx_once),
                                              GOT_GRAPH("beside", deep_nodes, ask_both),
                                              GOT_GRAPH("twice", twice_nodes, ask_chain)};

static inline void got_graphs_add(struct fx *f) {
    const char *ids[ARRAY_COUNT(got_graphs)];
    for (size_t i = 0; i < ARRAY_COUNT(got_graphs); i++) {
        registry_add(f->registry, &got_graphs[i]);
        ids[i] = got_graphs[i].id;
    }
    assert_int_equal(assistant_seed(&f->store, ids, ARRAY_COUNT(ids), &f->a, NULL), 0);
}

/* The ids of the questions in a thread's interrupts; their number. */
static inline size_t got_questions(struct arena *a, str interrupts, str ids[2]) {
    yyjson_val *root, *key, *list, *item;
    size_t i, k, n, items, count = 0;
    assert_int_equal(json_parse(a, interrupts, &root, NULL), 0);
    yyjson_obj_foreach(root, i, n, key, list) {
        yyjson_arr_foreach(list, k, items, item) {
            assert_true(count < 2);
            ids[count++] = json_str(json_get(item, "id"));
        }
    }
    return count;
}

#endif
