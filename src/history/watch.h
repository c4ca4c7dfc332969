/* SPDX-License-Identifier: Apache-2.0 */
/* watch.h - being told, without a fiber, that a session has new events.
 *
 * history_append() and history_session_delete() tell the watches of the handle that they are called
 * on. What other processes do is seen by looking, every so often, at the sessions that are watched.
 *
 * Memory: a watch is its holder's; nothing is copied but the key. Errors: none. Suspends: never.
 * Tests: tests/unit/history/test_watch.c */
#ifndef HF_HISTORY_WATCH_H
#define HF_HISTORY_WATCH_H

#include "history/port.h"

struct history_watch {
    struct list node; /* zeroed before the first start */
    int64_t after_seq;
    /* Once for each start, never inside it: there is an event behind after_seq, or the session is
     * gone. May start again, and must not suspend. */
    void (*fn)(struct history_watch *w);
    struct history_watched *session; /* private */
};
void history_watch_start(struct history *h, const struct history_key *key,
                         struct history_watch *w);
void history_watch_stop(struct history_watch *w); /* also when it does not run */
/* Others write to the same history: watched sessions are looked at in this interval. */
void history_watch_others(struct history *h, struct rt *rt, int64_t every_us);

/* --- for port.c --- */
void history_watch_tell(struct history *h, const struct history_key *key, int64_t last_seq);
void history_watch_tell_gone(struct history *h, const struct history_key *key);
void history_watches_free(struct history *h); /* none may be left */

#endif
