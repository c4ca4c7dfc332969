/* SPDX-License-Identifier: Apache-2.0 */
/* append.c - hf_append(), hf_append_json().
 *
 * Events come as an array of structs, of which each has the size that the first one says, or as
 * JSON. Either way they end up as one append of the port, which goes through the pipeline: appends
 * of many threads share a sync. */
#include "base/clock.h"
#include "history/incoming.h"
#include "library/library_int.h"

#define EVENT_MIN LIBRARY_UP_TO(struct hf_event, payload_size)

static int run(struct library_call *c) {
    struct history_append *a = &c->append;
    int rc = history_append(c->h->history, a, &c->err);
    if (rc < 0)
        return rc;
    struct arena *arena = &c->result->arena;
    struct hf_results *out = library_object(c);
    struct hf_result *results = ARENA_ARRAY(arena, struct hf_result, a->count);
    const struct hf_result **items = ARENA_ARRAY(arena, const struct hf_result *, a->count);
    for (size_t i = 0; i < a->count; i++) {
        results[i] = (struct hf_result){.id = library_z(arena, a->events[i].id),
                                        .seq = a->results[i].seq,
                                        .duplicate = a->results[i].duplicate};
        items[i] = &results[i];
        out->duplicates += a->results[i].duplicate;
    }
    out->count = a->count;
    out->items = items;
    return 0;
}

/* --- structs --- */

static void take_headers(struct library_call *c, const char *z, struct history_event *e) {
    str text = library_text(c, z, HISTORY_HEADERS_BYTES_MAX, "headers");
    yyjson_val *root;
    if (!text.p || c->rc < 0)
        return;
    c->rc = json_parse(&c->in, text, &root, &c->err);
    if (c->rc == 0)
        c->rc = history_event_read_headers(root, &c->in, &e->headers, &c->err);
    else
        c->rc = err_context(&c->err, "headers");
}

static void take_event(struct library_call *c, const struct hf_event *in, struct history_event *e,
                       str *session) {
    *session = in->session ? library_text(c, in->session, HISTORY_NAME_BYTES_MAX, "session")
                           : c->key.session;
    if (!session->p)
        library_fault(c, ERR_INVALID, "session: is required");
    e->id =
        in->id ? library_text(c, in->id, HISTORY_ID_BYTES_MAX, "id") : id_dashed(&c->in, id_v7());
    e->type = library_text(c, in->type, HISTORY_ID_BYTES_MAX, "type");
    e->source = library_text(c, in->source, HISTORY_ID_BYTES_MAX, "source");
    e->trace_id = library_text(c, in->trace_id, HISTORY_ID_BYTES_MAX, "trace_id");
    e->occurred_at_is_ours = in->occurred_at == 0;
    e->occurred_at = in->occurred_at ? in->occurred_at : clock_wall_us();
    e->ttl_ms = in->ttl_ms;
    take_headers(c, in->headers, e);
    e->payload =
        library_payload(c, in->payload_kind, in->payload, in->payload_size, &e->payload_kind);
}

static const struct hf_event *event_at(const struct hf_event *events, size_t i) {
    return (const void *)((const char *)events + i * events->struct_size);
}

/* The bytes that the events hold, before any of them is copied. */
static size_t sizes(struct library_call *c, const struct hf_event *events, size_t count) {
    size_t total = 0;
    for (size_t i = 0; c->rc == 0 && i < count; i++) {
        struct hf_event e = {0};
        if (event_at(events, i)->struct_size == events->struct_size)
            library_take_struct(c, event_at(events, i), EVENT_MIN, &e, sizeof e, "event");
        else
            library_fault(c, ERR_INVALID, "events: all have the struct_size of the first one");
        total += e.payload_size < HISTORY_APPEND_BYTES_MAX ? e.payload_size
                                                           : HISTORY_APPEND_BYTES_MAX + 1;
        if (total > HISTORY_APPEND_BYTES_MAX)
            library_fault(c, ERR_TOO_LARGE, "an append takes %u bytes at most",
                          HISTORY_APPEND_BYTES_MAX);
        total += sizeof e;
    }
    return total;
}

static void take_events(struct library_call *c, const char *owner, const char *session,
                        const struct hf_event *events, size_t count) {
    c->key.owner = library_text(c, owner ? owner : "", HISTORY_NAME_BYTES_MAX, "owner");
    c->key.session = library_text(c, session, HISTORY_NAME_BYTES_MAX, "session");
    if (!events || count == 0 || count > HISTORY_APPEND_COUNT_MAX)
        library_fault(c, ERR_INVALID, "events: 1 to %d of them", HISTORY_APPEND_COUNT_MAX);
    library_reserve(c, sizes(c, events, count));
    if (c->rc < 0)
        return;
    struct history_event *to = ARENA_ARRAY(&c->in, struct history_event, count);
    str *sessions = ARENA_ARRAY(&c->in, str, count);
    for (size_t i = 0; c->rc == 0 && i < count; i++) {
        struct hf_event e;
        library_take_struct(c, event_at(events, i), EVENT_MIN, &e, sizeof e, "event");
        take_event(c, &e, &to[i], &sessions[i]);
        if (c->rc < 0 && count > 1)
            (void)err_context(&c->err, "event %zu", i);
    }
    c->append =
        (struct history_append){.key = c->key,
                                .sessions = sessions,
                                .events = to,
                                .count = count,
                                .results = ARENA_ARRAY(&c->in, struct history_result, count)};
}

static struct library_call *append(struct hf_history *h, const char *owner, const char *session,
                                   const struct hf_event *events, size_t count, bool async) {
    struct library_call *c = library_call_new(h, run, sizeof(struct hf_results), async);
    take_events(c, owner, session, events, count);
    return c;
}

int hf_append(struct hf_history *h, const char *owner, const char *session,
              const struct hf_event *events, size_t count, struct hf_results **out,
              struct hf_error *error) {
    return library_wait(append(h, owner, session, events, count, false), (void **)out, error);
}

int hf_append_async(struct hf_history *h, const char *owner, const char *session,
                    const struct hf_event *events, size_t count, hf_done_fn done, void *ctx,
                    struct hf_error *error) {
    return library_start(append(h, owner, session, events, count, true), done, ctx, error);
}

/* --- JSON --- */

/* A text that is no JSON as a whole may be lines of it. */
static int read_text(struct history_incoming *in, str text, struct err *err) {
    int rc = history_incoming_json(in, text, err);
    if (rc != ERR_MALFORMED || in->count > 0 || str_find_char(text, '\n') < 0)
        return rc;
    return history_incoming_lines(in, text, err);
}

static struct library_call *append_json(struct hf_history *h, const char *owner,
                                        const char *session, const char *text, size_t size,
                                        bool async) {
    struct library_call *c = library_call_new(h, run, sizeof(struct hf_results), async);
    struct history_incoming in = {.arena = &c->in, .now_us = clock_wall_us()};
    c->key.owner = library_text(c, owner ? owner : "", HISTORY_NAME_BYTES_MAX, "owner");
    c->key.session = library_text(c, session, HISTORY_NAME_BYTES_MAX, "session");
    in.session = c->key.session;
    if (!text)
        library_fault(c, ERR_INVALID, "text: is required");
    if (size > HISTORY_APPEND_BYTES_MAX)
        library_fault(c, ERR_TOO_LARGE, "text: at most %u bytes", HISTORY_APPEND_BYTES_MAX);
    library_reserve(c, size);
    if (c->rc == 0)
        c->rc = read_text(&in, str_n(text, size), &c->err);
    if (c->rc == 0 && in.count == 0)
        library_fault(c, ERR_INVALID, "there is no event");
    c->append = (struct history_append){
        .key = c->key,
        .sessions = in.sessions,
        .events = in.events,
        .count = in.count,
        .results = ARENA_ARRAY(&c->in, struct history_result, in.count + 1)};
    return c;
}

int hf_append_json(struct hf_history *h, const char *owner, const char *session, const char *text,
                   size_t text_size, struct hf_results **out, struct hf_error *error) {
    return library_wait(append_json(h, owner, session, text, text_size, false), (void **)out,
                        error);
}

int hf_append_json_async(struct hf_history *h, const char *owner, const char *session,
                         const char *text, size_t text_size, hf_done_fn done, void *ctx,
                         struct hf_error *error) {
    return library_start(append_json(h, owner, session, text, text_size, true), done, ctx, error);
}
