/* SPDX-License-Identifier: Apache-2.0 */
/* group.c - the loop's side: operations wait, go to the writer as a group, and come back.
 *
 * While a group is at the writer the index stands still; what came back is taken over into it
 * before the next one starts, and so is a segment that the sealer has made. A new view replaces the
 * old one then; reads that hold the old one go on with files that may have lost their names. */
#include "base/clock.h"
#include "history/file/file_int.h"

#define GROUP_BYTES_MAX ((size_t)16 << 20)
#define AGAIN_US        1000000

/* --- views --- */

struct hfile_view *hfile_view_new(size_t count) {
    struct hfile_view *v = mem_zalloc(sizeof *v + count * sizeof v->segments[0]);
    v->refs = 1;
    v->count = count;
    return v;
}

void hfile_view_ref(struct hfile_view *v) { v->refs++; }

static void on_log_closed(struct rt_msg *m) {
    hfile_log_unref(NULL, CONTAINER_OF(m, struct hfile_log, msg)); /* of its file nothing is left */
}

bool hfile_is_log(const struct rt_msg *m) { return m->done == on_log_closed; }

/* The last reference to a file without a name gives its bytes back to the file system, which takes
 * milliseconds of a log: the sealer does that. */
static void log_unref(struct hfile *h, struct hfile_log *log) {
    if (!log || log->refs > 1 || !h->sealer) {
        hfile_log_unref(h->io, log);
        return;
    }
    log->msg.done = on_log_closed;
    if (rt_worker_post(h->sealer, &log->msg) < 0)
        hfile_log_unref(h->io, log);
}

void hfile_view_unref(struct hfile *h, struct hfile_view *v) {
    if (!v || --v->refs > 0)
        return;
    for (size_t i = 0; i < v->count; i++)
        hfile_segment_unref(v->segments[i]);
    log_unref(h, v->logs[0]);
    log_unref(h, v->logs[1]);
    mem_free(v);
}

struct hfile_segment *hfile_view_find(const struct hfile_view *v, uint32_t number) {
    for (size_t i = 0; i < v->count; i++) {
        if (v->segments[i]->number == number)
            return v->segments[i];
    }
    return NULL;
}

/* Another view becomes the present one; what is in it is counted once more. */
static void view_set(struct hfile *h, struct hfile_view *v) {
    struct hfile_view *old = h->view;
    for (size_t i = 0; i < v->count; i++)
        v->segments[i]->refs++;
    for (int i = 0; i < 2; i++) {
        if (v->logs[i])
            v->logs[i]->refs++;
    }
    h->view = v;
    hfile_view_unref(h, old);
}

static void view_add_log(struct hfile *h, struct hfile_log *log) {
    struct hfile_view *v = hfile_view_new(h->view->count);
    memcpy(v->segments, h->view->segments, v->count * sizeof v->segments[0]);
    memcpy(v->logs, h->view->logs, sizeof v->logs);
    v->logs[log->number & 1] = log;
    view_set(h, v);
    log->refs--; /* the view's is the only one */
}

/* --- taking a group over --- */

static void session_delete(struct hfile *h, struct hfile_staged *st) {
    struct hfile_log *log = hfile_active(h);
    struct hfile_session *s = st->base;
    for (int i = 0; s && i < 2; i++) {
        if (s->parts[i] && h->view->logs[i])
            h->view->logs[i]->dead_count += s->parts[i]->count;
    }
    log->dead_count += 1 + (int64_t)st->entries.count;
    h->deleted = h->deleted_again = true;
    vec_push(&log->dead, st->number);
    if (st->extra_changed)
        hfile_extra_free(st->extra);
    if (!s)
        return;
    h->index.event_count -= s->state.event_count;
    h->index.payload_bytes -= s->state.payload_bytes;
    hfile_index_remove(&h->index, s);
}

static void entry_publish(struct hfile_log *log, struct hfile_session *s,
                          const struct hfile_entry *e) {
    hfile_part_push(s, log->number, e);
    log->event_count++;
    if (e->expires_at < log->expires_min)
        log->expires_min = e->expires_at;
    if (e->stored_at < log->stored_min)
        log->stored_min = e->stored_at;
}

static void session_publish(struct hfile *h, struct hfile_staged *st) {
    struct hfile_log *log = hfile_active(h);
    struct hfile_session *s = st->base;
    if (!s)
        s = hfile_index_add(&h->index, st->number, st->key.owner, st->key.session);
    ASSERT(s);
    h->index.event_count += st->state.event_count - s->state.event_count;
    h->index.payload_bytes += st->state.payload_bytes - s->state.payload_bytes;
    bool touched = !st->base || st->extra_changed || st->entries.count > 0 ||
                   st->state.first_seq != s->state.first_seq;
    s->state = st->state;
    if (st->extra_changed) {
        hfile_extra_free(s->extra);
        s->extra = st->extra;
    }
    for (size_t i = 0; i < st->entries.count; i++)
        entry_publish(log, s, &st->entries.p[i]);
    if (touched && s->touched != log->number) {
        s->touched = log->number;
        vec_push(&log->touched, s->number);
    }
}

static void policies_publish(struct hfile *h) {
    for (size_t i = 0; i < h->stage.policies.count; i++) {
        const struct hfile_policy *p = &h->stage.policies.p[i];
        struct hfile_policy *to = hfile_policy_set(&h->index, p->owner, &p->retention);
        to->touched = hfile_active(h)->number;
    }
    h->stage.policies.count = 0;
}

void hfile_publish(struct hfile *h) {
    struct hfile_stage *st = &h->stage;
    if (st->made)
        view_add_log(h, st->made);
    if (st->list.count > 0)
        h->index.number_next = st->number_next;
    for (size_t i = 0; i < st->list.count; i++) {
        struct hfile_staged *s = st->list.p[i];
        if (s->deleted)
            session_delete(h, s);
        else
            session_publish(h, s);
        vec_deinit(&s->entries);
    }
    st->list.count = 0;
    policies_publish(h);
    arena_deinit(&st->arena);
    if (st->job)
        hfile_job_post(h, st->job);
    st->job = NULL;
}

/* --- the sealer --- */

static void on_job_done(struct rt_msg *m) {
    struct hfile *h = CONTAINER_OF(m, struct hfile_job, msg)->h;
    h->job_done = true;
    hfile_group_start(h);
}

void hfile_job_post(struct hfile *h, struct hfile_job *job) {
    h->job = job;
    h->job_again_at = 0;
    job->msg.done = on_job_done;
    err_reset(&job->err);
    int rc = rt_worker_post(h->sealer, &job->msg);
    ASSERT(rc == 0); /* one at a time */
}

static struct hfile_view *view_after(const struct hfile *h, const struct hfile_job *job) {
    const struct hfile_view *old = h->view;
    struct hfile_view *v = hfile_view_new(old->count + 1);
    size_t count = 0;
    memcpy(v->logs, old->logs, sizeof v->logs);
    if (job->log)
        v->logs[job->log->number & 1] = NULL;
    for (size_t i = 0; i < old->count; i++) {
        struct hfile_segment *s = old->segments[i];
        if (hfile_job_has(job, s)) /* what was made takes the place of the first */
            s = s == job->segments.p[0] ? job->made : NULL;
        if (s)
            v->segments[count++] = s;
    }
    if (job->log && job->made)
        v->segments[count++] = job->made;
    v->count = count;
    return v;
}

/* The session's runs in the segments of the job are in `run` now, or (NULL) nowhere. */
static void run_replace(struct hfile_session *s, const struct hfile_job *job,
                        const struct hfile_run *run) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->run_count; i++) {
        if (!hfile_job_has(job, s->runs[i].segment)) {
            s->runs[kept++] = s->runs[i];
        } else if (run) {
            s->runs[kept++] = *run;
            run = NULL;
        }
    }
    s->run_count = kept;
}

static void row_checkpoints(const struct hfile_job *job, const struct hfile_job_row *row,
                            struct hfile_session *s) {
    for (size_t i = 0; s->extra && i < row->checkpoint_count; i++) {
        const struct hfile_place *place = &job->checkpoints.p[row->checkpoint_first + i];
        for (size_t k = 0; k < s->extra->checkpoints.count; k++) {
            struct hfile_checkpoint *c = &s->extra->checkpoints.p[k];
            if (id_eq(c->id, place->id))
                *c = (struct hfile_checkpoint){place->id, place->at, place->bytes, job->number,
                                               false};
        }
    }
}

static void row_install(struct hfile *h, const struct hfile_job *job, size_t i) {
    const struct hfile_job_row *row = &job->rows.p[i];
    struct hfile_session *s = hfile_index_number(&h->index, row->session);
    if (!s) {
        h->deleted = h->deleted_again = true; /* meanwhile */
        return;
    }
    if (row->entry_count > 0) {
        struct hfile_run run = {job->entries.p[row->entry_first].seq, job->made, (uint32_t)i};
        if (job->log)
            hfile_run_push(s, &run);
        else
            run_replace(s, job, &run);
        int64_t trimmed = s->state.first_seq - run.seq_min;
        if (trimmed > (int64_t)row->entry_count)
            trimmed = (int64_t)row->entry_count;
        job->made->dead_count += trimmed > 0 ? trimmed : 0;
    }
    if (job->log)
        hfile_part_free(s, job->log->number);
    if (row->keep_state)
        s->state_segment = job->number;
    row_checkpoints(job, row, s);
    s->state.event_count -= row->gone_count;
    s->state.payload_bytes -= row->gone_bytes;
    h->index.event_count -= row->gone_count;
    h->index.payload_bytes -= row->gone_bytes;
    h->gone += row->gone_count;
}

static void policies_install(struct hfile *h, const struct hfile_job *job) {
    size_t at = 0;
    str owner;
    void *value;
    while (map_next(&h->index.policies, &at, &owner, &value)) {
        struct hfile_policy *p = value;
        if (job->log ? p->touched == job->log->number : hfile_job_number(job, p->segment))
            p->segment = job->number;
    }
}

static void job_failed(struct hfile *h, struct hfile_job *job) {
    h->failed_seals++;
    h->segment_next = job->number + 1;
    if (job->log) { /* the log stays closed: the same again, under another name */
        job->number = h->segment_next;
        h->job_again_at = clock_mono_us() + AGAIN_US;
        return;
    }
    h->job = NULL;
    hfile_job_free(job);
}

void hfile_install(struct hfile *h, struct hfile_job *job) {
    h->job_done = false;
    if (job->rc < 0) {
        job_failed(h, job);
        fiber_event_wake_all(&h->idle);
        return;
    }
    for (size_t i = 0; i < job->rows.count; i++)
        row_install(h, job, i);
    h->gone += job->dead_count;
    for (size_t i = 0; i < job->dropped.count; i++) {
        struct hfile_session *s = hfile_index_number(&h->index, job->dropped.p[i]);
        if (s)
            run_replace(s, job, NULL);
    }
    policies_install(h, job);
    h->sealed_log = job->sealed_log;
    h->segment_next = job->number + 1;
    view_set(h, view_after(h, job));
    if (job->made)
        job->made->refs--; /* the view's is the only one */
    job->made = NULL;
    h->job = NULL;
    hfile_job_free(job);
    fiber_event_wake_all(&h->idle);
}

/* --- groups --- */

static size_t op_bytes(const struct hfile_op *op) {
    size_t bytes = op->checkpoint ? op->checkpoint->payload.len : 0;
    for (size_t i = 0; i < op->append_count; i++) {
        for (size_t k = 0; k < op->appends[i]->count; k++)
            bytes += op->appends[i]->events[k].payload.len;
    }
    return bytes;
}

/* Writing is far ahead of sealing: appends wait for it. */
static bool is_ahead(const struct hfile *h) {
    const struct hfile_log *log = hfile_active(h);
    return h->job && h->job->log && !h->job_again_at &&
           (log->tail >= (uint64_t)h->options.segment_bytes ||
            (size_t)log->event_count >= h->options.segment_events);
}

static void on_group_done(struct rt_msg *m) {
    struct hfile *h = CONTAINER_OF(m, struct hfile, group_msg);
    h->group_runs = false;
    h->flushes++;
    h->syncs += h->stage.synced;
    hfile_publish(h);
    for (struct list *n; (n = list_pop_front(&h->group)) != NULL;) {
        struct hfile_op *op = LIST_ENTRY(n, struct hfile_op, node);
        op->finished = true;
        fiber_unpark(op->fiber);
    }
    fiber_event_wake_all(&h->appended);
    hfile_group_start(h);
}

void hfile_group_start(struct hfile *h) {
    size_t bytes = 0;
    if (h->group_runs)
        return;
    if (h->job_done)
        hfile_install(h, h->job);
    if (h->job_again_at && h->sealer && clock_mono_us() >= h->job_again_at)
        hfile_job_post(h, h->job);
    if (list_empty(&h->waiting) || is_ahead(h))
        return;
    do {
        struct list *n = list_pop_front(&h->waiting);
        bytes += op_bytes(LIST_ENTRY(n, struct hfile_op, node));
        list_push_back(&h->group, n);
    } while (!list_empty(&h->waiting) && bytes < GROUP_BYTES_MAX);
    h->group_runs = true;
    h->group_msg.done = on_group_done;
    int rc = rt_worker_post(h->writer, &h->group_msg);
    ASSERT(rc == 0); /* one at a time */
}

int hfile_op_run(struct hfile *h, struct hfile_op *op, struct err *err) {
    if (h->options.read_only)
        return err_set(err, ERR_UNAVAILABLE, "history: it was opened for reading");
    op->fiber = fiber_self();
    list_push_back(&h->waiting, &op->node);
    rt_defer(h->rt, &h->start); /* those of the same turn go together */
    while (!op->finished)
        fiber_park_shielded();
    if (op->rc < 0 && err)
        *err = op->err;
    return op->rc;
}
