/* SPDX-License-Identifier: Apache-2.0 */
/* document_nodes.c - reads the nodes of a document, one function a kind.
 *
 * A new kind: a row in KINDS with its members, its reader, its run function, a section in
 * docs/reference/graph-documents.md and in spec/graph-document.schema.json. */
#include "graphs/document_int.h"

#define COMMON "kind description writes retry timeout"

struct kind_def {
    const char *name;
    node_fn run;
    const char *known;
    void (*read)(const struct doc_object *o, struct doc_node *n, struct node_def *def);
};

/* --- parts that several kinds have --- */

static void read_writes(const struct doc_object *node, struct doc_node *n) {
    yyjson_val *v = json_get(node->v, "writes"), *key, *value;
    size_t i, count;
    if (!v)
        return;
    struct doc_object o = {node->r, v, {.up = &node->at, .key = STR("writes")}};
    doc_known(&o, NULL);
    n->has_writes = true;
    n->writes = ARENA_ARRAY(o.r->a, struct doc_write, yyjson_obj_size(v) + 1);
    yyjson_obj_foreach(v, i, count, key, value) {
        struct doc_at at = {.up = &o.at, .key = json_str(key)};
        const struct channel_def *c = doc_channel(o.r, json_str(key));
        if (!c)
            doc_fault(o.r, &at, "there is no channel of this name");
        const struct expr *e = doc_expr_at(o.r, value, &at);
        if (c && e)
            n->writes[n->write_count++] = (struct doc_write){c->name, c->kind, e};
    }
}

static int64_t seconds(const struct doc_object *o, const char *key, double min, double max,
                       double fallback) {
    return (int64_t)(doc_number(o, key, min, max, fallback) * 1e6);
}

static void read_retry(const struct doc_object *node, struct node_def *def) {
    yyjson_val *v = json_get(node->v, "retry");
    if (!v)
        return;
    struct doc_object o = {node->r, v, {.up = &node->at, .key = STR("retry")}};
    doc_known(&o, "attempts initial_seconds factor max_seconds jitter");
    def->retry = (struct node_retry){
        .attempts_max = (int)doc_number(&o, "attempts", 1, 20, 3),
        .initial_us = seconds(&o, "initial_seconds", 0, 600, 0.5),
        .factor = doc_number(&o, "factor", 1, 10, 2),
        .max_us = seconds(&o, "max_seconds", 0, 3600, 128),
        .jitter = doc_bool(&o, "jitter", true),
    };
}

/* tools: "config", or an array of names. */
static void check_tools(const struct doc_object *node) {
    yyjson_val *v = json_get(node->v, "tools"), *name;
    size_t i, n;
    struct doc_at list = {.up = &node->at, .key = STR("tools")};
    if (!v || str_eq(json_str(v), STR("config")))
        return;
    if (!yyjson_is_arr(v)) {
        doc_fault(node->r, &list, "must be an array of names of tools, or \"config\"");
        return;
    }
    yyjson_arr_foreach(v, i, n, name) {
        struct doc_at at = {.up = &list, .index = i};
        if (!tool_find(json_str(name)))
            doc_fault(node->r, &at, "must be one of " STR_FMT,
                      STR_ARG(tools_names(node->r->faults->a, ~0u)));
    }
}

static const char *read_messages_channel(const struct doc_object *o, const char *key) {
    str name = doc_str(o, key, DOCUMENT_NAME_MAX);
    const struct channel_def *c = doc_channel(o->r, name.p ? name : STR("messages"));
    if (c && c->kind == CHANNEL_MESSAGES)
        return c->name;
    if (name.p)
        doc_member_fault(o, key, "there is no channel of messages of this name");
    return NULL;
}

/* --- the kinds --- */

static void read_model(const struct doc_object *o, struct doc_node *n, struct node_def *def) {
    (void)def;
    n->system = doc_template(o, "system", false);
    n->prompt = doc_template(o, "prompt", false);
    n->messages = doc_expr(o, "messages", false);
    n->iterations = doc_expr(o, "iterations", false);
    n->channel = read_messages_channel(o, "channel");
    (void)doc_str(o, "model", 200);
    (void)doc_str(o, "base_url", 2000);
    (void)doc_number(o, "temperature", 0, 2, 0);
    (void)doc_number(o, "max_tokens", 1, 10000000, 1);
    check_tools(o);
    if (!json_get(o->v, "prompt") && !json_get(o->v, "messages") && !n->channel)
        doc_member_fault(o, "prompt", "is missing: there is no channel of messages either");
    if (!n->has_writes && !n->channel)
        doc_member_fault(o, "writes", "is missing: there is no channel of messages either");
}

static void read_tools(const struct doc_object *o, struct doc_node *n, struct node_def *def) {
    (void)def;
    n->channel = read_messages_channel(o, "channel");
    check_tools(o);
    if (!json_get(o->v, "tools"))
        doc_member_fault(o, "tools", "is missing: what may be run");
    if (!n->channel)
        doc_member_fault(o, "channel", "there is no channel of messages");
}

/* An object whose members are expressions (or texts with expressions). */
static void read_members(const struct doc_object *node, const char *key, bool texts,
                         struct doc_node *n) {
    yyjson_val *v = json_get(node->v, key), *name, *value;
    size_t i, count;
    if (!v)
        return;
    struct doc_object o = {node->r, v, {.up = &node->at, .key = str_of(key)}};
    doc_known(&o, NULL);
    n->members = ARENA_ARRAY(o.r->a, struct doc_member, yyjson_obj_size(v) + 1);
    yyjson_obj_foreach(v, i, count, name, value) {
        struct doc_at at = {.up = &o.at, .key = json_str(name)};
        struct doc_member *m = &n->members[n->member_count++];
        m->name = arena_dup(o.r->a, json_str(name));
        if (texts)
            m->text = doc_template_at(o.r, value, &at);
        else
            m->value = doc_expr_at(o.r, value, &at);
    }
}

static void read_tool(const struct doc_object *o, struct doc_node *n, struct node_def *def) {
    (void)def;
    str name = doc_str(o, "tool", 200);
    n->tool = name.p ? tool_find(name) : NULL;
    if (!n->tool)
        doc_member_fault(o, "tool", "must be one of " STR_FMT,
                         STR_ARG(tools_names(o->r->faults->a, ~0u)));
    read_members(o, "arguments", false, n);
    n->tolerant = doc_bool(o, "failure_is_result", false);
}

static bool header_is_valid(str name) {
    static const char *const ours[] = {"host", "content-length", "transfer-encoding", "connection"};
    for (size_t i = 0; i < ARRAY_COUNT(ours); i++)
        if (str_ieq(name, str_of(ours[i])))
            return false;
    for (size_t i = 0; i < name.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", name.p[i]))
            return false;
    return name.len > 0 && name.len <= 100;
}

static void read_http(const struct doc_object *o, struct doc_node *n, struct node_def *def) {
    static const struct {
        str name;
        enum http_method method;
    } methods[] = {{STR("GET"), HTTP_GET},
                   {STR("POST"), HTTP_POST},
                   {STR("PUT"), HTTP_PUT},
                   {STR("PATCH"), HTTP_PATCH},
                   {STR("DELETE"), HTTP_DELETE}};
    str name = doc_str(o, "method", 10);
    size_t i = 0;
    (void)def;
    while (name.p && i < ARRAY_COUNT(methods) && !str_eq(methods[i].name, name))
        i++;
    if (i == ARRAY_COUNT(methods))
        doc_member_fault(o, "method", "must be GET, POST, PUT, PATCH or DELETE");
    else
        n->method = methods[i].method;
    n->url = doc_template(o, "url", true);
    n->body = doc_expr(o, "body", false);
    n->tolerant = doc_bool(o, "failure_is_result", false);
    n->http_timeout_us = seconds(o, "timeout", 0.001, 600, 30);
    read_members(o, "headers", true, n);
    if (n->member_count > 32)
        doc_member_fault(o, "headers", "must be at most 32");
    for (i = 0; i < n->member_count; i++)
        if (!header_is_valid(n->members[i].name))
            doc_member_fault(o, "headers", "\"%.*s\" is no header that may be set",
                             STR_ARG(str_slice(n->members[i].name, 0, 100)));
}

static void read_map(const struct doc_object *o, struct doc_node *n, struct node_def *def) {
    struct doc_at at = {.up = &o->at, .key = STR("to")};
    (void)def;
    n->over = doc_expr(o, "over", true);
    n->to = doc_node_of(o->r, json_get(o->v, "to"), &at, false, false);
    doc_leads(o->r, n->index, n->to);
}

static void read_gate(const struct doc_object *o, struct doc_node *n, struct node_def *def) {
    (void)def;
    n->payload = doc_expr(o, "payload", true);
    n->when = doc_expr(o, "when", false);
}

static void read_transform(const struct doc_object *o, struct doc_node *n, struct node_def *def) {
    (void)def;
    if (!n->has_writes)
        doc_member_fault(o, "writes", "is missing: a transform does nothing else");
}

static void read_subgraph(const struct doc_object *o, struct doc_node *n, struct node_def *def) {
    str id = doc_str(o, "graph", DOCUMENT_NAME_MAX);
    (void)n;
    def->subgraph = id.p && o->r->finder ? o->r->finder->find(o->r->finder->ctx, id) : NULL;
    if (!id.p)
        doc_member_fault(o, "graph", "is missing: the id of a graph");
    else if (!def->subgraph)
        doc_member_fault(o, "graph", "there is no graph \"%.*s\"", STR_ARG(id));
}

static const struct kind_def KINDS[] = {
    [DOC_MODEL] = {"model", document_run_model,
                   COMMON " model base_url temperature max_tokens system prompt messages channel "
                          "tools iterations",
                   read_model},
    [DOC_TOOLS] = {"tools", document_run_tools, COMMON " channel tools", read_tools},
    [DOC_TOOL] = {"tool", document_run_tool, COMMON " tool arguments failure_is_result", read_tool},
    [DOC_HTTP] = {"http", document_run_http, COMMON " method url headers body failure_is_result",
                  read_http},
    [DOC_MAP] = {"map", document_run_map, COMMON " over to", read_map},
    [DOC_GATE] = {"gate", document_run_gate, COMMON " payload when", read_gate},
    [DOC_TRANSFORM] = {"transform", document_run_transform, COMMON, read_transform},
    [DOC_SUBGRAPH] = {"subgraph", NULL, "kind description graph retry timeout", read_subgraph},
};

static const struct kind_def *kind_of(const struct doc_object *o) {
    str word = json_str(json_get(o->v, "kind"));
    for (size_t i = 0; i < ARRAY_COUNT(KINDS) && word.p; i++)
        if (str_eq(word, str_of(KINDS[i].name)))
            return &KINDS[i];
    doc_member_fault(o, "kind",
                     "must be model, tools, tool, http, map, gate, transform or subgraph");
    return NULL;
}

void document_read_node(struct doc_reader *r, int index, yyjson_val *v, const struct doc_at *at) {
    struct doc_object o = {r, v, *at};
    struct doc_node *n = &r->doc->nodes[index];
    const struct kind_def *kind = yyjson_is_obj(v) ? kind_of(&o) : NULL;
    struct node_def def = {.name = arena_z(r->a, r->names[index]), .data = n};
    *n = (struct doc_node){.doc = r->doc, .index = index, .own = v, .to = DOC_NO_NODE};
    doc_known(&o, kind ? kind->known : NULL);
    if (!kind)
        return;
    n->kind = (enum doc_kind)(kind - KINDS);
    def.run = kind->run;
    def.eager = n->kind == DOC_MODEL && !json_get(v, "tools");
    read_writes(&o, n);
    read_retry(&o, &def);
    if (n->kind != DOC_HTTP)
        def.timeout_us = seconds(&o, "timeout", 0.001, 86400, 0);
    kind->read(&o, n, &def);
    if (def.run || def.subgraph)
        (void)graph_builder_node(r->builder, &def);
}
