/* SPDX-License-Identifier: Apache-2.0 */
/* mock_script.c - what a request to the model stand-in asks for.
 *
 * The usual request needs no document: one pass over the top-level members finds model, stream,
 * stream_options, tools, max_tokens and the extent of messages. Only messages that hold a mark or
 * a tool's result are parsed.
 *
 * Marks stand in the last human message:
 *     [[tool:NAME {"a":1}]]   answer with that tool call; several marks: several calls.
 *                             Only when the request carries tools and no tool has answered since
 *     [[echo:TEXT]]           answer with the text
 *     [[echo@WORDS:TEXT]]     the same, when the words stand in the system message
 *     [[think:TEXT]]          think that, and how much was asked for, if the request wants thoughts
 *     [[tokens:N]]            answer with N tokens
 *     [[delay:MS]]            wait before the answer; [[token-delay:MS]] between tokens
 *     [[fail:KIND]]           500, 401, 429, refuse, cut, garbage, slow
 * Once tools have answered, the text quotes their results: The tools answered: "4", "sunny". */
#include "app/mock_llm_int.h"
#include "base/json.h"

#define REPLY_BYTES_MAX ((size_t)16 << 20)

bool mock_fail_parse(str name, enum mock_fail *out) {
    static const struct {
        str name;
        enum mock_fail fail;
    } kinds[] = {{STR("500"), MOCK_FAIL_500},  {STR("401"), MOCK_FAIL_401},
                 {STR("429"), MOCK_FAIL_429},  {STR("refuse"), MOCK_FAIL_REFUSE},
                 {STR("cut"), MOCK_FAIL_CUT},  {STR("garbage"), MOCK_FAIL_GARBAGE},
                 {STR("slow"), MOCK_FAIL_SLOW}};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (str_eq(name, kinds[i].name)) {
            *out = kinds[i].fail;
            return true;
        }
    }
    return false;
}

/* --- the quick scan --- */

struct scan {
    str s;
    size_t at;
};

static void skip_blanks(struct scan *t) {
    while (t->at < t->s.len && strchr(" \t\r\n", t->s.p[t->at]) && t->s.p[t->at])
        t->at++;
}

static bool skip_char(struct scan *t, char c) {
    skip_blanks(t);
    if (t->at >= t->s.len || t->s.p[t->at] != c)
        return false;
    t->at++;
    return true;
}

/* At an opening quote; moves past the closing one. */
static bool skip_string(struct scan *t) {
    for (size_t at = t->at + 1; at < t->s.len;) {
        const char *quote = memchr(t->s.p + at, '"', t->s.len - at);
        if (!quote)
            return false;
        size_t end = (size_t)(quote - t->s.p);
        size_t back = end;
        while (back > t->at + 1 && t->s.p[back - 1] == '\\')
            back--;
        at = end + 1;
        if ((end - back) % 2 == 0) {
            t->at = at;
            return true;
        }
    }
    return false;
}

static bool skip_value(struct scan *t) {
    skip_blanks(t);
    int depth = 0;
    while (t->at < t->s.len) {
        char c = t->s.p[t->at];
        if (c == '"') {
            if (!skip_string(t))
                return false;
            if (depth == 0)
                return true;
            continue;
        }
        bool closes = c == '}' || c == ']';
        if (depth == 0 && (closes || c == ','))
            return true; /* the end of a number or word */
        t->at++;
        depth += c == '{' || c == '[' ? 1 : closes ? -1 : 0;
        if (closes && depth == 0)
            return true;
    }
    return false;
}

static void note_member(struct mock_script *out, str key, str value, str *out_messages) {
    if (str_eq(key, STR("\"model\"")) && value.p[0] == '"')
        out->model = value;
    else if (str_eq(key, STR("\"stream\"")))
        out->stream = str_eq(value, STR("true"));
    else if (str_eq(key, STR("\"messages\"")))
        *out_messages = value;
    else if (str_eq(key, STR("\"reasoning_effort\"")) && value.len > 2)
        out->effort = str_slice(value, 1, value.len - 1);
    else if (str_eq(key, STR("\"tools\"")))
        out->has_tools = str_find_char(value, '{') >= 0;
    else if (str_eq(key, STR("\"stream_options\""))) {
        ptrdiff_t at = str_find(value, STR("\"include_usage\""));
        out->include_usage =
            at >= 0 && str_find(str_slice(value, (size_t)at, value.len), STR("true")) >= 0;
    } else if (str_eq(key, STR("\"max_tokens\"")) ||
               str_eq(key, STR("\"max_completion_tokens\""))) {
        int64_t n;
        if (str_to_i64(value, &n) && n > 0)
            out->answer.token_max = (size_t)n;
    }
}

static bool scan_body(str body, struct mock_script *out, str *out_messages) {
    struct scan t = {.s = body};
    if (!skip_char(&t, '{'))
        return false;
    if (skip_char(&t, '}'))
        return true;
    do {
        skip_blanks(&t);
        size_t key_at = t.at;
        if (t.at >= body.len || body.p[t.at] != '"' || !skip_string(&t))
            return false;
        str key = str_slice(body, key_at, t.at);
        if (!skip_char(&t, ':'))
            return false;
        skip_blanks(&t);
        size_t value_at = t.at;
        if (!skip_value(&t) || t.at == value_at)
            return false;
        note_member(out, key, str_trim(str_slice(body, value_at, t.at)), out_messages);
    } while (skip_char(&t, ','));
    return skip_char(&t, '}');
}

/* --- marks --- */

static str content_text(struct arena *a, yyjson_val *content) {
    if (yyjson_is_str(content))
        return json_str(content);
    struct buf joined;
    buf_init(&joined, REPLY_BYTES_MAX);
    size_t i, n;
    yyjson_val *part;
    if (yyjson_is_arr(content))
        yyjson_arr_foreach(content, i, n, part) buf_str(&joined, json_str(json_get(part, "text")));
    str text = arena_dup(a, str_n(joined.p ? joined.p : "", joined.len));
    buf_deinit(&joined);
    return text;
}

static int limited_int(str digits, int max) {
    int64_t n = 0;
    if (!str_to_i64(str_trim(digits), &n) || n < 0)
        return 0;
    return n < max ? (int)n : max;
}

/* The arguments end with their JSON value, which may itself hold "]]"; text that is no JSON is sent
 * as it is. Returns where the mark ends, after its brackets. */
static size_t read_tool_mark(str text, size_t at, struct mock_tool_call *out) {
    str rest = str_slice(text, at, text.len);
    ptrdiff_t end = str_find(rest, STR("]]"));
    ptrdiff_t blank = str_find_char(rest, ' ');
    if (end < 0)
        return text.len;
    if (blank < 0 || blank > end) {
        *out = (struct mock_tool_call){str_slice(rest, 0, (size_t)end), STR("{}")};
        return at + (size_t)end + 2;
    }
    out->name = str_slice(rest, 0, (size_t)blank);
    struct scan t = {.s = rest, .at = (size_t)blank};
    skip_blanks(&t);
    size_t value_at = t.at;
    if (t.at < rest.len && rest.p[t.at] == '{' && skip_value(&t) &&
        str_starts(str_slice(rest, t.at, rest.len), STR("]]"))) {
        out->arguments = str_slice(rest, value_at, t.at);
        return at + t.at + 2;
    }
    out->arguments = str_slice(rest, value_at, (size_t)end);
    return at + (size_t)end + 2;
}

static void read_plain_mark(str mark, str system, struct mock_script *out) {
    str value = mark, word;
    if (!str_split_next(&value, ':', &word))
        return;
    bool echo = str_starts(word, STR("echo@"))
                    ? str_find(system, str_slice(word, 5, word.len)) >= 0
                    : str_eq(word, STR("echo"));
    if (echo)
        out->answer.text = value.p ? value : STR("");
    else if (str_eq(word, STR("think")))
        out->answer.thinking = value;
    else if (str_eq(word, STR("tokens")))
        out->answer.token_count = (size_t)limited_int(value, MOCK_TOKENS_MAX);
    else if (str_eq(word, STR("delay")))
        out->delay_ms = limited_int(value, 3600000);
    else if (str_eq(word, STR("token-delay")))
        out->token_delay_ms = limited_int(value, 3600000);
    else if (str_eq(word, STR("fail")))
        (void)mock_fail_parse(value, &out->fail); /* an unknown kind: none */
}

static void read_marks(struct arena *a, str text, str system, bool tools_wanted,
                       struct mock_script *out) {
    struct mock_tool_call *calls = NULL;
    size_t at = 0;
    for (;;) {
        ptrdiff_t found = str_find(str_slice(text, at, text.len), STR("[["));
        if (found < 0)
            break;
        at += (size_t)found + 2;
        str rest = str_slice(text, at, text.len);
        if (str_starts(rest, STR("tool:"))) {
            struct mock_tool_call call = {STR_NULL, STR_NULL};
            at = read_tool_mark(text, at + 5, &call);
            if (!tools_wanted || call.name.len == 0 ||
                out->answer.call_count == MOCK_TOOL_CALLS_MAX)
                continue;
            if (!calls)
                calls = ARENA_ARRAY(a, struct mock_tool_call, MOCK_TOOL_CALLS_MAX);
            calls[out->answer.call_count++] = call;
            continue;
        }
        ptrdiff_t end = str_find(rest, STR("]]"));
        if (end < 0)
            break;
        read_plain_mark(str_slice(rest, 0, (size_t)end), system, out);
        at += (size_t)end + 2;
    }
    out->answer.calls = calls;
    if (out->answer.thinking.p)
        out->answer.thinking =
            out->effort.len ? arena_printf(a, STR_FMT " (" STR_FMT ")",
                                           STR_ARG(out->answer.thinking), STR_ARG(out->effort))
                            : STR_NULL;
}

static str quote_results(struct arena *a, yyjson_val *messages, size_t from) {
    struct buf text;
    buf_init(&text, REPLY_BYTES_MAX);
    size_t i, n;
    yyjson_val *m;
    yyjson_arr_foreach(messages, i, n, m) {
        if (i < from || !str_eq(json_str(json_get(m, "role")), STR("tool")))
            continue;
        buf_z(&text, text.len > 0 ? ", \"" : "The tools answered: \"");
        buf_str(&text, content_text(a, json_get(m, "content")));
        buf_char(&text, '"');
    }
    str out = STR_NULL;
    if (text.len > 0) {
        buf_char(&text, '.');
        out = arena_dup(a, buf_view(&text));
    }
    buf_deinit(&text);
    return out;
}

static int read_messages(struct arena *a, str json, struct mock_script *out, struct err *err) {
    yyjson_val *messages;
    int rc = json_parse(a, json, &messages, err);
    if (rc < 0)
        return rc;
    size_t i, n;
    size_t after_human = 0;
    yyjson_val *m;
    yyjson_val *human = NULL;
    str system = STR("");
    yyjson_arr_foreach(messages, i, n, m) {
        if (str_eq(json_str(json_get(m, "role")), STR("system")))
            system = content_text(a, json_get(m, "content"));
        if (str_eq(json_str(json_get(m, "role")), STR("user"))) {
            human = m;
            after_human = i + 1;
        }
    }
    str results = quote_results(a, messages, after_human);
    if (human)
        read_marks(a, content_text(a, json_get(human, "content")), system,
                   out->has_tools && !results.p, out);
    if (results.p)
        out->answer.text = results;
    return 0;
}

/* --- together --- */

int mock_script_read(struct arena *a, str body, struct mock_script *out, struct err *err) {
    *out = (struct mock_script){.model = STR("\"mock\""), .delay_ms = -1, .token_delay_ms = -1};
    str messages = STR_NULL;
    if (!scan_body(body, out, &messages) || !messages.p || messages.p[0] != '[')
        return err_set(err, ERR_MALFORMED, "the body must be a JSON object with messages");
    out->prompt_tokens = messages.len / 4;
    bool marked = memmem(messages.p, messages.len, "[[", 2) != NULL;
    if (!marked && !memmem(messages.p, messages.len, "\"tool\"", 6))
        return 0;
    return read_messages(a, messages, out, err);
}
