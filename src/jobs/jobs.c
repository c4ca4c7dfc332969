/* SPDX-License-Identifier: Apache-2.0 */
/* jobs.c - which job is due when: one fiber that sleeps until the next one, and starts its pass.
 *
 *            due                       nothing waits
 *   idle ──────────▶ running (pass.c) ───────────────▶ idle, due after its interval
 *     ▲                 └── a slice failed ──▶ idle, due after a pause that doubles
 *     └───────────── the lead was lost, or the process stops: as it was
 *
 * Nothing here is waited for by a start or a request: the fiber begins when the server listens, and
 * who wants a pass writes a number into the job's row. The leader looks at the rows when it came to
 * lead (where did others stop?), when it is told that something is wanted, and now and then, since
 * what is told may be lost. */
#include "jobs/jobs_int.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#define LOOK_US  INT64_C(5000000) /* between two looks at the rows, and at who leads */
#define RETRY_US INT64_C(1000000)
#define REST_US  INT64_C(3600000000) /* of one that is alone: everything wakes it */

struct jobs *jobs_new(struct rt *rt, struct store *store, const struct jobs_port *port) {
    struct jobs *j = NEW(struct jobs);
    j->rt = rt;
    j->store = store;
    if (port)
        j->port = *port;
    fiber_event_init(&j->wake);
    fiber_event_init(&j->turn_free);
    fiber_group_init(&j->passes);
    return j;
}

void jobs_add(struct jobs *j, const struct job_spec *spec) {
    ASSERT(!j->running && j->count < JOBS_MAX && spec->every_us > 0 && spec->rows_max > 0);
    size_t at = j->count++;
    for (; at > 0 && strcmp(j->list[at - 1].spec.name, spec->name) > 0; at--)
        j->list[at] = j->list[at - 1];
    ASSERT(at == 0 || strcmp(j->list[at - 1].spec.name, spec->name) < 0);
    struct job *job = &j->list[at];
    *job = (struct job){.jobs = j,
                        .spec = *spec,
                        .slice_rows = spec->rows_max,
                        .row = {.name = str_of(spec->name)}};
    job->passes = metric_counter("holdfast_job_passes_total",
                                 "Passes of background jobs that came to their end.", spec->labels);
    job->rows = metric_counter("holdfast_job_rows_total", "Rows that background jobs handled.",
                               spec->labels);
    job->failures = metric_counter("holdfast_job_failures_total",
                                   "Passes of background jobs that failed.", spec->labels);
    job->busy_us = metric_counter("holdfast_job_busy_microseconds_total",
                                  "Time that slices of background jobs took.", spec->labels);
}

void jobs_wake(struct jobs *j) {
    j->look = true;
    fiber_event_wake_all(&j->wake);
}

/* --- the fiber --- */

static void start_due(struct jobs *j, int64_t now_us) {
    for (size_t i = 0; i < j->count; i++) {
        struct job *job = &j->list[i];
        bool due = job->due_us <= now_us || job->wanted > job->row.served;
        if (job->state != JOB_IDLE || !due || !job_may_run(job))
            continue;
        struct err err = {0};
        job->state = JOB_RUNNING;
        if (fiber_group_spawn(&j->passes, j->rt, "job", job_pass, job, &err) == 0)
            continue;
        job->state = JOB_IDLE; /* too many fibers: requests come first */
        job->due_us = now_us + RETRY_US;
    }
}

static int64_t next_due(const struct jobs *j) {
    bool leads = jobs_leads(j);
    int64_t next = rt_mono_us(j->rt) + (j->port.shared ? LOOK_US : REST_US);
    for (size_t i = 0; i < j->count; i++)
        if (j->list[i].state == JOB_IDLE && (leads || j->list[i].spec.local))
            next = min_of(next, j->list[i].due_us);
    if (leads && j->look_due_us > 0)
        next = min_of(next, j->look_due_us);
    return leads && j->save_due_us > 0 ? min_of(next, j->save_due_us) : next;
}

/* What was wanted, and where others stopped. Not led: nothing is known of what will be due. */
static void look(struct jobs *j) {
    struct err err = {0};
    bool began = !j->led;
    bool due = j->look || rt_mono_us(j->rt) >= j->look_due_us;
    j->look = false;
    if (!jobs_leads(j))
        j->led = false;
    if (!jobs_leads(j) || (!began && !due))
        return;
    int rc = jobs_look(j, began, &err);
    if (rc < 0 && !j->failing && !j->stop)
        log_event(LOG_WARN, "jobs.look.failed", err.message, LOG_Z("code", err_name(rc)));
    j->failing = rc < 0;
    j->led = rc == 0;
    j->look_due_us = rt_mono_us(j->rt) + (rc < 0 ? RETRY_US : j->port.shared ? LOOK_US : REST_US);
}

static void jobs_fiber(void *arg) {
    struct jobs *j = arg;
    while (!j->stop && !fiber_cancelled()) {
        look(j);
        if (j->led && j->save_due_us > 0 && j->save_due_us <= rt_mono_us(j->rt))
            jobs_save(j);
        start_due(j, rt_mono_us(j->rt));
        if (!j->stop && !j->look)
            (void)fiber_event_wait(&j->wake, next_due(j));
    }
    fiber_group_wait(&j->passes);
    j->running = false;
    fiber_event_wake_all(&j->wake);
}

/* Those of all processes wait for the look at their rows; the others are due in a moment. */
int jobs_start(struct jobs *j, struct err *err) {
    int64_t now_us = rt_mono_us(j->rt);
    for (size_t i = 0; i < j->count; i++) {
        struct job *job = &j->list[i];
        job->due_us =
            job->spec.local
                ? now_us + (int64_t)rand_below((uint64_t)min_of(job->spec.every_us, 10 * RETRY_US))
                : INT64_MAX;
    }
    j->running = fiber_spawn(j->rt, "jobs", jobs_fiber, j, err) != NULL;
    return j->running ? 0 : ERR_LIMIT;
}

void jobs_stop(struct jobs *j) {
    if (!j)
        return;
    j->stop = true;
    fiber_event_wake_all(&j->wake);
    fiber_event_wake_all(&j->turn_free);
    fiber_group_cancel(&j->passes);
    while (j->running)
        (void)fiber_event_wait(&j->wake, FIBER_NO_DEADLINE);
}

void jobs_free(struct jobs *j) { mem_free(j); }

/* --- what is asked --- */

static struct job_view view_of(const struct job *job, const struct job_row *stored) {
    struct job_view v = {.spec = &job->spec, .row = {.name = str_of(job->spec.name)}};
    if (job->spec.local) {
        v.row = job->row;
        v.row.wanted = job->wanted;
    } else if (stored) {
        v.row = *stored;
    }
    return v;
}

int jobs_list(struct jobs *j, struct arena *a, struct job_view **out, size_t *out_count,
              struct err *err) {
    struct job_row *rows;
    size_t count, at = 0;
    int rc = job_list(j->store, a, &rows, &count, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct job_view, j->count + 1);
    *out_count = j->count;
    for (size_t i = 0; i < j->count; i++) { /* both are in byte order */
        str name = str_of(j->list[i].spec.name);
        while (at < count && str_cmp(rows[at].name, name) < 0)
            at++;
        bool stored = at < count && str_eq(rows[at].name, name);
        (*out)[i] = view_of(&j->list[i], stored ? &rows[at] : NULL);
    }
    return 0;
}

static struct job *find(struct jobs *j, str name) {
    for (size_t i = 0; i < j->count; i++)
        if (str_eq(name, str_of(j->list[i].spec.name)))
            return &j->list[i];
    return NULL;
}

int jobs_want(struct jobs *j, str name, struct arena *a, struct job_view *out, struct err *err) {
    struct job *job = find(j, name);
    struct job_row row;
    if (!job)
        return err_set(err, ERR_NOT_FOUND, "Job not found");
    if (job->spec.local) {
        job->wanted = job->row.served + 1;
        fiber_event_wake_all(&j->wake);
        *out = view_of(job, NULL);
        return 0;
    }
    int rc = job_want(j->store, str_of(job->spec.name), rt_now_us(j->rt), a, &row, err);
    if (rc < 0)
        return rc;
    *out = view_of(job, &row);
    jobs_wake(j);
    if (j->port.tell)
        j->port.tell(j->port.ctx);
    return 0;
}
