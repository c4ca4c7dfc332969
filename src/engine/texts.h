/* SPDX-License-Identifier: Apache-2.0 */
/* texts.h - the messages of conversations become texts for the search, as far as it did not do so.
 *
 * A search looks at what was added to since the last one (store/conversation_texts.h), for a
 * bounded time. Who has more than that is noted here, and a job of this process goes on.
 * Owner: the engine. Memory: copies. Errors: of the store. Suspends: the slice.
 * Tests: tests/integration/run-conversations */
#ifndef HF_ENGINE_TEXTS_H
#define HF_ENGINE_TEXTS_H

#include "jobs/jobs.h"
#include "store/conversation_texts.h"

/* Beyond so many owners a search notes again. */
#define TEXTS_OWED_MAX 64

struct texts_owed {
    struct conversation_walk walks[TEXTS_OWED_MAX]; /* owners: heap */
    size_t count;
    bool begun; /* the first of them */
};
void texts_owed_note(struct texts_owed *o, str owner);
/* Of the first owner's. */
MUST_CHECK MAY_SUSPEND int texts_owed_slice(struct texts_owed *o, struct store *s,
                                            struct job_slice *slice, struct err *err);
void texts_owed_deinit(struct texts_owed *o);

struct engine;
/* The job does the rest of this owner's conversations. */
MAY_SUSPEND void engine_texts_wanted(struct engine *e, str owner, struct arena *a);

#endif
