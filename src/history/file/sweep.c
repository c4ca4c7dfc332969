/* SPDX-License-Identifier: Apache-2.0 */
/* sweep.c - what is past its time goes, and the bytes of what was deleted.
 *
 * Two steps. First the writer looks at the entries of whatever may hold something past: from the
 * front of a session it is trimmed by moving first_seq, one small record for any number of events.
 * What is past between others cannot go that way; nor can the bytes of sessions that are gone: then
 * the log is sealed and the segments concerned are made anew, one after the other. A segment of
 * which half is trimmed is made anew, too, so that bytes follow events in time.
 *
 * Neighbours that are small become one then, at most one such group a sweep. Together they hold no
 * more than a log may, so a sweep copies no more than a seal does; and none of them is more than
 * half of it, so that an event is copied once each time that its segment doubles. */
#include "history/file/file_int.h"

#define ROWS_AT_ONCE    256
#define ENTRIES_AT_ONCE 512
#define TRIES           20
#define MERGED_MAX      64

struct sweep { /* on the writer */
    struct hfile *h;
    struct hfile_op *op;
    int64_t age_ms_min; /* of all policies; 0: none has one */
    bool counts;        /* a policy has count_max */
    struct hfile_due due;
};
struct walk { /* one session's events of one source */
    struct hfile_session *s;
    struct history_retention r;
    int64_t first_seq; /* out */
    bool front;        /* nothing that stays was met yet */
    int64_t trimmed, bytes, holes;
};

static struct sweep sweep_begin(struct hfile *h, struct hfile_op *op) {
    struct sweep sw = {.h = h, .op = op};
    size_t at = 0;
    str owner;
    void *value;
    while (map_next(&h->index.policies, &at, &owner, &value)) {
        const struct history_retention *r = &((const struct hfile_policy *)value)->retention;
        sw.counts = sw.counts || r->count_max > 0;
        if (r->age_ms_max > 0 && (sw.age_ms_min == 0 || r->age_ms_max < sw.age_ms_min))
            sw.age_ms_min = r->age_ms_max;
    }
    return sw;
}

static bool may_be_due(const struct sweep *sw, int64_t expires_min, int64_t stored_min) {
    int64_t now_us = sw->op->now_us;
    return expires_min <= now_us || sw->counts ||
           (sw->age_ms_min > 0 && stored_min != INT64_MAX &&
            stored_min + sw->age_ms_min * 1000 <= now_us);
}

static int64_t first_seq_now(struct hfile *h, const struct hfile_session *s) {
    struct history_key key = {hfile_owner(s), hfile_name(s)};
    str text = arena_concat(&h->stage.arena, (str[]){key.owner, str_n("", 1), key.session}, 3);
    const struct hfile_staged *st = map_get(&h->stage.sessions, text);
    return st ? st->state.first_seq : s->state.first_seq;
}

/* `from` is the first number of this source; before says whether others come before it. */
static struct walk walk_begin(struct sweep *sw, struct hfile_session *s, int64_t from,
                              bool before) {
    struct walk w = {.s = s,
                     .r = hfile_policy_of(&sw->h->index, hfile_owner(s)),
                     .first_seq = first_seq_now(sw->h, s)};
    w.front = !before || w.first_seq >= from;
    return w;
}

static void walk_entries(struct sweep *sw, struct walk *w, const struct hfile_entry *e, size_t n) {
    for (size_t i = 0; i < n; i++, e++) {
        if (e->seq < w->first_seq)
            continue;
        bool past = hfile_is_past(&w->r, w->s->state.last_seq, e, sw->op->now_us);
        if (past && w->front) {
            w->trimmed++;
            w->bytes += e->payload_bytes;
            w->first_seq = e->seq + 1;
        } else if (past) {
            w->holes++;
        } else if (w->front) {
            w->first_seq = e->seq;
            w->front = false;
        }
    }
}

/* next: the first number behind this source. */
static void walk_end(struct sweep *sw, struct walk *w, int64_t next) {
    struct hfile_stage *st = &sw->h->stage;
    struct history_key key = {hfile_owner(w->s), hfile_name(w->s)};
    if (w->holes > 0)
        sw->due.anew = true;
    if (w->trimmed == 0)
        return;
    struct hfile_staged *s = hfile_stage_session(sw->h, &key);
    if (!s || s->base != w->s)
        return; /* deleted in this very group */
    if (w->front)
        w->first_seq = next > s->state.last_seq ? s->state.last_seq + 1 : next;
    s->state.first_seq = w->first_seq;
    s->state.event_count -= w->trimmed;
    s->state.payload_bytes -= w->bytes;
    sw->due.trimmed += w->trimmed;
    sw->op->removed += w->trimmed;
    size_t unit =
        hfile_record_begin(&st->out, HFILE_TRIM, s->number, w->first_seq, s->state.updated_at);
    hfile_record_end(&st->out, unit);
    hfile_unit_end(&st->out, unit);
}

static void due_put(struct sweep *sw, uint32_t segment) {
    sw->due.segment = segment;
    if (sw->due.anew || sw->due.trimmed > 0)
        vec_push(&sw->op->due, sw->due);
    sw->due = (struct hfile_due){0};
}

static int64_t part_first(const struct hfile_session *s, int64_t behind) {
    int64_t first = INT64_MAX;
    for (int i = 0; i < 2; i++) {
        const struct hfile_part *p = s->parts[i];
        if (p && p->count > 0 && p->p[0].seq > behind && p->p[0].seq < first)
            first = p->p[0].seq;
    }
    return first;
}

/* --- segments --- */

static int sweep_row(struct sweep *sw, struct hfile_segment *seg, const struct hfile_row *row,
                     bool due, struct err *err) {
    struct hfile_session *s = hfile_index_number(&sw->h->index, row->session);
    if (!s)
        sw->due.anew = true;
    if (!s || !due || row->entry_count == 0 || row->seq_max < s->state.first_seq)
        return 0;
    uint32_t i = 0;
    while (i < s->run_count && s->runs[i].segment != seg)
        i++;
    struct walk w = walk_begin(sw, s, row->seq_min, i > 0);
    if (i == s->run_count ||
        (seg->footer.expires_min > sw->op->now_us && w.r.age_ms_max == 0 &&
         (w.r.count_max == 0 || row->seq_min > s->state.last_seq - w.r.count_max)))
        return 0;
    struct hfile_entry *entries = mem_calloc(ENTRIES_AT_ONCE, sizeof *entries);
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < row->entry_count; at += ENTRIES_AT_ONCE) {
        size_t left = row->entry_count - at, n = left < ENTRIES_AT_ONCE ? left : ENTRIES_AT_ONCE;
        rc = hfile_row_entries(sw->h->io, seg, row, false, at, n, entries, err);
        if (rc == 0)
            walk_entries(sw, &w, entries, n);
    }
    mem_free(entries);
    if (rc == 0)
        walk_end(sw, &w,
                 i + 1 < s->run_count ? s->runs[i + 1].seq_min : part_first(s, row->seq_max));
    return rc;
}

static bool is_done(const struct sweep *sw) { return sw->op->removed >= (int64_t)sw->op->budget; }

static int sweep_segment(struct sweep *sw, struct hfile_segment *seg, struct err *err) {
    bool due = may_be_due(sw, seg->footer.expires_min, seg->footer.stored_min);
    size_t count = hfile_section_count(seg, HFILE_ROWS, sizeof(struct hfile_row));
    int rc = 0;
    if (!due && !sw->op->deleted)
        return 0;
    struct hfile_row *rows = mem_calloc(ROWS_AT_ONCE, sizeof *rows);
    for (size_t at = 0; rc == 0 && at < count && !is_done(sw); at += ROWS_AT_ONCE) {
        size_t n = count - at < ROWS_AT_ONCE ? count - at : ROWS_AT_ONCE;
        rc = hfile_section_read(sw->h->io, seg, HFILE_ROWS, sizeof *rows, at, n, rows, err);
        for (size_t i = 0; rc == 0 && i < n && !is_done(sw); i++)
            rc = sweep_row(sw, seg, &rows[i], due, err);
    }
    mem_free(rows);
    due_put(sw, seg->number);
    return rc;
}

/* --- logs --- */

static void sweep_log(struct sweep *sw, const struct hfile_log *log,
                      const struct hfile_log *older) {
    if (!may_be_due(sw, log->expires_min, log->stored_min))
        return;
    for (size_t i = 0; i < log->touched.count && !is_done(sw); i++) {
        struct hfile_session *s = hfile_index_number(&sw->h->index, log->touched.p[i]);
        const struct hfile_part *part = s ? s->parts[log->number & 1] : NULL;
        if (!part || part->count == 0)
            continue;
        bool before = s->run_count > 0 || (older && s->parts[older->number & 1]);
        struct walk w = walk_begin(sw, s, part->p[0].seq, before);
        walk_entries(sw, &w, part->p, part->count);
        walk_end(sw, &w, part_first(s, part->p[part->count - 1].seq));
    }
    due_put(sw, 0);
}

int hfile_stage_trim(struct hfile *h, struct hfile_op *op, struct err *err) {
    struct sweep sw = sweep_begin(h, op);
    const struct hfile_log *active = hfile_active(h), *older = h->view->logs[~active->number & 1];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < h->view->count && !is_done(&sw); i++)
        rc = sweep_segment(&sw, h->view->segments[i], err);
    if (rc == 0 && older)
        sweep_log(&sw, older, NULL);
    if (rc == 0)
        sweep_log(&sw, active, older);
    return rc;
}

/* --- on the loop --- */

/* Until no segment is being made. */
static int sealer_wait(struct hfile *h, struct err *err) {
    while (h->job) {
        if (h->job_again_at)
            return err_set(err, ERR_UNAVAILABLE, "history: a log cannot be sealed");
        int rc = fiber_event_wait(&h->idle, FIBER_NO_DEADLINE);
        if (rc < 0)
            return err_set(err, rc, "history: a sweep was ended early");
    }
    return 0;
}

/* Plans a seal or a segment anew, and waits until it was made. */
static int make(struct hfile *h, struct hfile_op *op, struct err *err) {
    uint64_t failed = h->failed_seals;
    int rc = sealer_wait(h, err);
    if (rc == 0)
        rc = hfile_op_run(h, op, err);
    if (rc == 0)
        rc = sealer_wait(h, err);
    if (rc == 0 && h->failed_seals != failed)
        rc = err_set(err, ERR_UNAVAILABLE, "history: a segment cannot be made");
    return rc;
}

static bool log_has_holes(const struct hfile_op *found) {
    bool has = false;
    for (size_t i = 0; i < found->due.count; i++)
        has = has || (found->due.p[i].segment == 0 && found->due.p[i].anew);
    return has;
}

static bool segment_is_due(const struct hfile_segment *s, const struct hfile_op *found,
                           uint32_t since) {
    size_t count = hfile_section_count(s, HFILE_ENTRIES, sizeof(struct hfile_entry));
    /* A log with such events may have been under way to the sealer when they were found. */
    if (s->number >= since && log_has_holes(found))
        return true;
    if (count > 0 && s->dead_count * 2 >= (int64_t)count)
        return true;
    for (size_t i = 0; i < found->due.count; i++) {
        if (found->due.p[i].segment == s->number && found->due.p[i].anew)
            return true;
    }
    return false;
}

/* since: the number of the next segment when it was looked for what is due. */
static int bytes_go(struct hfile *h, const struct hfile_op *found, uint32_t since,
                    struct err *err) {
    VEC(uint32_t) numbers = {0};
    int64_t before = h->gone;
    int rc = 0;
    if (hfile_active(h)->dead_count > 0 || log_has_holes(found)) {
        struct hfile_op op = {.kind = HFILE_OP_SEAL, .now_us = found->now_us};
        rc = make(h, &op, err);
    }
    for (size_t i = 0; i < h->view->count; i++)
        vec_push(&numbers, h->view->segments[i]->number);
    for (size_t i = 0; rc == 0 && i < numbers.count; i++) {
        const struct hfile_segment *s = hfile_view_find(h->view, numbers.p[i]);
        if (found->removed + h->gone - before >= (int64_t)found->budget)
            break;
        struct hfile_op op = {
            .kind = HFILE_OP_REWRITE, .segment = numbers.p[i], .now_us = found->now_us};
        if (s && segment_is_due(s, found, since))
            rc = make(h, &op, err);
        if (rc == 0 && i + 1 == numbers.count && !h->deleted_again)
            h->deleted = false;
    }
    vec_deinit(&numbers);
    return rc;
}

static int sweep_once(struct hfile *h, struct hfile_op *op, struct err *err) {
    op->deleted = h->deleted;
    h->deleted_again = false;
    uint32_t since = h->segment_next;
    int rc = hfile_op_run(h, op, err);
    for (size_t i = 0; rc == 0 && i < op->due.count; i++) {
        struct hfile_segment *s = hfile_view_find(h->view, op->due.p[i].segment);
        if (s)
            s->dead_count += op->due.p[i].trimmed;
    }
    if (rc == 0 && op->removed < (int64_t)op->budget)
        rc = bytes_go(h, op, since, err);
    vec_deinit(&op->due);
    return rc;
}

/* --- small segments --- */

/* How many from the i-th on, at most, are better one; 0: none. */
static size_t neighbours(const struct hfile *h, size_t i) {
    uint64_t bytes = 0, largest = 0;
    size_t events = 0, best = 0;
    for (size_t count = 1; count <= MERGED_MAX && i < h->view->count; count++, i++) {
        const struct hfile_segment *s = h->view->segments[i];
        uint64_t size = s->footer.data_bytes > s->bytes ? s->footer.data_bytes : s->bytes;
        bytes += size;
        events += hfile_section_count(s, HFILE_ENTRIES, sizeof(struct hfile_entry));
        largest = size > largest ? size : largest;
        if (bytes > h->options.segment_bytes || events > h->options.segment_events)
            break;
        if (count > 1 && 2 * largest <= bytes)
            best = count;
    }
    return best;
}

static int merge_one(struct hfile *h, int64_t now_us, struct err *err) {
    for (size_t i = 0; i < h->view->count; i++) {
        struct hfile_op op = {.kind = HFILE_OP_REWRITE,
                              .segment = h->view->segments[i]->number,
                              .segment_count = neighbours(h, i),
                              .now_us = now_us};
        if (op.segment_count == 0)
            continue;
        int rc = make(h, &op, err);
        return rc == ERR_LIMIT ? 0 : rc; /* a log is being sealed: the next sweep */
    }
    return 0;
}

int hfile_call_sweep(struct history *base, int64_t now_us, size_t budget, size_t *out_removed,
                     struct err *err) {
    struct hfile *h = hfile_of(base);
    int64_t gone = h->gone, removed = 0;
    int rc, tries = 0;
    if (h->sweeping)
        return err_set(err, ERR_UNAVAILABLE, "history: another sweep is under way");
    h->sweeping = true;
    do { /* a log that was full was sealed in between: what is found is elsewhere now */
        struct hfile_op op = {.kind = HFILE_OP_TRIM, .now_us = now_us, .budget = budget};
        rc = sweep_once(h, &op, err);
        removed += op.removed;
    } while ((rc == ERR_LIMIT || (rc == 0 && h->deleted_again && removed < (int64_t)budget)) &&
             ++tries < TRIES);
    if (rc == 0 && removed + h->gone - gone < (int64_t)budget)
        rc = merge_one(h, now_us, err);
    h->sweeping = false;
    if (rc == 0)
        *out_removed = (size_t)(removed + h->gone - gone);
    return rc;
}
