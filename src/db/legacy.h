/* SPDX-License-Identifier: Apache-2.0 */
/* legacy.h - an older store of events, read and never changed: what the history takes over from.
 *
 * Sessions of rows, each an envelope as JSON, and for a session at most one checkpoint. The older
 * layouts number nothing, so a reader gives a mark instead: an opaque text that says which rows of
 * a session were read. Rows behind a mark are all those that were not read then, whenever they say
 * that they occurred; a few that were may come again. A mark that does not fit the store any more
 * (another file, a table made anew) reads from the start.
 *
 * The two tables, history_events(id, session_id, occurred_at, envelope) and history_checkpoints
 * (session_id, payload, created_at), are read by sqlite/legacy.c and postgres/legacy.c.
 *
 * Owner: whoever opened it; for the loop thread. Memory: rows live until fn returns; sessions and
 * checkpoints in the arena; no more than a page of rows is held. Errors: ERR_INVALID (it is no such
 * store), ERR_UNAVAILABLE, ERR_IO, ERR_CORRUPT. Suspends: all but close.
 * Tests: tests/integration/run-history-legacy */
#ifndef HF_DB_LEGACY_H
#define HF_DB_LEGACY_H

#include "base/arena.h"
#include "rt/fiber.h"

#define DB_LEGACY_ROW_BYTES_MAX ((size_t)24 << 20)
#define DB_LEGACY_PAGE_ROWS     250
#define DB_LEGACY_PAGE_BYTES    ((size_t)1 << 20) /* a page ends behind the row that passes */
#define DB_LEGACY_MARK_BYTES    80
#define DB_LEGACY_UNKNOWN       "unknown" /* the session of rows that name none */

struct db_legacy_session {
    str name;
    int64_t updated_at; /* wall clock, us; 0: not known */
};
struct db_legacy_row {
    str id;       /* absent: only the envelope may have one */
    str place;    /* for people, when there is no id */
    str time;     /* beside the envelope's; may be absent */
    str envelope; /* absent: it is larger than DB_LEGACY_ROW_BYTES_MAX */
};
struct db_legacy_checkpoint {
    str payload;    /* JSON; absent: it is larger than DB_LEGACY_ROW_BYTES_MAX */
    str created_at; /* as it was written; may be absent */
};
struct db_legacy_mark {
    char text[DB_LEGACY_MARK_BYTES]; /* "": from the start */
};
/* Suspends; a negative code ends the reading, and is its code. */
typedef int (*db_legacy_rows_fn)(void *ctx, const struct db_legacy_row *rows, size_t count,
                                 struct err *err);

struct db_legacy;
struct db_legacy_vtable {
    const char *name;
    /* Whether it can be read, and is what it should be. */
    int (*check)(struct db_legacy *l, struct err *err);
    /* In byte order of their names, those greater than `after`; also those with a checkpoint only.
     * Names of more than 600 characters come cut. */
    int (*session_list)(struct db_legacy *l, str after, size_t limit, struct arena *a,
                        struct db_legacy_session **out, size_t *out_count, struct err *err);
    /* Rows of a session behind `mark`, by time, equal ones as they were put. *out_mark is the same
     * as `mark` when there was none. */
    int (*rows)(struct db_legacy *l, str session, const struct db_legacy_mark *mark,
                db_legacy_rows_fn fn, void *ctx, struct db_legacy_mark *out_mark, struct err *err);
    int (*checkpoint)(struct db_legacy *l, str session, struct arena *a,
                      struct db_legacy_checkpoint *out, struct err *err); /* ERR_NOT_FOUND */
    void (*close)(struct db_legacy *l); /* no call may be under way */
};
#define DB_LEGACY_IDENTITY_LEN 32
struct db_legacy {
    const struct db_legacy_vtable *vtable;
    char identity[DB_LEGACY_IDENTITY_LEN + 1]; /* which store it is: marks are of one */
};
/* For those that implement it: the digest of an address. */
void db_legacy_identify(struct db_legacy *l, str address);

#endif
