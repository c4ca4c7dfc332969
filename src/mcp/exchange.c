/* SPDX-License-Identifier: Apache-2.0 */
/* exchange.c - one request to an MCP server and its answer.
 *
 * Every message is a POST. The answer is a JSON document, or a stream of server-sent events: first
 * what belongs to the request (progress, requests of the server), then the response, after which
 * the stream is left. Servers of the older revisions may end a stream early; when its events had
 * ids, the rest is asked for with GET and Last-Event-ID, a few times.
 *
 * Of what a server asks, ping is answered; sampling, elicitation and roots are declined.
 *
 * Time: `timeout_us` without a sign of progress, HARD_LIMIT_US in all. When the fiber is cancelled
 * or the time is over, the connection is cut, which is how newer servers hear of it; older ones are
 * told by notifications/cancelled, from a fiber of its own, since this one must go.
 *
 * Hostile servers: heads, documents, events and whole streams have limits; session ids are taken
 * only when they can stand in a header; texts are shown in one short line. Redirects are not
 * followed, so credentials stay with the address that was checked. */
#include "base/buf.h"
#include "base/mem.h"
#include "http/sse.h"
#include "mcp/mcp_int.h"

#define TIMEOUT_US         60000000
#define HARD_LIMIT_US      600000000
#define CONNECT_TIMEOUT_US 10000000
#define FAREWELL_US        3000000
#define ERROR_BYTES_MAX    ((size_t)64 * 1024)
#define STREAM_BYTES_MAX   ((size_t)32 << 20)
#define HEADERS_MAX        48
#define ASKED_MAX          16
#define RESUMES_MAX        5
#define RESUME_PAUSE_US    500000

str mcp_host(str url) {
    ptrdiff_t at = str_find(url, STR("://"));
    str rest = at < 0 ? url : str_slice(url, (size_t)at + 3, url.len);
    size_t end = 0;
    while (end < rest.len && end < 96 && !strchr("/?#", rest.p[end]))
        end++;
    return str_slice(rest, 0, end);
}

str mcp_words(struct arena *a, str text) {
    char line[201];
    size_t n = 0;
    text.len = str_utf8_prefix(text);
    for (size_t i = 0; i < text.len && n < sizeof(line) - 1; i++)
        line[n++] = (unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f ? ' ' : text.p[i];
    return arena_dup(a, str_n(line, str_utf8_prefix(str_n(line, n))));
}

static bool is_legacy(const struct mcp_exchange *x) { return x->s->era == MCP_LEGACY; }

/* --- requests --- */

static void add_header(struct http_header *headers, size_t *count, str name, str value) {
    ASSERT(*count < HEADERS_MAX);
    headers[(*count)++] = (struct http_header){name, value};
}

/* Copied: a session may be renewed while the request is under way. */
static size_t write_headers(struct mcp_exchange *x, struct http_header *out) {
    size_t n = 0;
    add_header(out, &n, STR("Content-Type"), STR("application/json"));
    add_header(out, &n, STR("Accept"), STR("application/json, text/event-stream"));
    if (!is_legacy(x)) {
        add_header(out, &n, STR("MCP-Protocol-Version"), STR(MCP_MODERN_VERSION));
        add_header(out, &n, STR("Mcp-Method"), str_of(x->method));
        if (x->name.p)
            add_header(out, &n, STR("Mcp-Name"), mcp_header_value(x->a, x->name));
        for (size_t i = 0; i < x->param_header_count; i++)
            add_header(out, &n, x->param_headers[i].name, x->param_headers[i].value);
    } else if (x->s->version[0]) {
        add_header(out, &n, STR("MCP-Protocol-Version"), arena_dup(x->a, str_of(x->s->version)));
        if (x->s->id)
            add_header(out, &n, STR("Mcp-Session-Id"), arena_dup(x->a, str_of(x->s->id)));
    }
    for (size_t i = 0; i < x->t->header_count && n < HEADERS_MAX; i++)
        out[n++] = x->t->headers[i];
    return n;
}

static void write_meta(struct json_writer *w, const struct mcp_exchange *x) {
    bool modern = !is_legacy(x);
    bool traced = trace_context_known(x->t->trace);
    if (!modern && !x->on_progress && !traced)
        return;
    jw_key(w, "_meta");
    jw_object(w);
    if (traced) {
        char parent[TRACE_PARENT_LEN];
        trace_context_write(x->t->trace, parent);
        jw_key(w, "traceparent");
        jw_str(w, str_n(parent, sizeof(parent)));
    }
    if (x->on_progress) {
        jw_key(w, "progressToken");
        jw_i64(w, x->id);
    }
    if (modern) {
        jw_key(w, "io.modelcontextprotocol/protocolVersion");
        jw_z(w, MCP_MODERN_VERSION);
        jw_key(w, "io.modelcontextprotocol/clientInfo");
        jw_raw(w, STR("{\"name\":\"holdfast\",\"version\":\"" HF_VERSION "\"}"));
        jw_key(w, "io.modelcontextprotocol/clientCapabilities");
        jw_raw(w, STR("{}"));
    }
    jw_object_end(w);
}

/* id < 0: a notification. */
static str write_body(struct mcp_exchange *x, const char *method, str params, bool meta) {
    struct buf b;
    buf_init(&b, (size_t)64 << 20);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "jsonrpc");
    jw_z(&w, "2.0");
    if (meta) {
        jw_key(&w, "id");
        jw_i64(&w, x->id);
    }
    jw_key(&w, "method");
    jw_z(&w, method);
    jw_key(&w, "params");
    jw_object(&w);
    if (meta)
        write_meta(&w, x);
    if (params.len)
        jw_raw(&w, params);
    jw_object_end(&w);
    jw_object_end(&w);
    str body = buf_ok(&b) ? arena_dup(x->a, buf_view(&b)) : STR_NULL;
    buf_deinit(&b);
    return body;
}

static int64_t left_us(const struct mcp_exchange *x) {
    int64_t until = x->deadline_us < x->end_us ? x->deadline_us : x->end_us;
    int64_t left = until - rt_mono_us(x->m->rt);
    return left > 1000 ? left : 1000;
}

static void note_sign(struct mcp_exchange *x) {
    int64_t timeout = x->t->timeout_us > 0 ? x->t->timeout_us : TIMEOUT_US;
    x->deadline_us = rt_mono_us(x->m->rt) + timeout;
}

static int send(struct mcp_exchange *x, enum http_method method, const struct http_header *headers,
                size_t count, str body, int64_t timeout_us, struct http_call **out,
                struct err *err) {
    struct http_call_options o = {
        .method = method,
        .url = x->t->url,
        .headers = headers,
        .header_count = count,
        .body = body,
        .connect_timeout_us = timeout_us < CONNECT_TIMEOUT_US ? timeout_us : CONNECT_TIMEOUT_US,
        .head_timeout_us = timeout_us,
        .idle_timeout_us = timeout_us,
        .proxy = x->t->connect_to.len ? STR("") : STR_NULL,
        .connect_to = x->t->connect_to,
        .trace = x->t->trace};
    return http_call_open(x->m->client, &o, out, err);
}

/* --- what servers ask, and what they tell --- */

static str id_text(struct arena *a, yyjson_val *id) { return json_text(a, id); }

/* ping is answered, all else declined. */
static int answer_server(struct mcp_exchange *x, const struct jsonrpc_message *asked) {
    struct http_header headers[HEADERS_MAX];
    struct http_call *call;
    struct err err;
    if (!is_legacy(x) || ++x->asked > ASKED_MAX)
        return 0;
    bool ping = str_eq(asked->method, STR("ping"));
    str body = arena_printf(
        x->a, "{\"jsonrpc\":\"2.0\",\"id\":" STR_FMT ",%s}", STR_ARG(id_text(x->a, asked->id)),
        ping ? "\"result\":{}" : "\"error\":{\"code\":-32601,\"message\":\"Method not found\"}");
    size_t count = write_headers(x, headers);
    int rc = send(x, HTTP_POST, headers, count, body, FAREWELL_US, &call, &err);
    if (rc == 0)
        http_call_close(call);
    return rc == ERR_CANCELLED ? rc : 0; /* that the server does not listen shows soon enough */
}

static void take_notification(struct mcp_exchange *x, const struct jsonrpc_message *n) {
    if (str_eq(n->method, STR("notifications/tools/list_changed"))) {
        x->s->fresh_until_us = 0;
        return;
    }
    yyjson_val *token = json_get(n->params, "progressToken");
    if (!str_eq(n->method, STR("notifications/progress")) || !yyjson_is_num(token) ||
        yyjson_get_num(token) != (double)x->id)
        return;
    note_sign(x);
    yyjson_val *total = json_get(n->params, "total");
    if (x->on_progress)
        x->on_progress(x->ctx, yyjson_get_num(json_get(n->params, "progress")),
                       yyjson_is_num(total) ? yyjson_get_num(total) : -1,
                       mcp_words(x->a, json_str(json_get(n->params, "message"))));
}

static int take_message(struct mcp_exchange *x, yyjson_val *root, struct err *err) {
    struct jsonrpc_message m;
    int rc = jsonrpc_read(root, &m, err);
    if (rc < 0 || x->answered)
        return rc;
    if (jsonrpc_answers(&m, x->id)) {
        x->answer = m;
        x->answered = true;
    } else if (m.kind == JSONRPC_REQUEST) {
        rc = answer_server(x, &m);
    } else if (m.kind == JSONRPC_NOTIFICATION) {
        take_notification(x, &m);
    }
    return rc;
}

/* The oldest revision allows arrays of messages. */
static int take_document(struct mcp_exchange *x, str text, struct err *err) {
    yyjson_val *root, *item;
    size_t i, n;
    int rc = json_parse(x->a, text, &root, err);
    if (rc < 0)
        return rc;
    if (!yyjson_is_arr(root))
        return take_message(x, root, err);
    yyjson_arr_foreach(root, i, n, item) {
        rc = take_message(x, item, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- answers --- */

struct stream {
    struct mcp_exchange *x;
    struct err *err;
};

static int on_event(void *ctx, const struct sse_event *e) {
    struct stream *s = ctx;
    struct mcp_exchange *x = s->x;
    if (e->id.len > 0 && e->id.len <= 1024)
        x->event_id = arena_dup(x->a, e->id);
    str data = str_trim(e->data);
    if (data.len == 0 || x->answered || !str_eq(e->event, STR("message")))
        return 0;
    return take_document(x, data, s->err);
}

static int read_stream(struct mcp_exchange *x, struct http_call *call, struct err *err) {
    struct sse_parser parser;
    struct stream s = {x, err};
    str part;
    int rc = 0;
    sse_parser_init(&parser, MCP_ANSWER_BYTES_MAX);
    while (rc == 0 && !x->answered) {
        http_call_set_idle_timeout(call, left_us(x));
        rc = http_call_read(call, &part, err);
        if (rc < 0 || part.len == 0)
            break;
        x->bytes += part.len;
        if (x->bytes > STREAM_BYTES_MAX)
            rc = err_set(err, ERR_TOO_LARGE, "a stream of more than %zu bytes", STREAM_BYTES_MAX);
        else
            rc = sse_parser_feed(&parser, part, on_event, &s);
        if (rc == 0 && !x->answered && rt_mono_us(x->m->rt) >= x->end_us)
            rc = err_set(err, ERR_TIMEOUT, "no answer in %d s", (int)(HARD_LIMIT_US / 1000000));
    }
    sse_parser_deinit(&parser);
    if (rc == ERR_TOO_LARGE)
        rc = err_set(err, rc, "the answer is too large");
    return rc;
}

static int read_whole(struct mcp_exchange *x, struct http_call *call, size_t bytes_max,
                      struct err *err) {
    str body;
    http_call_set_idle_timeout(call, left_us(x));
    int rc = http_call_read_all(call, x->a, bytes_max, &body, err);
    if (rc == 0 && body.len > 0)
        rc = take_document(x, body, err);
    return rc;
}

static bool type_is(struct http_call *call, const char *type) {
    str value = http_call_header(call, STR("content-type"));
    return str_ieq(str_slice(value, 0, strlen(type)), str_of(type));
}

static int refuse(struct mcp_exchange *x, struct err *err) {
    static const struct {
        int from, to, code;
        const char *what;
    } rows[] = {{401, 401, ERR_UNAUTHORISED, "refuses the credentials"},
                {403, 403, ERR_FORBIDDEN, "does not allow this"},
                {404, 404, ERR_NOT_FOUND, "does not know this address or session"},
                {408, 408, ERR_TIMEOUT, "timed out"},
                {429, 429, ERR_LIMIT, "limits the rate of requests"},
                {400, 499, ERR_INVALID, "refuses the request"},
                {300, 399, ERR_FORBIDDEN, "leads elsewhere, which is not followed"},
                {0, 999, ERR_UNAVAILABLE, "failed"}};
    size_t i = 0;
    while (x->status < rows[i].from || x->status > rows[i].to)
        i++;
    str words = x->answered ? mcp_words(x->a, x->answer.text) : STR("");
    return err_set_system(err, rows[i].code, x->status, "%s (status %d)%s" STR_FMT, rows[i].what,
                          x->status, words.len ? ": " : "", STR_ARG(words));
}

static void take_session_id(struct mcp_exchange *x, struct http_call *call) {
    str id = http_call_header(call, STR("mcp-session-id"));
    bool plain = id.len > 0 && id.len < sizeof(x->session_id);
    for (size_t i = 0; i < id.len && plain; i++)
        plain = id.p[i] > ' ' && id.p[i] < 0x7f;
    if (plain) {
        memcpy(x->session_id, id.p, id.len);
        x->session_id[id.len] = '\0';
    }
}

static int read_answer(struct mcp_exchange *x, struct http_call *call, struct err *err) {
    x->status = http_call_status(call);
    if (x->status < 200 || x->status > 299) {
        struct err ignored;
        if (read_whole(x, call, ERROR_BYTES_MAX, &ignored) == ERR_CANCELLED)
            return err_set(err, ERR_CANCELLED, "cancelled");
        return refuse(x, err);
    }
    take_session_id(x, call);
    if (type_is(call, "text/event-stream"))
        return read_stream(x, call, err);
    if (type_is(call, "application/json"))
        return read_whole(x, call, MCP_ANSWER_BYTES_MAX, err);
    return err_set(err, ERR_MALFORMED, "the answer is neither JSON nor a stream of events");
}

/* The stream ended before the answer: the rest of it, if the server keeps it. */
static int resume(struct mcp_exchange *x, struct err *err) {
    int rc = 0;
    for (int i = 0; i < RESUMES_MAX && rc == 0 && !x->answered && x->event_id.len; i++) {
        struct http_header headers[HEADERS_MAX + 1];
        struct http_call *call;
        rc = fiber_sleep_us(RESUME_PAUSE_US);
        if (rc < 0)
            return err_set(err, rc, "cancelled");
        size_t count = write_headers(x, headers);
        headers[0] = (struct http_header){STR("Last-Event-ID"), x->event_id}; /* no body */
        rc = send(x, HTTP_GET, headers, count, STR_NULL, left_us(x), &call, err);
        if (rc < 0)
            return rc;
        x->m->stats.resumed++;
        rc = read_answer(x, call, err);
        http_call_close(call);
        if (rc == ERR_CLOSED)
            rc = 0;
    }
    return rc;
}

/* --- saying that nobody waits any more --- */

struct farewell {
    struct mcp_exchange x;
    struct mcp_target t;
    struct mcp_session s;
    struct arena arena;
    struct http_header headers[HEADERS_MAX];
    size_t header_count;
    str body;
};

static void run_farewell(void *arg) {
    struct farewell *f = arg;
    struct http_call *call;
    struct err err;
    if (send(&f->x, HTTP_POST, f->headers, f->header_count, f->body, FAREWELL_US, &call, &err) == 0)
        http_call_close(call);
    mcp_unref(f->x.m);
    arena_deinit(&f->arena);
    mem_free(f);
}

static void say_cancelled(struct mcp_exchange *x) {
    if (!is_legacy(x) || !x->s->initialised || x->answered)
        return;
    struct farewell *f = NEW(struct farewell);
    arena_init(&f->arena, (size_t)1 << 20);
    f->x = (struct mcp_exchange){.m = x->m, .t = &f->t, .s = &f->s, .a = &f->arena};
    f->t = (struct mcp_target){.url = arena_dup(&f->arena, x->t->url),
                               .connect_to = arena_dup(&f->arena, x->t->connect_to)};
    f->header_count = write_headers(x, f->headers);
    for (size_t i = 0; i < f->header_count; i++) {
        f->headers[i].name = arena_dup(&f->arena, f->headers[i].name);
        f->headers[i].value = arena_dup(&f->arena, f->headers[i].value);
    }
    f->body = arena_printf(&f->arena,
                           "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":"
                           "{\"requestId\":%lld,\"reason\":\"nobody waits for it any more\"}}",
                           (long long)x->id);
    if (!fiber_spawn(x->m->rt, "mcp.cancelled", run_farewell, f, NULL)) {
        arena_deinit(&f->arena);
        mem_free(f);
        return;
    }
    x->m->refs++;
    x->m->stats.cancelled++;
}

/* --- together --- */

static int host_said(struct mcp_exchange *x, int rc, const struct err *cause, struct err *err) {
    (void)err_set_system(err, rc, cause->system, "the MCP server " STR_FMT ": %.180s",
                         STR_ARG(mcp_host(x->t->url)), cause->message);
    return rc;
}

int mcp_exchange(struct mcp_exchange *x, struct err *err) {
    struct http_header headers[HEADERS_MAX];
    struct http_call *call;
    struct err cause = {0};
    x->id = ++x->m->id_next;
    x->end_us = rt_mono_us(x->m->rt) + HARD_LIMIT_US;
    x->answered = false;
    x->status = 0;
    x->event_id = STR_NULL;
    note_sign(x);
    x->m->stats.requests++;
    str body = write_body(x, x->method, x->params, true);
    if (!body.p)
        return err_set(err, ERR_TOO_LARGE, "the request to the MCP server is too large");
    size_t count = write_headers(x, headers);
    int rc = send(x, HTTP_POST, headers, count, body, left_us(x), &call, &cause);
    if (rc == 0) {
        rc = read_answer(x, call, &cause);
        http_call_close(call);
    }
    if ((rc == 0 || rc == ERR_CLOSED) && !x->answered && x->event_id.len && is_legacy(x))
        rc = resume(x, &cause);
    if (rc == 0 && !x->answered)
        rc = err_set(&cause, ERR_CLOSED, "it ended without an answer");
    if (rc == ERR_CANCELLED || rc == ERR_TIMEOUT)
        say_cancelled(x);
    return rc < 0 ? host_said(x, rc, &cause, err) : 0;
}

int mcp_notify(struct mcp_exchange *x, struct err *err) {
    struct http_header headers[HEADERS_MAX];
    struct http_call *call;
    struct err cause = {0};
    x->end_us = rt_mono_us(x->m->rt) + HARD_LIMIT_US;
    note_sign(x);
    str body = write_body(x, x->method, x->params, false);
    size_t count = write_headers(x, headers);
    int rc = send(x, HTTP_POST, headers, count, body, left_us(x), &call, &cause);
    if (rc == 0) {
        x->status = http_call_status(call);
        if (x->status < 200 || x->status > 299)
            rc = refuse(x, &cause);
        http_call_close(call);
    }
    return rc < 0 ? host_said(x, rc, &cause, err) : 0;
}
