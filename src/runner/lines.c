/* SPDX-License-Identifier: Apache-2.0 */
/* lines.c - lines of a stream.
 *
 * A line that lies whole in the bytes fed is handed on where it stands; only what is cut by a
 * read is gathered. The limit counts the bytes before the line's end, with or without one. */
#include "runner/lines.h"

#include <string.h>

void lines_init(struct lines *l, size_t bytes_max) {
    buf_init(&l->rest, bytes_max);
    l->bytes_max = bytes_max;
}

void lines_deinit(struct lines *l) { buf_deinit(&l->rest); }

void lines_reset(struct lines *l) { buf_reset(&l->rest); }

static int too_long(const struct lines *l, struct err *err) {
    return err_set(err, ERR_TOO_LARGE, "a line is longer than %zu bytes", l->bytes_max);
}

static int line_is_over(str line, line_fn fn, void *ctx, struct err *err) {
    if (line.len > 0 && line.p[line.len - 1] == '\r')
        line.len--;
    return str_trim(line).len ? fn(ctx, line, err) : 0;
}

int lines_feed(struct lines *l, str bytes, line_fn fn, void *ctx, struct err *err) {
    while (bytes.len > 0) {
        const char *end = memchr(bytes.p, '\n', bytes.len);
        size_t len = end ? (size_t)(end - bytes.p) : bytes.len;
        str piece = str_n(bytes.p, len);
        if (len > l->bytes_max - l->rest.len)
            return too_long(l, err);
        bytes = str_slice(bytes, len + (end != NULL), bytes.len);
        if (!end || l->rest.len)
            buf_str(&l->rest, piece);
        if (!end)
            continue;
        int rc = line_is_over(l->rest.len ? buf_view(&l->rest) : piece, fn, ctx, err);
        if (rc < 0)
            return rc;
        buf_reset(&l->rest);
    }
    return 0;
}
