/* SPDX-License-Identifier: Apache-2.0 */
/* legacy.h - taking sessions over from an older store, and reading from both until that is done.
 *
 * A session is taken over by appending its old rows, which keep their ids, and putting its
 * checkpoint; from then on the history has all of it, numbered. What was taken is written down in
 * the history itself (the mark of db/legacy.h): in sessions of an owner that nobody is, one for
 * each session. So taking again takes what is new, and what was deleted does not come back.
 *
 * Memory: reader, histories and texts of options are the caller's. Errors: as the history's and the
 * reader's. Suspends: what is marked so. Tests: tests/unit/history/test_legacy.c,
 * tests/conformance/test_history.c, tests/integration/run-history-legacy */
#ifndef HF_HISTORY_LEGACY_LEGACY_H
#define HF_HISTORY_LEGACY_LEGACY_H

#include "db/legacy.h"
#include "history/port.h"

#define HISTORY_LEGACY_OWNER_BYTES_MAX 400 /* of the owner that old sessions get */

/* A folder of <session>.jsonl, a line an envelope or a record with one, and
 * <session>.checkpoint.json. Folders in it are not read. */
MUST_CHECK int history_legacy_folder(struct rt *rt, str folder, struct db_legacy **out,
                                     struct err *err);

/* --- taking over --- */

struct history_taking {
    struct history *h; /* where to */
    struct db_legacy *from;
    str owner;
    bool strict;  /* a bad row ends it, with ERR_INVALID */
    bool again;   /* marks are not looked at: what was deleted since comes back */
    bool compare; /* what was stored is read again and compared: ERR_CORRUPT */
    /* A row that cannot be taken; session may be anything. NULL: nobody is told. */
    void (*bad)(void *ctx, str session, str row, const char *why);
    /* Rows that were done with; NULL. */
    void (*progress)(void *ctx, int64_t rows);
    void *ctx;
    /* Out, of all sessions: */
    int64_t sessions; /* that were looked at */
    int64_t stored, duplicates, expired, bad_rows, checkpoints, compared;
    /* Out, of the last session: */
    bool known;       /* it was taken before */
    int64_t last_seq; /* of what was appended now; 0: nothing */
};
/* What is new of one session; one that the old store does not have has nothing new. */
MUST_CHECK MAY_SUSPEND int history_legacy_take(struct history_taking *t, str session,
                                               struct err *err);
/* Of all of them. */
MUST_CHECK MAY_SUSPEND int history_legacy_take_all(struct history_taking *t, struct err *err);

/* How many sessions the old store has, and how many of them were never taken. */
struct history_legacy_left {
    int64_t sessions, left;
};
MUST_CHECK MAY_SUSPEND int history_legacy_count(struct history *h, struct db_legacy *from,
                                                str owner, struct history_legacy_left *out,
                                                struct err *err);

/* --- until that is done --- */

struct history_legacy_options {
    struct db_legacy *from;
    str owner;             /* whose the old sessions are */
    int64_t look_every_us; /* how often a session that is in use is looked at for new old rows */
};
/* A history over another one: who touches a session of `owner` gets it taken over first. Sessions
 * that nobody touched yet are listed, without a number. The wrapper owns inner and closes it; the
 * reader must outlive it. ERR_INVALID: the owner's name is too long. */
MUST_CHECK int history_legacy_wrap(struct history *inner, const struct history_legacy_options *o,
                                   struct history **out, struct err *err);

#endif
