/* SPDX-License-Identifier: Apache-2.0 */
/* builder.c - graphs that are made at run time, and how their edges become routes.
 *
 * The definition, its lists and everything that it points to stand in one arena, which goes with
 * the last reference: of the registry, of compiled forms, of runs under way, of graphs that have it
 * as a subgraph.
 *
 * Edges are asked in the order in which they were added. Those without a condition are always
 * taken; `otherwise` counts the conditions of the same node only. */
#include "graphs/builder.h"

#include "base/mem.h"
#include "base/vec.h"
#include "engine/state.h"

struct graph_builder {
    struct graph_def def; /* first: a definition is its builder */
    int refs;
    struct arena arena;
    VEC(struct channel_def) channels;
    VEC(struct node_def) nodes;
    VEC(struct graph_edge) edges;
    VEC(struct builder_edge) routes; /* parallel to edges */
    VEC(struct graph_join) joins;
};

/* A document has at most 512 KB; what is made of it is a small multiple of that. */
#define ARENA_BYTES_MAX ((size_t)64 << 20)

static struct graph_builder *builder_of(const struct graph_def *g) {
    return CONTAINER_OF((struct graph_def *)(uintptr_t)g, struct graph_builder, def);
}

static void built_ref(const struct graph_def *g) { builder_of(g)->refs++; }

void graph_builder_free(struct graph_builder *b) {
    if (!b)
        return;
    for (size_t i = 0; i < b->nodes.count; i++)
        graph_def_unref(b->nodes.p[i].subgraph);
    vec_deinit(&b->channels);
    vec_deinit(&b->nodes);
    vec_deinit(&b->edges);
    vec_deinit(&b->routes);
    vec_deinit(&b->joins);
    arena_deinit(&b->arena);
    mem_free(b);
}

static void built_unref(const struct graph_def *g) {
    struct graph_builder *b = builder_of(g);
    ASSERT(b->refs > 0);
    if (--b->refs == 0)
        graph_builder_free(b);
}

struct graph_builder *graph_builder_new(str id, str description) {
    struct graph_builder *b = NEW(struct graph_builder);
    arena_init(&b->arena, ARENA_BYTES_MAX);
    b->def.id = arena_z(&b->arena, id);
    b->def.description = arena_z(&b->arena, description);
    return b;
}

struct arena *graph_builder_arena(struct graph_builder *b) {
    return &b->arena;
}

void graph_builder_channel(struct graph_builder *b, const struct channel_def *c) {
    struct channel_def copy = *c;
    copy.name = arena_z(&b->arena, str_of(c->name));
    copy.initial = c->initial ? arena_z(&b->arena, str_of(c->initial)) : NULL;
    vec_push(&b->channels, copy);
}

int graph_builder_node(struct graph_builder *b, const struct node_def *n) {
    struct node_def copy = *n;
    ASSERT(b->nodes.count < GRAPH_NODES_MAX);
    copy.name = arena_z(&b->arena, str_of(n->name));
    if (n->subgraph)
        copy.subgraph = graph_def_ref(n->subgraph);
    vec_push(&b->nodes, copy);
    return (int)b->nodes.count - 1;
}

void graph_builder_edge(struct graph_builder *b, const struct builder_edge *e) {
    struct graph_edge drawn = {.from = e->from, .to = e->to};
    if (e->label)
        drawn.condition = arena_z(&b->arena, str_of(e->label));
    vec_push(&b->edges, drawn);
    vec_push(&b->routes, *e);
}

void graph_builder_join(struct graph_builder *b, const int *from, size_t count, int to) {
    int *copy = ARENA_ARRAY(&b->arena, int, count);
    memcpy(copy, from, count * sizeof(*copy));
    struct graph_join j = {.node = to, .from = copy, .count = count};
    vec_push(&b->joins, j);
}

static const char *schema_text(struct graph_builder *b, str text) {
    return arena_z(&b->arena, text.len ? text : STR("{\"type\":\"object\"}"));
}

void graph_builder_schemas(struct graph_builder *b, const struct builder_schemas *s) {
    b->def.input_schema = schema_text(b, s->input);
    b->def.output_schema = schema_text(b, s->output);
    b->def.state_schema = schema_text(b, s->state);
    b->def.config_schema = schema_text(b, s->config);
    b->def.context_schema = schema_text(b, s->context);
}

void graph_builder_compile(struct graph_builder *b,
                           int (*compile)(const struct graph_services *s,
                                          const struct graph_config *c, void **out,
                                          struct err *err),
                           void (*free_compiled)(void *compiled)) {
    b->def.compile = compile;
    b->def.free_compiled = free_compiled;
}

/* --- routes --- */

static int follow(const struct graph_view *v, void *compiled, const struct builder_edge *e,
                  struct route *out, struct err *err) {
    if (e->each)
        return e->each(v, compiled, e, out, err);
    route_to(out, e->to);
    return 0;
}

static int route_edges(const struct graph_builder *b, const struct graph_view *v, void *compiled,
                       int from, struct route *out, struct err *err) {
    bool chosen = false;
    int rc = 0;
    for (size_t i = 0; i < b->routes.count && rc == 0; i++) {
        const struct builder_edge *e = &b->routes.p[i];
        if (e->from != from || e->otherwise)
            continue;
        int yes = e->when ? e->when(v, compiled, e->data, err) : 1;
        chosen = chosen || (e->when && yes > 0);
        rc = yes < 0 ? yes : yes ? follow(v, compiled, e, out, err) : 0;
    }
    for (size_t i = 0; i < b->routes.count && rc == 0 && !chosen; i++)
        if (b->routes.p[i].from == from && b->routes.p[i].otherwise)
            rc = follow(v, compiled, &b->routes.p[i], out, err);
    return rc;
}

static void route(const struct graph_view *v, void *compiled, int from, struct route *out) {
    struct err err = {0};
    int rc = route_edges(builder_of(v->graph), v, compiled, from, out, &err);
    if (rc < 0)
        route_fail(out, rc, &err);
}

const struct graph_def *graph_builder_finish(struct graph_builder *b) {
    struct builder_schemas none = {0};
    if (!b->def.input_schema)
        graph_builder_schemas(b, &none);
    b->def.channels = b->channels.p;
    b->def.channel_count = b->channels.count;
    b->def.nodes = b->nodes.p;
    b->def.node_count = b->nodes.count;
    b->def.edges = b->edges.p;
    b->def.edge_count = b->edges.count;
    b->def.joins = b->joins.p;
    b->def.join_count = b->joins.count;
    b->def.route = route;
    b->def.ref = built_ref;
    b->def.unref = built_unref;
    b->refs = 1;
    return &b->def;
}
