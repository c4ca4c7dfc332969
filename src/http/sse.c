/* SPDX-License-Identifier: Apache-2.0 */
/* sse.c - server-sent events: frames out, frames in.
 *
 * Purpose: the one place that knows the text/event-stream format (WHATWG HTML 9.2).
 *
 *     frame   "event: " name LF  "data: " text LF  [ "id: " id LF ]  LF
 *
 * The parser takes bytes in any split. Lines end with LF, CR or CRLF; one byte order mark at the
 * start is skipped; a line that starts with ':' is a comment; several data lines join with LF; an
 * event without a data line is dropped; the last id sticks until another one comes, an id with NUL
 * is ignored. What is unfinished at the end of the stream is not delivered.
 *
 * Invariants: line and data are bounded by event_bytes_max, together at most twice of it. Whole
 * lines within one feed are read in place; only a line that is cut is copied. */
#include "http/sse.h"

static void put_clean(struct buf *out, str s) {
    while (s.len) {
        size_t n = 0;
        while (n < s.len && s.p[n] != '\r' && s.p[n] != '\n')
            n++;
        buf_append(out, s.p, n);
        n = n < s.len ? n + 1 : n;
        s.p += n;
        s.len -= n;
    }
}

void sse_write(struct buf *out, str event, str data, str id) {
    DASSERT(str_find_char(data, '\n') < 0 && str_find_char(data, '\r') < 0);
    buf_str(out, STR("event: "));
    put_clean(out, event);
    buf_str(out, STR("\ndata: "));
    buf_append(out, data.p, data.len);
    if (id.p) {
        buf_str(out, STR("\nid: "));
        put_clean(out, id);
    }
    buf_str(out, STR("\n\n"));
}

void sse_parser_init(struct sse_parser *p, size_t event_bytes_max) {
    *p = (struct sse_parser){.first = true, .event_bytes_max = event_bytes_max};
    buf_init(&p->line, event_bytes_max);
    buf_init(&p->data, event_bytes_max);
    buf_init(&p->event, event_bytes_max);
    buf_init(&p->id, event_bytes_max);
}

void sse_parser_deinit(struct sse_parser *p) {
    buf_deinit(&p->line);
    buf_deinit(&p->data);
    buf_deinit(&p->event);
    buf_deinit(&p->id);
}

static int dispatch(struct sse_parser *p, int (*on_event)(void *, const struct sse_event *),
                    void *ctx) {
    int rc = 0;
    if (p->has_data) {
        struct sse_event e = {
            .event = p->event.len ? buf_view(&p->event) : STR("message"),
            .data = p->data.len ? buf_view(&p->data) : STR(""),
            .id = p->id.len ? buf_view(&p->id) : STR(""),
        };
        rc = on_event(ctx, &e);
    }
    buf_reset(&p->data);
    buf_reset(&p->event);
    p->has_data = false;
    return rc;
}

static int on_line(struct sse_parser *p, str line,
                   int (*on_event)(void *, const struct sse_event *), void *ctx) {
    if (p->first) {
        p->first = false;
        if (str_starts(line, STR("\xEF\xBB\xBF")))
            line = str_n(line.p + 3, line.len - 3);
    }
    if (line.len == 0)
        return dispatch(p, on_event, ctx);
    ptrdiff_t colon = str_find_char(line, ':');
    if (colon == 0)
        return 0;
    str name = colon < 0 ? line : str_n(line.p, (size_t)colon);
    str value = colon < 0 ? STR("") : str_n(line.p + colon + 1, line.len - (size_t)colon - 1);
    if (value.len && value.p[0] == ' ')
        value = str_n(value.p + 1, value.len - 1);
    if (str_eq(name, STR("data"))) {
        if (p->has_data)
            buf_char(&p->data, '\n');
        p->has_data = true;
        buf_append(&p->data, value.p, value.len);
    } else if (str_eq(name, STR("event"))) {
        buf_reset(&p->event);
        buf_append(&p->event, value.p, value.len);
    } else if (str_eq(name, STR("id")) && str_find_char(value, '\0') < 0) {
        buf_reset(&p->id);
        buf_append(&p->id, value.p, value.len);
    }
    return buf_ok(&p->data) && buf_ok(&p->event) && buf_ok(&p->id) ? 0 : ERR_TOO_LARGE;
}

/* Length of the part before the first line end; s.len when there is none. *lf remembers where the
 * next LF (or the end) was found, so that lines ended by CR alone cost no second search. */
static size_t line_len(str s, const char **lf) {
    if (*lf < s.p) {
        const char *found = memchr(s.p, '\n', s.len);
        *lf = found ? found : s.p + s.len;
    }
    size_t n = (size_t)(*lf - s.p);
    const char *cr = n ? memchr(s.p, '\r', n) : NULL;
    return cr ? (size_t)(cr - s.p) : n;
}

int sse_parser_feed(struct sse_parser *p, str bytes,
                    int (*on_event)(void *ctx, const struct sse_event *e), void *ctx) {
    const char *lf = NULL;
    while (bytes.len) {
        if (p->skip_lf) {
            p->skip_lf = false;
            if (bytes.p[0] == '\n') {
                bytes = str_n(bytes.p + 1, bytes.len - 1);
                continue;
            }
        }
        size_t n = line_len(bytes, &lf);
        bool whole = n < bytes.len;
        if (p->line.len || !whole)
            buf_append(&p->line, bytes.p, n);
        if (!buf_ok(&p->line) || n > p->event_bytes_max)
            return ERR_TOO_LARGE;
        if (!whole)
            return 0;
        p->skip_lf = bytes.p[n] == '\r';
        str line = p->line.len ? buf_view(&p->line) : str_n(bytes.p, n);
        int rc = on_line(p, line, on_event, ctx);
        buf_reset(&p->line);
        if (rc)
            return rc;
        bytes = str_n(bytes.p + n + 1, bytes.len - n - 1);
    }
    return 0;
}
