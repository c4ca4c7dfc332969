/* SPDX-License-Identifier: Apache-2.0 */
/* test_graph.c - Goal: channels of every kind reduce and last as long as they should, two writes of
 * a last value are refused, fan-out, joins and commands of nodes lead to the right tasks, and a
 * state that was stored between two steps says what is next. Method: graphs of a few lines run by a
 * real engine on an in-memory database. */
#include "engine_fixture.h"

static const struct channel_def all_channels[] = {
    {"last", CHANNEL_LAST_VALUE, .in_output = true, .in_input = true},
    {"log", CHANNEL_LIST, .in_output = true, .in_input = true},
    {"sum", CHANNEL_BINARY, .in_output = true, .reducer = REDUCE_SUM, .initial = "0"},
    {"brief", CHANNEL_EPHEMERAL, .in_output = true},
    {"topic", CHANNEL_TOPIC, .in_output = true},
    {"topics", CHANNEL_TOPIC, .in_output = true, .accumulate = true},
    {"any", CHANNEL_ANY, .in_output = true},
    {"inside", CHANNEL_LAST_VALUE},
};

/* What a node of these graphs does: writes ["channel", value] pairs, then goes and sends. */
struct act {
    const char *writes;
    int go; /* GRAPH_END: nowhere */
    int send;
    const char *sends; /* array of arguments */
    bool clash;
};

static int act(struct node_ctx *ctx, struct err *err) {
    const struct act *act = ctx->node->data;
    yyjson_val *list, *item;
    size_t i, n;
    assert_int_equal(json_parse(ctx->arena, str_of(act->writes), &list, err), 0);
    yyjson_arr_foreach(list, i, n, item) {
        char *channel = arena_z(ctx->arena, json_str(yyjson_arr_get(item, 0)));
        node_write_value(ctx, channel, json_text(ctx->arena, yyjson_arr_get(item, 1)));
    }
    if (ctx->input.p)
        node_write_value(ctx, "log",
                         arena_printf(ctx->arena, "[" STR_FMT "]", STR_ARG(ctx->input)));
    node_goto(ctx, act->go);
    if (act->sends) {
        assert_int_equal(json_parse(ctx->arena, str_of(act->sends), &list, err), 0);
        yyjson_arr_foreach(list, i, n, item)
            node_send(ctx, act->send, json_text(ctx->arena, item));
    }
    return 0;
}

static const struct act kinds_acts[] = {
    {"[[\"last\",1],[\"log\",[1,2]],[\"sum\",4],[\"brief\",1],[\"topic\",1],[\"topic\",[2,3]],"
     "[\"topics\",1],[\"any\",1],[\"any\",2],[\"inside\",7]]",
     .go = 1},
    {"[[\"last\",2],[\"log\",3],[\"sum\",0.5],[\"topics\",[2]],[\"any\",3]]", .go = GRAPH_END}};
static const struct node_def kinds_nodes[] = {{"one", act, .data = &kinds_acts[0]},
                                              {"two", act, .data = &kinds_acts[1]}};

static const struct act clash_act = {"[[\"last\",1]]", .go = GRAPH_END};
static const struct node_def clash_nodes[] = {{"left", act, .data = &clash_act},
                                              {"right", act, .data = &clash_act}};
static void clash_route(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)v, (void)compiled;
    if (from == GRAPH_START) {
        route_to(out, 0);
        route_to(out, 1);
    }
}

/* start → a, b (b goes by way of c); join of a and c → end; a sends three to work. */
static const struct act fan_acts[] = {
    {"[[\"log\",\"a\"]]", .go = GRAPH_END, .send = 3, .sends = "[\"x\",\"y\",\"z\"]"},
    {"[[\"log\",\"b\"]]", .go = 2},
    {"[[\"log\",\"c\"]]", .go = GRAPH_END},
    {"[]", .go = GRAPH_END},
    {"[[\"log\",\"joined\"]]", .go = GRAPH_END}};
static const struct node_def fan_nodes[] = {{"a", act, .data = &fan_acts[0]},
                                            {"b", act, .data = &fan_acts[1]},
                                            {"c", act, .data = &fan_acts[2]},
                                            {"work", act, .data = &fan_acts[3]},
                                            {"joined", act, .data = &fan_acts[4]}};
static const int fan_from[] = {0, 2};
static const struct graph_join fan_joins[] = {{4, fan_from, 2}};

#define GRAPH_OF(graph_id, node_list, route_fn)                                                    \
    {                                                                                              \
        .id = graph_id, .description = "test", .channels = all_channels,                           \
        .channel_count = ARRAY_COUNT(all_channels), .nodes = node_list,                            \
        .node_count = ARRAY_COUNT(node_list), .route = route_fn                                    \
    }
static const struct graph_def kinds = GRAPH_OF("kinds", kinds_nodes, fx_once);
static const struct graph_def clash = GRAPH_OF("clash", clash_nodes, clash_route);
static struct graph_def fan = GRAPH_OF("fan", fan_nodes, clash_route);

static void add(struct fx *f, const struct graph_def *g) {
    registry_add(f->registry, g);
    assert_int_equal(assistant_seed(&f->store, &g->id, 1, &f->a, NULL), 0);
}

static struct live_run *run_to_end(struct fx *f, const char *graph, struct id thread,
                                   const char *body) {
    struct live_run *run;
    struct err err = {0};
    if (fx_submit(f, graph, thread, body, NULL, NULL, &run, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0);
    return run;
}

static void expect_values(struct live_run *run, const char *values) {
    str got = live_run_values(run);
    if (!str_eq(got, str_of(values)))
        fail_msg(STR_FMT " is not %s", STR_ARG(got), values);
}

static struct checkpoint state_at(struct fx *f, struct id thread, int step) {
    struct checkpoint *list;
    size_t count;
    assert_int_equal(checkpoint_list(&f->store, thread, STR(""), ID_NIL, STR_NULL, 20, &f->a, &list,
                                     &count, NULL),
                     0);
    for (size_t i = 0; i < count; i++)
        if (list[i].step == step) {
            assert_int_equal(checkpoint_load_values(&f->store, &list[i], &f->a, NULL), 0);
            return list[i];
        }
    fail_msg("there is no step %d", step);
    return (struct checkpoint){0};
}

static void body_kinds(struct fx *f) {
    struct id thread = fx_thread(f);
    add(f, &kinds);
    struct live_run *run = run_to_end(
        f, "kinds", thread, "{\"input\":{\"log\":[0],\"last\":0,\"sum\":100,\"inside\":1}}");
    assert_int_equal(live_run_status(run), RUN_SUCCESS);
    expect_values(run, "{\"last\":2,\"log\":[0,1,2,3],\"sum\":4.5,\"topics\":[1,2],\"any\":3}");
    live_run_unref(run);
    struct checkpoint c = state_at(f, thread, 1);
    str values = checkpoint_values_json(&f->a, &c);
    if (!fx_same_json(f, values,
                      "{\"last\":1,\"log\":[0,1,2],\"sum\":4,\"brief\":1,\"topic\":[1,2,3],"
                      "\"topics\":[1],\"any\":2,\"inside\":7}"))
        fail_msg(STR_FMT, STR_ARG(values));
    /* The next turn goes on from all of it. */
    run = run_to_end(f, "kinds", thread, "{\"input\":{\"log\":[9]}}");
    expect_values(run, "{\"last\":2,\"log\":[0,1,2,3,9,1,2,3],\"sum\":9.0,\"topics\":[1,2,1,2],"
                       "\"any\":3}");
    live_run_unref(run);
}
static void test_kinds(void **state) {
    (void)state;
    fx_run(body_kinds);
}

static void body_clash(struct fx *f) {
    add(f, &clash);
    struct live_run *run = run_to_end(f, "clash", fx_thread(f), "{\"input\":{}}");
    assert_int_equal(live_run_status(run), RUN_ERROR);
    str error = live_run_error(run);
    assert_true(str_find(error, STR("\"InvalidUpdateError\"")) > 0);
    assert_true(str_find(error, STR("At key 'last': Can receive only one value per step.")) > 0);
    live_run_unref(run);
}
static void test_clash(void **state) {
    (void)state;
    fx_run(body_clash);
}

static void body_fan(struct fx *f) {
    struct id thread = fx_thread(f);
    fan.joins = fan_joins;
    fan.join_count = 1;
    add(f, &fan);
    struct live_run *run = run_to_end(f, "fan", thread, "{\"input\":{}}");
    expect_values(run, "{\"log\":[\"a\",\"b\",\"c\",\"x\",\"y\",\"z\",\"joined\"],\"sum\":0,"
                       "\"topics\":[]}");
    live_run_unref(run);
    struct checkpoint c = state_at(f, thread, 1);
    assert_true(fx_same_json(f, c.next, "[\"work\",\"work\",\"work\",\"c\"]"));
    assert_true(str_find(c.tasks, STR("[\"__pregel_push\",2,false]")) > 0);
    assert_true(str_find(checkpoint_values_json(&f->a, &c), STR("__pregel")) < 0);
    c = state_at(f, thread, 2);
    assert_true(str_eq(c.next, STR("[\"joined\"]")));
    /* Stopped in the middle and continued: sends and joins are where they were. */
    thread = fx_thread(f);
    run = run_to_end(f, "fan", thread, "{\"input\":{},\"interrupt_before\":[\"work\"]}");
    live_run_unref(run);
    run = run_to_end(f, "fan", thread, "{\"interrupt_before\":[\"joined\"]}");
    expect_values(run, "{\"log\":[\"a\",\"b\",\"c\",\"x\",\"y\",\"z\"],\"sum\":0,\"topics\":[]}");
    live_run_unref(run);
    run = run_to_end(f, "fan", thread, "{}");
    expect_values(run, "{\"log\":[\"a\",\"b\",\"c\",\"x\",\"y\",\"z\",\"joined\"],\"sum\":0,"
                       "\"topics\":[]}");
    live_run_unref(run);
}
static void test_fan(void **state) {
    (void)state;
    fx_run(body_fan);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds), cmocka_unit_test(test_clash),
                                       cmocka_unit_test(test_fan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
