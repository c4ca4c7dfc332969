/* SPDX-License-Identifier: Apache-2.0 */
/* runs_stream.c - readers of a thread's log as server-sent events.
 *
 *   handler: head sent ─▶ reader live (or replay on the handler's fiber, then live) ─▶ handler ends
 *   hub: frame ─▶ stream buffer ─▶ socket           run ended ─▶ finished ─▶ stream ends
 *   client gone ─▶ closed ─▶ reader closed, run cancelled if it was asked to
 *
 * An idle stream is this struct, its reader and the connection; no fiber. Frames are copied into
 * the connection's bounded buffer; a client that does not take them is cut and can resume by
 * cursor. */
#include "api/runs_int.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/sse.h"

#define REPLAY_AHEAD_BYTES (256 * 1024)

struct run_stream {
    struct http_stream *http; /* NULL once closed */
    struct hub_reader *reader;
    struct engine *engine;
    struct id watched; /* the run that is cancelled on disconnect; nil: none */
    struct rt *rt;
    struct fiber_event drained;
    bool ended;
    int refs; /* the stream, and a replay under way */
};

static void stream_unref(struct run_stream *s) {
    if (--s->refs > 0)
        return;
    mem_free(s);
}

static void on_writable(struct http_stream *http, void *ctx) {
    (void)http;
    struct run_stream *s = ctx;
    fiber_event_wake_all(&s->drained);
}

static void cancel_fiber(void *arg) {
    struct run_stream *s = arg;
    struct principal self = {.all = true};
    struct err err = {0};
    int rc = engine_cancel(s->engine, &self, ID_NIL, s->watched, CANCEL_INTERRUPT,
                           STR("the client disconnected"), false, &err);
    if (rc < 0 && rc != ERR_CONFLICT)
        log_event(LOG_WARN, "run.cancel.failed", err.message, LOG_Z("code", err_name(rc)));
    stream_unref(s);
}

static void on_closed(struct http_stream *http, void *ctx) {
    (void)http;
    struct run_stream *s = ctx;
    s->http = NULL;
    struct hub_reader *reader = s->reader;
    s->reader = NULL;
    hub_reader_close(reader);
    fiber_event_wake_all(&s->drained);
    if (!id_is_nil(s->watched) && !s->ended) {
        s->refs++;
        if (!fiber_spawn(s->rt, "run.cancel", cancel_fiber, s, NULL))
            stream_unref(s);
    }
    stream_unref(s);
}

struct run_stream *run_stream_open(struct api_request *r) {
    struct run_stream *s = NEW(struct run_stream);
    s->rt = fiber_rt();
    s->engine = r->engine;
    s->refs = 1;
    fiber_event_init(&s->drained);
    http_reply_header(r->http, STR("Cache-Control"), STR("no-store"));
    http_reply_header(r->http, STR("X-Accel-Buffering"), STR("no"));
    struct http_stream_ops ops = {
        .writable = on_writable, .closed = on_closed, .ctx = s, .heartbeat = STR(": heartbeat\n")};
    s->http = http_reply_stream(r->http, 200, STR("text/event-stream"), &ops);
    return s;
}

bool run_stream_frame(void *stream, str event, str data, str id) {
    struct run_stream *s = stream;
    if (!s->http)
        return false;
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    sse_write(&b, event, data, id);
    bool taken = http_stream_write(s->http, buf_view(&b));
    buf_deinit(&b);
    return taken;
}

void run_stream_finished(void *stream) {
    struct run_stream *s = stream;
    s->ended = true;
    if (s->http)
        http_stream_end(s->http);
}

void run_stream_room(void *stream) {
    struct run_stream *s = stream;
    if (!s->http || http_stream_pending(s->http) < REPLAY_AHEAD_BYTES)
        return;
    s->refs++;
    while (s->http && http_stream_pending(s->http) >= REPLAY_AHEAD_BYTES) {
        http_stream_want(s->http);
        if (fiber_event_wait(&s->drained, FIBER_NO_DEADLINE) < 0)
            break;
    }
    stream_unref(s);
}

struct hub_reader **run_stream_reader(struct run_stream *s) {
    return &s->reader;
}

void run_stream_watch(struct run_stream *s, struct id run_id) { s->watched = run_id; }

/* --- joining --- */

struct join {
    struct id thread_id, run_id; /* run nil: the thread */
    unsigned modes;
    int64_t first_seq;
    struct hub_cursor cursor;
    bool watch;
};

static int join(struct api_request *r, const struct join *j, struct err *err) {
    struct run_stream *s = run_stream_open(r);
    if (j->watch)
        run_stream_watch(s, j->run_id);
    struct hub_reader_options o = {.thread_id = j->thread_id,
                                   .run_id = j->run_id,
                                   .modes = j->modes,
                                   .frame = run_stream_frame,
                                   .finished = run_stream_finished,
                                   .ctx = s};
    s->refs++;
    int rc = hub_reader_replay(engine_hub(r->engine), &o, j->first_seq, &j->cursor, run_stream_room,
                               run_stream_reader(s), err);
    if (rc < 0 && s->http) {
        log_event(LOG_ERROR, "stream.replay.failed", err->message, LOG_Z("code", err_name(rc)));
        http_stream_abort(s->http); /* the client comes back with its cursor */
    }
    stream_unref(s);
    return 0; /* the head is sent: nothing more to answer */
}

static unsigned query_modes(struct api_request *r, const char *name, unsigned fallback, int *rc,
                            struct err *err) {
    str *words;
    size_t count;
    unsigned modes = 0;
    *rc = http_query_list(r->arena, &r->query, name, true, &words, &count, err);
    for (size_t i = 0; *rc == 0 && i < count; i++) {
        unsigned one = 0;
        *rc = stream_modes_parse(words[i], 0, &one, err);
        modes |= one;
    }
    return modes ? modes : fallback;
}

static int read_cursor(struct api_request *r, struct hub_cursor *out, bool *given,
                       struct err *err) {
    str text = http_header(r->http, STR("last-event-id"));
    *given = text.p != NULL;
    *out = (struct hub_cursor){0};
    if (!text.p || str_eq(text, STR("-1")) || str_eq(text, STR("-")))
        return 0;
    if (!hub_cursor_parse(text, out))
        return err_set(err, ERR_INVALID, "Last-Event-ID: is not one of this server's");
    return 0;
}

int run_join_stream(struct api_request *r, struct id thread_id, struct id run_id,
                    struct err *err) {
    struct run run;
    struct join j = {.run_id = run_id};
    bool given;
    int rc = run_get(r->store, &r->who, thread_id, run_id, r->arena, &run, err);
    if (rc == 0)
        rc = read_cursor(r, &j.cursor, &given, err);
    if (rc < 0)
        return rc;
    yyjson_val *kwargs;
    unsigned own = STREAM_VALUES;
    if (json_parse(r->arena, run.kwargs, &kwargs, NULL) < 0 ||
        stream_modes_read(json_get(kwargs, "stream_mode"), STREAM_VALUES, &own, NULL) < 0)
        own = STREAM_VALUES;
    j.thread_id = run.thread_id;
    j.first_seq = run.first_seq;
    j.modes = query_modes(r, "stream_mode", own, &rc, err);
    if (rc < 0)
        return rc;
    bool live = run.status == RUN_PENDING || run.status == RUN_RUNNING;
    j.watch = live && api_cancels_on_disconnect(r);
    run_headers(r, &run, "stream");
    return join(r, &j, err);
}

int api_run_join_stream(struct api_request *r, struct err *err) {
    struct id thread_id, run_id;
    int rc = api_param_id(r, 0, &thread_id, err, "Run not found");
    if (rc == 0)
        rc = api_param_id(r, 1, &run_id, err, "Run not found");
    return rc < 0 ? rc : run_join_stream(r, thread_id, run_id, err);
}

int api_run_join_stream_stateless(struct api_request *r, struct err *err) {
    struct id run_id;
    int rc = api_param_id(r, 0, &run_id, err, "Run not found");
    return rc < 0 ? rc : run_join_stream(r, ID_NIL, run_id, err);
}

/* run_modes: all that the runs stream; state_update: values; lifecycle: starts and errors. */
static int thread_modes(struct api_request *r, unsigned *out, struct err *err) {
    str *words;
    size_t count;
    int rc = http_query_list(r->arena, &r->query, "stream_modes", true, &words, &count, err);
    if (rc == 0 && count == 0)
        rc = http_query_list(r->arena, &r->query, "stream_mode", true, &words, &count, err);
    if (rc < 0)
        return rc;
    *out = count == 0 ? HUB_MODES_OF_RUN : 0;
    for (size_t i = 0; i < count; i++) {
        if (str_eq(words[i], STR("run_modes")))
            *out |= HUB_MODES_OF_RUN;
        else if (str_eq(words[i], STR("state_update")))
            *out |= STREAM_VALUES;
        else if (!str_eq(words[i], STR("lifecycle")))
            return err_set(err, ERR_INVALID,
                           "stream_modes: must be one of run_modes, lifecycle, state_update");
    }
    return 0;
}

int api_thread_stream(struct api_request *r, struct err *err) {
    struct id id;
    struct thread t;
    struct join j = {0};
    bool given;
    int rc = api_param_id(r, 0, &id, err, "Thread with ID " STR_FMT " not found",
                          STR_ARG(r->match.params[0]));
    if (rc == 0)
        rc = thread_get(r->store, &r->who, id, r->arena, &t, err);
    if (rc == 0)
        rc = thread_modes(r, &j.modes, err);
    if (rc == 0)
        rc = read_cursor(r, &j.cursor, &given, err);
    if (rc < 0)
        return rc;
    j.thread_id = id;
    if (!given) /* from now on */
        j.cursor = (struct hub_cursor){.seq = t.seq, .k = INT64_MAX, .frames = INT64_MAX};
    if (j.cursor.seq > 0) {
        rc = log_last_start(r->store, id, j.cursor.seq, r->arena, &j.first_seq, err);
        if (rc < 0)
            return rc;
    }
    return join(r, &j, err);
}
