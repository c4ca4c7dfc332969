/* SPDX-License-Identifier: Apache-2.0 */
/* test_runner.c - the port of graph runners. Goal: of a graph with a runner the engine asks that
 * runner for all, and only for that, which is the graph's own code: its compiled form, its tasks,
 * where they lead to (in a run and when a state is changed), and it may suspend there; a task that
 * says what follows is not asked again; a cancelled task is. Method: a runner of a few lines that
 * counts, on a real engine and an in-memory database. */
#include "engine/runner.h"

#include "engine/inspect.h"
#include "engine_fixture.h"

static int compiled, freed, runs, routes, cancels;
static int from_last;

static int port_compile(const struct graph_services *s, const struct graph_config *c, void **out,
                        struct err *err) {
    (void)s, (void)c, (void)err;
    compiled++;
    *out = &compiled;
    return 0;
}

static void port_free(const struct graph_def *g, void *object) {
    (void)g;
    assert_ptr_equal(object, &compiled);
    freed++;
}

static int port_run(struct node_ctx *ctx, struct err *err) {
    assert_ptr_equal(ctx->compiled, &compiled);
    runs++;
    if (strcmp(ctx->node->name, "sleep") == 0 && fiber_sleep_us(60000000) < 0) {
        cancels++;
        return err_set(err, ERR_CANCELLED, "stopped");
    }
    if (strcmp(ctx->node->name, "says") == 0) {
        node_goto(ctx, 2);
        node_routed(ctx);
    }
    return fx_count(ctx, err);
}

/* START to "first", that to "says"; what "says" leads to it says itself. */
static void port_route(const struct graph_question *q, struct route *out) {
    fiber_yield();
    assert_ptr_equal(q->compiled, &compiled);
    routes++;
    from_last = q->from;
    if (q->from < 1)
        route_to(out, q->from + 1);
    else
        route_to(out, 0);
}

static bool port_has_routes(const struct graph_def *g) {
    (void)g;
    return true;
}

static const struct graph_runner port = {.name = "test",
                                         .compile = port_compile,
                                         .free_compiled = port_free,
                                         .run = port_run,
                                         .route = port_route,
                                         .has_routes = port_has_routes};
static const struct node_def nodes[] = {{"first"}, {"says"}, {"sleep"}};
static const struct graph_def graph = {.id = "elsewhere",
                                       .runner = &port,
                                       .channels = fx_channels,
                                       .channel_count = ARRAY_COUNT(fx_channels),
                                       .nodes = nodes,
                                       .node_count = ARRAY_COUNT(nodes)};

static void body(struct fx *f) {
    struct live_run *run;
    struct id thread_id = fx_thread(f), at;
    compiled = freed = runs = routes = cancels = 0;
    registry_add(f->registry, &graph);
    assert_int_equal(assistant_seed(&f->store, &graph.id, 1, &f->a, NULL), 0);
    assert_int_equal(fx_submit(f, "elsewhere", thread_id, "{\"input\":{\"count\":0}}", NULL, NULL,
                               &run, NULL),
                     0);
    while (runs < 3) /* it sleeps in the third */
        assert_int_equal(fiber_sleep_us(1000), 0);
    assert_int_equal(routes, 2); /* of the start and of "first" */
    assert_int_equal(from_last, 0);
    assert_int_equal(engine_cancel(f->engine, &f->who, thread_id, live_run_id(run),
                                   CANCEL_INTERRUPT, STR_NULL, true, NULL),
                     0);
    assert_int_equal(cancels, 1);
    assert_int_equal(live_run_status(run), RUN_INTERRUPTED);
    live_run_unref(run);
    /* A state is changed as a node: the runner says where that leads to. */
    struct thread thread;
    yyjson_val *values;
    assert_int_equal(thread_get(&f->store, &f->who, thread_id, &f->a, &thread, NULL), 0);
    assert_int_equal(json_parse(&f->a, STR("{\"count\":7}"), &values, NULL), 0);
    struct state_update update = {.values = values, .as_node = STR("first")};
    struct state_superstep step = {&update, 1};
    struct state_change change = {.thread = &thread,
                                  .graph_id = STR("elsewhere"),
                                  .name_space = STR(""),
                                  .steps = &step,
                                  .count = 1};
    assert_int_equal(engine_state_update(f->engine, &change, &at, NULL), 0);
    assert_int_equal(routes, 3);
    assert_int_equal(thread_get(&f->store, &f->who, thread_id, &f->a, &thread, NULL), 0);
    assert_int_equal(thread.status, THREAD_INTERRUPTED); /* "says" is next */
    assert_int_equal(runs, 3);
    assert_true(compiled > 0);
    registry_invalidate(f->registry);
    assert_int_equal(freed, compiled);
}

static void test_port(void **state) {
    (void)state;
    fx_run(body);
}

static void test_builtin(void **state) {
    (void)state;
    assert_ptr_equal(graph_runner_of(&fx_graphs[0]), &GRAPH_RUNNER_BUILTIN);
    assert_true(GRAPH_RUNNER_BUILTIN.has_routes(&fx_graphs[0]));
    assert_ptr_equal(graph_runner_of(&graph), &port);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builtin),
        cmocka_unit_test(test_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
