/* SPDX-License-Identifier: Apache-2.0 */
/* scope.c - the values of a run as expressions see them.
 *
 * A channel without a value is null. Messages are their flat form. Secrets never get here: config
 * is what compiling a graph may look at. */
#include "graphs/scope.h"

static struct expr_value messages_value(struct scope *s, const char *channel) {
    size_t count = graph_view_message_count(s->view, channel);
    struct expr_value *items = ARENA_ARRAY(s->a, struct expr_value, count + 1);
    for (size_t i = 0; i < count; i++)
        items[i] = expr_of_json(graph_view_message(s->view, channel, i)->root);
    return (struct expr_value){.kind = EXPR_ARRAY, .items = items, .count = count};
}

static struct expr_value channel_value(struct scope *s, const struct channel_def *c) {
    yyjson_val *v;
    if (c->kind == CHANNEL_MESSAGES)
        return messages_value(s, c->name);
    str json = graph_view_value(s->view, c->name);
    if (!json.p || json_parse(s->a, json, &v, NULL) < 0)
        v = NULL;
    return expr_of_json(v);
}

static struct expr_value load_channel(void *ctx, str key) {
    struct scope *s = ctx;
    for (size_t i = 0; i < s->graph->channel_count; i++) {
        if (!str_eq(key, str_of(s->graph->channels[i].name)))
            continue;
        if (!s->known[i])
            s->channels[i] = channel_value(s, &s->graph->channels[i]);
        s->known[i] = true;
        return s->channels[i];
    }
    UNREACHABLE();
}

static struct expr_value load_result(void *ctx, str key) {
    (void)key;
    return ((struct scope *)ctx)->result;
}

static struct expr_value load_item(void *ctx, str key) {
    struct scope *s = ctx;
    yyjson_val *v = NULL;
    (void)key;
    if (!s->has_item && s->ctx && s->ctx->input.p && json_parse(s->a, s->ctx->input, &v, NULL) < 0)
        v = NULL;
    if (!s->has_item)
        s->item = expr_of_json(v);
    s->has_item = true;
    return s->item;
}

static struct expr_value load_run(void *ctx, str key) {
    struct scope *s = ctx;
    (void)key;
    if (!s->ctx)
        return (struct expr_value){0};
    s->run[0] = (struct expr_member){STR("run_id"), expr_of_str(id_dashed(s->a, s->ctx->run_id))};
    s->run[1] =
        (struct expr_member){STR("thread_id"), expr_of_str(id_dashed(s->a, s->ctx->thread_id))};
    s->run[2] = (struct expr_member){STR("step"), expr_of_int(s->ctx->step)};
    s->run[3] = (struct expr_member){STR("attempt"), expr_of_int(s->ctx->attempt)};
    return expr_of_members(s->run, ARRAY_COUNT(s->run));
}

static struct expr_value load_preferences(void *ctx, str key) {
    struct scope *s = ctx;
    (void)key;
    return expr_of_json(s->ctx ? json_get(s->ctx->configurable, "preferences") : NULL);
}

void scope_init(struct scope *s, struct arena *a, const struct graph_view *view,
                const struct graph_def *graph, yyjson_val *config) {
    s->a = a;
    s->view = view;
    s->graph = graph;
    s->ctx = NULL;
    s->config = config;
    s->result = (struct expr_value){0};
    s->has_item = false;
    ASSERT(graph->channel_count <= SCOPE_CHANNELS_MAX);
    for (size_t i = 0; i < graph->channel_count; i++) {
        s->known[i] = false;
        s->state[i] =
            (struct expr_member){str_of(graph->channels[i].name), expr_of_lazy(load_channel, s)};
    }
    static const struct expr_value empty = {.kind = EXPR_OBJECT};
    s->top[0] = (struct expr_member){STR("state"), expr_of_members(s->state, graph->channel_count)};
    s->top[1] = (struct expr_member){STR("item"), expr_of_lazy(load_item, s)};
    s->top[2] = (struct expr_member){STR("config"), config ? expr_of_json(config) : empty};
    s->top[3] = (struct expr_member){STR("run"), expr_of_lazy(load_run, s)};
    s->top[4] = (struct expr_member){STR("result"), expr_of_lazy(load_result, s)};
    s->top[5] = (struct expr_member){STR("preferences"), expr_of_lazy(load_preferences, s)};
}

void scope_init_node(struct scope *s, struct node_ctx *ctx, yyjson_val *config) {
    scope_init(s, ctx->arena, ctx->state, ctx->graph, config);
    s->ctx = ctx;
}

struct expr_value scope_root(struct scope *s) {
    return expr_of_members(s->top, ARRAY_COUNT(s->top));
}

int scope_eval(struct scope *s, const struct expr *e, struct expr_value *out, struct err *err) {
    struct expr_value root = scope_root(s);
    return expr_eval(e, &root, s->a, NULL, out, err);
}
