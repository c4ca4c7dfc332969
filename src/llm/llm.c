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

int llm_chat(struct llm *llm, const struct llm_request *request, llm_delta_fn on_delta, void *ctx,
             struct arena *a, struct llm_response *out, struct err *err) {
    fiber_assert_inside();
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
