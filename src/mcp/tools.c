/* SPDX-License-Identifier: Apache-2.0 */
/* tools.c - what a server's tools/list is made of, and headers made of a tool's arguments.
 *
 * A server is not trusted: a tool is left out, by name and with the reason, when its name is no
 * name, its schema is not of an object, too large or too deep, or when it wants headers in a way
 * that the protocol forbids; what is over a limit is left out likewise. Descriptions are cut.
 *
 * x-mcp-header: a member of a property's schema, reachable from the root through "properties" only,
 * whose value names a header Mcp-Param-NAME that carries the argument, if there is one. */
#include "mcp/mcp_int.h"

#define DESCRIPTION_BYTES_MAX ((size_t)8 * 1024)
#define SCHEMAS_BYTES_MAX     ((size_t)1 << 20)
#define SCHEMA_DEPTH_MAX      64
#define REFUSED_BYTES_MAX     1000
#define PATH_DEPTH_MAX        16
#define VALUE_BYTES_MAX       4096

static bool name_is_good(str name) {
    if (name.len == 0 || name.len > MCP_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '.'))
            return false;
    }
    return true;
}

/* --- headers of arguments --- */

static bool is_token(str s) {
    if (s.len == 0 || s.len > 64)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr("!#$%&'*+-.^_`|~", c))))
            return false;
    }
    return true;
}

/* Everywhere in the schema, also where it must not stand. */
static size_t count_marks(yyjson_val *v) {
    size_t i, n, count = 0;
    yyjson_val *key, *value;
    if (yyjson_is_obj(v)) {
        yyjson_obj_foreach(v, i, n, key, value) {
            count += str_eq(json_str(key), STR("x-mcp-header")) && !yyjson_is_obj(value);
            count += count_marks(value);
        }
    } else if (yyjson_is_arr(v)) {
        yyjson_arr_foreach(v, i, n, value) { count += count_marks(value); }
    }
    return count;
}

struct marks {
    struct {
        str name;
        yyjson_val *value; /* of the arguments; NULL: none */
    } items[MCP_PARAM_HEADERS_MAX];
    size_t count;
    bool bad;
};

static void find_marks(yyjson_val *schema, yyjson_val *arguments, int depth, struct marks *out) {
    yyjson_val *properties = json_get(schema, "properties"), *key, *property;
    size_t i, n;
    if (!yyjson_is_obj(properties) || depth > PATH_DEPTH_MAX)
        return;
    yyjson_obj_foreach(properties, i, n, key, property) {
        yyjson_val *mark = json_get(property, "x-mcp-header");
        yyjson_val *value = json_get_str(arguments, json_str(key));
        str type = json_str(json_get(property, "type"));
        if (mark) {
            bool primitive = str_eq(type, STR("string")) || str_eq(type, STR("integer")) ||
                             str_eq(type, STR("boolean"));
            bool known = false;
            for (size_t k = 0; k < out->count; k++)
                known = known || str_ieq(out->items[k].name, json_str(mark));
            if (!primitive || known || !is_token(json_str(mark)) ||
                out->count == MCP_PARAM_HEADERS_MAX) {
                out->bad = true;
                return;
            }
            out->items[out->count].name = json_str(mark);
            out->items[out->count++].value = value;
        }
        find_marks(property, value, depth + 1, out);
    }
}

static bool marks_are_good(yyjson_val *schema) {
    struct marks marks = {.count = 0};
    size_t wanted = count_marks(schema);
    if (wanted == 0)
        return true;
    find_marks(schema, NULL, 0, &marks);
    return !marks.bad && marks.count == wanted;
}

static void write_base64(struct buf *out, str s) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.len; i += 3) {
        uint32_t v = (uint32_t)(unsigned char)s.p[i] << 16;
        if (i + 1 < s.len)
            v |= (uint32_t)(unsigned char)s.p[i + 1] << 8;
        if (i + 2 < s.len)
            v |= (unsigned char)s.p[i + 2];
        buf_char(out, digits[v >> 18]);
        buf_char(out, digits[v >> 12 & 63]);
        buf_char(out, i + 1 < s.len ? digits[v >> 6 & 63] : '=');
        buf_char(out, i + 2 < s.len ? digits[v & 63] : '=');
    }
}

str mcp_header_value(struct arena *a, str text) {
    bool plain = text.len == 0 || (text.p[0] != ' ' && text.p[text.len - 1] != ' ');
    for (size_t i = 0; i < text.len && plain; i++)
        plain = text.p[i] >= ' ' && text.p[i] < 0x7f;
    if (plain && !(str_starts(text, STR("=?base64?")) && str_ends(text, STR("?="))))
        return text;
    struct buf b;
    buf_init(&b, 4 * text.len + 64);
    buf_z(&b, "=?base64?");
    write_base64(&b, text);
    buf_z(&b, "?=");
    return arena_take(a, &b);
}

int mcp_param_headers(struct arena *a, str schema, yyjson_val *arguments, struct http_header *out,
                      size_t *out_count, struct err *err) {
    struct marks marks = {.count = 0};
    yyjson_val *root;
    *out_count = 0;
    if (str_find(schema, STR("x-mcp-header")) < 0)
        return 0;
    int rc = json_parse(a, schema, &root, err);
    if (rc < 0)
        return rc;
    find_marks(root, arguments, 0, &marks);
    for (size_t i = 0; i < marks.count; i++) {
        yyjson_val *v = marks.items[i].value;
        if (!v || yyjson_is_null(v) || yyjson_is_ctn(v))
            continue;
        str text = yyjson_is_str(v) ? json_str(v) : json_text(a, v);
        if (text.len > VALUE_BYTES_MAX)
            return err_set(err, ERR_TOO_LARGE,
                           "the argument for the header Mcp-Param-" STR_FMT " is too long",
                           STR_ARG(marks.items[i].name));
        out[*out_count].name = arena_printf(a, "Mcp-Param-" STR_FMT, STR_ARG(marks.items[i].name));
        out[(*out_count)++].value = mcp_header_value(a, text);
    }
    return 0;
}

/* --- pages --- */

static void leave_out(struct arena *a, struct mcp_tools *tools, str name, const char *why) {
    str so_far = tools->refused.p ? tools->refused : STR("");
    if (so_far.len > REFUSED_BYTES_MAX)
        return;
    tools->refused = arena_printf(a, STR_FMT "%s" STR_FMT " (%s)", STR_ARG(so_far),
                                  so_far.len ? ", " : "", STR_ARG(mcp_words(a, name)), why);
}

static const char *why_not(const struct mcp_tools *tools, str name, yyjson_val *schema, str text,
                           bool modern) {
    if (!name_is_good(name))
        return "the name is not allowed";
    for (size_t i = 0; i < tools->count; i++)
        if (str_eq(tools->items[i].name, name))
            return "the name is taken";
    if (!yyjson_is_obj(schema) || !str_eq(json_str(json_get(schema, "type")), STR("object")))
        return "the schema is not that of an object";
    if (text.len > MCP_SCHEMA_BYTES_MAX)
        return "the schema is too large";
    if (json_depth(text, SCHEMA_DEPTH_MAX) > SCHEMA_DEPTH_MAX)
        return "the schema is too deep";
    if (modern && !marks_are_good(schema))
        return "x-mcp-header is used in a way that is not allowed";
    return tools->count == MCP_TOOLS_MAX ? "there are too many tools" : NULL;
}

int mcp_tools_add(struct arena *a, struct mcp_tools *tools, yyjson_val *result, bool modern,
                  str *out_cursor, struct err *err) {
    yyjson_val *list = json_get(result, "tools"), *tool;
    size_t i, n, bytes = 0;
    if (!yyjson_is_arr(list))
        return err_set(err, ERR_MALFORMED, "the answer to tools/list has no tools");
    if (!tools->items)
        tools->items = ARENA_ARRAY(a, struct mcp_tool, MCP_TOOLS_MAX);
    for (i = 0; i < tools->count; i++)
        bytes += tools->items[i].schema.len;
    yyjson_arr_foreach(list, i, n, tool) {
        str name = json_str(json_get(tool, "name"));
        yyjson_val *schema = json_get(tool, "inputSchema");
        struct arena scratch;
        arena_init(&scratch, (size_t)16 << 20);
        str text = json_text(&scratch, schema);
        const char *why = why_not(tools, name, schema, text, modern);
        if (!why && bytes + text.len > SCHEMAS_BYTES_MAX)
            why = "the schemas of all tools are too large";
        if (why) {
            leave_out(a, tools, name, why);
        } else {
            str words = json_str(json_get(tool, "description"));
            if (!words.len)
                words = json_str(json_get(tool, "title"));
            words = str_slice(words, 0, DESCRIPTION_BYTES_MAX);
            words.len = str_utf8_prefix(words);
            tools->items[tools->count++] = (struct mcp_tool){
                arena_dup(a, name), arena_dup(a, words.p ? words : STR("")), arena_dup(a, text)};
            bytes += text.len;
        }
        arena_deinit(&scratch);
    }
    str cursor = json_str(json_get(result, "nextCursor"));
    *out_cursor = cursor.len > 0 && cursor.len <= 4096 ? cursor : STR_NULL;
    return 0;
}
