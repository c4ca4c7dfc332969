/* SPDX-License-Identifier: Apache-2.0 */
/* test_parts.c - tools and results as a hostile server may write them. Goal: only tools that can be
 * used are taken, the others are named with the reason; headers made of arguments carry what the
 * protocol says; results are bounded and every part of them is seen. Method: tables. */
#include "mcp/mcp_int.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define assert_str(a, z)                                                                           \
    do {                                                                                           \
        str got_ = (a);                                                                            \
        if (!str_eq(got_, str_of(z)))                                                              \
            fail_msg("\"" STR_FMT "\" is not \"%s\"", STR_ARG(got_), z);                           \
    } while (0)

static yyjson_val *parse(struct arena *a, str text) {
    yyjson_val *root;
    struct err err = {0};
    if (json_parse(a, text, &root, &err) < 0)
        fail_msg("%s", err.message);
    return root;
}

#define TOOL(name, schema)                                                                         \
    "{\"name\":\"" name "\",\"description\":\"d\",\"inputSchema\":" schema "}"
#define OBJECT             "{\"type\":\"object\"}"
#define MARKED(rest)       "{\"type\":\"object\",\"properties\":{" rest "}}"
#define MARK(type, header) "{\"type\":\"" type "\",\"x-mcp-header\":\"" header "\"}"

/* clang-format off */
#define PAGE                                                                                       \
    "{\"nextCursor\":\"n\\\"2\",\"tools\":["                                                       \
    TOOL("good.one-2_x", OBJECT) "," TOOL("", OBJECT) "," TOOL("bad name", OBJECT) ","             \
    TOOL("good.one-2_x", OBJECT) "," TOOL("no_schema", "null") ","                                 \
    TOOL("wrong", "{\"type\":\"string\"}") ","                                                     \
    TOOL("marked", MARKED("\"a\":" MARK("string", "Region"))) ","                                  \
    TOOL("twice", MARKED("\"a\":" MARK("string", "X") ",\"b\":" MARK("string", "x"))) ","          \
    TOOL("number", MARKED("\"a\":" MARK("number", "X"))) ","                                       \
    TOOL("hidden", MARKED("\"a\":{\"type\":\"array\",\"items\":" MARK("string", "X") "}")) ","     \
    TOOL("inject", MARKED("\"a\":" MARK("string", "X: y"))) ",7]}"
/* clang-format on */

static void test_tools(void **state) {
    (void)state;
    struct arena a;
    struct mcp_tools tools = {0};
    str cursor;
    arena_init(&a, 1 << 24);
    str page = STR(PAGE);
    assert_int_equal(mcp_tools_add(&a, &tools, parse(&a, page), true, &cursor, NULL), 0);
    assert_int_equal(tools.count, 2);
    assert_str(tools.items[0].name, "good.one-2_x");
    assert_str(tools.items[0].schema, OBJECT);
    assert_str(tools.items[1].name, "marked");
    assert_str(cursor, "n\"2");
    static const char *const said[] = {"bad name (the name is not allowed)",
                                       "good.one-2_x (the name is taken)",
                                       "no_schema (the schema is not that of an object)",
                                       "wrong (the schema",
                                       "twice (x-mcp-header",
                                       "number (x-mcp-header",
                                       "hidden (x-mcp-header",
                                       "inject (x-mcp-header"};
    for (size_t i = 0; i < ARRAY_COUNT(said); i++)
        if (str_find(tools.refused, str_of(said[i])) < 0)
            fail_msg("%s: not in " STR_FMT, said[i], STR_ARG(tools.refused));
    /* Older revisions know no marks. */
    tools = (struct mcp_tools){0};
    assert_int_equal(mcp_tools_add(&a, &tools, parse(&a, page), false, &cursor, NULL), 0);
    assert_int_equal(tools.count, 6);
    assert_int_equal(
        mcp_tools_add(&a, &tools, parse(&a, STR("{\"tools\":{}}")), true, &cursor, NULL),
        ERR_MALFORMED);
    arena_deinit(&a);
}

static void test_limits(void **state) {
    (void)state;
    struct arena a;
    struct buf b;
    struct mcp_tools tools = {0};
    str cursor;
    arena_init(&a, (size_t)64 << 20);
    buf_init(&b, (size_t)32 << 20);
    buf_z(&b, "{\"tools\":[");
    for (int i = 0; i < 300; i++)
        buf_printf(&b, "{\"name\":\"t%d\",\"inputSchema\":" OBJECT "},", i);
    buf_z(&b, "{\"name\":\"large\",\"inputSchema\":{\"type\":\"object\",\"title\":\"");
    for (int i = 0; i < 70000; i++)
        buf_char(&b, 'x');
    buf_z(&b, "\"}},{\"name\":\"deep\",\"inputSchema\":{\"type\":\"object\",\"a\":");
    for (int i = 0; i < 100; i++)
        buf_char(&b, '[');
    for (int i = 0; i < 100; i++)
        buf_char(&b, ']');
    buf_z(&b, "}}]}");
    assert_int_equal(mcp_tools_add(&a, &tools, parse(&a, buf_view(&b)), true, &cursor, NULL), 0);
    assert_int_equal(tools.count, MCP_TOOLS_MAX);
    assert_true(str_find(tools.refused, STR("t256 (there are too many tools)")) >= 0);
    assert_true(tools.refused.len < 1500);
    assert_null(cursor.p);
    buf_reset(&b);
    for (int i = 0; i < 40; i++) { /* each below its limit, together above */
        buf_printf(&b, "%s{\"name\":\"s%d\",\"inputSchema\":{\"type\":\"object\",\"title\":\"",
                   i ? "," : "{\"tools\":[", i);
        for (int k = 0; k < 60000; k++)
            buf_char(&b, 'x');
        buf_z(&b, "\"}}");
    }
    buf_z(&b, "]}");
    tools = (struct mcp_tools){0};
    assert_int_equal(mcp_tools_add(&a, &tools, parse(&a, buf_view(&b)), true, &cursor, NULL), 0);
    assert_int_equal(tools.count, 17);
    assert_true(str_find(tools.refused, STR("the schemas of all tools are too large")) > 0);
    buf_deinit(&b);
    arena_deinit(&a);
}

static void test_param_headers(void **state) {
    (void)state;
    struct arena a;
    struct http_header h[MCP_PARAM_HEADERS_MAX];
    size_t count;
    arena_init(&a, 1 << 20);
    str schema = STR(MARKED(
        "\"region\":" MARK("string", "Region") ",\"n\":" MARK("integer", "N") ",\"in\":" MARKED(
            "\"deep\":" MARK(
                "boolean", "Deep")) ",\"none\":" MARK("string", "None") ",\"null\":" MARK("string",
                                                                                          "Null")));
    yyjson_val *args = parse(&a, STR("{\"region\":\"Hello, 世界\",\"n\":-7,\"in\":{\"deep\":true},"
                                     "\"null\":null,\"other\":\"x\"}"));
    assert_int_equal(mcp_param_headers(&a, schema, args, h, &count, NULL), 0);
    assert_int_equal(count, 3);
    assert_str(h[0].name, "Mcp-Param-Region");
    assert_str(h[0].value, "=?base64?SGVsbG8sIOS4lueVjA==?=");
    assert_str(h[1].value, "-7");
    assert_str(h[2].name, "Mcp-Param-Deep");
    assert_str(h[2].value, "true");
    assert_int_equal(mcp_param_headers(&a, STR(OBJECT), args, h, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_str(mcp_header_value(&a, STR("us-west1")), "us-west1");
    assert_str(mcp_header_value(&a, STR(" padded ")), "=?base64?IHBhZGRlZCA=?=");
    assert_str(mcp_header_value(&a, STR("line1\nline2")), "=?base64?bGluZTEKbGluZTI=?=");
    assert_str(mcp_header_value(&a, STR("=?base64?literal?=")),
               "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=");
    arena_deinit(&a);
}

static void test_results(void **state) {
    (void)state;
    static const struct {
        const char *result, *text, *blocks, *structured;
        bool failed;
    } rows[] = {
        {"{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]}",
         "a\nb", NULL, NULL, false},
        {"{\"content\":[{\"type\":\"text\",\"text\":\"no\"}],\"isError\":true}", "no", NULL, NULL,
         true},
        {"{\"content\":[],\"structuredContent\":{\"x\":[1]}}", "{\"x\":[1]}", NULL, "{\"x\":[1]}",
         false},
        {"{\"content\":[{\"type\":\"text\",\"text\":\"t\"},{\"type\":\"image\",\"data\":\"QQ==\","
         "\"mimeType\":\"image/png\"}],\"structuredContent\":7}",
         "t",
         "[{\"type\":\"text\",\"text\":\"t\"},{\"type\":\"image\",\"base64\":\"QQ==\",\"mime_"
         "type\":"
         "\"image/png\"}]",
         "7", false},
        {"{\"content\":[{\"type\":\"resource\",\"resource\":{\"uri\":\"f:///x\",\"text\":\"in\"}},"
         "{\"type\":\"resource\",\"resource\":{\"uri\":\"f:///y\",\"blob\":\"QQ==\"}},{\"type\":"
         "\"resource_link\",\"uri\":\"f:///z\",\"name\":\"z\"},{\"type\":\"new\"},7]}",
         "in\n[resource f:///y]\n[resource z at f:///z]", NULL, NULL, false},
        {"{}", "", NULL, NULL, false},
        {"{\"content\":\"text\"}", "", NULL, NULL, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena a;
        struct mcp_answer answer;
        arena_init(&a, 1 << 20);
        mcp_answer_read(&a, parse(&a, str_of(rows[i].result)), &answer);
        assert_str(answer.text, rows[i].text);
        assert_int_equal(answer.failed, rows[i].failed);
        assert_str(answer.blocks, rows[i].blocks);
        assert_str(answer.structured, rows[i].structured);
        arena_deinit(&a);
    }
}

static void test_large_result(void **state) {
    (void)state;
    struct arena a;
    struct buf b;
    struct mcp_answer answer;
    arena_init(&a, (size_t)64 << 20);
    buf_init(&b, (size_t)8 << 20);
    buf_z(&b, "{\"content\":[{\"type\":\"text\",\"text\":\"");
    for (int i = 0; i < 200000; i++)
        buf_z(&b, "ä€");
    buf_z(&b, "\"}]}");
    mcp_answer_read(&a, parse(&a, buf_view(&b)), &answer);
    assert_true(answer.text.len < 300 * 1024 && str_is_utf8(answer.text));
    assert_true(str_ends(answer.text, STR("longer than what can be kept)")));
    buf_deinit(&b);
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tools),         cmocka_unit_test(test_limits),
        cmocka_unit_test(test_param_headers), cmocka_unit_test(test_results),
        cmocka_unit_test(test_large_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
