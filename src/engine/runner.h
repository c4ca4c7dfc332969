/* SPDX-License-Identifier: Apache-2.0 */
/* runner.h - the port between the engine and whoever executes the code of a graph.
 *
 * The engine keeps all that must be durable: channels and reducers, super-steps and their plan,
 * checkpoints, the log, questions, answers, retries, attempts. A runner has the code: what a node
 * does, and where a condition leads. So whatever executes a graph, its runs are cut off, resumed,
 * forked and shown in the same way. Built-in graphs have the first runner (runner.c: functions of
 * this process); src/runner is the second (the code lives in another process).
 *
 *   load, describe      a runner gives the registry a graph_def for each graph that it has
 *   start               run(): one attempt of one task, on a fiber of its own
 *   events              run() calls node_* of graph.h: writes, sends, tokens, custom, questions
 *   cancel              the task's fiber is cancelled: run() stops the work, then returns
 *   state, update       the engine's own; an update asks route() where it leads to
 *
 * How: docs/internals/runners.md. Tests: tests/unit/engine/test_runner.c,
 * tests/integration/run-runner */
#ifndef HF_ENGINE_RUNNER_H
#define HF_ENGINE_RUNNER_H

#include "engine/graph.h"

/* Where does `from` (GRAPH_START or a node) lead to, given the state after its writes? */
struct graph_question {
    const struct graph_def *graph;
    const struct graph_view *state;
    void *compiled;
    int from;
    yyjson_val *configurable; /* of the run; NULL: there is none, a state is updated */
};

struct graph_runner {
    const char *name;
    /* Makes the object of a configuration (registry.h shares it); *out stays NULL: none needed. */
    MUST_CHECK MAY_SUSPEND int (*compile)(const struct graph_services *s,
                                          const struct graph_config *c, void **out,
                                          struct err *err);
    void (*free_compiled)(const struct graph_def *g, void *compiled);
    /* One attempt of ctx->node. Ends soon after its fiber is cancelled: ERR_CANCELLED, and nothing
     * of the work goes on. ERR_INTERRUPTED as node_interrupt() gave it. What may pass
     * (err_retryable) is tried again as the node's policy says. */
    MUST_CHECK MAY_SUSPEND int (*run)(struct node_ctx *ctx, struct err *err);
    /* Deterministic. What cannot be said: route_fail. */
    MAY_SUSPEND void (*route)(const struct graph_question *q, struct route *out);
    /* Is anything to be asked about what follows? Else route() is not called. */
    bool (*has_routes)(const struct graph_def *g);
};

extern const struct graph_runner GRAPH_RUNNER_BUILTIN;

static inline const struct graph_runner *graph_runner_of(const struct graph_def *g) {
    return g->runner ? g->runner : &GRAPH_RUNNER_BUILTIN;
}

#endif
