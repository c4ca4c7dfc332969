/* SPDX-License-Identifier: Apache-2.0 */
/* waiting_words.h - words that wait in their rows until the full-text index takes them.
 *
 * An index of words is dear to change by one text and cheap by many. PostgreSQL's keeps a list of
 * what it has not sorted in yet, so there nothing waits; SQLite's has none: there it takes the
 * words before a search, or with the job store.words. A text that goes before never meets it.
 * Memory: the arena given. Suspends: both. Tests: through tests/conformance/ */
#ifndef HF_STORE_WAITING_WORDS_H
#define HF_STORE_WAITING_WORDS_H

#include "store/store.h"

struct waiting_words {
    enum db_stmt waiting; /* reads the last row whose words wait; 0: none do */
    enum db_stmt take;    /* $1 up to this row, $2 limit */
};

/* So many at most. */
MUST_CHECK int waiting_words_take(struct store *s, const struct waiting_words *w, int64_t limit,
                                  struct arena *a, int64_t *out_done, struct err *err);
/* All that wait now; what comes meanwhile was not answered before. */
MUST_CHECK int waiting_words_take_all(struct store *s, const struct waiting_words *w,
                                      struct arena *a, struct err *err);

#endif
