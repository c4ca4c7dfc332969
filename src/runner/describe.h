/* SPDX-License-Identifier: Apache-2.0 */
/* describe.h - what a runner says of itself and its graphs: its answer to hello.
 *
 * Memory: each graph is an arena with a count of references. Errors: ERR_INVALID with the place
 * ("graphs[0].nodes.ask: …"), ERR_UNSUPPORTED for another version. Suspends: never.
 * Tests: tests/unit/runner/test_describe.c; fuzzed */
#ifndef HF_RUNNER_DESCRIBE_H
#define HF_RUNNER_DESCRIBE_H

#include "engine/registry.h"

#define RUNNER_PROTOCOL     1
#define RUNNER_GRAPHS_MAX   100
#define RUNNER_CHANNELS_MAX 256
#define RUNNER_EDGES_MAX    1024
#define RUNNER_JOINS_MAX    64

struct runner;
struct runner_graph { /* def first: a definition is one of these */
    struct graph_def def;
    struct runner *runner;
    struct arena arena;
    int refs;
    uint64_t asks; /* bits: nodes whose edges have conditions */
    bool asks_start;
};
static inline struct runner_graph *runner_graph_of(const struct graph_def *g) {
    return CONTAINER_OF((struct graph_def *)(uintptr_t)g, struct runner_graph, def);
}

struct runner_description {
    struct runner_graph *graphs[RUNNER_GRAPHS_MAX];
    size_t count;
};
/* known: graphs that nodes may name as subgraphs, beside those that come before them. The caller
 * gets the first reference of each graph. */
MUST_CHECK int runner_describe(yyjson_val *answer, const struct graph_runner *port,
                               struct runner *runner, const struct registry *known,
                               struct runner_description *out, struct err *err);
void runner_description_unref(struct runner_description *d);

#endif
