/* SPDX-License-Identifier: Apache-2.0 */
/* origin.c - whether a page in a browser may talk to this server over a route that demands to know.
 *
 * A page of another site can reach a server on the user's own machine: by its address, or under a
 * name that it lets point there (DNS rebinding). Where requests show who they are, a page has
 * nothing to show but the cookie of a session, and auth/cookie.c says what that is worth. Where
 * they do not, it must come from this machine, from the server's public address or from the origin
 * that --cors-origin names. Programs send no Origin. */
#include "api/api_int.h"
#include "auth/auth.h"
#include "auth/cookie.h"

static bool is_of_this_machine(str origin) {
    static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]"};
    ptrdiff_t at = str_find(origin, STR("://"));
    str host = at < 0 ? STR_NULL : str_slice(origin, (size_t)at + 3, origin.len);
    for (size_t i = 0; i < ARRAY_COUNT(hosts); i++) {
        size_t len = strlen(hosts[i]);
        if (host.len >= len && str_ieq(str_slice(host, 0, len), str_of(hosts[i])) &&
            (host.len == len || host.p[len] == ':'))
            return true;
    }
    return false;
}

bool api_origin_is_fine(struct api_request *r) {
    const struct api_options *o = api_options_of(r->api);
    str origin = http_header(r->http, STR("origin"));
    if (!origin.p || auth_enabled(o->auth))
        return true;
    str own = cookie_origin_of(str_of(o->public_url)), named = str_of(o->cors_origin);
    return is_of_this_machine(origin) || (own.p && str_ieq(origin, own)) ||
           (named.len > 0 && str_ieq(origin, named));
}

bool api_socket_origin_is_fine(struct api_request *r) {
    return str_eq(str_of(api_options_of(r->api)->cors_origin), STR("*")) || api_origin_is_fine(r);
}
