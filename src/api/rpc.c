/* SPDX-License-Identifier: Apache-2.0 */
/* rpc.c - messages of JSON-RPC 2.0 as a server writes them.
 *
 *   {"jsonrpc":"2.0","id":…,"result":…}
 *   {"jsonrpc":"2.0","id":…,"error":{"code","message","data"?}}   id null: the request had none */
#include "api/rpc_int.h"

static void open_message(struct json_writer *w) {
    jw_object(w);
    jw_key(w, "jsonrpc");
    jw_z(w, "2.0");
    jw_key(w, "id");
}

static void write_head(struct json_writer *w, yyjson_val *id) {
    open_message(w);
    if (id)
        jw_val(w, id);
    else
        jw_null(w);
}

void rpc_open_text(struct json_writer *w, str id_json) {
    open_message(w);
    jw_raw(w, id_json);
    jw_key(w, "result");
}

void rpc_open(struct json_writer *w, yyjson_val *id) {
    write_head(w, id);
    jw_key(w, "result");
}

void rpc_close(struct json_writer *w) { jw_object_end(w); }

void rpc_write_error(struct json_writer *w, yyjson_val *id, const struct rpc_error *e) {
    write_head(w, id);
    jw_key(w, "error");
    jw_object(w);
    jw_key(w, "code");
    jw_i64(w, e->code);
    jw_key(w, "message");
    jw_str(w, e->text);
    if (e->data.p) {
        jw_key(w, "data");
        jw_raw(w, e->data);
    }
    jw_object_end(w);
    jw_object_end(w);
}

int rpc_reply_error(struct api_request *r, int status, yyjson_val *id, const struct rpc_error *e) {
    struct json_writer w = api_json(r);
    rpc_write_error(&w, id, e);
    return api_reply_json(r, status);
}

str rpc_run_error_text(struct arena *a, str error) {
    yyjson_val *root;
    if (json_parse(a, error, &root, NULL) < 0)
        return STR("the run failed");
    str name = json_str(json_get(root, "error")), message = json_str(json_get(root, "message"));
    return message.len ? arena_printf(a, STR_FMT ": " STR_FMT, STR_ARG(name), STR_ARG(message))
                       : name;
}
