/* SPDX-License-Identifier: Apache-2.0 */
/* mock_llm.c - the model stand-in's server: pacing, failures, statistics.
 *
 * A call holds no fiber while it waits: one timer paces it, and each tick sends all frames that are
 * due by now, so a late tick does not slow the stream down. Frame k (0 is the role, then come the
 * tokens) is due at start + delay + k * token_delay; the closing frames go with the last token.
 * With a token delay of 0 everything leaves in one write, still one frame a token.
 *
 *   WAITING --delay--> SENDING --last frame--> ENDED       closed: free
 *      |                  `--half, fail "cut"--> CUT       (all sent, then the connection is cut)
 *      `--- the client goes away: closed in any earlier state counts as cancelled
 *
 * Answers that are not streamed and must wait are sent as a stream too, since only a stream
 * notices a client that went away. */
#include "app/mock_llm.h"

#include "app/mock_llm_int.h"
#include "base/id.h"
#include "base/json.h"
#include "base/rand.h"
#include "http/server.h"

#define SCRATCH_BYTES_MAX ((size_t)512 << 20)
#define CACHE_COUNT       8
#define BODY_BYTES_MAX    ((size_t)64 << 20)

struct cached_frames {
    struct mock_frames *frames; /* NULL: free */
    size_t token_count, token_max;
};

struct mock_llm {
    struct rt *rt;
    struct mock_llm_options o;
    struct mock_llm_stats stats;
    struct http_server *server;
    struct buf scratch;
    uint64_t id_next;
    int fail_first_left;
    struct cached_frames cache[CACHE_COUNT];
    size_t cache_next;
    void (*done)(void *arg);
    void *done_arg;
};

struct mock_call {
    struct mock_llm *m;
    struct http_stream *stream;
    struct mock_frames *frames;
    struct rt_timer timer;
    enum { MOCK_WAITING, MOCK_SENDING, MOCK_CUT, MOCK_ENDED } state;
    enum mock_fail fail;
    bool sse, include_usage;
    char id[MOCK_ID_LEN];
    size_t prompt_tokens;
    size_t frames_sent;
    int64_t start_us, delay_us, token_delay_us; /* start: when the first frame is due */
};

/* --- small answers --- */

static void reply_error(struct http_request *req, int status, const char *type, const char *text) {
    str body =
        arena_printf(req->arena, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"code\":%d}}",
                     text, type, status);
    http_reply(req, status, STR("application/json"), body);
}

static void reply_rate(struct mock_llm *m, struct http_request *req, const char *text) {
    if (m->o.retry_after_s > 0)
        http_reply_header(req, STR("Retry-After"),
                          arena_printf(req->arena, "%d", m->o.retry_after_s));
    reply_error(req, 429, "rate_limit_error", text);
}

static void reply_models(struct http_request *req) {
    http_reply(req, 200, STR("application/json"),
               STR("{\"object\":\"list\",\"data\":["
                   "{\"id\":\"mock\",\"object\":\"model\",\"created\":0,\"owned_by\":\"holdfast\"},"
                   "{\"id\":\"gpt-4o-mini\",\"object\":\"model\",\"created\":0,"
                   "\"owned_by\":\"holdfast\"}]}"));
}

static void reply_stats(struct mock_llm *m, struct http_request *req) {
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {{"requests", m->stats.requests},
                {"active", m->stats.active},
                {"peak_concurrency", m->stats.peak},
                {"tokens_sent", m->stats.tokens_sent},
                {"errors_injected", m->stats.errors_injected},
                {"embeddings", m->stats.embeddings},
                {"rejected", m->stats.rejected},
                {"cancelled", m->stats.cancelled},
                {"connections", http_server_connections(m->server)}};
    buf_reset(&m->scratch);
    struct json_writer w = json_writer(&m->scratch);
    jw_object(&w);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        jw_key(&w, rows[i].key);
        jw_i64(&w, (int64_t)rows[i].value);
    }
    jw_object_end(&w);
    http_reply(req, 200, STR("application/json"), buf_view(&m->scratch));
}

/* --- answers --- */

/* The usual answers are kept per model; scripted ones are made for their request. */
static struct mock_frames *frames_take(struct mock_llm *m, const struct mock_script *script) {
    struct mock_answer answer = script->answer;
    if (script->dialect != MOCK_OPENAI) {
        if (!answer.text.p && answer.token_count == 0 && m->o.answer_tokens > 0)
            answer.token_count = (size_t)m->o.answer_tokens;
        return mock_dialect_frames(script, &answer);
    }
    if (answer.call_count > 0 || answer.text.p)
        return mock_frames_new(script->model, &answer);
    if (answer.token_count == 0)
        answer.token_count =
            m->o.answer_tokens > 0 ? (size_t)m->o.answer_tokens : MOCK_FIXED_TOKENS;
    if (answer.token_max >= answer.token_count)
        answer.token_max = 0;
    for (size_t i = 0; i < CACHE_COUNT; i++) {
        struct cached_frames *c = &m->cache[i];
        if (c->frames && c->token_count == answer.token_count && c->token_max == answer.token_max &&
            str_eq(str_of(c->frames->model), script->model)) {
            c->frames->refs++;
            return c->frames;
        }
    }
    struct cached_frames *c = &m->cache[m->cache_next++ % CACHE_COUNT];
    mock_frames_unref(c->frames);
    *c = (struct cached_frames){mock_frames_new(script->model, &answer), answer.token_count,
                                answer.token_max};
    c->frames->refs++;
    return c->frames;
}

static void next_id(struct mock_llm *m, char out[MOCK_ID_LEN]) {
    uint64_t id = m->id_next++;
    for (int i = MOCK_ID_LEN - 1; i >= 0; i--, id >>= 4)
        out[i] = "0123456789abcdef"[id & 15];
}

static void note_active(struct mock_llm *m) {
    m->stats.active++;
    if (m->stats.active > m->stats.peak)
        m->stats.peak = m->stats.active;
}

static void call_end(struct mock_call *call) {
    call->state = MOCK_ENDED;
    http_stream_end(call->stream);
}

/* What was written must reach the kernel before the connection is cut: writable says when. */
static void call_cut(struct mock_call *call) {
    call->state = MOCK_CUT;
    http_stream_want(call->stream);
}

static void call_writable(struct http_stream *s, void *ctx) {
    const struct mock_call *call = ctx;
    if (call->state == MOCK_CUT)
        http_stream_abort(s);
}

static void call_closed(struct http_stream *s, void *ctx) {
    (void)s;
    struct mock_call *call = ctx;
    struct mock_llm *m = call->m;
    if (call->state != MOCK_ENDED && call->state != MOCK_CUT)
        m->stats.cancelled++;
    m->stats.active--;
    rt_timer_stop(m->rt, &call->timer);
    mock_frames_unref(call->frames);
    mem_free(call);
}

static void send_garbage(struct mock_call *call) {
    (void)http_stream_write(call->stream, call->sse ? STR("data: {\"id\": <garbage>\n\n")
                                                    : STR("<html>no JSON here</html>"));
    call_end(call);
}

static void send_whole(struct mock_call *call) {
    struct mock_llm *m = call->m;
    buf_reset(&m->scratch);
    mock_frames_write_whole(call->frames, call->id, call->prompt_tokens, &m->scratch);
    str body = buf_view(&m->scratch);
    if (call->fail == MOCK_FAIL_CUT) {
        (void)http_stream_write(call->stream, str_slice(body, 0, body.len / 2));
        call_cut(call);
        return;
    }
    m->stats.tokens_sent += call->frames->token_count;
    (void)http_stream_write(call->stream, body); /* false: closed will run */
    call_end(call);
}

static void call_tick(struct rt_timer *t);

/* Sends what is due and sets the timer for the next frame. */
static void send_frames(struct mock_call *call) {
    struct mock_llm *m = call->m;
    const struct mock_frames *f = call->frames;
    size_t last = f->token_count; /* index of the last token's frame */
    size_t stop = call->fail == MOCK_FAIL_CUT ? last / 2 : last;
    size_t due = stop;
    if (call->token_delay_us > 0) {
        int64_t passed = rt_mono_us(m->rt) - call->start_us;
        size_t by_time = passed > 0 ? (size_t)(passed / call->token_delay_us) : 0;
        due = by_time < stop ? by_time : stop;
    }
    bool finished = due == last && call->fail != MOCK_FAIL_CUT;
    size_t to = finished ? f->ends.count : due + 1;
    buf_reset(&m->scratch);
    mock_frames_write(f, call->frames_sent, to, call->id, &m->scratch);
    if (to > call->frames_sent)
        m->stats.tokens_sent += due + 1 - call->frames_sent - (call->frames_sent == 0 ? 1 : 0);
    call->frames_sent = to;
    if (finished) {
        if (call->include_usage)
            mock_frames_write_usage(f, call->id, call->prompt_tokens, &m->scratch);
        if (!f->baked)
            buf_z(&m->scratch, "data: [DONE]\n\n");
    }
    if (!http_stream_write(call->stream, buf_view(&m->scratch)))
        return; /* closed will run */
    if (finished)
        call_end(call);
    else if (due == stop)
        call_cut(call);
    else
        rt_timer_start(m->rt, &call->timer,
                       call->start_us + (int64_t)to * call->token_delay_us - rt_mono_us(m->rt),
                       call_tick);
}

static void call_tick(struct rt_timer *t) {
    struct mock_call *call = CONTAINER_OF(t, struct mock_call, timer);
    if (call->state == MOCK_WAITING)
        call->state = MOCK_SENDING;
    if (call->fail == MOCK_FAIL_GARBAGE)
        send_garbage(call);
    else if (call->sse)
        send_frames(call);
    else
        send_whole(call);
}

static void call_start(struct mock_llm *m, struct http_request *req,
                       const struct mock_script *script, enum mock_fail fail) {
    struct mock_call *call = NEW(struct mock_call);
    int delay_ms = script->delay_ms >= 0 ? script->delay_ms : m->o.delay_ms;
    int token_delay_ms = script->token_delay_ms >= 0 ? script->token_delay_ms : m->o.token_delay_ms;
    if (fail == MOCK_FAIL_SLOW)
        delay_ms += m->o.slow_ms;
    *call = (struct mock_call){.m = m,
                               .frames = frames_take(m, script),
                               .fail = fail,
                               .sse = script->stream,
                               .include_usage = script->include_usage,
                               .prompt_tokens = script->prompt_tokens,
                               .delay_us = (int64_t)delay_ms * 1000,
                               .token_delay_us = (int64_t)token_delay_ms * 1000};
    next_id(m, call->id);
    struct http_stream_ops ops = {.writable = call_writable, .closed = call_closed, .ctx = call};
    note_active(m);
    call->start_us = rt_mono_us(m->rt) + call->delay_us;
    call->stream = http_reply_stream(
        req, 200, script->stream ? STR("text/event-stream") : STR("application/json"), &ops);
    if (fail == MOCK_FAIL_REFUSE) {
        call->state = MOCK_ENDED;
        http_stream_abort(call->stream); /* the head has not left yet */
    } else if (call->delay_us > 0) {
        rt_timer_start(m->rt, &call->timer, call->delay_us, call_tick);
    } else {
        call_tick(&call->timer);
    }
}

static enum mock_fail choose_fail(struct mock_llm *m, const struct mock_script *script) {
    if (script->fail != MOCK_FAIL_NONE)
        return script->fail;
    if (m->fail_first_left > 0) {
        m->fail_first_left--;
        return m->o.fail_kind;
    }
    if (m->o.fail_rate > 0 && (double)rand_below(1000000) < m->o.fail_rate * 1e6)
        return m->o.fail_kind;
    return MOCK_FAIL_NONE;
}

static int read_script(struct http_request *req, enum mock_dialect dialect, struct mock_script *out,
                       struct err *err) {
    if (dialect == MOCK_OPENAI)
        return mock_script_read(req->arena, req->body, out, err);
    if (dialect == MOCK_ANTHROPIC && !http_header(req, STR("anthropic-version")).len)
        return err_set(err, ERR_MALFORMED, "anthropic-version: header is required");
    return mock_dialect_read(req->arena, dialect, req->path, req->body, out, err);
}

static void handle_completion(struct mock_llm *m, struct http_request *req,
                              enum mock_dialect dialect) {
    struct mock_script script;
    struct err err;
    m->stats.requests++;
    if (read_script(req, dialect, &script, &err) < 0) {
        m->stats.rejected++;
        reply_error(req, 400, "invalid_request_error", "The body is not a valid request.");
        return;
    }
    if (m->o.concurrency > 0 && m->stats.active >= (uint64_t)m->o.concurrency) {
        m->stats.rejected++;
        reply_rate(m, req, "Too many requests at once.");
        return;
    }
    enum mock_fail fail = choose_fail(m, &script);
    m->stats.errors_injected += fail != MOCK_FAIL_NONE;
    int delay_ms = script.delay_ms >= 0 ? script.delay_ms : m->o.delay_ms;
    if (fail == MOCK_FAIL_500) {
        reply_error(req, 500, "server_error", "An injected failure.");
    } else if (fail == MOCK_FAIL_401) {
        reply_error(req, 401, "authentication_error", "An injected refusal of the credentials.");
    } else if (fail == MOCK_FAIL_429) {
        reply_rate(m, req, "An injected rate limit.");
    } else if (fail == MOCK_FAIL_NONE && !script.stream && delay_ms == 0) {
        char id[MOCK_ID_LEN];
        struct mock_frames *f = frames_take(m, &script);
        note_active(m);
        next_id(m, id);
        buf_reset(&m->scratch);
        mock_frames_write_whole(f, id, script.prompt_tokens, &m->scratch);
        http_reply(req, 200, STR("application/json"), buf_view(&m->scratch));
        m->stats.tokens_sent += f->token_count;
        m->stats.active--;
        mock_frames_unref(f);
    } else {
        call_start(m, req, &script, fail);
    }
}

/* Answered at once; failures are those that an answer can show. */
static void handle_embeddings(struct mock_llm *m, struct http_request *req) {
    static const struct mock_script none = {.fail = MOCK_FAIL_NONE};
    struct err err;
    m->stats.embeddings++;
    enum mock_fail fail = choose_fail(m, &none);
    m->stats.errors_injected += fail != MOCK_FAIL_NONE;
    buf_reset(&m->scratch);
    if (fail == MOCK_FAIL_401)
        reply_error(req, 401, "authentication_error", "An injected refusal of the credentials.");
    else if (fail == MOCK_FAIL_429)
        reply_rate(m, req, "An injected rate limit.");
    else if (fail == MOCK_FAIL_GARBAGE)
        http_reply(req, 200, STR("application/json"), STR("{\"data\":[{}]}"));
    else if (fail != MOCK_FAIL_NONE)
        reply_error(req, 500, "server_error", "An injected failure.");
    else if (mock_embeddings_write(req->arena, req->body, &m->scratch, &err) < 0)
        reply_error(req, 400, "invalid_request_error", "The body is not a valid request.");
    else
        http_reply(req, 200, STR("application/json"), buf_view(&m->scratch));
}

static void handle(struct http_request *req, void *ctx) {
    struct mock_llm *m = ctx;
    str path = req->path;
    enum mock_dialect dialect;
    if (req->method == HTTP_POST && mock_dialect_of(path, &dialect)) {
        handle_completion(m, req, dialect);
        return;
    }
    if (str_starts(path, STR("/v1/")))
        path = str_slice(path, 3, path.len);
    bool get = req->method == HTTP_GET;
    if (req->method == HTTP_POST && str_eq(path, STR("/chat/completions")))
        handle_completion(m, req, MOCK_OPENAI);
    else if (req->method == HTTP_POST && str_eq(path, STR("/embeddings")))
        handle_embeddings(m, req);
    else if (get && str_eq(path, STR("/models")))
        reply_models(req);
    else if (get && str_eq(path, STR("/stats")))
        reply_stats(m, req);
    else if (get && str_eq(path, STR("/health")))
        http_reply(req, 200, STR("application/json"), STR("{\"status\":\"ok\"}"));
    else
        reply_error(req, 404, "invalid_request_error", "There is no such route.");
}

/* --- life --- */

int mock_llm_open(struct rt *rt, const struct mock_llm_options *o, struct mock_llm **out,
                  struct err *err) {
    struct mock_llm *m = NEW(struct mock_llm);
    m->rt = rt;
    m->o = *o;
    m->fail_first_left = o->fail_first;
    m->id_next = rand_u64();
    buf_init(&m->scratch, SCRATCH_BYTES_MAX);
    struct http_server_options so;
    http_server_options_default(&so);
    so.host = m->o.host;
    so.port = m->o.port;
    so.body_bytes_max = BODY_BYTES_MAX;
    so.compress.codings = HTTP_COMPRESS_NONE;
    so.handler = handle;
    so.ctx = m;
    int rc = http_server_open(rt, &so, &m->server, err);
    if (rc < 0) {
        mem_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

int mock_llm_port(const struct mock_llm *m) { return http_server_port(m->server); }

void mock_llm_stats(const struct mock_llm *m, struct mock_llm_stats *out) { *out = m->stats; }

static void server_closed(void *arg) {
    struct mock_llm *m = arg;
    void (*done)(void *) = m->done;
    void *done_arg = m->done_arg;
    for (size_t i = 0; i < CACHE_COUNT; i++)
        mock_frames_unref(m->cache[i].frames);
    buf_deinit(&m->scratch);
    mem_free(m);
    if (done)
        done(done_arg);
}

void mock_llm_close(struct mock_llm *m, void (*done)(void *arg), void *arg) {
    m->done = done;
    m->done_arg = arg;
    http_server_close(m->server, server_closed, m);
}
