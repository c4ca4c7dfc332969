/* SPDX-License-Identifier: Apache-2.0 */
/* graph.h - what a graph is to the engine: channels, nodes, routes; and what a node may do.
 *
 * A graph definition is static. Compiling it with a configuration gives a compiled graph,
 * immutable, ref-counted and cached (engine/cache.h); it holds no secret and nothing of a user. A
 * run executes super-steps: the tasks of a step run as fibers over the same state, their writes are
 * applied together, route() says which nodes come next. Suspends: node functions. */
#ifndef HF_ENGINE_GRAPH_H
#define HF_ENGINE_GRAPH_H

#include "base/id.h"
#include "base/json.h"
#include "model/message.h"
#include "rt/fiber.h"

enum channel_kind {
    CHANNEL_LAST_VALUE, /* a write replaces */
    CHANNEL_MESSAGES    /* add_messages: append, replace by id, remove */
};
struct channel_def {
    const char *name;
    enum channel_kind kind;
    bool in_output; /* part of values, state and history */
};

struct node_ctx;
typedef int (*node_fn)(struct node_ctx *ctx, struct err *err); /* MAY_SUSPEND */
struct node_def {
    const char *name;
    node_fn run;
    /* Does nothing to the world but ask a model: a run's first tasks of this kind start while its
     * begin is being committed. What they write and emit waits for that commit all the same. */
    bool eager;
};

#define GRAPH_START     (-1)
#define GRAPH_END       (-2)
#define GRAPH_NODES_MAX 64

struct graph_view; /* the state as routes see it */
/* Messages of a channel, parsed on demand. */
size_t graph_view_message_count(const struct graph_view *v, const char *channel);
const struct message *graph_view_message(const struct graph_view *v, const char *channel,
                                         size_t index);
str graph_view_value(const struct graph_view *v, const char *channel); /* JSON; absent */

struct graph_edge {        /* for drawing and for checking route() */
    int from, to;          /* node index, GRAPH_START, GRAPH_END */
    const char *condition; /* NULL: always; else its label */
};

struct graph_config {         /* what compiling may look at: no secrets, no identity */
    yyjson_val *configurable; /* merged, keys of secrets and identity removed; NULL: {} */
};
struct graph_services {
    struct rt *rt;
    struct llm *llm;
    struct http_client *http;
    const void *settings; /* the graphs' own (struct graphs_settings) */
};
struct graph_def {
    const char *id, *description;
    const struct channel_def *channels;
    size_t channel_count;
    const struct node_def *nodes;
    size_t node_count;
    const struct graph_edge *edges;
    size_t edge_count;
    /* Node indices that follow `from` (GRAPH_START or a node) given the state; returns their
     * number, 0: nothing follows. At most GRAPH_NODES_MAX. */
    size_t (*route)(const struct graph_view *v, void *compiled, int from, int *out);
    /* Builds the immutable object of a configuration; NULL: none needed. */
    int (*compile)(const struct graph_services *s, const struct graph_config *c, void **out,
                   struct err *err);
    void (*free_compiled)(void *compiled);
    /* JSON Schemas as texts: input, output, state, config, context. */
    const char *input_schema, *output_schema, *state_schema, *config_schema, *context_schema;
};

/* --- inside a node --- */
struct node_ctx {
    struct arena *arena; /* of the step: until its writes are committed */
    const struct graph_services *services;
    const struct graph_def *graph;
    const struct graph_view *state;
    void *compiled;
    yyjson_val *configurable; /* the run's full merged one, secrets included; never log it */
    bool want_tokens;         /* some stream mode of the run shows tokens */
    struct id run_id, thread_id;
    int step;
    void *task; /* private to the engine */
};
/* A write to a channel: JSON text (CHANNEL_LAST_VALUE) or messages. Copied. */
void node_write_value(struct node_ctx *ctx, const char *channel, str json);
void node_write_message(struct node_ctx *ctx, const char *channel, const struct message *m);
/* A token of a message being written: at once to live readers, coalesced into the log. */
struct node_chunk {
    str message_id, content; /* content absent: none */
    bool has_tool_call;
    int tool_index;
    str tool_id, tool_name, tool_arguments;
};
void node_emit_chunk(struct node_ctx *ctx, const struct node_chunk *c);
void node_emit_custom(struct node_ctx *ctx, str json); /* the custom stream mode */
/* Time spent, for the per-phase metrics: "llm", "tool". */
void node_observe(struct node_ctx *ctx, const char *phase, int64_t us);

#endif
