/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_document.c - any JSON as a graph document.
 *
 * Checks: a refusal has a code, a text and, for faults, places that begin with "/" or are empty; a
 * graph has names and schemas that are JSON, and goes without a trace. */
#include "graphs/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct graph_def *none(void *ctx, str id) {
    (void)ctx;
    (void)id;
    return NULL;
}

static void check_graph(struct arena *a, const struct graph_def *g) {
    const char *schemas[] = {g->input_schema, g->output_schema, g->state_schema, g->config_schema};
    yyjson_val *v;
    ASSERT(document_name_is_valid(str_of(g->id)) && g->node_count > 0);
    for (size_t i = 0; i < ARRAY_COUNT(schemas); i++)
        ASSERT(json_parse(a, str_of(schemas[i]), &v, NULL) == 0);
    for (size_t i = 0; i < g->edge_count; i++)
        ASSERT(g->edges[i].from < (int)g->node_count && g->edges[i].to < (int)g->node_count);
    for (size_t i = 0; i < g->node_count; i++)
        ASSERT(graph_node_find(g, str_of(g->nodes[i].name)) == (int)i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct err err = {0};
    yyjson_val *root;
    const struct graph_def *g;
    struct graph_finder finder = {none, NULL};
    arena_init(&a, (size_t)64 << 20);
    struct graph_faults *faults = ARENA_NEW(&a, struct graph_faults);
    faults->a = &a;
    if (size <= 65536 && json_parse(&a, str_n((const char *)data, size), &root, NULL) == 0) {
        int rc = document_build(root, STR_NULL, &finder, faults, &g, &err);
        if (rc == 0) {
            ASSERT(faults->count == 0);
            check_graph(&a, g);
            graph_def_unref(g);
        } else {
            ASSERT((rc == ERR_INVALID || rc == ERR_TOO_LARGE) && err.code == rc && err.message[0]);
            for (size_t i = 0; i < faults->count; i++)
                ASSERT(faults->list[i].text.len && str_is_utf8(faults->list[i].text) &&
                       (!faults->list[i].pointer.len || faults->list[i].pointer.p[0] == '/'));
        }
    }
    arena_deinit(&a);
    return 0;
}
