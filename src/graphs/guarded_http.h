/* SPDX-License-Identifier: Apache-2.0 */
/* guarded_http.h - a request to a host that the server's operator allows, and to no other.
 *
 * What is asked comes from a model or from whoever may write a graph; what is refused stands at the
 * top of guarded_http.c. Memory: the arena given. Errors: ERR_FORBIDDEN with the reason of a
 * refusal, ERR_CANCELLED, those of the HTTP client. Suspends: guarded_fetch.
 * Tests: tests/unit/graphs/test_tools.c */
#ifndef HF_GRAPHS_GUARDED_HTTP_H
#define HF_GRAPHS_GUARDED_HTTP_H

#include "graphs/graphs.h"
#include "http/client.h"

struct guarded_request {
    enum http_method method;
    str url;
    const struct http_header *headers;
    size_t header_count;
    str body;
    int64_t timeout_us; /* in all but the look-up of the name */
    size_t body_bytes_max;
    const struct trace *trace; /* NULL: it belongs to none */
};
struct guarded_answer {
    int status;
    str type, location; /* headers; absent: none, or no UTF-8 */
    str body;           /* the first body_bytes_max of it */
    bool cut;           /* it is longer */
};
MUST_CHECK MAY_SUSPEND int guarded_fetch(const struct graph_services *services, struct arena *a,
                                         const struct guarded_request *request,
                                         struct guarded_answer *out, struct err *err);
/* The address to connect to for a URL, when it may be asked: `hosts` is a comma list as above, with
 * two differences. "*" stands for every host whose addresses are all public; a host named in the
 * list may have private addresses, for then it was meant. *out_named: it was named.
 * ERR_FORBIDDEN with the reason, ERR_UNAVAILABLE when the name has no address. */
MUST_CHECK MAY_SUSPEND int guarded_address(const struct graph_services *services, struct arena *a,
                                           str url, str hosts, str *out, bool *out_named,
                                           struct err *err);

#endif
