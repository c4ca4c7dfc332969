/* SPDX-License-Identifier: Apache-2.0 */
/* tools.c - the table of tools, and those that are for tests.
 *
 * test:echo answers with its inputs; test:fail fails as often as {"times"} says (always, when it
 * does not), with {"message"}; test:sleep waits for {"ms"}. A new tool: its function, a line in the
 * table, and a line in docs/internals/plans.md. */
#include "plans/tools.h"

#define SLEEP_MS_MAX INT64_C(86400000)

static int run_echo(struct tool_call *call, struct err *err) {
    (void)err;
    call->output = call->inputs;
    return 0;
}

static int64_t input_int(struct tool_call *call, const char *key, int64_t fallback) {
    yyjson_val *v;
    if (json_parse(call->arena, call->inputs, &v, NULL) < 0)
        return fallback;
    v = json_get(v, key);
    return yyjson_is_int(v) ? yyjson_get_sint(v) : fallback;
}

static int run_fail(struct tool_call *call, struct err *err) {
    yyjson_val *v;
    int64_t times = input_int(call, "times", INT64_MAX);
    if (call->attempt > times) {
        call->output = call->inputs;
        return 0;
    }
    str text = STR_NULL;
    if (json_parse(call->arena, call->inputs, &v, NULL) == 0)
        text = json_str(json_get(v, "message"));
    if (!text.len)
        text = STR("it was told to fail");
    return err_set(err, ERR_INTERNAL, STR_FMT, STR_ARG(str_slice(text, 0, 200)));
}

static int run_sleep(struct tool_call *call, struct err *err) {
    int64_t ms = input_int(call, "ms", 0);
    if (ms < 0 || ms > SLEEP_MS_MAX)
        return err_set(err, ERR_INVALID, "ms: must be between 0 and %lld", (long long)SLEEP_MS_MAX);
    call->output = call->inputs;
    return ms ? fiber_sleep_us(ms * 1000) : 0;
}

static const struct tool TOOLS[] = {
    {.name = "test:echo", .run = run_echo},
    {.name = "test:fail", .run = run_fail},
    {.name = "test:sleep", .run = run_sleep},
};
static const char *const UNBUILT[] = {"http",  "graph",          "llm",
                                      "shell", "artifact:write", "db_write"};

const struct tool *plan_tool_find(str name) {
    for (size_t i = 0; i < ARRAY_COUNT(TOOLS); i++)
        if (str_eq(name, str_of(TOOLS[i].name)))
            return &TOOLS[i];
    return NULL;
}

const char *plan_tool_check(str name) {
    if (plan_tool_find(name))
        return NULL;
    for (size_t i = 0; i < ARRAY_COUNT(UNBUILT); i++)
        if (str_eq(name, str_of(UNBUILT[i])))
            return "is not built yet";
    return "is not a tool of this server";
}
