/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a document becomes the graph that it describes, or its faults are told, all of them, with
 * the place and what to change.
 * Method: small documents; definitions looked at, faults compared word for word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "graphs/agent.h"
#include "graphs/document.h"

static struct arena arena;
static struct graph_faults faults;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)64 << 20);
    faults.a = &arena;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_deinit(&arena);
    return 0;
}

static const struct graph_def *find(void *ctx, str id) {
    return str_eq(id, STR("agent")) ? ctx : NULL;
}

static int build(const char *text, const struct graph_def **out, struct err *err) {
    yyjson_val *root;
    const struct graph_def *agent = agent_graph_new();
    struct graph_finder finder = {find, (void *)(uintptr_t)agent};
    if (json_parse(&arena, str_of(text), &root, err) < 0)
        fail_msg("%s: %s", text, err->message);
    int rc = document_build(root, STR_NULL, &finder, &faults, out, err);
    graph_def_unref(agent);
    return rc;
}

static const struct graph_def *good(const char *text) {
    const struct graph_def *g = NULL;
    struct err err = {0};
    if (build(text, &g, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return g;
}

/* wanted: "pointer: text" of each fault. */
static void bad(const char *text, const char *const *wanted, size_t count) {
    const struct graph_def *g;
    struct err err = {0};
    assert_int_equal(build(text, &g, &err), ERR_INVALID);
    for (size_t i = 0; i < faults.count || i < count; i++) {
        str got = i < faults.count
                      ? arena_printf(&arena, STR_FMT ": " STR_FMT, STR_ARG(faults.list[i].pointer),
                                     STR_ARG(faults.list[i].text))
                      : STR("(none)");
        assert_string_equal(arena_z(&arena, got), i < count ? wanted[i] : "(none)");
    }
}
#define BAD(text, ...)                                                                             \
    do {                                                                                           \
        const char *const wanted_[] = {__VA_ARGS__};                                               \
        bad(text, wanted_, sizeof(wanted_) / sizeof(wanted_[0]));                                  \
    } while (0)

/* A document of one node "a" that leads to END. */
#define ONE(node)                                                                                  \
    "{\"id\":\"g\",\"channels\":{\"messages\":{\"reducer\":\"messages\"},\"x\":{}},\"nodes\":{"    \
    "\"a\":" node "},\"entry\":\"a\",\"edges\":[{\"from\":\"a\",\"to\":\"END\"}]}"

static void test_whole(void **state) {
    (void)state;
    const struct graph_def *g = good(
        "{\"id\":\"g\",\"description\":\"d\",\"channels\":{\"messages\":{\"reducer\":\"messages\"},"
        "\"n\":{\"reducer\":\"sum\",\"initial\":5,\"input\":false,\"schema\":{\"type\":\"integer\"}"
        "}"
        ",\"log\":{\"reducer\":\"topic\",\"accumulate\":true,\"output\":false}},"
        "\"nodes\":{\"ask\":{\"kind\":\"model\",\"retry\":{\"attempts\":4},\"timeout\":2.5},"
        "\"sub\":{\"kind\":\"subgraph\",\"graph\":\"agent\"},"
        "\"end\":{\"kind\":\"transform\",\"writes\":{\"n\":\"`1`\"}}},"
        "\"entry\":[\"ask\",\"sub\"],\"joins\":[{\"from\":[\"ask\",\"sub\"],\"to\":\"end\"}],"
        "\"edges\":[{\"from\":\"end\",\"to\":\"END\",\"when\":\"state.n > `6`\"},"
        "{\"from\":\"end\",\"to\":\"ask\",\"otherwise\":true}],"
        "\"config\":{\"type\":\"object\",\"properties\":{\"depth\":{\"default\":3}}}}");
    assert_string_equal(g->id, "g");
    assert_string_equal(g->description, "d");
    assert_int_equal(g->channel_count, 3);
    assert_int_equal(g->channels[1].kind, CHANNEL_BINARY);
    assert_int_equal(g->channels[1].reducer, REDUCE_SUM);
    assert_string_equal(g->channels[1].initial, "5");
    assert_false(g->channels[1].in_input);
    assert_true(g->channels[2].accumulate);
    assert_int_equal(g->node_count, 3);
    assert_true(g->nodes[0].eager);
    assert_int_equal(g->nodes[0].retry.attempts_max, 4);
    assert_int_equal(g->nodes[0].timeout_us, 2500000);
    assert_string_equal(g->nodes[1].subgraph->id, "agent");
    assert_int_equal(g->join_count, 1);
    assert_int_equal(g->edge_count, 4);
    assert_string_equal(g->edges[2].condition, "state.n > `6`");
    assert_int_equal(g->edges[2].to, GRAPH_END);
    assert_string_equal(
        g->input_schema,
        "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":"
        "\"Input\",\"type\":\"object\",\"properties\":{\"messages\":{\"title\":"
        "\"Messages\",\"langgraph_type\":\"messages\",\"type\":\"array\",\"items\":{"
        "\"type\":\"object\"},\"default\":[]},\"log\":{\"type\":\"array\"}}}");
    assert_non_null(strstr(g->output_schema, "\"n\":{\"type\":\"integer\"}"));
    assert_null(strstr(g->output_schema, "log"));
    assert_non_null(strstr(g->config_schema, "\"depth\""));
    graph_def_unref(g);
}

static void test_form(void **state) {
    (void)state;
    BAD("[]", ": must be an object");
    BAD("{}", "/id: is missing: the name of the graph",
        "/channels: is missing: an object of channels",
        "/nodes: is missing: an object of at least one node");
    BAD("{\"id\":\"a b\",\"channels\":{\"2\":{},\"__x\":1,\"y\":{\"reducer\":\"add\"}},\"nodes\":{"
        "\"END\":{\"kind\":\"transform\",\"writes\":{}},\"y~/\":1},\"more\":1}",
        "/id: must be letters, digits, _ and -, at most 64",
        "/more: is not known here; known are: $schema id name description channels nodes edges "
        "joins "
        "entry input output config",
        "/channels/2: the name must be letters, digits, _ and -, at most 64",
        "/channels/__x: must be an object",
        "/channels/__x: the name must be letters, digits, _ and -, at most 64",
        "/channels/y/reducer: must be last_value, any, messages, append, topic, ephemeral, sum, "
        "product, min, max, and, or, concat or merge",
        "/nodes/END: the name must be letters, digits, _ and -, at most 64, and neither START nor "
        "END",
        "/nodes/y~0~1: the name must be letters, digits, _ and -, at most 64, and neither START "
        "nor "
        "END",
        "/nodes/y~0~1: must be an object",
        "/entry: is missing: where the graph begins (or an edge from START)");
    BAD("{\"id\":\"g\",\"channels\":{\"n\":{\"reducer\":\"sum\",\"initial\":\"0\"},\"m\":{"
        "\"reducer\""
        ":\"messages\",\"initial\":[]},\"o\":{\"accumulate\":true,\"schema\":1,\"input\":2}},"
        "\"nodes\":{\"n\":{\"kind\":\"transform\",\"writes\":{\"n\":\"`1`\"}}},\"entry\":\"n\","
        "\"edges\":[{\"from\":\"n\",\"to\":\"END\"}]}",
        "/channels/n/initial: does not fit the reducer",
        "/channels/m/initial: does not fit the reducer", "/channels/o/input: must be true or false",
        "/channels/o/accumulate: is for the reducer topic only",
        "/channels/o/schema: must be an object: a JSON Schema",
        "/nodes/n: a node must not have the name of a channel");
}

static void test_nodes(void **state) {
    (void)state;
    BAD(ONE("{\"kind\":\"robot\"}"), "/nodes/a/kind: must be model, tools, tool, http, map, gate, "
                                     "transform or subgraph");
    BAD(ONE("{\"kind\":\"transform\",\"kind\":\"transform\",\"writes\":{\"y\":\"a.\",\"x\":3}}"),
        "/nodes/a/kind: appears twice", "/nodes/a/writes/y: there is no channel of this name",
        "/nodes/a/writes/y: a name, \"*\", \"[\" or \"{\" is expected at position 2 of the "
        "expression",
        "/nodes/a/writes/x: must be a string that holds an expression");
    BAD(ONE("{\"kind\":\"model\",\"prompt\":\"Say {{ "
            "state.x\",\"temperature\":3,\"tools\":[\"saw\"],"
            "\"channel\":\"x\",\"retry\":{\"attempts\":0},\"timeout\":\"1\"}"),
        "/nodes/a/retry/attempts: must be a number between 1 and 20",
        "/nodes/a/timeout: must be a number between 0.001 and 86400",
        "/nodes/a/prompt: \"{{\" without \"}}\"",
        "/nodes/a/channel: there is no channel of messages of this name",
        "/nodes/a/temperature: must be a number between 0 and 2",
        "/nodes/a/tools/0: must be one of current_time, calculator, http_get",
        "/nodes/a/writes: is missing: there is no channel of messages either");
    BAD(ONE("{\"kind\":\"tool\",\"tool\":\"saw\",\"arguments\":{\"x\":\"size(x)\"}}"),
        "/nodes/a/tool: must be one of current_time, calculator, http_get",
        "/nodes/a/arguments/x: there is no function size()");
    BAD(ONE("{\"kind\":\"http\",\"method\":\"FETCH\",\"headers\":{\"Host\":\"x\"}}"),
        "/nodes/a/method: must be GET, POST, PUT, PATCH or DELETE",
        "/nodes/a/url: is missing: a text",
        "/nodes/a/headers: \"Host\" is no header that may be set");
    BAD(ONE("{\"kind\":\"map\",\"to\":\"b\"}"), "/nodes/a/over: is missing: an expression",
        "/nodes/a/to: there is no node \"b\"");
    BAD(ONE("{\"kind\":\"gate\",\"when\":\"!\"}"), "/nodes/a/payload: is missing: an expression",
        "/nodes/a/when: an unexpected end (something is missing) at position 1 of the expression");
    BAD(ONE("{\"kind\":\"subgraph\",\"graph\":\"g\"}"), "/nodes/a/graph: there is no graph \"g\"");
    BAD(ONE("{\"kind\":\"transform\"}"),
        "/nodes/a/writes: is missing: a transform does nothing else");
    BAD(ONE("{\"kind\":\"tools\"}"), "/nodes/a/tools: is missing: what may be run");
}

#define TWO(rest)                                                                                  \
    "{\"id\":\"g\",\"channels\":{\"x\":{}},\"nodes\":{\"a\":{\"kind\":\"transform\",\"writes\":{}" \
    "},\"b\":{"                                                                                    \
    "\"kind\":\"transform\",\"writes\":{}}}," rest "}"

static void test_edges(void **state) {
    (void)state;
    BAD(TWO("\"entry\":\"a\",\"edges\":[{\"from\":\"a\",\"to\":\"END\"}]"),
        "/nodes/b: cannot be reached: no way from the entry leads here",
        "/nodes/b: leads nowhere: give it an edge, to END if it is the last one");
    BAD(TWO("\"edges\":[{\"from\":\"START\",\"to\":\"a\"},{\"from\":\"a\",\"to\":\"c\",\"when\":"
            "\"x ==\"},"
            "{\"from\":\"END\",\"to\":\"START\"},3]"),
        "/edges/1/to: there is no node \"c\"",
        "/edges/1/when: an unexpected end (something is missing) at position 4 of the expression",
        "/edges/2/from: there is no node \"END\"", "/edges/2/to: there is no node \"START\"",
        "/edges/3: must be an object",
        "/nodes/a: leads nowhere: give it an edge, to END if it is "
        "the last one",
        "/nodes/b: cannot be reached: no way from the entry leads here",
        "/nodes/b: leads nowhere: give it an edge, to END if it is the last one");
    BAD(TWO("\"entry\":[\"a\",\"z\"],\"edges\":[{\"from\":\"a\",\"to\":\"END\",\"each\":\"x\"},{"
            "\"from\":\"a\","
            "\"to\":\"b\",\"when\":\"x\",\"otherwise\":true}],\"joins\":[{\"from\":[\"a\"],\"to\":"
            "\"b\"},{"
            "\"from\":[\"b\",\"b\"],\"to\":\"a\"}]"),
        "/entry/1: there is no node \"z\"", "/edges/0/each: does not go with END",
        "/edges/1/otherwise: does not go with a condition",
        "/joins/0/from: must be an array of at least two nodes", "/joins/1/from/1: appears twice");
    /* A cycle without an end is the writer's business. */
    graph_def_unref(
        good(TWO("\"entry\":\"a\",\"edges\":[{\"from\":\"a\",\"to\":\"b\"},{\"from\":\"b\","
                 "\"to\":\"a\"}]")));
}

static void test_first_fault(void **state) {
    (void)state;
    const struct graph_def *g;
    struct err err = {0};
    assert_int_equal(build("{\"id\":\"g\",\"channels\":{}}", &g, &err), ERR_INVALID);
    assert_string_equal(err.message, "/nodes: is missing: an object of at least one node");
    assert_int_equal(build("{\"id\":\"g\"}", &g, &err), ERR_INVALID);
    assert_string_equal(err.message, "/channels: is missing: an object of channels (and 1 more)");
}

static void test_many_faults(void **state) {
    (void)state;
    struct buf b;
    const struct graph_def *g;
    struct err err = {0};
    buf_init(&b, 1 << 20);
    buf_z(&b, "{");
    for (int i = 0; i < 300; i++)
        buf_printf(&b, "%s\"m%d\":1", i ? "," : "", i);
    buf_z(&b, "}");
    assert_int_equal(build(arena_z(&arena, buf_view(&b)), &g, &err), ERR_INVALID);
    assert_int_equal(faults.count, GRAPH_FAULTS_MAX);
    buf_deinit(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nodes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_edges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_first_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_faults, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
