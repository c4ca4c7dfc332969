/* SPDX-License-Identifier: Apache-2.0 */
/* test_handlers.c - the handlers over the wire. Goal: status, body, headers and exact error texts
 * of assistants, threads, states, the store and the server's own routes, in the forms that clients
 * send; the text mode; metrics by route template. Method: the real server on a free port, the real
 * client on a fiber, a database in memory; tables of exchanges, run in order. */
#include "api/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "db/sqlite/sqlite.h"
#include "engine/engine.h"
#include "http/client.h"
#include "store/assistants.h"
#include "store/checkpoints.h"

struct scene {
    struct rt *rt;
    struct store store;
    struct registry *registry;
    struct engine *engine;
    struct jobs *jobs;
    struct api *api;
    struct http_server *server;
    struct http_client *client;
    struct arena arena;
    struct err err;
    char failure[2048];
    void (*fn)(struct scene *s);
    int open; /* of server and client */
};

static int node_nothing(struct node_ctx *ctx, struct err *err) {
    (void)ctx, (void)err;
    return 0;
}
static const struct channel_def CHANNELS[] = {
    {"messages", CHANNEL_MESSAGES, .in_output = true, .in_input = true}};
static const struct node_def NODES[] = {{"model", node_nothing}};
static const struct graph_edge EDGES[] = {{GRAPH_START, 0, NULL}, {0, GRAPH_END, "done"}};
static const struct graph_def GRAPH = {
    .id = "agent",
    .description = "for tests",
    .channels = CHANNELS,
    .channel_count = 1,
    .nodes = NODES,
    .node_count = 1,
    .edges = EDGES,
    .edge_count = 2,
    .input_schema = "{\"type\":\"object\"}",
};

/* a → two (m1 → deep (p → q)) → c (k → l → m, and from k to m or to the end) */
static const struct node_def DEEP_NODES[] = {{"p", node_nothing}, {"q", node_nothing}};
static const struct graph_edge DEEP_EDGES[] = {
    {GRAPH_START, 0, NULL}, {0, 1, NULL}, {1, GRAPH_END, NULL}};
static const struct graph_def DEEP = {.id = "deep",
                                      .nodes = DEEP_NODES,
                                      .node_count = 2,
                                      .edges = DEEP_EDGES,
                                      .edge_count = 3,
                                      .state_schema = "{\"title\":\"deep\"}"};
static const struct node_def TWO_NODES[] = {{"m1", node_nothing}, {"deep", .subgraph = &DEEP}};
static const struct graph_def TWO = {.id = "two",
                                     .nodes = TWO_NODES,
                                     .node_count = 2,
                                     .edges = DEEP_EDGES,
                                     .edge_count = 3,
                                     .state_schema = "{\"title\":\"two\"}"};
static const struct node_def C_NODES[] = {
    {"k", node_nothing}, {"l", node_nothing}, {"m", node_nothing}};
static const struct graph_edge C_EDGES[] = {{GRAPH_START, 0, NULL}, {0, GRAPH_END, "x"},
                                            {0, 1, NULL},           {0, 2, "y"},
                                            {1, 2, NULL},           {2, GRAPH_END, NULL}};
static const struct graph_def C = {
    .id = "c", .nodes = C_NODES, .node_count = 3, .edges = C_EDGES, .edge_count = 6};
static const struct node_def NEST_NODES[] = {
    {"a", node_nothing}, {"two", .subgraph = &TWO}, {"c", .subgraph = &C}};
static const struct graph_edge NEST_EDGES[] = {
    {GRAPH_START, 0, NULL}, {0, 1, NULL}, {1, 2, NULL}, {2, GRAPH_END, NULL}};
static const struct graph_def NEST = {.id = "nest",
                                      .channels = CHANNELS,
                                      .channel_count = 1,
                                      .nodes = NEST_NODES,
                                      .node_count = 3,
                                      .edges = NEST_EDGES,
                                      .edge_count = 4};

/* Expected bodies: "=text" exactly, else JSON that the answer must contain; NULL: not looked at. */
struct exchange {
    const char *method, *path, *body;
    int status;
    const char *expect;
};

static enum http_method method_of(const char *name) {
    for (int m = HTTP_GET; m <= HTTP_OPTIONS; m++)
        if (str_eq(http_method_name((enum http_method)m), str_of(name)))
            return (enum http_method)m;
    return HTTP_GET;
}

/* Sends the request; the text of the named header, when asked for, in the arena. */
static int send_one(struct scene *s, const struct exchange *x, const struct http_header *header,
                    const char *want_header, str *out_header, str *out_body) {
    struct http_call_options o = {
        .method = method_of(x->method),
        .url =
            arena_printf(&s->arena, "http://127.0.0.1:%d%s", http_server_port(s->server), x->path),
        .body = x->body ? str_of(x->body) : STR_NULL,
        .headers = header,
        .header_count = header != NULL,
        .proxy = STR(""),
    };
    struct http_call *call;
    int rc = http_call_open(s->client, &o, &call, &s->err);
    if (rc < 0)
        return rc;
    int status = http_call_status(call);
    if (want_header)
        *out_header = arena_dup(
            &s->arena, http_call_header(call, want_header ? str_of(want_header) : STR("")));
    rc = http_call_read_all(call, &s->arena, (size_t)16 << 20, out_body, &s->err);
    http_call_close(call);
    return rc < 0 ? rc : status;
}

static bool body_fits(struct scene *s, str body, const char *expect) {
    if (!expect)
        return true;
    if (expect[0] == '=')
        return str_eq(body, str_of(expect + 1));
    yyjson_val *whole, *part;
    return json_parse(&s->arena, body, &whole, NULL) == 0 &&
           json_parse(&s->arena, str_of(expect), &part, NULL) == 0 && json_contains(whole, part);
}

static void run_all(struct scene *s, const struct exchange *list, size_t count) {
    for (size_t i = 0; i < count && !s->failure[0]; i++) {
        const struct exchange *x = &list[i];
        str body = STR("");
        int status = send_one(s, x, NULL, NULL, NULL, &body);
        if (status != x->status || !body_fits(s, body, x->expect))
            (void)snprintf(s->failure, sizeof(s->failure),
                           "%s %s %s: %d instead of %d; body %.*s; wanted %s; %s", x->method,
                           x->path, x->body ? x->body : "", status, x->status, STR_ARG(body),
                           x->expect ? x->expect : "anything", s->err.message);
    }
}
#define RUN(s, list) run_all((s), (list), ARRAY_COUNT(list))
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond) && !s->failure[0])                                                             \
            (void)snprintf(s->failure, sizeof(s->failure), "%s:%d: not so: %s", __FILE__,          \
                           __LINE__, #cond);                                                       \
    } while (0)

#define A1     "01a1fbe9-cdaa-7562-a0cc-b4852f832f6d"
#define T1     "01a1fbe9-ce18-765d-acc6-756d23aab223"
#define T1_HEX "01a1fbe9ce18765dacc6756d23aab223"
#define T2     "01a1fbe9-ce3e-72bf-946f-738a01840315"
#define NOBODY "00000000-0000-4000-8000-000000000001"

static void assistants(struct scene *s) {
    static const struct exchange list[] = {
        {"GET", "/assistants/agent", NULL, 200,
         "{\"assistant_id\":\"fe096781-5601-53d2-b2f6-0d3403f7e9ca\",\"graph_id\":\"agent\","
         "\"name\":\"agent\",\"metadata\":{\"created_by\":\"system\"},\"version\":1}"},
        {"POST", "/assistants",
         "{\"assistant_id\":\"" A1
         "\",\"graph_id\":\"agent\",\"name\":\"n1\",\"metadata\":{\"k\":1}}",
         200,
         "{\"assistant_id\":\"" A1 "\",\"version\":1,\"config\":{},\"context\":{},\"name\":\"n1\","
         "\"description\":null,\"metadata\":{\"k\":1}}"},
        {"POST", "/assistants", "{\"assistant_id\":\"" A1 "\",\"graph_id\":\"agent\"}", 409,
         "={\"detail\":\"Assistant already exists\"}"},
        {"POST", "/assistants",
         "{\"assistant_id\":\"" A1 "\",\"graph_id\":\"agent\",\"if_exists\":\"do_nothing\"}", 200,
         "{\"name\":\"n1\"}"},
        {"POST", "/assistants", "{}", 422, "={\"detail\":\"graph_id: is required\"}"},
        {"POST", "/assistants", "{\"graph_id\":\"nope\"}", 404,
         "={\"detail\":\"No assistant found for \\\"nope\\\". Make sure the assistant ID is for a "
         "valid assistant or a valid graph ID.\"}"},
        {"POST", "/assistants", "{\"graph_id\":\"agent\"}", 200, "{\"name\":\"Untitled\"}"},
        {"PATCH", "/assistants/" A1,
         "{\"metadata\":{\"z\":2},\"name\":\"n2\",\"description\":null}", 200,
         "{\"version\":2,\"metadata\":{\"k\":1,\"z\":2},\"name\":\"n2\"}"},
        {"GET", "/assistants/" NOBODY, NULL, 404, "={\"detail\":\"Assistant not found\"}"},
        {"GET", "/assistants/not-a-uuid", NULL, 404, "={\"detail\":\"Assistant not found\"}"},
        {"POST", "/assistants/count", "{}", 200, "=3"},
        {"POST", "/assistants/search", "{\"name\":\"N2\",\"select\":[\"name\",\"version\"]}", 200,
         "=[{\"version\":2,\"name\":\"n2\"}]"},
        {"POST", "/assistants/search", "{\"metadata\":{\"created_by\":\"system\"}}", 200,
         "[{\"name\":\"agent\"}]"},
        {"POST", "/assistants/search", "{\"limit\":0}", 422,
         "={\"detail\":\"limit: must be an integer between 1 and 1000\"}"},
        {"POST", "/assistants/search", "{\"select\":[\"secret\"]}", 422,
         "={\"detail\":\"select: unknown field secret\"}"},
        {"GET", "/assistants/agent/graph?xray=1", NULL, 200,
         "{\"nodes\":[{\"id\":\"__start__\"},{\"id\":\"model\",\"type\":\"runnable\"},"
         "{\"id\":\"__end__\"}],\"edges\":[{\"source\":\"__start__\",\"target\":\"model\","
         "\"conditional\":false},{\"source\":\"model\",\"target\":\"__end__\",\"data\":\"done\"}]"
         "}"},
        {"GET", "/assistants/" A1 "/schemas", NULL, 200,
         "{\"graph_id\":\"agent\",\"input_schema\":{\"type\":\"object\"},\"state_schema\":{}}"},
        {"DELETE", "/assistants/" A1, NULL, 200, "=[\"" A1 "\"]"},
        {"DELETE", "/assistants/" A1, NULL, 404, "={\"detail\":\"Assistant not found\"}"},
    };
    RUN(s, list);
}

static void threads(struct scene *s) {
    static const struct exchange list[] = {
        {"POST", "/threads", "{\"thread_id\":\"" T1 "\",\"metadata\":{\"user\":\"u1\"}}", 200,
         "{\"thread_id\":\"" T1 "\",\"metadata\":{\"user\":\"u1\"},\"status\":\"idle\","
         "\"config\":{},\"values\":null,\"interrupts\":{}}"},
        {"POST", "/threads", "{\"thread_id\":\"" T1 "\"}", 409,
         "={\"detail\":\"Thread already exists\"}"},
        {"POST", "/threads", "{\"thread_id\":\"" T1 "\",\"if_exists\":\"do_nothing\"}", 200,
         "{\"metadata\":{\"user\":\"u1\"}}"},
        {"POST", "/threads", "", 200, "{\"metadata\":{}}"},
        {"POST", "/threads", "{", 400, "={\"detail\":\"Malformed JSON in request body\"}"},
        {"POST", "/threads", "{\"metadata\":{\"n\":[1e400]}}", 422,
         "={\"detail\":\"body: the number 1e400 is out of range\"}"},
        {"POST", "/threads", "[]", 422, "={\"detail\":\"body: must be a JSON object\"}"},
        {"POST", "/threads", "{\"thread_id\":\"x\",\"metadata\":3}", 422,
         "={\"detail\":\"thread_id: must be a UUID; metadata: must be an object\"}"},
        {"POST", "/threads", "{\"ttl\":\"5\"}", 422,
         "={\"detail\":\"ttl: must be minutes, more than 0 and at most 52704000\"}"},
        {"POST", "/threads", "{\"ttl\":null,\"supersteps\":[]}", 200, NULL},
        {"POST", "/threads", "{\"supersteps\":[{\"updates\":[]}]}", 422, NULL},
        {"GET", "/threads/" T1_HEX "?include=ttl", NULL, 200, "{\"thread_id\":\"" T1 "\"}"},
        {"GET", "/threads/" NOBODY, NULL, 404,
         "={\"detail\":\"Thread with ID " NOBODY " not found\"}"},
        {"GET", "/threads/abc", NULL, 404, "={\"detail\":\"Thread with ID abc not found\"}"},
        {"PATCH", "/threads/" T1, "{\"metadata\":{\"b\":2,\"owner\":\"me\",\"c\":\"\\u0000\"}}",
         200, "{\"metadata\":{\"user\":\"u1\",\"b\":2,\"c\":\"\xEF\xBF\xBD\"}}"},
        {"POST", "/threads/count", "{\"metadata\":{\"owner\":\"me\"}}", 200, "=0"},
        {"POST", "/threads/search", "{\"metadata\":{\"user\":\"u1\"}}", 200,
         "[{\"thread_id\":\"" T1 "\"}]"},
        {"POST", "/threads/search", "{\"ids\":[\"" T1_HEX "\"],\"select\":[\"thread_id\"]}", 200,
         "=[{\"thread_id\":\"" T1 "\"}]"},
        {"POST", "/threads/search", "{\"status\":\"busy\"}", 200, "=[]"},
        {"POST", "/threads/search", "{\"status\":\"asleep\"}", 422, NULL},
        {"POST", "/threads/search", "{\"ids\":[\"x\"]}", 422,
         "={\"detail\":\"ids: must be UUIDs\"}"},
        {"POST", "/threads/search",
         "{\"ids\":[\"" T1 "\"],\"select\":[\"status\"],"
         "\"extract\":{\"u\":\"metadata.user\",\"none\":\"values.messages[-1]\"}}",
         200, "=[{\"status\":\"idle\",\"extracted\":{\"u\":\"u1\",\"none\":null}}]"},
        {"POST", "/threads/search", "{\"extract\":{\"u\":\"secrets.x\"}}", 422, NULL},
        {"POST", "/threads/count", "{}", 200, "=3"},
        {"POST", "/threads/count", "{\"metadata\":{\"user\":\"u1\"}}", 200, "=1"},
        {"POST", "/threads/count", "{\"values\":{\"x\":1}}", 200, "=0"},
        {"DELETE", "/threads/" T1, NULL, 204, "="},
        {"DELETE", "/threads/" T1, NULL, 404, "={\"detail\":\"Thread with ID " T1 " not found\"}"},
        {"POST", "/threads/" NOBODY "/copy", NULL, 409, "={\"detail\":\"Thread not found\"}"},
    };
    RUN(s, list);
}

static void paging_headers(struct scene *s) {
    str body, header;
    for (int i = 0; i < 5; i++) {
        struct exchange create = {"POST", "/threads", "{}", 200, NULL};
        CHECK(send_one(s, &create, NULL, NULL, NULL, &body) == 200);
    }
    struct exchange page = {"POST", "/threads/search", "{\"limit\":2,\"offset\":2}", 200, NULL};
    CHECK(send_one(s, &page, NULL, "x-pagination-total", &header, &body) == 200);
    CHECK(str_eq(header, STR("5")));
    CHECK(send_one(s, &page, NULL, "x-pagination-next", &header, &body) == 200);
    CHECK(str_eq(header, STR("4")));
    page.body = "{\"limit\":2,\"offset\":4}";
    CHECK(send_one(s, &page, NULL, "x-pagination-total", &header, &body) == 200);
    CHECK(str_eq(header, STR("5")));
    CHECK(send_one(s, &page, NULL, "x-pagination-next", &header, &body) == 200);
    CHECK(!header.p);
    struct http_header minimal = {STR("Prefer"), STR("return=minimal")};
    struct exchange create = {"POST", "/threads", "{\"thread_id\":\"" T2 "\"}", 200, NULL};
    CHECK(send_one(s, &create, NULL, NULL, NULL, &body) == 200);
    struct exchange patch = {"PATCH", "/threads/" T2, "{\"metadata\":{\"a\":1}}", 204, NULL};
    CHECK(send_one(s, &patch, &minimal, NULL, NULL, &body) == 204);
    CHECK(body.len == 0);
}

#define C1 "1f1e5527-0e32-6790-8005-a0678db97947"
#define C2 "1f1e5527-0e9b-6740-8006-d6c999ad888a"

static struct id id_of(const char *text) {
    struct id id = ID_NIL;
    ASSERT(id_parse(str_of(text), &id));
    return id;
}

/* Two states of T2: the second has a task that was interrupted. */
static void states_make(struct scene *s) {
    struct db_batch b;
    struct checkpoint first = {
        .thread_id = id_of(T2),
        .id = id_of(C1),
        .name_space = STR(""),
        .step = -1,
        .source = STR("input"),
        .channels = STR("{\"x\":{\"h\":\"aa\"}}"),
        .next = STR("[\"model\"]"),
        .tasks = STR("[]"),
        .metadata = STR("{\"source\":\"input\",\"step\":-1}"),
        .created_at = INT64_C(1795000000000000),
    };
    struct checkpoint second = first;
    second.id = id_of(C2);
    second.parent_id = first.id;
    second.channels = STR("{\"x\":{\"h\":\"bb\"},\"messages\":{\"l\":1,\"n\":2}}");
    second.tasks = STR("[{\"id\":\"t1\",\"name\":\"model\",\"interrupts\":[{\"id\":\"i1\","
                       "\"value\":\"go on?\"}]}]");
    second.metadata = STR("{\"source\":\"loop\",\"step\":0}");
    db_batch_init(&b, &s->arena);
    checkpoint_value_add(&b, id_of(T2), STR("aa"), STR("1"));
    checkpoint_value_add(&b, id_of(T2), STR("bb"), STR("{\"deep\":[1,2]}"));
    checkpoint_segment_add(&b, id_of(T2), 1, 0, 2, STR("{\"id\":\"m1\"},{\"id\":\"m2\"}"));
    checkpoint_add(&b, &first);
    checkpoint_add(&b, &second);
    struct run_hold hold = {
        .thread_id = id_of(T2), .run_id = id_v7(), .attempt = 1, .worker = id_v7()};
    thread_begin_add(&b, &hold, 0, ID_NIL, NULL, second.id, 0, INT64_C(1795000000000000));
    thread_settle_add(&b, &hold, THREAD_IDLE, STR("{}"), STR_NULL, second.id, 0,
                      INT64_C(1795000000000000));
    CHECK(db_commit(s->store.db, &b, &s->err) == 0);
}

#define CONFIG(id)                                                                                 \
    "{\"thread_id\":\"" T2 "\",\"checkpoint_id\":\"" id "\",\"checkpoint_ns\":\"\","               \
    "\"checkpoint_map\":null}"
#define STATE_1                                                                                    \
    "{\"values\":{\"x\":1},\"next\":[\"model\"],\"tasks\":[],\"metadata\":{\"source\":\"input\","  \
    "\"step\":-1},\"created_at\":\"2026-11-18T11:06:40.000000Z\",\"checkpoint\":" CONFIG(          \
        C1) ","                                                                                    \
            "\"parent_checkpoint\":null,\"interrupts\":[]}"

static void states(struct scene *s) {
    static const struct exchange before[] = {
        {"POST", "/threads", "{\"thread_id\":\"" T2 "\"}", 200, NULL},
        {"GET", "/threads/" T2 "/state", NULL, 200,
         "{\"values\":{},\"next\":[],\"tasks\":[],\"created_at\":null,\"checkpoint\":null,"
         "\"parent_checkpoint\":null}"},
        {"GET", "/threads/" T2 "/history", NULL, 200, "=[]"},
        {"POST", "/threads/" T2 "/history", "{\"limit\":5}", 200, "=[]"},
        {"GET", "/threads/" NOBODY "/state", NULL, 404,
         "={\"detail\":\"Thread with ID " NOBODY " not found\"}"},
        {"POST", "/threads/" NOBODY "/history", "{}", 404, NULL},
    };
    static const struct exchange after[] = {
        {"GET", "/threads/" T2 "/state?subgraphs=true", NULL, 200,
         "{\"values\":{\"x\":{\"deep\":[1,2]},\"messages\":[{\"id\":\"m1\"},{\"id\":\"m2\"}]},"
         "\"checkpoint\":" CONFIG(C2) ",\"parent_checkpoint\":" CONFIG(
             C1) ","
                 "\"interrupts\":[{\"id\":\"i1\",\"value\":\"go on?\"}]}"},
        {"GET", "/threads/" T2 "/state/" C1, NULL, 200, "=" STATE_1},
        {"GET", "/threads/" T2 "/state/" NOBODY, NULL, 404,
         "={\"detail\":\"Checkpoint not found\"}"},
        {"GET", "/threads/" T2 "/state/x", NULL, 404, "={\"detail\":\"Checkpoint not found\"}"},
        {"GET", "/threads/" T2 "/history?limit=1", NULL, 200, "[{\"checkpoint\":" CONFIG(C2) "}]"},
        {"GET", "/threads/" T2 "/history?before=" C2, NULL, 200, "=[" STATE_1 "]"},
        {"GET", "/threads/" T2 "/history?limit=0", NULL, 422,
         "={\"detail\":\"limit: must be an integer between 1 and 1000\"}"},
        {"POST", "/threads/" T2 "/history", "{\"before\":{\"checkpoint_id\":\"" C2 "\"}}", 200,
         "=[" STATE_1 "]"},
        {"POST", "/threads/" T2 "/history",
         "{\"before\":{\"configurable\":{\"checkpoint_id\":\"" C2 "\"}}}", 200, "=[" STATE_1 "]"},
        {"POST", "/threads/" T2 "/history", "{\"metadata\":{\"step\":-1}}", 200, "=[" STATE_1 "]"},
        {"POST", "/threads/" T2 "/history", "{\"before\":\"x\"}", 422,
         "={\"detail\":\"before: must name a checkpoint\"}"},
        {"POST", "/threads/" T2 "/history", "{\"checkpoint\":{\"checkpoint_ns\":\"sub:1\"}}", 200,
         "=[]"},
        {"GET", "/threads/" T2, NULL, 200, "{\"values\":{\"x\":{\"deep\":[1,2]}}}"},
        {"POST", "/threads/search",
         "{\"values\":{\"x\":{\"deep\":[2]}},\"select\":[\"thread_id\"]}", 200,
         "=[{\"thread_id\":\"" T2 "\"}]"},
        {"POST", "/threads/search", "{\"values\":{\"x\":{\"deep\":[3]}}}", 200, "=[]"},
        {"POST", "/threads/count", "{\"values\":{\"messages\":[{\"id\":\"m2\"}]}}", 200, "=1"},
        {"POST", "/threads/search",
         "{\"select\":[\"thread_id\"],\"extract\":{\"last\":\"values.messages[-1].id\","
         "\"two\":\"values.x.deep[1]\"}}",
         200, "=[{\"thread_id\":\"" T2 "\",\"extracted\":{\"last\":\"m2\",\"two\":2}}]"},
    };
    RUN(s, before);
    states_make(s);
    RUN(s, after);
}

static void store_batch(struct scene *s) {
    static const struct exchange list[] = {
        {"POST", "/store/batch",
         "{\"ops\":[{\"op\":\"put\",\"namespace\":[\"q\"],\"key\":\"1\",\"value\":{\"v\":1}},"
         "{\"op\":\"get\",\"namespace\":[\"q\"],\"key\":\"1\"},"
         "{\"op\":\"put\",\"namespace\":[\"q\"],\"key\":\"2\",\"value\":{\"v\":2}},"
         "{\"op\":\"delete\",\"namespace\":[\"q\"],\"key\":\"1\"}]}",
         200, "={\"results\":[null,null,null,null]}"},
        {"POST", "/store/batch",
         "{\"ops\":[{\"op\":\"get\",\"namespace\":[\"q\"],\"key\":\"1\"},"
         "{\"op\":\"search\",\"namespace_prefix\":[\"q\"]},"
         "{\"op\":\"namespaces\",\"prefix\":[\"q\"]},"
         "{\"op\":\"put\",\"namespace\":[\"q\"],\"key\":\"3\",\"value\":{}}]}",
         200, "{\"results\":[null,{\"items\":[{\"key\":\"2\"}]},{\"namespaces\":[[\"q\"]]},null]}"},
        {"POST", "/store/batch",
         "{\"ops\":[{\"op\":\"delete\",\"namespace\":[\"q\"],\"key\":\"3\"},"
         "{\"op\":\"put\",\"namespace\":[\"q.\"],\"key\":\"4\",\"value\":{}}]}",
         422,
         "={\"detail\":\"ops[1]: Namespace labels cannot be empty or contain periods. Received: "
         "q.\"}"},
        {"GET", "/store/items?namespace=q&key=3", NULL, 200, "{\"key\":\"3\"}"},
        {"POST", "/store/batch", "{\"ops\":[]}", 422,
         "={\"detail\":\"ops: must be a list of 1 to 200 operations\"}"},
        {"POST", "/store/batch", "{\"ops\":[{\"op\":\"drop\"}]}", 422, NULL},
        {"POST", "/store/batch", "{\"ops\":[7]}", 422, NULL},
    };
    RUN(s, list);
}

static void chats(struct scene *s) {
    static const struct exchange list[] = {
        {"POST", "/chat", "{\"type\":\"message\",\"content\":\"hello\",\"thread_id\":\"" T1 "\"}",
         422, "={\"detail\":\"assistant_id: is required, for nobody answered here yet\"}"},
        {"POST", "/chat",
         "{\"type\":\"message\",\"content\":\"hello\",\"id\":\"mine\",\"assistant_id\":\"agent\","
         "\"thread_id\":\"" T1_HEX "\"}",
         200, "{\"type\":\"message:ack\",\"ref\":\"mine\",\"thread_id\":\"" T1 "\"}"},
        {"GET", "/threads/" T1 "/runs?limit=1", NULL, 200,
         "[{\"thread_id\":\"" T1 "\",\"multitask_strategy\":\"enqueue\","
         "\"metadata\":{\"chat_message_id\":\"mine\"}}]"},
        {"POST", "/chat", "{\"type\":\"message\",\"content\":\"again\",\"thread_id\":\"" T1 "\"}",
         200, "{\"type\":\"message:ack\"}"},
        {"POST", "/chat", "{\"type\":\"message\"}", 422,
         "={\"detail\":\"content: is required, or resume; not both\"}"},
        {"POST", "/chat", "{\"type\":\"message\",\"content\":[7]}", 422,
         "={\"detail\":\"content: must be a text or a list of blocks, and not empty\"}"},
        {"POST", "/chat", "{\"type\":\"message\",\"content\":\"x\",\"thinking\":\"most\"}", 422,
         "={\"detail\":\"thinking: must be one of off, minimal, low, medium, high, xhigh\"}"},
        {"POST", "/chat", "{\"type\":\"ping\"}", 422,
         "={\"detail\":\"type: must be message or abort; others are a socket's\"}"},
        {"POST", "/chat", "{\"type\":\"nonsense\"}", 422,
         "={\"detail\":\"type: is none of this server's\"}"},
        {"POST", "/chat", "[]", 422, NULL},
        {"POST", "/chat", "{\"type\":\"abort\",\"thread_id\":\"" T1 "\",\"run_id\":\"" NOBODY "\"}",
         404, NULL},
        {"GET", "/chat/session?thread_id=" T2, NULL, 404,
         "={\"detail\":\"Thread with ID " T2 " not found\"}"},
        {"GET", "/chat/session?thread_id=" T1, NULL, 200,
         "{\"type\":\"session:info\",\"thread_id\":\"" T1 "\",\"thinking\":null,"
         "\"usage\":{\"total_tokens\":0}}"},
        {"GET", "/chat/session", NULL, 422,
         "={\"detail\":\"thread_id: is required and must be a UUID\"}"},
        {"GET", "/chat/events?thread_id=" T2, NULL, 404, NULL},
        {"GET", "/chat/events?thread_id=" T1 "&since=7", NULL, 422,
         "={\"detail\":\"since: must be the id of an event, 0, or now\"}"},
        {"GET", "/chat", NULL, 400, "={\"detail\":\"this is the address of a WebSocket\"}"},
    };
    RUN(s, list);
}

static void store(struct scene *s) {
    static const struct exchange list[] = {
        {"PUT", "/store/items", "{\"namespace\":[\"a\",\"b\"],\"key\":\"k\",\"value\":{\"x\":1}}",
         204, "="},
        {"GET", "/store/items?namespace=a.b&key=k", NULL, 200,
         "{\"value\":{\"x\":1},\"key\":\"k\",\"namespace\":[\"a\",\"b\"]}"},
        {"GET", "/store/items?namespace=a&namespace=b&key=k", NULL, 200, "{\"key\":\"k\"}"},
        {"GET", "/store/items?namespace=%5B%22a%22%2C%22b%22%5D&key=k", NULL, 200,
         "{\"key\":\"k\"}"},
        {"GET", "/store/items?namespace=a.b&key=zz", NULL, 200, "=null"},
        {"GET", "/store/items?namespace=a.b", NULL, 422, "={\"detail\":\"key: is required\"}"},
        {"GET", "/store/items?key=k", NULL, 422, "={\"detail\":\"namespace: is required\"}"},
        {"POST", "/store/items/search", "{\"namespace_prefix\":[\"a\"],\"filter\":{\"x\":1}}", 200,
         "{\"items\":[{\"value\":{\"x\":1}}]}"},
        {"POST", "/store/items/search", "{\"filter\":{\"x\":{\"$gt\":1}}}", 200, "={\"items\":[]}"},
        {"POST", "/store/items/search", "{\"filter\":{\"x\":{\"$near\":1}}}", 422,
         "={\"detail\":\"filter.x.$near: unknown operator\"}"},
        {"PUT", "/store/items",
         "{\"namespace\":[\"w\"],\"key\":\"1\",\"value\":{\"t\":\"Two FRUITS\"}}", 204, "="},
        {"POST", "/store/items/search", "{\"query\":\"fruits!\"}", 200,
         "{\"items\":[{\"key\":\"1\",\"score\":0.752941}]}"},
        {"POST", "/store/items/search", "{\"query\":\"(\\\" OR *\"}", 200, "={\"items\":[]}"},
        {"PUT", "/store/items",
         "{\"namespace\":[\"w\"],\"key\":\"1\",\"value\":{},\"index\":[\"a..b\"]}", 422,
         "={\"detail\":\"index: a..b is no path such as a.b, a[*].b or $\"}"},
        {"PUT", "/store/items", "{\"namespace\":[\"w\"],\"key\":\"1\",\"value\":{},\"index\":true}",
         422, "={\"detail\":\"index: must be false or a list of paths\"}"},
        {"DELETE", "/store/items", "{\"namespace\":[\"w\"],\"key\":\"1\"}", 204, "="},
        {"POST", "/store/namespaces", "{\"prefix\":[\"a\"]}", 200,
         "={\"namespaces\":[[\"a\",\"b\"]]}"},
        {"POST", "/store/namespaces", "{\"max_depth\":1}", 200, "={\"namespaces\":[[\"a\"]]}"},
        {"PUT", "/store/items", "{\"namespace\":[\"a.b\"],\"key\":\"k\",\"value\":{}}", 422,
         "={\"detail\":\"Namespace labels cannot be empty or contain periods. Received: a.b\"}"},
        {"PUT", "/store/items", "{\"namespace\":[],\"key\":\"k\",\"value\":{}}", 422,
         "={\"detail\":\"namespace: is required\"}"},
        {"PUT", "/store/items", "{\"namespace\":[\"a\"],\"key\":\"k\"}", 422,
         "={\"detail\":\"value: is required\"}"},
        {"PUT", "/store/items", "{\"namespace\":[\"a\"],\"key\":\"k\",\"value\":[]}", 422,
         "={\"detail\":\"value: must be an object\"}"},
        {"PUT", "/store/items",
         "{\"namespace\":[\"t\"],\"key\":\"k\",\"value\":{},\"ttl\":0.5,\"index\":false}", 204,
         "="},
        {"PUT", "/store/items", "{\"namespace\":[\"{a}\"],\"key\":\"k\",\"value\":{}}", 422,
         "={\"detail\":\"namespace: cannot begin with { and end with }\"}"},
        {"DELETE", "/store/items", "{\"namespace\":[\"a\",\"b\"],\"key\":\"k\"}", 204, "="},
        {"DELETE", "/store/items", "{\"namespace\":[\"a\",\"b\"],\"key\":\"k\"}", 204, "="},
        {"GET", "/store/items?namespace=a.b&key=k", NULL, 200, "=null"},
    };
    RUN(s, list);
}

static const char *unwell(struct db *db) {
    (void)db;
    return "it is away";
}

/* The driver says that its database is away; nothing is asked. */
#define ILL                                                                                        \
    "={\"ok\":false,\"database\":\"it is away\","                                                  \
    "\"services\":{\"database\":\"unhealthy\"}}"

static void unwell_database(struct scene *s) {
    static const struct exchange ill[] = {
        {"GET", "/ok", NULL, 503, ILL},
        {"GET", "/ok?check_db=1", NULL, 503, ILL},
    };
    static const struct exchange well[] = {{"GET", "/ok", NULL, 200, "={\"ok\":true}"}};
    const struct db_vtable *own = s->store.db->vtable;
    struct db_vtable other = *own;
    other.health = unwell;
    s->store.db->vtable = &other;
    str body, after;
    RUN(s, ill);
    CHECK(send_one(s, &ill[0], NULL, "retry-after", &after, &body) == 503);
    s->store.db->vtable = own;
    CHECK(str_eq(after, STR("1")));
    RUN(s, well);
}

/* "a b; a>b b>__end__?" of a graph; of subgraphs the names. */
static str drawn(struct scene *s, const char *path) {
    struct exchange x = {"GET", path, NULL, 200, NULL};
    str body = STR("");
    yyjson_val *root = NULL, *item;
    size_t i, n;
    struct buf b;
    CHECK(send_one(s, &x, NULL, NULL, NULL, &body) == 200);
    CHECK(json_parse(&s->arena, body, &root, NULL) == 0);
    buf_init(&b, 1 << 16);
    yyjson_arr_foreach(json_get(root, "nodes"), i, n, item)
        buf_printf(&b, "%s%s", i ? " " : "", yyjson_get_str(json_get(item, "id")));
    yyjson_arr_foreach(json_get(root, "edges"), i, n, item)
        buf_printf(&b, "%s%s>%s%s", i ? " " : "; ", yyjson_get_str(json_get(item, "source")),
                   yyjson_get_str(json_get(item, "target")),
                   yyjson_get_bool(json_get(item, "conditional")) ? "?" : "");
    if (!json_get(root, "nodes")) {
        yyjson_obj_iter it = yyjson_obj_iter_with(root);
        for (yyjson_val *k; (k = yyjson_obj_iter_next(&it)) != NULL;)
            buf_printf(&b, "%s%s", b.len ? " " : "", yyjson_get_str(k));
    }
    str out = arena_dup(&s->arena, buf_view(&b));
    buf_deinit(&b);
    return out;
}

/* As LangGraph itself draws the same graph. */
static void graphs_in_graphs(struct scene *s) {
    static const char *const want[][2] = {
        {"graph", "__start__ a two c __end__; __start__>a a>two two>c c>__end__"},
        {"graph?xray=1", "__start__ a two:m1 two:deep c:k c:l c:m c:__end__ __end__; "
                         "__start__>a a>two:m1 two:deep>c:k c:__end__>__end__ two:m1>two:deep "
                         "c:k>c:__end__? c:k>c:l c:k>c:m? c:l>c:m c:m>c:__end__"},
        {"graph?xray=true",
         "__start__ a two:m1 two:deep:p two:deep:q c:k c:l c:m c:__end__ __end__; "
         "__start__>a a>two:m1 two:deep:q>c:k c:__end__>__end__ two:m1>two:deep:p "
         "two:deep:p>two:deep:q c:k>c:__end__? c:k>c:l c:k>c:m? c:l>c:m c:m>c:__end__"},
        {"graph?xray=0", "__start__ a two c __end__; __start__>a a>two two>c c>__end__"},
        {"subgraphs", "two c"},
        {"subgraphs?recurse=true", "two two|deep c"},
        {"subgraphs/two?recurse=true", "two"},
        {"subgraphs/two%7Cdeep?recurse=true", "two|deep"},
        {"subgraphs/deep?recurse=true", ""},
    };
    static const char *const nest = "nest";
    CHECK(assistant_seed(&s->store, &nest, 1, &s->arena, &s->err) == 0);
    for (size_t i = 0; i < ARRAY_COUNT(want) && !s->failure[0]; i++) {
        str got = drawn(s, arena_printf(&s->arena, "/assistants/nest/%s", want[i][0]).p);
        if (!str_eq(got, str_of(want[i][1])))
            (void)snprintf(s->failure, sizeof(s->failure), "%s: " STR_FMT ", wanted %s", want[i][0],
                           STR_ARG(got), want[i][1]);
    }
    static const struct exchange list[] = {
        {"GET", "/assistants/nest/subgraphs?recurse=1", NULL, 200,
         "{\"two\":{\"state_schema\":{\"title\":\"two\"}},\"two|deep\":{\"state_schema\":{"
         "\"title\":\"deep\"}}}"},
        {"GET", "/assistants/nest/graph?xray=deep", NULL, 422, NULL},
        {"GET", "/assistants/nest/graph?xray=-1", NULL, 422, NULL},
        {"GET", "/assistants/" NOBODY "/subgraphs", NULL, 404,
         "={\"detail\":\"Assistant not found\"}"},
        {"GET", "/assistants/agent/subgraphs", NULL, 200, "={}"},
    };
    RUN(s, list);
}

static void server_itself(struct scene *s) {
    static const struct exchange list[] = {
        {"GET", "/ok", NULL, 200, "={\"ok\":true}"},
        {"GET", "/ok?check_db=1", NULL, 200,
         "={\"ok\":true,\"services\":{\"database\":\"healthy\"}}"},
        {"GET", "/info", NULL, 200,
         "{\"version\":\"" HF_VERSION "\",\"flags\":{\"assistants\":true}}"},
        {"GET", "/", NULL, 200, "{\"name\":\"Holdfast\"}"},
        {"GET", "/openapi.json", NULL, 200,
         "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Holdfast\"}}"},
        {"GET", "/docs", NULL, 200, NULL},
        {"GET", "/assets/docs.js", NULL, 404, "={\"detail\":\"Asset not found\"}"},
        {"GET", "/metrics?format=xml", NULL, 422, NULL},
        {"GET", "/metrics?format=json", NULL, 200, "{}"},
        {"GET", "/nope", NULL, 404, "={\"detail\":\"Not Found\"}"},
        {"PUT", "/threads", "{}", 405, "={\"detail\":\"Method Not Allowed\"}"},
        {"DELETE", "/mcp/", NULL, 404, "={\"detail\":\"There are no sessions\"}"},
    };
    RUN(s, list);
    str body, allow;
    struct exchange wrong = {"PUT", "/threads", "{}", 405, NULL};
    CHECK(send_one(s, &wrong, NULL, "allow", &allow, &body) == 405);
    CHECK(str_find(allow, STR("POST")) >= 0);
    struct exchange metrics = {"GET", "/metrics", NULL, 200, NULL};
    CHECK(send_one(s, &metrics, NULL, NULL, NULL, &body) == 200);
    CHECK(str_find(body, STR("holdfast_http_requests_total{method=\"GET\",route=\"/info\","
                             "status=\"2xx\"} 1")) >= 0);
    CHECK(str_find(body, STR("route=\"unmatched\",status=\"4xx\"}")) >= 0);
    CHECK(str_find(body, STR("/nope")) < 0);
}

static void text_mode(struct scene *s) {
    static const struct exchange list[] = {
        {"GET", "/assistants/" NOBODY, NULL, 404, "=Assistant not found"},
        {"GET", "/nope", NULL, 404, "=404 Not Found"},
        {"POST", "/threads", "{", 400, "=Malformed JSON in request body"},
    };
    RUN(s, list);
}

static void background_jobs(struct scene *s) {
    static const struct exchange list[] = {
        {"GET", "/admin/jobs/store.items", NULL, 200,
         "{\"name\":\"store.items\",\"scope\":\"all\",\"interval_seconds\":60.0,"
         "\"state\":\"waiting\",\"worker_id\":null,\"started_at\":null,\"passes\":0,"
         "\"error\":null}"},
        {"GET", "/admin/jobs/store", NULL, 404, "={\"detail\":\"Job not found\"}"},
        {"POST", "/admin/jobs/store/run", NULL, 404, "={\"detail\":\"Job not found\"}"},
        {"POST", "/admin/jobs/store.items/run", NULL, 200, "{\"state\":\"due\"}"},
        {"GET", "/admin/jobs/store.items", NULL, 200, "{\"state\":\"due\"}"},
        {"GET", "/admin/jobs", NULL, 200, "{}"},
    };
    RUN(s, list);
}

static void one_closed(void *arg) {
    struct scene *s = arg;
    if (--s->open == 0)
        rt_stop(s->rt);
}

static void scene_fiber(void *arg) {
    struct scene *s = arg;
    static const char *const graphs[] = {"agent"};
    if (assistant_seed(&s->store, graphs, 1, &s->arena, &s->err) == 0)
        s->fn(s);
    else
        (void)snprintf(s->failure, sizeof(s->failure), "seed: %s", s->err.message);
    s->open = 2;
    http_client_close(s->client, one_closed, s);
    http_server_close(s->server, one_closed, s);
}

static void scene_open(struct scene *s, bool error_text) {
    struct db_sqlite_options db;
    struct http_server_options http;
    struct graph_services services = {.rt = NULL};
    struct registry_options registry = {.ttl_us = 1000000, .entries_max = 10};
    struct engine_options engine = {.running_max = 4,
                                    .pending_max = 100,
                                    .attempts_max = 3,
                                    .recursion_limit = 25,
                                    .api_url = ""};
    struct api_options api = {.error_text = error_text, .public_url = ""};
    struct http_client_options client = {
        .connections_max = 8, .connections_per_host_max = 8, .buffer_bytes_max = 1 << 18};
    db_sqlite_options_default(&db);
    db.path = NULL;
    arena_init(&s->arena, (size_t)256 << 20);
    assert_int_equal(rt_open(&s->rt, NULL), 0);
    services.rt = s->rt;
    assert_int_equal(db_sqlite_open(s->rt, &db, &s->store.db, &s->err), 0);
    s->registry = registry_new(&services, &registry);
    registry_add(s->registry, &GRAPH);
    registry_add(s->registry, &NEST);
    assert_int_equal(
        engine_open(s->rt, &s->store, s->registry, &services, &engine, &s->engine, &s->err), 0);
    s->jobs = jobs_new(s->rt, &s->store, NULL);
    engine_add_jobs(s->engine, s->jobs);
    api.jobs = s->jobs;
    assert_int_equal(api_open(s->rt, &s->store, s->engine, &api, &s->api, &s->err), 0);
    http_server_options_default(&http);
    http.host = "127.0.0.1";
    http.port = 0;
    http.handler = api_handle;
    http.ctx = s->api;
    assert_int_equal(http_server_open(s->rt, &http, &s->server, &s->err), 0);
    assert_int_equal(http_client_open(s->rt, &client, &s->client, &s->err), 0);
}

#define TALK "/conversations/" T1
static void conversations(struct scene *s) {
    static const struct exchange list[] = {
        {"POST", "/conversations", "{\"conversation_id\":\"" T1 "\",\"title\":\"t u\"}", 200,
         "{\"conversation_id\":\"" T1 "\",\"title\":\"t u\",\"archived\":false,"
         "\"status\":\"idle\",\"metadata\":{},\"config\":{},\"summary\":null}"},
        {"POST", "/conversations", "{\"conversation_id\":\"" T1 "\"}", 409,
         "={\"detail\":\"Conversation already exists\"}"},
        {"POST", "/conversations", "{\"assistant_id\":\"nope\"}", 404, NULL},
        {"POST", "/conversations", "{\"title\":[]}", 422, NULL},
        {"PATCH", TALK, "{\"title\":\"\",\"archived\":true}", 200,
         "{\"title\":null,\"archived\":true}"},
        {"PATCH", TALK, "{\"archived\":false}", 200, "{\"archived\":false,\"metadata\":{}}"},
        {"GET", "/conversations?archived=true", NULL, 200,
         "={\"conversations\":[],\"before\":null,\"after\":null}"},
        {"GET", "/conversations?limit=201", NULL, 422, NULL},
        {"GET", "/conversations?before=x", NULL, 422,
         "={\"detail\":\"before: must be that of a page\"}"},
        {"GET", "/conversations/search?q=t", NULL, 200,
         "={\"conversations\":[],\"before\":null,\"complete\":true}"},
        {"GET", "/conversations/search", NULL, 422,
         "={\"detail\":\"q: must be words, of at most 1000 bytes\"}"},
        {"GET", TALK "/messages", NULL, 200,
         "={\"messages\":[],\"before\":null,\"after\":null,\"total\":0,\"checkpoint_id\":null}"},
        {"GET", TALK "/messages?limit=501", NULL, 422, NULL},
        {"POST", TALK "/messages", "{\"content\":\"x\"}", 422,
         "={\"detail\":\"assistant_id: is required, as nobody has answered in this "
         "conversation\"}"},
        {"POST", TALK "/messages", "{}", 422, "={\"detail\":\"content: is required\"}"},
        {"POST", TALK "/messages/m/edit", "{\"content\":\"x\"}", 404,
         "={\"detail\":\"Message not found\"}"},
        {"GET", TALK "/messages/m/branches", NULL, 404, "={\"detail\":\"Message not found\"}"},
        {"POST", TALK "/messages/m/switch", "{}", 404, "={\"detail\":\"Message not found\"}"},
        {"DELETE", TALK, NULL, 204, NULL},
        {"GET", TALK, NULL, 404,
         "={\"detail\":\"Conversation with ID " T1 " not found\"}"},
        {"GET", "/conversations/x", NULL, 404,
         "={\"detail\":\"Conversation with ID x not found\"}"},
    };
    RUN(s, list);
}

static void run_scene(void (*fn)(struct scene *s), bool error_text) {
    struct scene s = {.fn = fn};
    scene_open(&s, error_text);
    assert_non_null(fiber_spawn(s.rt, "test", scene_fiber, &s, NULL));
    rt_run(s.rt);
    api_free(s.api);
    engine_close(s.engine);
    jobs_free(s.jobs);
    registry_free(s.registry);
    db_close(s.store.db);
    rt_close(s.rt);
    arena_deinit(&s.arena);
    if (s.failure[0])
        fail_msg("%s", s.failure);
}

#define TEST(name)                                                                                 \
    static void test_##name(void **state) {                                                        \
        (void)state;                                                                               \
        run_scene(name, false);                                                                    \
    }
TEST(assistants)
TEST(threads)
TEST(conversations)
TEST(chats)
TEST(paging_headers)
TEST(states)
TEST(store)
TEST(store_batch)
TEST(graphs_in_graphs)
TEST(server_itself)
TEST(unwell_database)
TEST(background_jobs)
static void test_text_mode(void **state) {
    (void)state;
    run_scene(text_mode, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        /* First: it counts requests, and metrics live as long as the process. */
        cmocka_unit_test(test_graphs_in_graphs),
        cmocka_unit_test(test_server_itself),
        cmocka_unit_test(test_unwell_database),
        cmocka_unit_test(test_assistants),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_paging_headers),
        cmocka_unit_test(test_chats),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_store),
        cmocka_unit_test(test_store_batch),
        cmocka_unit_test(test_text_mode),
        cmocka_unit_test(test_background_jobs),
        cmocka_unit_test(test_conversations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
