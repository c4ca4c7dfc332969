/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_url.c - addresses of URLs that others wrote: what is looked at before a request must be what
 * the request goes to.
 *
 * Checks: of a URL that is taken, the client's own reading and curl's name the same host and port;
 * a number that is an address is one for curl, and reads the same when it is written again; what is
 * public stays so when it is written as IPv4 within IPv6. Input: a URL; also an address. */
#include <arpa/inet.h>
#include <curl/curl.h>

#include "base/arena.h"
#include "http/address.h"
#include "http/client_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* curl decodes %xx in hosts and writes the older forms of IPv4 (127.1, 0x7f000001) in the usual
 * one. Who is asked is then told by the address that is connected to, not by this text. */
static bool rewritten(str host) {
    bool digits = host.len && host.p[host.len - 1] >= '0' && host.p[host.len - 1] <= '9';
    ptrdiff_t dot = 0;
    for (size_t i = 0; i < host.len; i++)
        dot = host.p[i] == '.' ? (ptrdiff_t)i + 1 : dot;
    str last = str_slice(host, (size_t)dot, host.len);
    bool hex = str_starts(last, STR("0x")) || str_starts(last, STR("0X"));
    return str_find_char(host, '%') >= 0 || digits || hex || str_ends(host, STR("."));
}

static void check_curl(struct arena *a, str url, const struct http_url *parts) {
    char *host = NULL, *port = NULL;
    CURLU *u = curl_url();
    ASSERT(u);
    if (curl_url_set(u, CURLUPART_URL, arena_z(a, url), 0) == CURLUE_OK) {
        ASSERT(curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK);
        ASSERT(curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK);
        str theirs = str_of(host);
        if (theirs.len > 1 && theirs.p[0] == '[')
            theirs = str_slice(theirs, 1, theirs.len - 1);
        ASSERT(str_eq(str_of(port), parts->port));
        ASSERT(parts->numeric || rewritten(parts->host) || str_ieq(theirs, parts->host));
        if (parts->numeric) {
            uint8_t ours[16] = {0}, curls[16] = {0};
            bool v6, curls_v6;
            ASSERT(http_address_parse(parts->host, ours, &v6));
            ASSERT(http_address_parse(theirs, curls, &curls_v6));
            ASSERT(v6 == curls_v6 && memcmp(ours, curls, v6 ? 16 : 4) == 0);
        }
    }
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
}

static void check_url(struct arena *a, str url) {
    struct http_url parts;
    struct url_parts target;
    if (http_url_split(url, &parts))
        return;
    ASSERT(parts.host.len > 0 && parts.port.len > 0);
    if (http_call_target(url, &target)) {
        uint64_t port;
        ASSERT(str_eq(target.host, parts.host));
        ASSERT(str_to_u64(parts.port, &port) && port == (uint64_t)target.port);
        (void)http_host_needs_no_resolver(&target);
    }
    check_curl(a, url, &parts);
}

static void check_address(struct arena *a, str text) {
    uint8_t bytes[16], again[16];
    bool v6, again_v6;
    char z[INET6_ADDRSTRLEN];
    if (!http_address_parse(text, bytes, &v6)) {
        ASSERT(!http_address_is_public(text));
        return;
    }
    ASSERT(inet_ntop(v6 ? AF_INET6 : AF_INET, bytes, z, sizeof(z)));
    ASSERT(http_address_parse(str_of(z), again, &again_v6) && again_v6 == v6);
    ASSERT(memcmp(bytes, again, v6 ? 16 : 4) == 0);
    bool open = http_address_is_public(text);
    ASSERT(http_address_is_public(str_of(z)) == open);
    if (!v6) {
        ASSERT(http_address_is_public(arena_printf(a, "::ffff:%s", z)) == open);
        ASSERT(http_address_is_public(arena_printf(a, "64:ff9b::%s", z)) == open);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena a;
    if (size > 8192)
        return 0;
    str in = size ? str_n((const char *)data, size) : STR("");
    arena_init(&a, 1u << 20);
    check_url(&a, in);
    check_address(&a, in);
    arena_deinit(&a);
    return 0;
}
