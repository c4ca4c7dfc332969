/* SPDX-License-Identifier: Apache-2.0 */
/* document.h - graphs that are JSON documents: checked, and made into a graph_def.
 *
 * docs/reference/graph-documents.md tells the form, spec/graph-document.schema.json is its schema.
 * Memory: the graph keeps what it needs in its own arena; faults in the arena given. Errors:
 * ERR_INVALID with the first fault ("/nodes/plan/kind: …"), ERR_TOO_LARGE. Suspends: the nodes.
 * Tests: tests/unit/graphs/test_document.c; fuzzed */
#ifndef HF_GRAPHS_DOCUMENT_H
#define HF_GRAPHS_DOCUMENT_H

#include "engine/library.h"

#define DOCUMENT_BYTES_MAX    ((size_t)512 * 1024)
#define DOCUMENT_CHANNELS_MAX 64
#define DOCUMENT_EDGES_MAX    512
#define DOCUMENT_NAME_MAX     64

/* id: what the document must have as its id, or may leave out; absent: it must say. The caller gets
 * the first reference. */
MUST_CHECK int document_build(yyjson_val *root, str id, const struct graph_finder *finder,
                              struct graph_faults *faults, const struct graph_def **out,
                              struct err *err);
/* Is it a graph's name? Letters, digits, "_", "-", beginning with a letter or "_". */
bool document_name_is_valid(str name);
/* The names of the graphs that the document has as subgraphs, without looking at the rest. */
size_t document_subgraphs(yyjson_val *root, str *out, size_t max);

extern const struct graph_documents GRAPH_DOCUMENTS; /* these functions as the port */

#endif
