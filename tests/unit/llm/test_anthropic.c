/* SPDX-License-Identifier: Apache-2.0 */
/* test_anthropic.c - Anthropic's Messages. Goal: the body says what the messages say, in the order
 * and the roles that the server accepts; every event of a stream means the same however it is cut;
 * failures have their codes. Method: bodies compared as text, streams fed in pieces. */
#include "llm/anthropic.h"

#include "dialect.h"

#define HEAD "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":32000,"

static void test_body_of_messages(void **state) {
    (void)state;
    const char *const flat[] = {
        "{\"type\":\"system\",\"id\":\"0\",\"content\":\"be kind\"}",
        "{\"type\":\"human\",\"id\":\"1\",\"content\":\"hi\"}",
        "{\"type\":\"ai\",\"id\":\"2\",\"content\":\" \",\"tool_calls\":[{\"name\":\"add\","
        "\"args\":{\"x\":1},\"id\":\"call:1\",\"type\":\"tool_call\"},{\"name\":\"sub\",\"args\":"
        "{},\"id\":\"c2\"}],\"invalid_tool_calls\":[{\"name\":\"b\",\"args\":\"{x\",\"id\":\"c3\"}]"
        "}",
        "{\"type\":\"tool\",\"id\":\"3\",\"content\":\"4\",\"tool_call_id\":\"call:1\"}",
        "{\"type\":\"tool\",\"id\":\"4\",\"content\":\"no\",\"tool_call_id\":\"c2\",\"status\":"
        "\"error\"}",
        "{\"type\":\"tool\",\"id\":\"5\",\"content\":[{\"type\":\"text\",\"text\":\"seen\"},"
        "{\"type\":\"image\",\"base64\":\"QQ==\",\"mime_type\":\"image/png\"}],\"tool_call_id\":"
        "\"c3\"}",
        "{\"type\":\"human\",\"id\":\"6\",\"content\":[{\"type\":\"text\",\"text\":\"\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/y\"}},{\"type\":\"document\","
        "\"title\":\"t\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf\","
        "\"data\":\"QQ==\"}},{\"type\":\"thinking\",\"thinking\":\"z\"}]}",
        "{\"type\":\"ai\",\"id\":\"7\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
        "\"tool_use\",\"id\":\"z\"},{\"type\":\"text\",\"text\":\"b\"}]}",
        "{\"type\":\"human\",\"id\":\"8\",\"content\":\"\"}",
        "{\"type\":\"remove\",\"id\":\"1\",\"content\":\"\"}",
    };
    struct llm_request r = {.model = STR("claude-sonnet-4-5"), .system_prompt = STR("first")};
    expect_body(
        &LLM_ANTHROPIC, &r, flat, ARRAY_COUNT(flat),
        HEAD
        "\"system\":\"first\\n\\nbe kind\",\"messages\":["
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]},"
        "{\"role\":\"assistant\",\"content\":["
        "{\"type\":\"tool_use\",\"id\":\"call_1\",\"name\":\"add\",\"input\":{\"x\":1}},"
        "{\"type\":\"tool_use\",\"id\":\"c2\",\"name\":\"sub\",\"input\":{}},"
        "{\"type\":\"tool_use\",\"id\":\"c3\",\"name\":\"b\",\"input\":{}}]},"
        "{\"role\":\"user\",\"content\":["
        "{\"type\":\"tool_result\",\"tool_use_id\":\"call_1\",\"content\":\"4\"},"
        "{\"type\":\"tool_result\",\"tool_use_id\":\"c2\",\"content\":\"no\",\"is_error\":true},"
        "{\"type\":\"tool_result\",\"tool_use_id\":\"c3\",\"content\":["
        "{\"type\":\"text\",\"text\":\"seen\"},{\"type\":\"image\",\"source\":{\"type\":"
        "\"base64\",\"media_type\":\"image/png\",\"data\":\"QQ==\"}}]},"
        "{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x/y\"}},"
        "{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":"
        "\"application/pdf\",\"data\":\"QQ==\"},\"title\":\"t\"}]},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"ab\"}]}]}");
}

static void test_body_of_options(void **state) {
    (void)state;
    const char *const flat[] = {"{\"type\":\"human\",\"id\":\"1\",\"content\":\"x\"}"};
#define MESSAGES                                                                                   \
    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}]"
    struct llm_request r = {.model = STR("claude-3-5-haiku"),
                            .stream = true,
                            .has_temperature = true,
                            .temperature = 1.5,
                            .tools = STR("[{\"name\":\"f\",\"description\":\"d\",\"parameters\":"
                                         "{\"type\":\"object\"}},{\"type\":\"function\","
                                         "\"function\":{\"name\":\"g\"}}]")};
    expect_body(&LLM_ANTHROPIC, &r, flat, 1,
                "{\"model\":\"claude-3-5-haiku\",\"max_tokens\":8192,\"stream\":true,"
                "\"temperature\":1.0," MESSAGES ",\"tools\":[{\"name\":\"f\",\"description\":\"d\","
                "\"input_schema\":{\"type\":\"object\"}},{\"name\":\"g\",\"input_schema\":"
                "{\"type\":\"object\"}}]}");
    r = (struct llm_request){.model = STR("claude-3-opus"), .max_tokens = 7};
    expect_body(&LLM_ANTHROPIC, &r, flat, 1,
                "{\"model\":\"claude-3-opus\",\"max_tokens\":7," MESSAGES "}");
    r.max_tokens = 0;
    expect_body(&LLM_ANTHROPIC, &r, flat, 1,
                "{\"model\":\"claude-3-opus\",\"max_tokens\":4096," MESSAGES "}");
}

/* Levels are tokens, which leave some for the answer; calls go back with their thoughts. */
static void test_thinking(void **state) {
    (void)state;
#define TURN(kwargs)                                                                               \
    "{\"type\":\"human\",\"id\":\"1\",\"content\":\"x\"}",                                         \
        "{\"type\":\"ai\",\"id\":\"2\",\"content\":\"a\"," kwargs                                  \
        "\"tool_calls\":[{\"name\":\"f\",\"args\":{},\"id\":\"c\"}]}",                             \
        "{\"type\":\"tool\",\"id\":\"3\",\"content\":\"1\",\"tool_call_id\":\"c\"}"
#define KEPT                                                                                       \
    "\"additional_kwargs\":{\"reasoning_content\":\"t\",\"thinking_blocks\":[{\"type\":"           \
    "\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},{\"type\":\"redacted_thinking\","        \
    "\"data\":\"d\"},{\"type\":\"thinking\",\"thinking\":\"not signed\"}]},"
#define SENT(thoughts)                                                                             \
    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]},"          \
    "{\"role\":\"assistant\",\"content\":[" thoughts                                               \
    "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\","       \
    "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"   \
    "\"c\",\"content\":\"1\"}]}]}"
#define THOUGHTS                                                                                   \
    "{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},"                              \
    "{\"type\":\"redacted_thinking\",\"data\":\"d\"},"
    const char *const kept[] = {TURN(KEPT)}, *const none[] = {TURN("")};
    struct llm_request r = {.model = STR("claude-sonnet-4-5"),
                            .thinking = LLM_THINKING_HIGH,
                            .has_temperature = true,
                            .temperature = 0.5};
    expect_body(&LLM_ANTHROPIC, &r, kept, 1,
                HEAD "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":16384}," MESSAGES "}");
    expect_body(&LLM_ANTHROPIC, &r, kept, 3,
                HEAD "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":16384}," SENT(THOUGHTS));
    expect_body(&LLM_ANTHROPIC, &r, none, 3, HEAD "\"temperature\":0.5," SENT(""));
    r.thinking = LLM_THINKING_OFF;
    expect_body(&LLM_ANTHROPIC, &r, kept, 3, HEAD "\"temperature\":0.5," SENT(""));
    static const struct {
        enum llm_thinking level;
        int max_tokens, budget;
    } rows[] = {{LLM_THINKING_MINIMAL, 32000, 1024}, {LLM_THINKING_LOW, 32000, 2048},
                {LLM_THINKING_MEDIUM, 32000, 8192},  {LLM_THINKING_XHIGH, 32000, 24576},
                {LLM_THINKING_XHIGH, 5000, 3976},    {LLM_THINKING_LOW, 2048, 1024}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char wanted[300];
        r = (struct llm_request){
            .model = STR("m"), .max_tokens = rows[i].max_tokens, .thinking = rows[i].level};
        (void)snprintf(wanted, sizeof wanted,
                       "{\"model\":\"m\",\"max_tokens\":%d,\"thinking\":{\"type\":\"enabled\","
                       "\"budget_tokens\":%d}," MESSAGES "}",
                       rows[i].max_tokens, rows[i].budget);
        expect_body(&LLM_ANTHROPIC, &r, kept, 1, wanted);
    }
    r.max_tokens = 2047; /* no room for both */
    expect_body(&LLM_ANTHROPIC, &r, kept, 1, "{\"model\":\"m\",\"max_tokens\":2047," MESSAGES "}");
}

static void test_body_refused(void **state) {
    (void)state;
    struct arena a;
    struct buf body;
    struct err err = {0};
    struct message m;
    arena_init(&a, 1 << 20);
    buf_init(&body, 1 << 16);
    assert_int_equal(message_parse_flat(&a,
                                        STR("{\"type\":\"human\",\"id\":\"1\",\"content\":[{"
                                            "\"type\":\"input_audio\",\"input_audio\":{\"data\":"
                                            "\"QQ==\",\"format\":\"wav\"}}]}"),
                                        &m, NULL),
                     0);
    struct llm_request r = {.messages = &m, .message_count = 1};
    assert_int_equal(llm_write_body(&LLM_ANTHROPIC, &r, &body, &err), ERR_MODEL_REQUEST);
    assert_string_equal(err.message, "audio (audio/wav) cannot be sent to Anthropic");
    r = (struct llm_request){.tools = STR("{}")};
    assert_int_equal(llm_write_body(&LLM_ANTHROPIC, &r, &body, &err), ERR_MODEL_REQUEST);
    buf_deinit(&body);
    arena_deinit(&a);
}

/* --- streams --- */

#define EVENT(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define START                                                                                      \
    EVENT("message_start", ",\"message\":{\"id\":\"msg_1\",\"role\":\"assistant\",\"model\":"      \
                           "\"claude-x\",\"content\":[],\"usage\":{\"input_tokens\":10,"           \
                           "\"cache_creation_input_tokens\":3,\"cache_read_input_tokens\":4,"      \
                           "\"output_tokens\":1}}")
#define BLOCK(i, block)                                                                            \
    EVENT("content_block_start", ",\"index\":" #i ",\"content_block\":" block)
#define DELTA(i, delta)     EVENT("content_block_delta", ",\"index\":" #i ",\"delta\":" delta)
#define TEXT_DELTA(i, text) DELTA(i, "{\"type\":\"text_delta\",\"text\":\"" text "\"}")
#define JSON_DELTA(i, piece)                                                                       \
    DELTA(i, "{\"type\":\"input_json_delta\",\"partial_json\":\"" piece "\"}")
#define BLOCK_STOP(i) EVENT("content_block_stop", ",\"index\":" #i)
#define STOP(reason)                                                                               \
    EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" reason "\",\"stop_sequence\":null},"   \
                           "\"usage\":{\"output_tokens\":15}")
#define END EVENT("message_stop", "")

static void test_stream_of_everything(void **state) {
    (void)state;
    static const char stream[] = START BLOCK(0, "{\"type\":\"thinking\",\"thinking\":\"\"}")
        DELTA(0, "{\"type\":\"thinking_delta\",\"thinking\":\"hmm\"}")
            DELTA(0, "{\"type\":\"signature_delta\",\"signature\":\"s\"}") BLOCK_STOP(0)
                EVENT("ping", "") BLOCK(1, "{\"type\":\"text\",\"text\":\"\"}") TEXT_DELTA(1, "Hel")
                    TEXT_DELTA(1, "lo") BLOCK_STOP(1)
                        BLOCK(2, "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\","
                                 "\"input\":{}}") JSON_DELTA(2, "") JSON_DELTA(2, "{\\\"x\\\"")
                            BLOCK(3, "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":"
                                     "\"web\"}") JSON_DELTA(3, "{}") JSON_DELTA(2, ":1}")
                                BLOCK_STOP(2) BLOCK_STOP(3)
                                    BLOCK(4, "{\"type\":\"tool_use\",\"id\":\"toolu_2\","
                                             "\"name\":\"g\",\"input\":{}}") BLOCK_STOP(4)
                                        EVENT("something_new", ",\"x\":1") STOP("tool_use") END;
    for (size_t step = 1; step < 300; step = step * 3 + 1) {
        struct parsed p;
        parse_stream(&p, &LLM_ANTHROPIC, stream, step);
        assert_int_equal(p.rc, 0);
        assert_str(p.out.id, "msg_1");
        assert_str(p.out.model, "claude-x");
        assert_str(p.out.content, "Hello");
        assert_str(p.out.finish_reason, "tool_calls");
        assert_int_equal(p.out.input_tokens, 17);
        assert_int_equal(p.out.output_tokens, 15);
        assert_int_equal(p.out.tool_call_count, 2);
        assert_str(p.out.tool_calls[0].id, "toolu_1");
        assert_str(p.out.tool_calls[0].arguments, "{\"x\":1}");
        assert_str(p.out.tool_calls[1].name, "g");
        assert_str(llm_additional_kwargs(&p.arena, &p.out),
                   "{\"reasoning_content\":\"hmm\",\"thinking_blocks\":[{\"type\":\"thinking\","
                   "\"thinking\":\"hmm\",\"signature\":\"s\"}]}");
        assert_str(p.out.tool_calls[1].arguments, "{}");
        assert_str(buf_view(&p.shown), "~hmm\nHel\nlo\n#0 toolu_1 f\n#0+ {\"x\"\n#0+ :1}\n"
                                       "#1 toolu_2 g\n");
        parsed_free(&p);
    }
}

static void test_thoughts(void **state) {
    (void)state;
    struct parsed p;
    parse_stream(&p, &LLM_ANTHROPIC,
                 START BLOCK(0, "{\"type\":\"redacted_thinking\",\"data\":\"xx\"}") BLOCK_STOP(0)
                     BLOCK(1, "{\"type\":\"thinking\",\"thinking\":\"one\",\"signature\":\"\"}")
                         DELTA(1, "{\"type\":\"thinking_delta\",\"thinking\":\" two\"}")
                             DELTA(1, "{\"type\":\"signature_delta\",\"signature\":\"a\"}")
                                 DELTA(1, "{\"type\":\"signature_delta\",\"signature\":\"b\"}")
                                     TEXT_DELTA(2, "x") STOP("end_turn") END,
                 7);
    assert_int_equal(p.rc, 0);
    assert_str(buf_view(&p.shown), "~one\n~ two\nx\n");
    assert_str(llm_additional_kwargs(&p.arena, &p.out),
               "{\"reasoning_content\":\"one two\",\"thinking_blocks\":[{\"type\":"
               "\"redacted_thinking\",\"data\":\"xx\"},{\"type\":\"thinking\",\"thinking\":"
               "\"one two\",\"signature\":\"ab\"}]}");
    parsed_free(&p);
    parse_whole(&p, &LLM_ANTHROPIC,
                "{\"id\":\"m\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\","
                "\"signature\":\"s\"},{\"type\":\"text\",\"text\":\"x\"}],\"stop_reason\":"
                "\"end_turn\"}");
    assert_str(buf_view(&p.shown), "~t\nx\n");
    assert_int_equal(p.out.thought_count, 1);
    assert_str(p.out.thoughts[0].signature, "s");
    parsed_free(&p);
}

static void test_stop_reasons(void **state) {
    (void)state;
    static const struct {
        const char *stream, *reason;
    } rows[] = {
        {START TEXT_DELTA(0, "x") STOP("end_turn") END, "stop"},
        {START TEXT_DELTA(0, "x") STOP("stop_sequence"), "stop"}, /* no message_stop */
        {START TEXT_DELTA(0, "x") STOP("max_tokens") END "data: trash\n\n", "length"},
        {START STOP("refusal") END, "content_filter"},
        {START STOP("pause_turn") END, "pause_turn"},
        {START STOP("model_context_window_exceeded") END, "length"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct parsed p;
        parse_stream(&p, &LLM_ANTHROPIC, rows[i].stream, 17);
        if (p.rc != 0)
            fail_msg("row %zu: %s", i, p.err.message);
        assert_str(p.out.finish_reason, rows[i].reason);
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
        {START TEXT_DELTA(0, "Hel"), ERR_MODEL_FAILED, "cut"},
        {START EVENT("error",
                     ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Over " KEY "\"}"),
         ERR_MODEL_FAILED, "Over ***"},
        {EVENT("error", ",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}"),
         ERR_MODEL_RATE, "slow"},
        {EVENT("error", ",\"error\":{\"type\":\"authentication_error\",\"message\":\"who\"}"),
         ERR_MODEL_AUTH, "who"},
        {EVENT("error", ",\"error\":{\"type\":\"permission_error\",\"message\":\"not you\"}"),
         ERR_MODEL_AUTH, "not you"},
        {EVENT("error", ",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"bad\"}"),
         ERR_MODEL_REQUEST, "bad"},
        {START "data: {\"type\":\n\n", ERR_MODEL_PROTOCOL, "host:1"},
        {"data: []\n\n", ERR_MODEL_PROTOCOL, "no object"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct parsed p;
        parse_stream(&p, &LLM_ANTHROPIC, rows[i].stream, 13);
        expect_refused(&p, rows[i].code, rows[i].words);
    }
}

static void test_whole(void **state) {
    (void)state;
    struct parsed p;
    parse_whole(&p, &LLM_ANTHROPIC,
                "{\"id\":\"msg_2\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\","
                "\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"tool_use\",\"id\":"
                "\"t\",\"name\":\"f\",\"input\":{\"y\":[1]}},{\"type\":\"text\",\"text\":\"b\"}],"
                "\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":5,\"output_tokens\":6}}");
    assert_int_equal(p.rc, 0);
    assert_str(p.out.id, "msg_2");
    assert_str(p.out.content, "ab");
    assert_str(p.out.tool_calls[0].arguments, "{\"y\":[1]}");
    assert_str(p.out.finish_reason, "tool_calls");
    assert_int_equal(p.out.input_tokens, 5);
    assert_int_equal(p.out.output_tokens, 6);
    parsed_free(&p);
    parse_whole(&p, &LLM_ANTHROPIC, "{\"type\":\"message\"}");
    expect_refused(&p, ERR_MODEL_PROTOCOL, "no content");
    parse_whole(&p, &LLM_ANTHROPIC,
                "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"oh\"}}");
    expect_refused(&p, ERR_MODEL_FAILED, "oh");
}

static void test_call(void **state) {
    (void)state;
    static const char *const urls[][2] = {
        {"https://api.anthropic.com", "https://api.anthropic.com/v1/messages"},
        {"http://h:1/v1/", "http://h:1/v1/messages"},
        {"http://h/proxy/v1/messages", "http://h/proxy/v1/messages"},
        {"http://h/proxy", "http://h/proxy/v1/messages"},
    };
    struct arena a;
    struct http_header headers[LLM_HEADERS_MAX];
    arena_init(&a, 1 << 16);
    struct llm_request r = {.provider = STR("anthropic")};
    for (size_t i = 0; i < ARRAY_COUNT(urls); i++) {
        r.base_url = str_of(urls[i][0]);
        assert_str(LLM_ANTHROPIC.url(&a, &r), urls[i][1]);
    }
    assert_int_equal(LLM_ANTHROPIC.headers(&a, &r, headers), 1);
    assert_str(headers[0].name, "anthropic-version");
    r.api_key = STR(KEY);
    assert_int_equal(LLM_ANTHROPIC.headers(&a, &r, headers), 2);
    assert_str(headers[1].name, "x-api-key");
    assert_str(headers[1].value, KEY);
    assert_ptr_equal(llm_provider_find(r.provider), &LLM_ANTHROPIC);
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_of_messages),
        cmocka_unit_test(test_body_of_options),
        cmocka_unit_test(test_body_refused),
        cmocka_unit_test(test_stream_of_everything),
        cmocka_unit_test(test_thinking),
        cmocka_unit_test(test_thoughts),
        cmocka_unit_test(test_stop_reasons),
        cmocka_unit_test(test_bad_streams),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
