/* SPDX-License-Identifier: Apache-2.0 */
/* mcp_target.c - where a configured MCP server is, and how it learns who asks.
 *
 * The address is checked as guarded_http.h says. The user's token is the run's bearer: that of the
 * request that made it, else its x-supabase-access-token. It goes only to servers that require it,
 * and only over https or to a host that the operator has named; as it is, or exchanged for one of
 * that server (RFC 8693: grant token-exchange, client "mcp_default", the endpoint as resource). An
 * exchanged token is used for one step and not kept. */
#include "graphs/mcp_target.h"

#include "graphs/guarded_http.h"

#define HEADERS_MAX        16
#define TOKEN_BYTES_MAX    ((size_t)16 * 1024)
#define EXCHANGE_US        10000000
#define EXCHANGE_BYTES_MAX ((size_t)64 * 1024)

static void write_form(struct buf *b, const char *name, str value) {
    buf_printf(b, "%s%s=", b->len ? "&" : "", name);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            (c && strchr("-._~", c)))
            buf_char(b, (char)c);
        else
            buf_printf(b, "%%%02X", c);
    }
}

static int exchange_failed(struct err *err, const char *why) {
    return err_set(err, ERR_UNAUTHORISED, "the user's token cannot be exchanged: %s", why);
}

static int post_form(struct node_ctx *ctx, str url, str address, str form, str *out_body,
                     int *out_status, struct err *err) {
    struct http_header headers[] = {{STR("Content-Type"), STR("application/x-www-form-urlencoded")},
                                    {STR("Accept"), STR("application/json")}};
    struct http_call_options o = {.method = HTTP_POST,
                                  .url = url,
                                  .headers = headers,
                                  .header_count = ARRAY_COUNT(headers),
                                  .body = form,
                                  .connect_timeout_us = EXCHANGE_US,
                                  .head_timeout_us = EXCHANGE_US,
                                  .idle_timeout_us = EXCHANGE_US,
                                  .proxy = STR(""),
                                  .connect_to = address};
    struct http_call *call;
    int rc = http_call_open(ctx->services->http, &o, &call, err);
    if (rc < 0)
        return rc;
    *out_status = http_call_status(call);
    rc = http_call_read_all(call, ctx->arena, EXCHANGE_BYTES_MAX, out_body, err);
    http_call_close(call);
    return rc;
}

static int exchange(struct node_ctx *ctx, const struct graphs_settings *settings,
                    const struct mcp_server *s, str *token, struct err *err) {
    struct err cause = {0};
    str address, body;
    bool named;
    int status = 0;
    int rc = guarded_address(ctx->services, ctx->arena, s->token_url, settings->mcp_hosts, &address,
                             &named, &cause);
    if (rc == 0 && !named && !str_starts(s->token_url, STR("https://")))
        return exchange_failed(err, "token_url is not https");
    struct buf form;
    buf_init(&form, 4 * TOKEN_BYTES_MAX);
    write_form(&form, "client_id", STR("mcp_default"));
    write_form(&form, "grant_type", STR("urn:ietf:params:oauth:grant-type:token-exchange"));
    write_form(&form, "subject_token", *token);
    write_form(&form, "subject_token_type", STR("urn:ietf:params:oauth:token-type:access_token"));
    write_form(&form, "resource", s->url);
    if (rc == 0)
        rc = post_form(ctx, s->token_url, address, buf_view(&form), &body, &status, &cause);
    buf_deinit(&form);
    if (rc == ERR_CANCELLED)
        return err_set(err, rc, "cancelled");
    if (rc < 0)
        return exchange_failed(err, cause.message);
    yyjson_val *root;
    if (status != 200 || json_parse(ctx->arena, body, &root, NULL) < 0)
        return exchange_failed(err, "the server refused it");
    str fresh = json_str(json_get(root, "access_token"));
    if (!fresh.len || fresh.len > TOKEN_BYTES_MAX)
        return exchange_failed(err, "the answer holds no access_token");
    *token = fresh;
    return 0;
}

/* The run's own headers of this server. */
static int add_headers(struct node_ctx *ctx, size_t server, struct http_header *out, size_t *count,
                       struct err *err) {
    static const char *const taken[] = {"host",         "content-length",    "content-type",
                                        "accept",       "transfer-encoding", "connection",
                                        "last-event-id"};
    yyjson_val *headers = mcp_config_headers(ctx->configurable, server), *key, *value;
    size_t i, n;
    if (!yyjson_is_obj(headers))
        return 0;
    yyjson_obj_foreach(headers, i, n, key, value) {
        str name = json_str(key);
        bool bad = !yyjson_is_str(value) || *count == HEADERS_MAX || !name.len ||
                   (name.len >= 4 && str_ieq(str_slice(name, 0, 4), STR("mcp-")));
        for (size_t k = 0; k < ARRAY_COUNT(taken); k++)
            bad = bad || str_ieq(name, str_of(taken[k]));
        if (bad)
            return err_set(err, ERR_INVALID, "its headers hold one that cannot be set");
        out[(*count)++] = (struct http_header){name, json_str(value)};
    }
    return 0;
}

int mcp_target_make(struct node_ctx *ctx, const struct agent_config *config, size_t server,
                    struct mcp_target *out, struct err *err) {
    const struct graphs_settings *settings = ctx->services->settings;
    const struct mcp_server *s = &config->mcp.servers[server];
    struct http_header *headers = ARENA_ARRAY(ctx->arena, struct http_header, HEADERS_MAX + 1);
    size_t count = 0;
    str address, token = STR_NULL;
    bool named;
    int rc = guarded_address(ctx->services, ctx->arena, s->url, settings->mcp_hosts, &address,
                             &named, err);
    if (rc == 0)
        rc = add_headers(ctx, server, headers, &count, err);
    if (rc < 0)
        return rc;
    if (s->auth_required) {
        token = ctx->bearer;
        if (!token.len || token.len > TOKEN_BYTES_MAX)
            return err_set(err, ERR_UNAUTHORISED,
                           "it needs the user's token, and the run has none");
        if (!named && !str_starts(s->url, STR("https://")))
            return err_set(err, ERR_FORBIDDEN, "the user's token goes only over https");
        if (s->token_url.len)
            rc = exchange(ctx, settings, s, &token, err);
        if (rc < 0)
            return rc;
        headers[count].name = STR("Authorization");
        headers[count++].value = arena_printf(ctx->arena, "Bearer " STR_FMT, STR_ARG(token));
    }
    *out = (struct mcp_target){.url = s->url,
                               .connect_to = address,
                               .principal = ctx->owner,
                               .headers = headers,
                               .header_count = count,
                               .timeout_us = settings->mcp_timeout_us};
    return 0;
}
