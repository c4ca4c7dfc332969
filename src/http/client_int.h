/* SPDX-License-Identifier: Apache-2.0 */
/* client_int.h - what the parts of the HTTP client share: client.c (calls), client_loop.c (curl on
 * the loop), client_names.c (URLs, names).
 *
 * For these three only. Memory: a client frees what hangs on it when its last socket is closed. */
#ifndef HF_HTTP_CLIENT_INT_H
#define HF_HTTP_CLIENT_INT_H

#include <curl/curl.h>

#include "base/map.h"
#include "base/vec.h"
#include "http/client.h"

struct client_socket;
struct http_client {
    struct rt *rt;
    CURLM *multi;
    CURLSH *share;
    char *ca_file; /* NULL: curl's own default */
    size_t buffer_bytes_max;
    struct rt_timer timer;
    struct rt_defer kick;
    int64_t kick_turn_us;
    int kicks;
    struct list pool;
    size_t pooled, live;
    struct map hosts;
    struct buf scratch;
    VEC(struct client_socket *) by_fd;
    size_t sockets; /* poll handles not yet closed */
    enum { CLIENT_OPEN, CLIENT_CLOSING } state;
    struct rt_defer closed;
    void (*done)(void *arg);
    void *done_arg;
};

enum call_state { CALL_IDLE, CALL_HEAD, CALL_BODY, CALL_OVER };

struct http_call {
    struct list node; /* in the pool */
    struct http_client *client;
    CURL *easy;
    enum call_state state;
    bool added, paused, head_too_large;
    int status;
    CURLcode result;
    struct fiber *waiter;
    struct buf head, in, out;
    int64_t idle_timeout_us;
    char host[128]; /* "name:port" for texts */
    char error_text[CURL_ERROR_SIZE];
    /* What the handle is set to, so that equal options are not set again. */
    struct buf url, headers_text, proxy;
    bool proxy_set, custom_method, signed_now;
    int64_t connect_timeout_us;
    struct curl_slist *headers, *resolve, *connect_to;
};

/* client.c */
void http_call_set_state(struct http_call *call, enum call_state next);
void http_call_wake(struct http_call *call);

/* client_loop.c */
void http_client_loop_attach(struct http_client *c); /* the multi handle runs on the loop */
void http_client_loop_detach(struct http_client *c); /* after the multi handle is gone */
void http_call_use_loop(struct http_call *call);     /* its sockets are opened and closed by us */

/* client_names.c */
struct url_parts {
    str host; /* without brackets */
    int port;
    bool v6;
};
bool http_call_target(str url, struct url_parts *out);       /* false: no http or https URL */
bool http_host_needs_no_resolver(const struct url_parts *u); /* curl needs no thread for it */
/* Sees to it that curl knows the addresses of the host; 0 also when it has to ask by itself. */
MUST_CHECK MAY_SUSPEND int http_call_prepare_host(struct http_call *call, const struct url_parts *u,
                                                  int64_t deadline_us);
void http_client_forget_hosts(struct http_client *c);

#endif
