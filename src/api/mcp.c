/* SPDX-License-Identifier: Apache-2.0 */
/* mcp.c - the server as an MCP server: each assistant is a tool, a call is a run without a thread.
 * Behind them stand the tools of histories (mcp_history.c).
 *
 *   POST /mcp   one JSON-RPC message → its answer as JSON, or 202; nothing is kept between requests
 *
 * Tools are the caller's assistants and the graphs' own, these first, then by age; at most
 * API_MCP_COUNT_MAX. A tool has the assistant's name with other characters than [A-Za-z0-9_-]
 * replaced; of several equal names the first has it, the others get the end of their id behind it.
 * Its schemas are those of the graph, its arguments the run's input, its result the run's values,
 * as text and as structured content. A failure of the run is a result with isError, which a model
 * can read; so is an input that the graph does not take.
 *
 * A call that takes long is kept alive by white space before its JSON. When the client of the
 * newest revision goes, the run ends: that is its way to cancel. */
#include "api/mcp_int.h"
#include "api/runs_int.h"
#include "engine/engine.h"
#include "plans/plans.h"

#define SERVER_INFO  "{\"name\":\"Holdfast\",\"version\":\"" HF_VERSION "\"}"
#define CAPABILITIES "{\"tools\":{\"listChanged\":false}}"
#define TTL_MS       60000 /* how long a list of tools may be believed */
#define ID_TAIL_LEN  8

int api_mcp_get(struct api_request *r, struct err *err) {
    (void)err; /* there is no stream of the server's own messages */
    http_reply_header(r->http, STR("Allow"), STR("POST"));
    return api_reply_text(r, 405, STR("{\"detail\":\"Method Not Allowed\"}"));
}

int api_mcp_delete(struct api_request *r, struct err *err) {
    (void)r;
    return err_set(err, ERR_NOT_FOUND, "There are no sessions");
}

static struct json_writer open_result(struct api_request *r, const struct api_mcp_request *q) {
    struct json_writer w = api_json(r);
    rpc_open(&w, q->m.id);
    return w;
}

/* Members that every result of the newest revision has. */
static void write_stateless(struct json_writer *w, const struct api_mcp_request *q,
                            bool cacheable) {
    if (!q->stateless)
        return;
    jw_key(w, "resultType");
    jw_z(w, "complete");
    if (cacheable) {
        jw_key(w, "ttlMs");
        jw_i64(w, TTL_MS);
        jw_key(w, "cacheScope");
        jw_z(w, "private");
    }
    jw_key(w, "_meta");
    jw_raw(w, STR("{\"io.modelcontextprotocol/serverInfo\":" SERVER_INFO "}"));
}

static int refuse(struct api_request *r, const struct api_mcp_request *q, int64_t code, str text) {
    int status = !q->stateless ? 200 : code == RPC_NO_METHOD ? 404 : 400;
    return rpc_reply_error(r, status, q->m.id, &(struct rpc_error){.code = code, .text = text});
}

static int initialize(struct api_request *r, const struct api_mcp_request *q) {
    str wanted = json_str(json_get(q->m.params, "protocolVersion"));
    if (!wanted.p)
        return refuse(r, q, RPC_INVALID_PARAMS, STR("protocolVersion: must be a string"));
    struct json_writer w = open_result(r, q);
    jw_object(&w);
    jw_key(&w, "protocolVersion");
    jw_str(&w, api_mcp_negotiate(wanted));
    jw_key(&w, "capabilities");
    jw_raw(&w, STR(CAPABILITIES));
    jw_key(&w, "serverInfo");
    jw_raw(&w, STR(SERVER_INFO));
    jw_object_end(&w);
    rpc_close(&w);
    return api_reply_json(r, 200);
}

static int discover(struct api_request *r, const struct api_mcp_request *q) {
    struct json_writer w = open_result(r, q);
    jw_object(&w);
    jw_key(&w, "supportedVersions");
    jw_raw(&w, STR("[\"" API_MCP_STATELESS "\",\"" API_MCP_HANDSHAKE "\"]"));
    jw_key(&w, "capabilities");
    jw_raw(&w, STR(CAPABILITIES));
    write_stateless(&w, q, true);
    jw_object_end(&w);
    rpc_close(&w);
    return api_reply_json(r, 200);
}

/* --- tools --- */

struct tool {
    const struct assistant *assistant;
    str name;
};
struct tools {
    struct tool *items;
    size_t count;
};

static bool is_graphs_own(const struct assistant *t) {
    return id_eq(t->id, assistant_id_of_graph(t->graph_id));
}

/* Plan runs are made from plans alone: POST /plans/runs. */
static bool is_of_plans(const struct assistant *t) { return str_eq(t->graph_id, STR(PLAN_GRAPH)); }

static void name_tool(struct api_request *r, struct map *taken, struct tools *out,
                      const struct assistant *t) {
    str name = api_mcp_tool_name(r->arena, t->name, STR_NULL);
    if (map_get(taken, name)) {
        str id = id_hex(r->arena, t->id);
        name = api_mcp_tool_name(r->arena, t->name, str_slice(id, id.len - ID_TAIL_LEN, id.len));
    }
    if (map_get(taken, name))
        return; /* two ids with one tail: nobody could call it */
    struct tool *tool = &out->items[out->count++];
    *tool = (struct tool){t, name};
    (void)map_put(taken, tool->name, tool);
}

static int load_tools(struct api_request *r, struct tools *out, struct err *err) {
    struct assistant *list;
    size_t count;
    struct assistant_filter filter = {.sort = ASSISTANT_BY_CREATED};
    struct page page = {.limit = API_MCP_COUNT_MAX, .order = SORT_ASC};
    int rc = assistant_search(r->store, &r->who, &filter, &page, r->arena, &list, &count, err);
    if (rc < 0)
        return rc;
    struct map taken;
    map_init(&taken);
    api_mcp_history_names(&taken);
    *out = (struct tools){.items = ARENA_ARRAY(r->arena, struct tool, count + 1)};
    for (int own = 1; own >= 0; own--)
        for (size_t i = 0; i < count; i++)
            if (is_graphs_own(&list[i]) == own && !is_of_plans(&list[i]))
                name_tool(r, &taken, out, &list[i]);
    map_deinit(&taken);
    return 0;
}

/* A schema of anything but objects is none that MCP knows. */
static bool is_of_object(struct arena *a, const char *schema) {
    yyjson_val *root;
    return schema && json_parse(a, str_of(schema), &root, NULL) == 0 &&
           str_eq(json_str(json_get(root, "type")), STR("object"));
}

static void write_tool(struct api_request *r, struct json_writer *w, const struct tool *tool,
                       const struct graph_def *g) {
    str description = tool->assistant->description;
    if (!description.len)
        description = g->description ? str_of(g->description) : STR("");
    jw_object(w);
    jw_key(w, "name");
    jw_str(w, tool->name);
    jw_key(w, "title");
    jw_str(w, tool->assistant->name);
    jw_key(w, "description");
    jw_str(w, description);
    jw_key(w, "inputSchema");
    jw_raw(w, is_of_object(r->arena, g->input_schema) ? str_of(g->input_schema)
                                                      : STR("{\"type\":\"object\"}"));
    if (is_of_object(r->arena, g->output_schema)) {
        jw_key(w, "outputSchema");
        jw_raw(w, str_of(g->output_schema));
    }
    jw_object_end(w);
}

static int list(struct api_request *r, const struct api_mcp_request *q, struct err *err) {
    struct tools tools;
    size_t at, end;
    if (!api_mcp_cursor_read(q->m.params, &at))
        return refuse(r, q, RPC_INVALID_PARAMS, STR("cursor: is not one of this server's"));
    int rc = load_tools(r, &tools, err);
    if (rc < 0)
        return rc;
    end = at + API_MCP_PAGE < tools.count ? at + API_MCP_PAGE : tools.count;
    struct json_writer w = open_result(r, q);
    jw_object(&w);
    jw_key(&w, "tools");
    jw_array(&w);
    for (size_t i = at; i < end; i++) {
        const struct tool *tool = &tools.items[i];
        const struct graph_def *g =
            graph_library_find(engine_library(r->engine), tool->assistant->graph_id);
        if (g) /* else it cannot be called */
            write_tool(r, &w, tool, g);
    }
    if (end == tools.count)
        api_mcp_history_write_tools(r, &w);
    jw_array_end(&w);
    if (end < tools.count) {
        jw_key(&w, "nextCursor");
        jw_str(&w, arena_printf(r->arena, "%zu", end));
    }
    write_stateless(&w, q, true);
    jw_object_end(&w);
    rpc_close(&w);
    return api_reply_json(r, 200);
}

/* --- calls --- */

struct call {
    struct api_request *r;
    const struct api_mcp_request *q;
};

void api_mcp_write_result(struct json_writer *w, const struct api_mcp_request *q, str text,
                          str structured, bool is_error) {
    rpc_open(w, q->m.id);
    jw_object(w);
    jw_key(w, "content");
    jw_array(w);
    jw_object(w);
    jw_key(w, "type");
    jw_z(w, "text");
    jw_key(w, "text");
    jw_str(w, text);
    jw_object_end(w);
    jw_array_end(w);
    if (structured.p) {
        jw_key(w, "structuredContent");
        jw_raw(w, structured);
    }
    jw_key(w, "isError");
    jw_bool(w, is_error);
    write_stateless(w, q, false);
    jw_object_end(w);
    rpc_close(w);
}

static void write_outcome(void *ctx, struct json_writer *w, const struct run_outcome *o) {
    const struct call *c = ctx;
    if (o->error.len)
        api_mcp_write_result(w, c->q, rpc_run_error_text(c->r->arena, o->error), STR_NULL, true);
    else
        api_mcp_write_result(w, c->q, o->values.p ? o->values : STR("null"),
                             str_starts(o->values, STR("{")) ? o->values : STR_NULL, false);
}

/* {"assistant_id","input"} */
static int make_run(struct api_request *r, const struct tool *tool, yyjson_val *arguments,
                    yyjson_val **out, struct err *err) {
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "assistant_id");
    api_write_id(&w, tool->assistant->id);
    jw_key(&w, "input");
    if (arguments)
        jw_val(&w, arguments);
    else
        jw_raw(&w, STR("{}"));
    jw_object_end(&w);
    return api_json_read(r, out, err);
}

bool api_mcp_is_callers(int rc) {
    return rc == ERR_INVALID || rc == ERR_INVALID_UPDATE || rc == ERR_NOT_FOUND ||
           rc == ERR_CONFLICT;
}

static int call_tool(struct api_request *r, const struct api_mcp_request *q,
                     const struct tool *tool, yyjson_val *arguments, struct err *err) {
    struct call c = {r, q};
    struct run_submit s;
    struct live_run *run = NULL;
    yyjson_val *body;
    int rc = make_run(r, tool, arguments, &body, err);
    if (rc == 0)
        rc = run_submit_fill(r, body, &s, err);
    if (rc == 0)
        rc = engine_submit(r->engine, &s, &run, err);
    if (api_mcp_is_callers(rc)) {
        struct json_writer w = api_json(r);
        api_mcp_write_result(&w, q, api_error_text(r, err, rc), STR_NULL, true);
        return api_reply_json(r, 200);
    }
    if (rc < 0)
        return rc;
    struct run_wait wait = {live_run_id(run), run, q->stateless, write_outcome, &c};
    rc = run_wait_answer(r, &wait, err);
    live_run_unref(run);
    return rc;
}

static int call(struct api_request *r, const struct api_mcp_request *q, struct err *err) {
    struct tools tools;
    str name = json_str(json_get(q->m.params, "name"));
    yyjson_val *arguments = json_get(q->m.params, "arguments");
    if (!name.len)
        return refuse(r, q, RPC_INVALID_PARAMS, STR("name: must be a string"));
    if (arguments && !yyjson_is_null(arguments) && !yyjson_is_obj(arguments))
        return refuse(r, q, RPC_INVALID_PARAMS, STR("arguments: must be an object"));
    bool called = false;
    int rc = api_may_write(r, err);
    if (rc == 0)
        rc = api_mcp_history_call(r, q, name, yyjson_is_obj(arguments) ? arguments : NULL, &called,
                                  err);
    if (rc < 0 || called)
        return rc;
    rc = load_tools(r, &tools, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < tools.count; i++)
        if (str_eq(tools.items[i].name, name))
            return call_tool(r, q, &tools.items[i], yyjson_is_obj(arguments) ? arguments : NULL,
                             err);
    str shown = str_slice(name, 0, str_utf8_prefix(str_slice(name, 0, 100)));
    return refuse(r, q, RPC_INVALID_PARAMS,
                  arena_printf(r->arena, "Unknown tool: " STR_FMT, STR_ARG(shown)));
}

/* --- messages --- */

static struct api_mcp_headers read_headers(const struct api_request *r) {
    struct api_mcp_headers h = {0};
    for (size_t i = 0; i < r->http->header_count; i++) {
        const struct http_header *header = &r->http->headers[i];
        str *slot = str_ieq(header->name, STR("mcp-protocol-version")) ? &h.version
                    : str_ieq(header->name, STR("mcp-method"))         ? &h.method
                    : str_ieq(header->name, STR("mcp-name"))           ? &h.name
                                                                       : NULL;
        if (!slot)
            continue;
        h.repeated = h.repeated || slot->p;
        *slot = header->value;
    }
    return h;
}

static int answer(struct api_request *r, const struct api_mcp_request *q, struct err *err) {
    str method = q->m.method;
    if (str_eq(method, STR("tools/list")))
        return list(r, q, err);
    if (str_eq(method, STR("tools/call")))
        return call(r, q, err);
    if (q->stateless && str_eq(method, STR("server/discover")))
        return discover(r, q);
    if (!q->stateless && str_eq(method, STR("initialize")))
        return initialize(r, q);
    if (!q->stateless && str_eq(method, STR("ping"))) {
        struct json_writer w = open_result(r, q);
        jw_raw(&w, STR("{}"));
        rpc_close(&w);
        return api_reply_json(r, 200);
    }
    return refuse(r, q, RPC_NO_METHOD, STR("Method not found"));
}

int api_mcp_post(struct api_request *r, struct err *err) {
    struct api_mcp_request q;
    struct api_mcp_headers h = read_headers(r);
    if (!api_origin_is_fine(r))
        return err_set(err, ERR_FORBIDDEN, "Origin: is not allowed here");
    if (!api_mcp_accepts(http_header(r->http, STR("accept"))))
        return err_set(err, ERR_MALFORMED,
                       "Accept: must name both application/json and text/event-stream");
    if (!api_mcp_read(r->arena, r->body, &h, &q))
        return rpc_reply_error(r, q.status, q.m.id, &q.error);
    if (q.m.kind != JSONRPC_REQUEST)
        return api_reply_empty(r, 202);
    return answer(r, &q, err);
}
