/* SPDX-License-Identifier: Apache-2.0 */
/* document_int.h - a document while it is read, and what its nodes keep.
 *
 * Memory: the graph's arena. Errors: faults. Suspends: the nodes' functions.
 * Tests: tests/unit/graphs/test_document.c */
#ifndef HF_GRAPHS_DOCUMENT_INT_H
#define HF_GRAPHS_DOCUMENT_INT_H

#include "graphs/agent_config.h"
#include "graphs/builder.h"
#include "graphs/document.h"
#include "graphs/guarded_http.h"
#include "graphs/scope.h"
#include "graphs/template.h"
#include "graphs/tools.h"

/* --- what nodes keep --- */

enum doc_kind {
    DOC_MODEL,
    DOC_TOOLS,
    DOC_TOOL,
    DOC_HTTP,
    DOC_MAP,
    DOC_GATE,
    DOC_TRANSFORM,
    DOC_SUBGRAPH
};
struct doc_write {
    const char *channel;
    enum channel_kind kind;
    const struct expr *value;
};
struct doc_member { /* a header, an argument */
    str name;
    const struct template *text;
    const struct expr *value;
};
struct doc;
struct doc_node {
    const struct doc *doc;
    enum doc_kind kind;
    int index;
    bool has_writes;
    struct doc_write *writes;
    size_t write_count;
    yyjson_val *own; /* the node in the document */
    /* model, tools */
    const struct template *system, *prompt;
    const struct expr *messages, *iterations;
    const char *channel;
    /* tool, http */
    const struct tool *tool;
    struct doc_member *members;
    size_t member_count;
    bool tolerant; /* a failure is a result */
    enum http_method method;
    const struct template *url;
    const struct expr *body;
    int64_t http_timeout_us;
    /* map, gate */
    const struct expr *over, *payload, *when;
    int to;
};
struct doc_edge {
    const struct doc *doc;
    const struct expr *when, *each;
};
struct doc {
    yyjson_val *defaults; /* of the configuration: an object */
    struct doc_node nodes[GRAPH_NODES_MAX];
    size_t node_count;
};
/* A configuration's form of a document. */
struct doc_compiled {
    struct arena arena;
    const struct doc *doc;
    yyjson_val *config;
    struct agent_config *models[GRAPH_NODES_MAX]; /* of model and tools nodes */
};

/* document_compile.c */
int document_compile(const struct graph_services *s, const struct graph_config *c, void **out,
                     struct err *err);
void document_free_compiled(void *compiled);

/* document_run.c, document_model.c: what the nodes do; MAY_SUSPEND */
int document_run_model(struct node_ctx *ctx, struct err *err);
int document_run_tools(struct node_ctx *ctx, struct err *err);
int document_run_tool(struct node_ctx *ctx, struct err *err);
int document_run_http(struct node_ctx *ctx, struct err *err);
int document_run_map(struct node_ctx *ctx, struct err *err);
int document_run_gate(struct node_ctx *ctx, struct err *err);
int document_run_transform(struct node_ctx *ctx, struct err *err);
static inline const struct doc_node *document_node(const struct node_ctx *ctx) {
    return ctx->node->data;
}
static inline struct doc_compiled *document_compiled(const struct node_ctx *ctx) {
    return ctx->compiled;
}
/* Evaluates the node's writes with scope->result as `result`. */
int document_write(struct node_ctx *ctx, struct scope *s, struct err *err);
int document_write_messages(struct node_ctx *ctx, const char *channel, const struct expr_value *v,
                            struct err *err);
#define DOCUMENT_VALUE_BYTES_MAX ((size_t)16 << 20)

/* --- reading --- */

struct doc_at { /* a place in the document, for faults */
    const struct doc_at *up;
    str key;
    size_t index; /* key absent: of an array */
};
struct doc_reader {
    struct arena *a; /* the graph's */
    struct graph_builder *builder;
    struct doc *doc;
    struct graph_faults *faults;
    const struct graph_finder *finder;
    yyjson_val *root;
    struct channel_def channels[DOCUMENT_CHANNELS_MAX];
    size_t channel_count;
    str names[GRAPH_NODES_MAX];
    size_t name_count;
    uint64_t leads[GRAPH_NODES_MAX + 1]; /* nodes that each leads to; the last: START */
    bool ends[GRAPH_NODES_MAX];          /* it leads somewhere */
};
struct doc_object { /* an object of the document, being read */
    struct doc_reader *r;
    yyjson_val *v;
    struct doc_at at;
};
void doc_fault(struct doc_reader *r, const struct doc_at *at, const char *format, ...)
    PRINTF_LIKE(3, 4);
void doc_member_fault(const struct doc_object *o, const char *key, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* known: blank-separated; other members are faults. Keys that appear twice are, too. */
void doc_known(const struct doc_object *o, const char *known);
str doc_str(const struct doc_object *o, const char *key, size_t bytes_max); /* absent: none */
bool doc_bool(const struct doc_object *o, const char *key, bool fallback);
double doc_number(const struct doc_object *o, const char *key, double min, double max,
                  double fallback);
const struct expr *doc_expr(const struct doc_object *o, const char *key, bool required);
const struct template *doc_template(const struct doc_object *o, const char *key, bool required);
const struct expr *doc_expr_at(struct doc_reader *r, yyjson_val *v, const struct doc_at *at);
const struct template *doc_template_at(struct doc_reader *r, yyjson_val *v,
                                       const struct doc_at *at);
const struct channel_def *doc_channel(const struct doc_reader *r, str name); /* NULL: unknown */
/* A node's index; GRAPH_START, GRAPH_END where that is allowed; -3 after a fault. */
#define DOC_NO_NODE (-3)
int doc_node_of(struct doc_reader *r, yyjson_val *v, const struct doc_at *at, bool start, bool end);
void doc_leads(struct doc_reader *r, int from, int to);

/* document_nodes.c */
void document_read_node(struct doc_reader *r, int index, yyjson_val *v, const struct doc_at *at);
/* document_check.c: are all nodes reached, and do they lead somewhere? */
void document_check(struct doc_reader *r);

#endif
