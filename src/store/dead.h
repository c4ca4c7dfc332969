/* SPDX-License-Identifier: Apache-2.0 */
/* dead.h - the list of steps that failed for good.
 *
 * A step stands on it once, with an id that tells when it came there. It goes when it is done
 * again, when somebody has taken note of it, and with its plan.
 * Memory: results in the arena given. Suspends: every function with an err, except *_add.
 * Tests: tests/integration/run-plan-dead */
#ifndef HF_STORE_DEAD_H
#define HF_STORE_DEAD_H

#include "model/words.h"
#include "store/store.h"

enum dead_reason {
    DEAD_ATTEMPTS, /* all of them failed */
    DEAD_REFUSED,  /* it fails however often it is tried */
    DEAD_QUARANTINED /* its execution was cut off too often */
};
extern const struct word_set DEAD_REASON_WORDS;

struct dead_step { /* as it comes to the list */
    struct id id;
    int64_t position;
    str tool;
    enum dead_reason reason;
};
void dead_add(struct db_batch *b, struct id plan_id, str owner, str project,
              const struct dead_step *steps, size_t count, int64_t now_us);
/* Steps that are done again. positions: a JSON list. */
void dead_revive_add(struct db_batch *b, struct id plan_id, str positions);

struct dead_row {
    struct id id, plan_id;
    int64_t position;
    str owner, project, tool, reason;
    int64_t died_at;
    str name, error;
    int64_t attempt, losses; /* of the step */
};
/* "Dead step not found" */
MUST_CHECK int dead_get(struct store *s, const struct principal *who, struct id id,
                        struct arena *a, struct dead_row *out, struct err *err);
struct dead_filter {
    str tool, project; /* absent: any */
    struct id plan_id; /* nil: of any */
    struct id before;  /* nil: from the newest on */
    int64_t limit;
};
/* Of one owner, newest first. */
MUST_CHECK int dead_list(struct store *s, const struct principal *who,
                         const struct dead_filter *f, struct arena *a, struct dead_row **out,
                         size_t *out_count, struct err *err);
/* Takes them off the list. *out_count: how many were there. */
MUST_CHECK int dead_discard(struct store *s, const struct principal *who, const struct id *ids,
                            size_t count, struct arena *a, size_t *out_count, struct err *err);

#endif
