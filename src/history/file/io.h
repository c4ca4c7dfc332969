/* SPDX-License-Identifier: Apache-2.0 */
/* io.h - the disk as the file adapter sees it: files of one folder, by name.
 *
 * A port, so that tests can lose what was not synced, fail and write short by a seed. Calls return
 * what the system's do, or -errno; several threads may call at once.
 *
 * Memory: the folder's is freed by close. Errors: -errno; the hfile_ functions below give typed
 * ones. Suspends: never, but blocks. Tests: tests/unit/history/test_file_format.c */
#ifndef HF_HISTORY_FILE_IO_H
#define HF_HISTORY_FILE_IO_H

#include <sys/types.h>

#include "base/err.h"

struct hfile_io {
    int (*open)(struct hfile_io *io, const char *name, int flags);
    void (*close_file)(struct hfile_io *io, int fd);
    ssize_t (*pread)(struct hfile_io *io, int fd, void *to, size_t bytes, uint64_t at);
    /* As pread, of what is in memory; -EAGAIN for what is not. NULL: the disk cannot tell. */
    ssize_t (*pread_cached)(struct hfile_io *io, int fd, void *to, size_t bytes, uint64_t at);
    ssize_t (*pwrite)(struct hfile_io *io, int fd, const void *from, size_t bytes, uint64_t at);
    int (*sync)(struct hfile_io *io, int fd); /* data and length */
    int (*truncate)(struct hfile_io *io, int fd, uint64_t bytes);
    int (*allocate)(struct hfile_io *io, int fd, uint64_t bytes); /* zeros up to there */
    int64_t (*size)(struct hfile_io *io, int fd);
    int (*rename)(struct hfile_io *io, const char *from, const char *to);
    int (*unlink)(struct hfile_io *io, const char *name);
    int (*sync_folder)(struct hfile_io *io);
    /* Calls fn with each name until it returns non-zero, which it returns. */
    int (*list)(struct hfile_io *io, int (*fn)(void *ctx, const char *name), void *ctx);
    int (*lock)(struct hfile_io *io, const char *name); /* until close; -EWOULDBLOCK: it is held */
    void (*close)(struct hfile_io *io);
};

/* The folder; made when it is missing and `make` says so. */
MUST_CHECK int hfile_io_folder(const char *dir, bool make, struct hfile_io **out, struct err *err);

/* ERR_CORRUPT when the file ends before. */
MUST_CHECK int hfile_read(struct hfile_io *io, int fd, void *to, size_t bytes, uint64_t at,
                          struct err *err);
MUST_CHECK int hfile_write(struct hfile_io *io, int fd, const void *from, size_t bytes, uint64_t at,
                           struct err *err);
/* ERR_UNAVAILABLE for a full disk, ERR_IO for the rest. code is negative. */
int hfile_error(struct err *err, int code, const char *what);
/* A whole file at once, replaced at once: written aside, synced, renamed. */
MUST_CHECK int hfile_replace(struct hfile_io *io, const char *name, const void *from, size_t bytes,
                             struct err *err);

#endif
