/* SPDX-License-Identifier: Apache-2.0 */
/* jsonrpc.c - reads messages of JSON-RPC 2.0.
 *
 *   result        {"jsonrpc":"2.0","id","result":{…}}
 *   error         {"jsonrpc":"2.0","id"?,"error":{"code","message","data"?}}
 *   request       {"jsonrpc":"2.0","id","method","params"?}
 *   notification  {"jsonrpc":"2.0","method","params"?}
 *
 * MCP narrows it: results are objects, ids are integers or texts, never null. An error without an
 * id is one of a request that the server could not read. */
#include "mcp/jsonrpc.h"

static int malformed(struct err *err, const char *why) {
    return err_set(err, ERR_MALFORMED, "a JSON-RPC message %s", why);
}

static int read_error(yyjson_val *error, struct jsonrpc_message *out, struct err *err) {
    yyjson_val *code = json_get(error, "code");
    if (!yyjson_is_obj(error) || !yyjson_is_num(code))
        return malformed(err, "has an error without a code");
    double number = yyjson_get_num(code);
    out->kind = JSONRPC_ERROR;
    out->code = number > -1e9 && number < 1e9 ? (int64_t)number : 0;
    out->text = json_str(json_get(error, "message"));
    out->data = json_get(error, "data");
    return 0;
}

int jsonrpc_read(yyjson_val *root, struct jsonrpc_message *out, struct err *err) {
    *out = (struct jsonrpc_message){0};
    if (!yyjson_is_obj(root))
        return malformed(err, "is no object");
    if (!str_eq(json_str(json_get(root, "jsonrpc")), STR("2.0")))
        return malformed(err, "is not of version 2.0");
    yyjson_val *id = json_get(root, "id");
    if (id && !yyjson_is_null(id) && !yyjson_is_int(id) && !yyjson_is_str(id))
        return malformed(err, "has an id that is neither integer nor text");
    out->id = yyjson_is_null(id) ? NULL : id;
    out->params = json_get(root, "params");
    yyjson_val *method = json_get(root, "method");
    if (method) {
        out->method = json_str(method);
        if (!out->method.len)
            return malformed(err, "has a method that is no text");
        out->kind = out->id ? JSONRPC_REQUEST : JSONRPC_NOTIFICATION;
        return 0;
    }
    if (json_has(root, "error") && !yyjson_is_null(json_get(root, "error")))
        return read_error(json_get(root, "error"), out, err);
    out->kind = JSONRPC_RESULT;
    out->result = json_get(root, "result");
    if (!yyjson_is_obj(out->result))
        return malformed(err, "has no result that is an object");
    return out->id ? 0 : malformed(err, "is a result without an id");
}

bool jsonrpc_answers(const struct jsonrpc_message *m, int64_t id) {
    if (m->kind != JSONRPC_RESULT && m->kind != JSONRPC_ERROR)
        return false;
    if (!m->id)
        return m->kind == JSONRPC_ERROR;
    int64_t n;
    if (yyjson_is_str(m->id))
        return str_to_i64(json_str(m->id), &n) && n == id;
    return yyjson_get_sint(m->id) == id;
}
