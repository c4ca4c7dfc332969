/* SPDX-License-Identifier: Apache-2.0 */
/* reduce.h - the reducers of channels: by name, and those of binary channels.
 * Memory: the arena given. Errors: ERR_INVALID_UPDATE for operands of the wrong kind.
 * Suspends: never. Tests: tests/unit/engine/test_state.c */
#ifndef HF_ENGINE_REDUCE_H
#define HF_ENGINE_REDUCE_H

#include "engine/graph.h"

/* Sets kind and reducer of the word that descriptions of graphs have; false: there is no such. */
bool channel_read_reducer(struct channel_def *c, str word);
/* Would the engine take it as the channel's first value? */
bool channel_fits_initial(const struct channel_def *c, yyjson_val *v);
MUST_CHECK int reduce_values(struct arena *a, enum channel_reducer reducer, yyjson_val *old,
                             yyjson_val *add, str *out, struct err *err);

#endif
