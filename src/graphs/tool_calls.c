/* SPDX-License-Identifier: Apache-2.0 */
/* tool_calls.c - runs what a model asked for.
 *
 * A tool that fails, that is not offered or whose arguments are no JSON object gives a message with
 * status "error", and the model goes on from there.
 *
 * Invariants: what is sent to the model has an answer for every tool call, since model servers
 * refuse a conversation without; a gap is filled in the request only, never in the state.
 * Cancelling the run cancels every tool; nothing goes on behind it. */
#include "graphs/tool_calls.h"

#include "base/clock.h"
#include "graphs/mcp_tools.h"
#include "graphs/tools.h"

struct conversation conversation_of(struct node_ctx *ctx, const char *channel, size_t room) {
    size_t count = graph_view_message_count(ctx->state, channel);
    struct conversation c = {ARENA_ARRAY(ctx->arena, struct message, count + room + 1), count};
    for (size_t i = 0; i < count; i++)
        c.messages[i] = *graph_view_message(ctx->state, channel, i);
    return c;
}

static yyjson_val *invalid_calls(const struct message *m) {
    yyjson_val *calls = json_get(m->root, "invalid_tool_calls");
    return yyjson_is_arr(calls) ? calls : NULL;
}

size_t tool_calls_count(const struct message *m) {
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
static bool is_answered(const struct conversation *c, size_t at, str call_id) {
    for (size_t i = at + 1; i < c->count; i++) {
        const struct message *m = &c->messages[i];
        if (m->type != MESSAGE_TOOL)
            return false;
        if (str_eq(json_str(json_get(m->root, "tool_call_id")), call_id))
            return true;
    }
    return false;
}

static size_t add_missing_answers(struct arena *a, const struct conversation *c, size_t at,
                                  struct message *out) {
    const struct message *m = &c->messages[at];
    size_t added = 0;
    for (size_t i = 0; i < tool_calls_count(m); i++) {
        bool valid;
        yyjson_val *call = call_at(m, i, &valid);
        str id = json_str(json_get(call, "id"));
        if (!is_answered(c, at, id))
            message_make_tool(a, STR_NULL, id, json_str(json_get(call, "name")),
                              STR("Error: the call was cut off before the tool had answered"), true,
                              &out[added++]);
    }
    return added;
}

struct conversation tool_calls_complete(struct arena *a, const struct conversation *c) {
    size_t room = c->count, n = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->messages[i].type == MESSAGE_AI)
            room += tool_calls_count(&c->messages[i]);
    struct message *list = ARENA_ARRAY(a, struct message, room + 1);
    for (size_t i = 0; i < c->count; i++) {
        list[n++] = c->messages[i];
        if (c->messages[i].type == MESSAGE_AI)
            n += add_missing_answers(a, c, i, &list[n]);
    }
    return (struct conversation){list, n};
}

/* --- running them --- */

struct job {
    struct node_ctx *ctx;
    const struct agent_config *config;
    const struct mcp_set *mcp;
    const struct message *caller;
    yyjson_val *call;
    bool valid; /* its arguments could be read */
    int rc;
    struct tool_answer answer;
};

static str all_names(struct job *j) {
    struct arena *a = j->ctx->arena;
    str builtin = tools_names(a, j->config->tools), others = mcp_set_names(a, j->mcp);
    return arena_printf(a, STR_FMT "%s" STR_FMT, STR_ARG(builtin),
                        builtin.len && others.len ? ", " : "", STR_ARG(others));
}

static void refuse_arguments(struct job *j, str schema) {
    j->answer.failed = true;
    j->answer.text = arena_printf(
        j->ctx->arena, "Error: the arguments must be a JSON object. Their schema is " STR_FMT,
        STR_ARG(schema));
}

/* name: of a tool that is there, never what a model wrote. */
static void span_open(struct span *s, const struct job *j, str name, const char *type) {
    span_begin(s, j->ctx->trace, SPAN_INTERNAL,
               arena_printf(j->ctx->arena, "execute_tool " STR_FMT, STR_ARG(name)));
    span_z(s, "gen_ai.operation.name", "execute_tool");
    span_str(s, "gen_ai.tool.name", name);
    span_z(s, "gen_ai.tool.type", type);
    span_str(s, "gen_ai.tool.call.id", json_str(json_get(j->call, "id")));
}

static void span_close(struct span *s, const struct job *j) {
    if (j->rc < 0)
        span_fail(s, err_name(j->rc));
    else if (j->answer.failed)
        span_fail(s, "tool_error");
    span_end(s);
}

/* A tool that is not built in. */
static void run_mcp(struct job *j, str name) {
    str why;
    struct arena *a = j->ctx->arena;
    const struct mcp_entry *entry = mcp_set_find(j->mcp, j->config, j->caller, name, a, &why);
    if (!entry) {
        j->answer.failed = true;
        j->answer.text =
            why.p
                ? arena_printf(a, "Error: " STR_FMT, STR_ARG(why))
                : arena_printf(a,
                               "Error: " STR_FMT " is not a valid tool, try one of [" STR_FMT "].",
                               STR_ARG(str_slice(name, 0, 200)), STR_ARG(all_names(j)));
    } else if (!j->valid) {
        refuse_arguments(j, entry->tool.schema);
    } else {
        int64_t begun_us = clock_mono_us();
        struct span span;
        span_open(&span, j, entry->tool.name, "extension");
        j->rc = mcp_set_call(j->ctx, j->config, entry, json_str(json_get(j->call, "id")),
                             json_get(j->call, "args"), &span.at, &j->answer);
        span_close(&span, j);
        node_observe(j->ctx, "tool", clock_mono_us() - begun_us);
    }
}

static void run_job(void *arg) {
    struct job *j = arg;
    struct node_ctx *ctx = j->ctx;
    const struct agent_config *c = j->config;
    str name = json_str(json_get(j->call, "name"));
    const struct tool *tool = tool_find(name);
    if (!tool || !(c->tools & tool_bit(tool))) {
        run_mcp(j, name);
        return;
    }
    if (!j->valid) {
        refuse_arguments(j, str_of(tool->parameters));
        return;
    }
    struct span span;
    struct tool_call call = {.services = ctx->services,
                             .settings = ctx->services->settings,
                             .arena = ctx->arena,
                             .arguments = json_get(j->call, "args"),
                             .trace = &span.at};
    int64_t begun_us = clock_mono_us();
    span_open(&span, j, str_of(tool->name), "function");
    j->rc = tool_run(tool, &call, &j->answer);
    span_close(&span, j);
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
static bool find_caller(const struct conversation *c, size_t *out) {
    for (size_t i = c->count; i > 0; i--) {
        if (c->messages[i - 1].type == MESSAGE_AI) {
            *out = i - 1;
            return true;
        }
    }
    return false;
}

static bool wants_mcp(const struct agent_config *config, const struct job *jobs, size_t count) {
    for (size_t i = 0; i < count && config->mcp.count > 0; i++)
        if (!tool_find(json_str(json_get(jobs[i].call, "name"))))
            return true;
    return false;
}

static void make_message(const struct job *j, struct message *out) {
    struct message_tool m = {.tool_call_id = json_str(json_get(j->call, "id")),
                             .name = json_str(json_get(j->call, "name")),
                             .content = j->answer.text,
                             .blocks = j->answer.blocks,
                             .artifact = j->answer.artifact,
                             .error = j->answer.failed};
    message_make_tool_answer(j->ctx->arena, &m, out);
}

int tool_calls_run(struct node_ctx *ctx, const struct agent_config *config,
                   const struct conversation *c, struct message **out, size_t *out_count,
                   struct err *err) {
    struct mcp_set mcp = {0};
    size_t at, count = 0;
    if (!find_caller(c, &at))
        return err_set(err, ERR_INVALID, "there is no AI message whose tools could be run");
    const struct message *caller = &c->messages[at];
    struct job *jobs = ARENA_ARRAY(ctx->arena, struct job, tool_calls_count(caller) + 1);
    for (size_t i = 0; i < tool_calls_count(caller); i++) {
        struct job j = {.ctx = ctx, .config = config, .mcp = &mcp, .caller = caller};
        j.call = call_at(caller, i, &j.valid);
        if (!is_answered(c, at, json_str(json_get(j.call, "id"))))
            jobs[count++] = j;
    }
    int rc = wants_mcp(config, jobs, count) ? mcp_set_load(ctx, config, &mcp, err) : 0;
    if (rc == 0)
        rc = run_jobs(ctx, jobs, count, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(ctx->arena, struct message, count + 1);
    *out_count = count;
    for (size_t i = 0; i < count; i++)
        make_message(&jobs[i], &(*out)[i]);
    return 0;
}
