/* SPDX-License-Identifier: Apache-2.0 */
/* llm.c - the chat-model port: picks the provider and repeats failed attempts.
 *
 * The body is built once and sent by each attempt. An attempt is repeated only when its error is
 * retryable (spec/errors.def) and no delta was shown yet: a consumer never sees a text twice. The
 * pause doubles from 250 ms to 8 s, with the second half of it random; a longer Retry-After of the
 * server counts, up to a minute: past that the caller gets the error (and the time) at once.
 * A new provider: its struct llm_provider, and a row in the table below. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "http/address.h"
#include "llm/provider.h"

#define PAUSE_FIRST_MS     250
#define PAUSE_MAX_MS       8000
#define RETRY_AFTER_MAX_MS 60000
#define RETRIES_MAX        20

struct llm {
    struct http_client *client;
};

struct llm *llm_new(struct rt *rt, struct http_client *client) {
    (void)rt; /* pauses are taken on the caller's fiber */
    struct llm *llm = NEW(struct llm);
    llm->client = client;
    return llm;
}

void llm_free(struct llm *llm) { mem_free(llm); }

/* Those that speak like OpenAI are "custom". */
const struct llm_provider *llm_provider_find(str name) {
    static const struct {
        const char *name;
        const struct llm_provider *provider;
    } providers[] = {{"openai", &LLM_OPENAI},
                     {"custom", &LLM_OPENAI},
                     {"anthropic", &LLM_ANTHROPIC},
                     {"google_genai", &LLM_GOOGLE},
                     {"google_vertexai", &LLM_GOOGLE}};
    for (size_t i = 0; i < ARRAY_COUNT(providers); i++)
        if (str_eq(name, str_of(providers[i].name)))
            return providers[i].provider;
    return NULL;
}

static int check_request(const struct llm_request *r, const struct llm_provider **out,
                         struct err *err) {
    *out = llm_provider_find(r->provider);
    if (!*out)
        return err_set(err, ERR_UNSUPPORTED, "the model provider \"%.*s\" is not known",
                       (int)(r->provider.len < 64 ? r->provider.len : 64),
                       r->provider.p ? r->provider.p : "");
    if (r->base_url.len == 0)
        return err_set(err, ERR_MODEL_REQUEST, "the model's base URL is not set");
    return 0;
}

/* Before the attempt after `attempts`; -1: not worth waiting. */
static int64_t pause_us(int attempts, int retry_after_ms) {
    if (retry_after_ms > RETRY_AFTER_MAX_MS)
        return -1;
    int64_t full_ms = PAUSE_FIRST_MS;
    for (int i = 1; i < attempts && full_ms < PAUSE_MAX_MS; i++)
        full_ms *= 2;
    int64_t half_us = full_ms * 1000 / 2;
    int64_t us = half_us + (int64_t)rand_below((uint64_t)half_us);
    int64_t asked_us = (int64_t)retry_after_ms * 1000;
    /* A little jitter also on what the server asked for, lest all callers come back together. */
    return asked_us > us ? asked_us + (int64_t)rand_below((uint64_t)asked_us / 10 + 1) : us;
}

static int chat(struct llm *llm, const struct llm_request *request, llm_delta_fn on_delta,
                void *ctx, struct arena *a, struct llm_response *out, struct err *err) {
    int64_t started_us = clock_mono_us();
    const struct llm_provider *provider;
    int rc = check_request(request, &provider, err);
    if (rc < 0)
        return rc;
    struct buf body;
    buf_init(&body, LLM_BODY_BYTES_MAX);
    rc = llm_write_body(provider, request, &body, err);
    int retries_max = request->retries_max < RETRIES_MAX ? request->retries_max : RETRIES_MAX;
    for (int attempts = 1; rc == 0; attempts++) {
        struct err cause = {0};
        size_t delta_count = 0;
        int64_t attempt_us = clock_mono_us();
        rc = llm_attempt(llm->client, provider, request, buf_view(&body), on_delta, ctx, a, out,
                         &delta_count, &cause);
        if (rc == 0) {
            out->attempts = attempts;
            out->first_byte_us += attempt_us - started_us;
            out->total_us = clock_mono_us() - started_us;
            break;
        }
        int64_t wait_us = pause_us(attempts, cause.retry_after_ms);
        if (err)
            *err = cause;
        if (!err_retryable(rc) || delta_count > 0 || attempts > retries_max || wait_us < 0)
            break;
        rc = fiber_sleep_us(wait_us);
        if (rc < 0)
            (void)err_set(err, rc, "the call to the model was cancelled"); /* rc is returned */
    }
    buf_deinit(&body);
    return rc;
}

/* --- the span of a call --- */

/* The name of who is asked, as the conventions for generative AI have it. */
static const char *provider_name(str provider) {
    return str_eq(provider, STR("google_genai"))      ? "gcp.gemini"
           : str_eq(provider, STR("google_vertexai")) ? "gcp.vertex_ai"
           : str_eq(provider, STR("anthropic"))       ? "anthropic"
           : str_eq(provider, STR("openai"))          ? "openai"
                                                      : "custom";
}

static void span_open(struct span *s, const struct llm_request *r, struct arena *a) {
    str name = r->trace && r->trace->tracer
                   ? arena_printf(a, "chat " STR_FMT, STR_ARG(str_slice(r->model, 0, 80)))
                   : STR("chat");
    struct http_url url;
    span_begin(s, r->trace, SPAN_CLIENT, name);
    if (!span_records(s))
        return;
    span_z(s, "gen_ai.operation.name", "chat");
    span_z(s, "gen_ai.provider.name", provider_name(r->provider));
    span_str(s, "gen_ai.request.model", r->model);
    if (!http_url_split(r->base_url, &url)) {
        int64_t port;
        span_str(s, "server.address", url.host);
        if (str_to_i64(url.port, &port))
            span_int(s, "server.port", port);
    }
    if (r->max_tokens > 0)
        span_int(s, "gen_ai.request.max_tokens", r->max_tokens);
    if (r->has_temperature)
        span_double(s, "gen_ai.request.temperature", r->temperature);
}

static void span_close(struct span *s, const struct llm_response *r, int rc) {
    if (span_records(s) && rc == 0) {
        span_str(s, "gen_ai.response.model", r->model);
        span_str(s, "gen_ai.response.id", r->id);
        span_list(s, "gen_ai.response.finish_reasons", r->finish_reason);
        if (r->input_tokens >= 0)
            span_int(s, "gen_ai.usage.input_tokens", r->input_tokens);
        if (r->output_tokens >= 0)
            span_int(s, "gen_ai.usage.output_tokens", r->output_tokens);
        span_int(s, "holdfast.llm.attempts", r->attempts);
        span_int(s, "holdfast.llm.first_byte_ms", r->first_byte_us / 1000);
    }
    if (rc < 0)
        span_fail(s, err_name(rc));
    span_end(s);
}

int llm_chat(struct llm *llm, const struct llm_request *request, llm_delta_fn on_delta, void *ctx,
             struct arena *a, struct llm_response *out, struct err *err) {
    struct llm_request traced = *request;
    struct span span;
    fiber_assert_inside();
    span_open(&span, request, a);
    traced.trace = &span.at;
    int rc = chat(llm, &traced, on_delta, ctx, a, out, err);
    span_close(&span, out, rc);
    return rc;
}
