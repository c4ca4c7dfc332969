/* SPDX-License-Identifier: Apache-2.0 */
/* jobs.c - the handlers of /admin/jobs: background work as its operators see it.
 *
 * What is shown of a job that one process does for all stands in its row, so every process answers
 * the same; a job that each process does for itself is shown as it is in the one that was asked.
 * Nothing of a job is anybody's data; the texts of errors are the server's own. */
#include "jobs/jobs.h"
#include "api/api_int.h"

static struct jobs *jobs_of(struct api_request *r) { return api_options_of(r->api)->jobs; }

static const char *state_of(const struct job_row *row) {
    if (row->started_at > row->finished_at)
        return "running";
    if (row->wanted > row->served)
        return "due";
    return row->failed_last > 0 ? "failed" : "waiting";
}

static void count(struct json_writer *w, const char *key, int64_t n) {
    jw_key(w, key);
    jw_i64(w, n);
}

static void write_job(struct json_writer *w, const struct job_view *v) {
    const struct job_row *row = &v->row;
    jw_object(w);
    jw_key(w, "name");
    jw_str(w, row->name);
    jw_key(w, "description");
    jw_z(w, v->spec->what);
    jw_key(w, "scope");
    jw_z(w, v->spec->local ? "process" : "all");
    jw_key(w, "interval_seconds");
    jw_double(w, (double)v->spec->every_us / 1000000);
    jw_key(w, "state");
    jw_z(w, state_of(row));
    jw_key(w, "worker_id");
    api_write_id_or_null(w, row->worker);
    api_write_time_member(w, "due_at", row->due_at);
    api_write_time_member(w, "started_at", row->started_at);
    api_write_time_member(w, "finished_at", row->finished_at);
    count(w, "passes", row->passes);
    count(w, "rows", row->rows);
    count(w, "rows_last_pass", row->rows_last);
    count(w, "failures", row->failures);
    count(w, "failures_in_a_row", row->failed_last);
    jw_key(w, "error");
    jw_str(w, row->error);
    jw_object_end(w);
}

int api_job_list(struct api_request *r, struct err *err) {
    struct job_view *list;
    size_t n;
    int rc = jobs_list(jobs_of(r), r->arena, &list, &n, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    jw_object(&w);
    jw_key(&w, "jobs");
    jw_array(&w);
    for (size_t i = 0; i < n; i++)
        write_job(&w, &list[i]);
    jw_array_end(&w);
    jw_object_end(&w);
    return api_reply_json(r, 200);
}

int api_job_get(struct api_request *r, struct err *err) {
    struct job_view *list;
    size_t n;
    int rc = jobs_list(jobs_of(r), r->arena, &list, &n, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(list[i].row.name, r->match.params[0]))
            continue;
        struct json_writer w = api_json(r);
        write_job(&w, &list[i]);
        return api_reply_json(r, 200);
    }
    return err_set(err, ERR_NOT_FOUND, "Job not found");
}

int api_job_run(struct api_request *r, struct err *err) {
    struct job_view v;
    int rc = jobs_want(jobs_of(r), r->match.params[0], r->arena, &v, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    write_job(&w, &v);
    return api_reply_json(r, 200);
}
