/* SPDX-License-Identifier: Apache-2.0 */
/* lg_delta.h - what LangGraph's checkpoints do not hold themselves: values of delta channels, which
 * are made of the writes since an older state, and sends of checkpoints before version 4.
 *
 * The graph's own reducer is not known here. The forms of what was written tell: messages by their
 * ids, lists one behind the other, objects merged; other values are left out.
 * Memory: the arena given. Suspends: what reads. Tests: tests/unit/store/test_lg_delta.c,
 * tests/integration/run-rows */
#ifndef HF_STORE_LG_DELTA_H
#define HF_STORE_LG_DELTA_H

#include "store/lg_checkpoints.h"

/* Adds the values that are missing. The checkpoint's others are loaded. */
MUST_CHECK MAY_SUSPEND int lg_delta_load(struct store *s, struct checkpoint *c, struct arena *a,
                                         struct err *err);
/* The sends as a list; absent: none. */
MUST_CHECK MAY_SUSPEND int lg_sends_load(struct store *s, const struct checkpoint *c,
                                         struct arena *a, str *out, struct err *err);
/* seed: JSON, absent when there is none; then each write. *out is absent when there is no value, or
 * none that the forms tell. */
MUST_CHECK int lg_delta_fold(struct arena *a, const str *parts, size_t count, str *out,
                             struct err *err);

#endif
