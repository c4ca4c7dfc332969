/* SPDX-License-Identifier: Apache-2.0 */
/* agent_views.h - what the protocols of agents (A2A, protocol v2) read of graphs, threads and
 * messages.
 *
 * Memory: the arena given. Suspends: never. Tests: tests/integration/run-a2a, run-protocol */
#ifndef HF_API_AGENT_VIEWS_H
#define HF_API_AGENT_VIEWS_H

#include "api/api.h"
#include "store/threads.h"

/* The questions of a thread that waits: [{id, value}, …]. NULL: it asks nothing. */
yyjson_val *api_questions_of(struct arena *a, const struct thread *t);
bool api_has_question(yyjson_val *questions, str id);
/* Has the graph's input messages? Unknown ones are taken to. */
bool api_graph_takes_messages(struct api_request *r, str graph_id);
/* Of a message as stream modes show it: in LangChain's words, or those of its chunks. */
bool api_message_is_ai(yyjson_val *message);
str api_message_text(struct arena *a, yyjson_val *message); /* absent or empty: none */

#endif
