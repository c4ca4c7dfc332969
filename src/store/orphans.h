/* SPDX-License-Identifier: Apache-2.0 */
/* orphans.h - what is left of threads, runs and items that other runtimes deleted.
 *
 * Memory: the arena given. Suspends. Tests: tests/integration/run-threads,
 * tests/integration/run-store */
#ifndef HF_STORE_ORPHANS_H
#define HF_STORE_ORPHANS_H

#include "store/store.h"

/* Where the walks over the rows are; begins as {0}. */
struct orphans_cursor {
    struct id thread, run, conversation;
    char *item[3]; /* owner, namespace and key; NULL: at the start */
    int64_t vector;
};
void orphans_cursor_deinit(struct orphans_cursor *at);
/* Looks at the next page of each, and deletes what hangs on nothing. *out_removed: also when it
 * stops with an error in between. */
MUST_CHECK int orphans_sweep(struct store *s, struct orphans_cursor *at, struct arena *a,
                             int64_t *out_removed, struct err *err);

#endif
