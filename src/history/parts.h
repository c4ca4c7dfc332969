/* SPDX-License-Identifier: Apache-2.0 */
/* parts.h - texts that the log shares with the checkpoints.
 *
 * Memory: results in the arena given. Errors: ERR_CORRUPT for a reference to nothing.
 * Suspends: log_parts_fill. Tests: tests/unit/engine/test_engine.c, tests/conformance/test_store.c,
 * tests/integration/run-storage */
#ifndef HF_HISTORY_PARTS_H
#define HF_HISTORY_PARTS_H

#include "history/log.h"

/* data as it is stored: without what a segment of the same batch holds, or as it is. */
str log_parts_take(const struct db_batch *b, struct id thread_id, str data);
/* Puts the texts back into entries that were read. *out_stale: one refers to a segment that is not
 * there (any more): the page is to be read again. */
MUST_CHECK MAY_SUSPEND int log_parts_fill(struct store *s, struct id thread_id,
                                          struct log_entry *entries, size_t count, struct arena *a,
                                          bool *out_stale, struct err *err);

#endif
