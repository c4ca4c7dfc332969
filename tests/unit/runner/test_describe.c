/* SPDX-License-Identifier: Apache-2.0 */
/* test_describe.c - Goal: a description becomes the definition that it says, with its defaults, and
 * every fault is refused with its place, leaving nothing behind. Method: texts; the count of live
 * blocks before and after. */
#include "runner/describe.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/runner.h"

static const struct graph_runner port = {.name = "test"};

static const char GOOD[] =
    "{\"protocol\":1,\"graphs\":[{\"id\":\"one\",\"description\":\"d\",\"channels\":{"
    "\"messages\":{\"reducer\":\"messages\"},\"n\":{\"reducer\":\"sum\",\"initial\":2,"
    "\"input\":false},\"t\":{\"reducer\":\"topic\",\"accumulate\":true,\"output\":false},"
    "\"x\":{}},\"nodes\":{\"a\":{\"timeout_seconds\":1.5,\"retry\":{\"attempts\":5,"
    "\"jitter\":false}},\"b c\":{}},\"edges\":[{\"from\":\"__start__\",\"to\":\"a\"},"
    "{\"from\":\"a\",\"to\":\"b c\",\"condition\":\"more\"},{\"from\":\"a\",\"to\":\"__end__\","
    "\"condition\":\"done\"},{\"from\":\"b c\",\"to\":\"a\"}],\"joins\":[{\"from\":[\"a\","
    "\"b c\"],\"to\":\"a\"}],\"schemas\":{\"input\":{\"type\":\"array\"}}},{\"id\":\"two\","
    "\"channels\":{},\"nodes\":{\"sub\":{\"subgraph\":\"one\"}},\"edges\":[]}]}";

static int describe(const char *text, struct runner_description *d, struct err *err) {
    struct arena a;
    yyjson_val *root;
    arena_init(&a, 1 << 20);
    assert_int_equal(json_parse(&a, str_of(text), &root, NULL), 0);
    int rc = runner_describe(root, &port, NULL, NULL, d, err);
    arena_deinit(&a);
    return rc;
}

static void test_good(void **state) {
    (void)state;
    struct runner_description d;
    struct err err = {0};
    int64_t before = mem_live_count();
    if (describe(GOOD, &d, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(d.count, 2);
    const struct graph_def *g = &d.graphs[0]->def;
    assert_string_equal(g->id, "one");
    assert_ptr_equal(g->runner, &port);
    assert_int_equal(g->channel_count, 4);
    assert_int_equal(g->channels[0].kind, CHANNEL_MESSAGES);
    assert_int_equal(g->channels[1].reducer, REDUCE_SUM);
    assert_string_equal(g->channels[1].initial, "2");
    assert_false(g->channels[1].in_input);
    assert_true(g->channels[1].in_output);
    assert_true(g->channels[2].accumulate);
    assert_false(g->channels[2].in_output);
    assert_int_equal(g->channels[3].kind, CHANNEL_LAST_VALUE);
    assert_int_equal(g->nodes[0].timeout_us, 1500000);
    assert_int_equal(g->nodes[0].retry.attempts_max, 5);
    assert_false(g->nodes[0].retry.jitter);
    assert_int_equal(g->nodes[1].retry.attempts_max, 3);
    assert_int_equal(g->edge_count, 4);
    assert_int_equal(g->edges[0].from, GRAPH_START);
    assert_null(g->edges[0].condition);
    assert_string_equal(g->edges[1].condition, "more");
    assert_int_equal(g->edges[2].to, GRAPH_END);
    assert_int_equal(d.graphs[0]->asks, 1);
    assert_false(d.graphs[0]->asks_start);
    assert_int_equal(g->joins[0].count, 2);
    assert_string_equal(g->input_schema, "{\"type\":\"array\"}");
    assert_string_equal(g->state_schema, "{\"type\":\"object\"}");
    assert_ptr_equal(d.graphs[1]->def.nodes[0].subgraph, g);
    runner_description_unref(&d);
    assert_int_equal(mem_live_count(), before);
}

#define GRAPH(channels, nodes, edges) \
    "{\"protocol\":1,\"graphs\":[{\"id\":\"g\",\"channels\":" channels ",\"nodes\":" nodes \
    ",\"edges\":" edges "}]}"

static void test_wrong(void **state) {
    (void)state;
    static const struct {
        const char *text, *wanted;
        int rc;
    } cases[] = {
        {"{\"graphs\":[]}", "version 1", ERR_UNSUPPORTED},
        {"{\"protocol\":2,\"graphs\":[]}", "version 1", ERR_UNSUPPORTED},
        {"{\"protocol\":1}", "graphs: must be an array", ERR_INVALID},
        {"{\"protocol\":1,\"graphs\":[7]}", "graphs[0]: the graph \"\"", ERR_INVALID},
        {"{\"protocol\":1,\"graphs\":[{\"id\":\"a/b\"}]}", "the graph \"a/b\"", ERR_INVALID},
        {GRAPH("[]", "{\"a\":{}}", "[]"), "channels: must be an object", ERR_INVALID},
        {GRAPH("{\"a\\\"b\":{}}", "{\"a\":{}}", "[]"), "the channel", ERR_INVALID},
        {GRAPH("{\"__x\":{}}", "{\"a\":{}}", "[]"), "the channel \"__x\"", ERR_INVALID},
        {GRAPH("{\"x\":{\"reducer\":\"mine\"}}", "{\"a\":{}}", "[]"), "channels.x: has a reducer",
         ERR_INVALID},
        {GRAPH("{\"x\":{\"reducer\":\"sum\",\"initial\":\"a\"}}", "{\"a\":{}}", "[]"),
         "channels.x.initial", ERR_INVALID},
        {GRAPH("{\"x\":{},\"x\":{}}", "{\"a\":{}}", "[]"), "channels.x: is there twice",
         ERR_INVALID},
        {GRAPH("{}", "{}", "[]"), "nodes: must be an object of 1", ERR_INVALID},
        {GRAPH("{}", "{\"a:b\":{}}", "[]"), "the node \"a:b\"", ERR_INVALID},
        {GRAPH("{}", "{\"a\":{\"timeout_seconds\":0}}", "[]"), "nodes.a: timeout_seconds",
         ERR_INVALID},
        {GRAPH("{}", "{\"a\":{\"retry\":{\"attempts\":99}}}", "[]"), "nodes.a: retry.attempts",
         ERR_INVALID},
        {GRAPH("{}", "{\"a\":{\"subgraph\":\"g\"}}", "[]"), "nodes.a.subgraph", ERR_INVALID},
        {GRAPH("{}", "{\"a\":{}}", "[{\"from\":\"a\",\"to\":\"z\"}]"),
         "edges.to: there is no node \"z\"", ERR_INVALID},
        {GRAPH("{}", "{\"a\":{}}", "[{\"from\":\"__end__\",\"to\":\"a\"}]"), "from the end",
         ERR_INVALID},
        {GRAPH("{}", "{\"a\":{}}", "[{\"from\":\"a\",\"to\":\"a\",\"condition\":1}]"),
         "edges.condition", ERR_INVALID},
        {GRAPH("{}", "{\"a\":{}}", "[],\"joins\":[{\"from\":[],\"to\":\"a\"}]"), "joins",
         ERR_INVALID},
    };
    int64_t before = mem_live_count();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct runner_description d;
        struct err err = {0};
        assert_int_equal(describe(cases[i].text, &d, &err), cases[i].rc);
        if (!strstr(err.message, cases[i].wanted))
            fail_msg("%s\n  gives: %s\n  not: %s", cases[i].text, err.message, cases[i].wanted);
        assert_int_equal(d.count, 0);
    }
    assert_int_equal(mem_live_count(), before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
