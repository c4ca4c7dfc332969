/* SPDX-License-Identifier: Apache-2.0 */
/* tool_mcp.c - the tools "mcp:NAME": a tool of an MCP server, by its name there.
 *
 *   {"url", "arguments": {}, "headers": {}, "auth_required": false}
 *   → {"text", "structured", "content"}
 *
 * The server must be where agents' servers may be. Values of headers may hold {{secret.NAME}};
 * with auth_required the user's token is sent, over https or to a host that is named only. */
#include "graphs/guarded_http.h"
#include "mcp/port.h"
#include "plans/tools.h"

#define HEADERS_MAX 16

static int make_target(struct tool_call *call, struct mcp_target *out, struct err *err) {
    struct http_header *headers = ARENA_ARRAY(call->arena, struct http_header, HEADERS_MAX + 1);
    struct body b;
    size_t count = 0;
    bool named;
    str address;
    body_init(&b, call->arena, call->input);
    str url = body_str_required(&b, "url");
    bool auth = body_bool(&b, "auth_required", false);
    (void)body_object_val(&b, "arguments");
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = tool_headers(call, body_get(&b, "headers"), url, headers, HEADERS_MAX, &count, err);
    if (rc == 0)
        rc = guarded_address(call->node->services, call->arena, url, call->tools->o.mcp_allow,
                             &address, &named, err);
    if (rc == 0 && auth && !call->node->bearer.len)
        rc = err_set(err, ERR_INVALID, "the server needs the user's token, and the run has none");
    if (rc == 0 && auth && !named && !str_starts(url, STR("https://")))
        rc = err_set(err, ERR_INVALID, "the user's token goes only over https");
    if (rc < 0)
        return rc == ERR_FORBIDDEN ? ERR_INVALID : rc;
    if (auth) {
        headers[count].name = STR("Authorization");
        headers[count++].value =
            arena_printf(call->arena, "Bearer " STR_FMT, STR_ARG(call->node->bearer));
    }
    *out = (struct mcp_target){.url = url,
                               .connect_to = address,
                               .principal = call->node->owner,
                               .headers = headers,
                               .header_count = count,
                               .trace = &call->trace->context};
    return 0;
}

static int find_tool(struct tool_call *call, const struct mcp_target *target,
                     struct mcp_tool *out, struct err *err) {
    str name = str_slice(call->name, sizeof("mcp:") - 1, call->name.len);
    struct mcp_tools tools;
    int rc = mcp_tools_list(call->node->services->mcp, target, call->arena, &tools, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < tools.count; i++)
        if (str_eq(tools.items[i].name, name)) {
            *out = tools.items[i];
            return 0;
        }
    return err_set(err, ERR_INVALID, "the MCP server has no tool " STR_FMT,
                   STR_ARG(str_slice(name, 0, MCP_NAME_BYTES_MAX)));
}

static void write_output(struct tool_call *call, const struct mcp_answer *a) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "text");
    jw_str(&w, tool_text(call, a->text, false));
    if (a->structured.p) {
        jw_key(&w, "structured");
        jw_raw(&w, a->structured);
    }
    if (a->blocks.p) {
        jw_key(&w, "content");
        jw_raw(&w, a->blocks);
    }
    jw_object_end(&w);
    call->output = arena_take(call->arena, &b);
}

static int call_tool(struct tool_call *call, yyjson_val *arguments, struct err *err) {
    struct mcp_target target;
    struct mcp_tool tool;
    struct mcp_answer answer;
    int rc = make_target(call, &target, err);
    if (rc == 0)
        rc = find_tool(call, &target, &tool, err);
    if (rc == 0)
        rc = mcp_tool_call(call->node->services->mcp, &target, &tool, arguments, NULL, NULL,
                           call->arena, &answer, err);
    if (rc < 0)
        return rc;
    if (answer.failed) {
        str text = str_slice(tool_text(call, answer.text, false), 0, 200);
        text.len = str_utf8_prefix(text);
        return err_set(err, ERR_INTERNAL, "the tool failed: " STR_FMT, STR_ARG(text));
    }
    write_output(call, &answer);
    return 0;
}

int tool_mcp(struct tool_call *call, struct err *err) {
    yyjson_val *arguments = json_get(call->input, "arguments");
    if (!call->node->services->mcp)
        return err_set(err, ERR_INVALID, "tool: is not a tool of this server");
    if (!arguments && json_parse(call->arena, STR("{}"), &arguments, err) < 0)
        return ERR_INTERNAL;
    return call_tool(call, arguments, err);
}
