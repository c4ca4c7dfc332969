/* SPDX-License-Identifier: Apache-2.0 */
/* read.c - hf_read(), hf_read_json(), hf_wait(), hf_follow().
 *
 * A page is read into the arena of the result and stays there: payloads are not copied again. Short
 * texts are, to end with NUL. */
#include "library/library_int.h"

#define RANGE_MIN LIBRARY_UP_TO(struct hf_range, after)

/* --- ranges --- */

static void take_range(struct library_call *c, const char *owner, const char *session,
                       const struct hf_range *in) {
    struct hf_range r = {0};
    library_take_key(c, owner, session);
    if (in)
        library_take_struct(c, in, RANGE_MIN, &r, sizeof r, "range");
    struct history_range *range = &c->read.range;
    *range = HISTORY_RANGE_ALL(c->key);
    range->seq_min = r.seq_min ? r.seq_min : range->seq_min;
    range->seq_max = r.seq_max ? r.seq_max : range->seq_max;
    range->time_min = r.time_min ? r.time_min : range->time_min;
    range->time_max = r.time_max ? r.time_max : range->time_max;
    range->by_time = r.by_time;
    range->newest_first = r.newest_first;
    range->payloads = !r.headers_only;
    range->limit = library_limit(r.limit);
    if (r.after && c->rc == 0) {
        c->read.after = (struct history_position){r.after->occurred_at, r.after->seq};
        range->after = &c->read.after;
    }
}

static struct hf_position position_of(const struct history_page *page) {
    if (page->count == 0)
        return (struct hf_position){0};
    const struct history_event *last = &page->events[page->count - 1];
    return (struct hf_position){.occurred_at = last->occurred_at, .seq = last->seq};
}

/* --- pages --- */

static void event_out(struct arena *a, const struct history_event *e, struct hf_event *out) {
    *out = (struct hf_event){.struct_size = sizeof *out,
                             .id = library_z(a, e->id),
                             .type = library_z(a, e->type),
                             .source = library_z(a, e->source),
                             .trace_id = library_z(a, e->trace_id),
                             .headers = library_z(a, e->headers),
                             .occurred_at = e->occurred_at,
                             .ttl_ms = e->ttl_ms,
                             .payload_kind = e->payload_kind == HISTORY_JSON ? HF_JSON : HF_BYTES,
                             .payload = e->payload.p,
                             .payload_size = e->payload_bytes,
                             .seq = e->seq,
                             .stored_at = e->stored_at};
}

static void page_out(struct library_call *c, const struct history_page *page) {
    struct arena *a = &c->result->arena;
    struct hf_page *out = library_object(c);
    struct hf_event *events = ARENA_ARRAY(a, struct hf_event, page->count + 1);
    const struct hf_event **items = ARENA_ARRAY(a, const struct hf_event *, page->count + 1);
    for (size_t i = 0; i < page->count; i++) {
        event_out(a, &page->events[i], &events[i]);
        items[i] = &events[i];
    }
    *out = (struct hf_page){
        .count = page->count, .events = items, .more = page->more, .next = position_of(page)};
}

static int run_read(struct library_call *c) {
    struct history_page page;
    int rc = history_read(c->h->history, &c->read.range, &c->result->arena, &page, &c->err);
    if (rc == 0)
        page_out(c, &page);
    return rc;
}

static struct library_call *read_call(struct hf_history *h, const char *owner, const char *session,
                                      const struct hf_range *range, bool async) {
    struct library_call *c = library_call_new(h, run_read, sizeof(struct hf_page), async);
    take_range(c, owner, session, range);
    return c;
}

int hf_read(struct hf_history *h, const char *owner, const char *session,
            const struct hf_range *range, struct hf_page **out, struct hf_error *error) {
    return library_wait(read_call(h, owner, session, range, false), (void **)out, error);
}

int hf_read_async(struct hf_history *h, const char *owner, const char *session,
                  const struct hf_range *range, hf_done_fn done, void *ctx,
                  struct hf_error *error) {
    return library_start(read_call(h, owner, session, range, true), done, ctx, error);
}

/* --- lines of JSON --- */

static int run_read_json(struct library_call *c) {
    struct history_page page;
    struct buf b;
    int rc = history_read(c->h->history, &c->read.range, &c->in, &page, &c->err);
    if (rc < 0)
        return rc;
    buf_init(&b, SIZE_MAX / 2);
    for (size_t i = 0; i < page.count; i++) {
        struct json_writer w = json_writer(&b);
        history_event_write(&w, &page.events[i], c->key.session);
        buf_char(&b, '\n');
    }
    size_t size = b.len;
    buf_char(&b, '\0');
    struct hf_text *out = library_object(c);
    *out = (struct hf_text){.size = size,
                            .text = arena_take(&c->result->arena, &b).p,
                            .count = page.count,
                            .more = page.more,
                            .next = position_of(&page)};
    return 0;
}

static struct library_call *read_json(struct hf_history *h, const char *owner, const char *session,
                                      const struct hf_range *range, bool async) {
    struct library_call *c = library_call_new(h, run_read_json, sizeof(struct hf_text), async);
    take_range(c, owner, session, range);
    return c;
}

int hf_read_json(struct hf_history *h, const char *owner, const char *session,
                 const struct hf_range *range, struct hf_text **out, struct hf_error *error) {
    return library_wait(read_json(h, owner, session, range, false), (void **)out, error);
}

int hf_read_json_async(struct hf_history *h, const char *owner, const char *session,
                       const struct hf_range *range, hf_done_fn done, void *ctx,
                       struct hf_error *error) {
    return library_start(read_json(h, owner, session, range, true), done, ctx, error);
}

/* --- waiting --- */

static int64_t deadline_of(const struct library_call *c) {
    int64_t now = rt_mono_us(c->h->rt), ms = c->wait.timeout_ms;
    return ms < 0 || ms > (INT64_MAX - now) / 1000 ? FIBER_NO_DEADLINE : now + ms * 1000;
}

static int run_wait(struct library_call *c) {
    return history_wait(c->h->history, &c->key, c->wait.after_seq, deadline_of(c),
                        library_object(c), &c->err);
}

static void take_wait(struct library_call *c, const char *owner, const char *session,
                      int64_t after_seq, int64_t timeout_ms) {
    library_take_key(c, owner, session);
    c->base.waits = true;
    c->wait.after_seq = after_seq;
    c->wait.timeout_ms = timeout_ms;
    if (after_seq < 0)
        library_fault(c, ERR_INVALID, "after_seq: must not be negative");
}

static struct library_call *wait_call(struct hf_history *h, const char *owner, const char *session,
                                      int64_t after_seq, int64_t timeout_ms, bool async) {
    struct library_call *c = library_call_new(h, run_wait, sizeof(int64_t), async);
    take_wait(c, owner, session, after_seq, timeout_ms);
    return c;
}

int hf_wait(struct hf_history *h, const char *owner, const char *session, int64_t after_seq,
            int64_t timeout_ms, int64_t *out_last_seq, struct hf_error *error) {
    return library_wait_number(wait_call(h, owner, session, after_seq, timeout_ms, false),
                               out_last_seq, error);
}

int hf_wait_async(struct hf_history *h, const char *owner, const char *session, int64_t after_seq,
                  int64_t timeout_ms, hf_done_fn done, void *ctx, struct hf_error *error) {
    return library_start(wait_call(h, owner, session, after_seq, timeout_ms, true), done, ctx,
                         error);
}

/* What a wait tells of can be past its time, and the page empty: then it goes on behind that. */
static int run_follow(struct library_call *c) {
    struct history_range range = HISTORY_RANGE_ALL(c->key);
    int64_t deadline = deadline_of(c), last = c->wait.after_seq, newest = last;
    struct history_page page = {0};
    range.limit = c->wait.limit;
    for (;;) {
        range.seq_min = last < INT64_MAX ? last + 1 : last;
        int rc = history_read(c->h->history, &range, &c->result->arena, &page, &c->err);
        if (rc == 0 && page.count > 0)
            break;
        last = newest;
        if (rc == 0 || rc == ERR_NOT_FOUND)
            rc = history_wait(c->h->history, &c->key, last, deadline, &newest, &c->err);
        if (rc < 0)
            return rc;
        arena_reset(&c->result->arena);
    }
    page_out(c, &page);
    return 0;
}

static struct library_call *follow(struct hf_history *h, const char *owner, const char *session,
                                   int64_t after_seq, size_t limit, int64_t timeout_ms,
                                   bool async) {
    struct library_call *c = library_call_new(h, run_follow, sizeof(struct hf_page), async);
    take_wait(c, owner, session, after_seq, timeout_ms);
    c->wait.limit = library_limit(limit);
    return c;
}

int hf_follow(struct hf_history *h, const char *owner, const char *session, int64_t after_seq,
              size_t limit, int64_t timeout_ms, struct hf_page **out, struct hf_error *error) {
    return library_wait(follow(h, owner, session, after_seq, limit, timeout_ms, false),
                        (void **)out, error);
}

int hf_follow_async(struct hf_history *h, const char *owner, const char *session, int64_t after_seq,
                    size_t limit, int64_t timeout_ms, hf_done_fn done, void *ctx,
                    struct hf_error *error) {
    return library_start(follow(h, owner, session, after_seq, limit, timeout_ms, true), done, ctx,
                         error);
}
