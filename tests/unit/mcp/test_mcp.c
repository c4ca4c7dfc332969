/* SPDX-License-Identifier: Apache-2.0 */
/* test_mcp.c - the client against servers that do what no SDK does. Goal: the revision is found out
 * and kept, sessions are renewed, streams are resumed, failures have their code and a text without
 * secrets, nobody gets another's list. Method: a raw server on the test's loop with scripted
 * answers; what it was asked is compared. */
#include "mcp/port.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../../support/raw_server.h"

#define SECRET "Bearer very-secret"
#define assert_str(a, z)                                                                           \
    do {                                                                                           \
        str got_ = (a);                                                                            \
        if (!str_eq(got_, str_of(z)))                                                              \
            fail_msg("\"" STR_FMT "\" is not \"%s\"", STR_ARG(got_), z);                           \
    } while (0)

struct scripted {
    const char *wanted; /* stands in the request */
    int status;
    const char *headers; /* each with its line end */
    const char *body;    /* ID is replaced by the request's */
    bool cut;            /* the connection ends after it */
};

struct scene {
    struct rt *rt;
    struct raw_server server;
    struct http_client *client;
    struct mcp *mcp;
    struct arena a;
    void (*body)(struct scene *s);
    const struct scripted *script;
    size_t script_count, at;
    bool silent; /* no answers at all */
    str url;
    char fault[2000]; /* what was not wanted; asserts in callbacks would jump over libuv */
};

#define JSON "Content-Type: application/json\r\n"
#define SSE  "Content-Type: text/event-stream\r\n"

static str request_id(str request) {
    ptrdiff_t at = str_find(request, STR("\"id\":"));
    size_t from = (size_t)at + 5, to = from;
    while (at >= 0 && to < request.len && request.p[to] >= '0' && request.p[to] <= '9')
        to++;
    return at < 0 ? STR("0") : str_slice(request, from, to);
}

static void answer(struct raw_conn *conn, str request, void *ctx) {
    struct scene *s = ctx;
    if (s->silent)
        return;
    if (s->at >= s->script_count) {
        (void)snprintf(s->fault, sizeof s->fault, "not expected: " STR_FMT, STR_ARG(request));
        raw_close(conn);
        return;
    }
    const struct scripted *row = &s->script[s->at++];
    if (str_find(request, str_of(row->wanted)) < 0)
        (void)snprintf(s->fault, sizeof s->fault, "row %zu, no %s in: " STR_FMT, s->at, row->wanted,
                       STR_ARG(request));
    struct buf body;
    buf_init(&body, (size_t)32 << 20);
    str rest = str_of(row->body);
    for (ptrdiff_t at; (at = str_find(rest, STR("ID"))) >= 0;) {
        buf_str(&body, str_slice(rest, 0, (size_t)at));
        buf_str(&body, request_id(request));
        rest = str_slice(rest, (size_t)at + 2, rest.len);
    }
    buf_str(&body, rest);
    raw_reply(conn, row->status, row->headers, body.len ? buf_view(&body) : STR(""));
    buf_deinit(&body);
    if (row->cut)
        raw_close(conn);
}

static void stop(void *arg) {
    struct scene *s = arg;
    raw_server_close(&s->server);
    rt_stop(s->rt);
}

static void run_body(void *arg) {
    struct scene *s = arg;
    s->body(s);
    mcp_free(s->mcp);
    http_client_close(s->client, stop, s);
}

static void run(void (*body)(struct scene *s), const struct scripted *script, size_t count) {
    struct scene *s = NEW(struct scene);
    struct http_client_options o = {0};
    s->script = script;
    s->script_count = count;
    s->body = body;
    assert_int_equal(rt_open(&s->rt, NULL), 0);
    assert_int_equal(raw_server_open(&s->server, s->rt, answer, s), 0);
    assert_int_equal(http_client_open(s->rt, &o, &s->client, NULL), 0);
    s->mcp = mcp_new(s->rt, s->client, NULL);
    arena_init(&s->a, (size_t)64 << 20);
    s->url = arena_printf(&s->a, "http://127.0.0.1:%d/mcp", s->server.port);
    assert_non_null(fiber_spawn(s->rt, "test", run_body, s, NULL));
    rt_run(s->rt);
    rt_close(s->rt);
    if (s->fault[0])
        fail_msg("%s", s->fault);
    assert_int_equal(s->at, count);
    arena_deinit(&s->a);
    mem_free(s);
}

static struct mcp_target target_of(struct scene *s, const char *principal,
                                   const struct http_header *headers, size_t count) {
    return (struct mcp_target){.url = s->url,
                               .principal = str_of(principal),
                               .headers = headers,
                               .header_count = count,
                               .timeout_us = 2000000};
}

static struct mcp_tools list(struct scene *s, const struct mcp_target *t) {
    struct mcp_tools tools = {0};
    struct err err = {0};
    if (mcp_tools_list(s->mcp, t, &s->a, &tools, &err) < 0)
        fail_msg("%s", err.message);
    return tools;
}

static void refused(struct scene *s, const struct mcp_target *t, int code, const char *words) {
    struct mcp_tools tools;
    struct err err = {0};
    int rc = mcp_tools_list(s->mcp, t, &s->a, &tools, &err);
    if (rc != code || !strstr(err.message, words))
        fail_msg("%s: %s", err_name(rc), err.message);
    assert_null(strstr(err.message, "very-secret"));
    assert_non_null(strstr(err.message, "127.0.0.1"));
}

static struct mcp_answer call(struct scene *s, const struct mcp_target *t,
                              const struct mcp_tool *tool, const char *arguments) {
    struct mcp_answer out = {0};
    struct err err = {0};
    yyjson_val *args;
    assert_int_equal(json_parse(&s->a, str_of(arguments), &args, NULL), 0);
    if (mcp_tool_call(s->mcp, t, tool, args, NULL, NULL, &s->a, &out, &err) < 0)
        fail_msg("%s", err.message);
    return out;
}

#define R(members)     "{\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{" members "}}"
#define E(code)                                                                                    \
    "{\"jsonrpc\":\"2.0\",\"id\":ID,\"error\":{\"code\":" code ",\"message\":\"m\"}}"
#define T(name)        "{\"name\":\"" name "\",\"inputSchema\":{\"type\":\"object\"}}"
#define NEW_LIST(list) R("\"resultType\":\"complete\",\"ttlMs\":0,\"tools\":[" list "]")
#define TEXT(t)        "\"content\":[{\"type\":\"text\",\"text\":\"" t "\"}]"

/* --- the new revision --- */

static void body_modern(struct scene *s) {
    struct http_header auth = {STR("Authorization"), STR(SECRET)};
    struct mcp_target t = target_of(s, "ann", &auth, 1);
    struct mcp_tools tools = list(s, &t);
    assert_int_equal(tools.count, 2);
    assert_int_equal(list(s, &t).count, 2); /* remembered */
    assert_str(call(s, &t, &tools.items[0], "{\"r\":\"x y\"}").text, "one");
    assert_str(call(s, &t, &tools.items[1], "{}").text, "two");
    struct mcp_answer failed = call(s, &t, &tools.items[1], "{}");
    assert_true(failed.failed);
    assert_str(failed.text, "Error: the tool's server answered: m (code -32602)");
    failed = call(s, &t, &tools.items[1], "{}");
    assert_true(failed.failed && str_find(failed.text, STR("ask the user")) > 0);
}

static void test_modern(void **state) {
    (void)state;
    static const struct scripted script[] = {
        {"Mcp-Method: tools/list", 200, JSON,
         R("\"resultType\":\"complete\",\"nextCursor\":\"c2\",\"tools\":[{\"name\":\"a\","
           "\"inputSchema\":{\"type\":\"object\",\"properties\":{\"r\":{\"type\":\"string\","
           "\"x-mcp-header\":\"Region\"}}}}]"),
         false},
        {"\"cursor\":\"c2\"", 200, SSE, ": hi\n\ndata: " NEW_LIST(T("b")) "\n\n", false},
        {"Mcp-Param-Region: x y", 200, JSON, R("\"resultType\":\"complete\"," TEXT("one")), false},
        /* Asked again with the state it gave. */
        {"Mcp-Name: b", 200, JSON, R("\"resultType\":\"input_required\",\"requestState\":\"s1\""),
         false},
        {"\"requestState\":\"s1\"", 200, JSON, R("\"resultType\":\"complete\"," TEXT("two")),
         false},
        {"tools/call", 400, JSON, E("-32602"), false},
        {"Authorization: " SECRET, 200, JSON,
         R("\"resultType\":\"input_required\",\"inputRequests\":{\"q\":{\"method\":"
           "\"elicitation/create\"}}"),
         false},
    };
    run(body_modern, script, ARRAY_COUNT(script));
}

/* --- the older ones --- */

#define INIT(version) R("\"protocolVersion\":\"" version "\",\"capabilities\":{\"tools\":{}}")
#define NO_SESSION                                                                                 \
    "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32000,\"message\":\"x\"}}"

static void body_legacy(struct scene *s) {
    struct mcp_target t = target_of(s, "ann", NULL, 0);
    struct mcp_tools tools = list(s, &t);
    assert_int_equal(tools.count, 1);
    assert_str(call(s, &t, &tools.items[0], "{}").text, "first");
    assert_str(call(s, &t, &tools.items[0], "{}").text, "after renewal");
    assert_str(call(s, &t, &tools.items[0], "{}").text, "resumed");
    struct mcp_stats stats;
    mcp_stats(s->mcp, &stats);
    assert_int_equal(stats.initialised, 2);
    assert_int_equal(stats.resumed, 1);
    assert_int_equal(stats.sessions, 1);
}

static void test_legacy(void **state) {
    (void)state;
    static const struct scripted script[] = {
        {"MCP-Protocol-Version: 2026-07-28", 400, JSON, NO_SESSION, false},
        {"\"method\":\"initialize\"", 200, SSE "Mcp-Session-Id: s-1\r\n",
         "data: " INIT("2025-06-18") "\n\n", false},
        {"notifications/initialized", 202, "", "", false},
        {"MCP-Protocol-Version: 2025-06-18", 200, JSON, R("\"tools\":[" T("a") "]"), false},
        {"Mcp-Session-Id: s-1", 200, JSON, R(TEXT("first")), false},
        {"Mcp-Session-Id: s-1", 404, JSON, NO_SESSION, false},
        {"initialize", 200, JSON "Mcp-Session-Id: s-2\r\n", INIT("2025-06-18"), false},
        {"notifications/initialized", 202, "", "", false},
        {"Mcp-Session-Id: s-2", 200, JSON, R(TEXT("after renewal")), false},
        {"tools/call", 200, SSE, "id: e-1\ndata:\n\n", false},
        {"Last-Event-ID: e-1", 200, SSE,
         "id: e-2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\ndata: "
         "[{\"jsonrpc\":\"2.0\",\"id\":8,\"result\":{" TEXT("resumed") "}}]\n\n",
         false},
    };
    run(body_legacy, script, ARRAY_COUNT(script));
}

static void body_asked(struct scene *s) {
    struct mcp_target t = target_of(s, "ann", NULL, 0);
    assert_int_equal(list(s, &t).count, 1);
}

/* Servers of the older revisions may ask in the middle of their answer. */
static void test_asked(void **state) {
    (void)state;
    static const struct scripted script[] = {
        {"tools/list", 200, JSON, R("\"tools\":[]"), false}, /* no resultType: an older one */
        {"initialize", 200, JSON, INIT("2025-03-26"), false},
        {"notifications/initialized", 202, "", "", false},
        {"tools/list", 200, SSE,
         "data: {\"jsonrpc\":\"2.0\",\"id\":\"p\",\"method\":\"ping\"}\n\n"
         "data: {\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"roots/list\"}\n\n"
         "data: " R("\"tools\":[" T("a") "]") "\n\n",
         false},
        {"{\"jsonrpc\":\"2.0\",\"id\":\"p\",\"result\":{}}", 202, "", "", false},
        {"\"id\":9,\"error\":{\"code\":-32601", 202, "", "", false},
    };
    run(body_asked, script, ARRAY_COUNT(script));
}

/* --- failures --- */

static void body_failures(struct scene *s) {
    static const struct {
        int code;
        const char *words;
    } rows[] = {
        {ERR_UNAUTHORISED, "refuses the credentials (status 401)"},
        {ERR_FORBIDDEN, "does not allow this (status 403)"},
        {ERR_LIMIT, "limits the rate"},
        {ERR_FORBIDDEN, "leads elsewhere"},
        {ERR_INVALID, "refuses the request (status 400): m"},
        {ERR_UNSUPPORTED, "speaks the revision \"1999\""},
        {ERR_MALFORMED, "neither JSON nor a stream"},
        {ERR_MALFORMED, "127.0.0.1"},
        {ERR_CLOSED, "without an answer"},
        {ERR_TOO_LARGE, "127.0.0.1"},
        {ERR_MALFORMED, "has no tools"},
    };
    struct http_header auth = {STR("Authorization"), STR(SECRET)};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) { /* each for a principal of its own */
        char name[16];
        (void)snprintf(name, sizeof name, "p%zu", i);
        struct mcp_target t = target_of(s, name, &auth, 1);
        refused(s, &t, rows[i].code, rows[i].words);
    }
    struct mcp_target t = target_of(s, "p0", &auth, 1);
    refused(s, &t, ERR_UNAUTHORISED, "refuses the credentials"); /* not asked again at once */
}

static void test_failures(void **state) {
    (void)state;
    static char large[9 << 20];
    memset(large, ' ', sizeof large - 1);
    const struct scripted script[] = {
        {"p", 401, JSON, E("-32001"), false},
        {"p", 403, JSON, "", false},
        {"p", 429, JSON, "", false},
        {"p", 302, "Location: http://evil/\r\n", "", false},
        {"p", 400, JSON, E("-32022"), false},
        {"p", 404, JSON, "", false},
        {"initialize", 200, JSON, INIT("1999"), false},
        {"p", 200, "Content-Type: text/html\r\n", "<html>", false},
        {"initialize", 200, "Content-Type: text/html\r\n", "<html>", false},
        {"p", 200, JSON, "{\"jsonrpc\":", false},
        {"initialize", 200, JSON, "{\"jsonrpc\":", false},
        {"p", 200, SSE, "data:\n\n", false},
        {"initialize", 200, SSE, "data:\n\n", false},
        {"p", 200, JSON, large, false},
        {"initialize", 200, JSON, large, false},
        {"p", 200, JSON, R("\"resultType\":\"complete\",\"tools\":7"), false},
    };
    run(body_failures, script, ARRAY_COUNT(script));
}

static void body_silent(struct scene *s) {
    struct mcp_target t = target_of(s, "ann", NULL, 0);
    t.timeout_us = 50000;
    s->silent = true;
    refused(s, &t, ERR_TIMEOUT, "127.0.0.1");
    mcp_free(s->mcp);
    s->mcp = mcp_new(s->rt, s->client, NULL);
    t.url = STR("http://127.0.0.1:1/mcp");
    refused(s, &t, ERR_UNAVAILABLE, "127.0.0.1:1");
}

static void test_silent(void **state) {
    (void)state;
    run(body_silent, NULL, 0);
}

/* --- whose is what --- */

static void body_principals(struct scene *s) {
    struct http_header ann = {STR("Authorization"), STR("Bearer a")};
    struct http_header bob = {STR("Authorization"), STR("Bearer b")};
    struct mcp_target one = target_of(s, "ann", &ann, 1), two = target_of(s, "bob", &bob, 1),
                      three = target_of(s, "ann", &bob, 1);
    assert_str(list(s, &one).items[0].name, "of_ann");
    assert_str(list(s, &two).items[0].name, "of_bob");
    assert_str(list(s, &three).items[0].name, "of_both");
    assert_str(list(s, &one).items[0].name, "of_ann");
    assert_str(list(s, &two).items[0].name, "of_bob");
}

static void test_principals(void **state) {
    (void)state;
    static const struct scripted script[] = {
        {"Bearer a", 200, JSON, R("\"resultType\":\"complete\",\"tools\":[" T("of_ann") "]"),
         false},
        {"Bearer b", 200, JSON, R("\"resultType\":\"complete\",\"tools\":[" T("of_bob") "]"),
         false},
        {"Bearer b", 200, JSON, R("\"resultType\":\"complete\",\"tools\":[" T("of_both") "]"),
         false},
    };
    run(body_principals, script, ARRAY_COUNT(script));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modern), cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_asked),  cmocka_unit_test(test_failures),
        cmocka_unit_test(test_silent), cmocka_unit_test(test_principals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
