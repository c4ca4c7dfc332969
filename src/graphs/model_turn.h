/* SPDX-License-Identifier: Apache-2.0 */
/* model_turn.h - a model called inside a node: tokens on the way, an AI message at the end.
 *
 * Memory: the step's arena. Errors: those of the model port. Suspends: model_turn.
 * Tests: tests/unit/app/test_agent_flow.c */
#ifndef HF_GRAPHS_MODEL_TURN_H
#define HF_GRAPHS_MODEL_TURN_H

#include "engine/graph.h"
#include "llm/port.h"

/* Fills request->stream. While a stream mode of the run shows tokens the answer is streamed; chunks
 * and message carry the same id. provider: for the message's metadata. */
MUST_CHECK MAY_SUSPEND int model_turn(struct node_ctx *ctx, struct llm_request *request,
                                      str provider, struct message *out, struct err *err);
/* The same; notes (may be NULL) appends members to the message's response_metadata. */
typedef void (*model_notes_fn)(void *arg, struct json_writer *w,
                               const struct llm_response *response);
MUST_CHECK MAY_SUSPEND int model_turn_noted(struct node_ctx *ctx, struct llm_request *request,
                                            str provider, model_notes_fn notes, void *arg,
                                            struct message *out, struct err *err);

#endif
