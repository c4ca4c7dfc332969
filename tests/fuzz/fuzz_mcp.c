/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_mcp.c - what an MCP server sends: messages, lists of tools, results.
 *
 * Checks: a message is of one kind and a refusal has a text; tools that are taken have a name, a
 * schema and stay within the limits; headers made of a tool's schema can stand in a request; a
 * result's text is UTF-8, bounded, and its blocks are an array. */
#include "base/mem.h"
#include "mcp/mcp_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_headers(struct arena *a, const struct mcp_tool *tool, yyjson_val *arguments) {
    struct http_header headers[MCP_PARAM_HEADERS_MAX];
    size_t count;
    if (mcp_param_headers(a, tool->schema, arguments, headers, &count, NULL) < 0)
        return;
    ASSERT(count <= MCP_PARAM_HEADERS_MAX);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < headers[i].value.len; k++)
            ASSERT(headers[i].value.p[k] >= ' ' && headers[i].value.p[k] < 0x7f);
}

static void check_tools(struct arena *a, yyjson_val *result, bool modern) {
    struct mcp_tools tools = {0};
    str cursor;
    if (mcp_tools_add(a, &tools, result, modern, &cursor, NULL) < 0)
        return;
    ASSERT(tools.count <= MCP_TOOLS_MAX && cursor.len <= 4096);
    ASSERT(!tools.refused.p || str_is_utf8(tools.refused));
    for (size_t i = 0; i < tools.count; i++) {
        const struct mcp_tool *t = &tools.items[i];
        ASSERT(t->name.len > 0 && t->name.len <= MCP_NAME_BYTES_MAX && str_is_utf8(t->description));
        ASSERT(t->schema.len > 0 && t->schema.len <= MCP_SCHEMA_BYTES_MAX);
        if (modern)
            check_headers(a, t, json_get(result, "arguments"));
    }
}

static void check_result(struct arena *a, yyjson_val *result) {
    struct mcp_answer answer;
    yyjson_val *blocks;
    mcp_answer_read(a, result, &answer);
    ASSERT(answer.text.p && str_is_utf8(answer.text) && answer.text.len < 512 * 1024);
    if (answer.blocks.p)
        ASSERT(json_parse(a, answer.blocks, &blocks, NULL) == 0 && yyjson_is_arr(blocks));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct jsonrpc_message m;
    struct err err = {0};
    yyjson_val *root;
    if (size > 1 << 16)
        return 0;
    arena_init(&a, (size_t)256 << 20);
    if (json_parse(&a, str_n((const char *)data, size), &root, NULL) == 0) {
        int rc = jsonrpc_read(root, &m, &err);
        ASSERT(rc == 0 || (rc == ERR_MALFORMED && err.message[0]));
        if (rc == 0) {
            ASSERT((m.kind == JSONRPC_RESULT) == (m.result != NULL));
            ASSERT((m.kind >= JSONRPC_NOTIFICATION) == (m.method.len > 0));
            (void)jsonrpc_answers(&m, 1);
        }
        if (rc == 0 && m.kind == JSONRPC_RESULT) {
            check_tools(&a, m.result, true);
            check_tools(&a, m.result, false);
            check_result(&a, m.result);
        }
    }
    arena_deinit(&a);
    return 0;
}
