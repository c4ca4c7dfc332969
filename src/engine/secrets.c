/* SPDX-License-Identifier: Apache-2.0 */
/* secrets.c - what of a run's configuration stands in no row.
 *
 * Two things that clients send in it are theirs alone: the user's token, as clients of Supabase
 * name it, and the headers of MCP servers, which carry keys. Both are the run's, in memory while it
 * lives in this process; its row, its thread's configuration, and so its webhook, have the rest. A
 * run that another process takes up has neither: a server that wants them refuses it, and the model
 * is told. What an assistant or a cron holds is its owner's standing word and stays there. */
#include "engine/submit_int.h"

#define TOKEN_KEY   "x-supabase-access-token"
#define MCP_KEY     "mcp_config"
#define HEADERS_KEY "headers"

static bool has(str object, const char *key) { return str_find(object, str_of(key)) >= 0; }

void run_take_token(struct live_run *run, str configurable) {
    yyjson_val *root;
    if (run->bearer.len == 0 && has(configurable, TOKEN_KEY) &&
        json_parse(&run->arena, configurable, &root, NULL) == 0)
        run->bearer = json_str(json_get(root, TOKEN_KEY));
}

str run_without_token(struct arena *a, str object) {
    return has(object, TOKEN_KEY) ? json_without(a, object, TOKEN_KEY) : object;
}

static void write_server(struct json_writer *w, yyjson_val *server);

static void write_servers(struct json_writer *w, yyjson_val *list) {
    yyjson_val *server;
    size_t i, n;
    jw_array(w);
    yyjson_arr_foreach(list, i, n, server) write_server(w, server);
    jw_array_end(w);
}

/* One, or the object that has a list of them. */
static void write_server(struct json_writer *w, yyjson_val *server) {
    yyjson_val *key, *value;
    size_t i, n;
    if (!yyjson_is_obj(server)) {
        jw_val(w, server);
        return;
    }
    jw_object(w);
    yyjson_obj_foreach(server, i, n, key, value) {
        if (str_eq(json_str(key), STR(HEADERS_KEY)))
            continue;
        jw_key_str(w, json_str(key));
        if (str_eq(json_str(key), STR("servers")) && yyjson_is_arr(value))
            write_servers(w, value);
        else
            jw_val(w, value);
    }
    jw_object_end(w);
}

static str without_headers(struct arena *a, str object) {
    yyjson_val *root, *key, *value;
    size_t i, n;
    struct buf b;
    if (!has(object, MCP_KEY) || !has(object, HEADERS_KEY) ||
        json_parse(a, object, &root, NULL) < 0 || !yyjson_is_obj(root))
        return object;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    yyjson_obj_foreach(root, i, n, key, value) {
        jw_key_str(&w, json_str(key));
        if (str_eq(json_str(key), STR(MCP_KEY)))
            write_server(&w, value);
        else
            jw_val(&w, value);
    }
    jw_object_end(&w);
    return arena_take(a, &b);
}

str run_without_secrets(struct arena *a, str object) {
    return without_headers(a, run_without_token(a, object));
}
