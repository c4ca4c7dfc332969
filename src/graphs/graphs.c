/* SPDX-License-Identifier: Apache-2.0 */
/* graphs.c - the list of built-in graphs, and the defaults of their settings.
 *
 * Assistants are seeded for every graph registered here, under its id, which therefore never
 * changes. A new graph: its file, and a line in graphs_register(). */
#include "graphs/graphs.h"

#include <stdio.h>

#include "graphs/agent.h"
#include "graphs/document.h"

extern const char research_agent_json[]; /* made by tools/embed */
extern const unsigned research_agent_json_len;

void graphs_settings_default(struct graphs_settings *out) {
    *out = (struct graphs_settings){
        .model_name = STR("openai:gpt-4o-mini"), .model_retries_max = 2, .mcp_hosts = STR("*")};
}

static const struct graph_def *research_agent_new(void) {
    struct arena a;
    arena_init(&a, (size_t)64 << 20);
    struct graph_faults *faults = ARENA_NEW(&a, struct graph_faults);
    const struct graph_def *g;
    yyjson_val *root;
    struct err err = {0};
    faults->a = &a;
    int rc = json_parse(&a, str_n(research_agent_json, research_agent_json_len), &root, &err);
    if (rc == 0)
        rc = document_build(root, STR_NULL, NULL, faults, &g, &err);
    if (rc < 0) { /* it is part of the program */
        fprintf(stderr, "research_agent.json: %s\n", err.message);
        ASSERT(rc == 0);
    }
    arena_deinit(&a);
    return g;
}

static void add(struct registry *r, const struct graph_def *g) {
    registry_add(r, g);
    graph_def_unref(g);
}

void graphs_register(struct registry *r) {
    add(r, agent_graph_new());
    add(r, research_agent_new());
}
