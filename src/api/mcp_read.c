/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_read.c - requests of MCP clients: which revision they speak, and what is wrong with them.
 *
 *   2024-11-05 … 2025-11-25  begin with initialize; then a header MCP-Protocol-Version, or none
 *   2026-07-28               no beginning: each request says in params._meta who asks in which
 *                            version; the headers MCP-Protocol-Version, Mcp-Method and, for a call,
 *                            Mcp-Name repeat the body, so that proxies can look at them, and must
 *                            agree with it
 *
 * Refusals of the older ones have status 200 when the message could be read, for their clients look
 * for the error there; those of the newest have one that says the same as the code. */
#include "api/mcp_int.h"

#include "base/base64.h"

#define HEADER_MISMATCH (-32020)
#define NO_SUCH_VERSION (-32022)
#define META_VERSION    "io.modelcontextprotocol/protocolVersion"
#define META_CAPABLE    "io.modelcontextprotocol/clientCapabilities"

static const char *const HANDSHAKES[] = {"2024-11-05", "2025-03-26", "2025-06-18",
                                         API_MCP_HANDSHAKE};

static bool is_handshake(str version) {
    for (size_t i = 0; i < ARRAY_COUNT(HANDSHAKES); i++)
        if (str_eq(version, str_of(HANDSHAKES[i])))
            return true;
    return false;
}

str api_mcp_negotiate(str wanted) { return is_handshake(wanted) ? wanted : STR(API_MCP_HANDSHAKE); }

static bool refuse(struct api_mcp_request *q, int64_t code, str text) {
    q->status = 400;
    q->error = (struct rpc_error){.code = code, .text = text};
    return false;
}

static bool refuse_version(struct arena *a, struct api_mcp_request *q, str wanted) {
    struct buf b;
    buf_init(&b, 64 * 1024);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "supported");
    jw_array(&w);
    for (size_t i = 0; i < ARRAY_COUNT(HANDSHAKES); i++)
        jw_z(&w, HANDSHAKES[i]);
    jw_z(&w, API_MCP_STATELESS);
    jw_array_end(&w);
    jw_key(&w, "requested");
    jw_str(&w, str_is_utf8(wanted) ? wanted : STR(""));
    jw_object_end(&w);
    (void)refuse(q, NO_SUCH_VERSION, STR("Unsupported protocol version"));
    q->error.data = buf_ok(&b) ? arena_dup(a, buf_view(&b)) : STR_NULL;
    buf_deinit(&b);
    return false;
}

/* A text that cannot stand in a header as it is: =?base64?…?= */
static str plain_value(struct arena *a, str value) {
    str out;
    if (!str_starts(value, STR("=?base64?")) || !str_ends(value, STR("?=")) || value.len < 11)
        return value;
    return base64_decode(a, str_slice(value, 9, value.len - 2), &out) ? out : STR_NULL;
}

static bool check_stateless(struct arena *a, const struct api_mcp_headers *h,
                            struct api_mcp_request *q) {
    yyjson_val *meta = json_get(q->m.params, "_meta");
    str version = json_str(json_get(meta, META_VERSION));
    q->stateless = true;
    if (!version.p || !yyjson_is_obj(json_get(meta, META_CAPABLE)))
        return refuse(q, RPC_INVALID_PARAMS,
                      STR("params._meta must have the members " META_VERSION " and " META_CAPABLE));
    if (h->repeated)
        return refuse(q, HEADER_MISMATCH, STR("a header of the protocol was sent twice"));
    if (!h->version.p || !str_eq(h->version, version))
        return refuse(q, HEADER_MISMATCH,
                      STR("MCP-Protocol-Version: is not the version in params._meta"));
    if (!h->method.p || !str_eq(h->method, q->m.method))
        return refuse(q, HEADER_MISMATCH, STR("Mcp-Method: is not the method of the request"));
    if (!str_eq(version, STR(API_MCP_STATELESS)))
        return refuse_version(a, q, version);
    str name = json_str(json_get(q->m.params, "name"));
    if (str_eq(q->m.method, STR("tools/call")) && name.p &&
        (!h->name.p || !str_eq(plain_value(a, h->name), name)))
        return refuse(q, HEADER_MISMATCH, STR("Mcp-Name: is not params.name"));
    return true;
}

bool api_mcp_read(struct arena *a, yyjson_val *root, const struct api_mcp_headers *h,
                  struct api_mcp_request *out) {
    struct err err = {0};
    *out = (struct api_mcp_request){.status = 200};
    if (!root || yyjson_is_arr(root))
        return refuse(out, RPC_INVALID_REQUEST, STR("the body must be one JSON-RPC message"));
    if (jsonrpc_read(root, &out->m, &err) < 0) {
        out->m.id = NULL;
        return refuse(out, RPC_INVALID_REQUEST, arena_dup(a, str_of(err.message)));
    }
    if (out->m.params && !yyjson_is_obj(out->m.params))
        return refuse(out, RPC_INVALID_PARAMS, STR("params: must be an object"));
    bool request = out->m.kind == JSONRPC_REQUEST;
    if (request && (str_eq(h->version, STR(API_MCP_STATELESS)) ||
                    json_has(json_get(out->m.params, "_meta"), META_VERSION)))
        return check_stateless(a, h, out);
    out->stateless = str_eq(h->version, STR(API_MCP_STATELESS));
    if (h->version.p && !out->stateless && !is_handshake(h->version))
        return refuse_version(a, out, h->version);
    return true;
}

bool api_mcp_cursor_read(yyjson_val *params, size_t *out) {
    yyjson_val *cursor = json_get(params, "cursor");
    uint64_t at = 0;
    if (cursor && !yyjson_is_null(cursor) &&
        (!str_to_u64(json_str(cursor), &at) || at > API_MCP_COUNT_MAX))
        return false;
    *out = (size_t)at;
    return true;
}

str api_mcp_tool_name(struct arena *a, str name, str tail) {
    char text[API_MCP_NAME_LEN_MAX];
    size_t n = 0, max = sizeof(text) - (tail.len ? tail.len + 1 : 0);
    ASSERT(tail.len < sizeof(text) - 1);
    for (size_t i = 0; i < name.len && n < max; i++) {
        char c = name.p[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '-';
        if (((unsigned char)c & 0xc0) == 0x80) /* one for each character */
            continue;
        text[n++] = good ? c : '_';
    }
    if (n == 0)
        text[n++] = '_';
    if (tail.len)
        return arena_printf(a, STR_FMT "_" STR_FMT, (int)n, text, STR_ARG(tail));
    return arena_dup(a, str_n(text, n));
}

bool api_mcp_accepts(str accept) {
    bool json = false, events = false;
    str part;
    while (str_split_next(&accept, ',', &part)) {
        ptrdiff_t end = str_find_char(part, ';');
        str type = str_trim(end < 0 ? part : str_slice(part, 0, (size_t)end));
        bool all = str_eq(type, STR("*/*"));
        json = json || all || str_ieq(type, STR("application/json")) ||
               str_ieq(type, STR("application/*"));
        events = events || all || str_ieq(type, STR("text/event-stream")) ||
                 str_ieq(type, STR("text/*"));
    }
    return json && events;
}
