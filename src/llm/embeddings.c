/* SPDX-License-Identifier: Apache-2.0 */
/* embeddings.c - texts as vectors, by any OpenAI-compatible /v1/embeddings.
 *
 * Texts go in batches, one call after the other. A call that fails in a way that may pass is
 * repeated after a growing pause, as long as the time for all of them lasts: whoever waits for the
 * vectors waits for a bounded time. A text is cut after TEXT_BYTES_MAX, since models refuse longer
 * ones; an answer with another number of vectors or of numbers in one is an error. */
#include "llm/embeddings.h"

#include <math.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rand.h"
#include "llm/fault.h"
#include "rt/fiber.h"

#define BATCH_MAX            128
#define TOTAL_US             INT64_C(10000000)
#define CALL_US_MIN          INT64_C(1000)
#define PAUSE_FIRST_US       INT64_C(200000)
#define TEXT_BYTES_MAX       ((size_t)24 << 10)
#define BODY_BYTES_MAX       ((size_t)16 << 20)
#define ANSWER_BYTES_MAX     ((size_t)64 << 20)
#define ERROR_BODY_BYTES_MAX ((size_t)64 << 10)

struct embeddings {
    struct http_client *client;
    struct embeddings_options o;
    struct arena memory;
    str url, host;
};

struct embeddings *embeddings_new(struct http_client *client, const struct embeddings_options *o) {
    struct embeddings *e = NEW(struct embeddings);
    arena_init(&e->memory, 1 << 16);
    e->client = client;
    e->o = *o;
    e->o.base_url = arena_dup(&e->memory, o->base_url);
    e->o.api_key = arena_dup(&e->memory, o->api_key);
    e->o.model = arena_dup(&e->memory, o->model);
    e->url = arena_printf(&e->memory, STR_FMT "/embeddings", STR_ARG(o->base_url));
    e->host = llm_fault_host(e->o.base_url);
    if (e->o.batch_max == 0)
        e->o.batch_max = BATCH_MAX;
    if (e->o.total_us == 0)
        e->o.total_us = TOTAL_US;
    return e;
}

void embeddings_free(struct embeddings *e) {
    if (!e)
        return;
    arena_deinit(&e->memory);
    mem_free(e);
}

static int write_body(const struct embeddings *e, const str *texts, size_t count, struct buf *out,
                      struct err *err) {
    struct json_writer w = json_writer(out);
    jw_object(&w);
    jw_key(&w, "model");
    jw_str(&w, e->o.model);
    jw_key(&w, "encoding_format");
    jw_z(&w, "float");
    jw_key(&w, "input");
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        str text = texts[i].len > 0 ? texts[i] : STR(" "); /* an empty one is refused */
        if (text.len > TEXT_BYTES_MAX)
            text.len = str_utf8_prefix(str_slice(text, 0, TEXT_BYTES_MAX));
        jw_str(&w, text);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    return buf_ok(out) ? 0 : err_set(err, ERR_TOO_LARGE, "the texts to embed are too large");
}

static int not_understood(struct err *err, str host, const char *why) {
    return err_set(err, ERR_MODEL_PROTOCOL,
                   "the answer of the embedding server " STR_FMT " cannot be understood: %s",
                   STR_ARG(host), why);
}

static int read_vector(yyjson_val *entry, size_t count, size_t dims, float *out, str host,
                       struct err *err) {
    yyjson_val *at = json_get(entry, "index"), *list = json_get(entry, "embedding"), *v;
    size_t i, len = yyjson_arr_size(list);
    if (!yyjson_is_uint(at) || yyjson_get_uint(at) >= count)
        return not_understood(err, host, "a vector has no index");
    if (len != dims)
        return err_set(err, ERR_MODEL_PROTOCOL,
                       "the embedding server " STR_FMT " gives vectors of %zu numbers, not %zu",
                       STR_ARG(host), len, dims);
    yyjson_arr_foreach(list, i, len, v) {
        double number = yyjson_get_num(v);
        if (!yyjson_is_num(v) || !isfinite((float)number))
            return not_understood(err, host, "a vector has something else than numbers");
        out[yyjson_get_uint(at) * dims + i] = (float)number;
    }
    return 0;
}

int embeddings_read_answer(str body, size_t count, size_t dims, float *out, str host,
                           struct err *err) {
    struct arena scratch;
    struct err why = {0};
    yyjson_val *root, *entry;
    arena_init(&scratch, ANSWER_BYTES_MAX + 32 * body.len);
    int rc = json_parse(&scratch, body, &root, &why);
    if (rc < 0)
        rc = not_understood(err, host, why.message);
    else if (yyjson_arr_size(json_get(root, "data")) != count)
        rc = not_understood(err, host, "the number of vectors is not that of the texts");
    size_t i, n;
    uint8_t *seen = arena_zalloc(&scratch, count + 1);
    if (rc == 0) {
        yyjson_arr_foreach(json_get(root, "data"), i, n, entry) {
            rc = read_vector(entry, count, dims, out, host, err);
            if (rc == 0 && seen[yyjson_get_uint(json_get(entry, "index"))]++)
                rc = not_understood(err, host, "two vectors have one index");
            if (rc < 0)
                break;
        }
    }
    arena_deinit(&scratch);
    return rc;
}

static int read_call(struct embeddings *e, struct http_call *call, size_t count, float *out,
                     struct err *err) {
    struct arena scratch;
    struct err cause = {0};
    str body = STR_NULL;
    int status = http_call_status(call);
    bool good = status >= 200 && status <= 299;
    size_t bytes_max = good ? ANSWER_BYTES_MAX : ERROR_BODY_BYTES_MAX;
    arena_init(&scratch, 2 * bytes_max);
    int rc = http_call_read_all(call, &scratch, bytes_max, &body, &cause);
    if (rc < 0 && (good || rc == ERR_CANCELLED))
        rc = llm_fault_transport(&cause, e->host, err);
    else if (!good)
        rc = llm_fault_status(status, body, llm_fault_retry_after_ms(call), e->host, e->o.api_key,
                              err);
    else
        rc = embeddings_read_answer(body, count, e->o.dims, out, e->host, err);
    arena_deinit(&scratch);
    return rc;
}

static int attempt(struct embeddings *e, str body, size_t count, int64_t left_us, float *out,
                   struct arena *a, struct err *err) {
    struct http_header headers[2] = {{STR("Content-Type"), STR("application/json")}};
    struct http_call *call;
    struct err cause = {0};
    size_t header_count = 1;
    if (e->o.api_key.len > 0)
        headers[header_count++] = (struct http_header){
            STR("Authorization"), arena_printf(a, "Bearer " STR_FMT, STR_ARG(e->o.api_key))};
    struct http_call_options o = {.method = HTTP_POST,
                                  .url = e->url,
                                  .headers = headers,
                                  .header_count = header_count,
                                  .body = body,
                                  .connect_timeout_us = left_us,
                                  .head_timeout_us = left_us,
                                  .idle_timeout_us = left_us};
    if (http_call_open(e->client, &o, &call, &cause) < 0) {
        if (cause.code == ERR_CLOSED)
            cause.code = ERR_UNAVAILABLE;
        return llm_fault_transport(&cause, e->host, err);
    }
    int rc = read_call(e, call, count, out, err);
    http_call_close(call);
    return rc;
}

static int make_batch(struct embeddings *e, const str *texts, size_t count, int64_t until_us,
                      struct arena *a, float *out, struct err *err) {
    struct buf body;
    buf_init(&body, BODY_BYTES_MAX);
    int rc = write_body(e, texts, count, &body, err);
    for (int attempts = 1; rc == 0; attempts++) {
        struct err cause = {0};
        int64_t left_us = until_us - clock_mono_us();
        rc = attempt(e, buf_view(&body), count, left_us > CALL_US_MIN ? left_us : CALL_US_MIN, out,
                     a, &cause);
        if (rc == 0)
            break;
        int64_t pause_us = PAUSE_FIRST_US << (attempts < 6 ? attempts - 1 : 5);
        pause_us = pause_us / 2 + (int64_t)rand_below((uint64_t)pause_us / 2);
        if (pause_us < cause.retry_after_ms * INT64_C(1000))
            pause_us = cause.retry_after_ms * INT64_C(1000);
        if (err)
            *err = cause;
        if (!err_retryable(rc) || attempts > e->o.retries_max ||
            clock_mono_us() + pause_us >= until_us)
            break;
        rc = fiber_sleep_us(pause_us);
        if (rc < 0)
            (void)err_set(err, rc, "the call to the embedding server was cancelled");
    }
    buf_deinit(&body);
    return rc;
}

int embeddings_make(struct embeddings *e, const str *texts, size_t count, struct arena *a,
                    float **out, struct err *err) {
    int64_t until_us = clock_mono_us() + e->o.total_us;
    float *vectors = arena_try_alloc(a, (count + 1) * e->o.dims * sizeof(float));
    int rc = vectors ? 0 : err_set(err, ERR_TOO_LARGE, "too many texts to embed at once");
    for (size_t at = 0; rc == 0 && at < count; at += e->o.batch_max) {
        size_t n = count - at < e->o.batch_max ? count - at : e->o.batch_max;
        rc = make_batch(e, texts + at, n, until_us, a, vectors + at * e->o.dims, err);
    }
    if (rc == 0)
        *out = vectors;
    return rc;
}
