/* SPDX-License-Identifier: Apache-2.0 */
/* address.c - URLs that others wrote, and where their hosts lie.
 *
 * Public IPv4 is what is left after RFC 6890's special blocks; public IPv6 is 2000::/3 without
 * Teredo, 6to4 and the documentation block, and addresses that stand for a public IPv4 one. */
#include "http/address.h"

#include <arpa/inet.h>

#define URL_BYTES_MAX 4096

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

bool http_address_parse(str text, uint8_t out[16], bool *out_v6) {
    char z[INET6_ADDRSTRLEN + 1];
    if (text.len >= sizeof(z) || memchr(text.p ? text.p : "", '\0', text.len))
        return false;
    memcpy(z, text.p ? text.p : "", text.len);
    z[text.len] = '\0';
    *out_v6 = str_find_char(text, ':') >= 0;
    return inet_pton(*out_v6 ? AF_INET6 : AF_INET, z, out) == 1;
}

bool http_address_is_public(str address) {
    uint8_t bytes[16];
    bool v6;
    if (!http_address_parse(address, bytes, &v6))
        return false;
    return v6 ? v6_is_public(bytes) : v4_is_public(v4_in(bytes));
}

/* --- URLs --- */

bool http_authority_split(str authority, str *out_host, str *out_port) {
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

const char *http_url_split(str url, struct http_url *out) {
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
    if (!http_authority_split(authority, &out->host, &port))
        return "the host of the address cannot be read";
    uint8_t bytes[16];
    bool v6;
    out->https = https;
    out->port = port.p ? port : https ? STR("443") : STR("80");
    out->usual_port = str_eq(out->port, https ? STR("443") : STR("80"));
    out->numeric = http_address_parse(out->host, bytes, &v6);
    return NULL;
}
