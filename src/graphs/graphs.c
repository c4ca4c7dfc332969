/* SPDX-License-Identifier: Apache-2.0 */
/* graphs.c - the list of built-in graphs, and the defaults of their settings.
 *
 * Assistants are seeded for every graph registered here, under its id, which therefore never
 * changes. A new graph: its file, and a line in graphs_register(). */
#include "graphs/graphs.h"

#include "graphs/agent.h"

void graphs_settings_default(struct graphs_settings *out) {
    *out =
        (struct graphs_settings){.model_name = STR("openai:gpt-4o-mini"), .model_retries_max = 2};
}

void graphs_register(struct registry *r) { registry_add(r, &AGENT_GRAPH); }
