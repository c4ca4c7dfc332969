/* SPDX-License-Identifier: Apache-2.0 */
/* anthropic.h - the body of Anthropic's Messages; see provider.h.
 *
 * Memory: the caller's. Errors: ERR_MODEL_REQUEST. Suspends: never.
 * Tests: tests/unit/llm/test_anthropic.c */
#ifndef HF_LLM_ANTHROPIC_H
#define HF_LLM_ANTHROPIC_H

#include "llm/provider.h"

MUST_CHECK int llm_anthropic_write_body(struct buf *out, struct arena *scratch,
                                        const struct llm_request *r, struct err *err);

#endif
