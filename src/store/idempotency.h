/* SPDX-License-Identifier: Apache-2.0 */
/* idempotency.h - answers kept under the Idempotency-Key of their request, a day long.
 *
 * The row is written by the batch that creates what the answer is about: either both are there or
 * neither. Memory, errors, suspends: as store.h. Tests: tests/unit/store/test_idempotency.c,
 * tests/integration/run-idempotency */
#ifndef HF_STORE_IDEMPOTENCY_H
#define HF_STORE_IDEMPOTENCY_H

#include "store/store.h"

#define IDEMPOTENCY_KEEP_US (INT64_C(24) * 3600 * 1000000)

struct idempotency {
    str key;
    str request; /* digest of what was asked */
    str body;    /* of the answer; "": what the run makes, or the thread itself */
    struct id thread_id, run_id; /* run nil: the answer is about no run */
};

/* out_found false: the key is free. */
MUST_CHECK int idempotency_get(struct store *s, const struct principal *who, str key,
                               int64_t now_us, struct arena *a, bool *out_found,
                               struct idempotency *out, struct err *err);
/* Fails the batch with ERR_REPEATED when the key is in use. */
void idempotency_add(struct db_batch *b, const struct principal *who, const struct idempotency *i,
                     int64_t now_us);
/* Deletes up to `limit` that have expired. */
MUST_CHECK int idempotency_sweep(struct store *s, int64_t now_us, int64_t limit, struct arena *a,
                                 int64_t *out_deleted, struct err *err);

#endif
