/* SPDX-License-Identifier: Apache-2.0 */
/* summary_settings.c - which models sum up conversations and logs, from their options.
 *
 * A model is named provider:model, as the default model of assistants is; without a provider it is
 * openai's. Address and key are those that the provider has in other places. */
#include "app/summary_settings.h"

int text_model_settings(const struct config *c, const char *name, str text, struct text_model *out,
                        struct err *err) {
    const struct {
        str provider, base_url;
        struct secret key;
    } known[] = {
        {STR("openai"), c->openai_base_url, c->openai_api_key},
        {STR("custom"), c->openai_base_url, c->custom_api_key},
        {STR("anthropic"), c->anthropic_base_url, c->anthropic_api_key},
        {STR("google_genai"), c->google_base_url, c->google_api_key},
        {STR("google_vertexai"), c->vertexai_base_url, c->vertexai_api_key},
    };
    ptrdiff_t colon = str_find_char(text, ':');
    str provider = colon < 0 ? STR("openai") : str_slice(text, 0, (size_t)colon);
    *out = (struct text_model){
        .model = colon < 0 ? text : str_slice(text, (size_t)colon + 1, text.len),
        .connect_timeout_us = c->model_connect_timeout_us,
        .head_timeout_us = c->model_head_timeout_us,
        .idle_timeout_us = c->model_idle_timeout_us,
        .retries_max = (int)c->model_retries_max,
    };
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (!str_eq(provider, known[i].provider))
            continue;
        out->provider = known[i].provider;
        out->base_url = known[i].base_url;
        out->api_key = secret_reveal(known[i].key);
    }
    if (!out->provider.p || out->model.len == 0)
        return err_set(err, ERR_INVALID, "%s: " STR_FMT " is not provider:model", name,
                       STR_ARG(str_slice(text, 0, text.len < 80 ? text.len : 80)));
    return 0;
}

int summary_settings(const struct config *c, struct summaries_options *out, struct err *err) {
    out->window_tokens = c->summary_window;
    return text_model_settings(c, "summary_model", c->summary_model, &out->model, err);
}
