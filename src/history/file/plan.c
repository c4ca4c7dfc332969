/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - what a segment will be made of: drawn up by the writer while the index stands still.
 *
 * A log that was just closed: the index is exactly what the log's end says, so the states of the
 * sessions that it touched are written from memory. A segment anew: the states are copied, those
 * that no newer segment replaces. Both leave out what is gone: events before first_seq, events past
 * their time (of a sweep), checkpoints that are not kept, sessions that were deleted. */
#include <stdlib.h>

#include "history/file/crc32c.h"
#include "history/file/file_int.h"

static struct hfile_job *job_new(struct hfile *h) {
    struct hfile_job *job = NEW(struct hfile_job);
    job->h = h;
    job->number = h->segment_next;
    job->sealed_log = h->sealed_log;
    buf_init(&job->states, SIZE_MAX / 4);
    return job;
}

static void state_write(struct buf *b, const struct hfile_session *s) {
    const struct hfile_extra *x = s->extra;
    size_t begin =
        hfile_record_begin(b, HFILE_STATE, s->number, s->state.last_seq, s->state.updated_at);
    struct hfile_state_head h = {.created_at = s->state.created_at,
                                 .first_seq = s->state.first_seq,
                                 .latest = x ? x->latest : ID_NIL,
                                 .owner_bytes = s->owner_bytes,
                                 .name_bytes = s->name_bytes,
                                 .checkpoint_count = x ? (uint32_t)x->checkpoints.count : 0,
                                 .consumer_count = x ? (uint32_t)x->consumers.count : 0};
    buf_append(b, &h, sizeof h);
    buf_str(b, hfile_owner(s));
    buf_str(b, hfile_name(s));
    for (size_t i = 0; i < h.checkpoint_count; i++)
        buf_append(b, &x->checkpoints.p[i].id, sizeof(struct id));
    for (size_t i = 0; i < h.consumer_count; i++) {
        const struct hfile_consumer *c = &x->consumers.p[i];
        uint16_t len = (uint16_t)c->name.len;
        buf_append(b, &c->acked_seq, sizeof c->acked_seq);
        buf_append(b, &c->updated_at, sizeof c->updated_at);
        buf_append(b, &len, sizeof len);
        buf_str(b, c->name);
    }
    hfile_record_end(b, begin);
    hfile_unit_end(b, begin);
}

/* Takes the entry over, unless it is gone. */
static void entry_take(struct hfile_job *job, struct hfile_job_row *row,
                       const struct hfile_session *s, const struct history_retention *r,
                       const struct hfile_entry *e, int64_t now_us) {
    if (e->seq < s->state.first_seq)
        return;
    if (now_us != INT64_MIN && hfile_is_past(r, s->state.last_seq, e, now_us)) {
        row->gone_count++;
        row->gone_bytes += e->payload_bytes;
        return;
    }
    vec_push(&job->entries, *e);
    row->entry_count++;
}

static void checkpoints_take(struct hfile_job *job, struct hfile_job_row *row,
                             const struct hfile_session *s, bool in_log, uint32_t file) {
    for (size_t i = 0; s->extra && i < s->extra->checkpoints.count; i++) {
        const struct hfile_checkpoint *c = &s->extra->checkpoints.p[i];
        if (c->in_log != in_log || c->file != file || c->bytes == 0)
            continue;
        struct hfile_place place = {.id = c->id, .at = c->at, .bytes = c->bytes};
        vec_push(&job->checkpoints, place);
        row->checkpoint_count++;
    }
}

static struct hfile_job_row row_begin(const struct hfile_job *job, uint32_t session) {
    return (struct hfile_job_row){.session = session,
                                  .entry_first = job->entries.count,
                                  .state_at = job->states.len,
                                  .checkpoint_first = job->checkpoints.count};
}

static void policies_take(struct hfile *h, struct hfile_job *job, bool in_log, uint32_t file) {
    size_t at = 0;
    str owner;
    void *value;
    while (map_next(&h->index.policies, &at, &owner, &value)) {
        const struct hfile_policy *p = value;
        if ((in_log ? p->touched : p->segment) != file)
            continue;
        size_t begin = job->states.len;
        hfile_write_retention(&job->states, owner, &p->retention);
        hfile_unit_end(&job->states, begin);
    }
}

static void delete_write(struct hfile_job *job, uint32_t session) {
    size_t begin = hfile_record_begin(&job->states, HFILE_DELETE, session, 0, 0);
    hfile_record_end(&job->states, begin);
    hfile_unit_end(&job->states, begin);
}

static int number_cmp(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void log_row(struct hfile *h, struct hfile_job *job, const struct hfile_session *s,
                    const struct hfile_log *log, int64_t now_us) {
    struct hfile_job_row row = row_begin(job, s->number);
    struct history_retention r = hfile_policy_of(&h->index, hfile_owner(s));
    const struct hfile_part *part = s->parts[log->number & 1];
    for (size_t i = 0; part && i < part->count; i++)
        entry_take(job, &row, s, &r, &part->p[i], now_us);
    checkpoints_take(job, &row, s, true, log->number);
    state_write(&job->states, s);
    row.state_bytes = job->states.len - row.state_at;
    row.keep_state = true;
    vec_push(&job->rows, row);
}

int hfile_plan_log(struct hfile *h, struct hfile_log *log, struct hfile_op *op,
                   struct hfile_job **out, struct err *err) {
    struct hfile_job *job = job_new(h);
    uint32_t *numbers = mem_dup(log->touched.p ? log->touched.p : &log->number,
                                (log->touched.count + !log->touched.p) * sizeof *numbers);
    (void)err;
    job->log = log;
    job->sealed_log = log->number;
    job->dead_count = log->dead_count;
    qsort(numbers, log->touched.count, sizeof *numbers, number_cmp);
    for (size_t i = 0; i < log->touched.count; i++) {
        const struct hfile_session *s = hfile_index_number(&h->index, numbers[i]);
        if (s)
            log_row(h, job, s, log, op->now_us);
    }
    mem_free(numbers);
    policies_take(h, job, true, log->number);
    for (size_t i = 0; h->view->count > 0 && i < log->dead.count; i++)
        delete_write(job, log->dead.p[i]);
    for (size_t i = 0; i < h->view->count; i++)
        vec_push(&job->others_before, h->view->segments[i]->number);
    *out = job;
    return 0;
}

/* --- a segment anew --- */

static int state_copy(struct hfile *h, struct hfile_job *job, struct hfile_job_row *row,
                      const struct hfile_row *from, struct err *err) {
    char *p = buf_reserve(&job->states, from->state_bytes);
    int rc = hfile_section_read(h->io, job->segment, HFILE_STATES, 8, from->state_at / 8,
                                from->state_bytes / 8, p, err);
    if (rc == 0 &&
        (from->state_bytes == 0 || hfile_record_check(p, from->state_bytes) != from->state_bytes ||
         hfile_head(p).session != row->session))
        rc = hfile_corrupt(err, "the state of a session");
    if (rc == 0)
        job->states.len += from->state_bytes;
    row->state_bytes = job->states.len - row->state_at;
    return rc;
}

static int segment_row(struct hfile *h, struct hfile_job *job, const struct hfile_row *from,
                       int64_t now_us, struct err *err) {
    struct hfile_session *s = hfile_index_number(&h->index, from->session);
    struct hfile_job_row row = row_begin(job, from->session);
    if (!s) {
        job->dead_count += (int64_t)from->entry_count + 1;
        return 0;
    }
    struct history_retention r = hfile_policy_of(&h->index, hfile_owner(s));
    struct hfile_entry *entries = mem_calloc((size_t)from->entry_count + 1, sizeof *entries);
    int rc =
        hfile_row_entries(h->io, job->segment, from, false, 0, from->entry_count, entries, err);
    for (size_t i = 0; rc == 0 && i < from->entry_count; i++)
        entry_take(job, &row, s, &r, &entries[i], now_us);
    mem_free(entries);
    checkpoints_take(job, &row, s, false, job->segment->number);
    row.keep_state = s->state_segment == job->segment->number;
    if (rc == 0 && row.keep_state)
        rc = state_copy(h, job, &row, from, err);
    /* A row without anything stays out, but what it loses is told. */
    if (row.entry_count == 0)
        vec_push(&job->dropped, s->number);
    if (row.entry_count > 0 || row.checkpoint_count > 0 || row.keep_state || row.gone_count > 0)
        vec_push(&job->rows, row);
    return rc;
}

static void deletes_take(struct hfile_job *job, str states) {
    for (size_t at = 0; at < states.len;) {
        size_t bytes = hfile_record_check(states.p + at, states.len - at);
        if (bytes == 0)
            return;
        if (hfile_head(states.p + at).kind == HFILE_DELETE)
            delete_write(job, hfile_head(states.p + at).session);
        at += bytes;
    }
}

static int segment_tail(struct hfile *h, struct hfile_job *job, struct err *err) {
    struct buf states;
    policies_take(h, job, false, job->segment->number);
    if (job->others_before.count == 0)
        return 0; /* nothing older that a deletion could be about */
    int rc = hfile_section_load(h->io, job->segment, HFILE_STATES, &states, err);
    if (rc == 0) {
        deletes_take(job, buf_view(&states));
        buf_deinit(&states);
    }
    return rc;
}

int hfile_plan_segment(struct hfile *h, const struct hfile_op *op, struct hfile_job **out,
                       struct err *err) {
    struct hfile_job *job = job_new(h);
    struct hfile_row row;
    int rc = 0;
    for (size_t i = 0; i < h->view->count; i++) {
        struct hfile_segment *s = h->view->segments[i];
        if (s->number == op->segment)
            job->segment = s;
        else if (job->segment)
            vec_push(&job->others_after, s->number);
        else
            vec_push(&job->others_before, s->number);
    }
    if (!job->segment)
        rc = err_set(err, ERR_NOT_FOUND, "no such segment");
    size_t count = job->segment ? hfile_section_count(job->segment, HFILE_ROWS, sizeof row) : 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = hfile_row_read(h->io, job->segment, i, &row, err);
        if (rc == 0)
            rc = segment_row(h, job, &row, op->now_us, err);
    }
    if (rc == 0)
        rc = segment_tail(h, job, err);
    if (rc < 0)
        hfile_job_free(job);
    else
        *out = job;
    return rc;
}
