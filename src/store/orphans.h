/* SPDX-License-Identifier: Apache-2.0 */
/* orphans.h - what is left of threads and runs that other runtimes deleted.
 *
 * Memory: the arena given. Suspends. Tests: tests/integration/run-threads */
#ifndef HF_STORE_ORPHANS_H
#define HF_STORE_ORPHANS_H

#include "store/store.h"

/* Where the walk over the rows is; nil: at the start. */
struct orphans_cursor {
    struct id thread, run;
};
/* Looks at the next page of heads and of runs, and deletes what hangs on nothing. */
MUST_CHECK int orphans_sweep(struct store *s, struct orphans_cursor *at, struct arena *a,
                             struct err *err);

#endif
