/* SPDX-License-Identifier: Apache-2.0 */
/* plan.c - what a segment will be made of: drawn up by the writer while the index stands still.
 *
 * A log that was just closed: the index is exactly what the log's end says, so the states of the
 * sessions that it touched are written from memory. Segments anew, one or several neighbours that
 * become one: session by session from all of them; the states are copied, those that no newer
 * segment replaces. Both leave out what is gone: events before first_seq, events past their time
 * (of a sweep), checkpoints that are not kept, sessions that were deleted. */
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

/* The end of what the row has of a file: its entries were taken, its checkpoints are taken here. */
static void part_end(struct hfile_job *job, struct hfile_job_row *row,
                     const struct hfile_session *s, size_t entry_first,
                     const struct hfile_segment *from) {
    bool in_log = from == NULL;
    uint32_t file = in_log ? job->log->number : from->number;
    struct hfile_job_part part = {.row = job->rows.count,
                                  .from = from,
                                  .entry_first = entry_first,
                                  .entry_count = job->entries.count - entry_first,
                                  .checkpoint_first = job->checkpoints.count};
    for (size_t i = 0; s->extra && i < s->extra->checkpoints.count; i++) {
        const struct hfile_checkpoint *c = &s->extra->checkpoints.p[i];
        if (c->in_log != in_log || c->file != file || c->bytes == 0)
            continue;
        struct hfile_place place = {.id = c->id, .at = c->at, .bytes = c->bytes};
        vec_push(&job->checkpoints, place);
        row->checkpoint_count++;
        part.checkpoint_count++;
    }
    vec_push(&job->parts, part);
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
    part_end(job, &row, s, row.entry_first, NULL);
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

/* --- segments anew --- */

static int state_copy(struct hfile *h, struct hfile_job *job, struct hfile_job_row *row,
                      const struct hfile_segment *seg, const struct hfile_row *from,
                      struct err *err) {
    char *p = buf_reserve(&job->states, from->state_bytes);
    int rc = hfile_section_read(h->io, seg, HFILE_STATES, 8, from->state_at / 8,
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

struct source { /* one of the segments, by its rows */
    const struct hfile_segment *segment;
    size_t count, next;
    struct hfile_row row; /* the one before next */
    bool there;
};

static int source_next(struct hfile *h, struct source *from, struct err *err) {
    uint32_t before = from->there ? from->row.session : 0;
    from->there = from->next < from->count;
    if (!from->there)
        return 0;
    int rc = hfile_row_read(h->io, from->segment, from->next++, &from->row, err);
    if (rc == 0 && from->row.session <= before)
        rc = hfile_corrupt(err, "the order of a segment's rows");
    return rc;
}

static int row_take(struct hfile *h, struct hfile_job *job, struct hfile_job_row *row,
                    const struct hfile_session *s, const struct source *from, int64_t now_us,
                    struct err *err) {
    struct history_retention r = hfile_policy_of(&h->index, hfile_owner(s));
    size_t count = from->row.entry_count, first = job->entries.count;
    struct hfile_entry *entries = mem_calloc(count + 1, sizeof *entries);
    int rc = hfile_row_entries(h->io, from->segment, &from->row, false, 0, count, entries, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        entry_take(job, row, s, &r, &entries[i], now_us);
    mem_free(entries);
    part_end(job, row, s, first, from->segment);
    if (rc < 0 || s->state_segment != from->segment->number)
        return rc;
    row->keep_state = true;
    return state_copy(h, job, row, from->segment, &from->row, err);
}

/* What all sources have of the session. */
static int session_take(struct hfile *h, struct hfile_job *job, struct source *sources,
                        uint32_t session, int64_t now_us, struct err *err) {
    struct hfile_session *s = hfile_index_number(&h->index, session);
    struct hfile_job_row row = row_begin(job, session);
    size_t parts = job->parts.count;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < job->segments.count; i++) {
        if (!sources[i].there || sources[i].row.session != session)
            continue;
        if (s)
            rc = row_take(h, job, &row, s, &sources[i], now_us, err);
        else
            job->dead_count += (int64_t)sources[i].row.entry_count + 1;
        if (rc == 0)
            rc = source_next(h, &sources[i], err);
    }
    if (!s || rc < 0)
        return rc;
    /* A row without anything stays out, but what it loses is told. */
    if (row.entry_count == 0)
        vec_push(&job->dropped, s->number);
    if (row.entry_count > 0 || row.checkpoint_count > 0 || row.keep_state || row.gone_count > 0)
        vec_push(&job->rows, row);
    else
        job->parts.count = parts;
    return 0;
}

static int sessions_take(struct hfile *h, struct hfile_job *job, int64_t now_us, struct err *err) {
    struct source *sources = mem_calloc(job->segments.count, sizeof *sources);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < job->segments.count; i++) {
        const struct hfile_segment *s = job->segments.p[i];
        sources[i] = (struct source){
            .segment = s, .count = hfile_section_count(s, HFILE_ROWS, sizeof(struct hfile_row))};
        rc = source_next(h, &sources[i], err);
    }
    while (rc == 0) {
        uint32_t session = UINT32_MAX;
        bool any = false;
        for (size_t i = 0; i < job->segments.count; i++) {
            any = any || sources[i].there;
            if (sources[i].there && sources[i].row.session < session)
                session = sources[i].row.session;
        }
        if (!any)
            break;
        rc = session_take(h, job, sources, session, now_us, err);
    }
    mem_free(sources);
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

static int segment_tail(struct hfile *h, struct hfile_job *job, const struct hfile_segment *s,
                        struct err *err) {
    struct buf states;
    policies_take(h, job, false, s->number);
    if (job->others_before.count == 0)
        return 0; /* nothing older that a deletion could be about */
    int rc = hfile_section_load(h->io, s, HFILE_STATES, &states, err);
    if (rc == 0) {
        deletes_take(job, buf_view(&states));
        buf_deinit(&states);
    }
    return rc;
}

int hfile_plan_segments(struct hfile *h, const struct hfile_op *op, struct hfile_job **out,
                        struct err *err) {
    struct hfile_job *job = job_new(h);
    int rc = 0;
    for (size_t i = 0; i < h->view->count; i++) {
        struct hfile_segment *s = h->view->segments[i];
        size_t taken = job->segments.count;
        if (s->number == op->segment || (taken > 0 && taken < op->segment_count))
            vec_push(&job->segments, s);
        else if (taken > 0)
            vec_push(&job->others_after, s->number);
        else
            vec_push(&job->others_before, s->number);
    }
    if (job->segments.count == 0)
        rc = err_set(err, ERR_NOT_FOUND, "no such segment");
    else
        rc = sessions_take(h, job, op->now_us, err);
    for (size_t i = 0; rc == 0 && i < job->segments.count; i++)
        rc = segment_tail(h, job, job->segments.p[i], err);
    if (rc < 0)
        hfile_job_free(job);
    else
        *out = job;
    return rc;
}
