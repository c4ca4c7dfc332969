/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - streaming HTTP client for model calls and webhooks: TLS, proxies, timeouts, reuse of
 * connections. Straight-line use on a fiber.
 *
 * Memory: a call lives from http_call_open to http_call_close; the body chunk of a read is valid
 * until the next read or close. Back-pressure: at most buffer_bytes_max are read ahead, then the
 * transfer is paused. Errors: ERR_MODEL_REFUSED-like mapping is the caller's; here ERR_UNAVAILABLE
 * (cannot connect, resolve, TLS), ERR_TIMEOUT, ERR_CLOSED (cut in the body), ERR_TOO_LARGE,
 * ERR_CANCELLED. Redirects are not followed; only http and https. Tests: tests/unit/http/ */
#ifndef HF_HTTP_CLIENT_H
#define HF_HTTP_CLIENT_H

#include "base/arena.h"
#include "base/trace_context.h"
#include "http/server.h"

struct http_client;
struct http_client_options {
    size_t connections_max;          /* open at once, idle ones included: 1024 */
    size_t connections_per_host_max; /* 256; more calls wait */
    size_t buffer_bytes_max;         /* 256 KiB read ahead per call */
    const char *ca_file;             /* NULL: the system bundle */
};
MUST_CHECK int http_client_open(struct rt *rt, const struct http_client_options *o,
                                struct http_client **out, struct err *err);
void http_client_close(struct http_client *c, void (*done)(void *arg), void *arg);

/* AWS Signature Version 4, as CURLOPT_AWS_SIGV4 has it. The headers of the call must hold the
 * payload's digest (x-amz-content-sha256) and a Content-Type; none may be empty. */
struct http_signing {
    str scheme; /* "aws:amz:REGION:SERVICE" */
    str key_id, secret;
};

struct http_call;
struct http_call_options {
    enum http_method method;
    str url;
    const struct http_header *headers;
    size_t header_count;
    str body;                   /* must live until the head has been read */
    int64_t connect_timeout_us; /* 0: 10 s */
    int64_t head_timeout_us;    /* 0: 600 s until the response head */
    int64_t idle_timeout_us;    /* 0: 120 s without a byte of the body */
    str proxy;                  /* absent: from http_proxy, https_proxy, no_proxy as curl does */
    str connect_to;             /* numeric address instead of the host's; with proxy "" */
    const struct http_signing *signing; /* NULL: none; its texts end with a NUL */
    /* Sent as traceparent and tracestate, unless `headers` has them; NULL or unknown: neither. */
    const struct trace_context *trace;
};
/* Sends the request and waits for the response head. */
MUST_CHECK MAY_SUSPEND int http_call_open(struct http_client *c, const struct http_call_options *o,
                                          struct http_call **out, struct err *err);
int http_call_status(const struct http_call *call);
str http_call_header(const struct http_call *call, str lower_name); /* valid until close; absent */
/* For the reads to come. */
void http_call_set_idle_timeout(struct http_call *call, int64_t idle_timeout_us);
/* Next part of the body; out->len == 0 at its end. */
MUST_CHECK MAY_SUSPEND int http_call_read(struct http_call *call, str *out, struct err *err);
/* The rest of the body in the arena; ERR_TOO_LARGE past bytes_max. */
MUST_CHECK MAY_SUSPEND int http_call_read_all(struct http_call *call, struct arena *a,
                                              size_t bytes_max, str *out, struct err *err);
void http_call_close(struct http_call *call); /* also in mid-body: the connection is then dropped */

#endif
