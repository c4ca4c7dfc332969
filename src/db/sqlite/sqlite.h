/* SPDX-License-Identifier: Apache-2.0 */
/* sqlite.h - opens the SQLite driver of the database port.
 *
 * One writer thread (group commit, checkpoints) and reader threads with read-only connections.
 * Tests: tests/conformance/, tests/unit/db/ */
#ifndef HF_DB_SQLITE_H
#define HF_DB_SQLITE_H

#include "db/port.h"

struct db_sqlite_options {
    const char *path;        /* file; NULL: in memory (reads share the writer's connection) */
    bool synchronous_normal; /* default FULL */
    int readers;             /* 2 */
    size_t queue_count_max;  /* 65536 waiting batches or reads, then ERR_LIMIT */
    int64_t cache_bytes;     /* per connection, 8 MiB */
    int64_t mmap_bytes;      /* of the file, by readers; 0: none */
    int64_t page_bytes;      /* of a file that is made anew; 0: 4096 */
    bool erases;             /* overwrite what is deleted; the log forgets when it starts anew */
    bool log_all;            /* log every statement, not only slow ones */
};
void db_sqlite_options_default(struct db_sqlite_options *o);
/* Opens, migrates to the newest schema, starts the threads. Not on a fiber: may block. Refuses a
 * database of a newer schema, a locked one (another process) and a corrupt one with clear texts. */
MUST_CHECK int db_sqlite_open(struct rt *rt, const struct db_sqlite_options *o, struct db **out,
                              struct err *err);

#endif
