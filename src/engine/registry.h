/* SPDX-License-Identifier: Apache-2.0 */
/* registry.h - the graphs that this server has, and their compiled forms.
 *
 * A compiled graph is cached under graph id and canonical configuration, without secrets, runtime
 * ids and identity (they never reach compile()). Entries live ttl after their last build; a graph
 * in use outlives its entry. Concurrent misses of one key build once, the others wait. Memory:
 * compiled graphs are ref-counted. Suspends: registry_compile. Metrics: hits, misses, size, build
 * seconds. Tests: tests/unit/engine/test_registry.c */
#ifndef HF_ENGINE_REGISTRY_H
#define HF_ENGINE_REGISTRY_H

#include "engine/graph.h"

struct registry;
struct compiled_graph {
    const struct graph_def *def;
    void *object; /* what compile() made; NULL when it has none */
    /* private */
    int refs;
};
struct registry_options {
    int64_t ttl_us;     /* 300 s */
    size_t entries_max; /* 1000; the oldest goes first */
};
struct registry *registry_new(const struct graph_services *services,
                              const struct registry_options *o);
void registry_free(struct registry *r);
/* Takes a reference, also while serving. Replaces the graph of the same id, if there is one: runs
 * that have begun keep the old one. */
void registry_add(struct registry *r, const struct graph_def *def);
bool registry_remove(struct registry *r, str graph_id); /* false: unknown */
/* NULL: unknown. Who keeps it over a suspension takes a reference. */
const struct graph_def *registry_find(const struct registry *r, str graph_id);
size_t registry_count(const struct registry *r);
const struct graph_def *registry_at(const struct registry *r, size_t index);

/* configurable: the run's full one (NULL: {}); what must not be seen is left out here. */
MUST_CHECK MAY_SUSPEND int registry_compile(struct registry *r, const struct graph_def *def,
                                            yyjson_val *configurable, struct compiled_graph **out,
                                            struct err *err);
void compiled_graph_ref(struct compiled_graph *g);
void compiled_graph_unref(struct compiled_graph *g);
void registry_invalidate(struct registry *r); /* after an assistant changed: drops all entries */

#endif
