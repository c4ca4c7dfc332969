/* SPDX-License-Identifier: Apache-2.0 */
/* scope.h - what the expressions of a graph document see.
 *
 *   state    the channels, each parsed when an expression looks at it
 *   item     the argument of a fan-out; null in a node that an edge led to
 *   config   the assistant's and the run's configuration without secrets, over the defaults of the
 *            document's config schema
 *   preferences  what holds for the run's owner (store/preferences.h); null on an edge, and when
 *            there are none
 *   run      {run_id, thread_id, step, attempt}
 *   result   what the node has made; null outside of `writes`
 *
 * Owner: a node's stack. Memory: the arena given. Errors: those of expressions. Suspends: never.
 * Tests: tests/unit/graphs/test_document.c */
#ifndef HF_GRAPHS_SCOPE_H
#define HF_GRAPHS_SCOPE_H

#include "engine/graph.h"
#include "model/expr.h"

#define SCOPE_CHANNELS_MAX 64

struct scope {
    struct arena *a;
    const struct graph_view *view;
    const struct graph_def *graph;
    const struct node_ctx *ctx; /* NULL: on an edge */
    yyjson_val *config;         /* NULL: {} */
    struct expr_value result;   /* set by the node */
    bool has_item;
    struct expr_value item;
    struct expr_value channels[SCOPE_CHANNELS_MAX];
    bool known[SCOPE_CHANNELS_MAX];
    struct expr_member state[SCOPE_CHANNELS_MAX];
    struct expr_member top[6];
    struct expr_member run[4];
};
void scope_init(struct scope *s, struct arena *a, const struct graph_view *view,
                const struct graph_def *graph, yyjson_val *config);
/* Of a node: its arena, state, argument and run. */
void scope_init_node(struct scope *s, struct node_ctx *ctx, yyjson_val *config);
struct expr_value scope_root(struct scope *s);
MUST_CHECK int scope_eval(struct scope *s, const struct expr *e, struct expr_value *out,
                          struct err *err);

#endif
