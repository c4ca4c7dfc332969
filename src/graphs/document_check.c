/* SPDX-License-Identifier: Apache-2.0 */
/* document_check.c - the graph as a whole: every node is reached and leads somewhere.
 *
 * A cycle need not have a way out that can be seen here: a condition may end it, or the recursion
 * limit. A node after which nothing could ever follow must say so by an edge to END. */
#include "graphs/document_int.h"

void document_check(struct doc_reader *r) {
    struct doc_at top = {0}, nodes = {.up = &top, .key = STR("nodes")};
    uint64_t reached = r->leads[GRAPH_NODES_MAX], before = 0;
    if (r->name_count && !reached) {
        struct doc_at entry = {.up = &top, .key = STR("entry")};
        doc_fault(r, &entry, "is missing: where the graph begins (or an edge from START)");
        return;
    }
    while (reached != before) {
        before = reached;
        for (size_t i = 0; i < r->name_count; i++)
            if (before & UINT64_C(1) << i)
                reached |= r->leads[i];
    }
    for (size_t i = 0; i < r->name_count; i++) {
        struct doc_at at = {.up = &nodes, .key = r->names[i]};
        if (!(reached & UINT64_C(1) << i))
            doc_fault(r, &at, "cannot be reached: no way from the entry leads here");
        if (!r->ends[i])
            doc_fault(r, &at, "leads nowhere: give it an edge, to END if it is the last one");
    }
}
