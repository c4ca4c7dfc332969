/* SPDX-License-Identifier: Apache-2.0 */
/* nowait_vfs.c - a SQLite VFS around the system's whose reads never wait for the disk.
 *
 * The loop thread may look something up in the database as long as it never blocks. A page that the
 * kernel holds in memory is a copy of a microsecond; one that it must fetch stalls every client. So
 * reads go through preadv2(RWF_NOWAIT), which gives what is in memory or EAGAIN. Then, and when a
 * statement has read more than its budget, the read is refused with SQLITE_BUSY, which ends the
 * statement and leaves the connection as it was; the caller asks a reading thread instead. No busy
 * handler is set, and xSleep returns at once: a lock that is taken ends the statement, too.
 *
 * The system's methods know their descriptor, we do not. So the layer opens the database and its
 * log once more for itself. POSIX drops ALL locks of a process on a file when it closes ANY
 * descriptor of it: ours stay open until lite_nowait_deinit, after the process's last connection.
 * (Locks are on the database and on the shared memory file; the log has none. It is kept open
 * alike; it is the same file as long as any connection lives.)
 *
 * A layer serves one connection. Its tables of methods are copies of the system's with xRead
 * replaced, so a method finds its layer by the address of its table, and nothing else is wrapped.
 *
 * Failpoint db.read.nowait: the read would block. */
#include "db/sqlite/nowait_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/failpoint.h"

static int file_read(sqlite3_file *f, void *p, int len, sqlite3_int64 at) {
    struct lite_nowait_file *file = CONTAINER_OF(f->pMethods, struct lite_nowait_file, methods);
    struct lite_nowait *n = file->layer;
    if (n->may_block)
        return file->system->xRead(f, p, len, at);
    if (!n->refused && (size_t)len <= n->budget_bytes && FAILPOINT("db.read.nowait") == 0) {
        struct iovec to = {p, (size_t)len};
        ssize_t got = preadv2(file->fd, &to, 1, at, RWF_NOWAIT);
        n->budget_bytes -= (size_t)len;
        if (got == len)
            return SQLITE_OK;
        n->unsupported |= got < 0 && errno != EAGAIN && errno != EINTR;
    }
    n->refused = true; /* also at the end of the file, which ordinary statements never meet */
    return SQLITE_BUSY;
}

/* Does the kernel know the flag for this file? EAGAIN and an empty file are as good an answer. */
static bool can_tell(int fd) {
    char byte;
    struct iovec to = {&byte, 1};
    return preadv2(fd, &to, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;
}

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags,
                    int *out_flags) {
    struct lite_nowait *n = CONTAINER_OF(vfs, struct lite_nowait, vfs);
    sqlite3_vfs *system = vfs->pAppData;
    struct lite_nowait_file *file = flags & SQLITE_OPEN_MAIN_DB ? &n->main
                                    : flags & SQLITE_OPEN_WAL   ? &n->wal
                                                                : NULL;
    int rc = system->xOpen(system, name, f, flags, out_flags);
    if (rc != SQLITE_OK || !file)
        return rc;
    if (file->fd < 0)
        file->fd = open(name, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || !can_tell(file->fd))
        n->unsupported = true;
    file->layer = n;
    file->system = f->pMethods;
    file->methods = *f->pMethods;
    file->methods.xRead = file_read;
    f->pMethods = &file->methods;
    return SQLITE_OK;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us) {
    struct lite_nowait *n = CONTAINER_OF(vfs, struct lite_nowait, vfs);
    sqlite3_vfs *system = vfs->pAppData;
    return n->may_block ? system->xSleep(system, us) : 0;
}

int lite_nowait_init(struct lite_nowait *n) {
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    if (!system)
        return SQLITE_ERROR;
    *n = (struct lite_nowait){.vfs = *system, .may_block = true};
    n->main.fd = n->wal.fd = -1;
    (void)snprintf(n->name, sizeof(n->name), "holdfast-nowait-%p", (void *)n); /* it has room */
    n->vfs.pNext = NULL;
    n->vfs.zName = n->name;
    n->vfs.pAppData = system;
    n->vfs.xOpen = vfs_open;
    n->vfs.xSleep = vfs_sleep;
    return sqlite3_vfs_register(&n->vfs, 0);
}

void lite_nowait_deinit(struct lite_nowait *n) {
    (void)sqlite3_vfs_unregister(&n->vfs); /* it was registered */
    if (n->main.fd >= 0)
        (void)close(n->main.fd); /* it was only read */
    if (n->wal.fd >= 0)
        (void)close(n->wal.fd);
}

void lite_nowait_begin(struct lite_nowait *n, size_t budget_bytes) {
    n->refused = false;
    n->budget_bytes = budget_bytes;
}
