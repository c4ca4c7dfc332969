/* SPDX-License-Identifier: Apache-2.0 */
/* push_configs.h - who is told of the ends of tasks of A2A, and what is due to them.
 *
 * A configuration belongs to a run and goes with it, as does what waits to be told. The run's last
 * batch makes a delivery for each; whoever is added when the run is over is told at once. Such a
 * delivery names run and configuration, what is sent is made of them when it is sent.
 * Memory: results in the caller's arena. Suspends: every function with an err.
 * Tests: tests/integration/run-a2a */
#ifndef HF_STORE_PUSH_CONFIGS_H
#define HF_STORE_PUSH_CONFIGS_H

#include "store/store.h"

#define PUSH_KIND      "push" /* of its deliveries */
#define PUSH_COUNT_MAX 16     /* of one run */

struct push_config {
    struct id thread_id, run_id;
    str id, owner; /* id: as the client named it, or its task */
    bool v1;       /* in the words of version 1 of A2A; else 0.3 */
    str url;
    str token, scheme, credentials; /* empty: none */
};

/* Adds it to the batch that makes its run. */
void push_config_add(struct db_batch *b, const struct push_config *c, int64_t now_us);
/* Adds or replaces it. ERR_LIMIT: the run has PUSH_COUNT_MAX others, or is gone. */
MUST_CHECK int push_config_put(struct store *s, const struct push_config *c, int64_t now_us,
                               struct arena *a, struct err *err);
/* The run is one that the caller may see. ERR_NOT_FOUND. */
MUST_CHECK int push_config_get(struct store *s, struct id run_id, str id, struct arena *a,
                               struct push_config *out, struct err *err);
MUST_CHECK int push_config_list(struct store *s, struct id run_id, struct arena *a,
                                struct push_config **out, size_t *out_count, struct err *err);
MUST_CHECK int push_config_delete(struct store *s, struct id run_id, str id, struct arena *a,
                                  struct err *err);
/* To the batch that ends the run, behind what says that it is over. */
void push_told_add(struct db_batch *b, struct id run_id, int64_t now_us);

#endif
