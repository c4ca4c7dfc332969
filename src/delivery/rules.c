/* SPDX-License-Identifier: Apache-2.0 */
/* rules.c - which addresses may be told anything. Clients choose them, so:
 *
 *   - http and https only, no user, no control characters, no redirects (the client follows none);
 *   - a name is resolved once, every address it has must be allowed, and the connection goes to one
 *     that was looked at, whatever the name means a moment later;
 *   - loopback, private and link-local addresses are refused, unless the operator's list names the
 *     host, the address or its network;
 *   - a relative address leads to this server itself and needs the word "self" on that list. */
#include "delivery/delivery_int.h"

#define URL_BYTES_MAX 65536

static bool list_has(str list, str word) {
    str entry;
    while (str_split_next(&list, ',', &entry))
        if (str_ieq(str_trim(entry), word))
            return true;
    return false;
}

bool rules_allow_self(const struct delivery_rules *rules) {
    return list_has(rules->allow, STR("self"));
}

static bool domain_allowed(str list, str host) {
    str entry;
    if (str_trim(list).len == 0)
        return true;
    while (str_split_next(&list, ',', &entry)) {
        entry = str_trim(entry);
        if (str_ieq(entry, host))
            return true;
        bool wild = str_starts(entry, STR("*.")) && host.len > entry.len - 1;
        if (wild && str_ieq(str_slice(host, host.len - (entry.len - 1), host.len),
                            str_slice(entry, 1, entry.len)))
            return true;
    }
    return false;
}

const char *rules_refuse_url(const struct delivery_rules *rules, str url, struct http_url *out) {
    size_t max = rules->url_bytes_max ? rules->url_bytes_max : URL_BYTES_MAX;
    if (url.len == 0 || url.len > max)
        return "the address is empty or too long";
    const char *why = http_url_split(url, out);
    if (why)
        return why;
    if (rules->require_https && !out->https)
        return "the address must begin with https://";
    if (!domain_allowed(rules->allowed_domains, out->host))
        return "the host is not among those that may be told";
    if (str_trim(rules->allowed_ports).len && !list_has(rules->allowed_ports, out->port))
        return "the port is not among those that may be used";
    return NULL;
}

/* "10.0.0.0/8", "fd00::/8", or a single address. */
static bool network_has(str network, str address) {
    ptrdiff_t slash = str_find_char(network, '/');
    str base = slash < 0 ? network : str_slice(network, 0, (size_t)slash);
    uint8_t a[16], b[16];
    bool a6, b6;
    if (!http_address_parse(base, a, &a6) || !http_address_parse(address, b, &b6) || a6 != b6)
        return false;
    uint64_t bits = a6 ? 128 : 32;
    if (slash >= 0) {
        uint64_t given;
        str text = str_slice(network, (size_t)slash + 1, network.len);
        if (!str_to_u64(text, &given) || given > bits)
            return false;
        bits = given;
    }
    size_t whole = bits / 8, rest = bits % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

bool rules_allow_address(const struct delivery_rules *rules, const struct http_url *url,
                         str address) {
    if (http_address_is_public(address))
        return true;
    str list = rules->allow, entry, host, port;
    while (str_split_next(&list, ',', &entry)) {
        entry = str_trim(entry);
        if (network_has(entry, address))
            return true;
        if (http_authority_split(entry, &host, &port) && str_ieq(host, url->host) &&
            (port.p == NULL || str_eq(port, url->port)))
            return true;
    }
    return false;
}
