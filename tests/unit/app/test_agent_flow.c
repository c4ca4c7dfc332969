/* SPDX-License-Identifier: Apache-2.0 */
/* test_agent_flow.c - Goal: the agent talks, streams, calls tools, fails and stops as it should.
 * Method: the real engine, store, model client and tools on one loop, against the model stand-in;
 * where it cannot play the part (two tools at once, a server that never answers, what was sent to
 * the model), a thread with plain sockets. */
#include "agent_fixture.h"

#define FIXED_START "This stand-in answers every question"

/* --- answers -----------------------------------------------------------------------------------
 */

static void body_answer(struct scene *s) {
    yyjson_val *m = scene_messages(s, scene_thread(s), "hello", "", NULL);
    assert_int_equal(yyjson_arr_size(m), 2);
    assert_str(scene_text(m, 1, "type"), "ai");
    assert_has(scene_text(m, 1, "content"), FIXED_START);
    assert_true(str_starts(scene_text(m, 1, "id"), STR("run-")));
    yyjson_val *ai = yyjson_arr_get(m, 1), *meta = json_get(ai, "response_metadata");
    assert_str(json_str(json_get(meta, "finish_reason")), "stop");
    assert_str(json_str(json_get(meta, "model_name")), "gpt-4o-mini");
    assert_str(json_str(json_get(meta, "model_provider")), "openai");
    assert_int_equal(yyjson_get_int(json_get(json_get(ai, "usage_metadata"), "output_tokens")), 67);
    assert_int_equal(yyjson_arr_size(json_get(ai, "tool_calls")), 0);
    assert_int_equal(scene_stats(s).requests, 1);
}
static void test_answer(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    scene_run(&s, body_answer);
}

struct tokens {
    struct scene *s;
    struct hub_reader *reader;
    struct buf content, arguments;
    str id, tool_name;
    size_t chunks;
    bool finished;
};

static bool on_frame(void *ctx, str event, str data, str cursor) {
    struct tokens *t = ctx;
    yyjson_val *root;
    (void)cursor;
    if (!str_eq(event, STR("messages")))
        return true;
    assert_int_equal(json_parse(&t->s->a, arena_dup(&t->s->a, data), &root, NULL), 0);
    yyjson_val *chunk = yyjson_arr_get_first(root);
    yyjson_val *call = yyjson_arr_get_first(json_get(chunk, "tool_call_chunks"));
    if (!str_eq(json_str(json_get(chunk, "type")), STR("ai")))
        return true;
    str id = json_str(json_get(chunk, "id"));
    if (!str_eq(t->id, id)) { /* the next message */
        buf_reset(&t->content);
        t->id = id;
    }
    t->chunks++;
    buf_str(&t->content, json_str(json_get(chunk, "content")));
    buf_str(&t->arguments, json_str(json_get(call, "args")));
    if (json_str(json_get(call, "name")).len)
        t->tool_name = json_str(json_get(call, "name"));
    return true;
}
static void on_finished(void *ctx) { ((struct tokens *)ctx)->finished = true; }

static void attach(void *ctx, struct live_run *run) {
    struct tokens *t = ctx;
    struct hub_reader_options o = {.thread_id = live_run_thread(run),
                                   .run_id = live_run_id(run),
                                   .modes = STREAM_MESSAGES_TUPLE,
                                   .frame = on_frame,
                                   .finished = on_finished,
                                   .ctx = t};
    t->reader = hub_reader_live(engine_hub(t->s->engine), &o);
}

static void tokens_init(struct tokens *t, struct scene *s) {
    *t = (struct tokens){.s = s};
    buf_init(&t->content, 1 << 20);
    buf_init(&t->arguments, 1 << 20);
}
static void tokens_deinit(struct tokens *t) {
    hub_reader_close(t->reader);
    buf_deinit(&t->content);
    buf_deinit(&t->arguments);
}

#define TUPLE ",\"stream_mode\":\"messages-tuple\""

static void body_stream(struct scene *s) {
    struct tokens t;
    struct live_run *run;
    yyjson_val *values;
    tokens_init(&t, s);
    assert_int_equal(scene_submit(s, scene_thread(s),
                                  "[[tool:calculator {\"expression\": \"6*7\"}]]", TUPLE, attach,
                                  &t, &run, NULL),
                     0);
    assert_int_equal(live_run_wait(run, FIBER_NO_DEADLINE), 0);
    assert_int_equal(live_run_status(run), RUN_SUCCESS);
    assert_true(t.finished);
    assert_int_equal(json_parse(&s->a, live_run_values(run), &values, NULL), 0);
    yyjson_val *m = json_get(values, "messages");
    assert_int_equal(yyjson_arr_size(m), 4);
    assert_true(str_eq(t.id, scene_text(m, 3, "id"))); /* chunks carry the message's id */
    assert_true(str_eq(buf_view(&t.content), scene_text(m, 3, "content")));
    assert_str(buf_view(&t.arguments), "{\"expression\": \"6*7\"}");
    assert_str(t.tool_name, "calculator");
    assert_true(t.chunks > 3);
    live_run_unref(run);
    tokens_deinit(&t);
}
static void test_stream(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    scene_run(&s, body_stream);
}

/* --- tools -------------------------------------------------------------------------------------
 */

static void body_one_tool(struct scene *s) {
    struct id thread = scene_thread(s);
    yyjson_val *m =
        scene_messages(s, thread, "[[tool:calculator {\"expression\":\"6*7\"}]]", "", NULL);
    assert_int_equal(yyjson_arr_size(m), 4);
    yyjson_val *call = yyjson_arr_get_first(json_get(yyjson_arr_get(m, 1), "tool_calls"));
    assert_str(json_str(json_get(call, "name")), "calculator");
    assert_str(json_str(json_get(json_get(call, "args"), "expression")), "6*7");
    assert_str(
        json_str(json_get(json_get(yyjson_arr_get(m, 1), "response_metadata"), "finish_reason")),
        "tool_calls");
    assert_str(scene_text(m, 2, "type"), "tool");
    assert_str(scene_text(m, 2, "content"), "42");
    assert_str(scene_text(m, 2, "status"), "success");
    assert_str(scene_text(m, 2, "name"), "calculator");
    assert_true(str_eq(scene_text(m, 2, "tool_call_id"), json_str(json_get(call, "id"))));
    assert_str(scene_text(m, 3, "content"), "The tools answered: \"42\".");
    /* The next turn goes on from there. */
    m = scene_messages(s, thread, "[[echo:and now?]]", "", NULL);
    assert_str(scene_text(m, yyjson_arr_size(m) - 1, "content"), "and now?");
    assert_int_equal(scene_stats(s).requests, 3);
}
static void test_one_tool(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    scene_run(&s, body_one_tool);
}

/* The same conversation with the stand-in speaking as other servers do, streamed and whole. */
static void body_other_servers(struct scene *s) {
    static const char *const providers[] = {"anthropic:claude-x", "google_genai:gemini-3-x"};
    for (size_t i = 0; i < 2 * ARRAY_COUNT(providers); i++) {
        char config[300];
        struct id thread = scene_thread(s);
        snprintf(config, sizeof(config),
                 "%s,\"config\":{\"configurable\":{\"model_name\":\"%s\",\"base_url\":"
                 "\"http://127.0.0.1:%d\"}}",
                 i % 2 ? ",\"stream_mode\":\"messages-tuple\"" : "", providers[i / 2],
                 mock_llm_port(s->mock));
        yyjson_val *m = scene_messages(s, thread,
                                       "[[tool:calculator {\"expression\":\"6*7\"}]]"
                                       "[[tool:calculator {\"expression\":\"1/0\"}]]",
                                       config, NULL);
        assert_int_equal(yyjson_arr_size(m), 5);
        yyjson_val *calls = json_get(yyjson_arr_get(m, 1), "tool_calls");
        assert_int_equal(yyjson_arr_size(calls), 2);
        assert_str(json_str(json_get(json_get(yyjson_arr_get(calls, 0), "args"), "expression")),
                   "6*7");
        assert_str(json_str(json_get(json_get(yyjson_arr_get(m, 1), "response_metadata"),
                                     "finish_reason")),
                   "tool_calls");
        /* Google's signature is kept with the message, to be sent back. */
        assert_int_equal(yyjson_obj_size(json_get(yyjson_arr_get(m, 1), "additional_kwargs")),
                         i / 2);
        assert_true(yyjson_get_sint(json_get(json_get(yyjson_arr_get(m, 1), "usage_metadata"),
                                             "output_tokens")) > 0);
        assert_str(scene_text(m, 2, "content"), "42");
        assert_str(scene_text(m, 4, "content"),
                   "The tools answered: \"42\", \"Error: division by zero\".");
        m = scene_messages(s, thread, "[[echo:and now?]]", config, NULL);
        assert_str(scene_text(m, yyjson_arr_size(m) - 1, "content"), "and now?");
    }
}
static void test_other_servers(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    scene_run(&s, body_other_servers);
}

static void body_other_failures(struct scene *s) {
    static const char *const providers[] = {"anthropic:claude-x", "google_genai:gemini-x"};
    for (size_t i = 0; i < ARRAY_COUNT(providers); i++) {
        char config[300];
        str error;
        snprintf(config, sizeof(config),
                 ",\"config\":{\"configurable\":{\"model_name\":\"%s\",\"base_url\":"
                 "\"http://127.0.0.1:%d\"}}",
                 providers[i], mock_llm_port(s->mock));
        assert_null(scene_messages(s, scene_thread(s), "[[fail:401]]", config, &error));
        assert_has(error, "refused the credentials (status 401)");
        assert_null(scene_messages(s, scene_thread(s), "[[fail:cut]]", config, &error));
        assert_has(error, "cut");
        assert_null(scene_messages(s, scene_thread(s), "[[fail:garbage]]", config, &error));
        assert_has(error, "cannot be understood");
    }
}
static void test_other_failures(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    s.settings.model_retries_max = 0;
    scene_run(&s, body_other_failures);
}

static void body_parallel(struct scene *s) {
    struct peer p;
    char text[400];
    peer_start(&p, PEER_TOGETHER, 2);
    s->settings.http_get_hosts = arena_printf(&s->a, "127.0.0.1:%d", p.port);
    snprintf(text, sizeof(text),
             "[[tool:http_get {\"url\":\"http://127.0.0.1:%d/a\"}]]"
             "[[tool:calculator {\"expression\":\"1/0\"}]]"
             "[[tool:http_get {\"url\":\"http://127.0.0.1:%d/b\"}]]",
             p.port, p.port);
    yyjson_val *m = scene_messages(s, scene_thread(s), text, "", NULL);
    peer_stop(&p);
    assert_int_equal(p.came, 2);
    assert_int_equal(yyjson_arr_size(m), 6);
    yyjson_val *calls = json_get(yyjson_arr_get(m, 1), "tool_calls");
    for (size_t i = 0; i < 3; i++) /* in the order of the calls, whoever was first */
        assert_true(str_eq(scene_text(m, 2 + i, "tool_call_id"),
                           json_str(json_get(yyjson_arr_get(calls, i), "id"))));
    assert_has(scene_text(m, 2, "content"), "status 200, text/plain\n\n");
    assert_str(scene_text(m, 3, "content"), "Error: division by zero");
    assert_str(scene_text(m, 3, "status"), "error");
    assert_str(scene_text(m, 4, "status"), "success");
}
static void test_parallel(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    scene_run(&s, body_parallel);
}

static void body_tool_errors(struct scene *s) {
    yyjson_val *m = scene_messages(s, scene_thread(s),
                                   "[[tool:launch {\"at\":1}]][[tool:calculator {\"x\":1}]]"
                                   "[[tool:calculator not json]][[tool:http_get {\"url\":\"u\"}]]",
                                   "", NULL);
    /* The valid calls in order, then those whose arguments cannot be read. */
    assert_int_equal(yyjson_arr_size(m), 7);
    yyjson_val *ai = yyjson_arr_get(m, 1);
    assert_int_equal(yyjson_arr_size(json_get(ai, "tool_calls")), 3);
    assert_int_equal(yyjson_arr_size(json_get(ai, "invalid_tool_calls")), 1);
    for (size_t i = 2; i < 6; i++)
        assert_str(scene_text(m, i, "status"), "error");
    assert_str(scene_text(m, 2, "content"),
               "Error: launch is not a valid tool, try one of [current_time, calculator].");
    assert_has(scene_text(m, 3, "content"), "there is no argument \"x\"");
    /* Not offered, since no host is allowed: as good as unknown. */
    assert_has(scene_text(m, 4, "content"), "http_get is not a valid tool");
    assert_has(scene_text(m, 5, "content"), "must be a JSON object");
    assert_true(str_starts(scene_text(m, 6, "content"), STR("The tools answered: ")));
    assert_int_equal(scene_stats(s).requests, 2);
}
static void test_tool_errors(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    scene_run(&s, body_tool_errors);
}

static void body_allow_list(struct scene *s) {
    yyjson_val *m = scene_messages(
        s, scene_thread(s), "[[tool:current_time {}]][[tool:calculator {\"expression\":\"1\"}]]",
        ",\"config\":{\"configurable\":{\"tools\":[\"calculator\"]}}", NULL);
    assert_str(scene_text(m, 2, "status"), "error");
    assert_str(scene_text(m, 3, "content"), "1");
    /* No tools at all: the stand-in sees none and answers. */
    m = scene_messages(s, scene_thread(s), "[[tool:calculator {\"expression\":\"1\"}]]",
                       ",\"context\":{\"tools\":[]}", NULL);
    assert_int_equal(yyjson_arr_size(m), 2);
}
static void test_allow_list(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    scene_run(&s, body_allow_list);
}

/* --- failures ----------------------------------------------------------------------------------
 */

static void body_failures(struct scene *s) {
    static const struct {
        const char *text, *class;
        uint64_t requests; /* 0: curl tries a kept connection that died once more by itself */
    } cases[] = {{"[[fail:500]]", "ModelServerError", 2},
                 {"[[fail:401]]", "ModelAuthenticationError", 1},
                 {"[[fail:429]]", "ModelRateLimitError", 2},
                 {"[[fail:refuse]]", "ModelConnectionError", 0},
                 {"[[fail:garbage]]", "ModelProtocolError", 2}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct id thread = scene_thread(s);
        uint64_t before = scene_stats(s).requests;
        str error;
        assert_null(scene_messages(s, thread, cases[i].text, "", &error));
        assert_has(error, cases[i].class);
        assert_has(error, "127.0.0.1");
        assert_has_not(error, "sk-of-the-server");
        if (cases[i].requests)
            assert_int_equal(scene_stats(s).requests - before, cases[i].requests);
        struct thread t;
        assert_int_equal(thread_get(&s->store, &s->who, thread, &s->a, &t, NULL), 0);
        assert_int_equal(t.status, THREAD_ERROR);
        /* The thread is usable again. */
        assert_non_null(scene_messages(s, thread, "[[echo:fine]]", "", NULL));
    }
    str error;
    uint64_t before = scene_stats(s).requests;
    assert_null(scene_messages(s, scene_thread(s), "[[fail:cut]]", TUPLE, &error));
    assert_has(error, "ModelServerError");
    assert_int_equal(scene_stats(s).requests - before, 1); /* tokens were shown: no second try */
}
static void test_failures(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    s.settings.model_retries_max = 1;
    scene_run(&s, body_failures);
}

static void body_retry(struct scene *s) {
    yyjson_val *m = scene_messages(s, scene_thread(s), "[[echo:late]]", "", NULL);
    assert_str(scene_text(m, 1, "content"), "late");
    assert_int_equal(scene_stats(s).requests, 2);
}
static void test_retry(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    s.settings.model_retries_max = 1;
    s.mock_options.fail_first = 1;
    s.mock_options.fail_kind = MOCK_FAIL_500;
    scene_run(&s, body_retry);
}

static void body_slow_server(struct scene *s) {
    str error;
    assert_null(scene_messages(s, scene_thread(s), "[[delay:20000]]", "", &error));
    assert_has(error, "Model");
}
static void test_slow_server(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    s.settings.model_head_timeout_us = 50000; /* the server's options reach the call */
    s.settings.model_idle_timeout_us = 50000;
    scene_run(&s, body_slow_server);
}

static void body_bad_config(struct scene *s) {
    struct err err = {0};
    assert_int_equal(scene_submit(s, scene_thread(s), "x",
                                  ",\"config\":{\"configurable\":{\"temperature\":3}}", NULL, NULL,
                                  NULL, &err),
                     ERR_INVALID);
    assert_has(str_of(err.message), "configurable.temperature: must be a number between 0 and 2");
}
static void test_bad_config(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    scene_run(&s, body_bad_config);
}

static void body_recursion(struct scene *s) {
    str error;
    assert_null(scene_messages(s, scene_thread(s), "[[tool:calculator {\"expression\":\"1\"}]]",
                               ",\"config\":{\"recursion_limit\":2}", &error));
    assert_has(error, "GraphRecursionError");
    assert_has(error, "Recursion limit of 2");
    assert_int_equal(scene_stats(s).requests, 1);
}
static void test_recursion(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    scene_run(&s, body_recursion);
}

/* --- cancellation ------------------------------------------------------------------------------
 */

static void cancel(struct scene *s, struct live_run *run) {
    assert_int_equal(engine_cancel(s->engine, &s->who, live_run_thread(run), live_run_id(run),
                                   CANCEL_INTERRUPT, STR("enough"), true, NULL),
                     0);
    assert_true(live_run_done(run));
    assert_int_equal(live_run_status(run), RUN_INTERRUPTED);
}

static void body_cancel_model(struct scene *s) {
    struct tokens t;
    struct live_run *run;
    tokens_init(&t, s);
    assert_int_equal(scene_submit(s, scene_thread(s), "[[token-delay:20]][[tokens:2000]]", TUPLE,
                                  attach, &t, &run, NULL),
                     0);
    while (t.chunks < 3)
        assert_int_equal(fiber_sleep_us(1000), 0);
    cancel(s, run);
    while (scene_stats(s).active > 0) /* the connection is really cut */
        assert_int_equal(fiber_sleep_us(1000), 0);
    assert_int_equal(scene_stats(s).cancelled, 1);
    assert_true(scene_stats(s).tokens_sent < 2000);
    assert_true(t.finished);
    live_run_unref(run);
    tokens_deinit(&t);
}
static void test_cancel_model(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    scene_run(&s, body_cancel_model);
}

/* Cancelled between call and answer; then what the next turn sends to a model. */
static void body_cancel_tool(struct scene *s) {
    struct peer silent, model;
    struct id thread = scene_thread(s);
    char text[300];
    peer_start(&silent, PEER_SILENT, 1);
    s->settings.http_get_hosts = arena_printf(&s->a, "127.0.0.1:%d", silent.port);
    snprintf(text, sizeof(text),
             "[[tool:http_get {\"url\":\"http://127.0.0.1:%d/\"}]]"
             "[[tool:calculator {\"expression\":\"1\"}]]",
             silent.port);
    struct live_run *run = scene_start(s, thread, text, "");
    while (peer_came(&silent) == 0)
        assert_int_equal(fiber_sleep_us(1000), 0);
    cancel(s, run);
    live_run_unref(run);
    peer_stop(&silent);
    assert_true(silent.went_away);

    peer_start(&model, PEER_MODEL, 0);
    snprintf(text, sizeof(text),
             ",\"config\":{\"configurable\":{\"base_url\":\"http://127.0.0.1:%d/v1\","
             "\"custom_model_name\":\"own:7b\",\"temperature\":0.5,\"max_tokens\":100,"
             "\"system_prompt\":\"Be brief.\",\"custom_api_key\":\"sk-of-the-user\"}}",
             model.port);
    yyjson_val *m = scene_messages(s, thread, "go on", text, NULL);
    peer_stop(&model);
    assert_int_equal(yyjson_arr_size(m), 4); /* the gap is not filled in the state */
    assert_str(scene_text(m, 3, "content"), "ok");
    str asked = str_n(model.asked, model.asked_bytes);
    assert_has(asked, "POST /v1/chat/completions");
    assert_has(asked, "Bearer sk-of-the-user");
    assert_has_not(asked, "sk-of-the-server");
    str body = str_slice(asked, (size_t)str_find(asked, STR("\r\n\r\n")) + 4, asked.len);
    yyjson_val *root;
    assert_int_equal(json_parse(&s->a, body, &root, NULL), 0);
    assert_str(json_str(json_get(root, "model")), "own:7b");
    assert_true(yyjson_get_num(json_get(root, "temperature")) == 0.5);
    assert_int_equal(yyjson_get_int(json_get(root, "max_tokens")), 100);
    yyjson_val *sent = json_get(root, "messages");
    /* system, user, assistant with two calls, their two answers, user */
    assert_int_equal(yyjson_arr_size(sent), 6);
    assert_str(scene_text(sent, 0, "content"), "Be brief.");
    assert_int_equal(yyjson_arr_size(json_get(yyjson_arr_get(sent, 2), "tool_calls")), 2);
    for (size_t i = 3; i < 5; i++) {
        assert_str(scene_text(sent, i, "role"), "tool");
        assert_has(scene_text(sent, i, "content"), "cut off");
    }
}
static void test_cancel_tool(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    scene_run(&s, body_cancel_tool);
}

/* A key of the server never goes to an address that somebody else chose. */
static void body_foreign_address(struct scene *s) {
    struct peer model;
    char text[200];
    peer_start(&model, PEER_MODEL, 0);
    snprintf(text, sizeof(text),
             ",\"config\":{\"configurable\":{\"base_url\":\"http://127.0.0.1:%d\"}}", model.port);
    assert_non_null(scene_messages(s, scene_thread(s), "hi", text, NULL));
    peer_stop(&model);
    assert_has_not(str_n(model.asked, model.asked_bytes), "Authorization");
    assert_has(str_n(model.asked, model.asked_bytes), "\"model\":\"gpt-4o-mini\"");
}
static void test_foreign_address(void **state) {
    (void)state;
    struct scene s;
    scene_init(&s);
    scene_run(&s, body_foreign_address);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_servers), cmocka_unit_test(test_other_failures),
        cmocka_unit_test(test_answer),        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_one_tool),      cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_tool_errors),   cmocka_unit_test(test_allow_list),
        cmocka_unit_test(test_failures),      cmocka_unit_test(test_retry),
        cmocka_unit_test(test_slow_server),   cmocka_unit_test(test_bad_config),
        cmocka_unit_test(test_recursion),     cmocka_unit_test(test_cancel_model),
        cmocka_unit_test(test_cancel_tool),   cmocka_unit_test(test_foreign_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
