/* SPDX-License-Identifier: Apache-2.0 */
/* response.c - complete responses: status line, headers, CORS, preflights.
 *
 * Design: a head is composed in one scratch buffer of the server and handed to out.c together with
 * the caller's body, so a small response costs no allocation and one system call. Date is formatted
 * once a second. Header lines of the handler collect as text in the exchange.
 *
 * Which headers are whose: Date, Content-Length, Transfer-Encoding and Connection are the server's,
 * a handler's are dropped; CORS lines come from the options; Content-Encoding and Vary are
 * compress.c's, unless a header of the handler settles it.
 *
 * Invariants: one reply per request; a value from outside cannot add a header line, since CR, LF
 * and NUL drop the header. What a new status must also change: status_lines. */
#include "base/clock.h"
#include "base/log.h"
#include "http/conn_int.h"

#define INLINE_BYTES_MAX 2048
#define HTTP_STATUS_MAX  599

str http_method_name(enum http_method m) {
    static const str names[] = {
        [HTTP_GET] = {"GET", 3},         [HTTP_HEAD] = {"HEAD", 4},   [HTTP_POST] = {"POST", 4},
        [HTTP_PUT] = {"PUT", 3},         [HTTP_PATCH] = {"PATCH", 5}, [HTTP_DELETE] = {"DELETE", 6},
        [HTTP_OPTIONS] = {"OPTIONS", 7},
    };
    ASSERT((unsigned)m < ARRAY_COUNT(names));
    return names[m];
}

static const char *reason_of(int status) {
    static const char *const reasons[HTTP_STATUS_MAX + 1] = {
        [200] = "OK",
        [201] = "Created",
        [202] = "Accepted",
        [204] = "No Content",
        [206] = "Partial Content",
        [207] = "Multi-Status",
        [301] = "Moved Permanently",
        [302] = "Found",
        [303] = "See Other",
        [304] = "Not Modified",
        [307] = "Temporary Redirect",
        [308] = "Permanent Redirect",
        [400] = "Bad Request",
        [401] = "Unauthorized",
        [402] = "Payment Required",
        [403] = "Forbidden",
        [404] = "Not Found",
        [405] = "Method Not Allowed",
        [406] = "Not Acceptable",
        [408] = "Request Timeout",
        [409] = "Conflict",
        [410] = "Gone",
        [411] = "Length Required",
        [412] = "Precondition Failed",
        [413] = "Content Too Large",
        [414] = "URI Too Long",
        [415] = "Unsupported Media Type",
        [416] = "Range Not Satisfiable",
        [417] = "Expectation Failed",
        [422] = "Unprocessable Content",
        [423] = "Locked",
        [428] = "Precondition Required",
        [429] = "Too Many Requests",
        [431] = "Request Header Fields Too Large",
        [499] = "Client Closed Request",
        [500] = "Internal Server Error",
        [501] = "Not Implemented",
        [502] = "Bad Gateway",
        [503] = "Service Unavailable",
        [504] = "Gateway Timeout",
        [505] = "HTTP Version Not Supported",
        [507] = "Insufficient Storage",
    };
    ASSERT(status >= 200 && status <= HTTP_STATUS_MAX);
    return reasons[status] ? reasons[status] : "Status";
}

static str date_now(struct http_server *s) {
    int64_t now = rt_now_us(s->rt);
    if (now / 1000000 != s->date_second) {
        s->date_second = now / 1000000;
        time_write_http(now, s->date);
    }
    return str_n(s->date, TIME_HTTP_LEN);
}

str http_response_head(struct http_server *s, const struct response_head *h) {
    struct buf *b = &s->head;
    buf_reset(b);
    if (h->status == 200) {
        buf_str(b, STR("HTTP/1.1 200 OK\r\nDate: "));
    } else {
        buf_str(b, STR("HTTP/1.1 "));
        buf_i64(b, h->status);
        buf_char(b, ' ');
        buf_z(b, reason_of(h->status));
        buf_str(b, STR("\r\nDate: "));
    }
    buf_str(b, date_now(s));
    if (h->type.p && h->type.len) {
        buf_str(b, STR("\r\nContent-Type: "));
        buf_str(b, h->type);
    }
    if (h->length >= 0) {
        buf_str(b, STR("\r\nContent-Length: "));
        buf_i64(b, h->length);
    }
    if (h->chunked)
        buf_str(b, STR("\r\nTransfer-Encoding: chunked"));
    if (h->coding != HTTP_IDENTITY) {
        buf_str(b, STR("\r\nContent-Encoding: "));
        buf_str(b, http_coding_name(h->coding));
    }
    if (h->vary_encoding)
        buf_str(b, STR("\r\nVary: Accept-Encoding"));
    if (h->close)
        buf_str(b, STR("\r\nConnection: close"));
    else if (h->keep_alive_1_0)
        buf_str(b, STR("\r\nConnection: keep-alive"));
    buf_str(b, STR("\r\n"));
    buf_str(b, h->lines);
    buf_str(b, s->cors_lines);
    buf_str(b, STR("\r\n"));
    ASSERT(buf_ok(b));
    return buf_view(b);
}

/* --- what a handler adds --- */

bool http_peer_is_local(const struct http_request *req) {
    return str_starts(str_of(req->peer), STR("127.")) || strcmp(req->peer, "::1") == 0;
}

str http_header(const struct http_request *req, str lower_name) {
    for (size_t i = 0; i < req->header_count; i++)
        if (str_ieq(req->headers[i].name, lower_name))
            return req->headers[i].value;
    return STR_NULL;
}

str http_header_all(const struct http_request *req, str lower_name) {
    str all = STR_NULL;
    for (size_t i = 0; i < req->header_count; i++) {
        str value = req->headers[i].value;
        if (!str_ieq(req->headers[i].name, lower_name))
            continue;
        str parts[] = {all, STR(", "), value};
        all = all.p ? arena_concat(req->arena, parts, ARRAY_COUNT(parts)) : value;
    }
    return all;
}

static bool one_line(str s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return false;
    return true;
}

str http_response_type(str content_type) {
    return one_line(content_type) ? content_type : STR("application/octet-stream");
}

/* See compress.c. */
static bool settles_coding(str name, str value) {
    return str_ieq(name, STR("content-encoding")) ||
           (str_ieq(name, STR("etag")) && str_starts(value, STR("\""))) ||
           (str_ieq(name, STR("cache-control")) && str_find(value, STR("no-transform")) >= 0);
}

void http_reply_header(struct http_request *req, str name, str value) {
    static const str own[] = {
        {"date", 4}, {"content-length", 14}, {"transfer-encoding", 17}, {"connection", 10}};
    struct http_exchange *x = req->conn;
    if (!x)
        return; /* of a socket's handshake that was kept: there is no response to come */
    bool fits = x->lines.len + name.len + value.len + 4 <= x->lines.max_bytes;
    bool drop = !fits || name.len == 0 || !one_line(name) || !one_line(value) ||
                memchr(name.p, ':', name.len) || memchr(name.p, ' ', name.len);
    for (size_t i = 0; i < ARRAY_COUNT(own); i++)
        drop = drop || str_ieq(name, own[i]);
    if (drop) {
        log_event(LOG_WARN, "http.header.dropped", "a response header cannot be sent",
                  LOG_INT("name_bytes", name.len), LOG_INT("value_bytes", value.len));
        return;
    }
    if (settles_coding(name, value))
        x->as_is = true;
    buf_str(&x->lines, name);
    buf_str(&x->lines, STR(": "));
    buf_str(&x->lines, value);
    buf_str(&x->lines, STR("\r\n"));
}

bool http_replied(const struct http_request *req) {
    return ((const struct http_exchange *)req->conn)->replied;
}

/* --- replies --- */

/* Nothing more is read from this connection when the server drains. */
static bool decide_close(struct http_conn *conn) {
    if (conn->server->state != SERVER_OPEN)
        conn->keep_alive = false;
    return !conn->keep_alive;
}

void http_reply(struct http_request *req, int status, str content_type, str body) {
    struct http_exchange *x = req->conn;
    struct http_conn *conn = x->conn;
    struct http_server *s = conn->server;
    ASSERT(!x->replied);
    x->replied = true;
    if (conn->state >= CONN_LINGER)
        return;
    bool bodiless = status == 204 || status == 304;
    struct response_head h = {.status = status,
                              .type = http_response_type(content_type),
                              .length = bodiless ? -1 : (int64_t)body.len,
                              .lines = buf_view(&x->lines)};
    if (!bodiless) {
        http_compress_body(x, &h, &body);
        h.length = (int64_t)body.len;
    }
    if (conn->state >= CONN_LINGER)
        return; /* closed while the body was packed */
    h.close = decide_close(conn);
    h.keep_alive_1_0 = conn->version_minor == 0;
    str head = http_response_head(s, &h);
    if (bodiless || req->method == HTTP_HEAD)
        body = STR("");
    if (body.len <= INLINE_BYTES_MAX && body.len) { /* one part is cheaper to write than two */
        buf_str(&s->head, body);
        head = buf_view(&s->head);
        body = STR("");
    }
    /* More requests wait: their answers leave together at the end of the turn. */
    if (conn->in.len > conn->in_at) {
        http_conn_cork(conn, head);
        http_conn_cork(conn, body);
        http_conn_flush_later(conn);
    } else {
        http_conn_send(conn, head, body);
    }
}

bool http_response_preflight(struct http_exchange *x) {
    struct http_request *req = &x->req;
    if (!http_header(req, STR("origin")).p ||
        !http_header(req, STR("access-control-request-method")).p)
        return false;
    str wanted = http_header(req, STR("access-control-request-headers"));
    http_reply_header(req, STR("Access-Control-Allow-Methods"),
                      STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    http_reply_header(req, STR("Access-Control-Allow-Headers"), wanted.len ? wanted : STR("*"));
    http_reply_header(req, STR("Access-Control-Max-Age"), STR("600"));
    http_reply_header(req, STR("Vary"), STR("Access-Control-Request-Headers"));
    http_reply(req, 204, STR_NULL, STR(""));
    return true;
}
