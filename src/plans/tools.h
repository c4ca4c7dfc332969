/* SPDX-License-Identifier: Apache-2.0 */
/* tools.h - what steps can do.
 *
 * A tool runs on a fiber of its own step, which is cancelled when its time is over or somebody ends
 * it: then its waits return ERR_CANCELLED and it returns that. It may be called again with the same
 * key after a crash, and has to hand the key on to whoever does the work. An attempt that failed
 * with ERR_INVALID is not repeated. What a tool answers, and texts of its errors, are searched for
 * the step's secrets before anybody sees them.
 * Memory: the call's arena. Tests: tests/integration/run-plan-tools */
#ifndef HF_PLANS_TOOLS_H
#define HF_PLANS_TOOLS_H

#include "engine/engine.h"
#include "engine/graph.h"
#include "http/header.h"
#include "model/plan.h"
#include "model/validate.h"
#include "plans/db_write.h"
#include "plans/secrets.h"
#include "rt/fiber.h"

struct plan_tools_options {
    str http_allow;         /* comma list: "*" is any host with public addresses only; one that is
                               named, "host" or "host:port", may also be private */
    str mcp_allow;          /* the same, for servers of MCP */
    size_t answer_bytes_max; /* of an answer or a program's output */
    str shell_allow;        /* comma list of programs; empty: no shell */
    const char *const *shell_env; /* "NAME=value" that steps may have; NULL at its end */
    const char *shell_folder;
    size_t shell_memory_bytes_max; /* of each process */
    str secrets;                   /* see secrets.h; empty: none */
    struct db_writes *writes;      /* see db_write.h; NULL: none */
};
/* What tools have to work with. */
struct artifacts;
struct plan_tools {
    struct rt *rt;
    struct artifacts *artifacts; /* NULL: none are kept */
    struct plan_tools_options o;
    struct engine *engine;
};

struct tool_call {
    struct arena *arena;
    str name;   /* of the tool, as the step has it */
    str inputs; /* canonical JSON object */
    str policy; /* canonical JSON object: tools_allowed, env_allowed, secrets_scope */
    str key;    /* names the step for ever */
    int attempt;
    uint32_t position;
    const struct plan_step *spec; /* of the step */
    struct id plan_id;
    const struct plan_tools *tools;
    struct node_ctx *node;     /* of the plan's run */
    const struct trace *trace; /* the attempt's own span; never NULL */
    const bool *stopping;      /* the run is ended, or somebody else goes on with it */
    struct plan_secrets secrets;
    yyjson_val *input, *rules; /* inputs and policy, parsed */
    str output;                /* out: JSON; absent: null */
};
#define PLAN_TOOL_COUNT 11
#define PLAN_TOOL_ENDS  4 /* succeeded, failed, timed_out, cancelled */
struct tool {
    const char *name; /* one that ends with ':' stands for all that begin so */
    int (*run)(struct tool_call *call, struct err *err); /* MAY_SUSPEND */
    const char *labels[PLAN_TOOL_ENDS]; /* of the metric of its times */
    /* It changes something outside: it begins only when that it does is stored. */
    bool outside;
    /* Ends what an execution of the step with this key began and was cut off from; NULL: there is
     * nothing. Does not wait. */
    void (*abandon)(const struct plan_tools *tools, str owner, str key);
    bool elsewhere; /* workers do it: run is NULL */
};
const struct tool *plan_tool_find(str name); /* NULL: unknown */
size_t plan_tool_index(const struct tool *tool);
str plan_tool_label(const struct tool *tool); /* its name, without what follows */
/* The queue of "worker:QUEUE"; absent: it names none. */
str plan_tool_queue(str name);
bool plan_queue_is_fine(str queue);
/* NULL: it can be used; else what is to be said about it. */
const char *plan_tool_check(str name);
/* Looks at the step's policy, runs, and takes the secrets out of what comes of it. */
MUST_CHECK MAY_SUSPEND int plan_tool_run(const struct tool *tool, struct tool_call *call,
                                         struct err *err);
/* Cancelled, but the step is not over: another coordinator executes it again. */
bool tool_call_is_handed_over(const struct tool_call *call);
/* Text with what is no UTF-8 replaced; without secrets. */
str tool_text(const struct tool_call *call, str bytes, bool cut);
/* A header of the inputs, with secrets in its value, for a request to url. */
MUST_CHECK int tool_headers(struct tool_call *call, yyjson_val *headers, str url,
                            struct http_header *out, size_t max, size_t *out_count,
                            struct err *err);

/* Looks at the inputs when a plan is made; may add gates to the step. owner: whose plan it is. */
MUST_CHECK int tool_db_write_prepare(const struct plan_tools *tools, str owner,
                                     struct plan_step *s, struct arena *a, struct err *err);

/* One file each. */
int tool_artifact(struct tool_call *call, struct err *err); /* MAY_SUSPEND */
int tool_db_write(struct tool_call *call, struct err *err); /* MAY_SUSPEND */
int tool_http(struct tool_call *call, struct err *err);  /* MAY_SUSPEND */
int tool_graph(struct tool_call *call, struct err *err); /* MAY_SUSPEND */
void tool_graph_abandon(const struct plan_tools *tools, str owner, str key);
int tool_llm(struct tool_call *call, struct err *err);   /* MAY_SUSPEND */
int tool_mcp(struct tool_call *call, struct err *err);   /* MAY_SUSPEND */
int tool_shell(struct tool_call *call, struct err *err); /* MAY_SUSPEND */

#endif
