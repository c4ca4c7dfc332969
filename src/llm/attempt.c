/* SPDX-License-Identifier: Apache-2.0 */
/* attempt.c - one attempt of a call to a model server.
 *
 * A whole JSON answer to a request for a stream is read as such. After the end of a stream the body
 * is read to its end for a moment, so that the connection can be used again. */
#include "base/clock.h"
#include "llm/fault.h"
#include "llm/provider.h"

#define DRAIN_TIMEOUT_US     250000
#define ERROR_BODY_BYTES_MAX ((size_t)64 * 1024)

struct attempt {
    struct http_client *client;
    const struct llm_provider *provider;
    const struct llm_request *r;
    str host;
    struct http_call *call;
    struct llm_assembler as;
    int64_t started_us, first_byte_us;
};

static int attempt_open(struct attempt *t, str body, struct arena *a, struct err *err) {
    const struct llm_request *r = t->r;
    struct http_header headers[1 + LLM_HEADERS_MAX] = {
        {STR("Content-Type"), STR("application/json")}};
    size_t count = 1 + t->provider->headers(a, r, headers + 1);
    struct http_call_options o = {.method = HTTP_POST,
                                  .url = t->provider->url(a, r),
                                  .headers = headers,
                                  .header_count = count,
                                  .body = body,
                                  .connect_timeout_us = r->connect_timeout_us,
                                  .head_timeout_us = r->head_timeout_us,
                                  .idle_timeout_us = r->idle_timeout_us,
                                  .trace = r->trace ? &r->trace->context : NULL};
    struct err cause = {0};
    if (http_call_open(t->client, &o, &t->call, &cause) < 0) {
        if (cause.code == ERR_CLOSED) /* hung up without a word: as good as refused */
            cause.code = ERR_UNAVAILABLE;
        return llm_fault_transport(&cause, t->host, err);
    }
    t->first_byte_us = clock_mono_us() - t->started_us;
    return 0;
}

static int attempt_refused(struct attempt *t, struct err *err) {
    struct arena scratch;
    arena_init(&scratch, 2 * ERROR_BODY_BYTES_MAX);
    str body = STR_NULL;
    int rc = http_call_read_all(t->call, &scratch, ERROR_BODY_BYTES_MAX, &body, NULL);
    if (rc == ERR_CANCELLED)
        rc = llm_fault_transport(&(struct err){.code = rc}, t->host, err);
    else
        rc = llm_fault_status(http_call_status(t->call), body, llm_fault_retry_after_ms(t->call),
                              t->host, t->r->api_key, err);
    arena_deinit(&scratch);
    return rc;
}

static int attempt_read_whole(struct attempt *t, struct err *err) {
    struct arena scratch;
    arena_init(&scratch, 2 * LLM_ANSWER_BYTES_MAX);
    str body;
    struct err cause = {0};
    int rc;
    if (http_call_read_all(t->call, &scratch, LLM_ANSWER_BYTES_MAX, &body, &cause) < 0)
        rc = llm_fault_transport(&cause, t->host, err);
    else
        rc = llm_read_answer(t->provider, &t->as, body, t->host, t->r->api_key, err);
    arena_deinit(&scratch);
    return rc;
}

static int attempt_read_stream(struct attempt *t, struct err *err) {
    struct llm_stream s;
    llm_stream_init(&s, t->provider, &t->as, t->host, t->r->api_key);
    str part = STR_NULL;
    struct err cause = {0};
    int rc = 0;
    while (rc == 0) {
        if (http_call_read(t->call, &part, &cause) < 0) {
            if (cause.code == ERR_CANCELLED || s.state == LLM_STREAM_OPEN)
                rc = cause.code == ERR_CLOSED ? llm_stream_cut(&s, err)
                                              : llm_fault_transport(&cause, t->host, err);
            break;
        }
        if (part.len == 0)
            break;
        rc = llm_stream_feed(&s, part, err);
        if (s.state == LLM_STREAM_DONE)
            http_call_set_idle_timeout(t->call, DRAIN_TIMEOUT_US);
    }
    if (rc == 0)
        rc = llm_stream_end(&s, err);
    llm_stream_deinit(&s);
    return rc;
}

static int attempt_read(struct attempt *t, struct err *err) {
    int status = http_call_status(t->call);
    if (status < 200 || status > 299)
        return attempt_refused(t, err);
    str type = http_call_header(t->call, STR("content-type"));
    bool json = type.len >= 16 && str_ieq(str_slice(type, 0, 16), STR("application/json"));
    return t->r->stream && !json ? attempt_read_stream(t, err) : attempt_read_whole(t, err);
}

int llm_attempt(struct http_client *client, const struct llm_provider *p,
                const struct llm_request *r, str body, llm_delta_fn on_delta, void *ctx,
                struct arena *a, struct llm_response *out, size_t *out_delta_count,
                struct err *err) {
    struct attempt t = {.client = client,
                        .provider = p,
                        .r = r,
                        .host = llm_fault_host(r->base_url),
                        .started_us = clock_mono_us()};
    llm_assembler_init(&t.as, a, r->stream ? on_delta : NULL, ctx);
    int rc = attempt_open(&t, body, a, err);
    if (rc == 0) {
        rc = attempt_read(&t, err);
        http_call_close(t.call);
    }
    if (rc == 0) {
        llm_assembler_finish(&t.as, out);
        out->first_byte_us = t.first_byte_us;
    }
    *out_delta_count = t.as.delta_count;
    llm_assembler_deinit(&t.as);
    return rc;
}
