/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_tools.c - tools of MCP servers beside the built-in ones.
 *
 * Names: a tool is shown under its own name, with "_" for what model servers refuse; one that is
 * taken, by a built-in tool or by a server before it, is shown as SERVER_NAME, and then with a
 * number. Since that depends on which servers answer, the message with the calls notes for each of
 * them which server and tool was meant, and the call goes there or nowhere.
 *
 * A server that fails is told about three times: to the model in the prompt, so that it does not
 * invent the tools; to the user as a custom event {"type":"mcp_error","server","error"} in a run's
 * first turn; and in the message's response_metadata.mcp.errors. */
#include "graphs/mcp_tools.h"

#include "base/clock.h"
#include "graphs/mcp_target.h"
#include "graphs/model_turn.h"

#define LIST_TIMEOUT_US 15000000
#define SHOWN_BYTES_MAX 64
#define SHOWN_MAX       128 /* tools that model servers take in all */
#define NOTE_BYTES_MAX  ((size_t)16 * 1024)

/* --- loading --- */

struct load {
    struct node_ctx *ctx;
    const struct agent_config *config;
    size_t server;
    struct mcp_tools tools;
    struct err err;
    int rc;
};

static void run_load(void *arg) {
    struct load *l = arg;
    struct mcp_target target;
    struct mcp *mcp = l->ctx->services->mcp;
    if (!mcp) {
        l->rc = err_set(&l->err, ERR_UNSUPPORTED, "MCP servers cannot be asked here");
        return;
    }
    l->rc = mcp_target_make(l->ctx, l->config, l->server, &target, &l->err);
    if (l->rc < 0)
        return;
    target.timeout_us = LIST_TIMEOUT_US;
    target.trace = &l->ctx->trace->context;
    l->rc = mcp_tools_list(mcp, &target, l->ctx->arena, &l->tools, &l->err);
}

static int run_loads(struct node_ctx *ctx, struct load *loads, size_t count, struct err *err) {
    struct fiber_group group;
    int rc = 0;
    fiber_group_init(&group);
    for (size_t i = 0; i < count; i++)
        if (count == 1 || fiber_group_spawn(&group, ctx->services->rt, "agent.mcp", run_load,
                                            &loads[i], NULL) < 0)
            run_load(&loads[i]);
    while (group.live > 0 && rc == 0)
        rc = fiber_event_wait(&group.done, FIBER_NO_DEADLINE);
    if (rc < 0)
        fiber_group_cancel(&group);
    fiber_group_wait(&group);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = loads[i].rc == ERR_CANCELLED ? ERR_CANCELLED : 0;
    return rc < 0 ? err_set(err, rc, "asking for tools was cancelled") : 0;
}

static str shown_name(struct arena *a, str server, str tool, int number) {
    str text =
        server.len ? arena_printf(a, STR_FMT "_" STR_FMT, STR_ARG(server), STR_ARG(tool)) : tool;
    char *z = arena_z(a, str_slice(text, 0, SHOWN_BYTES_MAX - (number ? 4 : 0)));
    for (char *c = z; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
              *c == '_' || *c == '-'))
            *c = '_';
    return number ? arena_printf(a, "%s_%d", z, number) : str_of(z);
}

static bool is_taken(const struct mcp_set *set, str shown) {
    if (tool_find(shown))
        return true;
    for (size_t i = 0; i < set->count; i++)
        if (str_eq(set->entries[i].shown, shown))
            return true;
    return false;
}

static void add_tools(struct arena *a, const struct agent_config *config, const struct load *l,
                      struct mcp_set *out) {
    const struct mcp_server *server = &config->mcp.servers[l->server];
    bool full = false;
    for (size_t i = 0; i < l->tools.count; i++) {
        const struct mcp_tool *tool = &l->tools.items[i];
        if (!mcp_server_allows(server, tool->name))
            continue;
        full = out->count == SHOWN_MAX;
        if (full)
            break;
        str shown = shown_name(a, STR_NULL, tool->name, 0);
        for (int k = 1; is_taken(out, shown); k++)
            shown = shown_name(a, server->name, tool->name, k == 1 ? 0 : k);
        out->entries[out->count++] = (struct mcp_entry){shown, l->server, *tool};
    }
    str text = l->tools.refused;
    if (text.p)
        text = arena_printf(a, "some of its tools cannot be used: " STR_FMT, STR_ARG(text));
    if (full)
        text = STR("it has more tools than can be offered");
    if (text.p)
        out->failures[out->failure_count++] = (struct mcp_failure){l->server, text};
}

/* Those that the configuration asks for by name and that the server does not have. */
static void note_missing(struct arena *a, const struct agent_config *config, const struct load *l,
                         struct mcp_set *out) {
    const struct mcp_server *server = &config->mcp.servers[l->server];
    str missing = STR_NULL;
    for (size_t i = 0; i < server->tool_count; i++) {
        bool found = false;
        for (size_t k = 0; k < l->tools.count && !found; k++)
            found = str_eq(l->tools.items[k].name, server->tools[i]);
        if (!found && missing.len < 1000)
            missing = arena_printf(a, STR_FMT "%s" STR_FMT, STR_ARG(missing),
                                   missing.len ? ", " : "", STR_ARG(server->tools[i]));
    }
    if (missing.len)
        out->failures[out->failure_count++] = (struct mcp_failure){
            l->server, arena_printf(a, "it has no tool named " STR_FMT, STR_ARG(missing))};
}

int mcp_set_load(struct node_ctx *ctx, const struct agent_config *config, struct mcp_set *out,
                 struct err *err) {
    struct arena *a = ctx->arena;
    size_t count = config->mcp.count;
    *out = (struct mcp_set){0};
    if (count == 0)
        return 0;
    struct load *loads = ARENA_ARRAY(a, struct load, count);
    for (size_t i = 0; i < count; i++)
        loads[i] = (struct load){.ctx = ctx, .config = config, .server = i};
    int rc = run_loads(ctx, loads, count, err);
    if (rc < 0)
        return rc;
    out->entries = ARENA_ARRAY(a, struct mcp_entry, SHOWN_MAX);
    out->failures = ARENA_ARRAY(a, struct mcp_failure, 2 * count);
    for (size_t i = 0; i < count; i++) {
        if (loads[i].rc < 0) {
            out->failures[out->failure_count++] =
                (struct mcp_failure){i, arena_dup(a, str_of(loads[i].err.message))};
            continue;
        }
        add_tools(a, config, &loads[i], out);
        note_missing(a, config, &loads[i], out);
    }
    return 0;
}

/* --- finding and calling --- */

static const struct mcp_entry *find_meant(const struct mcp_set *set,
                                          const struct agent_config *config, yyjson_val *meant) {
    str server = json_str(json_get(meant, "server")), tool = json_str(json_get(meant, "tool"));
    for (size_t i = 0; i < set->count; i++)
        if (str_eq(config->mcp.servers[set->entries[i].server].name, server) &&
            str_eq(set->entries[i].tool.name, tool))
            return &set->entries[i];
    return NULL;
}

const struct mcp_entry *mcp_set_find(const struct mcp_set *set, const struct agent_config *config,
                                     const struct message *caller, str name, struct arena *a,
                                     str *out_why) {
    yyjson_val *metadata = caller ? json_get(caller->root, "response_metadata") : NULL;
    yyjson_val *tools = json_get(json_get(metadata, "mcp"), "tools");
    yyjson_val *meant = json_get_str(tools, name);
    *out_why = STR_NULL;
    if (!meant) {
        for (size_t i = 0; i < set->count; i++)
            if (str_eq(set->entries[i].shown, name))
                return &set->entries[i];
        return NULL;
    }
    const struct mcp_entry *entry = find_meant(set, config, meant);
    str server = json_str(json_get(meant, "server"));
    for (size_t i = 0; !entry && i < set->failure_count; i++)
        if (str_eq(config->mcp.servers[set->failures[i].server].name, server))
            *out_why = arena_printf(a, "the MCP server \"" STR_FMT "\" is not available: " STR_FMT,
                                    STR_ARG(server), STR_ARG(set->failures[i].text));
    return entry;
}

str mcp_set_names(struct arena *a, const struct mcp_set *set) {
    str names = STR("");
    for (size_t i = 0; i < set->count; i++)
        names = arena_printf(a, STR_FMT "%s" STR_FMT, STR_ARG(names), names.len ? ", " : "",
                             STR_ARG(set->entries[i].shown));
    return names;
}

struct progress {
    struct node_ctx *ctx;
    str server, tool, call_id;
};

static void on_progress(void *arg, double done, double total, str text) {
    struct progress *p = arg;
    struct buf b;
    buf_init(&b, 16 * 1024);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "type");
    jw_z(&w, "mcp_progress");
    jw_key(&w, "server");
    jw_str(&w, p->server);
    jw_key(&w, "tool");
    jw_str(&w, p->tool);
    jw_key(&w, "tool_call_id");
    jw_str(&w, str_slice(p->call_id, 0, 200));
    jw_key(&w, "progress");
    jw_double(&w, done);
    if (total >= 0) {
        jw_key(&w, "total");
        jw_double(&w, total);
    }
    if (text.len) {
        jw_key(&w, "message");
        jw_str(&w, text);
    }
    jw_object_end(&w);
    if (buf_ok(&b))
        node_emit_custom(p->ctx, buf_view(&b));
    buf_deinit(&b);
}

int mcp_set_call(struct node_ctx *ctx, const struct agent_config *config,
                 const struct mcp_entry *entry, str call_id, yyjson_val *arguments,
                 const struct trace *trace, struct tool_answer *out) {
    const struct mcp_server *server = &config->mcp.servers[entry->server];
    struct progress p = {ctx, server->name, entry->tool.name, call_id};
    struct mcp_target target;
    struct mcp_answer answer;
    struct err err = {0};
    int rc = mcp_target_make(ctx, config, entry->server, &target, &err);
    target.trace = &trace->context;
    if (rc == 0)
        rc = mcp_tool_call(ctx->services->mcp, &target, &entry->tool, arguments, on_progress, &p,
                           ctx->arena, &answer, &err);
    if (rc == ERR_CANCELLED)
        return rc;
    if (rc < 0) {
        out->failed = true;
        out->text = arena_printf(
            ctx->arena, "Error: the tool of the MCP server \"" STR_FMT "\" cannot be called: %s",
            STR_ARG(server->name), err.message);
        return 0;
    }
    out->failed = answer.failed;
    out->text = answer.text;
    out->blocks = answer.blocks;
    if (answer.structured.p)
        out->artifact = arena_printf(ctx->arena, "{\"structured_content\":" STR_FMT "}",
                                     STR_ARG(answer.structured));
    return 0;
}

/* --- a turn --- */

struct turn_notes {
    const struct agent_config *config;
    const struct mcp_set *set;
};

static str server_name(const struct agent_config *c, size_t index) {
    return c->mcp.servers[index].name;
}

/* Members for the answer's metadata: what failed, and whose tools were called. */
static void write_notes(void *arg, struct json_writer *w, const struct llm_response *response) {
    const struct turn_notes *n = arg;
    jw_key(w, "mcp");
    jw_object(w);
    if (n->set->failure_count > 0) {
        jw_key(w, "errors");
        jw_array(w);
        for (size_t i = 0; i < n->set->failure_count; i++) {
            jw_object(w);
            jw_key(w, "server");
            jw_str(w, server_name(n->config, n->set->failures[i].server));
            jw_key(w, "error");
            jw_str(w, n->set->failures[i].text);
            jw_object_end(w);
        }
        jw_array_end(w);
    }
    jw_key(w, "tools");
    jw_object(w);
    for (size_t i = 0; i < n->set->count; i++) {
        const struct mcp_entry *e = &n->set->entries[i];
        bool called = false;
        for (size_t k = 0; k < response->tool_call_count; k++)
            called = called || str_eq(response->tool_calls[k].name, e->shown);
        if (!called)
            continue;
        jw_key_str(w, e->shown);
        jw_object(w);
        jw_key(w, "server");
        jw_str(w, server_name(n->config, e->server));
        jw_key(w, "tool");
        jw_str(w, e->tool.name);
        jw_object_end(w);
    }
    jw_object_end(w);
    jw_object_end(w);
}

static void tell_user(struct node_ctx *ctx, const struct agent_config *config,
                      const struct mcp_set *set) {
    for (size_t i = 0; i < set->failure_count; i++) {
        struct buf b;
        buf_init(&b, 64 * 1024);
        struct json_writer w = json_writer(&b);
        jw_object(&w);
        jw_key(&w, "type");
        jw_z(&w, "mcp_error");
        jw_key(&w, "server");
        jw_str(&w, server_name(config, set->failures[i].server));
        jw_key(&w, "error");
        jw_str(&w, set->failures[i].text);
        jw_object_end(&w);
        if (buf_ok(&b))
            node_emit_custom(ctx, buf_view(&b));
        buf_deinit(&b);
    }
}

static str prompt_with_failures(struct arena *a, const struct agent_config *config,
                                const struct mcp_set *set, str prompt) {
    str text = prompt;
    for (size_t i = 0; i < set->failure_count && text.len < prompt.len + NOTE_BYTES_MAX; i++)
        text = arena_printf(
            a, STR_FMT "%s- MCP server \"" STR_FMT "\": " STR_FMT "\n", STR_ARG(text),
            i > 0        ? ""
            : prompt.len ? "\n\nTools that are not available now:\n"
                         : "Tools that are not available now:\n",
            STR_ARG(server_name(config, set->failures[i].server)), STR_ARG(set->failures[i].text));
    if (set->failure_count == 0)
        return prompt;
    return arena_printf(a,
                        STR_FMT "Use only the tools that you are offered. When something needs "
                                "the missing ones, say so; do not pretend to have used them.",
                        STR_ARG(text));
}

static str all_tools(struct arena *a, str builtin, const struct mcp_set *set) {
    struct buf b;
    if (set->count == 0)
        return builtin;
    buf_init(&b, (size_t)64 << 20);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    if (builtin.len > 2)
        jw_raw(&w, str_slice(builtin, 1, builtin.len - 1));
    for (size_t i = 0; i < set->count; i++) {
        const struct mcp_entry *e = &set->entries[i];
        jw_object(&w);
        jw_key(&w, "name");
        jw_str(&w, e->shown);
        jw_key(&w, "description");
        jw_str(&w, e->tool.description);
        jw_key(&w, "parameters");
        jw_raw(&w, e->tool.schema);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    str json = buf_ok(&b) ? arena_dup(a, buf_view(&b)) : builtin;
    buf_deinit(&b);
    return json;
}

static bool is_first_turn(const struct llm_request *r) {
    return r->message_count == 0 || r->messages[r->message_count - 1].type != MESSAGE_TOOL;
}

int agent_turn(struct node_ctx *ctx, const struct agent_config *config,
               const struct llm_request *wanted, bool offer, struct message *out, struct err *err) {
    struct llm_request request = *wanted;
    struct mcp_set set;
    struct turn_notes notes = {config, &set};
    str provider = agent_config_provider(config);
    if (!offer)
        request.tools = STR_NULL;
    if (config->mcp.count == 0 || !offer)
        return model_turn(ctx, &request, provider, out, err);
    int64_t begun_us = clock_mono_us();
    int rc = mcp_set_load(ctx, config, &set, err);
    node_observe(ctx, "tool", clock_mono_us() - begun_us);
    if (rc < 0)
        return rc;
    if (is_first_turn(&request))
        tell_user(ctx, config, &set);
    request.tools = all_tools(ctx->arena, request.tools, &set);
    request.system_prompt = prompt_with_failures(ctx->arena, config, &set, request.system_prompt);
    return model_turn_noted(ctx, &request, provider, write_notes, &notes, out, err);
}
