/* SPDX-License-Identifier: Apache-2.0 */
/* conversation_messages.c - windows of the messages of a state.
 *
 * Design: a list of the native layout is cut into segments, whose starts are a key: its end is read
 * backwards, and a place in it forwards or backwards from there, as many segments as a window may
 * need (each has one item or more). One item more is read before the window: it is the parent of
 * its first. A place is checked by the message's id; when the list was made anew and the number
 * moved, all of it is read and the id looked for. */
#include "store/conversation_messages.h"

#include "base/hash.h"
#include "store/lg_checkpoints.h"

#define CHANNEL "messages"

struct message_place message_place_of(int64_t number, str message_id) {
    unsigned char digest[HASH_SHA256_BYTES];
    struct message_place place = {.number = number};
    hash_sha256(message_id.p ? message_id : STR(""), digest);
    memcpy(place.hash.b, digest, sizeof(place.hash.b));
    return place;
}

static bool is_at(const struct message_place *place, yyjson_val *message) {
    struct message_place there = message_place_of(0, json_str(json_get(message, "id")));
    return id_eq(there.hash, place->hash);
}

int64_t message_find(const struct message_list *list, str id) {
    for (int64_t i = list->first; i < list->first + list->count; i++)
        if (str_eq(message_id_at(list, i), id))
            return i;
    return -1;
}

/* --- a list in segments --- */

struct segments {
    int64_t list_id, total;
};

/* Is the channel a list of the native layout? */
static bool in_segments(const struct checkpoint *c, struct arena *a, struct segments *out) {
    yyjson_val *refs;
    if (c->lg || json_parse(a, c->channels, &refs, NULL) < 0)
        return false;
    yyjson_val *ref = json_get(refs, CHANNEL), *list = json_get(ref, "l");
    if (!list)
        return false;
    *out = (struct segments){yyjson_get_sint(list), yyjson_get_sint(json_get(ref, "n"))};
    return true;
}

/* The items of rows that are in order: forwards or backwards. */
static int items_of(const struct db_rows *rows, bool backwards, int64_t total, struct arena *a,
                    struct message_list *out, struct err *err) {
    size_t n = rows->row_count, bytes = 2, count = 0;
    yyjson_val *root, *item;
    struct buf b;
    *out = (struct message_list){.total = total};
    for (size_t i = 0; i < n; i++)
        bytes += db_str(rows, i, 2).len + 1;
    buf_init(&b, bytes + 64);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < n; i++) {
        size_t row = backwards ? n - 1 - i : i;
        if (i == 0)
            out->first = db_int(rows, row, 0);
        if (db_int(rows, row, 0) != out->first + (int64_t)count) {
            buf_deinit(&b);
            return err_set(err, ERR_CORRUPT, "a list of messages has a gap");
        }
        count += (size_t)db_int(rows, row, 1);
        jw_raw(&w, db_str(rows, row, 2));
    }
    jw_array_end(&w);
    int rc = json_parse(a, arena_take(a, &b), &root, err);
    if (rc < 0 || yyjson_arr_size(root) != count)
        return err_set(err, ERR_CORRUPT, "a list of messages cannot be read");
    out->items = ARENA_ARRAY(a, yyjson_val *, count + 1);
    yyjson_arr_iter it = yyjson_arr_iter_with(root);
    while ((item = yyjson_arr_iter_next(&it)) != NULL)
        out->items[out->count++] = item;
    return out->first + out->count <= total
               ? 0
               : err_set(err, ERR_CORRUPT, "a list of messages is longer than its state says");
}

static int read_segments(struct store *s, const struct checkpoint *c, const struct segments *at,
                         const struct message_window *window, struct arena *a,
                         struct message_list *out, struct err *err) {
    struct db_rows rows;
    bool backwards = window->side != MESSAGES_AFTER;
    int64_t place = window->side == MESSAGES_NEWEST ? at->total : window->from.number;
    int64_t rows_max = window->limit + 2; /* with the place's own, and its parent's */
    if (place > at->total)
        place = at->total;
    int rc = db_read(s->db, backwards ? SQL_CHECKPOINT_SEGMENTS_UPTO : SQL_CHECKPOINT_SEGMENTS_FROM,
                     DB_PARAMS(DB_UUID(c->thread_id), DB_I(at->list_id), DB_I(place),
                               DB_I(at->total), DB_I(rows_max)),
                     a, &rows, err);
    return rc < 0 ? rc : items_of(&rows, backwards, at->total, a, out, err);
}

bool conversation_messages_listed(const struct checkpoint *c, struct arena *a, int64_t *list_id,
                                  int64_t *total) {
    struct segments at;
    if (!in_segments(c, a, &at))
        return false;
    *list_id = at.list_id;
    *total = at.total;
    return true;
}

int conversation_messages_part(struct store *s, const struct checkpoint *c, int64_t from,
                               int64_t segments, struct arena *a, struct message_list *out,
                               struct err *err) {
    struct segments at;
    struct message_window w = {MESSAGES_AFTER, {.number = from}, segments};
    if (!in_segments(c, a, &at))
        return err_set(err, ERR_CORRUPT, "the messages of a state are in no list");
    return read_segments(s, c, &at, &w, a, out, err);
}

/* --- a list in one value --- */

static int whole(struct store *s, struct checkpoint *c, struct arena *a, struct message_list *out,
                 struct err *err) {
    yyjson_val *root = NULL, *item;
    int rc = c->values ? 0 : checkpoint_load_values(s, c, a, err);
    *out = (struct message_list){.total = 0};
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < c->value_count; i++) {
        const struct checkpoint_channel *v = &c->values[i];
        if (!str_eq(v->name, STR(CHANNEL)))
            continue;
        str text = v->value;
        if (v->is_list && !v->whole)
            text = arena_printf(a, "[" STR_FMT "]", STR_ARG(v->value));
        if (text.len && json_parse(a, text, &root, NULL) < 0)
            return err_set(err, ERR_CORRUPT, "the messages of a state cannot be read");
    }
    out->items = ARENA_ARRAY(a, yyjson_val *, yyjson_arr_size(root) + 1);
    yyjson_arr_iter it = yyjson_arr_iter_with(yyjson_is_arr(root) ? root : NULL);
    while (yyjson_is_arr(root) && (item = yyjson_arr_iter_next(&it)) != NULL)
        if (yyjson_is_obj(item))
            out->items[out->count++] = item;
    out->total = out->count;
    return 0;
}

int conversation_messages_all(struct store *s, struct checkpoint *c, struct arena *a,
                              struct message_list *out, struct err *err) {
    return whole(s, c, a, out, err);
}

/* --- windows --- */

/* Is the place among them, or else anywhere in the list? */
static bool find_place(const struct message_list *list, struct message_place *place) {
    int64_t i = place->number - list->first;
    if (i >= 0 && i < list->count && is_at(place, list->items[i]))
        return true;
    if (list->first != 0 || list->count != list->total)
        return false;
    for (i = 0; i < list->count; i++) {
        if (!is_at(place, list->items[i]))
            continue;
        place->number = i;
        return true;
    }
    return false;
}

/* From what was read to what was asked for; numbers are absolute. */
static void cut(const struct message_window *window, struct message_list *list) {
    int64_t end = list->first + list->count, begin = list->first;
    if (window->side == MESSAGES_BEFORE)
        end = window->from.number;
    if (window->side == MESSAGES_AFTER)
        begin = window->from.number + 1;
    if (window->side == MESSAGES_AFTER && end - begin > window->limit)
        end = begin + window->limit;
    if (window->side != MESSAGES_AFTER && end - begin > window->limit)
        begin = end - window->limit;
    if (begin > list->first)
        list->parent = message_id_at(list, begin - 1);
    list->items += begin - list->first;
    list->count = end - begin;
    list->first = begin;
}

int conversation_messages(struct store *s, struct checkpoint *c,
                          const struct message_window *window, struct arena *a,
                          struct message_list *out, struct err *err) {
    struct segments at;
    struct message_window w = *window;
    bool placed = w.side != MESSAGES_NEWEST;
    int rc = in_segments(c, a, &at) ? read_segments(s, c, &at, &w, a, out, err)
                                    : whole(s, c, a, out, err);
    if (rc == 0 && placed && !find_place(out, &w.from)) {
        if (out->count < out->total)
            rc = whole(s, c, a, out, err);
        if (rc == 0 && !find_place(out, &w.from))
            rc = err_set(err, ERR_NOT_FOUND, "Message not found");
    }
    if (rc == 0)
        cut(&w, out);
    return rc;
}

str conversation_messages_version(struct arena *a, const struct checkpoint *c) {
    yyjson_val *root = c->lg ? c->lg->root : NULL;
    if (!c->lg && json_parse(a, c->channels, &root, NULL) < 0)
        return STR_NULL;
    yyjson_val *at = c->lg ? json_get(json_get(root, "channel_versions"), CHANNEL)
                           : json_get(root, CHANNEL);
    return at ? json_text(a, at) : STR_NULL;
}
