/* SPDX-License-Identifier: Apache-2.0 */
/* agent.h - the graph "agent": a model that may call tools until it answers (ReAct).
 *
 *   START ─▶ agent ──tool calls──▶ tools ─▶ agent …      agent ──else──▶ END
 *
 * Memory: see engine/graph.h. Errors: those of the model port end the run; what goes wrong in a
 * tool is told to the model. Suspends: the nodes. Tests: tests/unit/app/test_agent_flow.c */
#ifndef HF_GRAPHS_AGENT_H
#define HF_GRAPHS_AGENT_H

#include "engine/graph.h"

const struct graph_def *agent_graph_new(void); /* the caller has the first reference */

/* JSON Schemas of the graph; the properties of the configuration are what agent_config.c reads. */
extern const char AGENT_STATE_SCHEMA[], AGENT_CONFIG_SCHEMA[];

#endif
