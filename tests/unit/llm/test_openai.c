/* SPDX-License-Identifier: Apache-2.0 */
/* test_openai.c - the OpenAI-compatible provider and the port above it. Goal: the body says exactly
 * what the messages say; streams of all known dialects give the same answer, however they are cut;
 * every failure has its code and a text without the key; attempts are repeated only when nothing
 * was shown. Method: bodies compared as text, streams fed in pieces, calls against a raw server. */
#include "llm/openai.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../../support/raw_server.h"
#include "llm/fault.h"

#define KEY "sk-very-secret"
#define assert_str(a, z)                                                                           \
    do {                                                                                           \
        str got_ = (a);                                                                            \
        assert_int_equal(got_.len, strlen(z));                                                     \
        assert_memory_equal(got_.p, z, got_.len);                                                  \
    } while (0)

/* --- bodies ---------------------------------------------------------------------------------- */

static void expect_body(struct llm_request *r, const char *const *flat, size_t count,
                        const char *wanted) {
    struct arena a;
    struct buf body;
    struct message messages[16];
    arena_init(&a, 1 << 24);
    buf_init(&body, 1 << 20);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(message_parse_flat(&a, str_of(flat[i]), &messages[i], NULL), 0);
    r->messages = messages;
    r->message_count = count;
    assert_int_equal(llm_write_body(&LLM_OPENAI, r, &body, NULL), 0);
    buf_char(&body, '\0');
    assert_string_equal(body.p, wanted);
    buf_deinit(&body);
    arena_deinit(&a);
}

static void test_body_of_messages(void **state) {
    (void)state;
    const char *const flat[] = {
        "{\"type\":\"human\",\"id\":\"1\",\"content\":\"hi \\\"you\\\"\",\"name\":\"ann\"}",
        "{\"type\":\"ai\",\"id\":\"2\",\"content\":\"\",\"tool_calls\":[{\"name\":\"add\",\"args\":"
        "{\"x\":1},\"id\":\"c1\",\"type\":\"tool_call\"}],\"invalid_tool_calls\":[{\"name\":\"b\","
        "\"args\":\"{x\",\"id\":\"c2\",\"error\":\"no\"}]}",
        "{\"type\":\"tool\",\"id\":\"3\",\"content\":\"4\",\"tool_call_id\":\"c1\","
        "\"name\":\"add\"}",
        "{\"type\":\"remove\",\"id\":\"1\",\"content\":\"\"}",
        "{\"type\":\"system\",\"id\":\"4\",\"content\":\"be kind\"}",
        "{\"type\":\"ai\",\"id\":\"5\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
        "{\"type\":\"text\",\"text\":\"b\"}],\"tool_calls\":[]}",
        "{\"type\":\"human\",\"id\":\"6\",\"name\":\"not sendable\",\"content\":[\"p\","
        "{\"type\":\"text\",\"text\":\"q\",\"cache\":1},{\"type\":\"image_url\",\"image_url\":"
        "{\"url\":\"http://x/y\"}},{\"type\":\"thinking\",\"thinking\":\"z\"}]}",
    };
    struct llm_request r = {.model = STR("m")};
    expect_body(&r, flat, ARRAY_COUNT(flat),
                "{\"model\":\"m\",\"messages\":["
                "{\"role\":\"user\",\"content\":\"hi \\\"you\\\"\",\"name\":\"ann\"},"
                "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
                "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"add\","
                "\"arguments\":\"{\\\"x\\\":1}\"}},"
                "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"b\","
                "\"arguments\":\"{x\"}}]},"
                "{\"role\":\"tool\",\"content\":\"4\",\"tool_call_id\":\"c1\"},"
                "{\"role\":\"system\",\"content\":\"be kind\"},"
                "{\"role\":\"assistant\",\"content\":\"ab\"},"
                "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"p\"},"
                "{\"type\":\"text\",\"text\":\"q\"},"
                "{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://x/y\"}}]}]}");
}

static void test_body_of_options(void **state) {
    (void)state;
    const char *const flat[] = {"{\"type\":\"human\",\"id\":\"1\",\"content\":\"x\"}"};
    struct llm_request r = {.model = STR("m\"x"),
                            .stream = true,
                            .temperature = 0.5,
                            .has_temperature = true,
                            .max_tokens = 7,
                            .system_prompt = STR("sys"),
                            .tools =
                                STR("[{\"name\":\"f\",\"description\":\"d\",\"parameters\":{}},"
                                    "{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]")};
    expect_body(&r, flat, 1,
                "{\"model\":\"m\\\"x\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                "\"temperature\":0.5,\"max_tokens\":7,\"messages\":["
                "{\"role\":\"system\",\"content\":\"sys\"},"
                "{\"role\":\"user\",\"content\":\"x\"}],\"tools\":["
                "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
                "\"parameters\":{}}},"
                "{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]}");
    r = (struct llm_request){.model = STR("m"), .tools = STR("[]")};
    expect_body(&r, flat, 1,
                "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}");
}

static void test_body_refused(void **state) {
    (void)state;
    struct buf body;
    struct err err = {0};
    buf_init(&body, 100);
    struct message bad = {.type = MESSAGE_HUMAN, .json = STR("{no")};
    struct llm_request r = {.messages = &bad, .message_count = 1};
    assert_int_equal(llm_write_body(&LLM_OPENAI, &r, &body, &err), ERR_MODEL_REQUEST);
    assert_true(str_starts(str_of(err.message), STR("messages[0]")));
    r = (struct llm_request){.tools = STR("{}")};
    buf_reset(&body);
    assert_int_equal(llm_write_body(&LLM_OPENAI, &r, &body, &err), ERR_MODEL_REQUEST);
    char big[200];
    memset(big, 'x', sizeof big);
    r = (struct llm_request){.system_prompt = {big, sizeof big}};
    buf_reset(&body);
    assert_int_equal(llm_write_body(&LLM_OPENAI, &r, &body, &err), ERR_MODEL_REQUEST);
    buf_deinit(&body);
}

/* --- streams --------------------------------------------------------------------------------- */

struct parsed {
    struct arena arena;
    struct llm_assembler as;
    struct llm_response out;
    struct err err;
    int rc;
};

static void parse(struct parsed *p, const char *stream, size_t step) {
    struct llm_stream s;
    str all = str_of(stream);
    *p = (struct parsed){0};
    arena_init(&p->arena, 1 << 24);
    llm_assembler_init(&p->as, &p->arena, NULL, NULL);
    llm_stream_init(&s, &LLM_OPENAI, &p->as, STR("host:1"), STR(KEY));
    for (size_t at = 0; p->rc == 0 && at < all.len; at += step)
        p->rc = llm_stream_feed(&s, str_slice(all, at, at + step), &p->err);
    if (p->rc == 0)
        p->rc = llm_stream_end(&s, &p->err);
    if (p->rc == 0)
        llm_assembler_finish(&p->as, &p->out);
    llm_stream_deinit(&s);
}

static void parsed_free(struct parsed *p) {
    llm_assembler_deinit(&p->as);
    arena_deinit(&p->arena);
}

#define CHUNK(delta) "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"delta\":" delta "}]}\n\n"
#define FINISH(why)  "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"" why "\"}]}\n\n"

static void test_dialects(void **state) {
    (void)state;
    static const struct {
        const char *stream, *content, *reason;
        int64_t in, out;
    } rows[] = {
        {CHUNK("{\"role\":\"assistant\",\"content\":\"\"}") CHUNK("{\"content\":\"Hel\"}")
             CHUNK("{\"content\":\"lo\"}") FINISH("stop") "data: "
                                                          "{\"choices\":[],\"usage\":{\"prompt_"
                                                          "tokens\":3,\"completion_tokens\":2}}\n\n"
                                                          "data: [DONE]\n\n",
         "Hello", "stop", 3, 2},
        {": keepalive\n\n" CHUNK("{\"content\":\"Hello\"}") ": more\n\n" FINISH("length"), "Hello",
         "length", -1, -1}, /* no [DONE] */
        {CHUNK("{\"reasoning_content\":\"hmm\",\"content\":null}")
             CHUNK("{\"content\":\"Hello\"}") "data: [DONE]\n\n",
         "Hello", "stop", -1, -1}, /* no finish_reason */
        {"data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}],\"usage\":{\"prompt_tokens\":3,"
         "\"completion_tokens\":1}}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"lo\"},"
         "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n"
         "data: [DONE]\n\n",
         "Hello", "stop", 3, 2}, /* usage on every chunk */
        {"data:{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"Hello\"}]}}]}"
         "\r\n\r\n" FINISH("stop"),
         "Hello", "stop", -1, -1}, /* parts, CRLF, no blank */
        {"data: {\"choices\":[{\"message\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}]}",
         "Hello", "stop", -1, -1}, /* message, no blank line at the end */
        {CHUNK("{\"content\":\"Hello\"}") "data: "
                                          "{\"choices\":[],\"error\":null,\"usage\":null}"
                                          "\n\n" FINISH("stop") "data: [DONE]\n\ndata: trash after "
                                                                "the end\n\n",
         "Hello", "stop", -1, -1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        for (size_t step = 1; step < 80; step = step * 2 + 1) {
            struct parsed p;
            parse(&p, rows[i].stream, step);
            if (p.rc != 0)
                fail_msg("row %zu step %zu: %s", i, step, p.err.message);
            assert_str(p.out.content, rows[i].content);
            assert_str(p.out.finish_reason, rows[i].reason);
            assert_int_equal(p.out.input_tokens, rows[i].in);
            assert_int_equal(p.out.output_tokens, rows[i].out);
            parsed_free(&p);
        }
    }
}

static void test_stream_tool_calls(void **state) {
    (void)state;
    static const char *const streams[] = {
        CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\","
              "\"arguments\":\"\"}}]}")
            CHUNK("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\"\"}}]}")
                CHUNK("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}")
                    FINISH("tool_calls") "data: [DONE]\n\n",
        CHUNK("{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\","
              "\"arguments\":\"{\\\"x\\\":1}\"}}]}") FINISH("tool_calls"),
        CHUNK("{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\","
              "\"arguments\":{\"x\":1}}}]}") FINISH("tool_calls"),
    };
    for (size_t i = 0; i < ARRAY_COUNT(streams); i++) {
        struct parsed p;
        parse(&p, streams[i], 7);
        assert_int_equal(p.rc, 0);
        assert_int_equal(p.out.tool_call_count, 1);
        assert_str(p.out.tool_calls[0].id, "a");
        assert_str(p.out.tool_calls[0].name, "f");
        assert_str(p.out.tool_calls[0].arguments, "{\"x\":1}");
        assert_true(p.out.tool_calls[0].arguments_valid);
        assert_str(p.out.finish_reason, "tool_calls");
        parsed_free(&p);
    }
}

static void test_bad_streams(void **state) {
    (void)state;
    static const struct {
        const char *stream;
        int code;
        const char *words;
    } rows[] = {
        {"", ERR_MODEL_FAILED, "the model's stream was cut"},
        {CHUNK("{\"content\":\"Hel\"}"), ERR_MODEL_FAILED, "the model's stream was cut"},
        {CHUNK("{\"content\":\"Hel\"}") "data: {\"choi", ERR_MODEL_PROTOCOL, "host:1"},
        {"data: <html>\n\n", ERR_MODEL_PROTOCOL, "cannot be understood"},
        {"data: [1]\n\n", ERR_MODEL_PROTOCOL, "no object"},
        {"data: {\"error\":{\"message\":\"over\\nloaded " KEY "\",\"code\":503}}\n\n",
         ERR_MODEL_FAILED, "status 503): over loaded ***"},
        {"data: {\"error\":{\"message\":\"slow\",\"type\":\"rate_limit_error\"}}\n\n",
         ERR_MODEL_RATE, "slow"},
        {"data: {\"error\":{\"message\":\"who\",\"code\":\"invalid_api_key\"}}\n\n", ERR_MODEL_AUTH,
         "who"},
        {"data: {\"error\":{\"message\":\"bad\",\"type\":\"invalid_request_error\"}}\n\n",
         ERR_MODEL_REQUEST, "bad"},
        {"event: error\ndata: {\"message\":\"plain\"}\n\n", ERR_MODEL_FAILED, "plain"},
        {"data: {\"error\":\"text only\"}\n\n", ERR_MODEL_FAILED, "text only"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct parsed p;
        parse(&p, rows[i].stream, 11);
        if (p.rc != rows[i].code || str_find(str_of(p.err.message), str_of(rows[i].words)) < 0)
            fail_msg("row %zu: %s: %s", i, err_name(p.rc), p.err.message);
        assert_int_equal(p.err.code, p.rc);
        assert_true(str_find(str_of(p.err.message), STR(KEY)) < 0);
        parsed_free(&p);
    }
}

/* --- calls ----------------------------------------------------------------------------------- */

struct scene {
    struct rt *rt;
    struct raw_server server;
    struct http_client *client;
    struct llm *llm;
    struct arena arena;
    void (*body)(struct scene *s);
    const char *const *answers; /* one for each request; the last one repeats */
    size_t answer_count, answered;
    bool close_after;
    char last[8192];
    size_t delta_count;
};

/* Head and body; a length or chunks are added unless the head has a length. */
static void send_framed(struct raw_conn *conn, str answer) {
    ptrdiff_t end = str_find(answer, STR("\r\n\r\n"));
    assert_true(end > 0);
    str head = str_slice(answer, 0, (size_t)end + 2);
    str body = str_slice(answer, (size_t)end + 4, answer.len);
    struct buf out;
    buf_init(&out, 1 << 16);
    buf_str(&out, head);
    if (str_find(head, STR("Content-Length")) >= 0 || !str_starts(head, STR("HTTP/")))
        buf_printf(&out, "\r\n" STR_FMT, STR_ARG(body));
    else if (str_find(head, STR("event-stream")) >= 0)
        buf_printf(&out, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n" STR_FMT "\r\n0\r\n\r\n",
                   body.len, STR_ARG(body));
    else
        buf_printf(&out, "Content-Length: %zu\r\n\r\n" STR_FMT, body.len, STR_ARG(body));
    raw_send(conn, buf_view(&out));
    buf_deinit(&out);
}

static void answer(struct raw_conn *conn, str request, void *ctx) {
    struct scene *s = ctx;
    size_t i = s->answered < s->answer_count ? s->answered : s->answer_count - 1;
    s->answered++;
    size_t n = request.len < sizeof s->last - 1 ? request.len : sizeof s->last - 1;
    memcpy(s->last, request.p, n);
    s->last[n] = '\0';
    if (*s->answers[i])
        send_framed(conn, str_of(s->answers[i]));
    if (!*s->answers[i] || s->close_after)
        raw_close(conn);
}

static int setup(void **state) {
    struct scene *s = NEW(struct scene);
    struct http_client_options o = {0};
    *state = s;
    assert_int_equal(rt_open(&s->rt, NULL), 0);
    assert_int_equal(raw_server_open(&s->server, s->rt, answer, s), 0);
    assert_int_equal(http_client_open(s->rt, &o, &s->client, NULL), 0);
    s->llm = llm_new(s->rt, s->client);
    arena_init(&s->arena, (size_t)64 << 20);
    return 0;
}

static int teardown(void **state) {
    struct scene *s = *state;
    llm_free(s->llm);
    arena_deinit(&s->arena);
    rt_close(s->rt);
    mem_free(s);
    return 0;
}

static void stop(void *arg) {
    struct scene *s = arg;
    raw_server_close(&s->server);
    rt_stop(s->rt);
}

static void run_body(void *arg) {
    struct scene *s = arg;
    s->body(s);
    http_client_close(s->client, stop, s);
}

static void run(void **state, void (*body)(struct scene *s)) {
    struct scene *s = *state;
    s->body = body;
    assert_non_null(fiber_spawn(s->rt, "test", run_body, s, NULL));
    rt_run(s->rt);
}

static void count_delta(void *ctx, const struct llm_delta *d) {
    struct scene *s = ctx;
    assert_str(d->message_id, "c");
    s->delta_count++;
}

static int chat(struct scene *s, const char *const *answers, size_t count, bool stream,
                int retries_max, struct llm_response *out, struct err *err) {
    struct message m;
    message_make_human(&s->arena, STR("1"), STR("hi"), &m);
    struct llm_request r = {.provider = STR("openai"),
                            .model = STR("m"),
                            .base_url =
                                arena_printf(&s->arena, "http://127.0.0.1:%d/v1/", s->server.port),
                            .api_key = STR(KEY),
                            .messages = &m,
                            .message_count = 1,
                            .stream = stream,
                            .retries_max = retries_max};
    s->answers = answers;
    s->answer_count = count;
    s->answered = 0;
    s->delta_count = 0;
    *err = (struct err){0};
    return llm_chat(s->llm, &r, count_delta, s, &s->arena, out, err);
}

#define HEAD(status, type) "HTTP/1.1 " status " X\r\nContent-Type: " type "\r\n"
#define WHOLE(body)        "\r\n" body
#define ANSWER                                                                                     \
    HEAD("200", "application/json")                                                                \
    WHOLE("{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"message\":{\"content\":\"Hello\"},"       \
          "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1234}}   ")
#define STREAM(events) HEAD("200", "text/event-stream") "\r\n" events

static void body_chat(struct scene *s) {
    static const char *const whole[] = {ANSWER};
    static const char *const stream[] = {
        STREAM(CHUNK("{\"content\":\"Hello\"}") "data: [DONE]\n\n")};
    struct llm_response out = {0};
    struct err err;
    assert_int_equal(chat(s, whole, 1, false, 0, &out, &err), 0);
    assert_str(out.content, "Hello");
    assert_int_equal(out.input_tokens, 1234);
    assert_int_equal(out.attempts, 1);
    assert_in_range(out.first_byte_us, 1, 60000000);
    assert_in_range(out.total_us, out.first_byte_us, 60000000);
    assert_int_equal(s->delta_count, 0);
    assert_true(str_starts(str_of(s->last), STR("POST /v1/chat/completions HTTP/1.1\r\n")));
    assert_non_null(strstr(s->last, "\r\nAuthorization: Bearer " KEY "\r\n"));
    assert_non_null(strstr(s->last, "{\"model\":\"m\",\"messages\":"));
    assert_int_equal(chat(s, stream, 1, true, 0, &out, &err), 0);
    assert_str(out.content, "Hello");
    assert_int_equal(s->delta_count, 1);
    /* A server that does not stream although it was asked to. */
    assert_int_equal(chat(s, whole, 1, true, 0, &out, &err), 0);
    assert_str(out.content, "Hello");
    assert_int_equal(s->delta_count, 1);
    assert_int_equal(s->server.accepted, 1);
}

static void test_chat(void **state) { run(state, body_chat); }

static void body_failures(struct scene *s) {
    static const struct {
        const char *answer;
        int code, status;
        const char *words;
    } rows[] = {
        {HEAD("401", "application/json")
             WHOLE("{\"error\":{\"message\":\"no: sk-very-secret\"}}   "),
         ERR_MODEL_AUTH, 401, "(status 401): no: ***"},
        {HEAD("403", "text/plain") WHOLE("denied"), ERR_MODEL_AUTH, 403, "denied"},
        {HEAD("404", "application/json") WHOLE("{\"detail\":\"not there\"}"), ERR_MODEL_REQUEST,
         404, "not there"},
        {HEAD("302", "text/plain") "Location: http://x/\r\n" WHOLE(""), ERR_MODEL_REQUEST, 302,
         "(status 302)"},
        {HEAD("429", "text/plain") "Retry-After: 7\r\n" WHOLE("slow"), ERR_MODEL_RATE, 429, "slow"},
        {HEAD("500", "text/plain") WHOLE("a\nb"), ERR_MODEL_FAILED, 500, "a b"},
        {HEAD("200", "application/json") WHOLE("{\"a\""), ERR_MODEL_PROTOCOL, 0,
         "cannot be understood"},
        {HEAD("200", "application/json") WHOLE("{\"choices\":[]}"), ERR_MODEL_PROTOCOL, 0,
         "no choices"},
        {"SSH-2.0\r\n\r\n", ERR_MODEL_PROTOCOL, 1, "cannot be understood"},
        {"", ERR_MODEL_REFUSED, 0, "cannot be reached"},
        {HEAD("200", "text/event-stream") "Content-Length: 999\r\n\r\ndata: ", ERR_MODEL_FAILED, 0,
         "the model's stream was cut"},
    };
    s->close_after = true;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct llm_response out;
        struct err err;
        int rc = chat(s, &rows[i].answer, 1, true, 0, &out, &err);
        if (rc != rows[i].code || str_find(str_of(err.message), str_of(rows[i].words)) < 0)
            fail_msg("row %zu: %s: %s", i, err_name(rc), err.message);
        assert_int_equal(err.code, rc);
        if (rows[i].status > 1)
            assert_int_equal(err.system, rows[i].status);
        assert_int_equal(err.retry_after_ms, rows[i].status == 429 ? 7000 : 0);
        assert_true(str_find(str_of(err.message), STR(KEY)) < 0);
        assert_int_equal(s->answered, 1);
    }
}

static void test_failures(void **state) { run(state, body_failures); }

static void body_retries(struct scene *s) {
    static const char *const twice[] = {
        HEAD("500", "text/plain") WHOLE("a"),
        HEAD("429", "text/plain") "retry-after-ms: 5\r\n" WHOLE("b"), ANSWER};
    static const char *const auth[] = {HEAD("401", "text/plain") WHOLE("a"), ANSWER};
    static const char *const later[] = {
        HEAD("429", "text/plain") "Retry-After: 3600\r\n" WHOLE("a"), ANSWER};
    static const char *const shown[] = {
        STREAM(CHUNK("{\"content\":\"Hello\"}") "data: {\"error\":{\"code\":500}}\n\n"), ANSWER};
    struct llm_response out = {0};
    struct err err;
    assert_int_equal(chat(s, twice, 3, false, 2, &out, &err), 0);
    assert_int_equal(out.attempts, 3);
    assert_str(out.content, "Hello");
    assert_int_equal(chat(s, twice, 3, false, 1, &out, &err), ERR_MODEL_RATE);
    assert_int_equal(s->answered, 2);
    assert_int_equal(chat(s, auth, 2, false, 5, &out, &err), ERR_MODEL_AUTH);
    assert_int_equal(s->answered, 1);
    assert_int_equal(chat(s, later, 2, false, 5, &out, &err), ERR_MODEL_RATE);
    assert_int_equal(err.retry_after_ms, 3600000);
    assert_int_equal(s->answered, 1);
    assert_int_equal(chat(s, shown, 2, true, 5, &out, &err), ERR_MODEL_FAILED);
    assert_int_equal(s->delta_count, 1);
    assert_int_equal(s->answered, 1);
}

static void test_retries(void **state) { run(state, body_retries); }

static void body_refused(struct scene *s) {
    struct llm_response out;
    struct err err = {0};
    struct llm_request r = {.provider = STR("nobody"), .model = STR("m")};
    assert_int_equal(llm_chat(s->llm, &r, NULL, NULL, &s->arena, &out, &err), ERR_UNSUPPORTED);
    r.provider = STR("custom");
    assert_int_equal(llm_chat(s->llm, &r, NULL, NULL, &s->arena, &out, &err), ERR_MODEL_REQUEST);
    r.base_url = STR("ftp://x");
    assert_int_equal(llm_chat(s->llm, &r, NULL, NULL, &s->arena, &out, &err), ERR_MODEL_REQUEST);
    r.base_url = STR("http://u:" KEY "@127.0.0.1:1/v1");
    assert_int_equal(llm_chat(s->llm, &r, NULL, NULL, &s->arena, &out, &err), ERR_MODEL_REFUSED);
    assert_true(str_find(str_of(err.message), STR("127.0.0.1:1")) > 0);
    assert_true(str_find(str_of(err.message), STR(KEY)) < 0);
    r.api_key = STR(KEY "\r\nX: y");
    assert_int_equal(llm_chat(s->llm, &r, NULL, NULL, &s->arena, &out, &err), ERR_MODEL_REQUEST);
    assert_true(str_find(str_of(err.message), STR(KEY)) < 0);
}

static void test_refused(void **state) { run(state, body_refused); }

static void test_host(void **state) {
    (void)state;
    assert_str(llm_fault_host(STR("https://api.x.com/v1")), "api.x.com");
    assert_str(llm_fault_host(STR("http://u:p@h:1?x")), "h:1");
    assert_str(llm_fault_host(STR("http://[::1]:2/v1")), "[::1]:2");
    assert_str(llm_fault_host(STR("")), "");
}

/* The level by its name; what models that think refuse is left out. Thoughts have two names. */
static void test_thinking(void **state) {
    (void)state;
    const char *const flat[] = {"{\"type\":\"human\",\"id\":\"1\",\"content\":\"x\"}"};
#define X ",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"
    struct llm_request r = {.provider = STR("openai"),
                            .model = STR("m"),
                            .max_tokens = 9,
                            .has_temperature = true,
                            .temperature = 1,
                            .thinking = LLM_THINKING_XHIGH};
    expect_body(&r, flat, 1,
                "{\"model\":\"m\",\"reasoning_effort\":\"xhigh\",\"max_completion_tokens\":9" X);
    r.provider = STR("custom");
    r.thinking = LLM_THINKING_MINIMAL;
    expect_body(&r, flat, 1,
                "{\"model\":\"m\",\"reasoning_effort\":\"minimal\",\"max_tokens\":9" X);
    r.thinking = LLM_THINKING_OFF;
    expect_body(&r, flat, 1, "{\"model\":\"m\",\"temperature\":1.0,\"max_tokens\":9" X);
    struct parsed p;
    parse(&p,
          CHUNK("{\"reasoning_content\":\"one\",\"reasoning\":\"one\"}")
              CHUNK("{\"reasoning\":\" two\"}") CHUNK("{\"content\":\"Hello\"}") FINISH("stop"),
          5);
    assert_int_equal(p.rc, 0);
    assert_str(p.out.content, "Hello");
    assert_str(llm_additional_kwargs(&p.arena, &p.out), "{\"reasoning_content\":\"one two\"}");
    parsed_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_of_messages),
        cmocka_unit_test(test_thinking),
        cmocka_unit_test(test_body_of_options),
        cmocka_unit_test(test_body_refused),
        cmocka_unit_test(test_dialects),
        cmocka_unit_test(test_stream_tool_calls),
        cmocka_unit_test(test_bad_streams),
        cmocka_unit_test(test_host),
        cmocka_unit_test_setup_teardown(test_chat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
