/* SPDX-License-Identifier: Apache-2.0 */
/* seal.c - making a segment by a plan, and switching the manifest to it.
 *
 * On the sealer's thread. The plan says where each record is; the records are copied as they are,
 * one session after the other, through a packer when they shall be compressed; then the sections.
 * Order of the steps, each durable before the next: the segment; the manifest, by renaming; the log
 * or the segments that it replaces go. A crash between them leaves files that the manifest does not
 * name, which the next open removes. */
#include <fcntl.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "history/file/crc32c.h"
#include "history/file/file_int.h"

#define OUT_BYTES    ((size_t)256 << 10)
#define RECORD_AHEAD 4096 /* read at once: most records are shorter */

struct maker {
    struct hfile_io *io;
    struct hfile_job *job;
    int fd;
    uint64_t at;         /* behind what was written and what waits in out */
    uint64_t records_at; /* the same among the records, before they are compressed */
    struct buf out, record;
    struct hfile_frames *frames; /* of the segments that are read */
    struct hfile_packer *packer; /* NULL: records stand as they are */
    VEC(uint64_t) hashes;        /* by entry */
    VEC(uint64_t) was;           /* where the records were: for another try */
    struct hfile_footer footer;
    struct err *err;
};

static int flush(struct maker *m) {
    int rc = hfile_write(m->io, m->fd, m->out.p, m->out.len, m->at - m->out.len, m->err);
    buf_reset(&m->out);
    return rc;
}

static int put(struct maker *m, str data) {
    m->at += data.len;
    buf_str(&m->out, data);
    ASSERT(buf_ok(&m->out));
    return m->out.len >= OUT_BYTES ? flush(m) : 0;
}

static int put_packed(struct maker *m, bool end) {
    str packed;
    int rc = 0;
    while (rc == 0 && hfile_packer_next(m->packer, end, &packed))
        rc = put(m, packed);
    return rc;
}

static int put_record(struct maker *m, str record) {
    m->records_at += record.len;
    if (!m->packer)
        return put(m, record);
    hfile_packer_add(m->packer, record);
    return put_packed(m, false);
}

/* Copies the record at *at to the new file: *at is where it is there. */
static int copy_record(struct maker *m, const struct hfile_segment *from, uint64_t *at,
                       uint32_t bytes, enum hfile_kind kind) {
    buf_reset(&m->record);
    char *p = buf_reserve(&m->record, bytes);
    if (!p)
        return hfile_corrupt(m->err, "a record that is too long");
    int rc = from ? hfile_records_read(m->io, m->frames, from, p, bytes, *at, m->err)
                  : hfile_read(m->io, m->job->log->fd, p, bytes, *at, m->err);
    if (rc == 0 && (hfile_record_check(p, bytes) != bytes || hfile_head(p).kind != kind))
        rc = hfile_corrupt(m->err, "a record");
    if (rc < 0)
        return rc;
    m->record.len = bytes;
    vec_push(&m->was, *at);
    *at = m->records_at;
    return put_record(m, buf_view(&m->record));
}

static int copy_entries(struct maker *m, const struct hfile_job_part *part) {
    struct hfile_job_row *row = &m->job->rows.p[part->row];
    struct history_event event;
    int rc = 0;
    for (size_t i = part->entry_first; rc == 0 && i < part->entry_first + part->entry_count; i++) {
        struct hfile_entry *e = &m->job->entries.p[i];
        rc = copy_record(m, part->from, &e->at, e->bytes, HFILE_EVENT);
        if (rc == 0)
            rc = hfile_read_event(m->record.p, m->record.len, &event, NULL, m->err);
        if (rc == 0 && (event.seq != e->seq || hfile_head(m->record.p).session != row->session))
            rc = hfile_corrupt(m->err, "an event that is not where it should be");
        if (rc < 0)
            return rc;
        vec_push(&m->hashes, hfile_id_hash(row->session, event.id));
        row->payload_bytes += e->payload_bytes;
        if (e->expires_at < m->footer.expires_min)
            m->footer.expires_min = e->expires_at;
        if (e->stored_at < m->footer.stored_min)
            m->footer.stored_min = e->stored_at;
    }
    return rc;
}

static int copy_records(struct maker *m) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->job->parts.count; i++) {
        const struct hfile_job_part *part = &m->job->parts.p[i];
        rc = copy_entries(m, part);
        for (size_t k = 0; rc == 0 && k < part->checkpoint_count; k++) {
            struct hfile_place *c = &m->job->checkpoints.p[part->checkpoint_first + k];
            rc = copy_record(m, part->from, &c->at, c->bytes, HFILE_CHECKPOINT);
        }
    }
    m->footer.data_bytes = m->records_at;
    if (rc == 0 && m->packer) {
        rc = put_packed(m, true);
        str table = hfile_packer_table(m->packer);
        m->footer.frame_bytes = HFILE_FRAME_BYTES;
        m->footer.frames_crc = hfile_crc(table);
        if (rc == 0 && table.len > 0)
            rc = put(m, table);
    }
    return rc;
}

/* --- sections --- */

static void section_begin(struct maker *m, enum hfile_section what) {
    m->footer.sections[what].at = m->at;
}

static int section_put(struct maker *m, enum hfile_section what, const void *p, size_t bytes) {
    if (bytes == 0)
        return 0;
    str data = str_n(p, bytes);
    m->footer.sections[what].crc = hfile_crc_more(m->footer.sections[what].crc, data);
    m->footer.sections[what].bytes += bytes;
    return put(m, data);
}

struct sortable { /* of an entry: by a, then b */
    int64_t a;
    uint64_t b;
    uint32_t place;
};

static int sortable_cmp(const void *left, const void *right) {
    const struct sortable *a = left, *b = right;
    if (a->a != b->a)
        return a->a < b->a ? -1 : 1;
    return (a->b > b->b) - (a->b < b->b);
}

/* A row's entries by time (hashes false) or by hash. Own memory of the caller. */
static struct sortable *row_sort(const struct maker *m, const struct hfile_job_row *row,
                                 bool hashes) {
    struct sortable *list = mem_calloc(row->entry_count + 1, sizeof *list);
    for (size_t i = 0; i < row->entry_count; i++) {
        const struct hfile_entry *e = &m->job->entries.p[row->entry_first + i];
        list[i] = hashes ? (struct sortable){0, m->hashes.p[row->entry_first + i], (uint32_t)i}
                         : (struct sortable){e->occurred_at, (uint64_t)e->seq, (uint32_t)i};
    }
    qsort(list, row->entry_count, sizeof *list, sortable_cmp);
    return list;
}

static int put_sorted(struct maker *m, enum hfile_section what) {
    int rc = 0;
    section_begin(m, what);
    for (size_t r = 0; rc == 0 && r < m->job->rows.count; r++) {
        const struct hfile_job_row *row = &m->job->rows.p[r];
        struct sortable *list = row_sort(m, row, what != HFILE_ORDER);
        for (size_t i = 0; rc == 0 && i < row->entry_count; i++)
            rc = what == HFILE_HASHES ? section_put(m, what, &list[i].b, sizeof list[i].b)
                                      : section_put(m, what, &list[i].place, sizeof list[i].place);
        mem_free(list);
    }
    return rc;
}

static bool is_by_time(const struct maker *m, const struct hfile_job_row *row) {
    const struct hfile_entry *e = &m->job->entries.p[row->entry_first];
    for (size_t i = 1; i < row->entry_count; i++) {
        if (e[i - 1].occurred_at > e[i].occurred_at)
            return false;
    }
    return true;
}

static int put_rows(struct maker *m) {
    int rc = 0;
    section_begin(m, HFILE_ROWS);
    for (size_t i = 0; rc == 0 && i < m->job->rows.count; i++) {
        const struct hfile_job_row *row = &m->job->rows.p[i];
        struct hfile_row to = {.session = row->session,
                               .by_time = is_by_time(m, row),
                               .entry_first = (uint32_t)row->entry_first,
                               .entry_count = (uint32_t)row->entry_count,
                               .payload_bytes = row->payload_bytes,
                               .state_at = row->state_at,
                               .state_bytes = (uint32_t)row->state_bytes,
                               .checkpoint_first = (uint32_t)row->checkpoint_first,
                               .checkpoint_count = (uint32_t)row->checkpoint_count};
        if (row->entry_count > 0) {
            to.seq_min = m->job->entries.p[row->entry_first].seq;
            to.seq_max = m->job->entries.p[row->entry_first + row->entry_count - 1].seq;
        }
        rc = section_put(m, HFILE_ROWS, &to, sizeof to);
    }
    return rc;
}

static int put_sections(struct maker *m) {
    const struct hfile_job *job = m->job;
    section_begin(m, HFILE_STATES);
    int rc = section_put(m, HFILE_STATES, job->states.p, job->states.len);
    if (rc == 0)
        rc = put_rows(m);
    section_begin(m, HFILE_ENTRIES);
    if (rc == 0)
        rc = section_put(m, HFILE_ENTRIES, job->entries.p,
                         job->entries.count * sizeof *job->entries.p);
    for (enum hfile_section what = HFILE_ORDER; rc == 0 && what <= HFILE_PLACES; what++)
        rc = put_sorted(m, what);
    section_begin(m, HFILE_CHECKPOINTS);
    if (rc == 0)
        rc = section_put(m, HFILE_CHECKPOINTS, job->checkpoints.p,
                         job->checkpoints.count * sizeof *job->checkpoints.p);
    struct hfile_footer *f = &m->footer;
    f->crc = hfile_crc(str_n((const char *)f, offsetof(struct hfile_footer, crc)));
    if (rc == 0)
        rc = put(m, str_n((const char *)f, sizeof *f));
    return rc;
}

/* The plan as it was. */
static void undo(struct maker *m) {
    size_t n = 0;
    for (size_t i = 0; i < m->job->parts.count; i++) {
        const struct hfile_job_part *part = &m->job->parts.p[i];
        m->job->rows.p[part->row].payload_bytes = 0;
        for (size_t k = 0; k < part->entry_count && n < m->was.count; k++)
            m->job->entries.p[part->entry_first + k].at = m->was.p[n++];
        for (size_t k = 0; k < part->checkpoint_count && n < m->was.count; k++)
            m->job->checkpoints.p[part->checkpoint_first + k].at = m->was.p[n++];
    }
}

static int make(struct hfile_io *io, struct hfile_job *job, struct err *err) {
    char name[HFILE_NAME_BYTES];
    hfile_segment_name(job->number, name);
    struct maker m = {.io = io, .job = job, .err = err};
    m.footer.number = job->number;
    m.footer.expires_min = m.footer.stored_min = INT64_MAX;
    memcpy(m.footer.magic, HFILE_SEGMENT_MAGIC, sizeof m.footer.magic);
    m.fd = io->open(io, name, O_RDWR | O_CREAT | O_TRUNC);
    if (m.fd < 0)
        return hfile_error(err, m.fd, "making a segment");
    buf_init(&m.out, SIZE_MAX / 2);
    buf_init(&m.record, HFILE_RECORD_BYTES_MAX);
    m.frames = hfile_frames_new();
    m.packer = job->h->options.compress ? hfile_packer_new() : NULL;
    int rc = copy_records(&m);
    if (rc == 0)
        rc = put_sections(&m);
    if (rc == 0)
        rc = flush(&m);
    if (rc == 0 && (rc = io->sync(io, m.fd)) < 0)
        rc = hfile_error(err, rc, "syncing a segment");
    if (rc == 0)
        rc = FAILPOINT("history.file.segment_made");
    if (rc == 0)
        rc = hfile_segment_open(io, job->h->files, job->number, &job->made, err);
    if (rc < 0)
        undo(&m);
    io->close_file(io, m.fd);
    hfile_frames_free(m.frames);
    hfile_packer_free(m.packer);
    buf_deinit(&m.out);
    buf_deinit(&m.record);
    vec_deinit(&m.hashes);
    vec_deinit(&m.was);
    return rc;
}

/* --- the switch --- */

static int switch_manifest(struct hfile_io *io, struct hfile_job *job, struct err *err) {
    VEC(uint32_t) numbers = {0};
    for (size_t i = 0; i < job->others_before.count; i++)
        vec_push(&numbers, job->others_before.p[i]);
    if (job->made)
        vec_push(&numbers, job->number);
    for (size_t i = 0; i < job->others_after.count; i++)
        vec_push(&numbers, job->others_after.p[i]);
    int rc =
        hfile_manifest_write(io, job->sealed_log, job->number + 1, numbers.p, numbers.count, err);
    vec_deinit(&numbers);
    return rc;
}

static void remove_old(struct hfile_io *io, const struct hfile_job *job) {
    char name[HFILE_NAME_BYTES];
    if (job->log) {
        hfile_log_name(job->log->number, name);
        (void)io->unlink(io, name); /* else the next open does it */
    }
    for (size_t i = 0; i < job->segments.count; i++) {
        hfile_segment_keep(job->segments.p[i]);
        hfile_segment_name(job->segments.p[i]->number, name);
        (void)io->unlink(io, name); /* as above */
    }
    (void)io->sync_folder(io);
}

void hfile_job_run(struct hfile_io *io, struct hfile_job *job) {
    bool empty = job->rows.count == 0 && job->states.len == 0;
    job->rc = empty ? 0 : make(io, job, &job->err);
    if (job->rc == 0)
        job->rc = switch_manifest(io, job, &job->err);
    if (job->rc == 0 && FAILPOINT("history.file.manifest_switched") == 0)
        remove_old(io, job);
    if (job->rc < 0 && job->made) {
        hfile_segment_unref(job->made);
        job->made = NULL;
    }
}

void hfile_job_free(struct hfile_job *job) {
    if (!job)
        return;
    hfile_segment_unref(job->made);
    vec_deinit(&job->segments);
    vec_deinit(&job->rows);
    vec_deinit(&job->parts);
    vec_deinit(&job->entries);
    vec_deinit(&job->checkpoints);
    vec_deinit(&job->dropped);
    vec_deinit(&job->others_before);
    vec_deinit(&job->others_after);
    buf_deinit(&job->states);
    mem_free(job);
}
