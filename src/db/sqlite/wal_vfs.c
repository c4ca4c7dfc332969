/* SPDX-License-Identifier: Apache-2.0 */
/* wal_vfs.c - a SQLite VFS around the system's that gathers writes to the write-ahead log.
 *
 * SQLite writes a log frame as two calls, 24 bytes of header and one page. A group commit of a
 * hundred pages is two hundred system calls, which cost more than the statements. Here writes that
 * follow each other are gathered and go out as one. Only the log's file is wrapped; all other files
 * are the system's own, unchanged.
 *
 * Why this is safe: with synchronous=FULL SQLite syncs the log at each commit before it publishes
 * the commit in shared memory, and xSync first writes what is gathered. So no reader is ever told
 * of a frame that is not in the file. The writer itself may read back frames that it spilled; it
 * goes through xRead, which writes first too. With synchronous=NORMAL nothing syncs at a commit:
 * that setting must not use this VFS. The writer asserts after each commit that nothing is pending.
 *
 * A failing write is reported by the call that let it out (a later write, read or sync of the same
 * transaction); what was gathered is dropped then, as that transaction must roll back. */
#include "db/sqlite/wal_vfs.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

/* The system's VFS writes at most 0x1ffff bytes in one call (it masks the length). */
#define GATHER_BYTES ((size_t)0x1ffff)

struct wal_file {
    sqlite3_file base;
    sqlite3_file *inner; /* in the memory behind this struct */
    char *bytes;         /* GATHER_BYTES */
    size_t len;          /* gathered, to be written at `at` */
    sqlite3_int64 at;
};

static struct wal_file *wal_of(sqlite3_file *f) {
    return (struct wal_file *)f;
}

static int flush(struct wal_file *w) {
    if (w->len == 0)
        return SQLITE_OK;
    size_t len = w->len;
    w->len = 0;
    return w->inner->pMethods->xWrite(w->inner, w->bytes, (int)len, w->at);
}

static int wal_write(sqlite3_file *f, const void *p, int len, sqlite3_int64 at) {
    struct wal_file *w = wal_of(f);
    if ((size_t)len > GATHER_BYTES - w->len || at != w->at + (sqlite3_int64)w->len) {
        int rc = flush(w);
        if (rc != SQLITE_OK)
            return rc;
        w->at = at;
    }
    if ((size_t)len > GATHER_BYTES)
        return w->inner->pMethods->xWrite(w->inner, p, len, at);
    memcpy(w->bytes + w->len, p, (size_t)len);
    w->len += (size_t)len;
    return SQLITE_OK;
}

static int wal_read(sqlite3_file *f, void *p, int len, sqlite3_int64 at) {
    struct wal_file *w = wal_of(f);
    int rc = flush(w);
    return rc == SQLITE_OK ? w->inner->pMethods->xRead(w->inner, p, len, at) : rc;
}

static int wal_truncate(sqlite3_file *f, sqlite3_int64 bytes) {
    struct wal_file *w = wal_of(f);
    int rc = flush(w);
    return rc == SQLITE_OK ? w->inner->pMethods->xTruncate(w->inner, bytes) : rc;
}

static int wal_sync(sqlite3_file *f, int flags) {
    struct wal_file *w = wal_of(f);
    int rc = flush(w);
    return rc == SQLITE_OK ? w->inner->pMethods->xSync(w->inner, flags) : rc;
}

static int wal_size(sqlite3_file *f, sqlite3_int64 *out_bytes) {
    struct wal_file *w = wal_of(f);
    int rc = flush(w);
    return rc == SQLITE_OK ? w->inner->pMethods->xFileSize(w->inner, out_bytes) : rc;
}

static int wal_close(sqlite3_file *f) {
    struct wal_file *w = wal_of(f);
    int rc = flush(w), closed = w->inner->pMethods->xClose(w->inner);
    mem_free(w->bytes);
    return rc == SQLITE_OK ? closed : rc;
}

static int wal_lock(sqlite3_file *f, int kind) {
    return wal_of(f)->inner->pMethods->xLock(wal_of(f)->inner, kind);
}

static int wal_unlock(sqlite3_file *f, int kind) {
    return wal_of(f)->inner->pMethods->xUnlock(wal_of(f)->inner, kind);
}

static int wal_check_lock(sqlite3_file *f, int *out) {
    return wal_of(f)->inner->pMethods->xCheckReservedLock(wal_of(f)->inner, out);
}

static int wal_control(sqlite3_file *f, int op, void *arg) {
    return wal_of(f)->inner->pMethods->xFileControl(wal_of(f)->inner, op, arg);
}

static int wal_sector(sqlite3_file *f) {
    return wal_of(f)->inner->pMethods->xSectorSize(wal_of(f)->inner);
}

static int wal_device(sqlite3_file *f) {
    return wal_of(f)->inner->pMethods->xDeviceCharacteristics(wal_of(f)->inner);
}

/* Version 1: a log is never mapped and has no shared memory of its own. */
static const sqlite3_io_methods wal_methods = {
    .iVersion = 1,
    .xClose = wal_close,
    .xRead = wal_read,
    .xWrite = wal_write,
    .xTruncate = wal_truncate,
    .xSync = wal_sync,
    .xFileSize = wal_size,
    .xLock = wal_lock,
    .xUnlock = wal_unlock,
    .xCheckReservedLock = wal_check_lock,
    .xFileControl = wal_control,
    .xSectorSize = wal_sector,
    .xDeviceCharacteristics = wal_device,
};

static int vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags,
                    int *out_flags) {
    sqlite3_vfs *system = vfs->pAppData;
    if (!(flags & SQLITE_OPEN_WAL))
        return system->xOpen(system, name, f, flags, out_flags);
    struct wal_file *w = wal_of(f);
    *w = (struct wal_file){.inner = (sqlite3_file *)(w + 1)};
    int rc = system->xOpen(system, name, w->inner, flags, out_flags);
    if (rc == SQLITE_OK) {
        w->bytes = mem_alloc(GATHER_BYTES);
        w->base.pMethods = &wal_methods;
    }
    return rc;
}

int lite_wal_vfs_register(void) {
    /* SQLite keeps the pointer for the life of the process and links the structs into a list. */
    static sqlite3_vfs vfs;
    if (sqlite3_vfs_find(LITE_WAL_VFS))
        return SQLITE_OK;
    sqlite3_vfs *system = sqlite3_vfs_find(NULL);
    if (!system)
        return SQLITE_ERROR;
    vfs = *system;
    vfs.pNext = NULL;
    vfs.zName = LITE_WAL_VFS;
    vfs.pAppData = system;
    vfs.szOsFile = (int)sizeof(struct wal_file) + system->szOsFile;
    vfs.xOpen = vfs_open;
    return sqlite3_vfs_register(&vfs, 0);
}

size_t lite_wal_vfs_pending(sqlite3 *db) {
    sqlite3_file *f = NULL;
    if (sqlite3_file_control(db, NULL, SQLITE_FCNTL_JOURNAL_POINTER, &f) != SQLITE_OK || !f ||
        f->pMethods != &wal_methods)
        return 0;
    return wal_of(f)->len;
}
