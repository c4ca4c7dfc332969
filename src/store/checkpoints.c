/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoints.c - states of a thread by reference.
 *
 * checkpoints.channels is {"name": {"h": hash}} for values and {"name": {"l": list, "n": length}}
 * for lists. A list is append-only: segments (start, count, items) whose items are JSON texts
 * joined by commas, so that a prefix of n items is the concatenation of the segments that start
 * before n. A writer ends each checkpoint's growth with a segment, so a length always falls on a
 * boundary; a length that does not is ERR_CORRUPT. */
#include "store/checkpoints.h"

#include "base/hash.h"
#include "base/json.h"
#include "store/lg_checkpoints.h"

#define ID_MAX_HEX "ffffffffffffffffffffffffffffffff"

static int checkpoint_from_row(const struct db_rows *r, size_t row, struct arena *a,
                               struct checkpoint *out, struct err *err) {
    str saved = db_str(r, row, 12);
    *out = (struct checkpoint){
        .thread_id = db_id(r, row, 0),
        .name_space = db_str(r, row, 1),
        .id = db_id(r, row, 2),
        .parent_id = db_id(r, row, 3),
        .run_id = db_id(r, row, 4),
        .step = (int)db_int(r, row, 5),
        .source = db_str(r, row, 6),
        .channels = db_str(r, row, 7),
        .next = db_str(r, row, 8),
        .tasks = db_str(r, row, 9),
        .metadata = db_str(r, row, 10),
        .created_at = db_int(r, row, 11),
    };
    if (!saved.p)
        return 0;
    out->lg = ARENA_NEW(a, struct lg_row);
    *out->lg = (struct lg_row){.id = db_str(r, row, 2), .native = true};
    if (json_parse(a, saved, &out->lg->root, err) < 0)
        return err_set(err, ERR_CORRUPT, "a checkpoint cannot be read");
    return 0;
}

int checkpoint_get(struct store *s, struct id thread_id, str name_space, struct id id,
                   struct arena *a, struct checkpoint *out, struct err *err) {
    struct db_rows rows;
    int rc;
    if (s->layout == CHECKPOINTS_LANGGRAPH)
        return lg_checkpoint_get(s, thread_id, name_space, id, a, out, err);
    if (id_is_nil(id))
        rc = db_read(s->db, SQL_CHECKPOINT_NEWEST, DB_PARAMS(DB_UUID(thread_id), DB_T(name_space)),
                     a, &rows, err);
    else
        rc = db_read(s->db, SQL_CHECKPOINT_GET,
                     DB_PARAMS(DB_UUID(thread_id), DB_T(name_space), DB_UUID(id)), a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return err_set(err, ERR_NOT_FOUND, "Checkpoint not found");
    rc = checkpoint_from_row(&rows, 0, a, out, err);
    if (rc == 0 && out->lg)
        out->lg->newest = id_is_nil(id);
    return rc;
}

int checkpoint_head(struct store *s, struct id thread_id, struct id named, struct arena *a,
                    struct checkpoint *out, struct err *err) {
    if (s->layout == CHECKPOINTS_LANGGRAPH || id_is_nil(named))
        return checkpoint_get(s, thread_id, STR(""), ID_NIL, a, out, err);
    int rc = checkpoint_get(s, thread_id, STR(""), named, a, out, err);
    if (rc == 0 && out->lg)
        out->lg->newest = true;
    if (rc != ERR_NOT_FOUND)
        return rc;
    /* On PostgreSQL the row may name one that stands in the other layout only. */
    err_reset(err);
    return checkpoint_get(s, thread_id, STR(""), ID_NIL, a, out, err);
}

int checkpoint_list(struct store *s, struct id thread_id, str name_space, struct id before,
                    str metadata, int64_t limit, struct arena *a, struct checkpoint **out,
                    size_t *out_count, struct err *err) {
    struct db_rows rows;
    if (s->layout == CHECKPOINTS_LANGGRAPH)
        return lg_checkpoint_list(s, thread_id, name_space, before, metadata, limit, a, out,
                                  out_count, err);
    struct db_value bound = id_is_nil(before) ? DB_T(STR(ID_MAX_HEX)) : DB_UUID(before);
    str part = metadata.p ? metadata : STR("{}");
    int rc =
        db_read(s->db, SQL_CHECKPOINT_PAGE,
                DB_PARAMS(DB_UUID(thread_id), DB_T(name_space), bound, DB_T(part), DB_I(limit)), a,
                &rows, err);
    if (rc < 0)
        return rc;
    *out = ARENA_ARRAY(a, struct checkpoint, rows.row_count + 1);
    for (size_t i = 0; rc == 0 && i < rows.row_count; i++)
        rc = checkpoint_from_row(&rows, i, a, &(*out)[i], err);
    *out_count = rows.row_count;
    return rc;
}

bool checkpoint_is_hidden(str channel) {
    return str_starts(channel, STR("__")) || str_starts(channel, STR("branch:")) ||
           str_starts(channel, STR("join:"));
}

static int load_list(struct store *s, struct id thread_id, struct checkpoint_channel *c,
                     struct arena *a, struct err *err) {
    struct db_rows rows;
    int rc =
        db_read(s->db, SQL_CHECKPOINT_SEGMENTS,
                DB_PARAMS(DB_UUID(thread_id), DB_I(c->list_id), DB_I(c->count)), a, &rows, err);
    if (rc < 0)
        return rc;
    int64_t have = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < rows.row_count; i++) {
        if (db_int(&rows, i, 0) != have)
            return err_set(err, ERR_CORRUPT, "a list of the checkpoint has a gap at %lld",
                           (long long)have);
        have += db_int(&rows, i, 1);
        bytes += db_str(&rows, i, 2).len + 1;
    }
    if (have != c->count)
        return err_set(err, ERR_CORRUPT, "a list of the checkpoint has %lld items instead of %lld",
                       (long long)have, (long long)c->count);
    if (rows.row_count == 1) {
        c->value = db_str(&rows, 0, 2);
        return 0;
    }
    char *p = arena_alloc(a, bytes + 1);
    size_t at = 0;
    for (size_t i = 0; i < rows.row_count; i++) {
        str part = db_str(&rows, i, 2);
        if (at > 0)
            p[at++] = ',';
        memcpy(p + at, part.p, part.len);
        at += part.len;
    }
    c->value = str_n(p, at);
    return 0;
}

static int load_value(struct store *s, struct id thread_id, struct checkpoint_channel *c,
                      struct arena *a, struct err *err) {
    struct db_rows rows;
    int rc = db_read(s->db, SQL_CHECKPOINT_VALUE_GET, DB_PARAMS(DB_UUID(thread_id), DB_T(c->hash)),
                     a, &rows, err);
    if (rc < 0)
        return rc;
    if (rows.row_count == 0)
        return err_set(err, ERR_CORRUPT, "a value of the checkpoint is missing");
    c->value = db_str(&rows, 0, 0);
    return 0;
}

static int load_values(struct store *s, struct checkpoint *c, struct arena *a, struct err *err) {
    yyjson_val *refs;
    if (json_parse(a, c->channels, &refs, err) < 0)
        return err_set(err, ERR_CORRUPT, "the references of a checkpoint cannot be read");
    struct checkpoint_channel *values =
        ARENA_ARRAY(a, struct checkpoint_channel, yyjson_obj_size(refs) + 1);
    size_t count = 0;
    yyjson_obj_iter it = yyjson_obj_iter_with(refs);
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it)) != NULL; count++) {
        yyjson_val *ref = yyjson_obj_iter_get_val(key), *list = json_get(ref, "l");
        struct checkpoint_channel *v = &values[count];
        v->name = json_str(key);
        v->hidden = checkpoint_is_hidden(v->name);
        v->is_list = list != NULL;
        int rc;
        if (list) {
            v->list_id = yyjson_get_sint(list);
            v->count = yyjson_get_sint(json_get(ref, "n"));
            rc = v->count == 0 ? 0 : load_list(s, c->thread_id, v, a, err);
        } else {
            v->hash = json_str(json_get(ref, "h"));
            rc = load_value(s, c->thread_id, v, a, err);
        }
        if (rc < 0)
            return rc;
    }
    c->values = values;
    c->value_count = count;
    return 0;
}

/* Its values are read after its row; meanwhile both may have been deleted. */
int checkpoint_load_values(struct store *s, struct checkpoint *c, struct arena *a,
                           struct err *err) {
    struct checkpoint again;
    struct err inner = {0};
    int rc = c->lg ? lg_checkpoint_load(s, c, a, err) : load_values(s, c, a, err);
    if (rc != ERR_CORRUPT)
        return rc;
    int there = checkpoint_get(s, c->thread_id, c->name_space, c->id, a, &again, &inner);
    if (there < 0 && err)
        *err = inner;
    return there < 0 ? there : rc;
}

str checkpoint_values_json(struct arena *a, const struct checkpoint *c) {
    size_t bytes = 2;
    for (size_t i = 0; i < c->value_count; i++)
        bytes += c->values[i].value.len + 6 * c->values[i].name.len + 8;
    struct buf b;
    buf_init(&b, bytes + 64);
    struct json_writer w = json_writer(&b);
    jw_object(&w);
    for (size_t i = 0; i < c->value_count; i++) {
        const struct checkpoint_channel *v = &c->values[i];
        if (v->hidden)
            continue;
        jw_key_str(&w, v->name);
        if (v->whole || !v->is_list) {
            jw_raw(&w, v->value);
            continue;
        }
        jw_array(&w);
        if (v->value.len)
            jw_raw(&w, v->value);
        jw_array_end(&w);
    }
    jw_object_end(&w);
    ASSERT(buf_ok(&b));
    return arena_take(a, &b);
}

int checkpoint_head_values(struct store *s, struct id thread_id, struct arena *a, str *out,
                           struct err *err) {
    struct checkpoint c;
    struct err inner = {0};
    int rc = checkpoint_get(s, thread_id, STR(""), ID_NIL, a, &c, &inner);
    if (rc == 0)
        rc = checkpoint_load_values(s, &c, a, &inner);
    if (rc == ERR_NOT_FOUND) {
        *out = STR_NULL;
        return 0;
    }
    if (rc < 0) {
        if (err)
            *err = inner;
        return rc;
    }
    *out = checkpoint_values_json(a, &c);
    return 0;
}

void checkpoint_add(struct db_batch *b, const struct checkpoint *c) {
    struct db_value parent = id_is_nil(c->parent_id) ? DB_NIL : DB_UUID(c->parent_id);
    struct db_value run = id_is_nil(c->run_id) ? DB_NIL : DB_UUID(c->run_id);
    db_batch_add(b, SQL_CHECKPOINT_INSERT,
                 DB_PARAMS(DB_UUID(c->thread_id), DB_T(c->name_space), DB_UUID(c->id), parent, run,
                           DB_I(c->step), DB_T(c->source), DB_T(c->channels), DB_T(c->next),
                           DB_T(c->tasks), DB_T(c->metadata), DB_I(c->created_at)),
                 DB_EXPECT_NONE);
}

void checkpoint_value_add(struct db_batch *b, struct id thread_id, str hash, str value) {
    db_batch_add(b, SQL_CHECKPOINT_VALUE_INSERT,
                 DB_PARAMS(DB_UUID(thread_id), DB_T(hash), DB_T(value)), DB_EXPECT_NONE);
}

void checkpoint_segment_add(struct db_batch *b, struct id thread_id, int64_t list_id, int64_t start,
                            int64_t count, str items) {
    db_batch_add(
        b, SQL_CHECKPOINT_SEGMENT_INSERT,
        DB_PARAMS(DB_UUID(thread_id), DB_I(list_id), DB_I(start), DB_I(count), DB_T(items)),
        DB_EXPECT_NONE);
}

str checkpoint_hash(struct arena *a, str value) {
    unsigned char digest[HASH_SHA256_BYTES];
    struct id half;
    hash_sha256(value, digest);
    memcpy(half.b, digest, sizeof(half.b));
    return id_hex(a, half);
}
