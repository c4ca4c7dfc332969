/* SPDX-License-Identifier: Apache-2.0 */
/* library.h - graphs that users register while the server runs.
 *
 * A document is checked, stored, made into a graph and given to the registry; other processes on
 * the same database find it by its revision, within a second, or at once when they miss a name.
 * Graphs that come with the server are neither replaced nor removed. When a graph changes, those
 * that have it as a subgraph are made anew. Runs that have begun keep what they began with.
 *
 * What a document is, is known to the port's implementation (src/graphs).
 * Owner: the engine. Memory: documents on the heap. Suspends: what is marked so.
 * Tests: tests/integration/run-graphs */
#ifndef HF_ENGINE_LIBRARY_H
#define HF_ENGINE_LIBRARY_H

#include "engine/registry.h"
#include "store/graphs.h"

#define GRAPH_FAULTS_MAX    50
#define GRAPH_SUBGRAPHS_MAX 64

struct graph_fault {
    str pointer; /* JSON pointer; "": the document */
    str text;
};
struct graph_faults {
    struct arena *a;
    struct graph_fault list[GRAPH_FAULTS_MAX];
    size_t count;
};
struct graph_finder { /* the graphs that a document's subgraphs may be; NULL: unknown */
    const struct graph_def *(*find)(void *ctx, str graph_id);
    void *ctx;
};
struct graph_documents {
    /* id: what the document must have as its id, or may leave out; absent: it must say. ERR_INVALID
     * with the faults, ERR_TOO_LARGE. The caller gets the first reference. */
    int (*build)(yyjson_val *root, str id, const struct graph_finder *finder,
                 struct graph_faults *faults, const struct graph_def **out, struct err *err);
    /* The names of its subgraphs; their number. */
    size_t (*subgraphs)(yyjson_val *root, str *out, size_t max);
    bool (*name_is_valid)(str name);
};

struct graph_library;
/* What the registry has now comes with the server. documents NULL: nothing can be registered. */
struct graph_library *graph_library_new(struct rt *rt, struct store *store, struct registry *r,
                                        const struct graph_documents *documents);
void graph_library_free(struct graph_library *l);
/* Loads what is stored. poll: other processes change it, look every second. */
MUST_CHECK MAY_SUSPEND int graph_library_start(struct graph_library *l, bool poll, struct err *err);
MAY_SUSPEND void graph_library_stop(struct graph_library *l);
/* Takes over what other processes changed. */
MUST_CHECK MAY_SUSPEND int graph_library_sync(struct graph_library *l, struct err *err);
/* The graph of this name; looks into the database when it is not known here. NULL: unknown. */
MAY_SUSPEND const struct graph_def *graph_library_find(struct graph_library *l, str graph_id);

/* Only the check. */
MUST_CHECK int graph_library_check(struct graph_library *l, str graph_id, yyjson_val *document,
                                   struct graph_faults *faults, struct err *err);
MUST_CHECK MAY_SUSPEND int graph_library_put(struct graph_library *l, const struct principal *who,
                                             str graph_id, yyjson_val *document,
                                             struct graph_faults *faults, struct stored_graph *out,
                                             struct err *err);
MUST_CHECK MAY_SUSPEND int graph_library_delete(struct graph_library *l,
                                                const struct principal *who, str graph_id,
                                                struct arena *a, struct err *err);
/* What is known of a registered graph; false: it comes with the server, or is unknown. Texts are
 * valid until the next suspension. */
bool graph_library_get(const struct graph_library *l, str graph_id, struct stored_graph *out);

#endif
