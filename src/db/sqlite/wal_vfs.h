/* SPDX-License-Identifier: Apache-2.0 */
/* wal_vfs.h - SQLite's file layer for the writer: the log is written in large pieces.
 *
 * Owner: the process; registered once. Memory: one buffer for each open log. Errors: SQLite's.
 * Suspends: never. Tests: tests/conformance/ (every commit to a file goes through it),
 * tests/unit/db/test_wal_vfs.c */
#ifndef HF_DB_SQLITE_WAL_VFS_H
#define HF_DB_SQLITE_WAL_VFS_H

#include <sqlite3.h>
#include <stddef.h>

#define LITE_WAL_VFS "holdfast-wal"

/* After sqlite3_initialize; again does nothing. Returns an SQLite code. */
int lite_wal_vfs_register(void);
/* Bytes of the connection's log that are not yet handed to the kernel; 0 without a log of ours. */
size_t lite_wal_vfs_pending(sqlite3 *db);

#endif
