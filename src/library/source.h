/* SPDX-License-Identifier: Apache-2.0 */
/* source.h - a history by its address, for the library, for commands and for the server's own:
 * file:FOLDER, sqlite:FILE, postgres://….
 *
 * Opened in two steps, since a file of SQLite is opened outside of fibers and a connection to
 * PostgreSQL on one. Memory: the source is the caller's, the address must outlive it.
 * Errors: ERR_INVALID for an address of another kind; else as the adapter's.
 * Suspends: what is marked so. Tests: tests/integration/run-history-command,
 * run-library */
#ifndef HF_LIBRARY_SOURCE_H
#define HF_LIBRARY_SOURCE_H

#include "db/port.h"
#include "history/port.h"

struct library_source {
    str address;
    struct db *db; /* NULL: the adapter has none */
    struct history *h;
    bool compress; /* of a folder, before it is started: what is written is compressed */
};
enum library_use {
    LIBRARY_MANY, /* calls of many, at once */
    LIBRARY_ONE,  /* one call after the other: it takes less memory */
    LIBRARY_READS /* the same, and nothing will be appended */
};
/* Before the loop runs. */
MUST_CHECK int library_source_open(struct rt *rt, str address, enum library_use use,
                                   struct library_source *out, struct err *err);
/* Then h is there. */
MUST_CHECK MAY_SUSPEND int library_source_start(struct rt *rt, enum library_use use,
                                                struct library_source *s, struct err *err);
/* After the loop has run; also of one that was not opened. */
void library_source_close(struct library_source *s);
/* The folder of file:FOLDER; absent: it is none. */
str library_source_folder(str address);
bool library_source_is_postgres(str address);

#endif
