/* SPDX-License-Identifier: Apache-2.0 */
/* client.c - the streaming HTTP client: libcurl's easy handles as calls of fibers.
 *
 * Shape: one CURLM per client. A call is an easy handle with two buffers; it comes from a pool and
 * goes back to it with its options still set, so that a repeated call to the same URL with the same
 * headers sets only its body. How curl runs on the loop: client_loop.c.
 *
 *   IDLE (pool) -> HEAD (sent, no head yet) -> BODY (head complete) -> OVER (transfer ended)
 *                    `------------ error before the head -------------^
 *
 * TLS: only the OpenSSL flavour; CAPATH must stay NULL, or the CA cache is off and each connection
 * costs 21 ms (measured, see docs). Back-pressure: past buffer_bytes_max the transfer is paused. */
#include "http/client.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/client_int.h"
#include "rt/worker.h"

enum {
    POOL_COUNT_MAX = 256,
    HEAD_BYTES_MAX = 64 * 1024,
    KEEP_BUFFER_BYTES = 64 * 1024, /* a pooled call gives larger buffers back */
    HEADERS_TEXT_BYTES_MAX = 64 * 1024,
    URL_BYTES_MAX = 8 * 1024
};
#define CONNECT_TIMEOUT_US (10 * 1000000LL)
#define HEAD_TIMEOUT_US    (600 * 1000000LL)
#define IDLE_TIMEOUT_US    (120 * 1000000LL)
#define CA_FILE_DEFAULT    "/etc/ssl/certs/ca-certificates.crt"

/* --- states, waking --- */

void http_call_set_state(struct http_call *call, enum call_state next) {
    static const bool legal[4][4] = {
        [CALL_IDLE] = {[CALL_HEAD] = true},
        [CALL_HEAD] = {[CALL_BODY] = true, [CALL_OVER] = true, [CALL_IDLE] = true},
        [CALL_BODY] = {[CALL_OVER] = true, [CALL_IDLE] = true},
        [CALL_OVER] = {[CALL_IDLE] = true},
    };
    ASSERT(legal[call->state][next]);
    call->state = next;
}

void http_call_wake(struct http_call *call) {
    if (call->waiter)
        fiber_unpark(call->waiter);
}

static int call_wait(struct http_call *call, int64_t deadline_us) {
    call->waiter = fiber_self();
    int rc = fiber_park(deadline_us);
    call->waiter = NULL;
    return rc;
}

/* --- bytes from curl --- */

static size_t call_on_header(char *p, size_t size, size_t count, void *ctx) {
    struct http_call *call = ctx;
    str line = str_n(p, size * count);
    if (call->state != CALL_HEAD)
        return line.len; /* trailers */
    if (str_starts(line, STR("HTTP/"))) {
        buf_reset(&call->head);
        ptrdiff_t space = str_find_char(line, ' ');
        uint64_t status = 0;
        if (space < 0 || !str_to_u64(str_slice(line, space + 1, space + 4), &status))
            return 0;
        call->status = (int)status;
        return line.len;
    }
    if (line.len <= 2) {
        if (call->status >= 200) {
            http_call_set_state(call, CALL_BODY);
            http_call_wake(call);
        }
        return line.len;
    }
    buf_str(&call->head, line);
    if (!buf_ok(&call->head)) {
        call->head_too_large = true;
        return 0;
    }
    return line.len;
}

static size_t call_on_body(char *p, size_t size, size_t count, void *ctx) {
    struct http_call *call = ctx;
    size_t len = size * count;
    if (call->in.len > 0 && call->in.len + len > call->client->buffer_bytes_max) {
        call->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    buf_append(&call->in, p, len);
    if (!buf_ok(&call->in))
        return 0;
    http_call_wake(call);
    return len;
}

/* --- the pool of calls --- */

static void call_free(struct http_call *call) {
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    curl_slist_free_all(call->resolve);
    curl_slist_free_all(call->connect_to);
    buf_deinit(&call->head);
    buf_deinit(&call->in);
    buf_deinit(&call->out);
    buf_deinit(&call->url);
    buf_deinit(&call->headers_text);
    buf_deinit(&call->proxy);
    mem_free(call);
}

static void call_set_fixed_options(struct http_call *call) {
    struct http_client *c = call->client;
    CURL *e = call->easy;
    curl_easy_setopt(e, CURLOPT_PRIVATE, (void *)call);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, call->error_text);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, call_on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, (void *)call);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, call_on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, (void *)call);
    http_call_use_loop(call);
    curl_easy_setopt(e, CURLOPT_SHARE, c->share);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "holdfast/" HF_VERSION);
    curl_easy_setopt(e, CURLOPT_CAPATH, (char *)NULL);
    curl_easy_setopt(e, CURLOPT_PROXY_CAPATH, (char *)NULL);
    if (c->ca_file) {
        curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
        curl_easy_setopt(e, CURLOPT_PROXY_CAINFO, c->ca_file);
    }
}

static struct http_call *call_take(struct http_client *c) {
    struct list *n = list_pop_front(&c->pool);
    struct http_call *call;
    if (n) {
        call = LIST_ENTRY(n, struct http_call, node);
        c->pooled--;
    } else {
        CURL *easy = curl_easy_init();
        if (!easy)
            return NULL;
        call = NEW(struct http_call);
        call->client = c;
        call->easy = easy;
        buf_init(&call->head, HEAD_BYTES_MAX);
        /* One delivery of curl may come on top of a full buffer. */
        buf_init(&call->in, c->buffer_bytes_max + 2 * CURL_MAX_WRITE_SIZE);
        buf_init(&call->out, c->buffer_bytes_max + 2 * CURL_MAX_WRITE_SIZE);
        buf_init(&call->url, URL_BYTES_MAX);
        buf_init(&call->headers_text, HEADERS_TEXT_BYTES_MAX);
        buf_init(&call->proxy, URL_BYTES_MAX);
        call_set_fixed_options(call);
    }
    call->status = 0;
    call->result = CURLE_OK;
    call->head_too_large = false;
    call->error_text[0] = '\0';
    c->live++;
    return call;
}

static void buf_trim(struct buf *b) {
    buf_reset(b);
    if (b->cap > KEEP_BUFFER_BYTES)
        buf_deinit(b);
}

static void call_give_back(struct http_call *call) {
    struct http_client *c = call->client;
    ASSERT(c->live > 0);
    c->live--;
    if (c->pooled >= POOL_COUNT_MAX) {
        call_free(call);
        return;
    }
    buf_trim(&call->in);
    buf_trim(&call->out);
    buf_reset(&call->head);
    list_push_front(&c->pool, &call->node);
    c->pooled++;
}

/* --- setting a call up --- */

static bool header_is_clean(const struct http_header *h) {
    if (h->name.len == 0)
        return false;
    for (size_t i = 0; i < h->name.len; i++) {
        unsigned char ch = (unsigned char)h->name.p[i];
        if (ch <= ' ' || ch >= 127 || ch == ':')
            return false;
    }
    for (size_t i = 0; i < h->value.len; i++)
        if (h->value.p[i] == '\r' || h->value.p[i] == '\n' || h->value.p[i] == '\0')
            return false;
    return true;
}

static void trace_headers_write(struct buf *b, const struct trace_context *trace) {
    char parent[TRACE_PARENT_LEN];
    trace_context_write(trace, parent);
    buf_z(b, "traceparent: ");
    buf_append(b, parent, sizeof parent);
    buf_char(b, '\0');
    if (trace->state.len == 0)
        return;
    buf_z(b, "tracestate: ");
    buf_str(b, trace->state);
    buf_char(b, '\0');
}

/* The header lines, each ended by a NUL, in client->scratch. */
static int headers_write(struct http_client *c, const struct http_call_options *o,
                         struct err *err) {
    struct buf *b = &c->scratch;
    buf_reset(b);
    bool content_type = false, traced = false;
    for (size_t i = 0; i < o->header_count; i++) {
        const struct http_header *h = &o->headers[i];
        if (!header_is_clean(h))
            return err_set(err, ERR_INVALID, "a header of the request holds forbidden bytes");
        content_type = content_type || str_ieq(h->name, STR("content-type"));
        traced = traced || str_ieq(h->name, STR("traceparent"));
        buf_str(b, h->name);
        if (h->value.len > 0) {
            buf_append(b, ": ", 2);
            buf_str(b, h->value);
        } else {
            buf_char(b, ';'); /* curl's spelling of an empty header */
        }
        buf_char(b, '\0');
    }
    if (!traced && trace_context_known(o->trace))
        trace_headers_write(b, o->trace);
    /* libcurl 7.88 signs headers that are only named to be left out. */
    if (!content_type)
        buf_append(b, "Content-Type:", sizeof "Content-Type:");
    if (!o->signing)
        buf_append(b, "Expect:", sizeof "Expect:");
    if (!buf_ok(b))
        return err_set(err, ERR_TOO_LARGE, "the headers of the request are too large");
    return 0;
}

static void call_set_headers(struct http_call *call) {
    struct buf *wanted = &call->client->scratch;
    if (str_eq(buf_view(&call->headers_text), buf_view(wanted)))
        return;
    curl_slist_free_all(call->headers);
    call->headers = NULL;
    for (size_t at = 0; at < wanted->len; at += strlen(wanted->p + at) + 1)
        call->headers = curl_slist_append(call->headers, wanted->p + at);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    buf_reset(&call->headers_text);
    buf_str(&call->headers_text, buf_view(wanted));
}

static void call_set_url(struct http_call *call, str url) {
    if (call->url.len == url.len + 1 && memcmp(call->url.p, url.p, url.len) == 0)
        return;
    buf_reset(&call->url);
    buf_str(&call->url, url);
    buf_char(&call->url, '\0');
    curl_easy_setopt(call->easy, CURLOPT_URL, call->url.p);
}

static void call_set_proxy(struct http_call *call, str proxy) {
    if (!proxy.p) {
        if (call->proxy_set)
            curl_easy_setopt(call->easy, CURLOPT_PROXY, (char *)NULL);
        call->proxy_set = false;
        return;
    }
    if (call->proxy_set && call->proxy.len == proxy.len + 1 &&
        memcmp(call->proxy.p, proxy.p, proxy.len) == 0)
        return;
    buf_reset(&call->proxy);
    buf_str(&call->proxy, proxy);
    buf_char(&call->proxy, '\0');
    curl_easy_setopt(call->easy, CURLOPT_PROXY, call->proxy.p);
    call->proxy_set = true;
}

static void call_set_method(struct http_call *call, enum http_method method, str body) {
    CURL *e = call->easy;
    const char *custom = NULL;
    if (body.len > 0 || method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, body.len > 0 ? body.p : "");
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        if (method != HTTP_POST)
            custom = http_method_name(method).p;
    } else if (method == HTTP_HEAD) {
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
        if (method != HTTP_GET)
            custom = http_method_name(method).p;
    }
    if (custom || call->custom_method)
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, custom);
    call->custom_method = custom != NULL;
}

/* The caller has checked the address; curl keeps such connections apart from others. */
static void call_set_connect_to(struct http_call *call, str address) {
    char line[RT_ADDRESS_LEN + 8];
    ASSERT(address.len < RT_ADDRESS_LEN);
    bool v6 = str_find_char(address, ':') >= 0;
    snprintf(line, sizeof line, v6 ? "::[%.*s]:" : "::%.*s:", STR_ARG(address));
    call->connect_to = curl_slist_append(NULL, line);
    curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, call->connect_to);
}

static void call_set_signing(struct http_call *call, const struct http_signing *s) {
    if (!s && !call->signed_now)
        return;
    CURL *e = call->easy;
    curl_easy_setopt(e, CURLOPT_AWS_SIGV4, s ? s->scheme.p : NULL);
    curl_easy_setopt(e, CURLOPT_USERNAME, s ? s->key_id.p : NULL);
    curl_easy_setopt(e, CURLOPT_PASSWORD, s ? s->secret.p : NULL);
    if (!s)
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    call->signed_now = s != NULL;
}

static void call_set_options(struct http_call *call, const struct http_call_options *o) {
    call_set_url(call, o->url);
    if (o->connect_to.len > 0)
        call_set_connect_to(call, o->connect_to);
    call_set_headers(call);
    call_set_proxy(call, o->proxy);
    call_set_method(call, o->method, o->body);
    call_set_signing(call, o->signing);
    int64_t connect_us = o->connect_timeout_us > 0 ? o->connect_timeout_us : CONNECT_TIMEOUT_US;
    if (connect_us != call->connect_timeout_us) {
        curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)((connect_us + 999) / 1000));
        call->connect_timeout_us = connect_us;
    }
    call->idle_timeout_us = o->idle_timeout_us > 0 ? o->idle_timeout_us : IDLE_TIMEOUT_US;
}

/* --- errors --- */

static int call_error_code(const struct http_call *call) {
    switch (call->result) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PROXY:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_OPERATION_TIMEDOUT: /* the only timeout set in curl is the one of connecting */
    case CURLE_NO_CONNECTION_AVAILABLE:
        return ERR_UNAVAILABLE;
    case CURLE_URL_MALFORMAT:
        return ERR_INVALID;
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer that is not HTTP/1 */
    case CURLE_WEIRD_SERVER_REPLY:
        return ERR_MALFORMED;
    case CURLE_OUT_OF_MEMORY:
        return ERR_INTERNAL;
    default:
        return ERR_CLOSED;
    }
}

static int call_fail(const struct http_call *call, struct err *err) {
    if (call->head_too_large)
        return err_set(err, ERR_TOO_LARGE, "the response head of %s is too large", call->host);
    int code = call_error_code(call);
    char text[160];
    const char *from = call->error_text[0] ? call->error_text : curl_easy_strerror(call->result);
    snprintf(text, sizeof text, "%.150s", from);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    const char *what = code == ERR_UNAVAILABLE ? "cannot connect to"
                       : code == ERR_CLOSED    ? "the connection was cut by"
                                               : "the request failed at";
    return err_set_system(err, code, (int)call->result, "%s %s: %s", what, call->host, text);
}

static int call_wait_failed(int rc, const char *what, const struct http_call *call,
                            struct err *err) {
    if (rc == ERR_TIMEOUT)
        return err_set(err, rc, "no %s from %s in time", what, call->host);
    return err_set(err, rc, "the request to %s was cancelled", call->host);
}

/* --- public: calls --- */

static int call_start(struct http_call *call, const struct http_call_options *o,
                      const struct url_parts *u, int64_t deadline_us, struct err *err) {
    struct http_client *c = call->client;
    snprintf(call->host, sizeof call->host, u->v6 ? "[%.*s]:%d" : "%.*s:%d", STR_ARG(u->host),
             u->port);
    if (!o->proxy.p && !http_host_needs_no_resolver(u)) {
        int rc = http_call_prepare_host(call, u, deadline_us);
        if (rc < 0)
            return call_wait_failed(rc, "address", call, err);
    }
    int rc = headers_write(c, o, err);
    if (rc < 0)
        return rc;
    call_set_options(call, o);
    CURLMcode added = curl_multi_add_handle(c->multi, call->easy);
    if (added != CURLM_OK)
        return err_set(err, ERR_INTERNAL, "curl: %s", curl_multi_strerror(added));
    call->added = true;
    return 0;
}

int http_call_open(struct http_client *c, const struct http_call_options *o, struct http_call **out,
                   struct err *err) {
    fiber_assert_inside();
    ASSERT(c->state == CLIENT_OPEN);
    struct url_parts u = {0};
    if (o->url.len >= URL_BYTES_MAX || o->proxy.len >= URL_BYTES_MAX ||
        !http_call_target(o->url, &u))
        return err_set(err, ERR_INVALID, "the URL is not a valid http or https one");
    int64_t timeout_us = o->head_timeout_us > 0 ? o->head_timeout_us : HEAD_TIMEOUT_US;
    int64_t deadline_us = rt_mono_us(c->rt) + timeout_us;
    struct http_call *call = call_take(c);
    if (!call)
        return err_set(err, ERR_LIMIT, "curl has no memory for another call");
    http_call_set_state(call, CALL_HEAD);
    int rc = call_start(call, o, &u, deadline_us, err);
    while (rc == 0 && call->state == CALL_HEAD) {
        rc = call_wait(call, deadline_us);
        if (rc < 0)
            rc = call_wait_failed(rc, "answer", call, err);
    }
    if (rc == 0 && call->status == 0)
        rc = call_fail(call, err);
    if (rc < 0) {
        http_call_close(call);
        return rc;
    }
    *out = call;
    return 0;
}

int http_call_status(const struct http_call *call) { return call->status; }

str http_call_header(const struct http_call *call, str lower_name) {
    str rest = buf_view(&call->head);
    str line;
    while (str_split_next(&rest, '\n', &line)) {
        if (line.len > lower_name.len && line.p[lower_name.len] == ':' &&
            str_ieq(str_slice(line, 0, lower_name.len), lower_name))
            return str_trim(str_slice(line, lower_name.len + 1, line.len));
    }
    return STR_NULL;
}

void http_call_set_idle_timeout(struct http_call *call, int64_t idle_timeout_us) {
    call->idle_timeout_us = idle_timeout_us;
}

int http_call_read(struct http_call *call, str *out, struct err *err) {
    fiber_assert_inside();
    ASSERT(call->state == CALL_BODY || call->state == CALL_OVER);
    int64_t deadline_us = rt_mono_us(call->client->rt) + call->idle_timeout_us;
    while (call->in.len == 0) {
        if (call->state == CALL_OVER) {
            if (call->result != CURLE_OK)
                return call_fail(call, err);
            *out = STR("");
            return 0;
        }
        int rc = call_wait(call, deadline_us);
        if (rc < 0)
            return call_wait_failed(rc, "more of the answer", call, err);
    }
    struct buf full = call->in;
    call->in = call->out;
    call->out = full;
    buf_reset(&call->in);
    if (call->paused) {
        call->paused = false;
        if (call->added)
            curl_easy_pause(call->easy, CURLPAUSE_CONT);
    }
    *out = buf_view(&call->out);
    return 0;
}

int http_call_read_all(struct http_call *call, struct arena *a, size_t bytes_max, str *out,
                       struct err *err) {
    struct buf whole;
    buf_init(&whole, bytes_max);
    str part;
    int rc;
    while ((rc = http_call_read(call, &part, err)) == 0 && part.len > 0) {
        /* The common case, a small answer that is here already, is copied once. */
        if (whole.len == 0 && call->state == CALL_OVER && call->result == CURLE_OK &&
            call->in.len == 0 && part.len <= bytes_max) {
            *out = arena_dup(a, part);
            goto done;
        }
        buf_str(&whole, part);
        if (!buf_ok(&whole)) {
            rc = err_set(err, ERR_TOO_LARGE, "the answer of %s is larger than %zu bytes",
                         call->host, bytes_max);
            goto done;
        }
    }
    if (rc == 0)
        *out = whole.len > 0 ? arena_dup(a, buf_view(&whole)) : STR("");
done:
    buf_deinit(&whole);
    return rc;
}

void http_call_close(struct http_call *call) {
    if (call->added)
        curl_multi_remove_handle(call->client->multi, call->easy);
    call->added = false;
    call->paused = false;
    if (call->resolve) {
        curl_easy_setopt(call->easy, CURLOPT_RESOLVE, (struct curl_slist *)NULL);
        curl_slist_free_all(call->resolve);
        call->resolve = NULL;
    }
    if (call->connect_to) {
        curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, (struct curl_slist *)NULL);
        curl_slist_free_all(call->connect_to);
        call->connect_to = NULL;
    }
    http_call_set_state(call, CALL_IDLE);
    call_give_back(call);
}

/* --- public: the client --- */

static int client_check_curl(struct err *err) {
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    str tls = str_of(v->ssl_version);
    if (!str_starts(tls, STR("OpenSSL/")))
        return err_set(err, ERR_UNSUPPORTED,
                       "libcurl is built on \"%.*s\"; the OpenSSL flavour is required",
                       STR_ARG(tls));
    return 0;
}

static void client_set_multi_options(struct http_client *c, const struct http_client_options *o) {
    long total = (long)(o->connections_max > 0 ? o->connections_max : 1024);
    long per_host = (long)(o->connections_per_host_max > 0 ? o->connections_per_host_max : 256);
    http_client_loop_attach(c);
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, total);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, total);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, per_host);
}

static void client_finish_close(struct rt_defer *d) {
    struct http_client *c = CONTAINER_OF(d, struct http_client, closed);
    void (*done)(void *) = c->done;
    void *arg = c->done_arg;
    http_client_forget_hosts(c);
    buf_deinit(&c->scratch);
    vec_deinit(&c->by_fd);
    mem_free(c->ca_file);
    mem_free(c);
    curl_global_cleanup();
    if (done)
        done(arg);
}

int http_client_open(struct rt *rt, const struct http_client_options *o, struct http_client **out,
                     struct err *err) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_INTERNAL, "libcurl cannot be initialised");
    int rc = client_check_curl(err);
    if (rc < 0) {
        curl_global_cleanup();
        return rc;
    }
    struct http_client *c = NEW(struct http_client);
    c->rt = rt;
    c->multi = curl_multi_init();
    c->share = curl_share_init();
    if (!c->multi || !c->share) {
        curl_multi_cleanup(c->multi);
        curl_share_cleanup(c->share);
        mem_free(c);
        curl_global_cleanup();
        return err_set(err, ERR_INTERNAL, "libcurl cannot be initialised");
    }
    c->buffer_bytes_max = o->buffer_bytes_max > 0 ? o->buffer_bytes_max : 256 * 1024;
    if (o->ca_file)
        c->ca_file = mem_strdup(o->ca_file);
    else if (access(CA_FILE_DEFAULT, R_OK) == 0)
        c->ca_file = mem_strdup(CA_FILE_DEFAULT);
    curl_share_setopt(c->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    client_set_multi_options(c, o);
    list_init(&c->pool);
    map_init(&c->hosts);
    buf_init(&c->scratch, HEADERS_TEXT_BYTES_MAX);
    c->closed.fn = client_finish_close;
    *out = c;
    return 0;
}

void http_client_close(struct http_client *c, void (*done)(void *arg), void *arg) {
    ASSERT(c->live == 0);
    ASSERT(c->state == CLIENT_OPEN);
    struct list *n;
    while ((n = list_pop_front(&c->pool)) != NULL)
        call_free(LIST_ENTRY(n, struct http_call, node));
    curl_multi_cleanup(c->multi);
    curl_share_cleanup(c->share);
    http_client_loop_detach(c);
    c->state = CLIENT_CLOSING;
    c->done = done;
    c->done_arg = arg;
    if (c->sockets == 0)
        rt_defer(c->rt, &c->closed);
}
