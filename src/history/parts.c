/* SPDX-License-Identifier: Apache-2.0 */
/* parts.c - texts that the log shares with the checkpoints.
 *
 * A task's result holds the messages that the checkpoint after it appends to a list, in the same
 * batch and in the same bytes. They are stored once, with the list; the entry keeps the rest:
 *
 *     @LIST START OFFSET {"id":"…","name":"agent","result":{"messages":[]}}
 *
 * is the text behind the third space with the segment START of LIST put in at OFFSET. (An entry is
 * an object otherwise, so its first character tells.) Whatever deletes a state deletes the log of
 * its run, so a segment stays as long as an entry refers to it; what is read while both go is read
 * again. */
#include "history/parts.h"

#include "base/buf.h"
#include "base/json.h"

#define PART_BYTES_MIN 256 /* less is not worth a look-up */
#define HEAD_BYTES     64  /* with the id of a message: enough to tell one from another */

/* Where `part`, which is longer than HEAD_BYTES, begins in text, or -1. memmem prepares tables for
 * long needles, which costs more than the search for something that is there and begins alike
 * nowhere else. */
static ptrdiff_t find_long(str text, str part) {
    str head = str_slice(part, 0, HEAD_BYTES);
    for (size_t from = 0;;) {
        ptrdiff_t at = str_find(str_slice(text, from, text.len), head);
        if (at < 0 || text.len - (from + (size_t)at) < part.len)
            return -1;
        from += (size_t)at;
        if (memcmp(text.p + from, part.p, part.len) == 0)
            return (ptrdiff_t)from;
        from++;
    }
}

str log_parts_take(const struct db_batch *b, struct id thread_id, str data) {
    for (size_t i = 0; i < b->count && data.len > PART_BYTES_MIN; i++) {
        const struct db_op *op = &b->ops[i];
        if (op->stmt != SQL_CHECKPOINT_SEGMENT_INSERT || !id_eq(op->params[0].id, thread_id))
            continue;
        str items = op->params[4].s;
        ptrdiff_t at = items.len < PART_BYTES_MIN ? -1 : find_long(data, items);
        if (at < 0)
            continue;
        str place = arena_printf(b->arena, "@%lld %lld %td ", (long long)op->params[1].i,
                                 (long long)op->params[2].i, at);
        str tail = str_slice(data, (size_t)at + items.len, data.len);
        return arena_concat(b->arena, (str[]){place, str_slice(data, 0, (size_t)at), tail}, 3);
    }
    return data;
}

struct part {
    int64_t list, start, offset;
    str rest;
};

static bool part_of(str data, struct part *out) {
    if (data.len == 0 || data.p[0] != '@')
        return false;
    str list, start, offset;
    out->rest = str_slice(data, 1, data.len);
    return str_split_next(&out->rest, ' ', &list) && str_split_next(&out->rest, ' ', &start) &&
           str_split_next(&out->rest, ' ', &offset) && str_to_i64(list, &out->list) &&
           str_to_i64(start, &out->start) && str_to_i64(offset, &out->offset) && out->rest.p &&
           out->offset >= 0 && (size_t)out->offset <= out->rest.len;
}

/* The segments that entries refer to as [[list, start], …]; absent when there are none. */
static str wanted(const struct log_entry *entries, size_t count, struct arena *a) {
    struct buf b;
    struct part part;
    size_t n = 0;
    buf_init(&b, SIZE_MAX / 2);
    struct json_writer w = json_writer(&b);
    jw_array(&w);
    for (size_t i = 0; i < count; i++) {
        if (!part_of(entries[i].data, &part))
            continue;
        jw_array(&w);
        jw_i64(&w, part.list);
        jw_i64(&w, part.start);
        jw_array_end(&w);
        n++;
    }
    jw_array_end(&w);
    ASSERT(buf_ok(&b));
    str out = n ? arena_dup(a, buf_view(&b)) : STR_NULL;
    buf_deinit(&b);
    return out;
}

static bool fill(struct log_entry *e, const struct part *part, const struct db_rows *rows,
                 struct arena *a) {
    for (size_t i = 0; i < rows->row_count; i++) {
        if (db_int(rows, i, 0) != part->list || db_int(rows, i, 1) != part->start)
            continue;
        str items = db_str(rows, i, 2);
        size_t offset = (size_t)part->offset;
        e->data = arena_concat(a,
                               (str[]){str_slice(part->rest, 0, offset), items,
                                       str_slice(part->rest, offset, part->rest.len)},
                               3);
        return true;
    }
    return false;
}

int log_parts_fill(struct store *s, struct id thread_id, struct log_entry *entries, size_t count,
                   struct arena *a, bool *out_stale, struct err *err) {
    struct db_rows rows;
    struct part part;
    bool stale = false;
    str list = wanted(entries, count, a);
    *out_stale = false;
    if (!list.p)
        return 0;
    int rc = db_read(s->db, SQL_CHECKPOINT_SEGMENTS_NAMED,
                     DB_PARAMS(DB_UUID(thread_id), DB_T(list)), a, &rows, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (part_of(entries[i].data, &part) && !fill(&entries[i], &part, &rows, a))
            stale = true;
    if (rc == 0)
        *out_stale = stale;
    return rc;
}
