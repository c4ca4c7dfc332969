/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor.h - several processes of one server: starts them, keeps them, ends them.
 *
 * The processes are copies of the caller, made before it has a loop or a thread. They share the
 * port (SO_REUSEPORT) and the database, and nothing else.
 * Owner: src/app. Errors: ERR_IO when not one process can be made. Suspends: never; the supervisor
 * blocks in poll(). Tests: tests/unit/app/test_supervisor.c */
#ifndef HF_APP_SUPERVISOR_H
#define HF_APP_SUPERVISOR_H

#include "base/err.h"

#define SUPERVISOR_WORKERS_MAX 64

struct supervisor_options {
    int count;            /* of processes, 1 to SUPERVISOR_WORKERS_MAX */
    int64_t stop_us;      /* time that a process may take to end after SIGTERM; then SIGKILL */
    int64_t pause_us_min; /* before a process that died is started again; doubled each time … */
    int64_t pause_us_max; /* … up to this, until it has lived for as long */
};
struct supervisor_worker {
    int index;    /* 1 …; 0: this is the supervisor */
    int ready_fd; /* -1: nobody waits */
};

/* Returns several times: in each process it starts, at once, with out->index > 0; and in the
 * supervisor when all of them have ended, with their common exit status. The first process must
 * become ready before others are started; one that ends before, ends it all. */
MUST_CHECK int supervisor_run(const struct supervisor_options *o, struct supervisor_worker *out,
                              int *out_status, struct err *err);
/* For the process: it serves now. */
void supervisor_ready(struct supervisor_worker *w);

#endif
