/* SPDX-License-Identifier: Apache-2.0 */
/* document.c - a JSON document to a graph: channels, nodes, edges, joins, schemas.
 *
 * The document is copied into the graph's arena first, so that what the nodes keep of it lives as
 * long as the graph. All of it is read even after a fault, for whoever writes a document wants to
 * hear of all faults at once; a graph with a fault is thrown away.
 *
 * A new member of the document: here, in docs/reference/graph-documents.md and in
 * spec/graph-document.schema.json. */
#include "graphs/document.h"

#include "engine/reduce.h"
#include "engine/state.h"
#include "graphs/document_int.h"
#include "model/words.h"

bool document_name_is_valid(str name) {
    if (name.len == 0 || name.len > DOCUMENT_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '-')))
            return false;
    }
    return !str_starts(name, STR("__"));
}

/* --- channels --- */

static bool read_reducer(const struct doc_object *o, struct channel_def *c) {
    yyjson_val *v = json_get(o->v, "reducer");
    str word = v ? json_str(v) : STR("last_value");
    if (channel_read_reducer(c, word))
        return true;
    doc_member_fault(o, "reducer",
                     "must be last_value, any, messages, append, topic, ephemeral, sum, product, "
                     "min, max, and, or, concat or merge");
    return false;
}

static void read_channel(struct doc_reader *r, str name, yyjson_val *v, const struct doc_at *at) {
    struct doc_object o = {r, v, *at};
    struct channel_def c = {.name = arena_z(r->a, name)};
    doc_known(&o, "reducer schema initial input output accumulate description");
    if (!document_name_is_valid(name))
        doc_fault(r, at, "the name must be letters, digits, _ and -, at most %d",
                  DOCUMENT_NAME_MAX);
    if (!yyjson_is_obj(v) || !read_reducer(&o, &c))
        return;
    c.in_input = doc_bool(&o, "input", true);
    c.in_output = doc_bool(&o, "output", true);
    c.accumulate = doc_bool(&o, "accumulate", false);
    if (c.accumulate && c.kind != CHANNEL_TOPIC)
        doc_member_fault(&o, "accumulate", "is for the reducer topic only");
    yyjson_val *initial = json_get(v, "initial"), *schema = json_get(v, "schema");
    if (initial && !channel_fits_initial(&c, initial))
        doc_member_fault(&o, "initial", "does not fit the reducer");
    else if (initial)
        c.initial = json_text(r->a, initial).p;
    if (schema && !yyjson_is_obj(schema))
        doc_member_fault(&o, "schema", "must be an object: a JSON Schema");
    r->channels[r->channel_count++] = c;
    graph_builder_channel(r->builder, &c);
}

static void read_channels(struct doc_reader *r, const struct doc_at *top) {
    yyjson_val *list = json_get(r->root, "channels"), *key, *value;
    struct doc_object o = {r, list, {.up = top, .key = STR("channels")}};
    size_t i, n;
    if (!list) {
        doc_fault(r, &o.at, "is missing: an object of channels");
        return;
    }
    doc_known(&o, NULL);
    if (yyjson_obj_size(list) > DOCUMENT_CHANNELS_MAX) {
        doc_fault(r, &o.at, "has more than %d members", DOCUMENT_CHANNELS_MAX);
        return;
    }
    yyjson_obj_foreach(list, i, n, key, value) {
        struct doc_at at = {.up = &o.at, .key = json_str(key)};
        read_channel(r, json_str(key), value, &at);
    }
}

/* --- nodes --- */

static void read_nodes(struct doc_reader *r, const struct doc_at *top) {
    yyjson_val *list = json_get(r->root, "nodes"), *key, *value;
    struct doc_object o = {r, list, {.up = top, .key = STR("nodes")}};
    size_t i, n;
    if (!list || (yyjson_is_obj(list) && yyjson_obj_size(list) == 0)) {
        doc_fault(r, &o.at, "is missing: an object of at least one node");
        return;
    }
    doc_known(&o, NULL);
    if (yyjson_obj_size(list) > GRAPH_NODES_MAX) {
        doc_fault(r, &o.at, "has more than %d members", GRAPH_NODES_MAX);
        return;
    }
    yyjson_obj_foreach(list, i, n, key, value) {
        struct doc_at at = {.up = &o.at, .key = json_str(key)};
        r->names[r->name_count++] = json_str(key);
        if (!document_name_is_valid(json_str(key)) || str_eq(json_str(key), STR("START")) ||
            str_eq(json_str(key), STR("END")))
            doc_fault(r, &at,
                      "the name must be letters, digits, _ and -, at most %d, and neither START "
                      "nor END",
                      DOCUMENT_NAME_MAX);
        if (doc_channel(r, json_str(key)))
            doc_fault(r, &at, "a node must not have the name of a channel");
    }
    r->doc->node_count = r->name_count;
    yyjson_obj_foreach(list, i, n, key, value) {
        struct doc_at at = {.up = &o.at, .key = json_str(key)};
        document_read_node(r, (int)i, value, &at);
    }
}

/* --- edges --- */

static int edge_eval(const struct graph_view *v, void *compiled, const struct expr *e,
                     struct arena *a, struct expr_value *out, struct err *err) {
    const struct doc_compiled *c = compiled;
    struct scope s;
    scope_init(&s, a, v, v->graph, c->config);
    return scope_eval(&s, e, out, err);
}

static int edge_when(const struct graph_view *v, void *compiled, const void *data,
                     struct err *err) {
    const struct doc_edge *edge = data;
    struct arena a;
    struct expr_value value;
    arena_init(&a, (size_t)256 << 20);
    int rc = edge_eval(v, compiled, edge->when, &a, &value, err);
    if (rc == 0)
        rc = expr_is_true(&value);
    arena_deinit(&a);
    return rc;
}

static int edge_each(const struct graph_view *v, void *compiled, const struct builder_edge *e,
                     struct route *out, struct err *err) {
    const struct doc_edge *edge = e->data;
    struct arena a;
    struct expr_value list;
    str json;
    arena_init(&a, (size_t)256 << 20);
    int rc = edge_eval(v, compiled, edge->each, &a, &list, err);
    if (rc == 0 && list.kind != EXPR_ARRAY && list.kind != EXPR_NULL)
        rc = err_set(err, ERR_INVALID, "what a fan-out goes over must be an array");
    for (size_t i = 0; rc == 0 && i < expr_count(&list); i++) {
        struct expr_value item = expr_at(&list, i);
        rc = expr_json(&a, &item, DOCUMENT_VALUE_BYTES_MAX, &json, err);
        if (rc == 0)
            route_send(out, e->to, json);
    }
    arena_deinit(&a);
    return rc;
}

static void add_edge(struct doc_reader *r, int from, int to, const struct doc_edge *edge,
                     bool otherwise, str label) {
    struct builder_edge e = {.from = from,
                             .to = to,
                             .otherwise = otherwise,
                             .data = edge,
                             .when = edge->when ? edge_when : NULL,
                             .each = edge->each ? edge_each : NULL};
    if (from == DOC_NO_NODE || to == DOC_NO_NODE)
        return;
    if (edge->when || otherwise || edge->each)
        e.label = arena_z(r->a, label);
    doc_leads(r, from, to);
    graph_builder_edge(r->builder, &e);
}

static void read_edge(struct doc_reader *r, yyjson_val *v, const struct doc_at *at) {
    struct doc_object o = {r, v, *at};
    struct doc_at from_at = {.up = at, .key = STR("from")}, to_at = {.up = at, .key = STR("to")};
    struct doc_edge *edge = ARENA_NEW(r->a, struct doc_edge);
    doc_known(&o, "from to when otherwise each label");
    if (!yyjson_is_obj(v))
        return;
    int from = doc_node_of(r, json_get(v, "from"), &from_at, true, false);
    int to = doc_node_of(r, json_get(v, "to"), &to_at, false, true);
    edge->doc = r->doc;
    edge->when = doc_expr(&o, "when", false);
    edge->each = doc_expr(&o, "each", false);
    bool otherwise = doc_bool(&o, "otherwise", false);
    str label = doc_str(&o, "label", 200);
    if (edge->when && otherwise)
        doc_member_fault(&o, "otherwise", "does not go with a condition");
    if (edge->each && to == GRAPH_END)
        doc_member_fault(&o, "each", "does not go with END");
    if (!label.p)
        label = edge->when  ? json_str(json_get(v, "when"))
                : otherwise ? STR("otherwise")
                            : json_str(json_get(v, "each"));
    add_edge(r, from, to, edge, otherwise, str_slice(label, 0, 200));
}

static void read_entry(struct doc_reader *r, const struct doc_at *top) {
    yyjson_val *v = json_get(r->root, "entry"), *item;
    struct doc_at at = {.up = top, .key = STR("entry")};
    struct doc_edge *edge = ARENA_NEW(r->a, struct doc_edge);
    size_t i, n;
    edge->doc = r->doc;
    if (v && !yyjson_is_arr(v))
        add_edge(r, GRAPH_START, doc_node_of(r, v, &at, false, false), edge, false, STR_NULL);
    yyjson_arr_foreach(v, i, n, item) {
        struct doc_at one = {.up = &at, .index = i};
        add_edge(r, GRAPH_START, doc_node_of(r, item, &one, false, false), edge, false, STR_NULL);
        if (i >= GRAPH_NODES_MAX)
            break;
    }
}

static void read_join(struct doc_reader *r, yyjson_val *v, const struct doc_at *at) {
    struct doc_object o = {r, v, *at};
    struct doc_at to_at = {.up = at, .key = STR("to")}, list = {.up = at, .key = STR("from")};
    yyjson_val *from = json_get(v, "from"), *item;
    int nodes[GRAPH_NODES_MAX];
    size_t i, n, count = 0;
    doc_known(&o, "from to");
    if (!yyjson_is_obj(v))
        return;
    int to = doc_node_of(r, json_get(v, "to"), &to_at, false, false);
    if (yyjson_arr_size(from) < 2 || yyjson_arr_size(from) > GRAPH_NODES_MAX) {
        doc_fault(r, &list, "must be an array of at least two nodes");
        return;
    }
    yyjson_arr_foreach(from, i, n, item) {
        struct doc_at one = {.up = &list, .index = i};
        nodes[count] = doc_node_of(r, item, &one, false, false);
        doc_leads(r, nodes[count], to);
        for (size_t k = 0; k < count; k++)
            if (nodes[k] == nodes[count])
                doc_fault(r, &one, "appears twice");
        count += nodes[count] != DOC_NO_NODE;
    }
    if (to != DOC_NO_NODE && count)
        graph_builder_join(r->builder, nodes, count, to);
}

static void read_list(struct doc_reader *r, const struct doc_at *top, const char *key,
                      void (*read)(struct doc_reader *, yyjson_val *, const struct doc_at *)) {
    yyjson_val *list = json_get(r->root, key), *item;
    struct doc_at at = {.up = top, .key = str_of(key)};
    size_t i, n;
    if (!list)
        return;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > DOCUMENT_EDGES_MAX) {
        doc_fault(r, &at, "must be an array of at most %d members", DOCUMENT_EDGES_MAX);
        return;
    }
    yyjson_arr_foreach(list, i, n, item) {
        struct doc_at one = {.up = &at, .index = i};
        read(r, item, &one);
    }
}

/* --- schemas --- */

static void write_property(struct json_writer *w, const struct channel_def *c, yyjson_val *schema) {
    jw_key(w, c->name);
    if (schema) {
        jw_val(w, schema);
    } else if (c->kind == CHANNEL_MESSAGES) {
        jw_raw(w, STR("{\"title\":\"Messages\",\"langgraph_type\":\"messages\",\"type\":\"array\","
                      "\"items\":{\"type\":\"object\"},\"default\":[]}"));
    } else if (c->kind == CHANNEL_LIST || c->kind == CHANNEL_TOPIC) {
        jw_raw(w, STR("{\"type\":\"array\"}"));
    } else {
        jw_raw(w, STR("{}"));
    }
}

enum schema_of { OF_INPUT, OF_OUTPUT, OF_STATE };

static str channels_schema(struct doc_reader *r, enum schema_of which, const char *title) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "$schema");
    jw_z(&w, "https://json-schema.org/draft/2020-12/schema");
    jw_key(&w, "title");
    jw_z(&w, title);
    jw_key(&w, "type");
    jw_z(&w, "object");
    jw_key(&w, "properties");
    jw_object(&w);
    for (size_t i = 0; i < r->channel_count; i++) {
        const struct channel_def *c = &r->channels[i];
        if ((which == OF_INPUT && !c->in_input) || (which == OF_OUTPUT && !c->in_output))
            continue;
        yyjson_val *def = json_get_str(json_get(r->root, "channels"), str_of(c->name));
        write_property(&w, c, json_get(def, "schema"));
    }
    jw_object_end(&w);
    jw_object_end(&w);
    return arena_take(r->a, &b);
}

/* The document's own schema of this name, or absent. */
static str own_schema(struct doc_reader *r, const struct doc_at *top, const char *key) {
    yyjson_val *v = json_get(r->root, key);
    struct doc_at at = {.up = top, .key = str_of(key)};
    if (!v)
        return STR_NULL;
    if (!yyjson_is_obj(v))
        doc_fault(r, &at, "must be an object: a JSON Schema");
    return json_text(r->a, v);
}

static void read_schemas(struct doc_reader *r, const struct doc_at *top) {
    struct builder_schemas s = {.input = own_schema(r, top, "input"),
                                .output = own_schema(r, top, "output"),
                                .config = own_schema(r, top, "config")};
    if (!s.input.p)
        s.input = channels_schema(r, OF_INPUT, "Input");
    if (!s.output.p)
        s.output = channels_schema(r, OF_OUTPUT, "Output");
    s.state = channels_schema(r, OF_STATE, "State");
    s.context = s.config;
    graph_builder_schemas(r->builder, &s);
}

/* What the configuration's schema says is the default of its members. */
static yyjson_val *read_defaults(struct doc_reader *r) {
    yyjson_val *properties = json_get(json_get(r->root, "config"), "properties"), *key, *value,
               *out;
    size_t i, n;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    if (yyjson_is_obj(properties)) {
        yyjson_obj_foreach(properties, i, n, key, value) {
            if (!json_has(value, "default"))
                continue;
            jw_key_str(&w, json_str(key));
            jw_val(&w, json_get(value, "default"));
        }
    }
    jw_object_end(&w);
    int rc = json_parse(r->a, arena_dup(r->a, buf_view(&b)), &out, NULL);
    ASSERT(rc == 0);
    buf_deinit(&b);
    return out;
}

/* --- the whole --- */

static void read_all(struct doc_reader *r, const struct doc_at *top) {
    struct doc_object o = {r, r->root, *top};
    doc_known(&o,
              "$schema id name description channels nodes edges joins entry input output config");
    (void)doc_str(&o, "name", 200);
    r->doc->defaults = read_defaults(r);
    read_channels(r, top);
    read_nodes(r, top);
    read_entry(r, top);
    read_list(r, top, "edges", read_edge);
    read_list(r, top, "joins", read_join);
    read_schemas(r, top);
    document_check(r);
}

static str read_id(yyjson_val *root, str id, struct doc_reader *r, const struct doc_at *top) {
    struct doc_at at = {.up = top, .key = STR("id")};
    yyjson_val *v = json_get(root, "id");
    if (v && !document_name_is_valid(json_str(v)))
        doc_fault(r, &at, "must be letters, digits, _ and -, at most %d", DOCUMENT_NAME_MAX);
    else if (v && id.p && !str_eq(json_str(v), id))
        doc_fault(r, &at, "must be \"%.*s\", or be left out", STR_ARG(str_slice(id, 0, 100)));
    else if (!v && !id.p)
        doc_fault(r, &at, "is missing: the name of the graph");
    return v && json_str(v).p ? json_str(v) : id.p ? id : STR("");
}

static int first_fault(const struct graph_faults *f, struct err *err) {
    const struct graph_fault *one = &f->list[0];
    if (f->count == 1)
        return err_set(err, ERR_INVALID, "%.*s: %.*s", STR_ARG(one->pointer), STR_ARG(one->text));
    return err_set(err, ERR_INVALID, "%.*s: %.*s (and %zu more)", STR_ARG(one->pointer),
                   STR_ARG(str_slice(one->text, 0, 160)), f->count - 1);
}

int document_build(yyjson_val *root, str id, const struct graph_finder *finder,
                   struct graph_faults *faults, const struct graph_def **out, struct err *err) {
    struct doc_reader *r = ARENA_NEW(faults->a, struct doc_reader);
    struct doc_at top = {0};
    r->faults = faults;
    r->finder = finder;
    faults->count = 0;
    if (!yyjson_is_obj(root)) {
        doc_fault(r, &top, "must be an object");
        return first_fault(faults, err);
    }
    str text = json_text(faults->a, root);
    if (text.len > DOCUMENT_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "a graph document has at most %zu bytes",
                       DOCUMENT_BYTES_MAX);
    str name = read_id(root, id, r, &top);
    r->builder = graph_builder_new(name, json_str(json_get(root, "description")));
    r->a = graph_builder_arena(r->builder);
    r->doc = ARENA_NEW(r->a, struct doc);
    int rc = json_parse(r->a, arena_dup(r->a, text), &r->root, err);
    if (rc == 0) {
        read_all(r, &top);
        graph_builder_compile(r->builder, document_compile, document_free_compiled);
        rc = faults->count ? first_fault(faults, err) : 0;
    }
    if (rc < 0)
        graph_builder_free(r->builder);
    else
        *out = graph_builder_finish(r->builder);
    return rc;
}

size_t document_subgraphs(yyjson_val *root, str *out, size_t max) {
    yyjson_val *nodes = json_get(root, "nodes"), *key, *value;
    size_t i, n, count = 0;
    if (!yyjson_is_obj(nodes))
        return 0;
    yyjson_obj_foreach(nodes, i, n, key, value) {
        str id = json_str(json_get(value, "graph"));
        if (id.p && count < max && str_eq(json_str(json_get(value, "kind")), STR("subgraph")))
            out[count++] = id;
    }
    return count;
}

const struct graph_documents GRAPH_DOCUMENTS = {document_build, document_subgraphs,
                                                document_name_is_valid};
