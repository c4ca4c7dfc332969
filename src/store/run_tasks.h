/* SPDX-License-Identifier: Apache-2.0 */
/* run_tasks.h - runs of one assistant, the last changed first: what A2A lists as tasks.
 *
 * Memory: the caller's arena. Suspends. Tests: tests/integration/run-a2a */
#ifndef HF_STORE_RUN_TASKS_H
#define HF_STORE_RUN_TASKS_H

#include "store/runs.h"

struct run_task_filter {
    struct id assistant_id, thread_id; /* thread nil: of any, among the owner's 10,000 newest */
    str statuses;                      /* joined by commas; "" any */
    const bool *asks;  /* only with a status: is its thread interrupted by it? NULL: either */
    int64_t since_us;  /* changed then or later */
    int64_t before_us; /* 0: from the start; else behind the run that changed then */
    struct id before;
    int64_t limit;
};
/* *out_total: how many there are on all pages. */
MUST_CHECK int run_task_list(struct store *s, const struct principal *who,
                             const struct run_task_filter *f, struct arena *a, struct run **out,
                             size_t *out_count, int64_t *out_total, struct err *err);

#endif
