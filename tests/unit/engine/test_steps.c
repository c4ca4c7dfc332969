/* SPDX-License-Identifier: Apache-2.0 */
/* test_steps.c - Goal: what ended is not run again when a sibling fails, asks or the run is
 * cancelled; questions are answered one by one or by their ids, inside of subgraphs too; retries,
 * time limits, commands, older checkpoints and durability exit do as they say. Method: graphs of a
 * few lines whose nodes count how often they ran, on a real engine and an in-memory database. */
#include "engine_fixture.h"

#include <stdio.h>

#include "store/writes.h"

static int runs[8]; /* of the nodes, by number */

static const struct channel_def list_channels[] = {
    {"log", CHANNEL_LIST, .in_output = true, .in_input = true}};

struct part {
    int number;
    int fails;          /* so often, before it works; with ERR_MODEL_FAILED */
    const char *asks;   /* JSON */
    const char *again;  /* a second question */
    int64_t sleeps_us;
};

static int part(struct node_ctx *ctx, struct err *err) {
    const struct part *p = ctx->node->data;
    int ran = ++runs[p->number];
    yyjson_val *answer = NULL, *second = NULL;
    if (p->sleeps_us && fiber_sleep_us(p->sleeps_us) < 0)
        return err_set(err, ERR_CANCELLED, "slept badly");
    if (ran <= p->fails)
        return err_set(err, ERR_MODEL_FAILED, "failed for the %d. time", ran);
    int rc = p->asks ? node_interrupt(ctx, str_of(p->asks), &answer, err) : 0;
    if (rc == 0 && p->again)
        rc = node_interrupt(ctx, str_of(p->again), &second, err);
    if (rc < 0)
        return rc;
    node_write_value(ctx, "log",
                     arena_printf(ctx->arena, "[\"%s\"]", ctx->node->name));
    if (answer)
        node_write_value(ctx, "log", json_text(ctx->arena, answer));
    if (second)
        node_write_value(ctx, "log", json_text(ctx->arena, second));
    return 0;
}

static void both(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)v, (void)compiled;
    if (from == GRAPH_START) {
        route_to(out, 0);
        route_to(out, 1);
    } else if (from == 0) {
        route_to(out, 2);
    }
}
static void chain(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)v, (void)compiled;
    if (from < 1)
        route_to(out, from + 1);
}
static void only(const struct graph_view *v, void *compiled, int from, struct route *out) {
    (void)v, (void)compiled;
    if (from == GRAPH_START)
        route_to(out, 0);
}

static void both_only(const struct graph_view *v, void *compiled, int from, struct route *out) {
    if (from == GRAPH_START)
        both(v, compiled, from, out);
}

#define LIST_GRAPH(graph_id, node_list, route_fn)                                                  \
    {                                                                                              \
        .id = graph_id, .description = "test", .channels = list_channels, .channel_count = 1,      \
        .nodes = node_list, .node_count = ARRAY_COUNT(node_list), .route = route_fn                \
    }

static const struct part quick = {0}, flaky = {1, .fails = 1, .sleeps_us = 20000}, after = {2};
static const struct node_def flaky_nodes[] = {
    {"quick", part, .data = &quick},
    {"flaky", part, .data = &flaky},
    {"after", part, .data = &after}};
static const struct graph_def flaky_graph = LIST_GRAPH("flaky", flaky_nodes, both);

static const struct part asker = {1, .asks = "{\"q\":1}", .again = "\"sure?\""};
static const struct node_def ask_nodes[] = {
    {"quick", part, .data = &quick},
    {"ask", part, .data = &asker},
    {"after", part, .data = &after}};
static const struct graph_def ask_graph = LIST_GRAPH("ask", ask_nodes, both);

static const struct part one_asks = {0, .asks = "1"}, two_asks = {1, .asks = "2"};
static const struct node_def many_nodes[] = {
    {"one", part, .data = &one_asks},
    {"two", part, .data = &two_asks},
    {"after", part, .data = &after}};
static const struct graph_def many_graph = LIST_GRAPH("many", many_nodes, both);

static const struct part thrice = {3, .fails = 2}, sleeper = {4, .sleeps_us = 60000000};
static const struct node_def retry_nodes[] = {
    {"thrice", part, .data = &thrice,
     .retry = {.attempts_max = 3, .initial_us = 1000, .factor = 2, .jitter = true}}};
static const struct graph_def retry_graph = LIST_GRAPH("retry", retry_nodes, only);
static const struct node_def late_nodes[] = {
    {"late", part, .data = &sleeper, .timeout_us = 20000}};
static const struct graph_def late_graph = LIST_GRAPH("late", late_nodes, only);

static const struct part inner_first = {5}, inner_asks = {6, .asks = "\"inside\""};
static const struct node_def inner_nodes[] = {{"first", part, .data = &inner_first},
                                              {"asks", part, .data = &inner_asks}};
static const struct graph_def inner_graph = LIST_GRAPH("inner", inner_nodes, chain);
static const struct node_def outer_nodes[] = {{"child", .subgraph = &inner_graph},
                                              {"after", part, .data = &after}};
static const struct graph_def outer_graph = LIST_GRAPH("outer", outer_nodes, chain);

static const struct node_def long_nodes[] = {
    {"quick", part, .data = &quick}, {"sleeper", part, .data = &sleeper}};
static const struct graph_def long_graph = LIST_GRAPH("long", long_nodes, both_only);

static const struct graph_def *const graphs[] = {
    &flaky_graph, &ask_graph, &many_graph, &long_graph, &retry_graph, &late_graph, &outer_graph};

static void add_graphs(struct fx *f) {
    memset(runs, 0, sizeof(runs));
    for (size_t i = 0; i < ARRAY_COUNT(graphs); i++) {
        registry_add(f->registry, graphs[i]);
        assert_int_equal(assistant_seed(&f->store, &graphs[i]->id, 1, &f->a, NULL), 0);
    }
}

static struct live_run *go(struct fx *f, const char *graph, struct id thread, const char *body,
                           enum run_status status) {
    struct live_run *run;
    struct err err = {0};
    if (fx_submit(f, graph, thread, body, NULL, NULL, &run, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0);
    if (live_run_status(run) != status)
        fail_msg("status %d: " STR_FMT, live_run_status(run), STR_ARG(live_run_error(run)));
    return run;
}

static void expect_text(str got, const char *wanted) {
    if (!str_eq(got, str_of(wanted)))
        fail_msg(STR_FMT " is not %s", STR_ARG(got), wanted);
}

static void go_to(struct fx *f, const char *graph, struct id thread, const char *body,
                  const char *values) {
    struct live_run *run = go(f, graph, thread, body, RUN_SUCCESS);
    expect_text(live_run_values(run), values);
    live_run_unref(run);
}

static struct thread thread_row(struct fx *f, struct id thread) {
    struct thread t;
    assert_int_equal(thread_get(&f->store, &f->who, thread, &f->a, &t, NULL), 0);
    return t;
}

static size_t checkpoint_count(struct fx *f, struct id thread, const char *ns) {
    struct checkpoint *list;
    size_t count;
    assert_int_equal(checkpoint_list(&f->store, thread, str_of(ns), ID_NIL, STR_NULL, 50, &f->a,
                                     &list, &count, NULL),
                     0);
    return count;
}

/* --- tests --- */

static void body_failure(struct fx *f) {
    struct id thread = fx_thread(f);
    add_graphs(f);
    struct live_run *run = go(f, "flaky", thread, "{\"input\":{}}", RUN_ERROR);
    assert_true(str_find(live_run_error(run), STR("failed for the 1. time")) > 0);
    live_run_unref(run);
    assert_int_equal(thread_row(f, thread).status, THREAD_ERROR);
    go_to(f, "flaky", thread, "{}", "{\"log\":[\"flaky\",\"quick\",\"after\"]}");
    assert_int_equal(runs[0], 1); /* it had ended: not again */
    assert_int_equal(runs[1], 2);
    assert_int_equal(runs[2], 1);
}
static void test_failure(void **state) {
    (void)state;
    fx_run(body_failure);
}

static void body_questions(struct fx *f) {
    struct id thread = fx_thread(f);
    add_graphs(f);
    struct live_run *run = go(f, "ask", thread, "{\"input\":{}}", RUN_SUCCESS);
    str values = live_run_values(run);
    assert_true(str_starts(
        values, STR("{\"log\":[],\"__interrupt__\":[{\"value\":{\"q\":1},\"id\":\"")));
    live_run_unref(run);
    struct thread t = thread_row(f, thread);
    assert_int_equal(t.status, THREAD_INTERRUPTED);
    yyjson_val *interrupts;
    assert_int_equal(json_parse(&f->a, t.interrupts, &interrupts, NULL), 0);
    assert_int_equal(yyjson_obj_size(interrupts), 1); /* by task */
    assert_true(str_find(t.interrupts, STR("\"q\"")) > 0);
    run = go(f, "ask", thread, "{\"command\":{\"resume\":\"yes\"}}", RUN_SUCCESS);
    assert_true(str_find(live_run_values(run), STR("\"sure?\"")) > 0);
    live_run_unref(run);
    go_to(f, "ask", thread, "{\"command\":{\"resume\":{\"very\":1}}}",
          "{\"log\":[\"ask\",\"yes\",{\"very\":1},\"quick\",\"after\"]}");
    assert_int_equal(runs[0], 1);
    assert_int_equal(runs[1], 3);
    t = thread_row(f, thread);
    assert_int_equal(t.status, THREAD_IDLE);
    expect_text(t.interrupts, "{}");
}
static void test_questions(void **state) {
    (void)state;
    fx_run(body_questions);
}

static str id_after(str text, const char *value) {
    ptrdiff_t at = str_find(text, str_of(value));
    assert_true(at >= 0);
    return str_slice(text, (size_t)at + strlen(value) + 7, (size_t)at + strlen(value) + 39);
}

static void body_by_id(struct fx *f) {
    struct id thread = fx_thread(f);
    add_graphs(f);
    struct live_run *run = go(f, "many", thread, "{\"input\":{}}", RUN_SUCCESS);
    str values = arena_dup(&f->a, live_run_values(run));
    live_run_unref(run);
    struct err err = {0};
    assert_int_equal(
        fx_submit(f, "many", thread, "{\"command\":{\"resume\":1}}", NULL, NULL, &run, &err),
        ERR_INVALID);
    assert_non_null(strstr(err.message, "multiple pending interrupts"));
    str body = arena_printf(&f->a, "{\"command\":{\"resume\":{\"" STR_FMT "\":\"B\"}}}",
                            STR_ARG(id_after(values, "\"value\":2")));
    run = go(f, "many", thread, body.p, RUN_SUCCESS);
    values = arena_dup(&f->a, live_run_values(run));
    assert_true(str_find(values, STR("\"value\":2")) < 0);
    live_run_unref(run);
    body = arena_printf(&f->a, "{\"command\":{\"resume\":{\"" STR_FMT "\":\"A\"}}}",
                        STR_ARG(id_after(values, "\"value\":1")));
    go_to(f, "many", thread, body.p, "{\"log\":[\"one\",\"A\",\"two\",\"B\",\"after\"]}");
    assert_int_equal(runs[1], 2); /* two had ended when one was still asking */
}
static void test_by_id(void **state) {
    (void)state;
    fx_run(body_by_id);
}

static void body_retry(struct fx *f) {
    add_graphs(f);
    go_to(f, "retry", fx_thread(f), "{\"input\":{}}", "{\"log\":[\"thrice\"]}");
    assert_int_equal(runs[3], 3);
    runs[3] = -1; /* now it takes one more than the policy gives */
    live_run_unref(go(f, "retry", fx_thread(f), "{\"input\":{}}", RUN_ERROR));
    struct live_run *run = go(f, "late", fx_thread(f), "{\"input\":{}}", RUN_ERROR);
    assert_true(str_find(live_run_error(run), STR("Node late did not end within 0.02 s")) > 0);
    live_run_unref(run);
}
static void test_retry(void **state) {
    (void)state;
    fx_run(body_retry);
}

static void body_subgraph(struct fx *f) {
    struct id thread = fx_thread(f);
    add_graphs(f);
    struct live_run *run = go(f, "outer", thread, "{\"input\":{\"log\":[0]}}", RUN_SUCCESS);
    assert_true(str_starts(live_run_values(run), STR("{\"log\":[0],\"__interrupt__\":[{\"value\":"
                                                     "\"inside\"")));
    live_run_unref(run);
    struct checkpoint head;
    assert_int_equal(
        checkpoint_get(&f->store, thread, STR(""), ID_NIL, &f->a, &head, NULL), 0);
    expect_text(head.next, "[\"child\"]");
    yyjson_val *tasks;
    assert_int_equal(json_parse(&f->a, head.tasks, &tasks, NULL), 0);
    str ns = json_str(
        json_get(json_get(yyjson_arr_get_first(tasks), "checkpoint"), "checkpoint_ns"));
    assert_true(str_starts(ns, STR("child:")));
    assert_int_equal(checkpoint_count(f, thread, ns.p), 3);
    go_to(f, "outer", thread, "{\"command\":{\"resume\":7}}",
          "{\"log\":[0,0,\"first\",\"asks\",7,\"after\"]}");
    assert_int_equal(runs[5], 1);
    assert_int_equal(runs[6], 2);
    assert_int_equal(checkpoint_count(f, thread, ns.p), 4);
}
static void test_subgraph(void **state) {
    (void)state;
    fx_run(body_subgraph);
}

static void body_command(struct fx *f) {
    struct id thread = fx_thread(f);
    struct live_run *run;
    struct err err = {0};
    add_graphs(f);
    static const struct {
        const char *body, *why;
    } bad[] = {{"{\"command\":{}}", "Received empty Command input"},
               {"{\"command\":{\"goto\":\"nowhere\"}}", "the graph has no node nowhere"},
               {"{\"command\":{\"update\":7}}", "values: must be an object"}};
    live_run_unref(go(f, "ask", thread, "{\"input\":{}}", RUN_SUCCESS));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(fx_submit(f, "ask", thread, bad[i].body, NULL, NULL, &run, &err),
                         ERR_INVALID);
        if (!strstr(err.message, bad[i].why))
            fail_msg("%s: %s", bad[i].body, err.message);
    }
    /* An update beside the checkpoint, and a way that no edge has. */
    run = go(f, "ask", thread,
             "{\"command\":{\"update\":[[\"log\",[\"u\"]]],\"goto\":[\"after\","
             "{\"node\":\"quick\",\"input\":1}]}}",
             RUN_SUCCESS);
    assert_true(str_starts(live_run_values(run), STR("{\"log\":[\"u\"],\"__interrupt__\":")));
    live_run_unref(run);
    assert_int_equal(runs[2], 1);
    live_run_unref(go(f, "ask", thread, "{\"command\":{\"resume\":1}}", RUN_SUCCESS));
    go_to(f, "ask", thread, "{\"command\":{\"resume\":2}}",
          "{\"log\":[\"u\",\"after\",\"ask\",1,2,\"quick\",\"quick\",\"after\"]}");
}
static void test_command(void **state) {
    (void)state;
    fx_run(body_command);
}

static void body_fork(struct fx *f) {
    struct id thread = fx_thread(f);
    struct checkpoint *list;
    size_t count;
    add_graphs(f);
    runs[1] = 1; /* it works */
    go_to(f, "flaky", thread, "{\"input\":{}}", "{\"log\":[\"flaky\",\"quick\",\"after\"]}");
    assert_int_equal(checkpoint_list(&f->store, thread, STR(""), ID_NIL, STR_NULL, 10, &f->a, &list,
                                     &count, NULL),
                     0);
    assert_int_equal(count, 4);
    str at = id_dashed(&f->a, list[1].id); /* before "after" */
    str body = arena_printf(&f->a, "{\"checkpoint\":{\"checkpoint_id\":\"" STR_FMT "\"}}",
                            STR_ARG(at));
    go_to(f, "flaky", thread, body.p, "{\"log\":[\"flaky\",\"quick\",\"after\"]}");
    assert_int_equal(runs[2], 2);
    assert_int_equal(runs[0], 1);
    body = arena_printf(&f->a, "{\"checkpoint_id\":\"" STR_FMT "\",\"input\":{\"log\":[\"new\"]}}",
                        STR_ARG(id_dashed(&f->a, list[3].id))); /* the empty state */
    go_to(f, "flaky", thread, body.p, "{\"log\":[\"new\",\"flaky\",\"quick\",\"after\"]}");
    assert_int_equal(checkpoint_list(&f->store, thread, STR(""), ID_NIL, STR_NULL, 20, &f->a, &list,
                                     &count, NULL),
                     0);
    assert_int_equal(count, 10);
    assert_true(id_eq(thread_row(f, thread).checkpoint_id, list[0].id));
    expect_text(list[5].source, "fork");
}
static void test_fork(void **state) {
    (void)state;
    fx_run(body_fork);
}

static void body_exit(struct fx *f) {
    struct id thread = fx_thread(f);
    add_graphs(f);
    runs[1] = 1;
    go_to(f, "flaky", thread, "{\"input\":{\"log\":[1]},\"durability\":\"exit\"}",
          "{\"log\":[1,\"flaky\",\"quick\",\"after\"]}");
    assert_int_equal(checkpoint_count(f, thread, ""), 1);
    thread = fx_thread(f); /* a failure leaves the last state, and what ended of its step */
    runs[1] = 0;
    live_run_unref(go(f, "flaky", thread, "{\"input\":{\"log\":[1]},\"durability\":\"exit\"}",
                      RUN_ERROR));
    assert_int_equal(checkpoint_count(f, thread, ""), 1);
    int before = runs[0];
    go_to(f, "flaky", thread, "{}", "{\"log\":[1,\"flaky\",\"quick\",\"after\"]}");
    assert_int_equal(runs[0], before);
}
static void test_exit(void **state) {
    (void)state;
    fx_run(body_exit);
}

/* --- another process --- */

/* The next attempt of a run that was cut off takes what had ended from the rows. */
static void body_cut_off(struct fx *f) {
    struct id thread = fx_thread(f);
    struct live_run *run;
    struct run row;
    add_graphs(f);
    assert_int_equal(fx_submit(f, "long", thread, "{\"input\":{}}", NULL, NULL, &run, NULL), 0);
    struct id id = live_run_id(run);
    struct checkpoint_write *rows;
    size_t count = 0;
    while (count == 0) {
        struct checkpoint head;
        fiber_yield();
        assert_int_equal(checkpoint_get(&f->store, thread, STR(""), ID_NIL, &f->a, &head, NULL), 0);
        assert_int_equal(checkpoint_writes_read(&f->store, thread, STR(""), head.id, &f->a, &rows,
                                                &count, NULL),
                         0);
    }
    assert_true(str_eq(rows[0].channel, STR("log")));
    engine_drain(f->engine, rt_mono_us(f->rt));
    live_run_unref(run);
    engine_close(f->engine);
    fx_open_engine(f);
    assert_int_equal(engine_start(f->engine, NULL), 0);
    while (runs[4] < 2)
        fiber_yield();
    assert_int_equal(
        engine_cancel(f->engine, &f->who, thread, id, CANCEL_INTERRUPT, STR_NULL, true, NULL), 0);
    assert_int_equal(runs[0], 1);
    assert_int_equal(run_get(&f->store, &f->who, thread, id, &f->a, &row, NULL), 0);
    assert_int_equal(row.status, RUN_INTERRUPTED);
}
static void test_cut_off(void **state) {
    (void)state;
    fx_run(body_cut_off);
}

/* --- streams --- */

struct frames {
    struct fx *f;
    struct buf text; /* "event data" */
    bool finished;
    struct hub_reader *reader;
};
static bool on_frame(void *ctx, str event, str data, str id) {
    (void)id;
    buf_printf(&((struct frames *)ctx)->text, STR_FMT " " STR_FMT "\n", STR_ARG(event),
               STR_ARG(data));
    return true;
}
static void on_finished(void *ctx) { ((struct frames *)ctx)->finished = true; }
static struct hub_reader_options reader_options(struct frames *fr, struct live_run *run) {
    return (struct hub_reader_options){.thread_id = live_run_thread(run),
                                       .run_id = live_run_id(run),
                                       .modes = live_run_modes(run),
                                       .frame = on_frame,
                                       .finished = on_finished,
                                       .ctx = fr};
}
static void attach(void *ctx, struct live_run *run) {
    struct frames *fr = ctx;
    struct hub_reader_options o = reader_options(fr, run);
    fr->reader = hub_reader_live(engine_hub(fr->f->engine), &o);
}

/* The live stream, which the replay must equal. */
static str streamed(struct fx *f, const char *graph, struct id thread, const char *body) {
    struct frames live = {.f = f}, again = {.f = f};
    struct hub_cursor c = {0};
    struct live_run *run;
    struct run row;
    struct err err = {0};
    buf_init(&live.text, 1 << 20);
    buf_init(&again.text, 1 << 20);
    if (fx_submit(f, graph, thread, body, attach, &live, &run, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0);
    assert_true(live.finished);
    struct hub_reader_options o = reader_options(&again, run);
    assert_int_equal(run_get(&f->store, &f->who, thread, live_run_id(run), &f->a, &row, NULL), 0);
    assert_int_equal(hub_reader_replay(engine_hub(f->engine), &o, row.first_seq, &c, NULL,
                                       &again.reader, NULL),
                     0);
    assert_true(again.finished);
    str text = arena_dup(&f->a, buf_view(&live.text));
    if (!str_eq(text, buf_view(&again.text))) {
        fprintf(stderr, STR_FMT "--- live, replayed ---\n" STR_FMT, STR_ARG(text),
                    STR_ARG(buf_view(&again.text)));
        fail_msg("the replay differs");
    }
    hub_reader_close(live.reader);
    hub_reader_close(again.reader);
    buf_deinit(&live.text);
    buf_deinit(&again.text);
    live_run_unref(run);
    return text;
}

static void expect_order(str text, const char *const *parts, size_t count) {
    str rest = text;
    for (size_t i = 0; i < count; i++) {
        ptrdiff_t at = str_find(rest, str_of(parts[i]));
        if (at < 0)
            fail_msg("no %s (after the others) in " STR_FMT, parts[i], STR_ARG(text));
        rest = str_slice(rest, (size_t)at + 1, rest.len);
    }
}

static void body_stream(struct fx *f) {
    struct id thread = fx_thread(f);
    add_graphs(f);
    static const char *const asked[] = {"metadata ",
                                        "values {\"log\":[0]}",
                                        "values|child:",
                                        "updates|child:",
                                        " {\"first\":{\"log\":[\"first\"]}}",
                                        "updates|child:",
                                        " {\"__interrupt__\":[{\"value\":\"inside\",\"id\":\"",
                                        "values|child:",
                                        "updates {\"__interrupt__\":[{\"value\":\"inside\"",
                                        "values {\"log\":[0],\"__interrupt__\":[{"};
    str text = streamed(f, "outer", thread,
                        "{\"input\":{\"log\":[0]},\"stream_subgraphs\":true,"
                        "\"stream_mode\":[\"values\",\"updates\",\"tasks\",\"debug\"]}");
    expect_order(text, asked, ARRAY_COUNT(asked));
    static const char *const answered[] = {"metadata ", "values {\"log\":[0]}",
                                           "updates {\"child\":{\"log\":[0,\"first\",\"asks\",",
                                           "updates {\"after\":{\"log\":[\"after\"]}}"};
    text = streamed(f, "outer", thread,
                    "{\"command\":{\"resume\":7},\"stream_mode\":[\"values\",\"updates\"]}");
    expect_order(text, answered, ARRAY_COUNT(answered));
    assert_true(str_find(text, STR("|child:")) < 0);
    assert_true(str_find(text, STR("__interrupt__")) < 0);
    (void)streamed(f, "flaky", fx_thread(f),
                   "{\"input\":{},\"durability\":\"exit\","
                   "\"stream_mode\":[\"values\",\"debug\"]}");
    (void)streamed(f, "many", fx_thread(f),
                   "{\"input\":{},\"stream_mode\":[\"values\",\"debug\"]}");
}
static void test_stream(void **state) {
    (void)state;
    fx_run(body_stream);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failure), cmocka_unit_test(test_questions),
        cmocka_unit_test(test_by_id),   cmocka_unit_test(test_retry),
        cmocka_unit_test(test_subgraph), cmocka_unit_test(test_command),
        cmocka_unit_test(test_fork),    cmocka_unit_test(test_exit),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
