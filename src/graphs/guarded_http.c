/* SPDX-License-Identifier: Apache-2.0 */
/* guarded_http.c - what may be asked of the world outside.
 *
 *   - the host must equal an entry of the list, byte for byte but for case; an entry without a port
 *     allows the scheme's own port only;
 *   - no user, no control characters, no other scheme; redirects are not followed;
 *   - a name is resolved once here, every address must be a public one, and the connection goes to
 *     the address that was checked, whatever the name means a moment later;
 *   - an address given as a number may be private when the list names it: then it was meant;
 *   - no proxy, since a proxy would resolve the name again. */
#include "graphs/guarded_http.h"

#include "http/address.h"
#include "rt/worker.h"

#define ADDRESSES_MAX 8

static bool is_allowed(str hosts, const struct http_url *t) {
    str entry, host, port;
    while (str_split_next(&hosts, ',', &entry)) {
        uint8_t bytes[16];
        bool v6;
        entry = str_trim(entry);
        if (http_address_parse(entry, bytes, &v6)) { /* an IPv6 address needs no brackets here */
            host = entry;
            port = STR_NULL;
        } else if (!http_authority_split(entry, &host, &port)) {
            continue;
        }
        if (str_ieq(host, t->host) && (port.p ? str_eq(port, t->port) : t->usual_port))
            return true;
    }
    return false;
}

/* --- the call --- */

/* The address to connect to. */
static int choose_address(const struct graph_services *services, struct arena *a,
                          const struct http_url *t, str *out, struct err *err) {
    struct rt_address found[ADDRESSES_MAX];
    size_t count;
    if (t->numeric) { /* the list names it */
        *out = t->host;
        return 0;
    }
    int rc = rt_resolve(services->rt, t->host, found, ADDRESSES_MAX, &count, NULL);
    if (rc == ERR_CANCELLED || fiber_cancelled())
        return err_set(err, ERR_CANCELLED, "the request was cancelled");
    if (rc < 0 || count == 0)
        return err_set(err, ERR_FORBIDDEN, "the host's name cannot be resolved");
    for (size_t i = 0; i < count; i++)
        if (!http_address_is_public(str_of(found[i].text)))
            return err_set(err, ERR_FORBIDDEN,
                           "the host's name leads to a private address, which is not allowed");
    *out = arena_dup(a, str_of(found[0].text));
    return 0;
}

static int read_body(const struct graph_services *services, struct http_call *http,
                     int64_t deadline_us, struct buf *body, bool *out_cut, struct err *err) {
    *out_cut = false;
    for (;;) {
        str part;
        int64_t left_us = deadline_us - rt_mono_us(services->rt);
        http_call_set_idle_timeout(http, left_us > 0 ? left_us : 0);
        int rc = http_call_read(http, &part, err);
        if (rc < 0 || part.len == 0)
            return rc;
        size_t room = body->max_bytes - body->len;
        *out_cut = part.len > room;
        buf_append(body, part.p, *out_cut ? room : part.len);
        if (*out_cut)
            return 0;
    }
}

static str text_header(struct arena *a, struct http_call *http, str name) {
    str value = http_call_header(http, name);
    return str_is_utf8(value) ? arena_dup(a, value) : STR_NULL;
}

static int fetch(const struct graph_services *services, struct arena *a,
                 const struct guarded_request *request, str address, struct guarded_answer *out,
                 struct err *err) {
    struct http_call_options o = {.method = request->method,
                                  .url = request->url,
                                  .headers = request->headers,
                                  .header_count = request->header_count,
                                  .body = request->body,
                                  .connect_timeout_us = request->timeout_us,
                                  .head_timeout_us = request->timeout_us,
                                  .proxy = STR(""),
                                  .connect_to = address,
                                  .trace = request->trace ? &request->trace->context : NULL};
    struct http_call *http;
    struct buf body;
    int64_t deadline_us = rt_mono_us(services->rt) + request->timeout_us;
    int rc = http_call_open(services->http, &o, &http, err);
    if (rc < 0)
        return rc;
    struct guarded_answer answer = {.status = http_call_status(http)};
    answer.type = text_header(a, http, STR("content-type"));
    answer.location = text_header(a, http, STR("location"));
    buf_init(&body, request->body_bytes_max);
    rc = read_body(services, http, deadline_us, &body, &answer.cut, err);
    answer.body = arena_dup(a, body.len ? buf_view(&body) : STR(""));
    buf_deinit(&body);
    http_call_close(http);
    if (rc == 0)
        *out = answer;
    return rc;
}

int guarded_fetch(const struct graph_services *services, struct arena *a,
                  const struct guarded_request *request, struct guarded_answer *out,
                  struct err *err) {
    const struct graphs_settings *settings = services->settings;
    struct http_url t;
    str address;
    const char *why = http_url_split(request->url, &t);
    if (why)
        return err_set(err, ERR_FORBIDDEN, "%s", why);
    if (!is_allowed(settings->http_get_hosts, &t))
        return err_set(err, ERR_FORBIDDEN,
                       "the host " STR_FMT ", port " STR_FMT
                       " is not among those that this tool may ask",
                       STR_ARG(str_slice(t.host, 0, 100)), STR_ARG(t.port));
    int rc = choose_address(services, a, &t, &address, err);
    return rc < 0 ? rc : fetch(services, a, request, address, out, err);
}

static bool has_star(str hosts) {
    str entry;
    while (str_split_next(&hosts, ',', &entry))
        if (str_eq(str_trim(entry), STR("*")))
            return true;
    return false;
}

int guarded_address(const struct graph_services *services, struct arena *a, str url, str hosts,
                    str *out, bool *out_named, struct err *err) {
    struct rt_address found[ADDRESSES_MAX];
    struct http_url t;
    size_t count = 0;
    const char *why = http_url_split(url, &t);
    if (why)
        return err_set(err, ERR_FORBIDDEN, "%s", why);
    bool named = is_allowed(hosts, &t);
    if (!named && !has_star(hosts))
        return err_set(err, ERR_FORBIDDEN,
                       "the server does not allow the host " STR_FMT ", port " STR_FMT,
                       STR_ARG(str_slice(t.host, 0, 100)), STR_ARG(t.port));
    if (t.numeric && !named && !http_address_is_public(t.host))
        return err_set(err, ERR_FORBIDDEN, "a private address is not allowed");
    *out = t.host;
    *out_named = named;
    if (t.numeric)
        return 0;
    int rc = rt_resolve(services->rt, t.host, found, ADDRESSES_MAX, &count, NULL);
    if (rc == ERR_CANCELLED || fiber_cancelled())
        return err_set(err, ERR_CANCELLED, "the request was cancelled");
    if (rc < 0 || count == 0)
        return err_set(err, ERR_UNAVAILABLE, "the host's name cannot be resolved");
    for (size_t i = 0; i < count && !named; i++)
        if (!http_address_is_public(str_of(found[i].text)))
            return err_set(err, ERR_FORBIDDEN,
                           "the host's name leads to a private address, which is not allowed");
    *out = arena_dup(a, str_of(found[0].text));
    return 0;
}
