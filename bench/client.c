/* SPDX-License-Identifier: Apache-2.0 */
/* client.c - a keep-alive HTTP/1.1 connection of the load generator.
 *
 * A state machine over what recv() gives; one buffer for all connections. Complete heads and chunk
 * lines are read in place, only those that come in pieces are carried over. It accepts what
 * well-behaved servers send and reports everything else as an error of the request:
 *
 *   IDLE --send--> HEAD -+-> BODY ---------------------------------------+-> IDLE, done()
 *                        +-> CHUNK_SIZE <-> CHUNK_DATA -> CHUNK_END      |
 *                                  +-> TRAILER --------------------------+
 *
 * A server may close an idle connection; the next request opens a new one. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/load.h"

enum { READ_BYTES = 256 << 10, LINE_BYTES_MAX = 64 << 10, BODY_BYTES_MAX = 64 << 20 };

/* --- opening and closing --------------------------------------------------------------------- */

void client_close(struct client *c) {
    if (c->state != CLIENT_CLOSED) {
        (void)close(c->fd); /* also leaves the epoll set */
        c->state = CLIENT_CLOSED;
    }
}

void client_deinit(struct client *c) {
    client_close(c);
    buf_deinit(&c->out);
    buf_deinit(&c->carry);
    buf_deinit(&c->body);
}

static void finish(struct client *c, const char *error) {
    if (error || c->close_after)
        client_close(c);
    else
        c->state = CLIENT_IDLE;
    c->load->done(c, error);
}

static bool client_open(struct client *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)c->load->o.port)};
    if (inet_pton(AF_INET, c->load->o.host, &to.sin_addr) != 1)
        return false;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    int on = 1;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    /* Connecting blocks: it happens before the window, and to this machine only. */
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
        epoll_ctl(c->load->epoll_fd, EPOLL_CTL_ADD, c->fd, &e) != 0) {
        (void)close(c->fd); /* errno of the cause matters */
        return false;
    }
    c->state = CLIENT_IDLE;
    c->out_blocked = false;
    return true;
}

/* --- sending --------------------------------------------------------------------------------- */

static void want_writable(struct client *c, bool wanted) {
    if (wanted == c->out_blocked)
        return;
    c->out_blocked = wanted;
    struct epoll_event e = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
    (void)epoll_ctl(c->load->epoll_fd, EPOLL_CTL_MOD, c->fd, &e); /* a lost one ends in a timeout */
}

static bool flush(struct client *c) {
    while (c->out_at < c->out.len) {
        ssize_t n =
            send(c->fd, c->out.p + c->out_at, c->out.len - c->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n < 0)
            return false;
        c->out_at += (size_t)n;
    }
    want_writable(c, c->out_at < c->out.len);
    return true;
}

void client_send(struct client *c) {
    c->out_at = 0;
    c->status = 0;
    c->is_sse = false;
    c->close_after = false;
    c->body_bytes = 0;
    c->line_at = 0;
    c->event_name = STR_NULL;
    buf_reset(&c->carry);
    buf_reset(&c->body);
    bool reused = c->state == CLIENT_IDLE;
    if (!reused && !client_open(c)) {
        finish(c, "cannot connect");
        return;
    }
    c->sent_us = clock_mono_us();
    c->state = CLIENT_HEAD;
    if (!flush(c))
        finish(c, "cannot send");
}

void client_request(struct client *c, const char *method, str path, str body) {
    struct buf *b = &c->out;
    b->max_bytes = BODY_BYTES_MAX;
    buf_reset(b);
    buf_z(b, method);
    buf_char(b, ' ');
    buf_str(b, path);
    buf_z(b, " HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    if (c->load->o.token)
        buf_printf(b, "Authorization: Bearer %s\r\n", c->load->o.token);
    if (body.p) {
        buf_z(b, "Content-Type: application/json\r\nContent-Length: ");
        buf_u64(b, body.len);
        buf_z(b, "\r\n");
    }
    buf_z(b, "\r\n");
    buf_str(b, body);
}

/* --- server-sent events ---------------------------------------------------------------------- */

static void take_line(struct client *c, str line) {
    if (line.len == 0) {
        c->event_name = STR_NULL;
    } else if (str_starts(line, STR("event:"))) {
        c->event_name = str_trim(str_slice(line, 6, line.len));
    } else if (str_starts(line, STR("data:")) && c->load->event) {
        str name = c->event_name.p ? c->event_name : STR("message");
        c->load->event(c, name, str_trim(str_slice(line, 5, line.len)));
    }
}

/* Only whole frames are read, since names point into the body, which moves when it grows. */
static void read_events(struct client *c) {
    str body = buf_view(&c->body);
    ptrdiff_t last = -1;
    for (size_t at = body.len; at > c->line_at + 1 && last < 0; at--) {
        bool blank = body.p[at - 1] == '\n' &&
                     (body.p[at - 2] == '\n' ||
                      (at > 2 && body.p[at - 2] == '\r' && body.p[at - 3] == '\n'));
        if (blank)
            last = (ptrdiff_t)at;
    }
    if (last < 0)
        return;
    size_t at = c->line_at;
    while (at < (size_t)last) {
        const char *nl = memchr(body.p + at, '\n', (size_t)last - at);
        size_t end = nl ? (size_t)(nl - body.p) : (size_t)last;
        size_t stop = end > at && body.p[end - 1] == '\r' ? end - 1 : end;
        take_line(c, str_slice(body, at, stop));
        at = end + 1;
    }
    c->line_at = (size_t)last;
    if (!c->want_body && c->line_at == c->body.len) {
        buf_reset(&c->body); /* a stream without end keeps nothing */
        c->line_at = 0;
    }
}

/* --- the answer ------------------------------------------------------------------------------ */

static bool header_is(str line, const char *name, str *out_value) {
    size_t n = strlen(name);
    if (line.len <= n || line.p[n] != ':' || strncasecmp(line.p, name, n) != 0)
        return false;
    *out_value = str_trim(str_slice(line, n + 1, line.len));
    return true;
}

static const char *read_head(struct client *c, str head) {
    if (head.len < 12 || memcmp(head.p, "HTTP/1.1 ", 9) != 0)
        return "no HTTP/1.1 status line";
    c->head_us = clock_mono_us();
    c->status = (head.p[9] - '0') * 100 + (head.p[10] - '0') * 10 + (head.p[11] - '0');
    c->body_left = -1;
    bool chunked = false;
    str line, value;
    while (str_split_next(&head, '\n', &line)) {
        char first = line.len > 0 ? (char)(line.p[0] | 0x20) : 0;
        uint64_t length;
        if (first != 'c' && first != 't')
            continue;
        if (header_is(line, "content-length", &value) && str_to_u64(value, &length))
            c->body_left = (int64_t)length;
        else if (header_is(line, "transfer-encoding", &value))
            chunked = str_ieq(value, STR("chunked"));
        else if (header_is(line, "content-type", &value))
            c->is_sse = str_starts(value, STR("text/event-stream"));
        else if (header_is(line, "connection", &value))
            c->close_after = str_ieq(value, STR("close"));
    }
    if (c->status == 204 || c->status == 304)
        c->body_left = 0;
    if (chunked)
        c->state = CLIENT_CHUNK_SIZE;
    else if (c->body_left >= 0)
        c->state = CLIENT_BODY;
    else
        return "an answer without length";
    return NULL;
}

/* Takes a line, or a head, that ends with `end` off *in; false: it is not complete yet. */
static bool take_until(struct client *c, str *in, str end, str *out, bool *out_carried) {
    c->carry.max_bytes = LINE_BYTES_MAX;
    *out_carried = c->carry.len > 0;
    if (!*out_carried) {
        const char *at = memmem(in->p, in->len, end.p, end.len);
        if (at) {
            *out = str_n(in->p, (size_t)(at - in->p));
            *in = str_slice(*in, out->len + end.len, in->len);
            return true;
        }
    }
    size_t before = c->carry.len;
    buf_str(&c->carry, *in);
    str all = buf_view(&c->carry);
    const char *at = all.p ? memmem(all.p, all.len, end.p, end.len) : NULL;
    if (!at) {
        *in = str_slice(*in, in->len, in->len);
        return false;
    }
    *out = str_n(all.p, (size_t)(at - all.p));
    *in = str_slice(*in, out->len + end.len - before, in->len);
    *out_carried = true;
    return true;
}

static void take_body(struct client *c, str *in) {
    size_t n = in->len < (size_t)c->body_left ? in->len : (size_t)c->body_left;
    if (c->want_body || c->is_sse) {
        c->body.max_bytes = BODY_BYTES_MAX;
        buf_append(&c->body, in->p, n);
    }
    c->body_bytes += n;
    c->body_left -= (int64_t)n;
    *in = str_slice(*in, n, in->len);
}

static const char *read_size(struct client *c, str line) {
    int64_t size = 0;
    size_t digits = 0;
    for (; digits < line.len; digits++) {
        char d = line.p[digits];
        int v = d >= '0' && d <= '9'                     ? d - '0'
                : (d | 0x20) >= 'a' && (d | 0x20) <= 'f' ? (d | 0x20) - 'a' + 10
                                                         : -1;
        if (v < 0)
            break;
        size = size * 16 + v;
    }
    if (digits == 0 || digits > 8)
        return "a bad chunk size";
    c->body_left = size;
    c->state = size > 0 ? CLIENT_CHUNK_DATA : CLIENT_TRAILER;
    return NULL;
}

/* One step of the state machine over *in. out_done: the answer is complete. */
static const char *feed_step(struct client *c, str *in, bool *out_done) {
    const char *error = NULL;
    str line;
    bool carried, headed = c->state == CLIENT_HEAD;
    switch (c->state) {
    case CLIENT_BODY:
        take_body(c, in);
        *out_done = c->body_left == 0;
        return NULL;
    case CLIENT_CHUNK_DATA:
        take_body(c, in);
        if (c->body_left == 0)
            c->state = CLIENT_CHUNK_END;
        return NULL;
    case CLIENT_HEAD:
    case CLIENT_CHUNK_SIZE:
    case CLIENT_CHUNK_END:
    case CLIENT_TRAILER:
        if (!take_until(c, in, headed ? STR("\r\n\r\n") : STR("\r\n"), &line, &carried))
            return buf_ok(&c->carry) ? NULL : "a line without end";
        if (headed)
            error = read_head(c, line);
        else if (c->state == CLIENT_CHUNK_SIZE)
            error = read_size(c, line);
        else if (c->state == CLIENT_CHUNK_END)
            c->state = CLIENT_CHUNK_SIZE;
        else
            *out_done = line.len == 0;
        if (carried)
            buf_reset(&c->carry);
        if (c->state == CLIENT_BODY && c->body_left == 0)
            *out_done = true;
        return error;
    default:
        return "bytes that nobody asked for";
    }
}

static void feed(struct client *c, str in) {
    const char *error = NULL;
    bool done = false;
    while (in.len > 0 && !error && !done)
        error = feed_step(c, &in, &done);
    if (!error && c->is_sse && c->body.len > c->line_at)
        read_events(c);
    if (!error && done && in.len > 0)
        error = "bytes behind the answer";
    if (error || done)
        finish(c, error);
}

void client_on_ready(struct client *c, uint32_t events) {
    static char bytes[READ_BYTES];
    if (c->state == CLIENT_CLOSED)
        return;
    if ((events & EPOLLOUT) && !flush(c)) {
        finish(c, "cannot send");
        return;
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return;
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        feed(c, str_n(bytes, (size_t)n));
    } else if (c->state == CLIENT_IDLE) {
        client_close(c);
        c->load->reconnects++;
    } else {
        finish(c, "the connection ended inside an answer");
    }
}

str client_json_text(str json, const char *key) {
    char quoted[64];
    int n = snprintf(quoted, sizeof(quoted), "\"%s\"", key);
    const char *at = json.p ? memmem(json.p, json.len, quoted, (size_t)n) : NULL;
    if (!at)
        return STR_NULL;
    str rest = str_slice(json, (size_t)(at - json.p) + (size_t)n, json.len);
    size_t i = 0;
    while (i < rest.len && (rest.p[i] == ' ' || rest.p[i] == ':'))
        i++;
    if (i >= rest.len || rest.p[i] != '"')
        return STR_NULL;
    rest = str_slice(rest, i + 1, rest.len);
    ptrdiff_t end = str_find_char(rest, '"');
    return end < 0 ? STR_NULL : str_slice(rest, 0, (size_t)end);
}
