/* SPDX-License-Identifier: Apache-2.0 */
/* incoming.c - envelopes out of a JSON text, gathered for one append.
 *
 * The arrays double in the arena; what they leave behind goes with it. An append holds up to
 * HISTORY_APPEND_COUNT_MAX events, so they stay small. */
#include "history/incoming.h"

#include "rt/fiber.h"

#define COUNT_FIRST  16
#define SLICE_EVENTS 8

static void grow(struct history_incoming *in) {
    size_t cap = in->cap ? 2 * in->cap : COUNT_FIRST;
    struct history_event *events = ARENA_ARRAY(in->arena, struct history_event, cap);
    str *sessions = ARENA_ARRAY(in->arena, str, cap);
    if (in->count) {
        memcpy(events, in->events, in->count * sizeof *events);
        memcpy(sessions, in->sessions, in->count * sizeof *sessions);
    }
    in->events = events;
    in->sessions = sessions;
    in->cap = cap;
}

int history_incoming_take(struct history_incoming *in, yyjson_val *envelope, struct err *err) {
    str session;
    if (in->count == HISTORY_APPEND_COUNT_MAX)
        return err_set(err, ERR_TOO_LARGE, "at most %d events at once", HISTORY_APPEND_COUNT_MAX);
    if (in->count == in->cap)
        grow(in);
    int rc =
        history_event_read(envelope, in->now_us, in->arena, &in->events[in->count], &session, err);
    if (rc < 0)
        return rc;
    if (in->alone && session.p && !str_eq(session, in->session))
        return err_set(err, ERR_INVALID, "sessionId: must be that of the path");
    session = session.p ? session : in->session;
    if (!session.p)
        return err_set(err, ERR_INVALID, "sessionId: is required");
    in->sessions[in->count++] = session;
    return 0;
}

/* On a loop, others have their turns meanwhile. */
static void breathe(size_t event) {
    if (event % SLICE_EVENTS == 0)
        fiber_yield_when_late();
}

int history_incoming_json(struct history_incoming *in, str text, struct err *err) {
    yyjson_val *root, *item;
    size_t i, count;
    int rc = json_parse(in->arena, text, &root, err);
    if (rc < 0)
        return err_context(err, "body");
    if (!yyjson_is_arr(root))
        return history_incoming_take(in, root, err);
    yyjson_arr_foreach(root, i, count, item) {
        breathe(i);
        rc = history_incoming_take(in, item, err);
        if (rc < 0)
            return err_context(err, "event %zu", i);
    }
    return 0;
}

int history_incoming_lines(struct history_incoming *in, str text, struct err *err) {
    str rest = text, line;
    size_t number = 0;
    while (str_split_next(&rest, '\n', &line)) {
        yyjson_val *root;
        number++;
        line = str_trim(line);
        if (line.len == 0)
            continue;
        breathe(number);
        int rc = json_parse(in->arena, line, &root, err);
        if (rc == 0)
            rc = history_incoming_take(in, root, err);
        if (rc < 0)
            return err_context(err, "line %zu", number);
    }
    return 0;
}
