/* SPDX-License-Identifier: Apache-2.0 */
/* io.c - the folder of a file history, and reading and writing whole pieces of its files.
 *
 * Names are the adapter's own ("log-7"): never a session's, never with a slash. The lock is one of
 * flock(), which goes with the process however it ends. */
#include "history/file/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"

#define NAME_BYTES_MAX 64

struct folder {
    struct hfile_io io;
    int fd, lock_fd;
};

static struct folder *folder_of(struct hfile_io *io) { return CONTAINER_OF(io, struct folder, io); }

static int result(int rc) { return rc < 0 ? -errno : rc; }

static int folder_open(struct hfile_io *io, const char *name, int flags) {
    return result(openat(folder_of(io)->fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600));
}

static void folder_close_file(struct hfile_io *io, int fd) {
    (void)io;
    close(fd);
}

static ssize_t folder_pread(struct hfile_io *io, int fd, void *to, size_t bytes, uint64_t at) {
    (void)io;
    ssize_t n = pread(fd, to, bytes, (off_t)at);
    return n < 0 ? -errno : n;
}

static ssize_t folder_pread_cached(struct hfile_io *io, int fd, void *to, size_t bytes,
                                   uint64_t at) {
    (void)io;
    struct iovec one = {to, bytes};
    ssize_t n = preadv2(fd, &one, 1, (off_t)at, RWF_NOWAIT);
    return n < 0 ? -errno : n;
}

static ssize_t folder_pwrite(struct hfile_io *io, int fd, const void *from, size_t bytes,
                             uint64_t at) {
    (void)io;
    ssize_t n = pwrite(fd, from, bytes, (off_t)at);
    return n < 0 ? -errno : n;
}

static int folder_sync(struct hfile_io *io, int fd) {
    (void)io;
    return result(fdatasync(fd));
}

static int folder_truncate(struct hfile_io *io, int fd, uint64_t bytes) {
    (void)io;
    return result(ftruncate(fd, (off_t)bytes));
}

static int folder_allocate(struct hfile_io *io, int fd, uint64_t bytes) {
    (void)io;
    int rc = result(fallocate(fd, 0, 0, (off_t)bytes));
    return rc == -EOPNOTSUPP || rc == -ENOSYS ? 0 : rc; /* it is a comfort */
}

static int64_t folder_size(struct hfile_io *io, int fd) {
    struct stat st;
    (void)io;
    return fstat(fd, &st) < 0 ? -errno : (int64_t)st.st_size;
}

static int folder_rename(struct hfile_io *io, const char *from, const char *to) {
    int fd = folder_of(io)->fd;
    return result(renameat(fd, from, fd, to));
}

static int folder_unlink(struct hfile_io *io, const char *name) {
    return result(unlinkat(folder_of(io)->fd, name, 0));
}

static int folder_sync_folder(struct hfile_io *io) { return result(fsync(folder_of(io)->fd)); }

static int folder_list(struct hfile_io *io, int (*fn)(void *ctx, const char *name), void *ctx) {
    int fd = openat(folder_of(io)->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    for (struct dirent *e; rc == 0 && (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] != '.')
            rc = fn(ctx, e->d_name);
    }
    closedir(dir);
    return rc;
}

static int folder_lock(struct hfile_io *io, const char *name) {
    struct folder *f = folder_of(io);
    f->lock_fd = folder_open(io, name, O_RDWR | O_CREAT);
    return f->lock_fd < 0 ? f->lock_fd : result(flock(f->lock_fd, LOCK_EX | LOCK_NB));
}

static void folder_close(struct hfile_io *io) {
    struct folder *f = folder_of(io);
    if (f->lock_fd >= 0)
        close(f->lock_fd);
    close(f->fd);
    mem_free(f);
}

int hfile_io_folder(const char *dir, bool make, struct hfile_io **out, struct err *err) {
    if (make && mkdir(dir, 0700) < 0 && errno != EEXIST)
        return err_set_system(err, ERR_UNAVAILABLE, errno, "%s: %s", dir, strerror(errno));
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_system(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_UNAVAILABLE, errno,
                              "%s: %s", dir, strerror(errno));
    struct folder *f = NEW(struct folder);
    f->fd = fd;
    f->lock_fd = -1;
    f->io = (struct hfile_io){.open = folder_open,
                              .close_file = folder_close_file,
                              .pread = folder_pread,
                              .pread_cached = folder_pread_cached,
                              .pwrite = folder_pwrite,
                              .sync = folder_sync,
                              .truncate = folder_truncate,
                              .allocate = folder_allocate,
                              .size = folder_size,
                              .rename = folder_rename,
                              .unlink = folder_unlink,
                              .sync_folder = folder_sync_folder,
                              .list = folder_list,
                              .lock = folder_lock,
                              .close = folder_close};
    *out = &f->io;
    return 0;
}

/* --- whole pieces --- */

int hfile_error(struct err *err, int code, const char *what) {
    bool full = code == -ENOSPC || code == -EDQUOT;
    return err_set_system(err, full ? ERR_UNAVAILABLE : ERR_IO, -code, "history: %s: %s", what,
                          strerror(-code));
}

int hfile_read(struct hfile_io *io, int fd, void *to, size_t bytes, uint64_t at, struct err *err) {
    for (size_t done = 0; done < bytes;) {
        ssize_t n = io->pread(io, fd, (char *)to + done, bytes - done, at + done);
        if (n == -EINTR)
            continue;
        if (n < 0)
            return hfile_error(err, (int)n, "reading");
        if (n == 0)
            return err_set(err, ERR_CORRUPT, "history: a file ends too early");
        done += (size_t)n;
    }
    return 0;
}

int hfile_write(struct hfile_io *io, int fd, const void *from, size_t bytes, uint64_t at,
                struct err *err) {
    for (size_t done = 0; done < bytes;) {
        ssize_t n = io->pwrite(io, fd, (const char *)from + done, bytes - done, at + done);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            return hfile_error(err, n < 0 ? (int)n : -EIO, "writing");
        done += (size_t)n;
    }
    return 0;
}

int hfile_replace(struct hfile_io *io, const char *name, const void *from, size_t bytes,
                  struct err *err) {
    char aside[NAME_BYTES_MAX];
    int len = snprintf(aside, sizeof aside, "%s.new", name);
    ASSERT(len > 0 && (size_t)len < sizeof aside);
    int fd = io->open(io, aside, O_RDWR | O_CREAT | O_TRUNC);
    if (fd < 0)
        return hfile_error(err, fd, "making a file");
    int rc = hfile_write(io, fd, from, bytes, 0, err);
    if (rc == 0 && (rc = io->sync(io, fd)) < 0)
        rc = hfile_error(err, rc, "syncing");
    io->close_file(io, fd);
    if (rc == 0 && ((rc = io->rename(io, aside, name)) < 0 || (rc = io->sync_folder(io)) < 0))
        rc = hfile_error(err, rc, "renaming");
    return rc;
}
