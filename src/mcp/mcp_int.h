/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_int.h - the parts of the client.
 *
 *     mcp.c       sessions: what is remembered of a server; which revision it speaks
 *     exchange.c  one request: HTTP, JSON or server-sent events, resumption, cancellation
 *     tools.c     tools/list: pages, limits, what is refused; headers made of arguments
 *     result.c    tools/call: a result as text, blocks, structure
 *     jsonrpc.c   messages
 *
 * Suspends: mcp_exchange. Tests: tests/unit/mcp/ */
#ifndef HF_MCP_MCP_INT_H
#define HF_MCP_MCP_INT_H

#include "base/list.h"
#include "base/map.h"
#include "mcp/jsonrpc.h"
#include "mcp/port.h"

#define MCP_MODERN_VERSION    "2026-07-28"
#define MCP_LEGACY_VERSION    "2025-11-25"
#define MCP_ANSWER_BYTES_MAX  ((size_t)8 << 20)
#define MCP_PARAM_HEADERS_MAX 16

#define MCP_HEADER_MISMATCH     (-32020)
#define MCP_MISSING_CAPABILITY  (-32021)
#define MCP_UNSUPPORTED_VERSION (-32022)

/* What is known of one server for one principal with one set of credentials. */
struct mcp_session {
    struct list node; /* newest use last */
    char *key;        /* heap */
    int refs;
    enum { MCP_UNKNOWN, MCP_MODERN, MCP_LEGACY } era;
    char version[16];
    char *id;            /* heap; NULL: none */
    uint64_t generation; /* of id */
    bool initialised;    /* of MCP_LEGACY */
    struct arena arena;  /* of tools */
    struct mcp_tools tools;
    bool listed;
    int64_t fresh_until_us; /* monotonic */
    struct err failure;     /* of the last listing, until then: */
    int64_t failed_until_us;
};

struct mcp {
    struct rt *rt;
    struct http_client *client;
    struct mcp_options o;
    struct map by_key;
    struct list sessions;
    uint64_t key[4]; /* of the fingerprints of credentials */
    int64_t id_next;
    int refs; /* the owner's, and of cancellations being told */
    struct mcp_stats stats;
};

struct mcp_exchange {
    struct mcp *m;
    const struct mcp_target *t;
    struct mcp_session *s;
    struct arena *a; /* of this request: documents, headers */
    const char *method;
    str name;   /* Mcp-Name; absent: none */
    str params; /* members of params without _meta and braces; may be empty */
    struct http_header param_headers[MCP_PARAM_HEADERS_MAX];
    size_t param_header_count;
    mcp_progress_fn on_progress;
    void *ctx;
    /* out */
    int status;
    struct jsonrpc_message answer; /* RESULT or ERROR */
    bool answered;
    char session_id[1025]; /* of the response's head; "" none */
    /* private */
    int64_t id, deadline_us, end_us;
    str event_id; /* the newest, in the arena */
    size_t bytes;
    int asked; /* requests that the server made of us */
    bool resumable;
};

/* 0: answer is there, be it a result or an error. ERR_NOT_FOUND: status 404 or 400 for a session.
 * ERR_INVALID: another 4xx whose body is no JSON-RPC error. */
MUST_CHECK MAY_SUSPEND int mcp_exchange(struct mcp_exchange *x, struct err *err);
/* Sends a notification, waits for its acceptance. */
MUST_CHECK MAY_SUSPEND int mcp_notify(struct mcp_exchange *x, struct err *err);

/* Adds a page of tools to the session's list; *out_cursor absent: it was the last. */
MUST_CHECK int mcp_tools_add(struct arena *a, struct mcp_tools *tools, yyjson_val *result,
                             bool modern, str *out_cursor, struct err *err);
/* Mcp-Param-*: what a tool's schema wants in headers. ERR_TOO_LARGE. */
MUST_CHECK int mcp_param_headers(struct arena *a, str schema, yyjson_val *arguments,
                                 struct http_header *out, size_t *out_count, struct err *err);
/* A text as the value of a header, in base64 when it must. */
str mcp_header_value(struct arena *a, str text);

/* Of tools/call. from: lives in a; bounded. */
void mcp_answer_read(struct arena *a, yyjson_val *result, struct mcp_answer *out);
void mcp_unref(struct mcp *m);
/* A server's words in one bounded line. */
str mcp_words(struct arena *a, str text);
str mcp_host(str url);

#endif
