/* SPDX-License-Identifier: Apache-2.0 */
/* jobs_int.h - the jobs of a process, as the files of this module share them. */
#ifndef HF_JOBS_JOBS_INT_H
#define HF_JOBS_JOBS_INT_H

#include "base/metrics.h"
#include "jobs/jobs.h"

#define JOB_ERROR_BYTES_MAX 256

enum job_state { JOB_IDLE, JOB_RUNNING };

struct job {
    struct jobs *jobs;
    struct job_spec spec;
    enum job_state state;
    int64_t due_us;     /* monotonic; looked at while it is idle */
    int64_t slice_rows; /* of the next slice */
    int64_t saved_us;   /* monotonic: when the row was last handed to the database */
    int64_t began_us;   /* monotonic: its pass */
    bool gives_way;     /* to others, who use the database */
    bool unsaved;       /* there is something that the row does not tell */
    struct job_row row; /* counts: since the last save; of local jobs: all */
    char error[JOB_ERROR_BYTES_MAX];
    int64_t wanted; /* the greatest number that was heard of */
    struct metric *passes, *rows, *failures, *busy_us;
};

struct jobs {
    struct rt *rt;
    struct store *store;
    struct jobs_port port;
    struct job list[JOBS_MAX]; /* by name */
    size_t count;
    bool running, stop; /* its fiber lives; it is to end */
    bool led;           /* when it last looked */
    bool look;          /* at the rows: for the first time as the leader, or something is wanted */
    int64_t look_due_us, save_due_us; /* monotonic */
    bool failing;                     /* it could not look, and has said so */
    bool turn_taken;
    /* When a slice ended last, and what the database had done by then. */
    uint64_t ops_seen;
    int64_t ended_us;
    struct fiber_event wake, turn_free;
    struct fiber_group passes;
};

static inline bool jobs_leads(const struct jobs *j) {
    return !j->port.leads || j->port.leads(j->port.ctx);
}
/* Whether a job may do its next slice here. */
static inline bool job_may_run(const struct job *job) {
    return !job->jobs->stop && (job->spec.local || jobs_leads(job->jobs));
}
static inline int64_t min_of(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_of(int64_t a, int64_t b) { return a > b ? a : b; }

/* pass.c: a fiber's entry; one pass of the job, which is then idle again. */
void job_pass(void *job);

/* rows.c */
/* What all jobs have to tell, in one batch. A failure is logged, and told with the next one. */
MAY_SUSPEND void jobs_save(struct jobs *j);
/* Reads the rows: of those who came to lead what is due when, else what is wanted. */
MUST_CHECK MAY_SUSPEND int jobs_look(struct jobs *j, bool began, struct err *err);

#endif
