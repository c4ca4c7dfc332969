/* SPDX-License-Identifier: Apache-2.0 */
/* cookie.h - cookies as credentials: reading and setting them, and what a page may do by them.
 *
 * A browser sends a cookie with whatever request any page makes it send. So a request that changes
 * something counts by its cookie only when it names an Origin, and that is this server's own (or
 * the one of --cors-origin). docs/internals/sessions.md.
 * Memory: views into the request. Errors: ERR_UNAUTHORISED. Suspends: never.
 * Tests: tests/unit/auth/test_cookie.c; fuzzed */
#ifndef HF_AUTH_COOKIE_H
#define HF_AUTH_COOKIE_H

#include "base/arena.h"
#include "base/err.h"
#include "http/server.h"

#define COOKIE_NAME_SESSION "holdfast_session"
#define COOKIE_NAME_LOGIN   "holdfast_login"
#define COOKIE_NAME_MAX     40

/* Where browsers reach this server. */
struct cookie_site {
    str origin;  /* of --public-url; absent: as the request's Host says */
    str also;    /* another origin whose pages may write; absent: none */
    bool secure; /* it is https: cookies have the prefix __Host- */
};
/* url: of the server, "" unknown; also: --cors-origin, of which "*" names nobody. The texts are not
 * copied. */
struct cookie_site cookie_site(str url, str also);

/* The value of the cookie `name` of the site; absent: there is none. ERR_UNAUTHORISED: there are
 * two. */
MUST_CHECK int cookie_get(const struct http_request *req, const struct cookie_site *site,
                          const char *name, str *out, struct err *err);
/* For the coming answer: out of reach of scripts, not sent with what other sites post or load.
 * max_age_s 0: the browser forgets it. */
void cookie_set(struct http_request *req, struct arena *a, const struct cookie_site *site,
                const char *name, str value, int64_t max_age_s);

enum cookie_may { COOKIE_MAY_NOTHING, COOKIE_MAY_READ, COOKIE_MAY_ALL };
/* What the request may do by a cookie: nothing, when it may change something (another method than
 * GET and HEAD, a WebSocket) and no page of this site is known to have sent it; read only, when it
 * is a GET that another site caused. */
enum cookie_may cookie_may(const struct http_request *req, const struct cookie_site *site);

/* scheme://host:port of a URL, without a default port; absent: it is none. */
str cookie_origin_of(str url);
/* A place of this site to go to after a login: an absolute path that no browser reads as another
 * host's. */
bool cookie_return_is_fine(str path);

#endif
