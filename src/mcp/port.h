/* SPDX-License-Identifier: Apache-2.0 */
/* port.h - client of MCP servers over streamable HTTP: what tools a server has, and calling them.
 *
 * Speaks revisions 2026-07-28 (no session) and 2025-03-26 to 2025-11-25 (initialize, session);
 * which one a server understands is found out once and remembered with its session and its tools,
 * per address, principal and credentials. What is remembered holds no secret.
 * Owner: the composition root. Memory: everything in a target must live until the call returns;
 * results live in the arena given. Errors: ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_UNAUTHORISED,
 * ERR_FORBIDDEN, ERR_LIMIT, ERR_TOO_LARGE, ERR_MALFORMED, ERR_UNSUPPORTED, ERR_CANCELLED with a
 * text that names the host but no secret. Suspends: mcp_tools_list, mcp_tool_call; cancelling the
 * fiber ends the request and tells the server.
 * Tests: tests/unit/mcp/, tests/integration/run-mcp */
#ifndef HF_MCP_PORT_H
#define HF_MCP_PORT_H

#include "base/arena.h"
#include "base/json.h"
#include "http/client.h"
#include "rt/fiber.h"

struct mcp;
struct mcp_options {
    size_t sessions_max;  /* 0: 256; the one used longest ago goes first */
    int64_t tools_ttl_us; /* 0: 300 s; a server may shorten it */
};
struct mcp *mcp_new(struct rt *rt, struct http_client *client, const struct mcp_options *o);
void mcp_free(struct mcp *m); /* no call may be under way */

/* Whom to ask, and as whom. */
struct mcp_target {
    str url;                           /* the endpoint */
    str connect_to;                    /* a checked address; absent: the client resolves */
    str principal;                     /* owner of what is remembered */
    const struct http_header *headers; /* credentials and others */
    size_t header_count;
    int64_t timeout_us;                /* without a sign of the server; 0: 60 s */
    const struct trace_context *trace; /* told to the server; NULL: nothing */
};

#define MCP_TOOLS_MAX        256
#define MCP_NAME_BYTES_MAX   128
#define MCP_SCHEMA_BYTES_MAX ((size_t)64 * 1024)
struct mcp_tool {
    str name;        /* 1 to 128 of A-Z a-z 0-9 _ - . */
    str description; /* may be empty */
    str schema;      /* JSON Schema of an object */
};
struct mcp_tools {
    struct mcp_tool *items;
    size_t count;
    str refused; /* what was left out and why, for people; absent: nothing */
};
MUST_CHECK MAY_SUSPEND int mcp_tools_list(struct mcp *m, const struct mcp_target *t,
                                          struct arena *a, struct mcp_tools *out, struct err *err);

/* On the calling fiber; text may be absent, total < 0: unknown. */
typedef void (*mcp_progress_fn)(void *ctx, double progress, double total, str text);

struct mcp_answer {
    str text;       /* for the model; of several parts joined by line ends */
    str blocks;     /* JSON array of content blocks when there is more than text; absent: none */
    str structured; /* JSON value; absent: none */
    bool failed;    /* the tool, or the server's refusal of the call */
};
/* arguments: an object. tool: of mcp_tools_list. A JSON-RPC error is an answer that failed. */
MUST_CHECK MAY_SUSPEND int mcp_tool_call(struct mcp *m, const struct mcp_target *t,
                                         const struct mcp_tool *tool, yyjson_val *arguments,
                                         mcp_progress_fn on_progress, void *ctx, struct arena *a,
                                         struct mcp_answer *out, struct err *err);

struct mcp_stats {
    size_t sessions;
    uint64_t requests, initialised, resumed, cancelled;
};
void mcp_stats(const struct mcp *m, struct mcp_stats *out);

#endif
