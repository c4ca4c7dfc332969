/* SPDX-License-Identifier: Apache-2.0 */
/* graphs.h - graphs that are documents: registered while serving, versions, changes by revision.
 *
 * Everybody reads them; the owner changes them. What a document means is not known here.
 * Memory: results in the arena. Errors: as the port's. Suspends: all.
 * Tests: tests/integration/run-graphs */
#ifndef HF_STORE_GRAPHS_H
#define HF_STORE_GRAPHS_H

#include "store/store.h"

#define GRAPHS_MAX         1000 /* registered at a time */
#define GRAPH_VERSIONS_MAX 100  /* of one graph; older ones go */

struct stored_graph {
    str graph_id, owner, document;
    int64_t version, revision, created_at, updated_at;
    bool deleted;
};
/* Inserts or replaces, as the next version. ERR_CONFLICT: it is another owner's; ERR_LIMIT. */
MUST_CHECK int graph_put(struct store *s, const struct principal *who, str graph_id, str document,
                         struct arena *a, struct stored_graph *out, struct err *err);
MUST_CHECK int graph_delete(struct store *s, const struct principal *who, str graph_id,
                            struct arena *a, struct err *err); /* ERR_NOT_FOUND */
MUST_CHECK int graph_version_get(struct store *s, str graph_id, int64_t version, struct arena *a,
                                 struct stored_graph *out, struct err *err); /* ERR_NOT_FOUND */
/* Changes after a revision, in order; deleted ones, too. */
MUST_CHECK int graph_since(struct store *s, int64_t revision, int64_t limit, struct arena *a,
                           struct stored_graph **out, size_t *out_count, struct err *err);
/* Removes what is left of graphs that were deleted before this time: by then every process must
 * have seen it. */
MUST_CHECK int graph_sweep(struct store *s, int64_t before_us, struct arena *a,
                           int64_t *out_deleted, struct err *err);

#endif
