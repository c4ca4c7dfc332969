/* SPDX-License-Identifier: Apache-2.0 */
/* nowait_vfs.h - SQLite's file layer for reads on the loop thread: from memory or not at all.
 *
 * Owner: one read-only connection; it opens with this layer's name. Memory: the caller's, at one
 * address from init to deinit. Errors: SQLite's. Suspends: never; reads do not block either.
 * Tests: tests/unit/db/test_nowait_vfs.c, tests/conformance/ */
#ifndef HF_DB_SQLITE_NOWAIT_VFS_H
#define HF_DB_SQLITE_NOWAIT_VFS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

struct lite_nowait;
struct lite_nowait_file {
    sqlite3_io_methods methods;       /* the system's, but for xRead */
    const sqlite3_io_methods *system;
    struct lite_nowait *layer;
    int fd;                           /* our own; -1 before the file is open */
};
struct lite_nowait {
    sqlite3_vfs vfs;
    char name[40];
    struct lite_nowait_file main, wal;
    bool may_block;                   /* while the connection is set up */
    bool refused;                     /* out: a read would have blocked or was over the budget */
    bool unsupported;                 /* out: this file system cannot tell */
    size_t budget_bytes;              /* what may still be read */
};
/* Registers it under n->name, with may_block set. Returns an SQLite code. */
int lite_nowait_init(struct lite_nowait *n);
/* After the last connection of the process to the file is closed. */
void lite_nowait_deinit(struct lite_nowait *n);
/* Before each statement: forgets refusals. */
void lite_nowait_begin(struct lite_nowait *n, size_t budget_bytes);

#endif
