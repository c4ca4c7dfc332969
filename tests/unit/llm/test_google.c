/* SPDX-License-Identifier: Apache-2.0 */
/* test_google.c - Gemini's generateContent. Goal: the body says what the messages say; documents of
 * a stream mean the same however they are cut, and a whole answer means the same as a stream;
 * signatures come back with their calls; failures have their codes. Method: bodies compared as
 * text, streams fed in pieces. */
#include "llm/google.h"

#include "dialect.h"

static void test_body_of_messages(void **state) {
    (void)state;
    const char *const flat[] = {
        "{\"type\":\"system\",\"id\":\"0\",\"content\":\"be kind\"}",
        "{\"type\":\"human\",\"id\":\"1\",\"content\":\"hi\"}",
        "{\"type\":\"ai\",\"id\":\"2\",\"content\":\"so\",\"additional_kwargs\":{"
        "\"__gemini_function_call_thought_signatures__\":{\"c1\":\"c2ln\"}},\"tool_calls\":[{"
        "\"name\":\"add\",\"args\":{\"x\":1},\"id\":\"c1\"},{\"name\":\"sub\",\"args\":{},\"id\":"
        "\"c2\"}],\"invalid_tool_calls\":[{\"name\":\"b\",\"args\":\"{x\",\"id\":\"c3\"}]}",
        "{\"type\":\"tool\",\"id\":\"3\",\"content\":\"4\",\"tool_call_id\":\"c1\"}",
        "{\"type\":\"tool\",\"id\":\"4\",\"content\":\"no\",\"tool_call_id\":\"c2\",\"name\":"
        "\"sub\",\"status\":\"error\"}",
        "{\"type\":\"tool\",\"id\":\"5\",\"content\":\"\",\"tool_call_id\":\"c3\"}",
        "{\"type\":\"human\",\"id\":\"6\",\"content\":[{\"type\":\"text\",\"text\":\"look\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,QQ==\"}},{"
        "\"type\":\"media\",\"mime_type\":\"video/mp4\",\"file_uri\":\"gs://v\"},{\"type\":"
        "\"thinking\",\"thinking\":\"z\"}]}",
    };
    struct llm_request r = {.model = STR("gemini-3-pro"), .system_prompt = STR("first")};
    expect_body(
        &LLM_GOOGLE, &r, flat, ARRAY_COUNT(flat),
        "{\"systemInstruction\":{\"parts\":[{\"text\":\"first\"},{\"text\":\"be kind\"}]},"
        "\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]},"
        "{\"role\":\"model\",\"parts\":[{\"text\":\"so\"},"
        "{\"functionCall\":{\"name\":\"add\",\"args\":{\"x\":1}},\"thoughtSignature\":\"c2ln\"},"
        "{\"functionCall\":{\"name\":\"sub\",\"args\":{}}},"
        "{\"functionCall\":{\"name\":\"b\",\"args\":{}}}]},"
        "{\"role\":\"user\",\"parts\":["
        "{\"functionResponse\":{\"name\":\"add\",\"response\":{\"output\":\"4\"}}},"
        "{\"functionResponse\":{\"name\":\"sub\",\"response\":{\"error\":\"no\"}}},"
        "{\"functionResponse\":{\"name\":\"b\",\"response\":{\"output\":\"\"}}},"
        "{\"text\":\"look\"},{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"QQ==\"}},"
        "{\"fileData\":{\"mimeType\":\"video/mp4\",\"fileUri\":\"gs://v\"}}]}]}");
}

static void test_body_of_options(void **state) {
    (void)state;
    const char *const flat[] = {
        "{\"type\":\"human\",\"id\":\"1\",\"content\":\"x\"}",
        "{\"type\":\"ai\",\"id\":\"2\",\"content\":\"\",\"tool_calls\":[{\"name\":\"f\",\"args\":"
        "{},\"id\":\"c\"}]}",
        "{\"type\":\"tool\",\"id\":\"3\",\"content\":\"1\",\"tool_call_id\":\"c\",\"name\":\"f\"}"};
#define X "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]}"
#define CALL(s)                                                                                    \
    ",{\"role\":\"model\",\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":{}}" s "}]}"
#define ANSWER                                                                                     \
    ",{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"f\",\"response\":{"          \
    "\"output\":\"1\"}}}]}"
    struct llm_request r = {.model = STR("gemini-2.5-flash"),
                            .has_temperature = true,
                            .temperature = 0.5,
                            .max_tokens = 9,
                            .tools = STR("[{\"name\":\"f\",\"description\":\"d\",\"parameters\":"
                                         "{\"type\":\"object\"}},{\"name\":\"g\"}]")};
    expect_body(&LLM_GOOGLE, &r, flat, 3,
                X CALL("") ANSWER
                "],\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\",\"description\":\"d\","
                "\"parametersJsonSchema\":{\"type\":\"object\"}},{\"name\":\"g\",\"description\":"
                "\"\"}]}],\"generationConfig\":{\"temperature\":0.5,\"maxOutputTokens\":9}}");
    /* A call that another model made. */
    r = (struct llm_request){.model = STR("models/gemini-3-flash")};
    expect_body(&LLM_GOOGLE, &r, flat, 3,
                X CALL(",\"thoughtSignature\":\"skip_thought_signature_validator\"") ANSWER "]}");
}

/* --- streams --- */

#define DOC(parts)                                                                                 \
    "data: {\"responseId\":\"r1\",\"modelVersion\":\"gemini-x\",\"candidates\":[{"                 \
    "\"content\":{\"role\":\"model\",\"parts\":[" parts "]}}]}\r\n\r\n"
#define LAST(parts, why)                                                                           \
    "data: {\"responseId\":\"r1\",\"candidates\":[{\"content\":{\"parts\":[" parts                 \
    "]},\"finishReason\":\"" why "\"}],\"usageMetadata\":{"                                        \
    "\"promptTokenCount\":7,\"candidatesTokenCount\":5,"                                           \
    "\"thoughtsTokenCount\":2,\"totalTokenCount\":14}}\n\n"
#define TEXT(t) "{\"text\":\"" t "\"}"

/* Tokens, of the third generation levels; "off" where a model can do without. */
static void test_thinking(void **state) {
    (void)state;
    static const struct {
        const char *model;
        enum llm_thinking level;
        int max_tokens;
        const char *config;
    } rows[] = {
        {"gemini-2.5-pro", LLM_THINKING_HIGH, 0,
         "\"thinkingConfig\":{\"thinkingBudget\":16384,\"includeThoughts\":true}"},
        {"gemini-2.5-flash", LLM_THINKING_XHIGH, 4096,
         "\"maxOutputTokens\":4096,\"thinkingConfig\":{\"thinkingBudget\":3072,"
         "\"includeThoughts\":true}"},
        {"gemini-2.5-flash", LLM_THINKING_OFF, 0, "\"thinkingConfig\":{\"thinkingBudget\":0}"},
        {"gemini-2.5-pro", LLM_THINKING_OFF, 0, ""},
        {"gemini-3-pro", LLM_THINKING_LOW, 0,
         "\"thinkingConfig\":{\"thinkingLevel\":\"low\",\"includeThoughts\":true}"},
        {"models/gemini-3-flash", LLM_THINKING_MEDIUM, 0,
         "\"thinkingConfig\":{\"thinkingLevel\":\"high\",\"includeThoughts\":true}"},
        {"gemini-3-pro", LLM_THINKING_OFF, 0, ""},
    };
    const char *const flat[] = {"{\"type\":\"human\",\"id\":\"1\",\"content\":\"x\"}"};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char wanted[400];
        struct llm_request r = {.model = str_of(rows[i].model),
                                .thinking = rows[i].level,
                                .max_tokens = rows[i].max_tokens};
        (void)snprintf(wanted, sizeof wanted, X "],\"generationConfig\":{%s}}", rows[i].config);
        expect_body(&LLM_GOOGLE, &r, flat, 1, wanted);
    }
}

static void test_stream_of_everything(void **state) {
    (void)state;
    static const char stream[] = DOC("{\"text\":\"hmm\",\"thought\":true}") DOC(TEXT("Hel"))
        DOC(TEXT("lo") ",{\"functionCall\":{\"name\":\"f\",\"args\":{\"x\":1}},"
                       "\"thoughtSignature\":\"c2ln\"}")
            DOC("{\"functionCall\":{\"id\":\"own\",\"name\":\"f\"}},"
                "{\"executableCode\":{\"code\":\"1\"}}") LAST("", "STOP");
    for (size_t step = 1; step < 300; step = step * 3 + 1) {
        struct parsed p;
        parse_stream(&p, &LLM_GOOGLE, stream, step);
        if (p.rc != 0)
            fail_msg("%s", p.err.message);
        assert_str(p.out.id, "r1");
        assert_str(p.out.model, "gemini-x");
        assert_str(p.out.content, "Hello");
        assert_str(p.out.finish_reason, "tool_calls");
        assert_int_equal(p.out.input_tokens, 7);
        assert_int_equal(p.out.output_tokens, 7);
        assert_int_equal(p.out.tool_call_count, 2);
        assert_str(p.out.tool_calls[0].arguments, "{\"x\":1}");
        assert_str(p.out.tool_calls[0].signature, "c2ln");
        assert_true(p.out.tool_calls[0].id.len > 8);
        assert_str(p.out.tool_calls[1].id, "own");
        assert_str(p.out.tool_calls[1].arguments, "{}");
        char kwargs[200];
        (void)snprintf(kwargs, sizeof kwargs,
                       "{\"reasoning_content\":\"hmm\","
                       "\"__gemini_function_call_thought_signatures__\":{\"" STR_FMT
                       "\":\"c2ln\"}}",
                       STR_ARG(p.out.tool_calls[0].id));
        assert_str(llm_additional_kwargs(&p.arena, &p.out), kwargs);
        parsed_free(&p);
    }
}

static void test_reasons(void **state) {
    (void)state;
    static const struct {
        const char *stream, *reason;
    } rows[] = {
        {DOC(TEXT("x")) LAST("", "STOP"), "stop"},
        {LAST(TEXT("x"), "MAX_TOKENS"), "length"},
        {LAST("", "SAFETY"), "content_filter"},
        {LAST(TEXT("x"), "PROHIBITED_CONTENT"), "content_filter"},
        {LAST(TEXT("x"), "MALFORMED_FUNCTION_CALL"), "MALFORMED_FUNCTION_CALL"},
        {LAST("{\"functionCall\":{\"name\":\"f\",\"args\":{}}}", "STOP"), "tool_calls"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct parsed p;
        parse_stream(&p, &LLM_GOOGLE, rows[i].stream, 17);
        if (p.rc != 0)
            fail_msg("row %zu: %s", i, p.err.message);
        assert_str(p.out.finish_reason, rows[i].reason);
        assert_null(llm_additional_kwargs(&p.arena, &p.out).p);
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
        {DOC(TEXT("Hel")), ERR_MODEL_FAILED, "cut"},
        {DOC(TEXT("Hel")) "data: {\"error\":{\"code\":503,\"message\":\"over " KEY
                          "\",\"status\":\"UNAVAILABLE\"}}\n\n",
         ERR_MODEL_FAILED, "over ***"},
        {"data: {\"error\":{\"code\":429,\"message\":\"slow\"}}\n\n", ERR_MODEL_RATE, "slow"},
        {"data: {\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}\n\n", ERR_MODEL_REQUEST,
         "blocked the prompt: SAFETY"},
        {LAST("", "MALFORMED_FUNCTION_CALL"), ERR_MODEL_FAILED, "could not form a call"},
        {"data: [{\"candidates\":1}]\n\n", ERR_MODEL_PROTOCOL, "no object"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct parsed p;
        parse_stream(&p, &LLM_GOOGLE, rows[i].stream, 13);
        expect_refused(&p, rows[i].code, rows[i].words);
    }
}

static void test_whole(void **state) {
    (void)state;
    struct parsed p;
    parse_whole(&p, &LLM_GOOGLE,
                "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"},{\"functionCall\":{"
                "\"name\":\"f\",\"args\":{\"y\":[1]}}}]},\"finishReason\":\"STOP\"}],"
                "\"usageMetadata\":{\"promptTokenCount\":5,\"candidatesTokenCount\":6}}");
    assert_int_equal(p.rc, 0);
    assert_str(p.out.content, "a");
    assert_str(p.out.tool_calls[0].arguments, "{\"y\":[1]}");
    assert_int_equal(p.out.input_tokens, 5);
    assert_int_equal(p.out.output_tokens, 6);
    parsed_free(&p);
    parse_whole(&p, &LLM_GOOGLE, "{}");
    expect_refused(&p, ERR_MODEL_PROTOCOL, "no candidates");
}

static void test_refusals(void **state) {
    (void)state;
    struct err err = {0};
    /* A wrong key is said with 400; the pause stands in the body. */
    assert_int_equal(llm_fault_status(400,
                                      STR("{\"error\":{\"code\":400,\"message\":\"API key not "
                                          "valid\",\"details\":[{\"reason\":\"API_KEY_INVALID\"}]"
                                          "}}"),
                                      0, STR("h"), STR(KEY), &err),
                     ERR_MODEL_AUTH);
    assert_int_equal(llm_fault_status(429,
                                      STR("[{\"error\":{\"code\":429,\"message\":\"quota\","
                                          "\"details\":[{\"retryDelay\":\"34.5s\"}]}}]"),
                                      0, STR("h"), STR(KEY), &err),
                     ERR_MODEL_RATE);
    assert_int_equal(err.retry_after_ms, 34500);
    assert_true(str_find(str_of(err.message), STR("quota")) > 0);
}

static void test_call(void **state) {
    (void)state;
    static const char *const rows[][3] = {
        {"https://generativelanguage.googleapis.com/v1beta", "gemini-2.5-flash",
         "https://generativelanguage.googleapis.com/v1beta/models/"
         "gemini-2.5-flash:generateContent"},
        {"http://h:1", "models/g", "http://h:1/v1beta/models/g:generateContent"},
        {"http://h/v1/publishers/google/", "tunedModels/my x",
         "http://h/v1/publishers/google/tunedModels/my%20x:generateContent"},
        {"http://h/v1", "a?b#c", "http://h/v1/models/a%3Fb%23c:generateContent"},
    };
    struct arena a;
    struct http_header headers[LLM_HEADERS_MAX];
    arena_init(&a, 1 << 16);
    struct llm_request r = {.provider = STR("google_genai")};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        r.base_url = str_of(rows[i][0]);
        r.model = str_of(rows[i][1]);
        assert_str(LLM_GOOGLE.url(&a, &r), rows[i][2]);
    }
    r.stream = true;
    assert_str(LLM_GOOGLE.url(&a, &r),
               "http://h/v1/models/a%3Fb%23c:streamGenerateContent?alt=sse");
    assert_int_equal(LLM_GOOGLE.headers(&a, &r, headers), 0);
    r.api_key = STR("ya29." KEY);
    assert_int_equal(LLM_GOOGLE.headers(&a, &r, headers), 1);
    assert_str(headers[0].name, "x-goog-api-key");
    r.provider = STR("google_vertexai");
    assert_int_equal(LLM_GOOGLE.headers(&a, &r, headers), 1);
    assert_str(headers[0].value, "Bearer ya29." KEY);
    assert_ptr_equal(llm_provider_find(r.provider), &LLM_GOOGLE);
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_of_messages),
        cmocka_unit_test(test_body_of_options),
        cmocka_unit_test(test_thinking),
        cmocka_unit_test(test_stream_of_everything),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_bad_streams),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
