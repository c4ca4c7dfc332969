/* SPDX-License-Identifier: Apache-2.0 */
/* incoming.h - envelopes out of a JSON text, gathered for one append.
 *
 * Memory: in the arena, texts too; the struct is the caller's, zeroed but for its first members.
 * Errors: ERR_MALFORMED, ERR_INVALID, ERR_TOO_LARGE with the line or the number of the event; the
 * events before it are there. Suspends: as marked, on a fiber whose turn gets long; they may run on
 * another thread as well. Tests: tests/unit/history/test_incoming.c */
#ifndef HF_HISTORY_INCOMING_H
#define HF_HISTORY_INCOMING_H

#include "history/port.h"

struct history_incoming {
    struct arena *arena;
    int64_t now_us; /* of events that say no time */
    str session;    /* of events that name none; absent: each has to */
    bool alone;     /* and none may name another */
    struct history_event *events;
    str *sessions; /* of each event */
    size_t count, cap;
};
MUST_CHECK int history_incoming_take(struct history_incoming *in, yyjson_val *envelope,
                                     struct err *err);
/* An envelope, or an array of them. */
MUST_CHECK MAY_SUSPEND int history_incoming_json(struct history_incoming *in, str text,
                                                 struct err *err);
/* An envelope a line; empty lines are skipped. */
MUST_CHECK MAY_SUSPEND int history_incoming_lines(struct history_incoming *in, str text,
                                                  struct err *err);

#endif
