/* SPDX-License-Identifier: Apache-2.0 */
/* reduce.h - the reducers of binary channels.
 * Memory: the arena given. Errors: ERR_INVALID_UPDATE for operands of the wrong kind.
 * Suspends: never. Tests: tests/unit/engine/test_state.c */
#ifndef HF_ENGINE_REDUCE_H
#define HF_ENGINE_REDUCE_H

#include "engine/graph.h"

MUST_CHECK int reduce_values(struct arena *a, enum channel_reducer reducer, yyjson_val *old,
                             yyjson_val *add, str *out, struct err *err);

#endif
