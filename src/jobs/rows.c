/* SPDX-License-Identifier: Apache-2.0 */
/* rows.c - what jobs have to tell, and what their rows tell.
 *
 * A row is written when a pass has done something, failed, or was wanted; of a long one, once a
 * second. Passes that found nothing are told together, half a minute later at most, or with what is
 * told for another reason: on a server at rest a commit a minute is what the jobs cost.
 *
 * Counts are added to those stored, so the row of a job is right whoever wrote it before. When the
 * answer of a commit is lost they may be lost with it; they are never added twice. */
#include "base/log.h"
#include "base/rand.h"
#include "jobs/jobs_int.h"

#define RETRY_US   INT64_C(1000000)
#define FIRST_US   INT64_C(10000000) /* a job that has no row yet is due within this */
#define SPREAD_US  2000000           /* what was due while nobody led begins within this */
#define ROWS_BYTES ((size_t)1 << 20)

/* What is handed to the database is not handed again. */
static struct job_row take(struct job *job, int64_t now_us, struct arena *a) {
    struct jobs *j = job->jobs;
    struct job_row row = job->row;
    row.updated_at = now_us;
    row.worker = j->port.worker ? j->port.worker(j->port.ctx) : ID_NIL;
    row.error = row.error.p ? arena_dup(a, row.error) : STR_NULL;
    job->row.passes = job->row.rows = job->row.failures = 0;
    job->unsaved = false;
    job->saved_us = rt_mono_us(j->rt);
    return row;
}

static void give_back(struct job *job, const struct job_row *row) {
    job->row.passes += row->passes;
    job->row.rows += row->rows;
    job->row.failures += row->failures;
    job->unsaved = true;
}

void jobs_save(struct jobs *j) {
    struct arena a;
    struct db_batch b;
    struct err err = {0};
    struct job *taken[JOBS_MAX];
    size_t count = 0;
    int64_t now_us = rt_now_us(j->rt);
    arena_init(&a, ROWS_BYTES);
    db_batch_init(&b, &a);
    struct job_row *rows = ARENA_ARRAY(&a, struct job_row, JOBS_MAX);
    j->save_due_us = 0;
    for (size_t i = 0; i < j->count; i++) {
        if (j->list[i].spec.local || !j->list[i].unsaved)
            continue;
        taken[count] = &j->list[i];
        rows[count] = take(taken[count], now_us, &a);
        job_put_add(&b, &rows[count++]);
    }
    int rc = count ? db_commit(j->store->db, &b, &err) : 0;
    j->ops_seen += count > 0; /* no doing of others, to whom jobs give way */
    for (size_t i = 0; rc < 0 && !b.committed && !b.in_doubt && i < count; i++)
        give_back(taken[i], &rows[i]);
    if (rc < 0) {
        j->save_due_us = rt_mono_us(j->rt) + RETRY_US;
        log_event(LOG_DEBUG, "jobs.save.failed", err.message, LOG_Z("code", err_name(rc)));
    }
    arena_deinit(&a);
}

/* Who comes to lead goes on where others stopped. A pass that nobody has ended begins anew, and so
 * does one that was due meanwhile; both in a moment, not all at once. */
static int64_t first_due(const struct job *job, const struct job_row *row, int64_t now_us) {
    int64_t every_us = job->spec.every_us;
    if (!row || row->started_at == 0)
        return (int64_t)rand_below((uint64_t)min_of(every_us, FIRST_US));
    int64_t wait_us = row->due_at - now_us;
    if (row->started_at > row->finished_at || wait_us <= 0)
        return (int64_t)rand_below((uint64_t)min_of(every_us, SPREAD_US));
    return min_of(wait_us, every_us);
}

int jobs_look(struct jobs *j, bool began, struct err *err) {
    struct arena a;
    struct job_row *rows;
    size_t count;
    arena_init(&a, ROWS_BYTES);
    int rc = job_list(j->store, &a, &rows, &count, err);
    for (size_t i = 0, at = 0; rc == 0 && i < j->count; i++) {
        struct job *job = &j->list[i];
        while (at < count && str_cmp(rows[at].name, job->row.name) < 0)
            at++;
        const struct job_row *row =
            at < count && str_eq(rows[at].name, job->row.name) ? &rows[at] : NULL;
        if (job->spec.local)
            continue;
        if (row)
            job->wanted = max_of(job->wanted, row->wanted);
        if (!began || job->state == JOB_RUNNING)
            continue;
        job->row.served = row ? max_of(job->row.served, row->served) : job->row.served;
        job->row.wanted = job->row.served;
        job->due_us = rt_mono_us(j->rt) + first_due(job, row, rt_now_us(j->rt));
    }
    arena_deinit(&a);
    return rc;
}
