/* SPDX-License-Identifier: Apache-2.0 */
/* jobs.h - rows of background jobs: how far each has come, and who wants one now.
 *
 * A row is there since its job first had something to tell, or somebody wanted it. Whoever writes
 * adds to its counts, so they never go back, whichever process writes last. Memory: rows lie in the
 * arena given. Suspends: what has an err. Tests: tests/conformance/test_jobs.c */
#ifndef HF_STORE_JOBS_H
#define HF_STORE_JOBS_H

#include "store/store.h"

#define JOB_ROWS_MAX 256

struct job_row {
    str name;
    struct id worker; /* who did it last; nil: nobody yet */
    /* Wall clock of that worker; 0: never. It is under way when it was started after its end. */
    int64_t due_at, started_at, finished_at, updated_at;
    int64_t passes, rows,
        rows_last;                 /* passes that came to their end; rows of the last one so far */
    int64_t failures, failed_last; /* all, and those since the last pass that went well */
    str error;                     /* of the last one; absent: the last pass went well */
    int64_t wanted, served;        /* greater: a pass is wanted that has not begun */
};

/* All, by name. */
MUST_CHECK int job_list(struct store *s, struct arena *a, struct job_row **out, size_t *out_count,
                        struct err *err);
/* A pass is to begin after this. */
MUST_CHECK int job_want(struct store *s, str name, int64_t now_us, struct arena *a,
                        struct job_row *out, struct err *err);
/* Adds passes, rows and failures of `row` to those stored, replaces the rest; served is never
 * lowered, finished_at 0 leaves the one that is there, wanted stays. */
void job_put_add(struct db_batch *b, const struct job_row *row);

#endif
