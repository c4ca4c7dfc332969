/* SPDX-License-Identifier: Apache-2.0 */
/* tools.h - the tools that an agent may call in this process.
 *
 * A tool never fails the run: what goes wrong is text for the model that called it, marked as
 * failed. Only cancellation is an error. A set of tools is a bit mask.
 * Memory: answers in the call's arena. Suspends: tool_run. Tests: tests/unit/graphs/test_tools.c */
#ifndef HF_GRAPHS_TOOLS_H
#define HF_GRAPHS_TOOLS_H

#include "graphs/graphs.h"

struct tool_call {
    const struct graph_services *services;
    const struct graphs_settings *settings;
    struct arena *arena;
    yyjson_val *arguments;     /* as the model wrote them, an object or not */
    const struct trace *trace; /* where the call belongs to; NULL: nowhere */
};
struct tool_answer {
    str text;
    bool failed;
    str blocks;   /* JSON array of content blocks in place of the text; absent: none */
    str artifact; /* JSON value that is kept beside the content; absent: none */
};
struct tool {
    const char *name, *description;
    const char *parameters; /* JSON Schema of an object */
    int (*run)(const struct tool_call *call, struct tool_answer *out); /* MAY_SUSPEND */
};

const struct tool *tool_find(str name); /* NULL: unknown */
unsigned tool_bit(const struct tool *tool);
/* Checks the arguments' names and kinds against the schema, then runs. ERR_CANCELLED or 0. */
MUST_CHECK MAY_SUSPEND int tool_run(const struct tool *tool, const struct tool_call *call,
                                    struct tool_answer *out);

/* Those that can do something here: http_get only when a host is allowed. */
unsigned tools_default(const struct graphs_settings *settings);
str tools_names(struct arena *a, unsigned set); /* "calculator, current_time" */
str tools_json(struct arena *a, unsigned set);  /* for llm_request.tools; absent when empty */

/* http_get.c */
int tool_http_get(const struct tool_call *call, struct tool_answer *out); /* MAY_SUSPEND */

#endif
