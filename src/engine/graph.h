/* SPDX-License-Identifier: Apache-2.0 */
/* graph.h - what a graph is to the engine: channels, nodes, routes; and what a node may do.
 *
 * A graph definition is static, or made at run time: then its ref and unref count who uses it.
 * Compiling it with a configuration gives a compiled graph, immutable, ref-counted and cached
 * (engine/registry.h); it holds no secret and nothing of a user. A run executes super-steps: the
 * tasks of a step run as fibers over the same state, their writes are applied together by the
 * channels' reducers, route() says which nodes come next. How: docs/internals/graph-engine.md.
 * Suspends: node functions. Tests: tests/unit/engine/test_state.c, test_graph.c */
#ifndef HF_ENGINE_GRAPH_H
#define HF_ENGINE_GRAPH_H

#include "base/id.h"
#include "base/json.h"
#include "model/message.h"
#include "model/state.h"
#include "rt/fiber.h"
#include "trace/trace.h"

enum channel_kind {
    CHANNEL_LAST_VALUE, /* a write replaces; two in one step: ERR_INVALID_UPDATE */
    CHANNEL_MESSAGES,   /* add_messages: append, replace by id, remove */
    CHANNEL_LIST,       /* a write is an array (or one item); its items are appended */
    CHANNEL_BINARY,     /* value = reduce(value, write), as `reducer` says */
    CHANNEL_EPHEMERAL,  /* a last value that is gone after the next step */
    CHANNEL_TOPIC,      /* the list of what was written in the last step, or ever: `accumulate` */
    CHANNEL_ANY         /* the last of several writes wins */
};
/* Of CHANNEL_BINARY. Numbers: sum, product, min, max (integers stay integers while they fit);
 * booleans: and, or; texts or arrays: concat; objects: merge (shallow). */
enum channel_reducer {
    REDUCE_SUM,
    REDUCE_PRODUCT,
    REDUCE_MIN,
    REDUCE_MAX,
    REDUCE_AND,
    REDUCE_OR,
    REDUCE_CONCAT,
    REDUCE_MERGE
};
struct channel_def {
    const char *name;
    enum channel_kind kind;
    bool in_output; /* part of values */
    bool in_input;  /* taken from a run's input */
    enum channel_reducer reducer;
    bool accumulate;     /* CHANNEL_TOPIC */
    const char *initial; /* JSON; NULL: none, but a list begins empty */
};

struct node_ctx;
typedef int (*node_fn)(struct node_ctx *ctx, struct err *err); /* MAY_SUSPEND */
/* A failure that may pass (err_retryable) is tried again; zeroes: 1 attempt. */
struct node_retry {
    int attempts_max;
    int64_t initial_us, max_us; /* between two attempts */
    double factor;
    bool jitter; /* up to the wait again */
};
struct graph_def;
struct node_def {
    const char *name;
    node_fn run; /* built in; NULL for a subgraph */
    /* Does nothing to the world but ask a model, or waits by itself before it does
     * (node_run_has_begun): a run's first tasks of this kind start while its begin is being
     * committed. What they write and emit waits for that commit all the same. */
    bool eager;
    const void *data; /* of the node, reachable as ctx->node->data */
    struct node_retry retry;
    int64_t timeout_us; /* of one attempt; 0: none. Then the node is cancelled: ERR_TIMEOUT. */
    /* Runs instead of `run`, in a namespace of its own with its own checkpoints. Its input are the
     * channels of the same name (or the Send's argument), its output is written to them. */
    const struct graph_def *subgraph;
};

#define GRAPH_START     (-1)
#define GRAPH_END       (-2)
#define GRAPH_NODES_MAX 64
#define GRAPH_SENDS_MAX 1000 /* of a step */

struct graph_view; /* the state as routes see it */
/* Messages of a channel, parsed on demand. */
size_t graph_view_message_count(const struct graph_view *v, const char *channel);
const struct message *graph_view_message(const struct graph_view *v, const char *channel,
                                         size_t index);
/* JSON; absent: it has no value. Lists (not of messages) are arrays. */
str graph_view_value(const struct graph_view *v, const char *channel);

/* {"channel": value, …} of all channels that have a value. */
void graph_view_write(const struct graph_view *v, struct json_writer *w);

struct graph_edge {        /* for drawing and for checking route() */
    int from, to;          /* node index, GRAPH_START, GRAPH_END */
    const char *condition; /* NULL: always; else its label */
};

/* Where a node (or START) leads to. */
struct route;
void route_to(struct route *r, int node); /* GRAPH_END: nothing */
/* Fan-out: the node runs once for each send, with the JSON as ctx->input. Copied. */
void route_send(struct route *r, int node, str json);
/* It cannot be said: the run ends with this error. */
void route_fail(struct route *r, int code, const struct err *err);

/* A node that waits until all of several have run. */
struct graph_join {
    int node;
    const int *from;
    size_t count;
};

struct graph_config {         /* what compiling may look at: no secrets, no identity */
    const struct graph_def *graph;
    yyjson_val *configurable; /* merged, keys of secrets and identity removed; NULL: {} */
};
struct mcp;
struct graph_services {
    struct rt *rt;
    struct llm *llm;
    struct http_client *http;
    struct mcp *mcp;       /* NULL: no tools of MCP servers */
    const void *settings;  /* the graphs' own (struct graphs_settings) */
    struct tracer *tracer; /* NULL: no spans are made */
};
struct db_batch;
/* How a run came to its end. */
struct graph_end {
    struct id thread_id, run_id;
    enum run_status status;
    str error; /* JSON; absent: none */
    int64_t now_us;
};
struct graph_runner;
struct graph_def {
    const char *id, *description;
    const struct graph_runner *runner; /* who has its code (engine/runner.h); NULL: built in */
    const struct channel_def *channels;
    size_t channel_count;
    const struct node_def *nodes;
    size_t node_count;
    const struct graph_edge *edges;
    size_t edge_count;
    const struct graph_join *joins;
    size_t join_count;
    /* What follows `from` (GRAPH_START or a node), given the state after its writes; nothing said:
     * nothing follows. May be NULL. Deterministic, and must not suspend. Built in. */
    void (*route)(const struct graph_view *v, void *compiled, int from, struct route *out);
    /* Builds the immutable object of a configuration; NULL: none needed. Built in. */
    int (*compile)(const struct graph_services *s, const struct graph_config *c, void **out,
                   struct err *err);
    void (*free_compiled)(void *compiled);
    /* JSON Schemas as texts: input, output, state, config, context. */
    const char *input_schema, *output_schema, *state_schema, *config_schema, *context_schema;
    /* Of one that was made at run time; NULL for static ones. The registry holds one reference, a
     * compiled graph and a live run one each; a graph keeps those that its nodes name. */
    void (*ref)(const struct graph_def *g);
    void (*unref)(const struct graph_def *g);
    /* Adds to the batch with a run's end, also of one that never began; NULL: nothing. Must not
     * suspend. */
    void (*ended)(const struct graph_def *g, struct db_batch *b, const struct graph_end *end);
    /* What the log says of a run that ends before it began, or whose nodes did not tell of its end,
     * besides its end: JSON in a's memory, or absent. Not asked of one that succeeded. May be NULL.
     * MAY_SUSPEND. */
    int (*untold)(const struct graph_def *g, const struct graph_end *run, struct arena *a, str *out,
                  struct err *err);
    /* A run that was cut off too often is given up. How many of its attempts do not count, because
     * it came further since; NULL: all count. MAY_SUSPEND. */
    int (*progress)(const struct graph_def *g, const struct graph_end *run, int64_t *out,
                    struct err *err);
};
static inline const struct graph_def *graph_def_ref(const struct graph_def *g) {
    if (g->ref)
        g->ref(g);
    return g;
}
static inline void graph_def_unref(const struct graph_def *g) {
    if (g && g->unref)
        g->unref(g);
}
int graph_node_find(const struct graph_def *g, str name); /* index; -1: none */

/* --- inside a node --- */
struct node_ctx {
    struct arena *arena; /* of the step: until its writes are committed */
    const struct graph_services *services;
    const struct graph_def *graph;
    const struct node_def *node;
    const struct graph_view *state;
    str input; /* the Send's argument; absent: the task is none */
    void *compiled;
    yyjson_val *configurable; /* the run's full merged one, secrets included; never log it */
    str owner;                /* whom the run belongs to */
    str bearer; /* the user's token, as the request that made the run carried it; never stored, so
                 * absent once another process or a restart has taken the run over */
    bool want_tokens; /* some stream mode of the run shows tokens */
    struct id run_id, thread_id;
    int step;
    int attempt;               /* from 1; more: the retry policy tries again */
    int64_t run_attempt;       /* of the run, from 1; more: it was cut off before */
    const struct trace *trace; /* the node's own span, or the run's context; never NULL */
    void *task;                /* private to the engine */
    const void *given; /* to its first task, by who made the run here (run_submit.give); or NULL.
                        * The node takes it: it is set back, for the node may run again */
};
/* A write to a channel: JSON text (not CHANNEL_MESSAGES) or messages. Copied. */
void node_write_value(struct node_ctx *ctx, const char *channel, str json);
void node_write_message(struct node_ctx *ctx, const char *channel, const struct message *m);
/* Besides what route() says; after node_routed() it is not asked. */
void node_routed(struct node_ctx *ctx);
void node_goto(struct node_ctx *ctx, int node);
void node_send(struct node_ctx *ctx, int node, str json);
/* Asks somebody outside. The k-th call of a task gives its k-th answer (valid as long as the
 * arena). While there is none it gives ERR_INTERRUPTED, which the node returns: the run ends with
 * the thread interrupted, and the task runs again, from its beginning, when the answer has come. */
MUST_CHECK int node_interrupt(struct node_ctx *ctx, str value_json, yyjson_val **out_resume,
                              struct err *err);
/* For nodes that ask several things at once and keep what was answered themselves. id: 32 hex
 * digits, of the node's own. NULL: the run brings no answer to that. One answer without an id is
 * that to the only question that the thread asked. */
yyjson_val *node_answer(const struct node_ctx *ctx, str id);
/* Always ERR_INTERRUPTED, which the node returns when it has asked all. Copied. */
MUST_CHECK int node_ask(struct node_ctx *ctx, str id, str value_json, struct err *err);
/* Is somebody ending the run? A node that is cancelled without goes on later, maybe elsewhere. */
bool node_run_is_cancelled(const struct node_ctx *ctx);
/* Waits until the run's begin is stored, before which an eager node may run; false: it was not, and
 * the node is to end without a trace. Deaf to cancellation. */
MAY_SUSPEND bool node_run_has_begun(const struct node_ctx *ctx);
/* Commits a batch of the node's own with entries for the log (JSON objects, LOG_STEPS), while the
 * run has its thread: ERR_FENCED. Deaf to cancellation; waits for a database that is away. The
 * batch has an arena of its own. */
MUST_CHECK int node_commit(struct node_ctx *ctx, struct db_batch *b, const str *entries,
                           size_t count, struct err *err);
/* A read of the node's own has failed with rc. True: for a passing reason of the database, and it
 * is to be tried again; some time has passed, more than before. False: rc is what it came to, or
 * the run is not to go on here. Deaf to cancellation, as node_commit is. *wait_us: 0 at first. */
MUST_CHECK MAY_SUSPEND bool node_try_again(struct node_ctx *ctx, int rc, int64_t *wait_us);
/* Stores the state that the node began with, when the run leaves that to its end (durability exit)
 * and nobody has yet: who looks at the thread sees it. ERR_FENCED; else it may be tried again. */
MUST_CHECK MAY_SUSPEND int node_keep_state(struct node_ctx *ctx, struct err *err);
/* A token of a message being written: at once to live readers, coalesced into the log. */
struct node_chunk {
    str message_id, content; /* content absent: none */
    str thinking;            /* what the model thinks, in place of content; absent: none */
    bool has_tool_call;
    int tool_index;
    str tool_id, tool_name, tool_arguments;
};
void node_emit_chunk(struct node_ctx *ctx, const struct node_chunk *c);
void node_emit_custom(struct node_ctx *ctx, str json); /* the custom stream mode */
/* Who it is, as states and streams show it: the id of the task, and the namespace that begins with
 * it. In the run's arena. */
struct id node_task_id(const struct node_ctx *ctx);
str node_name_space(const struct node_ctx *ctx);
/* Time spent, for the per-phase metrics: "llm", "tool". */
void node_observe(struct node_ctx *ctx, const char *phase, int64_t us);

#endif
