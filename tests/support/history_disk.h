/* SPDX-License-Identifier: Apache-2.0 */
/* history_disk.h - a disk in memory for a file history: it loses what was not synced, fails, fills.
 *
 * Data written and names changed are on the disk only after sync() and sync_folder(). A power loss
 * keeps, by a seed, none, all or some sectors of what was not synced, and the old or the new names.
 * After `calls_left` calls the power is off: every call fails. Several threads may call. */
#ifndef HF_TESTS_HISTORY_DISK_H
#define HF_TESTS_HISTORY_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/vec.h"
#include "history/file/io.h"

#define DISK_FILES_MAX 4096
#define DISK_SECTOR    512

struct disk_change { /* not synced yet; bytes NULL: the length becomes `at` */
    uint64_t at;
    size_t len;
    char *bytes;
};
struct disk_file {
    char *data, *durable;
    size_t size, durable_size;
    VEC(struct disk_change) changes;
};
struct disk_name {
    char name[32];
    int file;
};
struct disk {
    struct hfile_io io;
    pthread_mutex_t lock;
    struct disk_file *files[DISK_FILES_MAX]; /* a descriptor is an index */
    int file_count;
    VEC(struct disk_name) names;
    VEC(struct disk_name) durable_names;
    uint64_t random;
    int64_t calls_left;        /* -1: for ever */
    int64_t room;              /* bytes that may still be written; -1: any */
    bool fills;                /* a write that is larger than the room fills it first */
    int fail_sync;             /* the next one, with this error */
    int open_count, open_peak; /* descriptors: now, and the most at a time */
    int open_max;              /* then no more is given; 0: any number */
    int cold_each; /* of so many reads of what is in memory one finds nothing; 0: none */
    int reads, warm_reads, cold_reads; /* calls of pread, of pread_cached with and without data */
    bool locked, off;
};

static inline struct disk *disk_of(struct hfile_io *io) {
    return CONTAINER_OF(io, struct disk, io);
}

static inline uint64_t disk_random(struct disk *d, uint64_t bound) {
    uint64_t x = d->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    d->random = x;
    return (x * 0x2545f4914f6cdd1dULL >> 11) % bound;
}

/* Begins a call; false when the power is off. */
static inline bool disk_enter(struct disk *d) {
    pthread_mutex_lock(&d->lock);
    if (d->calls_left == 0)
        d->off = true;
    else if (d->calls_left > 0)
        d->calls_left--;
    return !d->off;
}

static inline int64_t disk_leave(struct disk *d, int64_t rc) {
    pthread_mutex_unlock(&d->lock);
    return rc;
}

static inline struct disk_name *disk_find(struct disk *d, const char *name) {
    for (size_t i = 0; i < d->names.count; i++) {
        if (strcmp(d->names.p[i].name, name) == 0)
            return &d->names.p[i];
    }
    return NULL;
}

static inline void disk_resize(char **data, size_t *size, size_t want) {
    if (want > *size) {
        *data = mem_realloc(*data, want + 1);
        memset(*data + *size, 0, want - *size);
    }
    *size = want;
}

static inline void disk_change(struct disk_file *f, uint64_t at, const void *p, size_t len) {
    struct disk_change c = {at, len, p ? mem_dup(p, len) : NULL};
    vec_push(&f->changes, c);
}

static inline int disk_open(struct hfile_io *io, const char *name, int flags) {
    struct disk *d = disk_of(io);
    if (!disk_enter(d))
        return (int)disk_leave(d, -EIO);
    struct disk_name *n = disk_find(d, name);
    if (!n && !(flags & O_CREAT))
        return (int)disk_leave(d, -ENOENT);
    if (d->open_max && d->open_count >= d->open_max)
        return (int)disk_leave(d, -EMFILE);
    d->open_count++;
    d->open_peak = d->open_count > d->open_peak ? d->open_count : d->open_peak;
    if (!n) {
        struct disk_name fresh = {.file = d->file_count};
        ASSERT(d->file_count < DISK_FILES_MAX && strlen(name) < sizeof fresh.name);
        memcpy(fresh.name, name, strlen(name) + 1);
        d->files[d->file_count++] = NEW(struct disk_file);
        vec_push(&d->names, fresh);
        n = &d->names.p[d->names.count - 1];
    }
    struct disk_file *f = d->files[n->file];
    if (flags & O_TRUNC) {
        f->size = 0;
        disk_change(f, 0, NULL, 0);
    }
    return (int)disk_leave(d, n->file);
}

static inline void disk_close_file(struct hfile_io *io, int fd) {
    struct disk *d = disk_of(io);
    (void)fd; /* it is the file's number */
    pthread_mutex_lock(&d->lock);
    d->open_count--;
    pthread_mutex_unlock(&d->lock);
}

static inline ssize_t disk_pread(struct hfile_io *io, int fd, void *to, size_t n, uint64_t at) {
    struct disk *d = disk_of(io);
    bool on = disk_enter(d);
    const struct disk_file *f = d->files[fd];
    d->reads++;
    size_t there = at < f->size ? f->size - at : 0;
    n = n < there ? n : there;
    if (on && n > 0)
        memcpy(to, f->data + at, n);
    return (ssize_t)disk_leave(d, on ? (int64_t)n : -EIO);
}

/* Every second one gives half of what is wanted. */
static inline ssize_t disk_pread_cached(struct hfile_io *io, int fd, void *to, size_t n,
                                        uint64_t at) {
    struct disk *d = disk_of(io);
    pthread_mutex_lock(&d->lock);
    int number = d->warm_reads + d->cold_reads + 1;
    bool cold = d->cold_each && number % d->cold_each == 0;
    d->cold_reads += cold;
    d->warm_reads += !cold;
    d->reads -= !cold; /* disk_pread counts it */
    pthread_mutex_unlock(&d->lock);
    return cold ? -EAGAIN : disk_pread(io, fd, to, number % 2 && n > 1 ? n / 2 : n, at);
}

static inline ssize_t disk_pwrite(struct hfile_io *io, int fd, const void *p, size_t n,
                                  uint64_t at) {
    struct disk *d = disk_of(io);
    int rc = disk_enter(d) ? 0 : -EIO;
    if (rc == 0 && d->room >= 0 && (int64_t)n > d->room) {
        rc = d->fills && d->room > 0 ? 0 : -ENOSPC;
        n = (size_t)d->room;
    }
    if (rc < 0)
        return (ssize_t)disk_leave(d, rc);
    if (d->room >= 0)
        d->room -= (int64_t)n;
    struct disk_file *f = d->files[fd];
    if (at + n > f->size)
        disk_resize(&f->data, &f->size, at + n);
    memcpy(f->data + at, p, n);
    disk_change(f, at, p, n);
    return (ssize_t)disk_leave(d, (int64_t)n);
}

static inline void disk_settle(struct disk_file *f) {
    for (size_t i = 0; i < f->changes.count; i++)
        mem_free(f->changes.p[i].bytes);
    f->changes.count = 0;
}

static inline int disk_sync(struct hfile_io *io, int fd) {
    struct disk *d = disk_of(io);
    int rc = disk_enter(d) ? 0 : -EIO;
    struct disk_file *f = d->files[fd];
    if (rc == 0 && d->fail_sync) {
        rc = -d->fail_sync;
        d->fail_sync = 0;
    }
    if (rc == 0) {
        mem_free(f->durable);
        f->durable = mem_dup(f->data ? f->data : "", f->size + !f->data);
        f->durable_size = f->size;
        disk_settle(f);
    }
    return (int)disk_leave(d, rc);
}

static inline int disk_set_size(struct hfile_io *io, int fd, uint64_t bytes, bool only_more) {
    struct disk *d = disk_of(io);
    bool on = disk_enter(d);
    struct disk_file *f = d->files[fd];
    if (on && (!only_more || bytes > f->size)) {
        disk_resize(&f->data, &f->size, bytes);
        disk_change(f, bytes, NULL, 0);
    }
    return (int)disk_leave(d, on ? 0 : -EIO);
}

static inline int disk_truncate(struct hfile_io *io, int fd, uint64_t bytes) {
    return disk_set_size(io, fd, bytes, false);
}

static inline int disk_allocate(struct hfile_io *io, int fd, uint64_t bytes) {
    return disk_set_size(io, fd, bytes, true);
}

static inline int64_t disk_size(struct hfile_io *io, int fd) {
    struct disk *d = disk_of(io);
    bool on = disk_enter(d);
    return disk_leave(d, on ? (int64_t)d->files[fd]->size : -EIO);
}

static inline int disk_unlink(struct hfile_io *io, const char *name) {
    struct disk *d = disk_of(io);
    bool on = disk_enter(d);
    struct disk_name *n = disk_find(d, name);
    if (on && n)
        *n = d->names.p[--d->names.count];
    return (int)disk_leave(d, !on ? -EIO : n ? 0 : -ENOENT);
}

static inline int disk_rename(struct hfile_io *io, const char *from, const char *to) {
    struct disk *d = disk_of(io);
    bool on = disk_enter(d);
    struct disk_name *old = disk_find(d, to), *n;
    if (on && old)
        *old = d->names.p[--d->names.count];
    n = disk_find(d, from);
    if (on && n)
        memcpy(n->name, to, strlen(to) + 1);
    return (int)disk_leave(d, !on ? -EIO : n ? 0 : -ENOENT);
}

static inline int disk_sync_folder(struct hfile_io *io) {
    struct disk *d = disk_of(io);
    bool on = disk_enter(d);
    d->durable_names.count = on ? 0 : d->durable_names.count;
    for (size_t i = 0; on && i < d->names.count; i++)
        vec_push(&d->durable_names, d->names.p[i]);
    return (int)disk_leave(d, on ? 0 : -EIO);
}

static inline int disk_list(struct hfile_io *io, int (*fn)(void *ctx, const char *name),
                            void *ctx) {
    struct disk *d = disk_of(io);
    int rc = 0;
    for (size_t i = 0; rc == 0 && !d->off && i < d->names.count; i++)
        rc = fn(ctx, d->names.p[i].name);
    return d->off ? -EIO : rc;
}

static inline int disk_lock(struct hfile_io *io, const char *name) {
    struct disk *d = disk_of(io);
    (void)name;
    int rc = d->locked ? -EWOULDBLOCK : 0;
    d->locked = true;
    return rc;
}

static inline void disk_unlock(struct hfile_io *io) { disk_of(io)->locked = false; }

static inline struct disk *disk_new(uint64_t seed) {
    struct disk *d = NEW(struct disk);
    pthread_mutex_init(&d->lock, NULL);
    d->random = seed * 0x9e3779b97f4a7c15ULL + 1;
    d->calls_left = d->room = -1;
    d->cold_each = 5;
    d->io = (struct hfile_io){.open = disk_open,
                              .close_file = disk_close_file,
                              .pread = disk_pread,
                              .pread_cached = disk_pread_cached,
                              .pwrite = disk_pwrite,
                              .sync = disk_sync,
                              .truncate = disk_truncate,
                              .allocate = disk_allocate,
                              .size = disk_size,
                              .rename = disk_rename,
                              .unlink = disk_unlink,
                              .sync_folder = disk_sync_folder,
                              .list = disk_list,
                              .lock = disk_lock,
                              .close = disk_unlock};
    return d;
}

static inline void disk_free(struct disk *d) {
    for (int i = 0; i < d->file_count; i++) {
        disk_settle(d->files[i]);
        vec_deinit(&d->files[i]->changes);
        mem_free(d->files[i]->data);
        mem_free(d->files[i]->durable);
        mem_free(d->files[i]);
    }
    vec_deinit(&d->names);
    vec_deinit(&d->durable_names);
    pthread_mutex_destroy(&d->lock);
    mem_free(d);
}

/* A change comes onto the disk as a whole, or those of its sectors that chance takes. */
static inline void disk_keep(struct disk *d, struct disk_file *f, const struct disk_change *c,
                             bool all) {
    if (!c->bytes) {
        if (all || disk_random(d, 2))
            disk_resize(&f->data, &f->size, c->at);
        return;
    }
    for (size_t at = 0, n; at < c->len; at += n) {
        size_t end = (c->at + at) / DISK_SECTOR * DISK_SECTOR + DISK_SECTOR - c->at;
        n = (end < c->len ? end : c->len) - at;
        if (!all && disk_random(d, 2))
            continue;
        if (c->at + at + n > f->size)
            disk_resize(&f->data, &f->size, c->at + at + n);
        memcpy(f->data + c->at + at, c->bytes + at, n);
    }
}

static inline void disk_lose_power(struct disk *d) {
    for (int i = 0; i < d->file_count; i++) {
        struct disk_file *f = d->files[i];
        uint64_t how = disk_random(d, 3);
        mem_free(f->data);
        f->data = mem_dup(f->durable ? f->durable : "", f->durable_size + !f->durable);
        f->size = f->durable_size;
        for (size_t k = 0; how > 0 && k < f->changes.count; k++)
            disk_keep(d, f, &f->changes.p[k], how == 2);
        disk_settle(f);
        mem_free(f->durable);
        f->durable = mem_dup(f->data, f->size + !f->size);
        f->durable_size = f->size;
    }
    if (disk_random(d, 2)) {
        d->names.count = 0;
        for (size_t i = 0; i < d->durable_names.count; i++)
            vec_push(&d->names, d->durable_names.p[i]);
    }
    d->durable_names.count = 0;
    for (size_t i = 0; i < d->names.count; i++)
        vec_push(&d->durable_names, d->names.p[i]);
    d->calls_left = -1;
    d->off = d->locked = false;
    d->io.sync = disk_sync; /* a history may have taken them out */
    d->io.sync_folder = disk_sync_folder;
}

/* The contents of a file; absent when there is none. */
static inline str disk_text(struct disk *d, const char *name) {
    struct disk_name *n = disk_find(d, name);
    return n ? str_n(d->files[n->file]->data, d->files[n->file]->size) : STR_NULL;
}

static inline void disk_put(struct disk *d, const char *name, str text) {
    int fd = disk_open(&d->io, name, O_RDWR | O_CREAT | O_TRUNC);
    if (text.len > 0 && disk_pwrite(&d->io, fd, text.p, text.len, 0) < 0)
        ASSERT(d->off);
    (void)disk_sync(&d->io, fd); /* of a test's own file */
    disk_close_file(&d->io, fd);
    (void)disk_sync_folder(&d->io);
}

#endif
