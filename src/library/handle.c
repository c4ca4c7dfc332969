/* SPDX-License-Identifier: Apache-2.0 */
/* handle.c - hf_open(), hf_stop(), hf_close(): a store behind the pipeline, on a host of its own.
 *
 * A handle is a thread with a loop (rt/host.h) and what that opens: threads of the driver and two
 * of the pool. There is nothing that two handles share but what this process has once anyway (see
 * docs/library.md); their lines go to the handle's log function, or nowhere. */
#include <stdio.h>

#include "base/mem.h"
#include "history/pipeline.h"
#include "library/library_int.h"

#define URL_BYTES_MAX 4096
#define RUNNING_MAX   256
#define CALLS_USUAL   100000
#define CALLS_BYTES   ((size_t)256 << 20)
#define OPTIONS_MIN   LIBRARY_UP_TO(struct hf_options, log_level)
#define LOG_BYTES_MAX 65536

STATIC_ASSERT((int)HF_INVALID == ERR_INVALID && (int)HF_MALFORMED == ERR_MALFORMED &&
                  (int)HF_NOT_FOUND == ERR_NOT_FOUND && (int)HF_CONFLICT == ERR_CONFLICT &&
                  (int)HF_TOO_LARGE == ERR_TOO_LARGE && (int)HF_LIMIT == ERR_LIMIT &&
                  (int)HF_UNAVAILABLE == ERR_UNAVAILABLE && (int)HF_TIMEOUT == ERR_TIMEOUT &&
                  (int)HF_UNSUPPORTED == ERR_UNSUPPORTED && (int)HF_IO == ERR_IO &&
                  (int)HF_CORRUPT == ERR_CORRUPT && (int)HF_CLOSED == ERR_CLOSED &&
                  (int)HF_INTERNAL == ERR_INTERNAL,
              "codes are those of spec/errors.def");
STATIC_ASSERT(HF_NAME_BYTES_MAX == HISTORY_NAME_BYTES_MAX &&
                  HF_ID_BYTES_MAX == HISTORY_ID_BYTES_MAX &&
                  HF_HEADERS_BYTES_MAX == HISTORY_HEADERS_BYTES_MAX &&
                  HF_PAYLOAD_BYTES_MAX == HISTORY_PAYLOAD_BYTES_MAX &&
                  HF_APPEND_COUNT_MAX == HISTORY_APPEND_COUNT_MAX &&
                  HF_APPEND_BYTES_MAX == HISTORY_APPEND_BYTES_MAX &&
                  HF_PAGE_MAX == HISTORY_PAGE_MAX,
              "limits are the port's");
STATIC_ASSERT((int)HF_LOG_DEBUG == LOG_DEBUG && (int)HF_LOG_ERROR == LOG_ERROR,
              "levels are the log's");

const char *hf_version(void) { return HF_VERSION; }

const char *hf_code_name(int code) { return err_name(code); }

/* --- the log --- */

static void write_line(void *ctx, enum log_level level, const char *event, const char *message,
                       const struct log_field *fields, size_t count) {
    const struct hf_history *h = ctx;
    struct buf b;
    buf_init(&b, LOG_BYTES_MAX);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    log_fields_write(&w, fields, count);
    jw_object_end(&w);
    buf_char(&b, '\0');
    h->o.log(h->o.log_ctx, (int)level, event, message, buf_ok(&b) ? b.p : "{}");
    buf_deinit(&b);
}

/* --- on the host --- */

static enum library_use use_of(const struct hf_history *h) {
    return h->o.read_only ? LIBRARY_READS : LIBRARY_MANY;
}

static int host_open(void *ctx, struct rt *rt, struct err *err) {
    struct hf_history *h = ctx;
    h->rt = rt;
    return library_source_open(rt, str_of(h->url), use_of(h), &h->source, err);
}

static int host_start(void *ctx, struct rt *rt, struct err *err) {
    struct hf_history *h = ctx;
    struct history_pipeline_options o;
    int rc = library_source_start(rt, use_of(h), &h->source, err);
    if (rc < 0)
        return rc;
    history_pipeline_options_default(&o);
    o.interval_us = h->o.interval_us;
    o.when_full = h->o.refuses_when_full ? HISTORY_REFUSE : HISTORY_WAIT_FOR_ROOM;
    o.queue_count_max = h->o.queue_count_max ? h->o.queue_count_max : o.queue_count_max;
    o.queue_bytes_max = h->o.queue_bytes_max ? h->o.queue_bytes_max : o.queue_bytes_max;
    h->kind = history_name(h->source.h);
    h->source.h = history_pipeline_wrap(rt, h->source.h, &o);
    h->history = h->source.h;
    return 0;
}

static void host_close(void *ctx) {
    struct hf_history *h = ctx;
    library_source_close(&h->source);
}

/* --- opening and closing --- */

static int check(const struct hf_history *h, struct err *err) {
    const struct hf_options *o = &h->o;
    if (o->read_only && !library_source_folder(str_of(h->url)).p)
        return err_set(err, ERR_UNSUPPORTED, "read_only: is for file:FOLDER");
    if (o->interval_us < 0 || o->interval_us > 60000000)
        return err_set(err, ERR_INVALID, "interval_us: must be 0 to a minute");
    if (o->log && (o->log_level < HF_LOG_DEBUG || o->log_level > HF_LOG_ERROR))
        return err_set(err, ERR_INVALID, "log_level: must be one of enum hf_log_level");
    return 0;
}

static int start(struct hf_history *h, struct err *err) {
    const struct rt_host_options o = {.name = "holdfast",
                                      .running_max = RUNNING_MAX,
                                      .open = host_open,
                                      .start = host_start,
                                      .close = host_close,
                                      .ctx = h};
    const struct log_sink *before = log_redirected();
    h->sink = (struct log_sink){
        .min = h->o.log ? (enum log_level)h->o.log_level : LOG_OFF, .write = write_line, .ctx = h};
    log_redirect(&h->sink); /* the host takes it over */
    int rc = rt_host_open(&o, &h->host, err);
    log_redirect(before);
    return rc;
}

static void free_handle(struct hf_history *h) {
    mem_free(h->url);
    mem_free(h);
}

int hf_open(const char *url, const struct hf_options *options, struct hf_history **out,
            struct hf_error *error) {
    struct err err = {0};
    struct hf_history *h = NEW(struct hf_history);
    int rc = 0;
    if (!url || !out || strnlen(url, URL_BYTES_MAX) == URL_BYTES_MAX)
        rc = err_set(&err, ERR_INVALID, "url, out: are required; a url has up to %d bytes",
                     URL_BYTES_MAX);
    if (rc == 0 && options)
        rc = library_struct(options, OPTIONS_MIN, &h->o, sizeof h->o, "options", &err);
    if (rc == 0) {
        h->url = mem_strdup(url);
        h->o.calls_max = h->o.calls_max ? h->o.calls_max : CALLS_USUAL;
        h->o.calls_bytes_max = h->o.calls_bytes_max ? h->o.calls_bytes_max : CALLS_BYTES;
        rc = check(h, &err);
    }
    if (rc == 0)
        rc = start(h, &err);
    if (out)
        *out = rc == 0 ? h : NULL;
    if (rc < 0)
        free_handle(h);
    return library_error(&err, rc, error);
}

void hf_stop(struct hf_history *h) {
    if (h)
        rt_host_stop(h->host);
}

int hf_close(struct hf_history *h) {
    if (!h)
        return HF_OK;
    if (rt_host_inside(h->host))
        return HF_INVALID;
    rt_host_close(h->host);
    free_handle(h);
    return HF_OK;
}

const char *hf_kind(const struct hf_history *h) { return h ? h->kind : ""; }
