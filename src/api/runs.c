/* SPDX-License-Identifier: Apache-2.0 */
/* runs.c - runs: create, stream, wait, join, cancel, list, get, delete; on a thread or stateless.
 *
 * A wait answers plainly when the run ends within the quiet time; after it the head is sent and
 * white space keeps the connection alive until the values follow, so the status is then always 200
 * and a failure of the run shows as {"__error__": …} in the body, in both forms alike. */
#include "api/runs_int.h"

#include "api/api_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "delivery/delivery.h"
#include "model/validate.h"

/* A waiting client gets white space as often as a stream gets heartbeats. */
#define WAIT_QUIET_US     5000000
#define FEEDBACK_KEYS_MAX 50

void run_headers(struct api_request *r, const struct run *run, const char *resume) {
    str at = arena_printf(r->arena, "/threads/" STR_FMT "/runs/" STR_FMT,
                          STR_ARG(id_dashed(r->arena, run->thread_id)),
                          STR_ARG(id_dashed(r->arena, run->id)));
    http_reply_header(r->http, STR("Content-Location"), at);
    if (resume)
        http_reply_header(r->http, STR("Location"),
                          arena_printf(r->arena, STR_FMT "/%s", STR_ARG(at), resume));
}

/* --- creating --- */

/* x-* headers and user-agent go into configurable, except what carries keys. */
static str header_configurable(struct api_request *r) {
    static const char *const hidden[] = {"x-api-key", "x-tenant-id", "x-service-key",
                                         "x-auth-scheme"};
    struct buf b;
    buf_init(&b, 64 * 1024);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    for (size_t i = 0; i < r->http->header_count; i++) {
        const struct http_header *h = &r->http->headers[i];
        if (h->name.len > 128 || !str_is_utf8(h->value))
            continue;
        char lower[128];
        for (size_t j = 0; j < h->name.len; j++)
            lower[j] = (char)(h->name.p[j] >= 'A' && h->name.p[j] <= 'Z' ? h->name.p[j] + 32
                                                                         : h->name.p[j]);
        str name = str_n(lower, h->name.len);
        bool take = str_starts(name, STR("x-")) || str_eq(name, STR("user-agent"));
        for (size_t j = 0; take && j < ARRAY_COUNT(hidden); j++)
            take = !str_eq(name, str_of(hidden[j]));
        if (!take)
            continue;
        jw_key_str(&w, name);
        jw_str(&w, h->value);
    }
    jw_object_end(&w);
    str out = buf_ok(&b) ? arena_dup(r->arena, buf_view(&b)) : STR("{}");
    buf_deinit(&b);
    return out;
}

static str bearer(const struct api_request *r) {
    str value = http_header(r->http, STR("authorization"));
    if (value.len < 8 || !str_ieq(str_slice(value, 0, 7), STR("Bearer ")))
        return STR_NULL;
    return str_trim(str_slice(value, 7, value.len));
}

static int check_feedback_keys(yyjson_val *keys, struct err *err) {
    yyjson_val *key;
    size_t i, count;
    if (!keys || yyjson_is_null(keys))
        return 0;
    if (!yyjson_is_arr(keys) || yyjson_arr_size(keys) > FEEDBACK_KEYS_MAX)
        return err_set(err, ERR_INVALID, "feedback_keys: must be a list of at most %d",
                       FEEDBACK_KEYS_MAX);
    yyjson_arr_foreach(keys, i, count, key) {
        if (!run_feedback_key_is_valid(json_str(key)))
            return err_set(err, ERR_INVALID, "feedback_keys: must be of letters, digits, _ and -");
    }
    return 0;
}

int run_check_webhook(struct api_request *r, yyjson_val *webhook, struct err *err) {
    if (!webhook || yyjson_is_null(webhook))
        return 0;
    if (!yyjson_is_str(webhook))
        return err_set(err, ERR_INVALID, "webhook: must be a string");
    return delivery_check_target(api_options_of(r->api)->delivery, json_str(webhook), err);
}

int run_submit_fill(struct api_request *r, yyjson_val *run_create, struct run_submit *out,
                    struct err *err) {
    *out = (struct run_submit){.who = &r->who, .body = run_create, .trace = &r->span.at.context};
    out->assistant_name = json_str(json_get(run_create, "assistant_id"));
    if (!out->assistant_name.p)
        return err_set(err, ERR_INVALID, "assistant_id: is required and must be a string");
    if (!id_parse(out->assistant_name, &out->assistant_id)) {
        if (!engine_has_graph(r->engine, out->assistant_name))
            return api_assistant_unknown(out->assistant_name, err);
        out->assistant_id = assistant_id_of_graph(out->assistant_name);
    }
    out->header_configurable = header_configurable(r);
    out->bearer = bearer(r);
    int rc = check_feedback_keys(json_get(run_create, "feedback_keys"), err);
    return rc < 0 ? rc : run_check_webhook(r, json_get(run_create, "webhook"), err);
}

int run_submit_read(struct api_request *r, bool thread, struct run_submit *out, struct err *err) {
    struct id thread_id = ID_NIL;
    int rc = api_body_object(r, err);
    if (rc == 0 && thread)
        rc = api_param_id(r, 0, &thread_id, err, "Thread with ID " STR_FMT " not found",
                          STR_ARG(r->match.params[0]));
    if (rc == 0)
        rc = run_submit_fill(r, r->body, out, err);
    if (rc == 0)
        out->thread_id = thread_id;
    return rc;
}

static void keep_row(void *ctx, const struct live_run *run, struct db_batch *b) {
    struct api_request *r = ctx;
    const struct run *row = live_run_row(run);
    struct json_writer w = api_json(r);
    api_write_run(&w, row, API_RUN_ALL);
    api_keyed_add(r, b, arena_dup(r->arena, buf_view(w.b)), row->thread_id, row->id);
}

/* What is answered is the run's stream, or its values. */
static void keep_run(void *ctx, const struct live_run *run, struct db_batch *b) {
    const struct run *row = live_run_row(run);
    api_keyed_add(ctx, b, STR(""), row->thread_id, row->id);
}

/* On success *out is a reference, and the headers say where the run is. resume NULL: the answer is
 * the row. */
static int submit(struct api_request *r, bool thread, const char *resume, struct live_run **out,
                  struct err *err) {
    struct run_submit s;
    int rc = run_submit_read(r, thread, &s, err);
    if (r->keyed) {
        s.join_batch = resume ? keep_run : keep_row;
        s.kept = true;
        s.ctx = r;
    }
    if (rc == 0)
        rc = engine_submit(r->engine, &s, out, err);
    if (rc == 0)
        run_headers(r, live_run_row(*out), resume);
    return rc;
}

static int create(struct api_request *r, bool thread, struct err *err) {
    struct live_run *run;
    int rc = submit(r, thread, NULL, &run, err);
    if (rc < 0)
        return rc;
    str kept = api_keyed_answer(r);
    if (kept.p) {
        live_run_unref(run);
        return api_reply_text(r, 200, kept);
    }
    struct json_writer w = api_json(r);
    api_write_run(&w, live_run_row(run), API_RUN_ALL);
    live_run_unref(run);
    return api_reply_json(r, 200);
}

int api_run_create(struct api_request *r, struct err *err) { return create(r, true, err); }
int api_run_create_stateless(struct api_request *r, struct err *err) {
    return create(r, false, err);
}

struct streaming {
    struct api_request *r;
    struct run_namespaces wanted;
};

static void on_stream_accepted(void *ctx, struct live_run *run) {
    struct streaming *s = ctx;
    run_headers(s->r, live_run_row(run), "stream");
    run_stream_live(s->r, run, &s->wanted);
}

static void keep_streamed(void *ctx, const struct live_run *run, struct db_batch *b) {
    struct streaming *s = ctx;
    keep_run(s->r, run, b);
}

static int stream(struct api_request *r, bool thread, struct err *err) {
    struct run_submit s;
    struct streaming streaming = {.r = r};
    int rc = run_submit_read(r, thread, &s, err);
    if (rc == 0)
        rc = run_namespaces_read(r, &streaming.wanted, err);
    if (rc < 0)
        return rc;
    s.accepted = on_stream_accepted;
    s.kept = r->keyed != NULL;
    if (r->keyed)
        s.join_batch = keep_streamed;
    s.ctx = &streaming;
    return engine_submit(r->engine, &s, NULL, err);
}

int api_run_stream(struct api_request *r, struct err *err) { return stream(r, true, err); }
int api_run_stream_stateless(struct api_request *r, struct err *err) {
    return stream(r, false, err);
}

/* --- waiting --- */

static void write_values(void *ctx, struct json_writer *w, const struct run_outcome *outcome) {
    (void)ctx;
    if (outcome->error.p && outcome->error.len) {
        jw_object(w);
        jw_key(w, "__error__");
        jw_raw(w, outcome->error);
        jw_object_end(w);
    } else {
        jw_raw(w, outcome->values);
    }
}

static str answer(struct api_request *r, const struct run_wait *run,
                  const struct run_outcome *outcome) {
    struct json_writer w = api_json(r);
    (run->write ? run->write : write_values)(run->ctx, &w, outcome);
    return buf_view(w.b);
}

/* The long wait: the head is sent, white space keeps the connection alive, the values follow. */
struct wait_stream {
    struct http_stream *http;
    struct fiber *waiter; /* NULL once it no longer waits */
    int refs;
};

static void wait_unref(struct wait_stream *s) {
    if (--s->refs == 0)
        mem_free(s);
}

static void wait_writable(struct http_stream *http, void *ctx) {
    (void)http;
    (void)ctx;
}

static void wait_closed(struct http_stream *http, void *ctx) {
    (void)http;
    struct wait_stream *s = ctx;
    s->http = NULL;
    if (s->waiter)
        fiber_cancel(s->waiter); /* nobody reads the answer */
    wait_unref(s);
}

static int wait_long(struct api_request *r, const struct run_wait *run, struct err *err) {
    struct run_outcome outcome;
    struct wait_stream *s = NEW(struct wait_stream);
    s->refs = 2;
    s->waiter = fiber_self();
    struct http_stream_ops ops = {
        .writable = wait_writable, .closed = wait_closed, .ctx = s, .heartbeat = STR("\n")};
    s->http = http_reply_stream(r->http, 200, STR("application/json"), &ops);
    (void)http_stream_write(s->http, STR("\n"));
    int rc = engine_wait(r->engine, run->id, run->live, FIBER_NO_DEADLINE, r->arena, &outcome, err);
    s->waiter = NULL;
    if (s->http) {
        if (rc < 0)
            outcome = (struct run_outcome){
                RUN_ERROR, STR_NULL,
                STR("{\"error\":\"ServerShutdown\",\"message\":\"The server is shutting down\"}")};
        (void)http_stream_write(s->http, answer(r, run, &outcome));
        http_stream_end(s->http);
    } else if (run->cancel && rc < 0) {
        run_cancel_disconnected(r->engine, run->id);
    }
    wait_unref(s);
    return 0;
}

int run_wait_answer(struct api_request *r, const struct run_wait *run, struct err *err) {
    struct run_outcome outcome;
    int rc = engine_wait(r->engine, run->id, run->live, rt_mono_us(fiber_rt()) + WAIT_QUIET_US,
                         r->arena, &outcome, err);
    if (rc == ERR_TIMEOUT)
        return wait_long(r, run, err);
    if (rc < 0)
        return rc;
    (void)answer(r, run, &outcome);
    return api_reply_json(r, 200);
}

static int wait(struct api_request *r, bool thread, struct err *err) {
    struct live_run *run;
    int rc = submit(r, thread, "join", &run, err);
    if (rc < 0)
        return rc;
    bool cancel = str_eq(json_str(json_get(r->body, "on_disconnect")), STR("cancel"));
    rc = run_wait_answer(
        r, &(struct run_wait){.id = live_run_id(run), .live = run, .cancel = cancel}, err);
    live_run_unref(run);
    return rc;
}

int api_run_wait(struct api_request *r, struct err *err) { return wait(r, true, err); }
int api_run_wait_stateless(struct api_request *r, struct err *err) { return wait(r, false, err); }

static int path_ids(struct api_request *r, struct id *thread_id, struct id *run_id,
                    struct err *err) {
    int rc = api_param_id(r, 0, thread_id, err, "Run not found");
    return rc < 0 ? rc : api_param_id(r, 1, run_id, err, "Run not found");
}

int run_join(struct api_request *r, struct id thread_id, struct id run_id, const char *resume,
             bool cancel, struct err *err) {
    struct run run;
    int rc = run_get(r->store, &r->who, thread_id, run_id, r->arena, &run, err);
    if (rc < 0)
        return rc;
    run_headers(r, &run, resume);
    struct live_run *live = engine_find(r->engine, run_id);
    if (live || run.status == RUN_PENDING || run.status == RUN_RUNNING) {
        rc = run_wait_answer(r, &(struct run_wait){.id = run_id, .live = live, .cancel = cancel},
                             err);
        live_run_unref(live);
        return rc;
    }
    str values;
    rc = checkpoint_head_values(r->store, run.thread_id, r->arena, &values, err);
    if (rc < 0)
        return rc;
    (void)answer(r, &(struct run_wait){.id = run_id},
                 &(struct run_outcome){run.status, values, run.error});
    return api_reply_json(r, 200);
}

int api_run_join(struct api_request *r, struct err *err) {
    struct id thread_id, run_id;
    int rc = path_ids(r, &thread_id, &run_id, err);
    return rc < 0 ? rc : run_join(r, thread_id, run_id, NULL, api_cancels_on_disconnect(r), err);
}

int run_answer_again(struct api_request *r, struct id thread_id, struct id run_id,
                     struct err *err) {
    if (str_ends(r->http->path, STR("/stream")))
        return run_join_stream(r, thread_id, run_id, err);
    return run_join(r, thread_id, run_id, "join", false, err);
}

/* --- the rest --- */

int api_run_get(struct api_request *r, struct err *err) {
    struct id thread_id, run_id;
    struct run run;
    int rc = path_ids(r, &thread_id, &run_id, err);
    if (rc == 0)
        rc = run_get(r->store, &r->who, thread_id, run_id, r->arena, &run, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    api_write_run(&w, &run, API_RUN_ALL);
    return api_reply_json(r, 200);
}

int api_run_list(struct api_request *r, struct err *err) {
    struct id thread_id;
    struct page page = {0};
    struct run *runs;
    size_t count;
    unsigned fields;
    str status_text = http_query_get(&r->query, "status");
    enum run_status status = RUN_PENDING;
    int rc = api_param_id(r, 0, &thread_id, err, "Thread with ID " STR_FMT " not found",
                          STR_ARG(r->match.params[0]));
    if (rc == 0)
        rc = api_query_int(r, "limit", (struct body_range){1, 1000, 10}, &page.limit, err);
    if (rc == 0)
        rc = api_query_int(r, "offset", (struct body_range){0, INT64_MAX, 0}, &page.offset, err);
    if (rc == 0 && status_text.p && !run_status_parse(status_text, &status)) {
        (void)word_refuse(&RUN_STATUS_WORDS, err);
        (void)err_context(err, "status");
        rc = ERR_INVALID;
    }
    if (rc == 0)
        rc = api_query_fields(r, "select", &API_RUN_FIELDS, API_RUN_ALL, &fields, err);
    if (rc == 0)
        rc = run_list(r->store, &r->who, thread_id, status_text.p ? &status : NULL, &page, r->arena,
                      &runs, &count, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_array(&w);
    for (size_t i = 0; i < count; i++)
        api_write_run(&w, &runs[i], fields);
    jw_array_end(&w);
    return api_reply_json(r, 200);
}

int api_run_cancel(struct api_request *r, struct err *err) {
    struct id thread_id, run_id;
    enum cancel_action action = CANCEL_INTERRUPT;
    str action_text = http_query_get(&r->query, "action");
    int rc = path_ids(r, &thread_id, &run_id, err);
    if (rc < 0)
        return rc;
    if (action_text.p && !cancel_action_parse(action_text, &action)) {
        (void)word_refuse(&CANCEL_ACTION_WORDS, err);
        (void)err_context(err, "action");
        return ERR_INVALID;
    }
    bool wait_end = http_query_bool(&r->query, "wait", false);
    rc = engine_cancel(r->engine, &r->who, thread_id, run_id, action,
                       http_query_get(&r->query, "reason"), wait_end, err);
    return rc < 0 ? rc : api_reply_empty(r, wait_end ? 204 : 202);
}

int api_run_delete(struct api_request *r, struct err *err) {
    struct id thread_id, run_id;
    int rc = path_ids(r, &thread_id, &run_id, err);
    if (rc == 0)
        rc = run_delete(r->store, &r->who, thread_id, run_id, r->arena, err);
    return rc < 0 ? rc : api_reply_empty(r, 204);
}
