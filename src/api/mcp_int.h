/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_int.h - reading what MCP clients ask of this server.
 *
 * Memory: views into the document and the headers, texts in the arena. Suspends: never.
 * Tests: tests/integration/run-mcp-server; fuzzed. */
#ifndef HF_API_MCP_INT_H
#define HF_API_MCP_INT_H

#include "api/rpc_int.h"

#define API_MCP_STATELESS    "2026-07-28"
#define API_MCP_HANDSHAKE    "2025-11-25" /* the newest of those that begin with initialize */
#define API_MCP_NAME_LEN_MAX 64
#define API_MCP_COUNT_MAX    1000 /* tools: an owner's oldest assistants */
#define API_MCP_PAGE         100

struct api_mcp_headers {
    str version, method, name; /* absent: not sent */
    bool repeated;             /* one of them was sent twice */
};
struct api_mcp_request {
    struct jsonrpc_message m;
    bool stateless;         /* of the revision without sessions */
    int status;             /* of a refusal */
    struct rpc_error error; /* why */
};
/* False: refused. root NULL: an empty body. */
bool api_mcp_read(struct arena *a, yyjson_val *root, const struct api_mcp_headers *h,
                  struct api_mcp_request *out);
/* What initialize answers to the version that the client wants. */
str api_mcp_negotiate(str wanted);
/* The offset that a cursor of tools/list stands for. */
bool api_mcp_cursor_read(yyjson_val *params, size_t *out);
/* A name of letters, digits, _ and - that is not empty; tail: added behind an underscore. */
str api_mcp_tool_name(struct arena *a, str name, str tail);
/* Does an Accept header take both JSON and event streams? */
bool api_mcp_accepts(str accept);

/* --- mcp.c --- */
/* The result of a call, as the whole answer. structured: JSON, absent: none. */
void api_mcp_write_result(struct json_writer *w, const struct api_mcp_request *q, str text,
                          str structured, bool is_error);
bool api_mcp_is_callers(int rc); /* what the caller can mend by calling otherwise */

/* --- mcp_history.c: tools over the caller's histories --- */
void api_mcp_history_names(struct map *taken); /* so that no assistant has their names */
void api_mcp_history_write_tools(struct api_request *r, struct json_writer *w);
/* *out_called: it was one of them, and is answered when the call returns 0. */
MUST_CHECK MAY_SUSPEND int api_mcp_history_call(struct api_request *r,
                                                const struct api_mcp_request *q, str name,
                                                yyjson_val *arguments, bool *out_called,
                                                struct err *err);

#endif
