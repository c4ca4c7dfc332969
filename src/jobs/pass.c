/* SPDX-License-Identifier: Apache-2.0 */
/* pass.c - one pass of a job: slices, and pauses between them.
 *
 * Slices of all jobs take turns: one is under way at a time, so that however many jobs are due, the
 * database has the work of one beside that of requests. (Those that wait for something else have no
 * part in that.) A slice is to take SLICE_US: when it takes more, the next one gets half of the
 * rows, down to a sixteenth, since a slow disk makes any commit slow; when it takes less than half
 * of it, twice as many. Behind each slice the job pauses for as long as it took, so it has half of
 * the time at most, and what has waited meanwhile goes on.
 *
 * While others use the database, a slice gets a sixteenth of the rows and the pause is GIVING_PART
 * times what it took, GIVING_MIN_US to GIVING_MAX_US: of some hundreds of requests one meets a
 * slice. Others are who made the database do something outside of slices, at least once in
 * OTHERS_US. A pass that has lasted for LATE_US has given way for long enough, since what it clears
 * away may come faster than it goes.
 *
 * A pass that fails is tried again: after a second, then ever later, up to its interval or ten
 * minutes, whichever is longer. What it has done so far stays done. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/rand.h"
#include "jobs/jobs_int.h"

#define SLICE_US      INT64_C(10000)
#define FEW_ROWS      8
#define FEW_PART      16
#define OTHERS_US     INT64_C(20000)
#define LATE_US       INT64_C(600000000)
#define PAUSE_MIN_US  INT64_C(1000)
#define PAUSE_MAX_US  INT64_C(250000)
#define GIVING_PART   200
#define GIVING_MIN_US INT64_C(250000)
#define GIVING_MAX_US INT64_C(1000000)
#define AGAIN_US      INT64_C(1000000)
#define AGAIN_MAX_US  INT64_C(600000000)
#define DOUBLED_MAX   20
#define SAVE_US       INT64_C(1000000)  /* of a pass under way */
#define QUIET_US      INT64_C(30000000) /* a pass that found nothing */

/* Other fibers' slices first. False: the process stops, or another one leads. */
static bool take_turn(struct job *job) {
    struct jobs *j = job->jobs;
    if (!job->spec.elsewhere)
        while (j->turn_taken && !j->stop)
            (void)fiber_event_wait(&j->turn_free, FIBER_NO_DEADLINE);
    if (!job_may_run(job)) {
        if (!job->spec.elsewhere && !j->turn_taken)
            fiber_event_wake_one(&j->turn_free);
        return false;
    }
    j->turn_taken = j->turn_taken || !job->spec.elsewhere;
    return true;
}

static void give_turn(struct job *job) {
    struct jobs *j = job->jobs;
    if (job->spec.elsewhere)
        return;
    j->turn_taken = false;
    fiber_event_wake_one(&j->turn_free);
}

static uint64_t ops_of(const struct jobs *j) {
    struct db_stats stats;
    db_stats(j->store->db, &stats);
    return stats.batches + stats.reads;
}

/* Do others use the database? Between the slice before and this one, which began at `before`. */
static bool others_wait(struct job *job, uint64_t before, int64_t began_us) {
    struct jobs *j = job->jobs;
    int64_t since_us = began_us - j->ended_us;
    bool busy =
        before > j->ops_seen && (int64_t)(before - j->ops_seen) >= max_of(since_us / OTHERS_US, 1);
    j->ops_seen = ops_of(j);
    j->ended_us = clock_mono_us();
    return busy && !job->spec.awaited && rt_mono_us(j->rt) - job->began_us < LATE_US;
}

/* The fewest rows of a slice. */
static int64_t few(const struct job *job) {
    return max_of(job->spec.rows_max / FEW_PART, min_of(job->spec.rows_max, FEW_ROWS));
}

/* How many rows the next one may handle. */
static void adapt(struct job *job, int64_t took_us, int64_t rows) {
    if (took_us > SLICE_US)
        job->slice_rows = max_of(job->slice_rows / 2, few(job));
    else if (took_us < SLICE_US / 2 && rows >= job->slice_rows)
        job->slice_rows = min_of(job->slice_rows * 2, job->spec.rows_max);
}

static int slice(struct job *job, bool first, bool *out_more, int64_t *out_us, struct err *err) {
    struct arena a;
    struct job_slice s = {.now_us = rt_now_us(job->jobs->rt),
                          .rows_max = job->gives_way ? few(job) : job->slice_rows,
                          .first = first};
    int64_t began_us = clock_mono_us();
    uint64_t before = ops_of(job->jobs);
    arena_init(&a, SIZE_MAX / 2);
    int rc = FAILPOINT("jobs.slice");
    if (rc < 0)
        (void)err_set(err, rc, "failpoint");
    if (rc == 0)
        rc = job->spec.slice(job->spec.ctx, &s, &a, err);
    arena_deinit(&a);
    *out_us = clock_mono_us() - began_us;
    *out_more = rc == 0 && s.more;
    if (!job->spec.elsewhere) {
        job->gives_way = others_wait(job, before, began_us);
        adapt(job, *out_us, s.rows);
    }
    job->row.rows += s.rows;
    job->row.rows_last += s.rows;
    job->unsaved = job->unsaved || s.rows > 0;
    metric_add(job->rows, s.rows);
    metric_add(job->busy_us, *out_us);
    return rc;
}

static void pause_after(struct job *job, int64_t took_us) {
    int64_t us = job->gives_way
                     ? max_of(min_of(took_us * GIVING_PART, GIVING_MAX_US), GIVING_MIN_US)
                     : max_of(min_of(took_us, PAUSE_MAX_US), PAUSE_MIN_US);
    if (!job->spec.local && job->unsaved && rt_mono_us(job->jobs->rt) - job->saved_us >= SAVE_US)
        jobs_save(job->jobs);
    (void)fiber_sleep_us(us);
}

/* Give or take a tenth, so that processes and jobs that began together do not stay together. */
static int64_t about(int64_t us) {
    return us - us / 10 + (int64_t)rand_below((uint64_t)(us / 5) + 1);
}

static int64_t again_us(const struct job *job) {
    int64_t longest = max_of(job->spec.every_us, AGAIN_MAX_US), us = AGAIN_US;
    for (int64_t i = 1; i < job->row.failed_last && i < DOUBLED_MAX && us < longest; i++)
        us *= 2;
    return about(min_of(us, longest));
}

static void failed(struct job *job, int rc, const struct err *why) {
    job->row.failures++;
    job->row.failed_last++;
    str text = str_of(why->message[0] ? why->message : err_text(rc));
    text = str_slice(text, 0, sizeof(job->error) - 1);
    text = str_slice(text, 0, str_utf8_prefix(text));
    memcpy(job->error, text.p, text.len);
    job->error[text.len] = '\0';
    job->row.error = str_n(job->error, text.len);
    metric_add(job->failures, 1);
    log_event(LOG_WARN, "job.failed", job->error, LOG_Z("job", job->spec.name),
              LOG_Z("code", err_name(rc)), LOG_INT("failures", job->row.failed_last));
}

static void finish(struct job *job, int rc, const struct err *why) {
    struct jobs *j = job->jobs;
    bool quiet = rc == 0 && job->row.rows_last == 0 && job->row.failed_last == 0 &&
                 job->row.served == job->row.wanted;
    int64_t now_us = rt_now_us(j->rt), wait_us;
    if (rc < 0) {
        failed(job, rc, why);
        wait_us = again_us(job);
    } else {
        job->row.failed_last = 0;
        job->row.error = STR_NULL;
        job->row.passes++;
        metric_add(job->passes, 1);
        wait_us = about(job->spec.every_us);
    }
    job->row.finished_at = max_of(now_us, job->row.started_at);
    job->row.due_at = now_us + wait_us;
    job->due_us = rt_mono_us(j->rt) + wait_us;
    job->row.wanted = job->row.served;
    if (job->spec.local)
        return;
    job->unsaved = true;
    if (!quiet)
        jobs_save(j);
    else if (j->save_due_us == 0)
        j->save_due_us = rt_mono_us(j->rt) + QUIET_US;
}

static void begin(struct job *job) {
    struct jobs *j = job->jobs;
    job->row.started_at = rt_now_us(j->rt);
    job->row.rows_last = 0;
    job->row.finished_at = job->spec.local ? job->row.finished_at : 0;
    job->row.served = max_of(job->row.served, job->wanted);
    job->saved_us = job->began_us = rt_mono_us(j->rt);
}

void job_pass(void *arg) {
    struct job *job = arg;
    struct jobs *j = job->jobs;
    struct err err = {0};
    bool more = true, first = true, went_on = true;
    int rc = 0;
    begin(job);
    while (rc == 0 && more && went_on) {
        int64_t took_us = 0;
        went_on = take_turn(job);
        if (!went_on)
            break;
        rc = slice(job, first, &more, &took_us, &err);
        give_turn(job);
        first = false;
        if (rc == 0 && more)
            pause_after(job, took_us);
    }
    if (went_on && !(rc < 0 && j->stop))
        finish(job, rc, &err);
    else if (job->unsaved && !job->spec.local)
        jobs_save(j); /* as far as it came */
    job->state = JOB_IDLE;
    fiber_event_wake_all(&j->wake);
}
