/* SPDX-License-Identifier: Apache-2.0 */
/* router.h - matches method and path against one table of templates ("/threads/{thread_id}").
 *
 * Literal segments win over parameters. Parameters are percent-decoded into the request's arena.
 * A trailing slash matches the same route. Memory: the table is the caller's and outlives the
 * router. Suspends: never. Tests: tests/unit/http/test_router.c */
#ifndef HF_HTTP_ROUTER_H
#define HF_HTTP_ROUTER_H

#include "http/server.h"

#define HTTP_ROUTE_PARAM_MAX 4

struct http_route {
    enum http_method method;
    const char *path; /* template */
    int id;           /* the caller's */
};
struct http_match {
    const struct http_route *route;
    str params[HTTP_ROUTE_PARAM_MAX]; /* in the order of the template */
    size_t param_count;
};
struct http_router;
struct http_router *http_router_new(const struct http_route *routes, size_t count);
void http_router_free(struct http_router *r);
/* 0; ERR_NOT_FOUND: no such path; ERR_UNSUPPORTED: the path exists with other methods (405), which
 * are written to allow ("GET, POST") in the arena. HEAD matches GET routes. */
MUST_CHECK int http_router_match(const struct http_router *r, const struct http_request *req,
                                 struct http_match *out, str *out_allow);

/* Query strings: percent and plus decoding, in the arena; at most 256 pairs, then ERR_TOO_LARGE. A
 * broken escape, NUL or bytes that are not UTF-8: ERR_MALFORMED; in a path: ERR_NOT_FOUND. */
struct http_query {
    struct http_header *pairs;
    size_t count;
};
MUST_CHECK int http_query_parse(struct arena *a, str query, struct http_query *out,
                                struct err *err);
str http_query_get(const struct http_query *q, const char *name); /* last one; absent */
/* 1, 0, true, false; `otherwise` for anything else. */
bool http_query_bool(const struct http_query *q, const char *name, bool otherwise);
/* All values of name: repeated keys, one JSON array, or a comma list (when commas is set). */
MUST_CHECK int http_query_list(struct arena *a, const struct http_query *q, const char *name,
                               bool commas, str **out, size_t *out_count, struct err *err);
MUST_CHECK int http_percent_decode(struct arena *a, str s, bool plus_is_space, str *out);
void http_percent_encode(struct buf *out, str s);

#endif
