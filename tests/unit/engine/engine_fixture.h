/* SPDX-License-Identifier: Apache-2.0 */
/* engine_fixture.h - an engine on an in-memory database with small graphs, for tests on a fiber; on
 * PostgreSQL, in LangGraph's layout, when HF_TEST_DATABASE_URL names one.
 *
 * Graph "echo": one node that answers each message with "echo: text", streaming it in two tokens.
 * Graph "slow": one node that sleeps until it is cancelled.
 * Graph "fail": one node that fails. Graph "loop": a node that always follows itself.
 * Graph "pair": two parallel nodes, then a joining one.
 * Graph "gate": a node that says a word, then waits until fx_gate_open, then counts.
 * Graph "parting": the same, and says its word behind the gate. */
#ifndef HF_TESTS_ENGINE_FIXTURE_H
#define HF_TESTS_ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "db/fault/fault.h"
#include "db/postgres/postgres.h"
#include "db/sqlite/sqlite.h"
#include "engine/engine.h"
#include "store/assistants.h"

static const struct channel_def fx_channels[] = {
    {"messages", CHANNEL_MESSAGES, .in_output = true, .in_input = true},
    {"count", CHANNEL_LAST_VALUE, .in_output = true, .in_input = true}};

static int fx_echo(struct node_ctx *ctx, struct err *err) {
    (void)err;
    size_t n = graph_view_message_count(ctx->state, "messages");
    str text = n ? message_text(ctx->arena, graph_view_message(ctx->state, "messages", n - 1))
                 : STR("nothing");
    str id = arena_printf(ctx->arena, "run-" STR_FMT, STR_ARG(id_dashed(ctx->arena, id_v7())));
    struct node_chunk chunk = {.message_id = id, .content = STR("echo: ")};
    node_emit_chunk(ctx, &chunk);
    fiber_yield();
    chunk.content = text;
    node_emit_chunk(ctx, &chunk);
    struct message m;
    message_make_ai(
        ctx->arena,
        &(struct message_ai){.id = id,
                             .content = arena_printf(ctx->arena, "echo: " STR_FMT, STR_ARG(text)),
                             .input_tokens = -1,
                             .output_tokens = -1},
        &m);
    node_write_message(ctx, "messages", &m);
    return 0;
}

static int fx_slow(struct node_ctx *ctx, struct err *err) {
    (void)ctx;
    int rc = fiber_sleep_us(60000000);
    return rc < 0 ? err_set(err, rc, "slept badly") : 0;
}

static int fx_fail(struct node_ctx *ctx, struct err *err) {
    (void)ctx;
    return err_set(err, ERR_MODEL_FAILED, "the model server said 500");
}

static int fx_count(struct node_ctx *ctx, struct err *err) {
    (void)err;
    int64_t n = 0;
    str v = graph_view_value(ctx->state, "count");
    if (v.p)
        assert_true(str_to_i64(v, &n));
    node_write_value(ctx, "count", arena_printf(ctx->arena, "%lld", (long long)n + 1));
    return 0;
}

static bool fx_gate_open;

static int fx_wait_gate(struct err *err) {
    while (!fx_gate_open) {
        int rc = fiber_sleep_us(1000);
        if (rc < 0)
            return err_set(err, rc, "slept badly");
    }
    return 0;
}

static int fx_gate(struct node_ctx *ctx, struct err *err) {
    struct node_chunk chunk = {.message_id = STR("run-gate"), .content = STR("waiting")};
    node_emit_chunk(ctx, &chunk);
    int rc = fx_wait_gate(err);
    return rc < 0 ? rc : fx_count(ctx, err);
}

static int fx_parting(struct node_ctx *ctx, struct err *err) {
    struct node_chunk chunk = {.message_id = STR("run-gate"), .content = STR("going")};
    int rc = fx_wait_gate(err);
    node_emit_chunk(ctx, &chunk);
    return rc < 0 ? rc : fx_count(ctx, err);
}

static const struct node_def fx_gate_nodes[] = {{"gate", fx_gate}};
static const struct node_def fx_parting_nodes[] = {{"parting", fx_parting}};
static const struct node_def fx_echo_nodes[] = {{"echo", fx_echo, .eager = true}};
static const struct node_def fx_slow_nodes[] = {{"slow", fx_slow}};
static const struct node_def fx_fail_nodes[] = {{"fail", fx_fail}};
static const struct node_def fx_loop_nodes[] = {{"count", fx_count}};
static const struct node_def fx_pair_nodes[] = {
    {"left", fx_echo}, {"right", fx_echo}, {"join", fx_count}};

static inline void fx_once(const struct graph_view *v, void *compiled, int from,
                           struct route *out) {
    (void)v;
    (void)compiled;
    if (from == GRAPH_START)
        route_to(out, 0);
}
static inline void fx_forever(const struct graph_view *v, void *compiled, int from,
                              struct route *out) {
    (void)v;
    (void)compiled;
    (void)from;
    route_to(out, 0);
}
static inline void fx_pair(const struct graph_view *v, void *compiled, int from,
                           struct route *out) {
    (void)v;
    (void)compiled;
    if (from == GRAPH_START) {
        route_to(out, 0);
        route_to(out, 1);
    } else if (from < 2) {
        route_to(out, 2);
    }
}
#define FX_GRAPH(graph_id, node_list, route_fn)                                                    \
    {                                                                                              \
        .id = graph_id, .description = "test", .channels = fx_channels,                            \
        .channel_count = ARRAY_COUNT(fx_channels), .nodes = node_list,                             \
        .node_count = ARRAY_COUNT(node_list), .route = route_fn                                    \
    }
static const struct graph_def fx_graphs[] = {
    FX_GRAPH("echo", fx_echo_nodes, fx_once), FX_GRAPH("slow", fx_slow_nodes, fx_once),
    FX_GRAPH("fail", fx_fail_nodes, fx_once), FX_GRAPH("loop", fx_loop_nodes, fx_forever),
    FX_GRAPH("pair", fx_pair_nodes, fx_pair), FX_GRAPH("gate", fx_gate_nodes, fx_once),
    FX_GRAPH("parting", fx_parting_nodes, fx_once)};

struct fx {
    struct rt *rt;
    struct db *db;
    struct store store;
    struct registry *registry;
    struct graph_services services;
    struct engine *engine;
    struct arena a;
    struct principal who;
    void (*body)(struct fx *);
};

static void fx_open_engine(struct fx *f) {
    struct engine_options o = {.running_max = 8,
                               .pending_max = 100,
                               .attempts_max = 3,
                               .recursion_limit = 5,
                               .multitask_default = MULTITASK_ENQUEUE,
                               .api_url = ""};
    assert_int_equal(engine_open(f->rt, &f->store, f->registry, &f->services, &o, &f->engine, NULL),
                     0);
}

static void fx_open_database(struct fx *f) {
    struct db_postgres_options o;
    struct err err = {0};
    const char *url = getenv("HF_TEST_DATABASE_URL");
    if (!url)
        return;
    db_postgres_options_default(&o);
    o.pool.url = url;
    if (db_postgres_open(f->rt, &o, &f->db, &err) < 0)
        fail_msg("%s", err.message);
    f->db = db_fault_wrap(f->db);
    f->store.db = f->db;
    f->store.layout = CHECKPOINTS_LANGGRAPH;
    f->store.shared = true;
    fx_open_engine(f);
}

static void fx_fiber(void *arg) {
    struct fx *f = arg;
    const char *ids[ARRAY_COUNT(fx_graphs)];
    for (size_t i = 0; i < ARRAY_COUNT(fx_graphs); i++)
        ids[i] = fx_graphs[i].id;
    fx_open_database(f);
    assert_int_equal(assistant_seed(&f->store, ids, ARRAY_COUNT(ids), &f->a, NULL), 0);
    f->body(f);
    engine_drain(f->engine, rt_mono_us(f->rt));
    rt_stop(f->rt);
}

static inline void fx_run(void (*body)(struct fx *)) {
    struct fx f = {.body = body, .who = {.owner = STR("")}};
    struct db_sqlite_options o;
    bool sqlite = !getenv("HF_TEST_DATABASE_URL");
    db_sqlite_options_default(&o);
    arena_init(&f.a, SIZE_MAX / 2);
    assert_int_equal(rt_open(&f.rt, NULL), 0);
    f.services = (struct graph_services){.rt = f.rt};
    f.registry = registry_new(&f.services, &(struct registry_options){60000000, 16});
    for (size_t i = 0; i < ARRAY_COUNT(fx_graphs); i++)
        registry_add(f.registry, &fx_graphs[i]);
    if (sqlite) {
        assert_int_equal(db_sqlite_open(f.rt, &o, &f.db, NULL), 0);
        f.db = db_fault_wrap(f.db);
        f.store.db = f.db;
        fx_open_engine(&f);
    } /* else on the fiber */
    assert_non_null(fiber_spawn(f.rt, "test", fx_fiber, &f, NULL));
    rt_run(f.rt);
    engine_close(f.engine);
    registry_free(f.registry);
    db_close(f.db);
    rt_close(f.rt);
    arena_deinit(&f.a);
}

/* PostgreSQL keeps JSON as values, not as texts. */
static inline bool fx_same_json(struct fx *f, str a, const char *b) {
    yyjson_val *va, *vb;
    return json_parse(&f->a, a, &va, NULL) == 0 && json_parse(&f->a, str_of(b), &vb, NULL) == 0 &&
           json_equal(va, vb);
}

/* Submits a run of a graph with a JSON body (without assistant_id). */
static inline int fx_submit(struct fx *f, const char *graph, struct id thread, const char *body,
                            void (*accepted)(void *, struct live_run *), void *ctx,
                            struct live_run **out, struct err *err) {
    struct run_submit s = {.who = &f->who,
                           .assistant_id = id_v5(ID_NAMESPACE_GRAPH, str_of(graph)),
                           .assistant_name = str_of(graph),
                           .thread_id = thread,
                           .accepted = accepted,
                           .ctx = ctx};
    assert_int_equal(json_parse(&f->a, str_of(body), &s.body, NULL), 0);
    return engine_submit(f->engine, &s, out, err);
}

static inline struct id fx_thread(struct fx *f) {
    struct id id = id_v7();
    struct thread t;
    assert_int_equal(
        thread_create(&f->store, &f->who, id, STR("{}"), STR("{}"), false, &f->a, &t, NULL), 0);
    return id;
}

#endif
