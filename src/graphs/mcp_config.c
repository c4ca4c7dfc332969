/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_config.c - reads mcp_config.
 *
 *   name           default "mcp"; a name that is taken gets -2, -3 …
 *   url            as forms have it: "/mcp" is appended unless the path ends with it
 *   endpoint       in place of url: taken as it is
 *   tools          allow-list; null or left out: all; the older form with [] has no server at all
 *   auth_required  the user's token goes along; without one the server is not asked
 *   auth           "forward" (default): as it is; "exchange": by RFC 8693, at token_url
 *   token_url      default: url without /mcp, with /oauth/token */
#include "graphs/mcp_config.h"

#include <stdio.h>

#define URL_BYTES_MAX  2000
#define NAME_BYTES_MAX 64
#define TOOLS_MAX      256

static bool is_set(yyjson_val *v) {
    return v && !yyjson_is_null(v) && !(yyjson_is_str(v) && str_empty(json_str(v)));
}

static int refuse(struct err *err, const char *where, const char *member, const char *why) {
    return err_set(err, ERR_INVALID, "configurable.mcp_config%s.%s: %s", where, member, why);
}

static bool is_plain(str s) {
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
            return false;
    return true;
}

static bool is_url(str url) {
    str rest = str_starts(url, STR("https://"))  ? str_slice(url, 8, url.len)
               : str_starts(url, STR("http://")) ? str_slice(url, 7, url.len)
                                                 : STR_NULL;
    ptrdiff_t end = str_find_char(rest, '/');
    str host = end < 0 ? rest : str_slice(rest, 0, (size_t)end);
    return host.len > 0 && url.len <= URL_BYTES_MAX && is_plain(url) &&
           str_find_char(host, '@') < 0 && str_find_char(url, '#') < 0;
}

static str without_slash(str url) {
    while (url.len && url.p[url.len - 1] == '/')
        url.len--;
    return url;
}

static int read_address(struct arena *a, yyjson_val *from, const char *where,
                        struct mcp_server *out, str *out_base, struct err *err) {
    bool exact = is_set(json_get(from, "endpoint"));
    const char *member = exact ? "endpoint" : "url";
    str url = json_str(json_get(from, member));
    if (!is_url(url))
        return refuse(err, where, member, "must be an address with http:// or https://");
    ptrdiff_t query_at = str_find_char(url, '?');
    str query = query_at < 0 ? STR_NULL : str_slice(url, (size_t)query_at, url.len);
    str path = query_at < 0 ? url : str_slice(url, 0, (size_t)query_at);
    str plain = without_slash(path);
    bool has_mcp = str_ends(plain, STR("/mcp"));
    *out_base = has_mcp ? str_slice(plain, 0, plain.len - 4) : plain;
    if (exact || has_mcp)
        out->url = arena_dup(a, url);
    else
        out->url = arena_printf(a, STR_FMT "/mcp" STR_FMT, STR_ARG(plain), STR_ARG(query));
    return 0;
}

static int read_auth(struct arena *a, yyjson_val *from, const char *where, str base,
                     struct mcp_server *out, struct err *err) {
    yyjson_val *required = json_get(from, "auth_required");
    str how = json_str(json_get(from, "auth")), token_url = json_str(json_get(from, "token_url"));
    if (is_set(required) && !yyjson_is_bool(required))
        return refuse(err, where, "auth_required", "must be true or false");
    out->auth_required = yyjson_is_true(required);
    if (is_set(json_get(from, "auth")) && !str_eq(how, STR("forward")) &&
        !str_eq(how, STR("exchange")))
        return refuse(err, where, "auth", "must be \"forward\" or \"exchange\"");
    if (is_set(json_get(from, "token_url")) && !is_url(token_url))
        return refuse(err, where, "token_url", "must be an address with http:// or https://");
    if (str_eq(how, STR("exchange")))
        out->token_url = token_url.len ? arena_dup(a, token_url)
                                       : arena_printf(a, STR_FMT "/oauth/token", STR_ARG(base));
    return 0;
}

static int read_tools(struct arena *a, yyjson_val *from, const char *where, struct mcp_server *out,
                      struct err *err) {
    yyjson_val *list = json_get(from, "tools"), *name;
    size_t i, n;
    out->any_tool = !is_set(list);
    if (out->any_tool)
        return 0;
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > TOOLS_MAX)
        return refuse(err, where, "tools", "must be an array of at most 256 names of tools");
    out->tools = ARENA_ARRAY(a, str, yyjson_arr_size(list) + 1);
    yyjson_arr_foreach(list, i, n, name) {
        if (!yyjson_is_str(name) || json_str(name).len > 128)
            return refuse(err, where, "tools", "must be an array of names of tools");
        out->tools[out->tool_count++] = arena_dup(a, json_str(name));
    }
    return 0;
}

static bool name_is_taken(const struct mcp_config *c, str name) {
    for (size_t i = 0; i < c->count; i++)
        if (str_eq(c->servers[i].name, name))
            return true;
    return false;
}

static int read_name(struct arena *a, yyjson_val *from, const char *where,
                     const struct mcp_config *c, struct mcp_server *out, struct err *err) {
    yyjson_val *v = json_get(from, "name");
    str name = is_set(v) ? json_str(v) : STR("mcp");
    if (!name.len || name.len > NAME_BYTES_MAX || !str_is_utf8(name))
        return refuse(err, where, "name", "must be a string of at most 64 bytes");
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f)
            return refuse(err, where, "name", "must not hold control characters");
    out->name = arena_dup(a, name);
    for (int k = 2; name_is_taken(c, out->name); k++)
        out->name = arena_printf(a, STR_FMT "-%d", STR_ARG(name), k);
    return 0;
}

static int read_server(struct arena *a, yyjson_val *from, const char *where, struct mcp_config *c,
                       struct err *err) {
    struct mcp_server s = {0};
    str base;
    if (!yyjson_is_obj(from))
        return err_set(err, ERR_INVALID, "configurable.mcp_config%s: must be an object", where);
    int rc = read_address(a, from, where, &s, &base, err);
    if (rc == 0)
        rc = read_name(a, from, where, c, &s, err);
    if (rc == 0)
        rc = read_tools(a, from, where, &s, err);
    if (rc == 0)
        rc = read_auth(a, from, where, base, &s, err);
    yyjson_val *headers = json_get(from, "headers");
    if (rc == 0 && is_set(headers) && !yyjson_is_obj(headers))
        rc = refuse(err, where, "headers", "must be an object of strings");
    if (rc == 0)
        c->servers[c->count++] = s;
    return rc;
}

int mcp_config_read(struct arena *a, yyjson_val *mcp, struct mcp_config *out, struct err *err) {
    *out = (struct mcp_config){0};
    if (!is_set(mcp))
        return 0;
    if (!yyjson_is_obj(mcp))
        return err_set(err, ERR_INVALID, "configurable.mcp_config: must be an object");
    yyjson_val *list = json_get(mcp, "servers"), *from;
    size_t i, n;
    if (is_set(list) && (!yyjson_is_arr(list) || yyjson_arr_size(list) > MCP_SERVERS_MAX))
        return refuse(err, "", "servers", "must be an array of at most 16 servers");
    out->servers = ARENA_ARRAY(a, struct mcp_server, MCP_SERVERS_MAX + 1);
    if (yyjson_arr_size(list) > 0) {
        yyjson_arr_foreach(list, i, n, from) {
            char where[32];
            (void)snprintf(where, sizeof where, ".servers[%zu]", i);
            int rc = read_server(a, from, where, out, err);
            if (rc < 0)
                return rc;
        }
        return 0;
    }
    yyjson_val *tools = json_get(mcp, "tools");
    bool none = yyjson_is_arr(tools) && yyjson_arr_size(tools) == 0;
    return is_set(json_get(mcp, "url")) && !none ? read_server(a, mcp, "", out, err) : 0;
}

bool mcp_server_allows(const struct mcp_server *server, str tool) {
    for (size_t i = 0; i < server->tool_count; i++)
        if (str_eq(server->tools[i], tool))
            return true;
    return server->any_tool;
}

yyjson_val *mcp_config_headers(yyjson_val *configurable, size_t index) {
    yyjson_val *mcp = json_get(configurable, "mcp_config"), *list = json_get(mcp, "servers");
    return json_get(yyjson_arr_size(list) > 0 ? yyjson_arr_get(list, index) : mcp, "headers");
}
