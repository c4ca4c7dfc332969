/* SPDX-License-Identifier: Apache-2.0 */
/* thinking.h - how much a model is to think before it answers, and what it told of it.
 *
 * Memory: views, or the arena given. Errors: none. Suspends: never.
 * Tests: tests/unit/llm/test_thinking.c, and those of each dialect */
#ifndef HF_LLM_THINKING_H
#define HF_LLM_THINKING_H

#include "llm/port.h"

/* "off" to "xhigh"; false for any other word. */
bool llm_thinking_parse(str word, enum llm_thinking *out);
const char *llm_thinking_name(enum llm_thinking level); /* of one that was said */
bool llm_thinks(const struct llm_request *r);           /* it is asked for, and not "off" */

#define LLM_THINKING_TOKENS_MIN 1024
/* Tokens for the thoughts, of servers that count them: no more than leaves as many for an answer
 * of `limit` tokens; 0: there is no room. */
int64_t llm_thinking_tokens(enum llm_thinking level, int64_t limit);

/* The thoughts that a message has kept, in Anthropic's blocks (thinking with a signature,
 * redacted_thinking); calls fn for each, in order, and returns their number. */
typedef void llm_thought_fn(void *ctx, yyjson_val *block);
size_t llm_thoughts_of(const struct message *m, llm_thought_fn *fn, void *ctx);

#endif
