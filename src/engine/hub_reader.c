/* SPDX-License-Identifier: Apache-2.0 */
/* hub_reader.c - readers: replay from the log, hand-over, live.
 *
 * Position (seq, k): a durable entry is (its number, 0), a fragment (its base, its number);
 * segments have no position of their own. A reader keeps the last entry and the last fragment that
 * it saw: another process may append an entry while fragments before it are not durable yet, or the
 * commit of these fails and is tried again, so the log has the entry first. The position of such a
 * late fragment does not tell that the entry was seen; the ids of its frames do. Replay pages the
 * log until it has read what is visible, then takes the fragments that are not durable yet from the
 * topic, all in one turn, and is live. From then on the hub shows items; whatever is at or before
 * the reader's was seen.
 *
 * The renderer must see a run from its start, so replay begins at the start entry and renders
 * mutely up to the client's cursor. The frame that the cursor counts last is the first that is left
 * out. */
#include "base/log.h"
#include "base/mem.h"
#include "engine/hub_int.h"

bool hub_cursor_parse(str text, struct hub_cursor *out) {
    struct hub_cursor c = {.frames = 1};
    str seq = text, k = STR_NULL, frames = STR_NULL, after = STR_NULL;
    ptrdiff_t late = str_find_char(text, '~');
    if (late > 0) {
        after = str_slice(text, (size_t)late + 1, text.len);
        seq = text = str_slice(text, 0, (size_t)late);
    }
    ptrdiff_t dash = str_find_char(text, '-'), dot = str_find_char(text, '.');
    if (dash > 0) {
        frames = str_slice(text, (size_t)dash + 1, text.len);
        seq = str_slice(text, 0, (size_t)dash);
    }
    if (dot > 0 && (dash < 0 || dot < dash)) {
        k = str_slice(seq, (size_t)dot + 1, seq.len);
        seq = str_slice(seq, 0, (size_t)dot);
    }
    if (!str_to_i64(seq, &c.seq) || c.seq < 0 || (k.p && (!str_to_i64(k, &c.k) || c.k < 1)) ||
        (frames.p && (!str_to_i64(frames, &c.frames) || c.frames < 1)) ||
        (after.p && (!str_to_i64(after, &c.after) || !k.p || c.after <= c.seq)))
        return false;
    *out = c;
    return true;
}

size_t hub_cursor_write(const struct hub_cursor *c, char out[HUB_CURSOR_TEXT_MAX]) {
    struct buf b;
    buf_init(&b, HUB_CURSOR_TEXT_MAX);
    buf_i64(&b, c->seq);
    if (c->k) {
        buf_char(&b, '.');
        buf_i64(&b, c->k);
    }
    if (c->frames > 1) {
        buf_char(&b, '-');
        buf_i64(&b, c->frames);
    }
    if (c->after) {
        buf_char(&b, '~');
        buf_i64(&b, c->after);
    }
    size_t len = b.len;
    ASSERT(buf_ok(&b));
    memcpy(out, b.p, len);
    buf_deinit(&b);
    return len;
}

static int position_cmp(int64_t seq_a, int64_t k_a, int64_t seq_b, int64_t k_b) {
    if (seq_a != seq_b)
        return seq_a < seq_b ? -1 : 1;
    return k_a < k_b ? -1 : k_a > k_b;
}

/* An item against the one that the cursor is at. An entry that a late fragment came behind was seen
 * before it, whatever their positions say. */
static int item_cmp(int64_t seq, int64_t k, const struct hub_cursor *last) {
    return k == 0 && seq <= last->after ? -1 : position_cmp(seq, k, last->seq, last->k);
}

int hub_cursor_cmp(const struct hub_cursor *at, const struct hub_cursor *last) {
    int order = item_cmp(at->seq, at->k, last);
    if (order != 0)
        return order;
    return at->frames < last->frames ? -1 : at->frames > last->frames;
}

static bool on_frame(void *ctx, str event, str data) {
    struct hub_reader *r = ctx;
    r->now.frames++;
    if (r->closed || r->values_rc < 0)
        return false;
    if (hub_cursor_cmp(&r->now, &r->cursor) <= 0)
        return true;
    if (r->room)
        r->room(r->o.ctx, event.len + data.len);
    if (r->closed)
        return false;
    char id[HUB_CURSOR_TEXT_MAX];
    size_t len = hub_cursor_write(&r->now, id);
    return r->o.frame(r->o.ctx, event, data, str_n(id, len));
}

int hub_values(struct hub *h, struct id thread_id, str name_space, struct id checkpoint_id,
               struct arena *a, str *out, struct err *err) {
    struct checkpoint c;
    *out = STR_NULL;
    int rc = checkpoint_get(h->store, thread_id, name_space, checkpoint_id, a, &c, err);
    if (rc == 0)
        rc = checkpoint_load_values(h->store, &c, a, err);
    if (rc == 0)
        *out = checkpoint_values_json(a, &c);
    if (rc == ERR_NOT_FOUND)
        log_event(LOG_WARN, "stream.values.missing", err->message, LOG_Z("code", err_name(rc)));
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* Only replay asks, on its fiber; live checkpoints carry their values. When they could not be read
 * the replay ends with that error. */
static str on_values(void *ctx, str name_space, struct id checkpoint_id) {
    struct hub_reader *r = ctx;
    struct err err = {0};
    str values;
    if (!fiber_self() || !r->scratch)
        return STR_NULL;
    int rc =
        hub_values(r->hub, r->o.thread_id, name_space, checkpoint_id, r->scratch, &values, &err);
    if (rc < 0) {
        r->values_rc = rc;
        log_event(LOG_WARN, "stream.values.failed", err.message, LOG_Z("code", err_name(rc)));
    }
    return values;
}

static struct hub_reader *reader_new(struct hub *h, const struct hub_reader_options *o) {
    struct hub_reader *r = NEW(struct hub_reader);
    r->hub = h;
    r->o = *o;
    r->refs = 1;
    r->render = render_new(&(struct render_options){.thread_id = o->thread_id,
                                                    .modes = o->modes,
                                                    .values = on_values,
                                                    .frame = on_frame,
                                                    .ctx = r});
    r->topic = hub_topic_ref(h, o->thread_id);
    h->readers++;
    return r;
}

static void reader_unref(struct hub_reader *r) {
    if (--r->refs > 0)
        return;
    r->hub->readers--;
    hub_topic_unref(r->hub, r->topic);
    render_free(r->render);
    mem_free(r);
}

void hub_reader_close(struct hub_reader *r) {
    if (!r || r->closed)
        return;
    r->closed = true;
    if (list_linked(&r->node))
        list_remove(&r->node);
    reader_unref(r);
}

void hub_reader_finish(struct hub_reader *r) {
    if (r->closed || r->ended)
        return;
    r->ended = true;
    if (list_linked(&r->node)) /* the topic has one live reader less, whenever this one is closed */
        list_remove(&r->node);
    r->o.finished(r->o.ctx);
}

void hub_reader_show(struct hub_reader *r, const struct stream_item *item) {
    if (r->closed || r->ended)
        return;
    bool fragment = item->kind == LOG_FRAGMENTS;
    if (fragment) {
        if (position_cmp(item->seq, item->k, r->base, r->k) <= 0)
            return;
        r->base = item->seq;
        r->k = item->k;
    } else {
        if (item->seq <= r->seq)
            return;
        r->seq = item->seq;
    }
    if (!id_is_nil(r->o.run_id) && !id_eq(item->run_id, r->o.run_id))
        return;
    r->seen = true;
    if (!fragment)
        r->shown = item->seq;
    r->now = (struct hub_cursor){
        .seq = item->seq, .k = item->k, .after = item->seq < r->shown ? r->shown : 0};
    bool mute = item_cmp(item->seq, item->k, &r->cursor) < 0;
    r->refs++; /* the sink may close the reader from inside a frame */
    render_item(r->render, item, mute);
    if (r->values_rc == 0 && item->kind == LOG_END && !id_is_nil(r->o.run_id))
        hub_reader_finish(r);
    reader_unref(r);
}

struct hub_reader *hub_reader_live(struct hub *h, const struct hub_reader_options *o) {
    struct hub_reader *r = reader_new(h, o);
    list_push_back(&r->topic->readers, &r->node);
    return r;
}

/* To one reader, or to all live ones of the topic. */
int hub_show_segment(struct hub_topic *t, struct hub_reader *r, const struct log_entry *e,
                     struct arena *a, struct err *err) {
    yyjson_val *root;
    int rc = json_parse(a, e->data, &root, err);
    if (rc < 0)
        return err_set(err, ERR_CORRUPT, "a segment of the log cannot be read");
    struct stream_item item = {.kind = LOG_FRAGMENTS,
                               .seq = yyjson_get_sint(json_get(root, "b")),
                               .k = yyjson_get_sint(json_get(root, "k")),
                               .run_id = e->run_id,
                               .at = e->at};
    yyjson_val *list = json_get(root, "f");
    struct segment segment = {0};
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (yyjson_val *v; list && (v = yyjson_arr_iter_next(&it)) != NULL; item.k++) {
        rc = segment_read(&segment, a, v, &item.data, err);
        if (rc < 0)
            return rc;
        if (r)
            hub_reader_show(r, &item);
        else
            hub_show(t, &item);
    }
    return 0;
}

static int show_entry(struct hub_reader *r, const struct log_entry *e, struct arena *a,
                      struct err *err) {
    if (e->kind == LOG_FRAGMENTS)
        return hub_show_segment(r->topic, r, e, a, err);
    struct stream_item item = {
        .kind = e->kind, .seq = e->seq, .run_id = e->run_id, .at = e->at, .data = e->data};
    hub_reader_show(r, &item);
    if (r->values_rc < 0)
        return err_set(err, r->values_rc, "a state of the stream cannot be read");
    return 0;
}

/* What is shown but not in the log yet. No suspension from the last page to here. */
static void go_live(struct hub_reader *r, int64_t read_seq) {
    struct hub_topic *t = r->topic;
    struct list *lists[] = {&t->flying, &t->open};
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        LIST_EACH (lists[i], n) {
            struct stream_item item = hub_fragment_item(LIST_ENTRY(n, struct fragment, node));
            hub_reader_show(r, &item);
        }
    }
    if (r->closed || r->ended)
        return;
    if (read_seq > t->visible_seq) /* whoever joins from now on has to have read as far */
        t->visible_seq = read_seq;
    if (list_empty(&t->readers) && !t->filling)
        t->shown_seq = t->visible_seq;
    list_push_back(&t->readers, &r->node);
    hub_tail_soon(t);
}

static int replay(struct hub_reader *r, int64_t *read_seq, struct err *err) {
    int64_t after = *read_seq;
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    r->scratch = &a;
    int rc = 0;
    for (;;) {
        struct log_entry *entries;
        size_t count;
        int64_t visible = r->topic->visible_seq; /* the page reads at least this far */
        rc =
            log_read(r->hub->store, r->o.thread_id, after, LOG_PAGE_MAX, &a, &entries, &count, err);
        if (rc < 0)
            break;
        for (size_t i = 0; i < count && !r->closed && !r->ended; i++) {
            r->lost = r->lost || entries[i].seq > after + 1;
            after = entries[i].seq;
            rc = show_entry(r, &entries[i], &a, err);
            if (rc < 0)
                break;
        }
        if (rc < 0 || r->closed || r->ended)
            break;
        if (count < LOG_PAGE_MAX && after < visible) {
            after = visible; /* what the log lacks up to there was deleted */
            r->lost = true;
        }
        if (count < LOG_PAGE_MAX && after >= r->topic->visible_seq)
            break;
        arena_reset(&a);
    }
    r->scratch = NULL;
    arena_deinit(&a);
    *read_seq = after;
    return rc;
}

int hub_run_is_over(struct hub *h, struct id run_id, bool *out, struct err *err) {
    struct run_place p;
    struct arena a;
    arena_init(&a, SIZE_MAX / 2);
    int rc = run_place_get(h->store, run_id, &a, &p, err);
    arena_deinit(&a);
    *out = rc == ERR_NOT_FOUND || (rc == 0 && p.status != RUN_PENDING && p.status != RUN_RUNNING);
    if (rc == ERR_NOT_FOUND)
        err_reset(err);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* A run was live when it was looked up, and its end is not in the log: it has not ended, or that
 * went with older states, as other entries have. The end is stored with the status, so the log is
 * looked at once more after that. */
static int replay_lost(struct hub_reader *r, int64_t *read_seq, bool *out_over, struct err *err) {
    int rc = hub_run_is_over(r->hub, r->o.run_id, out_over, err);
    if (rc == 0 && *out_over)
        rc = replay(r, read_seq, err);
    return rc;
}

int hub_reader_replay(struct hub *h, const struct hub_reader_options *o, int64_t first_seq,
                      const struct hub_cursor *cursor, void (*room)(void *ctx, size_t bytes),
                      struct hub_reader **out, struct err *err) {
    struct hub_reader *r = reader_new(h, o);
    r->cursor = *cursor;
    r->refs++;
    *out = r;
    int64_t read_seq = first_seq;
    bool over = false;
    int rc = 0;
    while (rc == 0 && r->topic->going)
        rc = fiber_event_wait(&r->topic->decided, FIBER_NO_DEADLINE);
    r->room = room;
    r->topic->replays++;
    if (rc == 0)
        rc = replay(r, &read_seq, err);
    bool one = !id_is_nil(o->run_id);
    if (rc == 0 && one && !r->closed && !r->ended && (r->lost || (!r->seen && o->alive)))
        rc = replay_lost(r, &read_seq, &over, err);
    r->topic->replays--;
    r->room = NULL;
    bool deleted = r->topic->gone || over || (one && !r->seen && !o->alive);
    if (rc == 0 && !r->closed && !r->ended && deleted)
        hub_reader_finish(r); /* run or thread: its end will never come */
    else if (rc == 0 && !r->closed && !r->ended)
        go_live(r, read_seq);
    if ((rc < 0 || r->ended) && !r->closed)
        hub_reader_close(r);
    if (r->closed)
        *out = NULL;
    reader_unref(r);
    return rc;
}

static void finish_all(struct list *readers, str error_json) {
    for (struct list *n; (n = list_pop_front(readers)) != NULL;) {
        struct hub_reader *r = LIST_ENTRY(n, struct hub_reader, node);
        r->ended = true;
        if (r->o.frame(r->o.ctx, STR("error"), error_json, STR_NULL) && !r->closed)
            r->o.finished(r->o.ctx);
    }
}

void hub_finish_run_readers(struct hub_topic *t, struct id run_id, str error_json) {
    struct list lost;
    list_init(&lost);
    for (struct list *n = t->readers.next, *next; n != &t->readers; n = next) {
        next = n->next;
        if (!id_eq(LIST_ENTRY(n, struct hub_reader, node)->o.run_id, run_id))
            continue;
        list_remove(n);
        list_push_back(&lost, n);
    }
    finish_all(&lost, error_json);
}

void hub_finish_readers(struct hub *h, str error_json) {
    size_t at = 0;
    str key;
    void *value;
    struct list all;
    list_init(&all);
    while (map_next(&h->topics, &at, &key, &value))
        list_splice(&all, &((struct hub_topic *)value)->readers);
    finish_all(&all, error_json);
}

size_t hub_reader_count(const struct hub *h) { return h->readers; }
