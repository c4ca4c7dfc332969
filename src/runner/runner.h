/* SPDX-License-Identifier: Apache-2.0 */
/* runner.h - a process that executes the code of graphs: the client's side of the protocol.
 *
 * It is started once, says which graphs it has, and gets tasks over its stdin (newline-delimited
 * JSON-RPC 2.0, docs/internals/runners.md). When it dies or says what cannot be understood, what it
 * was doing fails in a way that may be tried again, and it is started anew, with growing pauses.
 * Owner: src/app. Errors: as returned; texts name the runner. Suspends: as marked.
 * Tests: tests/unit/runner, tests/integration/run-runner */
#ifndef HF_RUNNER_RUNNER_H
#define HF_RUNNER_RUNNER_H

#include "engine/registry.h"

struct runner;
struct runner_options {
    str name, command;        /* command: of the shell */
    char *const *env;         /* of the process, as long as the runner lives; NULL: ours */
    size_t message_bytes_max; /* of one message, either way */
    int64_t start_timeout_us; /* until hello is answered; also how long a task waits for it */
    int64_t cancel_timeout_us; /* until a cancelled task has stopped; then the process is killed */
};
struct runner *runner_new(struct rt *rt, struct registry *registry, const struct runner_options *o);
void runner_free(struct runner *r); /* after runner_stop, and after the registry's end */
/* Its graphs are in the registry when this returns 0. ERR_EXISTS: one of them is another's. */
MUST_CHECK MAY_SUSPEND int runner_start(struct runner *r, struct err *err);
MAY_SUSPEND void runner_stop(struct runner *r);

#endif
