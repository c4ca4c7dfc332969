/* SPDX-License-Identifier: Apache-2.0 */
/* graph_files.h - the graph documents of a folder, given to the registry at the start.
 *
 * Memory: none stays but the graphs. Errors: the first file that is wrong, with the place in it.
 * Suspends: never; the start may wait for the disk. Tests: tests/integration/run-graphs */
#ifndef HF_APP_GRAPH_FILES_H
#define HF_APP_GRAPH_FILES_H

#include "engine/registry.h"

/* folder "": nothing. */
MUST_CHECK int graph_files_load(const char *folder, struct registry *registry, struct err *err);

#endif
