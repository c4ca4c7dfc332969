/* SPDX-License-Identifier: Apache-2.0 */
/* openai.h - the body of OpenAI-compatible chat completions; see provider.h.
 *
 * Memory: the caller's. Errors: ERR_MODEL_REQUEST. Suspends: never.
 * Tests: tests/unit/llm/test_openai.c */
#ifndef HF_LLM_OPENAI_H
#define HF_LLM_OPENAI_H

#include "llm/provider.h"

MUST_CHECK int llm_openai_write_body(struct buf *out, struct arena *scratch,
                                     const struct llm_request *r, struct err *err);

#endif
