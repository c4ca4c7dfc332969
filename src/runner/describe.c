/* SPDX-License-Identifier: Apache-2.0 */
/* describe.c - reads the graphs of a runner's answer to hello.
 *
 * A stranger's text becomes a definition that the engine trusts: all names are plain, all nodes
 * that edges, joins and sends can name exist, all numbers are within bounds. The first fault ends
 * it: who writes a runner mends one at a time. The words of channels are those of graph documents
 * (engine/reduce.h). */
#include "runner/describe.h"

#include "base/mem.h"
#include "engine/reduce.h"

#define NAME_BYTES_MAX      64
#define TIMEOUT_SECONDS_MAX 86400.0

struct reader {
    struct runner_graph *g;
    struct arena *a;
    const struct registry *known;
    const struct runner_description *before;
    struct channel_def *channels;
    struct node_def *nodes;
    struct graph_edge *edges;
    struct graph_join *joins;
    struct err *err;
};

static void graph_ref(const struct graph_def *g) { runner_graph_of(g)->refs++; }

static void graph_unref(const struct graph_def *def) {
    struct runner_graph *g = runner_graph_of(def);
    ASSERT(g->refs > 0);
    if (--g->refs > 0)
        return;
    for (size_t i = 0; i < g->def.node_count; i++)
        graph_def_unref(g->def.nodes[i].subgraph);
    arena_deinit(&g->arena);
    mem_free(g);
}

void runner_description_unref(struct runner_description *d) {
    while (d->count > 0)
        graph_unref(&d->graphs[--d->count]->def);
}

/* --- names --- */

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* spaces: in the middle, and dots. */
static bool name_is_valid(str s, bool spaces) {
    if (s.len == 0 || s.len > NAME_BYTES_MAX || !is_letter(s.p[0]) || str_starts(s, STR("__")))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        bool more = (c >= '0' && c <= '9') || c == '-' || (spaces && (c == ' ' || c == '.'));
        if (!is_letter(c) && !more)
            return false;
    }
    return true;
}

static int bad_name(struct reader *r, str name, const char *what) {
    return err_set(r->err, ERR_INVALID,
                   "%s \"%.*s\": the name must be letters, digits, _ and -, at most %d bytes",
                   what, (int)(name.len < 64 ? name.len : 64), name.p ? name.p : "",
                   NAME_BYTES_MAX);
}

static int number(struct reader *r, yyjson_val *v, const char *what, double min, double max,
                  double *io) {
    if (!v)
        return 0;
    double n = yyjson_get_num(v);
    if (!yyjson_is_num(v) || !(n >= min && n <= max))
        return err_set(r->err, ERR_INVALID, "%s: must be a number between %g and %g", what, min,
                       max);
    *io = n;
    return 0;
}

/* --- channels --- */

static bool flag(yyjson_val *obj, const char *key, bool fallback) {
    yyjson_val *v = json_get(obj, key);
    return yyjson_is_bool(v) ? yyjson_get_bool(v) : fallback;
}

static int read_channel(struct reader *r, str name, yyjson_val *v) {
    struct channel_def *c = &r->channels[r->g->def.channel_count];
    yyjson_val *word = json_get(v, "reducer"), *initial = json_get(v, "initial");
    if (!name_is_valid(name, false))
        return bad_name(r, name, "the channel");
    *c = (struct channel_def){.name = arena_z(r->a, name)};
    if (!yyjson_is_obj(v) ||
        !channel_read_reducer(c, word ? json_str(word) : STR("last_value")))
        return err_set(r->err, ERR_INVALID, "channels.%s: has a reducer that is not known",
                       c->name);
    c->in_input = flag(v, "input", true);
    c->in_output = flag(v, "output", true);
    c->accumulate = c->kind == CHANNEL_TOPIC && flag(v, "accumulate", false);
    if (initial && !channel_fits_initial(c, initial))
        return err_set(r->err, ERR_INVALID, "channels.%s.initial: does not fit the reducer",
                       c->name);
    if (initial)
        c->initial = json_text(r->a, initial).p;
    for (size_t i = 0; i < r->g->def.channel_count; i++)
        if (strcmp(r->channels[i].name, c->name) == 0)
            return err_set(r->err, ERR_INVALID, "channels.%s: is there twice", c->name);
    r->g->def.channel_count++;
    return 0;
}

static int read_channels(struct reader *r, yyjson_val *list) {
    size_t i, n;
    yyjson_val *key, *v;
    int rc = 0;
    if (!yyjson_is_obj(list) || yyjson_obj_size(list) > RUNNER_CHANNELS_MAX)
        return err_set(r->err, ERR_INVALID, "channels: must be an object of at most %d members",
                       RUNNER_CHANNELS_MAX);
    r->channels = ARENA_ARRAY(r->a, struct channel_def, yyjson_obj_size(list) + 1);
    r->g->def.channels = r->channels;
    yyjson_obj_foreach(list, i, n, key, v) {
        if (rc == 0)
            rc = read_channel(r, json_str(key), v);
    }
    return rc;
}

/* --- nodes --- */

static const struct graph_def *find_graph(const struct reader *r, str id) {
    for (size_t i = 0; i < r->before->count; i++)
        if (str_eq(str_of(r->before->graphs[i]->def.id), id))
            return &r->before->graphs[i]->def;
    const struct graph_def *g = r->known ? registry_find(r->known, id) : NULL;
    /* One that this runner described before a restart is not meant: it may have changed. */
    bool older = g && g->runner == r->g->def.runner && runner_graph_of(g)->runner == r->g->runner;
    return older ? NULL : g;
}

/* What the process does to a task that it takes along is no fault of the node. */
static const struct node_retry RETRY_DEFAULT = {
    .attempts_max = 3, .initial_us = 500000, .max_us = 10000000, .factor = 2, .jitter = true};

static int read_retry(struct reader *r, yyjson_val *v, struct node_def *out) {
    double attempts = 3, initial = 0.5, factor = 2, most = 128;
    out->retry = RETRY_DEFAULT;
    if (!v)
        return 0;
    int rc = number(r, json_get(v, "attempts"), "retry.attempts", 1, 20, &attempts);
    if (rc == 0)
        rc = number(r, json_get(v, "initial_seconds"), "retry.initial_seconds", 0, 600, &initial);
    if (rc == 0)
        rc = number(r, json_get(v, "factor"), "retry.factor", 1, 10, &factor);
    if (rc == 0)
        rc = number(r, json_get(v, "max_seconds"), "retry.max_seconds", 0, 3600, &most);
    out->retry = (struct node_retry){.attempts_max = (int)attempts,
                                     .initial_us = (int64_t)(initial * 1e6),
                                     .max_us = (int64_t)(most * 1e6),
                                     .factor = factor,
                                     .jitter = flag(v, "jitter", true)};
    return rc;
}

static int read_node(struct reader *r, str name, yyjson_val *v) {
    struct node_def *n = &r->nodes[r->g->def.node_count];
    double seconds = 0;
    if (!name_is_valid(name, true))
        return bad_name(r, name, "the node");
    *n = (struct node_def){.name = arena_z(r->a, name)};
    if (graph_node_find(&r->g->def, name) >= 0)
        return err_set(r->err, ERR_INVALID, "nodes.%s: is there twice", n->name);
    int rc = number(r, json_get(v, "timeout_seconds"), "timeout_seconds", 0.001,
                    TIMEOUT_SECONDS_MAX, &seconds);
    n->timeout_us = (int64_t)(seconds * 1e6);
    if (rc == 0)
        rc = read_retry(r, json_get(v, "retry"), n);
    if (rc < 0) {
        (void)err_context(r->err, "nodes.%s", n->name);
        return rc;
    }
    yyjson_val *sub = json_get(v, "subgraph");
    const struct graph_def *g = sub ? find_graph(r, json_str(sub)) : NULL;
    if (sub && !g)
        return err_set(r->err, ERR_INVALID,
                       "nodes.%s.subgraph: is neither a graph of the server nor one before this",
                       n->name);
    n->subgraph = g ? graph_def_ref(g) : NULL;
    r->g->def.node_count++;
    return 0;
}

static int read_nodes(struct reader *r, yyjson_val *list) {
    size_t i, n;
    yyjson_val *key, *v;
    int rc = 0;
    if (!yyjson_is_obj(list) || yyjson_obj_size(list) == 0 ||
        yyjson_obj_size(list) > GRAPH_NODES_MAX)
        return err_set(r->err, ERR_INVALID, "nodes: must be an object of 1 to %d members",
                       GRAPH_NODES_MAX);
    r->nodes = ARENA_ARRAY(r->a, struct node_def, yyjson_obj_size(list));
    r->g->def.nodes = r->nodes;
    yyjson_obj_foreach(list, i, n, key, v) {
        if (rc == 0)
            rc = read_node(r, json_str(key), v);
    }
    return rc;
}

/* --- edges --- */

static int read_end(struct reader *r, yyjson_val *v, const char *what, int *out) {
    str name = json_str(v);
    if (str_eq(name, STR("__start__")))
        *out = GRAPH_START;
    else if (str_eq(name, STR("__end__")))
        *out = GRAPH_END;
    else
        *out = graph_node_find(&r->g->def, name);
    if (*out == -1 && !str_eq(name, STR("__start__")))
        return err_set(r->err, ERR_INVALID, "%s: there is no node \"%.*s\"", what,
                       (int)(name.len < 64 ? name.len : 64), name.p ? name.p : "");
    return 0;
}

static int read_edge(struct reader *r, yyjson_val *v) {
    struct graph_edge *e = &r->edges[r->g->def.edge_count];
    yyjson_val *condition = json_get(v, "condition");
    int rc = read_end(r, json_get(v, "from"), "edges.from", &e->from);
    if (rc == 0)
        rc = read_end(r, json_get(v, "to"), "edges.to", &e->to);
    if (rc < 0)
        return rc;
    if (e->from == GRAPH_END || e->to == GRAPH_START)
        return err_set(r->err, ERR_INVALID, "edges: one leads from the end or to the start");
    if (condition && !yyjson_is_str(condition))
        return err_set(r->err, ERR_INVALID, "edges.condition: must be a text, its label");
    e->condition = condition ? arena_z(r->a, json_str(condition)) : NULL;
    if (condition && e->from == GRAPH_START)
        r->g->asks_start = true;
    else if (condition)
        r->g->asks |= UINT64_C(1) << e->from;
    r->g->def.edge_count++;
    return 0;
}

static int read_edges(struct reader *r, yyjson_val *list) {
    size_t i, n, count = yyjson_arr_size(list);
    yyjson_val *v;
    int rc = 0;
    if (!yyjson_is_arr(list) || count > RUNNER_EDGES_MAX)
        return err_set(r->err, ERR_INVALID, "edges: must be an array of at most %d",
                       RUNNER_EDGES_MAX);
    r->edges = ARENA_ARRAY(r->a, struct graph_edge, count + 1);
    r->g->def.edges = r->edges;
    yyjson_arr_foreach(list, i, n, v) {
        if (rc == 0)
            rc = read_edge(r, v);
    }
    return rc;
}

static int read_join(struct reader *r, yyjson_val *v) {
    struct graph_join *j = &r->joins[r->g->def.join_count];
    yyjson_val *list = json_get(v, "from"), *one;
    size_t i, n, count = yyjson_arr_size(list);
    int rc = read_end(r, json_get(v, "to"), "joins.to", &j->node);
    if (rc == 0 && (j->node < 0 || !yyjson_is_arr(list) || count == 0 || count > GRAPH_NODES_MAX))
        rc = err_set(r->err, ERR_INVALID, "joins: must have from, a list of nodes, and to, a node");
    if (rc < 0)
        return rc;
    int *from = ARENA_ARRAY(r->a, int, count);
    yyjson_arr_foreach(list, i, n, one) {
        if (rc == 0)
            rc = read_end(r, one, "joins.from", &from[i]);
        if (rc == 0 && from[i] < 0)
            rc = err_set(r->err, ERR_INVALID, "joins.from: must be nodes");
    }
    j->from = from;
    j->count = count;
    r->g->def.join_count++;
    return rc;
}

static int read_joins(struct reader *r, yyjson_val *list) {
    size_t i, n, count = yyjson_arr_size(list);
    yyjson_val *v;
    int rc = 0;
    if (!list)
        return 0;
    if (!yyjson_is_arr(list) || count > RUNNER_JOINS_MAX)
        return err_set(r->err, ERR_INVALID, "joins: must be an array of at most %d",
                       RUNNER_JOINS_MAX);
    r->joins = ARENA_ARRAY(r->a, struct graph_join, count + 1);
    r->g->def.joins = r->joins;
    yyjson_arr_foreach(list, i, n, v) {
        if (rc == 0)
            rc = read_join(r, v);
    }
    return rc;
}

/* --- a graph --- */

static const char *schema(struct reader *r, yyjson_val *schemas, const char *key) {
    yyjson_val *v = json_get(schemas, key);
    return yyjson_is_obj(v) ? json_text(r->a, v).p : "{\"type\":\"object\"}";
}

static int read_graph(struct reader *r, yyjson_val *v) {
    struct graph_def *def = &r->g->def;
    str id = json_str(json_get(v, "id")), about = json_str(json_get(v, "description"));
    yyjson_val *schemas = json_get(v, "schemas");
    if (!name_is_valid(id, false))
        return bad_name(r, id, "the graph");
    def->id = arena_z(r->a, id);
    def->description = arena_z(r->a, about);
    def->input_schema = schema(r, schemas, "input");
    def->output_schema = schema(r, schemas, "output");
    def->state_schema = schema(r, schemas, "state");
    def->config_schema = schema(r, schemas, "config");
    def->context_schema = schema(r, schemas, "context");
    for (size_t i = 0; i < r->before->count; i++)
        if (strcmp(r->before->graphs[i]->def.id, def->id) == 0)
            return err_set(r->err, ERR_INVALID, "%s: is there twice", def->id);
    int rc = read_channels(r, json_get(v, "channels"));
    if (rc == 0)
        rc = read_nodes(r, json_get(v, "nodes"));
    if (rc == 0)
        rc = read_edges(r, json_get(v, "edges"));
    return rc == 0 ? read_joins(r, json_get(v, "joins")) : rc;
}

static int describe_one(yyjson_val *v, const struct graph_runner *port, struct runner *runner,
                        const struct registry *known, struct runner_description *d,
                        struct err *err) {
    struct runner_graph *g = NEW(struct runner_graph);
    struct reader r = {.g = g, .a = &g->arena, .known = known, .before = d, .err = err};
    arena_init(&g->arena, SIZE_MAX / 2); /* the answer was capped */
    g->refs = 1;
    g->runner = runner;
    g->def.runner = port;
    g->def.ref = graph_ref;
    g->def.unref = graph_unref;
    int rc = read_graph(&r, v);
    if (rc < 0) {
        (void)err_context(err, "graphs[%zu]", d->count);
        graph_unref(&g->def);
        return rc;
    }
    d->graphs[d->count++] = g;
    return 0;
}

int runner_describe(yyjson_val *answer, const struct graph_runner *port, struct runner *runner,
                    const struct registry *known, struct runner_description *out,
                    struct err *err) {
    yyjson_val *version = json_get(answer, "protocol"), *list = json_get(answer, "graphs"), *v;
    struct runner_description *d = out;
    size_t i, n;
    int rc = 0;
    d->count = 0;
    if (!yyjson_is_int(version) || yyjson_get_sint(version) != RUNNER_PROTOCOL)
        return err_set(err, ERR_UNSUPPORTED, "it does not speak version %d of the protocol",
                       RUNNER_PROTOCOL);
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > RUNNER_GRAPHS_MAX)
        return err_set(err, ERR_INVALID, "graphs: must be an array of at most %d",
                       RUNNER_GRAPHS_MAX);
    yyjson_arr_foreach(list, i, n, v) {
        if (rc == 0)
            rc = describe_one(v, port, runner, known, d, err);
    }
    if (rc < 0)
        runner_description_unref(d);
    return rc;
}
