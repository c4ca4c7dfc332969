/* SPDX-License-Identifier: Apache-2.0 */
/* history_stream.c - events of a session as a stream: lines of JSON, or server-sent events.
 *
 *   socket wants more ─▶ a fiber reads one page ─▶ written ─▶ more: as soon as the socket wants it
 *                                                        └▶ none: lines end; events wait for the
 *                                                           watch, which wants again
 *
 * One page is on its way at a time, so a slow reader holds one page and no more. It is written in
 * pieces, as the socket takes them: what is compressed on the way out then holds nobody up for
 * longer than one piece takes. An idle stream is this struct, its watch and the connection. The
 * watch runs while a page is read: what comes in between is not missed. Two references: the
 * stream's and the fiber's. */
#include "api/history_int.h"
#include "base/log.h"
#include "base/mem.h"
#include "history/watch.h"
#include "http/sse.h"

#define PAGE_ARENA_BYTES (HISTORY_PAYLOAD_BYTES_MAX + 4 * HISTORY_PAGE_BYTES_MAX)
#define PAGE_COUNT       250
#define PIECE_BYTES      ((size_t)64 * 1024)
#define AHEAD_BYTES      ((size_t)256 * 1024) /* written and not yet taken by the socket */

struct stream {
    struct history *h;
    struct history_range range;
    struct history_position after;
    struct http_stream *http; /* NULL: closed */
    struct rt *rt;
    struct history_watch watch;
    struct fiber_event drained; /* the socket wants more, or is gone */
    struct arena arena;         /* of the key */
    size_t left;                /* events that may still be written */
    bool follow, reading, news, ended;
};

static struct stream *of_watch(struct history_watch *w) {
    return CONTAINER_OF(w, struct stream, watch);
}

static void release(struct stream *s) {
    if (s->http || s->reading)
        return;
    history_watch_stop(&s->watch);
    arena_deinit(&s->arena);
    mem_free(s);
}

/* --- one page --- */

static void write_event(struct stream *s, struct buf *b, const struct history_event *e) {
    struct json_writer w = json_writer(b);
    if (!s->follow) {
        history_event_write(&w, e, s->range.key.session);
        buf_char(b, '\n');
        return;
    }
    char id[24];
    int len = snprintf(id, sizeof id, "%lld", (long long)e->seq);
    struct buf data;
    buf_init(&data, SIZE_MAX / 2);
    w = json_writer(&data);
    history_event_write(&w, e, s->range.key.session);
    sse_write(b, STR("event"), buf_view(&data), str_n(id, (size_t)len));
    buf_deinit(&data);
}

/* Suspends while the reader is behind. False: it is gone. */
static bool send_piece(struct stream *s, str piece) {
    while (s->http && !http_stream_fits(s->http, piece.len, AHEAD_BYTES)) {
        http_stream_want(s->http);
        if (fiber_event_wait(&s->drained, FIBER_NO_DEADLINE) < 0)
            return false;
    }
    return s->http && http_stream_write(s->http, piece);
}

static void send_page(struct stream *s, const struct history_page *page) {
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    for (size_t i = 0; i < page->count; i++) {
        const struct history_event *e = &page->events[i];
        write_event(s, &b, e);
        s->after = (struct history_position){e->occurred_at, e->seq};
        s->range.after = &s->after;
    }
    for (size_t at = 0; at < b.len; at += PIECE_BYTES) {
        if (at > 0)
            fiber_yield();
        if (!send_piece(s, str_slice(buf_view(&b), at, at + PIECE_BYTES)))
            break; /* when it is closing, closed() follows */
    }
    s->left -= page->count;
    buf_deinit(&b);
}

static void end(struct stream *s) {
    s->ended = true;
    if (s->http)
        http_stream_end(s->http);
}

/* A session that is not there yet is waited for; one that is gone ends the stream. */
static void failed(struct stream *s, int rc, const struct err *err) {
    if (s->follow && rc == ERR_NOT_FOUND && s->watch.after_seq == 0)
        return;
    if (rc != ERR_NOT_FOUND)
        log_event(LOG_WARN, "history.stream", err->message, LOG_Z("code", err_name(rc)));
    if (s->http && rc != ERR_NOT_FOUND)
        http_stream_abort(s->http); /* cut, so that nobody takes it for the whole */
    else
        end(s);
}

static void read_page(void *arg) {
    struct stream *s = arg;
    struct history_page page = {0};
    struct err err = {0};
    struct arena a;
    arena_init(&a, PAGE_ARENA_BYTES);
    s->news = false;
    s->range.limit = s->left < PAGE_COUNT ? s->left : PAGE_COUNT;
    if (s->follow) {
        s->watch.after_seq = s->range.after ? s->after.seq : s->range.seq_min - 1;
        history_watch_start(s->h, &s->range.key, &s->watch);
    }
    int rc = history_read(s->h, &s->range, &a, &page, &err);
    if (rc < 0)
        failed(s, rc, &err);
    else
        send_page(s, &page);
    arena_deinit(&a);
    s->reading = false;
    bool more = page.more && s->left > 0;
    if (rc == 0 && !more && !s->follow)
        end(s);
    if (s->http && !s->ended && (more || s->news))
        http_stream_want(s->http);
    release(s);
}

/* --- the stream --- */

static void on_news(struct history_watch *w) {
    struct stream *s = of_watch(w);
    s->news = true;
    if (!s->reading && s->http && !s->ended)
        http_stream_want(s->http);
}

static void writable(struct http_stream *http, void *ctx) {
    struct stream *s = ctx;
    bool begun = s->range.limit > 0; /* the first page is read unasked */
    fiber_event_wake_all(&s->drained);
    if (s->reading || s->ended || (begun && s->follow && !s->news && list_linked(&s->watch.node)))
        return;
    if (!fiber_spawn(s->rt, "history.page", read_page, s, NULL)) {
        http_stream_abort(http); /* too many fibers: the reader comes back with its position */
        return;
    }
    s->reading = true;
}

static void closed(struct http_stream *http, void *ctx) {
    struct stream *s = ctx;
    (void)http;
    s->http = NULL;
    fiber_event_wake_all(&s->drained);
    release(s);
}

static void open_stream(struct api_request *r, struct history *h, const struct history_range *range,
                        size_t left, bool follow) {
    struct stream *s = NEW(struct stream);
    s->h = h;
    s->rt = fiber_rt();
    s->range = *range;
    s->range.limit = 0;
    s->left = left;
    s->follow = follow;
    s->watch.fn = on_news;
    fiber_event_init(&s->drained);
    arena_init(&s->arena, 4 * HISTORY_NAME_BYTES_MAX);
    s->range.key.owner = arena_dup(&s->arena, range->key.owner);
    s->range.key.session = arena_dup(&s->arena, range->key.session);
    if (range->after) {
        s->after = *range->after;
        s->range.after = &s->after;
    }
    struct http_stream_ops ops = {.writable = writable, .closed = closed, .ctx = s, .pack = true};
    if (follow) {
        ops.heartbeat = STR(": heartbeat\n\n");
        http_reply_header(r->http, STR("Cache-Control"), STR("no-store"));
    }
    s->http = http_reply_stream(
        r->http, 200, follow ? STR("text/event-stream") : STR("application/x-ndjson"), &ops);
}

void api_history_stream_lines(struct api_request *r, struct history *h,
                              const struct history_range *range, size_t count_max) {
    open_stream(r, h, range, count_max ? count_max : SIZE_MAX, false);
}

void api_history_stream_events(struct api_request *r, struct history *h,
                               const struct history_range *range) {
    open_stream(r, h, range, SIZE_MAX, true);
}
