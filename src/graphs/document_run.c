/* SPDX-License-Identifier: Apache-2.0 */
/* document_run.c - what the nodes of a document do, but for models.
 *
 * Each makes a result, then its writes are evaluated with it. A null is not written to a channel
 * that only gathers (messages, append, topic, the binary reducers): there it would mean nothing. */
#include "graphs/document_int.h"
#include "graphs/tool_calls.h"

/* --- writes --- */

int document_write_messages(struct node_ctx *ctx, const char *channel, const struct expr_value *v,
                            struct err *err) {
    struct message *list;
    size_t count = 0;
    str json;
    yyjson_val *root;
    int rc = expr_json(ctx->arena, v, DOCUMENT_VALUE_BYTES_MAX, &json, err);
    if (rc == 0)
        rc = json_parse(ctx->arena, json, &root, err);
    if (rc == 0)
        rc = message_normalise_list(ctx->arena, root, &list, &count, err);
    for (size_t i = 0; i < count && rc == 0; i++)
        node_write_message(ctx, channel, &list[i]);
    return rc;
}

static bool gathers(enum channel_kind kind) {
    return kind == CHANNEL_MESSAGES || kind == CHANNEL_LIST || kind == CHANNEL_TOPIC ||
           kind == CHANNEL_BINARY;
}

static int write_one(struct node_ctx *ctx, struct scope *s, const struct doc_write *w,
                     struct err *err) {
    struct expr_value v;
    str json;
    int rc = scope_eval(s, w->value, &v, err);
    if (rc < 0 || (v.kind == EXPR_NULL && gathers(w->kind)))
        return rc;
    if (w->kind == CHANNEL_MESSAGES)
        return document_write_messages(ctx, w->channel, &v, err);
    rc = expr_json(ctx->arena, &v, DOCUMENT_VALUE_BYTES_MAX, &json, err);
    if (rc == 0)
        node_write_value(ctx, w->channel, json);
    return rc;
}

int document_write(struct node_ctx *ctx, struct scope *s, struct err *err) {
    const struct doc_node *n = document_node(ctx);
    for (size_t i = 0; i < n->write_count; i++) {
        int rc = write_one(ctx, s, &n->writes[i], err);
        if (rc < 0) {
            (void)err_context(err, "writes.%s", n->writes[i].channel);
            return rc;
        }
    }
    return 0;
}

int document_run_transform(struct node_ctx *ctx, struct err *err) {
    struct scope s;
    scope_init_node(&s, ctx, document_compiled(ctx)->config);
    return document_write(ctx, &s, err);
}

/* --- map, gate --- */

int document_run_map(struct node_ctx *ctx, struct err *err) {
    const struct doc_node *n = document_node(ctx);
    struct scope s;
    struct expr_value list;
    str json;
    scope_init_node(&s, ctx, document_compiled(ctx)->config);
    int rc = scope_eval(&s, n->over, &list, err);
    if (rc == 0 && list.kind != EXPR_ARRAY && list.kind != EXPR_NULL)
        rc = err_set(err, ERR_INVALID, "over: must give an array");
    for (size_t i = 0; rc == 0 && i < expr_count(&list); i++) {
        struct expr_value item = expr_at(&list, i);
        rc = expr_json(ctx->arena, &item, DOCUMENT_VALUE_BYTES_MAX, &json, err);
        if (rc == 0)
            node_send(ctx, n->to, json);
    }
    if (rc < 0)
        return rc;
    s.result = list;
    return document_write(ctx, &s, err);
}

int document_run_gate(struct node_ctx *ctx, struct err *err) {
    const struct doc_node *n = document_node(ctx);
    struct scope s;
    struct expr_value v = expr_of_bool(true);
    yyjson_val *resume;
    str json;
    scope_init_node(&s, ctx, document_compiled(ctx)->config);
    int rc = n->when ? scope_eval(&s, n->when, &v, err) : 0;
    if (rc == 0 && expr_is_true(&v)) {
        rc = scope_eval(&s, n->payload, &v, err);
        if (rc == 0)
            rc = expr_json(ctx->arena, &v, DOCUMENT_VALUE_BYTES_MAX, &json, err);
        if (rc == 0)
            rc = node_interrupt(ctx, json, &resume, err);
        if (rc == 0)
            s.result = expr_of_json(resume);
    }
    return rc < 0 ? rc : document_write(ctx, &s, err);
}

/* --- tools --- */

int document_run_tools(struct node_ctx *ctx, struct err *err) {
    const struct doc_node *n = document_node(ctx);
    struct conversation c = conversation_of(ctx, n->channel, 0);
    struct message *answers;
    size_t count;
    int rc =
        tool_calls_run(ctx, document_compiled(ctx)->models[n->index], &c, &answers, &count, err);
    for (size_t i = 0; i < count && rc == 0; i++)
        node_write_message(ctx, n->channel, &answers[i]);
    struct scope s;
    if (rc < 0)
        return rc;
    scope_init_node(&s, ctx, document_compiled(ctx)->config);
    return document_write(ctx, &s, err);
}

/* The JSON of a text, made when an expression looks at it. */
struct lazy_json {
    struct arena *a;
    str text;
    yyjson_val *v;
    bool done;
};

static struct expr_value load_json(void *ctx, str key) {
    struct lazy_json *l = ctx;
    (void)key;
    if (!l->done && json_parse(l->a, l->text, &l->v, NULL) < 0)
        l->v = NULL;
    l->done = true;
    return expr_of_json(l->v);
}

static struct expr_value lazy_json(struct arena *a, str text) {
    struct lazy_json *l = ARENA_NEW(a, struct lazy_json);
    *l = (struct lazy_json){.a = a, .text = text};
    return expr_of_lazy(load_json, l);
}

static int tool_arguments(struct scope *s, const struct doc_node *n, yyjson_val **out,
                          struct err *err) {
    struct expr_member *members = ARENA_ARRAY(s->a, struct expr_member, n->member_count + 1);
    str json;
    int rc = 0;
    for (size_t i = 0; i < n->member_count && rc == 0; i++) {
        members[i].key = n->members[i].name;
        rc = scope_eval(s, n->members[i].value, &members[i].value, err);
    }
    struct expr_value object = expr_of_members(members, n->member_count);
    if (rc == 0)
        rc = expr_json(s->a, &object, DOCUMENT_VALUE_BYTES_MAX, &json, err);
    return rc == 0 ? json_parse(s->a, json, out, err) : rc;
}

int document_run_tool(struct node_ctx *ctx, struct err *err) {
    const struct doc_node *n = document_node(ctx);
    struct scope s;
    struct tool_answer answer = {0};
    struct tool_call call = {
        .services = ctx->services, .settings = ctx->services->settings, .arena = ctx->arena};
    scope_init_node(&s, ctx, document_compiled(ctx)->config);
    int rc = tool_arguments(&s, n, &call.arguments, err);
    if (rc == 0)
        rc = tool_run(n->tool, &call, &answer);
    if (rc < 0)
        return rc;
    if (answer.failed && !n->tolerant)
        return err_set(err, ERR_INTERNAL, "the tool %s: %.*s", n->tool->name,
                       STR_ARG(str_slice(answer.text, 0, 150)));
    struct expr_member *r = ARENA_ARRAY(ctx->arena, struct expr_member, 3);
    r[0] = (struct expr_member){STR("text"), expr_of_str(answer.text)};
    r[1] = (struct expr_member){STR("failed"), expr_of_bool(answer.failed)};
    r[2] = (struct expr_member){STR("json"), lazy_json(ctx->arena, answer.text)};
    s.result = expr_of_members(r, 3);
    return document_write(ctx, &s, err);
}

/* --- http --- */

#define HEADER_BYTES_MAX 4096
#define URL_BYTES_MAX    4096
#define ANSWER_BYTES_MAX ((size_t)4 << 20)

static int http_headers(struct scope *s, const struct doc_node *n, bool has_json,
                        struct http_header **out, size_t *out_count, struct err *err) {
    struct http_header *h = ARENA_ARRAY(s->a, struct http_header, n->member_count + 2);
    struct expr_value root = scope_root(s);
    size_t count = 0;
    int rc = 0;
    for (size_t i = 0; i < n->member_count && rc == 0; i++) {
        h[count].name = n->members[i].name;
        has_json = has_json && !str_ieq(h[count].name, STR("content-type"));
        rc = template_render(n->members[i].text, &root, s->a, HEADER_BYTES_MAX, &h[count].value,
                             err);
        for (size_t k = 0; rc == 0 && k < h[count].value.len; k++)
            if ((unsigned char)h[count].value.p[k] < ' ' || h[count].value.p[k] == 0x7f)
                rc = err_set(err, ERR_INVALID, "headers: a value holds control characters");
        count++;
    }
    if (has_json)
        h[count++] = (struct http_header){STR("Content-Type"), STR("application/json")};
    *out = h;
    *out_count = count;
    return rc;
}

static int http_body(struct scope *s, const struct doc_node *n, struct guarded_request *request,
                     bool *out_json, struct err *err) {
    struct expr_value v = {0};
    int rc = n->body ? scope_eval(s, n->body, &v, err) : 0;
    *out_json = rc == 0 && v.kind != EXPR_NULL && v.kind != EXPR_STRING;
    if (*out_json)
        rc = expr_json(s->a, &v, DOCUMENT_VALUE_BYTES_MAX, &request->body, err);
    else if (v.kind == EXPR_STRING)
        request->body = v.string;
    return rc;
}

static struct expr_value http_result(struct arena *a, const struct guarded_answer *answer) {
    struct expr_member *r = ARENA_ARRAY(a, struct expr_member, 4);
    bool text = str_is_utf8(answer->body);
    r[0] = (struct expr_member){STR("status"), expr_of_int(answer->status)};
    r[1] = (struct expr_member){STR("type"), expr_of_str(answer->type.p ? answer->type : STR(""))};
    r[2] = (struct expr_member){STR("text"), expr_of_str(text ? answer->body : STR(""))};
    r[3] = (struct expr_member){STR("json"), lazy_json(a, answer->body)};
    return expr_of_members(r, 4);
}

static int http_failure(const struct guarded_answer *answer, struct err *err) {
    if (answer->cut)
        return err_set(err, ERR_TOO_LARGE, "the answer is longer than %zu bytes", ANSWER_BYTES_MAX);
    bool passing = answer->status == 429 || answer->status >= 500;
    return err_set(err, passing ? ERR_UNAVAILABLE : ERR_INTERNAL, "the server answered %d",
                   answer->status);
}

int document_run_http(struct node_ctx *ctx, struct err *err) {
    const struct doc_node *n = document_node(ctx);
    struct scope s;
    struct guarded_answer answer;
    struct http_header *headers;
    bool has_json;
    struct guarded_request request = {.method = n->method,
                                      .timeout_us = n->http_timeout_us,
                                      .body_bytes_max = ANSWER_BYTES_MAX,
                                      .trace = ctx->trace};
    scope_init_node(&s, ctx, document_compiled(ctx)->config);
    struct expr_value root = scope_root(&s);
    int rc = template_render(n->url, &root, ctx->arena, URL_BYTES_MAX, &request.url, err);
    if (rc == 0)
        rc = http_body(&s, n, &request, &has_json, err);
    if (rc == 0)
        rc = http_headers(&s, n, has_json, &headers, &request.header_count, err);
    if (rc < 0)
        return rc;
    request.headers = headers;
    rc = guarded_fetch(ctx->services, ctx->arena, &request, &answer, err);
    if (rc == 0 && (answer.cut || (!n->tolerant && (answer.status < 200 || answer.status > 299))))
        rc = http_failure(&answer, err);
    if (rc < 0)
        return rc;
    s.result = http_result(ctx->arena, &answer);
    return document_write(ctx, &s, err);
}
