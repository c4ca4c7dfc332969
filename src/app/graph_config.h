/* SPDX-License-Identifier: Apache-2.0 */
/* graph_config.h - LANGGRAPH_CONFIG: what the graphs' own assistants are configured with.
 * Memory: the arena. Errors: ERR_INVALID with the graph and what is wrong. Suspends: never.
 * Tests: tests/unit/app/test_graph_config.c */
#ifndef HF_APP_GRAPH_CONFIG_H
#define HF_APP_GRAPH_CONFIG_H

#include "store/assistants.h"

/* text is a JSON object: graph id → configuration (an object; its member `context` is the context),
 * or empty. Sets config and context of those of `defaults` that it names; *out_unknown is a graph
 * that is none of them (absent: all are). */
MUST_CHECK int graph_config_read(struct arena *a, str text, struct assistant_default *defaults,
                                 size_t count, str *out_unknown, struct err *err);

#endif
