/* SPDX-License-Identifier: Apache-2.0 */
/* log.c - a log's file: making it, reading it back, cutting off what is torn.
 *
 * What is read back after a crash may stand in the system's cache only. So a log that was not
 * closed in order is written anew before it is used, which also cuts off a torn end: nothing of it
 * can come to light again behind what is written later. A log that was closed ends with its last
 * record; one that was not has zeros behind it, which were allocated in advance. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "history/file/crc32c.h"
#include "history/file/file_int.h"

#define WINDOW_BYTES ((size_t)1 << 20)

void hfile_log_name(uint32_t number, char out[HFILE_NAME_BYTES]) {
    int len = snprintf(out, HFILE_NAME_BYTES, "log-%u", number);
    ASSERT(len > 0 && len < HFILE_NAME_BYTES);
}

static struct hfile_log_head log_head(uint32_t number) {
    struct hfile_log_head head = {.number = number};
    memcpy(head.magic, HFILE_LOG_MAGIC, sizeof head.magic);
    head.crc = hfile_crc(str_n((const char *)&head, offsetof(struct hfile_log_head, crc)));
    return head;
}

static struct hfile_log *log_new(uint32_t number, int fd) {
    struct hfile_log *log = NEW(struct hfile_log);
    log->number = number;
    log->fd = fd;
    log->refs = 1;
    log->tail = sizeof(struct hfile_log_head);
    log->expires_min = log->stored_min = INT64_MAX;
    return log;
}

void hfile_log_close(struct hfile_io *io, struct hfile_log *log) {
    if (log->fd >= 0)
        io->close_file(io, log->fd);
    log->fd = -1;
    hfile_ids_deinit(&log->ids);
}

void hfile_log_unref(struct hfile_io *io, struct hfile_log *log) {
    if (!log || --log->refs > 0)
        return;
    hfile_log_close(io, log);
    vec_deinit(&log->touched);
    vec_deinit(&log->dead);
    mem_free(log);
}

int hfile_log_make(struct hfile_io *io, uint32_t number, uint64_t allocate, struct hfile_log **out,
                   struct err *err) {
    char name[HFILE_NAME_BYTES];
    struct hfile_log_head head = log_head(number);
    hfile_log_name(number, name);
    int fd = io->open(io, name, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0)
        return hfile_error(err, fd, "making a log");
    int rc = io->allocate(io, fd, allocate);
    if (rc < 0)
        rc = hfile_error(err, rc, "making room for a log");
    if (rc == 0)
        rc = hfile_write(io, fd, &head, sizeof head, 0, err);
    int code = 0;
    if (rc == 0 && ((code = io->sync(io, fd)) < 0 || (code = io->sync_folder(io)) < 0))
        rc = hfile_error(err, code, "syncing a log");
    if (rc < 0) {
        io->close_file(io, fd);
        (void)io->unlink(io, name); /* else the next open finds an empty one */
        return rc;
    }
    *out = log_new(number, fd);
    return 0;
}

/* --- reading back --- */

struct window { /* a part of the file in memory */
    struct hfile_io *io;
    int fd;
    uint64_t size, at;
    struct buf b;
};

/* `bytes` of the file from `at` on, or what there is of them. */
static int window_get(struct window *w, uint64_t at, size_t bytes, str *out, struct err *err) {
    if (bytes > w->size - at)
        bytes = w->size - at;
    if (at < w->at || at + bytes > w->at + w->b.len) {
        size_t want = bytes > WINDOW_BYTES ? bytes : WINDOW_BYTES;
        if (want > w->size - at)
            want = w->size - at;
        buf_reset(&w->b);
        char *p = buf_reserve(&w->b, want + 1);
        ASSERT(p);
        int rc = hfile_read(w->io, w->fd, p, want, at, err);
        if (rc < 0)
            return rc;
        w->b.len = want;
        w->at = at;
    }
    *out = str_n(w->b.p + (at - w->at), bytes);
    return 0;
}

/* The record at `at`; absent when there is no whole one. */
static int window_record(struct window *w, uint64_t at, str *out, struct err *err) {
    *out = STR_NULL;
    str bytes;
    int rc = window_get(w, at, sizeof(struct hfile_record), &bytes, err);
    if (rc < 0 || bytes.len < sizeof(struct hfile_record))
        return rc;
    struct hfile_record head = hfile_head(bytes.p);
    if (head.bytes < sizeof head || head.bytes > HFILE_RECORD_BYTES_MAX)
        return 0;
    rc = window_get(w, at, head.bytes, &bytes, err);
    size_t whole = rc < 0 ? 0 : hfile_record_check(bytes.p, bytes.len);
    if (whole)
        *out = str_n(bytes.p, whole);
    return rc;
}

/* Where the unit at `from` ends; `from` when it is not whole. */
static int unit_end(struct window *w, uint64_t from, uint64_t *out, struct err *err) {
    str record;
    for (uint64_t at = from;;) {
        int rc = window_record(w, at, &record, err);
        if (rc < 0)
            return rc;
        if (!record.p) {
            *out = from;
            return 0;
        }
        at += record.len;
        if (hfile_head(record.p).flags & HFILE_LAST) {
            *out = at;
            return 0;
        }
    }
}

static int replay_unit(struct window *w, const struct hfile_replay *r, struct hfile_log *log,
                       uint64_t end, struct err *err) {
    str record;
    int rc = 0;
    while (rc == 0 && log->tail < end) {
        rc = window_record(w, log->tail, &record, err);
        if (rc == 0 && !record.p)
            rc = hfile_corrupt(err, "a log that changes while it is read");
        if (rc == 0)
            rc = r->fn(r->ctx, log, record.p, log->tail, err);
        if (rc < 0)
            break;
        log->clean = hfile_head(record.p).kind == HFILE_MARK &&
                     hfile_head(record.p).seq == (int64_t)log->tail;
        log->tail += record.len;
    }
    return rc;
}

/* Behind the last whole unit: bytes that are not zero; ERR_CORRUPT when they had been synced. */
static int look_behind(struct window *w, uint64_t tail, uint64_t *out_torn, struct err *err) {
    uint64_t last = tail;
    str bytes;
    for (uint64_t at = tail; at < w->size; at += 8) {
        int rc = window_get(w, at, sizeof(struct hfile_record), &bytes, err);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < bytes.len && i < 8; i++)
            last = bytes.p[i] ? at + i + 1 : last;
        if (bytes.len < sizeof(struct hfile_record) || hfile_head(bytes.p).kind != HFILE_MARK ||
            hfile_head(bytes.p).seq != (int64_t)at || at == tail)
            continue;
        if (hfile_record_check(bytes.p, bytes.len))
            return err_set(err, ERR_CORRUPT,
                           "history: a log is damaged at %llu, before what was "
                           "synced at %llu",
                           (unsigned long long)tail, (unsigned long long)at);
    }
    *out_torn = last - tail;
    return 0;
}

static int log_read(struct window *w, const struct hfile_replay *r, struct hfile_log *log,
                    uint64_t *out_torn, struct err *err) {
    struct hfile_log_head head = log_head(log->number);
    str bytes;
    int rc = window_get(w, 0, sizeof head, &bytes, err);
    *out_torn = 0;
    if (rc < 0)
        return rc;
    if (bytes.len < sizeof head || memcmp(bytes.p, &head, sizeof head) != 0) {
        log->tail = 0; /* it was being made, or it is damaged: what is behind tells */
        rc = look_behind(w, 0, out_torn, err);
        log->tail = sizeof head;
        return rc;
    }
    for (uint64_t end;;) {
        rc = unit_end(w, log->tail, &end, err);
        if (rc < 0 || end == log->tail)
            break;
        rc = replay_unit(w, r, log, end, err);
        if (rc < 0)
            break;
    }
    if (rc == 0)
        rc = look_behind(w, log->tail, out_torn, err);
    if (*out_torn > 0)
        log->clean = false;
    return rc;
}

int hfile_log_open(struct hfile_io *io, uint32_t number, const struct hfile_replay *r,
                   struct hfile_log **out, uint64_t *out_torn, struct err *err) {
    char name[HFILE_NAME_BYTES];
    hfile_log_name(number, name);
    int fd = io->open(io, name, O_RDONLY);
    if (fd < 0)
        return hfile_error(err, fd, "opening a log");
    struct hfile_log *log = log_new(number, fd);
    struct window w = {.io = io, .fd = fd};
    int64_t size = io->size(io, fd);
    int rc = size < 0 ? hfile_error(err, (int)size, "opening a log") : 0;
    buf_init(&w.b, HFILE_RECORD_BYTES_MAX + WINDOW_BYTES);
    w.size = rc < 0 ? 0 : (uint64_t)size;
    if (rc == 0)
        rc = log_read(&w, r, log, out_torn, err);
    buf_deinit(&w.b);
    if (rc < 0)
        hfile_log_unref(io, log);
    else
        *out = log;
    return rc;
}

static int copy_whole(struct hfile_io *io, const struct hfile_log *log, int to, struct err *err) {
    struct hfile_log_head head = log_head(log->number);
    struct buf b;
    buf_init(&b, WINDOW_BYTES);
    char *p = buf_reserve(&b, WINDOW_BYTES);
    ASSERT(p);
    int rc = hfile_write(io, to, &head, sizeof head, 0, err);
    for (uint64_t at = sizeof head; rc == 0 && at < log->tail;) {
        size_t n = log->tail - at < WINDOW_BYTES ? log->tail - at : WINDOW_BYTES;
        rc = hfile_read(io, log->fd, p, n, at, err);
        if (rc == 0)
            rc = hfile_write(io, to, p, n, at, err);
        at += n;
    }
    buf_deinit(&b);
    return rc;
}

int hfile_log_rewrite(struct hfile_io *io, struct hfile_log *log, struct err *err) {
    char name[HFILE_NAME_BYTES], aside[HFILE_NAME_BYTES];
    hfile_log_name(log->number, name);
    int len = snprintf(aside, sizeof aside, "log-%u.new", log->number), code = 0;
    ASSERT(len > 0 && len < HFILE_NAME_BYTES);
    int to = io->open(io, aside, O_RDWR | O_CREAT | O_TRUNC);
    if (to < 0)
        return hfile_error(err, to, "writing a log anew");
    int rc = copy_whole(io, log, to, err);
    if (rc == 0 && ((code = io->sync(io, to)) < 0 || (code = io->rename(io, aside, name)) < 0 ||
                    (code = io->sync_folder(io)) < 0))
        rc = hfile_error(err, code, "writing a log anew");
    if (rc < 0) {
        io->close_file(io, to);
        return rc;
    }
    io->close_file(io, log->fd);
    log->fd = to;
    return 0;
}
