/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_mcp_request.c - what MCP clients ask of this server: a message with its headers.
 *
 * Input: four lines (version, method, name, Accept), then the body. Checks: a refusal has a status,
 * a code and a text, and can be written; what is taken is a message, and names and cursors made of
 * it are within their bounds. */
#include "api/mcp_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static str line(str *rest) {
    str part = STR_NULL;
    if (!str_split_next(rest, '\n', &part) || part.len == 0)
        return STR_NULL;
    return part;
}

static void check_name(struct arena *a, str name, str tail) {
    str made = api_mcp_tool_name(a, name, tail);
    ASSERT(made.len > 0 && made.len <= API_MCP_NAME_LEN_MAX);
    for (size_t i = 0; i < made.len; i++) {
        int c = made.p[i];
        ASSERT((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '_' || c == '-');
    }
}

static void check_refusal(const struct api_mcp_request *q) {
    struct buf b;
    buf_init(&b, 1 << 20);
    struct json_writer w = json_writer(&b);
    ASSERT(q->status == 400 && q->error.code < 0 && q->error.text.len > 0);
    rpc_write_error(&w, q->m.id, &q->error);
    ASSERT(buf_ok(&b));
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    struct api_mcp_headers h = {0};
    struct api_mcp_request q;
    yyjson_val *root = NULL;
    size_t at;
    if (size > 1 << 16)
        return 0;
    arena_init(&a, (size_t)64 << 20);
    str rest = str_n((const char *)data, size);
    h.version = line(&rest);
    h.method = line(&rest);
    h.name = line(&rest);
    (void)api_mcp_accepts(line(&rest));
    if (!rest.p || json_parse(&a, rest, &root, NULL) < 0)
        root = NULL;
    if (!api_mcp_read(&a, root, &h, &q)) {
        check_refusal(&q);
    } else {
        ASSERT(root && q.status == 200);
        str name = json_str(json_get(q.m.params, "name"));
        check_name(&a, name, STR_NULL);
        check_name(&a, name, STR("0123abcd"));
        if (api_mcp_cursor_read(q.m.params, &at))
            ASSERT(at <= API_MCP_COUNT_MAX);
        (void)api_mcp_negotiate(json_str(json_get(q.m.params, "protocolVersion")));
    }
    arena_deinit(&a);
    return 0;
}
