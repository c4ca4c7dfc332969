/* SPDX-License-Identifier: Apache-2.0 */
/* runner_int.h - a runner's process and the calls under way, as the files of this folder share it.
 *
 * Memory: messages that came are on the heap, each with its arena, until their call takes them;
 * what waits so is bounded by pausing the process' output. Suspends: as marked. */
#ifndef HF_RUNNER_RUNNER_INT_H
#define HF_RUNNER_RUNNER_INT_H

#include "base/list.h"
#include "engine/runner.h"
#include "mcp/jsonrpc.h"
#include "rt/process.h"
#include "runner/describe.h"
#include "runner/lines.h"
#include "runner/runner.h"

/* Codes of errors beside those of JSON-RPC itself. */
#define RUNNER_INTERRUPTED    (-32001) /* the task asks somebody: it ends, and runs again later */
#define RUNNER_CANCELLED      (-32002)
#define RUNNER_PASSING        (-32003) /* may be tried again */
#define RUNNER_UNKNOWN_METHOD (-32601)
#define RUNNER_UNKNOWN_TASK   (-32602)

enum runner_state {
    RUNNER_DOWN, /* no process; the timer starts one, unless it was never started */
    RUNNER_STARTING,
    RUNNER_READY,
    RUNNER_CLOSING, /* killed, not gone yet */
    RUNNER_OVER
};
struct runner {
    struct rt *rt;
    struct registry *registry;
    struct runner_options o;
    char *name, *command;
    enum runner_state state;
    struct rt_process *process;
    struct lines output, errors;
    struct rt_timer timer; /* DOWN: until the next start; STARTING: until it is too late */
    struct list calls;
    size_t queued_bytes; /* of messages that wait for their calls */
    int64_t id_last, hello_id;
    int64_t pause_us, errors_us;
    int error_lines;
    char *described; /* heap: the answer to hello, canonical; NULL: none yet */
    struct err why;  /* of the last failure */
    bool useful; /* this process has answered a call */
    bool stopping;
    struct fiber_event changed;
    struct metric *starts, *failures, *tasks;
};

/* A message that came for a call. */
struct incoming {
    struct list node;
    struct arena arena;
    struct jsonrpc_message m;
    size_t bytes;
};

/* A request to the process, and what belongs to it. */
struct call {
    struct list node;
    struct runner *runner;
    struct fiber *fiber;
    int64_t id;
    struct list queue; /* incoming.node, in order */
    bool answered;     /* its last message is here */
    bool dead;         /* the process is gone: rc and err */
    int rc;
    struct err err;
};

/* runner.c */
extern const struct graph_runner RUNNER_PORT; /* task.c */
/* Kills the process; what it was doing fails. */
void runner_fail(struct runner *r, int code, const char *why);
MUST_CHECK int runner_send(struct runner *r, struct buf *message, struct err *err);
MUST_CHECK MAY_SUSPEND int runner_wait(struct runner *r, struct err *err); /* until it is ready */

/* calls.c */
typedef void (*call_params_fn)(void *arg, struct json_writer *w);
/* On success the call must be ended. */
MUST_CHECK MAY_SUSPEND int call_begin(struct call *c, struct runner *r, const char *method,
                                      call_params_fn params, void *arg, struct err *err);
/* The next message, the caller's: incoming_free. ERR_CANCELLED; what made the process end. */
MUST_CHECK MAY_SUSPEND int call_next(struct call *c, struct incoming **out, struct err *err);
/* Tells the process and waits until it has stopped, or is stopped. */
MAY_SUSPEND void call_cancel(struct call *c);
void call_end(struct call *c);
/* Answers a request of the process: result, or code and text. */
void call_reply(struct call *c, yyjson_val *id, str result, int code, const char *text);
void incoming_free(struct runner *r, struct incoming *in);
MUST_CHECK int runner_take_line(void *runner, str line, struct err *err);
void calls_fail(struct runner *r, int code, const struct err *why);

#endif
