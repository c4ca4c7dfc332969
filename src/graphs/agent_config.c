/* SPDX-License-Identifier: Apache-2.0 */
/* agent_config.c - reads the configuration of an agent and finds the key of a call.
 *
 *   model_name, model   "provider:model", or a model of the server's default provider
 *   base_url            an address in place of the provider's, that speaks the provider's dialect
 *   custom_model_name   the model's name at base_url ("custom:" in model_name needs it)
 *   thinking            off, minimal, low, medium, high, xhigh; of a run, it stands before that of
 *                       a document's node
 *   temperature, max_tokens, system_prompt, tools, mcp_config (mcp_config.h)
 *
 * Null and "" count as not set, since forms send every field. Temperature and max_tokens are sent
 * only when they are configured: reasoning models refuse a temperature, a limit of ours would cut
 * answers, and the server of the model has a default for both.
 *
 * Keys, first match: custom_api_key of the run when the address is its own; then apiKeys.NAME and
 * name_api_key of the run; then the server's. The server's key of a provider is only ever sent to
 * the address that the server set for that provider: else whoever may write an assistant could have
 * it sent to himself.
 *
 * A new provider: a row in PROVIDERS and its member in graphs_settings. */
#include "graphs/agent_config.h"

#include "base/mem.h"
#include "graphs/tools.h"
#include "llm/thinking.h"

struct agent_provider {
    const char *name;
    const char *wire;       /* the provider as the model port calls it */
    const char *public_url; /* where it answers only with a key; NULL: it has no such place */
    const char *key_name;   /* in apiKeys */
    const char *key_member; /* in configurable */
    size_t settings_at;     /* struct graphs_provider in graphs_settings; SIZE_MAX: none */
};

#define GEMINI_URL "https://generativelanguage.googleapis.com/v1beta"

static const struct agent_provider PROVIDERS[] = {
    {"openai", "openai", "https://api.openai.com/v1", "OPENAI_API_KEY", "openai_api_key",
     offsetof(struct graphs_settings, openai)},
    {"anthropic", "anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY",
     "anthropic_api_key", offsetof(struct graphs_settings, anthropic)},
    {"google_genai", "google_genai", GEMINI_URL, "GOOGLE_API_KEY", "google_api_key",
     offsetof(struct graphs_settings, google)},
    {"google", "google_genai", GEMINI_URL, "GOOGLE_API_KEY", "google_api_key",
     offsetof(struct graphs_settings, google)},
    {"google_vertexai", "google_vertexai", "https://aiplatform.googleapis.com/v1/publishers/google",
     "VERTEXAI_API_KEY", "vertexai_api_key", offsetof(struct graphs_settings, vertexai)},
    {"custom", "custom", NULL, "CUSTOM_API_KEY", "custom_api_key", SIZE_MAX},
};
#define PROVIDER_NAMES "openai, anthropic, google_genai, google_vertexai, custom"

static const struct graphs_provider *provider_settings(const struct agent_provider *p,
                                                       const struct graphs_settings *s) {
    if (p->settings_at == SIZE_MAX)
        return NULL;
    return (const struct graphs_provider *)(const void *)((const char *)s + p->settings_at);
}

static const struct agent_provider *provider_find(str name) {
    for (size_t i = 0; i < ARRAY_COUNT(PROVIDERS); i++)
        if (str_eq(name, str_of(PROVIDERS[i].name)))
            return &PROVIDERS[i];
    return NULL;
}

/* --- members --- */

static bool is_set(yyjson_val *v) {
    return v && !yyjson_is_null(v) && !(yyjson_is_str(v) && str_empty(json_str(v)));
}

static int refuse(struct err *err, const char *member, const char *why) {
    return err_set(err, ERR_INVALID, "configurable.%s: %s", member, why);
}

static int read_text(yyjson_val *from, const char *member, size_t bytes_max, str *out,
                     struct err *err) {
    yyjson_val *v = json_get(from, member);
    *out = STR_NULL;
    if (!is_set(v))
        return 0;
    if (!yyjson_is_str(v))
        return refuse(err, member, "must be a string");
    if (json_str(v).len > bytes_max)
        return err_set(err, ERR_INVALID, "configurable.%s: must be at most %zu bytes long", member,
                       bytes_max);
    *out = json_str(v);
    return 0;
}

/* Models and addresses go into headers, URLs and texts of errors. */
static bool is_printable(str s) {
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return false;
    return true;
}

static int read_name(yyjson_val *from, const char *member, str *out, struct err *err) {
    int rc = read_text(from, member, 200, out, err);
    if (rc == 0 && !is_printable(*out))
        rc = refuse(err, member, "must hold neither blanks nor control characters");
    return rc;
}

static int read_base_url(yyjson_val *from, str *out, struct err *err) {
    str url;
    int rc = read_text(from, "base_url", 2000, &url, err);
    if (rc < 0)
        return rc;
    str rest = STR_NULL;
    if (str_starts(url, STR("https://")))
        rest = str_slice(url, 8, url.len);
    else if (str_starts(url, STR("http://")))
        rest = str_slice(url, 7, url.len);
    else if (url.len)
        return refuse(err, "base_url", "must begin with http:// or https://");
    if (!is_printable(url) || str_find_char(url, '?') >= 0 || str_find_char(url, '#') >= 0 ||
        str_find_char(url, '@') >= 0)
        return refuse(err, "base_url", "must be an address without user, query or fragment");
    if (url.len && (rest.len == 0 || rest.p[0] == '/' || rest.p[0] == ':'))
        return refuse(err, "base_url", "has no host");
    while (url.len && url.p[url.len - 1] == '/')
        url.len--;
    *out = url;
    return 0;
}

static int read_temperature(struct agent_config *c, yyjson_val *from, struct err *err) {
    yyjson_val *v = json_get(from, "temperature");
    if (!is_set(v))
        return 0;
    double t = yyjson_get_num(v);
    if (!yyjson_is_num(v) || !(t >= 0 && t <= 2))
        return refuse(err, "temperature", "must be a number between 0 and 2");
    c->has_temperature = true;
    c->temperature = t;
    return 0;
}

static int read_max_tokens(struct agent_config *c, yyjson_val *from, struct err *err) {
    yyjson_val *v = json_get(from, "max_tokens");
    if (!is_set(v))
        return 0;
    double n = yyjson_get_num(v); /* a form's slider may send 4000.0 */
    if (!yyjson_is_num(v) || !(n >= 1 && n <= 10000000) || n != (double)(int)n)
        return refuse(err, "max_tokens", "must be a whole number between 1 and 10000000");
    c->max_tokens = (int)n;
    return 0;
}

static int read_thinking(struct agent_config *c, yyjson_val *from, struct err *err) {
    yyjson_val *v = json_get(from, "thinking");
    if (is_set(v) && !llm_thinking_parse(json_str(v), &c->thinking))
        return refuse(err, "thinking", "must be one of off, minimal, low, medium, high, xhigh");
    return 0;
}

static int read_tools(struct agent_config *c, const struct graphs_settings *s, yyjson_val *from,
                      struct err *err) {
    yyjson_val *list = json_get(from, "tools"), *name;
    size_t i, n;
    c->tools = tools_default(s);
    if (!is_set(list))
        return 0;
    if (!yyjson_is_arr(list))
        return refuse(err, "tools", "must be an array of names of tools");
    c->tools = 0;
    yyjson_arr_foreach(list, i, n, name) {
        const struct tool *tool = tool_find(json_str(name));
        if (!tool)
            return err_set(err, ERR_INVALID, "configurable.tools[%zu]: must be one of " STR_FMT, i,
                           STR_ARG(tools_names(&c->arena, ~0u)));
        c->tools |= tool_bit(tool);
    }
    return 0;
}

/* Assistants of other servers carry this; without it the model would invent what it cannot find. */
static int refuse_unbuilt(yyjson_val *from, struct err *err) {
    yyjson_val *rag = json_get(from, "rag");
    if (yyjson_arr_size(json_get(rag, "collections")) > 0)
        return err_set(err, ERR_UNSUPPORTED, "configurable.rag: is not built yet");
    return 0;
}

/* --- the model --- */

/* Takes a known provider off the front of a name; NULL when there is none. */
static const struct agent_provider *split_provider(str *name) {
    ptrdiff_t colon = str_find_char(*name, ':');
    if (colon < 0)
        return NULL;
    const struct agent_provider *p = provider_find(str_slice(*name, 0, (size_t)colon));
    if (p)
        *name = str_slice(*name, (size_t)colon + 1, name->len);
    return p;
}

/* As LangChain's init_chat_model guesses. Not when the server's OpenAI address is a gateway: there
 * such names are the gateway's. */
static const struct agent_provider *guess_provider(const struct graphs_settings *s, str name) {
    const struct agent_provider *openai = provider_find(STR("openai"));
    if (s->openai.base_url.len && !str_eq(s->openai.base_url, str_of(openai->public_url)))
        return openai;
    if (str_starts(name, STR("claude")))
        return provider_find(STR("anthropic"));
    return str_starts(name, STR("gemini")) ? provider_find(STR("google_genai")) : openai;
}

static int choose_model(struct agent_config *c, const struct graphs_settings *s, str name,
                        str custom_name, struct err *err) {
    bool own_url = c->base_url.len > 0;
    if (!name.len)
        name = s->model_name;
    c->provider = split_provider(&name);
    if (!c->provider && own_url)
        c->provider = provider_find(STR("custom")); /* the name is that server's: "llama3:8b" */
    if (!c->provider && str_find_char(name, ':') >= 0)
        return err_set(err, ERR_INVALID,
                       "configurable.model_name: the provider of \"" STR_FMT
                       "\" must be one of " PROVIDER_NAMES,
                       STR_ARG(name));
    if (!c->provider)
        c->provider = guess_provider(s, name);
    /* Forms keep a custom name that nobody asks for; it means something only with an address. */
    if (own_url && custom_name.len)
        name = custom_name;
    if (!own_url && !c->provider->public_url)
        return refuse(err, "base_url", "is required for models of the provider \"custom\"");
    if (!name.len)
        return refuse(err, own_url ? "custom_model_name" : "model_name",
                      own_url ? "is required when model_name names no model"
                              : "names a provider but no model");
    c->model = arena_dup(&c->arena, name);
    return 0;
}

static void choose_address(struct agent_config *c, const struct graphs_settings *s) {
    const struct graphs_provider *set = provider_settings(c->provider, s);
    str usual = set && set->base_url.len ? set->base_url : str_of(c->provider->public_url);
    while (usual.len && usual.p[usual.len - 1] == '/')
        usual.len--;
    c->own_base_url = c->base_url.len > 0 && !str_eq(c->base_url, usual);
    c->base_url = arena_dup(&c->arena, c->base_url.len ? c->base_url : usual);
    bool google = str_starts(str_of(c->provider->wire), STR("google"));
    /* Google has a second address, which speaks like OpenAI. */
    c->wire =
        google && str_ends(c->base_url, STR("/openai")) ? STR("custom") : str_of(c->provider->wire);
}

static int read_all(struct agent_config *c, const struct graphs_settings *s, yyjson_val *from,
                    struct err *err) {
    str name, model, custom_name, prompt;
    int rc = read_name(from, "model_name", &name, err);
    if (rc == 0)
        rc = read_name(from, "model", &model, err);
    if (rc == 0)
        rc = read_name(from, "custom_model_name", &custom_name, err);
    if (rc == 0)
        rc = read_base_url(from, &c->base_url, err);
    if (rc == 0)
        rc = choose_model(c, s, name.len ? name : model, custom_name, err);
    if (rc == 0)
        rc = read_temperature(c, from, err);
    if (rc == 0)
        rc = read_max_tokens(c, from, err);
    if (rc == 0)
        rc = read_thinking(c, from, err);
    if (rc == 0)
        rc = read_text(from, "system_prompt", AGENT_SYSTEM_PROMPT_BYTES_MAX, &prompt, err);
    if (rc == 0)
        rc = read_tools(c, s, from, err);
    if (rc == 0)
        rc = mcp_config_read(&c->arena, json_get(from, "mcp_config"), &c->mcp, err);
    if (rc == 0)
        rc = refuse_unbuilt(from, err);
    if (rc < 0)
        return rc;
    choose_address(c, s);
    c->system_prompt = arena_dup(&c->arena, prompt);
    c->tools_json = tools_json(&c->arena, c->tools);
    return 0;
}

int agent_config_read(const struct graphs_settings *settings, yyjson_val *configurable,
                      struct agent_config **out, struct err *err) {
    if (configurable && !yyjson_is_null(configurable) && !yyjson_is_obj(configurable))
        return err_set(err, ERR_INVALID, "configurable: must be an object");
    struct agent_config *c = NEW(struct agent_config);
    arena_init(&c->arena, 4 * AGENT_SYSTEM_PROMPT_BYTES_MAX);
    int rc = read_all(c, settings, configurable, err);
    if (rc < 0) {
        agent_config_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void agent_config_free(struct agent_config *c) {
    if (!c)
        return;
    arena_deinit(&c->arena);
    mem_free(c);
}

/* --- a call --- */

str agent_config_provider(const struct agent_config *c) { return str_of(c->provider->name); }

static str find_key(const struct agent_config *c, const struct graphs_settings *s,
                    yyjson_val *configurable) {
    const struct agent_provider *p = c->provider;
    str key = c->own_base_url ? json_str(json_get(configurable, "custom_api_key")) : STR_NULL;
    if (!key.len)
        key = json_str(json_get(json_get(configurable, "apiKeys"), p->key_name));
    if (!key.len)
        key = json_str(json_get(configurable, p->key_member));
    if (key.len)
        return key;
    const struct graphs_provider *set = provider_settings(p, s);
    return c->own_base_url || !set ? s->custom_api_key : set->api_key;
}

int agent_config_request(const struct agent_config *c, const struct graphs_settings *settings,
                         yyjson_val *configurable, struct llm_request *out, struct err *err) {
    str key = find_key(c, settings, configurable);
    if (!key.len && str_eq(c->base_url, str_of(c->provider->public_url)))
        return err_set(err, ERR_MODEL_AUTH,
                       "there is no API key for %s: set %s on the server or configurable.%s",
                       c->provider->name, c->provider->key_name, c->provider->key_member);
    enum llm_thinking thinking = c->thinking;
    (void)llm_thinking_parse(json_str(json_get(configurable, "thinking")),
                             &thinking); /* maybe none */
    *out = (struct llm_request){
        .thinking = thinking,
        .provider = c->wire,
        .model = c->model,
        .base_url = c->base_url,
        .api_key = key,
        .has_temperature = c->has_temperature,
        .temperature = c->temperature,
        .max_tokens = c->max_tokens,
        .system_prompt = c->system_prompt,
        .tools = c->tools_json,
        .connect_timeout_us = settings->model_connect_timeout_us,
        .head_timeout_us = settings->model_head_timeout_us,
        .idle_timeout_us = settings->model_idle_timeout_us,
        .retries_max = settings->model_retries_max,
    };
    return 0;
}
