/* SPDX-License-Identifier: Apache-2.0 */
/* webhook_settings.c - the options of webhooks, those of LANGGRAPH_WEBHOOKS among them.
 *
 *   {"env_prefix": "LG_WEBHOOK_",
 *    "headers": {"Authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}"},
 *    "url": {"require_https": true, "allowed_domains": ["*.example.org"], "allowed_ports": [443],
 *            "max_url_length": 2048, "disable_loopback": false}}
 *
 * A header may name variables whose name begins with the prefix, and no others: a header goes to
 * whoever a client names, so it must not be a way to read the environment. disable_loopback false
 * allows relative addresses and loopback. */
#include "app/webhook_settings.h"

#include "base/json.h"

#define HEADERS_MAX     16
#define VALUE_BYTES_MAX 8192

static int expand(struct arena *a, str text, str prefix, str *out, struct err *err) {
    struct buf b;
    int rc = 0;
    buf_init(&b, VALUE_BYTES_MAX);
    for (ptrdiff_t at; rc == 0 && (at = str_find(text, STR("${{"))) >= 0;) {
        ptrdiff_t end = str_find(text, STR("}}"));
        str name, value;
        if (end < at) {
            rc = err_set(err, ERR_INVALID, "LANGGRAPH_WEBHOOKS: ${{ without }} in a header");
            break;
        }
        name = str_trim(str_slice(text, (size_t)at + 3, (size_t)end));
        if (!str_starts(name, STR("env.")))
            rc = err_set(err, ERR_INVALID, "LANGGRAPH_WEBHOOKS: only ${{ env.NAME }} is known");
        name = str_slice(name, 4, name.len);
        if (rc == 0 && (prefix.len == 0 || !str_starts(name, prefix)))
            rc = err_set(err, ERR_INVALID,
                         "LANGGRAPH_WEBHOOKS: the variable " STR_FMT " does not begin with the "
                         "prefix " STR_FMT,
                         STR_ARG(str_slice(name, 0, 60)), STR_ARG(str_slice(prefix, 0, 60)));
        if (rc == 0 && !config_env(a, name, &value))
            rc =
                err_set(err, ERR_INVALID, "LANGGRAPH_WEBHOOKS: the variable " STR_FMT " is not set",
                        STR_ARG(str_slice(name, 0, 60)));
        if (rc < 0)
            break;
        buf_append(&b, text.p, (size_t)at);
        buf_str(&b, value);
        text = str_slice(text, (size_t)end + 2, text.len);
    }
    buf_str(&b, text);
    if (rc == 0 && !buf_ok(&b))
        rc = err_set(err, ERR_INVALID, "LANGGRAPH_WEBHOOKS: a header is too long");
    if (rc == 0)
        *out = arena_dup(a, b.len ? buf_view(&b) : STR(""));
    buf_deinit(&b);
    return rc;
}

static int read_headers(struct arena *a, yyjson_val *headers, str prefix,
                        struct delivery_options *out, struct err *err) {
    struct http_header *list = ARENA_ARRAY(a, struct http_header, HEADERS_MAX);
    yyjson_obj_iter it = yyjson_obj_iter_with(headers);
    size_t count = 0;
    if (headers && !yyjson_is_obj(headers))
        return err_set(err, ERR_INVALID, "LANGGRAPH_WEBHOOKS: headers must be an object");
    for (yyjson_val *k; headers && (k = yyjson_obj_iter_next(&it)) != NULL;) {
        str value = json_str(yyjson_obj_iter_get_val(k));
        if (!value.p || count == HEADERS_MAX)
            return err_set(err, ERR_INVALID,
                           "LANGGRAPH_WEBHOOKS: headers are texts, at most %d of them",
                           HEADERS_MAX);
        list[count].name = json_str(k);
        int rc = expand(a, value, prefix, &list[count++].value, err);
        if (rc < 0)
            return rc;
    }
    out->headers = list;
    out->header_count = count;
    return 0;
}

/* A list of texts or numbers, with commas. */
static str joined(struct arena *a, yyjson_val *list) {
    str all = STR("");
    yyjson_val *item;
    size_t i, count;
    yyjson_arr_foreach(list, i, count, item) {
        str text = yyjson_is_str(item) ? json_str(item) : json_text(a, item);
        all = arena_printf(a, STR_FMT "%s" STR_FMT, STR_ARG(all), i ? "," : "", STR_ARG(text));
    }
    return all;
}

static int read_json(const struct config *c, struct arena *a, struct delivery_options *out,
                     struct err *err) {
    yyjson_val *root;
    if (json_parse(a, c->webhook_config, &root, NULL) < 0 || !yyjson_is_obj(root))
        return err_set(err, ERR_INVALID, "LANGGRAPH_WEBHOOKS: must be a JSON object");
    str prefix = json_str(json_get(root, "env_prefix"));
    yyjson_val *url = json_get(root, "url"), *loopback = json_get(url, "disable_loopback");
    out->rules.require_https = yyjson_get_bool(json_get(url, "require_https"));
    out->rules.allowed_domains = joined(a, json_get(url, "allowed_domains"));
    out->rules.allowed_ports = joined(a, json_get(url, "allowed_ports"));
    int64_t max = yyjson_get_sint(json_get(url, "max_url_length"));
    out->rules.url_bytes_max = max > 0 ? (size_t)max : 0;
    if (yyjson_is_false(loopback))
        out->rules.allow =
            arena_printf(a, "self,127.0.0.0/8,::1,localhost,%.*s", STR_ARG(out->rules.allow));
    return read_headers(a, json_get(root, "headers"), prefix.p ? prefix : STR("LG_WEBHOOK_"), out,
                        err);
}

int webhook_settings(const struct config *c, struct arena *a, struct delivery_options *out,
                     struct err *err) {
    *out = (struct delivery_options){.rules = {.allow = c->webhook_allow},
                                     .origin = c->webhook_origin,
                                     .secrets = secret_reveal(c->webhook_secret),
                                     .attempts_max = c->webhook_attempts_max,
                                     .retry_us = c->webhook_retry_us,
                                     .timeout_us = c->webhook_timeout_us,
                                     .concurrency_max = 32};
    return c->webhook_config.len ? read_json(c, a, out, err) : 0;
}
