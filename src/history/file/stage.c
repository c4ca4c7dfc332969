/* SPDX-License-Identifier: Apache-2.0 */
/* stage.c - the writer's work: a group of operations becomes bytes of the log.
 *
 * Each operation sees what those before it in the group did: sessions that it touches are copied
 * from the index into the stage, and changed there. An operation is checked as a whole before its
 * first byte is written to the stage, so one that fails leaves nothing. The loop takes the stage
 * over into the index when the group is durable; when it is not, the stage is dropped. */
#include "base/clock.h"
#include "base/failpoint.h"
#include "history/file/file_int.h"

#define PEEK_BYTES     (HFILE_HEADS_BYTES + HISTORY_ID_BYTES_MAX)
#define HASHES_AT_ONCE 4096

/* --- sessions --- */

static str key_text(struct hfile *h, const struct history_key *key) {
    return arena_concat(&h->stage.arena, (str[]){key->owner, str_n("", 1), key->session}, 3);
}

static struct hfile_staged *staged_add(struct hfile *h, str text, struct hfile_session *base) {
    struct hfile_stage *st = &h->stage;
    struct hfile_staged *s = ARENA_NEW(&st->arena, struct hfile_staged);
    size_t owner_len = strlen(text.p); /* names have no NUL */
    s->base = base;
    s->key =
        (struct history_key){str_n(text.p, owner_len), str_slice(text, owner_len + 1, text.len)};
    if (base) {
        s->number = base->number;
        s->state = base->state;
        s->extra = base->extra;
    } else {
        s->number = st->number_next++;
        s->state = (struct hfile_state){
            .first_seq = 1, .created_at = st->now_us, .updated_at = st->now_us};
    }
    vec_push(&st->list, s);
    map_put(&st->sessions, text, s);
    return s;
}

struct hfile_staged *hfile_stage_session(struct hfile *h, const struct history_key *key) {
    str text = key_text(h, key);
    struct hfile_staged *s = map_get(&h->stage.sessions, text);
    if (s)
        return s;
    struct hfile_session *base = hfile_index_find(&h->index, key->owner, key->session);
    return base ? staged_add(h, text, base) : NULL;
}

static struct hfile_staged *stage_make(struct hfile *h, const struct history_key *key) {
    struct hfile_staged *s = hfile_stage_session(h, key);
    if (s)
        return s;
    s = staged_add(h, key_text(h, key), NULL);
    hfile_write_session(&h->stage.out, s->number, key, s->state.created_at);
    return s;
}

static struct hfile_extra *extra_change(struct hfile_staged *s) {
    if (!s->extra_changed)
        s->extra = hfile_extra_copy(s->extra);
    s->extra_changed = true;
    return s->extra;
}

/* --- finding events by id --- */

struct wanted {
    str id;
    uint64_t hash;
    unsigned char digest[HASH_XXH3_BYTES];
    int64_t seq;   /* out: 0: it is not there */
    bool conflict; /* out: there is one with another content */
};

/* The beginning of a record of the log, of this group's, too. */
static int log_peek(struct hfile *h, const struct hfile_log *log, uint64_t at, char *to,
                    size_t *bytes, struct err *err) {
    const struct hfile_stage *st = &h->stage;
    if (log == st->log && at >= log->tail) {
        size_t there = st->out.len - (at - log->tail);
        *bytes = there < *bytes ? there : *bytes;
        memcpy(to, st->out.p + (at - log->tail), *bytes);
        return 0;
    }
    ssize_t n = h->io->pread(h->io, log->fd, to, *bytes, at);
    *bytes = n < 0 ? 0 : (size_t)n;
    return n < 0 ? hfile_error(err, (int)n, "reading a log") : 0;
}

/* Whether the record whose beginning is at p is the event that is looked for. */
static int compare(const struct hfile_staged *s, const char *p, size_t bytes, struct wanted *w,
                   struct err *err) {
    struct history_event e;
    unsigned char digest[HASH_XXH3_BYTES];
    if (bytes < sizeof(struct hfile_record))
        return hfile_corrupt(err, "a record that is not there");
    if (hfile_head(p).kind != HFILE_EVENT)
        return hfile_corrupt(err, "no event where one should be");
    int rc = hfile_read_event(p, bytes, &e, digest, err);
    if (rc < 0 || hfile_head(p).session != s->number || !str_eq(e.id, w->id) ||
        e.seq < s->state.first_seq)
        return rc;
    w->seq = e.seq;
    w->conflict = memcmp(digest, w->digest, sizeof digest) != 0;
    return 0;
}

static int find_in_log(struct hfile *h, const struct hfile_log *log, const struct hfile_staged *s,
                       struct wanted *w, struct err *err) {
    char record[PEEK_BYTES];
    size_t step = 0;
    int rc = 0;
    for (uint64_t at; rc == 0 && w->seq == 0 && (at = hfile_ids_next(&log->ids, w->hash, &step));) {
        size_t bytes = sizeof record;
        rc = log_peek(h, log, at, record, &bytes, err);
        if (rc == 0)
            rc = compare(s, record, bytes, w, err);
    }
    return rc;
}

static struct hfile_frames *frames_of(struct hfile *h) {
    if (!h->stage.frames)
        h->stage.frames = hfile_frames_new();
    return h->stage.frames;
}

static int find_in_run(struct hfile *h, const struct hfile_run *run, const struct hfile_staged *s,
                       struct wanted *w, struct err *err) {
    char record[PEEK_BYTES];
    struct hfile_row row;
    struct hfile_entry e;
    size_t step = 0;
    bool found = true;
    int rc = hfile_row_read(h->io, run->segment, run->row, &row, err);
    while (rc == 0 && w->seq == 0) {
        rc = hfile_row_hash(h->io, run->segment, &row, w->hash, &step, &e, &found, err);
        if (rc < 0 || !found)
            break;
        size_t bytes = e.bytes < sizeof record ? e.bytes : sizeof record;
        rc = hfile_records_read(h->io, frames_of(h), run->segment, record, bytes, e.at, err);
        if (rc == 0)
            rc = compare(s, record, bytes, w, err);
    }
    return rc;
}

static int filter_fill(struct hfile *h, struct err *err) {
    uint64_t *hashes = mem_calloc(HASHES_AT_ONCE, sizeof *hashes);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < h->view->count; i++) {
        const struct hfile_segment *s = h->view->segments[i];
        size_t count = hfile_section_count(s, HFILE_HASHES, 8), at = 0;
        while (rc == 0 && at < count) {
            size_t n = count - at < HASHES_AT_ONCE ? count - at : HASHES_AT_ONCE;
            rc = hfile_section_read(h->io, s, HFILE_HASHES, 8, at, n, hashes, err);
            for (size_t k = 0; rc == 0 && k < n; k++)
                hfile_filter_add(&h->filter, hashes[k]);
            at += n;
        }
    }
    mem_free(hashes);
    h->filter.ready = rc == 0;
    return rc;
}

static int event_find(struct hfile *h, const struct hfile_staged *s, struct wanted *w,
                      struct err *err) {
    int rc = 0;
    for (int i = 0; rc == 0 && w->seq == 0 && i < 2; i++) {
        if (h->view->logs[i] && h->view->logs[i] != h->stage.log)
            rc = find_in_log(h, h->view->logs[i], s, w, err);
    }
    if (rc == 0 && w->seq == 0)
        rc = find_in_log(h, h->stage.log, s, w, err);
    if (rc < 0 || w->seq || !s->base || s->base->run_count == 0)
        return rc;
    if (!h->filter.ready)
        rc = filter_fill(h, err);
    if (rc < 0 || !hfile_filter_has(&h->filter, w->hash))
        return rc;
    for (size_t i = s->base->run_count; rc == 0 && w->seq == 0 && i-- > 0;)
        rc = find_in_run(h, &s->base->runs[i], s, w, err);
    return rc;
}

/* --- append --- */

/* The event of the append before i with this id in the same session, as its index; or i. */
static size_t earlier(struct hfile *h, const struct history_append *a, struct map *seen, size_t i) {
    str id = a->events[i].id;
    if (a->count == 1)
        return i;
    if (a->sessions)
        id = arena_concat(&h->stage.arena, (str[]){a->sessions[i], str_n("", 1), id}, 3);
    const struct history_event *before = map_get(seen, id);
    if (!before)
        map_put(seen, id, (void *)(uintptr_t)&a->events[i]);
    return before ? (size_t)(before - a->events) : i;
}

static int append_fits(struct hfile *h, const struct history_append *a, struct wanted *wanted,
                       size_t *firsts, struct err *err) {
    struct hfile_staged *s = NULL;
    struct map seen;
    int rc = 0;
    map_init(&seen);
    for (size_t i = 0; rc == 0 && i < a->count; i++) {
        struct wanted *w = &wanted[i];
        struct history_key key = history_key_of(a, i);
        if (i == 0 || a->sessions)
            s = hfile_stage_session(h, &key);
        w->id = a->events[i].id;
        history_event_digest(&a->events[i], w->digest);
        firsts[i] = earlier(h, a, &seen, i);
        if (firsts[i] != i) {
            w->conflict = memcmp(w->digest, wanted[firsts[i]].digest, sizeof w->digest) != 0;
        } else if (s) {
            w->hash = hfile_id_hash(s->number, w->id);
            rc = event_find(h, s, w, err);
        }
        if (rc == 0 && w->conflict)
            rc = err_set(err, ERR_CONFLICT, "event %zu: its id is there with another content", i);
    }
    map_deinit(&seen);
    return rc;
}

static void event_put(struct hfile *h, struct hfile_staged *s, const struct history_event *e,
                      const struct wanted *w) {
    struct hfile_stage *st = &h->stage;
    uint64_t at = st->log->tail + st->out.len, hash = hfile_id_hash(s->number, e->id);
    int64_t seq = ++s->state.last_seq;
    hfile_write_event(&st->out, s->number, e, seq, st->now_us, w->digest);
    struct hfile_entry entry = {.seq = seq,
                                .occurred_at = e->occurred_at,
                                .expires_at = history_event_expires_at(e),
                                .stored_at = st->now_us,
                                .at = at,
                                .bytes = (uint32_t)(st->log->tail + st->out.len - at),
                                .payload_bytes = (uint32_t)e->payload.len};
    vec_push(&s->entries, entry);
    vec_push(&st->ids, ((struct hfile_id_slot){hash, at}));
    hfile_ids_add(&st->log->ids, hash, at);
    s->state.updated_at = st->now_us;
    s->state.payload_bytes += (int64_t)e->payload.len;
    s->state.event_count++;
}

static int append_one(struct hfile *h, struct history_append *a, struct err *err) {
    struct hfile_stage *st = &h->stage;
    struct wanted *wanted = ARENA_ARRAY(&st->arena, struct wanted, a->count);
    size_t *firsts = ARENA_ARRAY(&st->arena, size_t, a->count);
    size_t unit = st->out.len;
    struct hfile_staged *s = NULL;
    int rc = append_fits(h, a, wanted, firsts, err);
    for (size_t i = 0; rc == 0 && i < a->count; i++) {
        struct history_key key = history_key_of(a, i);
        if (i == 0 || a->sessions)
            s = stage_make(h, &key);
        a->results[i].duplicate = firsts[i] != i || wanted[i].seq > 0;
        if (!a->results[i].duplicate) {
            event_put(h, s, &a->events[i], &wanted[i]);
            wanted[i].seq = s->state.last_seq;
        }
        a->results[i].seq = wanted[firsts[i]].seq;
    }
    hfile_unit_end(&st->out, unit);
    return rc;
}

/* --- checkpoints --- */

static int checkpoint_peek(struct hfile *h, const struct hfile_checkpoint *c,
                           char record[HFILE_HEADS_BYTES + 32 + HISTORY_NAME_BYTES_MAX],
                           struct history_checkpoint *out, struct err *err) {
    size_t bytes = HFILE_HEADS_BYTES + 32 + HISTORY_NAME_BYTES_MAX;
    int rc;
    if (c->in_log) {
        const struct hfile_log *log =
            c->file == h->stage.log->number ? h->stage.log : h->view->logs[c->file & 1];
        rc = log_peek(h, log, c->at, record, &bytes, err);
    } else {
        const struct hfile_segment *s = hfile_view_find(h->view, c->file);
        bytes = c->bytes < bytes ? c->bytes : bytes;
        rc = s ? hfile_records_read(h->io, frames_of(h), s, record, bytes, c->at, err)
               : hfile_corrupt(err, "a checkpoint that is not there");
    }
    return rc < 0 ? rc : hfile_read_checkpoint(record, bytes, out, err);
}

static int checkpoint_again(struct hfile *h, const struct hfile_checkpoint *stored,
                            struct history_checkpoint *c, struct err *err) {
    char record[HFILE_HEADS_BYTES + 32 + HISTORY_NAME_BYTES_MAX];
    struct history_checkpoint b;
    int rc = checkpoint_peek(h, stored, record, &b, err);
    if (rc < 0)
        return rc;
    bool same = b.payload_kind == c->payload_kind && str_eq(b.label, c->label) &&
                memcmp(b.digest, c->digest, sizeof b.digest) == 0 &&
                (id_is_nil(c->parent) || id_eq(b.parent, c->parent)) &&
                (c->seq == 0 || b.seq == c->seq);
    if (!same)
        return err_set(err, ERR_CONFLICT, "the checkpoint's id is there with another content");
    c->parent = b.parent;
    c->seq = b.seq;
    c->created_at = b.created_at;
    return 0;
}

static int run_checkpoint(struct hfile *h, struct hfile_op *op, struct err *err) {
    struct hfile_stage *st = &h->stage;
    struct history_checkpoint *c = op->checkpoint;
    struct hfile_staged *s = hfile_stage_session(h, &op->key);
    const struct hfile_checkpoint *stored = hfile_checkpoint_find(s ? s->extra : NULL, c->id);
    if (stored)
        return checkpoint_again(h, stored, c, err);
    if (!id_is_nil(c->parent) && !hfile_checkpoint_find(s ? s->extra : NULL, c->parent))
        return err_set(err, ERR_NOT_FOUND, "no such parent");
    if (c->seq > (s ? s->state.last_seq : 0))
        return err_set(err, ERR_INVALID, "seq: the session has no such event yet");
    size_t unit = st->out.len;
    s = stage_make(h, &op->key);
    struct hfile_extra *extra = extra_change(s);
    if (id_is_nil(c->parent))
        c->parent = extra->latest;
    if (c->seq == 0)
        c->seq = s->state.last_seq;
    struct hfile_checkpoint at = {
        .id = c->id, .at = st->log->tail + st->out.len, .file = st->log->number, .in_log = true};
    hfile_write_checkpoint(&st->out, s->number, c, st->now_us);
    at.bytes = (uint32_t)(st->log->tail + st->out.len - at.at);
    hfile_checkpoint_push(extra, &at);
    s->state.updated_at = st->now_us;
    hfile_unit_end(&st->out, unit);
    return 0;
}

static int need(struct hfile *h, const struct hfile_op *op, struct hfile_staged **out,
                struct err *err) {
    *out = hfile_stage_session(h, &op->key);
    return *out ? 0 : err_set(err, ERR_NOT_FOUND, "no such session");
}

static int run_rollback(struct hfile *h, struct hfile_op *op, struct err *err) {
    struct hfile_stage *st = &h->stage;
    struct hfile_staged *s;
    int rc = need(h, op, &s, err);
    if (rc == 0 && !hfile_checkpoint_find(s->extra, op->id))
        rc = err_set(err, ERR_NOT_FOUND, "no such checkpoint");
    if (rc < 0 || id_eq(s->extra->latest, op->id))
        return rc;
    extra_change(s)->latest = op->id;
    size_t unit = hfile_record_begin(&st->out, HFILE_ROLLBACK, s->number, 0, st->now_us);
    buf_append(&st->out, &op->id, sizeof op->id);
    hfile_record_end(&st->out, unit);
    hfile_unit_end(&st->out, unit);
    return 0;
}

/* --- the rest --- */

static int run_delete(struct hfile *h, struct hfile_op *op, struct err *err) {
    struct hfile_staged *s;
    int rc = need(h, op, &s, err);
    if (rc < 0)
        return rc;
    s->deleted = true;
    map_remove(&h->stage.sessions, key_text(h, &op->key));
    size_t unit = hfile_record_begin(&h->stage.out, HFILE_DELETE, s->number, 0, h->stage.now_us);
    hfile_record_end(&h->stage.out, unit);
    hfile_unit_end(&h->stage.out, unit);
    return 0;
}

static int run_retention(struct hfile *h, struct hfile_op *op) {
    struct hfile_stage *st = &h->stage;
    struct hfile_policy p = {.owner = arena_dup(&st->arena, op->key.owner),
                             .retention = op->retention};
    size_t unit = st->out.len;
    vec_push(&st->policies, p);
    hfile_write_retention(&st->out, op->key.owner, &op->retention);
    hfile_unit_end(&st->out, unit);
    return 0;
}

static int run_ack(struct hfile *h, struct hfile_op *op, struct err *err) {
    struct hfile_staged *s;
    bool found;
    int rc = need(h, op, &s, err);
    if (rc == 0 && op->seq > s->state.last_seq)
        rc = err_set(err, ERR_INVALID, "seq: the session has no such event yet");
    if (rc < 0)
        return rc;
    size_t slot = hfile_consumer_slot(s->extra, op->name, &found), unit = h->stage.out.len;
    if (found && s->extra->consumers.p[slot].acked_seq >= op->seq) {
        op->seq = s->extra->consumers.p[slot].acked_seq;
        return 0;
    }
    hfile_consumer_set(extra_change(s), op->name, op->seq, h->stage.now_us);
    hfile_write_name(&h->stage.out, HFILE_CONSUMER, s->number, op->seq, h->stage.now_us, op->name);
    hfile_unit_end(&h->stage.out, unit);
    return 0;
}

static int run_consumer_delete(struct hfile *h, struct hfile_op *op, struct err *err) {
    struct hfile_staged *s;
    bool found = false;
    int rc = need(h, op, &s, err);
    size_t unit = h->stage.out.len;
    if (rc == 0)
        (void)hfile_consumer_slot(s->extra, op->name, &found); /* only whether it is there */
    if (rc == 0 && !found)
        rc = err_set(err, ERR_NOT_FOUND, "no such consumer");
    if (rc < 0)
        return rc;
    (void)hfile_consumer_remove(extra_change(s), op->name); /* it is there */
    hfile_write_name(&h->stage.out, HFILE_CONSUMER_GONE, s->number, 0, h->stage.now_us, op->name);
    hfile_unit_end(&h->stage.out, unit);
    return 0;
}

void hfile_stage_run(struct hfile *h, struct hfile_op *op) {
    switch (op->kind) {
    case HFILE_OP_APPEND:
        for (size_t i = 0; i < op->append_count; i++)
            op->appends[i]->rc = append_one(h, op->appends[i], &op->appends[i]->err);
        break;
    case HFILE_OP_CHECKPOINT:
        op->rc = run_checkpoint(h, op, &op->err);
        break;
    case HFILE_OP_ROLLBACK:
        op->rc = run_rollback(h, op, &op->err);
        break;
    case HFILE_OP_DELETE:
        op->rc = run_delete(h, op, &op->err);
        break;
    case HFILE_OP_RETENTION:
        op->rc = run_retention(h, op);
        break;
    case HFILE_OP_ACK:
        op->rc = run_ack(h, op, &op->err);
        break;
    case HFILE_OP_CONSUMER_DELETE:
        op->rc = run_consumer_delete(h, op, &op->err);
        break;
    case HFILE_OP_TRIM:
        op->rc = hfile_stage_trim(h, op, &op->err);
        break;
    case HFILE_OP_SEAL:
    case HFILE_OP_REWRITE:
        break; /* done before the group: see writer.c */
    }
}
