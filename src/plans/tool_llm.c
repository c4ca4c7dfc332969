/* SPDX-License-Identifier: Apache-2.0 */
/* tool_llm.c - the tool "llm": one call of a chat model, its answer the step's output.
 *
 *   {"prompt" or "messages", "system", "model": "provider:model", "temperature", "max_tokens"}
 *   → {"content", "model", "finish_reason", "usage": {"input_tokens", "output_tokens"}}
 *
 * The model is the server's unless the step names one; addresses and keys are the server's, too. */
#include "graphs/agent_config.h"
#include "plans/tools.h"

static void write_member(struct json_writer *w, const char *key, yyjson_val *v) {
    if (!v)
        return;
    jw_key(w, key);
    jw_val(w, v);
}

/* As an assistant would configure it: nothing but the model and how it is asked. */
static int read_config(struct tool_call *call, struct agent_config **out, struct err *err) {
    struct buf b;
    yyjson_val *configurable;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    write_member(&w, "model_name", json_get(call->input, "model"));
    write_member(&w, "temperature", json_get(call->input, "temperature"));
    write_member(&w, "max_tokens", json_get(call->input, "max_tokens"));
    write_member(&w, "system_prompt", json_get(call->input, "system"));
    jw_object_end(&w);
    str text = arena_take(call->arena, &b);
    int rc = json_parse(call->arena, text, &configurable, err);
    return rc < 0 ? rc : agent_config_read(call->node->services->settings, configurable, out, err);
}

static int read_messages(struct tool_call *call, struct llm_request *request, struct err *err) {
    yyjson_val *prompt = json_get(call->input, "prompt");
    yyjson_val *messages = json_get(call->input, "messages");
    struct message *list;
    if (!prompt == !messages || (prompt && !yyjson_is_str(prompt)))
        return err_set(err, ERR_INVALID, "prompt: either a text, or messages, is required");
    int rc = message_normalise_list(call->arena, prompt ? prompt : messages, &list,
                                    &request->message_count, err);
    request->messages = list;
    if (rc == 0 && request->message_count == 0)
        rc = err_set(err, ERR_INVALID, "messages: there are none");
    for (size_t i = 0; rc == 0 && i < request->message_count; i++)
        rc = message_load(call->arena, &list[i], err);
    return rc;
}

static void write_output(struct tool_call *call, const struct llm_response *r) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "content");
    jw_str(&w, tool_text(call, r->content, false));
    jw_key(&w, "model");
    jw_str(&w, r->model);
    jw_key(&w, "finish_reason");
    jw_str(&w, r->finish_reason);
    if (r->input_tokens >= 0 && r->output_tokens >= 0) {
        jw_key(&w, "usage");
        jw_object(&w);
        jw_key(&w, "input_tokens");
        jw_i64(&w, r->input_tokens);
        jw_key(&w, "output_tokens");
        jw_i64(&w, r->output_tokens);
        jw_object_end(&w);
    }
    jw_object_end(&w);
    call->output = arena_take(call->arena, &b);
}

int tool_llm(struct tool_call *call, struct err *err) {
    const struct graph_services *services = call->node->services;
    struct agent_config *config;
    struct llm_request request;
    struct llm_response response;
    int rc = read_config(call, &config, err);
    if (rc < 0)
        return ERR_INVALID;
    rc = agent_config_request(config, services->settings, NULL, &request, err);
    request.tools = STR_NULL;
    request.trace = call->trace;
    if (rc == 0)
        rc = read_messages(call, &request, err);
    if (rc == 0)
        rc = llm_chat(services->llm, &request, NULL, NULL, call->arena, &response, err);
    if (rc == 0)
        write_output(call, &response);
    agent_config_free(config);
    return rc;
}
