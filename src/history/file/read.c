/* SPDX-License-Identifier: Apache-2.0 */
/* read.c - pages of events, and checkpoints: planned on the loop, read on the pool.
 *
 * The loop notes which rows of which segments the session has, and the entries of its events that
 * are still in a log: the only thing that it copies. The pool finds the places of the page's events
 * (by seq: one row after the other; by time: merging them), then reads the records, those that lie
 * side by side at once.
 *
 * A short page by seq is tried on the loop first, one at a time (nowait.c): when a read is on the
 * pool already, the others and the clients profit more from the threads. */
#include <stdlib.h>

#include "history/file/file_int.h"

#define AHEAD       16
#define SPAN_BYTES  ((size_t)256 << 10)
#define FRAMES_KEPT 4
#define HERE_EVENTS ((size_t)128) /* of a page that the loop tries itself, and its bytes */
#define HERE_BYTES  ((size_t)640 << 10)
#define WHOLE_BYTES 4096 /* shorter records are read whole, and checked, without payloads too */

struct place {
    struct hfile_entry e;
    const struct hfile_segment *segment; /* NULL: in a log */
    int fd;                              /* of the log */
};
struct cursor { /* over one row in the order of the page */
    const struct hfile_run *run;
    struct hfile_row row;
    size_t next; /* place in the row's order of the next one to fetch */
    size_t left; /* to fetch */
    struct hfile_entry ahead[AHEAD];
    size_t at, count; /* of ahead */
};
struct page {
    struct hfile *h;
    struct hfile_io *io;
    const struct history_range *r;
    struct arena *a;
    struct hfile_view *view;
    struct hfile_frames *frames;
    uint32_t session;
    int64_t first_seq;
    struct hfile_run *runs;
    size_t run_count;
    VEC(struct place) logs;   /* events that are in a log and fit */
    VEC(struct place) places; /* out: one more than the page has, when there is */
    size_t bytes;
    struct history_page out;
    int rc;
    struct err err;
};

/* -1, 0, 1 in the order of the page. */
static int order(const struct history_range *r, const struct hfile_entry *a, int64_t time,
                 int64_t seq) {
    int c = r->by_time ? (a->occurred_at > time) - (a->occurred_at < time) : 0;
    if (c == 0)
        c = (a->seq > seq) - (a->seq < seq);
    return r->newest_first ? -c : c;
}

static bool fits(const struct page *p, const struct hfile_entry *e) {
    const struct history_range *r = p->r;
    return e->seq >= p->first_seq && e->seq >= r->seq_min && e->seq <= r->seq_max &&
           e->occurred_at >= r->time_min && e->occurred_at < r->time_max &&
           e->expires_at > r->now_us &&
           (!r->after || order(r, e, r->after->occurred_at, r->after->seq) > 0);
}

/* --- on the loop: what is in a log --- */

static void part_take(struct page *p, const struct hfile_part *part, int fd) {
    bool in_order = !p->r->by_time || part->by_time; /* else the pool sorts them */
    size_t taken = 0;
    for (size_t k = 0; k < part->count && !(in_order && taken > p->r->limit); k++) {
        const struct hfile_entry *e = &part->p[p->r->newest_first ? part->count - 1 - k : k];
        if (!fits(p, e))
            continue;
        vec_push(&p->logs, ((struct place){*e, NULL, fd}));
        taken++;
    }
}

static void logs_take(struct page *p, const struct hfile_session *s) {
    struct hfile_log *const *logs = p->view->logs;
    int older = logs[0] && logs[1] && logs[0]->number > logs[1]->number;
    int first = p->r->newest_first ? 1 - older : older;
    if (s->parts[first])
        part_take(p, s->parts[first], logs[first]->fd);
    if (s->parts[1 - first])
        part_take(p, s->parts[1 - first], logs[1 - first]->fd);
}

/* --- finding the places --- */

/* False when the page is full. */
static bool place_add(struct page *p, const struct place *place) {
    if (p->places.count == p->r->limit || p->bytes > HISTORY_PAGE_BYTES_MAX) {
        p->out.more = true;
        return false;
    }
    vec_push(&p->places, *place);
    p->bytes += p->r->payloads ? place->e.payload_bytes : 0;
    return true;
}

static int cursor_begin(struct page *p, struct cursor *c, const struct hfile_run *run) {
    const struct history_range *r = p->r;
    const struct history_position *after = r->after;
    struct hfile_key low = {r->time_min, r->seq_min}, high = {r->time_max, INT64_MIN};
    size_t from, to;
    *c = (struct cursor){.run = run};
    int rc = hfile_row_read(p->io, run->segment, run->row, &c->row, &p->err);
    if (r->by_time)
        low.seq = INT64_MIN;
    else
        high.seq = r->seq_max == INT64_MAX ? INT64_MAX : r->seq_max + 1;
    if (after && !r->newest_first &&
        (r->by_time ? after->occurred_at >= low.occurred_at : after->seq >= low.seq))
        low = (struct hfile_key){after->occurred_at, after->seq};
    if (after && r->newest_first &&
        (r->by_time ? after->occurred_at < high.occurred_at : after->seq < high.seq))
        high = (struct hfile_key){after->occurred_at, after->seq};
    if (!r->by_time && low.seq < p->first_seq)
        low.seq = p->first_seq;
    if (rc == 0)
        rc = hfile_row_search(p->io, run->segment, &c->row, r->by_time, &low, &from, &p->err);
    if (rc == 0)
        rc = hfile_row_search(p->io, run->segment, &c->row, r->by_time, &high, &to, &p->err);
    if (rc == 0 && to > from) {
        c->left = to - from;
        c->next = r->newest_first ? to : from; /* newest first: behind the next one */
    }
    return rc;
}

static int cursor_fill(struct page *p, struct cursor *c) {
    size_t n = c->left < AHEAD ? c->left : AHEAD;
    size_t from = p->r->newest_first ? c->next - n : c->next;
    int rc = hfile_row_entries(p->io, c->run->segment, &c->row, p->r->by_time, from, n, c->ahead,
                               &p->err);
    for (size_t i = 0; p->r->newest_first && i < n / 2; i++) {
        struct hfile_entry e = c->ahead[i];
        c->ahead[i] = c->ahead[n - 1 - i];
        c->ahead[n - 1 - i] = e;
    }
    c->next = p->r->newest_first ? from : from + n;
    c->left -= n;
    c->at = 0;
    c->count = n;
    return rc;
}

/* The next entry that fits; NULL at the end. It is taken by c->at++. */
static int cursor_peek(struct page *p, struct cursor *c, const struct hfile_entry **out) {
    int rc = 0;
    *out = NULL;
    for (;;) {
        if (c->at == c->count) {
            if (c->left == 0)
                return 0;
            rc = cursor_fill(p, c);
            if (rc < 0)
                return rc;
        }
        if (fits(p, &c->ahead[c->at])) {
            *out = &c->ahead[c->at];
            return 0;
        }
        c->at++;
    }
}

/* Whether the run may have something of the page. */
static bool overlaps(const struct page *p, size_t i) {
    int64_t last = i + 1 < p->run_count ? p->runs[i + 1].seq_min - 1 : INT64_MAX;
    int64_t low = p->r->seq_min, high = p->r->seq_max;
    if (!p->r->by_time && p->r->after) {
        if (p->r->newest_first)
            high = p->r->after->seq < high ? p->r->after->seq : high;
        else
            low = p->r->after->seq > low ? p->r->after->seq : low;
    }
    return p->runs[i].seq_min <= high && last >= low && last >= p->first_seq;
}

static int runs_by_seq(struct page *p, bool *out_full) {
    struct cursor c;
    const struct hfile_entry *e;
    for (size_t i = 0; i < p->run_count; i++) {
        size_t which = p->r->newest_first ? p->run_count - 1 - i : i;
        if (!overlaps(p, which))
            continue;
        int rc = cursor_begin(p, &c, &p->runs[which]);
        while (rc == 0 && (rc = cursor_peek(p, &c, &e)) == 0 && e) {
            if (!place_add(p, &(struct place){*e, c.run->segment, -1})) {
                *out_full = true;
                return 0;
            }
            c.at++;
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool logs_put(struct page *p) {
    for (size_t i = 0; i < p->logs.count; i++) {
        if (!place_add(p, &p->logs.p[i]))
            return false;
    }
    return true;
}

static int places_by_seq(struct page *p) {
    bool full = p->r->newest_first && !logs_put(p);
    int rc = full ? 0 : runs_by_seq(p, &full);
    if (rc == 0 && !full && !p->r->newest_first)
        (void)logs_put(p);
    return rc;
}

static int place_cmp(const void *left, const void *right, void *ctx) {
    const struct place *a = left, *b = right;
    return order(ctx, &a->e, b->e.occurred_at, b->e.seq);
}

static int places_by_time(struct page *p) {
    struct cursor *cursors = mem_calloc(p->run_count + 1, sizeof *cursors);
    size_t log_at = 0;
    int rc = 0;
    if (p->logs.count)
        qsort_r(p->logs.p, p->logs.count, sizeof *p->logs.p, place_cmp, (void *)(uintptr_t)p->r);
    for (size_t i = 0; rc == 0 && i < p->run_count; i++)
        rc = overlaps(p, i) ? cursor_begin(p, &cursors[i], &p->runs[i]) : 0;
    while (rc == 0) {
        const struct hfile_entry *best = NULL, *e;
        struct cursor *from = NULL;
        if (log_at < p->logs.count)
            best = &p->logs.p[log_at].e;
        for (size_t i = 0; rc == 0 && i < p->run_count; i++) {
            rc = cursor_peek(p, &cursors[i], &e);
            if (rc == 0 && e && (!best || order(p->r, e, best->occurred_at, best->seq) < 0)) {
                best = e;
                from = &cursors[i];
            }
        }
        if (rc < 0 || !best ||
            !place_add(p,
                       from ? &(struct place){*best, from->run->segment, -1} : &p->logs.p[log_at]))
            break;
        if (from)
            from->at++;
        else
            log_at++;
    }
    mem_free(cursors);
    return rc;
}

/* --- reading the records --- */

static int event_take(struct page *p, const struct place *place, const char *record, size_t bytes,
                      bool whole) {
    struct history_event *to = &p->out.events[p->out.count];
    if (hfile_head(record).bytes != place->e.bytes ||
        (whole && hfile_record_check(record, bytes) == 0))
        return hfile_corrupt(&p->err, "an event");
    int rc = hfile_read_event(record, bytes, to, NULL, &p->err);
    if (rc == 0 && (to->seq != place->e.seq || hfile_head(record).session != p->session))
        rc = hfile_corrupt(&p->err, "an event that is not where it should be");
    if (!p->r->payloads)
        to->payload = STR_NULL;
    p->out.count += rc == 0;
    return rc;
}

/* Places from i on that lie side by side; their bytes. */
static size_t span(const struct page *p, size_t i, size_t *out_count) {
    const struct place *at = &p->places.p[i];
    size_t bytes = at->e.bytes, count = 1;
    while (i + count < p->places.count && at[count].segment == at->segment &&
           at[count].fd == at->fd && at[count].e.at == at->e.at + bytes &&
           bytes + at[count].e.bytes <= SPAN_BYTES)
        bytes += at[count++].e.bytes;
    *out_count = count;
    return bytes;
}

static int bytes_read(struct page *p, const struct place *at, void *to, size_t bytes) {
    if (p->io != p->h->io && at->segment && at->segment->footer.frame_bytes)
        return err_set(&p->err, ERR_LIMIT, "history: what is compressed is the pool's work");
    if (at->segment)
        return hfile_records_read(p->io, p->frames, at->segment, to, bytes, at->e.at, &p->err);
    return hfile_read(p->io, at->fd, to, bytes, at->e.at, &p->err);
}

static int read_span(struct page *p, size_t *i) {
    const struct place *at = &p->places.p[*i];
    size_t count, bytes = span(p, *i, &count);
    char *to = arena_alloc(p->a, bytes);
    int rc = bytes_read(p, at, to, bytes);
    for (size_t k = 0; rc == 0 && k < count; k++)
        rc = event_take(p, &at[k], to + (at[k].e.at - at->e.at), at[k].e.bytes, true);
    *i += count;
    return rc;
}

/* Of a long record, what stands before its payload. */
static int read_front(struct page *p, const struct place *at) {
    struct hfile_event_head head;
    char *to = arena_alloc(p->a, WHOLE_BYTES);
    int rc = bytes_read(p, at, to, WHOLE_BYTES);
    if (rc < 0)
        return rc;
    memcpy(&head, to + sizeof(struct hfile_record), sizeof head);
    size_t front = hfile_event_front_bytes(&head), bytes = WHOLE_BYTES;
    if (front > at->e.bytes)
        return hfile_corrupt(&p->err, "the lengths of an event");
    if (front > WHOLE_BYTES) {
        bytes = front;
        to = arena_alloc(p->a, bytes);
        rc = bytes_read(p, at, to, bytes);
    }
    return rc < 0 ? rc : event_take(p, at, to, bytes, false);
}

static void page_run(void *arg) {
    struct page *p = arg;
    p->rc = p->r->by_time ? places_by_time(p) : places_by_seq(p);
    p->out.events = ARENA_ARRAY(p->a, struct history_event, p->places.count + 1);
    for (size_t i = 0; p->rc == 0 && i < p->places.count;) {
        const struct place *at = &p->places.p[i];
        if (p->r->payloads || at->e.bytes <= WHOLE_BYTES)
            p->rc = read_span(p, &i);
        else
            p->rc = read_front(p, &p->places.p[i++]);
    }
}

/* One read after another finds the frames of the one before. */
static struct hfile_frames *frames_take(struct hfile *h) {
    return h->frames.count > 0 ? h->frames.p[--h->frames.count] : hfile_frames_new();
}

static void frames_give(struct hfile *h, struct hfile_frames *frames) {
    if (h->frames.count < FRAMES_KEPT)
        vec_push(&h->frames, frames);
    else
        hfile_frames_free(frames);
}

/* True: it is read. An error is a try in vain, too: the pool meets it again, and tells. */
static bool page_here(struct page *p) {
    struct hfile *h = p->h;
    if (p->r->by_time || p->r->limit > HERE_EVENTS || h->reads_away > 0)
        return false;
    struct hfile_io *io = hfile_nowait_begin(&h->nowait, HERE_BYTES);
    if (!io)
        return false;
    p->io = io;
    page_run(p);
    p->io = h->io;
    hfile_nowait_end(&h->nowait, p->rc < 0);
    if (p->rc == 0)
        return true;
    p->rc = 0;
    err_reset(&p->err);
    p->places.count = p->bytes = 0;
    p->out = (struct history_page){0};
    return false;
}

MAY_SUSPEND static int page_away(struct page *p) {
    struct hfile *h = p->h;
    hfile_view_ref(p->view);
    h->reads_away++;
    int rc = rt_offload(h->rt, page_run, p);
    h->reads_away--;
    hfile_view_unref(h, p->view);
    return rc;
}

int hfile_call_read(struct history *base, const struct history_range *r, struct arena *a,
                    struct history_page *out, struct err *err) {
    struct hfile *h = hfile_of(base);
    const struct hfile_session *s = hfile_index_find(&h->index, r->key.owner, r->key.session);
    if (!s)
        return err_set(err, ERR_NOT_FOUND, "no such session");
    struct page p = {.h = h,
                     .io = h->io,
                     .r = r,
                     .a = a,
                     .view = h->view,
                     .frames = frames_take(h),
                     .session = s->number,
                     .first_seq = s->state.first_seq,
                     .run_count = s->run_count};
    p.runs = ARENA_ARRAY(a, struct hfile_run, s->run_count + 1);
    if (s->run_count)
        memcpy(p.runs, s->runs, s->run_count * sizeof *p.runs);
    logs_take(&p, s);
    int rc = page_here(&p) ? 0 : page_away(&p);
    frames_give(h, p.frames);
    vec_deinit(&p.logs);
    vec_deinit(&p.places);
    if (rc < 0)
        return err_set(err, rc, "history: too many reads at once");
    if (p.rc < 0 && err)
        *err = p.err;
    if (p.rc == 0)
        *out = p.out;
    return p.rc;
}

/* --- checkpoints --- */

struct checkpoints {
    struct hfile *h;
    struct hfile_view *view;
    struct hfile_frames *frames;
    struct arena *a;
    struct hfile_checkpoint *list;
    size_t count;
    bool payloads;
    struct history_checkpoint *out;
    int rc;
    struct err err;
};

static int checkpoint_read(struct checkpoints *c, size_t i) {
    const struct hfile_checkpoint *from = &c->list[i];
    const struct hfile_log *log = from->in_log ? c->view->logs[from->file & 1] : NULL;
    const struct hfile_segment *s = from->in_log ? NULL : hfile_view_find(c->view, from->file);
    if (!log && !s)
        return hfile_corrupt(&c->err, "a checkpoint that is not there");
    size_t bytes = from->bytes;
    if (!c->payloads && bytes > WHOLE_BYTES)
        bytes = WHOLE_BYTES;
    char *p = arena_alloc(c->a, bytes);
    int rc = s ? hfile_records_read(c->h->io, c->frames, s, p, bytes, from->at, &c->err)
               : hfile_read(c->h->io, log->fd, p, bytes, from->at, &c->err);
    if (rc == 0 && bytes == from->bytes && hfile_record_check(p, bytes) != bytes)
        rc = hfile_corrupt(&c->err, "a checkpoint");
    if (rc == 0)
        rc = hfile_read_checkpoint(p, bytes, &c->out[i], &c->err);
    if (rc == 0 && !id_eq(c->out[i].id, from->id))
        rc = hfile_corrupt(&c->err, "a checkpoint that is not where it should be");
    if (rc == 0 && !c->payloads)
        c->out[i].payload = STR_NULL;
    return rc;
}

static void checkpoints_run(void *arg) {
    struct checkpoints *c = arg;
    for (size_t i = 0; c->rc == 0 && i < c->count; i++)
        c->rc = checkpoint_read(c, i);
}

static int checkpoints_read(struct hfile *h, struct checkpoints *c, struct err *err) {
    c->h = h;
    c->view = h->view;
    c->frames = frames_take(h);
    hfile_view_ref(c->view);
    int rc = c->count ? rt_offload(h->rt, checkpoints_run, c) : 0;
    hfile_view_unref(h, c->view);
    frames_give(h, c->frames);
    if (rc < 0)
        return err_set(err, rc, "history: too many reads at once");
    if (c->rc < 0 && err)
        *err = c->err;
    return c->rc;
}

int hfile_call_checkpoint_get(struct history *base, const struct history_key *key, struct id id,
                              struct arena *a, struct history_checkpoint *out, struct err *err) {
    struct hfile *h = hfile_of(base);
    const struct hfile_session *s = hfile_index_find(&h->index, key->owner, key->session);
    const struct hfile_extra *x = s ? s->extra : NULL;
    const struct hfile_checkpoint *found =
        hfile_checkpoint_find(x, id_is_nil(id) && x ? x->latest : id);
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "no such checkpoint");
    struct hfile_checkpoint one = *found;
    struct history_checkpoint to;
    struct checkpoints c = {.a = a, .list = &one, .count = 1, .payloads = true, .out = &to};
    int rc = checkpoints_read(h, &c, err);
    if (rc == 0)
        *out = to;
    return rc;
}

int hfile_call_checkpoint_list(struct history *base, const struct history_key *key, struct id after,
                               size_t limit, struct arena *a, struct history_checkpoint **out,
                               size_t *out_count, struct err *err) {
    struct hfile *h = hfile_of(base);
    const struct hfile_session *s = hfile_index_find(&h->index, key->owner, key->session);
    if (!s)
        return err_set(err, ERR_NOT_FOUND, "no such session");
    const struct hfile_extra *x = s->extra;
    size_t there = x ? x->checkpoints.count : 0;
    bool begun = id_is_nil(after);
    struct checkpoints c = {.a = a};
    c.list = ARENA_ARRAY(a, struct hfile_checkpoint, there + 1);
    for (size_t i = there; i-- > 0 && c.count < limit;) {
        if (begun)
            c.list[c.count++] = x->checkpoints.p[i];
        begun = begun || id_eq(x->checkpoints.p[i].id, after);
    }
    if (!begun)
        return err_set(err, ERR_NOT_FOUND, "no such checkpoint");
    c.out = ARENA_ARRAY(a, struct history_checkpoint, c.count + 1);
    int rc = checkpoints_read(h, &c, err);
    if (rc == 0) {
        *out = c.out;
        *out_count = c.count;
    }
    return rc;
}
