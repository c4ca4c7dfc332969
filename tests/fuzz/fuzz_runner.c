/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_runner.c - what a runner's process writes: lines, messages, its answer to hello.
 *
 * Checks: the lines do not depend on how the bytes are split, hold no line end and stay within the
 * limit; a description that is taken names only what it has, within the bounds, and one that is
 * refused leaves nothing. Input: one byte that seeds the splits, then the stream. */
#include "base/mem.h"
#include "engine/runner.h"
#include "mcp/jsonrpc.h"
#include "runner/describe.h"
#include "runner/lines.h"

#define LINE_BYTES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct graph_runner port = {.name = "fuzz"};

static void check_graph(const struct graph_def *g) {
    int nodes = (int)g->node_count;
    ASSERT(g->id[0] && nodes > 0 && nodes <= GRAPH_NODES_MAX && g->runner == &port);
    for (size_t i = 0; i < g->channel_count; i++)
        ASSERT(g->channels[i].name[0] && !strpbrk(g->channels[i].name, "\"\\ :|"));
    for (int i = 0; i < nodes; i++) {
        ASSERT(graph_node_find(g, str_of(g->nodes[i].name)) == i);
        ASSERT(!strpbrk(g->nodes[i].name, "\"\\:|") && g->nodes[i].retry.attempts_max >= 1);
    }
    for (size_t i = 0; i < g->edge_count; i++) {
        ASSERT(g->edges[i].from >= GRAPH_START && g->edges[i].from < nodes);
        ASSERT(g->edges[i].to >= GRAPH_END && g->edges[i].to < nodes);
        ASSERT(g->edges[i].to != GRAPH_START);
    }
    for (size_t i = 0; i < g->join_count; i++)
        for (size_t k = 0; k < g->joins[i].count; k++)
            ASSERT(g->joins[i].from[k] >= 0 && g->joins[i].from[k] < nodes);
}

static void check_answer(yyjson_val *result) {
    struct runner_description *d = NEW(struct runner_description);
    struct err err = {0};
    if (runner_describe(result, &port, NULL, NULL, d, &err) == 0) {
        for (size_t i = 0; i < d->count; i++)
            check_graph(&d->graphs[i]->def);
        runner_description_unref(d);
    } else {
        ASSERT(err.message[0] && d->count == 0);
    }
    mem_free(d);
}

static int take(void *ctx, str line, struct err *err) {
    struct buf *out = ctx;
    struct arena a;
    yyjson_val *root;
    struct jsonrpc_message m;
    ASSERT(line.len > 0 && line.len <= LINE_BYTES_MAX && str_find_char(line, '\n') < 0);
    buf_printf(out, "%zu ", line.len);
    buf_str(out, line);
    arena_init(&a, SIZE_MAX / 2);
    int rc = json_parse(&a, line, &root, err);
    if (rc == 0)
        rc = jsonrpc_read(root, &m, err);
    if (rc == 0 && m.kind == JSONRPC_RESULT)
        check_answer(m.result);
    arena_deinit(&a);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > 65536)
        return 0;
    str in = {(const char *)data + 1, size - 1};
    uint32_t seed = data[0];
    struct lines once, pieces;
    struct buf first, second;
    buf_init(&first, 8u << 20);
    buf_init(&second, 8u << 20);
    lines_init(&once, LINE_BYTES_MAX);
    lines_init(&pieces, LINE_BYTES_MAX);
    int rc = lines_feed(&once, in, take, &first, NULL), rc_pieces = 0;
    for (size_t at = 0, n; at < in.len && rc_pieces == 0; at += n) {
        seed = seed * 1664525u + 1013904223u;
        n = (seed >> 24) % 64 + 1;
        rc_pieces = lines_feed(&pieces, str_slice(in, at, at + n), take, &second, NULL);
    }
    ASSERT(rc == rc_pieces && str_eq(buf_view(&first), buf_view(&second)));
    lines_deinit(&once);
    lines_deinit(&pieces);
    buf_deinit(&first);
    buf_deinit(&second);
    return 0;
}
