/* SPDX-License-Identifier: Apache-2.0 */
/* jobs.h - background work: what is done again and again, a slice at a time, beside requests.
 *
 * A job is a name, an interval and a function that does one slice. A pass is slices until nothing
 * waits; then the job is due after its interval, give or take a tenth. Of several processes on a
 * database one does the passes, whom the port names; a job that is `local` is done by each. A slice
 * that fails is logged and the pass is tried again, ever later; nothing else ends. See
 * docs/internals/jobs.md.
 *
 * Owner: src/app. Memory: a spec's texts are literals, its ctx outlives the jobs. Errors: as
 * returned. Suspends: jobs_stop(), jobs_list(), jobs_want().
 * Tests: tests/unit/jobs/, tests/integration/run-jobs */
#ifndef HF_JOBS_JOBS_H
#define HF_JOBS_JOBS_H

#include "rt/fiber.h"
#include "store/jobs.h"

#define JOBS_MAX 64

/* What a slice may do, and what it did. */
struct job_slice {
    int64_t now_us;   /* wall */
    int64_t rows_max; /* to be handled at most; between 1 and the spec's */
    bool first;       /* of its pass */
    int64_t rows;     /* out: handled */
    bool more;        /* out: others wait */
};
/* On a fiber, with memory for this slice. It may be stopped behind any statement, and another
 * process may do the same at the same time for a moment: what it does must bear both. */
typedef MAY_SUSPEND int job_slice_fn(void *ctx, struct job_slice *s, struct arena *a,
                                     struct err *err);
struct job_spec {
    const char *name, *labels; /* JOB_NAME("things.kind") */
    const char *what;          /* a line for people */
    int64_t every_us;
    int64_t rows_max; /* of a slice; fewer when they take long */
    /* Each process does it, for itself; its state stands in no row. */
    bool local;
    /* Somebody waits for what it does: it does not give way to requests. */
    bool awaited;
    /* It waits for others than the database: it has no part in the turns of slices. */
    bool elsewhere;
    job_slice_fn *slice;
    void *ctx;
};
/* The first two members of a spec; labels of metrics live for ever, so they are literals. */
#define JOB_NAME(text) .name = text, .labels = "job=\"" text "\""

/* What jobs ask of the process that they run in. NULL: it leads, and is alone. */
struct jobs_port {
    bool (*leads)(void *ctx);       /* does it do the work of all? May change at any time. */
    struct id (*worker)(void *ctx); /* who it is to the others */
    void (*tell)(void *ctx);        /* the others: somebody wants a pass */
    bool shared;                    /* there may be others */
    void *ctx;
};

struct jobs;
struct jobs *jobs_new(struct rt *rt, struct store *store, const struct jobs_port *port);
void jobs_add(struct jobs *j, const struct job_spec *spec); /* before jobs_start(); copied */
MUST_CHECK int jobs_start(struct jobs *j, struct err *err);
/* Begins no slice any more and waits for those under way. NULL is fine, also in jobs_free(). */
MAY_SUSPEND void jobs_stop(struct jobs *j);
void jobs_free(struct jobs *j);
/* Leadership or what is wanted may have changed. */
void jobs_wake(struct jobs *j);

/* A job as it is known: of local ones what this process did, of others what was stored. */
struct job_view {
    const struct job_spec *spec;
    struct job_row row;
};
/* All, by name; in the arena. */
MUST_CHECK MAY_SUSPEND int jobs_list(struct jobs *j, struct arena *a, struct job_view **out,
                                     size_t *out_count, struct err *err);
/* A pass is due at once, behind the one under way. ERR_NOT_FOUND. */
MUST_CHECK MAY_SUSPEND int jobs_want(struct jobs *j, str name, struct arena *a,
                                     struct job_view *out, struct err *err);

#endif
