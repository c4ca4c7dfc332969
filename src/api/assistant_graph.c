/* SPDX-License-Identifier: Apache-2.0 */
/* assistant_graph.c - what an assistant's graph looks like: nodes and edges, schemas, subgraphs.
 *
 * All is drawn from the registered definition, when it is asked for. With `xray` a node that is a
 * subgraph is drawn as its nodes, named "node:inner", the way LangGraph draws it: the subgraph's
 * __start__ and __end__ are left out when one inner node alone comes first, or last, by one edge,
 * and the edges of the node go there; otherwise they are drawn, and the edges go to them. */
#include "api/api_int.h"
#include "engine/engine.h"

#define DEPTH_MAX 16

static int graph_of(struct api_request *r, const struct graph_def **out, struct err *err) {
    struct id id;
    struct assistant assistant;
    int rc = api_param_assistant(r, 0, &id, err);
    if (rc == 0)
        rc = assistant_get(r->store, &r->who, id, r->arena, &assistant, err);
    if (rc < 0)
        return rc;
    *out = graph_library_find(engine_library(r->engine), assistant.graph_id);
    if (!*out)
        return err_set(err, ERR_NOT_FOUND, "Graph \"%.100s\" not found", assistant.graph_id.p);
    return 0;
}

/* --- nodes and edges --- */

struct drawing {
    struct json_writer *w;
    struct arena *a;
};

/* Does an edge come into the node from another than __start__ (or go to another than __end__)? */
static bool has_edge(const struct graph_def *g, int node, bool into) {
    for (size_t i = 0; i < g->edge_count; i++) {
        const struct graph_edge *e = &g->edges[i];
        if (into && e->to == node && e->from != GRAPH_START)
            return true;
        if (!into && e->from == node && e->to != GRAPH_END)
            return true;
    }
    return false;
}

/* The inner node that alone comes first (last) and has the one edge from (to) the terminal;
 * otherwise the terminal. */
static int outermost(const struct graph_def *g, bool first) {
    int terminal = first ? GRAPH_START : GRAPH_END, found = terminal;
    size_t nodes = 0, edges = 0;
    for (size_t i = 0; i < g->node_count; i++) {
        if (!has_edge(g, (int)i, first)) {
            found = (int)i;
            nodes++;
        }
    }
    for (size_t i = 0; i < g->edge_count; i++)
        edges += (first ? g->edges[i].from : g->edges[i].to) == terminal;
    return nodes == 1 && edges == 1 ? found : terminal;
}

static bool is_open(const struct graph_def *g, int node, int64_t depth) {
    return depth > 0 && node >= 0 && (size_t)node < g->node_count && g->nodes[node].subgraph &&
           g->nodes[node].subgraph->node_count > 0;
}

/* The name of a node in the drawing, seen from edges that leave it (or come to it). */
static str name_of(const struct drawing *d, str prefix, const struct graph_def *g, int node,
                   int64_t depth, bool leaving) {
    str name = node == GRAPH_START ? STR("__start__")
               : node == GRAPH_END ? STR("__end__")
                                   : str_of(g->nodes[node].name);
    str whole = arena_printf(d->a, STR_FMT STR_FMT, STR_ARG(prefix), STR_ARG(name));
    if (!is_open(g, node, depth))
        return whole;
    const struct graph_def *inner = g->nodes[node].subgraph;
    return name_of(d, arena_printf(d->a, STR_FMT ":", STR_ARG(whole)), inner,
                   outermost(inner, !leaving), depth - 1, leaving);
}

static void write_terminal(const struct drawing *d, str id, const char *schema) {
    struct json_writer *w = d->w;
    jw_object(w);
    jw_key(w, "id");
    jw_str(w, id);
    jw_key(w, "type");
    jw_z(w, "schema");
    jw_key(w, "data");
    jw_raw(w, schema ? str_of(schema) : STR("{}"));
    jw_object_end(w);
}

static void write_node(const struct drawing *d, str id, bool subgraph) {
    struct json_writer *w = d->w;
    jw_object(w);
    jw_key(w, "id");
    jw_str(w, id);
    jw_key(w, "type");
    jw_z(w, "runnable");
    jw_key(w, "data");
    jw_object(w);
    jw_key(w, "id");
    jw_raw(w, subgraph ? STR("[\"langgraph\",\"CompiledStateGraph\"]")
                       : STR("[\"langgraph\",\"RunnableCallable\"]"));
    jw_key(w, "name");
    jw_str(w, id);
    jw_object_end(w);
    jw_object_end(w);
}

/* prefix "": the graph itself, whose terminals are always drawn. */
static void write_nodes(const struct drawing *d, str prefix, const struct graph_def *g,
                        int64_t depth) {
    bool whole = prefix.len == 0;
    if (!buf_ok(d->w->b)) /* too large already: what follows is not needed */
        return;
    if (whole || outermost(g, true) == GRAPH_START)
        write_terminal(d, name_of(d, prefix, g, GRAPH_START, 0, false), g->input_schema);
    for (size_t i = 0; i < g->node_count; i++) {
        str name = name_of(d, prefix, g, (int)i, 0, false);
        if (is_open(g, (int)i, depth))
            write_nodes(d, arena_printf(d->a, STR_FMT ":", STR_ARG(name)), g->nodes[i].subgraph,
                        depth - 1);
        else
            write_node(d, name, g->nodes[i].subgraph != NULL);
    }
    if (whole || outermost(g, false) == GRAPH_END)
        write_terminal(d, name_of(d, prefix, g, GRAPH_END, 0, false), g->output_schema);
}

static void write_edge(const struct drawing *d, str source, str target, const char *condition) {
    struct json_writer *w = d->w;
    jw_object(w);
    jw_key(w, "source");
    jw_str(w, source);
    jw_key(w, "target");
    jw_str(w, target);
    jw_key(w, "conditional");
    jw_bool(w, condition != NULL);
    if (condition) {
        jw_key(w, "data");
        jw_z(w, condition);
    }
    jw_object_end(w);
}

static void write_edges(const struct drawing *d, str prefix, const struct graph_def *g,
                        int64_t depth) {
    bool whole = prefix.len == 0;
    bool start = whole || outermost(g, true) == GRAPH_START;
    bool end = whole || outermost(g, false) == GRAPH_END;
    if (!buf_ok(d->w->b))
        return;
    for (size_t i = 0; i < g->edge_count; i++) {
        const struct graph_edge *e = &g->edges[i];
        if ((e->from == GRAPH_START && !start) || (e->to == GRAPH_END && !end))
            continue;
        write_edge(d, name_of(d, prefix, g, e->from, depth, true),
                   name_of(d, prefix, g, e->to, depth, false), e->condition);
    }
    for (size_t i = 0; i < g->node_count; i++)
        if (is_open(g, (int)i, depth))
            write_edges(d,
                        arena_printf(d->a, STR_FMT STR_FMT ":", STR_ARG(prefix),
                                     STR_ARG(str_of(g->nodes[i].name))),
                        g->nodes[i].subgraph, depth - 1);
}

/* xray: true, false, or how deep. */
static int read_depth(struct api_request *r, int64_t *out, struct err *err) {
    str text = http_query_get(&r->query, "xray");
    *out = str_ieq(text, STR("true")) ? DEPTH_MAX : 0;
    if (text.len == 0 || *out > 0 || str_ieq(text, STR("false")))
        return 0;
    if (!str_to_i64(text, out) || *out < 0)
        return err_set(err, ERR_INVALID, "xray: must be true, false or a depth");
    *out = *out > DEPTH_MAX ? DEPTH_MAX : *out;
    return 0;
}

int api_assistant_graph(struct api_request *r, struct err *err) {
    const struct graph_def *g = NULL;
    int64_t depth;
    int rc = read_depth(r, &depth, err);
    if (rc == 0)
        rc = graph_of(r, &g, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    struct drawing d = {.w = &w, .a = r->arena};
    jw_object(&w);
    jw_key(&w, "nodes");
    jw_array(&w);
    write_nodes(&d, STR(""), g, depth);
    jw_array_end(&w);
    jw_key(&w, "edges");
    jw_array(&w);
    write_edges(&d, STR(""), g, depth);
    jw_array_end(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- schemas --- */

static void write_schemas(struct json_writer *w, const struct graph_def *g) {
    const struct {
        const char *key, *schema;
    } all[] = {
        {"input_schema", g->input_schema},
        {"output_schema", g->output_schema},
        {"state_schema", g->state_schema ? g->state_schema : "{}"}, /* is always there */
        {"config_schema", g->config_schema},
        {"context_schema", g->context_schema},
    };
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        if (!all[i].schema)
            continue;
        jw_key(w, all[i].key);
        jw_raw(w, str_of(all[i].schema));
    }
}

int api_assistant_schemas(struct api_request *r, struct err *err) {
    const struct graph_def *g;
    int rc = graph_of(r, &g, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "graph_id");
    jw_z(&w, g->id);
    write_schemas(&w, g);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

/* --- subgraphs --- */

struct listing {
    struct json_writer *w;
    struct arena *a;
    str wanted; /* absent: all */
    bool recurse;
};

static void list_subgraphs(const struct listing *l, str prefix, const struct graph_def *g,
                           int depth) {
    for (size_t i = 0; i < g->node_count && depth > 0 && buf_ok(l->w->b); i++) {
        const struct graph_def *inner = g->nodes[i].subgraph;
        if (!inner)
            continue;
        str name = arena_printf(l->a, STR_FMT "%s", STR_ARG(prefix), g->nodes[i].name);
        if (!l->wanted.p || str_eq(l->wanted, name)) {
            jw_key_str(l->w, name);
            jw_object(l->w);
            write_schemas(l->w, inner);
            jw_object_end(l->w);
        }
        str below = arena_printf(l->a, STR_FMT "|", STR_ARG(name));
        if (l->wanted.p ? str_starts(l->wanted, below) : l->recurse)
            list_subgraphs(l, below, inner, depth - 1);
    }
}

static int subgraphs(struct api_request *r, str wanted, struct err *err) {
    const struct graph_def *g;
    int rc = graph_of(r, &g, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    struct listing l = {.w = &w,
                        .a = r->arena,
                        .wanted = wanted,
                        .recurse = http_query_bool(&r->query, "recurse", false)};
    jw_object(&w);
    list_subgraphs(&l, STR(""), g, DEPTH_MAX);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_assistant_subgraphs(struct api_request *r, struct err *err) {
    return subgraphs(r, STR_NULL, err);
}

int api_assistant_subgraph(struct api_request *r, struct err *err) {
    return subgraphs(r, r->match.params[1], err);
}
