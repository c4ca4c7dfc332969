/* SPDX-License-Identifier: Apache-2.0 */
/* verify.c - looking at every byte of a history that lies still, and cutting off torn ends.
 *
 * First everything is loaded as for reading, which holds the states, rows and logs against each
 * other; then each segment is walked: CRCs of the sections, each record, its entry, its place in
 * the order of time, its hash; the digests of the checkpoints. A finding is told and the walk goes
 * on behind it. */
#include "base/hash.h"
#include "history/file/crc32c.h"
#include "history/file/file_int.h"

struct walk {
    struct hfile *h;
    history_file_finding_fn finding;
    void *ctx;
    struct history_file_report *report;
    struct buf record;
    struct hfile_frames *frames;
};

static void tell(struct walk *w, const struct hfile_segment *s, const struct err *err) {
    struct err e = *err;
    w->report->findings++;
    if (s)
        (void)err_context(&e, "seg-%u", s->number);
    if (w->finding)
        w->finding(w->ctx, e.message);
}

/* The record at `at`, whole; absent when it is damaged, which was told. */
static str record_at(struct walk *w, const struct hfile_segment *s, uint64_t at, size_t bytes,
                     enum hfile_kind kind) {
    struct err err = {0};
    buf_reset(&w->record);
    char *p = bytes < sizeof(struct hfile_record) ? NULL : buf_reserve(&w->record, bytes);
    int rc = p ? hfile_records_read(w->h->io, w->frames, s, p, bytes, at, &err)
               : hfile_corrupt(&err, "the length of a record");
    if (rc == 0 && (hfile_record_check(p, bytes) != bytes || hfile_head(p).kind != kind))
        rc = hfile_corrupt(&err, "a record");
    if (rc < 0)
        tell(w, s, &err);
    return rc < 0 ? STR_NULL : str_n(p, bytes);
}

static int check_entry(struct walk *w, const struct hfile_segment *s, const struct hfile_row *row,
                       const struct hfile_entry *e, struct err *err) {
    struct history_event event;
    struct hfile_entry found;
    unsigned char digest[HASH_XXH3_BYTES], stored[HASH_XXH3_BYTES];
    size_t step = 0;
    bool more = true;
    str record = record_at(w, s, e->at, e->bytes, HFILE_EVENT);
    if (!record.p)
        return 0;
    int rc = hfile_read_event(record.p, record.len, &event, stored, err);
    if (rc < 0)
        return rc;
    history_event_digest(&event, digest);
    if (memcmp(digest, stored, sizeof digest) != 0) {
        event.occurred_at_is_ours = true; /* the sender gave no time */
        history_event_digest(&event, digest);
    }
    if (event.seq != e->seq || event.occurred_at != e->occurred_at ||
        event.stored_at != e->stored_at || event.payload_bytes != e->payload_bytes ||
        history_event_expires_at(&event) != e->expires_at ||
        hfile_head(record.p).session != row->session || memcmp(digest, stored, sizeof digest) != 0)
        return hfile_corrupt(err, "an event and its index do not agree");
    uint64_t hash = hfile_id_hash(row->session, event.id);
    do {
        rc = hfile_row_hash(w->h->io, s, row, hash, &step, &found, &more, err);
    } while (rc == 0 && more && found.seq != e->seq);
    return rc == 0 && !more ? hfile_corrupt(err, "an id is not in the index") : rc;
}

static int check_row(struct walk *w, const struct hfile_segment *s, const struct hfile_row *row,
                     struct err *err) {
    struct hfile_entry e, before = {.seq = 0}, timed, timed_before = {.occurred_at = INT64_MIN};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < row->entry_count; i++) {
        rc = hfile_row_entries(w->h->io, s, row, false, i, 1, &e, err);
        if (rc == 0)
            rc = hfile_row_entries(w->h->io, s, row, true, i, 1, &timed, err);
        if (rc == 0 && (e.seq <= before.seq || timed.occurred_at < timed_before.occurred_at ||
                        (i == 0 && e.seq != row->seq_min) ||
                        (i + 1 == row->entry_count && e.seq != row->seq_max)))
            rc = hfile_corrupt(err, "entries that are out of order");
        if (rc == 0)
            rc = check_entry(w, s, row, &e, err);
        before = e;
        timed_before = timed;
        w->report->events++;
    }
    return rc;
}

static int check_checkpoints(struct walk *w, const struct hfile_segment *s, struct err *err) {
    size_t count = hfile_section_count(s, HFILE_CHECKPOINTS, sizeof(struct hfile_place));
    unsigned char digest[HASH_SHA256_BYTES];
    struct history_checkpoint c;
    struct hfile_place place;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = hfile_section_read(w->h->io, s, HFILE_CHECKPOINTS, sizeof place, i, 1, &place, err);
        str record = rc < 0 ? STR_NULL : record_at(w, s, place.at, place.bytes, HFILE_CHECKPOINT);
        if (!record.p)
            continue;
        rc = hfile_read_checkpoint(record.p, record.len, &c, err);
        if (rc < 0)
            return rc;
        hash_sha256(c.payload, digest);
        if (memcmp(digest, c.digest, sizeof digest) != 0 || !id_eq(c.id, place.id))
            rc = hfile_corrupt(err, "the digest of a checkpoint");
        w->report->checkpoints++;
    }
    return rc;
}

static void check_sections(struct walk *w, const struct hfile_segment *s) {
    for (int i = 0; i < HFILE_SECTIONS; i++) {
        struct err err = {0};
        struct buf b;
        if (hfile_section_load(w->h->io, s, (enum hfile_section)i, &b, &err) < 0)
            tell(w, s, &err);
        else
            buf_deinit(&b);
    }
}

static int check_frames(struct walk *w, const struct hfile_segment *s, struct err *err) {
    size_t bytes = hfile_frame_count(&s->footer) * sizeof(struct hfile_frame);
    buf_reset(&w->record);
    char *p = buf_reserve(&w->record, bytes + 1);
    int rc = p ? hfile_segment_read(w->h->io, s, p, bytes, s->frames_at, err)
               : hfile_corrupt(err, "too many frames");
    if (rc == 0 && hfile_crc(str_n(p, bytes)) != s->footer.frames_crc)
        rc = hfile_corrupt(err, "the table of frames");
    return rc;
}

static void check_segment(struct walk *w, const struct hfile_segment *s) {
    size_t count = hfile_section_count(s, HFILE_ROWS, sizeof(struct hfile_row));
    struct hfile_row row;
    check_sections(w, s);
    for (size_t i = 0; i < count; i++) {
        struct err err = {0};
        int rc = hfile_row_read(w->h->io, s, i, &row, &err);
        if (rc == 0)
            rc = check_row(w, s, &row, &err);
        if (rc < 0)
            tell(w, s, &err);
    }
    struct err err = {0};
    if (check_frames(w, s, &err) < 0)
        tell(w, s, &err);
    err_reset(&err);
    if (check_checkpoints(w, s, &err) < 0)
        tell(w, s, &err);
    w->report->bytes += (int64_t)s->bytes;
    w->report->files++;
}

static void check_logs(struct walk *w) {
    for (int i = 0; i < 2; i++) {
        const struct hfile_log *log = w->h->view->logs[i];
        if (!log)
            continue;
        w->report->files++;
        w->report->bytes += (int64_t)log->tail;
        w->report->events += log->event_count;
    }
    struct hfile_cursor c = {0};
    for (const struct hfile_session *s; (s = hfile_index_next(&w->h->index, &c)) != NULL;) {
        w->report->sessions++;
        for (size_t i = 0; s->extra && i < s->extra->checkpoints.count; i++)
            w->report->checkpoints += s->extra->checkpoints.p[i].in_log;
    }
}

int history_file_verify(const char *dir, struct hfile_io *io, history_file_finding_fn finding,
                        void *ctx, struct history_file_report *out, struct err *err) {
    struct history_file_options o = {.dir = dir, .read_only = true, .io = io};
    struct history_file_report report = {0};
    struct hfile *h = hfile_new(NULL, &o);
    struct walk w = {
        .h = h, .finding = finding, .ctx = ctx, .report = &report, .frames = hfile_frames_new()};
    struct err damage = {0};
    uint64_t torn = 0;
    int rc = h->io ? 0 : hfile_io_folder(dir, false, &h->io, err);
    if (rc == 0)
        rc = hfile_marker(h, err);
    buf_init(&w.record, HFILE_RECORD_BYTES_MAX);
    if (rc == 0 && (rc = hfile_load(h, &torn, &damage)) == ERR_CORRUPT) {
        tell(&w, NULL, &damage);
        rc = 0;
    } else if (rc < 0 && damage.code && err) {
        *err = damage;
    }
    for (size_t i = 0; rc == 0 && h->view && i < h->view->count; i++)
        check_segment(&w, h->view->segments[i]);
    if (rc == 0 && h->view)
        check_logs(&w);
    report.torn_bytes = (int64_t)torn;
    if (rc == 0)
        *out = report;
    buf_deinit(&w.record);
    hfile_frames_free(w.frames);
    hfile_unload(h);
    if (h->io)
        h->io->close(h->io);
    mem_free(h);
    return rc;
}

/* --- repair --- */

struct repair {
    struct hfile_io *io;
    VEC(uint32_t) logs;
    uint32_t sealed;
};

static int note_log(void *ctx, const char *name) {
    struct repair *r = ctx;
    uint64_t number;
    str s = str_of(name);
    if (str_starts(s, STR("log-")) && str_to_u64(str_slice(s, 4, s.len), &number) &&
        number > r->sealed && number <= UINT32_MAX)
        vec_push(&r->logs, (uint32_t)number);
    return 0;
}

static int nothing(void *ctx, struct hfile_log *log, const char *p, uint64_t at, struct err *err) {
    (void)ctx, (void)log, (void)p, (void)at, (void)err;
    return 0;
}

static int repair_logs(struct repair *r, int64_t *out_cut, struct err *err) {
    struct hfile_replay replay = {nothing, NULL};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->logs.count; i++) {
        struct hfile_log *log;
        uint64_t torn;
        rc = hfile_log_open(r->io, r->logs.p[i], &replay, &log, &torn, err);
        if (rc < 0)
            return rc;
        if (torn > 0)
            rc = hfile_log_rewrite(r->io, log, err);
        *out_cut += (int64_t)torn;
        hfile_log_unref(r->io, log);
    }
    return rc;
}

int history_file_repair(const char *dir, struct hfile_io *io, int64_t *out_cut_bytes,
                        struct err *err) {
    struct repair r = {.io = io};
    struct hfile_manifest m;
    uint32_t *numbers = NULL;
    int64_t cut = 0;
    int rc = io ? 0 : hfile_io_folder(dir, false, &r.io, err);
    if (rc == 0)
        rc = hfile_lock(r.io, err);
    if (rc == 0)
        rc = hfile_manifest_read(r.io, &m, &numbers, err);
    if (rc == 0) {
        r.sealed = m.sealed_log;
        int code = r.io->list(r.io, note_log, &r);
        rc = code < 0 ? hfile_error(err, code, "listing the folder") : repair_logs(&r, &cut, err);
    }
    if (rc == 0)
        *out_cut_bytes = cut;
    mem_free(numbers);
    vec_deinit(&r.logs);
    if (r.io)
        r.io->close(r.io);
    return rc;
}
