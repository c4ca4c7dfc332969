/* SPDX-License-Identifier: Apache-2.0 */
/* tools.c - the table of tools, what all of them share, and those that are for tests.
 *
 * test:echo answers with its inputs; test:fail fails as often as {"times"} says (always, when it
 * does not), with {"message"}; test:sleep waits for {"ms"}. A new tool: its function, a line in the
 * table, and a line in docs/internals/plans.md. */
#include "plans/tools.h"

#define SLEEP_MS_MAX    INT64_C(86400000)
#define QUEUE_BYTES_MAX 100

static int run_echo(struct tool_call *call, struct err *err) {
    (void)err;
    call->output = call->inputs;
    return 0;
}

static int64_t input_int(struct tool_call *call, const char *key, int64_t fallback) {
    yyjson_val *v = json_get(call->input, key);
    return yyjson_is_int(v) ? yyjson_get_sint(v) : fallback;
}

static int run_fail(struct tool_call *call, struct err *err) {
    int64_t times = input_int(call, "times", INT64_MAX);
    if (call->attempt > times) {
        call->output = call->inputs;
        return 0;
    }
    str text = json_str(json_get(call->input, "message"));
    if (!text.len)
        text = STR("it was told to fail");
    return err_set(err, ERR_INTERNAL, STR_FMT, STR_ARG(str_slice(text, 0, 200)));
}

static int run_sleep(struct tool_call *call, struct err *err) {
    int64_t ms = input_int(call, "ms", 0);
    if (ms < 0 || ms > SLEEP_MS_MAX)
        return err_set(err, ERR_INVALID, "ms: must be between 0 and %lld", (long long)SLEEP_MS_MAX);
    call->output = call->inputs;
    return ms ? fiber_sleep_us(ms * 1000) : 0;
}

#define LABEL(tool, end) "tool=\"" tool "\",status=\"" end "\""
#define LABELS(tool)                                                                               \
    {                                                                                              \
        LABEL(tool, "succeeded"), LABEL(tool, "failed"), LABEL(tool, "timed_out"),                 \
            LABEL(tool, "cancelled")                                                               \
    }
static const struct tool TOOLS[] = {
    {.name = "http", .run = tool_http, .labels = LABELS("http"), .outside = true},
    {.name = "graph",
     .run = tool_graph,
     .labels = LABELS("graph"),
     .outside = true,
     .abandon = tool_graph_abandon},
    {.name = "llm", .run = tool_llm, .labels = LABELS("llm"), .outside = true},
    {.name = "mcp:", .run = tool_mcp, .labels = LABELS("mcp"), .outside = true},
    {.name = "shell", .run = tool_shell, .labels = LABELS("shell"), .outside = true},
    {.name = "db_write", .run = tool_db_write, .labels = LABELS("db_write"), .outside = true},
    {.name = "artifact:write",
     .run = tool_artifact,
     .labels = LABELS("artifact:write"),
     .outside = true},
    {.name = "worker:", .labels = LABELS("worker"), .elsewhere = true},
    {.name = "test:echo", .run = run_echo, .labels = LABELS("test:echo")},
    {.name = "test:fail", .run = run_fail, .labels = LABELS("test:fail")},
    {.name = "test:sleep", .run = run_sleep, .labels = LABELS("test:sleep")},
};
STATIC_ASSERT(ARRAY_COUNT(TOOLS) == PLAN_TOOL_COUNT, "each has its metrics");

static bool is_named(const struct tool *tool, str name) {
    str of = str_of(tool->name);
    return str_ends(of, STR(":")) ? name.len > of.len && str_starts(name, of) : str_eq(name, of);
}

const struct tool *plan_tool_find(str name) {
    for (size_t i = 0; i < ARRAY_COUNT(TOOLS); i++)
        if (is_named(&TOOLS[i], name))
            return &TOOLS[i];
    return NULL;
}

size_t plan_tool_index(const struct tool *tool) { return (size_t)(tool - TOOLS); }

str plan_tool_label(const struct tool *tool) {
    str name = str_of(tool->name);
    return str_ends(name, STR(":")) ? str_slice(name, 0, name.len - 1) : name;
}

bool plan_queue_is_fine(str queue) {
    for (size_t i = 0; i < queue.len; i++) {
        char c = queue.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == 0 || !strchr("-_.", c)))
            return false;
    }
    return queue.len > 0 && queue.len <= QUEUE_BYTES_MAX;
}

str plan_tool_queue(str name) {
    str prefix = STR("worker:");
    return str_starts(name, prefix) ? str_slice(name, prefix.len, name.len) : STR_NULL;
}

const char *plan_tool_check(str name) {
    str queue = plan_tool_queue(name);
    if (queue.p && !plan_queue_is_fine(queue))
        return "names no queue: 1 to 100 of a-z, A-Z, 0-9, '-', '_' and '.'";
    return plan_tool_find(name) ? NULL : "is not a tool of this server";
}

/* --- a call --- */

bool tool_call_is_handed_over(const struct tool_call *call) {
    return *call->stopping && !node_run_is_cancelled(call->node);
}

str tool_text(const struct tool_call *call, str bytes, bool cut) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    for (str rest = plan_secrets_redact(&call->secrets, call->arena, bytes, cut); rest.len;) {
        size_t good = str_utf8_prefix(rest);
        buf_str(&b, str_slice(rest, 0, good));
        if (good < rest.len && !(cut && rest.len - good < 4 && (rest.p[good] & 0x80)))
            buf_z(&b, "\xef\xbf\xbd");
        rest = str_slice(rest, good + 1, rest.len);
    }
    str text = arena_dup(call->arena, b.len ? buf_view(&b) : STR(""));
    buf_deinit(&b);
    return text;
}

static bool is_token(str s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.len > 0 && s.len <= 100;
}

static bool is_value(str s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return s.len <= 8192;
}

int tool_headers(struct tool_call *call, yyjson_val *headers, str url, struct http_header *out,
                 size_t max, size_t *out_count, struct err *err) {
    static const char *const taken[] = {"host",       "content-length", "transfer-encoding",
                                        "connection", "expect",         "upgrade",
                                        "te",         "trailer",        "proxy-authorization"};
    yyjson_val *key, *value;
    size_t i, n, count = 0;
    if (headers && !yyjson_is_obj(headers))
        return err_set(err, ERR_INVALID, "headers: must be an object of texts");
    yyjson_obj_foreach(headers, i, n, key, value) {
        str name = json_str(key), text;
        bool bad = !yyjson_is_str(value) || !is_token(name) || count == max;
        for (size_t k = 0; k < ARRAY_COUNT(taken); k++)
            bad = bad || str_ieq(name, str_of(taken[k]));
        if (bad)
            return err_set(err, ERR_INVALID, "headers: hold one that cannot be set");
        int rc = plan_secrets_expand(&call->secrets, call->arena, json_str(value), url, &text, err);
        if (rc < 0)
            return rc;
        if (!is_value(text))
            return err_set(err, ERR_INVALID, "headers: " STR_FMT " holds control characters",
                           STR_ARG(name));
        out[count++] = (struct http_header){name, text};
    }
    *out_count = count;
    return 0;
}

static bool among(yyjson_val *list, str word) {
    yyjson_val *item;
    size_t i, n;
    yyjson_arr_foreach(list, i, n, item) {
        if (str_eq(json_str(item), word))
            return true;
    }
    return false;
}

/* Also of what a tool made an effort to keep clean: this is the last place. */
static void clean(struct tool_call *call, struct err *err) {
    yyjson_val *v;
    str found = plan_secrets_redact(&call->secrets, call->arena, call->output, false);
    if (found.p != call->output.p) {
        call->output = found;
        if (json_parse(call->arena, found, &v, NULL) < 0)
            call->output = STR("{\"redacted\":true}");
    }
    if (!err)
        return;
    str text = plan_secrets_redact(&call->secrets, call->arena, str_of(err->message), true);
    text = str_slice(text, 0, sizeof(err->message) - 1);
    text = arena_dup(call->arena, text);
    memcpy(err->message, text.p ? text.p : "", text.len);
    err->message[text.len] = '\0';
}

int plan_tool_run(const struct tool *tool, struct tool_call *call, struct err *err) {
    if (json_parse(call->arena, call->inputs, &call->input, NULL) < 0 ||
        json_parse(call->arena, call->policy, &call->rules, NULL) < 0)
        return err_set(err, ERR_INVALID, "the step cannot be read");
    yyjson_val *allowed = json_get(call->rules, "tools_allowed");
    if (allowed && !among(allowed, call->name))
        return err_set(err, ERR_INVALID, "tool: is not among tools_allowed");
    int rc = plan_secrets_of(call->arena, call->tools->o.secrets,
                             json_get(call->rules, "secrets_scope"), call->node->owner,
                             str_of(tool->name), &call->secrets, err);
    if (rc < 0)
        return rc;
    rc = tool->run(call, err);
    if (call->secrets.count)
        clean(call, err);
    return rc;
}
