/* SPDX-License-Identifier: Apache-2.0 */
/* test_agent_config.c - Goal: an agent's configuration means what it says, faults are named, and a
 * key goes only where it belongs. Method: tables of configurations read with the server's settings
 * of a few keys; the request of a call is compared. */
#include "graphs/agent_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "graphs/agent.h"
#include "graphs/tools.h"

static struct graphs_settings settings(void) {
    struct graphs_settings s;
    graphs_settings_default(&s);
    s.openai.api_key = STR("key-openai");
    s.google.api_key = STR("key-google");
    s.custom_api_key = STR("key-custom");
    s.model_idle_timeout_us = 7;
    return s;
}

static int read_with(struct arena *a, const struct graphs_settings *s, const char *json,
                     struct agent_config **out, yyjson_val **out_config, struct err *err) {
    yyjson_val *v;
    assert_int_equal(json_parse(a, str_of(json), &v, NULL), 0);
    if (out_config)
        *out_config = v;
    return agent_config_read(s, v, out, err);
}

#define assert_str(a, z)                                                                           \
    do {                                                                                           \
        str got_ = (a);                                                                            \
        if (!str_eq(got_, str_of(z)))                                                              \
            fail_msg("\"" STR_FMT "\" is not \"%s\"", STR_ARG(got_), z);                           \
    } while (0)

/* What a configuration makes of a request. */
#define GEMINI "https://generativelanguage.googleapis.com/v1beta"
#define OWN    "\"base_url\":\"http://own:1/v1/\""
static const struct {
    const char *json, *wire, *model, *url, *key, *shown;
} REQUESTS[] = {
    {"{}", "openai", "gpt-4o-mini", "https://api.openai.com/v1", "key-openai", "openai"},
    {"{\"model_name\":null,\"model\":\"\",\"base_url\":\"\",\"temperature\":null}", "openai",
     "gpt-4o-mini", "https://api.openai.com/v1", "key-openai", "openai"},
    {"{\"model\":\"gpt-5\"}", "openai", "gpt-5", "https://api.openai.com/v1", "key-openai",
     "openai"},
    {"{\"model\":\"gpt-5\",\"model_name\":\"google:gemini-2.5\"}", "google_genai", "gemini-2.5",
     GEMINI, "key-google", "google"},
    {"{\"model_name\":\"google_genai:gemini-2.5\"}", "google_genai", "gemini-2.5", GEMINI,
     "key-google", "google_genai"},
    /* Google's other address speaks another dialect; the server's key is not for there. */
    {"{\"model_name\":\"google:gemini-2.5\",\"base_url\":\"" GEMINI "/openai\"}", "custom",
     "gemini-2.5", GEMINI "/openai", "key-custom", "google"},
    {"{\"model_name\":\"google_vertexai:gemini-2.5\",\"vertexai_api_key\":\"ya29.x\"}",
     "google_vertexai", "gemini-2.5", "https://aiplatform.googleapis.com/v1/publishers/google",
     "ya29.x", "google_vertexai"},
    /* Names that say whose they are. */
    {"{\"model\":\"claude-sonnet-4-5\",\"anthropic_api_key\":\"k\"}", "anthropic",
     "claude-sonnet-4-5", "https://api.anthropic.com", "k", "anthropic"},
    {"{\"model\":\"gemini-2.5-pro\"}", "google_genai", "gemini-2.5-pro", GEMINI, "key-google",
     "google_genai"},
    {"{" OWN ",\"model_name\":\"anthropic:claude\",\"anthropic_api_key\":\"k\"}", "anthropic",
     "claude", "http://own:1/v1", "k", "anthropic"},
    {"{" OWN ",\"model_name\":\"google_genai:g\"}", "google_genai", "g", "http://own:1/v1",
     "key-custom", "google_genai"},
    {"{\"model_name\":\"anthropic:claude\",\"anthropic_api_key\":\"k\"}", "anthropic", "claude",
     "https://api.anthropic.com", "k", "anthropic"},
    {"{\"apiKeys\":{\"OPENAI_API_KEY\":\"mine\"}}", "openai", "gpt-4o-mini",
     "https://api.openai.com/v1", "mine", "openai"},
    {"{\"openai_api_key\":\"mine\"}", "openai", "gpt-4o-mini", "https://api.openai.com/v1", "mine",
     "openai"},
    /* The server's address said again is still the server's. */
    {"{\"base_url\":\"https://api.openai.com/v1\"}", "openai", "gpt-4o-mini",
     "https://api.openai.com/v1", "key-openai", "openai"},
    /* An address of its own: never the provider's key of the server. */
    {"{" OWN "}", "openai", "gpt-4o-mini", "http://own:1/v1", "key-custom", "openai"},
    {"{" OWN ",\"custom_api_key\":\"k\"}", "openai", "gpt-4o-mini", "http://own:1/v1", "k",
     "openai"},
    {"{" OWN ",\"model_name\":\"llama3:8b\"}", "custom", "llama3:8b", "http://own:1/v1",
     "key-custom", "custom"},
    {"{" OWN ",\"model_name\":\"custom:\",\"custom_model_name\":\"m\"}", "custom", "m",
     "http://own:1/v1", "key-custom", "custom"},
    {"{" OWN ",\"model_name\":\"custom:x\"}", "custom", "x", "http://own:1/v1", "key-custom",
     "custom"},
    /* A name that a form kept, without an address. */
    {"{\"custom_model_name\":\"m\"}", "openai", "gpt-4o-mini", "https://api.openai.com/v1",
     "key-openai", "openai"},
};

static void test_requests(void **state) {
    (void)state;
    struct graphs_settings s = settings();
    for (size_t i = 0; i < ARRAY_COUNT(REQUESTS); i++) {
        struct arena a;
        struct agent_config *c;
        struct llm_request r;
        struct err err = {0};
        yyjson_val *config;
        arena_init(&a, 1 << 20);
        if (read_with(&a, &s, REQUESTS[i].json, &c, &config, &err) < 0)
            fail_msg("%s: %s", REQUESTS[i].json, err.message);
        assert_int_equal(agent_config_request(c, &s, config, &r, &err), 0);
        assert_str(r.provider, REQUESTS[i].wire);
        assert_str(r.model, REQUESTS[i].model);
        assert_str(r.base_url, REQUESTS[i].url);
        assert_str(r.api_key, REQUESTS[i].key);
        assert_str(agent_config_provider(c), REQUESTS[i].shown);
        assert_false(r.has_temperature);
        assert_int_equal(r.max_tokens, 0);
        assert_null(r.system_prompt.p);
        assert_int_equal(r.idle_timeout_us, 7);
        assert_int_equal(r.retries_max, 2);
        agent_config_free(c);
        arena_deinit(&a);
    }
}

static void test_values(void **state) {
    (void)state;
    struct graphs_settings s = settings();
    struct arena a;
    struct agent_config *c;
    struct llm_request r;
    yyjson_val *config, *tools;
    arena_init(&a, 1 << 20);
    assert_int_equal(read_with(&a, &s,
                               "{\"temperature\":2,\"max_tokens\":4000.0,\"system_prompt\":\"p\","
                               "\"tools\":[\"calculator\",\"http_get\"],\"other\":1}",
                               &c, &config, NULL),
                     0);
    assert_int_equal(agent_config_request(c, &s, config, &r, NULL), 0);
    assert_true(r.has_temperature && r.temperature == 2);
    assert_int_equal(r.max_tokens, 4000);
    assert_str(r.system_prompt, "p");
    assert_int_equal(json_parse(&a, r.tools, &tools, NULL), 0);
    assert_int_equal(yyjson_arr_size(tools), 2);
    assert_str(json_str(json_get(yyjson_arr_get_first(tools), "name")), "calculator");
    assert_int_equal(r.thinking, LLM_THINKING_UNSAID);
    agent_config_free(c);
    /* Of the run before that of the configuration; a document's words for it are its own. */
    yyjson_val *run;
    assert_int_equal(read_with(&a, &s, "{\"thinking\":\"low\"}", &c, &config, NULL), 0);
    assert_int_equal(agent_config_request(c, &s, config, &r, NULL), 0);
    assert_int_equal(r.thinking, LLM_THINKING_LOW);
    assert_int_equal(json_parse(&a, STR("{\"thinking\":\"xhigh\"}"), &run, NULL), 0);
    assert_int_equal(agent_config_request(c, &s, run, &r, NULL), 0);
    assert_int_equal(r.thinking, LLM_THINKING_XHIGH);
    assert_int_equal(json_parse(&a, STR("{\"thinking\":\"mine\"}"), &run, NULL), 0);
    assert_int_equal(agent_config_request(c, &s, run, &r, NULL), 0);
    assert_int_equal(r.thinking, LLM_THINKING_LOW);
    agent_config_free(c);
    /* http_get is offered by itself only where it can do something. */
    assert_int_equal(read_with(&a, &s, "{}", &c, NULL, NULL), 0);
    assert_str(tools_names(&a, c->tools), "current_time, calculator");
    agent_config_free(c);
    s.http_get_hosts = STR("example.com");
    assert_int_equal(agent_config_read(&s, NULL, &c, NULL), 0);
    assert_str(tools_names(&a, c->tools), "current_time, calculator, http_get");
    agent_config_free(c);
    assert_int_equal(read_with(&a, &s, "{\"tools\":[]}", &c, NULL, NULL), 0);
    assert_null(c->tools_json.p);
    agent_config_free(c);
    arena_deinit(&a);
}

static void test_faults(void **state) {
    (void)state;
    static const struct {
        const char *json, *message;
        int code;
    } cases[] = {
        {"[]", "configurable: must be an object", ERR_INVALID},
        {"{\"temperature\":\"warm\"}", "configurable.temperature: must be a number between 0 and 2",
         ERR_INVALID},
        {"{\"temperature\":2.1}", "configurable.temperature: must be a number between 0 and 2",
         ERR_INVALID},
        {"{\"temperature\":-0.1}", "configurable.temperature: must be a number between 0 and 2",
         ERR_INVALID},
        {"{\"max_tokens\":0}",
         "configurable.max_tokens: must be a whole number between 1 and 10000000", ERR_INVALID},
        {"{\"max_tokens\":1.5}",
         "configurable.max_tokens: must be a whole number between 1 and 10000000", ERR_INVALID},
        {"{\"max_tokens\":1e300}",
         "configurable.max_tokens: must be a whole number between 1 and 10000000", ERR_INVALID},
        {"{\"model_name\":7}", "configurable.model_name: must be a string", ERR_INVALID},
        {"{\"thinking\":\"most\"}",
         "configurable.thinking: must be one of off, minimal, low, medium, high, xhigh",
         ERR_INVALID},
        {"{\"thinking\":7}",
         "configurable.thinking: must be one of off, minimal, low, medium, high, xhigh",
         ERR_INVALID},
        {"{\"model_name\":\"a b\"}",
         "configurable.model_name: must hold neither blanks nor control characters", ERR_INVALID},
        {"{\"model_name\":\"mistral:big\"}",
         "configurable.model_name: the provider of \"mistral:big\" must be one of openai, "
         "anthropic, google_genai, google_vertexai, custom",
         ERR_INVALID},
        {"{\"model_name\":\"openai:\"}", "configurable.model_name: names a provider but no model",
         ERR_INVALID},
        {"{\"model_name\":\"custom:x\"}",
         "configurable.base_url: is required for models of the provider \"custom\"", ERR_INVALID},
        {"{\"model_name\":\"custom:\",\"base_url\":\"http://h\"}",
         "configurable.custom_model_name: is required when model_name names no model", ERR_INVALID},
        {"{\"base_url\":\"ftp://h\"}", "configurable.base_url: must begin with http:// or https://",
         ERR_INVALID},
        {"{\"base_url\":\"http://u:p@h\"}",
         "configurable.base_url: must be an address without user, query or fragment", ERR_INVALID},
        {"{\"base_url\":\"http://h/?q\"}",
         "configurable.base_url: must be an address without user, query or fragment", ERR_INVALID},
        {"{\"base_url\":\"http:///v1\"}", "configurable.base_url: has no host", ERR_INVALID},
        {"{\"base_url\":\"https://:80\"}", "configurable.base_url: has no host", ERR_INVALID},
        {"{\"tools\":\"calculator\"}", "configurable.tools: must be an array of names of tools",
         ERR_INVALID},
        {"{\"tools\":[\"calculator\",\"shell\"]}",
         "configurable.tools[1]: must be one of current_time, calculator, http_get", ERR_INVALID},
        {"{\"tools\":[7]}",
         "configurable.tools[0]: must be one of current_time, calculator, http_get", ERR_INVALID},
        {"{\"mcp_config\":{\"servers\":[{}]}}",
         "configurable.mcp_config.servers[0].url: must be an address with http:// or https://",
         ERR_INVALID},
        {"{\"rag\":{\"collections\":[\"x\"]}}", "configurable.rag: is not built yet",
         ERR_UNSUPPORTED},
    };
    struct graphs_settings s = settings();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct arena a;
        struct agent_config *c = NULL;
        struct err err = {0};
        arena_init(&a, 1 << 20);
        assert_int_equal(read_with(&a, &s, cases[i].json, &c, NULL, &err), cases[i].code);
        assert_string_equal(err.message, cases[i].message);
        assert_null(c);
        arena_deinit(&a);
    }
}

static void test_no_key(void **state) {
    (void)state;
    struct graphs_settings s;
    struct agent_config *c;
    struct llm_request r;
    struct err err = {0};
    graphs_settings_default(&s);
    assert_int_equal(agent_config_read(&s, NULL, &c, NULL), 0);
    assert_int_equal(agent_config_request(c, &s, NULL, &r, &err), ERR_MODEL_AUTH);
    assert_string_equal(err.message, "there is no API key for openai: set OPENAI_API_KEY on the "
                                     "server or configurable.openai_api_key");
    agent_config_free(c);
    s.openai.base_url = STR("http://127.0.0.1:11434/v1"); /* a local server may need none */
    assert_int_equal(agent_config_read(&s, NULL, &c, NULL), 0);
    assert_int_equal(agent_config_request(c, &s, NULL, &r, NULL), 0);
    assert_true(str_empty(r.api_key));
    agent_config_free(c);
}

/* The compiled form is shared by users: nothing that is secret may be found in it. */
static void test_no_secret(void **state) {
    (void)state;
    struct graphs_settings s = settings();
    struct arena a;
    struct agent_config *c;
    arena_init(&a, 1 << 20);
    assert_int_equal(read_with(&a, &s,
                               "{\"custom_api_key\":\"SECRET1\",\"apiKeys\":{\"OPENAI_API_KEY\":"
                               "\"SECRET2\"},\"base_url\":\"http://own\",\"system_prompt\":\"p\"}",
                               &c, NULL, NULL),
                     0);
    str kept[] = {c->model, c->base_url, c->system_prompt, c->tools_json};
    for (size_t i = 0; i < ARRAY_COUNT(kept); i++) {
        assert_true(str_find(kept[i], STR("SECRET")) < 0);
        assert_true(str_find(kept[i], STR("key-")) < 0);
    }
    /* The same object serves another run with another key. */
    struct llm_request r;
    yyjson_val *other;
    assert_int_equal(json_parse(&a, STR("{\"custom_api_key\":\"other\"}"), &other, NULL), 0);
    assert_int_equal(agent_config_request(c, &s, other, &r, NULL), 0);
    assert_str(r.api_key, "other");
    agent_config_free(c);
    arena_deinit(&a);
}

/* What the schema offers is accepted, and every tool stands in it. */
static void test_schema(void **state) {
    (void)state;
    struct graphs_settings s = settings();
    struct arena a;
    struct agent_config *c;
    yyjson_val *schema, *key, *value;
    size_t i, n;
    arena_init(&a, 1 << 20);
    assert_int_equal(json_parse(&a, str_of(AGENT_STATE_SCHEMA), &schema, NULL), 0);
    assert_non_null(json_get(json_get(schema, "properties"), "messages"));
    assert_int_equal(json_parse(&a, str_of(AGENT_CONFIG_SCHEMA), &schema, NULL), 0);
    yyjson_val *properties = json_get(schema, "properties");
    assert_int_equal(yyjson_obj_size(properties), 15);
    yyjson_obj_foreach(properties, i, n, key, value) {
        /* A value of no kind that any member takes shows that the member is read. */
        str type = json_str(json_get(value, "type"));
        if (str_eq(type, STR("object")) || str_ends(json_str(key), STR("_api_key")))
            continue;
        char json[200];
        snprintf(json, sizeof(json), "{\"" STR_FMT "\":{}}", STR_ARG(json_str(key)));
        c = NULL;
        assert_int_equal(read_with(&a, &s, json, &c, NULL, NULL), ERR_INVALID);
    }
    yyjson_val *tools = json_get(json_get(json_get(properties, "tools"), "items"), "enum");
    str all = STR("");
    yyjson_arr_foreach(tools, i, n, value) {
        assert_non_null(tool_find(json_str(value)));
        all = arena_printf(&a, STR_FMT "%s" STR_FMT, STR_ARG(all), i ? ", " : "",
                           STR_ARG(json_str(value)));
    }
    assert_true(str_eq(all, tools_names(&a, ~0u)));
    arena_deinit(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),  cmocka_unit_test(test_values),
        cmocka_unit_test(test_faults),    cmocka_unit_test(test_no_key),
        cmocka_unit_test(test_no_secret), cmocka_unit_test(test_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
