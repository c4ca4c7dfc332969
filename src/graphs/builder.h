/* SPDX-License-Identifier: Apache-2.0 */
/* builder.h - makes a struct graph_def at run time: channels, nodes, edges, joins.
 *
 * Every graph of the server is made by it, the built-in ones and those from documents. Where an
 * edge leads is asked of the edge: always, on a condition, otherwise (no condition of that node's
 * edges was true), or a fan-out of its own.
 * Memory: the graph's own arena, until its last reference goes. Errors: none; a wrong call is a
 * bug, for documents are checked before. Suspends: never. Tests: tests/unit/graphs/test_document.c
 */
#ifndef HF_GRAPHS_BUILDER_H
#define HF_GRAPHS_BUILDER_H

#include "engine/graph.h"

struct graph_builder;
struct builder_edge {
    int from, to;      /* GRAPH_START, GRAPH_END or a node */
    const char *label; /* of a condition, for drawings; NULL: always */
    bool otherwise;    /* no edge of `from` with a condition was true */
    const void *data;
    /* The condition: 1, 0, or an error. NULL: always (or otherwise). */
    int (*when)(const struct graph_view *v, void *compiled, const void *data, struct err *err);
    /* In place of route_to: sends to `to`. */
    int (*each)(const struct graph_view *v, void *compiled, const struct builder_edge *edge,
                struct route *out, struct err *err);
};
struct builder_schemas { /* JSON texts; absent: {} of any object */
    str input, output, state, config, context;
};

struct graph_builder *graph_builder_new(str id, str description);
void graph_builder_free(struct graph_builder *b); /* one that is not finished; NULL is fine */
struct arena *graph_builder_arena(struct graph_builder *b); /* the graph's */
/* Names and texts are copied, node_def.data is not. Returns the node's index. */
void graph_builder_channel(struct graph_builder *b, const struct channel_def *c);
int graph_builder_node(struct graph_builder *b, const struct node_def *n);
void graph_builder_edge(struct graph_builder *b, const struct builder_edge *e);
void graph_builder_join(struct graph_builder *b, const int *from, size_t count, int to);
void graph_builder_schemas(struct graph_builder *b, const struct builder_schemas *s);
void graph_builder_compile(struct graph_builder *b,
                           int (*compile)(const struct graph_services *s,
                                          const struct graph_config *c, void **out,
                                          struct err *err),
                           void (*free_compiled)(void *compiled));
/* Ends the building; the caller has the first reference. */
const struct graph_def *graph_builder_finish(struct graph_builder *b);

#endif
