/* SPDX-License-Identifier: Apache-2.0 */
/* runner.c - the first runner: graphs whose nodes and routes are functions of this process.
 *
 * Those functions are members of the definition, so that a graph is one constant or one builder;
 * nobody but this file calls them. Cancelling needs nothing here: what a node waits for ends with
 * its fiber. */
#include "engine/runner.h"

static int compile(const struct graph_services *s, const struct graph_config *c, void **out,
                   struct err *err) {
    return c->graph->compile ? c->graph->compile(s, c, out, err) : 0;
}

static void free_compiled(const struct graph_def *g, void *compiled) {
    if (g->free_compiled)
        g->free_compiled(compiled);
}

static int run(struct node_ctx *ctx, struct err *err) { return ctx->node->run(ctx, err); }

static void route(const struct graph_question *q, struct route *out) {
    q->graph->route(q->state, q->compiled, q->from, out);
}

static bool has_routes(const struct graph_def *g) { return g->route != NULL; }

const struct graph_runner GRAPH_RUNNER_BUILTIN = {.name = "builtin",
                                                  .compile = compile,
                                                  .free_compiled = free_compiled,
                                                  .run = run,
                                                  .route = route,
                                                  .has_routes = has_routes};
