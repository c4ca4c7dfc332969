/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - from the files to the index: the manifest, the segments' states and rows, the logs.
 *
 *   states, oldest segment first: a newer one replaces what an older one says of a session
 *   rows: where the events and checkpoints of each session are
 *   the log that was being sealed, if there is one: replayed, and sealed at once
 *   the active log: replayed; written anew when it was not closed in order
 *   counts: from the rows and from what is in the logs
 *
 * Files that the manifest does not name are left from a crash, and go. */
#include <fcntl.h>

#include "base/clock.h"
#include "history/file/file_int.h"

#define ROWS_AT_ONCE 256

/* --- states --- */

static int state_extra(const char *p, size_t bytes, size_t at, const struct hfile_state_head *h,
                       struct hfile_extra *x, struct err *err) {
    if (h->checkpoint_count > (bytes - at) / sizeof(struct id))
        return hfile_corrupt(err, "the checkpoints of a session");
    for (uint32_t i = 0; i < h->checkpoint_count; i++, at += sizeof(struct id)) {
        struct hfile_checkpoint c = {0};
        memcpy(&c.id, p + at, sizeof c.id);
        vec_push(&x->checkpoints, c);
    }
    for (uint32_t i = 0; i < h->consumer_count; i++) {
        int64_t numbers[2];
        uint16_t len;
        if (bytes - at < sizeof numbers + sizeof len)
            return hfile_corrupt(err, "the consumers of a session");
        memcpy(numbers, p + at, sizeof numbers);
        memcpy(&len, p + at + sizeof numbers, sizeof len);
        at += sizeof numbers + sizeof len;
        if (len == 0 || len > bytes - at)
            return hfile_corrupt(err, "the consumers of a session");
        hfile_consumer_set(x, str_n(p + at, len), numbers[0], numbers[1]);
        at += len;
    }
    x->latest = h->latest;
    return 0;
}

static int load_state(struct hfile *h, const struct hfile_segment *seg, const char *p,
                      struct err *err) {
    struct hfile_record r = hfile_head(p);
    struct hfile_state_head head;
    size_t at = sizeof r + sizeof head;
    if (r.bytes < at)
        return hfile_corrupt(err, "the state of a session");
    memcpy(&head, p + sizeof r, sizeof head);
    if ((size_t)head.owner_bytes + head.name_bytes > r.bytes - at || r.seq < 0)
        return hfile_corrupt(err, "the state of a session");
    str owner = str_n(p + at, head.owner_bytes);
    str name = str_n(p + at + head.owner_bytes, head.name_bytes);
    struct hfile_session *s = hfile_index_number(&h->index, r.session);
    if (!s)
        s = hfile_index_add(&h->index, r.session, owner, name);
    if (!s || !str_eq(hfile_owner(s), owner) || !str_eq(hfile_name(s), name))
        return hfile_corrupt(err, "two sessions of one name or number");
    s->state = (struct hfile_state){.last_seq = r.seq,
                                    .first_seq = head.first_seq,
                                    .created_at = head.created_at,
                                    .updated_at = r.stored_at};
    s->state_segment = seg->number;
    hfile_extra_free(s->extra);
    s->extra = NULL;
    if (head.checkpoint_count == 0 && head.consumer_count == 0)
        return 0;
    s->extra = NEW(struct hfile_extra);
    return state_extra(p, r.bytes, at + head.owner_bytes + head.name_bytes, &head, s->extra, err);
}

static int load_retention(struct hfile *h, const char *p, struct hfile_policy **out,
                          struct err *err) {
    struct history_retention r;
    str owner;
    int rc = hfile_read_retention(p, &owner, &r, err);
    if (rc == 0)
        *out = hfile_policy_set(&h->index, owner, &r);
    return rc;
}

static int load_tail(struct hfile *h, const struct hfile_segment *seg, const char *p,
                     struct err *err) {
    struct hfile_policy *policy;
    struct hfile_record r = hfile_head(p);
    if (r.kind == HFILE_RETENTION) {
        int rc = load_retention(h, p, &policy, err);
        if (rc == 0)
            policy->segment = seg->number;
        return rc;
    }
    if (r.kind != HFILE_DELETE)
        return hfile_corrupt(err, "a record that does not belong there");
    struct hfile_session *s = hfile_index_number(&h->index, r.session);
    if (s)
        hfile_index_remove(&h->index, s);
    if (r.session >= h->index.number_next)
        h->index.number_next = r.session + 1;
    return 0;
}

/* Deletions first: a session of that name may have begun again. */
static int load_states(struct hfile *h, const struct hfile_segment *seg, struct err *err) {
    struct buf states;
    int rc = hfile_section_load(h->io, seg, HFILE_STATES, &states, err);
    if (rc < 0)
        return rc;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t at = 0, bytes; rc == 0 && at < states.len; at += bytes) {
            const char *p = states.p + at;
            bytes = hfile_record_check(p, states.len - at);
            if (bytes == 0)
                rc = hfile_corrupt(err, "a record of a segment");
            else if ((hfile_head(p).kind == HFILE_DELETE) != (pass == 0))
                continue;
            else if (hfile_head(p).kind == HFILE_STATE)
                rc = load_state(h, seg, p, err);
            else
                rc = load_tail(h, seg, p, err);
        }
    }
    buf_deinit(&states);
    return rc;
}

/* --- rows --- */

static int load_places(struct hfile *h, struct hfile_segment *seg, const struct hfile_row *row,
                       struct hfile_session *s, struct err *err) {
    struct hfile_place place;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < row->checkpoint_count; i++) {
        rc = hfile_section_read(h->io, seg, HFILE_CHECKPOINTS, sizeof place,
                                (size_t)row->checkpoint_first + i, 1, &place, err);
        if (rc == 0 && !hfile_record_lies_in(seg, place.at, place.bytes))
            rc = hfile_corrupt(err, "the place of a checkpoint");
        for (size_t k = 0; rc == 0 && s->extra && k < s->extra->checkpoints.count; k++) {
            struct hfile_checkpoint *c = &s->extra->checkpoints.p[k];
            if (id_eq(c->id, place.id))
                *c = (struct hfile_checkpoint){place.id, place.at, place.bytes, seg->number, false};
        }
    }
    return rc;
}

static int load_row(struct hfile *h, struct hfile_segment *seg, const struct hfile_row *row,
                    uint32_t number, struct err *err) {
    struct hfile_session *s = hfile_index_number(&h->index, row->session);
    if (!s) {
        h->deleted = true;
        return 0;
    }
    if (row->entry_count > 0) {
        struct hfile_run run = {row->seq_min, seg, number};
        if (row->seq_min < 1 || row->seq_min > row->seq_max || row->seq_max > s->state.last_seq ||
            (s->run_count > 0 && s->runs[s->run_count - 1].seq_min >= row->seq_min))
            return hfile_corrupt(err, "the rows of a session");
        hfile_run_push(s, &run);
    }
    return load_places(h, seg, row, s, err);
}

static int load_rows(struct hfile *h, struct hfile_segment *seg, struct err *err) {
    size_t count = hfile_section_count(seg, HFILE_ROWS, sizeof(struct hfile_row));
    struct hfile_row *rows = mem_calloc(ROWS_AT_ONCE, sizeof *rows);
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < count; at += ROWS_AT_ONCE) {
        size_t n = count - at < ROWS_AT_ONCE ? count - at : ROWS_AT_ONCE;
        rc = hfile_section_read(h->io, seg, HFILE_ROWS, sizeof *rows, at, n, rows, err);
        for (size_t i = 0; rc == 0 && i < n; i++)
            rc = load_row(h, seg, &rows[i], (uint32_t)(at + i), err);
    }
    mem_free(rows);
    return rc;
}

/* --- logs --- */

static struct hfile_extra *extra_of(struct hfile_session *s) {
    if (!s->extra)
        s->extra = NEW(struct hfile_extra);
    return s->extra;
}

static int replay_event(struct hfile *h, struct hfile_log *log, struct hfile_session *s,
                        const char *p, uint64_t at, struct err *err) {
    struct history_event e;
    uint32_t bytes = hfile_head(p).bytes;
    int rc = hfile_read_event(p, bytes, &e, NULL, err);
    if (rc == 0 && e.seq != s->state.last_seq + 1)
        rc = hfile_corrupt(err, "a gap in the numbers of a session");
    if (rc < 0)
        return rc;
    struct hfile_entry entry = {.seq = e.seq,
                                .occurred_at = e.occurred_at,
                                .expires_at = history_event_expires_at(&e),
                                .stored_at = e.stored_at,
                                .at = at,
                                .bytes = bytes,
                                .payload_bytes = (uint32_t)e.payload_bytes};
    hfile_part_push(s, log->number, &entry);
    if (!h->options.read_only)
        hfile_ids_add(&log->ids, hfile_id_hash(s->number, e.id), at);
    log->event_count++;
    if (entry.expires_at < log->expires_min)
        log->expires_min = entry.expires_at;
    if (entry.stored_at < log->stored_min)
        log->stored_min = entry.stored_at;
    s->state.last_seq = e.seq;
    s->state.updated_at = e.stored_at;
    return 0;
}

static int replay_checkpoint(struct hfile_log *log, struct hfile_session *s, const char *p,
                             uint64_t at, struct err *err) {
    struct history_checkpoint c;
    struct hfile_record r = hfile_head(p);
    int rc = hfile_read_checkpoint(p, r.bytes, &c, err);
    if (rc == 0 && hfile_checkpoint_find(s->extra, c.id))
        rc = hfile_corrupt(err, "a checkpoint that is there twice");
    if (rc < 0)
        return rc;
    struct hfile_checkpoint place = {c.id, at, r.bytes, log->number, true};
    hfile_checkpoint_push(extra_of(s), &place);
    s->state.updated_at = r.stored_at;
    return 0;
}

static int replay_name(struct hfile_session *s, const char *p, struct err *err) {
    struct hfile_record r = hfile_head(p);
    str name;
    int rc = hfile_read_name(p, &name, err);
    if (rc == 0 && r.kind == HFILE_CONSUMER)
        hfile_consumer_set(extra_of(s), name, r.seq, r.stored_at);
    else if (rc == 0)
        (void)hfile_consumer_remove(extra_of(s), name); /* it is gone in either case */
    return rc;
}

static void replay_delete(struct hfile *h, struct hfile_log *log, struct hfile_session *s) {
    for (int i = 0; i < 2; i++)
        log->dead_count += s->parts[i] ? s->parts[i]->count : 0;
    log->dead_count++;
    vec_push(&log->dead, s->number);
    h->deleted = true;
    hfile_index_remove(&h->index, s);
}

static int replay_session(struct hfile *h, const char *p, struct err *err) {
    struct history_key key;
    int64_t created_at;
    int rc = hfile_read_session(p, &key, &created_at, err);
    if (rc < 0)
        return rc;
    struct hfile_session *s =
        hfile_index_add(&h->index, hfile_head(p).session, key.owner, key.session);
    if (!s)
        return hfile_corrupt(err, "two sessions of one name or number");
    s->state.created_at = s->state.updated_at = created_at;
    return 0;
}

static int replay_of(struct hfile *h, struct hfile_log *log, struct hfile_session *s, const char *p,
                     uint64_t at, struct err *err) {
    struct hfile_record r = hfile_head(p);
    switch (r.kind) {
    case HFILE_EVENT:
        return replay_event(h, log, s, p, at, err);
    case HFILE_TRIM:
        if (r.seq > s->state.first_seq)
            s->state.first_seq = r.seq;
        return 0;
    case HFILE_CHECKPOINT:
        return replay_checkpoint(log, s, p, at, err);
    case HFILE_ROLLBACK:
        if (r.bytes < sizeof r + sizeof(struct id))
            return hfile_corrupt(err, "a rollback");
        memcpy(&extra_of(s)->latest, p + sizeof r, sizeof(struct id));
        return 0;
    case HFILE_CONSUMER:
    case HFILE_CONSUMER_GONE:
        return replay_name(s, p, err);
    default:
        return hfile_corrupt(err, "a record that does not belong there");
    }
}

static int replay(void *ctx, struct hfile_log *log, const char *p, uint64_t at, struct err *err) {
    struct hfile *h = ctx;
    struct hfile_record r = hfile_head(p);
    struct hfile_policy *policy;
    int rc = 0;
    if (r.kind == HFILE_MARK)
        return 0;
    if (r.kind == HFILE_RETENTION) {
        rc = load_retention(h, p, &policy, err);
        if (rc == 0)
            policy->touched = log->number;
        return rc;
    }
    if (r.kind == HFILE_SESSION)
        rc = replay_session(h, p, err);
    struct hfile_session *s = rc == 0 ? hfile_index_number(&h->index, r.session) : NULL;
    if (rc == 0 && !s)
        rc = hfile_corrupt(err, "a record of an unknown session");
    if (rc < 0)
        return rc;
    if (r.kind == HFILE_DELETE) {
        replay_delete(h, log, s);
        return 0;
    }
    if (s->touched != log->number) {
        s->touched = log->number;
        vec_push(&log->touched, s->number);
    }
    return r.kind == HFILE_SESSION ? 0 : replay_of(h, log, s, p, at, err);
}

static int load_log(struct hfile *h, uint32_t number, uint64_t *out_torn, struct err *err) {
    struct hfile_replay r = {replay, h};
    struct hfile_log *log;
    int rc = hfile_log_open(h->io, number, &r, &log, out_torn, err);
    if (rc == 0)
        h->view->logs[number & 1] = log;
    return rc;
}

/* --- counts --- */

static int count_run(struct hfile *h, struct hfile_session *s, const struct hfile_run *run,
                     struct err *err) {
    struct hfile_row row;
    struct hfile_entry e;
    struct hfile_key first = {0, s->state.first_seq};
    size_t from = 0;
    int rc = hfile_row_read(h->io, run->segment, run->row, &row, err);
    if (rc == 0 && s->state.first_seq > row.seq_min)
        rc = hfile_row_search(h->io, run->segment, &row, false, &first, &from, err);
    if (rc < 0)
        return rc;
    run->segment->dead_count += (int64_t)from;
    s->state.event_count += (int64_t)(row.entry_count - from);
    s->state.payload_bytes += row.payload_bytes;
    if (from == row.entry_count)
        s->state.payload_bytes -= row.payload_bytes;
    for (size_t i = 0; rc == 0 && i < from && from < row.entry_count; i++) {
        rc = hfile_row_entries(h->io, run->segment, &row, false, i, 1, &e, err);
        if (rc == 0)
            s->state.payload_bytes -= e.payload_bytes;
    }
    return rc;
}

static int count_session(struct hfile *h, struct hfile_session *s, struct err *err) {
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < s->run_count; i++)
        rc = count_run(h, s, &s->runs[i], err);
    for (int i = 0; i < 2; i++) {
        for (uint32_t k = 0; s->parts[i] && k < s->parts[i]->count; k++) {
            if (s->parts[i]->p[k].seq < s->state.first_seq)
                continue;
            s->state.event_count++;
            s->state.payload_bytes += s->parts[i]->p[k].payload_bytes;
        }
    }
    h->index.event_count += s->state.event_count;
    h->index.payload_bytes += s->state.payload_bytes;
    return rc;
}

/* Checkpoints that no file has any more were superseded by later ones. */
static void drop_missing(struct hfile_extra *x) {
    size_t kept = 0;
    for (size_t i = 0; x && i < x->checkpoints.count; i++) {
        if (x->checkpoints.p[i].bytes > 0)
            x->checkpoints.p[kept++] = x->checkpoints.p[i];
    }
    if (x)
        x->checkpoints.count = kept;
}

static int load_counts(struct hfile *h, struct err *err) {
    struct hfile_cursor c = {0};
    int rc = 0;
    for (struct hfile_session *s; rc == 0 && (s = hfile_index_next(&h->index, &c)) != NULL;) {
        drop_missing(s->extra);
        rc = count_session(h, s, err);
    }
    return rc;
}

/* --- the folder --- */

struct names {
    struct hfile *h;
    uint32_t log_min, log_max;
    size_t logs;
    VEC(char *) stale;
};

static bool name_number(str name, str prefix, uint32_t *out) {
    uint64_t v;
    if (!str_starts(name, prefix) || !str_to_u64(str_slice(name, prefix.len, name.len), &v) ||
        v > UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

static int look_at_name(void *ctx, const char *z) {
    struct names *n = ctx;
    uint32_t number;
    str name = str_of(z);
    bool stale = str_ends(name, STR(".new"));
    if (name_number(name, STR("seg-"), &number))
        stale = hfile_view_find(n->h->view, number) == NULL;
    if (name_number(name, STR("log-"), &number)) {
        stale = number <= n->h->sealed_log;
        if (!stale) {
            n->logs++;
            n->log_min = number < n->log_min ? number : n->log_min;
            n->log_max = number > n->log_max ? number : n->log_max;
        }
    }
    if (stale)
        vec_push(&n->stale, mem_strdup(z));
    return 0;
}

static int load_segments(struct hfile *h, struct err *err) {
    struct hfile_manifest m;
    uint32_t *numbers;
    int rc = hfile_manifest_read(h->io, &m, &numbers, err);
    if (rc < 0)
        return rc;
    h->sealed_log = m.sealed_log;
    h->segment_next = m.segment_next;
    h->files = hfile_files_new(h->io, h->options.files_max);
    h->view = hfile_view_new(m.segment_count);
    h->view->count = 0;
    for (uint32_t i = 0; rc == 0 && i < m.segment_count; i++) {
        rc = hfile_segment_open(h->io, h->files, numbers[i], &h->view->segments[i], err);
        h->view->count += rc == 0;
    }
    mem_free(numbers);
    for (size_t i = 0; rc == 0 && i < h->view->count; i++)
        rc = load_states(h, h->view->segments[i], err);
    for (size_t i = 0; rc == 0 && i < h->view->count; i++)
        rc = load_rows(h, h->view->segments[i], err);
    return rc;
}

/* The older one of two logs was being sealed. */
static int seal_older(struct hfile *h, uint32_t number, struct err *err) {
    struct hfile_op none = {.now_us = INT64_MIN};
    struct hfile_log *log = h->view->logs[number & 1];
    int rc = hfile_plan_log(h, log, &none, &h->job, err);
    if (rc < 0)
        return rc;
    struct hfile_job *job = h->job;
    hfile_job_run(h->io, job);
    if (job->rc < 0) {
        rc = job->rc;
        if (err)
            *err = job->err;
        h->job = NULL;
        hfile_job_free(job);
        return rc;
    }
    hfile_install(h, job);
    return 0;
}

static int active_log(struct hfile *h, uint32_t number, struct err *err) {
    struct hfile_log *log = h->view->logs[number & 1];
    if (!log)
        return hfile_log_make(h->io, number, h->options.segment_bytes, &h->view->logs[number & 1],
                              err);
    int rc = log->clean ? 0 : hfile_log_rewrite(h->io, log, err);
    if (rc == 0 && log->clean) { /* it was opened for reading */
        char name[HFILE_NAME_BYTES];
        hfile_log_name(number, name);
        int fd = h->io->open(h->io, name, O_RDWR);
        if (fd < 0)
            return hfile_error(err, fd, "opening a log");
        h->io->close_file(h->io, log->fd);
        log->fd = fd;
    }
    if (rc == 0 && log->tail < h->options.segment_bytes)
        (void)h->io->allocate(h->io, log->fd, h->options.segment_bytes); /* a comfort */
    return rc;
}

static int load_logs(struct hfile *h, const struct names *n, uint64_t *out_torn, struct err *err) {
    uint32_t first = h->sealed_log + 1;
    uint64_t torn = 0;
    int rc = 0;
    if (n->logs > 2 || (n->logs > 0 && (n->log_min != first || n->log_max != first + n->logs - 1)))
        return hfile_corrupt(err, "a log is missing");
    for (uint32_t i = first; rc == 0 && i < first + n->logs; i++) {
        rc = load_log(h, i, &torn, err);
        *out_torn += torn;
        if (rc == 0 && i + 1 < first + n->logs && !h->options.read_only)
            rc = seal_older(h, i, err);
    }
    uint32_t active = n->logs ? n->log_max : first;
    if (rc == 0 && !h->options.read_only)
        rc = active_log(h, active, err);
    return rc;
}

int hfile_load(struct hfile *h, uint64_t *out_torn, struct err *err) {
    struct names n = {.h = h, .log_min = UINT32_MAX};
    *out_torn = 0;
    h->index.number_next = 1;
    int rc = load_segments(h, err);
    int code = rc < 0 ? 0 : h->io->list(h->io, look_at_name, &n);
    if (code < 0)
        rc = hfile_error(err, code, "listing the folder");
    for (size_t i = 0; i < n.stale.count; i++) { /* first: their names may be taken again */
        if (rc == 0 && !h->options.read_only)
            (void)h->io->unlink(h->io, n.stale.p[i]); /* else the next open does it */
        mem_free(n.stale.p[i]);
    }
    if (rc == 0)
        rc = load_logs(h, &n, out_torn, err);
    if (rc == 0)
        rc = load_counts(h, err);
    vec_deinit(&n.stale);
    return rc;
}
