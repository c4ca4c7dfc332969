/* SPDX-License-Identifier: Apache-2.0 */
/* deliveries.h - the outbox: what is to be told to other programs, at least once.
 *
 * A delivery is written by the batch in which it happened and is there until it was taken. A claim
 * is a lease: what its process left unfinished is due again. Those with the same kind and order key
 * go one after the other. Memory, errors, suspends: as store.h.
 * Tests: tests/unit/store/test_deliveries.c, tests/integration/run-webhooks */
#ifndef HF_STORE_DELIVERIES_H
#define HF_STORE_DELIVERIES_H

#include "store/store.h"

struct delivery {
    struct id id;
    str owner, kind, order_key, target, payload;
    bool dead;
    int64_t attempt, due_at, http_status, created_at, updated_at;
    int64_t progress; /* parts of the payload that were taken */
    str error; /* of the last attempt; absent: none */
};

/* id, owner, kind, order_key ("": any order), target, payload. */
void delivery_add(struct db_batch *b, const struct delivery *d, int64_t now_us);
/* Up to `limit` that are due, for lease_us: id, kind, order_key, target, payload, attempt,
 * progress, created_at, and as due_at the end of the claim. */
MUST_CHECK int delivery_claim(struct store *s, int64_t now_us, int64_t lease_us, int64_t limit,
                              struct arena *a, struct delivery **out, size_t *out_count,
                              struct err *err);
/* These change nothing when the attempt is not the newest one. */
MUST_CHECK int delivery_done(struct store *s, struct id id, int64_t attempt, struct arena *a,
                             struct err *err);
/* The same, and claims the one behind it in its order, if that is due: *out_next. */
MUST_CHECK int delivery_done_next(struct store *s, const struct delivery *done, int64_t now_us,
                                  int64_t lease_us, struct arena *a, struct delivery *out_next,
                                  bool *out_found, struct err *err);
struct delivery_failure {
    bool dead; /* it is not tried again */
    int64_t due_at, http_status;
    int64_t progress; /* parts taken, by all attempts */
    str error;
};
/* After it was taken in part the attempts are counted anew. */
MUST_CHECK int delivery_failed(struct store *s, const struct delivery *d,
                               const struct delivery_failure *f, int64_t now_us, struct arena *a,
                               struct err *err);
/* The attempt does not count; it is due again at due_at. */
MUST_CHECK int delivery_give_back(struct store *s, const struct delivery *d, int64_t progress,
                                  int64_t due_at, struct arena *a, struct err *err);
/* INT64_MAX: nothing waits. */
MUST_CHECK int delivery_next_due(struct store *s, struct arena *a, int64_t *out, struct err *err);

/* Newest first, without payloads. dead NULL: any. */
MUST_CHECK int delivery_list(struct store *s, const struct principal *who, const bool *dead,
                             const struct page *page, struct arena *a, struct delivery **out,
                             size_t *out_count, struct err *err);
/* A dead one is tried again from the beginning. ERR_NOT_FOUND. */
MUST_CHECK int delivery_revive(struct store *s, const struct principal *who, struct id id,
                               int64_t now_us, struct arena *a, struct err *err);
/* Of all owners, for metrics; counted up to a bound. due_at: of the first that waits, 0: none. */
struct delivery_counts {
    int64_t dead, pending, due_at;
};
MUST_CHECK int delivery_counts(struct store *s, struct arena *a, struct delivery_counts *out,
                               struct err *err);
MUST_CHECK int delivery_sweep(struct store *s, int64_t before_us, int64_t limit, struct arena *a,
                              int64_t *out_deleted, struct err *err);

#endif
