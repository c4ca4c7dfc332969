/* SPDX-License-Identifier: Apache-2.0 */
/* tools.h - what steps can do.
 *
 * A tool runs on a fiber of its own step, which is cancelled when its time is over or somebody ends
 * it: then its waits return ERR_CANCELLED and it returns that. It may be called again with the same
 * key after a crash, and has to hand the key on to whoever does the work.
 * Memory: the call's arena. Tests: tests/integration/run-plan-runs */
#ifndef HF_PLANS_TOOLS_H
#define HF_PLANS_TOOLS_H

#include "base/json.h"
#include "rt/fiber.h"

struct tool_call {
    struct arena *arena;
    str inputs; /* canonical JSON object */
    str key;    /* names the step for ever */
    int attempt;
    str output; /* out: JSON; absent: null */
};
struct tool {
    const char *name;
    int (*run)(struct tool_call *call, struct err *err); /* MAY_SUSPEND */
    /* It changes something outside: it begins only when that it does is stored. */
    bool outside;
};
const struct tool *plan_tool_find(str name); /* NULL: unknown */
/* NULL: it can be used; else what is to be said about it. */
const char *plan_tool_check(str name);

#endif
