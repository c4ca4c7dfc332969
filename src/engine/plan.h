/* SPDX-License-Identifier: Apache-2.0 */
/* plan.h - what comes next: routes of tasks, joins and sends become the tasks of the next step.
 *
 * The order of tasks is LangGraph's: sends as they were made, then nodes by name. Writes are
 * applied nodes first, then sends. Memory: the arena of the state. Suspends: never.
 * Tests: tests/unit/engine/test_graph.c */
#ifndef HF_ENGINE_PLAN_H
#define HF_ENGINE_PLAN_H

#include "engine/graph.h"

struct route_send {
    int node;
    str json;
};
struct route {
    struct arena *arena;
    const struct graph_def *graph;
    uint64_t nodes; /* bits */
    struct route_send *sends;
    size_t send_count, send_cap;
    int rc; /* negative: route_fail, with err */
    struct err err;
};
static inline bool route_is_empty(const struct route *r) { return !r->nodes && !r->send_count; }
void route_add(struct route *to, const struct route *from);

struct planned {
    int node;
    ptrdiff_t send; /* its number; -1: a node that an edge or a join leads to */
    str input;      /* the send's argument */
};
struct plan {
    struct planned *tasks;
    size_t count, send_count; /* the sends come first */
    uint64_t edges;           /* nodes that an edge leads to */
};

/* A step's tasks have run: sets joins and sends in the view, and makes the plan. done: the nodes of
 * the tasks, routes parallel to it, in the order of applying. ERR_INVALID_UPDATE. */
MUST_CHECK int plan_after(struct graph_view *v, const int *done, const struct route *routes,
                          size_t count, struct plan *out, struct err *err);
/* Adds what a command says to a plan that is under way. */
MUST_CHECK int plan_extend(struct graph_view *v, const struct route *more, struct plan *plan,
                           struct err *err);
/* From a checkpoint that the view was taken from; next: its list of names. Unknown ones are left
 * out. */
void plan_read(struct graph_view *v, yyjson_val *next, struct plan *out);
/* Before a step's writes are applied: what led to it is used up. */
void plan_consume(struct graph_view *v);
/* The channel of a join, "join:A+B:NODE", and of the trigger of a node. */
str plan_join_channel(struct arena *a, const struct graph_def *g, const struct graph_join *j);
/* What a node is planned by: the channel of its edge, or of the join that is complete. */
str plan_trigger_of(struct graph_view *v, const struct plan *p, int node);
/* The triggers of a node in order, its joins included: count, at most join_count + 1. */
size_t plan_triggers(struct arena *a, const struct graph_def *g, int node, str *out);

#endif
