/* SPDX-License-Identifier: Apache-2.0 */
/* runs_stream.c - runs and threads as server-sent events, from now on or from a cursor.
 *
 * `namespace` names those graphs of a run whose events are wanted, each without the graphs that it
 * calls ("" is the root): a filter on frames that have their ids already, so that a reader may come
 * back with an id and other namespaces. What tells of the run as a whole passes always.
 *
 *   run ended ─▶ finished ─▶ stream ends
 *   client gone ─▶ run cancelled if it was asked to */
#include "api/reader_stream.h"
#include "api/runs_int.h"
#include "base/log.h"
#include "base/mem.h"

#define NAMESPACES_MAX      64
#define NAMESPACE_BYTES_MAX 1024

struct run_stream {
    struct reader_stream sse;
    struct engine *engine;
    struct id watched; /* the run that is cancelled on disconnect; nil: none */
    struct rt *rt;
    bool ended;
    size_t namespace_count; /* 0: all */
    str namespaces[];       /* the texts lie behind them */
};

static struct run_stream *of(void *ctx) { return CONTAINER_OF(ctx, struct run_stream, sse); }

static void stream_free(struct reader_stream *sse) { mem_free(of(sse)); }

void run_cancel_disconnected(struct engine *e, struct id run_id) {
    struct principal self = {.all = true};
    struct err err = {0};
    int rc = engine_cancel(e, &self, ID_NIL, run_id, CANCEL_INTERRUPT,
                           STR("the client disconnected"), false, &err);
    if (rc < 0 && rc != ERR_CONFLICT)
        log_event(LOG_WARN, "run.cancel.failed", err.message, LOG_Z("code", err_name(rc)));
}

static void cancel_fiber(void *arg) {
    struct run_stream *s = arg;
    run_cancel_disconnected(s->engine, s->watched);
    reader_stream_unref(&s->sse);
}

static void stream_closed(struct reader_stream *sse) {
    struct run_stream *s = of(sse);
    if (id_is_nil(s->watched) || s->ended)
        return;
    reader_stream_ref(sse);
    if (!fiber_spawn(s->rt, "run.cancel", cancel_fiber, s, NULL))
        reader_stream_unref(sse);
}

static bool is_of_run(str event) {
    return str_eq(event, STR("metadata")) || str_eq(event, STR("error")) ||
           str_eq(event, STR("feedback"));
}

static bool is_wanted(const struct run_stream *s, str event) {
    ptrdiff_t bar = str_find_char(event, '|');
    str name_space = bar < 0 ? STR("") : str_slice(event, (size_t)bar + 1, event.len);
    bool wanted = s->namespace_count == 0 || is_of_run(event);
    for (size_t i = 0; i < s->namespace_count && !wanted; i++)
        wanted = str_eq(s->namespaces[i], name_space);
    return wanted;
}

static bool on_frame(void *ctx, str event, str data, str id) {
    return !is_wanted(of(ctx), event) || reader_stream_send(ctx, event, data, id);
}

static void on_finished(void *ctx) {
    of(ctx)->ended = true;
    reader_stream_end(ctx);
}

int run_namespaces_read(struct api_request *r, struct run_namespaces *out, struct err *err) {
    int rc =
        http_query_list(r->arena, &r->query, "namespace", false, &out->names, &out->count, err);
    if (rc == 0 && out->count > NAMESPACES_MAX)
        rc = err_set(err, ERR_INVALID, "namespace: at most %d", NAMESPACES_MAX);
    for (size_t i = 0; rc == 0 && i < out->count; i++)
        if (out->names[i].len > NAMESPACE_BYTES_MAX)
            rc = err_set(err, ERR_INVALID, "namespace: is too long");
    return rc;
}

static struct run_stream *stream_new(const struct run_namespaces *wanted) {
    size_t bytes = 0, count = wanted ? wanted->count : 0;
    for (size_t i = 0; i < count; i++)
        bytes += wanted->names[i].len;
    struct run_stream *s = mem_alloc(sizeof(*s) + count * sizeof(str) + bytes);
    *s = (struct run_stream){.namespace_count = count};
    char *text = (char *)&s->namespaces[count];
    for (size_t i = 0; i < count; i++) {
        str name = wanted->names[i];
        s->namespaces[i] = str_n(text, name.len);
        if (name.len)
            memcpy(text, name.p, name.len);
        text += name.len;
    }
    return s;
}

/* watched: the run that is cancelled when the client goes before its end; nil: none. */
static struct run_stream *stream_open(struct api_request *r, struct id watched,
                                      const struct run_namespaces *wanted) {
    struct run_stream *s = stream_new(wanted);
    s->rt = fiber_rt();
    s->engine = r->engine;
    s->watched = watched;
    reader_stream_init(&s->sse, stream_closed, stream_free);
    reader_stream_open(&s->sse, r);
    return s;
}

void run_stream_live(struct api_request *r, const struct live_run *run,
                     const struct run_namespaces *wanted) {
    struct id id = live_run_id(run);
    struct run_stream *s = stream_open(r, live_run_cancel_on_disconnect(run) ? id : ID_NIL, wanted);
    struct hub_reader_options o = {.thread_id = live_run_thread(run),
                                   .run_id = id,
                                   .modes = live_run_modes(run),
                                   .frame = on_frame,
                                   .finished = on_finished,
                                   .ctx = &s->sse};
    reader_stream_live(&s->sse, engine_hub(r->engine), &o);
}

/* --- joining --- */

struct join {
    struct id thread_id, run_id; /* run nil: the thread */
    unsigned modes;
    int64_t first_seq;
    struct hub_cursor cursor;
    struct run_namespaces wanted;
    bool watch;
};

static int join(struct api_request *r, const struct join *j, struct err *err) {
    struct run_stream *s = stream_open(r, j->watch ? j->run_id : ID_NIL, &j->wanted);
    struct hub_reader_options o = {.thread_id = j->thread_id,
                                   .run_id = j->run_id,
                                   .modes = j->modes,
                                   .frame = on_frame,
                                   .finished = on_finished,
                                   .ctx = &s->sse};
    return reader_stream_replay(&s->sse, engine_hub(r->engine), &o, j->first_seq, &j->cursor, err);
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

/* The entry of the run that made this checkpoint; 0: none. */
static int checkpoint_find(struct store *store, const struct run *run, struct id id, int64_t *out,
                           struct err *err) {
    struct arena page;
    struct log_entry *entries;
    size_t count;
    int64_t after = run->first_seq;
    int rc;
    *out = 0;
    arena_init(&page, SIZE_MAX / 2);
    str head = arena_printf(&page, "{\"id\":\"" STR_FMT "\"", STR_ARG(id_dashed(&page, id)));
    char wanted[64]; /* longer than head; the arena is reset for each page */
    ASSERT(head.len < sizeof(wanted));
    memcpy(wanted, head.p, head.len);
    do {
        arena_reset(&page);
        rc = log_read(store, run->thread_id, after, LOG_PAGE_MAX, &page, &entries, &count, err);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            const struct log_entry *e = &entries[i];
            after = e->seq;
            if (e->kind == LOG_CHECKPOINT && id_eq(e->run_id, run->id) &&
                str_starts(e->data, str_n(wanted, head.len)))
                *out = e->seq;
        }
    } while (rc == 0 && count == LOG_PAGE_MAX && *out == 0);
    arena_deinit(&page);
    return rc;
}

/* checkpoint_id: the client shows that state already; it gets what comes after it. One that is not
 * of the run, and no id at all, mean the whole run. */
static int behind_checkpoint(struct api_request *r, const struct run *run, struct hub_cursor *out,
                             struct err *err) {
    str text = http_query_get(&r->query, "checkpoint_id");
    struct id id;
    int64_t seq = 0;
    if (out->seq > 0 || !id_parse(text, &id))
        return 0;
    int rc = checkpoint_find(r->store, run, id, &seq, err);
    if (rc == 0 && seq > 0)
        *out = (struct hub_cursor){.seq = seq, .frames = INT64_MAX};
    return rc;
}

int run_join_stream(struct api_request *r, struct id thread_id, struct id run_id, struct err *err) {
    struct run run;
    struct join j = {.run_id = run_id};
    bool given;
    int rc = run_get(r->store, &r->who, thread_id, run_id, r->arena, &run, err);
    if (rc == 0)
        rc = run_namespaces_read(r, &j.wanted, err);
    if (rc == 0)
        rc = read_cursor(r, &j.cursor, &given, err);
    if (rc == 0)
        rc = behind_checkpoint(r, &run, &j.cursor, err);
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
