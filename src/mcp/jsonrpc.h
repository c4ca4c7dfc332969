/* SPDX-License-Identifier: Apache-2.0 */
/* jsonrpc.h - one message of JSON-RPC 2.0, as an MCP server may send it.
 *
 * Memory: views into the document. Errors: ERR_MALFORMED. Suspends: never.
 * Tests: tests/unit/mcp/test_jsonrpc.c; fuzzed. */
#ifndef HF_MCP_JSONRPC_H
#define HF_MCP_JSONRPC_H

#include "base/json.h"

enum jsonrpc_kind { JSONRPC_RESULT, JSONRPC_ERROR, JSONRPC_NOTIFICATION, JSONRPC_REQUEST };
struct jsonrpc_message {
    enum jsonrpc_kind kind;
    yyjson_val *id; /* number, string; NULL: none */
    str method;     /* of requests and notifications */
    yyjson_val *params;
    yyjson_val *result;
    int64_t code; /* of an error */
    str text;
    yyjson_val *data;
};
MUST_CHECK int jsonrpc_read(yyjson_val *root, struct jsonrpc_message *out, struct err *err);
/* Is it the answer to the request of this number? Some servers send numbers back as texts. */
bool jsonrpc_answers(const struct jsonrpc_message *m, int64_t id);

#endif
