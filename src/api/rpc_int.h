/* SPDX-License-Identifier: Apache-2.0 */
/* rpc_int.h - answers in JSON-RPC 2.0, for the routes that speak it: MCP, A2A.
 *
 * Memory: the request's writer and arena. Suspends: never.
 * Tests: tests/integration/run-mcp-server, run-a2a */
#ifndef HF_API_RPC_INT_H
#define HF_API_RPC_INT_H

#include "api/api_int.h"
#include "mcp/jsonrpc.h"

#define RPC_INVALID_REQUEST (-32600)
#define RPC_NO_METHOD       (-32601)
#define RPC_INVALID_PARAMS  (-32602)
#define RPC_INTERNAL        (-32603)

/* {"jsonrpc":"2.0","id":…,"result": and its end: the caller writes one value in between. id NULL:
 * null. */
void rpc_open(struct json_writer *w, yyjson_val *id);
void rpc_open_text(struct json_writer *w, str id_json);
void rpc_close(struct json_writer *w);
struct rpc_error {
    int64_t code;
    str text;
    str data; /* JSON; absent: none */
};
/* The whole message. */
void rpc_write_error(struct json_writer *w, yyjson_val *id, const struct rpc_error *e);
int rpc_reply_error(struct api_request *r, int status, yyjson_val *id, const struct rpc_error *e);
/* {"error","message"} of a run as one text. */
str rpc_run_error_text(struct arena *a, str error);

#endif
