/* SPDX-License-Identifier: Apache-2.0 */
/* process.h - a child process: its stdin is written, its stdout and stderr are read, it is ended.
 *
 * The child gets a session of its own, so that a signal from the terminal does not reach it and
 * rt_process_kill() reaches whatever it started. Its stdin ends when this process is gone.
 * Owner: who opens it; the struct goes after its closed callback. Errors: as returned.
 * Suspends: never; loop thread only. Callbacks never run inside of a call to this file.
 * Tests: tests/unit/rt/test_process.c */
#ifndef HF_RT_PROCESS_H
#define HF_RT_PROCESS_H

#include "base/str.h"
#include "rt/loop.h"

struct rt_process;
enum rt_process_stream { RT_PROCESS_STDOUT, RT_PROCESS_STDERR };
struct rt_process_options {
    char *const *argv;      /* NULL at its end; argv[0] is looked for in PATH */
    char *const *env;       /* all of its environment, "NAME=value", NULL at its end; NULL: ours */
    const char *folder;     /* where it begins; NULL: where we are */
    size_t input_bytes_max; /* written and not taken by the child yet; beyond: ERR_LIMIT */
    /* bytes are valid during the call; absent: the stream has ended. */
    void (*output)(void *ctx, enum rt_process_stream stream, str bytes);
    /* Once. signum 0: it ended by itself. What it wrote before may still come. */
    void (*ended)(void *ctx, int status, int signum);
    void *ctx;
};
/* ERR_NOT_FOUND: there is no such program; ERR_UNAVAILABLE. Then no callback comes. */
MUST_CHECK int rt_process_open(struct rt *rt, const struct rt_process_options *o,
                               struct rt_process **out, struct err *err);
/* Copied. ERR_CLOSED when the child is gone or reads no more. */
MUST_CHECK int rt_process_write(struct rt_process *p, str bytes, struct err *err);
void rt_process_end_input(struct rt_process *p); /* after what was written */
/* Backpressure: while paused the child waits as soon as the pipe is full. */
void rt_process_pause(struct rt_process *p, bool paused);
void rt_process_kill(struct rt_process *p, int signum); /* it and what it started */
int rt_process_pid(const struct rt_process *p);
/* Kills a child that still lives. closed: when it has been waited for and everything is freed; no
 * other callback comes from now on. */
void rt_process_close(struct rt_process *p, void (*closed)(void *ctx), void *ctx);

#endif
