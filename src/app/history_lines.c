/* SPDX-License-Identifier: Apache-2.0 */
/* history_lines.c - events in and out as lines of JSON.
 *
 * Lines gather into one append of up to GROUP_EVENTS or GROUP_BYTES; each is durable before the
 * next is read, so what was cut off is appended again and told apart by its ids. A line of an older
 * file is {"id","sessionId","envelope",…}; of its envelope everything is taken over. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/history_command_int.h"
#include "base/clock.h"
#include "base/mem.h"

#define LINE_BYTES_MAX  ((size_t)24 << 20)
#define GROUP_EVENTS    1000
#define GROUP_BYTES     ((size_t)8 << 20)
#define ARENA_BYTES_MAX ((size_t)256 << 20)
#define SESSION_USUAL   STR("unknown")

struct incoming {
    struct history *h;
    const struct history_args *args;
    struct history_progress *progress;
    str session; /* of events that name none */
    struct arena arena;
    struct history_event events[GROUP_EVENTS];
    str sessions[GROUP_EVENTS];
    struct history_result results[GROUP_EVENTS];
    size_t count, bytes;
    int64_t line, stored, duplicates;
};

static int flush(struct incoming *in, struct err *err) {
    struct history_append a = {.key = {in->args->owner, SESSION_USUAL},
                               .sessions = in->sessions,
                               .events = in->events,
                               .count = in->count,
                               .results = in->results};
    int rc = in->count ? history_append(in->h, &a, err) : 0;
    if (rc < 0)
        return err_context(err, "before line %lld", (long long)in->line + 1);
    for (size_t i = 0; i < in->count; i++)
        *(in->results[i].duplicate ? &in->duplicates : &in->stored) += 1;
    history_progress_add(in->progress, (int64_t)in->count);
    in->count = in->bytes = 0;
    arena_reset(&in->arena);
    return 0;
}

static int take(struct incoming *in, str line, struct err *err) {
    yyjson_val *root;
    str session;
    in->line++;
    line = str_trim(line);
    if (line.len == 0)
        return 0;
    int rc = json_parse(&in->arena, line, &root, err);
    yyjson_val *envelope = rc == 0 ? json_get(root, "envelope") : NULL;
    str outer = rc == 0 ? json_str(json_get(root, "sessionId")) : STR_NULL;
    if (rc == 0)
        rc = history_event_read(yyjson_is_obj(envelope) ? envelope : root, clock_wall_us(),
                                &in->arena, &in->events[in->count], &session, err);
    if (rc < 0)
        return err_context(err, "line %lld", (long long)in->line);
    session = session.p ? session : outer.p ? outer : in->session;
    in->sessions[in->count++] = session.p ? session : SESSION_USUAL;
    in->bytes += line.len;
    return in->count == GROUP_EVENTS || in->bytes >= GROUP_BYTES ? flush(in, err) : 0;
}

static int read_lines(struct incoming *in, FILE *f, struct err *err) {
    struct buf b;
    int rc = 0;
    size_t got;
    buf_init(&b, LINE_BYTES_MAX);
    do {
        char *to = buf_reserve(&b, 1u << 16);
        if (!to) {
            rc = err_set(err, ERR_TOO_LARGE, "line %lld is longer than %zu bytes",
                         (long long)in->line + 1, LINE_BYTES_MAX);
            break;
        }
        got = fread(to, 1, 1u << 16, f);
        b.len += got;
        size_t done = 0;
        const char *end;
        while (rc == 0 && (end = memchr(b.p + done, '\n', b.len - done)) != NULL) {
            rc = take(in, str_n(b.p + done, (size_t)(end - b.p) - done), err);
            done = (size_t)(end - b.p) + 1;
        }
        buf_consume(&b, done);
    } while (rc == 0 && got > 0);
    if (rc == 0 && ferror(f))
        rc = err_set_system(err, ERR_IO, errno, "cannot read: %s", strerror(errno));
    if (rc == 0)
        rc = take(in, buf_view(&b), err);
    buf_deinit(&b);
    return rc < 0 ? rc : flush(in, err);
}

int history_lines_append(struct history *h, const struct history_args *a, str path, str session,
                         struct history_progress *p, struct err *err) {
    bool standard = str_eq(path, STR("-"));
    FILE *f = standard ? stdin : fopen(path.p, "re");
    if (!f)
        return err_set_system(err, ERR_IO, errno, "cannot open %s: %s", path.p, strerror(errno));
    struct incoming *in = mem_zalloc(sizeof *in);
    in->h = h;
    in->args = a;
    in->progress = p;
    in->session = session;
    arena_init(&in->arena, ARENA_BYTES_MAX);
    int rc = read_lines(in, f, err);
    fprintf(stderr, "%s: %lld stored, %lld there already\n", standard ? "input" : path.p,
            (long long)in->stored, (long long)in->duplicates);
    arena_deinit(&in->arena);
    mem_free(in);
    if (!standard)
        (void)fclose(f); /* it was only read */
    return rc;
}

int history_read_json(str path, size_t bytes_max, struct arena *a, yyjson_val **out,
                      struct err *err) {
    bool standard = str_eq(path, STR("-"));
    FILE *f = standard ? stdin : fopen(path.p, "re");
    struct buf b;
    size_t got;
    if (!f)
        return err_set_system(err, ERR_IO, errno, "cannot open %s: %s", path.p, strerror(errno));
    buf_init(&b, bytes_max);
    do {
        char *to = buf_reserve(&b, 1u << 16);
        got = to ? fread(to, 1, 1u << 16, f) : 0;
        b.len += got;
    } while (got > 0);
    if (!standard)
        (void)fclose(f); /* it was only read */
    int rc = buf_ok(&b) ? json_parse(a, buf_view(&b), out, err)
                        : err_set(err, ERR_TOO_LARGE, "is larger than %zu bytes", bytes_max);
    buf_deinit(&b);
    return rc < 0 ? err_context(err, "%s", path.p) : 0;
}

/* --- out --- */

int history_lines_print(struct history *h, const struct history_range *range, int64_t limit,
                        int64_t *out_last, struct err *err) {
    struct history_range r = *range;
    struct history_page page;
    struct buf b;
    int rc;
    buf_init(&b, SIZE_MAX / 2);
    do {
        struct arena a;
        arena_init(&a, ARENA_BYTES_MAX);
        r.limit = limit > 0 && limit < HISTORY_PAGE_MAX ? (size_t)limit : HISTORY_PAGE_MAX;
        rc = history_read(h, &r, &a, &page, err);
        for (size_t i = 0; rc == 0 && i < page.count; i++) {
            struct json_writer w = json_writer(&b);
            history_event_write(&w, &page.events[i], r.key.session);
            buf_char(&b, '\n');
            *out_last = page.events[i].seq;
            r.seq_min = *out_last + 1;
        }
        if (rc == 0 && fwrite(b.p, 1, b.len, stdout) != b.len)
            rc = err_set_system(err, ERR_IO, errno, "cannot write: %s", strerror(errno));
        buf_reset(&b);
        limit -= rc == 0 ? (int64_t)page.count : 0;
        arena_deinit(&a);
    } while (rc == 0 && page.more && limit != 0);
    if (rc == 0 && fflush(stdout) != 0)
        rc = err_set_system(err, ERR_IO, errno, "cannot write: %s", strerror(errno));
    buf_deinit(&b);
    return rc;
}
