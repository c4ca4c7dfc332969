/* SPDX-License-Identifier: Apache-2.0 */
/* mcp.c - what is remembered of servers, which revision they speak, listing and calling.
 *
 * A session is kept per address, principal and credentials; its key holds a keyed hash of the
 * latter, never them: every request carries those of its own target. So nothing that one user was
 * shown is shown to another, and nobody's token is used for somebody else.
 *
 *   UNKNOWN --a request of 2026-07-28 is understood--> MODERN    each request stands alone
 *      `--the server answers, but not to that--> LEGACY          initialize, then its session id
 *
 * A refusal that a server of the new revision would write (its error codes) does not lead to
 * LEGACY, nor do refused credentials, a limited rate or no answer at all. A session that a server
 * has forgotten (404, or 400 for a request with its id) is made anew, once per request.
 *
 * Tools are listed again when their time is over (the server's ttlMs, at most tools_ttl_us) or when
 * the server says that they changed; a server that failed is asked again after FAILURE_US, so that
 * one that hangs does not delay every step of a run. Sessions are a list in order of use with a
 * limit. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/rand.h"
#include "mcp/mcp_int.h"

#define SESSIONS_MAX  256
#define TOOLS_TTL_US  300000000
#define PAGES_MAX     32
#define TOOLS_BYTES   ((size_t)16 << 20)
#define SCRATCH_BYTES ((size_t)1 << 30)
#define RETRIES_MAX   3

#define FAILURE_US 10000000

static char *dup_z(str s) {
    char *z = mem_alloc(s.len + 1);
    memcpy(z, s.p, s.len);
    z[s.len] = '\0';
    return z;
}

struct mcp *mcp_new(struct rt *rt, struct http_client *client, const struct mcp_options *o) {
    struct mcp *m = NEW(struct mcp);
    m->rt = rt;
    m->client = client;
    m->o = o ? *o : (struct mcp_options){0};
    if (m->o.sessions_max == 0)
        m->o.sessions_max = SESSIONS_MAX;
    if (m->o.tools_ttl_us == 0)
        m->o.tools_ttl_us = TOOLS_TTL_US;
    map_init(&m->by_key);
    list_init(&m->sessions);
    m->refs = 1;
    for (size_t i = 0; i < ARRAY_COUNT(m->key); i++)
        m->key[i] = rand_u64();
    return m;
}

static void session_unref(struct mcp_session *s) {
    if (--s->refs > 0)
        return;
    arena_deinit(&s->arena);
    mem_free(s->id);
    mem_free(s->key);
    mem_free(s);
}

static void forget(struct mcp *m, struct mcp_session *s) {
    (void)map_remove(&m->by_key, str_of(s->key)); /* it is there */
    list_remove(&s->node);
    m->stats.sessions--;
    session_unref(s);
}

void mcp_unref(struct mcp *m) {
    if (--m->refs > 0)
        return;
    map_deinit(&m->by_key);
    mem_free(m);
}

void mcp_free(struct mcp *m) {
    if (!m)
        return;
    while (!list_empty(&m->sessions))
        forget(m, CONTAINER_OF(m->sessions.next, struct mcp_session, node));
    mcp_unref(m);
}

void mcp_stats(const struct mcp *m, struct mcp_stats *out) { *out = m->stats; }

/* --- sessions --- */

/* Printable, and no way back to the credentials. */
static str session_key(struct mcp *m, const struct mcp_target *t, struct arena *a) {
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    for (size_t i = 0; i < t->header_count; i++) {
        buf_str(&b, t->headers[i].name);
        buf_char(&b, ':');
        buf_str(&b, t->headers[i].value);
        buf_char(&b, '\n');
    }
    str all = b.len ? buf_view(&b) : STR("");
    uint64_t one = map_siphash13(m->key, all), two = map_siphash13(m->key + 2, all);
    buf_deinit(&b);
    return arena_printf(a, "%016llx%016llx %zu " STR_FMT " " STR_FMT, (unsigned long long)one,
                        (unsigned long long)two, t->principal.len, STR_ARG(t->principal),
                        STR_ARG(t->url));
}

/* A reference. */
static struct mcp_session *session_take(struct mcp *m, const struct mcp_target *t,
                                        struct arena *a) {
    str key = session_key(m, t, a);
    struct mcp_session *s = map_get(&m->by_key, key);
    if (s) {
        list_remove(&s->node);
    } else {
        while (m->stats.sessions >= m->o.sessions_max)
            forget(m, CONTAINER_OF(m->sessions.next, struct mcp_session, node));
        s = NEW(struct mcp_session);
        s->refs = 1;
        s->key = dup_z(key);
        arena_init(&s->arena, TOOLS_BYTES);
        (void)map_put(&m->by_key, str_of(s->key), s); /* it was not there */
        m->stats.sessions++;
    }
    list_push_back(&m->sessions, &s->node);
    s->refs++;
    return s;
}

static struct mcp_exchange exchange_of(struct mcp *m, const struct mcp_target *t,
                                       struct mcp_session *s, struct arena *a, const char *method) {
    return (struct mcp_exchange){.m = m, .t = t, .s = s, .a = a, .method = method};
}

static bool version_is_known(str version) {
    static const char *const known[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        if (str_eq(version, str_of(known[i])))
            return true;
    return false;
}

static int rpc_failed(const struct mcp_exchange *x, const char *what, struct err *err) {
    return err_set(err, ERR_UNSUPPORTED,
                   "the MCP server " STR_FMT ": %s failed: " STR_FMT " (code %lld)",
                   STR_ARG(mcp_host(x->t->url)), what, STR_ARG(mcp_words(x->a, x->answer.text)),
                   (long long)x->answer.code);
}

/* Of the older revisions. The session's words change only when all went well. */
static int initialise(struct mcp *m, const struct mcp_target *t, struct mcp_session *s,
                      struct arena *a, struct err *err) {
    struct mcp_session fresh = {.era = MCP_LEGACY};
    struct mcp_exchange x = exchange_of(m, t, &fresh, a, "initialize");
    x.params = STR("\"protocolVersion\":\"" MCP_LEGACY_VERSION "\",\"capabilities\":{},"
                   "\"clientInfo\":{\"name\":\"holdfast\",\"version\":\"" HF_VERSION "\"}");
    int rc = mcp_exchange(&x, err);
    if (rc < 0)
        return rc;
    if (x.answer.kind == JSONRPC_ERROR)
        return rpc_failed(&x, "initialize", err);
    str version = json_str(json_get(x.answer.result, "protocolVersion"));
    if (!version_is_known(version))
        return err_set(err, ERR_UNSUPPORTED,
                       "the MCP server " STR_FMT " speaks the revision \"" STR_FMT
                       "\", which is not known",
                       STR_ARG(mcp_host(t->url)), STR_ARG(mcp_words(a, version)));
    memcpy(fresh.version, version.p, version.len);
    if (x.session_id[0])
        fresh.id = arena_z(a, str_of(x.session_id));
    struct mcp_exchange n = exchange_of(m, t, &fresh, a, "notifications/initialized");
    rc = mcp_notify(&n, err);
    if (rc < 0)
        return rc;
    m->stats.initialised++;
    memcpy(s->version, fresh.version, sizeof s->version);
    mem_free(s->id);
    s->id = fresh.id ? dup_z(str_of(fresh.id)) : NULL;
    s->era = MCP_LEGACY;
    s->initialised = true;
    s->generation++;
    return 0;
}

/* A request in a session that is known; a forgotten one is made anew. */
static int ask(struct mcp_exchange *x, struct err *err) {
    struct mcp_session *s = x->s;
    int rc = 0;
    if (s->era == MCP_LEGACY && !s->initialised)
        rc = initialise(x->m, x->t, s, x->a, err);
    if (rc < 0)
        return rc;
    uint64_t generation = s->generation;
    bool had_id = s->id != NULL;
    rc = mcp_exchange(x, err);
    bool forgotten = s->era == MCP_LEGACY && had_id &&
                     (rc == ERR_NOT_FOUND || (rc == ERR_INVALID && x->status == 400));
    if (!forgotten)
        return rc;
    if (s->generation == generation) { /* nobody else has noticed */
        rc = initialise(x->m, x->t, s, x->a, err);
        if (rc < 0)
            return rc;
    }
    return mcp_exchange(x, err);
}

/* --- listing --- */

/* Did a server that knows the new revision write this? */
static bool is_modern_refusal(const struct mcp_exchange *x, bool *out_other_version) {
    if (!x->answered || x->answer.kind != JSONRPC_ERROR)
        return false;
    *out_other_version = x->answer.code == MCP_UNSUPPORTED_VERSION;
    return *out_other_version || x->answer.code == MCP_HEADER_MISMATCH ||
           x->answer.code == MCP_MISSING_CAPABILITY;
}

static bool speaks_legacy(const struct mcp_exchange *x) {
    yyjson_val *supported = json_get(x->answer.data, "supported"), *v;
    size_t i, n;
    if (yyjson_is_arr(supported))
        yyjson_arr_foreach(supported, i, n, v) if (version_is_known(json_str(v))) return true;
    return false;
}

/* The first page in the words of the new revision. *out_legacy: it is to be asked in the old. */
static int first_page(struct mcp_exchange *x, bool *out_legacy, struct err *err) {
    bool other_version = false;
    *out_legacy = false;
    int rc = mcp_exchange(x, err);
    if (rc == ERR_CANCELLED || rc == ERR_UNAUTHORISED || rc == ERR_FORBIDDEN || rc == ERR_LIMIT ||
        (rc < 0 && x->status == 0))
        return rc;
    if (is_modern_refusal(x, &other_version)) {
        *out_legacy = other_version && speaks_legacy(x);
        if (*out_legacy)
            return 0;
        return rc < 0 ? rc : rpc_failed(x, "tools/list", err);
    }
    if (rc < 0 || x->answer.kind == JSONRPC_ERROR) {
        *out_legacy = true;
        return 0;
    }
    /* Some older servers answer without a session; what they lack shows their age. */
    *out_legacy = !json_has(x->answer.result, "resultType");
    return 0;
}

static int64_t fresh_for_us(const struct mcp *m, yyjson_val *result) {
    yyjson_val *ttl = json_get(result, "ttlMs");
    double us = yyjson_get_num(ttl) * 1000;
    if (!yyjson_is_num(ttl) || us >= (double)m->o.tools_ttl_us)
        return m->o.tools_ttl_us;
    return us > 1000000 ? (int64_t)us : 1000000; /* a second: else each step of a run would ask */
}

static int list_pages(struct mcp_exchange *x, struct mcp_tools *tools, struct arena *keep,
                      int64_t *out_fresh_us, struct err *err) {
    struct err cause = {0};
    for (int page = 0; page < PAGES_MAX; page++) {
        str cursor;
        if (page > 0 || !x->answered) {
            int rc = ask(x, err);
            if (rc < 0)
                return rc;
        }
        if (x->answer.kind == JSONRPC_ERROR) {
            if (x->answer.code == -32601 && page == 0)
                return 0; /* a server without tools */
            return rpc_failed(x, "tools/list", err);
        }
        if (page == 0)
            *out_fresh_us = fresh_for_us(x->m, x->answer.result);
        int rc =
            mcp_tools_add(keep, tools, x->answer.result, x->s->era == MCP_MODERN, &cursor, &cause);
        if (rc < 0)
            return err_set(err, rc, "the MCP server " STR_FMT ": %s", STR_ARG(mcp_host(x->t->url)),
                           cause.message);
        if (!cursor.p)
            return 0;
        struct buf b;
        buf_init(&b, 64 * 1024);
        buf_z(&b, "\"cursor\":\"");
        json_escape(&b, cursor);
        buf_char(&b, '"');
        x->params = arena_take(x->a, &b);
    }
    tools->refused = STR("more pages of tools than are read");
    return 0;
}

static int refresh(struct mcp *m, const struct mcp_target *t, struct mcp_session *s,
                   struct err *err) {
    struct arena scratch, keep;
    struct mcp_tools tools = {0};
    int64_t fresh_us = m->o.tools_ttl_us;
    bool legacy = s->era == MCP_LEGACY;
    int rc = 0;
    arena_init(&scratch, SCRATCH_BYTES);
    arena_init(&keep, TOOLS_BYTES);
    struct mcp_exchange x = exchange_of(m, t, s, &scratch, "tools/list");
    if (s->era == MCP_UNKNOWN)
        rc = first_page(&x, &legacy, err);
    if (rc == 0 && legacy && s->era != MCP_LEGACY) {
        rc = initialise(m, t, s, &scratch, err);
        x.answered = false;
    } else if (rc == 0 && s->era == MCP_UNKNOWN) {
        s->era = MCP_MODERN;
    }
    if (rc == 0)
        rc = list_pages(&x, &tools, &keep, &fresh_us, err);
    arena_deinit(&scratch);
    if (rc < 0) {
        arena_deinit(&keep);
        return rc;
    }
    arena_deinit(&s->arena);
    s->arena = keep;
    s->tools = tools;
    s->listed = true;
    s->fresh_until_us = rt_mono_us(m->rt) + fresh_us;
    return 0;
}

static void copy_tools(struct arena *a, const struct mcp_tools *from, struct mcp_tools *out) {
    *out = (struct mcp_tools){.items = ARENA_ARRAY(a, struct mcp_tool, from->count + 1),
                              .count = from->count,
                              .refused = arena_dup(a, from->refused)};
    for (size_t i = 0; i < from->count; i++)
        out->items[i] = (struct mcp_tool){arena_dup(a, from->items[i].name),
                                          arena_dup(a, from->items[i].description),
                                          arena_dup(a, from->items[i].schema)};
}

int mcp_tools_list(struct mcp *m, const struct mcp_target *t, struct arena *a,
                   struct mcp_tools *out, struct err *err) {
    fiber_assert_inside();
    struct mcp_session *s = session_take(m, t, a);
    struct err cause = {0};
    int rc = 0;
    if (rt_mono_us(m->rt) < s->failed_until_us) {
        cause = s->failure;
        rc = cause.code;
    } else if (!s->listed || rt_mono_us(m->rt) >= s->fresh_until_us) {
        rc = refresh(m, t, s, &cause);
        if (rc < 0 && rc != ERR_CANCELLED) {
            s->failure = cause;
            s->failed_until_us = rt_mono_us(m->rt) + FAILURE_US;
        }
    }
    if (rc < 0 && err)
        *err = cause;
    if (rc == 0)
        copy_tools(a, &s->tools, out);
    session_unref(s);
    return rc;
}

/* --- calling --- */

static str call_params(struct arena *a, const struct mcp_tool *tool, yyjson_val *arguments,
                       str request_state) {
    struct buf b;
    buf_init(&b, (size_t)32 << 20);
    struct json_writer w = json_writer(&b);
    jw_key(&w, "name");
    jw_str(&w, tool->name);
    jw_key(&w, "arguments");
    if (yyjson_is_obj(arguments))
        jw_val(&w, arguments);
    else
        jw_raw(&w, STR("{}"));
    if (request_state.p) {
        jw_key(&w, "requestState");
        jw_str(&w, request_state);
    }
    str text = buf_ok(&b) ? arena_dup(a, buf_view(&b)) : STR_NULL;
    buf_deinit(&b);
    return text;
}

static void answer_error(struct arena *a, const struct mcp_exchange *x, struct mcp_answer *out) {
    *out = (struct mcp_answer){.failed = true};
    str words = mcp_words(x->a, x->answer.text);
    out->text = arena_printf(a, "Error: the tool's server answered: " STR_FMT " (code %lld)",
                             STR_ARG(words), (long long)x->answer.code);
}

/* 1: to be asked again with *out_state. */
static int take_result(struct arena *a, struct mcp_exchange *x, struct mcp_answer *out,
                       str *out_state) {
    yyjson_val *result = x->answer.result;
    str type = json_str(json_get(result, "resultType"));
    if (!type.len || str_eq(type, STR("complete"))) {
        mcp_answer_read(a, result, out);
        return 0;
    }
    *out = (struct mcp_answer){.failed = true};
    *out_state = json_str(json_get(result, "requestState"));
    if (!str_eq(type, STR("input_required")))
        out->text = STR("Error: the tool's server answered in a way that is not known");
    else if (yyjson_obj_size(json_get(result, "inputRequests")) > 0 || !out_state->p)
        out->text = STR("Error: the tool wants to ask the user something, which is not possible "
                        "here");
    else
        return 1;
    return 0;
}

static int call(struct mcp_exchange *x, const struct mcp_tool *tool, yyjson_val *arguments,
                struct arena *a, struct mcp_answer *out, struct err *err) {
    str state = STR_NULL;
    for (int tries = 0; tries < RETRIES_MAX; tries++) {
        x->params = call_params(x->a, tool, arguments, state);
        if (!x->params.p)
            return err_set(err, ERR_TOO_LARGE, "the arguments are too large");
        int rc = ask(x, err);
        bool rpc_error = x->answered && x->answer.kind == JSONRPC_ERROR;
        if (rpc_error && (rc == 0 || rc == ERR_INVALID || rc == ERR_NOT_FOUND)) {
            if (x->answer.code == MCP_HEADER_MISMATCH)
                x->s->fresh_until_us = 0; /* its schema has changed, it seems */
            answer_error(a, x, out);
            return 0;
        }
        if (rc < 0 || take_result(a, x, out, &state) == 0)
            return rc;
    }
    out->text = STR("Error: the tool's server never finished its answer");
    return 0;
}

int mcp_tool_call(struct mcp *m, const struct mcp_target *t, const struct mcp_tool *tool,
                  yyjson_val *arguments, mcp_progress_fn on_progress, void *ctx, struct arena *a,
                  struct mcp_answer *out, struct err *err) {
    fiber_assert_inside();
    struct arena scratch;
    arena_init(&scratch, SCRATCH_BYTES);
    struct mcp_session *s = session_take(m, t, a);
    struct mcp_exchange x = exchange_of(m, t, s, &scratch, "tools/call");
    x.name = tool->name;
    x.on_progress = on_progress;
    x.ctx = ctx;
    int rc = 0;
    if (s->era == MCP_UNKNOWN) /* which words does it understand? */
        rc = refresh(m, t, s, err);
    if (rc == 0 && s->era == MCP_MODERN)
        rc = mcp_param_headers(&scratch, tool->schema, arguments, x.param_headers,
                               &x.param_header_count, err);
    if (rc == 0)
        rc = call(&x, tool, arguments, a, out, err);
    session_unref(s);
    arena_deinit(&scratch);
    return rc;
}
