/* SPDX-License-Identifier: Apache-2.0 */
/* test_mock_llm.c - the model stand-in and, against it, the model client. Goal: scripted answers,
 * tool calls, pacing and failures arrive as asked; a client that goes away is noticed and really
 * cuts its connection; connections are used again. Method: server and client on one loop. */
#include "app/mock_llm.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "app/mock_llm_int.h"
#include "llm/port.h"

#define FIXED                                                                                      \
    "This stand-in answers every question with the same sentence, because a benchmark should "     \
    "measure the server in front of it, its storage, its streams and its queues, and never the "   \
    "mood of a model."
#define TOOLS "[{\"name\":\"calculator\",\"description\":\"\",\"parameters\":{}}]"
#define assert_str(a, z)                                                                           \
    do {                                                                                           \
        str got_ = (a);                                                                            \
        assert_int_equal(got_.len, strlen(z));                                                     \
        assert_memory_equal(got_.p, z, got_.len);                                                  \
    } while (0)

struct scene {
    struct rt *rt;
    struct mock_llm_options options;
    struct mock_llm *mock;
    struct http_client *client;
    struct llm *llm;
    struct arena arena;
    void (*body)(struct scene *s);
    struct buf deltas;
    size_t delta_count;
    const char *other_text;
    bool other_stream;
    int other_rc;
};

static int setup(void **state) {
    struct scene *s = NEW(struct scene);
    *state = s;
    mock_llm_options_default(&s->options);
    s->options.port = 0;
    s->options.delay_ms = 0;
    s->options.token_delay_ms = 0;
    s->options.retry_after_s = 0;
    arena_init(&s->arena, (size_t)64 << 20);
    buf_init(&s->deltas, (size_t)16 << 20);
    return rt_open(&s->rt, NULL);
}

static int teardown(void **state) {
    struct scene *s = *state;
    rt_close(s->rt);
    buf_deinit(&s->deltas);
    arena_deinit(&s->arena);
    mem_free(s);
    return 0;
}

static void mock_closed(void *arg) {
    struct scene *s = arg;
    rt_stop(s->rt);
}

static void client_closed(void *arg) {
    struct scene *s = arg;
    mock_llm_close(s->mock, mock_closed, s);
}

static void run_body(void *arg) {
    struct scene *s = arg;
    s->body(s);
    llm_free(s->llm);
    http_client_close(s->client, client_closed, s);
}

static void run(void **state, void (*body)(struct scene *s)) {
    struct scene *s = *state;
    struct http_client_options o = {0};
    s->body = body;
    assert_int_equal(mock_llm_open(s->rt, &s->options, &s->mock, NULL), 0);
    assert_int_equal(http_client_open(s->rt, &o, &s->client, NULL), 0);
    s->llm = llm_new(s->rt, s->client);
    assert_non_null(fiber_spawn(s->rt, "test", run_body, s, NULL));
    rt_run(s->rt);
}

static void on_delta(void *ctx, const struct llm_delta *d) {
    struct scene *s = ctx;
    s->delta_count++;
    buf_str(&s->deltas, d->content);
}

static str base_url(struct scene *s) {
    return arena_printf(&s->arena, "http://127.0.0.1:%d/v1", mock_llm_port(s->mock));
}

/* messages beyond the first are given; the first is a human's. */
static int chat(struct scene *s, const char *text, bool stream, int retries_max,
                struct llm_response *out, struct err *err) {
    struct message m;
    message_make_human(&s->arena, STR("1"), str_of(text), &m);
    struct llm_request r = {.provider = STR("custom"),
                            .model = STR("some-model"),
                            .base_url = base_url(s),
                            .messages = &m,
                            .message_count = 1,
                            .tools = STR(TOOLS),
                            .stream = stream,
                            .retries_max = retries_max};
    buf_reset(&s->deltas);
    s->delta_count = 0;
    *err = (struct err){0};
    return llm_chat(s->llm, &r, on_delta, s, &s->arena, out, err);
}

static void chat_ok(struct scene *s, const char *text, bool stream, struct llm_response *out) {
    struct err err;
    if (chat(s, text, stream, 0, out, &err) != 0)
        fail_msg("%s: %s", text, err.message);
    if (stream && out->tool_call_count == 0)
        assert_true(str_eq(buf_view(&s->deltas), out->content));
}

static struct mock_llm_stats stats_of(struct scene *s) {
    struct mock_llm_stats stats;
    mock_llm_stats(s->mock, &stats);
    return stats;
}

static void wait_until_idle(struct scene *s) {
    while (stats_of(s).active > 0)
        assert_int_equal(fiber_sleep_us(2000), 0);
}

static void body_answers(struct scene *s) {
    struct llm_response out, again;
    for (int stream = 0; stream <= 1; stream++) {
        chat_ok(s, "hello", stream, &out);
        assert_str(out.content, FIXED);
        assert_str(out.model, "some-model");
        assert_str(out.finish_reason, "stop");
        assert_int_equal(out.output_tokens, MOCK_FIXED_TOKENS);
        assert_in_range(out.input_tokens, 1, 100);
        assert_int_equal(s->delta_count, stream ? MOCK_FIXED_TOKENS : 0);
        chat_ok(s, "hello", stream, &again);
        assert_false(str_eq(out.id, again.id));
        chat_ok(s, "[[echo:one \"two\" \xc3\xa9]]", stream, &out);
        assert_str(out.content, "one \"two\" \xc3\xa9");
        assert_int_equal(out.output_tokens, 5);
        chat_ok(s, "[[echo:nobody]] [[echo@system words:not asked for]]", stream, &out);
        assert_str(out.content, "nobody");
        assert_int_equal(out.output_tokens, 1);
        chat_ok(s, "[[tokens:3]]", stream, &out);
        assert_str(out.content, "This stand-in");
        chat_ok(s, "[[tokens:200]] [[delay:5]] [[token-delay:0]]", stream, &out);
        assert_int_equal(out.output_tokens, 200);
    }
    wait_until_idle(s);
    struct mock_llm_stats stats = stats_of(s);
    assert_int_equal(stats.requests, 12);
    assert_int_equal(stats.active, 0);
    assert_int_equal(stats.peak, 1);
    assert_int_equal(stats.tokens_sent, 2 * (2 * MOCK_FIXED_TOKENS + 5 + 1 + 3 + 200));
    assert_int_equal(stats.cancelled, 0);
    assert_int_equal(stats.errors_injected, 0);
}

static void test_answers(void **state) { run(state, body_answers); }

static void body_paced(struct scene *s) {
    struct llm_response out;
    chat_ok(s, "[[tokens:20]] [[delay:20]] [[token-delay:2]]", true, &out);
    assert_int_equal(out.output_tokens, 20);
    assert_int_equal(s->delta_count, 20);
    assert_in_range(out.total_us, 59000, 60000000); /* never early */
    chat_ok(s, "[[delay:20]]", false, &out);
    assert_in_range(out.total_us, 19000, 60000000);
}

static void test_pacing(void **state) { run(state, body_paced); }

static void body_tools(struct scene *s) {
    static const char text[] = "go [[tool:calculator {\"expression\":\"[[2]]+2\"}]] and "
                               "[[tool:clock]] [[tool:broken {no]]";
    struct llm_response out;
    for (int stream = 0; stream <= 1; stream++) {
        chat_ok(s, text, stream, &out);
        assert_int_equal(out.tool_call_count, 3);
        assert_str(out.finish_reason, "tool_calls");
        assert_str(out.content, "");
        assert_str(out.tool_calls[0].name, "calculator");
        assert_str(out.tool_calls[0].arguments, "{\"expression\":\"[[2]]+2\"}");
        assert_true(out.tool_calls[0].arguments_valid);
        assert_str(out.tool_calls[1].name, "clock");
        assert_str(out.tool_calls[1].arguments, "{}");
        assert_str(out.tool_calls[2].arguments, "{no");
        assert_false(out.tool_calls[2].arguments_valid);
        assert_false(str_eq(out.tool_calls[0].id, out.tool_calls[1].id));
    }
    /* The tools have answered: the marks are spent. */
    struct message m[4];
    message_make_human(&s->arena, STR("1"), str_of(text), &m[0]);
    struct message_ai ai = {
        .id = STR("2"),
        .content = STR(""),
        .tool_calls = STR("[{\"name\":\"clock\",\"args\":{},\"id\":\"a\",\"type\":\"tool_call\"}]"),
        .input_tokens = -1,
        .output_tokens = -1};
    message_make_ai(&s->arena, &ai, &m[1]);
    message_make_tool(&s->arena, STR("3"), STR("a"), STR("clock"), STR("noon"), false, &m[2]);
    message_make_tool(&s->arena, STR("4"), STR("b"), STR("calculator"), STR("4"), false, &m[3]);
    struct llm_request r = {.provider = STR("custom"),
                            .model = STR("m"),
                            .base_url = base_url(s),
                            .messages = m,
                            .message_count = 4,
                            .tools = STR(TOOLS)};
    assert_int_equal(llm_chat(s->llm, &r, NULL, NULL, &s->arena, &out, NULL), 0);
    assert_int_equal(out.tool_call_count, 0);
    assert_str(out.content, "The tools answered: \"noon\", \"4\".");
    /* Without tools in the request no tool is called. */
    r.tools = STR_NULL;
    r.message_count = 1;
    assert_int_equal(llm_chat(s->llm, &r, NULL, NULL, &s->arena, &out, NULL), 0);
    assert_int_equal(out.tool_call_count, 0);
    assert_str(out.content, FIXED);
}

static void test_tool_calls(void **state) { run(state, body_tools); }

static void body_failures(struct scene *s) {
    static const struct {
        const char *text;
        int code;
        const char *words;
        bool shown; /* deltas before the failure */
    } rows[] = {
        {"[[fail:500]]", ERR_MODEL_FAILED, "(status 500): An injected failure.", false},
        {"[[fail:401]]", ERR_MODEL_AUTH, "(status 401)", false},
        {"[[fail:429]]", ERR_MODEL_RATE, "(status 429)", false},
        {"[[fail:refuse]]", ERR_MODEL_REFUSED, "127.0.0.1:", false},
        {"[[fail:cut]]", ERR_MODEL_FAILED, "cut", true},
        {"[[fail:garbage]]", ERR_MODEL_PROTOCOL, "cannot be understood", false},
    };
    for (int stream = 0; stream <= 1; stream++) {
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
            struct llm_response out;
            struct err err;
            int rc = chat(s, rows[i].text, stream, 0, &out, &err);
            if (rc != rows[i].code || str_find(str_of(err.message), str_of(rows[i].words)) < 0)
                fail_msg("%s: %s: %s", rows[i].text, err_name(rc), err.message);
            assert_int_equal(s->delta_count > 0, stream && rows[i].shown);
        }
    }
    wait_until_idle(s);
    struct mock_llm_stats stats = stats_of(s);
    /* "refuse" on a used connection looks like one that died idle: curl sends once more. */
    assert_in_range(stats.errors_injected, 2 * ARRAY_COUNT(rows), 2 * ARRAY_COUNT(rows) + 2);
    assert_int_equal(stats.active, 0);
    assert_int_equal(stats.cancelled, 0);
}

static void test_failures(void **state) { run(state, body_failures); }

static void body_retried(struct scene *s) {
    struct llm_response out;
    struct err err;
    assert_int_equal(chat(s, "hi", true, 3, &out, &err), 0);
    assert_int_equal(out.attempts, 3);
    assert_str(out.content, FIXED);
    /* A cut stream has shown text: never repeated. */
    assert_int_equal(chat(s, "[[fail:cut]]", true, 3, &out, &err), ERR_MODEL_FAILED);
    assert_int_equal(stats_of(s).requests, 4);
}

static void test_retries(void **state) {
    struct scene *s = *state;
    s->options.fail_first = 2;
    s->options.fail_kind = MOCK_FAIL_429;
    run(state, body_retried);
}

static void body_always_fails(struct scene *s) {
    struct llm_response out;
    struct err err;
    for (int i = 0; i < 10; i++)
        assert_int_equal(chat(s, "hi", i % 2, 0, &out, &err), ERR_MODEL_AUTH);
    assert_int_equal(stats_of(s).errors_injected, 10);
}

static void test_fail_rate(void **state) {
    struct scene *s = *state;
    s->options.fail_rate = 1;
    s->options.fail_kind = MOCK_FAIL_401;
    run(state, body_always_fails);
}

static void other_chat(void *arg) {
    struct scene *s = arg;
    struct llm_response out;
    struct err err;
    s->other_rc = chat(s, s->other_text, s->other_stream, 5, &out, &err);
}

/* Connections of the server, by its own route: the asking one counts. */
static int64_t connections(struct scene *s) {
    struct http_call *call;
    struct http_call_options o = {
        .method = HTTP_GET,
        .url = arena_printf(&s->arena, "http://127.0.0.1:%d/stats", mock_llm_port(s->mock)),
        .proxy = STR("")};
    str body;
    yyjson_val *root;
    assert_int_equal(http_call_open(s->client, &o, &call, NULL), 0);
    assert_int_equal(http_call_status(call), 200);
    assert_int_equal(http_call_read_all(call, &s->arena, 4096, &body, NULL), 0);
    http_call_close(call);
    assert_int_equal(json_parse(&s->arena, body, &root, NULL), 0);
    return yyjson_get_sint(json_get(root, "connections"));
}

static void body_cancel(struct scene *s) {
    static const char *const texts[] = {"[[tokens:1000]] [[token-delay:5]]", "[[delay:60000]]",
                                        "[[delay:60000]]"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        s->other_text = texts[i];
        s->other_stream = i < 2;
        s->other_rc = 0;
        struct fiber *f = fiber_spawn(s->rt, "other", other_chat, s, NULL);
        assert_non_null(f);
        while (stats_of(s).requests <= i || (i == 0 && s->delta_count < 3))
            assert_int_equal(fiber_sleep_us(2000), 0);
        assert_int_equal(stats_of(s).active, 1);
        fiber_cancel(f);
        wait_until_idle(s);
        assert_int_equal(s->other_rc, ERR_CANCELLED);
        assert_int_equal(stats_of(s).cancelled, i + 1);
    }
    assert_int_equal(connections(s), 1);
    assert_int_equal(stats_of(s).requests, 3); /* a cancelled call is not repeated */
}

static void test_cancelled_calls_are_noticed(void **state) { run(state, body_cancel); }

static void body_reuse(struct scene *s) {
    struct llm_response out;
    for (int i = 0; i < 40; i++)
        chat_ok(s, "hi", i % 2, &out);
    assert_int_equal(connections(s), 1);
}

static void test_connection_is_reused(void **state) { run(state, body_reuse); }

static void body_concurrency(struct scene *s) {
    struct llm_response out;
    struct err err;
    s->other_text = "[[delay:60000]]";
    s->other_stream = true;
    struct fiber *f = fiber_spawn(s->rt, "other", other_chat, s, NULL);
    assert_non_null(f);
    while (stats_of(s).active < 1)
        assert_int_equal(fiber_sleep_us(2000), 0);
    assert_int_equal(chat(s, "hi", false, 0, &out, &err), ERR_MODEL_RATE);
    assert_int_equal(err.retry_after_ms, 3000);
    assert_int_equal(stats_of(s).rejected, 1);
    fiber_cancel(f);
    wait_until_idle(s);
    chat_ok(s, "hi", false, &out);
    assert_int_equal(stats_of(s).peak, 1);
}

static void test_concurrency_limit(void **state) {
    struct scene *s = *state;
    s->options.concurrency = 1;
    s->options.retry_after_s = 3;
    run(state, body_concurrency);
}

/* A reader that takes its time gets every frame of a long answer. */
static void body_slow_reader(struct scene *s) {
    struct http_call *call;
    str body = STR("{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
                   "\"[[tokens:30000]]\"}]}");
    struct http_call_options o = {
        .method = HTTP_POST,
        .url = arena_printf(&s->arena, STR_FMT "/chat/completions", STR_ARG(base_url(s))),
        .body = body,
        .proxy = STR("")};
    assert_int_equal(http_call_open(s->client, &o, &call, NULL), 0);
    size_t newlines = 0;
    str part;
    int reads = 0;
    while (http_call_read(call, &part, NULL) == 0 && part.len > 0) {
        for (size_t i = 0; i < part.len; i++)
            newlines += part.p[i] == '\n';
        if (reads++ < 20)
            assert_int_equal(fiber_sleep_us(3000), 0);
    }
    http_call_close(call);
    assert_int_equal(newlines, 2 * (30000 + 3)); /* role, tokens, finish, [DONE] */
    assert_int_equal(stats_of(s).cancelled, 0);
}

static void test_slow_reader(void **state) { run(state, body_slow_reader); }

static void test_scan(void **state) {
    (void)state;
    struct arena a;
    struct mock_script m;
    arena_init(&a, 1 << 20);
    static const char *const bad[] = {"",
                                      "x",
                                      "{",
                                      "{}",
                                      "{\"messages\":1}",
                                      "{\"messages\":[}",
                                      "[]",
                                      "{\"messages\":[]",
                                      "{\"model\":\"x}"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        if (mock_script_read(&a, str_of(bad[i]), &m, NULL) != ERR_MALFORMED)
            fail_msg("accepted: %s", bad[i]);
    str body =
        STR(" { \"messages\" : [ {\"role\":\"user\",\"content\":\"\\\"stream\\\":true \\\\\"} ] "
            ", \"tools\":[{\"model\":\"inner\",\"stream\":true}],\"model\": \"a\\\"b\" ,"
            "\"stream\" : false,\"max_tokens\":12,\"stream_options\":"
            "{\"include_usage\" : true}}");
    assert_int_equal(mock_script_read(&a, body, &m, NULL), 0);
    assert_str(m.model, "\"a\\\"b\"");
    assert_false(m.stream);
    assert_true(m.has_tools);
    assert_true(m.include_usage);
    assert_int_equal(m.answer.token_max, 12);
    arena_deinit(&a);
}

static int parse_args(struct mock_llm_options *o, struct err *err, const char *const *args) {
    char *argv[32] = {0};
    int argc = 0;
    for (; args[argc]; argc++)
        argv[argc] = mem_strdup(args[argc]);
    int rc = mock_llm_options_parse(argc, argv, o, err);
    while (argc-- > 0)
        mem_free(argv[argc]);
    return rc;
}
#define PARSE(o, err, ...) parse_args(o, err, (const char *const[]){"mock-llm", __VA_ARGS__, NULL})

static void test_options(void **state) {
    (void)state;
    struct mock_llm_options o;
    struct err err;
    assert_int_equal(PARSE(&o, &err, "--listen", "[::1]:80", "--delay-ms=0", "--token-delay-ms",
                           "7", "--answer-tokens", "9", "--concurrency", "2", "--fail-rate", "0.25",
                           "--fail-kind", "cut", "--fail-first", "3", "--retry-after", "0",
                           "--slow-ms", "11"),
                     0);
    assert_string_equal(o.host, "::1");
    assert_int_equal(o.port, 80);
    assert_int_equal(o.delay_ms, 0);
    assert_int_equal(o.token_delay_ms, 7);
    assert_int_equal(o.answer_tokens, 9);
    assert_int_equal(o.concurrency, 2);
    assert_true(o.fail_rate > 0.24 && o.fail_rate < 0.26);
    assert_int_equal(o.fail_kind, MOCK_FAIL_CUT);
    assert_int_equal(o.fail_first, 3);
    assert_int_equal(o.retry_after_s, 0);
    assert_int_equal(o.slow_ms, 11);
    assert_int_equal(PARSE(&o, &err, "--listen", "9000"), 0);
    assert_string_equal(o.host, "127.0.0.1");
    assert_int_equal(o.port, 9000);
    assert_int_equal(o.delay_ms, 10);
    assert_int_equal(PARSE(&o, &err, "--help"), 0);
    assert_true(o.help_wanted);
    static const char *const bad[][2] = {{"--delay-ms", "x"},
                                         {"--delay-ms", "-1"},
                                         {"--listen", "a:b"},
                                         {"--fail-rate", "2"},
                                         {"--fail-kind", "odd"},
                                         {"--nothing", "1"},
                                         {"--answer-tokens", "999999999"}};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(PARSE(&o, &err, bad[i][0], bad[i][1]), ERR_INVALID);
        assert_true(str_find(str_of(err.message), str_of(bad[i][0])) >= 0);
    }
    assert_int_equal(PARSE(&o, &err, "--delay-ms"), ERR_INVALID);
    assert_int_equal(PARSE(&o, &err, "stray"), ERR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_options),
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pacing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tool_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fail_rate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_calls_are_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connection_is_reused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_concurrency_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
