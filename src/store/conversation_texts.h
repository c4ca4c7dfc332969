/* SPDX-License-Identifier: Apache-2.0 */
/* conversation_texts.h - the messages of conversations as texts for the full-text search.
 *
 * No run writes any of this. What was added to since is looked at when somebody searches, along the
 * owner's index of threads: so a search finds what a run that has ended said, and who never
 * searches has no texts. docs/internals/conversations.md.
 * Memory: arenas of its own. Suspends: every function with an err.
 * Tests: tests/conformance/test_conversations.c, tests/integration/run-conversations */
#ifndef HF_STORE_CONVERSATION_TEXTS_H
#define HF_STORE_CONVERSATION_TEXTS_H

#include "store/store.h"

/* A walk over what was added to, oldest first. */
struct conversation_walk {
    str owner;        /* the caller's memory */
    int64_t upto_at;  /* where it began: those before have been looked at */
    int64_t began_us; /* wall */
    int64_t at;       /* how far it has come */
    struct id id;
    bool refused; /* somebody else does some of it: not all of it is known to be done */
};
MUST_CHECK int conversation_walk_begin(struct store *s, str owner, struct conversation_walk *w,
                                       struct err *err);
/* Looks at so many threads; *more: others may follow. At the end it is noted how far it came. */
MUST_CHECK int conversation_walk_step(struct store *s, struct conversation_walk *w, int64_t limit,
                                      int64_t *out_count, bool *more, struct err *err);
/* A walk that ends after about so long; *whole: it came to its end. */
MUST_CHECK int conversation_texts_update(struct store *s, str owner, int64_t budget_us, bool *whole,
                                         struct err *err);
/* The thread forgets its messages, and so do we. */
void conversation_texts_drop_add(struct db_batch *b, struct id thread_id);

/* Gives the index words that wait for it; see waiting_words.h. */
MUST_CHECK int conversation_words_index(struct store *s, int64_t limit, struct arena *a,
                                        int64_t *out_done, struct err *err);
MUST_CHECK int conversation_words_index_all(struct store *s, struct arena *a, struct err *err);

#endif
