/* SPDX-License-Identifier: Apache-2.0 */
/* task.c - the port of graph runners (engine/runner.h), spoken to another process.
 *
 *   run     task.run ─▶   ◀─ task.event, task.interrupt ─▶   ◀─ its result: writes, goto, sends
 *   route   edges without conditions are followed here; for the others  graph.route ─▶ ◀─
 *
 * What comes back is a stranger's: names of channels and nodes are looked up, values go through the
 * same readers as those of clients. A task that fails writes nothing, since its writes come with
 * its result only. After a question that nobody has answered yet the task counts as asking,
 * whatever else it says. */
#include "runner/runner_int.h"

#define ROUTE_ATTEMPTS_MAX 3
#define ERROR_TEXT_BYTES   180

static str cut(str s, size_t bytes_max) {
    s = str_slice(s, 0, bytes_max);
    return str_slice(s, 0, str_utf8_prefix(s));
}

/* --- what a task is told --- */

static void key_id(struct json_writer *w, const char *key, struct id id) {
    char text[ID_DASHED_LEN];
    id_write_dashed(id, text);
    jw_key(w, key);
    jw_str(w, str_n(text, sizeof(text)));
}

static void write_config(struct json_writer *w, yyjson_val *configurable) {
    jw_key(w, "config");
    jw_object(w);
    jw_key(w, "configurable");
    if (yyjson_is_obj(configurable))
        jw_val(w, configurable);
    else
        jw_raw(w, STR("{}"));
    jw_object_end(w);
}

static void write_task(void *arg, struct json_writer *w) {
    const struct node_ctx *ctx = arg;
    jw_key(w, "graph");
    jw_z(w, ctx->graph->id);
    jw_key(w, "node");
    jw_z(w, ctx->node->name);
    jw_key(w, "state");
    graph_view_write(ctx->state, w);
    if (ctx->input.p) {
        jw_key(w, "input");
        jw_raw(w, ctx->input);
    }
    write_config(w, ctx->configurable);
    key_id(w, "thread_id", ctx->thread_id);
    key_id(w, "run_id", ctx->run_id);
    key_id(w, "task_id", node_task_id(ctx));
    jw_key(w, "checkpoint_ns");
    jw_str(w, node_name_space(ctx));
    jw_key(w, "owner");
    jw_str(w, ctx->owner.p ? ctx->owner : STR(""));
    jw_key(w, "step");
    jw_i64(w, ctx->step);
    jw_key(w, "attempt");
    jw_i64(w, ctx->attempt);
    jw_key(w, "tokens");
    jw_bool(w, ctx->want_tokens);
    if (trace_context_known(&ctx->trace->context)) {
        char parent[TRACE_PARENT_LEN];
        trace_context_write(&ctx->trace->context, parent);
        jw_key(w, "traceparent");
        jw_str(w, str_n(parent, sizeof(parent)));
    }
}

/* --- what it says on the way --- */

static void take_token(struct node_ctx *ctx, yyjson_val *v) {
    yyjson_val *call = json_get(v, "tool_call");
    struct node_chunk chunk = {.message_id = json_str(json_get(v, "message_id")),
                               .content = json_str(json_get(v, "content"))};
    if (!chunk.message_id.len)
        return;
    if (yyjson_is_obj(call)) {
        int64_t index = yyjson_get_sint(json_get(call, "index"));
        chunk.has_tool_call = true;
        chunk.tool_index = index >= 0 && index < 1000 ? (int)index : 0;
        chunk.tool_id = json_str(json_get(call, "id"));
        chunk.tool_name = json_str(json_get(call, "name"));
        chunk.tool_arguments = json_str(json_get(call, "args"));
    }
    node_emit_chunk(ctx, &chunk);
}

static void take_event(struct node_ctx *ctx, yyjson_val *params) {
    yyjson_val *token = json_get(params, "token"), *custom = json_get(params, "custom");
    struct arena a;
    if (yyjson_is_obj(token))
        take_token(ctx, token);
    if (!custom)
        return;
    arena_init(&a, SIZE_MAX / 2); /* a message is capped; there may be many */
    node_emit_custom(ctx, json_text(&a, custom));
    arena_deinit(&a);
}

struct task_call {
    struct call call;
    struct node_ctx *ctx;
    bool asks; /* nobody has answered yet: the task is over */
};

static int take_question(struct task_call *t, const struct jsonrpc_message *m) {
    struct node_ctx *ctx = t->ctx;
    yyjson_val *value = json_get(m->params, "value"), *answer = NULL;
    str json = json_text(ctx->arena, value);
    int rc = t->asks ? ERR_INTERRUPTED : node_interrupt(ctx, json, &answer, NULL);
    t->asks = rc == ERR_INTERRUPTED;
    if (rc == 0)
        call_reply(&t->call, m->id,
                   arena_printf(ctx->arena, "{\"resume\":" STR_FMT "}",
                                STR_ARG(json_text(ctx->arena, answer))),
                   0, NULL);
    else
        call_reply(&t->call, m->id, STR_NULL, RUNNER_INTERRUPTED, "an answer is waited for");
    return rc == ERR_INTERRUPTED ? 0 : rc;
}

/* --- what it comes to --- */

static int wrong(const struct node_ctx *ctx, struct err *err, const char *what, str name) {
    return err_set(err, ERR_INVALID_UPDATE, "node %s: %s \"%.*s\" that the graph does not have",
                   ctx->node->name, what, STR_ARG(cut(name, 60)));
}

static int write_messages(struct node_ctx *ctx, const char *channel, yyjson_val *v,
                          struct err *err) {
    struct message *list;
    size_t count;
    int rc = message_normalise_list(ctx->arena, v, &list, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        node_write_message(ctx, channel, &list[i]);
    return rc;
}

static int write_one(struct node_ctx *ctx, str name, yyjson_val *v, struct err *err) {
    const struct graph_def *g = ctx->graph;
    for (size_t i = 0; i < g->channel_count; i++) {
        const struct channel_def *c = &g->channels[i];
        if (!str_eq(str_of(c->name), name))
            continue;
        if (c->kind == CHANNEL_MESSAGES)
            return write_messages(ctx, c->name, v, err);
        node_write_value(ctx, c->name, json_text(ctx->arena, v));
        return 0;
    }
    return wrong(ctx, err, "it writes to a channel", name);
}

/* {channel: value, …}, or [[channel, value], …] when one is written several times. */
static int take_writes(struct node_ctx *ctx, yyjson_val *writes, struct err *err) {
    yyjson_val *key, *v;
    size_t i, n;
    int rc = 0;
    if (yyjson_is_obj(writes)) {
        yyjson_obj_foreach(writes, i, n, key, v) {
            if (rc == 0)
                rc = write_one(ctx, json_str(key), v, err);
        }
    } else if (yyjson_is_arr(writes)) {
        yyjson_arr_foreach(writes, i, n, v) {
            yyjson_val *value = yyjson_arr_get(v, 1);
            if (rc == 0)
                rc = value ? write_one(ctx, json_str(yyjson_arr_get(v, 0)), value, err)
                           : err_set(err, ERR_INVALID_UPDATE, "node %s: a write is no pair",
                                     ctx->node->name);
        }
    } else if (writes && !yyjson_is_null(writes)) {
        rc = err_set(err, ERR_INVALID_UPDATE, "node %s: its writes are no object", ctx->node->name);
    }
    return rc;
}

/* goto: a name or names; sends: [{node, input}]. Each goes to one of these. */
struct target {
    const struct graph_def *graph;
    struct node_ctx *ctx; /* of a task; NULL: of a route */
    struct route *route;
    struct arena *arena;
};

static int find_node(const struct target *t, str name, int *out, struct err *err) {
    *out = str_eq(name, STR("__end__")) ? GRAPH_END : graph_node_find(t->graph, name);
    return *out == -1 ? err_set(err, ERR_INVALID_UPDATE,
                                "graph %s: it goes to a node \"%.*s\" that there is not",
                                t->graph->id, STR_ARG(cut(name, 60)))
                      : 0;
}

static int go_to(const struct target *t, yyjson_val *v, struct err *err) {
    int node;
    int rc = find_node(t, json_str(v), &node, err);
    if (rc < 0 || node == GRAPH_END)
        return rc;
    if (t->ctx)
        node_goto(t->ctx, node);
    else
        route_to(t->route, node);
    return 0;
}

static int send_to(const struct target *t, yyjson_val *v, struct err *err) {
    int node;
    int rc = find_node(t, json_str(json_get(v, "node")), &node, err);
    if (rc < 0 || node == GRAPH_END)
        return rc;
    str json = json_text(t->arena, json_get(v, "input"));
    if (t->ctx)
        node_send(t->ctx, node, json);
    else
        route_send(t->route, node, json);
    return 0;
}

static int take_targets(const struct target *t, yyjson_val *result, struct err *err) {
    yyjson_val *go = json_get(result, "goto"), *sends = json_get(result, "sends"), *v;
    size_t i, n;
    int rc = go && !yyjson_is_arr(go) && !yyjson_is_null(go) ? go_to(t, go, err) : 0;
    yyjson_arr_foreach(go, i, n, v) {
        if (rc == 0)
            rc = go_to(t, v, err);
    }
    yyjson_arr_foreach(sends, i, n, v) {
        if (rc == 0)
            rc = send_to(t, v, err);
    }
    return rc;
}

/* {"code", "message", "data": {"type"}} */
static int take_error(const struct jsonrpc_message *m, struct err *err) {
    str type = cut(json_str(json_get(m->data, "type")), 60);
    str text = cut(m->text.p ? m->text : STR("it failed"), ERROR_TEXT_BYTES);
    return err_set(err, m->code == RUNNER_PASSING ? ERR_UNAVAILABLE : ERR_INTERNAL,
                   STR_FMT "%s" STR_FMT, STR_ARG(type), type.len ? ": " : "", STR_ARG(text));
}

static int take_result(struct task_call *t, const struct jsonrpc_message *m, struct err *err) {
    struct node_ctx *ctx = t->ctx;
    struct target to = {.graph = ctx->graph, .ctx = ctx, .arena = ctx->arena};
    if (t->asks)
        return err_set(err, ERR_INTERRUPTED, "%s waits for an answer", ctx->node->name);
    if (m->kind == JSONRPC_ERROR)
        return take_error(m, err);
    int rc = take_writes(ctx, json_get(m->result, "writes"), err);
    if (rc == 0)
        rc = take_targets(&to, m->result, err);
    if (rc == 0 && yyjson_is_true(json_get(m->result, "routed")))
        node_routed(ctx);
    return rc;
}

/* --- the port --- */

static int take(struct task_call *t, const struct jsonrpc_message *m, bool *over,
                struct err *err) {
    switch (m->kind) {
    case JSONRPC_NOTIFICATION:
        take_event(t->ctx, m->params);
        return 0;
    case JSONRPC_REQUEST:
        return take_question(t, m);
    default:
        *over = true;
        return take_result(t, m, err);
    }
}

static int run(struct node_ctx *ctx, struct err *err) {
    struct runner *r = runner_graph_of(ctx->graph)->runner;
    struct task_call t = {.ctx = ctx};
    struct incoming *in;
    bool over = false;
    int rc = call_begin(&t.call, r, "task.run", write_task, ctx, err);
    if (rc < 0)
        return rc;
    while (rc == 0 && !over) {
        rc = call_next(&t.call, &in, err);
        if (rc < 0)
            break;
        rc = take(&t, &in->m, &over, err);
        incoming_free(r, in);
    }
    if (!over)
        call_cancel(&t.call); /* it works for nobody any more */
    call_end(&t.call);
    return rc;
}

static void write_question(void *arg, struct json_writer *w) {
    const struct graph_question *q = arg;
    jw_key(w, "graph");
    jw_z(w, q->graph->id);
    jw_key(w, "from");
    jw_z(w, q->from == GRAPH_START ? "__start__" : q->graph->nodes[q->from].name);
    jw_key(w, "state");
    graph_view_write(q->state, w);
    write_config(w, q->configurable);
}

static int ask(struct runner *r, const struct graph_question *q, struct route *out,
               struct err *err) {
    struct call c;
    struct incoming *in;
    struct arena a;
    int rc = call_begin(&c, r, "graph.route", write_question, (void *)(uintptr_t)q, err);
    if (rc < 0)
        return rc;
    do {
        rc = call_next(&c, &in, err);
        if (rc < 0)
            break;
        bool answer = in->m.kind == JSONRPC_RESULT || in->m.kind == JSONRPC_ERROR;
        arena_init(&a, SIZE_MAX / 2);
        struct target to = {.graph = q->graph, .route = out, .arena = &a};
        if (in->m.kind == JSONRPC_REQUEST) /* a route asks nobody */
            call_reply(&c, in->m.id, STR_NULL, RUNNER_UNKNOWN_TASK, "there is no such task");
        else if (answer)
            rc = in->m.kind == JSONRPC_ERROR ? take_error(&in->m, err)
                                             : take_targets(&to, in->m.result, err);
        arena_deinit(&a);
        incoming_free(r, in);
        if (answer)
            break;
    } while (rc == 0);
    call_cancel(&c); /* nothing, when it has answered */
    call_end(&c);
    return rc;
}

static void route(const struct graph_question *q, struct route *out) {
    const struct graph_def *g = q->graph;
    struct runner_graph *own = runner_graph_of(g);
    bool asks = q->from == GRAPH_START ? own->asks_start : own->asks >> q->from & 1;
    struct err err = {0};
    int rc = 0;
    for (size_t i = 0; i < g->edge_count; i++)
        if (g->edges[i].from == q->from && !g->edges[i].condition)
            route_to(out, g->edges[i].to);
    for (int attempt = 0; asks && attempt < ROUTE_ATTEMPTS_MAX; attempt++) {
        err_reset(&err);
        rc = ask(own->runner, q, out, &err);
        if (rc != ERR_UNAVAILABLE)
            break;
    }
    if (rc < 0)
        route_fail(out, rc, &err);
}

static bool has_routes(const struct graph_def *g) { return g->edge_count > 0; }

static int compile(const struct graph_services *s, const struct graph_config *c, void **out,
                   struct err *err) {
    (void)s;
    (void)c;
    (void)err;
    *out = NULL;
    return 0;
}

static void free_compiled(const struct graph_def *g, void *compiled) {
    (void)g;
    (void)compiled;
}

const struct graph_runner RUNNER_PORT = {.name = "process",
                                         .compile = compile,
                                         .free_compiled = free_compiled,
                                         .run = run,
                                         .route = route,
                                         .has_routes = has_routes};
