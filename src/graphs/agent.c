/* SPDX-License-Identifier: Apache-2.0 */
/* agent.c - the agent: its two nodes and the way between them.
 *
 * agent  sends the conversation to the model and writes the answer as one AI message. While a
 *        stream mode shows tokens the answer is streamed; chunks and message carry the same id.
 * tools  runs every call of the last AI message that has no answer yet, all at once, each on its
 *        fiber, and writes one tool message per call in the order of the calls. A tool that fails,
 *        that is not offered or whose arguments are no JSON object gives a message with status
 *        "error" and the model goes on from there.
 *
 * Invariants: what is sent to the model has an answer for every tool call, since model servers
 * refuse a conversation without: a run that was cancelled between call and answer leaves such a
 * gap, and it is filled in the request only, never in the state. Cancelling the run cancels the
 * model call and every tool; nothing goes on behind it. */
#include "graphs/agent.h"

#include "base/clock.h"
#include "graphs/agent_config.h"
#include "graphs/tools.h"

static const struct graphs_settings *settings_of(const struct node_ctx *ctx) {
    return ctx->services->settings;
}

/* --- tool calls of a message --- */

static yyjson_val *invalid_calls(const struct message *m) {
    yyjson_val *calls = json_get(m->root, "invalid_tool_calls");
    return yyjson_is_arr(calls) ? calls : NULL;
}

static size_t call_count(const struct message *m) {
    return yyjson_arr_size(message_tool_calls(m)) + yyjson_arr_size(invalid_calls(m));
}

/* The calls in order, the invalid ones last. */
static yyjson_val *call_at(const struct message *m, size_t index, bool *out_valid) {
    size_t valid_count = yyjson_arr_size(message_tool_calls(m));
    *out_valid = index < valid_count;
    if (*out_valid)
        return yyjson_arr_get(message_tool_calls(m), index);
    return yyjson_arr_get(invalid_calls(m), index - valid_count);
}

/* Does a tool message that follows message `at`, before anything else, answer this call? */
static bool is_answered(const struct graph_view *v, size_t at, str call_id) {
    size_t count = graph_view_message_count(v, "messages");
    for (size_t i = at + 1; i < count; i++) {
        const struct message *m = graph_view_message(v, "messages", i);
        if (m->type != MESSAGE_TOOL)
            return false;
        if (str_eq(json_str(json_get(m->root, "tool_call_id")), call_id))
            return true;
    }
    return false;
}

/* --- node agent --- */

struct turn {
    struct node_ctx *ctx;
    str message_id;
};

static void on_delta(void *arg, const struct llm_delta *d) {
    struct turn *t = arg;
    struct node_chunk c = {.message_id = t->message_id, .content = d->content};
    if (d->tool_call) {
        c.has_tool_call = true;
        c.tool_index = d->tool_call->index;
        c.tool_id = d->tool_call->id;
        c.tool_name = d->tool_call->name;
        c.tool_arguments = d->tool_call->arguments;
    }
    node_emit_chunk(t->ctx, &c);
}

static size_t add_missing_answers(struct node_ctx *ctx, size_t at, struct message *out) {
    const struct message *m = graph_view_message(ctx->state, "messages", at);
    size_t added = 0;
    for (size_t i = 0; i < call_count(m); i++) {
        bool valid;
        yyjson_val *call = call_at(m, i, &valid);
        str id = json_str(json_get(call, "id"));
        if (!is_answered(ctx->state, at, id))
            message_make_tool(ctx->arena, STR_NULL, id, json_str(json_get(call, "name")),
                              STR("Error: the call was cut off before the tool had answered"), true,
                              &out[added++]);
    }
    return added;
}

/* The conversation as the model server must have it. */
static void list_messages(struct node_ctx *ctx, struct llm_request *r) {
    size_t count = graph_view_message_count(ctx->state, "messages"), room = count, n = 0;
    for (size_t i = 0; i < count; i++) {
        const struct message *m = graph_view_message(ctx->state, "messages", i);
        if (m->type == MESSAGE_AI)
            room += call_count(m);
    }
    struct message *list = ARENA_ARRAY(ctx->arena, struct message, room + 1);
    for (size_t i = 0; i < count; i++) {
        const struct message *m = graph_view_message(ctx->state, "messages", i);
        list[n++] = *m;
        if (m->type == MESSAGE_AI)
            n += add_missing_answers(ctx, i, &list[n]);
    }
    r->messages = list;
    r->message_count = n;
}

/* Arguments are written anew, for a line of a stream must hold no line ends of the model's; those
 * nested deeper than the store reads back count as invalid. */
static bool write_arguments(struct json_writer *w, struct arena *a,
                            const struct llm_tool_call *call) {
    yyjson_val *args;
    if (!call->arguments_valid ||
        json_depth(call->arguments, MESSAGE_ARGUMENTS_DEPTH_MAX) > MESSAGE_ARGUMENTS_DEPTH_MAX ||
        json_parse(a, call->arguments, &args, NULL) < 0)
        return false;
    jw_object(w);
    jw_key(w, "name");
    jw_str(w, call->name);
    jw_key(w, "args");
    jw_val(w, args);
    jw_key(w, "id");
    jw_str(w, call->id);
    jw_key(w, "type");
    jw_z(w, "tool_call");
    jw_object_end(w);
    return true;
}

static void write_invalid(struct json_writer *w, const struct llm_tool_call *call) {
    jw_object(w);
    jw_key(w, "name");
    jw_str(w, call->name);
    jw_key(w, "args");
    jw_str(w, call->arguments);
    jw_key(w, "id");
    jw_str(w, call->id);
    jw_key(w, "error");
    jw_z(w, "the arguments are not a JSON object");
    jw_key(w, "type");
    jw_z(w, "invalid_tool_call");
    jw_object_end(w);
}

static str response_metadata(struct node_ctx *ctx, const struct llm_response *response) {
    struct buf b;
    buf_init(&b, 64 * 1024);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "finish_reason");
    jw_str(&w, str_slice(response->finish_reason, 0, 200));
    jw_key(&w, "model_name");
    jw_str(&w, str_slice(response->model, 0, 1000));
    jw_key(&w, "model_provider");
    jw_str(&w, agent_config_provider(ctx->compiled));
    jw_object_end(&w);
    ASSERT(buf_ok(&b));
    str json = arena_dup(ctx->arena, buf_view(&b));
    buf_deinit(&b);
    return json;
}

static void write_answer(struct turn *t, const struct llm_response *response) {
    struct arena *a = t->ctx->arena;
    struct buf valid, invalid;
    buf_init(&valid, SIZE_MAX / 2);
    buf_init(&invalid, SIZE_MAX / 2);
    struct json_writer wv = json_writer(&valid), wi = json_writer(&invalid);
    jw_array(&wv);
    jw_array(&wi);
    for (size_t i = 0; i < response->tool_call_count; i++)
        if (!write_arguments(&wv, a, &response->tool_calls[i]))
            write_invalid(&wi, &response->tool_calls[i]);
    jw_array_end(&wv);
    jw_array_end(&wi);
    struct message_ai ai = {.id = t->message_id,
                            .content = response->content,
                            .tool_calls = buf_view(&valid),
                            .invalid_tool_calls = buf_view(&invalid),
                            .response_metadata = response_metadata(t->ctx, response),
                            .input_tokens = response->input_tokens,
                            .output_tokens = response->output_tokens};
    struct message m;
    message_make_ai(a, &ai, &m);
    node_write_message(t->ctx, "messages", &m);
    buf_deinit(&valid);
    buf_deinit(&invalid);
}

static int run_agent(struct node_ctx *ctx, struct err *err) {
    struct llm_request request;
    struct llm_response response;
    struct turn t = {.ctx = ctx};
    int rc =
        agent_config_request(ctx->compiled, settings_of(ctx), ctx->configurable, &request, err);
    if (rc < 0)
        return rc;
    t.message_id =
        arena_printf(ctx->arena, "run-" STR_FMT, STR_ARG(id_dashed(ctx->arena, id_v7())));
    request.stream = ctx->want_tokens;
    list_messages(ctx, &request);
    int64_t begun_us = clock_mono_us();
    rc = llm_chat(ctx->services->llm, &request, on_delta, &t, ctx->arena, &response, err);
    node_observe(ctx, "llm", clock_mono_us() - begun_us);
    if (rc == 0)
        write_answer(&t, &response);
    return rc;
}

/* --- node tools --- */

struct job {
    struct node_ctx *ctx;
    yyjson_val *call;
    bool valid; /* its arguments could be read */
    int rc;
    struct tool_answer answer;
};

static void run_job(void *arg) {
    struct job *j = arg;
    struct node_ctx *ctx = j->ctx;
    const struct agent_config *c = ctx->compiled;
    str name = json_str(json_get(j->call, "name"));
    const struct tool *tool = tool_find(name);
    if (!tool || !(c->tools & tool_bit(tool))) {
        j->answer.failed = true;
        j->answer.text = arena_printf(
            ctx->arena, "Error: " STR_FMT " is not a valid tool, try one of [" STR_FMT "].",
            STR_ARG(str_slice(name, 0, 200)), STR_ARG(tools_names(ctx->arena, c->tools)));
        return;
    }
    if (!j->valid) {
        j->answer.failed = true;
        j->answer.text = arena_printf(
            ctx->arena, "Error: the arguments must be a JSON object. Their schema is %s",
            tool->parameters);
        return;
    }
    struct tool_call call = {.services = ctx->services,
                             .settings = settings_of(ctx),
                             .arena = ctx->arena,
                             .arguments = json_get(j->call, "args")};
    int64_t begun_us = clock_mono_us();
    j->rc = tool_run(tool, &call, &j->answer);
    node_observe(ctx, "tool", clock_mono_us() - begun_us);
}

static int run_jobs(struct node_ctx *ctx, struct job *jobs, size_t count, struct err *err) {
    struct fiber_group group;
    int rc = 0;
    fiber_group_init(&group);
    for (size_t i = 0; i < count; i++)
        if (count == 1 ||
            fiber_group_spawn(&group, ctx->services->rt, "agent.tool", run_job, &jobs[i], NULL) < 0)
            run_job(&jobs[i]); /* no fiber to be had: in turn then */
    while (group.live > 0 && rc == 0)
        rc = fiber_event_wait(&group.done, FIBER_NO_DEADLINE);
    if (rc < 0)
        fiber_group_cancel(&group);
    fiber_group_wait(&group);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = jobs[i].rc;
    return rc < 0 ? err_set(err, rc, "the tools were cancelled") : 0;
}

/* Index of the last AI message; false when there is none. */
static bool find_caller(const struct graph_view *v, size_t *out) {
    for (size_t i = graph_view_message_count(v, "messages"); i > 0; i--) {
        if (graph_view_message(v, "messages", i - 1)->type == MESSAGE_AI) {
            *out = i - 1;
            return true;
        }
    }
    return false;
}

static int run_tools(struct node_ctx *ctx, struct err *err) {
    size_t at, count = 0;
    if (!find_caller(ctx->state, &at))
        return err_set(err, ERR_INVALID, "there is no AI message whose tools could be run");
    const struct message *caller = graph_view_message(ctx->state, "messages", at);
    struct job *jobs = ARENA_ARRAY(ctx->arena, struct job, call_count(caller) + 1);
    for (size_t i = 0; i < call_count(caller); i++) {
        struct job j = {.ctx = ctx};
        j.call = call_at(caller, i, &j.valid);
        if (!is_answered(ctx->state, at, json_str(json_get(j.call, "id"))))
            jobs[count++] = j;
    }
    int rc = run_jobs(ctx, jobs, count, err);
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct message m;
        message_make_tool(ctx->arena, STR_NULL, json_str(json_get(jobs[i].call, "id")),
                          json_str(json_get(jobs[i].call, "name")), jobs[i].answer.text,
                          jobs[i].answer.failed, &m);
        node_write_message(ctx, "messages", &m);
    }
    return rc;
}

/* --- the graph --- */

enum { NODE_AGENT, NODE_TOOLS };

static size_t route(const struct graph_view *v, void *compiled, int from, int *out) {
    (void)compiled;
    out[0] = NODE_AGENT;
    if (from != NODE_AGENT)
        return 1;
    size_t count = graph_view_message_count(v, "messages");
    if (count == 0)
        return 0;
    const struct message *last = graph_view_message(v, "messages", count - 1);
    out[0] = NODE_TOOLS;
    return last->type == MESSAGE_AI && call_count(last) > 0 ? 1 : 0;
}

static int compile(const struct graph_services *s, const struct graph_config *c, void **out,
                   struct err *err) {
    struct agent_config *config;
    int rc = agent_config_read(s->settings, c->configurable, &config, err);
    if (rc == 0)
        *out = config;
    return rc;
}

static void free_compiled(void *compiled) { agent_config_free(compiled); }

static const struct channel_def channels[] = {{"messages", CHANNEL_MESSAGES, true}};
static const struct node_def nodes[] = {
    [NODE_AGENT] = {"agent", run_agent, .eager = true},
    [NODE_TOOLS] = {"tools", run_tools}};
static const struct graph_edge edges[] = {{GRAPH_START, NODE_AGENT, NULL},
                                          {NODE_AGENT, NODE_TOOLS, "tools"},
                                          {NODE_AGENT, GRAPH_END, "end"},
                                          {NODE_TOOLS, NODE_AGENT, NULL}};

const struct graph_def AGENT_GRAPH = {
    .id = "agent",
    .description = "A model that may call tools until it answers (ReAct).",
    .channels = channels,
    .channel_count = ARRAY_COUNT(channels),
    .nodes = nodes,
    .node_count = ARRAY_COUNT(nodes),
    .edges = edges,
    .edge_count = ARRAY_COUNT(edges),
    .route = route,
    .compile = compile,
    .free_compiled = free_compiled,
    .input_schema = AGENT_STATE_SCHEMA,
    .output_schema = AGENT_STATE_SCHEMA,
    .state_schema = AGENT_STATE_SCHEMA,
    .config_schema = AGENT_CONFIG_SCHEMA,
    .context_schema = AGENT_CONFIG_SCHEMA,
};
