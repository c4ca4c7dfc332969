/* SPDX-License-Identifier: Apache-2.0 */
/* cookie.c - cookies as credentials. RFC 6265, its successor's prefixes, Fetch Metadata.
 *
 * Behind https a cookie's name begins with __Host-: browsers then take it over https only, for
 * exactly this host and its whole path, so neither a neighbouring domain nor plain http can plant
 * one. Other servers' names are not looked for: with an https site a cookie without the prefix is
 * nobody's.
 *
 * Who sent a request is told by Origin, which pages cannot choose; where it is missing (GETs of the
 * same site, navigation) by Sec-Fetch-Site, which they cannot either. Old browsers send neither
 * with a GET: they may read, as SameSite=Lax lets no page load from here what another site shows,
 * and to change something Origin is demanded. */
#include "auth/cookie.h"

#include <string.h>

#define PREFIX_SECURE "__Host-"

static str without_port(str origin, str scheme, str port) {
    return str_starts(origin, scheme) && str_ends(origin, port)
               ? str_slice(origin, 0, origin.len - port.len)
               : origin;
}

str cookie_origin_of(str url) {
    ptrdiff_t at = str_find(url, STR("://"));
    if (at <= 0)
        return STR_NULL;
    size_t end = (size_t)at + 3;
    while (end < url.len && !memchr("/?#", url.p[end], 3))
        end++;
    str origin = without_port(str_slice(url, 0, end), STR("https://"), STR(":443"));
    return without_port(origin, STR("http://"), STR(":80"));
}

struct cookie_site cookie_site(str url, str also) {
    return (struct cookie_site){.origin = url.len ? cookie_origin_of(url) : STR_NULL,
                                .also = also.len && !str_eq(also, STR("*")) ? also : STR_NULL,
                                .secure = str_starts(url, STR("https://"))};
}

/* --- reading and setting --- */

static bool is_name(str text, const struct cookie_site *site, const char *name) {
    if (site->secure) {
        if (!str_starts(text, STR(PREFIX_SECURE)))
            return false;
        text = str_slice(text, sizeof(PREFIX_SECURE) - 1, text.len);
    }
    return str_eq(text, str_of(name));
}

/* "a=1; b=2": white space around a pair is no part of it; quotes are part of a value. */
static int find_in(str header, const struct cookie_site *site, const char *name, str *found,
                   struct err *err) {
    for (str rest = header, pair; str_split_next(&rest, ';', &pair);) {
        pair = str_trim(pair);
        ptrdiff_t equals = str_find_char(pair, '=');
        if (equals < 0 || !is_name(str_slice(pair, 0, (size_t)equals), site, name))
            continue;
        if (found->p)
            return err_set(err, ERR_UNAUTHORISED, "The request has credentials twice");
        *found = str_slice(pair, (size_t)equals + 1, pair.len);
    }
    return 0;
}

int cookie_get(const struct http_request *req, const struct cookie_site *site, const char *name,
               str *out, struct err *err) {
    str found = STR_NULL;
    for (size_t i = 0; i < req->header_count; i++) {
        if (!str_ieq(req->headers[i].name, STR("cookie")))
            continue;
        int rc = find_in(req->headers[i].value, site, name, &found, err);
        if (rc < 0)
            return rc;
    }
    *out = found;
    return 0;
}

void cookie_set(struct http_request *req, struct arena *a, const struct cookie_site *site,
                const char *name, str value, int64_t max_age_s) {
    http_reply_header(
        req, STR("Set-Cookie"),
        arena_printf(a, "%s%s=" STR_FMT "; Path=/; Max-Age=%lld; HttpOnly; SameSite=Lax%s",
                     site->secure ? PREFIX_SECURE : "", name, STR_ARG(value), (long long)max_age_s,
                     site->secure ? "; Secure" : ""));
}

/* --- who sent it --- */

/* Without --public-url the host is what the client calls the server, over whichever scheme: a page
 * that lets its own name point here has another cookie jar. */
static bool is_own(const struct http_request *req, const struct cookie_site *site, str origin) {
    if (site->also.p && str_ieq(origin, site->also))
        return true;
    if (site->origin.p)
        return str_ieq(origin, site->origin);
    str host = http_header(req, STR("host"));
    ptrdiff_t at = str_find(origin, STR("://"));
    return host.len > 0 && at > 0 && str_ieq(str_slice(origin, (size_t)at + 3, origin.len), host);
}

enum cookie_may cookie_may(const struct http_request *req, const struct cookie_site *site) {
    str origin = http_header(req, STR("origin"));
    str from = http_header(req, STR("sec-fetch-site"));
    bool own = origin.p && is_own(req, site, origin);
    if ((req->method != HTTP_GET && req->method != HTTP_HEAD) || http_header(req, STR("upgrade")).p)
        return own ? COOKIE_MAY_ALL : COOKIE_MAY_NOTHING;
    if (own)
        return COOKIE_MAY_ALL;
    bool here = !from.p || str_eq(from, STR("same-origin")) || str_eq(from, STR("none"));
    return origin.p || !here ? COOKIE_MAY_READ : COOKIE_MAY_ALL;
}

/* --- places to return to --- */

/* Browsers take "//host" and "/\host" for another host's address, drop tabs and line ends wherever
 * they stand, and read "\" as "/". */
bool cookie_return_is_fine(str path) {
    if (path.len == 0 || path.p[0] != '/' || (path.len > 1 && path.p[1] == '/'))
        return false;
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.p[i];
        if (c <= ' ' || c >= 0x7f || c == '\\')
            return false;
    }
    return true;
}
