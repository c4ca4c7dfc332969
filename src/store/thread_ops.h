/* SPDX-License-Identifier: Apache-2.0 */
/* thread_ops.h - what is done to a thread as a whole: copied, measured.
 *
 * Memory: results in the caller's arena. Errors: ERR_NOT_FOUND for a thread that is not there or is
 * somebody else's. Suspends: every function.
 * Tests: tests/conformance/test_thread_ops.c, tests/integration/run-threads */
#ifndef HF_STORE_THREAD_OPS_H
#define HF_STORE_THREAD_OPS_H

#include "store/threads.h"

/* Makes `id`, an idle thread of the same owner with the states of `source`, moved inside the
 * database. Metadata are the source's, with thread_id. fresh: the caller has just made the id up;
 * only then the work is cut into batches. ERR_EXISTS; ERR_TIMEOUT: it would take too long;
 * ERR_TOO_LARGE: it would have to be cut. */
MUST_CHECK int thread_copy(struct store *s, const struct principal *who, struct id source,
                           struct id id, bool fresh, struct arena *a, struct err *err);

/* What a thread takes up; bytes as the database keeps them. */
struct storage_part {
    int64_t count, bytes;
};
struct thread_storage {
    struct storage_part checkpoints, values, writes, log, runs;
    struct storage_channel {
        str name;
        struct storage_part part; /* versions and their bytes */
    } *channels;                  /* by name; what two share counts in both */
    size_t channel_count;
};
/* Of a thread that the caller has looked up. */
MUST_CHECK int thread_storage(struct store *s, struct id id, struct arena *a,
                              struct thread_storage *out, struct err *err);

#endif
