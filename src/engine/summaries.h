/* SPDX-License-Identifier: Apache-2.0 */
/* summaries.h - conversations that fill their model's context get a summary of what is older.
 *
 * Owner: the application. Memory: copies what it is given, but for the options' texts, which must
 * live as long as it. Errors: of the store, or of the model; the conversation is then left for the
 * next run's end. Suspends: summaries_slice. Tests: tests/integration/run-conversations */
#ifndef HF_ENGINE_SUMMARIES_H
#define HF_ENGINE_SUMMARIES_H

#include "engine/text_model.h"
#include "store/store.h"

struct engine;
/* Called when a run of a thread that stays has come to its end, durably. Must not suspend. */
void engine_ended_set(struct engine *e, void (*ended)(void *ctx, struct id thread_id), void *ctx);

struct summaries_options {
    struct text_model model;
    int64_t window_tokens; /* of the conversations' models */
};
struct summaries;
struct summaries *summaries_new(struct rt *rt, struct store *store, struct llm *llm,
                                const struct summaries_options *o);
void summaries_free(struct summaries *s);

/* Something was added to the thread. When SUMMARIES_NOTED_MAX are noted it is left for the next
 * time. */
#define SUMMARIES_NOTED_MAX 1024
void summaries_note(struct summaries *s, struct id thread_id);
/* Looks at noted threads until the budget is spent, one at least. *out_more: some are left. */
MUST_CHECK MAY_SUSPEND int summaries_slice(struct summaries *s, int64_t budget_us, bool *out_more,
                                           struct err *err);

#endif
