/* SPDX-License-Identifier: Apache-2.0 */
/* artifacts.h - rows of artifacts, and of the blobs where their bytes are.
 *
 * A blob is claimed before its bytes are put, and held by the batch that makes an artifact of it.
 * What nobody holds for a while is doomed, removed, forgotten, in this order; from its doom on it
 * can be neither claimed nor held. So no artifact lacks its bytes and no bytes lack a row, whatever
 * dies in between: src/plans/artifacts.c does it.
 * Memory: results in the arena given. Suspends: every function with an err, except *_add.
 * Tests: tests/conformance/test_artifacts.c */
#ifndef HF_STORE_ARTIFACTS_H
#define HF_STORE_ARTIFACTS_H

#include "store/store.h"

#define ARTIFACT_OF_RUN (-1) /* in place of a step's position */

struct artifact {
    struct id id, plan_id;
    int64_t position;
    str name, type;
    str sha256; /* 64 hex digits */
    int64_t bytes, created_at;
};

/* ERR_FENCED: it is being removed. */
void blob_claim_add(struct db_batch *b, str sha256, int64_t now_us);
/* In the place of what had the name. ERR_NOT_FOUND: no such plan or step; ERR_FENCED: the blob is
 * being removed, or was never claimed. */
void artifact_put_add(struct db_batch *b, const struct principal *who, const struct artifact *a);

/* "Artifact not found" */
MUST_CHECK int artifact_get(struct store *s, const struct principal *who, struct id id,
                            struct arena *a, struct artifact *out, struct err *err);
/* After a position and a name, up to a position, by both. Whose the plan is, the caller knows. */
struct artifact_page {
    int64_t after_position, last_position;
    str after_name;
    int64_t limit;
};
MUST_CHECK int artifact_list(struct store *s, struct id plan_id, const struct artifact_page *page,
                             struct arena *a, struct artifact **out, size_t *out_count,
                             struct err *err);

struct loose_blob {
    str sha256;
    int64_t at; /* loose, or doomed, since */
};
MUST_CHECK int blobs_loose(struct store *s, int64_t before_us, int64_t limit, struct arena *a,
                           struct loose_blob **out, size_t *out_count, struct err *err);
MUST_CHECK int blobs_doomed(struct store *s, int64_t before_us, int64_t limit, struct arena *a,
                            struct loose_blob **out, size_t *out_count, struct err *err);
/* again: it was doomed before, by somebody who did not come to the end. ERR_CONFLICT: somebody
 * else was here, or holds it. */
MUST_CHECK int blob_doom(struct store *s, const struct loose_blob *blob, bool again,
                         int64_t now_us, struct arena *a, struct err *err);
/* It is held, after all; else nothing. */
MUST_CHECK int blob_keep(struct store *s, const struct loose_blob *blob, struct arena *a,
                         struct err *err);
/* When its bytes are gone. */
MUST_CHECK int blob_forget(struct store *s, str sha256, int64_t doomed_at, struct arena *a,
                           struct err *err);

#endif
