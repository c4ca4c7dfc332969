/* SPDX-License-Identifier: Apache-2.0 */
/* google.h - the body of Gemini's generateContent; see provider.h.
 *
 * Memory: the caller's. Errors: ERR_MODEL_REQUEST. Suspends: never.
 * Tests: tests/unit/llm/test_google.c */
#ifndef HF_LLM_GOOGLE_H
#define HF_LLM_GOOGLE_H

#include "llm/provider.h"

MUST_CHECK int llm_google_write_body(struct buf *out, struct arena *scratch,
                                     const struct llm_request *r, struct err *err);

#endif
