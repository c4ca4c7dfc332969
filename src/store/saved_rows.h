/* SPDX-License-Identifier: Apache-2.0 */
/* saved_rows.h - values that savers wrote, in the native layout.
 *
 * A value there is a text: JSON as it is, bytes of other types in base64. A saver's checkpoint has
 * the references {"channel": {"h": hash, "t": type}}; to be read it becomes the rows that
 * LangGraph's tables would give (store/lg_checkpoints.h), so that all that follows is the same.
 * Memory: the arena given. Suspends: saved_rows_read.
 * Tests: tests/integration/run-savers */
#ifndef HF_STORE_SAVED_ROWS_H
#define HF_STORE_SAVED_ROWS_H

#include "store/checkpoints.h"

str saved_encode(struct arena *a, str type, str bytes);
bool saved_decode(struct arena *a, str type, str text, str *out_bytes);
/* What lg_checkpoint_get would bring of it. */
MUST_CHECK MAY_SUSPEND int saved_rows_read(struct store *s, const struct checkpoint *c,
                                           struct arena *a, struct db_rows *out, struct err *err);

#endif
