/* SPDX-License-Identifier: Apache-2.0 */
/* tool_http.c - the tool "http": one request, its answer the step's output.
 *
 *   {"url", "method": "GET", "headers": {"NAME": "text"}, "body": text or JSON, "fail": true}
 *   → {"status", "type", "body": JSON or text, or "base64"}
 *
 * The host must be one that the server allows; its name is resolved once, and the connection goes
 * to the address that was checked. No redirects, no proxy. Values of headers and a body may hold
 * {{secret.NAME}}. A request that changes something carries the step's key as Idempotency-Key.
 * A status from 400 on fails the step (unless "fail" is false): it is tried again when the
 * server may answer otherwise later. The step's time is the request's. */
#include "base/base64.h"
#include "graphs/guarded_http.h"
#include "plans/tools.h"

#define HEADERS_MAX 32
#define LONG_US     INT64_C(86400000000)

struct request {
    struct tool_call *call;
    enum http_method method;
    str url, body;
    struct http_header headers[HEADERS_MAX + 2];
    size_t header_count;
};

static int read_method(struct request *r, str name, struct err *err) {
    static const enum http_method methods[] = {HTTP_GET, HTTP_HEAD,  HTTP_POST,
                                               HTTP_PUT, HTTP_PATCH, HTTP_DELETE};
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++)
        if (str_eq(name, http_method_name(methods[i]))) {
            r->method = methods[i];
            return 0;
        }
    return err_set(err, ERR_INVALID, "method: must be GET, HEAD, POST, PUT, PATCH or DELETE");
}

static bool has_header(const struct request *r, str name) {
    for (size_t i = 0; i < r->header_count; i++)
        if (str_ieq(r->headers[i].name, name))
            return true;
    return false;
}

static void add_header(struct request *r, str name, str value) {
    if (!has_header(r, name))
        r->headers[r->header_count++] = (struct http_header){name, value};
}

static int read_request(struct request *r, bool *out_fail, struct err *err) {
    struct tool_call *call = r->call;
    struct body b;
    body_init(&b, call->arena, call->input);
    r->url = body_str_required(&b, "url");
    str method = body_str(&b, "method", STR("GET"));
    yyjson_val *body = body_get(&b, "body");
    *out_fail = body_bool(&b, "fail", true);
    int rc = body_done(&b, err);
    if (rc == 0)
        rc = read_method(r, method, err);
    if (rc == 0)
        rc = tool_headers(call, body_get(&b, "headers"), r->url, r->headers, HEADERS_MAX,
                          &r->header_count, err);
    bool reads = rc == 0 && (r->method == HTTP_GET || r->method == HTTP_HEAD);
    if (rc == 0 && body && reads)
        rc = err_set(err, ERR_INVALID, "body: a %s has none",
                     r->method == HTTP_GET ? "GET" : "HEAD");
    if (rc < 0)
        return rc;
    if (!reads)
        add_header(r, STR("Idempotency-Key"), call->key);
    if (!body)
        return 0;
    bool text = yyjson_is_str(body);
    add_header(r, STR("Content-Type"), text ? STR("text/plain; charset=utf-8")
                                            : STR("application/json"));
    return plan_secrets_expand(&call->secrets, call->arena,
                               text ? json_str(body) : json_text(call->arena, body), r->url,
                               &r->body, err);
}

static bool is_json(str type) {
    ptrdiff_t end = str_find_char(type, ';');
    type = str_trim(end < 0 ? type : str_slice(type, 0, (size_t)end));
    return str_ieq(type, STR("application/json")) || str_ends(type, STR("+json"));
}

static void write_output(struct tool_call *call, int status, str type, str body) {
    struct buf b;
    yyjson_val *v;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    jw_key(&w, "status");
    jw_i64(&w, status);
    jw_key(&w, "type");
    jw_str(&w, type);
    if (is_json(type) && body.len && json_parse(call->arena, body, &v, NULL) == 0) {
        jw_key(&w, "body");
        jw_val(&w, v);
    } else if (str_is_utf8(body)) {
        jw_key(&w, "body");
        jw_str(&w, tool_text(call, body, false));
    } else {
        jw_key(&w, "base64");
        jw_str(&w, base64_encode(call->arena, plan_secrets_redact(&call->secrets, call->arena,
                                                                  body, false)));
    }
    jw_object_end(&w);
    call->output = arena_take(call->arena, &b);
}

static int refused(struct tool_call *call, int status, str body, struct err *err) {
    bool later = status >= 500 || status == 408 || status == 425 || status == 429;
    str text = str_slice(tool_text(call, str_slice(body, 0, 400), body.len > 400), 0, 120);
    text.len = str_utf8_prefix(text);
    return err_set(err, later ? ERR_UNAVAILABLE : ERR_INVALID, "the server answered %d%s" STR_FMT,
                   status, text.len ? ": " : "", STR_ARG(text));
}

static int ask(struct request *r, str address, bool fail, struct err *err) {
    struct tool_call *call = r->call;
    struct http_call_options o = {.method = r->method,
                                  .url = r->url,
                                  .headers = r->headers,
                                  .header_count = r->header_count,
                                  .body = r->body,
                                  .head_timeout_us = LONG_US,
                                  .idle_timeout_us = LONG_US,
                                  .proxy = STR(""),
                                  .connect_to = address,
                                  .trace = &call->trace->context};
    struct http_call *http;
    str body = STR(""), type;
    int rc = http_call_open(call->node->services->http, &o, &http, err);
    if (rc < 0)
        return rc;
    int status = http_call_status(http);
    type = http_call_header(http, STR("content-type"));
    type = str_is_utf8(type) ? arena_dup(call->arena, type) : STR("");
    if (r->method != HTTP_HEAD)
        rc = http_call_read_all(http, call->arena, call->tools->o.answer_bytes_max, &body, err);
    http_call_close(http);
    if (rc == ERR_TOO_LARGE)
        return err_set(err, rc, "the answer is larger than %zu bytes",
                       call->tools->o.answer_bytes_max);
    if (rc < 0)
        return rc;
    if (status >= 400 && fail)
        return refused(call, status, body, err);
    write_output(call, status, type, body);
    return 0;
}

int tool_http(struct tool_call *call, struct err *err) {
    struct request *r = ARENA_NEW(call->arena, struct request);
    str address;
    bool fail, named;
    r->call = call;
    int rc = read_request(r, &fail, err);
    if (rc == 0)
        rc = guarded_address(call->node->services, call->arena, r->url, call->tools->o.http_allow,
                             &address, &named, err);
    if (rc == ERR_FORBIDDEN)
        return ERR_INVALID; /* it would be refused again */
    return rc < 0 ? rc : ask(r, address, fail, err);
}
