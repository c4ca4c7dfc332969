/* SPDX-License-Identifier: Apache-2.0 */
/* history_events.c - PUT and GET /history/{session}/events.
 *
 * A body is one envelope, an array of them, or lines of JSON (application/x-ndjson); it is stored
 * whole or not at all, and putting it again stores nothing new, since events have ids. What is read
 * comes as a page of JSON, as lines, or as server-sent events, by the Accept header. */
#include "api/history_int.h"
#include "base/clock.h"
#include "rt/worker.h"

#define LIMIT_USUAL  100
#define LONG_BYTES   ((size_t)256 << 10)
#define SLICE_EVENTS 16

/* --- put --- */

struct history_incoming api_history_incoming(struct api_request *r, str session) {
    return (struct history_incoming){
        .arena = r->arena, .now_us = rt_now_us(fiber_rt()), .session = session, .alone = true};
}

static bool is_lines(str type) {
    ptrdiff_t end = str_find_char(type, ';');
    str name = str_trim(end < 0 ? type : str_slice(type, 0, (size_t)end));
    return str_ieq(name, STR("application/x-ndjson")) || str_ieq(name, STR("application/jsonl")) ||
           str_ieq(name, STR("application/x-jsonlines"));
}

void api_history_write_results(struct json_writer *w, const struct history_incoming *in,
                               const struct history_result *results) {
    int64_t duplicates = 0;
    jw_object(w);
    jw_key(w, "events");
    jw_array(w);
    for (size_t i = 0; i < in->count; i++) {
        duplicates += results[i].duplicate;
        jw_object(w);
        jw_key(w, "id");
        jw_str(w, in->events[i].id);
        jw_key(w, "seq");
        jw_i64(w, results[i].seq);
        jw_key(w, "duplicate");
        jw_bool(w, results[i].duplicate);
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_key(w, "stored");
    jw_i64(w, (int64_t)in->count - duplicates);
    jw_key(w, "duplicates");
    jw_i64(w, duplicates);
    jw_object_end(w);
}

int api_history_store(struct api_request *r, struct history *h, const struct history_key *key,
                      const struct history_incoming *in, struct history_result **out,
                      struct err *err) {
    if (in->count == 0)
        return err_set(err, ERR_INVALID, "there is no event");
    struct history_append a = {.key = *key,
                               .events = in->events,
                               .count = in->count,
                               .results = ARENA_ARRAY(r->arena, struct history_result, in->count)};
    *out = a.results;
    return history_append(h, &a, err);
}

struct reading {
    struct history_incoming *in;
    str body;
    bool lines;
    int rc;
    struct err *err;
};

static void read_body(void *arg) {
    struct reading *j = arg;
    j->rc = j->lines ? history_incoming_lines(j->in, j->body, j->err)
                     : history_incoming_json(j->in, j->body, j->err);
}

/* A long text is parsed on another thread; a short one here, when the turn is not long yet. */
static int read_events(struct api_request *r, struct history_incoming *in, struct err *err) {
    struct reading j = {.in = in, .body = r->http->body, .err = err};
    j.lines = is_lines(http_header(r->http, STR("content-type")));
    if (j.body.len >= LONG_BYTES && rt_offload(fiber_rt(), read_body, &j) == 0)
        return j.rc;
    fiber_yield_when_late();
    read_body(&j);
    return j.rc;
}

int api_history_append(struct api_request *r, struct err *err) {
    struct history *h;
    struct history_key key;
    struct history_result *results;
    int rc = api_history_of(r, &h, &key, err);
    struct history_incoming in = api_history_incoming(r, key.session);
    if (rc == 0)
        rc = read_events(r, &in, err);
    if (rc == 0)
        rc = api_history_store(r, h, &key, &in, &results, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    api_history_write_results(&w, &in, results);
    return api_reply_json(r, 200);
}

/* --- get --- */

static int query_time(struct api_request *r, const char *name, int64_t *out, struct err *err) {
    str text = http_query_get(&r->query, name);
    if (text.p && !time_parse_iso(text, out))
        return err_set(err, ERR_INVALID, "%s: must be ISO-8601", name);
    return 0;
}

/* Of two words: *out is whether it is the second. */
static int query_choice(struct api_request *r, const char *name, const char *first,
                        const char *second, bool *out, struct err *err) {
    str text = http_query_get(&r->query, name);
    *out = text.p && str_eq(text, str_of(second));
    if (text.p && !*out && !str_eq(text, str_of(first)))
        return err_set(err, ERR_INVALID, "%s: must be %s or %s", name, first, second);
    return 0;
}

static int read_range(struct api_request *r, struct history_range *range,
                      struct history_position *after, int64_t *out_limit, struct err *err) {
    struct body_range seqs = {0, INT64_MAX, range->seq_min};
    bool given = false;
    int rc = api_query_int(r, "from_seq", seqs, &range->seq_min, err);
    seqs.fallback = range->seq_max;
    if (rc == 0)
        rc = api_query_int(r, "to_seq", seqs, &range->seq_max, err);
    if (rc == 0)
        rc = query_time(r, "from", &range->time_min, err);
    if (rc == 0)
        rc = query_time(r, "to", &range->time_max, err);
    if (rc == 0)
        rc = query_choice(r, "order", "seq", "time", &range->by_time, err);
    if (rc == 0)
        rc = query_choice(r, "direction", "asc", "desc", &range->newest_first, err);
    if (rc == 0)
        rc = api_query_int(r, "limit", (struct body_range){1, INT64_MAX, 0}, out_limit, err);
    if (rc == 0)
        rc = api_history_position(http_query_get(&r->query, "after"), after, &given, err);
    range->after = given ? after : NULL;
    range->payloads = http_query_bool(&r->query, "payload", true);
    return rc;
}

void api_history_write_page(struct json_writer *w, struct arena *a, str session,
                            const struct history_page *page) {
    jw_object(w);
    jw_key(w, "events");
    jw_array(w);
    for (size_t i = 0; i < page->count; i++) {
        if (i % SLICE_EVENTS == 0)
            fiber_yield_when_late();
        history_event_write(w, &page->events[i], session);
    }
    jw_array_end(w);
    jw_key(w, "next");
    if (page->more && page->count > 0) {
        const struct history_event *last = &page->events[page->count - 1];
        jw_str(w, arena_printf(a, "%lld:%lld", (long long)last->occurred_at, (long long)last->seq));
    } else {
        jw_null(w);
    }
    jw_object_end(w);
}

static int reply_page(struct api_request *r, struct history *h, const struct history_range *range,
                      struct err *err) {
    struct history_page page;
    int rc = history_read(h, range, r->arena, &page, err);
    if (rc < 0)
        return rc;
    struct json_writer w = api_json(r);
    api_history_write_page(&w, r->arena, range->key.session, &page);
    return api_reply_json(r, 200);
}

/* Goes on behind what the consumer of the query acknowledged; one that is not known yet has nothing
 * behind it. */
static int from_consumer(struct api_request *r, struct history *h, struct history_range *range,
                         struct err *err) {
    str name = http_query_get(&r->query, "consumer");
    struct history_consumer *list;
    size_t count;
    if (!name.p)
        return 0;
    int rc = history_consumer_list(h, &range->key, r->arena, &list, &count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (str_eq(list[i].name, name) && range->seq_min <= list[i].acked_seq)
            range->seq_min = list[i].acked_seq + 1;
    }
    return rc;
}

/* Goes on behind the event that the client had last. */
static int follow(struct api_request *r, struct history *h, struct history_range *range,
                  struct err *err) {
    str last = http_header(r->http, STR("last-event-id"));
    int64_t seq;
    if (range->by_time || range->newest_first || range->after)
        return err_set(err, ERR_INVALID, "a stream of events is by seq, ascending");
    if (last.len > 0) {
        if (!str_to_i64(last, &seq) || seq < 0 || seq == INT64_MAX)
            return err_set(err, ERR_INVALID, "Last-Event-ID: must be the id of an event before");
        if (range->seq_min <= seq)
            range->seq_min = seq + 1;
    }
    api_history_stream_events(r, h, range);
    return 0;
}

/* Does the Accept header name this type, and before JSON? */
static bool wants(str accept, str type) {
    ptrdiff_t at = str_find(accept, type), json = str_find(accept, STR("application/json"));
    return at >= 0 && (json < 0 || at < json);
}

int api_history_read(struct api_request *r, struct err *err) {
    struct history *h;
    struct history_key key;
    struct history_position after;
    struct history_session session;
    int64_t limit = 0;
    str accept = http_header(r->http, STR("accept"));
    int rc = api_history_of(r, &h, &key, err);
    struct history_range range = HISTORY_RANGE_ALL(key);
    if (rc == 0)
        rc = read_range(r, &range, &after, &limit, err);
    if (rc == 0)
        rc = from_consumer(r, h, &range, err);
    if (rc < 0)
        return rc;
    http_reply_header(r->http, STR("Vary"), STR("Accept"));
    if (wants(accept, STR("text/event-stream")))
        return follow(r, h, &range, err);
    if (wants(accept, STR("application/x-ndjson")) || wants(accept, STR("application/jsonl"))) {
        rc = history_session_get(h, &key, r->arena, &session, err);
        if (rc == 0)
            api_history_stream_lines(r, h, &range, (size_t)limit);
        return rc;
    }
    if (limit > HISTORY_PAGE_MAX)
        return err_set(err, ERR_INVALID, "limit: at most %d, but of lines", HISTORY_PAGE_MAX);
    range.limit = limit ? (size_t)limit : LIMIT_USUAL;
    return reply_page(r, h, &range, err);
}
