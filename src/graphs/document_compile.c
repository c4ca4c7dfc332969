/* SPDX-License-Identifier: Apache-2.0 */
/* document_compile.c - a document with a configuration: what the runs that have both share.
 *
 * config: the configuration over the defaults of the document's config schema; null and "" count as
 * not set, since forms send every field. Models: each model and tools node has the assistant's
 * settings (model, address, temperature …) under its own; its prompt and its tools are the node's,
 * unless it says `"tools": "config"`. Like every compiled form it holds no secret. */
#include "base/mem.h"
#include "graphs/document_int.h"

static bool is_set(yyjson_val *v) {
    return v && !yyjson_is_null(v) && !(yyjson_is_str(v) && yyjson_get_len(v) == 0);
}

/* Text to value, in the arena. */
static yyjson_val *finish(struct arena *a, struct buf *b) {
    yyjson_val *v = NULL;
    int rc = json_parse(a, arena_dup(a, buf_view(b)), &v, NULL);
    ASSERT(rc == 0);
    buf_deinit(b);
    return v;
}

static yyjson_val *merge_config(struct arena *a, yyjson_val *defaults, yyjson_val *config) {
    size_t i, n;
    yyjson_val *key, *value;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    yyjson_obj_foreach(defaults, i, n, key, value) {
        if (is_set(json_get_str(config, json_str(key))))
            continue;
        jw_key_str(&w, json_str(key));
        jw_val(&w, value);
    }
    if (yyjson_is_obj(config)) {
        yyjson_obj_foreach(config, i, n, key, value) {
            if (!is_set(value) || json_get_str(config, json_str(key)) != value)
                continue;
            jw_key_str(&w, json_str(key));
            jw_val(&w, value);
        }
    }
    jw_object_end(&w);
    return finish(a, &b);
}

struct setting {
    const char *own, *config; /* the node's member, and the configuration's that it replaces */
};
static const struct setting SETTINGS[] = {{"model", "model_name"},
                                          {"base_url", "base_url"},
                                          {"temperature", "temperature"},
                                          {"max_tokens", "max_tokens"}};

/* Members of the configuration that a node decides by itself. */
static bool is_left_out(const struct doc_node *n, str key, bool tools_of_config) {
    static const char *const tools[] = {"tools", "mcp_config", "rag"};
    if (str_eq(key, STR("system_prompt")))
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(tools) && !tools_of_config; i++)
        if (str_eq(key, str_of(tools[i])))
            return true;
    for (size_t i = 0; i < ARRAY_COUNT(SETTINGS); i++)
        if (json_get(n->own, SETTINGS[i].own) && str_eq(key, str_of(SETTINGS[i].config)))
            return true;
    /* A model of its own is not found at the assistant's address. */
    return json_get(n->own, "model") &&
           (str_eq(key, STR("model")) || str_eq(key, STR("custom_model_name")) ||
            str_eq(key, STR("base_url")));
}

static yyjson_val *model_config(struct arena *a, const struct doc_node *n, yyjson_val *config) {
    yyjson_val *tools = json_get(n->own, "tools"), *key, *value;
    bool of_config = yyjson_is_str(tools);
    size_t i, count;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    yyjson_obj_foreach(config, i, count, key, value) {
        if (is_left_out(n, json_str(key), of_config))
            continue;
        jw_key_str(&w, json_str(key));
        jw_val(&w, value);
    }
    for (i = 0; i < ARRAY_COUNT(SETTINGS); i++) {
        if (!json_get(n->own, SETTINGS[i].own))
            continue;
        jw_key(&w, SETTINGS[i].config);
        jw_val(&w, json_get(n->own, SETTINGS[i].own));
    }
    if (!of_config) {
        jw_key(&w, "tools");
        jw_raw(&w, tools ? json_text(a, tools) : STR("[]"));
    }
    jw_object_end(&w);
    return finish(a, &b);
}

void document_free_compiled(void *compiled) {
    struct doc_compiled *c = compiled;
    if (!c)
        return;
    for (size_t i = 0; i < GRAPH_NODES_MAX; i++)
        agent_config_free(c->models[i]);
    arena_deinit(&c->arena);
    mem_free(c);
}

static const struct doc *doc_of(const struct graph_def *g) {
    const struct doc_node *first = g->nodes[0].data; /* each has one */
    return first->doc;
}

int document_compile(const struct graph_services *s, const struct graph_config *config, void **out,
                     struct err *err) {
    struct doc_compiled *c = NEW(struct doc_compiled);
    int rc = 0;
    arena_init(&c->arena, SIZE_MAX / 2);
    c->doc = doc_of(config->graph);
    c->config = merge_config(&c->arena, c->doc->defaults, config->configurable);
    for (size_t i = 0; i < c->doc->node_count && rc == 0; i++) {
        const struct doc_node *n = &c->doc->nodes[i];
        if (n->kind == DOC_MODEL || n->kind == DOC_TOOLS)
            rc = agent_config_read(s->settings, model_config(&c->arena, n, c->config),
                                   &c->models[i], err);
    }
    if (rc < 0)
        document_free_compiled(c);
    else
        *out = c;
    return rc;
}
