/* SPDX-License-Identifier: Apache-2.0 */
/* artifacts.h - named bytes of a plan or a step: kept once, gone when nobody has them any more.
 *
 * Owner: the composition root. Memory: as marked. Errors: typed. Suspends: as marked.
 * Tests: tests/integration/run-plan-artifacts */
#ifndef HF_PLANS_ARTIFACTS_H
#define HF_PLANS_ARTIFACTS_H

#include "blobs/blobs.h"
#include "jobs/jobs.h"
#include "store/artifacts.h"

#define ARTIFACT_NAME_BYTES_MAX 200
#define ARTIFACT_TYPE_BYTES_MAX 100

struct artifacts;
struct artifacts_options {
    size_t bytes_max;
    int64_t grace_us; /* how long bytes that nobody has are kept */
};
struct artifacts *artifacts_new(struct rt *rt, struct store *store, struct blob_store *blobs,
                                const struct artifacts_options *o);
void artifacts_add_jobs(struct artifacts *a, struct jobs *jobs); /* looks for what nobody has */
void artifacts_free(struct artifacts *a);                        /* NULL is fine */

size_t artifacts_bytes_max(const struct artifacts *a);
/* Fills the rest of *it: plan, position, name and type are given. Durable when it returns. What
 * had the name goes. ERR_INVALID, ERR_TOO_LARGE, ERR_NOT_FOUND: no such plan or step. */
MUST_CHECK MAY_SUSPEND int artifact_add(struct artifacts *a, const struct principal *who,
                                        struct artifact *it, str data, struct arena *arena,
                                        struct err *err);
MUST_CHECK MAY_SUSPEND int artifact_read(struct artifacts *a, const struct artifact *it,
                                         uint64_t from, uint64_t count, struct arena *arena,
                                         str *out, struct err *err);

#endif
