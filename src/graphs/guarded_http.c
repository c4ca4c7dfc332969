/* SPDX-License-Identifier: Apache-2.0 */
/* guarded_http.c - what may be asked of the world outside.
 *
 *   - the host must equal an entry of the list, byte for byte but for case; an entry without a port
 *     allows the scheme's own port only;
 *   - no user, no control characters, no other scheme; redirects are not followed;
 *   - a name is resolved once here, every address must be a public one, and the connection goes to
 *     the address that was checked, whatever the name means a moment later;
 *   - an address given as a number may be private when the list names it: then it was meant;
 *   - no proxy, since a proxy would resolve the name again.
 *
 * Public IPv4 is what is left after RFC 6890's special blocks; public IPv6 is 2000::/3 without
 * Teredo, 6to4 and the documentation block, and addresses that stand for a public IPv4 one. */
#include "graphs/guarded_http.h"

#include <arpa/inet.h>

#include "rt/worker.h"

#define URL_BYTES_MAX 4096
#define ADDRESSES_MAX 8

/* --- addresses --- */

struct block {
    uint32_t base;
    int bits;
};

static bool v4_is_public(uint32_t ip) {
    static const struct block special[] = {
        {0x00000000, 8},  /* this network */
        {0x0a000000, 8},  /* private */
        {0x64400000, 10}, /* carrier's NAT */
        {0x7f000000, 8},  /* loopback */
        {0xa9fe0000, 16}, /* link, metadata services */
        {0xac100000, 12}, /* private */
        {0xc0000000, 24}, /* protocol assignments */
        {0xc0000200, 24}, /* documentation */
        {0xc0586300, 24}, /* 6to4 relays */
        {0xc0a80000, 16}, /* private */
        {0xc6120000, 15}, /* benchmarks */
        {0xc6336400, 24}, /* documentation */
        {0xcb007100, 24}, /* documentation */
        {0xe0000000, 3},  /* multicast, reserved, broadcast */
    };
    for (size_t i = 0; i < ARRAY_COUNT(special); i++)
        if (ip >> (32 - special[i].bits) == special[i].base >> (32 - special[i].bits))
            return false;
    return true;
}

static uint32_t v4_in(const uint8_t *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool v6_is_public(const uint8_t b[16]) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(b, mapped, 12) == 0 || memcmp(b, nat64, 12) == 0)
        return v4_is_public(v4_in(b + 12));
    if ((b[0] & 0xe0) != 0x20)
        return false;
    bool assignments = b[0] == 0x20 && b[1] == 0x01 && b[2] < 2; /* Teredo and others */
    bool documentation = b[0] == 0x20 && b[1] == 0x01 && b[2] == 0x0d && b[3] == 0xb8;
    bool six_to_four = b[0] == 0x20 && b[1] == 0x02;
    return !assignments && !documentation && !six_to_four;
}

static bool parse_address(str text, uint8_t out[16], bool *out_v6) {
    char z[INET6_ADDRSTRLEN + 1];
    if (text.len >= sizeof(z) || memchr(text.p ? text.p : "", '\0', text.len))
        return false;
    memcpy(z, text.p ? text.p : "", text.len);
    z[text.len] = '\0';
    *out_v6 = str_find_char(text, ':') >= 0;
    return inet_pton(*out_v6 ? AF_INET6 : AF_INET, z, out) == 1;
}

bool tool_address_is_public(str address) {
    uint8_t bytes[16];
    bool v6;
    if (!parse_address(address, bytes, &v6))
        return false;
    return v6 ? v6_is_public(bytes) : v4_is_public(v4_in(bytes));
}

/* --- the address asked for --- */

struct target {
    str host; /* without brackets */
    str port; /* as digits */
    bool usual_port, numeric;
};

static bool split_port(str authority, str *out_host, str *out_port) {
    *out_port = STR_NULL;
    if (authority.len && authority.p[0] == '[') {
        ptrdiff_t end = str_find_char(authority, ']');
        if (end < 0)
            return false;
        *out_host = str_slice(authority, 1, (size_t)end);
        str rest = str_slice(authority, (size_t)end + 1, authority.len);
        if (rest.len && rest.p[0] != ':')
            return false;
        *out_port = rest.len ? str_slice(rest, 1, rest.len) : STR_NULL;
    } else {
        ptrdiff_t colon = str_find_char(authority, ':');
        *out_host = colon < 0 ? authority : str_slice(authority, 0, (size_t)colon);
        *out_port = colon < 0 ? STR_NULL : str_slice(authority, (size_t)colon + 1, authority.len);
    }
    uint64_t port;
    if (out_port->p &&
        (!str_to_u64(*out_port, &port) || port < 1 || port > 65535 || out_port->p[0] == '0'))
        return false;
    return out_host->len > 0;
}

/* NULL, or why the URL is refused. */
static const char *split_url(str url, struct target *out) {
    str rest;
    bool https = str_starts(url, STR("https://"));
    if (!https && !str_starts(url, STR("http://")))
        return "the address must begin with http:// or https://";
    if (url.len > URL_BYTES_MAX)
        return "the address is too long";
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.p[i] <= ' ' || (unsigned char)url.p[i] >= 0x7f || url.p[i] == '\\')
            return "the address holds characters that must be percent-encoded";
    rest = str_slice(url, https ? 8 : 7, url.len);
    size_t end = 0;
    while (end < rest.len && !strchr("/?#", rest.p[end]))
        end++;
    str authority = str_slice(rest, 0, end), port;
    if (str_find_char(authority, '@') >= 0)
        return "the address must not hold a user";
    if (!split_port(authority, &out->host, &port))
        return "the host of the address cannot be read";
    uint8_t bytes[16];
    bool v6;
    out->port = port.p ? port : https ? STR("443") : STR("80");
    out->usual_port = str_eq(out->port, https ? STR("443") : STR("80"));
    out->numeric = parse_address(out->host, bytes, &v6);
    return NULL;
}

static bool is_allowed(str hosts, const struct target *t) {
    str entry, host, port;
    while (str_split_next(&hosts, ',', &entry)) {
        uint8_t bytes[16];
        bool v6;
        entry = str_trim(entry);
        if (parse_address(entry, bytes, &v6)) { /* an IPv6 address needs no brackets here */
            host = entry;
            port = STR_NULL;
        } else if (!split_port(entry, &host, &port)) {
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
                          const struct target *t, str *out, struct err *err) {
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
        if (!tool_address_is_public(str_of(found[i].text)))
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
                                  .connect_to = address};
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
    struct target t;
    str address;
    const char *why = split_url(request->url, &t);
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
    struct target t;
    size_t count = 0;
    const char *why = split_url(url, &t);
    if (why)
        return err_set(err, ERR_FORBIDDEN, "%s", why);
    bool named = is_allowed(hosts, &t);
    if (!named && !has_star(hosts))
        return err_set(err, ERR_FORBIDDEN,
                       "the server does not allow the host " STR_FMT ", port " STR_FMT,
                       STR_ARG(str_slice(t.host, 0, 100)), STR_ARG(t.port));
    if (t.numeric && !named && !tool_address_is_public(t.host))
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
        if (!tool_address_is_public(str_of(found[i].text)))
            return err_set(err, ERR_FORBIDDEN,
                           "the host's name leads to a private address, which is not allowed");
    *out = arena_dup(a, str_of(found[0].text));
    return 0;
}
