/* SPDX-License-Identifier: Apache-2.0 */
/* test_states.c - Goal: states show what their tasks wrote, and are changed by hand as the
 * libraries change them: as a node, as the last one, at the end, copied, in super-steps, from an
 * older checkpoint; never beside a live run. Method: graphs of a few lines on a real engine and an
 * in-memory database. */
#include "engine_fixture.h"

#include "engine/inspect.h"
#include "store/thread_ops.h"

static const struct channel_def list_channels[] = {
    {"log", CHANNEL_LIST, .in_output = true, .in_input = true}};

static int say(struct node_ctx *ctx, struct err *err) {
    yyjson_val *answer = NULL;
    int rc = str_eq(str_of(ctx->node->name), STR("ask"))
                 ? node_interrupt(ctx, STR("{\"q\":1}"), &answer, err)
                 : 0;
    if (rc == 0)
        node_write_value(ctx, "log", arena_printf(ctx->arena, "[\"%s\"]", ctx->node->name));
    return rc;
}

static const struct node_def nodes[] = {{"one", say}, {"two", say}, {"ask", say}, {"last", say}};
/* start → one → two, ask → last (from ask) */
static void route(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)v, (void)compiled;
    if (from == GRAPH_START) {
        route_to(out, 0);
    } else if (from == 0) {
        route_to(out, 1);
        route_to(out, 2);
    } else if (from == 2) {
        route_to(out, 3);
    }
}
static const struct graph_def graph = {.id = "talk",
                                       .description = "test",
                                       .channels = list_channels,
                                       .channel_count = 1,
                                       .nodes = nodes,
                                       .node_count = ARRAY_COUNT(nodes),
                                       .route = route};

static struct id prepare(struct fx *f) {
    const char *ids[] = {"talk"};
    registry_add(f->registry, &graph);
    assert_int_equal(assistant_seed(&f->store, ids, 1, &f->a, NULL), 0);
    return fx_thread(f);
}

static void run(struct fx *f, struct id thread, const char *body) {
    struct live_run *run;
    struct err err = {0};
    if (fx_submit(f, "talk", thread, body, NULL, NULL, &run, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0);
    if (live_run_status(run) != RUN_SUCCESS)
        fail_msg(STR_FMT, STR_ARG(live_run_error(run)));
    live_run_unref(run);
}

static struct state_shown shown(struct fx *f, struct id thread, bool live) {
    struct checkpoint c;
    struct state_shown s;
    struct err err = {0};
    assert_int_equal(checkpoint_get(&f->store, thread, STR(""), ID_NIL, &f->a, &c, NULL), 0);
    if (engine_state_show(f->engine, &c, STR("talk"), live, &f->a, &s, &err) < 0)
        fail_msg("%s", err.message);
    return s;
}

static int change(struct fx *f, struct id thread, struct id at, const char *values,
                  const char *as_node, struct err *err) {
    struct thread t;
    struct id made;
    struct state_update u = {.as_node = as_node ? str_of(as_node) : STR_NULL};
    struct state_superstep step = {&u, 1};
    assert_int_equal(json_parse(&f->a, str_of(values), &u.values, NULL), 0);
    assert_int_equal(thread_get(&f->store, &f->who, thread, &f->a, &t, NULL), 0);
    struct state_change c = {.thread = &t,
                             .graph_id = STR("talk"),
                             .checkpoint_id = at,
                             .name_space = STR(""),
                             .steps = &step,
                             .count = 1};
    return engine_state_update(f->engine, &c, &made, err);
}

static void must(struct fx *f, struct id thread, const char *values, const char *as_node) {
    struct err err = {0};
    if (change(f, thread, ID_NIL, values, as_node, &err) < 0)
        fail_msg("%s", err.message);
}

static void refused(struct fx *f, struct id thread, const char *values, const char *as_node,
                    int code, const char *why) {
    struct err err = {0};
    assert_int_equal(change(f, thread, ID_NIL, values, as_node, &err), code);
    if (!strstr(err.message, why))
        fail_msg("%s is not %s", err.message, why);
}

static void expect(struct fx *f, struct id thread, const char *values, const char *next) {
    struct state_shown s = shown(f, thread, true);
    if (!str_eq(s.values, str_of(values)) || !str_eq(s.next, str_of(next)))
        fail_msg(STR_FMT " " STR_FMT " are not %s %s", STR_ARG(s.values), STR_ARG(s.next), values,
                 next);
}

static void body_shown(struct fx *f) {
    struct id thread = prepare(f);
    run(f, thread, "{\"input\":{\"log\":[0]}}");
    struct state_shown s = shown(f, thread, false); /* as the step began */
    assert_true(str_eq(s.values, STR("{\"log\":[0,\"one\"]}")));
    assert_true(str_eq(s.next, STR("[\"ask\",\"two\"]")));
    assert_true(str_find(s.tasks, STR("\"interrupts\":[{\"id\":\"")) > 0);
    assert_true(str_find(s.tasks, STR("\"result\":{\"log\":[\"two\"]}")) > 0);
    expect(f, thread, "{\"log\":[0,\"one\",\"two\"]}", "[\"ask\"]"); /* as it stands */
    /* What a command wrote shows, too. */
    run(f, thread, "{\"command\":{\"update\":{\"log\":[7]}}}");
    expect(f, thread, "{\"log\":[0,\"one\",7,\"two\"]}", "[\"ask\"]");
    must(f, thread, "null", "__end__");
    expect(f, thread, "{\"log\":[0,\"one\",7,\"two\"]}", "[]");
    struct thread t;
    assert_int_equal(thread_get(&f->store, &f->who, thread, &f->a, &t, NULL), 0);
    assert_int_equal(t.status, THREAD_IDLE);
    assert_true(str_eq(t.interrupts, STR("{}")));
}
static void test_shown(void **state) {
    (void)state;
    fx_run(body_shown);
}

static void body_update(struct fx *f) {
    struct id thread = prepare(f);
    must(f, thread, "{\"log\":[1]}", NULL); /* of an empty thread: as its input */
    expect(f, thread, "{\"log\":[1]}", "[\"one\"]");
    must(f, thread, "{\"log\":[2]}", "one");
    expect(f, thread, "{\"log\":[1,2]}", "[\"ask\",\"two\"]");
    must(f, thread, "{\"log\":[3]}", "ask"); /* what was next before is not any more */
    expect(f, thread, "{\"log\":[1,2,3]}", "[\"last\"]");
    refused(f, thread, "{}", "nobody", ERR_INVALID_UPDATE, "Node nobody does not exist");
    refused(f, thread, "7", "one", ERR_INVALID, "values: must be an object");
    run(f, thread, "{}");
    expect(f, thread, "{\"log\":[1,2,3,\"last\"]}", "[]");
    must(f, thread, "{\"log\":[4]}", NULL); /* as "last" */
    expect(f, thread, "{\"log\":[1,2,3,\"last\",4]}", "[]");
    must(f, thread, "null", "__copy__");
    expect(f, thread, "{\"log\":[1,2,3,\"last\",4]}", "[]");
    must(f, thread, "[[{\"log\":[5]},\"two\"],[{\"log\":[6]},\"ask\"]]", "__copy__");
    expect(f, thread, "{\"log\":[1,2,3,\"last\",4,5,6]}", "[\"last\"]");
    /* From an older one: a branch. */
    struct checkpoint *list;
    size_t count;
    struct err err = {0};
    assert_int_equal(checkpoint_list(&f->store, thread, STR(""), ID_NIL, STR_NULL, 50, &f->a, &list,
                                     &count, NULL),
                     0);
    assert_int_equal(change(f, thread, list[count - 1].id, "{\"log\":[9]}", "two", &err), 0);
    expect(f, thread, "{\"log\":[1,9]}", "[]");
    run(f, thread, "{\"input\":{\"log\":[10]}}");
    expect(f, thread, "{\"log\":[1,9,10,\"one\",\"two\"]}", "[\"ask\"]");
    run(f, thread, "{\"command\":{\"resume\":1}}");
    /* One node wrote in the last step, whatever wrote before. */
    must(f, thread, "{\"log\":[11]}", NULL);
}
static void test_update(void **state) {
    (void)state;
    fx_run(body_update);
}

static void body_ambiguous(struct fx *f) {
    struct id thread = prepare(f);
    run(f, thread, "{\"input\":{},\"interrupt_after\":[\"one\"]}");
    run(f, thread, "{\"interrupt_before\":[\"last\"]}");
    run(f, thread, "{\"command\":{\"resume\":1},\"interrupt_before\":[\"last\"]}");
    expect(f, thread, "{\"log\":[\"one\",\"ask\",\"two\"]}", "[\"last\"]");
    refused(f, thread, "{\"log\":[1]}", NULL, ERR_INVALID_UPDATE,
            "Ambiguous update, specify as_node");
}
static void test_ambiguous(void **state) {
    (void)state;
    fx_run(body_ambiguous);
}

static void body_supersteps(struct fx *f) {
    struct id thread = prepare(f);
    struct thread t;
    struct id made;
    struct err err = {0};
    yyjson_val *a, *b, *c;
    assert_int_equal(json_parse(&f->a, STR("{\"log\":[1,2]}"), &a, NULL), 0);
    assert_int_equal(json_parse(&f->a, STR("{\"log\":[3]}"), &b, NULL), 0);
    assert_int_equal(
        json_parse(&f->a, STR("{\"update\":{\"log\":[4]},\"goto\":\"one\"}"), &c, NULL), 0);
    struct state_update first = {.values = a, .as_node = STR("__start__")};
    struct state_update second[] = {{.values = b, .as_node = STR("two")},
                                    {.command = c, .as_node = STR("ask")}};
    struct state_superstep steps[] = {{&first, 1}, {second, 2}};
    assert_int_equal(thread_get(&f->store, &f->who, thread, &f->a, &t, NULL), 0);
    struct state_change all = {.thread = &t,
                               .graph_id = STR("talk"),
                               .name_space = STR(""),
                               .steps = steps,
                               .count = 2};
    if (engine_state_update(f->engine, &all, &made, &err) < 0)
        fail_msg("%s", err.message);
    expect(f, thread, "{\"log\":[1,2,3,4]}", "[\"last\",\"one\"]");
    struct checkpoint *list;
    size_t count;
    assert_int_equal(checkpoint_list(&f->store, thread, STR(""), ID_NIL, STR_NULL, 50, &f->a, &list,
                                     &count, NULL),
                     0);
    assert_int_equal(count, 2);
    assert_int_equal(list[1].step, 0);
    assert_true(id_eq(list[0].parent_id, list[1].id));
    assert_true(id_eq(list[0].id, made));
    /* The thread has moved on since it was read. */
    assert_int_equal(engine_state_update(f->engine, &all, &made, &err), ERR_CONFLICT);
}
static void test_supersteps(void **state) {
    (void)state;
    fx_run(body_supersteps);
}

static void body_live(struct fx *f) {
    struct id thread = fx_thread(f);
    struct live_run *run;
    (void)prepare(f);
    assert_int_equal(fx_submit(f, "slow", thread, "{\"input\":{}}", NULL, NULL, &run, NULL), 0);
    refused(f, thread, "{\"log\":[1]}", "one", ERR_CONFLICT, "already running a task");
    assert_int_equal(engine_cancel(f->engine, &f->who, thread, live_run_id(run), CANCEL_INTERRUPT,
                                   STR_NULL, true, NULL),
                     0);
    live_run_unref(run);
    must(f, thread, "{\"log\":[1]}", "two");
}
static void test_live(void **state) {
    (void)state;
    fx_run(body_live);
}

/* A copy goes on like its source: what has ended of the step is not run again. */
static void body_copied(struct fx *f) {
    struct id thread = prepare(f), copy = id_v7();
    run(f, thread, "{\"input\":{}}");
    assert_int_equal(thread_copy(&f->store, &f->who, thread, copy, true, &f->a, NULL), 0);
    run(f, copy, "{\"command\":{\"resume\":1}}");
    expect(f, copy, "{\"log\":[\"one\",\"ask\",\"two\",\"last\"]}", "[]");
    expect(f, thread, "{\"log\":[\"one\",\"two\"]}", "[\"ask\"]");
}
static void test_copied(void **state) {
    (void)state;
    fx_run(body_copied);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shown),      cmocka_unit_test(test_update),
        cmocka_unit_test(test_ambiguous),  cmocka_unit_test(test_supersteps),
        cmocka_unit_test(test_live),       cmocka_unit_test(test_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
