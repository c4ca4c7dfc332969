/* SPDX-License-Identifier: Apache-2.0 */
/* insights.h - the job that has a model sum up logs of agents, session by session.
 *
 * Owner: the application. Memory: the model's texts must live as long as it. Errors: of the store,
 * or of the model; the logs then wait for the next try. Suspends: the job's slices.
 * Tests: tests/integration/run-agent-logs */
#ifndef HF_ENGINE_INSIGHTS_H
#define HF_ENGINE_INSIGHTS_H

#include "engine/text_model.h"
#include "jobs/jobs.h"

struct insights;
struct insights *insights_new(struct store *store, struct llm *llm, const struct text_model *m);
void insights_free(struct insights *i); /* NULL is fine; no slice may be under way */
void insights_add_job(struct insights *i, struct jobs *jobs, int64_t every_us);

#endif
