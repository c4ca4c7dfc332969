/* SPDX-License-Identifier: Apache-2.0 */
/* client_names.c - hosts of URLs and their addresses.
 *
 * Numeric hosts and localhost are curl's to translate (it starts no thread for them); any other
 * name is resolved on the offload pool, kept for a minute and loaded into curl's cache with
 * CURLOPT_RESOLVE. When that fails curl is asked, since a proxy may know the name. */
#include <stdio.h>

#include "base/mem.h"
#include "http/address.h"
#include "http/client_int.h"
#include "rt/worker.h"

enum { HOST_COUNT_MAX = 256, HOST_ADDRESS_MAX = 4 };
#define RESOLVED_KEEP_US (60 * 1000000LL)

struct client_host {
    char *key; /* "name:port" */
    char addresses[HOST_ADDRESS_MAX * (RT_ADDRESS_LEN + 3)];
    enum { HOST_RESOLVING, HOST_KNOWN, HOST_UNKNOWN } state;
    bool unloaded; /* curl's cache does not have the addresses yet */
    int64_t fresh_until_us;
    struct fiber_event resolved;
};

bool http_call_target(str url, struct url_parts *out) {
    bool https = str_starts(url, STR("https://"));
    if (!https && !str_starts(url, STR("http://")))
        return false;
    str rest = str_slice(url, https ? 8 : 7, url.len), port;
    size_t start = 0, end = 0;
    for (; end < rest.len && !strchr("/?#", rest.p[end]); end++)
        if (rest.p[end] == '@')
            start = end + 1;
    str authority = str_slice(rest, start, end);
    uint64_t number = https ? 443 : 80;
    if (str_find_char(authority, '\0') >= 0 ||
        !http_authority_split(authority, &out->host, &port) ||
        (port.p && !str_to_u64(port, &number)))
        return false;
    out->port = (int)number;
    out->v6 = authority.p[0] == '[';
    return out->host.len < 100;
}

bool http_host_needs_no_resolver(const struct url_parts *u) {
    if (u->v6 || str_ieq(u->host, STR("localhost")) || str_ends(u->host, STR(".localhost")))
        return true;
    for (size_t i = 0; i < u->host.len; i++)
        if (!strchr("0123456789.", u->host.p[i]))
            return false;
    return true;
}

static int host_resolve(struct http_client *c, struct client_host *h, str name) {
    struct rt_address list[HOST_ADDRESS_MAX];
    size_t count = 0;
    h->state = HOST_RESOLVING;
    int rc = rt_resolve(c->rt, name, list, HOST_ADDRESS_MAX, &count, NULL);
    size_t at = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        at += (size_t)snprintf(h->addresses + at, sizeof h->addresses - at,
                               list[i].v6 ? "%s[%s]" : "%s%s", i > 0 ? "," : "", list[i].text);
    h->state = rc == 0 && count > 0 ? HOST_KNOWN : HOST_UNKNOWN;
    h->unloaded = h->state == HOST_KNOWN;
    h->fresh_until_us = rt_mono_us(c->rt) + RESOLVED_KEEP_US;
    fiber_event_wake_all(&h->resolved);
    return rc == ERR_CANCELLED ? rc : 0;
}

int http_call_prepare_host(struct http_call *call, const struct url_parts *u, int64_t deadline_us) {
    struct http_client *c = call->client;
    str key = str_of(call->host);
    struct client_host *h = map_get(&c->hosts, key);
    if (!h) {
        if (c->hosts.count >= HOST_COUNT_MAX)
            return 0;
        h = NEW(struct client_host);
        h->key = mem_strdup(call->host);
        h->state = HOST_UNKNOWN;
        fiber_event_init(&h->resolved);
        map_put(&c->hosts, str_of(h->key), h);
    }
    while (h->state == HOST_RESOLVING) {
        int rc = fiber_event_wait(&h->resolved, deadline_us);
        if (rc < 0)
            return rc;
    }
    if (rt_mono_us(c->rt) >= h->fresh_until_us) {
        int rc = host_resolve(c, h, u->host);
        if (rc < 0)
            return rc;
    }
    if (h->state != HOST_KNOWN || !h->unloaded)
        return 0;
    h->unloaded = false;
    char line[sizeof h->addresses + sizeof call->host + 2];
    snprintf(line, sizeof line, "%s:%s", h->key, h->addresses);
    call->resolve = curl_slist_append(NULL, line);
    curl_easy_setopt(call->easy, CURLOPT_RESOLVE, call->resolve);
    return 0;
}

void http_client_forget_hosts(struct http_client *c) {
    size_t at = 0;
    str key;
    void *value;
    while (map_next(&c->hosts, &at, &key, &value)) {
        struct client_host *h = value;
        mem_free(h->key);
        mem_free(h);
    }
    map_deinit(&c->hosts);
}
