/* SPDX-License-Identifier: Apache-2.0 */
/* history_source.h - a history by its address, for commands and for the server's own: file:FOLDER,
 * sqlite:FILE, postgres://….
 *
 * Opened in two steps, since a file of SQLite is opened outside of fibers and a connection to
 * PostgreSQL on one. Memory: the source is the caller's, the address must outlive it.
 * Errors: ERR_INVALID for an address of another kind; else as the adapter's.
 * Suspends: what is marked so. Tests: tests/integration/run-history-command */
#ifndef HF_APP_HISTORY_SOURCE_H
#define HF_APP_HISTORY_SOURCE_H

#include "db/legacy.h"
#include "db/port.h"
#include "history/port.h"

struct history_source {
    str address;
    struct db *db; /* NULL: the adapter has none */
    struct history *h;
    bool compress; /* of a folder, before it is started: what is written is compressed */
};
/* Before the loop runs. read_only: nothing will be appended; it takes less memory. */
MUST_CHECK int history_source_open(struct rt *rt, str address, bool read_only,
                                   struct history_source *out, struct err *err);
/* Then h is there. */
MUST_CHECK MAY_SUSPEND int history_source_start(struct rt *rt, bool read_only,
                                                struct history_source *s, struct err *err);
/* After the loop has run; also of one that was not opened. */
void history_source_close(struct history_source *s);
/* An older store: jsonl:FOLDER, or sqlite:FILE and postgres://… with the two tables. Suspends, and
 * looks whether it is one. The caller closes it, after the loop has run and the histories over it
 * are closed. */
MUST_CHECK MAY_SUSPEND int history_source_legacy(struct rt *rt, str address, struct db_legacy **out,
                                                 struct err *err);
/* NULL is fine. */
void history_source_legacy_close(struct db_legacy *l);
/* Whether the address names an older store, and not a file of lines. */
bool history_source_is_legacy(str address);
/* The folder of file:FOLDER; absent: it is none. */
str history_source_folder(str address);
bool history_source_is_postgres(str address);

#endif
